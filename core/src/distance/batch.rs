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
use crate::simd::{PREFETCHES, Simd, WORDS, prefetch_line};

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

/// Bytes behind a row that are asked for along with it: whoever sums its codes reads its factors next.
const FACTORS: usize = 16;
/// Bytes of a cache line.
const LINE: usize = 64;

/// `body` for each `n` below `count`, at most 4, written out: sums that a loop indexes live in memory wherever the compiler does not
/// unroll it, and that costs WebAssembly half of its speed.
macro_rules! each {
    ($n:ident of $count:ident, $body:block) => {
        const { assert!($count <= 4, "rows beyond the fourth would not be summed") };
        each!($n of $count, $body, 0, 1, 2, 3)
    };
    ($n:ident of $count:ident, $body:block, $($at:literal),*) => {
        $(if $count > $at {
            let $n: usize = $at;
            $body
        })*
    };
}

/// Where a row lies.
pub(super) trait Place: Copy {
    /// The row, and whatever is behind it.
    fn begin<'a>(self, base: &'a [u8]) -> &'a [u8]
    where
        Self: 'a;
}

/// As far behind the beginning of the base.
impl Place for usize {
    #[inline(always)]
    fn begin<'a>(self, base: &'a [u8]) -> &'a [u8]
    where
        Self: 'a,
    {
        &base[self..]
    }
}

/// Anywhere in memory.
#[cfg(any(feature = "live", target_family = "wasm"))]
impl Place for &[u8] {
    #[inline(always)]
    fn begin<'a>(self, _: &'a [u8]) -> &'a [u8]
    where
        Self: 'a,
    {
        self
    }
}

/// How a row is cut into steps of [`WORDS`] codes.
pub(super) trait Row {
    /// The bytes of a step.
    type Step: Copy + AsRef<[u8]>;
    /// Whether rows are summed one by one where that is shorter: in a browser's download, where few files have such rows.
    const SINGLY: bool = false;

    /// Bytes of a row of `words` codes.
    fn bytes(words: usize) -> usize;
    fn steps(row: &[u8]) -> &[Self::Step];
    /// The step that ends with the row.
    fn last(row: &[u8]) -> Self::Step;
    /// What of the query meets the last step, where the whole steps leave `rest` codes over.
    fn tail(query: &[i16], rest: usize) -> [i16; WORDS];
    fn widen<S: Simd>(simd: S, step: &Self::Step) -> S::Words;
    /// Answers queries shorter than a step by itself.
    fn short<S: Simd, P: Place>(simd: S, query: &[i16], base: &[u8], places: &[P], out: &mut [i32]) -> bool;
}

/// A byte a code. The last step ends with the row, so it holds codes that were summed before: they meet zeros of the query.
impl<C: Code> Row for C {
    type Step = [u8; WORDS];

    #[inline(always)]
    fn bytes(words: usize) -> usize {
        words
    }

    #[inline(always)]
    fn steps(row: &[u8]) -> &[Self::Step] {
        row.as_chunks().0
    }

    #[inline(always)]
    fn last(row: &[u8]) -> Self::Step {
        *row.last_chunk().unwrap_or(&[0; WORDS]) // rows are not shorter
    }

    #[inline(always)]
    fn tail(query: &[i16], rest: usize) -> [i16; WORDS] {
        last_words(query, rest)
    }

    #[inline(always)]
    fn widen<S: Simd>(simd: S, step: &Self::Step) -> S::Words {
        C::widen(simd, step)
    }

    #[inline(always)]
    fn short<S: Simd, P: Place>(simd: S, query: &[i16], base: &[u8], places: &[P], out: &mut [i32]) -> bool {
        if query.len() < WORDS {
            for (&place, out) in places.iter().zip(out) {
                *out = integer::dot_i16::<S, C>(simd, query, &place.begin(base)[..query.len()]);
            }
        }
        query.len() < WORDS
    }
}

