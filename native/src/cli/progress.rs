//! How far a command is, on standard error: a bar on a terminal, a line every ten seconds elsewhere, nothing with
//! `--quiet`.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::args::Common;

const LINE_EVERY: Duration = Duration::from_secs(10);
const DRAWS_A_SECOND: u8 = 8;

/// A rate in few digits: large steps come less than once a second.
fn number(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.2}") } else { format!("{rate:.0}") }
}

/// What is said of a stage `took` after it was first told of, when `before` was done; nothing until there is a rate to foretell by.
fn line(stage: &str, before: u64, done: u64, total: Option<u64>, took: Duration) -> Option<String> {
    let rate = done.saturating_sub(before) as f64 / took.as_secs_f64().max(1e-9);
    let Some(total) = total else { return Some(format!("{stage}: {done}, {} a second", number(rate))) };
    let left = total.saturating_sub(done) as f64 / rate;
    let share = 100.0 * done as f64 / total.max(1) as f64;
    (rate > 0.0).then(|| format!("{stage}: {done} of {total} ({share:.0} %), {} a second, {left:.0} s left", number(rate)))
}

/// One command's progress. Shared by its threads.
pub(crate) struct Progress {
    state: Option<Mutex<State>>,
}

struct State {
    stage: String,
    since: Instant,
    /// What was done when the stage was first told of; how long that took is not known.
    before: u64,
    said: Instant,
    bar: Option<ProgressBar>,
    terminal: bool,
}

impl Progress {
    pub(crate) fn new(common: &Common) -> Self {
        let now = Instant::now();
        let terminal = std::io::stderr().is_terminal();
        let state = State { stage: String::new(), since: now, before: 0, said: now, bar: None, terminal };
        Self { state: (!common.quiet).then(|| Mutex::new(state)) }
    }

    /// `done` of `total` of this stage; a new name begins a new stage. Cheap when nothing is to be shown.
    pub(crate) fn tell(&self, stage: &str, done: u64, total: Option<u64>) {
        let Some(state) = &self.state else { return };
        // Another thread is telling: what it says is as good.
        let Ok(mut state) = state.try_lock() else { return };
        if state.stage != stage {
            state.begin(stage, done, total);
        }
        if let Some(bar) = &state.bar {
            bar.set_position(done);
        } else if !state.terminal && state.said.elapsed() >= LINE_EVERY {
            state.said = Instant::now();
            if let Some(line) = line(stage, state.before, done, total, state.since.elapsed()) {
                let _ = writeln!(std::io::stderr().lock(), "{line}");
            }
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(state) = &self.state {
            state.lock().unwrap_or_else(PoisonError::into_inner).end();
        }
    }
}

impl State {
    fn begin(&mut self, stage: &str, done: u64, total: Option<u64>) {
        self.end();
        self.stage = stage.to_owned();
        (self.since, self.before) = (Instant::now(), done);
        if self.terminal {
            let target = ProgressDrawTarget::stderr_with_hz(DRAWS_A_SECOND);
            // What gives way on a narrow terminal is the bar.
            let template = match total {
                Some(_) => "{msg:<9} {percent:>3} % {wide_bar} {rate}, {left} left",
                None => "{msg:<9} {spinner} {human_pos}  {rate}",
            };
            let bar = ProgressBar::with_draw_target(total, target);
            if let Ok(style) = ProgressStyle::with_template(template) {
                let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
                    let _ = write!(out, "{:.0}/s", state.per_sec());
                };
                // Nothing is foretold before there is a rate.
                let left = |state: &ProgressState, out: &mut dyn fmt::Write| {
                    let _ = if state.per_sec() > 0.0 { write!(out, "{:#}", HumanDuration(state.eta())) } else { out.write_str("?") };
                };
                bar.set_style(style.with_key("rate", rate).with_key("left", left));
            }
            bar.set_message(self.stage.clone());
            self.bar = Some(bar);
        }
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.stage.clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_before_the_clock_ran_counts_for_no_rate() {
        let after = |before, done| line("clustering", before, done, Some(10), Duration::from_secs(200));
        assert_eq!(after(1, 1), None);
        assert_eq!(after(1, 3).as_deref(), Some("clustering: 3 of 10 (30 %), 0.01 a second, 700 s left"));
        assert_eq!(line("reading", 0, 500, None, Duration::from_secs(2)).as_deref(), Some("reading: 500, 250 a second"));
    }
}
