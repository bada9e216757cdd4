//! One set of answers, whichever way blocks come; and under injected faults an error or the same answer.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use nearshore_core::build::tiles::TileParams;
use nearshore_core::build::{BuildParams, Codes, Input, PageParams, Tier, build};
use nearshore_core::distance::Kernels;
use nearshore_core::format::encoding::{CODES_PQ, CODES_RABITQ_1};
use nearshore_core::format::{Element, Kind, Metric, Plan};
use nearshore_core::search::{Hit, Layout, Scratch, Stats};
use nearshore_core::seed::SplitMix;
use nearshore_core::vectors::{Payloads, Vectors};

mod faults;
mod scans;

use super::*;
use crate::io::blocks::Method;
use crate::io::blocks::fault::{Faults, FaultyBlocks};
use crate::par::Pool;

const DIMENSIONS: usize = 20;
const ROWS: usize = 3000;

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut random = SplitMix::new(seed);
    (0..count * DIMENSIONS).map(|_| random.below(2000) as f32 / 1000.0 - 1.0).collect()
}

/// Three files: for a disk, with originals and without; in tiles.
fn files(folder: &Path) -> Vec<PathBuf> {
    let rows = numbers(ROWS, 1);
    let vectors = Vectors::packed(Element::F32, DIMENSIONS, bytemuck::cast_slice(&rows)).expect("whole rows");
    let texts: Vec<u8> = (0..ROWS).flat_map(|row| format!("row {row}").into_bytes()).collect();
    let ends: Vec<u64> = (0..ROWS)
        .scan(0, |end, row| {
            *end += format!("row {row}").len() as u64;
            Some(*end)
        })
        .collect();
    let input = Input { vectors, ids: None, payloads: Payloads::new(&texts, &ends) };
    let pool = Pool::new(2).expect("threads");
    let write = |name: &str, params: &BuildParams| {
        let go_on = &mut |_, _, _| ControlFlow::Continue(());
        let (bytes, _) = build::<_, Vec<u8>>(&input, params, &pool, Kernels::best(), go_on, Vec::new()).expect("sound rows");
        let path = folder.join(name);
        std::fs::write(&path, bytes).expect("room");
        path
    };
    let mut params = BuildParams::new(Metric::Cosine);
    (params.tier, params.codes) = (Tier::Disk, Codes::U4);
    params.page_bytes = 16_384;
    let kept = write("kept.shore", &params);
    (params.originals, params.page_bytes) = (false, 4096);
    let dropped = write("dropped.shore", &params);
    let index = Index::open(&dropped).expect("a sound file");
    let tiled = index.write_tiles(&TileParams::default(), &pool, &mut |_, _, _| ControlFlow::Continue(()), Vec::new());
    let tiles = folder.join("tiles.shore");
    std::fs::write(&tiles, tiled.expect("sound rows").0).expect("room");
    vec![kept, dropped, tiles]
}

/// Where a table of a file begins: memory for what lies before it.
fn begins(path: &Path, kind: Kind) -> Option<u64> {
    Index::open(path).expect("a sound file").reader().header().table(kind, 0).map(|table| table.offset)
}

type Answers = Vec<(Vec<Hit>, Stats, Vec<Vec<u8>>)>;

/// Rows to search among: none said, every third, a run of them (a few tiles whole), a dozen, none at all.
fn sets(index: &Index) -> Vec<Option<RowSet>> {
    let tests: [&dyn Fn(usize) -> bool; 4] = [&|row| row % 3 == 1, &|row| (500..1400).contains(&row), &|row| row % 250 == 3, &|_| false];
    let words = |test: &dyn Fn(usize) -> bool| {
        let word = |word| (0..64).fold(0, |bits, bit| bits | u64::from(test(word * 64 + bit)) << bit);
        (0..ROWS.div_ceil(64)).map(word).collect()
    };
    let sets = tests.iter().map(|test| index.set_of_words(words(test)).expect("sound pairs"));
    std::iter::once(None).chain(sets.map(Some)).collect()
}