/// Two codes a byte, `u4`: those of 32 dimensions in 16 bytes, dimension `j` in the low half of byte `j`, dimension `j + 16` in its
/// high half. Rows are whole steps; codes beyond the query meet zeros.
pub(super) struct Nibbles;

impl Row for Nibbles {
    type Step = [u8; WORDS / 2];
    const SINGLY: bool = cfg!(target_family = "wasm");

    #[inline(always)]
    fn bytes(words: usize) -> usize {
        words.div_ceil(WORDS) * (WORDS / 2)
    }

    #[inline(always)]
    fn steps(row: &[u8]) -> &[Self::Step] {
        row.as_chunks().0
    }

    #[inline(always)]
    fn last(row: &[u8]) -> Self::Step {
        *row.last_chunk().unwrap_or(&[0; WORDS / 2])
    }

    #[inline(always)]
    fn tail(query: &[i16], rest: usize) -> [i16; WORDS] {
        let mut tail = [0; WORDS];
        tail[..rest].copy_from_slice(&query[query.len() - rest..]);
        tail
    }

    #[inline(always)]
    fn widen<S: Simd>(simd: S, step: &Self::Step) -> S::Words {
        simd.widen_u4(step)
    }

    #[inline(always)]
    fn short<S: Simd, P: Place>(_: S, _: &[i16], _: &[u8], _: &[P], _: &mut [i32]) -> bool {
        false
    }
}

/// Four codes a byte, `u2`: those of 32 dimensions in 8 bytes, dimension `j` in byte `j % 8`, shifted by `2 * (j / 8)` bits. Rows are whole
/// steps; codes beyond the query meet zeros.
#[cfg(feature = "codes")]
pub(super) struct Quarters;

#[cfg(feature = "codes")]
impl Row for Quarters {
    type Step = [u8; WORDS / 4];

    #[inline(always)]
    fn bytes(words: usize) -> usize {
        words.div_ceil(WORDS) * (WORDS / 4)
    }

    #[inline(always)]
    fn steps(row: &[u8]) -> &[Self::Step] {
        row.as_chunks().0
    }

    #[inline(always)]
    fn last(row: &[u8]) -> Self::Step {
        *row.last_chunk().unwrap_or(&[0; WORDS / 4])
    }

    #[inline(always)]
    fn tail(query: &[i16], rest: usize) -> [i16; WORDS] {
        Nibbles::tail(query, rest)
    }

    #[inline(always)]
    fn widen<S: Simd>(simd: S, step: &Self::Step) -> S::Words {
        simd.widen_u2(step)
    }

    #[inline(always)]
    fn short<S: Simd, P: Place>(_: S, _: &[i16], _: &[u8], _: &[P], _: &mut [i32]) -> bool {
        false
    }
}

/// `out[i] = dot(query, rows[i])`, each row at least as long as the query.
///
/// # Panics
/// If a row is shorter.
#[cfg(any(feature = "live", target_family = "wasm"))]
#[inline(always)]
pub(super) fn rows<S: Simd, R: Row>(simd: S, query: &[i16], rows: &[&[u8]], out: &mut [i32]) {
    dots::<S, R, &[u8]>(simd, query, &[], rows, out);
}

