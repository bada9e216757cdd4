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
//! Where rows are short, leaves are searched in a few passes, each for a range of nodes ([`super::passes`]): what nodes find takes
//! more memory ([`super::slots`]) than whom they choose of it.
//!
//! The result depends neither on the number of threads nor of passes: what a node keeps are the smallest of a
//! set of (distance, node), whatever order its leaves come in.

use super::back;
use super::layer::{Layer, Records};
use super::partition::{Assigner, Carving, Leaves, carve};
use super::passes::{self, Shape};
use super::pool::Pool;
use super::ruler::Ruler;
use super::select::{Selection, Selector};
use super::slots::{Row, Slots};
use super::{NONE, Neighbor};
use crate::format::Metric;
use crate::par::Par;
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

/// Leaves of one step for each thread, whose finds are taken in before the next: a fraction of the matrix that the thread has.
pub(crate) const STEP_LEAVES: usize = 8;
/// Tasks of one step at most, in which nodes take in what was found.
const STEP_TASKS: usize = 256;
/// Nodes of one step, which choose of what they found.
const STEP_NODES: usize = 1 << 14;
/// Nodes of one step at least, to which edges back are joined. Each looks at all edges, so there are no more than 64 of them.
const JOIN_NODES: usize = 1 << 12;
/// Nodes of one task.
const TASK_NODES: usize = 32;

