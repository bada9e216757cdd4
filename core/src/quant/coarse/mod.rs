//! Codes coarser than four bits a dimension, as they lie in `codes.rows`: what guides walks in the least memory.
//!
//! | encoding | a row is | source |
//! |---|---|---|
//! | 1, 2, 3 | [`rabitq`](super::rabitq): 1, 2 or 4 bits a dimension of the rotated row, and four factors | Gao et al. 2024 |
//! | 4 | [`pq`](super::pq): one byte a part | Jegou et al. 2011 |
//!
//! Like [`lvq`](super::lvq) they code the record, not the input, so they follow from the records alone. What all rows share (a centre and a
//! rotation's seed, or codebooks) lies in instance 1 of `quant`:
//! ```text
//!  0  u32  version, 1          16  u64  seed of the rotation; 0 under encoding 4
//!  4  u32  dimensions          24  f32  farthest that a row lies from what its codes say; 0 but under encoding 4
//!  8  u32  encoding            28  u32  zero
//! 12  u32  bits, or parts      32  f32  centre, or codebooks
//! ```
//! A walk by such codes ranks more candidates again by records than one by four bits: see [`Method::rerank`].

mod bits;
mod product;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use crate::distance::Kernels;
use crate::format::encoding;
use crate::par::Par;
use crate::quant::pq::Tables;
use crate::quant::rabitq::Planes;
use crate::quant::signs::{coordinates, is_turned};
use crate::quant::{Prepared, Space};
use crate::simd;
use alloc::vec::Vec;
use bits::Bits;
use product::Product;

/// Bytes of instance 1 of `quant` before its numbers.
pub const HEAD_BYTES: usize = 32;

/// How rows are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// 1, 2 or 4 bits a dimension.
    RaBitQ {
        /// Bits of a code.
        bits: u32,
    },
    /// One byte a part.
    Product {
        /// Parts of a vector, at least 1; at most one a dimension.
        parts: usize,
    },
}

impl Method {
    /// Its number as the encoding of `codes.rows`.
    #[must_use]
    pub fn encoding(self) -> u32 {
        match self {
            Self::RaBitQ { bits: 1 } => encoding::CODES_RABITQ_1,
            Self::RaBitQ { bits: 2 } => encoding::CODES_RABITQ_2,
            Self::RaBitQ { .. } => encoding::CODES_RABITQ_4,
            Self::Product { .. } => encoding::CODES_PQ,
        }
    }

    /// The one of that number, given the second word that it needs.
    fn from_file(encoding: u32, word: u32) -> Option<Self> {
        match (encoding, word) {
            (encoding::CODES_RABITQ_1, 1) | (encoding::CODES_RABITQ_2, 2) | (encoding::CODES_RABITQ_4, 4) => {
                Some(Self::RaBitQ { bits: word })
            }
            (encoding::CODES_PQ, _) => Some(Self::Product { parts: word as usize }),
            _ => None,
        }
    }

    /// Candidates for 10 hits that are ranked again by records unless a search or a file says otherwise, at most (codes of parts: all of them):
    /// docs/research/codes.md.
    #[must_use]
    pub fn rerank(self) -> u32 {
        match self {
            Self::RaBitQ { bits: 1 } => 300,
            Self::RaBitQ { bits: 2 } => 80,
            Self::RaBitQ { .. } => 40,
            Self::Product { .. } => 100,
        }
    }
}

/// Codes of a file, with all that turns them into distances.
#[derive(Clone, Debug, PartialEq)]
pub struct Coarse {
    method: Method,
    table: Table,
    /// Candidates ranked again, for as many hits.
    pub(crate) rerank: (u32, u32),
}

#[derive(Clone, Debug, PartialEq)]
enum Table {
    Bits(Bits),
    Product(Product),
}

/// What a query becomes, beside itself; kept from query to query.
#[derive(Clone, Debug, Default)]
pub(crate) struct CoarseQuery {
    /// Its coordinates as the codes see them.
    values: Vec<f32>,
    words: Vec<i16>,
    planes: Planes,
    tables: Tables,
    /// A word is worth this.
    scale: f32,
    /// What the middle of the codes comes to: taken off every product.
    middle: f32,
    /// Squared norm, or under inner product the product with the centre.
    norm: f32,
    /// Length of what is multiplied with the rows of bits.
    length: f32,
}

