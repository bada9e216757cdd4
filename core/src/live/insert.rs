//! Inserting (Malkov & Yashunin 2016, Algorithm 1), one row at a time, while others search.

use super::sync::Ordering;
use super::{Live, LiveError, Shared, Work};
use crate::format::Metric;
use crate::graph::beam::Limits;
use crate::graph::select::{Nodes, Selection};
use crate::graph::{Graph, NONE, Neighbor, Stats, hnsw};
use crate::quant::{Encoding, Factors, exact};
use crate::search::{SearchError, check};
use crate::vectors::Query;

/// Nearest rows that are compared byte by byte with a new one.
const TWIN_CANDIDATES: usize = 8;

/// How a live index chooses neighbours.
pub(super) const SELECTION: Selection = Selection::HEURISTIC;

impl Live {
    /// Adds a row.
    ///
    /// Cost: a search of `ef_construction` plus a pruning of each neighbour.
    ///
    /// # Errors
    /// A vector that cannot be indexed, or an id that is taken; nothing has changed then.
    pub fn insert(&mut self, id: u64, vector: Query<'_>, payload: &[u8]) -> Result<(), LiveError> {
        if self.slots.get(id).is_some() {
            return Err(LiveError::DuplicateId { id });
        }
        self.encode(id, vector)?;
        self.append(id, payload, None)
    }

    /// Replaces the row of `id`, or adds it. A reader sees the old row or the new one, at any
    /// moment; the old one becomes a tombstone.
    ///
    /// # Errors
    /// A vector that cannot be indexed, or a full index; the old row stays then.
    pub fn update(&mut self, id: u64, vector: Query<'_>, payload: &[u8]) -> Result<(), LiveError> {
        self.encode(id, vector)?;
        self.append(id, payload, self.slots.get(id))
    }

    /// Writes the record of a row-to-be into the scratch.
    fn encode(&mut self, id: u64, vector: Query<'_>) -> Result<(), LiveError> {
        let (space, kernels) = (&self.shared.space, self.shared.kernels);
        check::query(vector, space.layout.dimensions).map_err(LiveError::Vector)?;
        let Work { vector: full, record, .. } = &mut self.work;
        vector.decode(full);
        let largest = check::largest(full);
        record.clear();
        record.resize(space.layout.stride, 0);
        let codes = &mut record[..space.layout.dimensions];
        let factors = if space.encoding == Encoding::Scaled {
            space.encode_f32(kernels, full, codes)
        } else {
            let low = if space.encoding == Encoding::U8 { 0.0 } else { -128.0 };
            let whole = |x: f32| x >= low && x <= low + 255.0 && x == (x as i32) as f32;
            if let Some(element) = full.iter().position(|&x| !whole(x)) {
                return Err(LiveError::NotRepresentable { element });
            }
            for (code, &x) in codes.iter_mut().zip(&*full) {
                *code = (x as i32) as u8;
            }
            let norm: u32 = full.iter().map(|&x| (x * x) as u32).sum();
            Factors { scale: 1.0, norm, length_sq: norm as f32, flags: 0 }
        };
        let finite = exact::is_in_range(factors.length_sq) && (space.norm(factors.norm) as f32).is_finite();
        if !finite {
            return Err(LiveError::Vector(SearchError::NotFinite { element: largest }));
        }
        if space.metric == Metric::Cosine && !exact::has_direction(factors.length_sq) {
            return Err(LiveError::Vector(SearchError::ZeroVector));
        }
        space.layout.write_tail(record, factors, id, (0, 0));
        Ok(())
    }

    /// Stores the encoded record, links it, and lets readers see it, in the place of the row `old`.
    fn append(&mut self, id: u64, payload: &[u8], old: Option<u32>) -> Result<(), LiveError> {
        let shared = &*self.shared;
        let level = usize::from(hnsw::level(self.params.seed, id, self.params.m));
        let slot = shared.store.push(&self.work.record, level, payload).ok_or(LiveError::Full)?;
        #[cfg(feature = "filter")]
        shared.store.set_values(slot, core::mem::take(&mut self.work.values));
        match old {
            Some(old) => shared.store.replace(old, slot),
            None => _ = shared.living.fetch_add(1, Ordering::AcqRel),
        }
        let entry = shared.entry.load(Ordering::Acquire);
        if entry == NONE {
            shared.store.publish(slot);
            shared.entry.store(slot, Ordering::Release);
        } else {
            let nodes = slot + 1;
            let Ok(()) = shared.layer(0, nodes).prepare(slot, &mut self.work.query);
            let linked = self.work.link(shared, slot, level, entry, self.params.ef_construction);
            if linked && level > shared.store.level(entry) {
                shared.entry.store(slot, Ordering::Release);
            }
        }
        shared.note_change();
        self.slots.insert(id, slot);
        Ok(())
    }
}

