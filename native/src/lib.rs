//! The native door of nearshore: files in, indexes out, searches on every core.
//!
//! The algorithms live in `nearshore-core`, which knows no files, threads or clocks. This crate brings those, and the
//! command line `nearshore` around them:
//!
//! - [`dataset`]: readers of every input format, [`Queries`] from them, exact answers ([`exact`]);
//! - [`io`]: maps, loaded files, blocks on demand, destinations that appear complete or not at all;
//! - [`Pool`]: the threads of a build;
//! - [`partitioned`]: a build whose memory has a bound, in steps that survive what ends the program;
//! - [`Index`]: a file that is searched; [`Segments`]: one or several, as one; [`mod@bench`]: how well and how fast; [`mod@tune`]: with what effort, for these queries;
//! - [`collection`]: rows that are inserted, searched, deleted and saved; [`server`]: the same over HTTP and gRPC (features `server`, `grpc`).
//!
//! The core's vocabulary is re-exported, so that one dependency is enough.

#![deny(unsafe_code)]

pub mod base64;
mod batch;
pub mod bench;
pub mod collection;
pub mod dataset;
mod disk;
mod error;
pub mod exact;
pub mod filter_json;
mod index;
#[expect(unsafe_code, reason = "memory maps, io_uring")]
pub mod io;
mod par;
#[cfg(unix)]
pub mod partitioned;
pub mod parts;
mod queries;
pub mod segments;
mod selections;
#[cfg(feature = "server")]
pub mod server;
pub mod size;
pub mod tune;

pub use disk::{DiskIndex, DiskOptions, Expected, Flight, Found};
pub use error::Error;
pub use index::{AsQuery, Driver, FileBytes, Index};
pub use par::Pool;
pub use queries::Queries;
pub use segments::Segments;
pub use selections::Selections;

pub use nearshore_core::distance::Kernels;
pub use nearshore_core::index::ColumnInfo;
pub use nearshore_core::par::Par;
pub use nearshore_core::{build, filter, format, live, search, vectors};

/// The examples of the page about filters compile.
#[cfg(doctest)]
#[doc = include_str!("../../docs/filters.md")]
struct FiltersPage;
