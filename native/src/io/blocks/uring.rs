//! `io_uring`: many reads in flight from one thread, without a thread for each.
//!
//! One ring belongs to one driver and so to one thread, which creates it: the kernel then need not guard it against others
//! (`SINGLE_ISSUER`, Linux 6.0) and leaves its own part of a completion to the moment when that thread waits
//! (`DEFER_TASKRUN`, 6.1). The file and the memory of the slots are registered where the kernel allows (`RLIMIT_MEMLOCK`
//! bounds the latter), which spares each read a lookup and the pinning of its pages.
//!
//! ```text
//! groups --> slot 0 | slot 1 | ... | slot depth-1     a slot: 16 KiB of the registered room, or memory of its own for more
//!              '--- submission queue: an entry a slot at most, so it never overflows
//! ```

use std::fs::File;
use std::io::{self, ErrorKind};
use std::marker::PhantomData;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use io_uring::{IoUring, opcode, squeue, types};

use super::batch::{Batch, Group, Step};
use super::ladder::{Part, Refusal};
use super::merge::Merging;
use super::pages::Pages;
use super::{Arrived, BlockError, Blocks};

/// Bytes of a slot: four blocks of a page. 64 slots are then 1 MiB of memory locked by each thread, and common limits are 8 MiB.
const SLOT_BYTES: usize = 16 << 10;

/// Reads in flight at most. Beyond this a queue only adds waiting.
const DEPTH_MAX: usize = 256;

/// Times in a row that the kernel may be too busy to take anything before that counts as an error.
const BUSY_MAX: u32 = 10_000;

/// How long to wait for a kernel that is too busy.
const BUSY_PAUSE: Duration = Duration::from_micros(100);

/// Blocks by `io_uring`. Made on the thread that uses it.
pub struct UringBlocks {
    // Dropped first: it refers to the memory below. `Drop` has waited for its reads before.
    ring: IoUring,
    file: Arc<File>,
    batch: Batch,
    align: usize,
    room: Pages,
    slots: Vec<Slot>,
    free: Vec<u16>,
    registered_file: bool,
    registered_room: bool,
    /// The kernel takes reads from the thread that made the ring alone, so this is not `Send`.
    stays: PhantomData<*const ()>,
}

/// A read, or none.
#[derive(Default)]
struct Slot {
    group: Option<Group>,
    /// For what the slot's part of the room cannot hold.
    own: Pages,
}

impl UringBlocks {
    /// A ring with room for `depth` reads of `file`, which has `file_bytes`. Reads are merged as `rules` say, with 4,096 as
    /// `align` for a file that is read around the page cache. What the kernel refused without need is in the list.
    ///
    /// # Errors
    /// What the kernel says: `EPERM` or `ENOSYS` where rings are forbidden or unknown.
    pub fn new(file: Arc<File>, file_bytes: u64, rules: Merging, depth: usize) -> io::Result<(Self, Vec<Refusal>)> {
        let depth = depth.clamp(1, DEPTH_MAX);
        let ring = create(depth as u32)?;
        let mut room = Pages::zeroed(depth * SLOT_BYTES);
        let mut refusals = Vec::new();
        let mut note = |part, result: io::Result<()>| result.map_err(|error| refusals.push(Refusal::new(part, error))).is_ok();
        let registered_file = note(Part::RegisteredFile, ring.submitter().register_files(&[file.as_raw_fd()]));
        let whole = libc::iovec { iov_base: room.pointer().cast(), iov_len: room.len() };
        // SAFETY: the room lives as long as the ring: both belong to the value made below, whose `Drop` lets go of the room only
        // after every read has ended, and which never lets the room grow, so it stays in its place.
        let registered_room = note(Part::RegisteredBuffers, unsafe { ring.submitter().register_buffers(&[whole]) });
        let slots = (0..depth).map(|_| Slot::default()).collect();
        let free = (0..depth as u16).rev().collect();
        let (batch, align) = (Batch::new(rules, file_bytes), rules.align as usize);
        Ok((Self { ring, file, batch, align, room, slots, free, registered_file, registered_room, stays: PhantomData }, refusals))
    }

    /// Whether the file, and the memory of the slots, are registered with the ring.
    #[cfg(test)]
    pub(super) fn registered(&self) -> (bool, bool) {
        (self.registered_file, self.registered_room)
    }