/// `out[i] = dot(query, base[offsets[i]..])`, each row as long as the query.
///
/// # Panics
/// If a row does not lie inside `base`.
#[inline(always)]
pub(super) fn dots<S: Simd, R: Row, P: Place>(simd: S, query: &[i16], base: &[u8], offsets: &[P], out: &mut [i32]) {
    if R::short(simd, query, base, offsets, out) {
        return;
    }
    let rest = query.len() % WORDS;
    let query = Query {
        whole: query.as_chunks().0,
        tail: if rest == 0 { [0; WORDS] } else { R::tail(query, rest) },
        rest,
        bytes: R::bytes(query.len()),
    };
    let grouped = if R::SINGLY { 0 } else { offsets.len() / GROUP * GROUP };
    let (groups, rest) = (offsets[..grouped].as_chunks::<GROUP>().0, &offsets[grouped..]);
    let (out_groups, out_rest) = out.split_at_mut(grouped);
    let out_groups = out_groups.as_chunks_mut::<GROUP>().0;
    let first = &offsets[..offsets.len().min(GROUP)];
    if !PREFETCHES {
        touch(offsets.iter().map(|&offset| query.row(base, offset)));
    }
    for &offset in first.iter().filter(|_| PREFETCHES) {
        let row = query.row_ahead(base, offset);
        prefetch(&row[..row.len().min(FIRST_BYTES)]);
        row.last().into_iter().for_each(prefetch_line);
    }
    for (i, (group, out)) in groups.iter().zip(out_groups).enumerate() {
        let rows = group.map(|offset| query.row(base, offset));
        let mut next = rows; // nothing comes after the last group: asking for its own lines is free
        if PREFETCHES {
            for (next, &offset) in next.iter_mut().zip(&offsets[(i + 1) * GROUP..]) {
                *next = query.row_ahead(base, offset);
            }
        }
        *out = query.dot_rows::<S, R, GROUP>(simd, rows, next);
    }
    for (&offset, out) in rest.iter().zip(out_rest) {
        let rows = [query.row(base, offset)];
        [*out] = query.dot_rows::<S, R, 1>(simd, rows, rows);
    }
}

/// A query, cut into steps once per batch.
struct Query<'a> {
    whole: &'a [[i16; WORDS]],
    /// What the whole steps leave over, amid zeros.
    tail: [i16; WORDS],
    /// Words that they leave over.
    rest: usize,
    /// Bytes of a row.
    bytes: usize,
}

impl Query<'_> {
    #[inline(always)]
    fn row<'a, P: Place + 'a>(&self, base: &'a [u8], offset: P) -> &'a [u8] {
        &offset.begin(base)[..self.bytes]
    }

    /// The row, and its factors if any.
    #[inline(always)]
    fn row_ahead<'a, P: Place + 'a>(&self, base: &'a [u8], offset: P) -> &'a [u8] {
        let row = offset.begin(base);
        &row[..row.len().min(self.bytes + FACTORS)]
    }

    /// Sums `N` rows together and asks for the lines of `next` on the way.
    #[inline(always)]
    fn dot_rows<S: Simd, R: Row, const N: usize>(&self, simd: S, rows: [&[u8]; N], next: [&[u8]; N]) -> [i32; N] {
        let mut sums = [simd.zero_sums(); N];
        // Cut to one length, so that no step of the loop needs a bounds check.
        let steps = self.whole.len();
        let (mut cut, mut ahead) = ([[].as_slice(); N], [[].as_slice(); N]);
        each!(n of N, {
            cut[n] = &R::steps(rows[n])[..steps];
            ahead[n] = &R::steps(next[n])[..steps];
        });
        for (i, query) in self.whole.iter().enumerate() {
            if PREFETCHES && i % (LINE / size_of::<R::Step>()) == 0 {
                for ahead in ahead {
                    prefetch_line(&ahead[i].as_ref()[0]);
                }
            }
            let query = simd.load_i16(query);
            each!(n of N, {
                sums[n] = simd.multiply_add(sums[n], query, R::widen(simd, &cut[n][i]));
            });
        }
        if self.rest != 0 {
            let query = simd.load_i16(&self.tail);
            each!(n of N, {
                sums[n] = simd.multiply_add(sums[n], query, R::widen(simd, &R::last(rows[n])));
            });
        }
        for next in next {
            if let Some(last) = next.last() {
                prefetch_line(last); // an unaligned row ends a line later than its length says
            }
        }
        let mut out = [0; N];
        each!(n of N, {
            out[n] = simd.sum_i32(sums[n]);
        });
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
    for byte in bytes.iter().step_by(LINE) {
        prefetch_line(byte);
    }
    if let Some(last) = bytes.last() {
        prefetch_line(last);
    }
}
