//! Filtered searches against brute force: every plan, tombstones, duplicates whose representative does not match,
//! conditions that select nothing, everything, and what lies far from the query.

use core::ops::ControlFlow;

use nearshore_core::build::{BuildParams, Input, build_with_columns};
use nearshore_core::distance::Kernels;
use nearshore_core::filter::{ColumnInput, Filter, RowSet, SelectError, Values};
use nearshore_core::format::{Element, Kind, Metric, Plan};
use nearshore_core::index::Index;
use nearshore_core::par::Serial;
use nearshore_core::search::{Hit, Scratch, SearchError, SearchParams, Stats};
use nearshore_core::vectors::{Payloads, Query, Vectors};

const DIMENSIONS: usize = 8;

/// Numbers that look random.
fn noise(seed: u64, at: usize) -> u64 {
    let mut z = (seed ^ (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

/// Rows of bytes, columns `u` (uniform in 0..1000), `first` (the first coordinate) and `word`.
struct Set {
    data: Vec<u8>,
    u: Vec<i64>,
    first: Vec<i64>,
    words: Vec<u8>,
    ends: Vec<u64>,
}

const WORDS: [&str; 4] = ["amber", "blue", "cyan", "dun"];

impl Set {
    /// Every row after the first `differ` repeats an earlier one.
    fn new(rows: usize, differ: usize) -> Self {
        let data: Vec<u8> =
            (0..rows).flat_map(|row| (0..DIMENSIONS).map(move |column| noise(7, row % differ * DIMENSIONS + column) as u8)).collect();
        let u = (0..rows).map(|row| (noise(9, row) % 1000) as i64).collect();
        let first = (0..rows).map(|row| i64::from(data[row * DIMENSIONS])).collect();
        let (mut words, mut ends) = (Vec::new(), Vec::new());
        for row in 0..rows {
            words.extend_from_slice(WORDS[(noise(11, row) % 4) as usize].as_bytes());
            ends.push(words.len() as u64);
        }
        Self { data, u, first, words, ends }
    }

    fn rows(&self) -> usize {
        self.u.len()
    }

    fn word(&self, row: usize) -> &str {
        WORDS[(noise(11, row) % 4) as usize]
    }

    fn build(&self) -> Vec<u8> {
        let input = Input { vectors: Vectors::packed(Element::U8, DIMENSIONS, &self.data).expect("whole rows"), ids: None, payloads: None };
        let column = |name, values| ColumnInput { name, values, nulls: None };
        let columns = [
            column("u", Values::I64(&self.u)),
            column("first", Values::I64(&self.first)),
            column("word", Values::Text(Payloads::new(&self.words, &self.ends).expect("words"))),
        ];
        let mut params = BuildParams::default();
        params.m = 8;
        params.ef_construction = 60;
        let go_on = &mut |_, _, _| ControlFlow::Continue(());
        build_with_columns(&input, &columns, &params, &Serial, Kernels::best(), go_on, Vec::new()).expect("a build").0
    }

    /// (distance, id) of the rows that match, nearest first. Ids are input rows.
    fn truth(&self, query: &[u8], matches: impl Fn(usize) -> bool) -> Vec<(u32, u64)> {
        let distance = |row: usize| {
            let row = &self.data[row * DIMENSIONS..][..DIMENSIONS];
            row.iter().zip(query).map(|(&a, &b)| (i32::from(a) - i32::from(b)).pow(2) as u32).sum()
        };
        let mut found: Vec<(u32, u64)> = (0..self.rows()).filter(|&row| matches(row)).map(|row| (distance(row), row as u64)).collect();
        found.sort_unstable();
        found
    }
}

fn search(index: &Index<Vec<u8>>, query: &[u8], params: &SearchParams, rows: &RowSet) -> (Vec<Hit>, Stats) {
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    let stats = index.search_where(Query::U8(query), params, rows, &mut scratch, &mut hits).expect("a search");
    (hits, stats)
}

fn select(index: &Index<Vec<u8>>, text: &str) -> RowSet {
    index.select(&Filter::parse(text).expect("a condition")).expect("columns")
}

/// Searches by every plan; hits are as many as they must be, match, and those of scans are exact.
fn check(set: &Set, index: &Index<Vec<u8>>, text: &str, matches: impl Fn(usize) -> bool + Copy) -> f64 {
    let rows = select(index, text);
    let (mut found, mut wanted) = (0, 0);
    for query in 0..12 {
        let query: Vec<u8> = (0..DIMENSIONS).map(|column| noise(100 + query, column) as u8).collect();
        let truth = set.truth(&query, matches);
        assert_eq!(rows.len(), truth.len(), "{text}");
        for k in [1, 10, 40] {
            let k_or_all = k.min(truth.len());
            for params in [SearchParams::ef(50).k(k), SearchParams::default().k(k), SearchParams::ef(50).k(k).plan(Plan::Walk)] {
                let (hits, _) = search(index, &query, &params, &rows);
                assert_eq!(hits.len(), k_or_all, "{text}, {params:?}");
                assert!(hits.iter().all(|hit| matches(hit.id as usize)), "{text}");
                assert!(hits.is_sorted_by(|a, b| (a.distance, a.id) < (b.distance, b.id)));
                if params.plan == Some(Plan::Walk) {
                    let last = truth[..k_or_all].last().map_or(0, |last| last.0);
                    found += hits.iter().filter(|hit| hit.distance <= last as f32).count();
                    wanted += k_or_all;
                }
            }
            let (hits, stats) = search(index, &query, &SearchParams::default().k(k).plan(Plan::Scan), &rows);
            let hits: Vec<(u32, u64)> = hits.iter().map(|hit| (hit.distance as u32, hit.id)).collect();
            assert_eq!(hits, truth[..k_or_all], "{text}");
            assert_eq!(stats.distances, truth.len() as u64);
        }
    }
    if wanted == 0 { 1.0 } else { found as f64 / wanted as f64 }
}

#[test]
fn every_plan_finds_as_many_as_there_are_and_scans_find_the_nearest() {
    let set = Set::new(5000, 5000);
    let index = Index::open(set.build()).expect("a file");
    index.check(&mut |_, _| {}).expect("a sound file");
    let matching = [("u < 0", 0), ("u = 3", 1), ("u < 10", 10), ("u < 100", 100), ("u < 500", 500), ("u < 900", 900), ("u < 1000", 1000)];
    for (text, below) in matching {
        let recall = check(&set, &index, text, |row| if text == "u = 3" { set.u[row] == 3 } else { set.u[row] < below });
        assert!(recall > 0.95, "{text}: {recall}");
    }
    // Whatever is near some queries, and far from others.
    for text in ["first < 128", "first >= 220", "first between 3 and 6"] {
        let first = |row: usize| set.first[row];
        let recall = check(&set, &index, text, |row| match text {
            "first < 128" => first(row) < 128,
            "first >= 220" => first(row) >= 220,
            _ => (3..=6).contains(&first(row)),
        });
        assert!(recall > 0.95, "{text}: {recall}");
    }
    check(&set, &index, "word in (\"blue\", \"dun\") and not u < 700", |row| ["blue", "dun"].contains(&set.word(row)) && set.u[row] >= 700);
    check(&set, &index, "word > \"blue\" or u = 1", |row| set.word(row) > "blue" || set.u[row] == 1);
}

#[test]
fn a_duplicate_is_found_though_its_representative_does_not_match() {
    // Every vector occurs three to four times; what matches is rarely the first of them.
    let set = Set::new(4000, 1100);
    let index = Index::open(set.build()).expect("a file");
    index.check(&mut |_, _| {}).expect("a sound file");
    assert!(index.reader().section(Kind::DupOf, 0).is_some());
    for (text, below) in [("u < 30", 30), ("u < 300", 300), ("u < 600", 600), ("u < 950", 950)] {
        let recall = check(&set, &index, text, |row| set.u[row] < below);
        assert!(recall > 0.97, "{text}: {recall}");
    }
}

#[test]
fn a_walk_among_few_rows_far_from_the_query_costs_no_more_than_twice_their_scan() {
    let set = Set::new(5000, 5000);
    let index = Index::open(set.build()).expect("a file");
    for text in ["first >= 250", "u < 20 and first >= 128", "first >= 128"] {
        let rows = select(&index, text);
        let (_, stats) = search(&index, &[0; DIMENSIONS], &SearchParams::ef(1000).k(10).plan(Plan::Walk), &rows);
        assert!(stats.distances <= 2 * rows.len() as u64 + 1000, "{text}: {stats:?} for {}", rows.len());
    }
}

#[test]
fn answers_are_those_of_every_backend_and_every_time() {
    let set = Set::new(3000, 2900);
    let file = set.build();
    let mut answers = Vec::new();
    for kernels in Kernels::available() {
        let index = Index::open(file.clone()).expect("a file").with_kernels(kernels);
        for text in ["u < 40", "u < 400", "u < 800"] {
            let rows = select(&index, text);
            for query in [[0; DIMENSIONS], [200; DIMENSIONS]] {
                let answer = search(&index, &query, &SearchParams::ef(30).plan(Plan::Walk), &rows);
                answers.push((text, query, answer));
            }
        }
    }
    for chunk in answers.chunks(6).skip(1) {
        assert_eq!(chunk, &answers[..6]);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let set = Set::new(100, 100);
    let index = Index::open(set.build()).expect("a file");
    let error = index.select(&Filter::parse("colour = 1").expect("a condition")).expect_err("no such column");
    assert!(matches!(error, SelectError::Filter(_)));
    assert_eq!(error.to_string(), "at character 1: no column colour; there are: u, first, word");
    let other = Index::open(Set::new(100, 99).build()).expect("a file");
    let rows = select(&other, "u < 500");
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    let refused = index.search_where(Query::U8(&[0; DIMENSIONS]), &SearchParams::default(), &rows, &mut scratch, &mut hits);
    assert_eq!(refused, Err(SearchError::Parameter { parameter: "rows", must: "selected in the same file" }));
    let info = index.columns().expect("columns");
    assert_eq!(info.iter().map(|column| (column.name.as_str(), column.words)).collect::<Vec<_>>(), [("u", 0), ("first", 0), ("word", 4)]);
    assert_eq!(index.metric(), Metric::L2);
}
