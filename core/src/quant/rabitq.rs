//! RaBitQ: one, two or four bits a dimension of a rotated vector, with an unbiased estimate of a dot product and a bound on its error.
//!
//! One bit is the sign (Gao & Long 2024, "RaBitQ: Quantizing High-Dimensional Vectors with a Theoretical Error Bound for Approximate
//! Nearest Neighbor Search", arXiv 2405.12497, sections 3.1 and 3.2); more bits are magnitudes on an even grid whose scale fits the
//! vector's direction best (Gao, Gou, Xu, Yang, Long, Wong 2024, arXiv 2409.09913, section 3). What is coded is the *direction* of the
//! vector `r`: the code `u` stands for `x = u - (2^B - 1) / 2`, and with `c = |r|^2 / <r, x>`
//!
//! ```text
//! <r, q> ~ c <x, q> = c (<u, q> - (2^B - 1) / 2 * sum of q)
//! ```
//! is right in the mean over random rotations, because what `x` errs is orthogonal to `r`; it errs by more than
//! `e |r| |q| sqrt((|r|^2 |x|^2 / <r, x>^2 - 1) / (D - 1))` in few cases: about 6 of a hundred for `e` = 1.9 (theorem 3.2). It never errs
//! by more than that with `e = sqrt(D - 1)`, which is `|q|` times how far `c x` lies from `r`; and it is exact along `r`.
//!
//! Vectors come rotated ([`Rotation`](crate::quant::rotation::Rotation)) and centred.

use crate::quant::scalar::{limit, round_ties_even};
use alloc::vec::Vec;

/// Standard deviations of the error bound: the paper's choice.
pub const BOUND: f32 = 1.9;

/// Steps in which the scale of a grid is sought. The cosine is flat around its best, so a few dozen lose under a thousandth of it.
const SCALES: u32 = 32;

/// What is kept beside the codes of a vector.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Factors {
    /// Squared norm of the vector.
    pub norm: f32,
    /// Turns a dot product with the codes into one with the vector; 0 for a zero vector.
    pub rescale: f32,
    /// Standard deviation of an estimate, divided by the length of the query.
    pub error: f32,
}

/// An estimated dot product.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Right in the mean.
    pub product: f32,
    /// How far off it is at most, in about 94 of 100 cases.
    pub bound: f32,
}

/// A rotated query, as estimates need it.
#[derive(Clone, Debug, Default)]
pub struct Query {
    values: Vec<f32>,
    sum: f64,
    length: f32,
}

impl Query {
    /// Takes a rotated, centred query.
    #[must_use]
    pub fn new(values: &[f32]) -> Self {
        let squares: f64 = values.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        Self { values: values.to_vec(), sum: values.iter().map(|&x| f64::from(x)).sum(), length: libm::sqrt(squares) as f32 }
    }

    /// Estimates the dot product with a vector coded in `bits` bits. `O(d)`.
    ///
    /// # Panics
    /// If there are not as many codes as elements.
    #[must_use]
    pub fn estimate(&self, codes: &[u8], bits: u32, factors: &Factors) -> Estimate {
        assert_eq!(codes.len(), self.values.len());
        let dot: f64 = self.values.iter().zip(codes).map(|(&q, &code)| f64::from(q) * f64::from(code)).sum();
        let product = f64::from(factors.rescale) * (dot - f64::from(middle(bits)) * self.sum);
        Estimate { product: product as f32, bound: BOUND * factors.error * self.length }
    }
}

/// A rotated query in four bits a dimension, for [`Kernels::dots_u4_u1`](crate::distance::Kernels::dots_u4_u1): 15 even steps of its range.
///
/// The rounding errs by at most half a step a coordinate, which for one bit a row is small beside the row's own error.
#[derive(Clone, Debug, Default)]
pub struct Planes {
    /// Plane after plane, each a multiple of 64 bytes.
    pub bytes: Vec<u8>,
    low: f32,
    step: f32,
    /// Half of the sum of the coordinates as the codes say them.
    half_sum: f32,
}

impl Planes {
    /// Codes a rotated, centred query.
    #[must_use]
    pub fn new(values: &[f32]) -> Self {
        let mut planes = Self::default();
        planes.set(values);
        planes
    }

