//! Building a hierarchical navigable small world (Malkov & Yashunin 2016, Algorithm 1) in
//! batches whose result does not depend on the number of threads.
//!
//! Nodes come in insertion order: by level, highest first, then by a seeded hash. A level is
//! drawn independently of the vector, so this is a random order of the vectors, and it makes each
//! layer a prefix of the one below: layer `l` holds nodes `0..sizes[l]`, the entry is node 0 and
//! never changes.
//!
//! A batch is at most as large as the prefix before it and at most 2 % of all nodes (prefix
//! doubling, ParlayANN, arXiv 2304.04359 section 4). Its nodes search the frozen prefix in parallel and
//! choose their neighbours; then the edges back are sorted by (target, distance, source) and each
//! target merges and prunes its own. No locks, no atomics: distances are exact integers in a fixed
//! expression and ties go to the smaller node, so any schedule gives the same graph.

use super::back::{self, Back, Merge};
use super::beam::{Beam, Limits};
use super::layer::{Layer, LayerView, Measured, Records};
use super::select::{Nodes, Selection, Selector};
use super::{Graph, Neighbor, Stats};
use crate::par::Par;
use crate::quant::Prepared;
use crate::seed;
use crate::sort;
use alloc::vec::Vec;
use core::ops::ControlFlow;

/// What decides a graph, beside its records.
#[derive(Clone, Copy, Debug)]
pub struct HnswParams {
    /// Slots of a node above the base layer; the base layer has twice as many.
    pub m: usize,
    /// Pool of an insertion's search.
    pub ef_construction: usize,
    /// How neighbours are chosen.
    pub selection: Selection,
    /// Candidates' neighbours are candidates, too (Algorithm 4's option for clustered data).
    pub extend_candidates: bool,
}

/// Layers from the base up; the entry of each is node 0.
#[derive(Debug)]
pub struct Hierarchy {
    /// `layers[0]` is the base and holds all nodes.
    pub layers: Vec<Layer>,
}

/// Levels a node can have at most; with `m` = 2 that is enough for 2^32 nodes.
const LEVEL_MAX: u8 = 31;

/// Level of a row: at least `l` with probability `m^-l`, a function of seed and id alone.
///
/// The paper draws `floor(-ln(U) / ln(m))`, which is the same distribution; comparing a hash with
/// powers of `m` needs no logarithm, whose last bit differs between machines.
#[must_use]
pub fn level(seed: u64, id: u64, m: usize) -> u8 {
    let hash = seed::hash(seed, 0x006C_6576_656C, id);
    let (mut level, mut bar) = (0, u64::MAX / m.max(2) as u64);
    while level < LEVEL_MAX && hash < bar {
        level += 1;
        bar /= m.max(2) as u64;
    }
    level
}

/// Share of all nodes that a batch holds at most. Measured: 1/50 costs 0-10 % more distances at
/// recall 0.99 than one by one and keeps two threads busy from a few thousand nodes on.
const BATCH_SHARE: usize = 50;

/// Nodes of a batch that one task handles.
const TASK_NODES: usize = 16;

/// Scratch of one thread.
#[derive(Debug, Default)]
pub struct Worker {
    beam: Beam,
    query: Prepared,
    selector: Selector,
    candidates: Vec<Neighbor>,
    extended: Vec<u32>,
    chosen: Vec<Neighbor>,
}

/// Neighbours that a new node chose, by layer from the base up.
#[derive(Debug, Default)]
struct Links(Vec<Vec<Neighbor>>);

