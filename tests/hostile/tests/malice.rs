//! Malice: mutated files whose checks are repaired, and the corpora of the fuzz targets, under a budget of time and memory.
//!
//! One test in this binary, because it counts what the allocator gives. `NEARSHORE_FUZZ_ROUNDS` and `NEARSHORE_FUZZ_SEED`
//! change the budget and the run; a failure prints its seed.

use std::alloc::System;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nearshore_hostile::{Random, check, data, live, mutate, mutate_data, sample};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A fuzz target.
struct Target {
    name: &'static str,
    /// Folder of its corpus.
    corpus: &'static str,
    run: fn(&[u8]),
    seeds: fn() -> Vec<Vec<u8>>,
    mutate: fn(&mut Vec<u8>, &mut Random),
    /// Bytes that it may allocate whatever the size of its input.
    buffers: usize,
    /// Its share of the rounds: one in so many.
    one_in: u64,
}

const TARGETS: [Target; 4] = [
    Target { name: "directory", corpus: "directory", run: check::directory, seeds: sample::all, mutate, buffers: 1 << 20, one_in: 1 },
    Target { name: "open_search", corpus: "open_search", run: check::open_search, seeds: sample::all, mutate, buffers: 1 << 20, one_in: 1 },
    // Ten states of an index, each of which sets out with a chunk of up to 1 MiB.
    Target { name: "live", corpus: "open_search", run: live::live, seeds: sample::all, mutate, buffers: 12 << 20, one_in: 4 },
    // A score of readers look at each input, and those that stream have buffers of 256 KiB.
    Target { name: "dataset", corpus: "dataset", run: data::read, seeds: datasets, mutate: mutate_data, buffers: 8 << 20, one_in: 4 },
];

fn datasets() -> Vec<Vec<u8>> {
    data::all().into_iter().map(|(_, bytes)| bytes).collect()
}

/// No input of these sizes takes a hundredth of it, unless something loops.
const TIME_MAX: Duration = Duration::from_secs(20);

/// Everything allocated over one target's run of an input, freed or not: a dozen copies (the repaired one, blobs that are
/// read, vectors) and buffers.
fn bytes_max(target: &Target, input: usize) -> usize {
    12 * input + target.buffers
}

fn run(target: &Target, input: &[u8]) {
    let (start, region) = (Instant::now(), Region::new(ALLOCATOR));
    (target.run)(input);
    let (time, bytes) = (start.elapsed(), region.change().bytes_allocated);
    assert!(time < TIME_MAX, "{}: {time:?} for {} bytes", target.name, input.len());
    assert!(bytes < bytes_max(target, input.len()), "{}: {bytes} bytes allocated for an input of {}", target.name, input.len());
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
    for target in &TARGETS {
        let name = target.name;
        let mut seeds = (target.seeds)();
        for (path, bytes) in corpus(target.corpus) {
            let outcome = catch_unwind(|| run(target, &bytes));
            outcome.unwrap_or_else(|panic| {
                eprintln!("{name}: corpus file {}", path.display());
                resume_unwind(panic)
            });
            seeds.push(bytes);
        }
        for round in 0..rounds / target.one_in {
            let seed = seed.wrapping_mul(1 << 32).wrapping_add(round);
            let mut random = Random::new(seed);
            let mut input = seeds[random.below(seeds.len())].clone();
            (target.mutate)(&mut input, &mut random);
            let outcome = catch_unwind(AssertUnwindSafe(|| run(target, &input)));
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
