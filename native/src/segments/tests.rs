//! A set against one file of the same rows; documents that lie.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use nearshore_core::build::{BuildParams, Input, build};
use nearshore_core::distance::Kernels;
use nearshore_core::format::{Element, Metric, Plan};
use nearshore_core::live::{Live, LiveParams};
use nearshore_core::par::Par;
use nearshore_core::seed::SplitMix;
use nearshore_core::vectors::{Query, Vectors};
use proptest::prelude::*;

use super::*;
use crate::{Pool, Queries};

const DIMENSIONS: usize = 6;

/// Rows for a build.
#[derive(Clone, Debug)]
struct Rows {
    element: Element,
    metric: Metric,
    bytes: Vec<u8>,
    ids: Vec<u64>,
}

impl Rows {
    /// Few different numbers, so that rows are at equal distances, and some are equal. None is zero.
    fn new(element: Element, metric: Metric, count: usize, seed: u64) -> Self {
        let mut random = SplitMix::new(seed);
        let mut number = |at: usize| 1 + at as u64 % 2 + random.below(4);
        let numbers: Vec<u64> = (0..count * DIMENSIONS).map(&mut number).collect();
        let bytes = match element {
            Element::F32 => numbers.iter().flat_map(|&number| (number as f32 * 0.3 - 1.0).to_le_bytes()).collect(),
            _ => numbers.iter().map(|&number| number as u8).collect(),
        };
        // All differ, and neighbours are far apart.
        let ids = (0..count as u64).map(|row| row.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seed).collect();
        Self { element, metric, bytes, ids }
    }

    fn count(&self) -> usize {
        self.ids.len()
    }

