//! Recall of filtered searches in clustered rows: conditions of four shares that have nothing to do with where rows lie, that hold
//! where the query is, and that hold far from it.

use core::ops::ControlFlow;

use nearshore_core::build::{BuildParams, Input, build_with_columns};
use nearshore_core::distance::Kernels;
use nearshore_core::filter::{ColumnInput, Filter, Values};
use nearshore_core::format::{Element, Metric, Plan};
use nearshore_core::index::Index;
use nearshore_core::par::Serial;
use nearshore_core::search::{Scratch, SearchParams};
use nearshore_core::vectors::{Query, Vectors};

const ROWS: usize = 10_000;
const DIMENSIONS: usize = 16;
const QUERIES: usize = 30;
const K: usize = 10;

/// Clusters 0 to 3 hold these many rows of a thousand, clusters 4 to 8 the others.
const SHARES: [usize; 4] = [1, 10, 100, 500];
const CLUSTERS: usize = 9;

/// Numbers that look random.
fn noise(seed: u64, at: usize) -> u64 {
    let mut z = (seed ^ (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

/// The cluster of a row.
fn cluster(row: usize) -> usize {
    let mut place = (noise(3, row) % 1000) as usize;
    for (cluster, share) in SHARES.into_iter().enumerate() {
        if place < share {
            return cluster;
        }
        place -= share;
    }
    SHARES.len() + place % (CLUSTERS - SHARES.len())
}

/// A point of a cluster: its centre, and a sum of three steps to each side.
fn point(seed: u64, number: usize, cluster: usize) -> impl Iterator<Item = u8> {
    (0..DIMENSIONS).map(move |column| {
        let centre = 60 + noise(5, cluster * DIMENSIONS + column) % 130;
        let steps: u64 = (0..3).map(|step| noise(seed, (number * DIMENSIONS + column) * 3 + step) % 30).sum();
        (centre + steps - 45) as u8
    })
}

/// Recall@10 of searches among the rows that match, and whether all of them were scans.
fn recall(
    index: &Index<Vec<u8>>,
    rows: &[u8],
    text: &str,
    matches: impl Fn(usize) -> bool,
    home: impl Fn(usize) -> usize,
    plan: Option<Plan>,
) -> (f64, bool) {
    let among = index.select(&Filter::parse(text).expect("a condition")).expect("columns");
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    let (mut found, mut wanted, mut scans) = (0, 0, true);
    for number in 0..QUERIES {
        let query: Vec<u8> = point(8, number, home(number)).collect();
        let distance = |row: &[u8]| row.iter().zip(&query).map(|(&a, &b)| (i32::from(a) - i32::from(b)).pow(2)).sum::<i32>();
        let all = rows.chunks(DIMENSIONS).enumerate().filter(|(row, _)| matches(*row));
        let mut truth: Vec<i32> = all.map(|(_, row)| distance(row)).collect();
        truth.sort_unstable();
        truth.truncate(K);
        let mut params = SearchParams::recall(0.95).k(K);
        params.plan = plan;
        let stats = index.search_where(Query::U8(&query), &params, &among, &mut scratch, &mut hits).expect("a search");
        assert!(hits.len() == truth.len() && hits.iter().all(|hit| matches(hit.id as usize)), "{text}");
        let last = truth.last().map_or(0.0, |&last| last as f32);
        found += hits.iter().filter(|hit| hit.distance <= last).count();
        wanted += truth.len();
        scans &= stats.ef == 0;
    }
    (found as f64 / wanted as f64, scans)
}

#[test]
fn recall_holds_at_every_share_wherever_the_rows_lie_that_match() {
    let rows: Vec<u8> = (0..ROWS).flat_map(|row| point(7, row, cluster(row))).collect();
    let clusters: Vec<i64> = (0..ROWS).map(|row| cluster(row) as i64).collect();
    let u: Vec<i64> = (0..ROWS).map(|row| (noise(9, row) % 1000) as i64).collect();
    let input = Input { vectors: Vectors::packed(Element::U8, DIMENSIONS, &rows).expect("whole rows"), ids: None, payloads: None };
    let columns = [("cluster", &clusters), ("u", &u)].map(|(name, values)| ColumnInput { name, values: Values::I64(values), nulls: None });
    let params = BuildParams::new(Metric::L2).m(12).ef_construction(100);
    let go_on = &mut |_, _, _| ControlFlow::Continue(());
    let (file, _) = build_with_columns(&input, &columns, &params, &Serial, Kernels::best(), go_on, Vec::new()).expect("a build");
    let index = Index::open(file).expect("a file");
    assert_eq!(index.plan(), Plan::Walk);
    let mut scanned = [0; 2];
    for (own, share) in SHARES.into_iter().enumerate() {
        let (by_chance, by_place) = (format!("u < {share}"), format!("cluster = {own}"));
        for (named, plan) in [None, Some(Plan::Walk)].into_iter().enumerate() {
            let anywhere = |number: usize| cluster(number * 331);
            let elsewhere = |number: usize| (own + 1 + number % (CLUSTERS - 1)) % CLUSTERS;
            let uncorrelated = recall(&index, &rows, &by_chance, |row| u[row] < share as i64, anywhere, plan);
            let correlated = recall(&index, &rows, &by_place, |row| clusters[row] == own as i64, |_| own, plan);
            let opposed = recall(&index, &rows, &by_place, |row| clusters[row] == own as i64, elsewhere, plan);
            for ((recall, scans), least) in [(uncorrelated, 0.95), (correlated, 0.95), (opposed, if share == 1 { 0.0 } else { 0.9 })] {
                let least = if scans { 1.0 } else { least };
                assert!(recall >= least, "{share} of a thousand, plan {plan:?}: {uncorrelated:?} {correlated:?} {opposed:?}");
                scanned[named] += usize::from(scans);
            }
        }
    }
    // Left alone the planner does both.
    assert!((1..12).contains(&scanned[0]) && scanned[1] < scanned[0], "{scanned:?}");
}
