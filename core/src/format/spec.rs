//! What a writer is told before the first byte: the file as a whole and its tables, from which all places follow.

use alloc::vec::Vec;

use super::header::{Header, Superblock};
use super::raw::{COARSE_CODES, HEADER_BYTES, VERSION};
use super::shape::encoding::{CODES_PQ, CODES_RABITQ_1};
use super::table::{ALIGN_COLD, ALIGN_HOT, BLOCK_BYTES_MAX, CHECK_BYTES, HOT, REQUIRED, Table};
use super::terms::{Element, Kind, Metric, Plan, Refine};
use crate::error::{BadField, Must};

/// The largest block that [`TableSpec::table`] chooses.
const BLOCK_BYTES: u32 = 64 * 1024;

/// What a disk reads at least.
pub(crate) const PAGE_BYTES: u32 = 4096;

/// What a file is as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSpec {
    /// Rows of the index.
    pub rows: u64,
    /// Coordinates of a vector.
    pub dimensions: u32,
    /// How far apart two vectors are.
    pub metric: Metric,
    /// Type of the input's coordinates.
    pub element: Element,
    /// How a search goes about it unless told.
    pub plan: Plan,
    /// What the final ranking is computed from unless told.
    pub refine: Refine,
    /// Seed of the build.
    pub seed: u64,
    /// Hash of all that decides the bytes, see [`build_id`](super::build_id).
    pub build_id: u64,
}

/// One table to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSpec {
    /// What it holds.
    pub kind: Kind,
    /// Tells tables of one kind apart.
    pub instance: u32,
    /// Whether every query needs it; hot tables come first.
    pub hot: bool,
    /// Whether a reader must know its kind.
    pub required: bool,
    /// How a row's bytes read; per kind.
    pub encoding: u32,
    /// Rows of the table.
    pub rows: u64,
    /// Bytes of a row.
    pub stride: u32,
    /// Rows of a block.
    pub block_rows: u32,
    /// Per kind.
    pub parameter: u32,
    /// Per kind.
    pub extra: u64,
    /// What the bytes of a block are a multiple of, itself one of 8: 64, so that rows stay aligned to cache lines; 8, where bytes are fetched;
    /// a page, where pages are read.
    pub align: u32,
}

impl TableSpec {
    /// A table of `rows` rows of `stride` bytes: one block when it fits 64 KiB, else as many rows a block as fit,
    /// rounded down to a power of two, so that finding a row needs no division.
    pub fn table(kind: Kind, rows: u64, stride: u32) -> Self {
        let fit = ((BLOCK_BYTES - CHECK_BYTES) / stride.max(1)).max(1);
        let block_rows = match u32::try_from(rows) {
            Ok(rows) if rows <= fit => rows.max(1),
            _ => 1 << fit.ilog2(),
        };
        Self { kind, instance: 0, hot: false, required: false, encoding: 0, rows, stride, block_rows, parameter: 0, extra: 0, align: 64 }
    }

    /// A blob of `bytes` bytes.
    pub fn blob(kind: Kind, bytes: u64) -> Self {
        Self::table(kind, bytes, 1)
    }

    /// Sets which of several tables of its kind it is.
    #[must_use]
    pub fn instance(self, instance: u32) -> Self {
        Self { instance, ..self }
    }

    /// Puts it into the hot region.
    #[must_use]
    pub fn hot(self) -> Self {
        Self { hot: true, ..self }
    }

    /// Makes readers refuse the file if they do not know its kind.
    #[must_use]
    pub fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// Sets how a row's bytes read.
    #[must_use]
    pub fn encoding(self, encoding: u32) -> Self {
        Self { encoding, ..self }
    }

    /// Sets the rows of a block.
    #[must_use]
    pub fn block_rows(self, block_rows: u32) -> Self {
        Self { block_rows, ..self }
    }

    /// Makes blocks as short as they can be.
    #[must_use]
    pub fn packed(self) -> Self {
        Self { align: 8, ..self }
    }

    /// Makes each block one page of `page_bytes`, or as long as one row takes; blocks begin where a disk's pages of 4 KiB do.
    #[must_use]
    pub fn paged(self, page_bytes: u32) -> Self {
        let rows = page_bytes.saturating_sub(CHECK_BYTES) / self.stride.max(1);
        Self { block_rows: rows.max(1), align: PAGE_BYTES, ..self }
    }

