//! The `.shore` file: a few tables of equal rows, packed into equal blocks that check themselves.
//!
//! Every byte's place is arithmetic on a 16 KiB header, so a 5 MB file in a browser tab and a 5 TB file on a server open
//! in the same time and are read by the same code. `core/FORMAT.md` is the authority on the bytes; this module is one
//! reader and the only writer of them.
//!
//! ```text
//! terms   the words of a header            header  16 KiB, parsed and checked once
//! raw     the structs as they lie there    section a table with its bytes: the hot path
//! hash    checks, digests, identity        reader  a whole file, verified on first touch
//! table   where a row lies                 verify  every byte at once
//! shape   what each kind must look like    spec, writer  places first, then bytes forward, header last
//! rewrite a file anew with one other table
//! ```
//! Bytes are typed at this door. Numbers from a file stay `u64` until they are known to be in bounds, no product of them
//! is taken unchecked, and nothing is allocated that the real length of the file does not justify. What this module does
//! not know is what rows mean: neighbours, layers and factors are checked where they are used.
//!
//! ```
//! use nearshore_core::format::*;
//!
//! let file = FileSpec {
//!     rows: 3, dimensions: 1, metric: Metric::L2, element: Element::U8,
//!     plan: Plan::Scan, refine: Refine::Records, seed: 0, build_id: build_id(&[b"example"]),
//! };
//! let mut writer = Writer::new(Vec::new(), &file, &[TableSpec::table(Kind::Originals, 3, 16).encoding(2)])?;
//! for value in [7, 8, 9] {
//!     writer.rows(&[value; 16])?;
//! }
//! let (bytes, _) = writer.finish()?;
//!
//! let reader = Reader::open(bytes)?;
//! let rows = reader.section(Kind::Originals, 0).ok_or("no originals")?;
//! assert_eq!(rows.row(1)?, [8; 16]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(clippy::indexing_slicing, clippy::cast_possible_truncation)]

mod hash;
mod header;
mod raw;
mod reader;
mod rewrite;
mod section;
mod shape;
mod spec;
mod table;
mod terms;
mod verify;
mod writer;
#[cfg(any(test, target_family = "wasm"))]
#[cfg_attr(not(target_family = "wasm"), allow(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "its tests may panic"))]
mod xxh3;

pub use crate::error::{BadField, Corrupt, Damage, Must, OpenError, WriteError};
#[cfg(feature = "tiles")]
pub(crate) use hash::block_check;
pub use hash::{Digest, build_id};
pub use header::{Header, Superblock};
pub use raw::HEADER_BYTES;
pub use reader::Reader;
pub use rewrite::RewriteError;
pub use section::Section;
#[cfg(feature = "filter")]
pub(crate) use shape::COLUMN_WIDTHS;
pub use shape::{CODE_FACTORS_BYTES, COLUMN_BYTES, COLUMNS_MAX, FACTORS_BYTES, META_BYTES_MAX, QUALITY_BYTES, TILE_BYTES, encoding};
pub(crate) use spec::PAGE_BYTES;
#[cfg(feature = "codes")]
pub(crate) use spec::file_bytes;
pub use spec::{FileSpec, TableSpec};
pub use table::Table;
pub use terms::{Element, Kind, Metric, Plan, Refine, UnknownTerm};
pub use writer::{Sink, Writer};

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "tests may panic")]
mod document;
#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "tests may panic")]
mod hostile;
#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "tests may panic")]
mod tests;
