//! The tests that span crates, as one program: each module is a promise.

mod behaviour;
mod brute;
mod columns;
mod determinism;
mod filters;
mod golden;
mod reader;
mod threads;

/// The kernels that every machine has.
fn scalar() -> &'static nearshore_core::distance::Kernels {
    nearshore_core::distance::Kernels::by_name("scalar").expect("every machine has them")
}
