//! How bytes come from files and go to them. The only room of this crate with `unsafe`: a memory map is one, and so is memory that
//! the kernel writes to.
//!
//! - [`MappedFile`]: a file as a slice, read by the kernel when touched. Inputs of any size, and indexes.
//! - [`LoadedFile`]: a file whose first part is in memory, on huge pages where the system has them, the rest mapped.
//! - [`blocks`]: parts of a file on demand, many at once, for searches that wait.
//! - [`FileSink`]: a file that appears under its name complete, or not at all.
//! - [`ScratchFile`]: a file that is gone in the end.
//! - [`SpillingAllocator`]: large blocks of memory that lie in files while a program asks for it.
//!
//! None of them knows what a block means.

pub mod blocks;
#[cfg(all(test, target_os = "linux"))]
pub(crate) mod denied;
mod heap;
pub(crate) mod huge;
mod loaded;
mod mapped;
pub(crate) mod memory;
mod sink;
#[cfg(unix)]
mod spill;

pub use heap::give_back_large_blocks;
pub use loaded::LoadedFile;
pub use mapped::MappedFile;
pub(crate) use mapped::want;
pub use memory::{available as available_memory, limit as memory_limit};
pub use sink::{FileSink, ScratchFile, remove_partial_files};
pub(crate) use sink::{Gatherer, folder_of};
#[cfg(unix)]
pub(crate) use spill::claim;
#[cfg(unix)]
pub use spill::{BLOCK_MIN, Spill, SpillingAllocator};
