//! The threads of a command: a pool of its own, never the global one, with as many threads as the user said.

use std::io;
use std::sync::{Mutex, PoisonError};

use nearshore_core::par::Par;

/// Threads that run the loops of builds, exact searches and measurements. One thread means the caller's own.
#[derive(Debug)]
pub struct Pool {
    threads: usize,
    pool: Option<rayon::ThreadPool>,
}

impl Pool {
    /// `threads` threads; 0 is one for each core that this process may use.
    ///
    /// # Errors
    /// The system refuses to start threads.
    pub fn new(threads: usize) -> io::Result<Self> {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            some => some,
        };
        let builder = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|index| format!("nearshore-{index}"));
        let pool = if threads > 1 { Some(builder.build().map_err(io::Error::other)?) } else { None };
        Ok(Self { threads, pool })
    }
}

impl Par for Pool {
    fn threads(&self) -> usize {
        self.threads
    }

    /// Every thread takes the next chunk until there is none: no chunk waits for a slow one.
    fn chunks<T: Send, S: Send>(&self, data: &mut [T], size: usize, scratch: &mut [S], work: impl Fn(usize, &mut [T], &mut S) + Sync) {
        let size = size.max(1);
        let (Some(pool), true, true) = (&self.pool, data.len() > size, scratch.len() > 1) else {
            if let Some(scratch) = scratch.first_mut() {
                data.chunks_mut(size).enumerate().for_each(|(index, chunk)| work(index, chunk, scratch));
            }
            return;
        };
        let chunks = Mutex::new(data.chunks_mut(size).enumerate());
        let scratch: Vec<Mutex<&mut S>> = scratch.iter_mut().map(Mutex::new).collect();
        pool.broadcast(|context| {
            let Some(own) = scratch.get(context.index()) else { return };
            let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                let next = chunks.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((index, chunk)) = next else { return };
                work(index, chunk, &mut **own);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearshore_core::par::AtMost;

    #[test]
    fn every_chunk_runs_once_whatever_the_threads() {
        for threads in [1, 2, 7] {
            let pool = Pool::new(threads).unwrap();
            assert_eq!(pool.threads(), threads);
            let mut data = vec![0u64; 1003];
            let mut sums = vec![0u64; threads];
            pool.chunks(&mut data, 10, &mut sums, |index, chunk, sum| {
                for (place, value) in chunk.iter_mut().enumerate() {
                    *value += (index * 10 + place) as u64;
                    *sum += *value;
                }
            });
            assert!(data.iter().enumerate().all(|(index, value)| *value == index as u64));
            assert_eq!(sums.iter().sum::<u64>(), 1003 * 1002 / 2);
        }
    }

    #[test]
    fn fewer_scratch_values_than_threads_are_enough() {
        let pool = Pool::new(4).unwrap();
        let mut data = [0u8; 100];
        pool.chunks(&mut data, 3, &mut [(), ()], |_, chunk, ()| chunk.fill(1));
        assert_eq!(data, [1; 100]);
    }

    #[test]
    fn others_rest_where_there_may_be_fewer_threads() {
        let pool = Pool::new(4).unwrap();
        for (most, threads) in [(0, 1), (1, 1), (3, 3), (9, 4)] {
            let few = AtMost(&pool, most);
            assert_eq!(few.threads(), threads);
            let (mut data, mut sums) = ([1u8; 100], [0u32; 6]);
            few.chunks(&mut data, 3, &mut sums, |_, chunk, sum| *sum += chunk.len() as u32);
            assert_eq!(sums.iter().sum::<u32>(), 100);
            assert!(sums[threads..].iter().all(|sum| *sum == 0), "{most}: {sums:?}");
        }
    }

    #[test]
    #[should_panic(expected = "third chunk")]
    fn a_panic_in_a_chunk_reaches_the_caller() {
        let pool = Pool::new(2).unwrap();
        pool.chunks(&mut [0u8; 9], 3, &mut [(), ()], |index, _, ()| assert!(index != 2, "third chunk"));
    }
}
