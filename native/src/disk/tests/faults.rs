//! Every driver against everything that may go wrong, on files of each kind: codes of each sort, metrics, exact duplicates, tombstones.

use std::sync::Arc;

use nearshore_core::live::Live;

use super::*;
use crate::io::blocks::fault::FaultyFile;
use crate::io::blocks::tests::interrupted;
use crate::io::blocks::{HeldBlocks, Merging, PreadBlocks};

/// Files of each sort of codes, each under another metric; rows come three at a time. The last has tombstones, behind the graph and before the records.
pub(super) fn coded(folder: &Path) -> Vec<PathBuf> {
    let third = numbers(ROWS / 3, 3);
    let rows: Vec<f32> = third.chunks(DIMENSIONS).flat_map(|row| [row, row, row]).flatten().copied().collect();
    let vectors = Vectors::packed(Element::F32, DIMENSIONS, bytemuck::cast_slice(&rows)).expect("whole rows");
    let input = Input { vectors, ids: None, payloads: None };
    let pool = Pool::new(2).expect("threads");
    let mut paths = Vec::new();
    let kinds = [(Metric::L2, Codes::RaBitQ1), (Metric::InnerProduct, Codes::Pq32), (Metric::Cosine, Codes::U4)];
    for (metric, codes) in kinds {
        let mut params = BuildParams::new(metric);
        (params.tier, params.codes, params.m, params.quality, params.originals) = (Tier::Disk, codes, 8, false, false);
        let go_on = &mut |_, _, _| ControlFlow::Continue(());
        let (bytes, _) = build::<_, Vec<u8>>(&input, &params, &pool, Kernels::best(), go_on, Vec::new()).expect("sound rows");
        paths.push(folder.join(format!("{metric}.shore")));
        std::fs::write(paths.last().expect("a path"), bytes).expect("room");
    }
    let mut live = Live::load(&std::fs::read(paths.last().expect("a path")).expect("the file")).expect("a sound file");
    (0..ROWS as u64).filter(|row| row % 5 < 2).for_each(|row| live.delete(row).expect("a row that lives"));
    let saved = nearshore_core::index::Index::open(live.save(Vec::new()).expect("a file")).expect("a sound file");
    let mut params = PageParams::default();
    (params.codes, params.originals) = (Codes::U4, false);
    let paged = saved.write_pages(&params, &pool, &mut |_, _| ControlFlow::Continue(()), Vec::new());
    paths.push(folder.join("tombstones.shore"));
    std::fs::write(paths.last().expect("a path"), paged.expect("a sound file").0).expect("room");
    paths
}

/// Runs all queries over a driver; each ends in the wanted answer or in an error. Returns how many of both.
pub(super) fn ends(
    index: &DiskIndex,
    blocks: &mut dyn Blocks,
    queries: &Queries,
    params: &SearchParams,
    wanted: &Answers,
    name: &str,
) -> [usize; 2] {
    let slot = |_| {
        let mut pending = Pending::new();
        pending.ask_payloads(true);
        Slot { index: &index.index, pending, query: 0, began: Instant::now() }
    };
    let mut slots: Vec<Slot<'_>> = (0..5).map(slot).collect();
    let (next, ends) = (AtomicUsize::new(0), Mutex::new([0, 0]));
    let found = |query: usize, slot: &Slot<'_>, error: Option<RunError<SearchError>>| {
        let mut ends = ends.lock().unwrap();
        if error.is_none() {
            assert_eq!(answered(&slot.pending), wanted[query], "{name}, {index}: query {query}");
        }
        ends[usize::from(error.is_some())] += 1;
    };
    run(blocks, &mut slots, &mut All { queries, params, only: None, next: &next, found: &found }).expect("a driver that goes on");
    let ends = ends.into_inner().unwrap();
    assert_eq!(ends[0] + ends[1], queries.len(), "{name}");
    ends
}

