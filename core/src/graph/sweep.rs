//! Best-first search by sweeps: a node's distance is computed exactly as it is expanded, those of all its neighbours are estimated at
//! once from codes that lie beside its adjacency (SymphonyQG, arXiv 2411.12229, algorithm 1).
//!
//! A neighbour that several nodes lead to is estimated by each of them, relative to each; it may stand in the pool more than once and is
//! expanded at the first that comes up (measured: taken once, by the first estimate, a walk needs a third more hops for the same
//! recall). A pool for all nodes takes each once, or copies would crowd some out. What was expanded is ranked by exact distances, so the estimates decide where the walk goes and
//! nothing else.

use super::beam::Limits;
use super::pool::Pool;
use super::sweep_pool::{SweepPool, entry_of};
use super::visited::Visited;
use super::{Neighbor, Stats};
use crate::distance::Kernels;
use crate::quant::Prepared;
use crate::quant::neighbors::NeighborLayout;
use crate::quant::signs::{BLOCK_SLOTS, SignQuery, UNUSED};

/// A graph whose nodes know coarsely where their neighbours are.
pub(crate) trait Surroundings {
    /// What can go wrong while reading.
    type Error;

    /// Number of nodes; every neighbour is below it.
    fn nodes(&self) -> usize;

    /// Bytes of a row for 32 neighbours.
    fn block(&self) -> usize;

    /// The distance of `node` from `query`, and the row of its neighbours' codes.
    ///
    /// # Errors
    /// Where the file is damaged.
    fn expand(&self, node: u32, query: &Prepared) -> Result<(f32, &[u8]), Self::Error>;

    /// What to make of a row of codes in which `what` is wrong.
    ///
    /// # Errors
    /// Where such a row is damage.
    fn damaged(&self, node: u32, what: &'static str) -> Result<(), Self::Error>;

    /// What [`Surroundings::expand`] reads of `node`, to be prefetched: its record, and the row of its neighbours' codes.
    fn ahead(&self, node: u32) -> [&[u8]; 2];
}

/// The state of a walk, reused from walk to walk without allocating.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    /// The nearest nodes that were expanded, by exact distance.
    pub(crate) nearest: Pool,
    pool: SweepPool,
    visited: Visited,
    /// The query, prepared by the caller.
    pub(crate) query: SignQuery,
}

impl Sweep {
    /// Walks `graph` from `entries` and leaves the nearest `keep` nodes in [`Sweep::nearest`].
    ///
    /// # Errors
    /// What the graph reports.
    #[inline(never)]
    #[expect(clippy::too_many_arguments, reason = "a walk in one call, compiled once a graph")]
    pub(crate) fn search<G: Surroundings>(
        &mut self,
        graph: &G,
        kernels: &Kernels,
        query: &Prepared,
        entries: impl IntoIterator<Item = u32>,
        keep: usize,
        limits: Limits,
        stats: &mut Stats,
    ) -> Result<(), G::Error> {
        stats.ef = limits.ef as u64;
        // The entry keeps a place that nothing can take from it.
        self.pool.reset(limits.ef.max(2));
        self.nearest.reset(keep.max(limits.k));
        self.visited.reset(graph.nodes());
        for node in entries {
            if (node as usize) < graph.nodes() {
                self.pool.merge(&mut [entry_of(Neighbor { distance: f32::MIN, node })]);
            }
        }
        let once = limits.ef >= graph.nodes();
        let mut estimates = [0.0; BLOCK_SLOTS];
        let mut found = [0; BLOCK_SLOTS];
        while let Some(next) = self.pool.expand_next() {
            // A copy of a node that was expanded; or marked before where each is taken once.
            if !self.visited.insert(next.node) && !once {
                continue;
            }
            if next.distance > self.stop_distance(limits) {
                break;
            }
            stats.hops += 1;
            let (distance, row) = graph.expand(next.node, query)?;
            self.nearest.insert(Neighbor { distance, node: next.node }.key());
            stats.distances += 1;
            // The nearest so far is often the next: its row is asked for line by line while this one is summed.
            let guess = self.pool.peek();
            let [record, mut ahead] = guess.map_or_else(Default::default, |guess| graph.ahead(guess));
            kernels.prefetch(record);
            let stop = self.stop_distance(limits);
            for block in row.chunks(graph.block()) {
                let most = stop.min(self.pool.limit());
                let mut near = self.query.estimate(kernels, distance, most, block, ahead, &mut estimates);
                ahead = &[];
                let slots = NeighborLayout::slots_of(block);
                stats.distances += slots.iter().filter(|&&slot| slot != UNUSED).count() as u64;
                let mut taken = 0;
                while near != 0 {
                    let slot = near.trailing_zeros() as usize;
                    near &= near - 1;
                    let (node, distance) = (u32::from_le_bytes(slots[slot]), estimates[slot]);
                    if node as usize >= graph.nodes() {
                        if slots[slot] != UNUSED {
                            graph.damaged(next.node, "a neighbour beyond the last row")?;
                        }
                        continue;
                    }
                    if !distance.is_finite() {
                        graph.damaged(next.node, "a factor is not a finite number, or too large")?;
                        continue;
                    }
                    if self.visited.contains(node) {
                        continue;
                    }
                    if once {
                        self.visited.insert(node);
                    }
                    found[taken] = entry_of(Neighbor { distance, node });
                    taken += 1;
                }
                self.pool.merge(&mut found[..taken]);
            }
            if let Some(next) = self.pool.peek().filter(|&next| Some(next) != guess) {
                graph.ahead(next).into_iter().for_each(|bytes| kernels.prefetch(bytes));
            }
        }
        Ok(())
    }

    /// Estimates beyond this are not worth expanding.
    #[inline]
    fn stop_distance(&self, limits: Limits) -> f32 {
        if limits.stop == f32::INFINITY {
            return f32::INFINITY;
        }
        self.nearest.distance(limits.k - 1).map_or(f32::INFINITY, |distance| distance * limits.stop)
    }
}