/// Scratch of one thread.
#[derive(Debug, Default)]
struct Worker {
    ruler: Ruler,
    selector: Selector,
    pool: Pool,
    nearest: Vec<Neighbor>,
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
/// Cost: `nodes * fanout * leaf / 2` distances of rows in the cache at most, in each pass, and the pruning of `nodes` lists twice. Memory,
/// for each node: 4 bytes a leaf that it joins and its share of what a [pass](super::passes) holds; then a list of its choice and one with
/// the edges back.
pub fn build<P: Par>(
    records: Records<'_>,
    nodes: usize,
    above: Option<&Layer>,
    params: &LeafParams,
    par: &P,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Option<Layer> {
    let shape = Shape { degree: params.degree, fanout: params.fanout, record: records.space.layout.stride };
    build_in(&|start, chosen| passes::next(shape, nodes, start, chosen), records, nodes, above, params, par, progress)
}

/// Builds a layer with those passes: the next of them by where it begins, and the bytes that are held of those before.
fn build_in<P: Par>(
    next: &dyn Fn(usize, usize) -> Range<usize>,
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
    let workers = || (0..par.threads()).map(|_| Worker::default()).collect::<Vec<Worker>>();
    let mut searchers = workers();
    let (mut chosen, mut start, mut held) = (Vec::new(), 0, 0);
    while start < nodes {
        let pass = next(start, held);
        let mut slots = Slots::new(pass.clone(), params.degree);
        search_leaves(records, &leaves, params, &mut slots, par, &mut searchers, &mut |done| tell(1, 6 * pass.start + 4 * done))?;
        for range in steps(pass.clone(), STEP_NODES) {
            tell(1, 4 * pass.end + 2 * range.start)?;
            slots.each(range, TASK_NODES, par, &mut searchers, &|mut rows, worker| {
                for node in rows.nodes.start as u32..rows.nodes.end as u32 {
                    worker.choose(records, params, node, &mut rows.row(node));
                }
            });
        }
        start = pass.end;
        chosen.push(slots.into_chosen());
        held = chosen.iter().map(|words| size_of_val(&words[..])).sum();
    }
    drop((leaves, searchers));

    let (mut workers, mut edges) = (workers(), Vec::new());
    // Zeros, which take memory as they are written over: what was chosen goes meanwhile.
    let mut lists = vec![0; nodes * params.degree];
    for range in steps(0..nodes, JOIN_NODES.max(nodes.div_ceil(64))) {
        tell(7, range.start)?;
        gather_edges(&mut chosen, range.start as u32..range.end as u32, &mut edges);
        let lists = &mut lists[range.start * params.degree..range.end * params.degree];
        par.chunks(lists, TASK_NODES * params.degree, &mut workers, |task, lists, worker| {
            for (node, list) in (range.start + task * TASK_NODES..).zip(lists.chunks_exact_mut(params.degree)) {
                worker.join(records, above, &edges, params, node as u32);
                list.fill(NONE);
                list.iter_mut().zip(&worker.list).for_each(|(slot, near)| *slot = near.node);
            }
        });
    }
    Some(Layer::from_lists(params.degree, lists))
}

/// Searches all leaves; the nodes of `slots` take in what they find. `tell(done)` is told in their number.
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
    let (pass, nodes) = (slots.nodes(), slots.nodes().len());
    let step = STEP_LEAVES * par.threads().max(1);
    let mut found: Vec<Found> = (0..step.min(leaves.len())).map(|_| Found::default()).collect();
    for first in (0..leaves.len()).step_by(step) {
        tell((nodes as u64 * first as u64 / leaves.len() as u64) as usize)?;
        let found = &mut found[..step.min(leaves.len() - first)];
        (first..).zip(&mut *found).for_each(|(leaf, found)| found.leaf = leaf);
        par.chunks(found, 1, workers, |_, found, worker| {
            for Found { leaf, edges } in found {
                worker.search_leaf(records, leaves.nodes(*leaf), &pass, params, most, edges);
            }
        });
        slots.each(pass.clone(), nodes.div_ceil(STEP_TASKS).max(TASK_NODES), par, workers, &|mut rows, worker| {
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
fn steps(nodes: Range<usize>, step: usize) -> impl Iterator<Item = Range<usize>> {
    nodes.clone().step_by(step).map(move |start| start..(start + step).min(nodes.end))
}

/// The `near` nearest of `distances`, nearest first; that at `own` is none.
fn find_nearest(distances: &[f32], own: usize, near: usize, pool: &mut Pool, nearest: &mut Vec<Neighbor>) {
    nearest.clear();
    if cfg!(target_family = "wasm") {
        // Slower, and downloaded already, as walks keep what they found so.
        pool.reset(near);
        for (node, &distance) in (0..).zip(distances).filter(|&(node, _)| node as usize != own) {
            pool.insert(Neighbor { distance, node }.key());
        }
        nearest.extend(pool.iter());
        return;
    }
    let (mut limit, mut farthest) = (u64::MAX, f32::INFINITY);
    for (node, &distance) in (0..).zip(distances) {
        let found = Neighbor { distance, node };
        if distance > farthest || node as usize == own || found.key() >= limit {
            continue;
        }
        nearest.push(found);
        // Those that are too far go when they are as many as those that are not.
        if nearest.len() == 2 * near {
            let (_, last, _) = nearest.select_nth_unstable_by_key(near - 1, |near| near.key());
            (limit, farthest) = (last.key(), last.distance);
            nearest.truncate(near);
        }
    }
    super::sort(nearest);
    nearest.truncate(near);
}

/// Edges of `nodes`, sorted: from each to those it chose, and to those who chose it. `chosen` holds for one node after the other how many it
/// chose, and whom; edges that no later nodes ask for leave it.
fn gather_edges(chosen: &mut [Vec<u32>], nodes: Range<u32>, edges: &mut Vec<(u32, u32)>) {
    edges.clear();
    let mut source = 0;
    for words in chosen {
        let (mut from, mut end) = (0, 0);
        while from < words.len() {
            let (head, count) = (end, words[from] as usize);
            end += 1;
            for at in from + 1..=from + count {
                let target = words[at];
                if nodes.contains(&source) {
                    edges.push((source, target));
                }
                if nodes.contains(&target) {
                    edges.push((target, source));
                }
                if source.max(target) >= nodes.end {
                    words[end] = target;
                    end += 1;
                }
            }
            words[head] = (end - head - 1) as u32;
            (from, source) = (from + 1 + count, source + 1);
        }
        words.truncate(end);
        words.shrink_to_fit();
    }
    sort::by_key(edges, |edge| *edge);
    edges.dedup();
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
    /// Computes all pairs of `leaf` and leaves in `edges` what each node of `pass` finds there: at most `most`.
    fn search_leaf(
        &mut self,
        records: Records<'_>,
        leaf: &[u32],
        pass: &Range<usize>,
        params: &LeafParams,
        most: usize,
        edges: &mut Vec<(u32, Neighbor)>,
    ) {
        edges.clear();
        let place = |node: usize| leaf.partition_point(|&other| (other as usize) < node);
        let own = place(pass.start)..place(pass.end);
        if own.is_empty() {
            return;
        }
        // Exact, as what a thread holds is counted where memory has a bound.
        edges.reserve_exact(own.len() * most);
        let alpha = if records.space.metric == Metric::InnerProduct { 1.0 } else { LEAF_ALPHA };
        let size = leaf.len();
        let stride = size | 1; // a column of a power of two would fall on few cache lines
        self.fill_matrix(records, leaf, &own, stride);
        let matrix = &self.matrix;
        for i in own {
            find_nearest(&matrix[i * stride..][..size], i, params.near, &mut self.pool, &mut self.nearest);
            self.list.clear();
            for &candidate in &self.nearest {
                let apart =
                    |kept: &Neighbor| matrix[kept.node.min(candidate.node) as usize * stride + kept.node.max(candidate.node) as usize];
                if self.list.iter().all(|kept| apart(kept) * alpha >= candidate.distance) {
                    self.list.push(candidate);
                    if self.list.len() == most {
                        break;
                    }
                }
            }
            edges.extend(self.list.iter().map(|kept| (leaf[i], Neighbor { node: leaf[kept.node as usize], ..*kept })));
        }
    }

    /// Distances of all pairs of `leaf`, in rows `stride` apart: of each node those from later ones, and of its `own` those from all others.
    fn fill_matrix(&mut self, records: Records<'_>, leaf: &[u32], own: &Range<usize>, stride: usize) {
        let record_bytes = records.space.layout.stride;
        self.bytes.clear();
        self.bytes.reserve_exact(leaf.len() * record_bytes);
        leaf.iter().for_each(|&node| self.bytes.extend_from_slice(records.record(node)));
        let size = leaf.len();
        if self.matrix.len() < stride * size {
            self.matrix.reserve_exact(stride * size - self.matrix.len());
            self.matrix.resize(stride * size, 0.0);
        }
        let beside = Records { bytes: &self.bytes, ..records };
        let Ruler { query, buffers, .. } = &mut self.ruler;
        for start in (0..size).step_by(MIRRORED) {
            let rows = start..(start + MIRRORED).min(size);
            for i in rows.clone() {
                beside.prepare(i as u32, query);
                buffers.places.clear();
                buffers.places.extend((i + 1..size).map(|j| j * record_bytes));
                beside.distances_at(query, buffers, &mut self.matrix[i * stride..][i + 1..size]);
            }
            for j in own.start.max(start + 1)..own.end {
                for i in start..rows.end.min(j) {
                    self.matrix[j * stride + i] = self.matrix[i * stride + j];
                }
            }
        }
    }

    /// Chooses the neighbours of `node` of what it found.
    fn choose(&mut self, records: Records<'_>, params: &LeafParams, node: u32, row: &mut Row<'_>) {
        let Self { ruler, selector, candidates, list, .. } = self;
        ruler.measure(records, node, row.held(), candidates);
        candidates.truncate(params.degree * 2);
        let Ok(()) = selector.select(&records, candidates, params.degree, params.selection, list);
        row.choose(list);
    }

    /// Makes the list of `node` of its `edges`, which are pruned if they are too many.
    fn join(&mut self, records: Records<'_>, above: Option<&Layer>, edges: &[(u32, u32)], params: &LeafParams, node: u32) {
        let Self { ruler, selector, candidates, list, others, .. } = self;
        let edges = &edges[edges.partition_point(|edge| edge.0 < node)..];
        others.clear();
        others.extend(edges.iter().take_while(|edge| edge.0 == node).map(|edge| edge.1));
        ruler.measure(records, node, others, candidates);
        back::prune(records, candidates, params.degree, params.selection, selector, list);
        if let Some(above) = above.filter(|above| (node as usize) < above.rows()) {
            ruler.measure(records, node, above.neighbors(node), candidates);
            add_ways_out(candidates, params.degree, list);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::Kernels;
    use crate::format::Element;
    use crate::par::{Backwards, Serial};
    use crate::quant::{Encoding, RecordLayout, Space};
    use crate::seed::SplitMix;
    use crate::vectors::Vectors;

    const NODES: usize = 1500;
    const DIMENSIONS: usize = 6;

    #[test]
    fn a_layer_does_not_depend_on_passes_or_threads() {
        let layout = RecordLayout::new(DIMENSIONS);
        let space = Space { metric: Metric::L2, encoding: Encoding::U8, layout, mean: vec![0.0; DIMENSIONS] };
        let mut random = SplitMix::new(14);
        // Few values, so that many are as far.
        let values: Vec<u8> = (0..NODES * DIMENSIONS).map(|_| random.below(12) as u8).collect();
        let vectors = Vectors::packed(Element::U8, DIMENSIONS, &values).expect("whole rows");
        let mut bytes = vec![0; NODES * layout.stride];
        for (row, record) in bytes.chunks_mut(layout.stride).enumerate() {
            let factors = space.encode(Kernels::best(), &vectors, row, &mut Vec::new(), record);
            layout.write_tail(record, factors, row as u64, (0, 0));
        }
        let records = Records { space: &space, kernels: Kernels::best(), bytes: &bytes };
        let params = LeafParams { degree: 8, leaf: 90, fanout: 7, near: 32, seed: 3, selection: Selection::HEURISTIC };
        let link = |next: &dyn Fn(usize, usize) -> Range<usize>, above: Option<&Layer>, par: &Backwards| {
            let mut last = 0;
            let progress = &mut |done| {
                assert!(done >= last && done <= NODES, "{done} after {last}");
                last = done;
                ControlFlow::Continue(())
            };
            build_in(next, records, NODES, above, &params, par, progress).expect("nothing stops it")
        };
        let above = build(records, 100, None, &params, &Serial, &mut |_| ControlFlow::Continue(())).expect("nothing stops it");
        let one = link(&|start, _| start..NODES, Some(&above), &Backwards(1));
        assert!((0..NODES as u32).all(|node| (1..=8).contains(&one.neighbors(node).len())));
        for (ends, threads) in [(&[700, NODES][..], 1), (&[600, 601, 1400, NODES], 3)] {
            let next = |start, _| start..ends.iter().copied().find(|&end| end > start).unwrap_or(NODES);
            let other = link(&next, Some(&above), &Backwards(threads));
            assert!((0..NODES as u32).all(|node| other.neighbors(node) == one.neighbors(node)), "{ends:?}");
        }
    }

    #[test]
    fn edges_are_gathered_from_both_ends_and_leave_when_both_have_theirs() {
        let mut random = SplitMix::new(15);
        let choices: Vec<Vec<u32>> =
            (0..100).map(|node| (0..random.below(6)).map(|_| random.below(100) as u32).filter(|&other| other != node).collect()).collect();
        let words = |nodes: Range<usize>| choices[nodes].iter().flat_map(|list| [&[list.len() as u32][..], list].concat()).collect();
        let mut chosen: Vec<Vec<u32>> = vec![words(0..40), words(40..41), words(41..100)];
        let (mut edges, mut held) = (Vec::new(), usize::MAX);
        for nodes in [0..30u32, 30..41, 41..90, 90..100] {
            gather_edges(&mut chosen, nodes.clone(), &mut edges);
            let pairs = (0..).zip(&choices).flat_map(|(node, list)| list.iter().flat_map(move |&other| [(node, other), (other, node)]));
            let wanted: alloc::collections::BTreeSet<(u32, u32)> = pairs.filter(|pair| nodes.contains(&pair.0)).collect();
            assert!(edges.iter().eq(&wanted), "{nodes:?}");
            let left = chosen.iter().map(Vec::len).sum();
            assert!(left < held, "{left} of {held}");
            held = left;
        }
        assert_eq!(held, 100, "a word for each node");
    }
}
