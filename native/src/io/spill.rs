//! An allocator whose large blocks can lie in files instead of memory.
//!
//! A build of more rows than memory holds needs arrays that grow with the rows: orders, lists, codes. They are walked mostly from front to
//! back, so a map of a file serves, of which the system keeps in memory what it has room for. Instead of a second kind of array for each of
//! them, a program installs [`SpillingAllocator`] and says when: while a [`Spill`] lives, every block of [`BLOCK_MIN`] bytes or more is a
//! shared map of a file without a name. What every build does stays the same code, in memory or not.
//!
//! Space is claimed when a block is made, so a full disk is found then and not by a signal at the first touch. An allocator cannot return
//! an error; the program says what is to be done ([`Spill::begin`]).

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// The smallest block that goes to a file.
pub const BLOCK_MIN: usize = 1 << 20;

/// Blocks in files at once; further ones stay in memory.
const BLOCKS_MAX: usize = 4096;

/// The system's allocator, but for large blocks while a [`Spill`] lives.
#[derive(Debug)]
pub struct SpillingAllocator;

/// Where blocks in files begin; 0 is a free place.
static BLOCKS: [AtomicUsize; BLOCKS_MAX] = [const { AtomicUsize::new(0) }; BLOCKS_MAX];
/// How many there are.
static COUNT: AtomicUsize = AtomicUsize::new(0);
static ACTIVE: AtomicBool = AtomicBool::new(false);
static PLACE: Mutex<Option<Place>> = Mutex::new(None);

#[derive(Debug)]
struct Place {
    folder: PathBuf,
    full: fn(&Path, &io::Error) -> !,
}

/// As long as it lives, large blocks lie in files. Does nothing in a program that has not installed [`SpillingAllocator`].
#[derive(Debug)]
pub struct Spill(());

impl Spill {
    /// Begins to put large blocks into files of `folder`. Where that fails `full` is called with the folder and the reason, and ends the program.
    #[must_use]
    pub fn begin(folder: &Path, full: fn(&Path, &io::Error) -> !) -> Self {
        *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = Some(Place { folder: folder.to_owned(), full });
        ACTIVE.store(true, Ordering::Release);
        Self(())
    }

