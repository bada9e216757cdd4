//! A checked directory entry and the arithmetic that finds a row.
//!
//! ```text
//! offset ->  | row row row ... zeros check | row row row ... zeros check | ...     blocks of `block_bytes`
//! row r lies at   offset + (r / block_rows) * block_bytes + (r % block_rows) * stride
//! ```

use super::hash;
use super::raw::RawTable;
use super::terms::Kind;
use crate::error::{BadField, Must};
use alloc::vec::Vec;

/// The section is in the hot region: what every query needs.
pub(super) const HOT: u16 = 1;
/// A reader that does not know the kind refuses the file.
pub(super) const REQUIRED: u16 = 2;

/// The most bytes of a block.
pub(super) const BLOCK_BYTES_MAX: u32 = 16 << 20;
/// Hot sections begin at a multiple of this.
pub(super) const ALIGN_HOT: u64 = 64;
/// Cold sections begin at a multiple of this.
pub(super) const ALIGN_COLD: u64 = 4096;
/// Gaps between sections are smaller than this.
pub(super) const GAP_END: u64 = 4096;
/// Bytes of the check at the end of a block.
pub(super) const CHECK_BYTES: u32 = 8;

/// One table of a file. All products of its fields are known to fit, and all its bytes to lie inside the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// A [`Kind`], or a number that this version does not know.
    pub kind: u16,
    /// [`HOT`], [`REQUIRED`].
    pub flags: u16,
    /// How a row's bytes read; per kind.
    pub encoding: u32,
    /// Of the first block.
    pub offset: u64,
    /// Rows of the table.
    pub rows: u64,
    /// Bytes of a row.
    pub stride: u32,
    /// Rows of a block.
    pub block_rows: u32,
    /// Bytes of a block, its check included.
    pub block_bytes: u32,
    /// Per kind.
    pub parameter: u32,
    /// XXH3-64 of the blocks' checks in order.
    pub digest: u64,
    /// Tells tables of one kind apart.
    pub instance: u32,
    /// Per kind.
    pub extra: u64,
}

impl Table {
    /// Makes the rows in `bytes`, from `start` on, block `block` of this table: zeros behind them, and the check.
    pub fn seal(&self, build_id: u64, block: u64, bytes: &mut Vec<u8>, start: usize) {
        bytes.resize(start + self.block_bytes as usize - CHECK_BYTES as usize, 0);
        let check = hash::block_check(build_id, self.kind, self.instance, block, bytes.get(start..).unwrap_or_default());
        bytes.extend_from_slice(&check.to_le_bytes());
    }

    /// Checks one entry by itself: everything but its neighbours, and what its kind asks for.
    pub(super) fn check(raw: &RawTable, file_bytes: u64) -> Result<Self, BadField> {
        let bad = |field, value, must| BadField { section: raw.kind, instance: raw.instance, field, value, must };
        let &RawTable { kind, flags, encoding, offset, rows, stride, block_rows, .. } = raw;
        let &RawTable { block_bytes, parameter, digest, instance, extra, .. } = raw;
        let table = Table { kind, flags, encoding, offset, rows, stride, block_rows, block_bytes, parameter, digest, instance, extra };
        if kind == 0 {
            return Err(bad("kind", 0, Must::AtLeast(1)));
        }
        let align = if table.is_hot() { ALIGN_HOT } else { ALIGN_COLD };
        if !offset.is_multiple_of(align) {
            return Err(bad("offset", offset, Must::MultipleOf(align)));
        }
        if stride == 0 {
            return Err(bad("stride", 0, Must::AtLeast(1)));
        }
        if block_rows == 0 {
            return Err(bad("rows a block", 0, Must::AtLeast(1)));
        }
        if block_bytes > BLOCK_BYTES_MAX {
            return Err(bad("block bytes", block_bytes.into(), Must::AtMost(BLOCK_BYTES_MAX.into())));
        }
        if !block_bytes.is_multiple_of(8) {
            return Err(bad("block bytes", block_bytes.into(), Must::MultipleOf(8)));
        }
        // u32 * u32 + 8 fits a u64.
        let needed = u64::from(block_rows) * u64::from(stride) + u64::from(CHECK_BYTES);
        if u64::from(block_bytes) < needed {
            return Err(bad("block bytes", block_bytes.into(), Must::AtLeast(needed)));
        }
        if offset > file_bytes {
            return Err(bad("offset", offset, Must::AtMost(file_bytes)));
        }
        if table.blocks() > (file_bytes - offset) / u64::from(block_bytes) {
            return Err(bad("rows", rows, Must::Be("few enough for the section to end inside the file")));
        }
        Ok(table)
    }

    /// Which table it is, `None` for one that this version does not know.
    pub fn kind(&self) -> Option<Kind> {
        Kind::known(self.kind)
    }

    /// Whether it lies in the hot region.
    pub const fn is_hot(&self) -> bool {
        self.flags & HOT != 0
    }

    /// Whether a reader must know its kind.
    pub const fn is_required(&self) -> bool {
        self.flags & REQUIRED != 0
    }

    /// Blocks of the table; the last may be partly filled, yet is as long as the others.
    pub const fn blocks(&self) -> u64 {
        self.rows.div_ceil(self.block_rows as u64)
    }

    /// Bytes of the whole section.
    pub const fn section_bytes(&self) -> u64 {
        self.blocks().saturating_mul(self.block_bytes as u64)
    }

    /// Where the section ends in the file.
    pub const fn end(&self) -> u64 {
        self.offset.saturating_add(self.section_bytes())
    }

    /// The block that holds a row.
    pub const fn block_of(&self, row: u64) -> u64 {
        row / self.block_rows as u64
    }

    /// Where a block begins in the file. Saturates beyond the last one.
    pub const fn block_offset(&self, block: u64) -> u64 {
        self.offset.saturating_add(block.saturating_mul(self.block_bytes as u64))
    }

    /// Where a row begins in the file. Saturates beyond the last one.
    pub const fn row_offset(&self, row: u64) -> u64 {
        let within = (row % self.block_rows as u64) * self.stride as u64;
        self.block_offset(self.block_of(row)).saturating_add(within)
    }

    /// Bytes of rows in a block: less in the last one, 0 beyond it.
    pub const fn row_bytes(&self, block: u64) -> u64 {
        let before = block.saturating_mul(self.block_rows as u64);
        let rows = self.rows.saturating_sub(before);
        let rows = if rows < self.block_rows as u64 { rows } else { self.block_rows as u64 };
        rows * self.stride as u64
    }
}

impl From<&Table> for RawTable {
    fn from(table: &Table) -> Self {
        let &Table { kind, flags, encoding, offset, rows, stride, block_rows, .. } = table;
        let &Table { block_bytes, parameter, digest, instance, extra, .. } = table;
        RawTable { kind, flags, encoding, offset, rows, stride, block_rows, block_bytes, parameter, digest, instance, reserved: 0, extra }
    }
}