/// What a map answers.
fn wanted(path: &Path, queries: &Queries, params: &SearchParams, only: Option<&RowSet>) -> Answers {
    let index = Index::open(path).expect("a sound file");
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    let core: &nearshore_core::index::Index<FileBytes> = &index;
    let answer = |query| {
        let asked = queries.get(query);
        let stats = match only {
            None => core.search(asked, params, &mut scratch, &mut hits),
            Some(rows) => core.search_where(asked, params, rows, &mut scratch, &mut hits),
        };
        let stats = stats.expect("a sound search");
        if let Some(rows) = only {
            assert!(hits.len() == params.k.min(rows.len()) && hits.iter().all(|hit| rows.contains(hit.row)));
        }
        let payload = |hit: &Hit| {
            let mut bytes = Vec::new();
            index.payload(hit.row, &mut bytes).expect("a sound payload");
            bytes
        };
        (hits.clone(), stats, hits.iter().map(payload).collect())
    };
    (0..queries.len()).map(answer).collect()
}

fn answered(pending: &Pending) -> (Vec<Hit>, Stats, Vec<Vec<u8>>) {
    let payloads = (0..pending.hits().len()).map(|hit| pending.payload(hit).to_vec()).collect();
    (pending.hits().to_vec(), pending.stats(), payloads)
}

fn queries(count: usize) -> Queries {
    let rows = numbers(count, 2);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queries.fbin");
    let head = [count as u32, DIMENSIONS as u32].map(u32::to_le_bytes);
    std::fs::write(&path, [head.as_flattened(), bytemuck::cast_slice(&rows)].concat()).expect("room");
    let data = crate::dataset::Dataset::open(&path, &crate::dataset::Options::default()).expect("sound queries");
    Queries::of(&data).expect("finite numbers")
}

const PARAMS: [fn() -> SearchParams; 2] = [|| SearchParams::recall(0.95), || SearchParams::ef(60).k(25)];

#[test]
fn every_way_of_reading_gives_the_answers_of_a_map() {
    let folder = tempfile::tempdir().expect("a folder");
    let queries = queries(40);
    for path in files(folder.path()) {
        for params in PARAMS {
            let (params, mut rounds) = (params(), 0);
            let all = sets(&Index::open(&path).expect("a sound file"));
            // By the plan of the file, and among rows walks that would else be scans.
            let graph = begins(&path, Kind::Edges).is_some();
            let walks = all.iter().filter(|only| graph && only.is_some()).map(|only| (only, params.plan(Plan::Walk)));
            let scan = all.iter().take(1).map(|only| (only, params.plan(Plan::Scan)));
            for (only, params) in all.iter().map(|only| (only, params)).chain(walks).chain(scan) {
                let only = only.as_ref();
                let wanted = wanted(&path, &queries, &params, only);
                for method in [Method::Uring, Method::Pread, Method::Mmap] {
                    // Enough for all that walks go by, for hardly anything, for codes, for neither codes nor edges and some blocks.
                    let fronts = [Kind::Edges, Kind::CodesRows].map(|kind| begins(&path, kind));
                    let few = [(5, 2, fronts[0], Some(9)), (2, 1, fronts[1].map(|bytes| bytes + 9000), None)];
                    let few = few.into_iter().filter(|few| few.2.is_some());
                    for (in_flight, threads, memory, read_ahead) in
                        [(1, 1, None, None), (7, 2, Some(4 << 20), None), (3, 1, Some(1000), None)].into_iter().chain(few)
                    {
                        let mut options = DiskOptions { memory, read_ahead, ..DiskOptions::default() };
                        options.blocks = options.blocks.method(method);
                        let index = DiskIndex::open(&path, options).expect("a sound file");
                        let flight = Flight { threads, in_flight, payloads: true };
                        if only.is_some() && !index.walks_among() {
                            continue;
                        }
                        let waited = same_answers(&index, &queries, &params, only, flight, &wanted);
                        let held = match memory {
                            _ if fronts.contains(&None) => Held::Centroids,
                            memory if memory.is_some() && memory == fronts[0] => Held::Codes,
                            Some(memory) if fronts[1].is_some_and(|codes| memory == codes + 9000) => Held::Upper,
                            _ => Held::Graph,
                        };
                        assert_eq!(index.front.held, held, "{index}");
                        if params.plan == Some(Plan::Scan) {
                            assert!(waited > 1, "{index}: {waited} rounds of records and payloads");
                        } else if matches!(held, Held::Codes | Held::Upper) {
                            assert!(waited > 4, "{index}: {waited} rounds");
                        } else {
                            rounds = rounds.max(waited);
                        }
                        assert!(index.to_string().contains("round"), "{index}");
                        assert_eq!(index.resident_bytes() > 0, memory != Some(1000), "{index}");
                    }
                }
            }
            let ranked = [3, 2, 3][["kept.shore", "dropped.shore", "tiles.shore"].iter().position(|name| path.ends_with(name)).unwrap()];
            assert_eq!(rounds, ranked, "{}: codes, records, originals, payloads", path.display());
        }
    }
}

