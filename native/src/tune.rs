//! A quality table for the queries that are really asked.
//!
//! `recall: 0.95` picks the cheapest effort that reached 0.95 in the table of the file, and a build measured that table
//! on rows of its own. Queries of another kind (questions where rows are articles) lie farther from all rows and need
//! more effort for the same recall. [`tune`] measures the ladder of a build again on such queries, through the search
//! that answers them, and [`Tuned::write`] puts the new table into a copy of the file. Nothing else changes.
//!
//! (A filtered walk begins at rows drawn by the file's build id, which is another: such walks may differ.)
//!
//! What is right is a truth that is given, or the answer of an exact scan of the index. Where the index was built
//! without originals the scan knows the codes alone, and so does the recall: [`TruthSource`] says which it was.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nearshore_core::format::{Element, Header, Kind, Plan, Refine, RewriteError, Sink, TableSpec};
use nearshore_core::index::Index;
use nearshore_core::par::Par;
use nearshore_core::search::quality::{FROM_QUERIES, QUALITY_BYTES, Setting};
use nearshore_core::search::{Effort, Hit, Layout, QualityRow, Scratch, SearchParams, Stats};

use crate::bench::QueryError;
use crate::dataset::truth::Truth;
use crate::queries::Queries;

/// Queries that are measured at least: the standard error of a recall of 0.95 is about 0.01 then.
pub const QUERIES_MIN: usize = 100;

/// Queries that a thread takes at a time.
const GROUP: usize = 8;
/// Hits beyond `k` of an exact scan: rows as near as the k-th count as right, too.
const TIES: usize = 32;
/// Stop rules, as a build measures them.
const GAMMAS: [f32; 8] = [0.02, 0.04, 0.06, 0.09, 0.12, 0.16, 0.21, 0.28];
/// A recall above which more effort has nothing to show.
const ENOUGH: f32 = 0.999;

/// What is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct TuneParams {
    /// Hits a query.
    pub k: usize,
    /// Recalls for which [`Tuned::targets`] compares the table of the file with the new one; each above 0, at most 1.
    pub recalls: Vec<f32>,
    /// What walks read. Rows of the table for the other layout stay as they are.
    pub layout: Layout,
}

impl Default for TuneParams {
    fn default() -> Self {
        Self { k: 10, recalls: vec![0.9, 0.95, 0.99], layout: Layout::Lean }
    }
}

/// What [`tune`] is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TuneStage {
    /// Scanning for exact answers; in queries.
    Truth,
    /// Measuring; in settings.
    Measure,
}

/// Where the right answers came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TruthSource {
    /// They were given.
    Given,
    /// An exact scan of the rows as they were given to the build.
    Rows,
    /// A scan of the codes, since the index was built without originals.
    Codes,
}

impl TruthSource {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Rows => "rows",
            Self::Codes => "codes",
        }
    }
}

/// A setting and what it measured; counters are means of a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// The setting.
    pub setting: Setting,
    /// Share of the true nearest that were found.
    pub recall: f64,
    /// Standard error of `recall`, by how much it differs from query to query.
    pub recall_error: f64,
    /// Distances computed.
    pub distances: f64,
    /// Nodes expanded.
    pub hops: f64,
}

/// What a recall stands for in the table of the file and in the new one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// The recall that is asked for.
    pub recall: f32,
    /// By the table of the file.
    pub before: Measured,
    /// By the new table.
    pub after: Measured,
}

impl Target {
    /// Whether the new table reaches the recall, as near as the queries can tell.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        self.after.recall + self.after.recall_error.max(0.001) >= f64::from(self.recall)
    }
}

/// A new table, and what it changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuned {
    /// The new table.
    pub table: Vec<QualityRow>,
    /// Where the right answers came from.
    pub truth: TruthSource,
    /// Old and new, a recall each.
    pub targets: Vec<Target>,
}

/// Why nothing was tuned.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "their words say what they are")]
pub enum TuneError {
    Empty,
    NoGraph,
    Dimensions { found: usize, wanted: usize },
    Queries { found: usize },
    K { k: usize, rows: usize },
    Recall { recall: f32 },
    TruthQueries { found: usize, wanted: usize },
    TruthK { found: usize, wanted: usize },
    TruthId { query: usize, id: u32 },
    Query(QueryError),
    Interrupted,
}

