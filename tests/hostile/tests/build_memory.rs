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

const M: usize = 16;

/// Takes the file and keeps nothing.
struct Nowhere;

impl Sink for Nowhere {
    type Error = Infallible;

    fn write_at(&mut self, _: u64, _: &[u8]) -> Result<(), Infallible> {
        Ok(())
    }
}

/// What does not grow with the rows: the leaf that a thread compares (its matrix, its records), what 8 of them find (half of the
/// slots of each node, 12 bytes each), and half a megabyte of lists and queries.
const fn constant(leaf: usize, record: usize) -> usize {
    leaf * (leaf + 1) * 4 + leaf * record + 8 * leaf * M * 12 + (1 << 19)
}

#[test]
fn a_build_holds_less_than_a_third_more_than_its_records_and_its_graph() {
    let mut random = Random::new(5);
    let mut bytes = |element: Element, count: usize| -> Vec<u8> {
        if element == Element::U8 {
            return (0..count).map(|_| random.below(256) as u8).collect();
        }
        (0..count).flat_map(|_| (random.below(2001) as f32 - 1000.0).to_le_bytes()).collect()
    };
    // The one gathers what all leaves find at once, the other in passes. A leaf has a twentieth of the rows, 500 at least and 1,000 at most.
    for (element, rows, dimensions, leaf) in [(Element::F32, 4000, 1024, 500), (Element::U8, 30_000, 96, 1000)] {
        let bytes = bytes(element, rows * dimensions);
        let input = Input { vectors: Vectors::packed(element, dimensions, &bytes).expect("whole rows"), ids: None, payloads: None };
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
        let record = RecordLayout::new(dimensions).stride;
        let held = rows * (record + (8 * M + 2) * 31 / 30);
        let most = held * 13 / 10 + constant(leaf, record);
        assert!(peak > held, "{peak} bytes at most: records and graph alone are {held}");
        assert!(peak < most, "{rows} x {dimensions}: {peak} bytes, of which records and graph are {held}; {most} would do");
    }
}
