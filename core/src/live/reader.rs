//! Searching beside the writer.

use super::Shared;
use super::current::Current;
use super::sync::Arc;
use crate::search::{Hit, Scratch, SearchError, SearchParams, Stats};
use crate::vectors::Query;
use alloc::vec::Vec;
use core::fmt;

/// Searches a live index beside its writer; clone it for each thread.
///
/// Between two searches it keeps the state of the last one, so that [`LiveReader::payload_of`]
/// can tell its hits' payloads, and no other.
#[derive(Clone)]
pub struct LiveReader {
    pub(super) current: Arc<Current<Shared>>,
    /// The state of the last search.
    pub(super) shared: Arc<Shared>,
}

impl fmt::Debug for LiveReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveReader").field("rows", &self.rows()).finish_non_exhaustive()
    }
}

impl LiveReader {
    /// Finds the nearest living rows; `hits` is replaced. Waits for nobody.
    ///
    /// Rows published before the call are seen; rows inserted or deleted during it may be. An
    /// update is seen whole: either the old row is found or the new one. As many hits come back as
    /// are wanted, unless fewer rows live, or some were deleted meanwhile.
    /// [`SearchParams::refine`] is records always, since nothing else is kept.
    ///
    /// # Errors
    /// As [`Index::search`](crate::index::Index::search).
    pub fn search(
        &mut self,
        query: Query<'_>,
        params: &SearchParams,
        scratch: &mut Scratch,
        hits: &mut Vec<Hit>,
    ) -> Result<Stats, SearchError> {
        if !self.current.is(&self.shared) {
            self.shared = self.current.take();
        }
        self.shared.search(query, params, scratch, hits)
    }

    /// The payload of a hit of the last search, as it was then; empty where it has none.
    ///
    /// A hit of an earlier search has its payload as long as its row has not moved, else none.
    pub fn payload_of(&self, hit: &Hit) -> &[u8] {
        self.shared.payload_of(hit).unwrap_or(&[])
    }

    /// Living rows, as of now.
    pub fn rows(&self) -> usize {
        if self.current.is(&self.shared) { self.shared.living() } else { self.current.take().living() }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use crate::format::Metric;
    use crate::live::{Live, LiveParams};
    use crate::vectors::Query;
    use alloc::sync::{Arc, Weak};
    use alloc::vec::Vec;

    #[test]
    fn an_idle_reader_keeps_no_state_but_its_own() {
        let mut live = Live::new(LiveParams::new(2, Metric::L2)).expect("parameters");
        let idle = live.reader();
        let mut states: Vec<Weak<_>> = Vec::new();
        for id in 0..10 {
            live.insert(id, Query::F32(&[id as f32, 1.0]), &[]).expect("a new id");
            states.push(Arc::downgrade(&live.shared));
            live.compact();
        }
        states.push(Arc::downgrade(&live.shared));
        let living: Vec<usize> = (0..states.len()).filter(|&state| states[state].strong_count() > 0).collect();
        assert_eq!(living, [0, 10], "its own, and the current one");
        assert_eq!(idle.rows(), 10);
    }
}
