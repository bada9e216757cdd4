//! The rows of a tile in one bit a dimension, relative to the tile's centroid: what a search that has to fetch its bytes reads first.
//!
//! [`super::signs`] tells what a slot holds; its centre is the centroid as `route.records` says it. A block is 32 slots:
//!
//! ```text
//!   0  u32 x 32   rows; unused slots last, 2^32 - 1
//! 128  bf16 x 32  added
//! 192  bf16 x 32  multiplied: the high halves of f32, rounded to nearest, halves to even
//! 256  signs      16 bytes for each four rotated dimensions
//! ```
//! A bf16 errs by at most 0.4 % of the square of how far a row lies from its centroid, one bit a dimension by several, so the half bytes cost no
//! recall and are a seventh of what is fetched at 384 dimensions.

#[cfg(feature = "codes")]
use super::lvq::CodeLayout;
#[cfg(feature = "codes")]
use super::signs::UNUSED;
use super::signs::{BLOCK_SLOTS, SignQuery};
use crate::distance::Kernels;
use crate::distance::fastscan::{FACTOR_BYTES, GROUP, TABLE_BYTES};
#[cfg(feature = "codes")]
use crate::quant::{Space, rotation::Rotation, signs};
use alloc::vec::Vec;

/// Bytes of the rows of a block.
const SLOT_BYTES: usize = 4 * BLOCK_SLOTS;
/// Bytes of a block before its signs.
const HEAD_BYTES: usize = SLOT_BYTES + 2 * 2 * BLOCK_SLOTS;

/// Places inside a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileLayout {
    /// Bytes of signs.
    codes: usize,
}

impl TileLayout {
    /// The layout for rows of `dimensions` elements.
    #[must_use]
    pub fn new(dimensions: usize) -> Self {
        Self { codes: dimensions.max(1).next_multiple_of(64) / GROUP * TABLE_BYTES }
    }

    /// Bytes of a block.
    #[must_use]
    pub fn block(&self) -> usize {
        HEAD_BYTES + self.codes
    }

    /// The row in each slot.
    #[must_use]
    pub fn slots_of(block: &[u8]) -> &[[u8; 4]] {
        block[..SLOT_BYTES].as_chunks().0
    }

    /// Distances of the 32 slots from the query, which is `base` from the centroid. `wide` is scratch.
    ///
    /// # Panics
    /// If `block` is shorter than a block.
    pub fn estimate(
        &self,
        kernels: &Kernels,
        query: &SignQuery,
        base: f32,
        block: &[u8],
        wide: &mut Vec<u8>,
        out: &mut [f32; BLOCK_SLOTS],
    ) {
        wide.clear();
        for half in block[SLOT_BYTES..HEAD_BYTES].as_chunks::<2>().0 {
            wide.extend_from_slice(&[0, 0, half[0], half[1]]);
        }
        debug_assert_eq!(wide.len(), FACTOR_BYTES);
        wide.extend_from_slice(&block[HEAD_BYTES..HEAD_BYTES + self.codes]);
        kernels.estimate_neighbors(query.asked(), base, f32::INFINITY, wide, &[], out);
    }

    /// Whether a block leads to rows below `rows` alone, the used slots first, has numbers for factors, and zeros for unused slots.
    ///
    /// # Errors
    /// What is wrong.
    #[cfg(feature = "codes")]
    pub fn check(&self, block: &[u8], rows: usize) -> Result<usize, &'static str> {
        let (factors, codes) = block[SLOT_BYTES..self.block()].split_at(HEAD_BYTES - SLOT_BYTES);
        let factor = |at: usize| factors.as_chunks::<2>().0[at];
        let mut used = None;
        for (slot, &row) in Self::slots_of(block).iter().enumerate() {
            let own = [factor(slot), factor(BLOCK_SLOTS + slot)];
            if row == UNUSED {
                used = used.or(Some(slot));
                let mut nibbles = codes.as_chunks::<16>().0.iter().map(|bytes| bytes[slot % 16] >> (slot / 16 * 4) & 15);
                if own != [[0; 2]; 2] || nibbles.any(|nibble| nibble != 0) {
                    return Err("bytes beside its fields are not zero");
                }
            } else if used.is_some() {
                return Err("a gap between rows");
            } else if u32::from_le_bytes(row) as usize >= rows {
                return Err("a row beyond the last one");
            } else if !own.into_iter().all(|half| wide(half).is_finite()) {
                return Err("a factor is not a finite number");
            }
        }
        Ok(used.unwrap_or(BLOCK_SLOTS))
    }

    /// Codes up to 32 rows, given with their records, about the centroid that `coder` was set to.
    ///
    /// # Panics
    /// If `block` is not a block long, or there are more rows than slots.
    #[cfg(feature = "codes")]
    pub fn encode<'r>(
        &self,
        space: &Space,
        kernels: &Kernels,
        rotation: &Rotation,
        coder: &mut signs::Coder,
        rows: impl Iterator<Item = (u32, &'r [u8])>,
        block: &mut [u8],
    ) {
        block.fill(0);
        let (slots, rest) = block.split_at_mut(SLOT_BYTES);
        slots.fill(0xFF);
        let (factors, codes) = rest.split_at_mut(HEAD_BYTES - SLOT_BYTES);
        for (slot, (row, record)) in rows.enumerate() {
            slots[4 * slot..][..4].copy_from_slice(&row.to_le_bytes());
            let [add, multiply] = coder.code(space, kernels, rotation, record);
            coder.put(slot, codes);
            factors[2 * slot..][..2].copy_from_slice(&narrow(add));
            factors[2 * (BLOCK_SLOTS + slot)..][..2].copy_from_slice(&narrow(multiply));
        }
    }
}