impl Work {
    /// Algorithm 1: finds the neighbours of `slot` layer by layer, publishes it, links back. False
    /// when it is an exact duplicate, which hangs behind its twin and is no node itself.
    fn link(&mut self, shared: &Shared, slot: u32, level: usize, entry: u32, ef: usize) -> bool {
        let mut stats = Stats::default();
        let top = shared.store.level(entry);
        self.candidates.clear();
        self.candidates.push(Neighbor { distance: 0.0, node: entry });
        let mut links: alloc::vec::Vec<(usize, alloc::vec::Vec<Neighbor>)> = alloc::vec::Vec::new();
        for layer in (0..=top).rev() {
            let view = shared.layer(layer, slot);
            let ef = if layer <= level { ef } else { 1 };
            let entries = self.candidates.iter().map(|candidate| candidate.node);
            let Ok(()) = self.beam.search(&view, &self.query, entries, Limits::ef(ef), &mut stats);
            self.candidates.clear();
            self.candidates.extend(self.beam.pool.iter());
            if layer <= level {
                let most = if layer == 0 { shared.store.slots(slot, 0).len() } else { shared.store.slots(slot, 1).len() };
                let Ok(()) = self.selector.select(&view, &self.candidates, most, SELECTION, &mut self.chosen);
                links.push((layer, self.chosen.clone()));
            }
        }
        if let Some(twin) = self.twin_of(shared, slot) {
            if let Some(next) = shared.store.twin(twin) {
                shared.store.set_twin(slot, next);
            }
            shared.store.publish(slot);
            shared.store.set_twin(twin, slot);
            return false;
        }
        for (layer, chosen) in &links {
            shared.store.link(slot, *layer, chosen.iter().map(|neighbor| neighbor.node));
        }
        shared.store.publish(slot);
        for (layer, chosen) in &links {
            for &neighbor in chosen {
                self.link_back(shared, *layer, neighbor, slot);
            }
        }
        true
    }

    /// A row among the nearest with the very same codes.
    fn twin_of(&self, shared: &Shared, slot: u32) -> Option<u32> {
        let codes = |slot: u32| {
            let layout = shared.space.layout;
            shared.store.record(slot).map(|record| (&record[..layout.factors], layout.factors(record).norm))
        };
        let own = codes(slot)?;
        let mut nearest = self.candidates.iter().take(TWIN_CANDIDATES);
        nearest.find(|near| codes(near.node) == Some(own)).map(|near| near.node)
    }

    /// Adds `slot` to a neighbour's list, which is pruned when it is full.
    fn link_back(&mut self, shared: &Shared, layer: usize, neighbor: Neighbor, slot: u32) {
        let view = shared.layer(layer, slot + 1);
        self.ids.clear();
        let Ok(()) = view.neighbors(neighbor.node, &mut self.ids);
        let most = shared.store.slots(neighbor.node, layer).len();
        if self.ids.len() < most {
            if let Some(free) = shared.store.slots(neighbor.node, layer).get(self.ids.len()) {
                free.store(slot, Ordering::Release);
            }
            return;
        }
        let Ok(()) = view.prepare(neighbor.node, &mut self.query);
        self.distances.resize(self.ids.len(), 0.0);
        let Ok(()) = view.distances(&self.query, &self.ids, &mut crate::graph::Buffers::default(), &mut self.distances);
        self.candidates.clear();
        self.candidates.push(Neighbor { distance: neighbor.distance, node: slot });
        let known = self.ids.iter().zip(&self.distances);
        self.candidates.extend(known.map(|(&node, &distance)| Neighbor { distance, node }));
        crate::graph::sort(&mut self.candidates);
        let mut kept = core::mem::take(&mut self.chosen);
        let Ok(()) = self.selector.select(&view, &self.candidates, most, SELECTION, &mut kept);
        shared.store.link(neighbor.node, layer, kept.iter().map(|kept| kept.node));
        self.chosen = kept;
    }
}
