//! WebAssembly bindings: types in, types out, no algorithm.
//!
//! One instance of this module is one [`Engine`], and one engine holds one index: a file of bytes that lies in this instance's memory,
//! or a live index. An instance that trapped takes no other index with it.
//!
//! Nothing is converted on the way. JavaScript asks for room ([`Engine::reserve`]), copies bytes there once, calls, and reads the answer
//! from one buffer ([`Engine::out_ptr`], laid out in `answer`). Calls return 0, or a code that names an error of the package beside a
//! message. Memory may move whenever a call allocates, so JavaScript takes a fresh view after each call.
//!
//! Compiled five times: to build and change indexes, and all that follows (the feature `full`), and the same with columns, by which it filters
//! (`columns`); as the *reader* of files that are here as a whole (`whole`); as the engine of files whose blocks are fetched (`tiles`); and as
//! the one that filters either (`filter`, `tiles`). All have the same calls as far as they go.
//!
//! Built without unwinding and without `std`, whose way of panicking would weigh a tenth of the engine: a panic is a bug, it tells the
//! host where it happened and traps.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(target_family = "wasm")]
#[global_allocator]
static MEMORY: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

mod answer;
#[cfg(feature = "full")]
mod build;
mod code;
#[cfg(feature = "columns")]
mod columns;
mod engine;
#[cfg(feature = "filter")]
mod filter;
mod host;
mod inputs;
#[cfg(feature = "tiles")]
mod lazy;
#[cfg(feature = "full")]
mod live;
#[cfg(all(feature = "filter", feature = "tiles"))]
mod question;
#[cfg(feature = "whole")]
mod whole;

pub use engine::Engine;