/// Compares all answers; returns the most rounds that one took.
fn same_answers(
    index: &DiskIndex,
    queries: &Queries,
    params: &SearchParams,
    only: Option<&RowSet>,
    flight: Flight,
    wanted: &Answers,
) -> u32 {
    let found = Mutex::new(vec![None; queries.len()]);
    let take = |query: usize, answer: Found<'_>| {
        assert!(answer.error.is_none(), "{:?}", answer.error);
        found.lock().unwrap()[query] = Some((answered(answer.pending), answer.pending.rounds()));
    };
    index.search_all(queries, params, only, flight, &take).expect("blocks");
    let mut rounds = 0;
    for (query, (found, wanted)) in found.into_inner().unwrap().into_iter().zip(wanted).enumerate() {
        let ((hits, mut stats, payloads), waited) = found.expect("an answer");
        if stats.ef == 0 && index.index.refine() == Refine::Originals {
            // Which originals a scan looks at depends on what it knows by then.
            stats.distances = wanted.1.distances;
        }
        let found = (hits, stats, payloads);
        assert_eq!(&found, wanted, "{params:?}, {index}: query {query}");
        rounds = rounds.max(waited);
    }
    rounds
}

#[test]
fn faults_end_a_search_in_an_error_or_change_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let queries = queries(60);
    for path in files(folder.path()) {
        let params = PARAMS[0]();
        let wanted = wanted(&path, &queries, &params, None);
        let whole = DiskIndex::open(&path, DiskOptions::default()).expect("a sound file");
        // A walk that reads edges, too.
        let memory = begins(&path, Kind::Edges);
        let part = DiskIndex::open(&path, DiskOptions { memory, ..DiskOptions::default() }).expect("a sound file");
        for (seed, index) in (0..6).map(|seed| (seed, &whole)).chain((0..6).map(|seed| (seed, &part))) {
            let injected = if seed < 2 { Faults::late(seed) } else { Faults::all(seed) };
            let mut blocks = FaultyBlocks::new(index.file.blocks().expect("a driver"), injected);
            let name = format!("{}: seed {seed}", path.display());
            let [_, failed] = faults::ends(index, &mut blocks, &queries, &params, &wanted, &name);
            assert_eq!(failed > 0, seed >= 2, "seed {seed}: {failed} failed");
        }
    }
}

