//! What a search of tiles finds for what it fetches, measured on the file's own rows.
//!
//! Each row that is searched for is left out of its own answer. One pass over its nearest tiles gives, for every number of probes, at
//! which place of the candidates each true neighbour comes; and so the recall of every pair of probes and candidates. Of the pairs that
//! reach a recall the one that fetches the fewest bytes goes into the table.

use super::Tiled;
use crate::format::{Plan, Refine};
use crate::graph::pool::Pool;
use crate::graph::{Buffers, Neighbor};
use crate::par::Par;
use crate::quant::Prepared;
use crate::quant::signs::{BLOCK_SLOTS, SignQuery, UNUSED};
use crate::quant::tile::TileLayout;
use crate::search::quality::FROM_ROWS;
use crate::search::{Layout, QualityRow};
use crate::seed;
use crate::sort;
use crate::vectors::Query;

use alloc::vec::Vec;

/// Rows that are searched for at most; standard error of a recall of 0.95 over as many: 0.4 %.
const QUERIES: usize = 500;
/// Hits that count.
const K: usize = 10;
/// Tiles probed.
const PROBES: [usize; 16] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256];
/// Candidates whose records are read.
const RERANKS: [usize; 15] = [10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 120, 160, 240, 320, 480];
/// Recalls that a row of the table is looked for.
const RECALLS: [f32; 11] = [0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.965, 0.98, 0.99, 0.995, 0.999];
/// Rows of the table at most.
pub(super) const ROWS_MAX: usize = RECALLS.len();
/// A row that says nothing.
pub(super) const NONE: QualityRow = QualityRow {
    plan: Plan::Tiles,
    layout: Layout::Lean,
    ef: 1,
    gamma: 0.0,
    refine: Refine::Records,
    k: 1,
    rerank: 0,
    queries: 0,
    source: FROM_ROWS,
    recall: 0.0,
    distances: 0.0,
    hops: 0.0,
};
/// Bytes that a request costs beside its answer.
const REQUEST_BYTES: f64 = 200.0;

/// One query: its row, the rows nearest to it, and at which place among the candidates each of those came, by number of probes.
struct Probe {
    row: u32,
    truth: Vec<u32>,
    places: Vec<[u32; K]>,
    slots: Vec<u64>,
}

/// Scratch of one thread.
#[derive(Default)]
struct Worker {
    query: Prepared,
    signs: SignQuery,
    vector: Vec<f32>,
    pool: Pool,
    found: Vec<Neighbor>,
    distances: Vec<f32>,
    dots: Vec<i32>,
    wide: Vec<u8>,
    buffers: Buffers,
}

/// The table for a file of these tiles; empty where there are too few rows to tell.
pub(super) fn measure<P: Par>(tiled: &Tiled<'_>, record_bytes: usize, seed: u64, par: &P) -> Vec<QualityRow> {
    let rows = tiled.rows.count();
    if rows <= K {
        return Vec::new();
    }
    let sample = seed::sample(seed::hash(seed, 4, 0), rows as u64, QUERIES);
    let mut probes: Vec<Probe> =
        sample.into_iter().map(|row| Probe { row: row as u32, truth: Vec::new(), places: Vec::new(), slots: Vec::new() }).collect();
    let mut workers: Vec<Worker> = (0..par.threads()).map(|_| Worker::default()).collect();
    par.chunks(&mut probes, 1, &mut workers, |_, probes, worker| probes.iter_mut().for_each(|probe| tiled.probe(probe, worker)));
    let block_bytes = tiled.layout.block() as f64;
    let (mut table, mut last) = (Vec::new(), None);
    let mean = |value: &dyn Fn(&Probe) -> u64| probes.iter().map(value).sum::<u64>() as f64 / probes.len() as f64;
    for wanted in RECALLS {
        let mut best: Option<(f64, QualityRow)> = None;
        for (step, &tiles) in PROBES.iter().enumerate().take_while(|(step, _)| *step == 0 || PROBES[step - 1] < tiled.tiles.len()) {
            let slots = mean(&|probe| probe.slots[step]);
            for rerank in RERANKS {
                let found = |probe: &Probe| probe.places[step].iter().filter(|&&place| (place as usize) < rerank).count() as u64;
                let recall = (mean(&found) / K as f64) as f32;
                let bytes = slots / BLOCK_SLOTS as f64 * block_bytes
                    + tiles as f64 * REQUEST_BYTES
                    + rerank as f64 * (record_bytes as f64 + REQUEST_BYTES);
                if recall >= wanted && best.is_none_or(|best| bytes < best.0) {
                    let distances = (tiled.tiles.len() as f64 + slots + rerank as f64) as f32;
                    best = Some((bytes, tiled.row(tiles, rerank, probes.len(), recall, distances)));
                }
            }
        }
        let Some((_, row)) = best else { break };
        if last.replace((row.ef, row.rerank)) != Some((row.ef, row.rerank)) {
            table.push(row);
        }
    }
    table
}

