//! Readers of a live index, alone and beside its writer.
//!
//! ```text
//! part 1   readers search            what they do undisturbed
//! part 2   readers search, writer inserts without a pause
//! part 3   writer inserts            what it does undisturbed
//! ```
//! Readers take no lock, so what a writer costs them is the processor that it takes, the memory that it moves, and the
//! rows that it adds. On a machine with fewer cores than threads the first of these hides the others: `qps_cpu`,
//! searches by processor time of the searching threads, leaves it out, and the percentiles do not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nearshore_core::live::{Live, LiveError, LiveReader};
use nearshore_core::search::{Scratch, SearchError, SearchParams};
use nearshore_core::vectors::Query;

use super::{QueryError, percentile_us, thread_time};
use crate::queries::Queries;

/// Times that a reader keeps; the newest take the places of the oldest.
const TIMES: usize = 1 << 22;
/// Searches before anything is timed.
const WARM_UP: usize = 500;
/// How often the end of a part is looked for.
const TICK: Duration = Duration::from_millis(10);

/// How it is measured.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Threads that search; at least 1.
    pub readers: usize,
    /// How long each part lasts.
    pub part: Duration,
    /// What each search asks for.
    pub params: SearchParams,
    /// Set from elsewhere, it ends the part under way, and no other begins.
    pub stop: &'a AtomicBool,
}

/// One part. Times in microseconds are those of single searches.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names of the JSON output, documented there")]
pub struct Part {
    /// Threads that searched.
    pub readers: usize,
    /// Whether the writer inserted.
    pub writer: bool,
    pub wall_s: f64,
    /// Living rows at the end.
    pub rows: usize,
    pub inserts: u64,
    pub inserts_per_second: f64,
    /// By the processor time of the writer.
    pub inserts_per_cpu_second: f64,
    pub searches: u64,
    pub qps: f64,
    pub qps_cpu: f64,
    pub mean_us: f64,
    pub p50_us: f64,
    pub p95_us: f64,
    pub p99_us: f64,
}

/// Why a measurement failed.
#[derive(Clone, Debug, PartialEq)]
pub enum ConcurrentError {
    /// A search.
    Query(QueryError),
    /// An insertion: which one, and why.
    Insert(u64, LiveError),
}

/// Measures the three parts. `next` writes the next vector to insert, and says false when there is none left, which ends
/// the part. Inserted rows get ids that no row has and stay in `live`.
///
/// # Errors
/// The first search or insertion that fails.
pub fn measure(
    live: &mut Live,
    queries: &Queries,
    next: &mut (dyn FnMut(&mut Vec<f32>) -> bool + Send),
    options: &Options<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Vec<Part>, ConcurrentError> {
    let mut reader = Reader { reader: live.reader(), at: 0, outcome: Outcome::default() };
    reader.search(queries, options, &mut |searches| searches >= WARM_UP as u64);
    reader.outcome.check()?;
    drop(reader);
    let mut source = Source { id: live.ids().last().map_or(0, |last| last.wrapping_add(1)), taken: 0, next };
    let total = 3 * options.part.as_millis() as u64;
    let mut parts = Vec::new();
    for (number, (readers, writer)) in [(options.readers, false), (options.readers, true), (0, true)].into_iter().enumerate() {
        if options.stop.load(Ordering::Relaxed) {
            break;
        }
        let before = number as u64 * options.part.as_millis() as u64;
        let inserting = writer.then_some(&mut source);
        parts.push(part(live, queries, readers, inserting, options, &mut |gone| progress(before + gone.as_millis() as u64, total))?);
    }
    Ok(parts)
}

/// Where the writer's rows come from.
struct Source<'a> {
    /// The next id to try.
    id: u64,
    /// Rows taken so far, in all parts.
    taken: u64,
    next: &'a mut (dyn FnMut(&mut Vec<f32>) -> bool + Send),
}

impl Source<'_> {
    /// An id that no row has.
    fn free_id(&mut self, live: &Live) -> u64 {
        while live.contains(self.id) {
            self.id = self.id.wrapping_add(1);
        }
        self.id
    }
}

