//! The graph of a build: which builder makes which layer, and with what effort.

use super::{BuildParams, Builder};
use crate::graph::hnsw::{self, Hierarchy, HnswParams, Worker};
use crate::graph::layer::Records;
use crate::graph::leaves::{self, LeafParams};
use crate::graph::select::Selection;
use crate::par::Par;
use alloc::vec::Vec;
use core::ops::ControlFlow;

/// Up to this many nodes the base layer is built by insertion, too.
const INSERTION_MAX: usize = 4_096;

/// Nodes of a leaf at most: its matrix and its records of 384 dimensions take 4 and 0.4 MB.
const LEAF: usize = 1_000;

/// `ef_construction` for which the numbers below were measured.
const EF_USUAL: usize = 200;

/// Whether the base layer is built by leaves.
pub(super) fn goes_by_leaves(params: &BuildParams, nodes: usize) -> bool {
    params.builder == Builder::Leaves && params.heuristic && !params.extend_candidates && nodes > INSERTION_MAX
}

/// Leaves that a node joins. The more nodes, the smaller a share of them a leaf holds: three leaves more for each fourfold keep
/// recall at equal effort (measured at 10,000, 60,000 and 100,000 rows).
fn fanout(params: &BuildParams, nodes: usize) -> usize {
    let doublings = (nodes >> 14).checked_ilog2().map_or(0, |log| log as usize + 1);
    ((5 + doublings * 3 / 2) * params.ef_construction.min(100 * EF_USUAL)).div_ceil(EF_USUAL).clamp(2, 64)
}

/// Links `sizes[l]` nodes in layer `l`; `None` when `progress(done)`, told in nodes of the base layer, breaks.
pub(super) fn link<P: Par>(
    records: Records<'_>,
    sizes: &[usize],
    params: &BuildParams,
    par: &P,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Option<Hierarchy> {
    let selection = Selection { heuristic: params.heuristic, keep_pruned: params.keep_pruned };
    let nodes = sizes.first().copied().unwrap_or(0);
    let by_leaves = goes_by_leaves(params, nodes);
    let inserted = if by_leaves { &sizes[1..] } else { sizes };
    let hnsw = HnswParams {
        base_degree: if by_leaves { params.m } else { params.m * 2 },
        m: params.m,
        ef_construction: params.ef_construction,
        selection,
        extend_candidates: params.extend_candidates,
    };
    let mut workers: Vec<Worker> = (0..par.threads()).map(|_| Worker::default()).collect();
    let mut graph = hnsw::build(records, inserted, &hnsw, par, &mut workers, progress)?;
    drop(workers);
    if by_leaves {
        let degree = params.m * 2;
        let near = (params.ef_construction * 5 / 8).max(degree);
        let leaves = LeafParams { degree, leaf: LEAF, fanout: fanout(params, nodes), near, seed: params.seed, selection };
        // Rows above the base were told of already, so the count starts there.
        let told = inserted.first().copied().unwrap_or(0);
        graph.layers.insert(0, leaves::build(records, nodes, &leaves, par, &mut |done| progress(done.max(told)))?);
    }
    Some(graph)
}
