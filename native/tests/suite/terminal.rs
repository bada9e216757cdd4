//! What a person sees who watches a build, and who has had enough of it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Ran, Sandbox, fbin, numbers};
use rustix::process::{Pid, Signal, kill_process};

const DIMENSIONS: usize = 8;
const ROWS: usize = 6_000;

/// Takes the cursor to the start of a line and empties it.
const CLEAR: &str = "\r\u{1b}[2K";

fn with_input() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("base.fbin", &fbin(DIMENSIONS, &numbers(ROWS * DIMENSIONS, 1)));
    sandbox
}

/// A build on a terminal of so many columns, and all that it writes there; `None` where no `script` plays the terminal.
fn on_a_terminal(sandbox: &Sandbox, columns: usize, tail: &str) -> Option<String> {
    let binary = env!("CARGO_BIN_EXE_nearshore");
    let line = format!("stty cols {columns} rows 24; {tail} {binary} build base.fbin -o base.shore --force --threads 1");
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).current_dir(sandbox.path("")).stdin(Stdio::null());
    match command.output() {
        Ok(output) => Some(String::from_utf8(output.stdout).unwrap()),
        Err(_) => {
            eprintln!("not tested: `script` (util-linux) is not there to play the terminal");
            None
        }
    }
}

#[test]
fn a_bar_moves_in_one_line_and_leaves_no_trace() {
    let sandbox = with_input();
    for columns in [40, 100] {
        let Some(seen) = on_a_terminal(&sandbox, columns, "") else { return };
        let (bar, summary) = seen.rsplit_once(CLEAR).unwrap_or_else(|| panic!("never cleared: {seen:?}"));
        assert!(summary.starts_with("base.shore: 6000 rows x 8 dimensions") && !summary.contains('\u{1b}'), "{summary:?}");
        let draws: Vec<&str> = bar.split(CLEAR).filter(|draw| draw.starts_with("linking")).collect();
        assert!(draws.windows(2).any(|pair| pair[0] != pair[1]), "it stands still: {draws:?}");
        for draw in draws {
            assert!(draw.chars().count() <= columns && !draw.contains('\n'), "{columns} columns: {draw:?}");
            let rate = draw.rsplit(' ').find(|word| word.ends_with("/s,")).unwrap_or_else(|| panic!("no rate: {draw:?}"));
            assert!(rate.trim_end_matches("/s,").bytes().all(|byte| byte.is_ascii_digit()), "{draw:?}");
            // And when it will be over.
            let left = draw.trim_end().strip_suffix(" left").unwrap_or_else(|| panic!("nothing says what is left: {draw:?}"));
            let left = left.rsplit(' ').next().unwrap_or_default();
            let foretold = left.ends_with('s') && left.starts_with(|first: char| first.is_ascii_digit());
            assert!(if rate == "0/s," { left == "?" || foretold } else { foretold }, "{draw:?}");
        }
    }
}

#[test]
fn searches_whose_blocks_are_read_tell_how_far_they_are() {
    let sandbox = with_input();
    sandbox.run("build base.fbin -o disk.shore --tier disk --ef-construction 40 --quiet").ok();
    let binary = env!("CARGO_BIN_EXE_nearshore");
    let line = format!("stty cols 80 rows 24; {binary} search disk.shore --queries base.fbin --driver pread > /dev/null");
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).current_dir(sandbox.path("")).stdin(Stdio::null());
    let Ok(output) = command.output() else { return };
    let seen = String::from_utf8(output.stdout).unwrap();
    let (bar, rest) = seen.rsplit_once(CLEAR).unwrap_or_else(|| panic!("never cleared: {seen:?}"));
    assert!(output.status.success() && bar.split(CLEAR).any(|draw| draw.starts_with("searching")) && rest.is_empty(), "{seen:?}");
}

#[test]
fn an_interrupted_bar_gives_its_line_to_the_message() {
    let sandbox = with_input();
    let Some(seen) = on_a_terminal(&sandbox, 80, "timeout --foreground --signal INT 0.7") else { return };
    // On a machine so fast or so busy that the signal came after the end or before the beginning there is nothing to see.
    if !seen.is_empty() && !seen.contains("6000 rows") {
        let (_, message) = seen.rsplit_once(CLEAR).unwrap_or_else(|| panic!("never cleared: {seen:?}"));
        assert_eq!(message, "nearshore: interrupted; nothing partial is left\r\n");
        assert_eq!(sandbox.names(), ["base.fbin"]);
    }
}

#[test]
fn an_interrupted_build_ends_with_130_and_leaves_nothing() {
    let sandbox = with_input();
    let child = sandbox.command("build base.fbin -o base.shore --ef-construction 6000 --m 64".split(' ')).spawn().unwrap();
    let begun = Instant::now();
    // The partial file is the first thing that a build makes.
    while sandbox.names().len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(60), "no build began");
        std::thread::sleep(Duration::from_millis(5));
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(130), "nearshore: interrupted; nothing partial is left\n"));
    assert_eq!(sandbox.names(), ["base.fbin"]);
}