    /// Runs `work` with all new blocks in memory. Blocks that lie in files stay there.
    pub fn paused<R>(&self, work: impl FnOnce() -> R) -> R {
        struct Again;
        impl Drop for Again {
            fn drop(&mut self) {
                ACTIVE.store(true, Ordering::Release);
            }
        }
        ACTIVE.store(false, Ordering::Release);
        let _again = Again;
        work()
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        ACTIVE.store(false, Ordering::Release);
        *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn is_large(layout: Layout) -> bool {
    layout.size() >= BLOCK_MIN && layout.align() <= 4096
}

/// A new block of zeros in a file; null where blocks are to be in memory.
fn spilled(layout: Layout) -> *mut u8 {
    if !is_large(layout) || !ACTIVE.load(Ordering::Acquire) {
        return ptr::null_mut();
    }
    // What is allocated under the lock is small and so does not come back here.
    let place = PLACE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(Place { folder, full }) = &*place else { return ptr::null_mut() };
    let Some(free) = BLOCKS.iter().find(|block| block.load(Ordering::Relaxed) == 0) else { return ptr::null_mut() };
    match map_new(folder, layout.size()) {
        Ok(block) => {
            free.store(block as usize, Ordering::Release);
            COUNT.fetch_add(1, Ordering::Release);
            block
        }
        Err(error) => full(folder, &error),
    }
}

/// Maps a new file without a name, whose space is claimed.
fn map_new(folder: &Path, bytes: usize) -> io::Result<*mut u8> {
    let file = tempfile::tempfile_in(folder)?;
    claim(&file, bytes as u64)?;
    // SAFETY: a new map, at a place that the kernel chooses, of a file that nothing else knows.
    let block = unsafe { mmap(ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, &file, 0) }?;
    Ok(block.cast())
}

/// Makes `file` this long, with space on the disk for all of it where the file system can promise that.
pub(crate) fn claim(file: &File, bytes: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    loop {
        match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => break,
            Err(error) => return Err(error.into()),
        }
    }
    file.set_len(bytes)
}

/// Frees `block` if it lies in a file; whether it did.
fn free(block: *mut u8, layout: Layout) -> bool {
    if !is_large(layout) || COUNT.load(Ordering::Acquire) == 0 {
        return false;
    }
    let Some(place) = BLOCKS.iter().find(|place| place.load(Ordering::Acquire) == block as usize) else { return false };
    place.store(0, Ordering::Release);
    COUNT.fetch_sub(1, Ordering::Release);
    // SAFETY: the block is a map of this length (the list holds no others, each once), and its owner gives it up.
    let _ = unsafe { munmap(block.cast(), layout.size()) };
    true
}

// SAFETY: blocks are either those of the system's allocator, under its own contract, or maps of at least their layout's size whose
// alignment is a page's; `free` and `realloc` tell them apart by a list of the maps.
unsafe impl GlobalAlloc for SpillingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = spilled(layout);
        // SAFETY: the caller's promise about `layout` is passed on.
        if block.is_null() { unsafe { System.alloc(layout) } } else { block }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let block = spilled(layout);
        // SAFETY: as above; a new file reads as zeros.
        if block.is_null() { unsafe { System.alloc_zeroed(layout) } } else { block }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if !free(block, layout) {
            // SAFETY: no map, so the system's allocator gave it.
            unsafe { System.dealloc(block, layout) }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that `size` is not zero and does not overflow when rounded up to the alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        let here = is_large(layout)
            && COUNT.load(Ordering::Acquire) > 0
            && BLOCKS.iter().any(|place| place.load(Ordering::Acquire) == block as usize);
        let goes = is_large(wanted) && ACTIVE.load(Ordering::Acquire);
        if !here && !goes {
            // SAFETY: no map, so the system's allocator gave it.
            return unsafe { System.realloc(block, layout, size) };
        }
        // SAFETY: both blocks are valid for what is copied, and a new block lies apart from an old one.
        unsafe {
            let new = self.alloc(wanted);
            if !new.is_null() {
                ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                self.dealloc(block, layout);
            }
            new
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The one test that begins: what it sets is the program's.
    #[test]
    fn large_blocks_lie_in_files_while_asked_for_and_keep_what_they_hold() {
        fn full(folder: &Path, error: &io::Error) -> ! {
            panic!("{}: {error}", folder.display())
        }
        let folder = tempfile::tempdir().unwrap();
        let large = Layout::from_size_align(3 * BLOCK_MIN, 64).unwrap();
        let small = Layout::from_size_align(BLOCK_MIN - 1, 8).unwrap();
        let listed = |block: *mut u8| BLOCKS.iter().any(|place| place.load(Ordering::Relaxed) == block as usize);
        let all = SpillingAllocator;
        // SAFETY: every block is freed once, with the layout that it has, and written inside it.
        unsafe {
            let before = all.alloc_zeroed(large);
            assert!(!listed(before));
            let spill = Spill::begin(folder.path(), full);
            let (block, few) = (all.alloc_zeroed(large), all.alloc(small));
            assert!(listed(block) && !listed(few));
            assert_eq!(block.add(large.size() - 1).read(), 0);
            block.add(BLOCK_MIN).write(7);
            let inside = spill.paused(|| all.alloc(large));
            assert!(!listed(inside));
            let grown = all.realloc(block, large, 5 * BLOCK_MIN);
            let wide = Layout::from_size_align(5 * BLOCK_MIN, 64).unwrap();
            assert!(listed(grown) && grown.add(BLOCK_MIN).read() == 7);
            drop(spill);
            let shrunk = all.realloc(grown, wide, 2 * BLOCK_MIN);
            assert!(!listed(shrunk) && !listed(grown) && shrunk.add(BLOCK_MIN).read() == 7);
            all.dealloc(shrunk, Layout::from_size_align(2 * BLOCK_MIN, 64).unwrap());
            [before, inside].into_iter().for_each(|block| all.dealloc(block, large));
            all.dealloc(few, small);
        }
        assert_eq!(COUNT.load(Ordering::Relaxed), 0);
    }
}
