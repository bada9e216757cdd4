//! The last elements of a row, fewer than a step takes.
//!
//! A copy of unknown length is a call, which costs a short row as much as its sum. So f32, whose
//! elements must keep their lanes, copies in pieces of 16 (rows are usually padded to that); and
//! the integer kernels, whose order is free, step back to a whole step that ends with the row and
//! blank what was summed before.
#![forbid(unsafe_code)]

use crate::simd::{BYTES, WORDS};

const PIECE: usize = 16;

/// `tail`, then zeros.
#[inline(always)]
pub(super) fn padded<const N: usize>(tail: &[f32]) -> [f32; N] {
    let mut whole = [0.0; N];
    let ((from, from_rest), (to, _)) = (tail.as_chunks::<PIECE>(), whole.as_chunks_mut::<PIECE>());
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
    if !from_rest.is_empty() {
        to[from.len()][..from_rest.len()].copy_from_slice(from_rest);
    }
    whole
}

/// Zeros, then the last `fresh` bytes of `row`; `fresh` is less than a step and at most the row.
#[inline(always)]
pub(super) fn last_bytes(row: &[u8], fresh: usize) -> [u8; BYTES] {
    static MASK: [u8; 2 * BYTES] = {
        let mut mask = [0; 2 * BYTES];
        mask.as_chunks_mut::<BYTES>().0[1] = [0xff; BYTES];
        mask
    };
    let mut step = ending(row);
    for (byte, mask) in step.iter_mut().zip(&MASK[fresh..]) {
        *byte &= mask; // a lookup: comparing 64 indices with `fresh` compiles to 64-bit lanes
    }
    step
}

/// Zeros, then the last `fresh` words of `query`; `fresh` is less than a step and at most the query.
#[inline(always)]
pub(super) fn last_words(query: &[i16], fresh: usize) -> [i16; WORDS] {
    static MASK: [i16; 2 * WORDS] = {
        let mut mask = [0; 2 * WORDS];
        mask.as_chunks_mut::<WORDS>().0[1] = [-1; WORDS];
        mask
    };
    let mut step = ending(query);
    for (word, mask) in step.iter_mut().zip(&MASK[fresh..]) {
        *word &= mask;
    }
    step
}

/// The last `N` elements; zeros before a row shorter than that.
#[inline(always)]
pub(super) fn ending<T: Copy + Default, const N: usize>(row: &[T]) -> [T; N] {
    match row.last_chunk() {
        Some(step) => *step,
        None => {
            let mut step = [T::default(); N];
            step[N - row.len()..].copy_from_slice(row);
            step
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES, WORDS, last_bytes, last_words, padded};

    #[test]
    fn a_tail_keeps_its_place_and_the_rest_is_zero() {
        let row: Vec<u8> = (1..=100).collect();
        for length in 0..row.len() {
            for fresh in 0..=length.min(BYTES - 1) {
                let step = last_bytes(&row[..length], fresh);
                assert!(step[..BYTES - fresh].iter().all(|&byte| byte == 0), "{fresh} of {length}");
                assert_eq!(step[BYTES - fresh..], row[length - fresh..length]);
            }
        }
        let query: Vec<i16> = row.iter().map(|&byte| -i16::from(byte)).collect();
        assert_eq!(last_words(&query, 2)[WORDS - 3..], [0, -99, -100]);
        assert_eq!(last_words(&query[..2], 2)[WORDS - 3..], [0, -1, -2]);
        assert_eq!(padded::<32>(&[1.0; 17])[15..19], [1.0, 1.0, 0.0, 0.0]);
    }
}
