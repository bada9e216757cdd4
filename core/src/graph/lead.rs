//! Rows that walks miss: each gets edges from where the walk to it ends.
//!
//! A graph of near rows alone, as [`leaves`] builds it, knows few ways between regions that lie apart, and among many rows some
//! walks end in the wrong one. So rows are walked to from the layer's first node. A place where such a walk ends in vain is nearer to
//! the row than all of its neighbours are, so that pruning there keeps an edge to the row (what makes a graph monotonic: Fu et al. 2019,
//! "NSG", arXiv 1707.00143, section 3.2), and the next walk goes on. Builders that search for every row get such edges on their way.
//!
//! Batches walk a frozen layer and are taken in by source, so the result is the same for any number of threads.

use super::beam::{Beam, Limits};
use super::layer::{Layer, LayerView, Records};
use super::ruler::Ruler;
use super::select::{Nodes, Selection, Selector};
use super::{Graph, Neighbor, Stats, back, leaves};
use crate::par::Par;
use crate::quant::Prepared;
use crate::sort;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::{ControlFlow, Range};

/// Pool of a walk. Wider ones miss fewer rows and cost more.
const EF: usize = 8;

/// Nodes that lead to a missed row afterwards: the nearest that its walk found.
const ENDS: usize = 4;

/// Times that all rows are walked to, at most.
const PASSES: usize = 3;

/// Rows by which the need of a pass is judged.
const SAMPLE: usize = 1 << 10;

/// A pass is worth its time where walks miss more than one row in so many.
const MISSED_PART: usize = 64;

/// Batches of a pass.
const BATCHES: usize = 64;

/// Nodes of one task.
const TASK_NODES: usize = 64;

/// Scratch of one thread.
#[derive(Debug, Default)]
struct Worker {
    beam: Beam,
    query: Prepared,
    ruler: Ruler,
    selector: Selector,
    others: Vec<u32>,
    candidates: Vec<Neighbor>,
}

/// Edges to a row that a walk missed, as (source, row); none where it was found.
type Edges = Vec<(u32, u32)>;

