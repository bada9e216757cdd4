//! A walk that is guided by codes and waits for the records of the best it found; where codes or edges are not at hand, for those, too.
//!
//! With both at hand that is one round. Edges are asked for ahead of the walk: those of the nodes that it would expand next. It expands them in
//! its own order, whatever came by then, so that neither memory nor reading ahead change what it finds.
//!
//! What it answers is what [`Index::search`] answers: the same walk, the same candidates, the same order. Where a walk was short of hits
//! (tombstones) it goes on with twice the effort, and waits again. Exact duplicates of a hit lie behind it: [`super::pending_twins`].

use super::fetched::{FetchedGraph, FetchedUpper, Guides, Missing, Rows};
#[cfg(feature = "among")]
use super::filtered::AmongWalk;
use super::view::{BaseGraph, Guide, UpperGraph, corrupt_row};
use super::walk::{LAYERS_MAX, widen};
use super::{Index, Loaded};
use crate::error::Corrupt;
#[cfg(feature = "among")]
use crate::filter::RowSet;
use crate::format::{Kind, Refine};
use crate::graph::beam::Limits;
use crate::graph::{NONE, Stats};
use crate::search::pending::{Pending, Stage, Walking};
use crate::search::quality::Setting;
use crate::search::{Layout, Scratch, SearchError, SearchParams};
use alloc::vec::Vec;

impl<B: AsRef<[u8]>> Index<B> {
    /// Whether walks are guided by codes, so that records are read of candidates alone.
    pub(super) fn walks_by_codes(&self, loaded: &Loaded) -> Result<bool, SearchError> {
        Ok(self.guide(loaded, self.records(loaded)?).is_coarse())
    }

    /// Candidates of a walk whose records are read to rank them: as many in the usual case, and at most. By codes of four bits those that their error
    /// leaves in doubt come on top of the usual, up to 15 times as many; by others, and where a number was asked for, both are the same.
    ///
    /// # Errors
    /// A damaged block.
    pub fn candidates(&self, params: &SearchParams) -> Result<(usize, usize), SearchError> {
        let loaded = self.loaded()?;
        let guide = self.guide(loaded, self.records(loaded)?);
        let (least, most) = guide.ranked(params);
        Ok(match (&guide.coarse, &guide.codes) {
            (Some(_), _) => (most, most),
            (None, Some(_)) => (least, most),
            (None, None) => (params.rerank_count(), params.rerank_count()),
        })
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
        let home = self.edges()?.table().extra as u32;
        let (entry, upper) = if self.is_at_hand(Kind::CodesRows) {
            (self.descend(guide, &mut pending.scratch, &mut pending.stats)?, None)
        } else {
            guide.prepare(&mut pending.scratch.query);
            (home, self.upper(guide).map(|_| 0))
        };
        let walking = Walking { limits, entries: [entry, entry], wanted: params.k.min(live), begun: false, upper, layers: 0 };
        pending.in_doubt = pending.params.rerank.is_none();
        pending.runs.clear();
        pending.run_blocks = 1;
        self.walk_on(loaded, guide, walking, pending)
    }

    /// Walks among `rows` and wants the records of what was found, or of all of them where a scan is cheaper: as [`Index::search_where`].
    #[cfg(feature = "among")]
    pub(super) fn start_walk_where(&self, loaded: &Loaded, rows: &RowSet, pending: &mut Pending) -> Result<(), SearchError> {
        if !self.is_at_hand(Kind::CodesRows) || !self.is_at_hand(Kind::Edges) {
            return Err(SearchError::Unsupported { lacks: "is walked among rows only where its codes and edges are at hand" });
        }
        let guide = self.guide(loaded, self.records(loaded)?);
        let refine = if pending.originals { Refine::Originals } else { Refine::Records };
        let params = pending.params;
        let limits = Setting::choose(&params, Layout::Lean, refine, &loaded.quality).limits(params.k, self.metric(), self.len());
        let Some(walk) = AmongWalk::new(limits, self.len(), rows, &params) else {
            return Ok(self.want_all(pending)?);
        };
        let Pending { scratch, stats, .. } = &mut *pending;
        let edges = self.edges()?;
        let entries = [self.descend(guide, scratch, stats)?, edges.table().extra as u32];
        if !walk.run(&BaseGraph { edges, guide, nodes: self.len() }, entries, rows, scratch, stats)? {
            return Ok(self.want_all(pending)?);
        }
        pending.in_doubt = params.rerank.is_none();
        let wanted = params.k.min(rows.len());
        pending.walk = Some(Walking { limits, entries, wanted, begun: true, upper: None, layers: 0 });
        self.want_found(loaded, pending)
    }

    /// Walks, and wants the records of what was found.
    fn walk_on(&self, loaded: &Loaded, guide: Guide<'_>, walking: Walking, pending: &mut Pending) -> Result<(), SearchError> {
        if !self.is_at_hand(Kind::CodesRows) || !self.is_at_hand(Kind::Edges) {
            pending.walk = Some(Walking { begun: false, ..walking });
            return self.fetch_on(loaded, pending);
        }
        let graph = BaseGraph { edges: self.edges()?, guide, nodes: self.len() };
        let Pending { scratch, stats, .. } = &mut *pending;
        scratch.beam.search(&graph, &scratch.query, walking.entries, walking.limits, stats)?;
        pending.walk = Some(walking);
        self.want_found(loaded, pending)
    }

