//! Blocks that a walk brought, kept until it ends: the nodes that lie in one are seldom wanted alone.

use alloc::vec::Vec;

/// Blocks by their place in the file, their checks left out.
#[derive(Debug, Default)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    /// (offset in the file, start in `bytes`), ascending.
    places: Vec<(u64, usize)>,
}

impl Held {
    /// Forgets all of them, and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.places.clear();
    }

    /// Takes in the rows of the block at `offset`, which is not held.
    pub(crate) fn put(&mut self, offset: u64, rows: &[u8]) {
        let at = self.places.partition_point(|place| place.0 < offset);
        self.places.insert(at, (offset, self.bytes.len()));
        self.bytes.extend_from_slice(rows);
    }

    /// Where the block at `offset` begins in [`Held::bytes`].
    pub(crate) fn find(&self, offset: u64) -> Option<usize> {
        let at = self.places.binary_search_by_key(&offset, |place| place.0).ok()?;
        self.places.get(at).map(|place| place.1)
    }

    /// All blocks.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
