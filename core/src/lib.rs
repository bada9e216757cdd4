//! The nearshore index, without I/O: kernels, codes, graphs, the `.shore` format and search.
#![cfg_attr(not(any(feature = "std", test)), no_std)]
extern crate alloc;

pub mod distance;
pub mod error;
pub mod format;
pub mod id;
mod simd;
