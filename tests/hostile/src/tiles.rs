//! A small file in tiles, and the answers to searches of its tiles: of the whole file, and fed block by block to one of which only the
//! first bytes are at hand. Both must agree whatever the bytes are.

use std::ops::ControlFlow;

use nearshore_core::build::tiles::TileParams;
use nearshore_core::build::{BuildParams, Input, build};
use nearshore_core::distance::Kernels;
use nearshore_core::filter::RowSet;
use nearshore_core::format::{Element, Metric};
use nearshore_core::index::Index;
use nearshore_core::par::Serial;
use nearshore_core::search::{Pending, Scratch, SearchError, SearchParams};
use nearshore_core::vectors::{Payloads, Query, Vectors};

use crate::check::Answer;

/// Elements of a vector.
pub const DIMENSIONS: usize = 5;
/// Rows of the sample, of which the last two are copies of the first two.
pub const ROWS: usize = 24;

/// A sound file of three tiles or so.
///
/// # Panics
/// When it cannot be built, which is a bug.
#[must_use]
pub fn file() -> Vec<u8> {
    let data: Vec<u8> =
        (0..ROWS).flat_map(|row| (0..DIMENSIONS).map(move |column| ((row % 22 * 37 + column * 53) % 101) as u8 + 3)).collect();
    let ids: Vec<u64> = (0..ROWS as u64).map(|row| (1 << 60) - 5 * row).collect();
    let payload: Vec<u8> = (0..ROWS).flat_map(|row| vec![row as u8; row]).collect();
    let ends: Vec<u64> = (0..ROWS as u64).map(|row| row * (row + 1) / 2).collect();
    let input = Input {
        vectors: Vectors::packed(Element::I8, DIMENSIONS, &data).expect("whole rows"),
        ids: Some(&ids),
        payloads: Payloads::new(&payload, &ends),
    };
    let go_on = &mut |_, _, _| ControlFlow::Continue(());
    let built = build(&input, &BuildParams::new(Metric::L2).m(4), &Serial, Kernels::best(), go_on, Vec::new()).expect("a sound recipe").0;
    let mut params = TileParams::default();
    params.tile_rows = Some(8);
    let index = Index::open(built).expect("a sound file");
    index.write_tiles(&params, &Serial, &mut |_, _, _| ControlFlow::Continue(()), Vec::new()).expect("rows").0
}

/// Which of [`answers`] is that of all tiles.
pub const OF_ALL: usize = 3;

/// How tiles are searched: as the file says, few of them, and all.
fn searches() -> [SearchParams; 4] {
    let some = |probes, rerank, k| SearchParams::default().k(k).probes(probes).rerank(rerank);
    [SearchParams::default().k(5), some(1, 1, 1), some(2, 8, 20), some(usize::MAX, usize::MAX, 30)]
}

/// The answers of a file that has tiles; none of any other.
///
/// # Panics
/// When an answer is wrong in itself, or depends on how the blocks come.
pub fn answers<B: AsRef<[u8]>>(index: &Index<B>) -> Vec<Answer> {
    let mut all = Vec::new();
    if index.tile_count() == 0 {
        return all;
    }
    let (mut scratch, mut hits, mut pending) = (Scratch::new(), Vec::new(), Pending::new());
    let file = index.reader().bytes();
    let (offset, bytes) = index.reader().header().superblock.hot;
    let hot = usize::try_from(offset + bytes).ok().and_then(|end| file.get(..end)).unwrap_or(file);
    let prefix = Index::open_prefix(hot, file.len() as u64).expect("the same header");
    let query: Vec<f32> = (0..index.dimensions()).map(|column| ((column * 29 + 3) % 97) as f32).collect();
    // All rows, and every third: with those the plan is the file's too, which fetches records alone where that costs less.
    let thirds = vec![0x9249_2492_4924_9249; index.len().div_ceil(64)];
    let sets = [None, Some(index.set_of_words(thirds).expect("no block is read"))];
    let tiles = Some(nearshore_core::format::Plan::Tiles);
    let whole = searches().into_iter().map(|params| (params, tiles, &sets[0]));
    let among = [(searches()[0], None, &sets[1]), (searches()[2], tiles, &sets[1]), (searches()[3], tiles, &sets[1])];
    for (mut params, plan, rows) in whole.chain(among) {
        if plan.is_none() && index.plan() != nearshore_core::format::Plan::Tiles {
            continue;
        }
        params.plan = plan;
        let found = match rows {
            None => index.search(Query::F32(&query), &params, &mut scratch, &mut hits),
            Some(rows) => index.search_where(Query::F32(&query), &params, rows, &mut scratch, &mut hits),
        };
        assert!(
            rows.as_ref().is_none_or(|rows| found.is_err() || hits.iter().all(|hit| rows.contains(hit.row))),
            "a hit that does not match"
        );
        assert!(hits.len() <= params.k && hits.iter().all(|hit| (hit.row as usize) < index.len()), "hits that are none");
        assert!(hits.iter().all(|hit| hit.distance.is_finite()), "a distance that is not a number");
        assert!(hits.is_sorted_by(|a, b| (a.distance, a.id) <= (b.distance, b.id)), "hits out of order");
        for payloads in [false, true] {
            pending.ask_payloads(payloads);
            let fed = feed(&prefix, file, &query, &params, rows.as_ref(), &mut pending);
            match (found, fed) {
                (Ok(stats), Ok(())) => assert_eq!((pending.hits(), pending.stats()), (&hits[..], stats), "{params:?}"),
                // Payloads are read by those alone who ask for them.
                (Ok(_), Err(SearchError::Corrupt(_))) if payloads => {}
                (Err(_), Err(_)) => {}
                (found, fed) => panic!("{params:?}: {found:?} of the whole file, {fed:?} where it is fed"),
            }
        }
        all.push(found.map(|_| hits.iter().map(|hit| (hit.id, hit.distance.to_bits(), hit.row)).collect()));
    }
    all
}

/// Feeds a search to its end, the last block of each round first.
fn feed(
    index: &Index<&[u8]>,
    file: &[u8],
    query: &[f32],
    params: &SearchParams,
    rows: Option<&RowSet>,
    pending: &mut Pending,
) -> Result<(), SearchError> {
    match rows {
        None => index.start(Query::F32(query), params, pending)?,
        Some(rows) => index.start_where(Query::F32(query), params, rows, pending)?,
    }
    for _ in 0..100 {
        assert!(pending.wanted().len() <= file.len() / 16, "more blocks than a file of this size can have");
        for at in (0..pending.wanted().len()).rev() {
            let block = pending.wanted()[at];
            index.feed(pending, at, &file[block.offset as usize..][..block.bytes as usize])?;
        }
        if index.advance(pending)? {
            return Ok(());
        }
    }
    panic!("a search without end");
}
