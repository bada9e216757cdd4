//! A live state laid out as a build lays out its own: records in one buffer, layers as prefixes.
//!
//! Saving, loading and compacting all go through this shape, so the file writer and the mending of
//! reachability exist once.

use super::sync::Ordering;
use super::{LiveParams, Shared};
use crate::graph::hnsw::Hierarchy;
use crate::graph::layer::{Layer, Records};
use crate::graph::select::Nodes;
use crate::graph::{Buffers, Graph, NONE, Neighbor, reach};
use crate::quant::Prepared;
use alloc::vec;
use alloc::vec::Vec;

/// Nodes by level, highest first, so that a layer is a prefix; node 0 is the entry.
pub(super) struct Parts {
    /// Slot of each node.
    pub(super) nodes: Vec<u32>,
    /// Slots of each node's exact duplicates.
    pub(super) twins: Vec<Vec<u32>>,
    /// Records of the nodes.
    pub(super) bytes: Vec<u8>,
    pub(super) graph: Hierarchy,
}

impl Shared {
    /// All rows, tombstones included.
    pub(super) fn parts(&self) -> Parts {
        let rows = self.store.len();
        let mut twin = vec![false; rows as usize];
        for slot in 0..rows {
            if let Some(next) = self.store.twin(slot) {
                twin[next as usize] = true;
            }
        }
        let entry = self.entry.load(Ordering::Acquire);
        let mut nodes: Vec<u32> = (0..rows).filter(|&slot| !twin[slot as usize]).collect();
        // The entry stands on the highest level, first among its equals.
        crate::sort::by_key(&mut nodes, |&slot| (usize::MAX - self.store.level(slot), slot != entry, slot));
        let mut node_of = vec![NONE; rows as usize];
        nodes.iter().zip(0..).for_each(|(&slot, node)| node_of[slot as usize] = node);
        let stride = self.space.layout.stride;
        let mut bytes = vec![0; nodes.len() * stride];
        for (record, &slot) in bytes.chunks_mut(stride).zip(&nodes) {
            if let Some(stored) = self.store.record(slot) {
                record.copy_from_slice(stored);
            }
        }
        let top = nodes.first().map_or(0, |&slot| self.store.level(slot));
        let mut layers = Vec::new();
        for layer in 0..=top {
            let size = nodes.partition_point(|&slot| self.store.level(slot) >= layer);
            let mut links = Layer::new(size, self.store.degree(layer));
            let (mut found, mut edges) = (Vec::new(), Vec::new());
            for node in 0..size as u32 {
                found.clear();
                self.store.neighbors(nodes[node as usize], layer, rows, &mut found);
                edges.clear();
                let known = found.iter().map(|&slot| node_of[slot as usize]);
                // A twin is no node. Links lead to nodes of their layer only, in a file of ours.
                edges.extend(known.filter(|&node| (node as usize) < size).map(|node| Neighbor { distance: 0.0, node }));
                links.set(node, &edges);
            }
            layers.push(links);
        }
        let twins = nodes.iter().map(|&slot| self.twins(slot)).collect();
        Parts { nodes, twins, bytes, graph: Hierarchy { layers } }
    }

    fn twins(&self, slot: u32) -> Vec<u32> {
        let mut twins = Vec::new();
        let mut next = self.store.twin(slot);
        while let Some(twin) = next.filter(|_| twins.len() < self.store.len() as usize) {
            twins.push(twin);
            next = self.store.twin(twin);
        }
        twins
    }
}

impl Parts {
    pub(super) fn records<'a>(&'a self, shared: &'a Shared) -> Records<'a> {
        Records { space: &shared.space, kernels: shared.kernels, bytes: &self.bytes }
    }

    /// Makes every node of every layer reachable from the entry.
    pub(super) fn mend(&mut self, shared: &Shared) {
        let records = Records { space: &shared.space, kernels: shared.kernels, bytes: &self.bytes };
        for layer in &mut self.graph.layers {
            reach::mend(layer, records);
        }
    }

    /// Computes the distances of all edges of a layer and sorts each list by them.
    pub(super) fn measure(&mut self, shared: &Shared, layer: usize) {
        let records = Records { space: &shared.space, kernels: shared.kernels, bytes: &self.bytes };
        let links = &mut self.graph.layers[layer];
        let (mut query, mut buffers, mut distances) = (Prepared::new(), Buffers::default(), Vec::new());
        for node in 0..links.rows() as u32 {
            let view = crate::graph::layer::LayerView { layer: links, records, nodes: links.rows() };
            let Ok(()) = view.prepare(node, &mut query);
            let neighbors = links.neighbors(node).to_vec();
            distances.resize(neighbors.len(), 0.0);
            let Ok(()) = view.distances(&query, &neighbors, &mut buffers, &mut distances);
            let measured = neighbors.iter().zip(&distances).map(|(&node, &distance)| Neighbor { distance, node });
            let mut edges: Vec<Neighbor> = measured.collect();
            crate::graph::sort(&mut edges);
            links.set(node, &edges);
        }
    }

    /// A new state with these nodes and twins; rows are read from `old`, those that are dead there
    /// stay dead.
    pub(super) fn into_shared(self, params: &LiveParams, old: &Shared) -> Shared {
        let shared = Shared::new(params, old.space.mean.clone(), old.quality().to_vec(), old.kernels);
        shared.changed.store(old.changed.load(Ordering::Relaxed), Ordering::Relaxed);
        #[cfg(feature = "filter")]
        let shared = Shared { schema: super::columns::Schema::new(old.schema.columns.clone()), ..shared };
        let mut slot_of = Vec::with_capacity(self.nodes.len());
        let level = |node: usize| self.graph.layers.iter().skip(1).take_while(|layer| node < layer.rows()).count();
        for (node, (&slot, twins)) in self.nodes.iter().zip(&self.twins).enumerate() {
            let Some(new) = shared.copy_row(old, slot, level(node)) else { break };
            slot_of.push(new);
            let mut last = new;
            for &twin in twins {
                let Some(new) = shared.copy_row(old, twin, 0) else { break };
                shared.store.set_twin(last, new);
                last = new;
            }
        }
        for (number, layer) in self.graph.layers.iter().enumerate() {
            for node in 0..layer.rows().min(slot_of.len()) as u32 {
                let neighbors = layer.neighbors(node).iter().filter_map(|&n| slot_of.get(n as usize).copied());
                shared.store.link(slot_of[node as usize], number, neighbors);
            }
        }
        if let Some(&entry) = slot_of.first() {
            shared.entry.store(entry, Ordering::Release);
        }
        shared
    }
}

impl Shared {
    /// Appends a row of another state and publishes it.
    fn copy_row(&self, old: &Shared, slot: u32, level: usize) -> Option<u32> {
        let new = self.store.push(old.store.record(slot)?, level, old.store.payload(slot))?;
        #[cfg(feature = "filter")]
        self.store.set_values(new, old.store.values(slot).into());
        self.living.fetch_add(1, Ordering::AcqRel);
        self.store.publish(new);
        if old.store.is_deleted(slot) {
            self.delete(new);
        }
        Some(new)
    }
}
