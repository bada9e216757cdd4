//! Four bits a dimension, with a scale and an offset a row: what guides a walk in half the bytes of a record.
//!
//! Locally-adaptive vector quantization (LVQ-4: Aguerrebere, Bhati, Hildebrand, Tepper, Willke 2023, "Similarity search in the blink
//! of an eye with compressed indices", section 3): a row's own least and largest coordinate are cut into 15 equal steps. The row that
//! is coded is the record, not the input, so codes follow from the records alone and a record of any encoding has them.
//!
//! ```text
//! 0            codes, 16 bytes for each 32 dimensions: dimension j in the low half of byte j, j + 16 in its high half; then zeros
//! factors + 0  f32  scale     codes times scale, plus offset (plus the mean of the file), give the vector
//!         + 4  f32  offset
//!         + 8  f32  norm      squared norm of scale * codes + offset
//!         +12  u32  zero
//! ```
//! Like a record's, the norm is that of the *decoded* vector, so an estimate lies above the distance by what the codes err: a stop
//! rule that multiplies distances ends a walk later, not earlier, than the records would. How far it may lie from the distance to the
//! record is [`CodeFactors::bound`].

use crate::format::Metric;
use crate::quant::scalar::{self, round_ties_even};
use crate::quant::{Encoding, Factors, Prepared, Space};
use crate::simd;

/// Bytes behind the codes.
pub const TAIL_BYTES: usize = 16;

/// Largest code.
const CODE_MAX: f32 = 15.0;

/// Dimensions that are packed together.
const GROUP: usize = 32;

/// Places inside a row of codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeLayout {
    /// Elements of a vector.
    pub dimensions: usize,
    /// Bytes of codes with their zero padding; also the offset of the factors.
    pub factors: usize,
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// What turns an integer dot product with the codes into a distance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CodeFactors {
    /// Scale of the codes.
    pub scale: f32,
    /// Added to every coordinate.
    pub offset: f32,
    /// Squared norm of the decoded vector.
    pub norm: f32,
}

impl CodeFactors {
    /// Reads them from the bytes behind the codes.
    #[inline(always)]
    pub(crate) fn read(tail: &[u8]) -> Self {
        let word = |at: usize| f32::from_le_bytes([tail[at], tail[at + 1], tail[at + 2], tail[at + 3]]);
        Self { scale: word(0), offset: word(4), norm: word(8) }
    }

    /// Distance of a user's query, from the exact dot product of its codes with those of the row.
    #[inline(always)]
    pub(crate) fn distance(&self, space: &Space, query: &Prepared, dot: i32) -> f32 {
        let product = query.scale * (self.scale * dot as f32 + self.offset * query.sum as f32);
        match space.encoding {
            Encoding::Scaled => space.scaled(query, product, self.norm),
            _ => space.exact(query, product.into(), self.norm.into()),
        }
    }

    /// How far `distance`, computed from these codes, lies from the one computed from the record in few cases: two standard deviations of
    /// errors of half a step at most, evenly spread and unrelated to the row's difference from the query (see [`Space::tolerance`]). Rows that
    /// repeat their coordinates break that, so it may add to what is ranked, never take away. Where originals rank (`exact`) the record's own
    /// error comes on top: rows that share a record are told apart by originals alone.
    #[must_use]
    pub(crate) fn tolerance(&self, space: &Space, query: &Prepared, distance: f32, exact: bool) -> f32 {
        // Integer rows are not normalized.
        let unit = if space.encoding == Encoding::Scaled || self.norm <= 0.0 { 1.0 } else { self.norm };
        let squared = match space.metric {
            Metric::L2 => 4.0 * distance,
            Metric::Cosine => 2.0 * distance / unit,
            Metric::InnerProduct => query.norm as f32,
        };
        let error = 2.0 * self.scale * simd::sqrtf(squared / 12.0);
        if exact { error + space.tolerance(query, &self.of_record(), distance) } else { error }
    }

    /// The scale of the record that was coded, which its farthest coordinate decides; the rest is not known.
    fn of_record(&self) -> Factors {
        let farthest = self.offset.abs().max((self.offset + CODE_MAX * self.scale).abs());
        Factors { scale: farthest / scalar::CODE_MAX, norm: 0, length_sq: 0.0, flags: 0 }
    }