impl Tiled<'_> {
    fn row(&self, tiles: usize, rerank: usize, queries: usize, recall: f32, distances: f32) -> QualityRow {
        QualityRow {
            plan: Plan::Tiles,
            layout: Layout::Lean,
            ef: tiles.min(self.tiles.len()) as u32,
            gamma: 0.0,
            refine: Refine::Records,
            k: K as u32,
            rerank: rerank as u32,
            queries: queries as u32,
            source: FROM_ROWS,
            recall,
            distances,
            hops: tiles.min(self.tiles.len()) as f32,
        }
    }

    fn probe(&self, probe: &mut Probe, worker: &mut Worker) {
        let (space, kernels) = (self.space, self.rows.kernels);
        let Worker { query, signs, vector, pool, found, distances, dots, wide, buffers } = worker;
        space.decode(self.rows.record(probe.row), vector);
        query.query(space, kernels, Query::F32(vector));
        // The truth: all rows by their records, in pieces.
        pool.reset(K);
        for (start, places) in (0u32..).step_by(512).zip(self.rows.places.chunks(512)) {
            distances.resize(places.len(), 0.0);
            space.distances(None, kernels, query, self.rows.bytes, places, dots, distances);
            for (node, &distance) in (start..).zip(&*distances) {
                if node != probe.row {
                    pool.insert(Neighbor { distance, node }.key());
                }
            }
        }
        probe.truth.extend(pool.iter().map(|near| near.node));
        signs.prepare(space, kernels, self.rotation, query);
        // Tiles by the distance of their centroids.
        let count = self.tiles.len();
        buffers.places.clear();
        buffers.places.extend((0..count).map(|tile| tile * self.route_layout.stride));
        distances.resize(count, 0.0);
        space.distances(Some(&self.route_layout), kernels, query, &self.route, &buffers.places, dots, distances);
        pool.reset(PROBES[PROBES.len() - 1]);
        (0u32..).zip(&*distances).for_each(|(node, &distance)| {
            pool.insert(Neighbor { distance, node }.key());
        });
        found.clear();
        let (mut slots, mut estimates) = (0, [0.0; BLOCK_SLOTS]);
        let mut nearest = pool.iter();
        let mut probed = 0;
        for tiles in PROBES {
            for tile in nearest.by_ref().take(tiles - probed) {
                for block in self.blocks(tile.node) {
                    self.layout.estimate(kernels, signs, tile.distance, block, wide, &mut estimates);
                    for (&slot, distance) in TileLayout::slots_of(block).iter().zip(estimates) {
                        let node = self.old[u32::from_le_bytes(slot).min(self.old.len() as u32 - 1) as usize];
                        if slot != UNUSED && node != probe.row {
                            found.push(Neighbor { distance, node });
                        }
                    }
                    slots += BLOCK_SLOTS as u64;
                }
            }
            probed = tiles;
            sort::by_key(found, |near| (near.node, near.key()));
            found.dedup_by_key(|near| near.node);
            crate::graph::sort(found);
            let mut places = [u32::MAX; K];
            for (place, near) in (0u32..).zip(&*found) {
                if let Some(at) = probe.truth.iter().position(|&row| row == near.node) {
                    places[at] = place;
                }
            }
            probe.places.push(places);
            probe.slots.push(slots);
        }
    }
}
