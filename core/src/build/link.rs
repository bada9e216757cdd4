//! The graph of a build: which builder makes which layer, and with what effort.

use super::{BuildParams, Builder};
#[cfg(feature = "codes")]
use crate::format::Metric;
use crate::graph::hnsw::{self, Hierarchy, HnswParams, Worker};
use crate::graph::layer::{Layer, Records};
#[cfg(feature = "codes")]
use crate::graph::lead;
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

/// Whether a base layer of so many nodes, linked by leaves at once, is seen to by [`lead`].
#[cfg(feature = "codes")]
pub(super) fn is_led(params: &BuildParams, nodes: usize) -> bool {
    nodes >= params.led_from
}

#[cfg(not(feature = "codes"))]
pub(super) fn is_led(_: &BuildParams, _: usize) -> bool {
    false
}

/// Whether this build goes by leaves. The package has no options that would need insertion, so its code stays out of a browser's
/// download.
pub(super) fn goes_by_leaves(params: &BuildParams) -> bool {
    cfg!(target_family = "wasm") || (params.builder != Builder::Insertion && params.heuristic && !params.extend_candidates)
}

/// Nodes of a leaf at most.
pub(super) const LEAF_MAX: usize = 1_000;

/// Nodes of a leaf at most. Where 1,000 would be more than a twentieth of all, half of that gives a graph as good in two thirds of
/// the time (10,000 rows).
fn leaf(nodes: usize) -> usize {
    (nodes / 20).clamp(500, LEAF_MAX)
}

/// The factor of pruning. Inner products are no lengths that one could stretch.
#[cfg(feature = "codes")]
pub(super) fn slack(params: &BuildParams) -> f32 {
    if params.metric == Metric::InnerProduct { 1.0 } else { params.alpha_sq }
}

/// Leaves that a node joins. The more nodes, the smaller a share of them a leaf holds: three leaves more for each fourfold keep
/// recall at equal effort (measured at 10,000, 60,000 and 100,000 rows).
pub(super) fn fanout(params: &BuildParams, nodes: usize) -> usize {
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
    if !goes_by_leaves(params) {
        let selection = Selection::new(params.heuristic, params.keep_pruned);
        let hnsw =
            HnswParams { m: params.m, ef_construction: params.ef_construction, selection, extend_candidates: params.extend_candidates };
        let mut workers: Vec<Worker> = (0..par.threads()).map(|_| Worker::default()).collect();
        return hnsw::build(records, sizes, &hnsw, par, &mut workers, progress);
    }
    // The layers above hold a small share of the nodes: the count stands still for them.
    let mut layers = link_upper(records, sizes.get(1..).unwrap_or_default(), params, par, &mut || progress(0))?;
    let nodes = sizes.first().copied().unwrap_or(0);
    #[cfg(feature = "codes")]
    if params.builder == Builder::Vamana {
        let vamana = VamanaParams { degree: params.m * 2, ef: params.ef_construction, alpha_sq: slack(params) };
        layers.insert(0, vamana::build(records, nodes, layers.first(), &vamana, par, progress)?);
        return Some(Hierarchy { layers });
    }
    let leaves = leaves_of(params, params.m * 2, nodes, fanout(params, nodes));
    // About a fifth of the time goes to the walks, where there are any.
    let led = is_led(params, nodes);
    let fifths = if led { 4 } else { 5 };
    let base = leaves::build(records, nodes, layers.first(), &leaves, par, &mut |done| progress((done as u64 * fifths / 5) as usize))?;
    #[cfg(feature = "codes")]
    let base = if led {
        lead::mend(base, layers.first(), records, leaves.selection, par, &mut |done| {
            progress(((nodes as u64 * 4 + done as u64) / 5) as usize)
        })?
    } else {
        base
    };
    layers.insert(0, base);
    Some(Hierarchy { layers })
}

/// How a layer of `nodes` is linked by leaves.
fn leaves_of(params: &BuildParams, degree: usize, nodes: usize, fanout: usize) -> LeafParams {
    let selection = Selection::new(params.heuristic, params.keep_pruned);
    LeafParams { degree, leaf: leaf(nodes), fanout, near: NEAR.max(degree), seed: params.seed, selection }
}

