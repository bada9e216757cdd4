//! Requests under way, all together and by lane: inserts that wait for a save leave room for searches.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;
use super::lanes::Lane;

/// How many requests there may be.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    all: Arc<Semaphore>,
    /// Half of all.
    change: Arc<Semaphore>,
    /// A quarter.
    read: Arc<Semaphore>,
}

/// A request's place, until the value goes.
#[derive(Debug)]
pub(super) struct Place {
    _all: OwnedSemaphorePermit,
    _lane: Option<OwnedSemaphorePermit>,
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        let of = |places: usize| Arc::new(Semaphore::new(places.max(1)));
        Self { most, all: of(most), change: of(most / 2), read: of(most / 4) }
    }

    /// A place for a request that will work in a lane, or in none.
    pub(super) fn enter(&self, lane: Option<Lane>) -> Result<Place, ApiError> {
        let take = |places: &Arc<Semaphore>| {
            let busy = |_| ApiError::overloaded("too many requests under way; try again in a second");
            Arc::clone(places).try_acquire_owned().map_err(busy)
        };
        let lane = match lane {
            Some(Lane::Change) => Some(take(&self.change)?),
            Some(Lane::Read) => Some(take(&self.read)?),
            Some(Lane::Search) | None => None,
        };
        Ok(Place { _all: take(&self.all)?, _lane: lane })
    }

    pub(super) fn taken(&self) -> usize {
        self.most.saturating_sub(self.all.available_permits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_lane_takes_the_places_of_the_others() {
        let places = Places::new(8);
        let fill = |lane| std::iter::from_fn(|| places.enter(Some(lane)).ok()).collect::<Vec<_>>();
        let (changes, reads) = (fill(Lane::Change), fill(Lane::Read));
        assert_eq!((changes.len(), reads.len(), places.taken()), (4, 2, 6));
        let searches = fill(Lane::Search);
        assert_eq!((searches.len(), places.taken()), (2, 8));
        drop(changes);
        assert_eq!(fill(Lane::Change).len(), 4);
        assert_eq!(places.taken(), 4);
    }
}