#[test]
fn every_driver_answers_as_a_map_under_every_fault_or_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let queries = queries(25);
    for path in coded(folder.path()) {
        let params = SearchParams::ef(30).k(15);
        let wanted = wanted(&path, &queries, &params, None);
        let bytes = std::fs::read(&path).expect("the file");
        let codes = begins(&path, Kind::CodesRows).map(|codes| codes + 9000);
        // All that a walk goes by in memory, codes alone, neither.
        for memory in [None, begins(&path, Kind::Edges).map(|edges| edges + 2000), codes] {
            for method in [Method::Uring, Method::Pread, Method::Mmap] {
                let mut options = DiskOptions { memory, ..DiskOptions::default() };
                options.blocks = options.blocks.method(method);
                let index = DiskIndex::open(&path, options).expect("a sound file");
                let name = format!("{}, {method:?}", path.display());
                let run =
                    |blocks: &mut dyn Blocks, faults: &str| ends(&index, blocks, &queries, &params, &wanted, &format!("{name}, {faults}"));
                let all = [queries.len(), 0];
                let driver = || index.file.blocks().expect("a driver");
                assert_eq!(interrupted(|| run(&mut *driver(), "signals")), all);
                assert_eq!(run(&mut FaultyBlocks::new(driver(), Faults::late(1)), "late"), all);
                assert!(run(&mut FaultyBlocks::new(driver(), Faults::all(2)), "all")[1] > 0);
                let cache = Arc::new(BlockCache::new(1 << 20));
                assert_eq!(run(&mut CachedBlocks::new(FaultyBlocks::new(driver(), Faults::late(3)), cache.clone()), "cached"), all);
                assert!(run(&mut CachedBlocks::new(FaultyBlocks::new(driver(), Faults::all(4)), cache), "cached, all")[0] > 0);
            }
            let index = DiskIndex::open(&path, DiskOptions { memory, ..DiskOptions::default() }).expect("a sound file");
            let run = |blocks: &mut dyn Blocks, faults: &str| {
                ends(&index, blocks, &queries, &params, &wanted, &format!("{}, {faults}", path.display()))
            };
            assert_eq!(run(&mut HeldBlocks::new(&bytes), "a slice"), [queries.len(), 0]);
            assert!(run(&mut FaultyBlocks::new(HeldBlocks::new(&bytes), Faults::all(5)), "a slice, all")[1] > 0);
            // What a system may do to reads, below the driver.
            let file = Arc::new(File::open(&path).expect("the file"));
            let rules = Merging { align: 1, gap: 0, bytes_max: 1 << 16 };
            for (faults, fails) in [
                (Faults { seed: 6, short: 300, eintr: 300, ..Faults::default() }, false),
                (Faults { seed: 7, eio: 300, ..Faults::default() }, true),
            ] {
                for depth in [1, 4] {
                    let file = Arc::new(FaultyFile::new(file.clone(), faults));
                    let [_, failed] = run(&mut PreadBlocks::new(file, bytes.len() as u64, rules, depth), &format!("{faults:?}"));
                    assert_eq!(failed > 0, fails, "{faults:?}");
                }
            }
        }
    }
}

#[test]
fn a_file_that_shrinks_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let queries = queries(5);
    for path in files(folder.path()).into_iter().chain(coded(folder.path())) {
        let whole = std::fs::read(&path).expect("the file");
        for method in [Method::Pread, Method::Uring] {
            for part in [Kind::Edges, Kind::CodesRows] {
                // Room for tombstones as well: what does not fit is mapped as a whole.
                let memory = begins(&path, part).map(|bytes| bytes + 2000);
                let mut options = DiskOptions { memory, ..DiskOptions::default() };
                options.blocks = options.blocks.method(method);
                let index = DiskIndex::open(&path, options).expect("a sound file");
                // What every search goes by is there by now.
                index.index().quality().expect("a sound file");
                let records = index.index().reader().header().table(Kind::Records, 0).expect("records").offset;
                let shorter =
                    |bytes| std::fs::File::options().write(true).open(&path).expect("the file").set_len(bytes).expect("a shorter file");
                // Hardly any record, and nothing at all: exact duplicates and tombstones are touched in place by none.
                for (left, plan) in [(records + 4096, None), (records + 4096, Some(Plan::Scan)), (0, None), (0, Some(Plan::Scan))] {
                    let mut params = PARAMS[0]();
                    params.plan = plan;
                    shorter(left);
                    let failed = AtomicUsize::new(0);
                    let flight = Flight { threads: 1, in_flight: 2, payloads: false };
                    let count = |_: usize, found: Found<'_>| {
                        let error = found.error.expect("no answer").to_string();
                        assert!(error.contains("shore") && error.contains("ends"), "{error}");
                        failed.fetch_add(1, Relaxed);
                    };
                    index.search_all(&queries, &params, None, flight, &count).expect("a driver that goes on");
                    assert_eq!(failed.into_inner(), queries.len());
                }
                std::fs::write(&path, &whole).expect("room");
            }
        }
    }
}
