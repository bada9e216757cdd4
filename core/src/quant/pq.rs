//! Product quantization: a vector cut into parts, each part the number of one of 256 centroids.
//!
//! Jegou, Douze & Schmid 2011, "Product Quantization for Nearest Neighbor Search", sections II and III. A query makes one table of
//! distances a part, and the distance of a row is a sum of one entry of each (asymmetric distance computation): 1024 dimensions in 64
//! parts are 64 bytes a row. The codebooks are those of [`kmeans`], so they are the same wherever they are made.
//!
//! Entries are cut to 16 bits, all parts by one step ([`Tables`]): 64 tables are then 32 KiB, which a first-level cache holds, and their
//! sums are integers, exact in any order.

use crate::distance::Kernels;
use crate::par::Par;
use crate::quant::kmeans::{self, Rows};
use crate::seed;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// Centroids of a part.
pub const CENTROIDS: usize = 256;

/// Rounds of k-means.
const ROUNDS: usize = 12;

/// Largest entry of a table.
const ENTRY_MAX: f32 = 65_535.0;

/// Rows asked for ahead of time: a row is a cache line or two.
const AHEAD: usize = 8;

/// Centroids of every part.
#[derive(Clone, Debug, PartialEq)]
pub struct Codebooks {
    dimensions: usize,
    parts: usize,
    /// For each dimension the coordinates of all centroids of the part that it belongs to.
    columns: Vec<f32>,
}

/// What a sum of table entries is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    /// Squared Euclidean distance.
    L2,
    /// Dot product.
    Dot,
}

impl Codebooks {
    /// Trains on `sample`, rows of `dimensions` elements one behind the other: a few ten thousand suffice.
    /// `O(rows * 256 * dimensions)` a round, 12 rounds.
    ///
    /// # Panics
    /// If there is no row, or not 1 to `dimensions` parts.
    #[must_use]
    pub fn train<P: Par>(kernels: &Kernels, sample: &[f32], dimensions: usize, parts: usize, seed: u64, par: &P) -> Self {
        assert!((1..=dimensions).contains(&parts));
        let mut books: Vec<Vec<f32>> = vec![Vec::new(); parts];
        par.chunks(&mut books, 1, &mut vec![(); par.threads()], |part, books, ()| {
            let range = range(dimensions, parts, part);
            let rows = Rows { values: sample, stride: dimensions, start: range.start, length: range.len() };
            let seed = seed::hash(seed, 0x7071, part as u64);
            books.iter_mut().for_each(|book| *book = kmeans::centroids(kernels, rows, CENTROIDS, ROUNDS, seed));
        });
        Self { dimensions, parts, columns: books.concat() }
    }

    /// Codebooks as they lie in a file: for each dimension 256 coordinates. `None` where they are not as many.
    #[must_use]
    pub fn new(dimensions: usize, parts: usize, columns: Vec<f32>) -> Option<Self> {
        let whole = (1..=dimensions).contains(&parts) && columns.len() == CENTROIDS * dimensions;
        whole.then_some(Self { dimensions, parts, columns })
    }

    /// What [`Codebooks::new`] takes.
    #[must_use]
    pub fn columns(&self) -> &[f32] {
        &self.columns
    }

    /// Bytes of a row of codes.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// Elements of a part: as equal as they can be.
    fn range(&self, part: usize) -> Range<usize> {
        range(self.dimensions, self.parts, part)
    }

    /// Centroids of a part, column by column.
    fn book(&self, part: usize) -> &[f32] {
        let range = self.range(part);
        &self.columns[CENTROIDS * range.start..CENTROIDS * range.end]
    }

    /// Writes the number of the nearest centroid of each part, and returns the squared distance of what they stand for. `O(256 d)`.
    ///
    /// # Panics
    /// If the lengths are not those of the codebooks.
    pub fn encode(&self, kernels: &Kernels, vector: &[f32], codes: &mut [u8]) -> f32 {
        assert!(vector.len() == self.dimensions && codes.len() == self.parts);
        let (mut distances, mut sum) = ([0.0; CENTROIDS], 0.0);
        for (part, code) in codes.iter_mut().enumerate() {
            let (nearest, distance) = kmeans::nearest(kernels, self.book(part), &vector[self.range(part)], &mut distances);
            *code = nearest as u8;
            sum += distance;
        }
        sum
    }

    /// What a row of codes stands for.
    pub fn decode(&self, codes: &[u8], out: &mut Vec<f32>) {
        out.clear();
        for (part, &code) in codes.iter().enumerate() {
            out.extend(self.book(part).iter().skip(code.into()).step_by(CENTROIDS));
        }
    }