#[cfg(feature = "codes")]
impl signs::Coder {
    /// Sets the centre to the centroid that a row of `route.records` says.
    pub fn centroid(&mut self, space: &Space, rotation: &Rotation, layout: &CodeLayout, row: &[u8]) {
        let factors = layout.factors(row);
        self.centre(rotation, |centre| {
            centre.clear();
            centre.extend((0..layout.dimensions).map(|j| factors.scale * f32::from(layout.code(row, j)) + factors.offset));
            if signs::is_turned(space) && factors.norm > 0.0 {
                let length = crate::simd::sqrtf(factors.norm);
                centre.iter_mut().for_each(|value| *value /= length);
            }
        });
    }
}

#[cfg(feature = "codes")]
fn wide(half: [u8; 2]) -> f32 {
    f32::from_bits(u32::from(u16::from_le_bytes(half)) << 16)
}

/// The nearest bf16, halves to even; a number stays a number unless it is within a part in 512 of the largest.
#[cfg(feature = "codes")]
fn narrow(value: f32) -> [u8; 2] {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7FFF + (bits >> 16 & 1));
    ((rounded >> 16) as u16).to_le_bytes()
}

#[cfg(all(test, feature = "codes"))]
mod tests {
    use super::*;
    use crate::format::{Element, Metric};
    use crate::quant::{Encoding, Prepared, RecordLayout};
    use crate::seed::SplitMix;
    use crate::vectors::{Query, Vectors};
    use alloc::vec;

    const METRICS: [Metric; 3] = [Metric::L2, Metric::InnerProduct, Metric::Cosine];

    /// Rows near a centroid that is no row, and a query as near.
    struct Scene {
        space: Space,
        rotation: Rotation,
        route: Vec<u8>,
        records: Vec<Vec<u8>>,
        query: Prepared,
        signs: SignQuery,
    }

    impl Scene {
        fn new(metric: Metric, element: Element, dimensions: usize, rows: usize, seed: u64) -> Self {
            let kernels = Kernels::best();
            let mut random = SplitMix::new(seed);
            let layout = RecordLayout::new(dimensions);
            let space = Space { metric, encoding: Encoding::of(element), layout, mean: vec![0.0; dimensions] };
            let mut bell = |size: u64| (0..3).map(|_| random.below(2 * size + 1) as i64 - size as i64).sum::<i64>() as f32;
            let middle: Vec<f32> = (0..dimensions).map(|_| bell(25)).collect();
            let mut near = || middle.iter().map(|x| x + bell(14)).collect::<Vec<f32>>();
            let lift = if element == Element::U8 { 120.0 } else { 0.0 };
            let record = |row: &[f32]| {
                let mut record = vec![0; layout.stride];
                let bytes: Vec<u8> = match element {
                    Element::F32 => row.iter().flat_map(|x| (x / 50.0).to_le_bytes()).collect(),
                    Element::U8 => row.iter().map(|x| (x + lift) as u8).collect(),
                    _ => row.iter().map(|x| (*x as i8).cast_unsigned()).collect(),
                };
                let vectors = Vectors::packed(element, dimensions, &bytes).expect("a row");
                let factors = space.encode(kernels, &vectors, 0, &mut Vec::new(), &mut record);
                layout.write_tail(&mut record, factors, 0, (0, 0));
                record
            };
            let records = (0..rows).map(|_| record(&near())).collect();
            let size = if element == Element::F32 { 50.0 } else { 1.0 };
            let asked: Vec<f32> = near().iter().map(|x| (x + lift) / size).collect();
            let route_layout = CodeLayout::new(dimensions);
            let mut route = vec![0; route_layout.stride];
            route_layout.encode(&space, &record(&middle), &mut route);
            let mut query = Prepared::new();
            query.query(&space, kernels, Query::F32(&asked));
            let rotation = Rotation::new(dimensions, seed);
            let mut signs = SignQuery::default();
            signs.prepare(&space, kernels, &rotation, &query);
            Self { space, rotation, route, records, query, signs }
        }

