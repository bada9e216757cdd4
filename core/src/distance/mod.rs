//! Distances: one kernel per family, compiled once per machine, one answer everywhere.
//!
//! The kernels (`float`, `integer`, `batch`, `half`) are safe generic loops over the vocabulary of
//! [`crate::simd`]. `table` stamps them out per backend and hands them out as [`Kernels`]: a set of
//! function pointers chosen once, when the program starts, and given to an index; nothing is looked
//! up in a loop.
//!
//! Integer kernels are exact. f32 kernels sum in one fixed tree of 32 lanes, multiply then add, so
//! that every backend gives the same bits: a graph built in a browser is the graph built on a
//! server. `NEARSHORE_SIMD=scalar` (native) forces a backend by name.
//!
//! Not here: what a metric means (signs, norms, scales), which is the index's business.

mod batch;
mod brief;
#[cfg(all(test, feature = "codes"))]
mod code_tests;
#[cfg(feature = "codes")]
mod columns;
#[cfg(feature = "tiles")]
pub(crate) mod fastscan;
mod float;
mod half;
mod integer;
#[cfg(feature = "codes")]
mod planes;
#[cfg(feature = "tiles")]
mod rotate;
mod table;
mod tail;
#[cfg(test)]
mod tests;

#[cfg(feature = "tiles")]
pub use fastscan::Asked;
pub use table::Kernels;
