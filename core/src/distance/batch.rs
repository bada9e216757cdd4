//! One query against many scattered rows: the inner loop of a walk.
//!
//! A walk spends its time waiting for rows that lie anywhere in the file. Rows are taken in groups
//! of four: one load of the query serves four rows, four cache misses are under way at once, and
//! while a group is summed, line by line, the same line of the next group's rows is asked for.
//! Spreading the prefetches like this matters more than how far ahead they reach: asked for all at
//! once they fill the machine's miss buffers and the loop stalls behind them
//! (`docs/research/kernels.md`: a quarter to a third of the time on random rows).
#![forbid(unsafe_code)]

use super::integer::{self, Code};
use super::tail::last_words;
use crate::simd::{BYTES, PREFETCHES, Simd, WORDS, prefetch_line};

/// Rows summed together: measured 1, 2 and 4 on random rows of 384, 784 and 1024 bytes; in WebAssembly, whose engines find fewer
/// registers for them, 2 and 4. Without vectors one row takes all registers there are.
const GROUP: usize = match (cfg!(target_family = "wasm"), cfg!(target_feature = "simd128")) {
    (false, _) => 4,
    (true, true) => 2,
    (true, false) => 1,
};
/// Bytes asked for of each row of the first group, which nothing precedes. 384: all of a longer row, asked for at once, cost a
/// batch of four rows an eighth more than asking for nothing; this much costs a long row nothing and saves a short one a tenth.
const FIRST_BYTES: usize = 384;

/// `out[i] = dot(query, base[offsets[i]..][..query.len()])`.
///
/// # Panics
/// If a row does not lie inside `base`.
#[inline(always)]
pub(super) fn dots<S: Simd, C: Code>(simd: S, query: &[i16], base: &[u8], offsets: &[usize], out: &mut [i32]) {
    if query.len() < WORDS {
        for (&offset, out) in offsets.iter().zip(out) {
            *out = integer::dot_i16::<S, C>(simd, query, &base[offset..][..query.len()]);
        }
        return;
    }
    let query = Query { whole: query.as_chunks().0, tail: last_words(query, query.len() % WORDS), length: query.len() };
    let (groups, rest) = offsets.as_chunks::<GROUP>();
    let (out_groups, out_rest) = out.as_chunks_mut::<GROUP>();
    let first = &offsets[..offsets.len().min(GROUP)];
    if !PREFETCHES {
        touch(offsets.iter().map(|&offset| query.row(base, offset)));
    }
    for &offset in first.iter().filter(|_| PREFETCHES) {
        prefetch(&query.row(base, offset)[..query.length.min(FIRST_BYTES)]);
    }
    for (i, (group, out)) in groups.iter().zip(out_groups).enumerate() {
        let rows = group.map(|offset| query.row(base, offset));
        let mut next = rows; // nothing comes after the last group: asking for its own lines is free
        if PREFETCHES {
            for (next, &offset) in next.iter_mut().zip(&offsets[(i + 1) * GROUP..]) {
                *next = query.row(base, offset);
            }
        }
        *out = query.dot_rows::<S, C, GROUP>(simd, rows, next);
    }
    for (&offset, out) in rest.iter().zip(out_rest) {
        let rows = [query.row(base, offset)];
        [*out] = query.dot_rows::<S, C, 1>(simd, rows, rows);
    }
}

/// A query of at least one step, cut into steps once per batch.
struct Query<'a> {
    whole: &'a [[i16; WORDS]],
    /// Zeros, then the rest.
    tail: [i16; WORDS],
    length: usize,
}

impl Query<'_> {
    #[inline(always)]
    fn row<'a>(&self, base: &'a [u8], offset: usize) -> &'a [u8] {
        &base[offset..][..self.length]
    }

    /// Sums `R` rows together and asks for the lines of `next` on the way.
    #[inline(always)]
    fn dot_rows<S: Simd, C: Code, const R: usize>(&self, simd: S, rows: [&[u8]; R], next: [&[u8]; R]) -> [i32; R] {
        let mut sums = [simd.zero_sums(); R];
        // Cut to one length, so that no step of the loop needs a bounds check.
        let steps = self.whole.len();
        let (mut cut, mut ahead) = ([[].as_slice(); R], [[].as_slice(); R]);
        for r in 0..R {
            cut[r] = &rows[r].as_chunks().0[..steps];
            ahead[r] = &next[r].as_chunks::<WORDS>().0[..steps];
        }
        for (i, query) in self.whole.iter().enumerate() {
            if i % (BYTES / WORDS) == 0 {
                for ahead in ahead {
                    prefetch_line(&ahead[i][0]);
                }
            }
            let query = simd.load_i16(query);
            for r in 0..R {
                sums[r] = simd.multiply_add(sums[r], query, C::widen(simd, &cut[r][i]));
            }
        }
        if !self.length.is_multiple_of(WORDS) {
            // Elements of a row that were summed before meet zeros of the query.
            let query = simd.load_i16(&self.tail);
            for r in 0..R {
                let row = rows[r].last_chunk().unwrap_or(&[0; WORDS]); // rows are not shorter
                sums[r] = simd.multiply_add(sums[r], query, C::widen(simd, row));
            }
        }
        for next in next {
            if let Some(last) = next.last() {
                prefetch_line(last); // an unaligned row ends a line later than its length says
            }
        }
        let mut out = [0; R];
        for r in 0..R {
            out[r] = simd.sum_i32(sums[r]);
        }
        out
    }
}

/// Reads a byte of every cache line of `rows`, for machines that cannot ask for one: these reads wait for nothing, so that many misses
/// are under way at once, where the sums would meet them one after the other.
#[inline(always)]
fn touch<'a>(rows: impl Iterator<Item = &'a [u8]>) {
    let mut sum = 0;
    for row in rows {
        for line in row.as_chunks::<64>().0 {
            sum ^= line[0];
        }
        sum ^= row.last().copied().unwrap_or(0); // an unaligned row ends a line later than its length says
    }
    core::hint::black_box(sum);
}

/// Asks for every cache line of `bytes`.
#[inline(always)]
pub(super) fn prefetch(bytes: &[u8]) {
    for byte in bytes.iter().step_by(64) {
        prefetch_line(byte);
    }
    if let Some(last) = bytes.last() {
        prefetch_line(last);
    }
}
