//! Where distances live: metric, encoding, layout and mean of one file, and the expression that
//! turns an exact integer dot product into a distance.
//!
//! Squared L2 is `|q|^2 + |x|^2 - 2 s_q s_x dot`; cosine is half of that between unit vectors;
//! inner product is `1 - s_q s_x dot`. For i8 codes this is evaluated in f32, for exact integer
//! rows in f64 (whose 53 bits hold every sum), always in the order written here.

use crate::distance::Kernels;
use crate::format::Metric;
use crate::quant::exact::{self, at_least_zero};
use crate::quant::lvq::{CodeFactors, CodeLayout, TAIL_BYTES};
use crate::quant::{Encoding, Factors, Prepared, RecordLayout, scalar};
use crate::simd;
use crate::vectors::Vectors;
use alloc::vec::Vec;

/// What all records of a file share.
#[derive(Clone, Debug)]
pub struct Space {
    /// Metric of the file.
    pub metric: Metric,
    /// How codes read.
    pub encoding: Encoding,
    /// Places inside a record.
    pub layout: RecordLayout,
    /// Taken off before coding; zeros for integer rows and inner product.
    pub mean: Vec<f32>,
}

/// Records that are compared together where they are gathered.
#[cfg(target_family = "wasm")]
const TOGETHER: usize = 32;

impl Space {
    /// Largest magnitude of a query's code, so that no sum of products leaves i32.
    pub(crate) fn query_code_max(&self) -> f32 {
        let row_code_max = match self.encoding {
            // -128 never is written, but a hostile file may hold it.
            Encoding::Scaled | Encoding::I8 => 128,
            Encoding::U8 => 255,
        };
        let most = i32::MAX as usize / (row_code_max * self.layout.dimensions.max(1));
        most.min(i16::MAX as usize) as f32
    }

    /// A stored norm as a number.
    #[inline(always)]
    pub(crate) fn norm(&self, stored: u32) -> f64 {
        match self.encoding {
            Encoding::Scaled => f64::from(f32::from_bits(stored)),
            Encoding::U8 | Encoding::I8 => f64::from(stored),
        }
    }

    /// Distance of a prepared query to a record, from their exact dot product. Not finite when
    /// the record's factors are damaged.
    #[inline(always)]
    #[must_use]
    pub fn distance(&self, query: &Prepared, factors: &Factors, dot: i32) -> f32 {
        if self.encoding == Encoding::Scaled {
            self.scaled(query, (query.scale * factors.scale) * dot as f32, f32::from_bits(factors.norm))
        } else {
            self.exact(query, f64::from(query.scale) * f64::from(dot), f64::from(factors.norm))
        }
    }

    /// Distance of a row with that squared norm and that dot product with the (centred, under cosine normalized) query.
    #[cfg_attr(target_family = "wasm", inline(never))] // once in a download
    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    pub(crate) fn scaled(&self, query: &Prepared, product: f32, norm: f32) -> f32 {
        match self.metric {
            Metric::L2 => at_least_zero((query.norm as f32 + norm) - (product + product)),
            Metric::Cosine => 0.5 * at_least_zero((query.norm as f32 + norm) - (product + product)),
            Metric::InnerProduct => 1.0 - product,
        }
    }

    /// The same of integer rows, which are as they were given.
    #[cfg_attr(target_family = "wasm", inline(never))]
    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    pub(crate) fn exact(&self, query: &Prepared, product: f64, norm: f64) -> f32 {
        match self.metric {
            Metric::L2 => at_least_zero(((query.norm + norm) - (product + product)) as f32),
            Metric::Cosine => exact::cosine(product, query.norm, norm),
            Metric::InnerProduct => (1.0 - product) as f32,
        }
    }

    /// How far a distance computed from a record's codes may lie from that to its original: four
    /// standard deviations, which one in 16,000 exceeds.
    ///
    /// A code errs by up to half a scale, evenly, so by `s / sqrt(12)` in the mean, and the errors
    /// `e` of a row are unrelated to its difference from the query: `|q - x|^2` moves by
    /// `2 (q - x) e + |e|^2`, a dot product by `q e`. Integer rows are their own originals.
    #[must_use]
    pub fn tolerance(&self, query: &Prepared, factors: &Factors, distance: f32) -> f32 {
        if self.encoding != Encoding::Scaled {
            return 0.0;
        }
        let variance = factors.scale * factors.scale / 12.0;
        let squared_l2 = |d: f32| 8.0 * simd::sqrtf(d * variance) + self.layout.dimensions as f32 * variance;
        match self.metric {
            Metric::L2 => squared_l2(distance),
            Metric::Cosine => 0.5 * squared_l2(2.0 * distance),
            Metric::InnerProduct => 4.0 * simd::sqrtf(query.norm as f32 * variance),
        }
    }

