//! What builds and searches promise on nasty input, each in one example.

mod codes;
mod duplicates;
mod fast;
mod graphs;
mod leaves;
mod limits;
mod live;
mod shapes;
mod tombstones;

use std::ops::ControlFlow;

use nearshore_core::build::{BuildError, BuildParams, Codes, Input, Summary, build};
use nearshore_core::distance::Kernels;
use nearshore_core::format::{Element, Kind, Metric, Plan, Refine};
use nearshore_core::index::Index;
use nearshore_core::par::Serial;
use nearshore_core::search::{Hit, Scratch, SearchParams};
use nearshore_core::vectors::{Query, Vectors};
use nearshore_tests::rows::Random;

type File = Index<Vec<u8>>;

/// Default parameters with another metric, and a smaller graph so that tests are quick.
fn params(metric: Metric) -> BuildParams {
    let mut params = BuildParams::default();
    params.metric = metric;
    params.m = 8;
    params.ef_construction = 60;
    params
}

/// Builds rows of any element type.
fn try_build(
    element: Element,
    dimensions: usize,
    bytes: &[u8],
    ids: Option<&[u64]>,
    params: &BuildParams,
) -> Result<(File, Summary), BuildError<std::convert::Infallible>> {
    let vectors = Vectors::packed(element, dimensions, bytes).expect("whole rows");
    let input = Input { vectors, ids, payloads: None };
    let go_on = &mut |_, _, _| ControlFlow::Continue(());
    let (file, summary) = build(&input, params, &Serial, Kernels::best(), go_on, Vec::new())?;
    let index = Index::open(file).expect("what was built opens");
    index.check(&mut |_, _| {}).unwrap_or_else(|damage| panic!("what was built is sound: {damage}"));
    Ok((index, summary))
}

/// Builds rows of f32.
fn built(dimensions: usize, rows: &[f32], params: &BuildParams) -> (File, Summary) {
    try_build(Element::F32, dimensions, &bytes_of(rows), None, params).expect("sound rows")
}

fn bytes_of(rows: &[f32]) -> Vec<u8> {
    rows.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Hits of one search.
fn search(index: &File, query: Query<'_>, params: &SearchParams) -> Vec<Hit> {
    let mut hits = Vec::new();
    index.search(query, params, &mut Scratch::new(), &mut hits).expect("a search");
    hits
}

fn ids(hits: &[Hit]) -> Vec<u64> {
    hits.iter().map(|hit| hit.id).collect()
}

fn walk(ef: usize) -> SearchParams {
    SearchParams::ef(ef).plan(Plan::Walk)
}

fn scan() -> SearchParams {
    SearchParams::default().plan(Plan::Scan)
}

/// `count` rows around `centres` far-apart points.
fn clusters(count: usize, dimensions: usize, centres: usize, spread: f32, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    let points: Vec<f32> = (0..centres * dimensions).map(|_| random.float()).collect();
    let mut rows = Vec::with_capacity(count * dimensions);
    for _ in 0..count {
        let centre = random.below(centres as u64) as usize * dimensions;
        rows.extend((0..dimensions).map(|column| points[centre + column] + random.float() * spread));
    }
    rows
}

/// Share of the ten nearest that walks of `params` find, over `queries`, against scans of the originals.
fn recall(index: &File, dimensions: usize, queries: &[f32], params: &SearchParams) -> f64 {
    let (mut found, mut all) = (0, 0);
    for query in queries.chunks(dimensions) {
        let truth = ids(&search(index, Query::F32(query), &scan().refine(Refine::Originals)));
        let hits = ids(&search(index, Query::F32(query), params));
        found += truth.iter().filter(|id| hits.contains(id)).count();
        all += truth.len();
    }
    found as f64 / all as f64
}

/// Rows of the base layer that no path of edges reaches from the entry, read from the file as its format says.
/// Duplicates have no edges; whoever reaches the row before them reaches them.
fn unreached(index: &File) -> usize {
    let reader = index.reader();
    let edges = reader.section(Kind::Edges, 0).expect("edges");
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at * 4..at * 4 + 4].try_into().expect("four bytes"));
    let neighbors = |row: u32| -> Vec<u32> {
        let slots = edges.row(row).expect("a sound row");
        (0..slots.len() / 4).map(|at| word(slots, at)).take_while(|&next| next != u32::MAX).collect()
    };
    let entry = edges.table().extra as u32;
    let mut seen = vec![false; index.len()];
    let mut queue = vec![entry];
    seen[entry as usize] = true;
    while let Some(row) = queue.pop() {
        for next in neighbors(row) {
            if !std::mem::replace(&mut seen[next as usize], true) {
                queue.push(next);
            }
        }
    }
    let records = reader.section(Kind::Records, 0).expect("records");
    let flags = records.table().parameter as usize + 12;
    for row in 1..index.len() {
        let before = records.row(row as u32 - 1).expect("a sound row");
        if seen[row - 1] && word(&before[flags..], 0) & 1 == 1 {
            seen[row] = true;
        }
    }
    seen.iter().filter(|seen| !**seen).count()
}