    /// Reads of groups under way.
    fn flying(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Puts groups into free slots.
    fn fill(&mut self) -> Result<(), BlockError> {
        while !self.free.is_empty()
            && let Some(group) = self.batch.next()
            && let Some(at) = self.free.pop()
        {
            if group.bytes() > SLOT_BYTES {
                // No read of this slot is under way, so its memory may move.
                self.slots[usize::from(at)].own.reserve(group.bytes());
            }
            self.slots[usize::from(at)].group = Some(group);
            self.push(at)?;
        }
        Ok(())
    }

    /// The memory of a slot's group, and whether it lies in the room.
    fn memory(&mut self, at: u16) -> (*mut u8, bool) {
        let slot = &mut self.slots[usize::from(at)];
        match &slot.group {
            Some(group) if group.bytes() > SLOT_BYTES => (slot.own.pointer(), false),
            // SAFETY: the room has a part of `SLOT_BYTES` for each slot, and `at` is the number of one.
            _ => (unsafe { self.room.pointer().add(usize::from(at) * SLOT_BYTES) }, true),
        }
    }

    /// Queues the next read of a slot's group.
    fn push(&mut self, at: u16) -> Result<(), BlockError> {
        let (memory, in_room) = self.memory(at);
        let Some(group) = &self.slots[usize::from(at)].group else { return Ok(()) };
        let (done, offset, bytes) = group.rest(self.align);
        // SAFETY: the memory of a group has at least `group.bytes()`, and `done` is at most that.
        let memory = unsafe { memory.add(done) };
        // What is cut off here comes back as a short read does.
        let bytes = u32::try_from(bytes).unwrap_or(1 << 30);
        let fixed = in_room && self.registered_room;
        let descriptor = types::Fd(self.file.as_raw_fd());
        let entry = match (fixed, self.registered_file) {
            (true, true) => opcode::ReadFixed::new(types::Fixed(0), memory, bytes, 0).offset(offset).build(),
            (true, false) => opcode::ReadFixed::new(descriptor, memory, bytes, 0).offset(offset).build(),
            (false, true) => opcode::Read::new(types::Fixed(0), memory, bytes).offset(offset).build(),
            (false, false) => opcode::Read::new(descriptor, memory, bytes).offset(offset).build(),
        };
        let queued = self.queue(&entry.user_data(u64::from(at)));
        if queued.is_err() {
            // No completion will free it.
            self.slots[usize::from(at)].group = None;
            self.free.push(at);
        }
        queued
    }

    fn queue(&mut self, entry: &squeue::Entry) -> Result<(), BlockError> {
        for _ in 0..BUSY_MAX {
            // SAFETY: the entry reads into memory of a slot, at most as much as is there. That memory neither moves nor is
            // looked at nor goes away before the read has ended: a slot is free, or its memory grown, only after its
            // completion was taken, and `Drop` waits for all or leaks it. The file is open as long.
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                return Ok(());
            }
            // Full: make room.
            self.enter(0)?;
        }
        Err(BlockError::Stopped(ErrorKind::ResourceBusy.into()))
    }

    /// Gives the kernel what is queued, and waits for `completions`.
    fn enter(&mut self, completions: usize) -> Result<(), BlockError> {
        let mut busy = 0;
        while busy < BUSY_MAX {
            match self.ring.submit_and_wait(completions) {
                Ok(_) => return Ok(()),
                // A signal, which says nothing of the ring.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EBUSY)) => {
                    // Completions must be taken before there is room for more.
                    if !self.ring.completion().is_empty() {
                        return Ok(());
                    }
                    busy += 1;
                    std::thread::sleep(BUSY_PAUSE);
                }
                Err(error) => return Err(BlockError::Stopped(error)),
            }
        }
        Err(BlockError::Stopped(ErrorKind::ResourceBusy.into()))
    }

    /// Takes every completion that is there; says how many blocks it handed over.
    fn collect(&mut self, arrived: &mut Arrived<'_>) -> Result<usize, BlockError> {
        let mut handed = 0;
        loop {
            let Some(completion) = self.ring.completion().next() else { return Ok(handed) };
            let at = completion.user_data() as u16;
            let code = completion.result();
            let result = usize::try_from(code).map_err(|_| io::Error::from_raw_os_error(-code));
            let (memory, _) = self.memory(at);
            let Some(mut group) = self.slots[usize::from(at)].group.take() else { continue };
            match group.took(result, self.align) {
                Step::More => {
                    self.slots[usize::from(at)].group = Some(group);
                    self.push(at)?;
                }
                // The slot is free before anybody looks at its bytes, so that a panic there leaves no slot that waits for ever.
                Step::Done => {
                    self.free.push(at);
                    // SAFETY: the slot's memory has that many bytes, zeroed when it was made; the kernel is done with them, and
                    // `fill` alone gives a free slot a group: not before this borrow ends.
                    let bytes = unsafe { std::slice::from_raw_parts(memory, group.bytes()) };
                    handed += self.batch.finish(group, bytes, arrived);
                }
                Step::Failed(error) => {
                    self.free.push(at);
                    handed += self.batch.fail(group, error, arrived);
                }
            }
        }
    }
}

