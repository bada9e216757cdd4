//! The first 16 KiB of a file: superblock and directory, checked once and then trusted.
//!
//! ```text
//! 0        superblock   104 bytes of fields, zeros, checksum at 4088
//! 4 KiB    directory    192 entries at most, 64 bytes each, the rest zero
//! 16 KiB   hot sections, then cold ones
//! ```
//! A checksum that fails is reported before any field, because no field can be believed then; the length of the file
//! comes next, because a truncation is the likeliest accident. After that each field is held against its rule, and the
//! error names field, value and rule.

use alloc::vec::Vec;

use super::hash;
use super::raw::{CHECKSUM_AT, COARSE_CODES, DIRECTORY_AT, FACTS_BYTES, HEADER_BYTES, MAGIC, RawSuperblock, RawTable, TABLES_MAX, VERSION};
use super::shape;
use super::table::{GAP_END, Table};
use super::terms::{Element, Kind, Metric, Plan, Refine};
use crate::error::{BadField, Must, OpenError};
use crate::id::{DIMENSIONS_MAX, ROWS_MAX};

/// Required features that this build of the library knows. A browser's download leaves off what reads coarse codes: it refuses files with
/// such a table rather than to give other hits, see `docs/decisions/codes-of-few-bits-are-for-servers.md`.
const REQUIRED_KNOWN: u64 = if cfg!(feature = "codes") { COARSE_CODES } else { 0 };

/// What a file is as a whole. Checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superblock {
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
    /// Hash of what decided the bytes; seeds every block check.
    pub build_id: u64,
    /// Equal identity, equal content: what caches key on.
    pub identity: [u8; 16],
    /// Length of the file.
    pub file_bytes: u64,
    /// Offset and length of the hot region.
    pub hot: (u64, u64),
    /// Feature bits that a reader must know.
    pub required: u64,
    /// Feature bits that a reader may ignore.
    pub optional: u64,
    /// Minor version of the format that the file was written in.
    pub minor: u16,
}

/// Superblock and directory of a file. Checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the file is as a whole.
    pub superblock: Superblock,
    /// Its tables in file order, unknown optional ones included.
    pub tables: Vec<Table>,
}

impl Header {
    /// Checks the header of a file of `file_bytes` bytes; `bytes` are its first [`HEADER_BYTES`] or more.
    ///
    /// # Errors
    /// Whatever breaks a rule first; see the module's story for the order.
    pub fn parse(bytes: &[u8], file_bytes: u64) -> Result<Header, OpenError> {
        if bytes.get(..MAGIC.len()) != Some(&MAGIC[..]) {
            return Err(OpenError::NotShore);
        }
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(OpenError::Truncated { wanted: HEADER_BYTES as u64, found: bytes.len() as u64 });
        };
        let (first, directory) = header.split_at(DIRECTORY_AT);
        let raw: RawSuperblock = read(first, 0);
        if raw.major != VERSION.0 {
            return Err(OpenError::Version { found: raw.major, known: VERSION.0 });
        }
        let (covered, stored) = first.split_at(CHECKSUM_AT);
        if hash::checksum(covered) != read::<u64>(stored, 0) {
            return Err(OpenError::Checksum);
        }
        let (wanted, found) = (raw.file_bytes, file_bytes);
        if found < wanted {
            return Err(OpenError::Truncated { wanted, found });
        }
        if found > wanted {
            return Err(OpenError::Trailing { wanted, found });
        }
        let superblock = check_superblock(&raw)?;
        let (facts, _) = first.split_at(FACTS_BYTES);
        if hash::identity(facts, directory) != superblock.identity {
            return Err(OpenError::Identity);
        }
        let sections = usize::try_from(raw.sections).unwrap_or(TABLES_MAX).min(TABLES_MAX);
        let entries = directory.chunks_exact(size_of::<RawTable>());
        // Folded entry by entry, so that the compiler takes 64 bytes at once: this is most of the header.
        let in_use = |entry: &[u8]| entry.iter().fold(0, |bits, byte| bits | byte) != 0;
        if entries.clone().skip(sections).any(in_use) {
            let value = raw.sections.into();
            return Err(superblock_field("section count", value, Must::Be("the number of entries in use")).into());
        }
        let mut tables = Vec::with_capacity(sections);
        for entry in entries.take(sections) {
            tables.push(Table::check(&read(entry, 0), file_bytes)?);
        }
        let header = Header { superblock, tables };
        header.check_places()?;
        for table in &header.tables {
            if table.is_required() && table.kind().is_none() {
                return Err(OpenError::Required { section: table.kind });
            }
            shape::check(table, &header.superblock)?;
        }
        Ok(header)
    }

    /// The table of a kind, `None` when the file has none.
    pub fn table(&self, kind: Kind, instance: u32) -> Option<&Table> {
        self.tables.iter().find(|table| table.kind == kind as u16 && table.instance == instance)
    }

    /// The bytes of this header: 16 KiB, with identity and checksum computed anew.
    pub fn encode(&mut self) -> Vec<u8> {
        let mut bytes = alloc::vec![0; HEADER_BYTES];
        let (first, directory) = bytes.split_at_mut(DIRECTORY_AT);
        for (table, entry) in self.tables.iter().zip(directory.chunks_exact_mut(size_of::<RawTable>())) {
            entry.copy_from_slice(bytemuck::bytes_of(&RawTable::from(table)));
        }
        let mut raw = raw_superblock(&self.superblock, self.tables.len());
        let (facts, _) = bytemuck::bytes_of(&raw).split_at(FACTS_BYTES);
        raw.identity = hash::identity(facts, directory);
        self.superblock.identity = raw.identity;
        let (covered, stored) = first.split_at_mut(CHECKSUM_AT);
        covered.split_at_mut(size_of::<RawSuperblock>()).0.copy_from_slice(bytemuck::bytes_of(&raw));
        stored.copy_from_slice(&hash::checksum(covered).to_le_bytes());
        bytes
    }

    /// Sections ascend, leave small gaps, are in the hot region or not as their flags say, and fill the file.
    fn check_places(&self) -> Result<(), BadField> {
        let mut end = HEADER_BYTES as u64;
        let (hot, hot_bytes) = self.superblock.hot;
        let hot_end = hot.saturating_add(hot_bytes);
        for (i, table) in self.tables.iter().enumerate() {
            let Table { kind: section, instance, offset, .. } = *table;
            let bad = |field, value, must| Err(BadField { section, instance, field, value, must });
            if offset < end {
                return bad("offset", offset, Must::AtLeast(end));
            }
            if offset - end >= GAP_END {
                return bad("offset", offset, Must::AtMost(end + GAP_END - 1));
            }
            if self.tables.iter().take(i).any(|other| (other.kind, other.instance) == (section, instance)) {
                return bad("instance", instance.into(), Must::Be("another than that of an earlier section of its kind"));
            }
            let inside = offset >= hot && table.end() <= hot_end;
            let outside = table.end() <= hot || offset >= hot_end;
            if !(if table.is_hot() { inside } else { outside }) {
                return bad("offset", offset, Must::Be("in the hot region if and only if the section is flagged hot"));
            }
            end = table.end();
        }
        if self.superblock.file_bytes != end {
            return Err(superblock_field("file length", self.superblock.file_bytes, Must::Equal(end)));
        }
        Ok(())
    }
}

