//! Many queries at once: by groups, over the threads of a pool, with the same answers as one by one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use nearshore_core::par::Par;

/// The most queries that a thread takes at a time.
const GROUP_MAX: usize = 32;

/// Groups for each thread, where there are queries enough: no thread waits long for a slow one.
const GROUPS: usize = 4;

/// Has every place of `answers` answered, by groups: `work` is given the number of the first place of a group, the group, and the buffers of
/// its thread, of which there are as many as threads.
pub(crate) fn in_groups<A: Send, W: Send>(
    answers: &mut [A],
    workers: &mut [W],
    par: &impl Par,
    work: impl Fn(usize, &mut [A], &mut W) + Sync,
) {
    let (count, threads) = (answers.len(), par.threads());
    // One thread goes through them in one go: what is counted by groups is counted once.
    let group = if threads == 1 { count.max(1) } else { (count / threads / GROUPS).clamp(1, GROUP_MAX) };
    par.chunks(answers, group, workers, |number, answers, worker| work(number * group, answers, worker));
}

/// The first query that failed, and why. Those behind it need not be asked any more; those before it are, so that it is always the same one.
pub(crate) struct First<E> {
    query: AtomicUsize,
    error: Mutex<Option<E>>,
}

impl<E> First<E> {
    pub(crate) fn none() -> Self {
        Self { query: AtomicUsize::new(usize::MAX), error: Mutex::new(None) }
    }

    pub(crate) fn fail(&self, query: usize, error: E) {
        let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        if self.wants(query) {
            *first = Some(error);
            self.query.store(query, Ordering::Relaxed);
        }
    }

    /// Whether no query before this one failed.
    pub(crate) fn wants(&self, query: usize) -> bool {
        query < self.query.load(Ordering::Relaxed)
    }

    pub(crate) fn into_error(self) -> Option<(usize, E)> {
        let error = self.error.into_inner().unwrap_or_else(PoisonError::into_inner)?;
        Some((self.query.into_inner(), error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pool;

    #[test]
    fn every_place_knows_its_number() {
        for (threads, count) in [(1, 0), (1, 7), (2, 1), (2, 1000), (3, 50), (5, 3)] {
            let (pool, mut answers) = (Pool::new(threads).unwrap(), vec![usize::MAX; count]);
            in_groups(&mut answers, &mut vec![(); threads], &pool, |first, group, ()| {
                for (place, answer) in group.iter_mut().enumerate() {
                    *answer = first + place;
                }
            });
            assert!(answers.into_iter().eq(0..count), "{count} by {threads}");
        }
    }

    #[test]
    fn the_first_failure_is_the_one_of_the_smallest_number() {
        let first = First::none();
        assert!(first.wants(usize::MAX - 1));
        for query in [7, 9, 3, 5] {
            first.fail(query, query);
        }
        assert!(first.wants(2) && !first.wants(3));
        assert_eq!(first.into_error(), Some((3, 3)));
        assert_eq!(First::<()>::none().into_error(), None);
    }
}
