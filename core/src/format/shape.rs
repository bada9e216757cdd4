//! What each kind of table must look like, checked at open so that nothing behind the door asks again.
//!
//! Row counts, dimensions and degrees agree with the superblock here. Strides may be longer than this version needs, so
//! that a later minor version can append fields to a row. Reserved kinds are checked by the version that fills them.

use super::header::Superblock;
use super::raw::COARSE_CODES;
use super::table::Table;
use super::terms::Kind;
use crate::error::{BadField, Must};
use crate::id::ROWS_MAX;

/// Bytes of the factors behind the vector of a record.
pub const FACTORS_BYTES: u32 = 40;
/// Bytes of the factors behind a row of codes.
pub const CODE_FACTORS_BYTES: u32 = 16;
/// Bytes of 32 neighbours and their factors before their codes.
#[cfg(feature = "codes")]
const NEIGHBOR_FACTORS_BYTES: u64 = 3 * 4 * 32;
/// The most bytes of `meta`.
pub const META_BYTES_MAX: u64 = 64 * 1024;
/// The most columns of a file.
pub const COLUMNS_MAX: u64 = 40;
/// Bytes of a `columns` row.
pub const COLUMN_BYTES: u32 = 128;
/// Bytes that a value of a column may take, by the column's encoding. Whole numbers (encoding 0) in fewer than eight are counted from the
/// column's smallest, words (3) from the first.
#[cfg(feature = "filter")]
pub(crate) const COLUMN_WIDTHS: [&[u64]; 4] = [&[1, 2, 4, 8], &[8], &[1], &[1, 2, 4]];
/// Bytes of a `tiles` row.
pub const TILE_BYTES: u32 = 16;
/// Bytes of 32 rows and their factors before their codes.
#[cfg(feature = "tiles")]
pub(super) const TILE_FACTORS_BYTES: u64 = (4 + 2 + 2) * 32;
/// Bytes of a `quality` row.
pub const QUALITY_BYTES: u32 = 48;

/// How the vector of a record reads: the `encoding` of `records`; and that of `codes.rows`.
pub mod encoding {
    /// Signed bytes times a scale of their own, plus the mean in `quant`.
    pub const SCALED_I8: u32 = 0;
    /// The input's unsigned bytes.
    pub const EXACT_U8: u32 = 1;
    /// The input's signed bytes.
    pub const EXACT_I8: u32 = 2;
    /// Of `codes.rows`: four bits a dimension times a scale, plus an offset.
    pub const CODES_U4: u32 = 0;
    /// Of `neighbor.codes`: the signs of each neighbour's rotated difference from the node.
    pub const NEIGHBOR_SIGNS: u32 = 0;
    /// Of `codes.tiles`: the signs of each row's rotated difference from its tile's centroid.
    pub const TILE_SIGNS: u32 = 0;
    /// Of `codes.rows`: RaBitQ of one bit a dimension.
    pub const CODES_RABITQ_1: u32 = 1;
    /// Of `codes.rows`: RaBitQ of two bits a dimension.
    pub const CODES_RABITQ_2: u32 = 2;
    /// Of `codes.rows`: RaBitQ of four bits a dimension.
    pub const CODES_RABITQ_4: u32 = 3;
    /// Of `codes.rows`: product quantization, a byte a part.
    pub const CODES_PQ: u32 = 4;
}

