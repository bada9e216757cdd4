//! Exact answers: the `k` nearest rows of every query, by looking at all of them.
//!
//! Rows are read once for each block of queries, in chunks that fit a core's cache, by all threads. What "exact" means
//! depends on the numbers:
//!
//! - both sides u8, or both i8: integer arithmetic, exact, nothing more to do;
//! - else a first pass in f32 keeps a few candidates more than `k`, whose distances are then computed in f64. The
//!   rounding error of the first pass has a bound; where a row that was let go could lie within it, the query is done
//!   again in f64 over all rows.
//!
//! Distances are those of every door: squared L2, 1 - cos, 1 - dot. Ties go to the smaller id.

mod measure;
mod top;

use std::ops::ControlFlow;

use nearshore_core::distance::Kernels;
use nearshore_core::format::Metric;
use nearshore_core::par::Par;

use crate::dataset::Vectors;
use measure::{Block, Measure};
use top::Top;

/// Queries of a block: bounds the memory of the candidates.
const BLOCK_QUERIES: usize = 4096;

/// Bytes of a chunk of rows as f32: half of a small second-level cache.
const CHUNK_BYTES: usize = 128 << 10;

/// Queries that visit a chunk together: they stay in the first-level cache.
const TILE_QUERIES: usize = 8;

/// The shortest and the longest of no rows.
const NO_LENGTHS: (f64, f64) = (f64::INFINITY, 0.0);

/// What is searched.
#[derive(Clone, Copy, Debug)]
pub struct Base<'a> {
    /// The rows.
    pub vectors: Vectors<'a>,
    /// Their ids; the row numbers when `None`.
    pub ids: Option<&'a [u64]>,
}

impl Base<'_> {
    fn id(&self, row: u32) -> u64 {
        self.ids.and_then(|ids| ids.get(row as usize).copied()).unwrap_or(u64::from(row))
    }
}

/// A row that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Its id.
    pub id: u64,
    /// Its distance.
    pub distance: f64,
}

/// Why there are no exact answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExactError {
    /// A row of the base that has no distance: not finite, or a zero vector under cosine.
    Row(u64),
    /// A query that has none.
    Query(u64),
    /// Base and queries differ in their dimensions, or there are more rows than 2^32.
    Shape,
    /// The caller said stop.
    Interrupted,
}

/// Finds the `k` nearest rows of every query, nearest first (fewer only where the base has fewer rows). `progress` is
/// told how many of how many distances are done.
///
/// Cost: queries x rows distances; memory about 32 bytes x `k` x threads for each of 4,096 queries.
///
/// # Errors
/// See [`ExactError`].
pub fn nearest<P: Par>(
    base: Base<'_>,
    queries: Vectors<'_>,
    metric: Metric,
    k: usize,
    par: &P,
    progress: &(dyn Fn(u64, u64) -> ControlFlow<()> + Sync),
) -> Result<Vec<Vec<Found>>, ExactError> {
    let rows = base.vectors.rows();
    if base.vectors.dimensions() != queries.dimensions() || u32::try_from(rows).is_err() {
        return Err(ExactError::Shape);
    }
    let k = k.min(rows);
    let total = rows as u64 * queries.rows() as u64;
    let mut answers = Vec::with_capacity(queries.rows());
    for first in (0..queries.rows()).step_by(BLOCK_QUERIES) {
        let count = BLOCK_QUERIES.min(queries.rows() - first);
        let done = rows as u64 * first as u64;
        let tell = |part: u64| progress(done + part * count as u64, total);
        answers.extend(nearest_of_block(base, queries, first..first + count, metric, k, par, &tell)?);
    }
    Ok(answers)
}

