//! i8 codes with one scale a row.
//!
//! Uniform scalar quantization, symmetric about the mean (LVQ-8 without its offset: Aguerrebere, Bhati, Hildebrand, Tepper, Willke 2023,
//! "Similarity search in the blink of an eye with compressed indices", section 3, which takes the mean off and cuts each row by its own
//! range, as here). A product of two rows stays one of integers: an offset would add two sums to it.
//!
//! After the mean is taken off, `scale = max |x| / 127` and `code = x / scale`, rounded to the
//! nearest even: -127..=127, never -128. The scale of a row costs 4 bytes and spares the outliers
//! that ruin a scale of the whole file. Error of a coordinate: at most `scale / 2`; so a row lies within `r = sqrt(D) / 2 * scale` of what its
//! codes stand for, and a distance errs by at most what `search::doubt` makes of that, by which scans rule rows out, and likely by
//! less than [`Space::tolerance`](crate::quant::Space::tolerance), which says what needs its original. On embeddings that is a thousandth
//! of the distance in the mean (docs/research/codes.md).

use crate::distance::Kernels;
use crate::quant::record::Factors;
pub(crate) use crate::simd::{round_ties_even, rounded};

/// Largest code.
pub const CODE_MAX: f32 = 127.0;

/// Codes the centred vector `centred` into `codes` (of the same length) and returns its factors.
///
/// `length_sq` is that of the input row; it is passed on.
pub fn encode(kernels: &Kernels, centred: &[f32], length_sq: f32, codes: &mut [i8]) -> Factors {
    let largest = largest(centred);
    let scale = largest / CODE_MAX;
    for (code, &x) in codes.iter_mut().zip(centred) {
        // A subnormal scale can round up past the largest code: hence the limit.
        *code = if scale > 0.0 { rounded(limit(x / scale, CODE_MAX)) as i8 } else { 0 };
    }
    let norm = (scale * scale) * kernels.dot_i8(codes, codes) as f32;
    Factors { scale, norm: norm.to_bits(), length_sq, flags: 0 }
}

/// The largest length of numbers that are none of NaN: without their sign they sort as their bits do, and of that a compiler makes vectors.
pub(crate) fn largest(values: &[f32]) -> f32 {
    f32::from_bits(values.iter().fold(0, |most, x| x.abs().to_bits().max(most)))
}

/// `x`, at least `-most` and at most `most`. (`f32::clamp` may panic, and its message brings the printing of floats along.)
#[inline(always)]
pub(crate) fn limit(x: f32, most: f32) -> f32 {
    let x = if x < -most { -most } else { x };
    if x > most { most } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn halves_round_to_even() {
        for (x, whole) in [(0.5, 0), (1.5, 2), (2.5, 2), (-0.5, 0), (-1.5, -2), (126.7, 127), (32_766.5, 32_766), (-32_767.0, -32_767)] {
            assert_eq!((round_ties_even(x), rounded(x)), (whole as f32, whole), "{x}");
        }
    }

    #[test]
    fn a_limit_is_a_clamp() {
        for x in [-200.0, -127.0, -126.5, -0.0, 3.0, 127.0, 1e9, f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            assert_eq!(limit(x, CODE_MAX).to_bits(), x.clamp(-CODE_MAX, CODE_MAX).to_bits(), "{x}");
        }
    }

    proptest! {
        #[test]
        fn a_coordinate_errs_by_at_most_half_a_scale(v in prop::collection::vec(-1e3f32..1e3, 1..200)) {
            let mut codes = vec![0; v.len()];
            let factors = encode(Kernels::best(), &v, 0.0, &mut codes);
            let decoded: Vec<f32> = codes.iter().map(|&c| f32::from(c) * factors.scale).collect();
            for (x, y) in v.iter().zip(&decoded) {
                prop_assert!((x - y).abs() <= factors.scale * 0.5001 + 1e-12);
            }
            prop_assert!(codes.iter().all(|&c| c > i8::MIN));
        }
    }
}
