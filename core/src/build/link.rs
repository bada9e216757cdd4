//! The graph of a build: which builder makes which layer, and with what effort.

use super::{BuildParams, Builder};
#[cfg(feature = "codes")]
use crate::format::Metric;
use crate::graph::hnsw::{self, Hierarchy, HnswParams, Worker};
use crate::graph::layer::{Layer, Records};
use crate::graph::leaves::{self, LeafParams};
use crate::graph::select::Selection;
#[cfg(feature = "codes")]
use crate::graph::vamana::{self, VamanaParams};
use crate::par::Par;
use alloc::vec::Vec;
use core::ops::ControlFlow;

/// Nearest nodes of a leaf that are candidates: twice as many cost a quarter of the time and change nothing (10,000 to 100,000 rows).
const NEAR: usize = 32;

/// `ef_construction` for which the numbers below were measured; half and twice of it move the number of leaves by a quarter and a half.
const EF_USUAL: usize = 200;

/// Whether this build goes by leaves. The package has no options that would need insertion, so its code stays out of a browser's
/// download.
pub(super) fn goes_by_leaves(params: &BuildParams) -> bool {
    cfg!(target_family = "wasm") || (params.builder != Builder::Insertion && params.heuristic && !params.extend_candidates)
}

/// Nodes of a leaf at most. Where 1,000 would be more than a twentieth of all, half of that gives a graph as good in two thirds of
/// the time (10,000 rows).
fn leaf(nodes: usize) -> usize {
    (nodes / 20).clamp(500, 1_000)
}

/// The factor of pruning. Inner products are no lengths that one could stretch.
#[cfg(feature = "codes")]
pub(super) fn slack(params: &BuildParams) -> f32 {
    if params.metric == Metric::InnerProduct { 1.0 } else { params.alpha_sq }
}

/// Leaves that a node joins. The more nodes, the smaller a share of them a leaf holds: three leaves more for each fourfold keep
/// recall at equal effort (measured at 10,000, 60,000 and 100,000 rows).
fn fanout(params: &BuildParams, nodes: usize) -> usize {
    let doublings = (nodes >> 14).checked_ilog2().map_or(0, |log| log as usize + 1);
    ((7 + doublings * 3 / 2) * (EF_USUAL + params.ef_construction)).div_ceil(2 * EF_USUAL).clamp(3, 64)
}

/// Links `sizes[l]` nodes in layer `l`; `None` when `progress(done)`, told in nodes of the base layer, breaks.
pub(super) fn link<P: Par>(
    records: Records<'_>,
    sizes: &[usize],
    params: &BuildParams,
    par: &P,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Option<Hierarchy> {
    let selection = Selection { heuristic: params.heuristic, keep_pruned: params.keep_pruned, ..Selection::HEURISTIC };
    if !goes_by_leaves(params) {
        let hnsw =
            HnswParams { m: params.m, ef_construction: params.ef_construction, selection, extend_candidates: params.extend_candidates };
        let mut workers: Vec<Worker> = (0..par.threads()).map(|_| Worker::default()).collect();
        return hnsw::build(records, sizes, &hnsw, par, &mut workers, progress);
    }
    let mut layers: Vec<Layer> = Vec::new();
    for (layer, &nodes) in sizes.iter().enumerate().rev() {
        let degree = if layer == 0 { params.m * 2 } else { params.m };
        #[cfg(feature = "codes")]
        if layer == 0 && params.builder == Builder::Vamana {
            let vamana = VamanaParams { degree, ef: params.ef_construction, alpha_sq: slack(params) };
            layers.push(vamana::build(records, nodes, layers.last(), &vamana, par, progress)?);
            continue;
        }
        let leaves =
            LeafParams { degree, leaf: leaf(nodes), fanout: fanout(params, nodes), near: NEAR.max(degree), seed: params.seed, selection };
        // The layers above hold a small share of the nodes: the count stands still for them.
        let mut tell = |done| progress(if layer == 0 { done } else { 0 });
        layers.push(leaves::build(records, nodes, layers.last(), &leaves, par, &mut tell)?);
    }
    layers.reverse();
    Some(Hierarchy { layers })
}
