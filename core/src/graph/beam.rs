//! Best-first search with a bounded pool (Malkov & Yashunin 2016, Algorithm 2).
//!
//! The nearest candidate that was not expanded is expanded: its unseen neighbours are gathered
//! first, their distances computed together, then offered to the pool. The walk ends when every
//! node of the pool is expanded, which is Algorithm 2's rule, or earlier by the distance-adaptive
//! rule (arXiv 2505.15636): stop at a candidate farther than `(1 + gamma)` times the k-th nearest.
//! What `gamma` is worth differs from set to set: builds measure it.

#[cfg(feature = "among")]
mod among;
#[cfg(feature = "codes")]
pub(crate) mod waiting;

use super::pool::Pool;
use super::visited::Visited;
use super::{Buffers, Graph, NONE, Neighbor, Stats};
use crate::quant::Prepared;
use crate::simd::PREFETCHES;
use alloc::vec::Vec;

/// How far a walk goes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Nodes kept in the pool.
    pub ef: usize,
    /// Rank that `stop` looks at.
    pub k: usize,
    /// Candidates farther than this factor times the k-th distance end the walk; infinite: never.
    /// A factor on the distance as computed, so `(1 + gamma)^2` for squared L2.
    pub stop: f32,
    /// A node that the walk must not see ([`NONE`]: no such node): how a row of the graph finds
    /// its own neighbours.
    pub hidden: u32,
}

impl Limits {
    /// Plain `ef`.
    #[must_use]
    pub fn ef(ef: usize) -> Self {
        Self { ef, k: 1, stop: f32::INFINITY, hidden: NONE }
    }
}

/// The state of a walk, reused from walk to walk without allocating.
#[derive(Debug, Default)]
pub struct Beam {
    /// The nearest nodes found.
    pub pool: Pool,
    visited: Visited,
    fresh: Vec<u32>,
    distances: Vec<f32>,
    buffers: Buffers,
    /// Neighbours that do not match, of a walk among those that do.
    #[cfg(feature = "among")]
    bridges: Vec<u32>,
}

impl Beam {
    /// Walks `graph` from `entries` and leaves the nearest nodes found in [`Beam::pool`].
    ///
    /// Cost: `O(hops * degree)` distances. Entries out of range are ignored.
    ///
    /// # Errors
    /// What the graph reports.
    pub fn search<G: Graph>(
        &mut self,
        graph: &G,
        query: &Prepared,
        entries: impl IntoIterator<Item = u32>,
        limits: Limits,
        stats: &mut Stats,
    ) -> Result<(), G::Error> {
        self.gather(graph, entries, limits, stats);
        if cfg!(target_family = "wasm") {
            // In a browser's download one walk serves all graphs.
            return self.walk::<dyn Graph<Error = G::Error>>(graph, query, limits, stats);
        }
        self.walk(graph, query, limits, stats)
    }

    /// Empties the pool and gathers the entries.
    fn gather<G: Graph>(&mut self, graph: &G, entries: impl IntoIterator<Item = u32>, limits: Limits, stats: &mut Stats) {
        stats.ef = limits.ef as u64;
        self.pool.reset(limits.ef);
        self.visited.reset(graph.nodes());
        self.visited.insert(limits.hidden);
        self.fresh.clear();
        for entry in entries {
            if (entry as usize) < graph.nodes() && self.visited.insert(entry) {
                self.fresh.push(entry);
            }
        }
    }

    /// The walk from the gathered entries, compiled once a graph, wherever entries come from.
    #[inline(never)]
    fn walk<G: Graph + ?Sized>(&mut self, graph: &G, query: &Prepared, limits: Limits, stats: &mut Stats) -> Result<(), G::Error> {
        self.score(graph, query, f32::INFINITY, stats)?;
        while let Some(next) = self.pool.expand_next() {
            let bound = self.stop_distance(limits);
            if next.distance > bound {
                break;
            }
            self.expand(graph, query, next.node, bound, stats)?;
        }
        Ok(())
    }

    /// Offers the neighbours of `node` that were not seen.
    #[inline(always)]
    fn expand<G: Graph + ?Sized>(&mut self, graph: &G, query: &Prepared, node: u32, bound: f32, stats: &mut Stats) -> Result<(), G::Error> {
        stats.hops += 1;
        self.fresh.clear();
        graph.neighbors(node, &mut self.fresh)?;
        let new = self.visited.insert_all(&mut self.fresh);
        self.fresh.truncate(new);
        self.score(graph, query, bound, stats)
    }

    /// Distance beyond which a candidate is not worth expanding.
    #[inline]
    fn stop_distance(&self, limits: Limits) -> f32 {
        if limits.stop == f32::INFINITY {
            return f32::INFINITY;
        }
        self.pool.distance(limits.k - 1).map_or(f32::INFINITY, |d| d * limits.stop)
    }

    /// Offers the gathered nodes to the pool.
    #[inline]
    fn score<G: Graph + ?Sized>(&mut self, graph: &G, query: &Prepared, bound: f32, stats: &mut Stats) -> Result<(), G::Error> {
        let count = self.fresh.len();
        if self.distances.len() < count {
            self.distances.resize(count, 0.0);
        }
        let distances = &mut self.distances[..count];
        graph.distances(query, &self.fresh, &mut self.buffers, distances)?;
        stats.distances += count as u64;
        // Above every node at that distance, and below every node beyond it.
        let bound = Neighbor { distance: bound, node: NONE }.key();
        let mut limit = self.pool.limit().min(bound);
        for (&node, &distance) in self.fresh.iter().zip(distances.iter()) {
            let key = Neighbor { distance, node }.key();
            if key < limit {
                self.pool.insert(key);
                limit = self.pool.limit().min(bound);
                if PREFETCHES {
                    graph.prefetch(node);
                }
            }
        }
        Ok(())
    }
}
