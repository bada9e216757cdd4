//! What writer and readers meet at: atomics, counted states, boxes that are set once.
//!
//! These are the types of `core`, `alloc` and `once_cell`, under one roof so that a model checker can take their places:
//! in a test compiled with `--cfg loom` they are loom's, which runs a test over and over, through the orders in which the
//! threads may meet, and lets a load see older values that its ordering allows. Then `model` runs the code that ships.
//! Stores are smaller there, because each atomic of a store is one more thing to keep book of.

#[cfg(not(all(loom, test)))]
pub(super) use real::*;

#[cfg(all(loom, test))]
pub(super) use model::*;

#[cfg(not(all(loom, test)))]
mod real {
    pub(in super::super) use alloc::sync::Arc;
    pub(in super::super) use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering, fence};
    pub(in super::super) use once_cell::race::OnceBox;

    /// Slots of a chunk at most, as a power of two.
    pub(in super::super) const CHUNK_BITS_MAX: u32 = 10;
    /// Slots of a group, as a power of two.
    pub(in super::super) const GROUP_BITS: u32 = 20;
    /// Groups of a store: 2^32 slots in all.
    pub(in super::super) const GROUPS: usize = 1 << (32 - GROUP_BITS);

    /// Tells a model checker which places of plain memory are written and read, and here nobody.
    pub(in super::super) struct Places;

    impl Places {
        pub(in super::super) fn new(_: usize) -> Self {
            Self
        }

        /// The place is written now.
        #[inline(always)]
        pub(in super::super) fn write(&self, _: usize) {}

        /// The place is read now.
        #[inline(always)]
        pub(in super::super) fn read(&self, _: usize) {}
    }
}

#[cfg(all(loom, test))]
mod model {
    use alloc::boxed::Box;
    use core::ptr;
    use loom::cell::UnsafeCell;
    pub(in super::super) use loom::sync::Arc;
    pub(in super::super) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering, fence};

    pub(in super::super) const CHUNK_BITS_MAX: u32 = 1;
    pub(in super::super) const GROUP_BITS: u32 = 2;
    pub(in super::super) const GROUPS: usize = 2;

    /// Fails the test where a place is read or written without being ordered after the write before.
    pub(in super::super) struct Places(Box<[UnsafeCell<()>]>);

    impl Places {
        pub(in super::super) fn new(count: usize) -> Self {
            Self((0..count).map(|_| UnsafeCell::new(())).collect())
        }

        pub(in super::super) fn write(&self, place: usize) {
            self.0[place].with_mut(|_| ());
        }

        pub(in super::super) fn read(&self, place: usize) {
            self.0[place].with(|_| ());
        }
    }

    /// `once_cell::race::OnceBox` as far as it is used, with its orderings, over an atomic that is watched.
    pub(in super::super) struct OnceBox<T>(AtomicPtr<T>);

    impl<T> OnceBox<T> {
        pub(in super::super) fn new() -> Self {
            Self(AtomicPtr::new(ptr::null_mut()))
        }

        pub(in super::super) fn get(&self) -> Option<&T> {
            // SAFETY: null, or from `Box::into_raw` in `set`, and freed with `self` alone.
            unsafe { self.0.load(Ordering::Acquire).as_ref() }
        }

        pub(in super::super) fn set(&self, value: Box<T>) -> Result<(), Box<T>> {
            let value = Box::into_raw(value);
            match self.0.compare_exchange(ptr::null_mut(), value, Ordering::Release, Ordering::Acquire) {
                Ok(_) => Ok(()),
                // SAFETY: it did not get in, so it is still ours.
                Err(_) => Err(unsafe { Box::from_raw(value) }),
            }
        }

        pub(in super::super) fn get_or_init(&self, value: impl FnOnce() -> Box<T>) -> &T {
            if self.get().is_none() {
                // Of two who come at once one gets in.
                let _ = self.set(value());
            }
            self.get().expect("set above")
        }
    }

    impl<T> Drop for OnceBox<T> {
        fn drop(&mut self) {
            let value = self.0.with_mut(|value| *value);
            if !value.is_null() {
                // SAFETY: from `Box::into_raw`, and nobody else is left.
                drop(unsafe { Box::from_raw(value) });
            }
        }
    }
}
