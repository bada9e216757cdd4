//! Product quantization: a vector cut into parts, each part the number of one of 256 centroids.
//!
//! Jegou, Douze & Schmid 2011, "Product Quantization for Nearest Neighbor Search", sections II and III. A query makes one table of
//! distances a part, and the distance of a row is a sum of one entry of each (asymmetric distance computation): 1024 dimensions in 64
//! parts are 64 bytes a row. The codebooks are those of [`kmeans`], so they are the same wherever they are made.

use crate::distance::Kernels;
use crate::quant::kmeans::{self, Rows};
use crate::seed;
use alloc::vec::Vec;
use core::ops::Range;

/// Centroids of a part.
pub const CENTROIDS: usize = 256;

/// Rounds of k-means.
const ROUNDS: usize = 12;

/// Centroids of every part.
#[derive(Clone, Debug, PartialEq)]
pub struct Codebooks {
    dimensions: usize,
    parts: usize,
    /// Part after part; the centroids of one part lie one behind the other.
    centroids: Vec<f32>,
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
    pub fn train(kernels: &Kernels, sample: &[f32], dimensions: usize, parts: usize, seed: u64) -> Self {
        assert!((1..=dimensions).contains(&parts));
        let mut books = Self { dimensions, parts, centroids: Vec::with_capacity(CENTROIDS * dimensions) };
        for part in 0..parts {
            let range = books.range(part);
            let rows = Rows { values: sample, stride: dimensions, start: range.start, length: range.len() };
            let seed = seed::hash(seed, 0x7071, part as u64);
            books.centroids.extend(kmeans::centroids(kernels, rows, CENTROIDS, ROUNDS, seed));
        }
        books
    }

    /// Bytes of a row of codes.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// Elements of a part: as equal as they can be.
    fn range(&self, part: usize) -> Range<usize> {
        part * self.dimensions / self.parts..(part + 1) * self.dimensions / self.parts
    }

    /// Centroids of a part.
    fn book(&self, part: usize) -> &[f32] {
        let range = self.range(part);
        &self.centroids[CENTROIDS * range.start..CENTROIDS * range.end]
    }

    /// The number of the nearest centroid of each part. `O(256 d)`.
    ///
    /// # Panics
    /// If the lengths are not those of the codebooks.
    pub fn encode(&self, kernels: &Kernels, vector: &[f32], codes: &mut [u8]) {
        assert!(vector.len() == self.dimensions && codes.len() == self.parts);
        for (part, code) in codes.iter_mut().enumerate() {
            *code = kmeans::nearest(kernels, self.book(part), &vector[self.range(part)]).0 as u8;
        }
    }

    /// What a row of codes stands for.
    pub fn decode(&self, codes: &[u8], out: &mut Vec<f32>) {
        out.clear();
        for (part, &code) in codes.iter().enumerate() {
            let length = self.range(part).len();
            out.extend_from_slice(&self.book(part)[usize::from(code) * length..][..length]);
        }
    }

    /// Tables of `query`, part after part. `O(256 d)`.
    ///
    /// # Panics
    /// If the query has another length than the vectors.
    pub fn tables(&self, kernels: &Kernels, query: &[f32], sum: Sum, tables: &mut Vec<f32>) {
        assert_eq!(query.len(), self.dimensions);
        tables.clear();
        for part in 0..self.parts {
            let query = &query[self.range(part)];
            tables.extend(self.book(part).chunks_exact(query.len()).map(|centroid| match sum {
                Sum::L2 => kernels.l2_f32(query, centroid),
                Sum::Dot => kernels.dot_f32(query, centroid),
            }));
        }
    }
}

