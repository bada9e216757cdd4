//! How many searches are worth having in flight: as few as keep the processor or the device busy.
//!
//! More of them are more reads for the device to order, until it or the processor is the limit; from there on each of them only waits longer.
//! Where that is depends on both, so it is tried out: twice as many while that answers clearly more a second, then the best of those, and now
//! and then anew from half of that. No answer depends on it.

use std::time::Duration;

/// Searches in flight on a thread at most, unless it is told.
pub(crate) const SEARCHES_MAX: usize = 64;

/// Where it begins.
const FIRST: usize = 4;
/// Searches by which a number is judged, at least; and for each in flight.
const LEAST: usize = 64;
const EACH: usize = 8;
/// What twice as many have to answer a second, to be better.
const GAIN: f64 = 1.05;
/// Doublings in a row that bring less: one may be chance.
const VAIN: u32 = 2;
/// Windows for which a number stays.
const STAYS: u32 = 32;

/// The number of one thread.
#[derive(Debug)]
pub(crate) struct Pace {
    now: usize,
    /// The best number since it was begun anew, and searches a second with that.
    best: (usize, f64),
    /// Doublings since that brought less.
    vain: u32,
    /// Windows for which the number stays; 0: it is being tried.
    stays: u32,
    /// Searches that ended in this window, less those that began under another number.
    ended: isize,
    began: Duration,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { now: FIRST, best: (FIRST, 0.0), vain: 0, stays: 0, ended: 0, began: Duration::ZERO }
    }

    /// Searches to have in flight.
    pub(crate) fn now(&self) -> usize {
        self.now
    }

    /// Takes that a search ended, so long after the first began.
    pub(crate) fn ended(&mut self, at: Duration) {
        self.ended += 1;
        if self.ended == 0 {
            self.began = at;
        }
        let window = LEAST.max(EACH * self.now);
        if self.ended < window as isize {
            return;
        }
        let rate = window as f64 / at.saturating_sub(self.began).as_secs_f64().max(1e-9);
        (self.began, self.ended) = (at, 0);
        if self.stays > 0 {
            self.stays -= 1;
            if self.stays == 0 {
                let half = (self.now / 2).max(1);
                (self.best, self.vain) = ((half, 0.0), 0);
                self.change(half);
            }
            return;
        }
        if rate > self.best.1 * GAIN {
            (self.best, self.vain) = ((self.now, rate), 0);
        } else {
            self.vain += 1;
        }
        if self.vain < VAIN && self.now < SEARCHES_MAX {
            self.change(self.now * 2);
        } else {
            self.stays = STAYS;
            self.change(self.best.0);
        }
    }

    fn change(&mut self, now: usize) {
        // Those in flight began under the old number.
        self.ended = -(self.now.max(now) as isize);
        self.now = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number that most of `searches` saw, and the largest, of which `rate(n)` end a second with `n` in flight.
    fn run(searches: usize, pace: &mut Pace, at: &mut f64, rate: impl Fn(f64) -> f64) -> (usize, usize) {
        let mut seen = [0; SEARCHES_MAX + 1];
        for _ in 0..searches {
            *at += 1.0 / rate(pace.now() as f64);
            pace.ended(Duration::from_secs_f64(*at));
            seen[pace.now()] += 1;
        }
        let most = seen.iter().max().and_then(|most| seen.iter().position(|count| count == most));
        (most.unwrap_or(0), seen.iter().rposition(|&count| count > 0).unwrap_or(0))
    }

    #[test]
    fn it_finds_the_least_that_is_as_fast_as_any() {
        for (limit, wanted) in [(1.0, 4), (4.0, 4), (8.0, 8), (30.0, 32), (1e9, 64)] {
            let (now, most) = run(2000, &mut Pace::new(), &mut 0.0, |n| n.min(limit) * 100.0);
            assert_eq!(now, wanted, "a limit of {limit}");
            assert!(most <= 4 * wanted, "a limit of {limit}: up to {most}");
        }
    }

    #[test]
    fn it_follows_a_device_that_changes() {
        let (mut pace, mut at) = (Pace::new(), 0.0);
        assert_eq!(run(20_000, &mut pace, &mut at, |n| n.min(32.0)).0, 32);
        // More than pay are given back by halves; what pays again is found again.
        run(40_000, &mut pace, &mut at, |n| n.min(1.0));
        assert_eq!(run(20_000, &mut pace, &mut at, |n| n.min(1.0)).0, 1);
        run(40_000, &mut pace, &mut at, |n| n.min(16.0));
        assert_eq!(run(20_000, &mut pace, &mut at, |n| n.min(16.0)).0, 16);
    }
}
