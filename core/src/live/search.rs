//! Searching a live state: the same walk as over a file, the same order of hits.

use super::Shared;
use super::graph::LiveLayer;
use super::sync::Ordering;
use crate::build::plan_of;
#[cfg(feature = "filter")]
use crate::filter::RowSet;
use crate::format::{Plan, Refine};
use crate::graph::beam::Limits;
use crate::graph::{Graph, NONE, Neighbor};
#[cfg(feature = "filter")]
use crate::index::AmongWalk;
use crate::index::widen;
use crate::search::quality::Setting;
use crate::search::{Hit, Layout, Scratch, SearchError, SearchParams, Stats, check};
use crate::vectors::Query;
use alloc::vec::Vec;

/// Rows whose distances are computed together by a scan.
const TOGETHER: usize = 128;

/// Rows that are scanned in the time of a walk, for each node of its pool: distances that it computes, which lie anywhere.
const SCAN_ROWS_A_NODE: usize = 16;

impl Shared {
    pub(super) fn layer(&self, layer: usize, nodes: u32) -> LiveLayer<'_> {
        LiveLayer { store: &self.store, space: &self.space, kernels: self.kernels, layer, nodes }
    }

    pub(super) fn search(
        &self,
        query: Query<'_>,
        params: &SearchParams,
        scratch: &mut Scratch,
        hits: &mut Vec<Hit>,
    ) -> Result<Stats, SearchError> {
        self.begin(query, params, scratch, hits)?;
        // In this order: the entry is among the rows, and the living are no fewer than those of them that live.
        let entry = self.entry.load(Ordering::Acquire);
        let rows = self.store.len();
        let living = self.living().min(rows as usize);
        if rows == 0 || entry == NONE {
            return Ok(Stats::default());
        }
        match params.plan.unwrap_or(plan_of(rows as usize)) {
            Plan::Scan => Ok(self.scan(0..rows, rows, params, scratch, hits)),
            Plan::Walk => Ok(self.walk(rows, living, entry, params, scratch, hits)),
            Plan::Tiles => Err(SearchError::Unsupported { lacks: "has no tiles: choose walk or scan" }),
        }
    }

    /// Checks what is asked, and readies the query.
    fn begin(&self, query: Query<'_>, params: &SearchParams, scratch: &mut Scratch, hits: &mut Vec<Hit>) -> Result<(), SearchError> {
        hits.clear();
        params.validate()?;
        check::query(query, self.space.layout.dimensions)?;
        scratch.query.query(&self.space, self.kernels, query);
        check::prepared(&self.space, &scratch.query)?;
        if params.refine == Some(Refine::Originals) && self.space.encoding == crate::quant::Encoding::Scaled {
            return Err(SearchError::Unsupported { lacks: "keeps no originals while it is live: refine by records" });
        }
        Ok(())
    }

    /// As [`Shared::search`], among rows of a set.
    #[cfg(feature = "filter")]
    pub(super) fn search_where(
        &self,
        query: Query<'_>,
        params: &SearchParams,
        among: &RowSet,
        scratch: &mut Scratch,
        hits: &mut Vec<Hit>,
    ) -> Result<Stats, SearchError> {
        self.begin(query, params, scratch, hits)?;
        let entry = self.entry.load(Ordering::Acquire);
        // What the set was made of: rows that came later are bridges at most.
        let seen = among.rows.rows() as u32;
        if among.is_empty() || entry == NONE {
            return Ok(Stats::default());
        }
        let walks = match params.plan.unwrap_or(plan_of(seen as usize)) {
            _ if among.len() <= params.k => false,
            Plan::Tiles => return Err(SearchError::Unsupported { lacks: "has no tiles: choose walk or scan" }),
            plan => plan == Plan::Walk,
        };
        let mut stats = Stats::default();
        if walks && self.walk_where(seen, entry, among, params, scratch, &mut stats, hits) {
            Hit::finish(hits, params.k, params.radius);
            return Ok(stats);
        }
        let scanned = self.scan(among.iter(), seen, params, scratch, hits);
        Ok(Stats { distances: stats.distances + scanned.distances, ef: 0, ..stats })
    }

    /// Walks; true when the hits are as many as are wanted, or as there are.
    #[cfg(feature = "filter")]
    #[expect(clippy::too_many_arguments, reason = "the first half of a search, called in one place")]
    fn walk_where(
        &self,
        seen: u32,
        entry: u32,
        among: &RowSet,
        params: &SearchParams,
        scratch: &mut Scratch,
        stats: &mut Stats,
        hits: &mut Vec<Hit>,
    ) -> bool {
        let limits =
            Setting::choose(params, Layout::Lean, Refine::Records, self.quality()).limits(params.k, self.space.metric, seen as usize);
        let Some(walk) = AmongWalk::new(limits, seen as usize, among, params) else { return false };
        // Loaded after the entry, which is one of them.
        let rows = self.store.len();
        let nearest = self.descend(rows, entry, scratch, stats);
        let Ok(done) = walk.run(&self.layer(0, rows), [nearest, entry], among, scratch, stats);
        if !done {
            return false;
        }
        for found in scratch.beam.pool.iter() {
            if hits.len() >= params.k && hits.last().is_some_and(|last| found.distance > last.distance) {
                break;
            }
            self.push_with_twins(found, seen, |row| among.contains(row), hits);
        }
        hits.len() >= params.k.min(among.len())
    }

    /// Follows the upper layers to where the base layer's walk begins.
    fn descend(&self, rows: u32, mut entry: u32, scratch: &mut Scratch, stats: &mut Stats) -> u32 {
        for layer in (1..=self.store.level(entry)).rev() {
            let graph = self.layer(layer, rows);
            let Ok(()) = scratch.beam.search(&graph, &scratch.query, [entry], Limits::ef(1), stats);
            entry = scratch.beam.pool.iter().next().map_or(entry, |nearest| nearest.node);
        }
        entry
    }

    /// Walks, and widens the walk while hits are missing; scans where that costs less, unless a walk was asked for by name.
    fn walk(&self, rows: u32, living: usize, entry: u32, params: &SearchParams, scratch: &mut Scratch, hits: &mut Vec<Hit>) -> Stats {
        let mut stats = Stats::default();
        // From the graph's entry nearly every row is reached; from where the upper layers lead, a few less.
        let home = entry;
        let entry = self.descend(rows, home, scratch, &mut stats);
        let mut entries = [entry, entry];
        let base = self.layer(0, rows);
        let total = rows as usize;
        let setting = Setting::choose(params, Layout::Lean, Refine::Records, self.quality());
        let mut limits = setting.limits(params.k, self.space.metric, total);
        limits.ef = widen(limits.ef, total, living);
        let wanted = params.k.min(living);
        loop {
            if params.plan.is_none() && limits.stop == f32::INFINITY && total <= limits.ef.saturating_mul(SCAN_ROWS_A_NODE) {
                break;
            }
            let Ok(()) = scratch.beam.search(&base, &scratch.query, entries, limits, &mut stats);
            hits.clear();
            for found in scratch.beam.pool.iter() {
                if hits.len() >= params.k && hits.last().is_some_and(|last| found.distance > last.distance) {
                    break;
                }
                self.push_with_twins(found, rows, |_| true, hits);
            }
            if hits.len() >= wanted {
                Hit::finish(hits, params.k, params.radius);
                return stats;
            }
            let full = scratch.beam.pool.len() >= limits.ef;
            if (full && limits.ef < total) || limits.stop < f32::INFINITY {
                limits = Limits { ef: limits.ef.saturating_mul(2).min(total), stop: f32::INFINITY, ..limits };
            } else if entries[1] != home {
                // All that can be reached from here was seen.
                entries[1] = home;
            } else {
                // Pruning may cut rows off until a save or a compaction mends that.
                break;
            }
        }
        let scanned = self.scan(0..rows, rows, params, scratch, hits);
        Stats { distances: stats.distances + scanned.distances, ef: 0, ..stats }
    }

    /// Compares all of `slots`, as who sees `rows` rows.
    fn scan(
        &self,
        slots: impl Iterator<Item = u32>,
        rows: u32,
        params: &SearchParams,
        scratch: &mut Scratch,
        hits: &mut Vec<Hit>,
    ) -> Stats {
        let mut slots = slots.filter(|&slot| self.store.lives(slot, rows));
        let mut stats = Stats::default();
        hits.clear();
        let base = self.layer(0, rows);
        // Hits to gather before the k nearest are picked: as many again as stay, so that a row costs little.
        let most = params.k.saturating_add(params.k.max(4 * TOGETHER));
        let mut limit = f32::INFINITY;
        loop {
            scratch.rows.clear();
            scratch.rows.extend(slots.by_ref().take(TOGETHER));
            if scratch.rows.is_empty() {
                break;
            }
            scratch.distances.resize(scratch.rows.len(), 0.0);
            let Ok(()) = base.distances(&scratch.query, &scratch.rows, &mut scratch.buffers, &mut scratch.distances);
            stats.distances += scratch.rows.len() as u64;
            for (&row, &distance) in scratch.rows.iter().zip(&scratch.distances) {
                if distance <= limit {
                    hits.push(Hit { id: self.id(row), distance, row });
                }
                if hits.len() >= most {
                    // Ties go by ids, so that rows which are all alike do not pile up.
                    Hit::finish(hits, params.k, None);
                    limit = hits.last().map_or(limit, |last| last.distance);
                }
            }
        }
        Hit::finish(hits, params.k, params.radius);
        stats
    }

    /// Appends the hits of a node and of its exact duplicates, those that live and are wanted.
    fn push_with_twins(&self, found: Neighbor, rows: u32, wanted: impl Fn(u32) -> bool, hits: &mut Vec<Hit>) {
        let mut slot = Some(found.node);
        // A chain has no loops; the bound is there all the same.
        for _ in 0..=rows {
            let Some(row) = slot else { return };
            if self.store.lives(row, rows) && wanted(row) {
                hits.push(Hit { id: self.id(row), distance: found.distance, row });
            }
            slot = self.store.twin(row);
        }
    }
}