    /// Makes each block as many rows as a page holds, side by side without the rest of the page: where rows are seldom read by themselves.
    #[must_use]
    pub fn page_rows(self, page_bytes: u32) -> Self {
        self.paged(page_bytes).packed()
    }

    /// Sets the kind's parameter.
    #[must_use]
    pub fn parameter(self, parameter: u32) -> Self {
        Self { parameter, ..self }
    }

    /// Sets the kind's extra value.
    #[must_use]
    pub fn extra(self, extra: u64) -> Self {
        Self { extra, ..self }
    }

    /// Places the table at `offset`.
    pub(super) fn place(&self, offset: u64) -> Result<Table, BadField> {
        let kind = self.kind as u16;
        let bad = |field, value, must| BadField { section: kind, instance: self.instance, field, value, must };
        for (field, value) in [("stride", self.stride), ("rows a block", self.block_rows)] {
            if value == 0 {
                return Err(bad(field, 0, Must::AtLeast(1)));
            }
        }
        let wanted =
            (u64::from(self.block_rows) * u64::from(self.stride) + u64::from(CHECK_BYTES)).next_multiple_of(u64::from(self.align.max(8)));
        let block_bytes = u32::try_from(wanted).unwrap_or(u32::MAX);
        if block_bytes > BLOCK_BYTES_MAX {
            return Err(bad("block bytes", wanted, Must::AtMost(BLOCK_BYTES_MAX.into())));
        }
        let table = Table {
            kind,
            flags: if self.hot { HOT } else { 0 } | if self.required { REQUIRED } else { 0 },
            encoding: self.encoding,
            offset,
            rows: self.rows,
            stride: self.stride,
            block_rows: self.block_rows,
            block_bytes,
            parameter: self.parameter,
            digest: 0,
            instance: self.instance,
            extra: self.extra,
        };
        // Half the range, so that aligning the next offset cannot overflow either.
        if table.end() > u64::MAX / 2 {
            return Err(bad("rows", self.rows, Must::Be("few enough for the file to have a length")));
        }
        Ok(table)
    }
}

/// What readers must know.
fn required(specs: &[TableSpec]) -> u64 {
    let coarse = |spec: &TableSpec| spec.kind == Kind::CodesRows && (CODES_RABITQ_1..=CODES_PQ).contains(&spec.encoding);
    if cfg!(feature = "codes") && specs.iter().any(coarse) { COARSE_CODES } else { 0 }
}

/// Bytes of the file to come.
#[cfg(feature = "codes")]
pub(crate) fn file_bytes(file: &FileSpec, specs: &[TableSpec]) -> Result<u64, BadField> {
    header(file, specs).map(|header| header.superblock.file_bytes)
}

/// The header of the file to come, its digests and identity still to be filled in.
pub(super) fn header(file: &FileSpec, specs: &[TableSpec]) -> Result<Header, BadField> {
    let start = HEADER_BYTES as u64;
    let (mut end, mut hot_end) = (start, start);
    let mut tables = Vec::with_capacity(specs.len());
    for spec in specs {
        if spec.hot && end > hot_end {
            let (section, instance) = (spec.kind as u16, spec.instance);
            let must = Must::Be("before all tables that are not hot");
            return Err(BadField { section, instance, field: "place", value: end, must });
        }
        let table = spec.place(end.next_multiple_of(if spec.hot { ALIGN_HOT } else { ALIGN_COLD }))?;
        end = table.end();
        if spec.hot {
            hot_end = end;
        }
        tables.push(table);
    }
    let superblock = Superblock {
        rows: file.rows,
        dimensions: file.dimensions,
        metric: file.metric,
        element: file.element,
        plan: file.plan,
        refine: file.refine,
        seed: file.seed,
        build_id: file.build_id,
        identity: [0; 16],
        file_bytes: end,
        hot: (start, hot_end - start),
        required: required(specs),
        optional: 0,
        minor: VERSION.1,
    };
    Ok(Header { superblock, tables })
}
