//! Readers of the rows and their buffers, kept between searches.

use std::sync::{Mutex, MutexGuard, PoisonError};

use nearshore_core::live::LiveReader;
use nearshore_core::search::{Hit, Scratch};

/// A search's view of the rows, and what it works with.
#[derive(Debug)]
pub(super) struct Searcher {
    pub(super) reader: LiveReader,
    pub(super) scratch: Scratch,
    pub(super) hits: Vec<Hit>,
    /// Compactions before it was made.
    generation: u64,
}

/// As many searchers as ever searched at once. The lock is held to take one or to give it back, never while searching.
#[derive(Debug, Default)]
pub(super) struct Searchers(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// `None` before the first insert.
    reader: Option<LiveReader>,
    free: Vec<Searcher>,
    generation: u64,
}

impl Searchers {
    /// New searchers come from `reader`. Older ones go, since a reader that rests keeps the rows from before a compaction alive.
    pub(super) fn renew(&self, reader: LiveReader) {
        let mut kept = self.kept();
        kept.reader = Some(reader);
        kept.generation += 1;
        kept.free.clear();
    }

    /// Runs `work` with a searcher; `None` where there are no rows yet.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Searcher) -> T) -> Option<T> {
        let mut searcher = self.take()?;
        let done = work(&mut searcher);
        let mut kept = self.kept();
        if searcher.generation == kept.generation {
            kept.free.push(searcher);
        }
        Some(done)
    }

    fn take(&self) -> Option<Searcher> {
        let mut kept = self.kept();
        if let Some(searcher) = kept.free.pop() {
            return Some(searcher);
        }
        let (reader, generation) = (kept.reader.clone()?, kept.generation);
        Some(Searcher { reader, scratch: Scratch::new(), hits: Vec::new(), generation })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
