//! Distances between full-precision vectors: the last word where the originals are kept.
//!
//! Every expression is fixed, so its bits are the same on every machine; the final step of a
//! cosine is done in f64, where the product of two f32 norms is exact and the square root of a
//! square gives the number back: a vector is at distance 0 from itself, not at 6e-8.

use crate::distance::Kernels;
use crate::format::Metric;
use crate::simd;

/// Largest squared norm of a row or a query. A squared distance is up to four times as large, the terms that it is made of, after a
/// mean was taken off, up to sixteen times; all of them stay finite.
pub const LENGTH_SQ_MAX: f32 = f32::MAX / 32.0;

/// Whether a squared norm is a number and not too large.
#[inline]
#[must_use]
pub fn is_in_range(length_sq: f32) -> bool {
    length_sq <= LENGTH_SQ_MAX
}

/// Whether a squared norm is large enough to divide by: the square of a vector below is made of the last few bits that f32 has, and
/// what is left of its direction is noise.
#[inline]
#[must_use]
pub fn has_direction(length_sq: f32) -> bool {
    length_sq >= f32::MIN_POSITIVE
}

/// Squared norm of `vector`.
#[must_use]
pub fn length_sq(kernels: &Kernels, vector: &[f32]) -> f32 {
    kernels.dot_f32(vector, vector)
}

/// Divides `vector` by its length; a zero vector stays as it is.
pub fn normalize(kernels: &Kernels, vector: &mut [f32]) {
    let length = simd::sqrtf(length_sq(kernels, vector));
    if length > 0.0 {
        for value in vector {
            *value /= length;
        }
    }
}

/// Distance of `a` and `b` whose squared norms are `a_sq` and `b_sq` (used by cosine only).
#[inline]
#[must_use]
pub fn distance(kernels: &Kernels, metric: Metric, a: &[f32], a_sq: f32, b: &[f32], b_sq: f32) -> f32 {
    match metric {
        Metric::L2 => kernels.l2_f32(a, b),
        Metric::InnerProduct => 1.0 - kernels.dot_f32(a, b),
        Metric::Cosine => cosine(f64::from(kernels.dot_f32(a, b)), f64::from(a_sq), f64::from(b_sq)),
    }
}

/// `1 - dot / (|a| |b|)`, at least 0; 1 where a vector is zero.
#[inline]
pub(crate) fn cosine(dot: f64, a_sq: f64, b_sq: f64) -> f32 {
    let lengths = simd::sqrt(a_sq * b_sq);
    if lengths > 0.0 { at_least_zero((1.0 - dot / lengths) as f32) } else { 1.0 }
}

/// Rounding may carry a distance just below zero; NaN is passed on, to be noticed by the caller.
#[inline(always)]
pub(crate) fn at_least_zero(distance: f32) -> f32 {
    if distance <= 0.0 { 0.0 } else { distance }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_at_distance_zero_from_itself() {
        let kernels = Kernels::best();
        let mut random = crate::seed::SplitMix::new(5);
        for dimensions in [1, 3, 33, 384] {
            let v: alloc::vec::Vec<f32> = (0..dimensions).map(|_| random.below(1 << 20) as f32 / 1e5 - 5.0).collect();
            let sq = length_sq(kernels, &v);
            for metric in [Metric::L2, Metric::Cosine] {
                let d = distance(kernels, metric, &v, sq, &v, sq);
                assert_eq!(d.to_bits(), 0, "{metric:?}, {dimensions} dimensions");
            }
        }
    }
}
