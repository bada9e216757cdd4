//! Threads for work that takes its time, in lanes: what waits in one never holds up another.
//!
//! Searches use the cores. Changes and saves take turns anyway, so one thread is enough, and a hundred inserts that wait for
//! a save occupy none that could search. Rows are read by id in a lane of their own, because a compaction makes them wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::StatusCode;
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

    /// Runs `work` on a thread when its turn comes. Once it has begun it goes on when nobody waits for it any more, and is told.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        lane: Lane,
        work: impl FnOnce(&Gone) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let lane = match lane {
            Lane::Search => &self.search,
            Lane::Change => &self.change,
            Lane::Read => &self.read,
        };
        let permit = Arc::clone(lane).acquire_owned().await.map_err(|_| ApiError::internal())?;
        let waiting = Waiting(Gone::default());
        let gone = Gone(Arc::clone(&waiting.0.0));
        let working = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(&gone)
        });
        working.await.unwrap_or_else(|_| Err(ApiError::internal()))
    }
}

/// Whether nobody waits for an answer any more.
#[derive(Debug, Default)]
pub(super) struct Gone(Arc<AtomicBool>);

impl Gone {
    /// An error that nobody hears, to end work that nobody wants.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        if self.0.load(Ordering::Relaxed) {
            return Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "gone", "nobody waits for the answer"));
        }
        Ok(())
    }
}

/// Who waits for an answer.
struct Waiting(Gone);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::{Duration, Instant};
    use tokio::runtime::Builder;

    #[test]
    fn work_hears_that_nobody_waits_for_it() {
        let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (lanes, (begun, begins), (told, tells)) = (Arc::new(Lanes::new(1)), channel(), channel());
        let waiting = runtime.spawn(async move {
            lanes
                .run(Lane::Search, move |gone| {
                    assert!(gone.check().is_ok());
                    begun.send(()).unwrap();
                    let started = Instant::now();
                    while gone.check().is_ok() && started.elapsed() < Duration::from_secs(60) {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    told.send(gone.check().is_err()).unwrap();
                    gone.check()
                })
                .await
        });
        begins.recv().unwrap();
        waiting.abort();
        assert!(tells.recv().unwrap());
    }
}