/// The same for one block of queries; `tell` hears how many rows are done.
fn nearest_of_block<P: Par>(
    base: Base<'_>,
    queries: Vectors<'_>,
    range: std::ops::Range<usize>,
    metric: Metric,
    k: usize,
    par: &P,
    tell: &(dyn Fn(u64) -> ControlFlow<()> + Sync),
) -> Result<Vec<Vec<Found>>, ExactError> {
    let kernels = Kernels::best();
    let measure = Measure::new(metric, base.vectors, queries, kernels);
    let block = Block::new(&measure, range.clone())?;
    let keep = if measure.is_exact() { k } else { k + (k / 2).max(28) };
    let dimensions = queries.dimensions();
    let chunk_rows = (CHUNK_BYTES / (4 * dimensions)).max(1);
    let done = std::sync::atomic::AtomicU64::new(0);
    let stopped = std::sync::atomic::AtomicBool::new(false);
    let mut workers: Vec<Worker> = (0..par.threads()).map(|_| Worker::new(range.len(), keep)).collect();
    // The chunks themselves carry nothing: their number says which rows they are.
    let mut chunks = vec![(); base.vectors.rows().div_ceil(chunk_rows)];
    par.chunks(&mut chunks, 1, &mut workers, |index, _, worker| {
        use std::sync::atomic::Ordering::Relaxed;
        if stopped.load(Relaxed) {
            return;
        }
        let start = index * chunk_rows;
        let rows = start..(start + chunk_rows).min(base.vectors.rows());
        let count = rows.len() as u64;
        worker.visit(base, &measure, &block, rows);
        if tell(done.fetch_add(count, Relaxed) + count).is_break() {
            stopped.store(true, Relaxed);
        }
    });
    if stopped.into_inner() {
        return Err(ExactError::Interrupted);
    }
    if let Some(row) = workers.iter().filter_map(|worker| worker.bad_row).min() {
        return Err(ExactError::Row(row));
    }
    let lengths_sq = workers.iter().fold(NO_LENGTHS, |a, worker| (a.0.min(worker.lengths_sq.0), a.1.max(worker.lengths_sq.1)));
    let mut answers: Vec<Answer> = range.map(|query| Answer { query, candidates: Vec::new(), found: Vec::new() }).collect();
    for worker in workers {
        for (answer, top) in answers.iter_mut().zip(worker.tops) {
            answer.candidates.extend(top.into_candidates());
        }
    }
    let mut scratch: Vec<Vec<f64>> = vec![Vec::new(); par.threads()];
    par.chunks(&mut answers, 1, &mut scratch, |index, answers, scratch| {
        for answer in answers {
            answer.finish(base, &measure, &block, index, (k, keep), lengths_sq, scratch);
        }
    });
    Ok(answers.into_iter().map(|answer| answer.found).collect())
}

/// What a thread has found so far.
struct Worker {
    tops: Vec<Top>,
    rows: measure::Rows,
    /// Squared lengths of the shortest and the longest row.
    lengths_sq: (f64, f64),
    bad_row: Option<u64>,
}

impl Worker {
    fn new(queries: usize, keep: usize) -> Self {
        Self { tops: (0..queries).map(|_| Top::new(keep)).collect(), rows: measure::Rows::default(), lengths_sq: NO_LENGTHS, bad_row: None }
    }

    /// Compares rows with all queries of the block.
    fn visit(&mut self, base: Base<'_>, measure: &Measure<'_>, block: &Block, rows: std::ops::Range<usize>) {
        let start = rows.start;
        if let Err(row) = self.rows.load(measure, rows.clone()) {
            self.bad_row = Some(self.bad_row.map_or(row, |before| before.min(row)));
            return;
        }
        self.lengths_sq = self.rows.lengths_sq().iter().fold(self.lengths_sq, |a, &length| (a.0.min(length), a.1.max(length)));
        for (tile, tops) in self.tops.chunks_mut(TILE_QUERIES).enumerate() {
            for row in rows.clone() {
                for (query, top) in tops.iter_mut().enumerate() {
                    let score = measure.score(block, tile * TILE_QUERIES + query, &self.rows, row - start);
                    top.offer(score, row as u32, |row| base.id(row));
                }
            }
        }
    }
}

/// A query on its way to its answer.
struct Answer {
    query: usize,
    candidates: Vec<(f64, u32)>,
    found: Vec<Found>,
}

impl Answer {
    /// Turns the candidates of all threads into the answer; `index` is the query's place in the block.
    #[expect(clippy::too_many_arguments, reason = "one call, below a loop over queries")]
    fn finish(
        &mut self,
        base: Base<'_>,
        measure: &Measure<'_>,
        block: &Block,
        index: usize,
        (k, keep): (usize, usize),
        lengths_sq: (f64, f64),
        scratch: &mut Vec<f64>,
    ) {
        let by_score = |a: &(f64, u32), b: &(f64, u32)| a.0.total_cmp(&b.0).then_with(|| base.id(a.1).cmp(&base.id(b.1)));
        self.candidates.sort_unstable_by(by_score);
        self.candidates.truncate(keep);
        let worst = self.candidates.last().map(|last| last.0);
        let exact = |candidates: &mut Vec<(f64, u32)>, scratch: &mut Vec<f64>| {
            measure.load_query(self.query, scratch);
            for (score, row) in candidates.iter_mut() {
                *score = measure.distance(scratch, *row as usize);
            }
            candidates.sort_unstable_by(by_score);
        };
        exact(&mut self.candidates, scratch);
        let rows = base.vectors.rows();
        let kth = self.candidates.get(k.wrapping_sub(1)).map(|kth| measure.score_of(block, index, kth.0));
        let bound = measure.error_bound(block, index, lengths_sq);
        // Nothing was let go; or whatever was let go is farther than the k-th by more than rounding.
        let all_kept = self.candidates.len() == rows;
        let far = self.candidates.len() == keep && worst.zip(kth).is_some_and(|(worst, kth)| worst - kth > bound);
        if !(measure.is_exact() || all_kept || far) {
            self.candidates = (0..rows as u32).map(|row| (0.0, row)).collect();
            exact(&mut self.candidates, scratch);
        }
        self.candidates.truncate(k);
        self.found = self.candidates.drain(..).map(|(distance, row)| Found { id: base.id(row), distance }).collect();
    }
}

#[cfg(test)]
mod tests;
