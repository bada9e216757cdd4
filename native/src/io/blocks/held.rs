//! A file that is all there: bytes of a map or of memory, answered at once.

use super::{Arrived, BlockError, Blocks};

/// Blocks of a file in memory, or of a map that the kernel fills when touched: one read at a time, in the thread that
/// searches. What [`MappedFile`](crate::io::MappedFile) says about files that are shortened holds here.
#[derive(Debug)]
pub struct HeldBlocks<B> {
    bytes: B,
    submitted: Vec<(u64, u64, u32)>,
}

impl<B: AsRef<[u8]>> HeldBlocks<B> {
    /// Blocks of `bytes`.
    pub fn new(bytes: B) -> Self {
        Self { bytes, submitted: Vec::new() }
    }
}

impl<B: AsRef<[u8]>> Blocks for HeldBlocks<B> {
    fn submit(&mut self, token: u64, offset: u64, bytes: u32) {
        self.submitted.push((token, offset, bytes));
    }

    fn wait(&mut self, arrived: &mut Arrived<'_>) -> Result<(), BlockError> {
        let all = self.bytes.as_ref();
        for (token, offset, wanted) in self.submitted.drain(..) {
            let rest = usize::try_from(offset).ok().and_then(|offset| all.get(offset..)).unwrap_or_default();
            // Less than `wanted` where it is cut.
            let found = rest.len().min(wanted as usize) as u32;
            arrived(token, rest.get(..wanted as usize).ok_or(BlockError::Truncated { offset, wanted, found }));
        }
        Ok(())
    }

    fn poll(&mut self, arrived: &mut Arrived<'_>) -> Result<(), BlockError> {
        self.wait(arrived)
    }

    fn in_flight(&self) -> usize {
        self.submitted.len()
    }
}
