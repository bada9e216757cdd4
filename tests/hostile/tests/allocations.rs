//! Searches with buffers that were used before allocate nothing, whatever guides them.
//!
//! One test in this binary, because it counts what the allocator gives.

use std::alloc::System;
use std::ops::ControlFlow;

use nearshore_core::build::{BuildParams, Codes, Input, build_with_columns};
use nearshore_core::distance::Kernels;
use nearshore_core::filter::{ColumnInput, Filter, Values};
use nearshore_core::format::{Element, Metric, Plan, Refine};
use nearshore_core::index::Index;
use nearshore_core::live::Live;
use nearshore_core::par::Serial;
use nearshore_core::search::{Layout, Scratch, SearchParams};
use nearshore_core::vectors::{Query, Vectors};
use nearshore_hostile::Random;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ROWS: usize = 2000;
const DIMENSIONS: usize = 24;

/// Small whole numbers, so that distances tie, in few dimensions of many values, so that rows differ.
fn rows() -> Vec<f32> {
    let mut random = Random::new(11);
    (0..ROWS * DIMENSIONS).map(|_| random.below(7) as f32 - 3.0).collect()
}

/// A file, and the column `u` of its rows, 0 to 99.
fn built(rows: &[f32], metric: Metric, codes: Codes, layout: Layout) -> Index<Vec<u8>> {
    let bytes: Vec<u8> = rows.iter().flat_map(|value| value.to_le_bytes()).collect();
    let u: Vec<i64> = (0..ROWS as i64).map(|row| row * 37 % 100).collect();
    let input = Input { vectors: Vectors::packed(Element::F32, DIMENSIONS, &bytes).expect("whole rows"), ids: None, payloads: None };
    let columns = [ColumnInput { name: "u", values: Values::I64(&u), nulls: None }];
    let params = BuildParams::new(metric).m(8).ef_construction(60).quality(false).codes(codes).layout(layout);
    let go_on = &mut |_, _, _| ControlFlow::Continue(());
    let (file, _) = build_with_columns(&input, &columns, &params, &Serial, Kernels::best(), go_on, Vec::new()).expect("sound rows");
    Index::open(file).expect("a sound file")
}

/// Runs `search` of every query twice, and wants the second round to allocate nothing.
fn nothing(what: &str, queries: &[f32], mut search: impl FnMut(Query<'_>)) {
    for round in 0..2 {
        for (at, query) in queries.chunks(DIMENSIONS).enumerate() {
            let region = Region::new(ALLOCATOR);
            search(Query::F32(query));
            let change = region.change();
            let calls = change.allocations + change.reallocations;
            assert!(round == 0 || calls == 0, "{what}, query {at}: {calls} allocations of {} bytes", change.bytes_allocated);
        }
    }
}

#[test]
fn a_search_with_used_buffers_allocates_nothing() {
    let rows = rows();
    let queries: Vec<f32> = rows[..60 * DIMENSIONS].iter().map(|value| value + 0.25).collect();
    let walk = SearchParams::ef(40).plan(Plan::Walk);
    for (metric, codes, layout) in [
        (Metric::L2, Codes::None, Layout::Lean),
        (Metric::Cosine, Codes::U4, Layout::Lean),
        (Metric::L2, Codes::RaBitQ1, Layout::Lean),
        (Metric::InnerProduct, Codes::RaBitQ4, Layout::Lean),
        (Metric::L2, Codes::Pq32, Layout::Lean),
        (Metric::Cosine, Codes::None, Layout::Fast),
    ] {
        let index = built(&rows, metric, codes, layout);
        let select = |text| index.select(&Filter::parse(text).expect("a condition")).expect("a column");
        let (half, few) = (select("u < 50"), select("u < 2"));
        let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
        for refine in [Refine::Records, Refine::Originals] {
            for params in [walk, walk.layout(layout), walk.gamma(0.2), walk.k(25).rerank(60), walk.plan(Plan::Scan)] {
                let params = params.refine(refine);
                nothing(&format!("{codes:?}, {layout:?}, {params:?}"), &queries, |query| {
                    index.search(query, &params, &mut scratch, &mut hits).expect("a search");
                });
            }
            for (rows, plan) in [(&half, None), (&half, Some(Plan::Walk)), (&few, None), (&few, Some(Plan::Walk))] {
                let mut params = walk.refine(refine);
                params.plan = plan;
                nothing(&format!("{codes:?}, {layout:?}, {} rows, {params:?}", rows.len()), &queries, |query| {
                    index.search_where(query, &params, rows, &mut scratch, &mut hits).expect("a search");
                });
            }
        }
        let mut live = Live::from_index(&index).expect("a sound file");
        (0..100).for_each(|id| live.delete(id).expect("a row"));
        for params in [walk, walk.plan(Plan::Scan)] {
            nothing(&format!("live, {metric}, {params:?}"), &queries, |query| {
                live.search(query, &params, &mut scratch, &mut hits).expect("a search");
            });
        }
    }
}
