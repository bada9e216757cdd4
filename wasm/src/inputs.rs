//! Buffers that JavaScript fills before a call.
//!
//! Each has the element type that the core wants, so that nothing is copied or realigned after JavaScript has written it.

/// What a buffer is for. The numbers are those of `SLOT` in the package's `engine.ts`.
#[derive(Clone, Copy)]
pub(crate) enum Slot {
    File,
    Vectors,
    Ids,
    Payloads,
    Ends,
    Query,
    #[cfg(feature = "tiles")]
    Block,
    #[cfg(feature = "filter")]
    Filter,
    #[cfg(feature = "columns")]
    Columns,
}

impl Slot {
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::File,
            1 => Self::Vectors,
            2 => Self::Ids,
            3 => Self::Payloads,
            4 => Self::Ends,
            5 => Self::Query,
            #[cfg(feature = "tiles")]
            6 => Self::Block,
            #[cfg(feature = "filter")]
            7 => Self::Filter,
            #[cfg(feature = "columns")]
            8 => Self::Columns,
            _ => return None,
        })
    }
}

/// The buffers.
#[derive(Default)]
pub(crate) struct Inputs {
    /// A whole `.shore` file.
    pub(crate) file: Vec<u8>,
    /// Rows to index, as elements of their type.
    pub(crate) vectors: Vec<u8>,
    /// One id a row, or none at all.
    pub(crate) ids: Vec<u64>,
    /// Payloads of all rows, one after the other.
    pub(crate) payloads: Vec<u8>,
    /// Where each row's payload ends in `payloads`.
    pub(crate) ends: Vec<u64>,
    /// Query vectors; bytes of other element types lie in the same room.
    pub(crate) query: Vec<f32>,
    /// A block that a search waits for.
    #[cfg(feature = "tiles")]
    pub(crate) block: Vec<u8>,
    /// The condition of the next search; none where it is empty.
    #[cfg(feature = "filter")]
    pub(crate) filter: Vec<u8>,
    /// Columns of the next index, or values of its rows; none where it is empty.
    #[cfg(feature = "columns")]
    pub(crate) columns: Vec<u64>,
}

impl Inputs {
    /// Makes a buffer `bytes` long, keeping what it holds, and returns where it is; `None` when there is not that much memory.
    pub(crate) fn reserve(&mut self, slot: Slot, bytes: usize) -> Option<usize> {
        match slot {
            Slot::File => place(&mut self.file, bytes),
            Slot::Vectors => place(&mut self.vectors, bytes),
            Slot::Ids => place(&mut self.ids, bytes.div_ceil(8)),
            Slot::Payloads => place(&mut self.payloads, bytes),
            Slot::Ends => place(&mut self.ends, bytes.div_ceil(8)),
            Slot::Query => place(&mut self.query, bytes.div_ceil(4)),
            #[cfg(feature = "tiles")]
            Slot::Block => place(&mut self.block, bytes),
            #[cfg(feature = "filter")]
            Slot::Filter => place(&mut self.filter, bytes),
            #[cfg(feature = "columns")]
            Slot::Columns => place(&mut self.columns, bytes.div_ceil(8)),
        }
    }

    /// Gives back all room except the query's, which every search uses again.
    #[cfg(feature = "full")]
    pub(crate) fn release(&mut self) {
        *self = Self { query: core::mem::take(&mut self.query), ..Self::default() };
    }
}

fn place<T: Copy + Default>(buffer: &mut Vec<T>, length: usize) -> Option<usize> {
    buffer.try_reserve_exact(length.saturating_sub(buffer.len())).ok()?;
    buffer.resize(length, T::default());
    Some(buffer.as_mut_ptr().expose_provenance())
}

use alloc::vec::Vec;
