//! Threads for work that takes its time, in lanes: what waits in one never holds up another.
//!
//! Searches use the cores. Changes and saves take turns anyway, so one thread is enough, and a hundred inserts that wait for
//! a save occupy none that could search. Rows are read by id in a lane of their own, because a compaction makes them wait.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::error::ApiError;

/// What a request does with the collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Search,
    Change,
    Read,
}

/// Who may work now, by lane.
#[derive(Debug)]
pub(super) struct Lanes {
    search: Arc<Semaphore>,
    change: Arc<Semaphore>,
    read: Arc<Semaphore>,
}

impl Lanes {
    pub(super) fn new(searches: usize) -> Self {
        Self { search: Arc::new(Semaphore::new(searches)), change: Arc::new(Semaphore::new(1)), read: Arc::new(Semaphore::new(1)) }
    }

    /// Threads that are enough for all lanes at once.
    pub(super) fn threads(searches: usize) -> usize {
        searches + 2
    }

    /// Runs `work` on a thread when its turn comes. It is finished even when nobody waits for it any more.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        lane: Lane,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let lane = match lane {
            Lane::Search => &self.search,
            Lane::Change => &self.change,
            Lane::Read => &self.read,
        };
        let permit = Arc::clone(lane).acquire_owned().await.map_err(|_| ApiError::internal())?;
        let working = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        working.await.unwrap_or_else(|_| Err(ApiError::internal()))
    }
}
