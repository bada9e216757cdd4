//! Building a layer without searching it: all pairs inside overlapping leaves, then pruning.
//!
//! PiPNN (arXiv 2602.21247): nodes are grouped into leaves ([`super::partition`]); inside a leaf every
//! distance is computed, from rows that lie side by side in the cache; each node keeps there what
//! the heuristic leaves of its nearest; what a node kept in all its leaves is pruned again, edges
//! back are added, and lists that grew too long are pruned once more. Their own reservoir hashes
//! candidates by direction; here a leaf prunes them, which costs look-ups in its matrix alone.
//!
//! Inside a leaf a candidate falls only to a neighbour that is clearly nearer to it
//! ([`LEAF_ALPHA`]): that neighbour itself may fall when the leaves come together.
//!
//! The result does not depend on the number of threads: what a node keeps are the smallest of a
//! set of (distance, node), whatever order its leaves come in. What nodes keep, choose and end up with lies in one
//! place ([`super::slots`]), without distances.

use super::Neighbor;
use super::layer::{Layer, Records};
use super::partition::{Assigner, Carving, Leaves, carve};
use super::pool::Pool;
use super::ruler::Ruler;
use super::select::{Selection, Selector};
use super::slots::{Row, Slots};
use crate::format::Metric;
use crate::par::Par;
use crate::sort;
use alloc::vec::Vec;
use core::ops::{ControlFlow, Range};

/// What decides a layer, beside its records.
#[derive(Clone, Copy, Debug)]
pub struct LeafParams {
    /// Slots of a node.
    pub degree: usize,
    /// Nodes of a leaf at most.
    pub leaf: usize,
    /// Leaves that a node joins.
    pub fanout: usize,
    /// Nearest nodes of a leaf that are candidates.
    pub near: usize,
    /// Decides who leads the leaves.
    pub seed: u64,
    /// How neighbours are chosen in the end.
    pub selection: Selection,
}

/// Factor by which a kept neighbour must be nearer to a candidate than the base is, on distances as computed (squares). On
/// 100,000 text embeddings with five leaves a node, a search at recall 0.95 and 0.99 costs 588 and 1,465 distances with a factor of
/// 1, 528 and 1,394 with 1.2, 526 and 1,425 with 1.44.
const LEAF_ALPHA: f32 = 1.2;

/// Rows of a matrix whose mirror images are written together, so that a cache line is filled at one go.
const MIRRORED: usize = 16;

/// Leaves of one step for each thread, whose finds are taken in before the next: a fraction of the matrix that the thread has.
pub(crate) const STEP_LEAVES: usize = 16;
/// Tasks of one step at most, in which nodes take in what was found.
const STEP_TASKS: usize = 256;
/// Nodes of one step.
const STEP_NODES: usize = 1 << 14;
/// Nodes of one task.
const TASK_NODES: usize = 32;

/// Scratch of one thread.
#[derive(Debug, Default)]
struct Worker {
    ruler: Ruler,
    selector: Selector,
    nearest: Pool,
    candidates: Vec<Neighbor>,
    list: Vec<Neighbor>,
    others: Vec<u32>,
    /// The records of a leaf, side by side.
    bytes: Vec<u8>,
    /// Distances of all pairs of a leaf.
    matrix: Vec<f32>,
}

/// A leaf, and whom its nodes found in it: a node and its neighbour each, by node.
#[derive(Debug, Default)]
struct Found {
    leaf: usize,
    edges: Vec<(u32, Neighbor)>,
}

