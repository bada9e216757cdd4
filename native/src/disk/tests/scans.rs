//! Scans through a driver, and bounds that are said of reads.

use super::faults::coded;
use super::*;

/// A file for a disk of `rows`, with originals.
fn built(folder: &Path, rows: &[f32]) -> PathBuf {
    let vectors = Vectors::packed(Element::F32, DIMENSIONS, bytemuck::cast_slice(rows)).expect("whole rows");
    let mut params = BuildParams::new(Metric::L2).ef_construction(20);
    (params.tier, params.codes, params.m, params.quality) = (Tier::Disk, Codes::U4, 6, false);
    let input = Input { vectors, ids: None, payloads: None };
    let go_on = &mut |_, _, _| ControlFlow::Continue(());
    let pool = Pool::new(2).expect("threads");
    let (bytes, _) = build::<_, Vec<u8>>(&input, &params, &pool, Kernels::best(), go_on, Vec::new()).expect("sound rows");
    let path = folder.join("built.shore");
    std::fs::write(&path, bytes).expect("room");
    path
}

/// Rounds and blocks of each search, all of which succeed.
fn counted(index: &DiskIndex, queries: &Queries, params: &SearchParams) -> Vec<(f32, f32)> {
    let counted = Mutex::new(Vec::new());
    let take = |_: usize, found: Found<'_>| {
        assert!(found.error.is_none(), "{:?}", found.error);
        counted.lock().unwrap().push((found.pending.rounds() as f32, found.pending.blocks() as f32));
    };
    index.search_all(queries, params, None, Flight { threads: 1, in_flight: 4, payloads: false }, &take).expect("blocks");
    counted.into_inner().unwrap()
}

#[test]
fn a_scan_reads_all_rows_that_live_in_rounds_that_were_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let queries = queries(12);
    // Three rounds of rows; and files with exact duplicates, the last of them with tombstones.
    let long = built(folder.path(), &numbers(9000, 1));
    for path in coded(folder.path()).into_iter().chain([long]) {
        for (refine, k) in [(None, 10), (Some(Refine::Records), 25), (None, 1)] {
            let mut params = SearchParams::default().k(k).plan(Plan::Scan);
            params.refine = refine;
            let wanted = wanted(&path, &queries, &params, None);
            for method in [Method::Uring, Method::Pread] {
                let mut options = DiskOptions::default();
                options.blocks = options.blocks.method(method);
                let index = DiskIndex::open(&path, options).expect("a sound file");
                let flight = Flight { threads: 1, in_flight: 3, payloads: true };
                same_answers(&index, &queries, &params, None, flight, &wanted);
                assert!(index.reads() > 0, "{index}");
                let expected = index.expected(&params);
                for (rounds, blocks) in counted(&index, &queries, &params) {
                    // Of rows whose records rule all out no originals are read.
                    let fewer = refine.is_none() && index.index().refine() == Refine::Originals;
                    assert!(rounds == expected.rounds || fewer && rounds < expected.rounds, "{index}: {rounds} rounds");
                    assert!(blocks > 20.0 && blocks <= expected.at_most.expect("a bound"), "{index}: {blocks} of {expected:?}");
                }
            }
        }
    }
}

#[test]
fn what_is_said_to_be_the_most_is_where_codes_leave_many_in_doubt() {
    let folder = tempfile::tempdir().expect("a folder");
    // Two places far apart: codes of four bits tell hardly any two rows of one apart.
    let middles: Vec<f32> = numbers(2, 5).iter().map(|value| 100.0 * value).collect();
    let rows: Vec<f32> = numbers(6000, 6).iter().enumerate().map(|(at, noise)| middles[at % (2 * DIMENSIONS)] + 3.0 * noise).collect();
    let path = built(folder.path(), &rows);
    let mut options = DiskOptions::default();
    options.blocks = options.blocks.method(Method::Pread);
    let index = DiskIndex::open(&path, options).expect("a sound file");
    let queries = queries(20);
    for (ef, refine) in [(300, Refine::Records), (300, Refine::Originals), (60, Refine::Records), (1000, Refine::Records)] {
        let params = SearchParams::ef(ef).refine(refine);
        let Expected { rounds, reads, at_most } = index.expected(&params);
        let most = at_most.expect("a bound");
        let counted = counted(&index, &queries, &params);
        assert!(counted.iter().all(|&(waited, blocks)| waited == rounds && blocks <= most), "{counted:?} of {most}");
        assert!(counted.iter().any(|&(_, blocks)| blocks > reads), "{counted:?}: no more than the usual {reads}");
    }
    let asked = index.expected(&SearchParams::ef(300).rerank(40).refine(Refine::Records));
    assert_eq!((asked.rounds, asked.reads, asked.at_most), (1.0, 40.0, Some(40.0)));
}

#[test]
fn rounds_of_walks_whose_edges_are_read_are_told_by_the_effort_that_is_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = &files(folder.path())[1];
    let mut options = DiskOptions::default();
    options.blocks = options.blocks.method(Method::Pread);
    let whole = DiskIndex::open(path, options).expect("a sound file").resident_bytes();
    options.memory = Some(whole - 1);
    let index = DiskIndex::open(path, options).expect("a sound file");
    assert!(index.to_string().starts_with("codes ("), "{index}");
    let (queries, mut told) = (queries(60), Vec::new());
    // Walks that the stop rule ends, all with the same pool.
    for gamma in [0.02, 0.06, 0.16] {
        let params = SearchParams::ef(300).gamma(gamma).plan(Plan::Walk);
        let expected = index.expected(&params).rounds;
        let counted = counted(&index, &queries, &params);
        let rounds = counted.iter().map(|count| count.0).sum::<f32>() / counted.len() as f32;
        assert!((0.6..1.7).contains(&(expected / rounds)), "{gamma}: {expected} told, {rounds} in the mean");
        told.push(expected);
    }
    assert!(told[2] > 1.5 * told[0], "{told:?}");
}