/// Checks a table of a known kind against the superblock; unknown kinds pass.
pub(super) fn check(table: &Table, superblock: &Superblock) -> Result<(), BadField> {
    let Some(kind) = table.kind() else { return Ok(()) };
    let rule = Rule(table);
    let (rows, dimensions) = (superblock.rows, u64::from(superblock.dimensions));
    let (stride, parameter) = (u64::from(table.stride), u64::from(table.parameter));
    match kind {
        Kind::Meta => {
            rule.stride(Must::Equal(1))?;
            rule.rows(Must::AtMost(META_BYTES_MAX))
        }
        Kind::Quant => {
            rule.stride(Must::Equal(1))?;
            rule.rows(Must::AtLeast(16 + 4 * dimensions))
        }
        Kind::Records => {
            rule.rows(Must::Equal(rows))?;
            rule.encoding(Must::AtMost(encoding::EXACT_I8.into()))?;
            rule.parameter(Must::Equal(dimensions.next_multiple_of(16)))?;
            rule.stride(Must::MultipleOf(16))?;
            rule.stride(Must::AtLeast(parameter + u64::from(FACTORS_BYTES)))
        }
        Kind::Edges => {
            rule.rows(Must::Equal(rows))?;
            rule.stride(Must::MultipleOf(4))?;
            rule.parameter(Must::AtMost(stride / 4))?;
            rule.extra(Must::AtMost(rows.saturating_sub(1)))
        }
        Kind::Upper => {
            rule.rows(Must::AtMost(ROWS_MAX))?;
            rule.stride(Must::MultipleOf(4))?;
            rule.stride(Must::AtLeast(16 + 4 * parameter))
        }
        Kind::CodesRows => {
            rule.rows(Must::Equal(rows))?;
            if cfg!(feature = "codes") && (encoding::CODES_RABITQ_1..=encoding::CODES_PQ).contains(&table.encoding) {
                return coarse(&rule, superblock);
            }
            if table.encoding != encoding::CODES_U4 {
                return Ok(()); // codes of a later version: a reader does without
            }
            u4(&rule, dimensions)
        }
        #[cfg(feature = "codes")]
        Kind::NeighborCodes => {
            rule.rows(Must::Equal(rows))?;
            if table.encoding != encoding::NEIGHBOR_SIGNS {
                return Ok(());
            }
            rule.parameter(Must::MultipleOf(32))?;
            rule.stride(Must::AtLeast(parameter / 32 * (NEIGHBOR_FACTORS_BYTES + dimensions.next_multiple_of(64) * 4)))
        }
        #[cfg(not(feature = "codes"))]
        Kind::NeighborCodes => Ok(()), // who does not read a table does without
        Kind::IdsIndex => {
            rule.rows(Must::AtMost(rows))?;
            rule.stride(Must::Equal(16))
        }
        Kind::DupOf => {
            rule.rows(Must::AtMost(rows))?;
            rule.stride(Must::Equal(8))
        }
        Kind::Deleted => {
            rule.stride(Must::Equal(1))?;
            rule.rows(Must::Equal(rows.div_ceil(8)))
        }
        Kind::Quality => rule.stride(Must::AtLeast(QUALITY_BYTES.into())),
        Kind::Payload => rule.stride(Must::Equal(1)),
        Kind::Originals => {
            rule.rows(Must::Equal(rows))?;
            rule.encoding(Must::Equal(superblock.element as u64))?;
            rule.stride(Must::AtLeast(dimensions * superblock.element.bytes() as u64))
        }
        #[cfg(feature = "filter")]
        Kind::Columns => {
            rule.rows(Must::AtMost(COLUMNS_MAX))?;
            rule.stride(Must::AtLeast(COLUMN_BYTES.into()))
        }
        #[cfg(feature = "filter")]
        Kind::Column => {
            rule.rows(Must::Equal(rows))?;
            rule.encoding(Must::AtMost(3))?;
            match COLUMN_WIDTHS.get(table.encoding as usize) {
                Some(widths) if !widths.contains(&table.stride.into()) => rule.stride(Must::Be("a width of the column's type")),
                _ => Ok(()),
            }
        }
        #[cfg(feature = "filter")]
        Kind::ColumnNulls => {
            rule.stride(Must::Equal(1))?;
            rule.rows(Must::Equal(rows.div_ceil(8)))
        }
        #[cfg(feature = "filter")]
        Kind::ColumnEnds => {
            rule.stride(Must::Equal(8))?;
            rule.rows(Must::AtMost(rows))
        }
        #[cfg(feature = "filter")]
        Kind::ColumnText => rule.stride(Must::Equal(1)),
        #[cfg(feature = "tiles")]
        Kind::Tiles => {
            rule.rows(Must::AtMost(ROWS_MAX))?;
            rule.stride(Must::AtLeast(TILE_BYTES.into()))
        }
        #[cfg(feature = "tiles")]
        Kind::RouteRecords => {
            rule.encoding(Must::Equal(encoding::CODES_U4.into()))?;
            u4(&rule, dimensions)
        }
        #[cfg(feature = "tiles")]
        Kind::CodesTiles => {
            rule.rows(Must::AtMost(ROWS_MAX))?;
            rule.encoding(Must::Equal(encoding::TILE_SIGNS.into()))?;
            rule.check("rows a block", table.block_rows.into(), Must::Equal(1))?;
            rule.stride(Must::AtLeast(TILE_FACTORS_BYTES + dimensions.next_multiple_of(64) * 4))
        }
        #[cfg(not(feature = "filter"))]
        Kind::Columns | Kind::Column | Kind::ColumnNulls | Kind::ColumnEnds | Kind::ColumnText => Ok(()),
        #[cfg(not(feature = "tiles"))]
        Kind::Tiles | Kind::RouteRecords | Kind::CodesTiles => Ok(()),
        Kind::Nodes | Kind::RouteEdges | Kind::RouteUpper | Kind::Keys => Ok(()),
    }
}

