//! A query, ready for the integer kernels.
//!
//! Codes are i16: rows are widened to i16 inside the kernels anyway, so a query may keep as many
//! bits as the i32 sum allows. With i8 rows of 1024 dimensions that is 14 bits, so practically
//! all of the error of an estimated distance is the row's. Integer queries against integer
//! rows stay exact.

use crate::distance::Kernels;
use crate::format::Metric;
use crate::quant::space::Space;
use crate::quant::{Encoding, Factors, exact, scalar};
use crate::simd::words_of;
use crate::vectors::Query;
use alloc::vec::Vec;

/// A query as the kernels want it; reused from query to query without allocating.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    /// Codes, padded with zeros to the record's code bytes.
    pub(crate) codes: Vec<i16>,
    /// Codes times this give the (centred) query.
    pub(crate) scale: f32,
    /// Squared norm of `codes * scale`.
    pub(crate) norm: f64,
    /// Sum of the codes of a user's query: what an offset in all coordinates of a row is multiplied by.
    pub(crate) sum: i32,
    /// The query as f32, not centred; empty when made of a record.
    pub(crate) full: Vec<f32>,
    /// Squared norm of `full`.
    pub(crate) length_sq: f32,
    /// The query as rows were before they were coded.
    pub(crate) work: Vec<f32>,
    /// What it becomes where coarse codes guide a walk.
    #[cfg(feature = "codes")]
    pub(crate) coarse: super::coarse::CoarseQuery,
}

impl Prepared {
    /// An empty one, to be filled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Prepares a user's query, whose length and values were checked.
    pub fn query(&mut self, space: &Space, kernels: &Kernels, query: Query<'_>) {
        query.decode(&mut self.full);
        self.length_sq = exact::length_sq(kernels, &self.full);
        self.work.clear();
        self.work.extend_from_slice(&self.full);
        if space.encoding == Encoding::Scaled {
            if space.metric == Metric::Cosine {
                exact::normalize(kernels, &mut self.work);
            }
            for (value, mean) in self.work.iter_mut().zip(&space.mean) {
                *value -= mean;
            }
        }
        let largest = self.work.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        let exact = space.encoding != Encoding::Scaled && largest <= 255.0 && self.work.iter().all(|&x| x == scalar::round_ties_even(x));
        self.scale = if exact { 1.0 } else { largest / space.query_code_max() };
        let scale = self.scale;
        let limit = space.query_code_max();
        self.codes.clear();
        self.codes.extend(self.work.iter().map(|&x| {
            let code = if scale > 0.0 { scalar::round_ties_even(x / scale) } else { 0.0 };
            scalar::limit(code, limit) as i16
        }));
        self.codes.resize(space.layout.factors, 0);
        self.sum = self.codes.iter().map(|&c| i32::from(c)).sum();
        let squares: i64 = self.codes.iter().map(|&c| i64::from(c) * i64::from(c)).sum();
        self.norm = f64::from(scale) * f64::from(scale) * squares as f64;
    }

    /// Prepares a stored record as the query: exactly its own codes, so that distances between
    /// records are symmetric.
    pub fn record(&mut self, space: &Space, codes: &[u8], factors: &Factors) {
        self.full.clear();
        self.codes.clear();
        self.codes.resize(codes.len(), 0);
        match space.encoding {
            Encoding::U8 => widen::<false>(codes, &mut self.codes),
            _ => widen::<true>(codes, &mut self.codes),
        }
        self.scale = factors.scale;
        self.norm = space.norm(factors.norm);
    }
}

/// Widens every code.
#[inline(always)]
fn widen<const SIGNED: bool>(codes: &[u8], wide: &mut [i16]) {
    let ((steps, rest), (wide, wide_rest)) = (codes.as_chunks::<16>(), wide.as_chunks_mut::<16>());
    steps.iter().zip(wide).for_each(|(codes, wide)| *wide = words_of::<SIGNED>(codes));
    // Only a record of another writer has a rest.
    rest.iter().zip(wide_rest).for_each(|(&code, wide)| *wide = if SIGNED { (code as i8).into() } else { code.into() });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Element;
    use crate::quant::RecordLayout;

    #[test]
    fn a_record_becomes_a_query_of_its_own_codes_at_every_length() {
        let bytes: Vec<u8> = (0..=255).collect();
        for element in [Element::U8, Element::I8] {
            for length in 0..bytes.len() {
                let layout = RecordLayout::new(length);
                let space = Space { metric: Metric::L2, encoding: Encoding::of(element), layout, mean: Vec::new() };
                let mut prepared = Prepared::new();
                prepared.record(&space, &bytes[..length], &Factors { scale: 1.0, norm: 0, length_sq: 0.0, flags: 0 });
                let value = |byte: u8| if element == Element::U8 { i16::from(byte) } else { i16::from(byte as i8) };
                assert!(prepared.codes.iter().copied().eq(bytes[..length].iter().map(|&byte| value(byte))));
            }
        }
    }
}
