//! The mean of the rows, taken off before rows become i8 codes.
//!
//! Embeddings crowd around a direction of their own; without it the codes spend their bits on
//! what all rows share. Summed in f64 over a seeded sample, in row order: the same bits anywhere.
//! Inner products would need a further term for it, so there the mean is zero.

use crate::distance::Kernels;
use crate::format::Metric;
use crate::quant::exact;
use crate::seed;
use crate::vectors::Vectors;
use alloc::vec;
use alloc::vec::Vec;

/// Rows that the mean is taken over at most: the error of a mean falls with the square root.
const SAMPLE: usize = 50_000;

/// Mean of the rows (of their unit vectors under cosine); zeros for inner product.
#[must_use]
pub fn mean(vectors: &Vectors<'_>, metric: Metric, seed: u64, kernels: &Kernels) -> Vec<f32> {
    let dimensions = vectors.dimensions();
    let mut sums = vec![0.0f64; dimensions];
    if metric == Metric::InnerProduct || vectors.rows() == 0 {
        return vec![0.0; dimensions];
    }
    let rows = seed::sample(seed::hash(seed, 0x6D65_616E, 0), vectors.rows() as u64, SAMPLE);
    let mut row = vec![0.0f32; dimensions];
    for &index in &rows {
        vectors.decode(kernels, index as usize, &mut row);
        if metric == Metric::Cosine {
            exact::normalize(kernels, &mut row);
        }
        for (sum, &value) in sums.iter_mut().zip(&row) {
            *sum += f64::from(value);
        }
    }
    sums.iter().map(|sum| (sum / rows.len() as f64) as f32).collect()
}