/// Sees to it that walks from node 0 of `layer` find nearly all of its rows; the first few of them stand in the layer `above` as well, whose
/// edges they keep where there is room. `progress(done)` is told in nodes and may stop it: then `None` is returned.
///
/// Cost: a short walk a node in each of at most three passes, and no pass where few of a sample are missed.
pub(crate) fn mend<P: Par>(
    mut layer: Layer,
    above: Option<&Layer>,
    records: Records<'_>,
    selection: Selection,
    par: &P,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Option<Layer> {
    let nodes = layer.rows();
    let mut workers: Vec<Worker> = (0..par.threads()).map(|_| Worker::default()).collect();
    for pass in 0..PASSES {
        let missed = walk(&layer, records, 0..nodes, (nodes / SAMPLE).max(1), par, &mut workers);
        if missed.iter().filter(|edges| !edges.is_empty()).count() * MISSED_PART <= missed.len() {
            break;
        }
        let size = nodes.div_ceil(BATCHES).max(1);
        for (batch, start) in (0..nodes).step_by(size).enumerate() {
            progress((nodes / BATCHES * (pass * BATCHES + batch)) / PASSES).is_continue().then_some(())?;
            let missed = walk(&layer, records, start..(start + size).min(nodes), 1, par, &mut workers);
            join(&mut layer, above, records, missed.concat(), selection, par, &mut workers);
        }
    }
    Some(layer)
}

/// For each `step`-th of `rows` what is to lead to it.
fn walk<P: Par>(layer: &Layer, records: Records<'_>, rows: Range<usize>, step: usize, par: &P, workers: &mut [Worker]) -> Vec<Edges> {
    let view = LayerView { layer, records, nodes: layer.rows() };
    let mut missed: Vec<Edges> = vec![Vec::new(); rows.len().div_ceil(step)];
    par.chunks(&mut missed, TASK_NODES, workers, |task, missed, Worker { beam, query, ruler, .. }| {
        for (row, edges) in (rows.start + task * TASK_NODES * step..rows.end).step_by(step).zip(missed) {
            let row = row as u32;
            let Ok(()) = view.prepare(row, query);
            let Ok(()) = beam.search(&view, query, [0], Limits::ef(EF), &mut Stats::default());
            let mut own = [0.0];
            let Ok(()) = records.distances(query, &[row], &mut ruler.buffers, &mut own);
            // Rows that share a record are found together; by inner product longer ones may be nearer than the row itself.
            if beam.pool.iter().next().is_some_and(|nearest| own[0] < nearest.distance) {
                edges.extend(beam.pool.iter().take(ENDS).map(|end| (end.node, row)));
            }
        }
    });
    missed
}

/// Takes edges into the lists of their sources, which are pruned where they grow too long.
fn join<P: Par>(
    layer: &mut Layer,
    above: Option<&Layer>,
    records: Records<'_>,
    mut edges: Edges,
    selection: Selection,
    par: &P,
    workers: &mut [Worker],
) {
    sort::by_key(&mut edges, |edge| *edge);
    let mut lists: Vec<(Range<usize>, Vec<Neighbor>)> = Vec::new();
    for (at, edge) in edges.iter().enumerate() {
        match lists.last_mut() {
            Some((range, _)) if edges[range.start].0 == edge.0 => range.end = at + 1,
            _ => lists.push((at..at + 1, Vec::new())),
        }
    }
    let frozen = &*layer;
    par.chunks(&mut lists, TASK_NODES, workers, |_, lists, worker| {
        let Worker { ruler, selector, others, candidates, .. } = worker;
        for (range, list) in lists {
            let source = edges[range.start].0;
            others.clear();
            others.extend_from_slice(frozen.neighbors(source));
            others.extend(edges[range.clone()].iter().map(|edge| edge.1));
            ruler.measure(records, source, others, candidates);
            candidates.dedup();
            back::prune(records, candidates, frozen.degree(), selection, selector, list);
            // Ways out of clusters are hidden by what is nearer, so pruning alone would drop those that the list had.
            if let Some(above) = above.filter(|above| (source as usize) < above.rows()) {
                ruler.measure(records, source, above.neighbors(source), candidates);
                leaves::add_ways_out(candidates, frozen.degree(), list);
            }
        }
    });
    for (range, list) in &lists {
        layer.set(edges[range.start].0, list);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::Kernels;
    use crate::format::{Element, Metric};
    use crate::graph::reach;
    use crate::par::{Backwards, Serial};
    use crate::quant::{Encoding, RecordLayout, Space};
    use crate::seed::SplitMix;
    use crate::vectors::Vectors;

    const NODES: usize = 1 << 13;
    const DIMENSIONS: usize = 8;
    const DEGREE: usize = 16;

    /// `nodes` rows of random bytes, or of zeros.
    fn rows(nodes: usize, alike: bool) -> (Space, Vec<u8>) {
        let layout = RecordLayout::new(DIMENSIONS);
        let space = Space { metric: Metric::L2, encoding: Encoding::U8, layout, mean: vec![0.0; DIMENSIONS] };
        let mut random = SplitMix::new(3);
        let values: Vec<u8> = (0..nodes * DIMENSIONS).map(|_| if alike { 0 } else { random.below(256) as u8 }).collect();
        let vectors = Vectors::packed(Element::U8, DIMENSIONS, &values).expect("whole rows");
        let mut bytes = vec![0; nodes * layout.stride];
        for (row, record) in bytes.chunks_mut(layout.stride).enumerate() {
            let factors = space.encode(Kernels::best(), &vectors, row, &mut Vec::new(), record);
            layout.write_tail(record, factors, 0, (0, 0));
        }
        (space, bytes)
    }

    /// Rows of `layer` that walks miss.
    fn missed(layer: &Layer, records: Records<'_>) -> usize {
        walk(layer, records, 0..layer.rows(), 1, &Serial, &mut [Worker::default()]).iter().filter(|edges| !edges.is_empty()).count()
    }

    #[test]
    fn walks_find_what_they_missed_in_whatever_order_tasks_run() {
        let (space, bytes) = rows(NODES, false);
        let records = Records { space: &space, kernels: Kernels::best(), bytes: &bytes };
        // A ring with a few edges to anywhere: all is reached, and walks rarely arrive.
        let build = || {
            let (mut layer, mut random, mut ruler, mut list) = (Layer::new(NODES, DEGREE), SplitMix::new(5), Ruler::default(), Vec::new());
            for node in 0..NODES as u32 {
                let mut others: Vec<u32> = (0..6).map(|_| random.below(NODES as u64) as u32).filter(|&other| other != node).collect();
                others.push((node + 1) % NODES as u32);
                ruler.measure(records, node, &others, &mut list);
                list.dedup();
                layer.set(node, &list);
            }
            layer
        };
        let before = missed(&build(), records);
        assert!(before > NODES / 2, "{before} missed before");
        let go_on = &mut |_| ControlFlow::Continue(());
        let one = mend(build(), None, records, Selection::HEURISTIC, &Serial, go_on).expect("nothing stops it");
        let other = mend(build(), None, records, Selection::HEURISTIC, &Backwards(2), go_on).expect("nothing stops it");
        let after = missed(&one, records);
        assert!(after < before / 4, "{after} of {before} missed after");
        assert!((0..NODES as u32).all(|node| one.neighbors(node) == other.neighbors(node)));
        assert!(mend(build(), None, records, Selection::HEURISTIC, &Serial, &mut |_| ControlFlow::Break(())).is_none());
    }

    #[test]
    fn rows_that_share_a_record_are_found_together() {
        let (space, bytes) = rows(NODES, true);
        let records = Records { space: &space, kernels: Kernels::best(), bytes: &bytes };
        let mut layer = Layer::new(NODES, DEGREE);
        reach::mend(&mut layer, records);
        let lists: Vec<Vec<u32>> = (0..NODES as u32).map(|node| layer.neighbors(node).to_vec()).collect();
        let layer = mend(layer, None, records, Selection::HEURISTIC, &Serial, &mut |_| ControlFlow::Break(())).expect("no pass is made");
        assert!((0..).zip(&lists).all(|(node, list)| layer.neighbors(node) == *list));
    }
}
