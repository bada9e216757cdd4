//! Search among the rows that a filter selected: which plan, and that none of them returns too little.
//!
//! | rows that match | plan |
//! |---|---|
//! | few beside what a walk costs | exact scan of them |
//! | more, but hardly any near the query | exact scan up to a few times as many, then a walk without the stop rule |
//! | more | a walk among matching rows ([`Beam::search_among`](crate::graph::beam)) |
//!
//! A walk that is short of hits, or dearer than the scan would be, ends in the exact scan. Which plan is taken depends on
//! the file, the set, the query and the parameters alone: costs are constants here, measured once, not timed.
//!
//! A file in tiles has a plan of its own, which waits for blocks: [`super::pending_among`].

use super::rank::Ranker;
use super::view::{BaseGraph, corrupt_row, word};
use super::{Index, Loaded};
use crate::error::Corrupt;
use crate::filter::{Bitmap, RowSet};
use crate::format::{Kind, Plan, Reader, Refine};
use crate::graph::Graph;
use crate::graph::beam::Limits;
use crate::search::quality::Setting;
use crate::search::{Hit, Layout, Scratch, SearchError, SearchParams, Stats};
use crate::vectors::Query;
use alloc::vec::Vec;

/// Rows that are scanned in the time of a walk among them, for each node of its pool.
const SCAN_ROWS_A_NODE: usize = 30;

/// The same where fewer rows match near the query than elsewhere: there walks are longer, and find less.
const FAR_SCAN_ROWS_A_NODE: usize = 150;

/// Nodes in a pool for each hit that a walk under the stop rule comes to in effect.
const NODES_A_HIT: usize = 8;

/// Standard deviations by which there are fewer: what chance does not make.
const FAR_SIGMAS: u64 = 4;

impl<B: AsRef<[u8]>> Index<B> {
    /// The rows whose bits are set, 64 a word, the lowest first: a set that was selected elsewhere, in the same file.
    ///
    /// # Errors
    /// A damaged block.
    pub fn set_of_words(&self, words: Vec<u64>) -> Result<RowSet, Corrupt> {
        self.set_of(Bitmap::of_words(words, self.len()))
    }

    pub(super) fn set_of(&self, rows: Bitmap) -> Result<RowSet, Corrupt> {
        let build_id = self.reader.header().superblock.build_id;
        #[cfg(feature = "tiles")]
        if self.plan() == Plan::Tiles || cfg!(not(feature = "whole")) {
            return Ok(RowSet::without_graph(rows, build_id));
        }
        RowSet::new(rows.into(), twins(&self.reader), build_id)
    }

    pub(super) fn demand_own(&self, rows: &RowSet) -> Result<(), SearchError> {
        if rows.is_of(self.len(), self.reader.header().superblock.build_id) {
            return Ok(());
        }
        Err(SearchError::Parameter { parameter: "rows", must: "selected in the same file" })
    }

    /// As [`Index::search`], among `rows`: as many hits as are wanted, or all of them where they are fewer.
    ///
    /// [`SearchParams::plan`] decides between scan, walk and tiles where it is given; else the number of rows does.
    ///
    /// # Errors
    /// As [`Index::search`], and a set that was made for another file.
    pub fn search_where(
        &self,
        query: Query<'_>,
        params: &SearchParams,
        rows: &RowSet,
        scratch: &mut Scratch,
        hits: &mut Vec<Hit>,
    ) -> Result<Stats, SearchError> {
        #[cfg(feature = "tiles")]
        if params.plan.unwrap_or(self.plan()) == Plan::Tiles {
            return self.search_tiles(query, params, Some(rows), scratch, hits);
        }
        let (loaded, refine) = self.begin(query, params, scratch, hits)?;
        self.demand_own(rows)?;
        let records = self.records(loaded)?;
        let ranker = Ranker { only: Some(rows), ..Ranker::new(records, None) };
        let walks = match params.plan {
            _ if rows.len() <= params.k => false,
            plan => plan.unwrap_or(self.plan()) == Plan::Walk,
        };
        let mut stats = Stats::default();
        if walks && self.walk_where(loaded, &ranker, rows, params, refine, scratch, &mut stats, hits)? {
            Hit::finish(hits, params.k, params.radius);
            return Ok(stats);
        }
        hits.clear();
        let scanned = self.scan_rows(&ranker, rows.iter(), params, refine, scratch, hits)?;
        Ok(Stats { distances: stats.distances + scanned.distances, ef: 0, ..stats })
    }

