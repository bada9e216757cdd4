//! Signs about a node and about a tile's centroid, of rows of every shape: against [`rabitq`] of the same difference, and within a bound
//! that always holds.

use super::*;
use crate::quant::neighbors::NeighborLayout;
use crate::quant::shapes::{self, wide};
use crate::quant::tile::TileLayout;
use crate::quant::{CodeLayout, rabitq};
use alloc::vec;
use proptest::prelude::*;

/// A centre, what it and a query look like where rows are coded, and what was rounded.
struct Scene<'a> {
    space: &'a Space,
    rotation: Rotation,
    coder: Coder,
    query: SignQuery,
    asked: Vec<f64>,
    /// Half of the step that a rotated coordinate of the query is rounded to.
    half_step: f64,
}

impl<'a> Scene<'a> {
    fn new(space: &'a Space, prepared: &Prepared, seed: u64) -> Self {
        let rotation = Rotation::new(space.layout.dimensions, seed);
        let mut query = SignQuery::default();
        query.prepare(space, Kernels::best(), &rotation, prepared);
        for kernels in Kernels::available() {
            let mut same = SignQuery::default();
            same.prepare(space, kernels, &rotation, prepared);
            assert!(same == query, "{} makes other tables", kernels.name());
        }
        let mut asked = shapes::asked(space, prepared);
        let length = shapes::length(&asked);
        if is_turned(space) && length > 0.0 {
            asked.iter_mut().for_each(|x| *x /= length);
        }
        let half_step = 0.5 * f64::from(query.step);
        Self { space, rotation, coder: Coder::default(), query, asked, half_step }
    }

    /// The distance of two vectors where rows are coded: under cosine at unit length, if they have any.
    fn distance(&self, a: &[f64], b: &[f64]) -> f64 {
        let away = shapes::difference(a, b);
        match self.space.metric {
            Metric::L2 => shapes::dot(&away, &away),
            Metric::Cosine => 0.5 * shapes::dot(&away, &away),
            Metric::InnerProduct => 1.0 - shapes::dot(a, b),
        }
    }

    /// The query's distance from the centre, from which estimates start.
    fn base(&self) -> f32 {
        self.distance(&self.asked, &wide(&self.coder.centre)) as f32
    }

    /// Holds the estimate of a record against its bound: the signs stand for `p s`, which errs by what is orthogonal to the row, and the query's
    /// coordinates by half a step. Factors are rounded by `rounding` of themselves.
    fn judge(&mut self, record: &[u8], estimate: f32, rounding: f64) -> core::result::Result<(), TestCaseError> {
        let [add, multiply] = self.coder.code(self.space, Kernels::best(), &self.rotation, record).map(f64::from);
        let mut row = Vec::new();
        coordinates(self.space, record, &mut row);
        let (row, centre, padded) = (wide(&row), wide(&self.coder.centre), self.rotation.padded() as f64);
        let times = if self.space.metric == Metric::L2 { 2.0 } else { 1.0 };
        let (p, r) = (-multiply / times, shapes::length(&shapes::difference(&row, &centre)));
        let missed = (p * p * padded - r * r).max(0.0).sqrt();
        let away = shapes::length(&shapes::difference(&self.asked, &centre));
        let bound = times * (missed * away + p * padded * self.half_step);
        let asked = shapes::length(&self.asked);
        let size = asked + shapes::length(&centre) + shapes::length(&row) + p * padded.sqrt();
        let slack =
            1e-5 * (1.0 + size * size) + rounding * (add.abs() + multiply.abs() * (padded.sqrt() * asked + padded * self.half_step));
        let wanted = self.distance(&self.asked, &row);
        let error = (f64::from(estimate) - wanted).abs();
        prop_assert!(error <= bound + slack, "{}: {estimate}, not {wanted}; bound {bound} and {slack}", self.space.metric);
        Ok(())
    }
}

