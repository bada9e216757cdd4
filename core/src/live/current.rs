//! The state that holds now: replaced by one thread, taken by any, and nobody waits.
//!
//! A reader asks with one load whether its state still holds, and takes the new one when it does
//! not: it announces itself, looks, counts itself in, and is gone. Whoever replaces a state frees
//! the old one at once when nobody is announced, since who comes later finds the new one; else it
//! keeps the old one until its next replacement, rather than wait. So what lives beside the current
//! state is what readers hold, however long they sleep.

use super::sync::{Arc, AtomicPtr, AtomicUsize, OnceBox, Ordering, fence};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Where readers find the current state.
pub(super) struct Current<T> {
    /// From [`Arc::into_raw`]; counted once for this place.
    state: AtomicPtr<T>,
    /// Readers between looking at `state` and being counted in.
    taking: AtomicUsize,
    /// What the publisher left behind because someone was taking it. (With it, `T` must be as
    /// shareable as the `Arc`s that are handed out.)
    left: OnceBox<Vec<Arc<T>>>,
}

impl<T> Current<T> {
    /// Whether `held` is the current state. A state that someone holds keeps its address to
    /// itself, so the address tells.
    #[inline]
    pub(super) fn is(&self, held: &Arc<T>) -> bool {
        core::ptr::eq(self.state.load(Ordering::Acquire), Arc::as_ptr(held))
    }

    /// The current state.
    pub(super) fn take(&self) -> Arc<T> {
        self.taking.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let state = self.state.load(Ordering::Acquire);
        // SAFETY: `state` came from `Arc::into_raw`, and this place's count of it still stands:
        // `Publisher` drops a replaced state only when it read `taking` as 0 after the replacement
        // and a fence. In the one order of SeqCst fences, that fence comes either before the one
        // above, and then the load above found the replacement; or after it, and then that read
        // knew of the announcement, so it was 0 because of the withdrawal below, which comes after
        // the counting in (the read acquires what the withdrawal releases).
        let taken = unsafe {
            Arc::increment_strong_count(state);
            Arc::from_raw(state)
        };
        self.taking.fetch_sub(1, Ordering::Release);
        taken
    }
}

impl<T> Drop for Current<T> {
    fn drop(&mut self) {
        // Nobody else is left, and what they did came before: whatever the ordering, this is the last state.
        let state = self.state.load(Ordering::Relaxed);
        // SAFETY: from `Arc::into_raw`, and the count is this place's own, which ends here.
        drop(unsafe { Arc::from_raw(state) });
    }
}

/// The one who replaces the current state.
pub(super) struct Publisher<T> {
    current: Arc<Current<T>>,
    /// States that were being taken when they were replaced.
    replaced: Vec<Arc<T>>,
}

impl<T> Publisher<T> {
    pub(super) fn new(state: Arc<T>) -> Self {
        let state = AtomicPtr::new(Arc::into_raw(state).cast_mut());
        Self { current: Arc::new(Current { state, taking: AtomicUsize::new(0), left: OnceBox::new() }), replaced: Vec::new() }
    }

    /// For a reader.
    pub(super) fn current(&self) -> Arc<Current<T>> {
        Arc::clone(&self.current)
    }

    /// Makes `state` the current one.
    pub(super) fn replace(&mut self, state: Arc<T>) {
        let old = self.current.state.swap(Arc::into_raw(state).cast_mut(), Ordering::AcqRel);
        // SAFETY: from `Arc::into_raw`; the swap took it out of its place, so its count is ours.
        self.replaced.push(unsafe { Arc::from_raw(old) });
        self.free();
    }

    /// Drops what was replaced, unless someone may be about to be counted in.
    fn free(&mut self) {
        // Against the fence in `Current::take`.
        fence(Ordering::SeqCst);
        if self.current.taking.load(Ordering::Acquire) == 0 {
            self.replaced.clear();
        }
    }
}

impl<T> Drop for Publisher<T> {
    fn drop(&mut self) {
        self.free();
        if !self.replaced.is_empty() {
            // There is one publisher, so the place is free. The last reader drops it.
            let _ = self.current.left.set(Box::new(core::mem::take(&mut self.replaced)));
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    /// Counts those that live.
    struct Counted<'a>(&'a AtomicUsize, u32);

    impl<'a> Counted<'a> {
        fn new(living: &'a AtomicUsize, number: u32) -> Arc<Self> {
            living.fetch_add(1, Ordering::Relaxed);
            Arc::new(Self(living, number))
        }
    }

    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_reader_that_sleeps_keeps_its_own_state_and_no_other() {
        let living = AtomicUsize::new(0);
        let mut publisher = Publisher::new(Counted::new(&living, 0));
        let current = publisher.current();
        let held = current.take();
        for number in 1..=10 {
            publisher.replace(Counted::new(&living, number));
            assert_eq!(living.load(Ordering::Relaxed), 2, "the held one and the current one");
        }
        assert!(!current.is(&held));
        assert_eq!((held.1, current.take().1), (0, 10));
        drop((publisher, held));
        assert_eq!((living.load(Ordering::Relaxed), current.take().1), (1, 10), "the last one outlives its publisher");
        drop(current);
        assert_eq!(living.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn readers_take_while_states_are_replaced() {
        const STATES: u32 = if cfg!(miri) { 60 } else { 20_000 };
        let (living, done) = (AtomicUsize::new(0), AtomicBool::new(false));
        let mut publisher = Publisher::new(Counted::new(&living, 0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let (current, done) = (publisher.current(), &done);
                scope.spawn(move || {
                    let mut held = current.take();
                    while !done.load(Ordering::Relaxed) {
                        if !current.is(&held) {
                            let next = current.take();
                            assert!(next.1 >= held.1, "states only go on");
                            held = next;
                        }
                    }
                });
            }
            for number in 1..=STATES {
                publisher.replace(Counted::new(&living, number));
            }
            done.store(true, Ordering::Relaxed);
            drop(publisher);
        });
        assert_eq!(living.load(Ordering::Relaxed), 0);
    }
}
