//! How a query and a row are compared: exactly in integers, or in f32 with a bound on the error and then in f64.
//!
//! A **score** orders the rows of one query and leaves out what they share: `|x|^2 - 2 q.x` for L2, `-q.x / |x|` for
//! cosine, `-q.x` for the inner product. In integers a score is the distance itself.

use std::ops::Range;

use nearshore_core::distance::Kernels;
use nearshore_core::format::{Element, Metric};

use super::ExactError;
use crate::dataset::Vectors;

/// Base, queries and metric, and whether integers do.
pub(super) struct Measure<'a> {
    metric: Metric,
    base: Vectors<'a>,
    queries: Vectors<'a>,
    kernels: &'static Kernels,
    /// Both sides are of this byte type.
    bytes: Option<Element>,
}

/// Queries as the first pass wants them.
pub(super) struct Block {
    start: usize,
    dimensions: usize,
    /// As f32, back to back; empty where integers do.
    values: Vec<f32>,
    lengths_sq: Vec<f64>,
}

/// A chunk of rows as the first pass wants them.
#[derive(Default)]
pub(super) struct Rows {
    start: usize,
    values: Vec<f32>,
    lengths_sq: Vec<f64>,
}

impl<'a> Measure<'a> {
    pub(super) fn new(metric: Metric, base: Vectors<'a>, queries: Vectors<'a>, kernels: &'static Kernels) -> Self {
        let bytes = Some(base.element()).filter(|&element| element == queries.element() && matches!(element, Element::U8 | Element::I8));
        Self { metric, base, queries, kernels, bytes }
    }

    /// Whether scores are distances, free of rounding where the metric is.
    pub(super) fn is_exact(&self) -> bool {
        self.bytes.is_some()
    }

    /// Orders the rows of a query.
    #[inline]
    pub(super) fn score(&self, block: &Block, query: usize, rows: &Rows, row: usize) -> f64 {
        let length_sq = rows.lengths_sq[row];
        if let Some(element) = self.bytes {
            let (query_row, base_row) = (self.queries.row(block.start + query), self.base.row(rows.start + row));
            return self.of_integers(self.dot_bytes(element, query_row, base_row), block.lengths_sq[query], length_sq);
        }
        let d = block.dimensions;
        let dot = f64::from(self.kernels.dot_f32(&block.values[query * d..][..d], &rows.values[row * d..][..d]));
        match self.metric {
            Metric::L2 => length_sq - 2.0 * dot,
            Metric::Cosine => -dot / length_sq.sqrt(),
            Metric::InnerProduct => -dot,
        }
    }

    /// Distance from exact sums.
    fn of_integers(&self, dot: f64, query_sq: f64, row_sq: f64) -> f64 {
        match self.metric {
            Metric::L2 => query_sq + row_sq - 2.0 * dot,
            Metric::Cosine => 1.0 - dot / (query_sq.sqrt() * row_sq.sqrt()),
            Metric::InnerProduct => 1.0 - dot,
        }
    }

    #[inline]
    fn dot_bytes(&self, element: Element, a: &[u8], b: &[u8]) -> f64 {
        if element == Element::U8 {
            f64::from(self.kernels.dot_u8(a, b))
        } else {
            f64::from(self.kernels.dot_i8(bytemuck::cast_slice(a), bytemuck::cast_slice(b)))
        }
    }

    /// The score that belongs to a distance.
    pub(super) fn score_of(&self, block: &Block, query: usize, distance: f64) -> f64 {
        let query_sq = block.lengths_sq[query];
        match self.metric {
            Metric::L2 => distance - query_sq,
            Metric::Cosine => (distance - 1.0) * query_sq.sqrt(),
            Metric::InnerProduct => distance - 1.0,
        }
    }

    /// How far a score of the first pass may be from the true one, for rows whose squared lengths lie in
    /// `lengths_sq`. Each of 32
    /// lanes adds `dimensions / 32` rounded products, then the lanes meet in a tree: `u * (dimensions / 32 + 8)` of
    /// the sum of magnitudes, itself at most `|q| |x|`. Not a number, so never enough, where f32 may overflow.
    pub(super) fn error_bound(&self, block: &Block, query: usize, lengths_sq: (f64, f64)) -> f64 {
        let (q, x) = (block.lengths_sq[query].sqrt(), lengths_sq.1.sqrt());
        if q * x > f64::from(f32::MAX) / 4.0 {
            return f64::NAN;
        }
        let relative = (block.dimensions as f64 / 32.0 + 8.0) * f64::from(f32::EPSILON);
        // Products below the smallest normal f32 lose their relative precision.
        let tiny = block.dimensions as f64 * f64::from(f32::MIN_POSITIVE);
        match self.metric {
            Metric::L2 => 2.0 * (relative * q * x + tiny),
            Metric::Cosine => relative * q + tiny / lengths_sq.0.sqrt(),
            Metric::InnerProduct => relative * q * x + tiny,
        }
    }

