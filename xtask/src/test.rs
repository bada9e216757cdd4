//! `cargo xtask test`: everything that a change can break, as a list of steps.
//!
//! Each step is named, timed and counted. A failing step does not stop the others; the failures are listed at the end, and the very
//! last line says `N passed, M failed`. The numbers are the sums of what the test runners reported; a step without a runner of its own
//! (formatting, lints) is one check.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::args::Arguments;
use crate::count::{Counts, counts};
use crate::process::{Process, cargo};
use crate::{setup, tidy};

/// The options of this task.
pub(crate) const OPTIONS: &[(&str, &str)] =
    &[("--only WORD", "run only the steps whose name contains WORD"), ("--list", "name the steps and end")];

/// A named step; what it does is given the means to run test runners.
type Step = (&'static str, fn(&mut Tally) -> Result<()>);

/// Every step, cheap before dear, so that a slip shows early.
const STEPS: &[Step] =
    &[("tidy", |_| tidy::check()), ("format", format), ("lints", lints), ("targets", targets), ("docs", docs), ("crates", crates)];

/// What the steps have reported so far.
#[derive(Default)]
pub(crate) struct Tally {
    counts: Counts,
    failures: Vec<String>,
    times: Vec<(&'static str, Duration, bool)>,
}

pub(crate) fn run(arguments: &mut Arguments) -> Result<()> {
    let list = arguments.flag("--list");
    let only = arguments.value("--only")?;
    arguments.end()?;
    let chosen = STEPS.iter().filter(|(name, _)| only.as_ref().is_none_or(|word| name.contains(word.as_str())));
    if list {
        chosen.for_each(|(name, _)| println!("{name}"));
        return Ok(());
    }
    let mut tally = Tally::default();
    for &(name, step) in chosen {
        tally.step(name, step);
    }
    tally.close()
}

fn format(_: &mut Tally) -> Result<()> {
    cargo(&["fmt", "--all", "--check"]).run()
}

fn lints(_: &mut Tally) -> Result<()> {
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]).run()
}

/// The core without a standard library, for every kind of machine it meets.
fn targets(_: &mut Tally) -> Result<()> {
    setup::targets()?;
    for (target, flags) in [(setup::WASM, "-Ctarget-feature=+simd128"), (setup::WASM, ""), (setup::ARM, "")] {
        cargo(&["check", "--quiet", "-p", "nearshore-core", "--no-default-features", "--target", target]).env("RUSTFLAGS", flags).run()?;
    }
    Ok(())
}

/// The documentation of every crate, private items included, with each link in it.
fn docs(_: &mut Tally) -> Result<()> {
    cargo(&["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"])
        .env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private-intra-doc-links")
        .run()
}

fn crates(tally: &mut Tally) -> Result<()> {
    tally.runner(cargo(&["test", "--workspace", "--no-fail-fast"]))
}

impl Tally {
    /// Runs one step, says how it went and how long it took.
    fn step(&mut self, name: &'static str, step: fn(&mut Self) -> Result<()>) {
        println!("\n== {name}");
        let (start, before) = (Instant::now(), self.counts);
        let result = step(self);
        let time = start.elapsed();
        let counted = self.counts != before;
        match &result {
            Ok(()) if !counted => self.counts.passed += 1,
            Ok(()) => {}
            Err(error) => {
                self.failures.push(format!("{name}: {error:#}"));
                if self.counts.failed == before.failed {
                    self.counts.failed += 1;
                }
            }
        }
        println!("== {name}: {} in {:.1} s", if result.is_ok() { "ok" } else { "FAILED" }, time.as_secs_f64());
        self.times.push((name, time, result.is_ok()));
    }

    /// Runs a test runner and adds its counts.
    ///
    /// # Errors
    /// When it fails, or reports nothing that ran.
    pub(crate) fn runner(&mut self, process: Process) -> Result<()> {
        let shown = process.shown().to_owned();
        let (success, text) = process.tee()?;
        let found = counts(&text);
        self.counts += found;
        if !success || found.failed > 0 {
            bail!("`{shown}` failed");
        }
        if found.passed == 0 {
            bail!("`{shown}` reported no test that passed");
        }
        Ok(())
    }

    /// The table of times, the failures, the closing line.
    fn close(&self) -> Result<()> {
        println!();
        for (name, time, ok) in &self.times {
            println!("{:24} {:>8.1} s  {}", name, time.as_secs_f64(), if *ok { "ok" } else { "FAILED" });
        }
        println!("{:24} {:>8.1} s", "all", self.times.iter().map(|(_, time, _)| time.as_secs_f64()).sum::<f64>());
        if self.counts.skipped > 0 {
            println!("{} tests were left out by their runners", self.counts.skipped);
        }
        for failure in &self.failures {
            println!("failed: {failure}");
        }
        println!("{} passed, {} failed", self.counts.passed, self.counts.failed);
        // The closing line stays the last one: the exit code says the rest.
        if self.failures.is_empty() { Ok(()) } else { std::process::exit(1) }
    }
}
