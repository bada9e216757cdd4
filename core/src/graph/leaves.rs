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
//! set of (distance, node), whatever order its leaves come in.

use super::back;
use super::layer::{Layer, LayerView, Records};
use super::partition::{Assigner, Carving, carve};
use super::pool::Pool;
use super::select::{Selection, Selector};
use super::{Buffers, Neighbor};
use crate::format::Metric;
use crate::par::Par;
use crate::quant::Prepared;
use crate::sort;
use alloc::vec;
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

/// Leaves of one step, whose finds are merged before the next.
const STEP_LEAVES: usize = 64;
/// Nodes of one step.
const STEP_NODES: usize = 1 << 14;
/// Nodes of one task.
const TASK_NODES: usize = 32;

/// Scratch of one thread.
#[derive(Debug, Default)]
struct Worker {
    query: Prepared,
    buffers: Buffers,
    selector: Selector,
    nearest: Pool,
    candidates: Vec<Neighbor>,
    kept: Vec<Neighbor>,
    /// The records of a leaf, side by side.
    bytes: Vec<u8>,
    /// Distances of all pairs of a leaf.
    matrix: Vec<f32>,
}

/// A leaf with the edges found in it.
#[derive(Debug, Default)]
struct Found {
    leaf: usize,
    edges: Vec<(u32, u64)>,
}

/// Builds a layer of the first `nodes` nodes of `records`, of which the first few stand in the layer `above` as well.
/// `progress(done)` is told in nodes and may stop the build: then `None` is returned.
///
/// Cost: `nodes * fanout * leaf / 2` distances at most, of rows in the cache, and the pruning of `nodes` lists twice; 16 bytes a
/// slot for what nodes keep of their leaves, beside two layers.
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
    let mut kept = Kept::new(nodes, params.degree * 2);
    let mut found: Vec<Found> = (0..STEP_LEAVES).map(|_| Found::default()).collect();
    for first in (0..leaves.len()).step_by(STEP_LEAVES) {
        tell(1, (nodes as u64 * 4 * first as u64 / leaves.len() as u64) as usize)?;
        let found = &mut found[..STEP_LEAVES.min(leaves.len() - first)];
        (first..).zip(&mut *found).for_each(|(leaf, found)| found.leaf = leaf);
        par.chunks(found, 1, &mut workers, |_, found, worker| {
            for Found { leaf, edges } in found {
                // A lone leaf has to bring all that its nodes will ever see.
                let most = if leaves.len() == 1 { params.degree } else { params.degree.div_ceil(2) };
                worker.search_leaf(records, &leaves[*leaf], params, most, edges);
            }
        });
        found.iter().flat_map(|found| &found.edges).for_each(|&(node, key)| kept.offer(node, key));
    }
    drop((leaves, found));

    let mut chosen = Layer::new(nodes, params.degree);
    let mut lists: Vec<Vec<Neighbor>> = Vec::new();
    for range in steps(nodes, STEP_NODES) {
        tell(5, range.start * 2)?;
        let view = LayerView { layer: &chosen, records, nodes };
        lists.resize_with(range.len(), Vec::new);
        par.chunks(&mut lists, TASK_NODES, &mut workers, |task, lists, worker| {
            for (node, list) in (range.start + task * TASK_NODES..).zip(lists) {
                worker.candidates.clear();
                worker.candidates.extend(kept.of(node));
                let Ok(()) = worker.selector.select(&view, &worker.candidates, params.degree, params.selection, list);
            }
        });
        range.clone().zip(&lists).for_each(|(node, list)| chosen.set(node as u32, list));
    }
    drop(kept);

    let mut layer = Layer::new(nodes, params.degree);
    let mut back: Vec<(u32, u64)> = Vec::new();
    // Each step looks at all edges, so there are a bounded number of them.
    for range in steps(nodes, STEP_NODES.max(nodes / 64)) {
        tell(7, range.start)?;
        gather_back(&chosen, range.clone(), &mut back);
        let view = LayerView { layer: &chosen, records, nodes };
        lists.resize_with(range.len(), Vec::new);
        par.chunks(&mut lists, TASK_NODES, &mut workers, |task, lists, worker| {
            for (node, list) in (range.start + task * TASK_NODES..).zip(lists) {
                worker.join(&view, &back, node as u32, params.selection, list);
                if let Some(above) = above.filter(|above| node < above.rows()) {
                    add_ways_out(above.edges(node as u32), params.degree, list);
                }
            }
        });
        range.clone().zip(&lists).for_each(|(node, list)| layer.set(node as u32, list));
    }
    Some(layer)
}

/// Nodes in steps that progress can be told of.
fn steps(nodes: usize, step: usize) -> impl Iterator<Item = Range<usize>> {
    (0..nodes).step_by(step).map(move |start| start..(start + step).min(nodes))
}

