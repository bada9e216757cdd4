//! What a build allocates at its fullest, beside the records and the graph that it must hold.
//!
//! One test in this binary, because it counts what the allocator gives.

use std::alloc::System;
use std::convert::Infallible;
use std::ops::ControlFlow;

use nearshore_core::build::{BuildParams, Input, build};
use nearshore_core::distance::Kernels;
use nearshore_core::format::{Element, Metric, Sink};
use nearshore_core::par::Serial;
use nearshore_core::quant::RecordLayout;
use nearshore_core::vectors::Vectors;
use nearshore_hostile::Random;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ROWS: usize = 4000;
const DIMENSIONS: usize = 1024;
const M: usize = 16;

/// Takes the file and keeps nothing.
struct Nowhere;

impl Sink for Nowhere {
    type Error = Infallible;

    fn write_at(&mut self, _: u64, _: &[u8]) -> Result<(), Infallible> {
        Ok(())
    }
}

/// What does not grow with the rows: the leaf of 500 nodes that a thread compares (its matrix, its records), what 16 of them find (half of the
/// slots of each node, 12 bytes each, in arrays that may have grown by as much again), and half a megabyte of lists and queries.
const CONSTANT: usize = 500 * 501 * 4 + 500 * 1088 + 16 * 500 * M * 12 * 2 + (1 << 19);

#[test]
fn a_build_holds_less_than_a_third_more_than_its_records_and_its_graph() {
    let mut random = Random::new(5);
    let values: Vec<f32> = (0..ROWS * DIMENSIONS).map(|_| random.below(2001) as f32 - 1000.0).collect();
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let input = Input { vectors: Vectors::packed(Element::F32, DIMENSIONS, &bytes).expect("whole rows"), ids: None, payloads: None };
    let region = Region::new(ALLOCATOR);
    let mut peak = 0;
    // Told in the midst of every step.
    let mut told = |_, _, _| {
        let change = region.change();
        peak = peak.max(change.bytes_allocated - change.bytes_deallocated);
        ControlFlow::Continue(())
    };
    build(&input, &BuildParams::new(Metric::L2).m(M).quality(false), &Serial, Kernels::best(), &mut told, Nowhere).expect("sound rows");
    // Two m slots of a node and their count; a layer above has a sixteenth of the nodes, with half of the slots.
    let held = ROWS * (RecordLayout::new(DIMENSIONS).stride + (8 * M + 2) * 31 / 30);
    let most = held * 13 / 10 + CONSTANT;
    assert!(peak > held, "{peak} bytes at most: records and graph alone are {held}");
    assert!(peak < most, "{peak} bytes, of which records and graph are {held}; {most} would do");
}