#[test]
fn pages_of_a_file_for_memory_answer_as_a_build_for_a_disk() {
    let rows = numbers(ROWS, 1);
    let vectors = Vectors::packed(Element::F32, DIMENSIONS, bytemuck::cast_slice(&rows)).expect("whole rows");
    let input = Input { vectors, ids: None, payloads: None };
    let pool = Pool::new(2).expect("threads");
    let made = |tier, codes| {
        let mut params = BuildParams::new(Metric::L2);
        (params.tier, params.codes, params.quality) = (tier, codes, false);
        let go_on = &mut |_, _, _| ControlFlow::Continue(());
        build(&input, &params, &pool, Kernels::best(), go_on, Vec::new()).expect("sound rows").0
    };
    let (disk, memory) = (made(Tier::Disk, Codes::U4), made(Tier::Memory, Codes::None));
    let memory = nearshore_core::index::Index::open(memory).expect("a sound file");
    let paged = |index: &nearshore_core::index::Index<Vec<u8>>, codes, threads| {
        let pool = Pool::new(threads).expect("threads");
        let mut params = PageParams::default();
        (params.codes, params.originals) = (codes, true);
        index.write_pages(&params, &pool, &mut |_, _| ControlFlow::Continue(()), Vec::new()).expect("a sound file").0
    };
    let open = |file| nearshore_core::index::Index::open(file).expect("a sound file");
    let queries = queries(30);
    let answers = |index: &nearshore_core::index::Index<Vec<u8>>, params: SearchParams| -> Vec<(Stats, Vec<Hit>)> {
        let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
        let answer = |query| {
            let stats = index.search(queries.get(query), &params, &mut scratch, &mut hits).expect("a sound search");
            (stats, hits.clone())
        };
        (0..queries.len()).map(answer).collect()
    };
    let same = |disk: &nearshore_core::index::Index<Vec<u8>>, pages: &nearshore_core::index::Index<Vec<u8>>| {
        pages.check(&mut |_, _| {}).expect("a whole file");
        assert_eq!(answers(disk, SearchParams::ef(40)), answers(pages, SearchParams::ef(40)));
    };
    let (disk, pages) = (open(disk), open(paged(&memory, Codes::None, 1)));
    same(&disk, &pages);
    // Others than the file has are made of its records, the same by any number of threads; so is what it was.
    for (codes, encoding) in [(Codes::RaBitQ1, CODES_RABITQ_1), (Codes::Pq32, CODES_PQ)] {
        let bytes = paged(&pages, codes, 2);
        assert!(bytes == paged(&pages, codes, 1), "{codes:?}: threads change bytes");
        let coarse = open(bytes);
        let table = coarse.reader().section(Kind::CodesRows, 0).expect("codes").table();
        assert_eq!((table.encoding, coarse.quality().expect("a sound file")), (encoding, &[][..]));
        let all = answers(&coarse, SearchParams::ef(ROWS).rerank(ROWS));
        let exact = answers(&pages, SearchParams::ef(ROWS).plan(Plan::Scan));
        let right = all.iter().zip(&exact).filter(|((_, hits), (_, exact))| hits == exact).count();
        assert!(right + 1 >= queries.len(), "{codes:?}: {right} answers of {} are what a scan finds", queries.len());
        same(&disk, &open(paged(&coarse, Codes::U4, 1)));
    }
}

#[test]
fn codes_of_neighbours_are_not_held_where_nothing_reads_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = numbers(ROWS, 1);
    let vectors = Vectors::packed(Element::F32, DIMENSIONS, bytemuck::cast_slice(&rows)).expect("whole rows");
    let mut params = BuildParams::new(Metric::Cosine).ef_construction(40);
    (params.layout, params.quality) = (Layout::Fast, false);
    let input = Input { vectors, ids: None, payloads: None };
    let go_on = &mut |_, _, _| ControlFlow::Continue(());
    let pool = Pool::new(2).expect("threads");
    let (bytes, _) = build::<_, Vec<u8>>(&input, &params, &pool, Kernels::best(), go_on, Vec::new()).expect("sound rows");
    let path = folder.path().join("fast.shore");
    std::fs::write(&path, &bytes).expect("room");
    let index = Index::open(&path).expect("a sound file");
    let table = |kind| *index.reader().header().table(kind, 0).expect("a table");
    let (codes, originals) = (table(Kind::NeighborCodes), table(Kind::Originals));
    let unread = codes.end() - codes.offset;
    assert!(unread > 1 << 20);
    let mut options = DiskOptions::default();
    options.blocks = options.blocks.method(Method::Pread);
    // Just enough without them.
    options.memory = Some(originals.offset - unread);
    let disk = DiskIndex::open(&path, options).expect("a sound file");
    assert_eq!(disk.resident_bytes(), originals.offset - unread);
    let (queries, params) = (queries(20), SearchParams::ef(40));
    let wanted = wanted(&path, &queries, &params, None);
    let flight = Flight { threads: 1, in_flight: 4, payloads: false };
    disk.search_all(&queries, &params, None, flight, &|query, found| {
        assert!(found.error.is_none() && found.pending.hits() == wanted[query].0);
    })
    .expect("a sound file");
}
