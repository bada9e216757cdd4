//! One query against many scattered rows: the inner loop of a walk.
//!
//! A walk spends its time waiting for rows that lie anywhere in the file, so the batch asks for the
//! cache lines of later rows while it works on the present ones.
#![forbid(unsafe_code)]

use super::integer::{self, Code};
use crate::simd::{Simd, prefetch_line};

/// Rows asked for ahead of the one being summed.
const AHEAD: usize = 4;

/// `out[i] = dot(query, base[offsets[i]..][..query.len()])`.
///
/// # Panics
/// If a row does not lie inside `base`.
#[inline(always)]
pub(super) fn dots<S: Simd, C: Code>(simd: S, query: &[i16], base: &[u8], offsets: &[usize], out: &mut [i32]) {
    let row = |offset: usize| &base[offset..][..query.len()];
    for &offset in offsets.iter().take(AHEAD) {
        prefetch(row(offset));
    }
    for (i, (&offset, out)) in offsets.iter().zip(out).enumerate() {
        if let Some(&ahead) = offsets.get(i + AHEAD) {
            prefetch(row(ahead));
        }
        *out = integer::dot_i16::<S, C>(simd, query, row(offset));
    }
}

/// Asks for every cache line of `bytes`.
#[inline(always)]
pub(super) fn prefetch(bytes: &[u8]) {
    for byte in bytes.iter().step_by(64) {
        prefetch_line(byte);
    }
    if let Some(last) = bytes.last() {
        prefetch_line(last); // an unaligned slice may end one line later
    }
}
