//! Which rows go into which tiles.
//!
//! A row belongs to the tile of its nearest centroid and is spilled into a second one: not the second nearest but the one that minimises
//! `|r'|^2 + (r' . r)^2 / |r|^2`, where `r` and `r'` lead from the two centroids to the row. A query for which the first tile is a bad guess
//! lies along `r`; a second tile whose `r'` is not along `r` is then a better one (Sun et al. 2023, "SOAR", arXiv 2404.00774, section 3).
//! Slots that a block of 32 has left over are given to those rows that lie nearest without being there.

use super::cluster::{Centroids, NOBODY, Rows, Worker};
use crate::format::Metric;
use crate::graph::Neighbor;
use crate::par::Par;
use crate::quant::Prepared;
use crate::quant::signs::BLOCK_SLOTS;
use crate::sort;
use alloc::vec;
use alloc::vec::Vec;

/// Centroids that a row chooses from.
const CHOICES: usize = 8;
/// A tile has at most this many rows of its own; more, which must be nearly equal, make several tiles of one centroid.
const ROWS_MAX: usize = 4096;

/// A tile of rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tile {
    pub(super) centroid: u32,
    /// Its own rows, ascending.
    pub(super) rows: Vec<u32>,
    /// Rows of other tiles.
    pub(super) spilled: Vec<u32>,
    /// The largest distance of an own row from the centroid.
    pub(super) radius: f32,
}

/// Puts every row into tiles, which come in a chain: each beside one that is near it.
pub(super) fn assign<P: Par>(rows: &Rows<'_>, centroids: &Centroids, par: &P, workers: &mut [Worker]) -> Vec<Tile> {
    let mut choices: Vec<(u32, [Neighbor; CHOICES])> = (0..rows.count() as u32).map(|row| (row, [NOBODY; CHOICES])).collect();
    centroids.nearest(rows, &mut choices, par, workers);
    let mut scratch = vec![Prepared::new(); par.threads()];
    par.chunks(&mut choices, 64, &mut scratch, |_, choices, query| {
        choices.iter_mut().for_each(|(_, choices)| second(rows, centroids, choices, query));
    });
    let chain = chain(rows, centroids);
    let mut place = vec![0u32; centroids.count()];
    chain.iter().zip(0..).for_each(|(&centroid, tile)| place[centroid as usize] = tile);
    let mut tiles: Vec<Tile> = chain.iter().map(|&centroid| Tile { centroid, ..Tile::default() }).collect();
    for (row, choices) in &choices {
        let [first, second, ..] = choices;
        let tile = &mut tiles[place[first.node as usize] as usize];
        tile.rows.push(*row);
        tile.radius = tile.radius.max(first.distance);
        if second.node != u32::MAX {
            tiles[place[second.node as usize] as usize].spilled.push(*row);
        }
    }
    fill(&choices, &place, &mut tiles);
    tiles.into_iter().flat_map(pieces).collect()
}

/// Moves the second tile of a row to the second place of its choices; the third place is then the nearest of the others.
fn second(rows: &Rows<'_>, centroids: &Centroids, choices: &mut [Neighbor; CHOICES], query: &mut Prepared) {
    // Distances are squares, under cosine half of them.
    let square = if rows.space.metric == Metric::Cosine { 2.0 } else { 1.0 };
    let first = choices[0];
    let own = square * first.distance;
    let cost = |other: &Neighbor, query: &mut Prepared| {
        let far = square * other.distance;
        let along = 0.5 * (own + far - square * centroids.distance(rows, query, first.node, other.node));
        if own > 0.0 { far + along * along / own } else { far }
    };
    let mut best = (f32::INFINITY, 1);
    for (at, choice) in choices.iter().enumerate().skip(1) {
        if choice.node != u32::MAX {
            let cost = cost(choice, query);
            if cost < best.0 {
                best = (cost, at);
            }
        }
    }
    choices[1..=best.1].rotate_right(1);
}

/// Fills what is left of each tile's last block with rows whose third choice it is, nearest first; a row is given one such place.
fn fill(choices: &[(u32, [Neighbor; CHOICES])], place: &[u32], tiles: &mut [Tile]) {
    let thirds = choices.iter().filter(|(_, choices)| choices[2].node != u32::MAX);
    let mut offers: Vec<(u32, u64)> = thirds
        .map(|(row, choices)| (place[choices[2].node as usize], Neighbor { distance: choices[2].distance, node: *row }.key()))
        .collect();
    sort::by_key(&mut offers, |offer| *offer);
    for offers in offers.chunk_by(|a, b| a.0 == b.0) {
        let tile = &mut tiles[offers.first().map_or(0, |offer| offer.0) as usize];
        let held = tile.rows.len() + tile.spilled.len();
        let free = held.next_multiple_of(BLOCK_SLOTS) - held;
        tile.spilled.extend(offers.iter().take(free).map(|offer| Neighbor::from_key(offer.1).node));
    }
}

/// Divides a tile of too many rows.
fn pieces(tile: Tile) -> Vec<Tile> {
    if tile.rows.len() <= ROWS_MAX {
        return vec![tile];
    }
    let mut pieces: Vec<Tile> = tile.rows.chunks(ROWS_MAX).map(|rows| Tile { rows: rows.to_vec(), spilled: Vec::new(), ..tile }).collect();
    if let Some(last) = pieces.last_mut() {
        last.spilled = tile.spilled;
    }
    pieces
}

/// Centroids in an order in which neighbours lie together: from the first always on to the nearest that is left, so that tiles fetched
/// together are few runs of the file. `O(centroids^2)`.
pub(in crate::build) fn chain(rows: &Rows<'_>, centroids: &Centroids) -> Vec<u32> {
    let mut left: Vec<u32> = (1..centroids.count() as u32).collect();
    let (mut chain, mut query) = (vec![0], Prepared::new());
    let (mut dots, mut distances, mut places) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(&last) = chain.last().filter(|_| !left.is_empty()) {
        let (space, record) = (rows.space, centroids.record(last));
        query.record(space, &record[..space.layout.factors], &space.layout.factors(record));
        places.clear();
        places.extend(left.iter().map(|&centroid| centroid as usize * space.layout.stride));
        distances.resize(left.len(), 0.0);
        space.distances(None, rows.kernels, &query, &centroids.records, &places, &mut dots, &mut distances);
        let nearest = distances.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1).then(left[a.0].cmp(&left[b.0])));
        chain.push(left.swap_remove(nearest.map_or(0, |nearest| nearest.0)));
    }
    chain
}
