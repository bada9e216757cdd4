//! Hostile inputs: what must hold whatever the bytes are.
//!
//! The bar: no panic, no hang, no allocation that the real size of the input does not justify, and never a silently
//! different answer. Checksums catch accidents, so [`mutate()`] damages a sound file and [`repair()`] then makes every check in
//! it right again, computed from FORMAT.md and not by the crate's own code: what is left to hold are bounds.
//!
//! The functions in [`check`], [`live`] and [`data`] take bytes and return; they are the bodies of the fuzz targets in `fuzz/` and of the tests
//! here, which run them over the same corpora with a bounded random budget.

#![forbid(unsafe_code)]

pub mod check;
pub mod data;
pub mod live;
mod mutate;
mod repair;
pub mod sample;
pub mod tiles;

pub use mutate::{Random, mutate, mutate_data};
pub use repair::repair;