    /// Writes the codes of input row `row` and returns its factors. `work` is scratch.
    pub fn encode(&self, kernels: &Kernels, vectors: &Vectors<'_>, row: usize, work: &mut Vec<f32>, codes: &mut [u8]) -> Factors {
        let codes = &mut codes[..self.layout.dimensions];
        match self.encoding {
            Encoding::U8 => {
                codes.copy_from_slice(vectors.row(row));
                let norm = kernels.dot_u8(codes, codes);
                Factors { scale: 1.0, norm, length_sq: norm as f32, flags: 0 }
            }
            Encoding::I8 => {
                codes.copy_from_slice(vectors.row(row));
                let codes: &[i8] = bytemuck::cast_slice(codes);
                let norm = kernels.dot_i8(codes, codes) as u32;
                Factors { scale: 1.0, norm, length_sq: norm as f32, flags: 0 }
            }
            Encoding::Scaled => {
                work.resize(self.layout.dimensions, 0.0);
                vectors.decode(kernels, row, work);
                self.encode_f32(kernels, work, codes)
            }
        }
    }

    /// Codes the full-precision `vector` (used up as scratch).
    pub fn encode_f32(&self, kernels: &Kernels, vector: &mut [f32], codes: &mut [u8]) -> Factors {
        let length_sq = exact::length_sq(kernels, vector);
        if self.metric == Metric::Cosine {
            exact::normalize(kernels, vector);
        }
        for (value, mean) in vector.iter_mut().zip(&self.mean) {
            *value -= mean;
        }
        scalar::encode(kernels, vector, length_sq, bytemuck::cast_slice_mut(codes))
    }

    /// Writes what a record says of its vector: unit length under cosine, else as near to the
    /// input as the codes are.
    pub fn decode(&self, record: &[u8], out: &mut Vec<f32>) {
        let factors = self.layout.factors(record);
        let codes = &record[..self.layout.dimensions];
        out.clear();
        match self.encoding {
            Encoding::U8 => out.extend(codes.iter().map(|&c| f32::from(c))),
            Encoding::I8 => out.extend(codes.iter().map(|&c| f32::from(c as i8))),
            Encoding::Scaled => out.extend(codes.iter().zip(&self.mean).map(|(&c, m)| f32::from(c as i8) * factors.scale + m)),
        }
    }

    /// Exact dot product of the query and a record.
    #[inline]
    #[must_use]
    pub fn dot(&self, kernels: &Kernels, query: &Prepared, record: &[u8]) -> i32 {
        let codes = &record[..self.layout.factors];
        match self.encoding {
            Encoding::U8 => kernels.dot_i16_u8(&query.codes, codes),
            _ => kernels.dot_i16_i8(&query.codes, bytemuck::cast_slice(codes)),
        }
    }

    /// Distances of the records that start at `places` in `base`, or where `codes` are given, of the rows of codes that start there;
    /// `dots` is scratch. Not finite where a row's factors are damaged.
    ///
    /// # Panics
    /// If a row does not lie inside `base`.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "a walk's step in one call: rows here, distances there")]
    pub fn distances(
        &self,
        codes: Option<&CodeLayout>,
        kernels: &Kernels,
        query: &Prepared,
        base: &[u8],
        places: &[usize],
        dots: &mut Vec<i32>,
        out: &mut [f32],
    ) {
        dots.resize(places.len(), 0);
        match codes {
            None => self.dots(kernels, query, base, places, dots),
            Some(codes) => kernels.dots_i16_u4(&query.codes[..codes.dimensions], base, places, dots),
        }
        let factors = codes.map_or(self.layout.factors, |codes| codes.factors);
        for ((&place, &dot), out) in places.iter().zip(&*dots).zip(out) {
            let tail = &base[place + factors..place + factors + TAIL_BYTES];
            *out = match codes {
                None => self.distance(query, &Factors::read(tail), dot),
                Some(_) => CodeFactors::read(tail).distance(self, query, dot),
            };
        }
    }

