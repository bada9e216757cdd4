//! Exact kernels on bytes: dot product, squared L2, Hamming.
//!
//! All sums are modulo 2^32, on every backend alike, and so exact while the true result fits its
//! type.
#![forbid(unsafe_code)]

use super::tail::{ending, last_bytes, last_words};
use crate::simd::{BYTES, Simd, WORDS};

/// How the bytes of a row are read.
pub(super) trait Code {
    fn widen<S: Simd>(simd: S, bytes: &[u8; WORDS]) -> S::Words;
    fn dot<S: Simd>(simd: S, sums: S::Sums, a: &[u8; BYTES], b: &[u8; BYTES]) -> S::Sums;
    fn l2<S: Simd>(simd: S, sums: S::Sums, a: &[u8; BYTES], b: &[u8; BYTES]) -> S::Sums;
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

    #[inline(always)]
    fn dot<S: Simd>(simd: S, sums: S::Sums, a: &[u8; BYTES], b: &[u8; BYTES]) -> S::Sums {
        simd.dot_i8(sums, a, b)
    }

    #[inline(always)]
    fn l2<S: Simd>(simd: S, sums: S::Sums, a: &[u8; BYTES], b: &[u8; BYTES]) -> S::Sums {
        simd.l2_i8(sums, a, b)
    }
}

impl Code for Unsigned {
    #[inline(always)]
    fn widen<S: Simd>(simd: S, bytes: &[u8; WORDS]) -> S::Words {
        simd.widen_u8(bytes)
    }

    #[inline(always)]
    fn dot<S: Simd>(simd: S, sums: S::Sums, a: &[u8; BYTES], b: &[u8; BYTES]) -> S::Sums {
        simd.dot_u8(sums, a, b)
    }

    #[inline(always)]
    fn l2<S: Simd>(simd: S, sums: S::Sums, a: &[u8; BYTES], b: &[u8; BYTES]) -> S::Sums {
        simd.l2_u8(sums, a, b)
    }
}

/// Sum of `a[i] * b[i]`.
#[inline(always)]
pub(super) fn dot<S: Simd, C: Code>(simd: S, a: &[u8], b: &[u8]) -> i32 {
    let rest = a.len() % BYTES;
    let mut sums = simd.zero_sums();
    for (a, b) in a.as_chunks().0.iter().zip(b.as_chunks().0) {
        sums = C::dot(simd, sums, a, b);
    }
    if rest != 0 {
        sums = C::dot(simd, sums, &last_bytes(a, rest), &last_bytes(b, rest));
    }
    simd.sum_i32(sums)
}

/// Sum of `(a[i] - b[i])^2`.
#[inline(always)]
pub(super) fn l2<S: Simd, C: Code>(simd: S, a: &[u8], b: &[u8]) -> u32 {
    let rest = a.len() % BYTES;
    let mut sums = simd.zero_sums();
    for (a, b) in a.as_chunks().0.iter().zip(b.as_chunks().0) {
        sums = C::l2(simd, sums, a, b);
    }
    if rest != 0 {
        sums = C::l2(simd, sums, &last_bytes(a, rest), &last_bytes(b, rest));
    }
    simd.sum_i32(sums).cast_unsigned()
}

/// Sum of `query[i] * row[i]`.
#[inline(always)]
pub(super) fn dot_i16<S: Simd, C: Code>(simd: S, query: &[i16], row: &[u8]) -> i32 {
    let rest = query.len() % WORDS;
    let mut sums = simd.zero_sums();
    for (query, row) in query.as_chunks().0.iter().zip(row.as_chunks().0) {
        sums = simd.multiply_add(sums, simd.load_i16(query), C::widen(simd, row));
    }
    if rest != 0 {
        // Elements of the row that were summed before meet zeros of the query.
        sums = simd.multiply_add(sums, simd.load_i16(&last_words(query, rest)), C::widen(simd, &ending(row)));
    }
    simd.sum_i32(sums)
}

/// Number of bits in which `a` and `b` differ.
#[inline(always)]
pub(super) fn hamming<S: Simd>(simd: S, a: &[u8], b: &[u8]) -> u32 {
    let rest = a.len() % BYTES;
    let mut counts = simd.zero_counts();
    for (a, b) in a.as_chunks().0.iter().zip(b.as_chunks().0) {
        counts = simd.count_differences(counts, a, b);
    }
    if rest != 0 {
        counts = simd.count_differences(counts, &last_bytes(a, rest), &last_bytes(b, rest));
    }
    simd.sum_counts(counts)
}