/// Links the layers above the base by leaves, the lowest first; `None` when `tell` breaks.
pub(super) fn link_upper<P: Par>(
    records: Records<'_>,
    sizes: &[usize],
    params: &BuildParams,
    par: &P,
    tell: &mut dyn FnMut() -> ControlFlow<()>,
) -> Option<Vec<Layer>> {
    let mut layers: Vec<Layer> = Vec::new();
    for &nodes in sizes.iter().rev() {
        let leaves = leaves_of(params, params.m, nodes, fanout(params, nodes));
        layers.push(leaves::build(records, nodes, layers.last(), &leaves, par, &mut |_| tell())?);
    }
    layers.reverse();
    Some(layers)
}

/// Leaves that a node joins in each of its two parts, where there are `nodes` in all.
#[cfg(feature = "codes")]
pub(super) fn part_fanout(params: &BuildParams, nodes: usize) -> usize {
    // Of its two parts the second knows less of what is near a node: with half of the leaves in each, recall at
    // equal effort fell by 0.012 at 0.95 (100,000 embeddings in 8 parts). With three quarters in each, linking takes half as long again as at
    // once, and recall was not below it (150,000 x 1024 in 4 parts: docs/research/disk.md).
    (fanout(params, nodes) * 3).div_ceil(4).max(3)
}

/// Links one of the parts that each node of `nodes` is in twice.
#[cfg(feature = "codes")]
pub(super) fn link_part<P: Par>(
    records: Records<'_>,
    nodes: usize,
    degree: usize,
    params: &BuildParams,
    par: &P,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Option<Layer> {
    let leaves = leaves_of(params, degree, records.rows(), part_fanout(params, nodes));
    leaves::build(records, records.rows(), None, &leaves, par, progress)
}

#[cfg(all(test, feature = "codes"))]
mod tests {
    use super::*;
    use crate::build::{Input, Stage, build};
    use crate::distance::Kernels;
    use crate::format::Element;
    use crate::index::Index;
    use crate::par::{Backwards, Serial};
    use crate::seed::SplitMix;
    use crate::vectors::Vectors;

    /// A file of `rows`, and whether walks added to it.
    fn led(rows: &[u8], params: &BuildParams, par: &impl Par, kernels: &'static Kernels) -> (Vec<u8>, bool) {
        let input = Input { vectors: Vectors::packed(Element::U8, DIMENSIONS, rows).expect("whole rows"), ids: None, payloads: None };
        let (mut walked, mut last) = (false, 0);
        let progress = &mut |stage, done, total| {
            if stage == Stage::Link {
                assert!(done >= last && done <= total, "{done} of {total} after {last}");
                last = done;
                // The last fifth is that of the walks.
                walked |= done * 5 > total * 4;
            }
            ControlFlow::Continue(())
        };
        let (file, _) = build(&input, params, par, kernels, progress, Vec::new()).expect("sound rows");
        (file, walked)
    }

    const DIMENSIONS: usize = 8;

    #[test]
    fn what_walks_add_to_a_build_does_not_depend_on_threads_or_kernels() {
        let mut random = SplitMix::new(17);
        let rows: Vec<u8> = (0..6000 * DIMENSIONS).map(|_| random.below(256) as u8).collect();
        let mut params = BuildParams::new(Metric::L2).m(3).ef_construction(1).quality(false);
        params.led_from = 6000;
        let (one, walked) = led(&rows, &params, &Serial, Kernels::best());
        assert!(walked);
        assert!(Index::open(&one[..]).expect("what was built opens").meta().expect("meta").contains("\"builder\":\"leaves 2\""));
        for (threads, kernels) in [(3, Kernels::best()), (3, Kernels::by_name("scalar").expect("always there"))] {
            assert!(led(&rows, &params, &Backwards(threads), kernels).0 == one, "{threads} threads under {}", kernels.name());
        }
    }

    #[test]
    fn inner_products_are_not_stretched() {
        for (metric, factor) in [(Metric::L2, 1.44), (Metric::Cosine, 1.44), (Metric::InnerProduct, 1.0)] {
            let mut params = BuildParams::new(metric);
            params.alpha_sq = 1.44;
            assert_eq!(slack(&params), factor, "{metric}");
        }
    }
}