    /// As [`Space::distances`], of `records` wherever they lie.
    ///
    /// # Panics
    /// If a record is shorter than its layout says.
    #[cfg(feature = "live")]
    #[inline]
    pub fn distances_of(&self, kernels: &Kernels, query: &Prepared, records: &[&[u8]], dots: &mut Vec<i32>, out: &mut [f32]) {
        dots.resize(records.len(), 0);
        self.dots_of(kernels, query, records, dots);
        for ((record, &dot), out) in records.iter().zip(&*dots).zip(out) {
            *out = self.distance(query, &self.layout.factors(record), dot);
        }
    }

    /// Exact dot products of the query and the records that start at `places` in `base`.
    #[cfg_attr(not(target_family = "wasm"), inline)]
    #[cfg_attr(target_family = "wasm", inline(never))]
    pub fn dots(&self, kernels: &Kernels, query: &Prepared, base: &[u8], places: &[usize], out: &mut [i32]) {
        #[cfg(not(target_family = "wasm"))]
        match self.encoding {
            Encoding::U8 => kernels.dots_i16_u8(&query.codes, base, places, out),
            _ => kernels.dots_i16_i8(&query.codes, base, places, out),
        }
        // A browser downloads one kind of kernels for both.
        #[cfg(target_family = "wasm")]
        {
            let mut records = [&[][..]; TOGETHER];
            for (places, out) in places.chunks(TOGETHER).zip(out.chunks_mut(TOGETHER)) {
                records.iter_mut().zip(places).for_each(|(record, &place)| *record = &base[place..]);
                self.dots_of(kernels, query, &records[..places.len()], out);
            }
        }
    }

