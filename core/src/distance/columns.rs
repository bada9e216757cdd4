//! One short vector against many that lie column by column: the first coordinates of all, then the second ones, and so on.
//!
//! What codebooks want: a part of a vector has few coordinates and 256 centroids, so that lanes run over centroids, not over
//! coordinates. Each distance is summed coordinate after coordinate, multiply then add, so every backend gives the same bits.
#![forbid(unsafe_code)]

use crate::simd::Simd;

/// `out[i]` = squared distance of `query` and vector `i` of `columns`, which has `out.len()` of them.
#[inline(always)]
pub(super) fn l2<S: Simd>(_: S, query: &[f32], columns: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    for (&q, column) in query.iter().zip(columns.chunks_exact(out.len())) {
        for (out, &x) in out.iter_mut().zip(column) {
            let difference = q - x;
            *out += difference * difference;
        }
    }
}

/// `out[i]` = dot product of `query` and vector `i` of `columns`.
#[inline(always)]
pub(super) fn dot<S: Simd>(_: S, query: &[f32], columns: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    for (&q, column) in query.iter().zip(columns.chunks_exact(out.len())) {
        for (out, &x) in out.iter_mut().zip(column) {
            *out += q * x;
        }
    }
}