    /// Walks; true when the hits are as many as are wanted, or as there are.
    #[expect(clippy::too_many_arguments, reason = "the first half of a search, called in one place")]
    fn walk_where(
        &self,
        loaded: &Loaded,
        ranker: &Ranker<'_>,
        among: &RowSet,
        params: &SearchParams,
        refine: Refine,
        scratch: &mut Scratch,
        stats: &mut Stats,
        hits: &mut Vec<Hit>,
    ) -> Result<bool, SearchError> {
        let lacks = "has no graph: choose the plan scan";
        let edges = self.reader.section(Kind::Edges, 0).ok_or(SearchError::Unsupported { lacks })?;
        let (rows, records) = (self.len(), ranker.records);
        let guide = self.guide(loaded, records);
        let graph = BaseGraph { edges, guide, nodes: rows };
        let limits = Setting::choose(params, Layout::Lean, refine, &loaded.quality).limits(params.k, self.metric(), rows);
        let Some(walk) = AmongWalk::new(limits, rows, among, params) else { return Ok(false) };
        let entry = self.descend(guide, scratch, stats)?;
        // From the graph's entry every row is reached; from where the upper layers lead, nearly every row.
        let entries = [entry, edges.table().extra as u32];
        if !walk.run(&graph, entries, among, scratch, stats)? {
            return Ok(false);
        }
        self.rank(guide, records, ranker, params, refine, scratch, stats, hits)?;
        Ok(hits.len() >= params.k.min(among.len()))
    }
}

/// Pairs (row that stands in the graph, exact duplicate of it), ascending.
pub(super) fn twins<B: AsRef<[u8]>>(reader: &Reader<B>) -> impl Iterator<Item = Result<(u32, u32), Corrupt>> + '_ {
    let rows = reader.header().superblock.rows;
    let table = reader.section(Kind::DupOf, 0);
    let pairs = table.map_or(0, |table| table.rows() as u32);
    (0..pairs).zip(core::iter::repeat(table)).filter_map(move |(pair, table)| {
        let table = table?;
        let read = table.row(pair).map(|row| (word(row, 0).unwrap_or(0), word(row, 1).unwrap_or(0)));
        Some(read.and_then(|(node, twin)| {
            let fits = node < twin && u64::from(twin) < rows;
            if fits { Ok((node, twin)) } else { Err(corrupt_row(&table, pair, "no pair of a row and a later one")) }
        }))
    })
}

/// Whether and how to walk among rows of a set: in a file, or in a live index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AmongWalk {
    limits: Limits,
    /// Nodes that the pool holds in effect.
    pool: usize,
    rows: usize,
    /// Whether the parameters name the plan.
    named: bool,
}

impl AmongWalk {
    /// Of `rows` rows in all; `None` where a scan of the set is cheaper.
    pub(crate) fn new(limits: Limits, rows: usize, among: &RowSet, params: &SearchParams) -> Option<Self> {
        let pool = if limits.stop < f32::INFINITY { limits.ef.min(limits.k * NODES_A_HIT) } else { limits.ef };
        let walk = Self { limits, pool, rows, named: params.plan.is_some() };
        (!walk.scans_up_to(SCAN_ROWS_A_NODE, among)).then_some(walk)
    }

    fn scans_up_to(&self, rows_a_node: usize, among: &RowSet) -> bool {
        !self.named && among.len() <= self.pool.saturating_mul(rows_a_node)
    }

    /// Walks from `entries`, the nearest of which is the first, and leaves what it finds in the pool of `scratch`; false where a
    /// scan turned out to be cheaper.
    ///
    /// # Errors
    /// What the graph reports.
    pub(crate) fn run<G: Graph>(
        mut self,
        graph: &G,
        entries: [u32; 2],
        among: &RowSet,
        scratch: &mut Scratch,
        stats: &mut Stats,
    ) -> Result<bool, G::Error> {
        let (found, seen) = scratch.beam.count_around(graph, entries[0], among.nodes(), stats)?;
        let missing = (seen * among.len() as u64 / self.rows as u64).saturating_sub(found);
        // Were rows to match by chance, the variance of their number would be at most its mean.
        if missing * missing > FAR_SIGMAS * FAR_SIGMAS * (missing + found) {
            if self.scans_up_to(FAR_SCAN_ROWS_A_NODE, among) {
                return Ok(false);
            }
            // Far away all distances are alike: a rule that compares them would not stop. The pool grows as the root of how
            // rare matching rows are, so that one in ten costs as much and finds as much as every second (measured).
            let root = ((self.rows as u64 * 10_000) / (2 * among.len() as u64)).isqrt().max(100) as usize;
            (self.limits.ef, self.limits.stop) = ((self.pool.saturating_mul(root) / 100).min(self.rows), f32::INFINITY);
        }
        // A walk that has cost half of what the scan would is not one of those that are cheaper.
        let budget = if self.named { among.len() as u64 } else { among.len() as u64 / 2 };
        scratch.beam.search_among(graph, &scratch.query, among.nodes(), &among.seeds, entries, self.limits, budget, stats)
    }
}