/// The rows of a set, one shape and seed each.
fn records(space: &Space, rows: &[(shapes::Shape, u64)]) -> Vec<Vec<u8>> {
    rows.iter().map(|&(shape, seed)| shapes::record(space, &shape.row(space.layout.dimensions, seed))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn neighbors_are_coded_as_rabitq_codes_their_differences_and_estimated_within_the_bound(
        space in shapes::space(1usize..150), node in shapes::shape(), rows in prop::collection::vec((shapes::shape(), any::<u64>()), 0..70),
        spare in 0usize..40, asked in shapes::shape(), seed: u64,
    ) {
        let dimensions = space.layout.dimensions;
        let node = shapes::record(&space, &node.row(dimensions, seed));
        let mut records = records(&space, &rows);
        if let Some(twin) = records.get_mut(3) {
            twin.clone_from(&node);
        }
        let mut scene = Scene::new(&space, &shapes::query(&space, &asked.row(dimensions, !seed)), seed);
        let layout = NeighborLayout::new(dimensions, rows.len() + spare);
        prop_assert!(layout.slots.is_multiple_of(32) && layout.slots >= rows.len() + spare && layout.stride() == layout.slots / 32 * layout.block());
        let mut row = vec![0xAA; layout.stride()];
        let neighbors = || (7u32..).zip(records.iter().map(Vec::as_slice));
        layout.encode(&space, Kernels::best(), &scene.rotation, &node, neighbors(), &mut scene.coder, &mut row);
        for kernels in Kernels::available() {
            let mut same = vec![0x55; layout.stride()];
            layout.encode(&space, kernels, &scene.rotation, &node, neighbors(), &mut Coder::default(), &mut same);
            prop_assert!(same == row, "{} codes other bytes", kernels.name());
        }
        // Unused slots are behind the others, and zeros.
        prop_assert_eq!(layout.check(&row, 7 + rows.len()), Ok(()));
        let slots = row.chunks(layout.block()).flat_map(NeighborLayout::slots_of);
        let used: Vec<u32> = slots.map(|&slot| u32::from_le_bytes(slot)).take_while(|&slot| slot != u32::MAX).collect();
        prop_assert!(used.iter().copied().eq(7..7 + rows.len() as u32), "{used:?}");
        for (at, block) in row.chunks(layout.block()).enumerate() {
            let mut found = [f32::NAN; BLOCK_SLOTS];
            let most = scene.base();
            let near = scene.query.estimate(Kernels::best(), scene.base(), most, block, &[], &mut found);
            for kernels in Kernels::available() {
                let mut same = [f32::NAN; BLOCK_SLOTS];
                let same_near = scene.query.estimate(kernels, scene.base(), most, block, block, &mut same);
                prop_assert_eq!((same.map(f32::to_bits), same_near), (found.map(f32::to_bits), near), "{}", kernels.name());
            }
            for (slot, (record, &estimate)) in records.iter().skip(at * BLOCK_SLOTS).zip(&found).enumerate() {
                prop_assert_eq!(near >> slot & 1 == 1, estimate <= most);
                scene.judge(record, estimate, 0.0)?;
                let mut rest = Vec::new();
                coordinates(&space, record, &mut rest);
                rest.iter_mut().zip(&scene.coder.centre).for_each(|(x, centre)| *x -= centre);
                scene.rotation.rotate(&mut rest);
                let mut bits = vec![0; rest.len()];
                let factors = rabitq::encode(&rest, 1, &mut bits);
                let codes = &block[4 * BLOCK_SLOTS + 8 * BLOCK_SLOTS..];
                for (j, (&bit, &x)) in bits.iter().zip(&rest).enumerate() {
                    // Only a coordinate of zero is told otherwise.
                    prop_assert!(x == 0.0 || bit == codes[j / 4 * 16 + slot % 16] >> (slot / 16 * 4 + j % 4) & 1, "coordinate {j}");
                }
                let field = &block[4 * (2 * BLOCK_SLOTS + slot)..][..4];
                let multiply = f32::from_le_bytes([field[0], field[1], field[2], field[3]]);
                // What a code of one bit stands for there is half of a sign.
                let wanted = if space.metric == Metric::L2 { -factors.rescale } else { -0.5 * factors.rescale };
                prop_assert!((multiply - wanted).abs() <= 1e-5 * wanted.abs(), "{multiply} beside {wanted}");
            }
        }
    }

    #[test]
    fn rows_of_a_tile_are_estimated_within_the_bound(
        space in shapes::space(1usize..150), middle in shapes::shape(), rows in prop::collection::vec((shapes::shape(), any::<u64>()), 0..=32),
        asked in shapes::shape(), seed: u64,
    ) {
        let dimensions = space.layout.dimensions;
        let records = records(&space, &rows);
        let mut scene = Scene::new(&space, &shapes::query(&space, &asked.row(dimensions, !seed)), seed);
        let (route, layout) = (CodeLayout::new(dimensions), TileLayout::new(dimensions));
        let mut centroid = vec![0; route.stride];
        route.encode(&space, &shapes::record(&space, &middle.row(dimensions, seed)), &mut centroid);
        scene.coder.centroid(&space, &scene.rotation, &route, &centroid);
        let mut block = vec![0xAA; layout.block()];
        let rows = || (3u32..).zip(records.iter().map(Vec::as_slice));
        layout.encode(&space, Kernels::best(), &scene.rotation, &mut scene.coder, rows(), &mut block);
        prop_assert_eq!(layout.check(&block, 3 + records.len()), Ok(records.len()));
        let mut found = [f32::NAN; BLOCK_SLOTS];
        layout.estimate(Kernels::best(), &scene.query, scene.base(), &block, &mut Vec::new(), &mut found);
        for kernels in Kernels::available() {
            let mut same = [f32::NAN; BLOCK_SLOTS];
            layout.estimate(kernels, &scene.query, scene.base(), &block, &mut Vec::new(), &mut same);
            prop_assert_eq!(same.map(f32::to_bits), found.map(f32::to_bits), "{}", kernels.name());
        }
        for (record, &estimate) in records.iter().zip(&found) {
            scene.judge(record, estimate, 1.0 / 256.0)?;
        }
    }
}
