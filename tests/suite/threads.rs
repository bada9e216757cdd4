//! Threads for builds, in the least predictable order that is easy to have: whoever comes next takes the next chunk.

use std::sync::Mutex;

use nearshore_core::par::Par;

/// So many threads, started anew for every loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Threads(pub(crate) usize);

impl Par for Threads {
    fn threads(&self) -> usize {
        self.0
    }

    fn chunks<T: Send, S: Send>(&self, data: &mut [T], size: usize, scratch: &mut [S], work: impl Fn(usize, &mut [T], &mut S) + Sync) {
        let chunks = Mutex::new(data.chunks_mut(size.max(1)).enumerate());
        std::thread::scope(|scope| {
            for scratch in scratch.iter_mut().take(self.0) {
                scope.spawn(|| {
                    loop {
                        let next = chunks.lock().expect("no panic").next();
                        let Some((index, chunk)) = next else { return };
                        work(index, chunk, scratch);
                    }
                });
            }
        });
    }
}
