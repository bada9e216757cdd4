//! Signs of rotated differences: one bit a dimension of what leads from a centre to a row, and two numbers with which the bits estimate
//! the distance of any query from the row.
//!
//! A centre `c` is a node of a graph ([`neighbors`](super::neighbors)) or the middle of a tile ([`tile`](super::tile)). The vector from it to
//! a row `v` is `r = v - c`. Its rotated signs `s` and `p = |r|^2 / <s, R r>` give RaBitQ's estimate of a dot product, `<x, r> ~ p <s, R x>`
//! ([`rabitq`](crate::quant::rabitq), one bit). With `x = q - c`:
//!
//! ```text
//! |q - v|^2 = |q - c|^2 + |r|^2 - 2 <q - c, r>  ~  |q - c|^2 + (|r|^2 + 2 p <s, R c>) - 2 p <s, R q>
//!  -<q, v>  = -<q, c> - <c, r> - <q - c, r>     ~  -<q, c> + (p <s, R c> - <c, r>)    -   p <s, R q>
//! ```
//!
//! The first term is the distance from the centre, which a search computes exactly; so the estimate's error shrinks with `|r| |q - c|`. The
//! bracket and the factor of `<s, R q>` are two numbers a row, halved under cosine. What is left, `<s, R q>`, is looked up: a query's
//! rotated coordinates become integers of -31 to 31, so sums are exact and the same on every machine; and since the centre is in the
//! bracket, one preparation of the query serves all centres.
//!
//! **Error.** Right in the mean over rotations; the deviation is about `0.75 / sqrt(D) |r| |q - c|`, twice that of a squared distance, for the
//! `D` rotated dimensions. It never is more than `|p s - R r| |q - c|`, where `|p s - R r|^2 = p^2 D - |r|^2`, and `p D / 2` steps of the
//! query's integers.

use crate::distance::Kernels;
use crate::distance::fastscan::{Asked, GROUP, TABLE_BYTES};
use crate::format::Metric;
use crate::quant::rotation::Rotation;
use crate::quant::{Encoding, Prepared, Space};
use crate::simd::COLUMNS;
use alloc::vec::Vec;

/// Slots of a block of codes: as many rows as are estimated at once.
pub const BLOCK_SLOTS: usize = COLUMNS;

/// A slot without a row.
pub const UNUSED: [u8; 4] = [0xFF; 4];

/// Whether rows are coded at unit length: under cosine they are when they come, but for integers.
pub(crate) fn is_turned(space: &Space) -> bool {
    space.metric == Metric::Cosine && space.encoding != Encoding::Scaled
}

/// What is coded of a record: codes times scale; at unit length under cosine.
#[cfg(feature = "codes")]
pub(crate) fn coordinates(space: &Space, record: &[u8], out: &mut Vec<f32>) {
    let factors = space.layout.factors(record);
    let codes = &record[..space.layout.dimensions];
    out.clear();
    match space.encoding {
        Encoding::Scaled => out.extend(codes.iter().map(|&code| f32::from(code.cast_signed()) * factors.scale)),
        Encoding::U8 => out.extend(codes.iter().map(|&code| f32::from(code))),
        Encoding::I8 => out.extend(codes.iter().map(|&code| f32::from(code.cast_signed()))),
    }
    if is_turned(space) && factors.norm > 0 {
        let length = libm::sqrt(space.norm(factors.norm)) as f32;
        out.iter_mut().for_each(|value| *value /= length);
    }
}

/// Codes rows about one centre after the other; its buffers are one thread's.
#[cfg(feature = "codes")]
#[derive(Clone, Debug, Default)]
pub struct Coder {
    pub(super) centre: Vec<f32>,
    turned: Vec<f32>,
    step: Vec<f32>,
    signs: Vec<f32>,
}

#[cfg(feature = "codes")]
impl Coder {
    /// Sets the centre to what `fill` leaves in a buffer that it is given.
    pub(super) fn centre(&mut self, rotation: &Rotation, fill: impl FnOnce(&mut Vec<f32>)) {
        fill(&mut self.centre);
        self.turned.clone_from(&self.centre);
        rotation.rotate(&mut self.turned);
    }

    /// Codes a record; returns what is added and what multiplies.
    pub(super) fn code(&mut self, space: &Space, kernels: &Kernels, rotation: &Rotation, record: &[u8]) -> [f32; 2] {
        let Self { centre, turned, step, signs } = self;
        coordinates(space, record, step);
        step.iter_mut().zip(&*centre).for_each(|(to, from)| *to -= from);
        let norm = kernels.dot_f32(step, step);
        let along = kernels.dot_f32(step, centre);
        rotation.rotate(step);
        signs.clear();
        signs.extend(step.iter().map(|&x| if x >= 0.0 { 1.0 } else { -1.0 }));
        let (length, offset) = (kernels.dot_f32(step, signs), kernels.dot_f32(turned, signs));
        // An exact duplicate of the centre is where the centre is.
        let rescale = if length > 0.0 { norm / length } else { 0.0 };
        match space.metric {
            Metric::L2 => [norm + 2.0 * (rescale * offset), -2.0 * rescale],
            Metric::Cosine => [0.5 * norm + rescale * offset, -rescale],
            Metric::InnerProduct => [rescale * offset - along, -rescale],
        }
    }

    /// Puts the signs of the row that was coded last into its slot: 16 bytes for each four rotated dimensions; byte `j` holds those of slot
    /// `j` in its low half and of slot `j + 16` in its high half, the sign of the first dimension in the lowest bit, 1 for plus.
    pub(super) fn put(&self, slot: usize, codes: &mut [u8]) {
        for (group, four) in self.signs.as_chunks::<GROUP>().0.iter().enumerate() {
            let nibble = four.iter().rev().fold(0, |nibble, &sign| nibble << 1 | u8::from(sign > 0.0));
            codes[group * TABLE_BYTES + slot % 16] |= nibble << (slot / 16 * 4);
        }
    }
}

/// A query as the estimates want it; reused without allocating.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SignQuery {
    turned: Vec<f32>,
    tables: Vec<u8>,
    step: f32,
}

impl SignQuery {
    /// Takes a query that is prepared for the records. `O(d log d)`.
    pub fn prepare(&mut self, space: &Space, kernels: &Kernels, rotation: &Rotation, query: &Prepared) {
        let Self { turned, tables, step } = self;
        turned.clear();
        turned.extend(query.codes[..space.layout.dimensions].iter().map(|&code| f32::from(code) * query.scale));
        let length = crate::simd::sqrtf(query.norm as f32);
        if is_turned(space) && length > 0.0 {
            turned.iter_mut().for_each(|value| *value /= length);
        }
        rotation.rotate(turned);
        tables.resize(turned.len() / GROUP * TABLE_BYTES, 0);
        *step = kernels.fill_sign_tables(turned, tables);
    }

    /// What signs are looked up in.
    pub(super) fn asked(&self) -> Asked<'_> {
        Asked { tables: &self.tables, step: self.step }
    }
}

#[cfg(all(test, feature = "codes"))]
mod tests;