    /// How far `distance`, computed from these codes, may lie from the one computed from the record that they were made of: certain, for
    /// any query.
    ///
    /// A coordinate errs by half a step at most, so what the codes stand for, `x`, lies within `r = sqrt(D) / 2 * scale` of the record, and
    ///
    /// | metric | bound | by |
    /// |---|---|---|
    /// | squared L2 | `r (2 sqrt(distance) + r)`; half of it under cosine, of distances doubled | the triangle of query, row and `x` |
    /// | inner product | `r \|q\|` | Cauchy-Schwarz |
    /// | cosine of integer rows | `sqrt(2) r / \|x\|`, or 2 where `r` is no smaller than `\|x\|` | the chord of the angle whose sine is `r / \|x\|` |
    ///
    /// On top come the roundings of both computations, as where scans rule rows out: a hundredth of `r`, and millionths of the squared norms.
    #[must_use]
    pub fn bound(&self, space: &Space, query: &Prepared, distance: f32) -> f32 {
        let dimensions = space.layout.dimensions as f32;
        let r = 0.505 * simd::sqrtf(dimensions) * self.scale;
        let (asked, length) = (query.norm as f32, simd::sqrtf(self.norm));
        let rounding = 2e-6 + 1e-8 * dimensions;
        let slack = rounding * (asked + (length + r) * (length + r));
        let squared = |distance: f32| r * (2.0 * simd::sqrtf(distance + slack) + r) + slack;
        match space.metric {
            Metric::L2 => squared(distance),
            Metric::InnerProduct => r * simd::sqrtf(asked) + rounding + slack,
            Metric::Cosine if space.encoding == Encoding::Scaled => 0.5 * squared(2.0 * distance),
            Metric::Cosine if r < length => core::f32::consts::SQRT_2 * r / length + rounding,
            Metric::Cosine => 2.0,
        }
    }
}

impl CodeLayout {
    /// The layout that builds use, of which a file may change the stride: as tight as 16 bytes allow, which touches no more cache lines than a wider one.
    #[must_use]
    pub fn new(dimensions: usize) -> Self {
        let factors = dimensions.div_ceil(GROUP) * (GROUP / 2);
        Self { dimensions, factors, stride: factors + TAIL_BYTES }
    }

    /// Reads the factors of `row`, which must be `stride` long.
    #[inline(always)]
    #[must_use]
    pub fn factors(&self, row: &[u8]) -> CodeFactors {
        CodeFactors::read(&row[self.factors..self.factors + TAIL_BYTES])
    }

    /// The code of one dimension.
    #[inline]
    #[must_use]
    pub fn code(&self, row: &[u8], dimension: usize) -> u8 {
        let (group, within) = (dimension / GROUP * (GROUP / 2), dimension % GROUP);
        row[group + within % (GROUP / 2)] >> (within / (GROUP / 2) * 4) & 15
    }

    /// Whether the codes behind the last dimension are zero.
    #[must_use]
    pub fn ends_in_zeros(&self, row: &[u8]) -> bool {
        let used = self.dimensions - (self.dimensions.div_ceil(GROUP) - 1) * GROUP; // of the last group
        let last = &row[self.factors - GROUP / 2..self.factors];
        last.iter().enumerate().all(|(j, &byte)| (j < used || byte & 15 == 0) && (j + GROUP / 2 < used || byte >> 4 == 0))
    }