impl fmt::Display for TuneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "no rows; an index with some would be right"),
            Self::NoGraph => write!(f, "the index has no graph, and tune measures walks"),
            Self::Dimensions { found, wanted } => write!(f, "queries of {found} dimensions; {wanted} as in the index would be right"),
            Self::Queries { found } => {
                write!(f, "{found} queries; at least {QUERIES_MIN}, for a recall to one in a hundred, would be right")
            }
            Self::K { k, rows } => write!(f, "k is {k}; 1 to {rows}, as many as the index has rows, would be right"),
            Self::Recall { recall } => write!(f, "a recall of {recall}; above 0 and at most 1 would be right"),
            Self::TruthQueries { found, wanted } => write!(f, "answers of {found} queries; {wanted} would be right"),
            Self::TruthK { found, wanted } => write!(f, "{found} answers a query; at least {wanted} would be right"),
            Self::TruthId { query, id } => write!(f, "query {query}: {id} is no id of the index; the answers of another index?"),
            Self::Query(QueryError { query, error, .. }) => write!(f, "query {query}: {error}"),
            Self::Interrupted => write!(f, "interrupted"),
        }
    }
}

impl std::error::Error for TuneError {}

/// Measures a quality table for `queries` by the threads of `par`: the same queries and truth give the same table for
/// any number of them. `progress` may stop it.
///
/// Cost: about 22 searches a query for each level of refinement that the file has, and without a truth a scan.
///
/// # Errors
/// See [`TuneError`].
pub fn tune<B: AsRef<[u8]> + Sync, P: Par>(
    index: &Index<B>,
    queries: &Queries,
    truth: Option<&Truth>,
    params: &TuneParams,
    par: &P,
    progress: &(dyn Fn(TuneStage, u64, u64) -> ControlFlow<()> + Sync),
) -> Result<Tuned, TuneError> {
    check(index, queries, truth, params)?;
    let levels = levels(index);
    let finest = levels.iter().copied().max().unwrap_or(Refine::Records);
    let probes = (0..queries.len()).map(|_| Probe::default()).collect();
    let workers = (0..par.threads()).map(|_| Worker::default()).collect();
    let mut tuner = Tuner { index, queries, k: params.k, layout: params.layout, par, probes, workers };
    let source = match truth {
        Some(truth) => {
            for (query, probe) in tuner.probes.iter_mut().enumerate() {
                probe.right.extend(truth.right_ids(query, params.k).iter().map(|&id| u64::from(id)));
            }
            TruthSource::Given
        }
        None => tuner.scan(finest, progress)?,
    };
    let efs = efs(params.k, index.len());
    let steps = (levels.len() * (efs.len() + GAMMAS.len()) + 2 * params.recalls.len()) as u64;
    let mut step = 0;
    let mut tell = || {
        step += 1;
        if progress(TuneStage::Measure, step - 1, steps).is_break() { Err(TuneError::Interrupted) } else { Ok(()) }
    };
    let mut table = Vec::new();
    for &refine in &levels {
        let plain: Vec<Setting> = efs.iter().map(|&ef| Setting { ef, gamma: 0.0 }).collect();
        let pool = 300.max(30 * params.k);
        let stopped: Vec<Setting> = GAMMAS.iter().map(|&gamma| Setting { ef: pool, gamma }).collect();
        for ladder in [plain, stopped] {
            for setting in ladder {
                tell()?;
                if setting.gamma > 0.0 && setting.limits(params.k, index.metric(), index.len()).stop == f32::INFINITY {
                    continue;
                }
                let row = tuner.row(setting, refine)?;
                table.push(row);
                if row.recall >= ENOUGH {
                    break;
                }
            }
        }
    }
    let old = index.quality().map_err(|error| TuneError::Query(QueryError { query: 0, segment: 0, error }))?;
    let mut targets = Vec::new();
    for &recall in &params.recalls {
        let mut by = |table: &[QualityRow]| {
            tell()?;
            let wanted = SearchParams::recall(recall).k(params.k).layout(params.layout);
            let setting = Setting::choose(&wanted, params.layout, index.refine(), table);
            tuner.measure(setting, index.refine())
        };
        targets.push(Target { recall, before: by(old)?, after: by(&table)? });
    }
    table.extend(old.iter().filter(|row| row.layout != params.layout));
    Ok(Tuned { table, truth: source, targets })
}

