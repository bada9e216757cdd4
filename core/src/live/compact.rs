//! Dropping tombstones: the only place that repairs.
//!
//! A living node with a dead neighbour gets its list anew, from its living neighbours and the
//! living neighbours of its dead ones, pruned by the heuristic (FreshDiskANN, arXiv 2105.09613, section 4.2).
//! Whether to compact is measured against all rows, not against the last time: repairs that look
//! at their own last result erode a graph slowly.

use super::insert::SELECTION;
use super::parts::Parts;
use super::sync::Arc;
use super::{Live, Shared};
use crate::graph::NONE;
use crate::graph::hnsw::Hierarchy;
use crate::graph::layer::Layer;
use crate::graph::ruler::Ruler;
use crate::graph::select::Selector;
use alloc::vec;
use alloc::vec::Vec;

/// Share of dead rows from which a compaction pays.
const SHARE: f64 = 0.2;

impl Live {
    /// Whether a fifth of the rows are tombstones, so that a compaction pays. Costs nothing: ask
    /// after every write, for an update leaves a tombstone as a delete does.
    pub fn wants_compaction(&self) -> bool {
        self.deleted() as f64 > SHARE * (self.deleted() + self.len()) as f64
    }

    /// Drops tombstones and repairs the graph. Readers go on meanwhile and see the new state at
    /// their next search. Cost: a pass over all rows, and a pruning of those next to a dead one.
    pub fn compact(&mut self) {
        let old = Arc::clone(&self.shared);
        let parts = old.parts().without_dead(&old);
        self.replace(parts.into_shared(&self.params, &old));
    }
}

impl Parts {
    /// The same index without its dead rows.
    fn without_dead(mut self, shared: &Shared) -> Parts {
        let alive: Vec<bool> = (0..self.nodes.len()).map(|node| self.survive(node, shared)).collect();
        let mut new_node = vec![NONE; self.nodes.len()];
        let living = (0..self.nodes.len()).filter(|&node| alive[node]);
        living.zip(0..).for_each(|(node, new)| new_node[node] = new);
        let mut layers = Vec::new();
        for layer in 0..self.graph.layers.len() {
            let kept = self.relink(shared, layer, &alive, &new_node);
            if layer == 0 || kept.rows() > 0 {
                layers.push(kept);
            }
        }
        let stride = shared.space.layout.stride;
        let mut bytes = Vec::with_capacity(self.bytes.len());
        let records = self.bytes.chunks(stride).zip(&alive).filter(|(_, alive)| **alive);
        records.for_each(|(record, _)| bytes.extend_from_slice(record));
        let mut flags = alive.iter();
        self.nodes.retain(|_| flags.next() == Some(&true));
        let mut flags = alive.iter();
        self.twins.retain(|_| flags.next() == Some(&true));
        let mut parts = Parts { bytes, graph: Hierarchy { layers }, ..self };
        parts.mend(shared);
        parts
    }

    /// Drops the dead of a node and its twins; a living twin takes a dead node's place.
    fn survive(&mut self, node: usize, shared: &Shared) -> bool {
        let twins = &mut self.twins[node];
        twins.retain(|&twin| !shared.store.is_deleted(twin));
        if !shared.store.is_deleted(self.nodes[node]) {
            return true;
        }
        if twins.is_empty() {
            return false;
        }
        self.nodes[node] = twins.remove(0);
        true
    }

    /// A layer over the living nodes.
    fn relink(&self, shared: &Shared, layer: usize, alive: &[bool], new_node: &[u32]) -> Layer {
        let links = &self.graph.layers[layer];
        let records = self.records(shared);
        let living = (0..links.rows()).filter(|&node| alive[node]).count();
        let mut kept = Layer::new(living, links.degree());
        let (mut selector, mut ruler) = (Selector::default(), Ruler::default());
        let (mut candidates, mut ordered, mut chosen) = (Vec::new(), Vec::new(), Vec::new());
        for node in (0..links.rows() as u32).filter(|&node| alive[node as usize]) {
            candidates.clear();
            let mut repair = false;
            for &neighbor in links.neighbors(node) {
                if alive[neighbor as usize] {
                    candidates.push(neighbor);
                } else {
                    repair = true;
                    candidates.extend(links.neighbors(neighbor).iter().filter(|&&next| alive[next as usize] && next != node));
                }
            }
            crate::sort::by_key(&mut candidates, |node| *node);
            candidates.dedup();
            ruler.measure(records, node, &candidates, &mut ordered);
            if repair {
                let Ok(()) = selector.select(&records, &ordered, links.degree(), SELECTION, &mut chosen);
                core::mem::swap(&mut ordered, &mut chosen);
            }
            ordered.iter_mut().for_each(|near| near.node = new_node[near.node as usize]);
            kept.set(new_node[node as usize], &ordered);
        }
        kept
    }
}