/// Sum of the table entries that a row of codes names: four sums over parts 4i, 4i + 1, 4i + 2, 4i + 3, then (0 + 2) + (1 + 3).
///
/// # Panics
/// If there are fewer tables than codes.
#[must_use]
pub fn estimate(tables: &[f32], codes: &[u8]) -> f32 {
    let tables = &tables.as_chunks::<CENTROIDS>().0[..codes.len()];
    let mut sums = [0.0f32; 4];
    for (tables, codes) in tables.chunks(4).zip(codes.chunks(4)) {
        for ((sum, table), &code) in sums.iter_mut().zip(tables).zip(codes) {
            *sum += table[usize::from(code)];
        }
    }
    (sums[0] + sums[2]) + (sums[1] + sums[3])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::SplitMix;
    use alloc::vec;

    /// Rows around a few centres, as embeddings are.
    fn rows(count: usize, dimensions: usize, seed: u64) -> Vec<f32> {
        let mut random = SplitMix::new(seed);
        let mut uniform = || random.below(2001) as f32 / 1000.0 - 1.0;
        let centres: Vec<f32> = (0..20 * dimensions).map(|_| 2.0 * uniform()).collect();
        (0..count * dimensions).map(|i| centres[(i / dimensions * 7 % 20) * dimensions + i % dimensions] + 0.5 * uniform()).collect()
    }

    #[test]
    fn a_sum_of_entries_is_the_distance_to_what_the_codes_stand_for() {
        let kernels = Kernels::best();
        for (dimensions, parts) in [(24, 3), (25, 4), (7, 7), (64, 5)] {
            let sample = rows(500, dimensions, 3);
            let books = Codebooks::train(kernels, &sample, dimensions, parts, 1);
            let (mut codes, mut decoded, mut tables) = (vec![0; parts], Vec::new(), Vec::new());
            for (vector, query) in sample.chunks(dimensions).zip(sample.chunks(dimensions).skip(1)).take(50) {
                books.encode(kernels, vector, &mut codes);
                books.decode(&codes, &mut decoded);
                assert_eq!(decoded.len(), dimensions);
                for (sum, wanted) in [(Sum::L2, kernels.l2_f32(query, &decoded)), (Sum::Dot, kernels.dot_f32(query, &decoded))] {
                    books.tables(kernels, query, sum, &mut tables);
                    let found = estimate(&tables, &codes);
                    assert!((found - wanted).abs() <= 1e-5 * (1.0 + kernels.dot_f32(query, query)), "{sum:?}: {found} and {wanted}");
                }
            }
        }
    }

    #[test]
    fn codebooks_and_codes_are_the_same_under_every_backend() {
        let sample = rows(400, 40, 8);
        let books = Codebooks::train(Kernels::best(), &sample, 40, 6, 9);
        let (mut codes, mut same) = ([0; 6], [0; 6]);
        for kernels in Kernels::available() {
            assert_eq!(books, Codebooks::train(kernels, &sample, 40, 6, 9), "{}", kernels.name());
            for vector in sample.chunks(40) {
                books.encode(Kernels::best(), vector, &mut codes);
                books.encode(kernels, vector, &mut same);
                assert_eq!(codes, same, "{}", kernels.name());
            }
        }
        assert_ne!(books, Codebooks::train(Kernels::best(), &sample, 40, 6, 10), "the seed counts");
    }

    #[test]
    fn a_thousand_dimensions_fit_64_bytes_and_neighbours_stay_near() {
        let (kernels, dimensions) = (Kernels::best(), 1024);
        let sample = rows(700, dimensions, 5);
        let books = Codebooks::train(kernels, &sample, dimensions, 64, 2);
        assert_eq!(books.parts(), 64);
        let codes: Vec<Vec<u8>> = sample
            .chunks(dimensions)
            .map(|vector| {
                let mut codes = vec![0; 64];
                books.encode(kernels, vector, &mut codes);
                codes
            })
            .collect();
        let mut tables = Vec::new();
        // Row i shares its centre with i + 20, and no other row below it does.
        for (at, query) in sample.chunks(dimensions).enumerate().take(30) {
            books.tables(kernels, query, Sum::L2, &mut tables);
            let mut order: Vec<usize> = (0..codes.len()).collect();
            order.sort_by(|&a, &b| estimate(&tables, &codes[a]).total_cmp(&estimate(&tables, &codes[b])));
            assert!(order[..35].iter().all(|row| row % 20 == at % 20), "query {at}: {:?}", &order[..35]);
        }
    }
}