        fn coder(&self) -> signs::Coder {
            let mut coder = signs::Coder::default();
            coder.centroid(&self.space, &self.rotation, &CodeLayout::new(self.space.layout.dimensions), &self.route);
            coder
        }

        fn block(&self, kernels: &Kernels) -> Vec<u8> {
            let layout = TileLayout::new(self.space.layout.dimensions);
            let mut block = vec![0xAA; layout.block()];
            let rows = (5..).zip(self.records.iter().map(Vec::as_slice));
            layout.encode(&self.space, kernels, &self.rotation, &mut self.coder(), rows, &mut block);
            block
        }

        /// How far the query is from the centroid, as a search computes it.
        fn base(&self, kernels: &Kernels) -> f32 {
            let mut base = [0.0];
            let layout = CodeLayout::new(self.space.layout.dimensions);
            self.space.distances(Some(&layout), kernels, &self.query, &self.route, &[0], &mut Vec::new(), &mut base);
            base[0]
        }

        fn estimates(&self, kernels: &Kernels, block: &[u8]) -> [f32; BLOCK_SLOTS] {
            let mut found = [0.0; BLOCK_SLOTS];
            let layout = TileLayout::new(self.space.layout.dimensions);
            layout.estimate(kernels, &self.signs, self.base(kernels), block, &mut Vec::new(), &mut found);
            found
        }

        fn exact(&self, record: &[u8]) -> f32 {
            let dot = self.space.dot(Kernels::best(), &self.query, record);
            self.space.distance(&self.query, &self.space.layout.factors(record), dot)
        }

        /// The query where rows are coded.
        fn asked(&self) -> Vec<f32> {
            let codes = &self.query.codes[..self.space.layout.dimensions];
            let length = if signs::is_turned(&self.space) { libm::sqrt(self.query.norm) as f32 } else { 1.0 };
            codes.iter().map(|&code| f32::from(code) * self.query.scale / length).collect()
        }
    }

    fn distance(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
    }

    /// The error has no direction and is that of one bit: about `0.75 / sqrt(d)` of `|r| |q - c|`, twice that of a squared distance.
    #[test]
    fn estimates_are_right_in_the_mean_and_err_as_one_bit_does() {
        for (metric, element, dimensions) in METRICS.into_iter().flat_map(|metric| {
            [(Element::F32, 64), (Element::U8, 100), (Element::I8, 384)].map(|(element, dimensions)| (metric, element, dimensions))
        }) {
            let (mut sum, mut squares, mut count, mut other) = (0.0, 0.0, 0.0, Vec::new());
            for seed in 0..40 {
                let scene = Scene::new(metric, element, dimensions, 32, seed);
                let (coder, asked) = (scene.coder(), scene.asked());
                for (record, estimate) in scene.records.iter().zip(scene.estimates(Kernels::best(), &scene.block(Kernels::best()))) {
                    signs::coordinates(&scene.space, record, &mut other);
                    let scale = if metric == Metric::L2 { 2.0 } else { 1.0 };
                    let unit = scale * distance(&other, &coder.centre) * distance(&asked, &coder.centre) / (dimensions as f64).sqrt();
                    let error = f64::from(estimate - scene.exact(record)) / unit;
                    (sum, squares, count) = (sum + error, squares + error * error, count + 1.0);
                }
            }
            let (mean, deviation) = (sum / count, (squares / count).sqrt());
            assert!(mean.abs() < 5.0 * deviation / f64::sqrt(count), "{metric}, {element}: {mean} in the mean");
            assert!((0.5..1.0).contains(&deviation), "{metric}, {element}: deviation {deviation}");
        }
    }

