//! Checks of a query, before it is searched for.

use super::SearchError;
use crate::format::Metric;
use crate::quant::{Prepared, Space, exact};
use crate::vectors::Query;

/// The query has the index's length, and every element is a finite number.
///
/// # Errors
/// Which of the two it breaks, and where.
pub(crate) fn query(query: Query<'_>, dimensions: usize) -> Result<(), SearchError> {
    let found = query.dimensions();
    if dimensions != found {
        return Err(SearchError::Dimensions { wanted: dimensions, found });
    }
    if let Query::F32(values) = query
        && let Some(element) = values.iter().position(|value| !value.is_finite())
    {
        return Err(SearchError::NotFinite { element });
    }
    Ok(())
}

/// A query whose square leaves f32 has no distances; one without direction has no cosine.
///
/// # Errors
/// The largest element, or that there is no direction.
pub(crate) fn prepared(space: &Space, query: &Prepared) -> Result<(), SearchError> {
    if !exact::is_in_range(query.length_sq) || !(query.norm as f32).is_finite() {
        return Err(SearchError::NotFinite { element: largest(&query.full) });
    }
    if space.metric == Metric::Cosine && !exact::has_direction(query.length_sq) {
        return Err(SearchError::ZeroVector);
    }
    Ok(())
}

/// The element of the largest magnitude.
pub(crate) fn largest(vector: &[f32]) -> usize {
    let by_size = |a: &(usize, &f32), b: &(usize, &f32)| a.1.abs().total_cmp(&b.1.abs());
    vector.iter().enumerate().max_by(by_size).map_or(0, |(element, _)| element)
}
