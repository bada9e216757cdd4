//! Drivers that bring blocks for searches that wait, and do not know what a block means.
//!
//! ```text
//! searches --wanted--> run --submit--> cache --> driver --> merged, widened reads --> the system
//!          <---feed---     <---wait---        <--        <--
//! ```
//! A search says which bytes of its file it needs next; a driver brings them, many at once and in any order. [`Blocks`] is all
//! that a driver is:
//!
//! - [`HeldBlocks`]: a slice or a map, answered at once;
//! - [`PreadBlocks`]: positioned reads, by a few threads when several are wanted;
//! - `UringBlocks`: one `io_uring` a thread, around the page cache where the file system allows (Linux).
//!
//! [`BlockFile`] finds out once, when a file is opened, which of them works here and says why the better ones do not.
//! [`run`](run::run) drives many searches on one thread over any of them, [`CachedBlocks`] keeps what came in bounded memory, and
//! [`fault`] has what tests put in between: late, short, torn and failing reads.
//!
//! Reads that touch in the file become one by [`merge()`], the only place that decides that. Nothing here checks content:
//! a block carries its own checksum, and who feeds on it looks.

mod batch;
mod cache;
pub mod fault;
mod held;
mod ladder;
mod merge;
mod pages;
mod pread;
pub mod run;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(target_os = "linux")]
mod uring;

use std::fmt;
use std::io;

pub use cache::{BlockCache, CachedBlocks};
pub use held::HeldBlocks;
pub use ladder::{BlockFile, BlockOptions, Method, Part, Refusal};
pub use merge::{Merging, Span, merge};
pub use pread::{PreadBlocks, ReadAt};
#[cfg(target_os = "linux")]
pub use uring::UringBlocks;

/// What takes blocks as they arrive: the token they were asked for by, and their bytes.
pub type Arrived<'a> = dyn FnMut(u64, Result<&[u8], BlockError>) + 'a;

/// Bytes of one file, on demand. Belongs to one thread.
///
/// ```
/// use nearshore::io::blocks::{Blocks, HeldBlocks};
/// let mut blocks = HeldBlocks::new(b"near the shore");
/// blocks.submit(7, 9, 5);
/// let mut found = Vec::new();
/// blocks.wait(&mut |token, bytes| found.push((token, bytes.unwrap().to_vec())))?;
/// assert_eq!(found, [(7, b"shore".to_vec())]);
/// # Ok::<(), nearshore::io::blocks::BlockError>(())
/// ```
pub trait Blocks {
    /// Asks for bytes `offset .. offset + bytes` of the file; `token` comes back with them. Never waits. What is asked for
    /// between two calls of [`wait`](Self::wait) may be read together.
    fn submit(&mut self, token: u64, offset: u64, bytes: u32);

    /// Has the system begin with all that was submitted, without waiting for any of it.
    ///
    /// # Errors
    /// [`BlockError::Stopped`], as of [`wait`](Self::wait).
    fn start(&mut self) -> Result<(), BlockError> {
        Ok(())
    }

    /// Waits for at least one block unless none is in flight, and hands over all that arrived, each once: exactly the bytes
    /// asked for, or why there are none. The order says nothing.
    ///
    /// # Errors
    /// [`BlockError::Stopped`] when the driver itself can go on no more; what is in flight then never arrives. What befalls a
    /// single block goes to `arrived`.
    fn wait(&mut self, arrived: &mut Arrived<'_>) -> Result<(), BlockError>;

    /// Hands over what arrived by now, without waiting for the rest; of a driver that cannot tell, nothing.
    ///
    /// # Errors
    /// [`BlockError::Stopped`], as of [`wait`](Self::wait).
    fn poll(&mut self, arrived: &mut Arrived<'_>) -> Result<(), BlockError> {
        let _ = arrived;
        self.start()
    }

    /// Says that a block was not what it should be, so that a driver that keeps blocks reads it again for the next who asks.
    fn forget(&mut self, offset: u64, bytes: u32) {
        let _ = (offset, bytes);
    }

    /// Blocks submitted and not yet handed over.
    fn in_flight(&self) -> usize;

    /// Reads given to the system so far: of a map none.
    fn reads(&self) -> u64 {
        0
    }
}

impl<D: Blocks + ?Sized> Blocks for Box<D> {
    fn submit(&mut self, token: u64, offset: u64, bytes: u32) {
        (**self).submit(token, offset, bytes);
    }

    fn start(&mut self) -> Result<(), BlockError> {
        (**self).start()
    }

    fn wait(&mut self, arrived: &mut Arrived<'_>) -> Result<(), BlockError> {
        (**self).wait(arrived)
    }

    fn poll(&mut self, arrived: &mut Arrived<'_>) -> Result<(), BlockError> {
        (**self).poll(arrived)
    }

    fn forget(&mut self, offset: u64, bytes: u32) {
        (**self).forget(offset, bytes);
    }

    fn in_flight(&self) -> usize {
        (**self).in_flight()
    }

    fn reads(&self) -> u64 {
        (**self).reads()
    }
}

/// Why a block did not come.
#[derive(Debug)]
#[non_exhaustive]
pub enum BlockError {
    /// The file ends before the block does.
    Truncated {
        /// Where the block begins in the file.
        offset: u64,
        /// Bytes of the block.
        wanted: u32,
        /// Bytes of it that the file has.
        found: u32,
    },
    /// The system could not read it.
    Io {
        /// Where the block begins in the file.
        offset: u64,
        /// What the system says.
        error: io::Error,
    },
    /// The driver cannot go on.
    Stopped(io::Error),
}

impl BlockError {
    /// The same once more, for another who asked for that block.
    fn again(&self, offset: u64, wanted: u32) -> Self {
        match self {
            Self::Truncated { found, .. } => Self::Truncated { offset, wanted, found: *found },
            Self::Io { error, .. } | Self::Stopped(error) => Self::Io { offset, error: same(error) },
        }
    }
}

/// The same error once more.
fn same(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { offset, wanted, found } => {
                write!(f, "the file ends in the block at byte {offset}: {found} of {wanted} bytes are there")
            }
            Self::Io { offset, error } => write!(f, "the block at byte {offset} cannot be read: {error}"),
            Self::Stopped(error) => write!(f, "blocks can be read no more: {error}"),
        }
    }
}

impl std::error::Error for BlockError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Truncated { .. } => None,
            Self::Io { error, .. } | Self::Stopped(error) => Some(error),
        }
    }
}