fn part(
    live: &mut Live,
    queries: &Queries,
    readers: usize,
    inserting: Option<&mut Source<'_>>,
    options: &Options<'_>,
    tell: &mut dyn FnMut(Duration),
) -> Result<Part, ConcurrentError> {
    let over = AtomicBool::new(false);
    let mut searching: Vec<Reader> = (0..readers)
        .map(|number| Reader { reader: live.reader(), at: number * queries.len() / readers, outcome: Outcome::default() })
        .collect();
    let (mut written, writer) = (Written::default(), inserting.is_some());
    let started = Instant::now();
    std::thread::scope(|scope| {
        // Should the system refuse a thread, those that run already must hear that it is over.
        let ended = Ended(&over);
        for reader in &mut searching {
            scope.spawn(|| reader.search(queries, options, &mut |_| over.load(Ordering::Relaxed)));
        }
        if let Some(source) = inserting {
            let (live, over, written) = (&mut *live, &over, &mut written);
            scope.spawn(move || written.insert(live, source, over));
        }
        while started.elapsed() < options.part && !over.load(Ordering::Relaxed) && !options.stop.load(Ordering::Relaxed) {
            std::thread::sleep(TICK.min(options.part));
            tell(started.elapsed());
        }
        drop(ended);
    });
    let wall = started.elapsed().as_secs_f64();
    if let Some(error) = written.error {
        return Err(error);
    }
    let mut times = Vec::new();
    let (mut searches, mut cpu) = (0, Duration::ZERO);
    for reader in searching {
        reader.outcome.check()?;
        searches += reader.outcome.searches;
        cpu += reader.outcome.cpu;
        times.extend(reader.outcome.times);
    }
    times.sort_unstable();
    let rate = |count: u64, seconds: f64| if count == 0 { 0.0 } else { count as f64 / seconds.max(1e-9) };
    Ok(Part {
        readers,
        writer,
        wall_s: wall,
        rows: live.len(),
        inserts: written.inserts,
        inserts_per_second: rate(written.inserts, wall),
        inserts_per_cpu_second: rate(written.inserts, written.cpu.as_secs_f64()),
        searches,
        qps: rate(searches, wall),
        qps_cpu: rate(searches, cpu.as_secs_f64()),
        mean_us: times.iter().map(|&nanos| u64::from(nanos)).sum::<u64>() as f64 / times.len().max(1) as f64 / 1e3,
        p50_us: percentile_us(&times, 0.5),
        p95_us: percentile_us(&times, 0.95),
        p99_us: percentile_us(&times, 0.99),
    })
}

/// Tells all threads of a part that it is over, however that comes about.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a reader came to.
#[derive(Default)]
struct Outcome {
    searches: u64,
    times: Vec<u32>,
    cpu: Duration,
    error: Option<(usize, SearchError)>,
}

impl Outcome {
    fn check(&self) -> Result<(), ConcurrentError> {
        let failed = self.error.map(|(query, error)| ConcurrentError::Query(QueryError { query, segment: 0, error }));
        failed.map_or(Ok(()), Err)
    }
}

struct Reader {
    reader: LiveReader,
    /// The query to begin with: each reader has its own place in the round.
    at: usize,
    outcome: Outcome,
}

impl Reader {
    /// Asks one query after the other until one fails, or `over`, told how many were asked, says so.
    fn search(&mut self, queries: &Queries, options: &Options<'_>, over: &mut dyn FnMut(u64) -> bool) {
        let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
        let Outcome { searches, times, cpu, error } = &mut self.outcome;
        let before = thread_time();
        while !over(*searches) {
            let query = self.at % queries.len();
            self.at += 1;
            let started = Instant::now();
            if let Err(found) = self.reader.search(queries.get(query), &options.params, &mut scratch, &mut hits) {
                *error = Some((query, found));
                break;
            }
            let nanos = u32::try_from(started.elapsed().as_nanos()).unwrap_or(u32::MAX);
            if times.len() < TIMES {
                times.push(nanos);
            } else {
                times[*searches as usize % TIMES] = nanos;
            }
            *searches += 1;
        }
        *cpu = thread_time().saturating_sub(before);
    }
}

/// What the writer came to.
#[derive(Default)]
struct Written {
    inserts: u64,
    cpu: Duration,
    error: Option<ConcurrentError>,
}

impl Written {
    fn insert(&mut self, live: &mut Live, source: &mut Source<'_>, over: &AtomicBool) {
        let (mut vector, before) = (Vec::new(), thread_time());
        while !over.load(Ordering::Relaxed) && (source.next)(&mut vector) {
            if let Err(error) = live.insert(source.free_id(live), Query::F32(&vector), &[]) {
                self.error = Some(ConcurrentError::Insert(source.taken, error));
                break;
            }
            self.inserts += 1;
            source.taken += 1;
        }
        self.cpu = thread_time().saturating_sub(before);
        over.store(true, Ordering::Relaxed);
    }
}
