//! Measuring a search: recall, speed, cost.
//!
//! Every query is timed by itself; nothing is allocated or written between two of them. Threads take queries in small
//! groups. `qps` divides by the wall clock, `qps_cpu` by the processor time of the searching threads alone, which is
//! what a machine shared with others can compare. What a query touches is counted outside the timed passes, by asking a
//! few of them of an index that was just opened.
//!
//! [`concurrent`] measures readers of a live index beside its writer; [`billion`] reads rows of a file of terabytes, which is nearly all hole, and
//! [`synthetic`] walks through an index of a billion rows that is made as it is read. [`hosted`] counts what searches of a file on a host fetch.

pub mod billion;
pub mod concurrent;
pub mod hosted;
pub mod synthetic;

use std::time::{Duration, Instant};

use nearshore_core::filter::RowSet;
use nearshore_core::format::Plan;
use nearshore_core::index::Index;
use nearshore_core::par::Par;
use nearshore_core::search::{SearchError, SearchParams, Stats};

use crate::batch::in_groups;
use crate::dataset::truth::Truth;
use crate::queries::Queries;
use crate::segments::{self, Work, search_each};

/// Queries, spread over all, whose touched blocks are counted. Under a scan one stands for all.
const COUNTED: usize = 16;

/// Few queries are asked again until the measurement has lasted this long.
const LONG_ENOUGH: Duration = Duration::from_millis(200);

/// One setting, measured. Times in microseconds and counters are means or percentiles of single queries.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names of the JSON output, documented there")]
pub struct Run {
    /// Share of the true nearest that were found; `None` without a truth.
    pub recall: Option<f64>,
    /// Searches timed; each query perhaps several times.
    pub queries: u64,
    pub wall_s: f64,
    pub cpu_s: f64,
    pub qps: f64,
    pub qps_cpu: f64,
    pub mean_us: f64,
    pub p50_us: f64,
    pub p95_us: f64,
    pub p99_us: f64,
    pub distances: f64,
    pub hops: f64,
    /// Blocks that one query touches of a file just opened, each counted once.
    pub blocks: f64,
    /// Bytes of those blocks.
    pub bytes: f64,
}

/// Why a measurement failed.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryError {
    /// Number of the query.
    pub query: usize,
    /// The segment that failed; 0 of an index in one file.
    pub segment: usize,
    /// What is wrong.
    pub error: SearchError,
}

/// Answers of all queries, with what they cost; its buffers serve run after run.
pub struct Bench<'a, B> {
    segments: Vec<&'a Index<B>>,
    queries: &'a Queries,
    truth: Option<&'a Truth>,
    only: Option<&'a [RowSet]>,
    answers: Vec<Answer>,
    workers: Vec<Worker>,
}

struct Answer {
    ids: Vec<u64>,
    nanos: u64,
    stats: Stats,
    error: Option<(usize, SearchError)>,
}

#[derive(Default)]
struct Worker {
    work: Work,
    found: segments::Answer,
    cpu: Duration,
}

impl<'a, B: AsRef<[u8]> + Sync> Bench<'a, B> {
    /// Prepares for `k` hits a query by the threads of `par`.
    pub fn new(index: &'a Index<B>, queries: &'a Queries, truth: Option<&'a Truth>, k: usize, par: &impl Par) -> Self {
        Self::of_segments(vec![index], queries, truth, k, par)
    }

    /// The same of an index in segments: a query's time is that of all of them, one after the other on one thread.
    pub fn of_segments(segments: Vec<&'a Index<B>>, queries: &'a Queries, truth: Option<&'a Truth>, k: usize, par: &impl Par) -> Self {
        let rows = segments.iter().map(|index| index.len()).sum();
        let answer = || Answer { ids: Vec::with_capacity(k.min(rows)), nanos: 0, stats: Stats::default(), error: None };
        let answers = (0..queries.len()).map(|_| answer()).collect();
        let workers = (0..par.threads()).map(|_| Worker::default()).collect();
        Self { segments, queries, truth, only: None, answers, workers }
    }

    /// Searches among `rows` alone: a set of them for each segment.
    #[must_use]
    pub fn only(self, rows: Option<&'a [RowSet]>) -> Self {
        Self { only: rows, ..self }
    }

    /// Brings pages and caches to the state of a busy server: asks up to `limit` queries, untimed.
    ///
    /// # Errors
    /// The first query that fails.
    pub fn warm_up(&mut self, params: &SearchParams, limit: usize, par: &impl Par) -> Result<(), QueryError> {
        self.pass(params, limit, par)
    }

