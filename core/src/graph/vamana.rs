//! Building a layer by searching it (Subramanya et al. 2019, "DiskANN", Algorithms 1 to 3): Vamana.
//!
//! Each node searches the graph so far, takes what the search found as candidates, and keeps of these what RobustPrune leaves: a kept
//! neighbour `s` removes a candidate `c` of the node `p` when `alpha_sq * d(s, c) < d(p, c)` over squared lengths. The comparison is strict: a twin
//! of `p` would otherwise remove all others. With `alpha_sq` above 1 longer edges stay, so walks take fewer hops. Edges back are added, and
//! lists that grew too long pruned alike.
//!
//! `alpha_sq` multiplies squared lengths. The paper's `alpha` multiplies lengths, its code squared ones: an `alpha` of 1.2 there is 1.2
//! here. Under cosine the same holds, as the distances of unit rows are half their squared lengths. Inner products are compared as they are,
//! with a factor of 1: a graph over lengths, or over rows that are lifted onto a sphere, is walked badly by them
//! (`docs/decisions/graphs-by-leaves.md`).
//!
//! Two passes: the first inserts nodes in their order (a random one) into what is there, with a factor of 1; the second searches for every
//! node again, in the whole graph, with `alpha_sq`. Both go in batches over a frozen graph (ParlayANN, arXiv 2304.04359, section 4), at most
//! a fiftieth of all nodes, so the result is the same for any number of threads. Where the layer above is given, a search starts at what
//! it leads to: several entries, chosen for each node.

use super::back::{self, Merge};
use super::beam::{Beam, Limits};
use super::layer::{Layer, LayerView, Measured, Records};
use super::select::{Nodes, Selection, Selector};
use super::{Neighbor, Stats};
use crate::par::Par;
use crate::quant::Prepared;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::{ControlFlow, Range};

/// What decides a layer, beside its records.
#[derive(Clone, Copy, Debug)]
pub struct VamanaParams {
    /// Slots of a node.
    pub degree: usize,
    /// Pool of a search for a node (the paper's `L`).
    pub ef: usize,
    /// The factor on squared lengths, at least 1; 1 under inner products.
    pub alpha_sq: f32,
}

/// Share of all nodes that a batch holds at most, as in [`super::hnsw`].
const BATCH_SHARE: usize = 50;

/// Nodes of one task.
const TASK_NODES: usize = 16;

/// Entries that the layer above gives a search.
const ENTRIES: usize = 4;

/// Scratch of one thread.
#[derive(Debug, Default)]
struct Worker {
    beam: Beam,
    query: Prepared,
    selector: Selector,
    candidates: Vec<Neighbor>,
    entries: Vec<u32>,
}

/// A build's state that all its steps read.
struct Job<'a> {
    records: Records<'a>,
    above: Option<&'a Layer>,
    ef: usize,
    selection: Selection,
}

/// Builds a layer of the first `nodes` nodes of `records`; the first few of them stand in the layer `above` as well.
/// `progress(done)` is told in nodes and may stop the build: then `None` is returned.
///
/// Cost: two searches a node of `ef * degree` distances, and their pruning.
pub fn build<P: Par>(
    records: Records<'_>,
    nodes: usize,
    above: Option<&Layer>,
    params: &VamanaParams,
    par: &P,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Option<Layer> {
    let mut workers: Vec<Worker> = (0..par.threads()).map(|_| Worker::default()).collect();
    let mut layer = Measured::new(nodes, params.degree);
    let largest = (nodes / BATCH_SHARE).max(1);
    for (pass, alpha_sq) in [1.0, params.alpha_sq].into_iter().enumerate() {
        let selection = Selection { heuristic: true, keep_pruned: false, alpha_sq };
        let job = Job { records, above, ef: params.ef, selection };
        let mut start = if pass == 0 { 1.min(nodes) } else { 0 };
        while start < nodes {
            // What the first pass searches is what was inserted before.
            let known = if pass == 0 { start } else { nodes };
            let batch = start..start + known.min(largest).min(nodes - start);
            job.link(&mut layer, batch.clone(), known, par, &mut workers);
            start = batch.end;
            progress((pass * nodes + start) / 2).is_continue().then_some(())?;
        }
    }
    Some(layer.layer)
}

impl Job<'_> {
    /// Links the nodes of a batch by what searches of the first `known` nodes find, and adds the edges back.
    fn link<P: Par>(&self, layer: &mut Measured, batch: Range<usize>, known: usize, par: &P, workers: &mut [Worker]) {
        let mut lists: Vec<Vec<Neighbor>> = vec![Vec::new(); batch.len()];
        let frozen = &*layer;
        par.chunks(&mut lists, TASK_NODES, workers, |task, lists, worker| {
            for (node, list) in (batch.start + task * TASK_NODES..).zip(lists) {
                worker.choose(self, frozen, node as u32, known, list);
            }
        });
        let (mut back, mut merges) = (Vec::new(), Vec::new());
        for (source, list) in batch.clone().zip(&lists) {
            layer.set(source as u32, list);
            back.extend(back::edges(source as u32, list));
        }
        let merges = back::by_target(&mut back, &mut merges);
        let frozen = &*layer;
        par.chunks(merges, TASK_NODES, workers, |_, merges, Worker { selector, candidates, .. }| {
            for Merge { target, range, merged } in merges {
                back::join(frozen, self.records, *target, &back[range.clone()], self.selection, selector, candidates, merged);
            }
        });
        merges.iter().for_each(|merge| layer.set(merge.target, &merge.merged));
    }
}

impl Worker {
    /// Chooses the neighbours of `node` among what a search finds and those that it has.
    fn choose(&mut self, job: &Job<'_>, layer: &Measured, node: u32, known: usize, list: &mut Vec<Neighbor>) {
        let view = LayerView { layer: &layer.layer, records: job.records, nodes: known };
        let mut stats = Stats::default();
        self.entries.clear();
        self.entries.push(0);
        if let Some(above) = job.above.filter(|above| above.rows() > 1) {
            let above = LayerView { layer: above, records: job.records, nodes: above.rows() };
            let Ok(()) = above.prepare(node, &mut self.query);
            let limits = Limits { hidden: node, ..Limits::ef(ENTRIES) };
            let Ok(()) = self.beam.search(&above, &self.query, [0, 1], limits, &mut stats);
            self.entries.extend(self.beam.pool.iter().map(|entry| entry.node));
        }
        let Ok(()) = view.prepare(node, &mut self.query);
        // The search takes its own neighbours for entries, too, or would not find what only it leads to.
        self.entries.extend_from_slice(view.layer.neighbors(node));
        let limits = Limits { hidden: node, ..Limits::ef(job.ef) };
        let Ok(()) = self.beam.search(&view, &self.query, self.entries.iter().copied(), limits, &mut stats);
        self.candidates.clear();
        self.candidates.extend(self.beam.pool.iter());
        self.candidates.extend(layer.edges(node));
        super::sort(&mut self.candidates);
        self.candidates.dedup();
        let Ok(()) = self.selector.select(&view, &self.candidates, view.layer.degree(), job.selection, list);
    }
}
