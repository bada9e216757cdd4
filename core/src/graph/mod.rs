//! Proximity graphs: walking them and building them.
//!
//! [`beam`] is the one best-first search; a build runs it over its own memory, an open file over
//! its blocks, the live index over its chunks. What they have in common is a [`Graph`]: who is
//! next to whom, and how far a node is from the query. [`select`] picks neighbours, [`hnsw`]
//! builds in deterministic batches, [`reach`] mends what no walk would reach, [`order`] finds a
//! row order that keeps neighbours close in memory.

pub(crate) mod back;
pub mod beam;
#[cfg(feature = "codes")]
pub(crate) mod extend;
pub mod hnsw;
pub mod layer;
#[cfg(feature = "codes")]
pub(crate) mod lead;
pub mod leaves;
pub mod order;
mod partition;
pub(crate) mod passes;
pub mod pool;
pub mod reach;
pub(crate) mod ruler;
pub mod select;
pub(crate) mod slots;
#[cfg(feature = "codes")]
pub(crate) mod surround;
#[cfg(feature = "codes")]
pub(crate) mod sweep;
#[cfg(feature = "codes")]
mod sweep_pool;
#[cfg(feature = "codes")]
pub mod vamana;
pub mod visited;
pub(crate) mod without;

use crate::quant::Prepared;
use crate::sort;
use alloc::vec::Vec;

/// Marks an unused neighbour slot.
pub const NONE: u32 = u32::MAX;

/// A node and its distance from some other: the order is (distance, node).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Neighbor {
    /// Distance, never NaN.
    pub distance: f32,
    /// The node.
    pub node: u32,
}

impl Neighbor {
    /// A number that sorts as (distance, node) does.
    #[inline(always)]
    #[must_use]
    pub fn key(self) -> u64 {
        let bits = self.distance.to_bits();
        // IEEE 754 total order as an unsigned number: flip all bits of negatives, else the sign.
        let ordered = bits ^ ((((bits as i32) >> 31) as u32) | 0x8000_0000);
        (u64::from(ordered) << 32) | u64::from(self.node)
    }

    /// The inverse of [`Neighbor::key`].
    #[inline(always)]
    #[must_use]
    pub fn from_key(key: u64) -> Self {
        let ordered = (key >> 32) as u32;
        let bits = if ordered >> 31 == 1 { ordered ^ 0x8000_0000 } else { !ordered };
        Self { distance: f32::from_bits(bits), node: key as u32 }
    }
}

/// What a walk costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Distances computed, of any precision.
    pub distances: u64,
    /// Nodes expanded.
    pub hops: u64,
    /// The effort of the walk that gave the answer, nodes kept in its pool: at least `k`, more where a quality table, tombstones or a
    /// first walk that was short of hits asked for more. 0: a scan gave it.
    pub ef: u64,
}

/// Buffers that a [`Graph`] fills while it computes distances; kept from call to call.
#[derive(Clone, Debug, Default)]
pub struct Buffers {
    /// Where records start.
    pub places: Vec<usize>,
    /// Their dot products with the query.
    pub dots: Vec<i32>,
}

/// Adjacency and distances, wherever they are kept.
pub trait Graph {
    /// What can go wrong while reading (nothing, in memory).
    type Error;

    /// Number of nodes; every neighbour is below it.
    fn nodes(&self) -> usize;

    /// Appends the neighbours of `node` to `out`.
    ///
    /// # Errors
    /// Where the adjacency is damaged.
    fn neighbors(&self, node: u32, out: &mut Vec<u32>) -> Result<(), Self::Error>;

    /// Writes the distances of `nodes` from `query` to `out`, which is as long.
    ///
    /// # Errors
    /// Where a record is damaged.
    fn distances(&self, query: &Prepared, nodes: &[u32], buffers: &mut Buffers, out: &mut [f32]) -> Result<(), Self::Error>;

    /// Hints that the neighbours of `node` will be asked for soon.
    fn prefetch(&self, node: u32);
}

/// Sorts by distance, equal ones by node.
pub(crate) fn sort(neighbors: &mut [Neighbor]) {
    sort::by_key(neighbors, |neighbor| neighbor.key());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_distances_then_nodes_and_come_back() {
        let distances = [f32::NEG_INFINITY, -2.0, -0.5, 0.0, 1e-30, 0.25, 3.0, f32::INFINITY];
        let mut last = None;
        for distance in distances {
            for node in [0, 7, u32::MAX - 1] {
                let neighbor = Neighbor { distance, node };
                assert_eq!(Neighbor::from_key(neighbor.key()), neighbor);
                assert!(last < Some(neighbor.key()));
                last = Some(neighbor.key());
            }
        }
    }
}
