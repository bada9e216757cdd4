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
        let largest = scalar::largest(&self.work);
        // No way out before the end: of such a loop a compiler makes vectors.
        let whole = |work: &[f32]| work.iter().fold(true, |whole, &x| whole & (x == scalar::round_ties_even(x)));
        let exact = space.encoding != Encoding::Scaled && largest <= 255.0 && whole(&self.work);
        self.scale = if exact { 1.0 } else { largest / space.query_code_max() };
        let (scale, limit) = (self.scale, space.query_code_max());
        self.codes.clear();
        if scale > 0.0 {
            self.codes.extend(self.work.iter().map(|&x| scalar::rounded(scalar::limit(x / scale, limit)) as i16));
        }
        self.codes.resize(space.layout.factors, 0);
        self.sum = self.codes.iter().map(|&c| i32::from(c)).sum();
        // Codes have 15 bits and a sign, so the squares of two are below 2^31. Only a file of another writer has a code left.
        let square = |code: i16| i32::from(code) * i32::from(code);
        let (pairs, rest) = self.codes.as_chunks::<2>();
        let squares: i64 =
            pairs.iter().map(|&[a, b]| i64::from(square(a) + square(b))).chain(rest.iter().map(|&c| i64::from(square(c)))).sum();
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

    #[test]
    fn a_query_is_coded_as_its_numbers_say_one_by_one_and_at_odd_lengths() {
        let values: Vec<f32> = (0..37).map(|at| [0.25, -3.5, 7.0, -0.0, 12.125, 1e-40][at % 6] * (1 + at) as f32).collect();
        let whole: Vec<f32> = (0..37).map(|at| (at * 7 % 256) as f32).collect();
        for (encoding, values, length) in
            [(Encoding::Scaled, &values, 37), (Encoding::U8, &values, 37), (Encoding::U8, &whole, 37), (Encoding::I8, &whole, 1)]
        {
            let layout = RecordLayout { dimensions: length, factors: length, stride: length + 64 };
            let space = Space { metric: Metric::L2, encoding, layout, mean: vec![0.5; length] };
            let mut prepared = Prepared::new();
            prepared.query(&space, Kernels::best(), Query::F32(&values[..length]));
            let centred: Vec<f32> = values[..length].iter().map(|x| if encoding == Encoding::Scaled { x - 0.5 } else { *x }).collect();
            let most = centred.iter().fold(0.0f32, |most, x| most.max(x.abs()));
            let scale = if core::ptr::eq(values, &whole) { 1.0 } else { most / space.query_code_max() };
            let codes: Vec<i16> = centred.iter().map(|x| (x / scale).round_ties_even() as i16).collect();
            assert_eq!((prepared.scale, &prepared.codes), (scale, &codes));
            let squares: f64 = codes.iter().map(|&code| f64::from(code) * f64::from(code)).sum();
            assert_eq!(prepared.norm, f64::from(scale) * f64::from(scale) * squares);
        }
    }
}
