//! Distances in f64, straight from their definitions.

use nearshore_core::distance::Kernels;
use nearshore_core::format::{Element, Metric, Refine};
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

/// By how much a computed distance may be off from `wanted`: rounding in f32, and against records the 15 bits that a query's values
/// are rounded to, unless they are small whole numbers.
pub(crate) fn slack(metric: Metric, element: Element, refine: Refine, query: &[f32], wanted: f64) -> f64 {
    let size: f64 = query.iter().map(|&value| f64::from(value).powi(2)).sum();
    let floats = element.bytes() > 1;
    let rounding = if floats && metric == Metric::InnerProduct { 1e-6 * (1.0 + size) } else { 1e-6 };
    let largest = query.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    let exact = if floats { refine == Refine::Originals } else { largest <= 255.0 && query.iter().all(|value| value.fract() == 0.0) };
    // The largest element that a row has, and that a query may be moved by: the mean is taken off before it is coded.
    let row_max = if floats { 1.5 } else { 128.0 };
    let coded = f64::from(largest) + if floats { row_max } else { 0.0 };
    let step = if exact { 0.0 } else { coded / 32_767.0 };
    let steps = match metric {
        Metric::Cosine => 2.0 * query.len() as f64 / coded,
        Metric::L2 | Metric::InnerProduct => 2.0 * row_max * query.len() as f64,
    };
    // A record's norm and product are rounded apart, so a small difference of large numbers keeps their error.
    let apart = if floats && !exact { 1e-6 * (1.0 + size) } else { 0.0 };
    rounding * (1.0 + wanted.abs()) + step * steps + apart
}
