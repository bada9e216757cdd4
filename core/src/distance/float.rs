//! Dot product and squared L2 of f32, in one fixed order of additions.
#![forbid(unsafe_code)]

use super::tail::padded;
use crate::simd::{LANES, Simd};

/// Sum of `a[i] * b[i]`. A tail is padded with zeros, so every length takes the same path.
#[inline(always)]
pub(super) fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = simd.zero_f32();
    for (a, b) in a.iter().zip(b) {
        sums = dot_step(simd, sums, a, b);
    }
    if !a_tail.is_empty() {
        sums = dot_step(simd, sums, &padded(a_tail), &padded(b_tail));
    }
    simd.sum_f32(sums)
}

/// Sum of `(a[i] - b[i])^2`, in the order of [`dot`].
#[inline(always)]
pub(super) fn l2<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = simd.zero_f32();
    for (a, b) in a.iter().zip(b) {
        sums = l2_step(simd, sums, a, b);
    }
    if !a_tail.is_empty() {
        sums = l2_step(simd, sums, &padded(a_tail), &padded(b_tail));
    }
    simd.sum_f32(sums)
}

#[inline(always)]
fn dot_step<S: Simd>(simd: S, sums: S::Floats, a: &[f32; LANES], b: &[f32; LANES]) -> S::Floats {
    simd.add_f32(sums, simd.mul_f32(simd.load_f32(a), simd.load_f32(b)))
}

#[inline(always)]
fn l2_step<S: Simd>(simd: S, sums: S::Floats, a: &[f32; LANES], b: &[f32; LANES]) -> S::Floats {
    let difference = simd.sub_f32(simd.load_f32(a), simd.load_f32(b));
    simd.add_f32(sums, simd.mul_f32(difference, difference))
}