impl Coarse {
    /// Learns what all codes share from `rows` records: a centre, or codebooks. The same for any number of threads and any kernels.
    /// `O(rows * dimensions)` over a seeded sample; for codebooks times 256 and 12 rounds.
    #[must_use]
    pub fn learn<'a, P: Par>(
        method: Method,
        space: &Space,
        kernels: &Kernels,
        rows: usize,
        record: &(impl Fn(u32) -> &'a [u8] + Sync),
        seed: u64,
        par: &P,
    ) -> Self {
        let (method, table) = match method {
            Method::RaBitQ { bits } => (method, Table::Bits(Bits::learn(bits, space, rows, record, seed))),
            Method::Product { parts } => {
                let parts = parts.clamp(1, space.layout.dimensions);
                (Method::Product { parts }, Table::Product(Product::learn(parts, space, kernels, rows, record, seed, par)))
            }
        };
        Self { method, table, rerank: (method.rerank(), 10) }
    }

    /// Reads instance 1 of `quant` for a table of codes with that encoding, offset of the factors (or parts) and stride, which were
    /// checked against the file's dimensions.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(space: &Space, encoding: u32, parameter: usize, stride: usize, quant: &[u8]) -> Result<Self, &'static str> {
        let dimensions = space.layout.dimensions;
        let Some((head, numbers)) = quant.split_first_chunk::<HEAD_BYTES>() else { return Err("too short") };
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        if word(0) != 1 || word(4) as usize != dimensions || word(8) != encoding {
            return Err("unknown version, or other dimensions or another encoding than the file");
        }
        let Some(method) = Method::from_file(encoding, word(12)) else { return Err("bits or parts that its encoding does not have") };
        let numbers: Vec<f32> = numbers.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let error = f32::from_bits(word(24));
        if !numbers.iter().chain([&error]).all(|value| value.is_finite()) {
            return Err("a value that is not a finite number");
        }
        let table = match method {
            Method::RaBitQ { bits } => {
                let seed = u64::from(word(16)) | u64::from(word(20)) << 32;
                let whole = numbers.len() == dimensions;
                whole.then(|| Table::Bits(Bits { stride, ..Bits::new(bits, seed, numbers) }))
            }
            Method::Product { parts } if parts == parameter => Product::new(parts, dimensions, error, stride, numbers).map(Table::Product),
            Method::Product { .. } => None,
        };
        let table = table.ok_or("another number of values than its encoding has")?;
        Ok(Self { method, table, rerank: (method.rerank(), 10) })
    }

    /// Instance 1 of `quant`.
    #[must_use]
    pub fn to_bytes(&self, dimensions: usize) -> Vec<u8> {
        let (word, seed, error, numbers) = match &self.table {
            Table::Bits(bits) => (bits.bits, bits.seed, 0.0, bits.centre.as_slice()),
            Table::Product(product) => (product.books.parts() as u32, 0, product.error, product.books.columns()),
        };
        let mut bytes = Vec::with_capacity(HEAD_BYTES + 4 * numbers.len());
        for word in [1, dimensions as u32, self.method.encoding(), word] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&seed.to_le_bytes());
        bytes.extend_from_slice(&error.to_le_bytes());
        bytes.resize(HEAD_BYTES, 0);
        bytes.extend(numbers.iter().flat_map(|value| value.to_le_bytes()));
        bytes
    }

    /// How rows are coded.
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// Bytes from one row of codes to the next.
    #[must_use]
    pub fn stride(&self) -> usize {
        match &self.table {
            Table::Bits(bits) => bits.stride,
            Table::Product(product) => product.stride,
        }
    }

    /// The table's `parameter`: where the factors are, or how many parts there are.
    #[must_use]
    pub fn parameter(&self) -> usize {
        match &self.table {
            Table::Bits(bits) => bits.factors(),
            Table::Product(product) => product.books.parts(),
        }
    }

    /// Candidates that a walk for `k` hits ranks again by records, unless it is told.
    #[must_use]
    pub fn rerank_count(&self, k: usize) -> usize {
        let (count, measured) = (self.rerank.0 as usize, (self.rerank.1 as usize).max(1));
        if k > measured { count.saturating_mul(k).div_ceil(measured) } else { count }
    }

    /// Codes `record` into `row`, which is [`Coarse::stride`] long; returns the squared distance between the two where parts are coded,
    /// else 0. `work` is scratch.
    pub fn encode(&self, space: &Space, kernels: &Kernels, record: &[u8], row: &mut [u8], work: &mut Vec<f32>) -> f32 {
        coordinates(space, record, work);
        match &self.table {
            Table::Bits(bits) => bits.encode(work, row),
            Table::Product(product) => return product.encode(kernels, work, row),
        }
        0.0
    }

    /// Notes how far rows lie from what their codes say: the root of the largest number that [`Coarse::encode`] returned.
    pub fn set_error(&mut self, squared: f32) {
        if let Table::Product(product) = &mut self.table {
            product.error = simd::sqrtf(squared);
        }
    }

    /// Farthest that a row lies from what its codes say, where that is known: a length, by which that of an estimated squared distance
    /// errs at most.
    #[must_use]
    pub fn error(&self) -> Option<f32> {
        match &self.table {
            Table::Bits(_) => None,
            Table::Product(product) => Some(product.error),
        }
    }

    /// Candidates for `k` hits that records rank: at least, and at most, of which those beyond the least are that are in doubt. Codes of parts
    /// do not know the error of a row, so they rank one number.
    pub(crate) fn ranked(&self, k: usize) -> (usize, usize) {
        let most = self.rerank_count(k).max(k);
        (if matches!(self.table, Table::Bits(_)) { k } else { most }, most)
    }

    /// How far the estimate of a row's distance lies from that to its record in few cases; infinite where that is not known.
    ///
    /// # Panics
    /// If `row` is not [`Coarse::stride`] long.
    pub(crate) fn tolerance(&self, space: &Space, query: &Prepared, row: &[u8]) -> f32 {
        match &self.table {
            Table::Bits(bits) => bits.tolerance(space, &query.coarse, row),
            Table::Product(_) => f32::INFINITY,
        }
    }

    /// Prepares a user's query, which [`Prepared::query`] has seen already.
    pub fn prepare(&self, space: &Space, kernels: &Kernels, query: &mut Prepared) {
        let length = simd::sqrtf(query.length_sq);
        let Prepared { work, coarse, .. } = query;
        coarse.values.clear();
        coarse.values.extend_from_slice(work);
        if is_turned(space) && length > 0.0 {
            coarse.values.iter_mut().for_each(|value| *value /= length);
        }
        match &self.table {
            Table::Bits(bits) => bits.prepare(space, coarse),
            Table::Product(product) => product.prepare(space, kernels, coarse),
        }
    }

    /// Estimated distances of a prepared query to the rows of codes that start at `places` in `base`; `dots` is scratch. Not finite where
    /// a row's factors are damaged.
    ///
    /// # Panics
    /// If a row does not lie inside `base`.
    #[expect(clippy::too_many_arguments, reason = "a walk's step in one call: rows here, distances there")]
    pub fn distances(
        &self,
        space: &Space,
        kernels: &Kernels,
        query: &Prepared,
        base: &[u8],
        places: &[usize],
        dots: &mut Vec<i32>,
        out: &mut [f32],
    ) {
        dots.resize(places.len(), 0);
        match &self.table {
            Table::Bits(bits) => bits.distances(space, kernels, &query.coarse, base, places, dots, out),
            Table::Product(product) => product.distances(space, kernels, &query.coarse, base, places, dots, out),
        }
    }

    /// Holds a row of codes against its bounds.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, row: &[u8]) -> Result<(), &'static str> {
        match &self.table {
            Table::Bits(bits) => bits.check(row),
            Table::Product(product) if row[product.books.parts()..].iter().any(|&byte| byte != 0) => Err(BESIDE),
            Table::Product(_) => Ok(()),
        }
    }
}

/// What a row says that holds more than its fields.
const BESIDE: &str = "bytes beside its fields are not zero";
