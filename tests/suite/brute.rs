//! Distances in f64, straight from their definitions.

use nearshore_core::distance::Kernels;
use nearshore_core::format::{Element, Metric};
use nearshore_core::vectors::Vectors;

/// Distance of `a` and `b`.
pub(crate) fn distance(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    match metric {
        Metric::L2 => a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum(),
        Metric::InnerProduct => 1.0 - dot(a, b),
        Metric::Cosine => 1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt(),
    }
}

/// All rows, nearest first, ties by the smaller id.
pub(crate) fn nearest(metric: Metric, vectors: &Vectors<'_>, ids: &[u64], query: &[f32]) -> Vec<(f64, u64)> {
    let mut row = vec![0.0; query.len()];
    let mut all: Vec<(f64, u64)> = (0..vectors.rows())
        .map(|at| {
            vectors.decode(Kernels::best(), at, &mut row);
            (distance(metric, query, &row), ids[at])
        })
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    all
}

/// By how much a computed distance may be off from `wanted`: rounding in f32, and for a query that is not whole numbers against integer
/// rows the 15 bits that its values are rounded to.
pub(crate) fn slack(metric: Metric, element: Element, query: &[f32], wanted: f64) -> f64 {
    let size: f64 = query.iter().map(|&value| f64::from(value).powi(2)).sum();
    let floats = element.bytes() > 1;
    let rounding = if floats && metric == Metric::InnerProduct { 1e-6 * (1.0 + size) } else { 1e-6 };
    let largest = query.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    let whole = query.iter().all(|value| value.fract() == 0.0);
    let step = if floats || whole { 0.0 } else { f64::from(largest) / 32_767.0 };
    let steps = match metric {
        Metric::Cosine => 1.0 / f64::from(largest),
        Metric::L2 | Metric::InnerProduct => 256.0 * query.len() as f64,
    };
    rounding * (1.0 + wanted.abs()) + step * steps
}