impl Blocks for UringBlocks {
    fn submit(&mut self, token: u64, offset: u64, bytes: u32) {
        self.batch.submit(token, offset, bytes);
    }

    fn start(&mut self) -> Result<(), BlockError> {
        self.batch.plan();
        self.fill()?;
        if self.ring.submission().is_empty() { Ok(()) } else { self.enter(0) }
    }

    fn wait(&mut self, arrived: &mut Arrived<'_>) -> Result<(), BlockError> {
        self.batch.plan();
        let mut handed = self.batch.hand_over(arrived);
        self.fill()?;
        while handed == 0 && self.flying() > 0 {
            self.enter(1)?;
            handed += self.collect(arrived)?;
            self.fill()?;
        }
        self.start()
    }

    fn poll(&mut self, arrived: &mut Arrived<'_>) -> Result<(), BlockError> {
        self.start()?;
        self.batch.hand_over(arrived);
        self.collect(arrived)?;
        ask_while_more(
            self,
            |own| own.ring.submission().taskrun(),
            |own| {
                own.enter(0)?;
                let came = !own.ring.completion().is_empty();
                own.collect(arrived)?;
                Ok(came)
            },
        )?;
        self.start()
    }

    fn in_flight(&self) -> usize {
        self.batch.in_flight()
    }

    fn reads(&self) -> u64 {
        self.batch.reads()
    }
}

impl Drop for UringBlocks {
    fn drop(&mut self) {
        while self.flying() > 0 {
            if self.enter(1).is_err() {
                // The kernel may still write there, so it is nobody's from now on.
                std::mem::forget(std::mem::take(&mut self.room));
                self.slots.drain(..).for_each(std::mem::forget);
                return;
            }
            while let Some(completion) = self.ring.completion().next() {
                self.free.push(completion.user_data() as u16);
            }
        }
    }
}

/// Asks as long as there is said to be more and something comes. What ended becomes a completion when this thread asks for it, some twenty
/// at a time. The kernel marks the ring once the work is there: where the thread has done the work by then, the mark stays with nothing
/// behind it, until something else ends.
fn ask_while_more<T, E>(from: &mut T, is_more: impl Fn(&mut T) -> bool, mut ask: impl FnMut(&mut T) -> Result<bool, E>) -> Result<(), E> {
    while is_more(from) && ask(from)? {}
    Ok(())
}

/// A ring with the best settings that this kernel knows.
fn create(entries: u32) -> io::Result<IoUring> {
    let newest =
        IoUring::builder().setup_clamp().setup_submit_all().setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag().build(entries);
    let newest = newest.or_else(|error| {
        if unknown(&error) { IoUring::builder().setup_clamp().setup_coop_taskrun().setup_taskrun_flag().build(entries) } else { Err(error) }
    });
    newest.or_else(|error| if unknown(&error) { IoUring::builder().build(entries) } else { Err(error) })
}

/// Whether a kernel says that it does not know what is asked for.
fn unknown(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_with_nothing_behind_it_is_asked_once() {
        // What comes by each question; the mark stays behind the last.
        for (comes, questions) in [(vec![false], 1), (vec![true, true, false], 3)] {
            let mut asked = 0;
            let asks = ask_while_more(
                &mut asked,
                |_| true,
                |asked| {
                    *asked += 1;
                    comes.get(*asked - 1).copied().ok_or("asked again")
                },
            );
            assert_eq!((asks, asked), (Ok(()), questions));
        }
        let mut asked = 0;
        ask_while_more(
            &mut asked,
            |asked| *asked < 2,
            |asked| {
                *asked += 1;
                Ok::<_, BlockError>(true)
            },
        )
        .expect("it ends with the mark");
        assert_eq!(asked, 2);
    }
}
