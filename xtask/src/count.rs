//! How many tests passed and failed, read from what test runners print.
//!
//! Cargo, Node's runner, Playwright and Python's unittest each end with lines of counts. They are read from the text that the person
//! sees, so the sum that `cargo xtask test` ends with can be checked by eye.

use std::ops::AddAssign;

/// Tests by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// Left out by the runner: ignored or skipped.
    pub(crate) skipped: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Sums the closing lines of every runner found in `text`.
pub(crate) fn counts(text: &str) -> Counts {
    let mut sum = Counts::default();
    let mut python_run = 0;
    for line in text.lines() {
        let line = plain(line);
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("test result:") {
            sum.passed += before(rest, " passed");
            sum.failed += before(rest, " failed");
            sum.skipped += before(rest, " ignored");
        } else if let Some((outcome, count)) = node_line(line) {
            match outcome {
                "pass" => sum.passed += count,
                "fail" | "cancelled" => sum.failed += count,
                _ => sum.skipped += count,
            }
        } else if let Some((outcome, count)) = playwright_line(line) {
            match outcome {
                "passed" => sum.passed += count,
                "failed" | "flaky" | "interrupted" => sum.failed += count,
                _ => sum.skipped += count,
            }
        } else if let Some(rest) = line.strip_prefix("Ran ") {
            python_run = rest.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
        } else if python_run > 0 && (line.starts_with("OK") || line.starts_with("FAILED (")) {
            let failed = if line.starts_with("OK") { 0 } else { after(line, "failures=") + after(line, "errors=") };
            let skipped = after(line, "skipped=");
            sum += Counts { passed: u64::saturating_sub(python_run, failed + skipped), failed, skipped };
            python_run = 0;
        }
    }
    sum
}

/// `# pass 3` (TAP) or `i pass 3` (spec, with its information sign), for the outcomes that Node's runner knows.
fn node_line(line: &str) -> Option<(&str, u64)> {
    let mut words = line.split(' ');
    let (sign, outcome, count) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || !(sign == "#" || sign == "\u{2139}") {
        return None;
    }
    ["pass", "fail", "cancelled", "skipped", "todo"].contains(&outcome).then_some((outcome, count.parse().ok()?))
}

/// `3 passed (1.2s)`, `1 failed`, `2 skipped`, `1 flaky`, `1 did not run`.
fn playwright_line(line: &str) -> Option<(&str, u64)> {
    let (count, rest) = line.split_once(' ')?;
    let count = count.parse().ok()?;
    let outcome = rest.split(" (").next()?;
    let known = ["passed", "failed", "flaky", "interrupted", "skipped", "did not run"].contains(&outcome);
    let shape = rest == outcome || (outcome == "passed" && rest.ends_with(')'));
    (known && shape).then_some((outcome, count))
}

/// The number that ends right before `word`.
fn before(text: &str, word: &str) -> u64 {
    let head = text.split(word).next().filter(|head| head.len() < text.len()).unwrap_or("");
    head.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The number that starts right after `word`.
fn after(text: &str, word: &str) -> u64 {
    let tail = text.split_once(word).map_or("", |(_, tail)| tail);
    tail.split(|c: char| !c.is_ascii_digit()).next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The line without colour escapes.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut inside = false;
    for c in line.chars() {
        match (inside, c) {
            (false, '\u{1b}') => inside = true,
            (false, c) => text.push(c),
            (true, c) => inside = !c.is_ascii_alphabetic(),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_results_add_up() {
        let text = "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s\n\
                    test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s\n";
        assert_eq!(counts(text), Counts { passed: 15, failed: 2, skipped: 1 });
    }

    #[test]
    fn node_speaks_tap_and_spec() {
        let text = "# tests 9\n# pass 6\n# fail 1\n# cancelled 1\n# skipped 1\n\u{2139} pass 4\n\u{2139} fail 0\n";
        assert_eq!(counts(text), Counts { passed: 10, failed: 2, skipped: 1 });
    }

    #[test]
    fn playwright_closes_with_indented_lines() {
        let text = "  \u{1b}[31m1 failed\u{1b}[39m\n    [chromium] > demo.spec.ts:3:1 > draws\n  1 skipped\n  7 passed (2.4s)\n";
        assert_eq!(counts(text), Counts { passed: 7, failed: 1, skipped: 1 });
    }

    #[test]
    fn python_counts_what_ran() {
        assert_eq!(counts("Ran 5 tests in 0.1s\n\nOK (skipped=1)\n"), Counts { passed: 4, failed: 0, skipped: 1 });
        assert_eq!(counts("Ran 5 tests in 0.1s\n\nFAILED (failures=1, errors=2)\n"), Counts { passed: 2, failed: 3, skipped: 0 });
    }

    #[test]
    fn prose_is_no_count() {
        assert_eq!(counts("3 passed over the hill\n5 failed attempts\nOK\n"), Counts::default());
    }
}
