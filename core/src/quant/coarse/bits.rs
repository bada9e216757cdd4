//! Rows of one, two or four bits a dimension: [`rabitq`] over the seeded [`Rotation`].
//!
//! ```text
//! 0            codes of the `padded` rotated coordinates, then
//! factors + 0  f32  norm      squared norm of the row, once the centre is taken off
//!         + 4  f32  rescale   what a dot product with the codes is multiplied by
//!         + 8  f32  error     standard deviation of an estimated dot product, divided by the query's length
//!         +12  u32  sum of the codes
//! ```
//! One bit: the lowest bit of a byte first. Two: of each 32 coordinates, coordinate `j` in byte `j % 8`, shifted by `2 (j / 8)` bits. Four:
//! of each 32, coordinate `j` in the low half of byte `j`, `j + 16` in its high half. Rows of one bit are read in whole lines of 64
//! bytes, planes of the query being zero behind the codes, so their stride is no shorter.
//!
//! A dot product errs by more than [`rabitq::BOUND`] times `error` times the query's length in about 6 of 100 cases (a squared distance by
//! twice that, the centre being taken off the query) and by `sqrt(padded - 1) * error` times its length at most; what a query's
//! coordinates are rounded by comes on top: a fifteenth of their range beside one bit, 15 bits beside more.

use super::{BESIDE, CoarseQuery, coordinates};
use crate::distance::Kernels;
use crate::format::Metric;
use crate::quant::Space;
use crate::quant::exact::at_least_zero;
use crate::quant::rabitq::{self, Factors};
use crate::quant::rotation::Rotation;
use crate::quant::scalar::{limit, round_ties_even};
use crate::seed;
use crate::simd;
use alloc::vec;
use alloc::vec::Vec;

/// Bytes of the factors.
const TAIL_BYTES: usize = 16;

/// Standard deviations by which an estimate is in doubt: what is kept errs by 0.9 of them, since a query near a row errs less. With one bit of a
/// million rows of 1,024 dimensions 1.5 finds 0.9998 of what ranking 400 candidates would, in 109 records a query, where the best 150 find
/// 0.9999; 1.2 finds 0.9988, in 70.
const DEVIATIONS: f32 = 1.5;

/// Rows that the centre is taken over at most.
const SAMPLE: usize = 50_000;

/// What all rows share.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bits {
    pub(super) bits: u32,
    pub(super) seed: u64,
    /// Taken off every row before it is rotated.
    pub(super) centre: Vec<f32>,
    pub(super) stride: usize,
    pub(super) rotation: Rotation,
}

impl Bits {
    /// The layout that builds use.
    pub(super) fn new(bits: u32, seed: u64, centre: Vec<f32>) -> Self {
        let rotation = Rotation::new(centre.len(), seed);
        let codes = rotation.padded() * bits as usize / 8;
        let lines = if bits == 1 { codes.next_multiple_of(64) } else { 0 };
        let stride = (codes + TAIL_BYTES).next_multiple_of(16).max(lines);
        Self { bits, seed, centre, stride, rotation }
    }

