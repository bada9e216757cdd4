//! A layer as it would be if some of its nodes were none: lists that lead to one of them lose it, and take in of its neighbours what
//! pruning keeps of all (FreshDiskANN, arXiv 2105.09613, algorithm 4). What a list had besides stays, ways out of clusters too, so
//! what is new has the places that came free. The layer stays what it is; lists that differ lie beside it.

use super::Neighbor;
use super::layer::{Layer, Records};
use super::ruler::Ruler;
use super::select::{Selection, Selector};
use crate::par::Par;
use alloc::vec;
use alloc::vec::Vec;

/// Candidates of a list for each of its places at most: one whose neighbours are all gone has degree times as many.
const CANDIDATES_SHARE: usize = 4;
/// Nodes of one task.
const TASK_NODES: usize = 32;

/// The lists that differ.
#[derive(Debug)]
pub(crate) struct Without {
    /// Whose they are; ascends.
    nodes: Vec<u32>,
    lists: Vec<Vec<u32>>,
}

/// Scratch of one thread.
#[derive(Debug, Default)]
struct Worker {
    ruler: Ruler,
    selector: Selector,
    others: Vec<u32>,
    candidates: Vec<Neighbor>,
    list: Vec<Neighbor>,
}

/// Where `node` is in what ascends.
#[inline(never)]
pub(crate) fn place(nodes: &[u32], node: u32) -> Option<usize> {
    nodes.binary_search(&node).ok()
}

impl Without {
    /// Takes `gone`, which ascend, out of `layer`: a look at every edge, and a list to prune for each node that leads to one of them.
    pub(crate) fn of<P: Par>(layer: &Layer, records: Records<'_>, gone: &[u32], selection: Selection, par: &P) -> Self {
        let is_gone = |node: u32| place(gone, node).is_some();
        let mut nodes = Vec::new();
        for node in 0..layer.rows() as u32 {
            if layer.neighbors(node).iter().any(|&next| is_gone(next)) {
                nodes.push(node);
            }
        }
        let mut lists = vec![Vec::new(); nodes.len()];
        let mut workers: Vec<Worker> = (0..par.threads()).map(|_| Worker::default()).collect();
        par.chunks(&mut lists, TASK_NODES, &mut workers, |task, lists, worker| {
            for (&node, mended) in nodes[task * TASK_NODES..].iter().zip(lists) {
                let Worker { ruler, selector, others, candidates, list } = &mut *worker;
                let own = layer.neighbors(node);
                others.clear();
                let degree = layer.degree();
                let mut take = |list: &[u32]| {
                    for &next in list {
                        if others.len() < CANDIDATES_SHARE * degree && next != node && !is_gone(next) && !others.contains(&next) {
                            others.push(next);
                        }
                    }
                };
                take(own);
                own.iter().filter(|&&next| is_gone(next)).for_each(|&next| take(layer.neighbors(next)));
                ruler.measure(records, node, others, candidates);
                let Ok(()) = selector.select(&records, candidates, degree, selection, list);
                list.retain(|near| !own.contains(&near.node));
                candidates.retain(|near| own.contains(&near.node));
                list.truncate(degree - candidates.len());
                list.append(candidates);
                super::sort(list);
                mended.extend(list.iter().map(|near| near.node));
            }
        });
        Self { nodes, lists }
    }

    /// The list of `node`, if it differs.
    pub(crate) fn list(&self, node: u32) -> Option<&[u32]> {
        place(&self.nodes, node).map(|at| &*self.lists[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::Kernels;
    use crate::format::{Element, Metric};
    use crate::graph::leaves::{LeafParams, build};
    use crate::par::{Backwards, Serial};
    use crate::quant::{Encoding, RecordLayout, Space};
    use crate::seed;
    use crate::vectors::Vectors;
    use alloc::collections::BTreeSet;
    use core::ops::ControlFlow;

    const NODES: u32 = 700;
    const DIMENSIONS: usize = 5;

    #[test]
    fn nothing_leads_to_what_is_gone_and_all_the_rest_is_reached_from_what_stays() {
        let layout = RecordLayout::new(DIMENSIONS);
        let space = Space { metric: Metric::L2, encoding: Encoding::U8, layout, mean: vec![0.0; DIMENSIONS] };
        let mut random = seed::SplitMix::new(3);
        let values: Vec<u8> = (0..NODES as usize * DIMENSIONS).map(|_| random.below(200) as u8).collect();
        let vectors = Vectors::packed(Element::U8, DIMENSIONS, &values).expect("whole rows");
        let mut bytes = vec![0; NODES as usize * layout.stride];
        for (row, record) in bytes.chunks_mut(layout.stride).enumerate() {
            let factors = space.encode(Kernels::best(), &vectors, row, &mut Vec::new(), record);
            layout.write_tail(record, factors, row as u64, (0, 0));
        }
        let records = Records { space: &space, kernels: Kernels::best(), bytes: &bytes };
        let params = LeafParams { degree: 12, leaf: 200, fanout: 4, near: 24, seed: 3, selection: Selection::HEURISTIC };
        let layer = build(records, NODES as usize, None, &params, &Serial, &mut |_| ControlFlow::Continue(())).expect("nothing stops it");
        let gone: Vec<u32> = seed::sample(5, u64::from(NODES), 80).into_iter().map(|node| node as u32).collect();
        let without = Without::of(&layer, records, &gone, params.selection, &Serial);
        let list = |node: u32| without.list(node).unwrap_or_else(|| layer.neighbors(node));
        let (mut reached, mut new) = (BTreeSet::new(), 0);
        let mut todo: Vec<u32> = (0..NODES).filter(|node| gone.binary_search(node).is_err()).take(1).collect();
        while let Some(node) = todo.pop() {
            if reached.insert(node) {
                let own = layer.neighbors(node);
                // Who led nowhere else has the list that it had, and so has who leads to nothing that is gone.
                assert_eq!(without.list(node).is_some(), own.iter().any(|next| gone.contains(next)));
                assert!(list(node).len() <= 12 && list(node).iter().all(|next| *next != node && !gone.contains(next)));
                assert!(own.iter().filter(|next| !gone.contains(next)).all(|next| list(node).contains(next)), "what is there stays");
                new += list(node).iter().filter(|next| !own.contains(next)).count();
                todo.extend_from_slice(list(node));
            }
        }
        assert_eq!(reached.len(), NODES as usize - gone.len());
        assert!(new > 50, "{new} lead on instead");
        let other = Without::of(&layer, records, &gone, params.selection, &Backwards(3));
        assert!((0..NODES).all(|node| other.list(node) == without.list(node)), "whatever the threads");
    }
}