    /// Measures one setting.
    ///
    /// # Errors
    /// The first query that fails.
    pub fn run(&mut self, params: &SearchParams, par: &impl Par) -> Result<Run, QueryError> {
        let mut nanos = Vec::with_capacity(self.answers.len());
        let mut wall = Duration::ZERO;
        self.workers.iter_mut().for_each(|worker| worker.cpu = Duration::ZERO);
        while wall < LONG_ENOUGH {
            let started = Instant::now();
            self.pass(params, usize::MAX, par)?;
            wall += started.elapsed();
            nanos.extend(self.answers.iter().map(|answer| answer.nanos));
        }
        nanos.sort_unstable();
        let count = nanos.len() as f64;
        let cpu = self.workers.iter().map(|worker| worker.cpu).sum::<Duration>().as_secs_f64();
        let percentile = |share| percentile_us(&nanos, share);
        let mean = |counter: fn(&Stats) -> u64| {
            self.answers.iter().map(|answer| counter(&answer.stats)).sum::<u64>() as f64 / self.answers.len() as f64
        };
        let (blocks, bytes) = self.touched(params)?;
        Ok(Run {
            recall: self.truth.map(|truth| self.recall(truth, params.k)),
            queries: nanos.len() as u64,
            wall_s: wall.as_secs_f64(),
            cpu_s: cpu,
            qps: count / wall.as_secs_f64(),
            qps_cpu: count / cpu.max(1e-9),
            mean_us: nanos.iter().sum::<u64>() as f64 / count / 1e3,
            p50_us: percentile(0.5),
            p95_us: percentile(0.95),
            p99_us: percentile(0.99),
            distances: mean(|stats| stats.distances),
            hops: mean(|stats| stats.hops),
            blocks,
            bytes,
        })
    }

    /// Mean blocks and bytes that a query touches when nothing is in memory yet.
    fn touched(&self, params: &SearchParams) -> Result<(f64, f64), QueryError> {
        let scans = self.segments.iter().all(|index| params.plan.unwrap_or(index.plan()) == Plan::Scan);
        let count = if scans { 1 } else { COUNTED.min(self.queries.len()) };
        let (mut work, mut found, mut blocks, mut bytes) = (Work::default(), segments::Answer::default(), 0, 0);
        for query in (0..count).map(|place| place * self.queries.len() / count) {
            // They were opened before; a file that shrank since would have ended the timed passes.
            let again = |index: &&'a Index<B>| {
                Some(Index::open(index.reader().bytes()).ok()?.with_kernels(index.kernels()).with_neighbor_codes_of(index))
            };
            let Some(fresh) = self.segments.iter().map(again).collect::<Option<Vec<_>>>() else { continue };
            search_each(fresh.iter(), self.queries.get(query), params, self.only, &mut work, &mut found)
                .map_err(|(segment, error)| QueryError { query, segment, error })?;
            for touched in fresh.iter().map(|index| index.reader().touched()) {
                (blocks, bytes) = (blocks + touched.0, bytes + touched.1);
            }
        }
        let mean = |sum| sum as f64 / count.max(1) as f64;
        Ok((mean(blocks), mean(bytes)))
    }

    /// Asks every query once.
    fn pass(&mut self, params: &SearchParams, limit: usize, par: &impl Par) -> Result<(), QueryError> {
        let Self { segments, queries, only, answers, workers, .. } = self;
        let count = limit.min(answers.len());
        in_groups(&mut answers[..count], workers, par, |first, answers, worker| {
            let before = thread_time();
            for (number, answer) in (first..).zip(answers) {
                let query = queries.get(number);
                let started = Instant::now();
                let found = search_each(segments.iter().copied(), query, params, *only, &mut worker.work, &mut worker.found);
                answer.nanos = started.elapsed().as_nanos() as u64;
                answer.error = found.err();
                answer.stats = worker.found.stats;
                answer.ids.clear();
                answer.ids.extend(worker.found.hits.iter().map(|hit| hit.id));
            }
            worker.cpu += thread_time().saturating_sub(before);
        });
        let failed = self.answers.iter_mut().enumerate().find_map(|(query, answer)| answer.error.take().map(|error| (query, error)));
        failed.map_or(Ok(()), |(query, (segment, error))| Err(QueryError { query, segment, error }))
    }

    /// Mean share of the `k` nearest that were found. An id as near as the `k`-th counts as right, whichever of several
    /// such it is.
    fn recall(&self, truth: &Truth, k: usize) -> f64 {
        let right = self.answers.iter().enumerate().map(|(query, answer)| truth.found(query, k, &answer.ids));
        right.sum::<usize>() as f64 / (k.min(truth.k()).max(1) * self.answers.len()) as f64
    }
}

/// What this share of the sorted nanoseconds stays within, in microseconds.
pub fn percentile_us<T: Copy + Into<u64>>(sorted: &[T], share: f64) -> f64 {
    let at = ((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1);
    sorted.get(at).map_or(0.0, |&nanos| nanos.into() as f64 / 1e3)
}

/// Processor time of the calling thread.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Processor time of this process.
#[must_use]
pub fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Memory of this process that is resident, file pages included; `None` where the system does not tell.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}
