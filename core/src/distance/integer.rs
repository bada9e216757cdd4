//! Exact kernels on bytes: dot product, squared L2, Hamming.
//!
//! Bytes are widened to 16 bits and multiplied in pairs into 32-bit sums. All sums are modulo 2^32,
//! on every backend alike, and so exact while the true result fits its type.
#![forbid(unsafe_code)]

use crate::simd::{Simd, WORDS};

/// How the bytes of a row are read.
pub(super) trait Code {
    fn widen<S: Simd>(simd: S, bytes: &[u8; WORDS]) -> S::Words;
}

/// Bytes are `i8`.
pub(super) struct Signed;
/// Bytes are `u8`.
pub(super) struct Unsigned;

impl Code for Signed {
    #[inline(always)]
    fn widen<S: Simd>(simd: S, bytes: &[u8; WORDS]) -> S::Words {
        simd.widen_i8(bytes)
    }
}

impl Code for Unsigned {
    #[inline(always)]
    fn widen<S: Simd>(simd: S, bytes: &[u8; WORDS]) -> S::Words {
        simd.widen_u8(bytes)
    }
}

/// Sum of `a[i] * b[i]`.
#[inline(always)]
pub(super) fn dot<S: Simd, C: Code>(simd: S, a: &[u8], b: &[u8]) -> i32 {
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<WORDS>(), b.as_chunks::<WORDS>());
    let mut sums = simd.zero_sums();
    for (a, b) in a.iter().zip(b) {
        sums = simd.multiply_add(sums, C::widen(simd, a), C::widen(simd, b));
    }
    if !a_tail.is_empty() {
        let (a, b) = (padded::<WORDS, u8>(a_tail), padded(b_tail));
        sums = simd.multiply_add(sums, C::widen(simd, &a), C::widen(simd, &b));
    }
    simd.sum_i32(sums)
}

/// Sum of `(a[i] - b[i])^2`.
#[inline(always)]
pub(super) fn l2<S: Simd, C: Code>(simd: S, a: &[u8], b: &[u8]) -> u32 {
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<WORDS>(), b.as_chunks::<WORDS>());
    let mut sums = simd.zero_sums();
    for (a, b) in a.iter().zip(b) {
        let difference = simd.sub_i16(C::widen(simd, a), C::widen(simd, b));
        sums = simd.multiply_add(sums, difference, difference);
    }
    if !a_tail.is_empty() {
        let (a, b) = (padded(a_tail), padded(b_tail));
        let difference = simd.sub_i16(C::widen(simd, &a), C::widen(simd, &b));
        sums = simd.multiply_add(sums, difference, difference);
    }
    simd.sum_i32(sums).cast_unsigned()
}

/// Sum of `query[i] * row[i]`.
#[inline(always)]
pub(super) fn dot_i16<S: Simd, C: Code>(simd: S, query: &[i16], row: &[u8]) -> i32 {
    let ((query, query_tail), (row, row_tail)) = (query.as_chunks(), row.as_chunks());
    let mut sums = simd.zero_sums();
    for (query, row) in query.iter().zip(row) {
        sums = simd.multiply_add(sums, simd.load_i16(query), C::widen(simd, row));
    }
    if !query_tail.is_empty() {
        let (query, row) = (padded(query_tail), padded(row_tail));
        sums = simd.multiply_add(sums, simd.load_i16(&query), C::widen(simd, &row));
    }
    simd.sum_i32(sums)
}

/// Number of bits in which `a` and `b` differ.
#[inline(always)]
pub(super) fn hamming<S: Simd>(simd: S, a: &[u8], b: &[u8]) -> u32 {
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<64>(), b.as_chunks::<64>());
    let mut counts = simd.zero_counts();
    for (a, b) in a.iter().zip(b) {
        counts = simd.count_differences(counts, a, b);
    }
    if !a_tail.is_empty() {
        counts = simd.count_differences(counts, &padded(a_tail), &padded(b_tail));
    }
    simd.sum_counts(counts)
}

/// A tail shorter than `N`, followed by zeros: zeros add nothing to any of these sums.
#[inline(always)]
pub(super) fn padded<const N: usize, T: Copy + Default>(tail: &[T]) -> [T; N] {
    let mut whole = [T::default(); N];
    whole[..tail.len()].copy_from_slice(tail);
    whole
}
