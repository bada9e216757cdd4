//! Scans that want records a window at a time, and exact duplicates that are brought in blocks, against searches with every byte at hand.

use nearshore_core::build::{BuildParams, Codes, Input, PageParams, Tier, build};
use nearshore_core::distance::Kernels;
use nearshore_core::filter::RowSet;
use nearshore_core::format::{Element, Kind, Metric, Plan, Refine};
use nearshore_core::index::Index;
use nearshore_core::live::Live;
use nearshore_core::par::Serial;
use nearshore_core::search::{Hit, Pending, Scratch, SearchParams};
use nearshore_core::seed::SplitMix;
use nearshore_core::vectors::{Query, Vectors};
use std::ops::ControlFlow;

const DIMENSIONS: usize = 8;

/// Rows of which `of(row)` says whose copy they are.
fn file(metric: Metric, tier: Tier, originals: bool, rows: usize, of: impl Fn(usize) -> usize) -> Vec<u8> {
    let mut params = BuildParams::new(metric);
    (params.codes, params.m, params.tier, params.originals, params.quality) = (Codes::U4, 6, tier, originals, false);
    let vector = |seed: usize| {
        let mut random = SplitMix::new(seed as u64);
        std::array::from_fn::<f32, DIMENSIONS, _>(|_| random.below(2000) as f32 / 1000.0 - 1.0)
    };
    let values: Vec<f32> = (0..rows).flat_map(|row| vector(of(row))).collect();
    // Ids fall where rows ascend, so that ties are not in the order of rows.
    let ids: Vec<u64> = (0..rows as u64).map(|row| 1_000_000 - row).collect();
    let vectors = Vectors::packed(Element::F32, DIMENSIONS, bytemuck::cast_slice(&values)).expect("whole rows");
    let input = Input { vectors, ids: Some(&ids), payloads: None };
    build(&input, &params, &Serial, Kernels::best(), &mut |_, _, _| ControlFlow::Continue(()), Vec::new()).expect("sound rows").0
}

/// Ends a search that was begun; returns how many blocks each of its rounds wanted.
fn feed<B: AsRef<[u8]>>(index: &Index<B>, file: &[u8], pending: &mut Pending) -> Vec<usize> {
    let mut rounds = Vec::new();
    loop {
        rounds.extend(Some(pending.wanted().len()).filter(|wanted| *wanted > 0));
        for at in (0..pending.wanted().len()).rev() {
            let block = pending.wanted()[at];
            index.feed(pending, at, &file[block.offset as usize..][..block.bytes as usize]).expect("a sound block");
        }
        if index.advance(pending).expect("sound blocks") {
            return rounds;
        }
    }
}

fn query(seed: u64) -> [f32; DIMENSIONS] {
    let mut random = SplitMix::new(1000 + seed);
    std::array::from_fn(|_| random.below(2000) as f32 / 1000.0 - 1.0)
}

fn set<B: AsRef<[u8]>>(index: &Index<B>, test: impl Fn(usize) -> bool) -> RowSet {
    let word = |word: usize| (0..64).fold(0, |bits, bit| bits | u64::from(test(word * 64 + bit)) << bit);
    index.set_of_words((0..index.len().div_ceil(64)).map(word).collect()).expect("sound pairs")
}