/// Builds a layer of the first `nodes` nodes of `records`, of which the first few stand in the layer `above` as well.
/// `progress(done)` is told in nodes and may stop the build: then `None` is returned.
///
/// Cost: `nodes * fanout * leaf / 2` distances at most, of rows in the cache, and the pruning of `nodes` lists twice. Memory, for each node: 4
/// bytes a leaf that it joins, beside a [row](super::slots), of which 4 bytes a slot stay.
pub fn build<P: Par>(
    records: Records<'_>,
    nodes: usize,
    above: Option<&Layer>,
    params: &LeafParams,
    par: &P,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Option<Layer> {
    // Shares of the time that the steps take, in eighths.
    let mut tell = |eighths: usize, done: usize| {
        let done = (nodes as u64 * eighths as u64 + done as u64) / 8;
        progress(done as usize).is_continue().then_some(())
    };
    let mut assigners: Vec<Assigner> = (0..par.threads()).map(|_| Assigner::default()).collect();
    let carving = Carving { leaf: params.leaf, fanout: params.fanout, seed: params.seed };
    let leaves = carve(records, nodes, carving, par, &mut assigners, &mut |done| tell(0, done))?;
    drop(assigners);
    let mut workers: Vec<Worker> = (0..par.threads()).map(|_| Worker::default()).collect();
    let mut slots = Slots::new(nodes, params.degree, records.space.layout.stride);
    search_leaves(records, &leaves, params, &mut slots, par, &mut workers, &mut |share| tell(1, 4 * share))?;
    drop(leaves);

    let mut back: Vec<(u32, u32)> = Vec::new();
    for joining in [false, true] {
        // Where edges back are joined each step looks at all edges, so there are a bounded number of them.
        for range in steps(nodes, if joining { STEP_NODES.max(nodes / 64) } else { STEP_NODES }) {
            if joining {
                tell(7, range.start)?;
                gather_back(&slots, &range, &mut back);
            } else {
                tell(5, range.start * 2)?;
            }
            let back = joining.then_some(&back[..]);
            slots.each(range, TASK_NODES, par, &mut workers, &|mut rows, worker| {
                for node in rows.nodes.start as u32..rows.nodes.end as u32 {
                    worker.choose(records, above, back, params, node, &mut rows.row(node));
                }
            });
        }
    }
    Some(slots.into_layer())
}

/// Searches all leaves; nodes take in what they find. `tell(done)` is told in nodes.
fn search_leaves<P: Par>(
    records: Records<'_>,
    leaves: &Leaves,
    params: &LeafParams,
    slots: &mut Slots,
    par: &P,
    workers: &mut [Worker],
    tell: &mut dyn FnMut(usize) -> Option<()>,
) -> Option<()> {
    // A lone leaf has to bring all that its nodes will ever see.
    let most = if leaves.len() == 1 { params.degree } else { params.degree.div_ceil(2) };
    let nodes = slots.nodes();
    let step = STEP_LEAVES * par.threads().max(1);
    let mut found: Vec<Found> = (0..step.min(leaves.len())).map(|_| Found::default()).collect();
    for first in (0..leaves.len()).step_by(step) {
        tell((nodes as u64 * first as u64 / leaves.len() as u64) as usize)?;
        let found = &mut found[..step.min(leaves.len() - first)];
        (first..).zip(&mut *found).for_each(|(leaf, found)| found.leaf = leaf);
        par.chunks(found, 1, workers, |_, found, worker| {
            for Found { leaf, edges } in found {
                worker.search_leaf(records, leaves.nodes(*leaf), params, most, edges);
            }
        });
        slots.each(0..nodes, nodes.div_ceil(STEP_TASKS).max(TASK_NODES), par, workers, &|mut rows, worker| {
            let Range { start, end } = rows.nodes;
            for Found { edges, .. } in &*found {
                let edges = &edges[edges.partition_point(|edge| (edge.0 as usize) < start)..];
                for &(node, near) in edges.iter().take_while(|edge| (edge.0 as usize) < end) {
                    rows.row(node).offer(records, node, near, &mut worker.ruler, &mut worker.candidates);
                }
            }
        });
    }
    Some(())
}

/// Nodes in steps that progress can be told of.
fn steps(nodes: usize, step: usize) -> impl Iterator<Item = Range<usize>> {
    (0..nodes).step_by(step).map(move |start| start..(start + step).min(nodes))
}

/// Edges from chosen nodes among `targets` back to those who chose them, as (target, source), sorted.
fn gather_back(slots: &Slots, targets: &Range<usize>, back: &mut Vec<(u32, u32)>) {
    back.clear();
    for source in 0..slots.nodes() as u32 {
        for &target in slots.chosen(source) {
            if targets.contains(&(target as usize)) {
                back.push((target, source));
            }
        }
    }
    sort::by_key(back, |edge| *edge);
}

/// Adds what a node is linked to in the layer above, where there is room: long edges, which lead out of clusters. (Insertion leaves
/// them in lists of its first nodes, which found no nearer ones.)
pub(crate) fn add_ways_out(above: &[Neighbor], degree: usize, list: &mut Vec<Neighbor>) {
    let own = list.len();
    for edge in above {
        if list.len() < degree && !list[..own].contains(edge) {
            list.push(*edge);
        }
    }
    super::sort(list);
}

impl Worker {
    /// Computes all pairs of `leaf` and leaves in `edges` what each node finds there: at most `most`.
    fn search_leaf(&mut self, records: Records<'_>, leaf: &[u32], params: &LeafParams, most: usize, edges: &mut Vec<(u32, Neighbor)>) {
        edges.clear();
        let alpha = if records.space.metric == Metric::InnerProduct { 1.0 } else { LEAF_ALPHA };
        let size = leaf.len();
        let stride = size | 1; // a column of a power of two would fall on few cache lines
        self.fill_matrix(records, leaf, stride);
        for (i, &node) in leaf.iter().enumerate() {
            self.nearest.reset(params.near);
            let distances = &self.matrix[i * stride..][..size];
            for (j, &distance) in (0..).zip(distances) {
                if j as usize != i {
                    self.nearest.insert(Neighbor { distance, node: j }.key());
                }
            }
            self.list.clear();
            for candidate in self.nearest.iter() {
                let others = &self.matrix[candidate.node as usize * stride..][..size];
                if self.list.iter().all(|kept| others[kept.node as usize] * alpha >= candidate.distance) {
                    self.list.push(candidate);
                    if self.list.len() == most {
                        break;
                    }
                }
            }
            edges.extend(self.list.iter().map(|kept| (node, Neighbor { node: leaf[kept.node as usize], ..*kept })));
        }
    }

    /// Distances of all pairs of `leaf`, `stride` apart; a node's distance from itself is not set.
    fn fill_matrix(&mut self, records: Records<'_>, leaf: &[u32], stride: usize) {
        let record_bytes = records.space.layout.stride;
        // Exact, as what a thread holds is counted where memory has a bound.
        self.bytes.clear();
        self.bytes.reserve_exact(leaf.len() * record_bytes);
        leaf.iter().for_each(|&node| self.bytes.extend_from_slice(records.record(node)));
        let size = leaf.len();
        if self.matrix.len() < stride * size {
            self.matrix.reserve_exact(stride * size - self.matrix.len());
            self.matrix.resize(stride * size, 0.0);
        }
        let own = Records { bytes: &self.bytes, ..records };
        let Ruler { query, buffers, .. } = &mut self.ruler;
        for start in (0..size).step_by(MIRRORED) {
            let rows = start..(start + MIRRORED).min(size);
            for i in rows.clone() {
                own.prepare(i as u32, query);
                buffers.places.clear();
                buffers.places.extend((i + 1..size).map(|j| j * record_bytes));
                own.distances_at(query, buffers, &mut self.matrix[i * stride..][i + 1..size]);
            }
            for j in start + 1..size {
                for i in start..rows.end.min(j) {
                    self.matrix[j * stride + i] = self.matrix[i * stride + j];
                }
            }
        }
    }

    /// Chooses the neighbours of `node` of what it found; or, where edges `back` are given, of whom it chose and of those who chose it, if they
    /// are too many.
    fn choose(
        &mut self,
        records: Records<'_>,
        above: Option<&Layer>,
        back: Option<&[(u32, u32)]>,
        params: &LeafParams,
        node: u32,
        row: &mut Row<'_>,
    ) {
        let Self { ruler, selector, candidates, list, others, .. } = self;
        others.clear();
        others.extend_from_slice(row.held());
        if let Some(back) = back {
            let back = &back[back.partition_point(|edge| edge.0 < node)..];
            for &(_, source) in back.iter().take_while(|edge| edge.0 == node) {
                if !row.holds(source) {
                    others.push(source);
                }
            }
        }
        ruler.measure(records, node, others, candidates);
        if back.is_none() {
            candidates.truncate(params.degree * 2);
        }
        if back.is_some() && candidates.len() <= params.degree {
            list.clear();
            list.extend_from_slice(candidates);
        } else {
            let Ok(()) = selector.select(&records, candidates, params.degree, params.selection, list);
        }
        if back.is_none() {
            row.choose(list);
            return;
        }
        if let Some(above) = above.filter(|above| (node as usize) < above.rows()) {
            ruler.measure(records, node, above.neighbors(node), candidates);
            add_ways_out(candidates, params.degree, list);
        }
        row.finish(list);
    }
}