/// Builds the graph over `records`; `sizes[l]` nodes stand in layer `l`, `sizes[0]` is all.
/// `progress(done)` is told after each batch and may stop the build: then `None` is returned.
///
/// Cost: `O(n log n)` searches of `ef_construction * degree` distances in practice.
pub fn build<P: Par>(
    records: Records<'_>,
    sizes: &[usize],
    params: &HnswParams,
    par: &P,
    workers: &mut [Worker],
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Option<Hierarchy> {
    let total = sizes.first().copied().unwrap_or(0);
    let degree = |layer: usize| if layer == 0 { params.m * 2 } else { params.m };
    let mut layers: Vec<Measured> = sizes.iter().enumerate().map(|(l, &size)| Measured::new(size, degree(l))).collect();
    let mut links: Vec<Links> = Vec::new();
    let mut merges: Vec<Merge> = Vec::new();
    let mut back: Vec<Back> = Vec::new();
    let mut prefix = 1.min(total);
    while prefix < total {
        let batch = prefix.min((total / BATCH_SHARE).max(1)).min(total - prefix);
        if links.len() < batch {
            links.resize_with(batch, Links::default);
        }
        par.chunks(&mut links[..batch], TASK_NODES, workers, |task, links, worker| {
            for (offset, links) in links.iter_mut().enumerate() {
                let node = (prefix + task * TASK_NODES + offset) as u32;
                worker.insert(&layers, records, sizes, params, prefix, node, links);
            }
        });
        for layer in 0..sizes.len() {
            connect(&mut layers, records, layer, prefix, params, par, workers, &links[..batch], &mut back, &mut merges);
        }
        prefix += batch;
        if progress(prefix).is_break() {
            return None;
        }
    }
    Some(Hierarchy { layers: layers.into_iter().map(|measured| measured.layer).collect() })
}

impl Worker {
    /// Algorithm 1 up to the choice of neighbours: reads the first `prefix` nodes only.
    #[expect(clippy::too_many_arguments, reason = "a step of the build, called in one place")]
    fn insert(
        &mut self,
        layers: &[Measured],
        records: Records<'_>,
        sizes: &[usize],
        params: &HnswParams,
        prefix: usize,
        node: u32,
        links: &mut Links,
    ) {
        links.0.resize_with(sizes.len(), Vec::new);
        links.0.iter_mut().for_each(Vec::clear);
        let view = |layer: usize| LayerView { layer: &layers[layer].layer, records, nodes: prefix.min(sizes[layer]) };
        let Ok(()) = view(0).prepare(node, &mut self.query);
        let mut stats = Stats::default();
        self.candidates.clear();
        self.candidates.push(Neighbor { distance: 0.0, node: 0 });
        for layer in (0..sizes.len()).rev() {
            let view = view(layer);
            let inserting = (node as usize) < sizes[layer];
            let ef = if inserting { params.ef_construction } else { 1 };
            let entries = self.candidates.iter().map(|candidate| candidate.node);
            let Ok(()) = self.beam.search(&view, &self.query, entries, Limits::ef(ef), &mut stats);
            self.candidates.clear();
            self.candidates.extend(self.beam.pool.iter());
            if inserting {
                if params.extend_candidates {
                    self.extend(&view);
                }
                let most = view.layer.degree();
                let Ok(()) = self.selector.select(&view, &self.candidates, most, params.selection, &mut self.chosen);
                links.0[layer].extend_from_slice(&self.chosen);
            }
        }
    }

    /// Adds the candidates' neighbours to the candidates.
    fn extend(&mut self, view: &LayerView<'_>) {
        self.extended.clear();
        for candidate in &self.candidates {
            self.extended.extend_from_slice(view.layer.neighbors(candidate.node));
        }
        sort::by_key(&mut self.extended, |node| *node);
        self.extended.dedup();
        let mut known: Vec<u32> = self.candidates.iter().map(|candidate| candidate.node).collect();
        sort::by_key(&mut known, |node| *node);
        self.extended.retain(|node| known.binary_search(node).is_err());
        let mut distances = alloc::vec![0.0; self.extended.len()];
        let Ok(()) = view.distances(&self.query, &self.extended, &mut super::Buffers::default(), &mut distances);
        let added = self.extended.iter().zip(distances);
        self.candidates.extend(added.map(|(&node, distance)| Neighbor { distance, node }));
        super::sort(&mut self.candidates);
    }
}

/// Writes the batch's links of one layer, then the edges back.
#[expect(clippy::too_many_arguments, reason = "a step of the build, called in one place")]
fn connect<P: Par>(
    layers: &mut [Measured],
    records: Records<'_>,
    layer: usize,
    prefix: usize,
    params: &HnswParams,
    par: &P,
    workers: &mut [Worker],
    links: &[Links],
    back: &mut Vec<Back>,
    merges: &mut Vec<Merge>,
) {
    let measured = &mut layers[layer];
    let size = measured.layer.rows();
    back.clear();
    for (offset, links) in links.iter().enumerate().take(size.saturating_sub(prefix)) {
        let source = (prefix + offset) as u32;
        let chosen = &links.0[layer];
        measured.set(source, chosen);
        back.extend(back::edges(source, chosen));
    }
    let merges = back::by_target(back, merges);
    let (frozen, back) = (&*measured, &back[..]);
    par.chunks(merges, TASK_NODES, workers, |_, merges, Worker { selector, candidates, .. }| {
        for Merge { target, range, merged } in merges {
            back::join(frozen, records, *target, &back[range.clone()], params.selection, selector, candidates, merged);
        }
    });
    for merge in merges {
        measured.set(merge.target, &merge.merged);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sixteenth_of_the_rows_rises_each_level() {
        let rows = 1 << 16;
        let at_least = |l| (0..rows).filter(|&id| level(3, id, 16) >= l).count();
        assert!((3_900..4_300).contains(&at_least(1)), "{}", at_least(1));
        assert!((210..310).contains(&at_least(2)), "{}", at_least(2));
        assert!(level(3, 77, 16) == level(3, 77, 16));
    }
}