#[test]
fn a_scan_wants_some_thousand_records_a_round() {
    let (rows, window) = (13_000, 4096);
    let (mut pending, mut scratch, mut hits) = (Pending::new(), Scratch::new(), Vec::new());
    for (metric, originals) in [(Metric::L2, false), (Metric::Cosine, true), (Metric::InnerProduct, true)] {
        // Twenty copies of each vector: the last hit ties with others, in other windows as well.
        let file = file(metric, Tier::Disk, originals, rows, |row| row % 650);
        let index = Index::open(&*file).expect("a sound file");
        let a_block = index.reader().header().table(Kind::Records, 0).expect("records").block_rows as usize;
        for (matching, tests) in [(rows, 1), (rows - rows.div_ceil(3), 3), (2 * window, usize::MAX)] {
            let only = set(&index, |row| if tests == usize::MAX { row < 2 * window } else { tests == 1 || row % tests != 0 });
            assert_eq!(only.len(), matching);
            for (k, refine) in [(1, Refine::Records), (30, Refine::Records), (30, Refine::Originals), (5000, Refine::Records)] {
                if refine == Refine::Originals && !originals {
                    continue;
                }
                let (asked, params) = (query(k as u64), SearchParams::default().k(k).plan(Plan::Scan).refine(refine));
                let stats = index.search_where(Query::F32(&asked), &params, &only, &mut scratch, &mut hits).expect("a sound search");
                index.start_where(Query::F32(&asked), &params, &only, &mut pending).expect("a sound search");
                let rounds = feed(&index, &file, &mut pending);
                assert_eq!(pending.hits(), hits, "{metric}, {matching}, {k}, {refine:?}");
                let windows = matching.div_ceil(window);
                // A window all of whose rows are ruled out by their codes has no round of originals.
                let of_records = if refine == Refine::Records { windows..=windows } else { windows + 1..=2 * windows };
                assert!(of_records.contains(&rounds.len()), "{metric}, {matching}, {k}, {refine:?}: {} rounds", rounds.len());
                assert_eq!(pending.rounds() as usize, rounds.len());
                // A window's rows may lie in half as many more blocks, where a filter leaves some out.
                let most = if refine == Refine::Records { 3 * window / a_block / 2 + 2 } else { window };
                assert!(rounds.iter().all(|wanted| *wanted <= most), "{rounds:?}");
                if refine == Refine::Records {
                    assert_eq!(pending.stats(), stats);
                }
            }
        }
        // Cut off between windows, it has the best of those that came.
        let only = set(&index, |_| true);
        let params = SearchParams::default().k(7).plan(Plan::Scan).refine(Refine::Records);
        index.start_where(Query::F32(&query(1)), &params, &only, &mut pending).expect("a sound search");
        for at in 0..pending.wanted().len() {
            let block = pending.wanted()[at];
            index.feed(&mut pending, at, &file[block.offset as usize..][..block.bytes as usize]).expect("a sound block");
        }
        assert!(!index.advance(&mut pending).expect("sound blocks"));
        index.cut(&mut pending);
        assert!(pending.hits().len() == 7 && pending.hits().iter().all(|hit| (hit.row as usize) < window));
        index.start_where(Query::F32(&query(1)), &params, &set(&index, |row| row == 9000), &mut pending).expect("a sound search");
        feed(&index, &file, &mut pending);
        assert_eq!(pending.hits().iter().map(|hit| hit.row).collect::<Vec<_>>(), [9000]);
    }
}

/// A file whose records are worth nothing where they lie: all that is read of them has to be asked for.
fn without_records(file: &[u8]) -> Index<Vec<u8>> {
    let header = Index::open(file).expect("a sound file").reader().header().clone();
    let records = header.table(Kind::Records, 0).expect("records");
    let mut torn = file.to_vec();
    torn[records.offset as usize..records.end() as usize].fill(0xAA);
    Index::open(torn).expect("a sound header").with_at_hand(records.offset)
}