impl Tuned {
    /// Writes a copy of the file of `index` with this table into `sink`; see
    /// [`Reader::rewrite`](nearshore_core::format::Reader::rewrite).
    ///
    /// # Errors
    /// A damaged block of the old file, or the sink's own error.
    pub fn write<B: AsRef<[u8]>, S: Sink>(
        &self,
        index: &Index<B>,
        sink: S,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(S, Header), RewriteError<S::Error>> {
        let rows: Vec<u8> = self.table.iter().flat_map(QualityRow::to_bytes).collect();
        let spec = TableSpec::table(Kind::Quality, self.table.len() as u64, QUALITY_BYTES as u32).hot();
        index.reader().rewrite(&spec, &rows, sink, progress)
    }
}

fn check<B: AsRef<[u8]>>(index: &Index<B>, queries: &Queries, truth: Option<&Truth>, params: &TuneParams) -> Result<(), TuneError> {
    let living = index.len() - index.deleted() as usize;
    if living == 0 {
        return Err(TuneError::Empty);
    }
    if index.reader().section(Kind::Edges, 0).is_none() {
        return Err(TuneError::NoGraph);
    }
    let (found, wanted) = (queries.dimensions(), index.dimensions());
    if found != wanted {
        return Err(TuneError::Dimensions { found, wanted });
    }
    if queries.len() < QUERIES_MIN {
        return Err(TuneError::Queries { found: queries.len() });
    }
    if params.k == 0 || params.k > living {
        return Err(TuneError::K { k: params.k, rows: living });
    }
    if let Some(&recall) = params.recalls.iter().find(|&&recall| !(recall > 0.0 && recall <= 1.0)) {
        return Err(TuneError::Recall { recall });
    }
    let Some(truth) = truth else { return Ok(()) };
    if truth.queries() < queries.len() {
        return Err(TuneError::TruthQueries { found: truth.queries(), wanted: queries.len() });
    }
    if truth.k() < params.k {
        return Err(TuneError::TruthK { found: truth.k(), wanted: params.k });
    }
    // A table measured by the answers of other rows would make every later search wrong about its recall.
    for query in 0..queries.len() {
        for &id in truth.right_ids(query, params.k) {
            let row = index.row_of(u64::from(id)).map_err(|error| TuneError::Query(QueryError { query, segment: 0, error }))?;
            row.ok_or(TuneError::TruthId { query, id })?;
        }
    }
    Ok(())
}

/// Levels of refinement that searches of the file can ask for.
fn levels<B: AsRef<[u8]>>(index: &Index<B>) -> Vec<Refine> {
    let integers = matches!(index.element(), Element::U8 | Element::I8);
    let originals = !integers && index.reader().section(Kind::Originals, 0).is_some();
    if originals { vec![Refine::Originals, Refine::Records] } else { vec![Refine::Records] }
}

/// The ladder of efforts: from `k` on, each step two fifths more than the one before; between steps a search interpolates.
fn efs(k: usize, rows: usize) -> Vec<usize> {
    let last = 900.max(90 * k).min(rows);
    let steps = std::iter::successors(Some(k), |&ef| (ef < last).then(|| (ef + (ef * 2 / 5).max(1)).min(rows)));
    steps.collect()
}

/// A walk by this setting and no other.
fn walk(setting: Setting, refine: Refine, k: usize) -> SearchParams {
    let mut params = SearchParams::default().k(k).plan(Plan::Walk).refine(refine).gamma(setting.gamma);
    params.effort = Effort::Ef(setting.ef);
    params
}

/// One query: what is right, and how the setting under measure did.
#[derive(Default)]
struct Probe {
    right: Vec<u64>,
    found: usize,
    stats: Stats,
    error: Option<nearshore_core::search::SearchError>,
}

#[derive(Default)]
struct Worker {
    scratch: Scratch,
    hits: Vec<Hit>,
}

struct Tuner<'a, B, P> {
    index: &'a Index<B>,
    queries: &'a Queries,
    k: usize,
    layout: Layout,
    par: &'a P,
    probes: Vec<Probe>,
    workers: Vec<Worker>,
}