    /// Codes another query in the same memory.
    pub fn set(&mut self, values: &[f32]) {
        let (low, high) = values.iter().fold((f32::MAX, f32::MIN), |(low, high), &x| (low.min(x), high.max(x)));
        let step = (high - low) / 15.0;
        let plane = values.len().div_ceil(512) * 64;
        let mut sum = 0u32;
        self.bytes.clear();
        self.bytes.resize(4 * plane, 0);
        for (i, &x) in values.iter().enumerate() {
            let code = if step > 0.0 { limit(round_ties_even((x - low) / step), 15.0) as u8 } else { 0 };
            sum += u32::from(code);
            for j in 0..4 {
                self.bytes[j * plane + i / 8] |= (code >> j & 1) << (i % 8);
            }
        }
        let half_sum = 0.5 * (step * sum as f32 + low * values.len() as f32);
        (self.low, self.step, self.half_sum) = (low, step, half_sum);
    }

    /// The estimate of a dot product from the dot product of the planes with a row's bits, of which `ones` are set.
    #[must_use]
    pub fn product(&self, dot: u32, ones: u32, factors: &Factors) -> f32 {
        factors.rescale * ((self.step * dot as f32 + self.low * ones as f32) - self.half_sum)
    }
}

/// Packs codes of one bit, the lowest bit of a byte first, and returns how many are 1.
///
/// # Panics
/// If `bits` has not a byte for each eight codes.
pub fn pack(codes: &[u8], bits: &mut [u8]) -> u32 {
    assert!(bits.len() >= codes.len().div_ceil(8));
    bits.fill(0);
    let mut ones = 0;
    for (i, &code) in codes.iter().enumerate() {
        bits[i / 8] |= (code & 1) << (i % 8);
        ones += u32::from(code & 1);
    }
    ones
}

/// What is taken off a code: half of the largest.
fn middle(bits: u32) -> f32 {
    ((1u32 << bits) - 1) as f32 / 2.0
}

/// Codes the rotated, centred `vector`, a byte a dimension (packing is the table's affair), and returns its factors.
/// All sums are f64 in the order of the coordinates. `O(d)` times the scales that are tried.
///
/// # Panics
/// If `bits` is not 1 to 8, or `codes` is not as long as `vector`.
pub fn encode(vector: &[f32], bits: u32, codes: &mut [u8]) -> Factors {
    assert!((1..=8).contains(&bits) && codes.len() == vector.len());
    let norm: f64 = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    let largest = vector.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    let half = 1u32 << (bits - 1);
    // Magnitudes 0 to half - 1 stand for 1/2, 3/2 and so on. The widest grid ends at the largest coordinate, the narrowest at
    // three tenths of it and clips what lies beyond.
    let reach = |step: u32| 1.0 - 0.7 * step as f32 / SCALES as f32;
    let (mut best, mut scale) = (-1.0, 0.0);
    let steps = if bits == 1 || largest == 0.0 { 0 } else { SCALES };
    for step in 0..steps {
        let tried = half as f32 / (largest * reach(step));
        let (mut product, mut squares) = (0.0f64, 0.0f64);
        for &x in vector {
            let level = f64::from(magnitude(x, tried, half)) + 0.5;
            product += level * f64::from(x.abs());
            squares += level * level;
        }
        let cosine = product * product / squares;
        if cosine > best {
            (best, scale) = (cosine, tried);
        }
    }
    let (mut product, mut squares) = (0.0f64, 0.0f64);
    for (code, &x) in codes.iter_mut().zip(vector) {
        let level = magnitude(x, scale, half);
        *code = if x > 0.0 { half + level } else { half - 1 - level } as u8;
        let value = f64::from(*code) - f64::from(middle(bits));
        product += value * f64::from(x);
        squares += value * value;
    }
    if product <= 0.0 {
        return Factors { norm: norm as f32, rescale: 0.0, error: 0.0 };
    }
    let spread = (norm * squares / (product * product) - 1.0).max(0.0) / (vector.len().max(2) - 1) as f64;
    Factors { norm: norm as f32, rescale: (norm / product) as f32, error: libm::sqrt(norm * spread) as f32 }
}

/// The level of a coordinate's magnitude, below `half`.
#[inline(always)]
fn magnitude(x: f32, scale: f32, half: u32) -> u32 {
    ((x.abs() * scale) as u32).min(half - 1)
}

#[cfg(test)]
mod tests;
