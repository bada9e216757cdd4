//! How far a command is, on standard error: a bar on a terminal, a line every ten seconds elsewhere, nothing with
//! `--quiet`.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::args::Common;

const LINE_EVERY: Duration = Duration::from_secs(10);
const DRAWS_A_SECOND: u8 = 8;

/// One command's progress. Shared by its threads.
pub(crate) struct Progress {
    state: Option<Mutex<State>>,
}

struct State {
    stage: String,
    since: Instant,
    said: Instant,
    bar: Option<ProgressBar>,
    terminal: bool,
}

impl Progress {
    pub(crate) fn new(common: &Common) -> Self {
        let now = Instant::now();
        let terminal = std::io::stderr().is_terminal();
        let state = State { stage: String::new(), since: now, said: now, bar: None, terminal };
        Self { state: (!common.quiet).then(|| Mutex::new(state)) }
    }

    /// `done` of `total` of this stage; a new name begins a new stage. Cheap when nothing is to be shown.
    pub(crate) fn tell(&self, stage: &str, done: u64, total: Option<u64>) {
        let Some(state) = &self.state else { return };
        // Another thread is telling: what it says is as good.
        let Ok(mut state) = state.try_lock() else { return };
        if state.stage != stage {
            state.begin(stage, total);
        }
        if let Some(bar) = &state.bar {
            bar.set_position(done);
        } else if !state.terminal && state.said.elapsed() >= LINE_EVERY {
            state.said = Instant::now();
            let took = state.since.elapsed().as_secs_f64();
            let rate = done as f64 / took.max(1e-9);
            let mut err = std::io::stderr().lock();
            let _ = match total {
                // A rate of nothing foretells nothing.
                Some(_) if done == 0 => Ok(()),
                Some(total) => {
                    let left = total.saturating_sub(done) as f64 / rate.max(1e-9);
                    writeln!(
                        err,
                        "{stage}: {done} of {total} ({:.0} %), {rate:.0} a second, {left:.0} s left",
                        100.0 * done as f64 / total.max(1) as f64
                    )
                }
                None => writeln!(err, "{stage}: {done}, {rate:.0} a second"),
            };
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
    fn begin(&mut self, stage: &str, total: Option<u64>) {
        self.end();
        self.stage = stage.to_owned();
        self.since = Instant::now();
        if self.terminal {
            let target = ProgressDrawTarget::stderr_with_hz(DRAWS_A_SECOND);
            // What gives way on a narrow terminal is the bar.
            let template = match total {
                Some(_) => "{msg:<9} {percent:>3} % {wide_bar} {rate}, {eta} left",
                None => "{msg:<9} {spinner} {human_pos}  {rate}",
            };
            let bar = ProgressBar::with_draw_target(total, target);
            if let Ok(style) = ProgressStyle::with_template(template) {
                let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
                    let _ = write!(out, "{:.0}/s", state.per_sec());
                };
                bar.set_style(style.with_key("rate", rate));
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
