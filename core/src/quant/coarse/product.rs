//! Rows of one byte a part: [`pq`](crate::quant::pq), nothing beside the codes, as many bytes a row as parts.
//!
//! An estimate is the distance to what the codes stand for; by the triangle inequality its length errs by no more than the row lies from
//! them, and the farthest of all rows is kept ([`Coarse::error`](super::Coarse::error)). A dot product errs by that times the query's length
//! at most. Entries of tables add half a step a part ([`Tables::value`](crate::quant::pq::Tables::value)).

use super::{CoarseQuery, coordinates};
use crate::distance::Kernels;
use crate::format::Metric;
use crate::par::Par;
use crate::quant::Space;
use crate::quant::exact::at_least_zero;
use crate::quant::pq::{CENTROIDS, Codebooks, Sum};
use crate::seed;
use alloc::vec;
use alloc::vec::Vec;

/// Rows that codebooks are trained on at most: 64 a centroid.
const SAMPLE: usize = 16_384;

/// What all rows share.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Product {
    pub(super) books: Codebooks,
    /// Farthest that a row lies from what its codes stand for.
    pub(super) error: f32,
    pub(super) stride: usize,
}

impl Product {
    /// `None` where the codebooks have another size.
    pub(super) fn new(parts: usize, dimensions: usize, error: f32, stride: usize, columns: Vec<f32>) -> Option<Self> {
        let books = Codebooks::new(dimensions, parts, columns)?;
        (stride >= parts && error >= 0.0).then_some(Self { books, error, stride })
    }

    pub(super) fn learn<'a, P: Par>(
        parts: usize,
        space: &Space,
        kernels: &Kernels,
        rows: usize,
        record: &impl Fn(u32) -> &'a [u8],
        seed: u64,
        par: &P,
    ) -> Self {
        let dimensions = space.layout.dimensions;
        let (mut values, mut work) = (Vec::new(), Vec::new());
        for &row in &seed::sample(seed::hash(seed, 0x7071, u64::MAX), rows as u64, SAMPLE) {
            coordinates(space, record(row as u32), &mut work);
            values.extend_from_slice(&work);
        }
        if rows == 0 {
            values = vec![0.0; dimensions]; // a file without rows has codebooks all the same
        }
        Self { books: Codebooks::train(kernels, &values, dimensions, parts, seed, par), error: 0.0, stride: parts }
    }

    pub(super) fn encode(&self, kernels: &Kernels, vector: &[f32], row: &mut [u8]) -> f32 {
        let (codes, rest) = row.split_at_mut(self.books.parts());
        rest.fill(0);
        self.books.encode(kernels, vector, codes)
    }

    pub(super) fn prepare(&self, space: &Space, kernels: &Kernels, query: &mut CoarseQuery) {
        let sum = if space.metric == Metric::InnerProduct { Sum::Dot } else { Sum::L2 };
        self.books.tables(kernels, &query.values, sum, &mut query.tables);
    }

    #[expect(clippy::too_many_arguments, reason = "as `Coarse::distances`, which checks nothing more")]
    pub(super) fn distances(
        &self,
        space: &Space,
        kernels: &Kernels,
        query: &CoarseQuery,
        base: &[u8],
        places: &[usize],
        dots: &mut [i32],
        out: &mut [f32],
    ) {
        let sums: &mut [u32] = bytemuck::cast_slice_mut(dots);
        query.tables.sums(kernels, base, places, sums);
        for (&sum, out) in sums.iter().zip(out) {
            let value = query.tables.value(sum);
            *out = match space.metric {
                Metric::L2 => at_least_zero(value),
                Metric::Cosine => 0.5 * at_least_zero(value),
                Metric::InnerProduct => 1.0 - value,
            };
        }
    }
}

const _: () = assert!(CENTROIDS == 256, "a code is a byte");
