//! What the steps of `cargo xtask test` reported: counts, times, failures, and the closing line.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::count::{Counts, counts};
use crate::process::Process;

/// A step: what it is called, which steps must have succeeded before, whether only `--full` runs it, what it does.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) needs: &'static [&'static str],
    pub(crate) full: bool,
    pub(crate) run: fn(&mut Tally) -> Result<()>,
}

/// The sum so far.
#[derive(Default)]
pub(crate) struct Tally {
    /// Whether the run is one of `--full`.
    pub(crate) full: bool,
    counts: Counts,
    failures: Vec<String>,
    times: Vec<(&'static str, Duration, bool)>,
}

impl Tally {
    /// Runs one step, says how it went and how long it took. A failure is noted and does not stop the next step.
    pub(crate) fn step(&mut self, step: &Step) {
        println!("\n== {}", step.name);
        let (start, before) = (Instant::now(), self.counts);
        let failed = step.needs.iter().find(|name| self.times.iter().any(|(done, _, ok)| done == *name && !ok));
        let result = match failed {
            Some(name) => Err(anyhow::anyhow!("not run, because {name} failed")),
            None => (step.run)(self),
        };
        let time = start.elapsed();
        match &result {
            Ok(()) if self.counts == before => self.counts.passed += 1,
            Ok(()) => {}
            Err(error) => {
                self.failures.push(format!("{}: {error:#}", step.name));
                if self.counts.failed == before.failed {
                    self.counts.failed += 1;
                }
            }
        }
        println!("== {}: {} in {:.1} s", step.name, verdict(result.is_ok()), time.as_secs_f64());
        self.times.push((step.name, time, result.is_ok()));
    }

    /// Runs a test runner and adds its counts.
    ///
    /// # Errors
    /// When it fails, or reports nothing that passed.
    pub(crate) fn runner(&mut self, process: Process) -> Result<()> {
        let shown = process.shown().to_owned();
        let (success, text) = process.tee()?;
        self.reported(&shown, success, &text)
    }

    /// Adds what a test runner printed.
    fn reported(&mut self, shown: &str, success: bool, text: &str) -> Result<()> {
        let found = counts(text);
        self.counts += found;
        if !success || found.failed > 0 {
            bail!("`{shown}` failed");
        }
        if found.passed == 0 {
            bail!("`{shown}` reported no test that passed");
        }
        Ok(())
    }

    /// Adds checks that passed outside a runner.
    pub(crate) fn passed(&mut self, checks: u64) {
        self.counts.passed += checks;
    }

    /// The table of times, the failures, the closing line. The line stays the last one: the exit code says the rest.
    ///
    /// # Errors
    /// Never; a run with failures ends the process with status 1.
    pub(crate) fn close(&self) -> Result<()> {
        println!();
        for (name, time, ok) in &self.times {
            println!("{:20} {:>8.1} s  {}", name, time.as_secs_f64(), verdict(*ok));
        }
        println!("{:20} {:>8.1} s", "all", self.times.iter().map(|(_, time, _)| time.as_secs_f64()).sum::<f64>());
        if self.counts.skipped > 0 {
            println!("{} tests were left out by their runners", self.counts.skipped);
        }
        for failure in &self.failures {
            println!("failed: {failure}");
        }
        println!("{} passed, {} failed", self.counts.passed, self.counts.failed);
        if self.failures.is_empty() { Ok(()) } else { std::process::exit(1) }
    }
}

fn verdict(ok: bool) -> &'static str {
    if ok { "ok" } else { "FAILED" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &'static str, needs: &'static [&'static str], run: fn(&mut Tally) -> Result<()>) -> Step {
        Step { name, needs, full: false, run }
    }

    #[test]
    fn a_step_counts_once_or_as_its_runner_says() {
        let mut tally = Tally::default();
        tally.step(&step("check", &[], |_| Ok(())));
        tally.step(&step("runner", &[], |tally| tally.reported("r", true, "# pass 4")));
        assert_eq!(tally.counts, Counts { passed: 5, failed: 0, skipped: 0 });
    }

    #[test]
    fn a_failure_does_not_stop_the_next_step_unless_it_needs_it() {
        let mut tally = Tally::default();
        tally.step(&step("a", &[], |_| bail!("no")));
        tally.step(&step("b", &["a"], |_| Ok(())));
        tally.step(&step("c", &[], |_| Ok(())));
        assert_eq!(tally.counts, Counts { passed: 1, failed: 2, skipped: 0 });
        assert_eq!(tally.failures, ["a: no", "b: not run, because a failed"]);
    }

    #[test]
    fn a_runner_that_fails_or_is_silent_is_a_failure() {
        let mut tally = Tally::default();
        tally.step(&step("silent", &[], |tally| tally.reported("r", true, "")));
        tally.step(&step("failing", &[], |tally| tally.reported("r", false, "# pass 1\n# fail 2")));
        assert_eq!(tally.counts, Counts { passed: 1, failed: 3, skipped: 0 });
    }
}
