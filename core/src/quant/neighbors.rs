//! A node's neighbours in one bit a dimension, relative to the node: what lets a walk judge all of them in one sweep over one piece of
//! memory (Gou, Gao, Xu, Long 2025, "SymphonyQG", arXiv 2411.12229, section 3.1).
//!
//! What a slot holds is told by [`signs`](super::signs), whose centre is the node: a walk computes the node's own distance exactly as it
//! expands it, so estimates become better as it closes in.
//!
//! A row: for each 32 slots of the adjacency 32 u32, the neighbours (unused ones are 2^32 - 1, their codes zeros), 32 f32 to add, 32 f32
//! to multiply, then 16 bytes for each four rotated dimensions: byte `j` holds the signs of slot `j` in its low half and of slot `j + 16` in its high half, the sign of the first
//! dimension in the lowest bit, 1 for plus.

use crate::distance::Kernels;
use crate::distance::fastscan::{FACTOR_BYTES, GROUP, TABLE_BYTES};
use crate::quant::Space;
use crate::quant::rotation::Rotation;
pub use crate::quant::signs::{BLOCK_SLOTS, UNUSED};
use crate::quant::signs::{Coder, SignQuery, coordinates};

/// Bytes of the neighbours of a block.
const SLOT_BYTES: usize = 4 * BLOCK_SLOTS;

/// Places inside a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighborLayout {
    /// Neighbours of a node: a multiple of 32.
    pub slots: usize,
    /// Bytes of the codes of 32 slots.
    codes: usize,
}

impl NeighborLayout {
    /// The layout for rows of `dimensions` elements with up to `degree` neighbours.
    #[must_use]
    pub fn new(dimensions: usize, degree: usize) -> Self {
        let codes = dimensions.max(1).next_multiple_of(64) / GROUP * TABLE_BYTES;
        Self { slots: degree.next_multiple_of(BLOCK_SLOTS), codes }
    }

    /// Bytes of 32 slots.
    #[must_use]
    pub fn block(&self) -> usize {
        SLOT_BYTES + FACTOR_BYTES + self.codes
    }

    /// Bytes of a row.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.slots / BLOCK_SLOTS * self.block()
    }

    /// A row of no neighbours.
    pub fn clear(&self, row: &mut [u8]) {
        row.fill(0);
        row.chunks_mut(self.block()).for_each(|block| block[..SLOT_BYTES].fill(0xFF));
    }

    /// Calls each of the row's neighbours by another name.
    pub fn rename(&self, row: &mut [u8], name: impl Fn(u32) -> u32) {
        for slot in row.chunks_mut(self.block()).flat_map(|block| block[..SLOT_BYTES].as_chunks_mut::<4>().0) {
            if *slot != UNUSED {
                *slot = name(u32::from_le_bytes(*slot)).to_le_bytes();
            }
        }
    }

    /// The neighbours in a block of a row.
    #[must_use]
    pub fn slots_of(block: &[u8]) -> &[[u8; 4]] {
        block[..SLOT_BYTES].as_chunks().0
    }

    /// Whether a row leads to nodes below `nodes` alone, the used slots first, has numbers for factors, and zeros for unused slots.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, row: &[u8], nodes: usize) -> Result<(), &'static str> {
        let mut ended = false;
        for block in row.chunks(self.block()) {
            let (factors, codes) = block[SLOT_BYTES..].split_at(FACTOR_BYTES);
            let factor = |at: usize| factors.as_chunks::<4>().0[at];
            for (slot, &node) in Self::slots_of(block).iter().enumerate() {
                let own = [factor(slot), factor(BLOCK_SLOTS + slot)];
                if node == UNUSED {
                    ended = true;
                    let mut nibbles = codes.as_chunks::<16>().0.iter().map(|bytes| bytes[slot % 16] >> (slot / 16 * 4) & 15);
                    if own != [[0; 4]; 2] || nibbles.any(|nibble| nibble != 0) {
                        return Err("bytes beside its fields are not zero");
                    }
                } else if ended {
                    return Err("a gap between neighbours");
                } else if u32::from_le_bytes(node) as usize >= nodes {
                    return Err("a neighbour beyond the last row");
                } else if !own.into_iter().all(|factor| f32::from_le_bytes(factor).is_finite()) {
                    return Err("a factor is not a finite number");
                }
            }
        }
        Ok(())
    }

    /// Codes the neighbours of a node, given with their records in the order of the node's slots. `O(degree d log d)`.
    ///
    /// # Panics
    /// If `row` is not a row long, or there are more neighbours than slots.
    #[expect(clippy::too_many_arguments, reason = "what a row is made of")]
    pub fn encode<'r>(
        &self,
        space: &Space,
        kernels: &Kernels,
        rotation: &Rotation,
        node: &[u8],
        neighbors: impl Iterator<Item = (u32, &'r [u8])>,
        work: &mut Coder,
        row: &mut [u8],
    ) {
        self.clear(row);
        work.centre(rotation, |centre| coordinates(space, node, centre));
        for (slot, (number, neighbor)) in neighbors.enumerate() {
            let (block, slot) = (&mut row[slot / BLOCK_SLOTS * self.block()..][..self.block()], slot % BLOCK_SLOTS);
            let (numbers, block) = block.split_at_mut(SLOT_BYTES);
            let (factors, codes) = block.split_at_mut(FACTOR_BYTES);
            numbers[4 * slot..][..4].copy_from_slice(&number.to_le_bytes());
            let [add, multiply] = work.code(space, kernels, rotation, neighbor);
            work.put(slot, codes);
            factors[4 * slot..][..4].copy_from_slice(&add.to_le_bytes());
            factors[4 * (BLOCK_SLOTS + slot)..][..4].copy_from_slice(&multiply.to_le_bytes());
        }
    }
}

