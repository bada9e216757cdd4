//! From rows that were found to hits: the exact order where originals are kept, exact duplicates
//! brought back, tombstones left out.

use super::view::{RecordView, corrupt_row};
use crate::distance::Kernels;
use crate::error::Corrupt;
#[cfg(feature = "among")]
use crate::filter::RowSet;
use crate::format::{Element, Metric, Section};
use crate::graph::Neighbor;
use crate::quant::exact;
use crate::quant::record::DUPLICATE_FOLLOWS;
use crate::search::Hit;
use crate::vectors;
use alloc::vec::Vec;

/// Whether `row`'s bit is set.
#[inline]
pub(super) fn is_deleted(deleted: &Section<'_>, row: u32) -> Result<bool, Corrupt> {
    let byte = deleted.row(row / 8)?.first().copied().unwrap_or(0);
    Ok(byte >> (row % 8) & 1 == 1)
}

/// Full-precision rows, read one at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Originals<'a> {
    pub(super) section: Section<'a>,
    pub(super) element: Element,
    pub(super) metric: Metric,
}

impl Originals<'_> {
    /// Exact distance of `row` from `query`, whose squared norm is `query_sq`.
    pub(super) fn distance(
        &self,
        records: &RecordView<'_>,
        query: &[f32],
        query_sq: f32,
        row: u32,
        work: &mut Vec<f32>,
    ) -> Result<f32, Corrupt> {
        let row_sq = if self.metric == Metric::Cosine { records.space.layout.factors(records.record(row)?).length_sq } else { 0.0 };
        let exact = Exact { kernels: records.kernels, metric: self.metric, element: self.element };
        let distance = exact.distance(query, query_sq, self.section.row(row)?, row_sq, work);
        if distance.is_finite() { Ok(distance) } else { Err(corrupt_row(&self.section, row, "a distance that is not a finite number")) }
    }

    /// Hints that `row` will be read soon.
    pub(super) fn prefetch(&self, records: &RecordView<'_>, row: u32, row_bytes: usize) {
        if let Some(place) = self.section.prefetch_place(row)
            && let Some(bytes) = self.section.bytes().get(place..place + row_bytes)
        {
            records.kernels.prefetch(bytes);
        }
    }
}

/// Distances from the bytes of original rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exact {
    pub(super) kernels: &'static Kernels,
    pub(super) metric: Metric,
    pub(super) element: Element,
}

impl Exact {
    /// The distance of a row, whose squared norm is `row_sq`, from `query`, whose squared norm is `query_sq`.
    #[inline]
    pub(super) fn distance(&self, query: &[f32], query_sq: f32, row: &[u8], row_sq: f32, work: &mut Vec<f32>) -> f32 {
        let bytes = &row[..query.len() * self.element.bytes()];
        let in_place = (self.element == Element::F32).then(|| bytemuck::try_cast_slice(bytes).ok()).flatten();
        let vector: &[f32] = if let Some(vector) = in_place {
            vector
        } else {
            work.resize(query.len(), 0.0);
            vectors::decode(self.kernels, self.element, bytes, work);
            work
        };
        exact::distance(self.kernels, self.metric, query, query_sq, vector, row_sq)
    }
}

/// Turns rows into hits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ranker<'a> {
    pub(super) records: RecordView<'a>,
    pub(super) deleted: Option<Section<'a>>,
    /// The rows that may be hits, tombstones left out, where a filter says so.
    #[cfg(feature = "among")]
    pub(super) only: Option<&'a RowSet>,
}

impl<'a> Ranker<'a> {
    /// All rows but tombstones.
    pub(super) fn new(records: RecordView<'a>, deleted: Option<Section<'a>>) -> Self {
        Self {
            records,
            deleted,
            #[cfg(feature = "among")]
            only: None,
        }
    }

    /// Whether no row is out.
    fn takes_all(&self) -> bool {
        #[cfg(feature = "among")]
        if self.only.is_some() {
            return false;
        }
        self.deleted.is_none()
    }

    /// Whether `row` may be no hit: a tombstone, or not among those that a filter selected.
    #[inline]
    pub(super) fn is_out(&self, row: u32) -> Result<bool, Corrupt> {
        #[cfg(feature = "among")]
        if let Some(only) = self.only {
            return Ok(!only.contains(row));
        }
        self.deleted.as_ref().map_or(Ok(false), |deleted| is_deleted(deleted, row))
    }

    /// Whether `row` or one of the exact duplicates that follow it may be a hit.
    pub(super) fn lives(&self, mut row: u32) -> Result<bool, Corrupt> {
        if self.takes_all() {
            return Ok(true);
        }
        while self.is_out(row)? {
            if self.records.space.layout.factors(self.records.record(row)?).flags & DUPLICATE_FOLLOWS == 0 {
                return Ok(false);
            }
            row += 1;
        }
        Ok(true)
    }

    /// Appends the hit of `found` and of the exact duplicates that follow it.
    pub(super) fn push_with_duplicates(&self, found: Neighbor, hits: &mut Vec<Hit>) -> Result<(), Corrupt> {
        let mut row = found.node;
        while self.push(Neighbor { node: row, ..found }, hits)? & DUPLICATE_FOLLOWS != 0 {
            row += 1;
            if u64::from(row) >= self.records.section.rows() {
                return Err(corrupt_row(&self.records.section, row - 1, "a duplicate beyond the last row"));
            }
        }
        Ok(())
    }

    /// Appends the hit of `found`, unless it is out; returns the row's flags.
    pub(super) fn push(&self, found: Neighbor, hits: &mut Vec<Hit>) -> Result<u32, Corrupt> {
        let record = self.records.record(found.node)?;
        let layout = self.records.space.layout;
        if !self.is_out(found.node)? {
            hits.push(Hit { id: layout.id(record), distance: found.distance, row: found.node });
        }
        Ok(layout.factors(record).flags)
    }
}
