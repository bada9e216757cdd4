//! Search by walking the graph: down the upper layers, through the base layer, then the exact
//! order (Malkov & Yashunin 2016, Algorithm 5, with re-ranking).

use super::rank::{Originals, Ranker};
use super::view::{BaseGraph, Guide, RecordView, UpperGraph, corrupt_row};
use super::{Index, Loaded};
use crate::error::Corrupt;
use crate::format::{Kind, Refine};
use crate::graph::beam::Limits;
use crate::graph::{NONE, Neighbor};
use crate::search::doubt::{keep_in_doubt, take_in_doubt};
use crate::search::quality::Setting;
use crate::search::{Hit, Layout, Scratch, SearchError, SearchParams, Stats};
use alloc::vec::Vec;

/// Originals asked for before they are needed.
const ORIGINALS_AHEAD: usize = 2;

/// Layers that a file may have at most: 2^32 rows at `m` = 2.
pub(super) const LAYERS_MAX: usize = 32;

impl<B: AsRef<[u8]>> Index<B> {
    pub(super) fn walk(
        &self,
        loaded: &Loaded,
        params: &SearchParams,
        refine: Refine,
        scratch: &mut Scratch,
        hits: &mut Vec<Hit>,
    ) -> Result<Stats, SearchError> {
        let mut stats = Stats::default();
        let rows = self.len();
        if rows == 0 {
            return Ok(stats);
        }
        let records = self.records(loaded)?;
        let lacks = "has no graph: choose the plan scan";
        let edges = self.reader.section(Kind::Edges, 0).ok_or(SearchError::Unsupported { lacks })?;
        let guide = self.guide(loaded, records);
        let graph = BaseGraph { edges, guide, nodes: rows };
        let deleted = self.reader.section(Kind::Deleted, 0);
        let ranker = Ranker::new(records, deleted);
        let setting = Setting::choose(params, Layout::Lean, refine, &loaded.quality);
        let mut limits = setting.limits(params.k, self.metric(), rows);
        let dead = self.deleted() as usize;
        let wanted = params.k.min(rows - dead);
        // Tombstones are walked through, so the pool has to hold their share on top.
        limits.ef = widen(limits.ef, rows, rows - dead);
        let entry = self.descend(guide, scratch, &mut stats)?;
        // From the graph's entry every row is reached; from where the upper layers lead, nearly every row.
        let home = edges.table().extra as u32;
        let mut entries = [entry, entry];
        loop {
            scratch.beam.search(&graph, &scratch.query, entries, limits, &mut stats)?;
            hits.clear();
            self.rank(guide, records, &ranker, params, refine, scratch, &mut stats, hits)?;
            if hits.len() >= wanted {
                break;
            }
            let full = scratch.beam.pool.len() >= limits.ef;
            if (full && limits.ef < rows) || limits.stop < f32::INFINITY {
                limits = Limits { ef: limits.ef.saturating_mul(2).min(rows), stop: f32::INFINITY, ..limits };
            } else if entries[1] != home {
                // All that can be reached from here was seen.
                entries[1] = home;
            } else {
                break;
            }
        }
        Hit::finish(hits, params.k, params.radius);
        Ok(stats)
    }

    /// Follows the upper layers to the row where the base layer's walk begins.
    pub(super) fn descend(&self, guide: Guide<'_>, scratch: &mut Scratch, stats: &mut Stats) -> Result<u32, SearchError> {
        #[cfg(feature = "codes")]
        guide.prepare(&mut scratch.query);
        let upper = self.reader.section(Kind::Upper, 0).filter(|upper| upper.rows() > 0);
        let Some(upper) = upper else {
            let edges = self.reader.section(Kind::Edges, 0);
            return Ok(edges.map_or(0, |edges| edges.table().extra as u32));
        };
        let graph = UpperGraph { upper, guide, nodes: upper.rows() as usize };
        let mut entry = 0;
        for _ in 0..LAYERS_MAX {
            scratch.beam.search(&graph, &scratch.query, [entry], Limits::ef(1), stats)?;
            let nearest = scratch.beam.pool.iter().next().map_or(entry, |nearest| nearest.node);
            let node = graph.node(nearest)?;
            if node.below == NONE {
                return Ok(node.row);
            }
            entry = node.below;
        }
        Err(corrupt_row(&upper, entry, "more layers than a file can have").into())
    }