    /// Codes `record`, a record of `space`, into `row`, which must be `stride` long; `dimensions` agree.
    pub fn encode(&self, space: &Space, record: &[u8], row: &mut [u8]) {
        let code = |byte: u8| if space.encoding == Encoding::U8 { i32::from(byte) } else { i32::from(byte.cast_signed()) };
        let codes = &record[..self.dimensions];
        let (least, most) = codes.iter().fold((i32::MAX, i32::MIN), |(least, most), &byte| (least.min(code(byte)), most.max(code(byte))));
        let step = (most - least) as f32 / CODE_MAX;
        let (mut sum, mut squares) = (0u32, 0u32);
        row.fill(0);
        for (codes, packed) in codes.chunks(GROUP).zip(row.chunks_mut(GROUP / 2)) {
            for (j, &byte) in codes.iter().enumerate() {
                let code = if step > 0.0 { round_ties_even((code(byte) - least) as f32 / step) as u8 } else { 0 };
                packed[j % (GROUP / 2)] |= code << (j / (GROUP / 2) * 4);
                sum += u32::from(code);
                squares += u32::from(code) * u32::from(code);
            }
        }
        let unit = space.layout.factors(record).scale;
        let (scale, offset) = (step * unit, least as f32 * unit);
        // Exact sums times f32 factors, in the order written here.
        let (s, o) = (f64::from(scale), f64::from(offset));
        let norm = (((s * s) * f64::from(squares) + (2.0 * (s * o)) * f64::from(sum)) + (o * o) * self.dimensions as f64) as f32;
        for (bytes, factor) in row[self.factors..].chunks_exact_mut(4).zip([scale, offset, norm]) {
            bytes.copy_from_slice(&factor.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::Kernels;
    use crate::format::Element;
    use crate::quant::RecordLayout;
    #[cfg(feature = "codes")]
    use crate::quant::shapes;
    use crate::vectors::Query;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn space(metric: Metric, element: Element, dimensions: usize) -> Space {
        Space { metric, encoding: Encoding::of(element), layout: RecordLayout::new(dimensions), mean: vec![0.0; dimensions] }
    }

    /// A record of the space, and its row of codes.
    fn coded(space: &Space, vector: &[f32]) -> (Vec<u8>, Vec<u8>) {
        let (kernels, layout) = (Kernels::best(), CodeLayout::new(vector.len()));
        let (mut record, mut row) = (vec![0; space.layout.stride], vec![0xA5; layout.stride]);
        let factors = match space.encoding {
            Encoding::Scaled => space.encode_f32(kernels, &mut vector.to_vec(), &mut record[..vector.len()]),
            encoding => {
                let bytes: Vec<u8> =
                    vector.iter().map(|&x| if encoding == Encoding::U8 { x as u8 } else { (x as i8).cast_unsigned() }).collect();
                let vectors =
                    crate::vectors::Vectors::packed(if encoding == Encoding::U8 { Element::U8 } else { Element::I8 }, bytes.len(), &bytes);
                space.encode(kernels, &vectors.unwrap(), 0, &mut Vec::new(), &mut record)
            }
        };
        space.layout.write_tail(&mut record, factors, 0, (0, 0));
        layout.encode(space, &record, &mut row);
        (record, row)
    }

    /// What a row of codes says of its vector.
    fn decoded(layout: &CodeLayout, row: &[u8]) -> Vec<f64> {
        let CodeFactors { scale, offset, .. } = layout.factors(row);
        let code = |j: usize| row[j / 32 * 16 + j % 16] >> (j % 32 / 16 * 4) & 15;
        (0..layout.dimensions).map(|j| f64::from(scale) * f64::from(code(j)) + f64::from(offset)).collect()
    }

    proptest! {
        #[test]
        fn a_coordinate_errs_by_at_most_half_a_step_and_the_norm_is_that_of_what_is_decoded(v in prop::collection::vec(-100i8..=100, 1..150)) {
            for element in [Element::F32, Element::I8, Element::U8] {
                let values: Vec<f32> = v.iter().map(|&x| if element == Element::U8 { f32::from(x) + 100.0 } else { x.into() }).collect();
                let space = space(Metric::L2, element, v.len());
                let (record, row) = coded(&space, &values);
                let layout = CodeLayout::new(v.len());
                let factors = layout.factors(&row);
                let (mut exact, decoded) = (Vec::new(), decoded(&layout, &row));
                space.decode(&record, &mut exact);
                for (&x, &y) in exact.iter().zip(&decoded) {
                    prop_assert!((f64::from(x) - y).abs() <= f64::from(factors.scale) * 0.5001 + 1e-4);
                }
                let norm: f64 = decoded.iter().map(|x| x * x).sum();
                prop_assert!((f64::from(factors.norm) - norm).abs() <= 1e-6 * norm.max(1e-3) + 1e-3);
                prop_assert!(layout.ends_in_zeros(&row));
                prop_assert!(row[layout.factors + 12..].iter().all(|&byte| byte == 0), "bytes beside the fields");
            }
        }
    }

    #[cfg(feature = "codes")]
    proptest! {
        #[test]
        fn every_estimate_lies_within_the_bound_and_the_bound_says_something(
            space in shapes::space(1usize..200), row in shapes::shape(), asked in shapes::shape(), seed: u64, near: bool,
        ) {
            let dimensions = space.layout.dimensions;
            let row = row.row(dimensions, seed);
            let record = shapes::record(&space, &row);
            let asked = if near { row } else { asked.row(dimensions, seed ^ 1) };
            let query = shapes::query(&space, &asked);
            let (layout, mut out) = (CodeLayout::new(dimensions), [0.0]);
            let mut codes = vec![0; layout.stride];
            layout.encode(&space, &record, &mut codes);
            space.distances(Some(&layout), Kernels::best(), &query, &codes, &[0], &mut Vec::new(), &mut out);
            let factors = layout.factors(&codes);
            let bound = factors.bound(&space, &query, out[0]);
            let by_record = space.distance(&query, &space.layout.factors(&record), space.dot(Kernels::best(), &query, &record));
            let (q, x) = (shapes::asked(&space, &query), shapes::said(&space, &record));
            let exact = shapes::distance(&space, &q, &x);
            for exact in [exact, by_record.into()] {
                let error = (f64::from(out[0]) - exact).abs();
                prop_assert!(error <= f64::from(bound), "{} of {:?}: {} beside {exact}, bound {bound}", space.metric, space.encoding, out[0]);
            }
            // Where codes are exact, what is left of the bound is roundings.
            if factors.scale == 0.0 && !(space.metric == Metric::Cosine && factors.norm == 0.0) {
                let norms = 1.0 + shapes::dot(&q, &q) + shapes::dot(&x, &x);
                prop_assert!(f64::from(bound) <= 1e-5 * norms, "{bound} of an exact row");
            }
        }
    }

    #[test]
    fn a_distance_is_that_to_the_decoded_vector() {
        let mut random = crate::seed::SplitMix::new(3);
        for element in [Element::F32, Element::I8, Element::U8] {
            for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
                for dimensions in [1, 16, 17, 32, 33, 100, 384] {
                    let mut value = || random.below(201) as f32 - if element == Element::U8 { 0.0 } else { 100.0 };
                    let (vector, asked): (Vec<f32>, Vec<f32>) = (0..dimensions).map(|_| (value(), value())).unzip();
                    let space = space(metric, element, dimensions);
                    let (layout, (_, row)) = (CodeLayout::new(dimensions), coded(&space, &vector));
                    let (mut query, mut dots, mut out) = (Prepared::new(), Vec::new(), [0.0]);
                    query.query(&space, Kernels::best(), Query::F32(&asked));
                    space.distances(Some(&layout), Kernels::best(), &query, &row, &[0], &mut dots, &mut out);
                    let x = decoded(&layout, &row);
                    let q: Vec<f64> = query.codes.iter().take(dimensions).map(|&c| f64::from(c) * f64::from(query.scale)).collect();
                    let sum = |f: &dyn Fn(f64, f64) -> f64| q.iter().zip(&x).map(|(&q, &x)| f(q, x)).sum::<f64>();
                    let (product, lengths) = (sum(&|q, x| q * x), (sum(&|q, _| q * q), sum(&|_, x| x * x)));
                    let wanted = match metric {
                        Metric::L2 => sum(&|q, x| (q - x) * (q - x)),
                        Metric::Cosine if element == Element::F32 => 0.5 * sum(&|q, x| (q - x) * (q - x)),
                        Metric::Cosine if lengths.0 * lengths.1 == 0.0 => 1.0,
                        Metric::Cosine => 1.0 - product / (lengths.0 * lengths.1).sqrt(),
                        Metric::InnerProduct => 1.0 - product,
                    };
                    let size = 1.0 + if metric == Metric::Cosine && element != Element::F32 { 0.0 } else { lengths.0 + lengths.1 };
                    assert!((f64::from(out[0]) - wanted).abs() < 1e-5 * size, "{metric} {element} {dimensions}: {} and {wanted}", out[0]);
                }
            }
        }
    }

    #[test]
    fn a_row_without_a_step_and_one_of_extremes_are_coded() {
        let layout = CodeLayout::new(20);
        let (_, row) = coded(&space(Metric::L2, Element::I8, 20), &[-128.0; 20]);
        assert_eq!(layout.factors(&row), CodeFactors { scale: 0.0, offset: -128.0, norm: 128.0 * 128.0 * 20.0 });
        assert!(row[..16].iter().all(|&byte| byte == 0));
        let mut extremes = [0.0; 20];
        (extremes[3], extremes[17]) = (-128.0, 127.0);
        let (_, row) = coded(&space(Metric::L2, Element::I8, 20), &extremes);
        assert_eq!((row[3] & 15, row[1] >> 4, layout.factors(&row).scale), (0, 15, 17.0));
    }

    #[test]
    fn a_code_behind_the_last_dimension_is_seen() {
        for dimensions in [1, 15, 16, 17, 31, 32, 33, 50] {
            let layout = CodeLayout::new(dimensions);
            for j in 0..dimensions.next_multiple_of(32) {
                let mut row = vec![0; layout.stride];
                row[j / 32 * 16 + j % 16] |= 1 << (j % 32 / 16 * 4);
                assert_eq!(layout.ends_in_zeros(&row), j < dimensions, "{j} of {dimensions}");
            }
        }
    }

    #[test]
    fn a_layout_is_as_tight_as_documented() {
        assert_eq!(CodeLayout::new(384), CodeLayout { dimensions: 384, factors: 192, stride: 208 });
        assert_eq!(CodeLayout::new(1024).stride, 528);
        assert_eq!(CodeLayout::new(33).factors, 32);
    }
}
