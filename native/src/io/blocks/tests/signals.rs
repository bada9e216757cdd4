//! A thread that is interrupted while it waits: system calls end in `EINTR`.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Runs `work` while another thread interrupts this one again and again.
#[cfg(target_os = "linux")]
pub(crate) fn interrupted<R>(work: impl FnOnce() -> R) -> R {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: an action that is all zero but for its handler is whole: no flags, so system calls are not begun anew, and no signal blocked meanwhile.
    // The handler does nothing, which it may at any time.
    let thread = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()), 0);
        libc::pthread_self()
    };
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Relaxed) {
                // SAFETY: the scope ends after this thread, and the thread that is interrupted waits for the scope, so it is there.
                unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
                std::thread::sleep(std::time::Duration::from_micros(20));
            }
        });
        let ended = Ended(&over);
        let done = work();
        drop(ended);
        done
    })
}

/// Other systems have no rings to interrupt.
#[cfg(not(target_os = "linux"))]
pub(crate) fn interrupted<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// Ends the interruptions, by a panic too.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