    /// Exact dot products of the query and `records`.
    #[cfg(any(feature = "live", target_family = "wasm"))]
    fn dots_of(&self, kernels: &Kernels, query: &Prepared, records: &[&[u8]], out: &mut [i32]) {
        match self.encoding {
            Encoding::U8 => kernels.rows_i16_u8(&query.codes, records, out),
            _ => kernels.rows_i16_i8(&query.codes, records, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::SplitMix;
    use alloc::vec;

    /// Random numbers of a bell's shape, small ones more often.
    fn random(random: &mut SplitMix, count: usize) -> Vec<f32> {
        let mut uniform = || random.below(1 << 20) as f32 / (1 << 20) as f32 - 0.5;
        (0..count).map(|_| uniform() + uniform() + uniform()).collect()
    }

    #[test]
    fn distances_from_codes_err_within_the_tolerance_and_not_far_below_it() {
        const DIMENSIONS: usize = 96;
        let kernels = Kernels::best();
        for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
            let mean = if metric == Metric::InnerProduct { 0.0 } else { 0.01 };
            let layout = RecordLayout::new(DIMENSIONS);
            let space = Space { metric, encoding: Encoding::Scaled, layout, mean: vec![mean; DIMENSIONS] };
            let mut source = SplitMix::new(7);
            let mut query = Prepared::new();
            let (mut beyond, mut beyond_a_quarter) = (0, 0);
            for _ in 0..2000 {
                let (q, row) = (random(&mut source, DIMENSIONS), random(&mut source, DIMENSIONS));
                query.query(&space, kernels, crate::vectors::Query::F32(&q));
                let mut codes = vec![0; layout.factors];
                let factors = space.encode_f32(kernels, &mut row.clone(), &mut codes);
                let dot = kernels.dot_i16_i8(&query.codes, bytemuck::cast_slice(&codes));
                let estimate = space.distance(&query, &factors, dot);
                let (q_sq, row_sq) = (exact::length_sq(kernels, &q), exact::length_sq(kernels, &row));
                let error = (estimate - exact::distance(kernels, metric, &q, q_sq, &row, row_sq)).abs();
                let tolerance = space.tolerance(&query, &factors, estimate);
                beyond += u32::from(error > tolerance);
                beyond_a_quarter += u32::from(error > tolerance / 4.0);
            }
            assert!(beyond <= 2, "{metric:?}: {beyond}");
            assert!(beyond_a_quarter > 400, "{metric:?}: one deviation is exceeded by a third, here by {beyond_a_quarter}");
        }
    }

    /// A scale a row: distances from i8 codes err by far less than 5 %, those between near vectors included.
    #[test]
    fn a_distance_from_codes_errs_by_less_than_five_percent() {
        let kernels = Kernels::best();
        for (dimensions, metric) in [(32, Metric::L2), (384, Metric::Cosine), (384, Metric::L2), (1024, Metric::Cosine)] {
            let layout = RecordLayout::new(dimensions);
            let space = Space { metric, encoding: Encoding::Scaled, layout, mean: vec![0.0; dimensions] };
            let (mut source, mut query, mut worst) = (SplitMix::new(17), Prepared::new(), 0.0f32);
            for round in 0..1000 {
                let (mut q, row) = (random(&mut source, dimensions), random(&mut source, dimensions));
                // Every other query is a row moved by two fifths of its length, as near neighbours are.
                if round % 2 == 0 {
                    q.iter_mut().zip(&row).for_each(|(q, row)| *q = row + 0.4 * *q);
                }
                query.query(&space, kernels, crate::vectors::Query::F32(&q));
                let mut codes = vec![0; layout.factors];
                let factors = space.encode_f32(kernels, &mut row.clone(), &mut codes);
                let dot = kernels.dot_i16_i8(&query.codes, bytemuck::cast_slice(&codes));
                let (q_sq, row_sq) = (exact::length_sq(kernels, &q), exact::length_sq(kernels, &row));
                let wanted = exact::distance(kernels, metric, &q, q_sq, &row, row_sq);
                worst = worst.max((space.distance(&query, &factors, dot) / wanted - 1.0).abs());
            }
            assert!(worst < 0.05, "{metric}, {dimensions} dimensions: {worst}");
        }
    }
    /// Rows as embeddings are: about one direction, most of the rest in a few others, some coordinates many times as large as most.
    #[test]
    fn distances_from_codes_of_rows_like_embeddings_err_by_less_than_five_percent() {
        const ROWS: usize = 600;
        const FACTORS: usize = 12;
        let (kernels, dimensions) = (Kernels::best(), 384);
        let mut source = SplitMix::new(23);
        let directions: Vec<Vec<f32>> = (0..=FACTORS).map(|_| random(&mut source, dimensions)).collect();
        let mut row = || {
            let (weights, mut row) = (random(&mut source, FACTORS), random(&mut source, dimensions));
            for (j, x) in row.iter_mut().enumerate() {
                let along = weights.iter().zip(&directions).zip(1u8..).map(|((w, d), nth)| 3.0 * w * d[j] / f32::from(nth)).sum::<f32>();
                *x = 0.3 * *x + along + directions[FACTORS][j];
                *x *= if j % 97 == 5 { 12.0 } else { 1.0 };
            }
            row
        };
        let (rows, asked): (Vec<Vec<f32>>, Vec<Vec<f32>>) = ((0..ROWS).map(|_| row()).collect(), (0..20).map(|_| row()).collect());
        let bytes: Vec<u8> = rows.iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
        let vectors = Vectors::packed(crate::format::Element::F32, dimensions, &bytes).expect("whole rows");
        for metric in [Metric::Cosine, Metric::L2] {
            let mean = crate::quant::mean::mean(&vectors, metric, 0, kernels);
            let space = Space { metric, encoding: Encoding::Scaled, layout: RecordLayout::new(dimensions), mean };
            let (mut sum, mut worst, mut query) = (0.0, 0.0f32, Prepared::new());
            for q in &asked {
                query.query(&space, kernels, crate::vectors::Query::F32(q));
                for row in &rows {
                    let mut codes = vec![0; space.layout.factors];
                    let factors = space.encode_f32(kernels, &mut row.clone(), &mut codes);
                    let dot = kernels.dot_i16_i8(&query.codes, bytemuck::cast_slice(&codes));
                    let (q_sq, row_sq) = (exact::length_sq(kernels, q), exact::length_sq(kernels, row));
                    let wanted = exact::distance(kernels, metric, q, q_sq, row, row_sq);
                    let share = (space.distance(&query, &factors, dot) / wanted - 1.0).abs();
                    (sum, worst) = (sum + share, worst.max(share));
                }
            }
            let mean = sum / (ROWS * asked.len()) as f32;
            assert!(worst < 0.05 && mean < 0.01, "{metric}: {mean} in the mean, {worst} at worst");
        }
    }
}
