//! Positioned reads: one at a time in the searching thread, several by threads of its own.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::batch::{Batch, Group, Step};
use super::merge::Merging;
use super::pages::Pages;
use super::{Arrived, BlockError, Blocks};

/// Threads of one driver at most. More wait for the device together than one reads at a time; beyond this they wait for each other.
const THREADS_MAX: usize = 32;

/// Groups handed to threads for each of them, so that none waits for the searching thread.
const GROUPS_PER_THREAD: usize = 2;

/// What can be read from any place by any thread.
pub trait ReadAt: Send + Sync + 'static {
    /// Reads up to `buffer.len()` bytes from `offset`; fewer where it likes, none at the end.
    ///
    /// # Errors
    /// Whatever the system says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::read_at(self, buffer, offset);
        // Moves the file's cursor too, which nobody here reads from.
        #[cfg(windows)]
        return std::os::windows::fs::FileExt::seek_read(self, buffer, offset);
    }
}

impl<F: ReadAt + ?Sized> ReadAt for Arc<F> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        (**self).read_at(buffer, offset)
    }
}

/// Blocks by positioned reads. A read that is alone, and every read where `depth` is 1, happens in [`wait`](Blocks::wait), without a change of
/// threads, unless [`start`](Blocks::start) was asked for; of several, each goes to one of up to `depth` threads, which are begun when first needed and
/// end with the driver.
pub struct PreadBlocks<F> {
    file: Arc<F>,
    batch: Batch,
    align: usize,
    depth: usize,
    pool: Option<Pool>,
    /// Groups that the pool has.
    reading: usize,
    spare: Vec<Pages>,
}

/// A group, its memory, and what came of it.
struct Job {
    group: Group,
    memory: Pages,
    result: io::Result<()>,
}

struct Pool {
    /// `None` only while it ends.
    jobs: Option<Sender<Job>>,
    todo: Arc<Mutex<Receiver<Job>>>,
    done: Receiver<Job>,
    finished: Sender<Job>,
    threads: Vec<JoinHandle<()>>,
}

impl<F: ReadAt> PreadBlocks<F> {
    /// Blocks of `file`, which has `file_bytes`, read by at most `depth` threads (32 at most, 1 at least) and merged as `rules`
    /// say. An `align` of 4,096 there suits a file that is read around the page cache.
    pub fn new(file: Arc<F>, file_bytes: u64, rules: Merging, depth: usize) -> Self {
        let align = rules.align as usize;
        let depth = depth.clamp(1, THREADS_MAX);
        Self { file, batch: Batch::new(rules, file_bytes), align, depth, pool: None, reading: 0, spare: Vec::new() }
    }

    /// Memory for a group.
    fn memory(&mut self, group: &Group) -> Pages {
        let mut memory = self.spare.pop().unwrap_or_default();
        memory.reserve(group.bytes());
        memory
    }

    /// Gives groups to threads while those have room.
    fn hand_out(&mut self) -> Result<(), BlockError> {
        while self.reading < self.depth * GROUPS_PER_THREAD {
            let Some(group) = self.batch.next() else { break };
            let memory = self.memory(&group);
            let pool = self.pool.get_or_insert_with(Pool::new);
            if pool.threads.len() < self.depth && pool.threads.len() <= self.reading {
                pool.grow(&self.file, self.align)?;
            }
            self.reading += 1;
            let gone = || BlockError::Stopped(io::Error::other("the threads that read have ended"));
            let sent = pool.jobs.as_ref().map(|jobs| jobs.send(Job { group, memory, result: Ok(()) }));
            sent.and_then(Result::ok).ok_or_else(gone)?;
        }
        Ok(())
    }

    /// Whether one read at most is wanted and none is under way.
    fn is_lone(&mut self) -> bool {
        let Some(group) = self.batch.next() else { return self.reading == 0 };
        let lone = self.reading == 0 && !self.batch.has_next();
        self.batch.put_back(group);
        lone
    }

