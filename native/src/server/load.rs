//! Bytes that requests under way keep in memory: bodies that wait for their turn, answers that wait to be sent.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use tokio::task::AbortHandle;

use super::places::Place;

/// Bytes of each that do not count, so that small requests come through while large ones wait.
const FREE: usize = 64 << 10;

/// How long a client may leave bytes of an answer unread before its place goes to others.
pub(super) const UNREAD: Duration = Duration::from_secs(30);

/// What all may have together.
#[derive(Debug)]
pub(super) struct Budget(AtomicUsize);

/// What one of them has.
#[derive(Debug)]
pub(super) struct Load {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(bytes)))
    }

    pub(super) fn load(self: &Arc<Self>) -> Load {
        Load { budget: Arc::clone(self), bytes: 0 }
    }
}

impl Load {
    /// Takes more; false, and nothing taken, where there is no room.
    #[must_use]
    pub(super) fn add(&mut self, bytes: usize) -> bool {
        let after = self.bytes.saturating_add(bytes);
        let more = counted(after) - counted(self.bytes);
        let taken = self.budget.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(more)).is_ok();
        if taken {
            self.bytes = after;
        }
        taken
    }

    /// Bytes to be sent: they keep this until the last of them is on its way, and the request's place as well, but for no longer than
    /// [`UNREAD`]: over HTTP/2 a client can take nothing and yet acknowledge all. To be called inside a runtime.
    pub(super) fn hold(self, bytes: Vec<u8>, place: Place) -> Bytes {
        let place = Arc::new(Mutex::new(Some(place)));
        let of_late = Arc::clone(&place);
        let late = tokio::spawn(async move {
            tokio::time::sleep(UNREAD).await;
            drop(of_late.lock().unwrap_or_else(PoisonError::into_inner).take());
        });
        Bytes::from_owner(Held { bytes, _load: self, place, late: late.abort_handle() })
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.budget.0.fetch_add(counted(self.bytes), Ordering::Relaxed);
    }
}

fn counted(bytes: usize) -> usize {
    bytes.saturating_sub(FREE)
}

struct Held {
    bytes: Vec<u8>,
    _load: Load,
    place: Arc<Mutex<Option<Place>>>,
    late: AbortHandle,
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.place.lock().unwrap_or_else(PoisonError::into_inner).take());
        // Half a minute of answers that are long sent would be much to keep.
        self.late.abort();
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::places::Places;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_taken_comes_back_when_the_bytes_are_sent() {
        let (budget, places) = (Budget::new(1000), Places::new(1));
        let mut load = budget.load();
        assert!(load.add(FREE) && load.add(600) && !load.add(401) && load.add(300));
        let mut other = budget.load();
        assert!(other.add(FREE + 100) && !other.add(1));
        let bytes = load.hold(vec![7; 10], places.enter(None).unwrap());
        let copy = bytes.slice(3..);
        drop(bytes);
        assert!(!other.add(1) && places.enter(None).is_err());
        drop(copy);
        assert!(other.add(900) && places.enter(None).is_ok());
    }

    #[tokio::test]
    async fn bytes_that_are_sent_leave_nothing_behind() {
        let (budget, places) = (Budget::new(1000), Places::new(1));
        for _ in 0..100 {
            drop(budget.load().hold(vec![7; 10], places.enter(None).unwrap()));
            // The runtime's turn.
            tokio::task::yield_now().await;
        }
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_that_nobody_reads_keep_their_share_but_no_place() {
        let (budget, places) = (Budget::new(1000), Places::new(1));
        let mut load = budget.load();
        assert!(load.add(FREE + 1000));
        let bytes = load.hold(vec![7; 10], places.enter(None).unwrap());
        tokio::time::sleep(UNREAD / 2).await;
        assert!(places.enter(None).is_err());
        tokio::time::sleep(UNREAD).await;
        assert!(places.enter(None).is_ok());
        let mut other = budget.load();
        assert!(!other.add(FREE + 1));
        drop(bytes);
        assert!(other.add(FREE + 1));
    }
}