/// Edges of `chosen` that lead to `targets`, as (target, distance and source), sorted.
fn gather_back(chosen: &Layer, targets: Range<usize>, back: &mut Vec<(u32, u64)>) {
    back.clear();
    for source in 0..chosen.rows() as u32 {
        let reached = chosen.edges(source).filter(|edge| targets.contains(&(edge.node as usize)));
        back.extend(reached.map(|edge| (edge.node, Neighbor { distance: edge.distance, node: source }.key())));
    }
    sort::by_key(back, |edge| *edge);
}

/// Adds what a node is linked to in the layer above, where there is room: long edges, which lead out of clusters. (Insertion leaves
/// them in lists of its first nodes, which found no nearer ones.)
pub(crate) fn add_ways_out(above: impl Iterator<Item = Neighbor>, degree: usize, list: &mut Vec<Neighbor>) {
    let own = list.len();
    for edge in above {
        if list.len() < degree && !list[..own].contains(&edge) {
            list.push(edge);
        }
    }
    super::sort(list);
}

/// The nearest that each node kept so far: `most` slots a node, ascending, free ones last.
struct Kept {
    keys: Vec<u64>,
    most: usize,
}

/// A free slot; no distance is NaN, so no key is this large.
const FREE: u64 = u64::MAX;

impl Kept {
    fn new(nodes: usize, most: usize) -> Self {
        Self { keys: vec![FREE; nodes * most], most }
    }

    fn slots(&self, node: usize) -> Range<usize> {
        node * self.most..(node + 1) * self.most
    }

    /// Takes `key` in if it is among the nearest and not there yet.
    fn offer(&mut self, node: u32, key: u64) {
        let slots = self.slots(node as usize);
        let slots = &mut self.keys[slots];
        let at = slots.partition_point(|&held| held < key);
        if slots.get(at).is_some_and(|&held| held != key) {
            slots.copy_within(at..slots.len() - 1, at + 1);
            slots[at] = key;
        }
    }

    fn of(&self, node: usize) -> impl Iterator<Item = Neighbor> + '_ {
        self.keys[self.slots(node)].iter().take_while(|&&key| key != FREE).map(|&key| Neighbor::from_key(key))
    }
}

impl Worker {
    /// Computes all pairs of `leaf` and leaves in `edges` what each node keeps there: at most `most`.
    fn search_leaf(&mut self, records: Records<'_>, leaf: &[u32], params: &LeafParams, most: usize, edges: &mut Vec<(u32, u64)>) {
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
            self.kept.clear();
            for candidate in self.nearest.iter() {
                let others = &self.matrix[candidate.node as usize * stride..][..size];
                if self.kept.iter().all(|kept| others[kept.node as usize] * alpha >= candidate.distance) {
                    self.kept.push(candidate);
                    if self.kept.len() == most {
                        break;
                    }
                }
            }
            edges.extend(self.kept.iter().map(|kept| (node, Neighbor { node: leaf[kept.node as usize], ..*kept }.key())));
        }
    }

    /// Distances of all pairs of `leaf`, `stride` apart; a node's distance from itself is not set.
    fn fill_matrix(&mut self, records: Records<'_>, leaf: &[u32], stride: usize) {
        let record_bytes = records.space.layout.stride;
        self.bytes.clear();
        leaf.iter().for_each(|&node| self.bytes.extend_from_slice(records.record(node)));
        let size = leaf.len();
        if self.matrix.len() < stride * size {
            self.matrix.resize(stride * size, 0.0);
        }
        let own = Records { bytes: &self.bytes, ..records };
        for start in (0..size).step_by(MIRRORED) {
            let rows = start..(start + MIRRORED).min(size);
            for i in rows.clone() {
                own.prepare(i as u32, &mut self.query);
                self.buffers.places.clear();
                self.buffers.places.extend((i + 1..size).map(|j| j * record_bytes));
                own.distances_at(&self.query, &mut self.buffers, &mut self.matrix[i * stride..][i + 1..size]);
            }
            for j in start + 1..size {
                for i in start..rows.end.min(j) {
                    self.matrix[j * stride + i] = self.matrix[i * stride + j];
                }
            }
        }
    }

    /// The chosen neighbours of `node` and the edges back to it, pruned if they are too many.
    fn join(&mut self, view: &LayerView<'_>, back: &[(u32, u64)], node: u32, selection: Selection, list: &mut Vec<Neighbor>) {
        let start = back.partition_point(|edge| edge.0 < node);
        let back = &back[start..];
        let back = &back[..back.partition_point(|edge| edge.0 == node)];
        back::join(view, node, back, selection, &mut self.selector, &mut self.candidates, list);
    }
}
