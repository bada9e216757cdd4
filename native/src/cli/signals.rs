//! Ctrl-C and its relatives: whatever the program does at that moment, it removes what it has begun and ends.

use std::io::{IsTerminal, Write};

use nearshore::io::remove_partial_files;
use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGTERM};
use signal_hook::iterator::Signals;

/// Ends the program on SIGINT (exit code 130), SIGTERM and SIGHUP (128 + their number).
pub(crate) fn install() {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            remove_partial_files();
            let mut err = std::io::stderr().lock();
            // On a terminal a progress bar stands in this line, and the echo of Ctrl-C behind it.
            let clear = if err.is_terminal() { "\r\x1b[2K" } else { "" };
            let _ = writeln!(err, "{clear}nearshore: interrupted; nothing partial is left");
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
