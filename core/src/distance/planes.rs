//! One query of four bits a dimension against many rows of one: a popcount a plane of the query.
//!
//! Plane `j` holds bit `j` of every dimension's code, so the dot product is the sum of `2^j` times the bits that plane and row have in
//! common (Gao & Long 2024, arXiv 2405.12497, section 3.3.2).
#![forbid(unsafe_code)]

use crate::simd::{BYTES, Simd, prefetch_line};

/// Bits of a query's code.
pub(super) const PLANES: usize = 4;
/// Bytes behind a row's lines that are asked for along with it, where its factors may lie.
const FACTORS: usize = 16;
/// Rows asked for ahead of time: a row is a cache line or few.
const AHEAD: usize = 8;

/// `out[i] = dot(query, row i)`; rows are as long as a plane, which is whole steps.
///
/// # Panics
/// If a row does not lie inside `base`.
#[inline(always)]
pub(super) fn dots<S: Simd>(simd: S, planes: &[u8], base: &[u8], offsets: &[usize], out: &mut [u32]) {
    let bytes = planes.len() / PLANES;
    let plane = |j: usize| &planes[j * bytes..][..bytes].as_chunks::<BYTES>().0[..bytes / BYTES];
    let planes = [plane(0), plane(1), plane(2), plane(3)];
    for &offset in offsets.iter().take(AHEAD) {
        ask(&base[offset..], bytes);
    }
    for (i, (&offset, out)) in offsets.iter().zip(out).enumerate() {
        if let Some(&next) = offsets.get(i + AHEAD) {
            ask(&base[next..], bytes);
        }
        let mut counts = simd.zero_counts();
        for (step, row) in base[offset..][..bytes].as_chunks::<BYTES>().0.iter().enumerate() {
            counts = simd.dot_planes(counts, row, [&planes[0][step], &planes[1][step], &planes[2][step], &planes[3][step]]);
        }
        *out = simd.sum_counts(counts);
    }
}

/// Asks for the lines of a row, and of the factors behind it.
#[inline(always)]
fn ask(row: &[u8], bytes: usize) {
    let row = &row[..row.len().min(bytes + FACTORS)];
    for line in row.chunks(BYTES) {
        prefetch_line(&line[0]);
    }
    if let Some(last) = row.last() {
        prefetch_line(last);
    }
}
