//! Ctrl-C and its relatives: whatever the program does at that moment, it removes what it has begun and ends. A server,
//! and a measurement that can be cut short, are asked to stop first; the second signal ends them all the same.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use nearshore::io::remove_partial_files;
use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGTERM};
use signal_hook::iterator::Signals;

/// What the first signal does instead of ending the program.
static GRACEFUL: Mutex<Option<Box<dyn FnOnce() + Send>>> = Mutex::new(None);

/// What is left when a signal ends the program.
static LEFT: Mutex<&str> = Mutex::new("nothing partial is left");

/// Says that what was done stays, to be gone on with.
pub(crate) fn say_that_work_is_kept() {
    *LEFT.lock().unwrap_or_else(PoisonError::into_inner) = "what was done is kept, and the same command goes on from there";
}

/// Has `stop` called by the first of those signals; the one after it ends the program.
pub(crate) fn stop_gracefully(stop: impl FnOnce() + Send + 'static) {
    *GRACEFUL.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(stop));
}

/// Ends the program on SIGINT (exit code 130), SIGTERM and SIGHUP (128 + their number).
pub(crate) fn install() {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let stop = GRACEFUL.lock().ok().and_then(|mut stop| stop.take());
            if let Some(stop) = stop {
                stop();
                continue;
            }
            remove_partial_files();
            let mut err = std::io::stderr().lock();
            // On a terminal a progress bar stands in this line, and the echo of Ctrl-C behind it.
            let clear = if err.is_terminal() { "\r\x1b[2K" } else { "" };
            let left = LEFT.lock().map_or("", |left| *left);
            let _ = writeln!(err, "{clear}nearshore: interrupted; {left}");
            std::process::exit(128 + signal);
        }
    });
}

/// Ends the program as the reader of its output expects who has closed the pipe (`nearshore info x | head -1`).
pub(crate) fn end_by_closed_pipe() -> ! {
    remove_partial_files();
    let _ = signal_hook::low_level::emulate_default_handler(SIGPIPE);
    std::process::exit(128 + SIGPIPE)
}