impl SignQuery {
    /// Distances of 32 slots from the query, which is `base` from their node, and a bit for each slot that is at most `most` away; `next`
    /// is prefetched. A factor that is no number makes a distance that is none, whose bit is set.
    #[inline]
    pub fn estimate(&self, kernels: &Kernels, base: f32, most: f32, block: &[u8], next: &[u8], out: &mut [f32; BLOCK_SLOTS]) -> u32 {
        kernels.estimate_neighbors(self.asked(), base, most, &block[SLOT_BYTES..], next, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Metric;
    use crate::quant::{Encoding, Prepared, RecordLayout};
    use crate::seed::SplitMix;
    use crate::vectors::Query;
    use alloc::vec;
    use alloc::vec::Vec;

    const METRICS: [Metric; 3] = [Metric::L2, Metric::InnerProduct, Metric::Cosine];

    fn bell(random: &mut SplitMix, count: usize) -> Vec<f32> {
        let mut uniform = || random.below(1 << 20) as f32 / (1 << 20) as f32 - 0.5;
        (0..count).map(|_| uniform() + uniform() + uniform()).collect()
    }

    struct Scene {
        space: Space,
        rotation: Rotation,
        records: Vec<Vec<u8>>,
        query: Prepared,
        tables: SignQuery,
    }

    impl Scene {
        /// A node, `degree` neighbours that are `far` away from it, and a query as far.
        fn new(metric: Metric, dimensions: usize, degree: usize, far: f32, seed: u64) -> Self {
            let kernels = Kernels::best();
            let mut random = SplitMix::new(seed);
            let layout = RecordLayout::new(dimensions);
            let space = Space { metric, encoding: Encoding::Scaled, layout, mean: vec![0.0; dimensions] };
            let node = bell(&mut random, dimensions);
            let mut near = |_| {
                let step = bell(&mut random, dimensions);
                node.iter().zip(step).map(|(x, step)| x + far * step).collect::<Vec<f32>>()
            };
            let rows: Vec<Vec<f32>> = core::iter::once(node.clone()).chain((0..=degree).map(&mut near)).collect();
            let record = |row: &Vec<f32>| {
                let mut record = vec![0; layout.stride];
                let factors = space.encode_f32(kernels, &mut row.clone(), &mut record);
                layout.write_tail(&mut record, factors, 0, (0, 0));
                record
            };
            let mut query = Prepared::new();
            query.query(&space, kernels, Query::F32(&rows[degree + 1]));
            let rotation = Rotation::new(dimensions, seed);
            let mut tables = SignQuery::default();
            tables.prepare(&space, kernels, &rotation, &query);
            Self { records: rows[..=degree].iter().map(record).collect(), rotation, query, tables, space }
        }

        fn exact(&self, record: &[u8]) -> f32 {
            let dot = self.space.dot(Kernels::best(), &self.query, record);
            self.space.distance(&self.query, &self.space.layout.factors(record), dot)
        }

        fn row(&self, layout: &NeighborLayout) -> Vec<u8> {
            let mut row = vec![0xAA; layout.stride()];
            let neighbors = (1..).zip(self.records[1..].iter().map(Vec::as_slice));
            let kernels = Kernels::best();
            layout.encode(&self.space, kernels, &self.rotation, &self.records[0], neighbors, &mut Coder::default(), &mut row);
            row
        }

        /// Estimates of all slots.
        fn estimates(&self, layout: &NeighborLayout, row: &[u8]) -> Vec<f32> {
            let mut found = Vec::new();
            for block in row.chunks(layout.block()) {
                let mut block_found = [0.0; BLOCK_SLOTS];
                self.tables.estimate(Kernels::best(), self.exact(&self.records[0]), f32::INFINITY, block, &[], &mut block_found);
                found.extend(block_found);
            }
            found
        }
    }

    /// The error has no direction and is that of one bit: `0.75 / sqrt(d)` of `|r| |q - c|`, twice that of a squared distance.
    #[test]
    fn estimates_are_right_in_the_mean_and_err_as_one_bit_does() {
        for metric in METRICS {
            for dimensions in [64, 100, 384] {
                let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
                for seed in 0..40 {
                    let scene = Scene::new(metric, dimensions, 32, 0.7, seed);
                    let layout = NeighborLayout::new(dimensions, 32);
                    let estimates = scene.estimates(&layout, &scene.row(&layout));
                    let (mut centre, mut other) = (Vec::new(), Vec::new());
                    coordinates(&scene.space, &scene.records[0], &mut centre);
                    let query: Vec<f32> = scene.query.codes[..dimensions].iter().map(|&code| f32::from(code) * scene.query.scale).collect();
                    let from = |x: &[f32]| x.iter().zip(&centre).map(|(x, c)| f64::from(x - c).powi(2)).sum::<f64>().sqrt();
                    for (record, estimate) in scene.records[1..].iter().zip(estimates) {
                        coordinates(&scene.space, record, &mut other);
                        let scale = if metric == Metric::L2 { 2.0 } else { 1.0 };
                        let unit = scale * from(&other) * from(&query) / (dimensions as f64).sqrt();
                        let error = f64::from(estimate - scene.exact(record)) / unit;
                        (sum, squares, count) = (sum + error, squares + error * error, count + 1.0);
                    }
                }
                let (mean, deviation) = (sum / count, (squares / count).sqrt());
                assert!(mean.abs() < 5.0 * deviation / f64::sqrt(count), "{metric}, {dimensions}: {mean} in the mean");
                assert!((0.5..1.0).contains(&deviation), "{metric}, {dimensions}: deviation {deviation}");
            }
        }
    }

    #[test]
    fn a_twin_of_the_node_is_where_the_node_is_and_unused_slots_are_zeros() {
        for metric in METRICS {
            let mut scene = Scene::new(metric, 70, 3, 0.5, 9);
            scene.records[2] = scene.records[0].clone();
            let layout = NeighborLayout::new(70, 40);
            let row = scene.row(&layout);
            assert_eq!(row.len(), 2 * layout.block());
            assert_eq!(scene.estimates(&layout, &row)[1].to_bits(), scene.exact(&scene.records[0]).to_bits(), "{metric}");
            let (first, second) = row.split_at(layout.block());
            assert_eq!(NeighborLayout::slots_of(first)[..4], [[1, 0, 0, 0], [2, 0, 0, 0], [3, 0, 0, 0], UNUSED]);
            assert!(NeighborLayout::slots_of(second).iter().all(|&slot| slot == UNUSED));
            assert!(second[SLOT_BYTES..].iter().all(|&byte| byte == 0));
            let codes = &first[SLOT_BYTES + FACTOR_BYTES..];
            assert!(codes.as_chunks::<16>().0.iter().all(|four| four[3..].iter().all(|&byte| byte == 0)));
        }
    }

    #[test]
    fn a_query_at_the_mean_is_estimated_by_what_is_added() {
        let mut scene = Scene::new(Metric::L2, 64, 4, 0.5, 3);
        scene.query.query(&scene.space, Kernels::best(), Query::F32(&[0.0; 64]));
        scene.tables.prepare(&scene.space, Kernels::best(), &scene.rotation, &scene.query);
        let layout = NeighborLayout::new(64, 4);
        let estimates = scene.estimates(&layout, &scene.row(&layout));
        assert!(estimates.iter().all(|x| x.is_finite()));
    }
}