/// Compares walks; returns the most rounds of one.
fn same_walks(file: &[u8], among: Option<&dyn Fn(usize) -> bool>) -> usize {
    let (whole, brought) = (Index::open(file).expect("a sound file"), without_records(file));
    let (mut pending, mut scratch, mut hits, mut most) = (Pending::new(), Scratch::new(), Vec::new(), 0);
    let only = among.map(|test| set(&whole, test));
    for seed in 0..12 {
        let asked = query(seed);
        for (k, ef) in [(1, 10), (10, 10), (40, 20), (300, 20)] {
            let params = SearchParams::ef(ef).k(k).plan(Plan::Walk);
            let stats = match &only {
                None => whole.search(Query::F32(&asked), &params, &mut scratch, &mut hits),
                Some(only) => whole.search_where(Query::F32(&asked), &params, only, &mut scratch, &mut hits),
            };
            match &only {
                None => brought.start(Query::F32(&asked), &params, &mut pending),
                Some(only) => brought.start_where(Query::F32(&asked), &params, only, &mut pending),
            }
            .expect("a sound search");
            most = most.max(feed(&brought, file, &mut pending).len());
            assert_eq!((pending.hits(), pending.stats()), (&*hits, stats.expect("a sound search")), "k {k}, ef {ef}");
        }
    }
    most
}

#[test]
fn exact_duplicates_are_brought_in_blocks() {
    for (metric, originals) in [(Metric::L2, false), (Metric::InnerProduct, false), (Metric::Cosine, true)] {
        // A few of each, of which most lie in the page of the first, that was just brought; one run of most rows, which takes rounds by its logarithm.
        let few = file(metric, Tier::Disk, originals, 900, |row| row % 300);
        let rounds = same_walks(&few, None);
        assert!((1..=6).contains(&rounds), "{metric}: {rounds} rounds");
        same_walks(&few, Some(&|row| row % 5 != 0));
        let long = file(metric, Tier::Disk, originals, 6000, |row| row.saturating_sub(5800));
        let rounds = same_walks(&long, None);
        assert!((6..=14).contains(&rounds), "{metric}: {rounds} rounds");
    }
}

#[test]
fn tombstones_stand_for_duplicates_that_are_looked_for_in_blocks() {
    let rows = 1500;
    let file = file(Metric::L2, Tier::Memory, false, rows, |row| if row < 600 { 0 } else { row % 300 });
    let mut live = Live::load(&file).expect("a sound file");
    // Of some runs the first rows, of some all, of the long one all but the last hundred.
    let dead = |row: usize| row % 300 < 120 && (row >= 900 || row.is_multiple_of(2)) || row < 500;
    (0..rows).filter(|row| dead(*row)).for_each(|row| live.delete(1_000_000 - row as u64).expect("a row that lives"));
    let saved = live.save(Vec::new()).expect("a file");
    let saved = Index::open(saved).expect("a sound file");
    assert!(saved.deleted() > 0, "tombstones");
    let mut params = PageParams::default();
    (params.codes, params.originals) = (Codes::U4, false);
    let (paged, _) = saved.write_pages(&params, &Serial, &mut |_, _| ControlFlow::Continue(()), Vec::new()).expect("a sound file");
    let rounds = same_walks(&paged, None);
    assert!(rounds >= 2, "{rounds} rounds");
    let all: Vec<Hit> = {
        let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
        let index = Index::open(&*paged).expect("a sound file");
        index.search(Query::F32(&query(0)), &SearchParams::ef(20).k(rows).plan(Plan::Walk), &mut scratch, &mut hits).expect("a search");
        hits
    };
    assert_eq!(all.len(), (0..rows).filter(|row| !dead(*row)).count());
}

#[test]
fn records_are_ranked_as_they_come() {
    let file = file(Metric::L2, Tier::Disk, false, 3000, |row| row);
    let index = without_records(&file);
    let mut pending = Pending::new();
    index.start(Query::F32(&query(3)), &SearchParams::ef(60).plan(Plan::Walk), &mut pending).expect("a sound search");
    assert!(pending.wanted().len() > 3, "{} blocks", pending.wanted().len());
    for at in 0..pending.wanted().len() {
        let (block, before) = (pending.wanted()[at], pending.stats().distances);
        index.feed(&mut pending, at, &file[block.offset as usize..][..block.bytes as usize]).expect("a sound block");
        assert!(pending.stats().distances > before, "block {at} waits for the others");
    }
    assert!(index.advance(&mut pending).expect("sound blocks"));
}
