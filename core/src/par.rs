//! How a build runs its loops.
//!
//! `core` has no threads. A build hands a slice, cut into chunks of a fixed size, to a [`Par`];
//! natively that is a rayon pool, in WASM a plain loop. A chunk's result may depend on its index
//! and its own elements only, never on the thread that ran it, so every `Par` gives the same
//! bytes: chunk sizes are constants of the caller, never `len / threads`.

/// Runs the chunks of a slice, each exactly once, in any order and on any thread.
pub trait Par: Sync {
    /// How many chunks may run at once; the number of scratch values a caller has to bring.
    fn threads(&self) -> usize;

    /// Calls `work(index, chunk, scratch)` for every chunk of `size` elements of `data` (the last
    /// may be shorter). `scratch` holds at least [`Par::threads`] values, of fewer some threads
    /// rest; a value is never used by two chunks at once, and its content must not change any result.
    fn chunks<T: Send, S: Send>(&self, data: &mut [T], size: usize, scratch: &mut [S], work: impl Fn(usize, &mut [T], &mut S) + Sync);
}

/// Another's threads, but no more than so many of them at once.
#[derive(Clone, Copy, Debug)]
pub struct AtMost<'a, P>(pub &'a P, pub usize);

impl<P: Par> Par for AtMost<'_, P> {
    fn threads(&self) -> usize {
        self.0.threads().min(self.1.max(1))
    }

    fn chunks<T: Send, S: Send>(&self, data: &mut [T], size: usize, scratch: &mut [S], work: impl Fn(usize, &mut [T], &mut S) + Sync) {
        // A value of scratch is one thread's.
        let own = scratch.len().min(self.1.max(1));
        self.0.chunks(data, size, &mut scratch[..own], work);
    }
}

/// One chunk after the other, on the calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Serial;

impl Par for Serial {
    fn threads(&self) -> usize {
        1
    }

    fn chunks<T: Send, S: Send>(&self, data: &mut [T], size: usize, scratch: &mut [S], work: impl Fn(usize, &mut [T], &mut S) + Sync) {
        let Some(scratch) = scratch.first_mut() else {
            return;
        };
        for (index, chunk) in data.chunks_mut(size.max(1)).enumerate() {
            work(index, chunk, scratch);
        }
    }
}

/// So many threads of a test: chunks run from the last one to the first, each with the scratch of another than its neighbour's.
#[cfg(test)]
pub(crate) struct Backwards(pub(crate) usize);

#[cfg(test)]
impl Par for Backwards {
    fn threads(&self) -> usize {
        self.0
    }

    fn chunks<T: Send, S: Send>(&self, data: &mut [T], size: usize, scratch: &mut [S], work: impl Fn(usize, &mut [T], &mut S) + Sync) {
        let chunks: alloc::vec::Vec<_> = data.chunks_mut(size.max(1)).enumerate().collect();
        for (index, chunk) in chunks.into_iter().rev() {
            work(index, chunk, &mut scratch[index % self.0]);
        }
    }
}
