//! The nearshore index, without I/O: kernels, codes, graphs, the `.shore` format and search.
//!
//! Data walks forward: rows ([`vectors`]) become codes ([`quant`]), codes a graph ([`graph`]), both a
//! file ([`build`], [`mod@format`]), and an open file ([`index`]) answers searches ([`search`]). Nothing
//! here reads, waits, spawns or asks the time, so the same code serves a server and a browser tab,
//! with the same answers to the bit.
//! ```
//! use nearshore_core::build::{BuildParams, Input, build};
//! use nearshore_core::{distance::Kernels, format::Element, index::Index, par::Serial};
//! use nearshore_core::search::{Scratch, SearchParams};
//! use nearshore_core::vectors::{Query, Vectors};
//!
//! let rows = [0u8, 0, 9, 9, 1, 0, 8, 9];
//! let vectors = Vectors::packed(Element::U8, 2, &rows).ok_or("rows")?;
//! let input = Input { vectors, ids: None, payloads: None };
//! let mut go_on = |_, _, _| core::ops::ControlFlow::Continue(());
//! let params = BuildParams::default();
//! let (file, _) = build(&input, &params, &Serial, Kernels::best(), &mut go_on, Vec::new())?;
//!
//! let index = Index::open(file)?;
//! let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
//! index.search(Query::U8(&[9, 8]), &SearchParams::default().k(2), &mut scratch, &mut hits)?;
//! assert_eq!(hits.iter().map(|hit| (hit.id, hit.distance)).collect::<Vec<_>>(), [(1, 1.0), (3, 2.0)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![cfg_attr(not(any(feature = "std", test)), no_std)]
extern crate alloc;

pub mod build;
pub mod distance;
pub mod error;
#[cfg(feature = "among")]
pub mod filter;
pub mod format;
pub mod graph;
pub mod id;
pub mod index;
#[cfg(feature = "live")]
pub mod live;
pub mod par;
pub mod quant;
pub mod search;
pub mod seed;
mod simd;
mod slots;
mod sort;
pub mod vectors;
pub mod words;