    /// The query in f64.
    pub(super) fn load_query(&self, query: usize, out: &mut Vec<f64>) {
        let mut values = vec![0.0; self.queries.dimensions()];
        self.queries.decode(self.kernels, query, &mut values);
        out.clear();
        out.extend(values.into_iter().map(f64::from));
    }

    /// The distance in f64; exact for bytes.
    pub(super) fn distance(&self, query: &[f64], row: usize) -> f64 {
        let bytes = self.base.row(row);
        let sums = |number: &dyn Fn(usize) -> f64| match self.metric {
            Metric::L2 => query.iter().enumerate().map(|(i, q)| (q - number(i)).powi(2)).sum(),
            Metric::InnerProduct => 1.0 - query.iter().enumerate().map(|(i, q)| q * number(i)).sum::<f64>(),
            Metric::Cosine => {
                let (mut dot, mut q_sq, mut x_sq) = (0.0, 0.0, 0.0);
                for (i, q) in query.iter().enumerate() {
                    let x = number(i);
                    dot += q * x;
                    q_sq += q * q;
                    x_sq += x * x;
                }
                self.of_integers(dot, q_sq, x_sq)
            }
        };
        match self.base.element() {
            Element::F32 => {
                let cells = bytes.as_chunks().0;
                sums(&|i| f64::from(f32::from_le_bytes(cells[i])))
            }
            Element::F16 => {
                let mut row_values = vec![0.0; query.len()];
                self.base.decode(self.kernels, row, &mut row_values);
                sums(&|i| f64::from(row_values[i]))
            }
            Element::U8 => sums(&|i| f64::from(bytes[i])),
            Element::I8 => sums(&|i| f64::from(bytes[i].cast_signed())),
        }
    }

    /// A squared length that has a distance: finite, and not zero under cosine.
    fn usable(&self, length_sq: f64) -> bool {
        length_sq.is_finite() && (self.metric != Metric::Cosine || length_sq > 0.0)
    }
}

impl Block {
    /// Loads queries; refuses those that have no distance.
    pub(super) fn new(measure: &Measure<'_>, queries: Range<usize>) -> Result<Self, ExactError> {
        let mut rows = Rows::default();
        rows.load_from(measure, measure.queries, queries.clone()).map_err(ExactError::Query)?;
        let Rows { start, values, lengths_sq } = rows;
        Ok(Self { start, dimensions: measure.queries.dimensions(), values, lengths_sq })
    }
}

impl Rows {
    /// Squared lengths of the loaded rows.
    pub(super) fn lengths_sq(&self) -> &[f64] {
        &self.lengths_sq
    }

    /// Loads a chunk of the base; the number of the first row that has no distance otherwise.
    pub(super) fn load(&mut self, measure: &Measure<'_>, rows: Range<usize>) -> Result<(), u64> {
        self.load_from(measure, measure.base, rows)
    }

    fn load_from(&mut self, measure: &Measure<'_>, from: Vectors<'_>, rows: Range<usize>) -> Result<(), u64> {
        let d = from.dimensions();
        self.start = rows.start;
        self.lengths_sq.clear();
        if measure.bytes.is_none() {
            self.values.resize(rows.len() * d, 0.0);
        }
        for (place, row) in rows.enumerate() {
            let length_sq = match measure.bytes {
                Some(element) => measure.dot_bytes(element, from.row(row), from.row(row)),
                None => {
                    let values = &mut self.values[place * d..][..d];
                    from.decode(measure.kernels, row, values);
                    values.iter().map(|&value| f64::from(value) * f64::from(value)).sum()
                }
            };
            if !measure.usable(length_sq) {
                return Err(row as u64);
            }
            self.lengths_sq.push(length_sq);
        }
        Ok(())
    }
}