/// A plain value out of bytes that are known to be long enough; zeros if they were not.
fn read<T: bytemuck::Pod>(bytes: &[u8], at: usize) -> T {
    let slice = bytes.get(at..).and_then(|rest| rest.get(..size_of::<T>()));
    slice.map_or_else(T::zeroed, bytemuck::pod_read_unaligned)
}

fn superblock_field(field: &'static str, value: u64, must: Must) -> BadField {
    BadField { section: 0, instance: 0, field, value, must }
}

fn check_superblock(raw: &RawSuperblock) -> Result<Superblock, OpenError> {
    let bad = |field, value, must| Err(superblock_field(field, value, must).into());
    let term = |field, value: u8, expected| superblock_field(field, value.into(), Must::Be(expected));
    if raw.sections as usize > TABLES_MAX {
        return bad("section count", raw.sections.into(), Must::AtMost(TABLES_MAX as u64));
    }
    let unknown = raw.required & !REQUIRED_KNOWN;
    if unknown != 0 {
        return Err(OpenError::Feature { bit: unknown.trailing_zeros() });
    }
    if raw.rows > ROWS_MAX {
        return bad("rows", raw.rows, Must::AtMost(ROWS_MAX));
    }
    if raw.dimensions == 0 {
        return bad("dimensions", 0, Must::AtLeast(1));
    }
    if raw.dimensions > DIMENSIONS_MAX {
        return bad("dimensions", raw.dimensions.into(), Must::AtMost(DIMENSIONS_MAX.into()));
    }
    let metric = Metric::try_from(raw.metric).map_err(|_| term("metric", raw.metric, "0 (l2), 1 (ip) or 2 (cosine)"))?;
    let element = Element::try_from(raw.element).map_err(|_| term("element", raw.element, "0 (f32), 1 (f16), 2 (u8) or 3 (i8)"))?;
    let plan = Plan::try_from(raw.plan).map_err(|_| term("plan", raw.plan, "0 (scan), 1 (walk) or 2 (tiles)"))?;
    let refine = Refine::try_from(raw.refine).map_err(|_| term("refine level", raw.refine, "0 (records) or 1 (originals)"))?;
    let [hot, hot_bytes] = raw.hot;
    if hot < HEADER_BYTES as u64 {
        return bad("hot region offset", hot, Must::AtLeast(HEADER_BYTES as u64));
    }
    if hot > raw.file_bytes {
        return bad("hot region offset", hot, Must::AtMost(raw.file_bytes));
    }
    if hot_bytes > raw.file_bytes - hot {
        return bad("hot region length", hot_bytes, Must::AtMost(raw.file_bytes - hot));
    }
    Ok(Superblock {
        rows: raw.rows,
        dimensions: raw.dimensions,
        metric,
        element,
        plan,
        refine,
        seed: raw.seed,
        build_id: raw.build_id,
        identity: raw.identity,
        file_bytes: raw.file_bytes,
        hot: (hot, hot_bytes),
        required: raw.required,
        optional: raw.optional,
        minor: raw.minor,
    })
}

fn raw_superblock(superblock: &Superblock, sections: usize) -> RawSuperblock {
    RawSuperblock {
        magic: MAGIC,
        major: VERSION.0,
        minor: superblock.minor,
        sections: u32::try_from(sections).unwrap_or(u32::MAX),
        required: superblock.required,
        optional: superblock.optional,
        file_bytes: superblock.file_bytes,
        rows: superblock.rows,
        dimensions: superblock.dimensions,
        metric: superblock.metric as u8,
        element: superblock.element as u8,
        plan: superblock.plan as u8,
        refine: superblock.refine as u8,
        hot: superblock.hot.into(),
        seed: superblock.seed,
        build_id: superblock.build_id,
        identity: superblock.identity,
    }
}
