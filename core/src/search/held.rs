//! Blocks that a walk brought, kept until it ends: the nodes that lie in one are seldom wanted alone.

use alloc::vec::Vec;

/// Room that is kept from search to search; what one search took beyond it is given back.
const KEPT_BYTES: usize = 1 << 20;

/// Blocks by their place in the file, their checks left out.
#[derive(Debug, Default)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    /// (offset in the file, start in `bytes`); the first `sorted` ascend, those of the present round follow as they came.
    places: Vec<(u64, usize)>,
    sorted: usize,
}

impl Held {
    /// Forgets all of them.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.places.clear();
        self.sorted = 0;
        self.bytes.shrink_to(KEPT_BYTES);
        self.places.shrink_to(KEPT_BYTES / 64);
    }

    /// Takes in the rows of the block at `offset`, which is not held. False where memory has no room for them.
    #[must_use]
    pub(crate) fn put(&mut self, offset: u64, rows: &[u8]) -> bool {
        if self.bytes.try_reserve(rows.len()).and_then(|()| self.places.try_reserve(1)).is_err() {
            return false;
        }
        self.places.push((offset, self.bytes.len()));
        self.bytes.extend_from_slice(rows);
        true
    }

    /// Ends a round: what came in it can be found.
    pub(crate) fn settle(&mut self) {
        if self.sorted < self.places.len() {
            crate::sort::by_key(&mut self.places, |place| *place);
            self.sorted = self.places.len();
        }
    }

    /// Where the block at `offset` begins in [`Held::bytes`].
    pub(crate) fn find(&self, offset: u64) -> Option<usize> {
        let places = &self.places[..self.sorted];
        let at = places.binary_search_by_key(&offset, |place| place.0).ok()?;
        places.get(at).map(|place| place.1)
    }

    /// Where in the file the block lies that has byte `at` of [`Held::bytes`].
    pub(crate) fn offset(&self, at: usize) -> Option<u64> {
        let before = self.places.iter().filter(|place| place.1 <= at);
        before.max_by_key(|place| place.1).map(|place| place.0)
    }

    /// All blocks.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