    /// Takes a group that was read.
    fn take(&mut self, job: Job, arrived: &mut Arrived<'_>) -> usize {
        let Job { group, mut memory, result } = job;
        let handed = match result {
            Ok(()) => self.batch.finish(group, memory.bytes_mut(), arrived),
            Err(error) => self.batch.fail(group, error, arrived),
        };
        self.spare.push(memory);
        handed
    }
}

impl<F: ReadAt> Blocks for PreadBlocks<F> {
    fn submit(&mut self, token: u64, offset: u64, bytes: u32) {
        self.batch.submit(token, offset, bytes);
    }

    fn start(&mut self) -> Result<(), BlockError> {
        self.batch.plan();
        self.hand_out()
    }

    fn wait(&mut self, arrived: &mut Arrived<'_>) -> Result<(), BlockError> {
        self.batch.plan();
        let mut handed = self.batch.hand_over(arrived);
        while handed == 0
            && self.reading == 0
            && let Some(mut group) = self.batch.next()
        {
            if self.batch.has_next() && self.depth > 1 {
                self.batch.put_back(group);
                break;
            }
            let mut memory = self.memory(&group);
            let result = read(&*self.file, &mut group, memory.bytes_mut(), self.align);
            handed += self.take(Job { group, memory, result }, arrived);
        }
        self.hand_out()?;
        while self.reading > 0 {
            let Some(pool) = &self.pool else { break };
            let job = if handed == 0 { pool.done.recv().ok() } else { pool.done.try_recv().ok() };
            let Some(job) = job else { break };
            self.reading -= 1;
            handed += self.take(job, arrived);
            self.hand_out()?;
        }
        Ok(())
    }

    fn poll(&mut self, arrived: &mut Arrived<'_>) -> Result<(), BlockError> {
        self.batch.plan();
        self.batch.hand_over(arrived);
        if self.depth > 1 && !self.is_lone() {
            self.hand_out()?;
        }
        while let Some(job) = self.pool.as_ref().and_then(|pool| pool.done.try_recv().ok()) {
            self.reading -= 1;
            self.take(job, arrived);
            self.hand_out()?;
        }
        Ok(())
    }

    fn in_flight(&self) -> usize {
        self.batch.in_flight()
    }

    fn reads(&self) -> u64 {
        self.batch.reads()
    }
}

impl Pool {
    fn new() -> Self {
        let ((jobs, todo), (finished, done)) = (channel(), channel());
        Self { jobs: Some(jobs), todo: Arc::new(Mutex::new(todo)), done, finished, threads: Vec::new() }
    }

    /// One thread more. Without any the driver cannot go on; with some it does.
    fn grow<F: ReadAt>(&mut self, file: &Arc<F>, align: usize) -> Result<(), BlockError> {
        let (file, todo, finished) = (file.clone(), self.todo.clone(), self.finished.clone());
        let work = move || {
            loop {
                // The lock is held while waiting for a job, not while reading.
                let job = todo.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok(mut job) = job else { break };
                // A thread that went away with a job would leave the searching one waiting for ever.
                let work = AssertUnwindSafe(|| read(&*file, &mut job.group, job.memory.bytes_mut(), align));
                job.result = catch_unwind(work).unwrap_or_else(|_| Err(io::Error::other("what reads the file panicked")));
                if finished.send(job).is_err() {
                    break;
                }
            }
        };
        match std::thread::Builder::new().name("nearshore-read".to_owned()).stack_size(128 << 10).spawn(work) {
            Ok(thread) => self.threads.push(thread),
            Err(error) if self.threads.is_empty() => return Err(BlockError::Stopped(error)),
            Err(_) => {}
        }
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Reads a group until it is whole or the file ends.
fn read<F: ReadAt + ?Sized>(file: &F, group: &mut Group, memory: &mut [u8], align: usize) -> io::Result<()> {
    loop {
        let (at, offset, bytes) = group.rest(align);
        let result = file.read_at(&mut memory[at..at + bytes], offset);
        match group.took(result, align) {
            Step::Done => return Ok(()),
            Step::More => {}
            Step::Failed(error) => return Err(error),
        }
    }
}
