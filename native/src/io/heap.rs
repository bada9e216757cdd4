//! What the allocator keeps of memory that is freed.

/// Has large blocks given back to the system as they are freed, whatever was freed before. glibc gives back from 128 KiB on at first, but takes
/// each larger one that is freed as a sign to keep such; a build, whose large blocks each live once, would hold up to 10 MiB for nothing.
///
/// To be called before other threads are there. Other allocators are left alone.
#[doc(hidden)]
pub fn give_back_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: sets a number of the allocator's, under its lock. The C library calls this unsafe only beside threads that allocate at the same
    // time; where these read the old number or the new one, both are sound.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 << 10);
    }
}