impl<B: AsRef<[u8]> + Sync, P: Par> Tuner<'_, B, P> {
    /// Asks every query; `look` takes the hits, and may stop.
    fn ask(&mut self, params: &SearchParams, look: &(dyn Fn(&mut Probe, &[Hit]) -> ControlFlow<()> + Sync)) -> Result<(), TuneError> {
        let Self { index, queries, par, probes, workers, .. } = self;
        let stopped = AtomicBool::new(false);
        par.chunks(probes, GROUP, workers, |chunk, probes, Worker { scratch, hits }| {
            for (at, probe) in probes.iter_mut().enumerate() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                match index.search(queries.get(chunk * GROUP + at), params, scratch, hits) {
                    Ok(stats) => probe.stats = stats,
                    Err(error) => probe.error = Some(error),
                }
                if look(probe, hits).is_break() {
                    stopped.store(true, Ordering::Relaxed);
                }
            }
        });
        let failed = probes
            .iter_mut()
            .enumerate()
            .find_map(|(query, probe)| probe.error.take().map(|error| QueryError { query, segment: 0, error }));
        match failed {
            Some(error) => Err(TuneError::Query(error)),
            None if stopped.into_inner() => Err(TuneError::Interrupted),
            None => Ok(()),
        }
    }

    /// Finds the right answers: the `k` nearest of all rows, and those as near as the last of them.
    fn scan(
        &mut self,
        refine: Refine,
        progress: &(dyn Fn(TuneStage, u64, u64) -> ControlFlow<()> + Sync),
    ) -> Result<TruthSource, TuneError> {
        let (k, total, done) = (self.k, self.queries.len() as u64, AtomicU64::new(0));
        let params = SearchParams::default().k(k + TIES).plan(Plan::Scan).refine(refine);
        self.ask(&params, &|probe, hits| {
            let last = hits.get(k - 1).map_or(f32::INFINITY, |hit| hit.distance);
            probe.right.extend(hits.iter().take_while(|hit| hit.distance <= last).map(|hit| hit.id));
            progress(TuneStage::Truth, done.fetch_add(1, Ordering::Relaxed) + 1, total)
        })?;
        let coded = matches!(self.index.element(), Element::F32 | Element::F16) && refine == Refine::Records;
        Ok(if coded { TruthSource::Codes } else { TruthSource::Rows })
    }

    fn measure(&mut self, setting: Setting, refine: Refine) -> Result<Measured, TuneError> {
        let k = self.k;
        self.ask(&walk(setting, refine, k).layout(self.layout), &|probe, hits| {
            probe.found = hits.iter().filter(|hit| probe.right.contains(&hit.id)).count().min(k);
            ControlFlow::Continue(())
        })?;
        let count = self.probes.len() as f64;
        let mean = |value: &dyn Fn(&Probe) -> f64| self.probes.iter().map(value).sum::<f64>() / count;
        let recall = mean(&|probe| probe.found as f64) / k as f64;
        let variance = mean(&|probe| (probe.found as f64 / k as f64 - recall).powi(2));
        Ok(Measured {
            setting,
            recall,
            recall_error: (variance / count).sqrt(),
            distances: mean(&|probe| probe.stats.distances as f64),
            hops: mean(&|probe| probe.stats.hops as f64),
        })
    }

    /// A setting as a row of the table.
    fn row(&mut self, setting: Setting, refine: Refine) -> Result<QualityRow, TuneError> {
        let measured = self.measure(setting, refine)?;
        let rerank = match self.layout {
            Layout::Lean => {
                self.index.rerank_count(self.k).map_err(|error| TuneError::Query(QueryError { query: 0, segment: 0, error }))?
            }
            Layout::Fast => (2 * self.k).max(20),
        };
        let again = refine == Refine::Originals || self.index.reader().section(Kind::CodesRows, 0).is_some();
        Ok(QualityRow {
            plan: Plan::Walk,
            layout: self.layout,
            ef: setting.ef as u32,
            gamma: setting.gamma,
            refine,
            k: self.k as u32,
            rerank: if again { rerank as u32 } else { 0 },
            queries: self.probes.len() as u32,
            source: FROM_QUERIES,
            recall: measured.recall as f32,
            distances: measured.distances as f32,
            hops: measured.hops as f32,
        })
    }
}