    /// The layers above the base, if there are any.
    fn upper<'a>(&'a self, guide: Guide<'a>) -> Option<UpperGraph<'a>> {
        let upper = self.reader.section(Kind::Upper, 0).filter(|upper| upper.rows() > 0)?;
        Some(UpperGraph { upper, guide, nodes: upper.rows() as usize })
    }

    /// Whether what a walk goes by need not be asked for; so where the file has no such table.
    pub(super) fn is_at_hand(&self, kind: Kind) -> bool {
        self.table(kind).is_none_or(|(_, table)| table.end() <= self.at_hand)
    }

    /// Walks as far as codes and edges are at hand, and wants more of them, or the records of what was found.
    pub(super) fn fetch_on(&self, loaded: &Loaded, pending: &mut Pending) -> Result<(), SearchError> {
        let Some(mut walking) = pending.walk else { return Ok(()) };
        pending.held.settle();
        let guide = self.guide(loaded, self.records(loaded)?);
        let Pending { scratch, stats, held, missing, ahead, .. } = &mut *pending;
        let held = |kind| (!self.is_at_hand(kind)).then_some(&*held);
        let edges = Rows { section: self.edges()?, held: held(Kind::Edges) };
        let codes = Guides { rows: Rows { section: guide.rows.section, held: held(Kind::CodesRows) }, guide };
        let graph = FetchedGraph { edges, codes, nodes: self.len() };
        missing.clear();
        if let Some(upper) = self.upper(guide) {
            go_down(&FetchedUpper { upper, codes }, &mut walking, scratch, stats, missing)?;
        }
        if walking.upper.is_none() && !walking.begun {
            missing.extend(walking.entries.iter().filter_map(|&entry| codes.missing(entry)));
            if missing.is_empty() {
                scratch.beam.start(&graph, &scratch.query, walking.entries, walking.limits, stats)?;
                walking.begun = true;
            }
        }
        let begun = walking.upper.is_none() && walking.begun;
        let ended = begun && scratch.beam.go_on(&graph, &scratch.query, walking.limits, stats)?;
        if begun && !ended {
            let ahead = if *ahead == 0 { Pending::READ_AHEAD } else { *ahead };
            scratch.beam.ahead(walking.limits).take(ahead).for_each(|next| graph.missing(next.node, missing));
        }
        pending.walk = Some(walking);
        if ended {
            return self.want_found(loaded, pending);
        }
        pending.clear_round();
        crate::sort::by_key(&mut pending.missing, |missing| *missing);
        let tables = [Kind::CodesRows, Kind::Edges].map(|kind| self.table(kind));
        for at in 0..pending.missing.len() {
            let (offset, of_edges) = pending.missing[at];
            if let Some(table) = tables[usize::from(of_edges)] {
                Self::want(pending, table, (offset - table.1.offset) / u64::from(table.1.block_bytes));
            }
        }
        pending.await_round(Stage::Graph);
        Ok(())
    }

    /// Candidates that were ranked become hits, with their duplicates, for which it may wait; too few of them, and the walk goes on.
    pub(super) fn end_walk(&self, loaded: &Loaded, mut walking: Walking, pending: &mut Pending) -> Result<bool, SearchError> {
        if !self.add_duplicates(loaded, pending)? {
            return Ok(false);
        }
        if pending.candidates.len() >= walking.wanted {
            return Ok(true);
        }
        #[cfg(feature = "among")]
        if pending.is_among() {
            self.want_all(pending)?;
            return Ok(false);
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
}

/// Goes down the layers above as far as codes are at hand, as [`Index::descend`] does, and says which are missing; at their end the walk has
/// its entry.
fn go_down(
    graph: &FetchedUpper<'_>,
    walking: &mut Walking,
    scratch: &mut Scratch,
    stats: &mut Stats,
    missing: &mut Vec<Missing>,
) -> Result<(), Corrupt> {
    let limits = Limits::ef(1);
    while let Some(entry) = walking.upper {
        if walking.layers >= LAYERS_MAX {
            return Err(corrupt_row(&graph.upper.upper, entry, "more layers than a file can have"));
        }
        if !walking.begun {
            missing.extend(graph.codes.missing(graph.upper.node(entry)?.row));
            if !missing.is_empty() {
                return Ok(());
            }
            scratch.beam.start(graph, &scratch.query, [entry], limits, stats)?;
            walking.begun = true;
        }
        if !scratch.beam.go_on(graph, &scratch.query, limits, stats)? {
            return scratch.beam.ahead(limits).take(1).try_for_each(|next| graph.missing(next.node, missing));
        }
        let nearest = scratch.beam.pool.iter().next().map_or(entry, |nearest| nearest.node);
        let node = graph.upper.node(nearest)?;
        (walking.begun, walking.layers) = (false, walking.layers + 1);
        walking.upper = (node.below != NONE).then_some(node.below);
        if node.below == NONE {
            walking.entries = [node.row; 2];
        }
    }
    Ok(())
}
