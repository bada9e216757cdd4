//! A walk whose codes and graph are at hand and whose records are not: it goes where the codes lead, then waits once for the records of the
//! best it found.
//!
//! What it answers is what [`Index::search`] answers: the same walk, the same candidates, the same order. Where a walk was short of hits
//! (tombstones) it goes on with twice the effort, and waits again. Exact duplicates of a hit lie behind it and are read in the bytes at hand.

use super::rank::Ranker;
use super::view::{BaseGraph, Guide};
use super::walk::widen;
use super::{Index, Loaded};
use crate::error::Corrupt;
use crate::format::{Kind, Refine};
use crate::graph::beam::Limits;
use crate::quant::record::DUPLICATE_FOLLOWS;
use crate::search::pending::{Candidate, Pending, Stage, Walking};
use crate::search::quality::Setting;
use crate::search::{Layout, SearchError};
use alloc::vec::Vec;

impl<B: AsRef<[u8]>> Index<B> {
    /// Whether walks are guided by codes, so that records are read of candidates alone.
    pub(super) fn walks_by_codes(&self, loaded: &Loaded) -> Result<bool, SearchError> {
        Ok(self.guide(loaded, self.records(loaded)?).is_coarse())
    }

    /// Begins a walk.
    pub(super) fn start_walk(&self, loaded: &Loaded, pending: &mut Pending) -> Result<(), SearchError> {
        let rows = self.len();
        if rows == 0 {
            return Ok(());
        }
        let guide = self.guide(loaded, self.records(loaded)?);
        let refine = if pending.originals { Refine::Originals } else { Refine::Records };
        let live = rows - self.deleted() as usize;
        let params = &pending.params;
        let mut limits = Setting::choose(params, Layout::Lean, refine, &loaded.quality).limits(params.k, self.metric(), rows);
        limits.ef = widen(limits.ef, rows, live);
        let entry = self.descend(guide, &mut pending.scratch, &mut pending.stats)?;
        let walking = Walking { limits, entries: [entry, entry], wanted: params.k.min(live) };
        pending.in_doubt = pending.params.rerank.is_none();
        pending.params.rerank = Some(guide.rerank_count(&pending.params));
        self.walk_on(loaded, guide, walking, pending)
    }

    /// Walks, and wants the records of what was found.
    fn walk_on(&self, loaded: &Loaded, guide: Guide<'_>, walking: Walking, pending: &mut Pending) -> Result<(), SearchError> {
        let ranker = Ranker::new(self.records(loaded)?, self.reader.section(Kind::Deleted, 0));
        let graph = BaseGraph { edges: self.edges()?, guide, nodes: self.len() };
        let Pending { scratch, stats, candidates, params, .. } = pending;
        scratch.beam.search(&graph, &scratch.query, walking.entries, walking.limits, stats)?;
        candidates.clear();
        for found in scratch.beam.pool.iter() {
            if candidates.len() >= params.rerank.unwrap_or(0) {
                break;
            }
            if ranker.lives(found.node)? {
                candidates.push(Candidate::row(found.node));
            }
        }
        pending.walk = Some(walking);
        self.want_rows(Kind::Records, Stage::Records, pending);
        Ok(())
    }

    /// Candidates that were ranked become hits, with their duplicates; too few of them, and the walk goes on.
    pub(super) fn end_walk(&self, loaded: &Loaded, mut walking: Walking, pending: &mut Pending) -> Result<bool, SearchError> {
        let ranker = Ranker::new(self.records(loaded)?, self.reader.section(Kind::Deleted, 0));
        self.add_duplicates(loaded, &ranker, pending)?;
        if pending.candidates.len() >= walking.wanted {
            return Ok(true);
        }
        let (rows, home) = (self.len(), self.edges()?.table().extra as u32);
        let limits = &mut walking.limits;
        let full = pending.scratch.beam.pool.len() >= limits.ef;
        if (full && limits.ef < rows) || limits.stop < f32::INFINITY {
            *limits = Limits { ef: limits.ef.saturating_mul(2).min(rows), stop: f32::INFINITY, ..*limits };
        } else if walking.entries[1] != home {
            walking.entries[1] = home;
        } else {
            return Ok(true);
        }
        let guide = self.guide(loaded, self.records(loaded)?);
        self.walk_on(loaded, guide, walking, pending)?;
        Ok(false)
    }

    /// Brings back the exact duplicates of the candidates that may be hits, and leaves tombstones out.
    fn add_duplicates(&self, loaded: &Loaded, ranker: &Ranker<'_>, pending: &mut Pending) -> Result<(), Corrupt> {
        let candidates = &mut pending.candidates;
        let mut distances: Vec<f32> = candidates.iter().map(|candidate| candidate.near.distance).collect();
        crate::sort::by_key(&mut distances, |distance| crate::graph::Neighbor { distance: *distance, node: 0 }.key());
        let last = distances.get(pending.params.k.saturating_sub(1)).copied().unwrap_or(f32::INFINITY);
        let layout = loaded.space.layout;
        for at in 0..candidates.len() {
            let found = candidates[at];
            let mut row = found.near.node;
            let mut flags = found.factors.flags;
            while flags & DUPLICATE_FOLLOWS != 0 && found.near.distance <= last {
                row += 1;
                let record = ranker.records.record(row)?;
                flags = layout.factors(record).flags;
                let near = crate::graph::Neighbor { node: row, ..found.near };
                candidates.push(Candidate {
                    near,
                    id: layout.id(record),
                    payload: layout.payload(record),
                    factors: layout.factors(record),
                });
            }
        }
        let mut kept = 0;
        for at in 0..candidates.len() {
            if !ranker.is_out(candidates[at].near.node)? {
                candidates.swap(kept, at);
                kept += 1;
            }
        }
        candidates.truncate(kept);
        crate::sort::by_key(candidates, |candidate| candidate.near.node);
        Ok(())
    }
}