    /// Makes the tables of `query`. `O(256 d)`.
    ///
    /// # Panics
    /// If the query has another length than the vectors.
    pub fn tables(&self, kernels: &Kernels, query: &[f32], sum: Sum, tables: &mut Tables) {
        assert_eq!(query.len(), self.dimensions);
        let Tables { entries, work, ranges, base, step } = tables;
        work.clear();
        work.resize(CENTROIDS * self.parts, 0.0);
        ranges.clear();
        for (part, table) in work.as_chunks_mut::<CENTROIDS>().0.iter_mut().enumerate() {
            let query = &query[self.range(part)];
            match sum {
                Sum::L2 => kernels.l2_columns_f32(query, self.book(part), table),
                Sum::Dot => kernels.dot_columns_f32(query, self.book(part), table),
            }
            ranges.push(least_and_most(table));
        }
        *base = ranges.iter().map(|&(least, _)| f64::from(least)).sum();
        *step = ranges.iter().fold(0.0f32, |widest, &(least, most)| widest.max(most - least)) / ENTRY_MAX;
        let scale = if *step > 0.0 { 1.0 / *step } else { 0.0 };
        entries.resize(work.len(), 0);
        let chunks = work.as_chunks::<CENTROIDS>().0.iter().zip(entries.as_chunks_mut::<CENTROIDS>().0);
        for ((table, entries), &(least, _)) in chunks.zip(&*ranges) {
            for (entry, &x) in entries.iter_mut().zip(table) {
                // The scale is rounded, so the widest range may end a little beyond the largest entry.
                let steps = (x - least) * scale;
                let steps = if steps < ENTRY_MAX { steps } else { ENTRY_MAX };
                // From 2^23 on an f32 is its own integer, which the processor has rounded, halves to even; its low bits are the steps.
                *entry = (steps + 8_388_608.0).to_bits() as u16;
            }
        }
    }
}

/// Elements of a part: as equal as they can be.
fn range(dimensions: usize, parts: usize, part: usize) -> Range<usize> {
    part * dimensions / parts..(part + 1) * dimensions / parts
}

/// Least and largest entry, sixteen at a time.
fn least_and_most(table: &[f32; CENTROIDS]) -> (f32, f32) {
    const LANES: usize = 16;
    let (mut least, mut most) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
    for chunk in table.as_chunks::<LANES>().0 {
        for ((least, most), &x) in least.iter_mut().zip(&mut most).zip(chunk) {
            *least = if x < *least { x } else { *least };
            *most = if x > *most { x } else { *most };
        }
    }
    (least.iter().fold(f32::INFINITY, |a, &b| a.min(b)), most.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b)))
}

/// A query's tables, part after part: an entry `e` of part `p` stands for the part's least value plus `e` steps.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    entries: Vec<u16>,
    work: Vec<f32>,
    /// The least and the largest value of each part.
    ranges: Vec<(f32, f32)>,
    /// The least values of all parts.
    base: f64,
    step: f32,
}

impl Tables {
    /// What a row's sum of entries stands for. It errs by half a step a part at most, beside what the codes err.
    #[inline(always)]
    #[must_use]
    pub fn value(&self, sum: u32) -> f32 {
        (self.base + f64::from(self.step) * f64::from(sum)) as f32
    }

    /// Sums of the entries that the rows of codes at `places` in `base` name.
    ///
    /// # Panics
    /// If a row does not lie inside `base`.
    pub fn sums(&self, kernels: &Kernels, base: &[u8], places: &[usize], out: &mut [u32]) {
        let tables = self.entries.as_chunks::<CENTROIDS>().0;
        let (fours, rest) = tables.as_chunks::<4>();
        for &place in places.iter().take(AHEAD) {
            kernels.prefetch(&base[place..][..tables.len()]);
        }
        for (at, (&place, out)) in places.iter().zip(out).enumerate() {
            if let Some(&next) = places.get(at + AHEAD) {
                kernels.prefetch(&base[next..][..tables.len()]);
            }
            let (codes, last) = base[place..][..tables.len()].as_chunks::<4>();
            let mut sums = [0u32; 4];
            for (tables, codes) in fours.iter().zip(codes) {
                sums[0] += u32::from(tables[0][usize::from(codes[0])]);
                sums[1] += u32::from(tables[1][usize::from(codes[1])]);
                sums[2] += u32::from(tables[2][usize::from(codes[2])]);
                sums[3] += u32::from(tables[3][usize::from(codes[3])]);
            }
            let last: u32 = rest.iter().zip(last).map(|(table, &code)| u32::from(table[usize::from(code)])).sum();
            *out = sums.iter().sum::<u32>() + last;
        }
    }
}

#[cfg(test)]
mod tests;