    fn write(&self, rows: std::ops::Range<usize>, path: &Path) {
        let row_bytes = DIMENSIONS * self.element.bytes();
        let bytes = &self.bytes[rows.start * row_bytes..rows.end * row_bytes];
        let vectors = Vectors::packed(self.element, DIMENSIONS, bytes).unwrap();
        let input = Input { vectors, ids: Some(&self.ids[rows]), payloads: None };
        let mut params = BuildParams::new(self.metric).m(6).ef_construction(40);
        params.quality = false;
        let go_on = &mut |_, _, _| ControlFlow::Continue(());
        let (bytes, _) = build(&input, &params, &Pool::new(1).unwrap(), Kernels::best(), go_on, Vec::new()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// A file of all rows, and a set of segments that end at these rows.
    fn files(&self, folder: &Path, ends: &[usize]) -> (Index, Segments) {
        let one = folder.join("one.shore");
        self.write(0..self.count(), &one);
        let mut paths = Vec::new();
        let mut start = 0;
        for &end in ends {
            paths.push(folder.join(format!("set.{}.shore", paths.len())));
            self.write(start..end, paths.last().unwrap());
            start = end;
        }
        (Index::open(one).unwrap(), made(folder, &paths).unwrap())
    }
}

fn made(folder: &Path, paths: &[PathBuf]) -> Result<Segments, Error> {
    let set = folder.join("set.shores");
    Segments::make(paths, &set, FileSink::create(&set, true).unwrap(), &mut |_, _| {})?;
    Segments::open(set)
}

fn queries(count: usize) -> Queries {
    let rows = Rows::new(Element::F32, Metric::L2, count, 99);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("q.fbin");
    let header = [(count as u32).to_le_bytes(), (DIMENSIONS as u32).to_le_bytes()].concat();
    std::fs::write(&path, [header, rows.bytes].concat()).unwrap();
    Queries::of(&crate::dataset::Dataset::open(&path, &crate::dataset::Options::default()).unwrap()).unwrap()
}

fn pairs(hits: &[Hit]) -> Vec<(u64, f32)> {
    hits.iter().map(|hit| (hit.id, hit.distance)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_exact_search_of_a_set_is_that_of_one_file(
        count in 1usize..120,
        cuts in prop::collection::vec(0.0..1.0f64, 0..5),
        element in prop::sample::select(vec![Element::F32, Element::U8, Element::I8]),
        metric in prop::sample::select(vec![Metric::L2, Metric::InnerProduct, Metric::Cosine]),
        k in 1usize..150,
        radius in prop::option::of(0.0..2.0f32),
        seed: u64,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut ends: Vec<usize> = cuts.iter().map(|cut| 1 + (cut * count as f64) as usize).chain([count]).collect();
        ends.sort_unstable();
        ends.dedup();
        ends.retain(|&end| end <= count);
        let (one, set) = Rows::new(element, metric, count, seed).files(folder.path(), &ends);
        prop_assert_eq!((set.rows(), set.iter().len()), (count as u64, ends.len()));
        let mut params = SearchParams::default().k(k).plan(Plan::Scan);
        params.radius = radius;
        let queries = queries(5);
        for query in 0..queries.len() {
            let wanted = one.search(&queries.get(query), &params).unwrap();
            let found = set.search(&queries.get(query), &params).unwrap();
            prop_assert_eq!(pairs(&found), wanted.iter().map(|hit| (hit.id, hit.distance)).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_document_that_was_changed_is_refused_or_means_the_same() {
    const SIGNS: &[u8] = b"0123456789abcdef/.\"{}[],:-";
    let folder = tempfile::tempdir().unwrap();
    let (_, set) = Rows::new(Element::U8, Metric::L2, 40, 3).files(folder.path(), &[10, 20, 40]);
    let all = |set: &Segments| pairs(&set.search(&[1u8; DIMENSIONS], &SearchParams::default().k(100)).unwrap());
    let (text, wanted) = (std::fs::read(set.path()).unwrap(), all(&set));
    let mut random = SplitMix::new(5);
    let (mut refused, mut opened) = (0, 0);
    for _ in 0..400 {
        let mut changed = text.clone();
        let at = random.below(text.len() as u64) as usize;
        match random.below(4) {
            0 => changed[at] = random.below(256) as u8,
            1 => changed[at] = SIGNS[random.below(SIGNS.len() as u64) as usize],
            2 => changed.truncate(at),
            _ => drop(changed.remove(at)),
        }
        std::fs::write(set.path(), &changed).unwrap();
        match Segments::open(set.path()) {
            Ok(changed) => (opened, _) = (opened + 1, assert_eq!(all(&changed), wanted)),
            Err(error) => refused += usize::from(error.to_string().contains("set.")),
        }
    }
    assert!(refused > 200 && opened > 5 && refused + opened == 400, "{refused} {opened}");
}

#[test]
fn a_walk_of_a_set_finds_what_one_of_a_file_finds_and_threads_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let rows = Rows::new(Element::F32, Metric::L2, 2000, 7);
    let (one, set) = rows.files(folder.path(), &[900, 1000, 2000]);
    let queries = queries(40);
    let exact = SearchParams::default().plan(Plan::Scan);
    let walk = SearchParams::ef(60).plan(Plan::Walk);
    let right: Vec<_> = (0..queries.len()).map(|query| one.search(&queries.get(query), &exact).unwrap()).collect();
    let answers: Vec<Answer> =
        set.search_batch(&queries, 0..queries.len(), &walk, None, &Pool::new(1).unwrap()).into_iter().map(Result::unwrap).collect();
    // Of rows as near as the last any may be found.
    let found = |query: usize| answers[query].hits.iter().filter(|hit| hit.distance <= right[query].last().unwrap().distance).count();
    let recall = (0..queries.len()).map(found).sum::<usize>() as f64 / 400.0;
    assert!(recall > 0.97, "{recall}");
    for threads in [2, 5] {
        let again = set.search_batch(&queries, 0..usize::MAX, &walk, None, &Pool::new(threads).unwrap());
        assert!(again.into_iter().map(Result::unwrap).eq(answers.iter().cloned()), "{threads} threads");
    }
    let mut work = Work::default();
    for (query, answer) in answers.iter().enumerate() {
        assert_eq!(&set.search(&queries.get(query), &walk).unwrap(), &answer.hits);
        let mut sum = (0, 0);
        for (_, segment) in set.iter() {
            let stats = work.search(segment, queries.get(query), &walk, None).unwrap();
            sum = (sum.0 + stats.distances, sum.1 + stats.hops);
        }
        assert_eq!((answer.stats.distances, answer.stats.hops, answer.stats.ef), (sum.0, sum.1, 60));
    }
    assert_eq!(set.search_batch(&queries, 7..9, &walk, None, &Pool::new(2).unwrap())[1].as_ref().unwrap(), &answers[8]);
}

#[test]
fn a_batch_of_one_file_is_its_searches_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let (one, _) = Rows::new(Element::F32, Metric::L2, 700, 9).files(folder.path(), &[700]);
    let queries = queries(150);
    let mut list: Vec<Query<'_>> = (0..queries.len()).map(|query| queries.get(query)).collect();
    let few = one.set_of_words(vec![0x9249_2492_4924_9249; 10]).unwrap();
    for params in [SearchParams::ef(30), SearchParams::default().k(3).plan(Plan::Scan)] {
        let alone: Vec<_> = list.iter().map(|query| one.search(query, &params).unwrap()).collect();
        let among: Vec<_> = list.iter().map(|query| one.search_where(query, &params, &few).unwrap()).collect();
        for pool in [1, 2, 7].map(|threads| Pool::new(threads).unwrap()) {
            assert_eq!(one.search_batch(&list, &params, &pool).unwrap(), alone);
            assert_eq!(one.search_batch_where(&list, &params, &few, &pool).unwrap(), among);
            assert!(one.search_batch(&list[..0], &params, &pool).unwrap().is_empty());
        }
        // Fewer queries than threads: there are buffers for each thread all the same, as whoever runs them may count on.
        let many = Counting(Pool::new(5).unwrap());
        for count in [0, 1, 3] {
            assert_eq!(one.search_batch(&list[..count], &params, &many.0).unwrap(), alone[..count]);
            assert_eq!(one.search_batch(&list[..count], &params, &many).unwrap(), alone[..count]);
        }
    }
    // The first of the wrong queries is named, whoever met which first.
    let short = [1.0; DIMENSIONS - 1];
    for wrong in [140, 90, 91] {
        list[wrong] = Query::F32(&short);
    }
    for pool in [1, 2, 7].map(|threads| Pool::new(threads).unwrap()) {
        let failed = one.search_batch(&list, &SearchParams::default(), &pool).unwrap_err();
        assert!(matches!(failed, Error::Query { query: 90, source: SearchError::Dimensions { .. } }), "{failed}");
        assert!(failed.to_string().starts_with("query 90: "));
        // What is wrong with all is no query's fault.
        assert!(matches!(one.search_batch(&list, &SearchParams::default().k(0), &pool), Err(Error::Search(_))));
    }
}

/// A pool that is given what it is promised.
struct Counting(Pool);

impl Par for Counting {
    fn threads(&self) -> usize {
        self.0.threads()
    }

    fn chunks<T: Send, S: Send>(&self, data: &mut [T], size: usize, scratch: &mut [S], work: impl Fn(usize, &mut [T], &mut S) + Sync) {
        assert!(scratch.len() >= self.threads());
        self.0.chunks(data, size, scratch, work);
    }
}

#[test]
fn errors_of_searches_name_the_segment() {
    let folder = tempfile::tempdir().unwrap();
    let (_, set) = Rows::new(Element::U8, Metric::L2, 60, 7).files(folder.path(), &[20, 60]);
    drop(set);
    let path = folder.path().join("set.1.shore");
    let mut bytes = std::fs::read(&path).unwrap();
    let records = Index::open(&path).unwrap().reader().section(nearshore_core::format::Kind::Records, 0).unwrap().place(0).unwrap();
    bytes[records] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let set = Segments::open(folder.path().join("set.shores")).unwrap();
    let failed = set.search(&[1u8; DIMENSIONS], &SearchParams::default()).unwrap_err().to_string();
    assert!(failed.contains("set.shores: its segment ") && failed.contains("set.1.shore: section records, block 0"), "{failed}");
    let queries = queries(3);
    let failed = set.search_batch(&queries, 0..3, &SearchParams::default(), None, &Pool::new(2).unwrap());
    assert!(failed.iter().all(|found| found.as_ref().is_err_and(|failed| failed.segment == 1)));
    assert!(matches!(set.check(&nearshore_core::par::Serial, &mut |_, _| {}), Err(CheckError::Damage(SegmentError { segment: 1, .. }))));
    // A wrong query is nobody's fault but its own.
    assert!(matches!(set.search(&[1u8; 3], &SearchParams::default()), Err(Error::Search(SearchError::Dimensions { .. }))));
}

#[test]
fn ids_of_tombstones_may_live_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, ids: std::ops::Range<u64>, deleted: &[u64]| {
        let mut live = Live::new(LiveParams::new(2, Metric::L2)).unwrap();
        ids.for_each(|id| live.insert(id, Query::F32(&[id as f32, 1.0]), &[]).unwrap());
        deleted.iter().for_each(|&id| live.delete(id).unwrap());
        let path = folder.path().join(name);
        std::fs::write(&path, live.save(Vec::new()).unwrap()).unwrap();
        path
    };
    // The first file's ids are its row numbers, but two of them are dead.
    let (a, b) = (write("a.shore", 0..50, &[20, 30]), write("b.shore", 20..21, &[]));
    let set = made(folder.path(), &[a.clone(), b]).unwrap();
    assert_eq!((set.rows(), set.deleted()), (51, 2));
    let hits = set.search(&[20.0f32, 1.0], &SearchParams::default().k(60)).unwrap();
    assert_eq!((hits.len(), hits[0].id, hits[0].segment), (49, 20, 1));
    let refused = made(folder.path(), &[a, write("c.shore", 49..50, &[])]).unwrap_err().to_string();
    assert!(refused.contains("id 49 is in ") && refused.ends_with("c.shore; ids must differ"), "{refused}");
    assert!(Segments::open(folder.path().join("set.shores")).is_ok(), "the older set is as it was");
}
