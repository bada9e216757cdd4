//! How bytes come from files and go to them. The only room of this crate with `unsafe`: a memory map is one.
//!
//! - [`MappedFile`]: a file as a slice, read by the kernel when touched. Inputs of any size, and indexes.
//! - [`LoadedFile`]: a file whose first part is in memory, on huge pages where the system has them, the rest mapped.
//! - [`FileSink`]: a file that appears under its name complete, or not at all.
//!
//! None of them knows what a block means.

mod loaded;
mod mapped;
pub(crate) mod memory;
mod sink;

pub use loaded::LoadedFile;
pub use mapped::MappedFile;
pub use sink::{FileSink, remove_partial_files};