    /// Turns the pool into hits: computed again from the records where coarse codes guided the walk, from the originals where asked.
    #[expect(clippy::too_many_arguments, reason = "the last step of a walk, called in one place")]
    pub(super) fn rank(
        &self,
        guide: Guide<'_>,
        records: RecordView<'_>,
        ranker: &Ranker<'_>,
        params: &SearchParams,
        refine: Refine,
        scratch: &mut Scratch,
        stats: &mut Stats,
        hits: &mut Vec<Hit>,
    ) -> Result<(), Corrupt> {
        let originals = self.reader.section(Kind::Originals, 0).filter(|_| refine == Refine::Originals);
        if originals.is_none() && !guide.is_coarse() {
            return push_nearest(ranker, scratch.beam.pool.iter(), params.k, hits);
        }
        {
            let Scratch { beam, found, query, .. } = &mut *scratch;
            let exact = originals.is_some();
            let tolerance = |near: &Neighbor| Ok::<_, Corrupt>(guide.tolerance(query, guide.rows.record(near.node)?, near.distance, exact));
            take_in_doubt(beam.pool.iter(), params.k, guide.ranked(params), &tolerance, &mut |row| ranker.lives(row), found)?;
        }
        if guide.is_coarse() {
            let Scratch { found, distances, query, buffers, .. } = scratch;
            distances.resize(found.len(), 0.0);
            records.distances(query, found.iter().map(|found| Ok(found.node)), buffers, distances)?;
            found.iter_mut().zip(distances).for_each(|(found, distance)| found.distance = *distance);
            stats.distances += found.len() as u64;
            crate::graph::sort(found);
        }
        let Some(section) = originals else {
            return push_nearest(ranker, scratch.found.iter().copied(), params.k, hits);
        };
        let originals = Originals { section, element: self.element(), metric: self.metric() };
        if params.rerank.is_none() && guide.is_coarse() {
            let Scratch { found, query, .. } = scratch;
            let guide = Guide::records(records);
            let tolerance = |near: &Neighbor| Ok::<_, Corrupt>(guide.tolerance(query, records.record(near.node)?, near.distance, true));
            keep_in_doubt(found, params.k, params.k, &tolerance)?;
        }
        let row_bytes = self.dimensions() * self.element().bytes();
        let ahead = |found: &[Neighbor], at: usize| {
            if let Some(next) = found.get(at) {
                originals.prefetch(&records, next.node, row_bytes);
            }
        };
        (0..ORIGINALS_AHEAD).for_each(|at| ahead(&scratch.found, at));
        for at in 0..scratch.found.len() {
            ahead(&scratch.found, at + ORIGINALS_AHEAD);
            let node = scratch.found[at].node;
            let (query, query_sq) = (&scratch.query.full, scratch.query.length_sq);
            scratch.found[at].distance = originals.distance(&records, query, query_sq, node, &mut scratch.vector)?;
        }
        stats.distances += scratch.found.len() as u64;
        crate::graph::sort(&mut scratch.found);
        push_nearest(ranker, scratch.found.iter().copied(), params.k, hits)
    }
}

/// Appends hits until `k` are there and no further row ties with the last.
fn push_nearest(ranker: &Ranker<'_>, found: impl Iterator<Item = Neighbor>, k: usize, hits: &mut Vec<Hit>) -> Result<(), Corrupt> {
    for found in found {
        if hits.len() >= k && hits.last().is_some_and(|last| found.distance > last.distance) {
            break;
        }
        ranker.push_with_duplicates(found, hits)?;
    }
    Ok(())
}

/// `count` grown by the share of rows that are dead.
pub(crate) fn widen(count: usize, rows: usize, live: usize) -> usize {
    if live == 0 || live == rows {
        return count;
    }
    let grown = (count as u64).saturating_mul(rows as u64).div_ceil(live as u64);
    usize::try_from(grown).unwrap_or(rows).min(rows)
}