    /// The centre is the mean of a seeded sample, summed in row order.
    pub(super) fn learn<'a>(bits: u32, space: &Space, rows: usize, record: &impl Fn(u32) -> &'a [u8], seed: u64) -> Self {
        let (mut sums, mut work) = (vec![0.0f64; space.layout.dimensions], Vec::new());
        let sample = seed::sample(seed::hash(seed, 0x6365_6E74, 0), rows as u64, SAMPLE);
        for &row in &sample {
            coordinates(space, record(row as u32), &mut work);
            sums.iter_mut().zip(&work).for_each(|(sum, &x)| *sum += f64::from(x));
        }
        let count = sample.len().max(1) as f64;
        Self::new(bits, seed, sums.iter().map(|sum| (sum / count) as f32).collect())
    }

    /// Where the factors are.
    pub(super) fn factors(&self) -> usize {
        self.rotation.padded() * self.bits as usize / 8
    }

    pub(super) fn encode(&self, vector: &mut Vec<f32>, row: &mut [u8]) {
        vector.iter_mut().zip(&self.centre).for_each(|(x, centre)| *x -= centre);
        self.rotation.rotate(vector);
        let mut codes = vec![0; vector.len()];
        let factors = rabitq::encode(vector, self.bits, &mut codes);
        row.fill(0);
        let sum = match self.bits {
            1 => rabitq::pack(&codes, row),
            bits => {
                let (bytes, width) = (4 * bits as usize, 32 / (4 * bits as usize));
                for (codes, packed) in codes.chunks(32).zip(row.chunks_mut(bytes)) {
                    for (j, code) in codes.iter().enumerate() {
                        packed[j % bytes] |= code << (j / bytes * (8 / width));
                    }
                }
                codes.iter().map(|&code| u32::from(code)).sum()
            }
        };
        let fields = [factors.norm.to_bits(), factors.rescale.to_bits(), factors.error.to_bits(), sum];
        for (bytes, field) in row[self.factors()..].chunks_exact_mut(4).zip(fields) {
            bytes.copy_from_slice(&field.to_le_bytes());
        }
    }

    /// Under L2 and cosine the query is centred as rows are; a dot product is that with the centre and that with the rest of the row.
    pub(super) fn prepare(&self, space: &Space, query: &mut CoarseQuery) {
        let CoarseQuery { values, words, planes, scale, middle, norm, length, .. } = query;
        let product = space.metric == Metric::InnerProduct;
        if product {
            *norm = values.iter().zip(&self.centre).map(|(&q, &c)| f64::from(q) * f64::from(c)).sum::<f64>() as f32;
        } else {
            values.iter_mut().zip(&self.centre).for_each(|(q, centre)| *q -= centre);
        }
        let squared = values.iter().map(|&q| f64::from(q) * f64::from(q)).sum::<f64>() as f32;
        *length = simd::sqrtf(squared);
        if !product {
            *norm = squared;
        }
        self.rotation.rotate(values);
        if self.bits == 1 {
            planes.set(values);
            return;
        }
        let largest_code = (1i64 << self.bits) - 1;
        // The largest sum of products still fits i32.
        let most = (i64::from(i32::MAX) / (largest_code * values.len() as i64)).min(i16::MAX.into()) as f32;
        let largest = values.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        *scale = largest / most;
        words.clear();
        words.extend(values.iter().map(|&x| {
            let word = if *scale > 0.0 { round_ties_even(x / *scale) } else { 0.0 };
            limit(word, most) as i16
        }));
        let sum: i64 = words.iter().map(|&word| i64::from(word)).sum();
        *middle = (f64::from(*scale) * (0.5 * (largest_code * sum) as f64)) as f32;
    }

    #[expect(clippy::too_many_arguments, reason = "as `Coarse::distances`, which checks nothing more")]
    pub(super) fn distances(
        &self,
        space: &Space,
        kernels: &Kernels,
        query: &CoarseQuery,
        base: &[u8],
        places: &[usize],
        dots: &mut [i32],
        out: &mut [f32],
    ) {
        match self.bits {
            1 => kernels.dots_u4_u1(&query.planes.bytes, base, places, bytemuck::cast_slice_mut(dots)),
            2 => kernels.dots_i16_u2(&query.words, base, places, dots),
            _ => kernels.dots_i16_u4(&query.words, base, places, dots),
        }
        let at = self.factors();
        for ((&place, &dot), out) in places.iter().zip(&*dots).zip(out) {
            let (factors, sum) = read(&base[place + at..][..TAIL_BYTES]);
            let product = match self.bits {
                1 => query.planes.product(dot.cast_unsigned(), sum, &factors),
                _ => factors.rescale * (query.scale * dot as f32 - query.middle),
            };
            let squared = (query.norm + factors.norm) - (product + product);
            *out = match space.metric {
                Metric::L2 => at_least_zero(squared),
                Metric::Cosine => 0.5 * at_least_zero(squared),
                Metric::InnerProduct => 1.0 - (query.norm + product),
            };
        }
    }

    /// What the estimate of a row's distance errs by in few cases.
    pub(super) fn tolerance(&self, space: &Space, query: &CoarseQuery, row: &[u8]) -> f32 {
        let (Factors { error, .. }, _) = read(&row[self.factors()..][..TAIL_BYTES]);
        let product = DEVIATIONS * error * query.length;
        if space.metric == Metric::L2 { 2.0 * product } else { product }
    }

    pub(super) fn check(&self, row: &[u8]) -> Result<(), &'static str> {
        let (codes, tail) = row.split_at(self.factors());
        let (Factors { norm, rescale, error }, sum) = read(&tail[..TAIL_BYTES]);
        if ![norm, rescale, error].iter().all(|factor| factor.is_finite() && *factor >= 0.0) {
            return Err("a factor is not a finite number");
        }
        let of = |byte: u8| match self.bits {
            1 => byte.count_ones(),
            2 => (0..4).map(|at| u32::from(byte >> (2 * at) & 3)).sum(),
            _ => u32::from(byte & 15) + u32::from(byte >> 4),
        };
        if codes.iter().map(|&byte| of(byte)).sum::<u32>() != sum {
            return Err("a sum that is not that of its codes");
        }
        if tail[TAIL_BYTES..].iter().any(|&byte| byte != 0) { Err(BESIDE) } else { Ok(()) }
    }
}

#[inline(always)]
fn read(tail: &[u8]) -> (Factors, u32) {
    let word = |at: usize| u32::from_le_bytes([tail[at], tail[at + 1], tail[at + 2], tail[at + 3]]);
    let factor = |at: usize| f32::from_bits(word(at));
    (Factors { norm: factor(0), rescale: factor(4), error: factor(8) }, word(12))
}