    /// What bf16 takes from an estimate is a part in 256 of the factors, which is little beside what one bit errs by.
    #[test]
    fn an_estimate_errs_by_the_rounding_of_its_factors() {
        for metric in METRICS {
            for seed in 0..10 {
                let scene = Scene::new(metric, Element::F32, 384, 32, seed);
                let kernels = Kernels::best();
                let (mut coder, base) = (scene.coder(), scene.base(kernels));
                let found = scene.estimates(kernels, &scene.block(kernels));
                for (record, found) in scene.records.iter().zip(found) {
                    let [add, multiply] = coder.code(&scene.space, kernels, &scene.rotation, record);
                    // The sum of the query's rotated coordinates under the row's signs, from a block of this row alone.
                    let mut one = vec![0; TileLayout::new(384).block()];
                    let (rows, layout) = (core::iter::once((0, record.as_slice())), TileLayout::new(384));
                    layout.encode(&scene.space, kernels, &scene.rotation, &mut scene.coder(), rows, &mut one);
                    one[SLOT_BYTES..HEAD_BYTES].fill(0);
                    one[SLOT_BYTES + 2 * BLOCK_SLOTS..][..2].copy_from_slice(&narrow(1.0));
                    let mut sum = [0.0; BLOCK_SLOTS];
                    layout.estimate(kernels, &scene.signs, 0.0, &one, &mut Vec::new(), &mut sum);
                    let exact = f64::from(base) + f64::from(add) + f64::from(multiply) * f64::from(sum[0]);
                    let slack = (f64::from(add).abs() + f64::from(multiply * sum[0]).abs()) / 256.0 + 1e-6;
                    assert!((f64::from(found) - exact).abs() <= slack, "{metric}: {found}, not {exact}");
                }
            }
        }
    }

    #[test]
    fn every_backend_codes_and_estimates_to_the_same_bits() {
        for metric in METRICS {
            for (element, dimensions) in [(Element::F32, 5), (Element::U8, 70), (Element::I8, 130), (Element::F32, 1100)] {
                let scene = Scene::new(metric, element, dimensions, 27, 7);
                let scalar = Kernels::by_name("scalar").expect("every machine has them");
                let block = scene.block(scalar);
                let wanted = scene.estimates(scalar, &block).map(f32::to_bits);
                for kernels in Kernels::available() {
                    assert!(scene.block(kernels) == block, "{metric} {element} under {}", kernels.name());
                    assert_eq!(scene.estimates(kernels, &block).map(f32::to_bits), wanted, "{metric} {element} under {}", kernels.name());
                }
            }
        }
    }

    #[test]
    fn a_block_holds_its_rows_first_and_zeros_behind_them() {
        let layout = TileLayout::new(70);
        assert_eq!(layout.block(), 256 + 4 * 128);
        for rows in [0, 1, 31, 32] {
            let block = Scene::new(Metric::L2, Element::I8, 70, rows, 3).block(Kernels::best());
            let slots: Vec<u32> = TileLayout::slots_of(&block).iter().map(|&slot| u32::from_le_bytes(slot)).collect();
            assert!(slots[..rows].iter().copied().eq(5..5 + rows as u32));
            assert!(slots[rows..].iter().all(|&slot| slot == u32::MAX));
            assert_eq!(layout.check(&block, 5 + rows), Ok(rows));
            if rows > 0 {
                assert_eq!(layout.check(&block, 4 + rows), Err("a row beyond the last one"));
            }
        }
    }

    #[test]
    fn what_a_block_may_not_hold_is_found() {
        let layout = TileLayout::new(70);
        let block = Scene::new(Metric::L2, Element::I8, 70, 20, 3).block(Kernels::best());
        for (at, bytes, wanted) in [
            (4 * 3, &[0xFF; 4][..], "bytes beside its fields are not zero"),
            (4 * 25, &[1, 0, 0, 0], "a gap between rows"),
            (0, &[0, 0, 1], "a row beyond the last one"),
            (128 + 2 * 3, &[0x80, 0x7F], "a factor is not a finite number"),
            (192 + 2 * 19, &[0xC0, 0xFF], "a factor is not a finite number"),
            (128 + 2 * 20, &[1], "bytes beside its fields are not zero"),
            (192 + 2 * 31, &[1], "bytes beside its fields are not zero"),
            (256 + 16 * 7 + 15, &[0x10], "bytes beside its fields are not zero"),
        ] {
            let mut damaged = block.clone();
            damaged[at..at + bytes.len()].copy_from_slice(bytes);
            assert_eq!(layout.check(&damaged, 1000), Err(wanted), "byte {at}");
        }
    }

    #[test]
    fn factors_are_rounded_to_the_nearest_and_halves_to_even() {
        for (value, wanted) in
            [(0x3F80_0000, 0x3F80), (0x3F80_8000, 0x3F80), (0x3F81_8000, 0x3F82), (0x3F80_8001, 0x3F81), (0xBF80_7FFF, 0xBF80)]
        {
            assert_eq!(u16::from_le_bytes(narrow(f32::from_bits(value))), wanted, "{value:08x}");
        }
        assert_eq!([narrow(0.0), narrow(-0.0)], [[0, 0], [0, 0x80]]);
        let mut random = SplitMix::new(4);
        for _ in 0..10_000 {
            let value = (random.below(1 << 30) as f32 - (1 << 29) as f32) / (1u64 << random.below(60)) as f32;
            assert!((wide(narrow(value)) - value).abs() <= value.abs() / 256.0, "{value}");
        }
    }
}
