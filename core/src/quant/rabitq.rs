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
//! `e |r| |q| sqrt((|r|^2 |x|^2 / <r, x>^2 - 1) / (D - 1))` in few cases: about 6 of a hundred for `e` = 1.9 (theorem 3.2).
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
mod tests {
    use super::*;
    use crate::quant::rotation::Rotation;
    use crate::seed::SplitMix;
    use alloc::vec;

    /// Numbers that a rotation has to spread: a few large ones among many small.
    fn spiky(random: &mut SplitMix, count: usize) -> Vec<f32> {
        (0..count)
            .map(|_| {
                let x = random.below(2001) as f32 / 1000.0 - 1.0;
                if random.below(10) == 0 { 8.0 * x } else { x * x * x }
            })
            .collect()
    }

    /// Mean signed error, root of the mean squared error (both as shares of |r| |q|), and share of estimates within the bound.
    fn errors(dimensions: usize, bits: u32) -> (f64, f64, f64) {
        let mut random = SplitMix::new(u64::from(bits) + 77);
        let (mut sum, mut squares, mut within) = (0.0, 0.0, 0);
        const ROUNDS: usize = 2000;
        for seed in 0..ROUNDS as u64 {
            let (mut r, mut q) = (spiky(&mut random, dimensions), spiky(&mut random, dimensions));
            // Half of the queries lie near the vector.
            if seed % 2 == 0 {
                q.iter_mut().zip(&r).for_each(|(q, r)| *q = 0.3 * *q + r);
            }
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
            let (exact, size) = (dot(&r, &q), (dot(&r, &r) * dot(&q, &q)).sqrt());
            let rotation = Rotation::new(dimensions, seed);
            rotation.rotate(&mut r);
            rotation.rotate(&mut q);
            let mut codes = vec![0; r.len()];
            let factors = encode(&r, bits, &mut codes);
            let estimate = Query::new(&q).estimate(&codes, bits, &factors);
            let error = f64::from(estimate.product) - exact;
            sum += error / size;
            squares += (error / size) * (error / size);
            within += usize::from(error.abs() <= f64::from(estimate.bound));
        }
        (sum / ROUNDS as f64, (squares / ROUNDS as f64).sqrt(), within as f64 / ROUNDS as f64)
    }

    #[test]
    fn estimates_are_unbiased_and_their_bound_holds_at_the_stated_rate() {
        for (dimensions, bits) in [(128, 1), (384, 1), (384, 2), (384, 4)] {
            let (mean, deviation, within) = errors(dimensions, bits);
            // Of 2,000 draws the mean errs by a forty-fifth of one draw's deviation; four times that is allowed.
            assert!(mean.abs() < 4.0 * deviation / 2000f64.sqrt() + 1e-7, "{dimensions}, {bits} bits: mean error {mean}");
            // The bound is on a query's part that is orthogonal to the vector: half of these queries lie near it, and err less.
            assert!(within > 0.93, "{dimensions}, {bits} bits: within the bound in {within}");
            assert!(within < 0.999 && deviation > 0.0, "{dimensions}, {bits} bits: a bound that says nothing, {within}");
        }
    }

    #[test]
    fn each_bit_halves_the_error_about() {
        let deviation = |bits| errors(384, bits).1;
        let [one, two, four] = [1, 2, 4].map(deviation);
        // 0.75 / sqrt(D) for a bit, of queries at right angles to the vector; half of these are not.
        assert!((0.02..0.042).contains(&one), "{one}");
        assert!((0.25..0.65).contains(&(two / one)) && (0.1..0.4).contains(&(four / two)), "{one} {two} {four}");
    }

    #[test]
    fn planes_estimate_as_the_query_does_but_for_their_rounding() {
        let mut random = SplitMix::new(6);
        for dimensions in [64, 384, 1024] {
            let (mut more, mut size) = (0.0f64, 0.0f64);
            for seed in 0..200 {
                let (mut r, mut q) = (spiky(&mut random, dimensions), spiky(&mut random, dimensions));
                let rotation = Rotation::new(dimensions, seed);
                rotation.rotate(&mut r);
                rotation.rotate(&mut q);
                let (mut codes, mut bits, planes) = (vec![0; dimensions], vec![0; dimensions.next_multiple_of(512) / 8], Planes::new(&q));
                let factors = encode(&r, 1, &mut codes);
                let ones = pack(&codes, &mut bits);
                let mut dots = [0];
                for kernels in crate::distance::Kernels::available() {
                    kernels.dots_u4_u1(&planes.bytes, &bits, &[0], &mut dots);
                }
                let whole = Query::new(&q).estimate(&codes, 1, &factors);
                more += f64::from(planes.product(dots[0], ones, &factors) - whole.product).powi(2);
                size += f64::from(whole.bound / BOUND).powi(2);
            }
            // The rounding's variance beside that of the estimate itself.
            assert!(more < 0.2 * size, "{dimensions}: {}", more / size);
        }
    }

    #[test]
    fn a_zero_vector_is_estimated_exactly() {
        let mut codes = [7; 64];
        for bits in [1, 2, 4] {
            let factors = encode(&[0.0; 64], bits, &mut codes);
            let estimate = Query::new(&[1.5; 64]).estimate(&codes, bits, &factors);
            assert_eq!((estimate.product, estimate.bound), (0.0, 0.0));
        }
    }

    #[test]
    fn codes_use_their_range_and_no_more() {
        let vector: Vec<f32> = (0..64).map(|i| (i as f32 - 31.5) / 8.0).collect();
        for bits in [1, 2, 4, 8] {
            let mut codes = [0; 64];
            encode(&vector, bits, &mut codes);
            assert!(codes.is_sorted(), "{bits} bits: order is kept");
            assert_eq!((codes[0], u32::from(codes[63])), (0, (1 << bits) - 1), "{bits} bits");
        }
    }
}