/// Rows of four bits a dimension.
fn u4(rule: &Rule<'_>, dimensions: u64) -> Result<(), BadField> {
    rule.parameter(Must::Equal(dimensions.div_ceil(32) * 16))?;
    rule.stride(Must::MultipleOf(16))?;
    rule.stride(Must::AtLeast(u64::from(rule.0.parameter) + u64::from(CODE_FACTORS_BYTES)))
}

/// Codes of fewer bits, of which the superblock warns readers that know but u4.
fn coarse(rule: &Rule<'_>, superblock: &Superblock) -> Result<(), BadField> {
    let Table { kind: section, instance, encoding, .. } = *rule.0;
    if superblock.required & COARSE_CODES == 0 {
        let must = Must::Be("0 in a file that does not require feature 0");
        return Err(BadField { section, instance, field: "encoding", value: encoding.into(), must });
    }
    let (dimensions, parameter) = (u64::from(superblock.dimensions), u64::from(rule.0.parameter));
    if encoding == encoding::CODES_PQ {
        rule.parameter(Must::AtLeast(1))?;
        rule.parameter(Must::AtMost(dimensions))?;
        return rule.stride(Must::AtLeast(parameter));
    }
    let bits = 1 << (encoding - encoding::CODES_RABITQ_1);
    rule.parameter(Must::Equal(dimensions.next_multiple_of(64) / 8 * bits))?;
    rule.stride(Must::MultipleOf(16))?;
    rule.stride(Must::AtLeast(parameter + u64::from(CODE_FACTORS_BYTES)))?;
    if bits == 1 { rule.stride(Must::AtLeast(parameter.next_multiple_of(64))) } else { Ok(()) }
}

/// One table under examination.
struct Rule<'a>(&'a Table);

impl Rule<'_> {
    fn rows(&self, must: Must) -> Result<(), BadField> {
        self.check("rows", self.0.rows, must)
    }

    fn stride(&self, must: Must) -> Result<(), BadField> {
        self.check("stride", self.0.stride.into(), must)
    }

    fn encoding(&self, must: Must) -> Result<(), BadField> {
        self.check("encoding", self.0.encoding.into(), must)
    }

    fn parameter(&self, must: Must) -> Result<(), BadField> {
        self.check("parameter", self.0.parameter.into(), must)
    }

    fn extra(&self, must: Must) -> Result<(), BadField> {
        self.check("extra", self.0.extra, must)
    }

    fn check(&self, field: &'static str, value: u64, must: Must) -> Result<(), BadField> {
        let met = match must {
            Must::Equal(limit) => value == limit,
            Must::AtLeast(limit) => value >= limit,
            Must::AtMost(limit) => value <= limit,
            Must::MultipleOf(limit) => value.is_multiple_of(limit),
            Must::Be(_) => true,
        };
        let (section, instance) = (self.0.kind, self.0.instance);
        if met { Ok(()) } else { Err(BadField { section, instance, field, value, must }) }
    }
}
