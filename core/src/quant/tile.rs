//! The rows of a tile in one bit a dimension, relative to the tile's centroid: what a search that has to fetch its bytes reads first.
//!
//! [`signs`](super::signs) tells what a slot holds; its centre is the centroid as `route.records` says it. A block is 32 slots:
//!
//! ```text
//!   0  u32 x 32   rows; unused slots last, 2^32 - 1
//! 128  bf16 x 32  added
//! 192  bf16 x 32  multiplied: the high halves of f32, rounded to nearest, halves to even
//! 256  signs      16 bytes for each four rotated dimensions
//! ```
//! A bf16 errs by 0.2 % of the square of how far a row lies from its centroid, one bit a dimension by several, so the half bytes cost no
//! recall and are a seventh of what is fetched at 384 dimensions.

#[cfg(feature = "codes")]
use super::lvq::CodeLayout;
#[cfg(feature = "codes")]
use super::signs::UNUSED;
use super::signs::{BLOCK_SLOTS, SignQuery};
use crate::distance::Kernels;
use crate::distance::fastscan::{FACTOR_BYTES, GROUP, TABLE_BYTES};
#[cfg(feature = "codes")]
use crate::quant::{Space, rotation::Rotation, signs};
use alloc::vec::Vec;

/// Bytes of the rows of a block.
const SLOT_BYTES: usize = 4 * BLOCK_SLOTS;
/// Bytes of a block before its signs.
const HEAD_BYTES: usize = SLOT_BYTES + 2 * 2 * BLOCK_SLOTS;

/// Places inside a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileLayout {
    /// Bytes of signs.
    codes: usize,
}

impl TileLayout {
    /// The layout for rows of `dimensions` elements.
    #[must_use]
    pub fn new(dimensions: usize) -> Self {
        Self { codes: dimensions.max(1).next_multiple_of(64) / GROUP * TABLE_BYTES }
    }

    /// Bytes of a block.
    #[must_use]
    pub fn block(&self) -> usize {
        HEAD_BYTES + self.codes
    }

    /// The row in each slot.
    #[must_use]
    pub fn slots_of(block: &[u8]) -> &[[u8; 4]] {
        block[..SLOT_BYTES].as_chunks().0
    }

    /// Distances of the 32 slots from the query, which is `base` from the centroid. `wide` is scratch.
    ///
    /// # Panics
    /// If `block` is shorter than a block.
    pub fn estimate(
        &self,
        kernels: &Kernels,
        query: &SignQuery,
        base: f32,
        block: &[u8],
        wide: &mut Vec<u8>,
        out: &mut [f32; BLOCK_SLOTS],
    ) {
        wide.clear();
        for half in block[SLOT_BYTES..HEAD_BYTES].as_chunks::<2>().0 {
            wide.extend_from_slice(&[0, 0, half[0], half[1]]);
        }
        debug_assert_eq!(wide.len(), FACTOR_BYTES);
        wide.extend_from_slice(&block[HEAD_BYTES..HEAD_BYTES + self.codes]);
        kernels.estimate_neighbors(query.asked(), base, f32::INFINITY, wide, &[], out);
    }

    /// Whether a block leads to rows below `rows` alone, the used slots first, has numbers for factors, and zeros for unused slots.
    ///
    /// # Errors
    /// What is wrong.
    #[cfg(feature = "codes")]
    pub fn check(&self, block: &[u8], rows: usize) -> Result<usize, &'static str> {
        let (factors, codes) = block[SLOT_BYTES..self.block()].split_at(HEAD_BYTES - SLOT_BYTES);
        let factor = |at: usize| factors.as_chunks::<2>().0[at];
        let mut used = None;
        for (slot, &row) in Self::slots_of(block).iter().enumerate() {
            let own = [factor(slot), factor(BLOCK_SLOTS + slot)];
            if row == UNUSED {
                used = used.or(Some(slot));
                let mut nibbles = codes.as_chunks::<16>().0.iter().map(|bytes| bytes[slot % 16] >> (slot / 16 * 4) & 15);
                if own != [[0; 2]; 2] || nibbles.any(|nibble| nibble != 0) {
                    return Err("bytes beside its fields are not zero");
                }
            } else if used.is_some() {
                return Err("a gap between rows");
            } else if u32::from_le_bytes(row) as usize >= rows {
                return Err("a row beyond the last one");
            } else if !own.into_iter().all(|half| wide(half).is_finite()) {
                return Err("a factor is not a finite number");
            }
        }
        Ok(used.unwrap_or(BLOCK_SLOTS))
    }

    /// Codes up to 32 rows, given with their records, about the centroid that `coder` was set to.
    ///
    /// # Panics
    /// If `block` is not a block long, or there are more rows than slots.
    #[cfg(feature = "codes")]
    pub fn encode<'r>(
        &self,
        space: &Space,
        kernels: &Kernels,
        rotation: &Rotation,
        coder: &mut signs::Coder,
        rows: impl Iterator<Item = (u32, &'r [u8])>,
        block: &mut [u8],
    ) {
        block.fill(0);
        let (slots, rest) = block.split_at_mut(SLOT_BYTES);
        slots.fill(0xFF);
        let (factors, codes) = rest.split_at_mut(HEAD_BYTES - SLOT_BYTES);
        for (slot, (row, record)) in rows.enumerate() {
            slots[4 * slot..][..4].copy_from_slice(&row.to_le_bytes());
            let [add, multiply] = coder.code(space, kernels, rotation, record);
            coder.put(slot, codes);
            factors[2 * slot..][..2].copy_from_slice(&narrow(add));
            factors[2 * (BLOCK_SLOTS + slot)..][..2].copy_from_slice(&narrow(multiply));
        }
    }
}

#[cfg(feature = "codes")]
impl signs::Coder {
    /// Sets the centre to the centroid that a row of `route.records` says.
    pub fn centroid(&mut self, space: &Space, rotation: &Rotation, layout: &CodeLayout, row: &[u8]) {
        let factors = layout.factors(row);
        self.centre(rotation, |centre| {
            centre.clear();
            centre.extend((0..layout.dimensions).map(|j| factors.scale * f32::from(layout.code(row, j)) + factors.offset));
            if signs::is_turned(space) && factors.norm > 0.0 {
                let length = crate::simd::sqrtf(factors.norm);
                centre.iter_mut().for_each(|value| *value /= length);
            }
        });
    }
}

#[cfg(feature = "codes")]
fn wide(half: [u8; 2]) -> f32 {
    f32::from_bits(u32::from(u16::from_le_bytes(half)) << 16)
}

/// The nearest bf16, halves to even; a number stays a number unless it is within a part in 512 of the largest.
#[cfg(feature = "codes")]
fn narrow(value: f32) -> [u8; 2] {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7FFF + (bits >> 16 & 1));
    ((rounded >> 16) as u16).to_le_bytes()
}
