//! Malice: mutated files whose checks are repaired, and the corpora of the fuzz targets, under a budget of time and memory.
//!
//! One test in this binary, because it counts what the allocator gives. `NEARSHORE_FUZZ_ROUNDS` and `NEARSHORE_FUZZ_SEED`
//! change the budget and the run; a failure prints its seed.

use std::alloc::System;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nearshore_hostile::{Random, check, mutate, sample};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

type Target = fn(&[u8]);

/// The fuzz targets; the name of each is that of its corpus.
const TARGETS: [(&str, Target); 2] = [("directory", check::directory), ("open_search", check::open_search)];

/// No input of these sizes takes a hundredth of it, unless something loops.
const TIME_MAX: Duration = Duration::from_secs(20);

/// Everything allocated over one target's run of an input, freed or not: a dozen copies (the repaired one, blobs that are
/// read, vectors) and the buffers of a search.
fn bytes_max(input: usize) -> usize {
    12 * input + (1 << 20)
}

fn run(name: &str, target: Target, input: &[u8]) {
    let (start, region) = (Instant::now(), Region::new(ALLOCATOR));
    target(input);
    let (time, bytes) = (start.elapsed(), region.change().bytes_allocated);
    assert!(time < TIME_MAX, "{name}: {time:?} for {} bytes", input.len());
    assert!(bytes < bytes_max(input.len()), "{name}: {bytes} bytes allocated for an input of {}", input.len());
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect(variable))
}

fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let bytes = std::fs::read(&path).expect("a file");
            (path, bytes)
        })
        .collect()
}

#[test]
fn no_input_panics_hangs_allocates_without_reason_or_answers_nonsense() {
    let (rounds, seed) = (number("NEARSHORE_FUZZ_ROUNDS", 20_000), number("NEARSHORE_FUZZ_SEED", 7));
    for (name, target) in TARGETS {
        let mut seeds = sample::all();
        for (path, bytes) in corpus(name) {
            let outcome = catch_unwind(|| run(name, target, &bytes));
            outcome.unwrap_or_else(|panic| {
                eprintln!("{name}: corpus file {}", path.display());
                resume_unwind(panic)
            });
            seeds.push(bytes);
        }
        for round in 0..rounds {
            let seed = seed.wrapping_mul(1 << 32).wrapping_add(round);
            let mut random = Random::new(seed);
            let mut input = seeds[random.below(seeds.len())].clone();
            mutate(&mut input, &mut random);
            let outcome = catch_unwind(AssertUnwindSafe(|| run(name, target, &input)));
            outcome.unwrap_or_else(|panic| {
                eprintln!("{name}: seed {seed} of round {round}; NEARSHORE_FUZZ_SEED changes the run");
                let found = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{seed}"));
                if std::fs::write(&found, &input).is_ok() {
                    eprintln!("{name}: the input is {}", found.display());
                }
                resume_unwind(panic)
            });
        }
    }
}
