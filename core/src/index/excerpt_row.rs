//! The row with an id, in a file of which little is at hand.
//!
//! The map of ids is sorted, so its blocks are searched: a small map is brought whole, in one round; of a large one the first and the last
//! block, then the one where the id would lie were ids spread evenly, each third time the one in the middle, so that any map takes at most
//! three times the rounds of a search by halves.

use super::Index;
use super::excerpt::Inquiry;
use super::view::word;
use crate::error::Corrupt;
use crate::format::{Kind, Table};
use crate::search::SearchError;
use crate::vectors;
use alloc::vec;
use alloc::vec::Vec;

/// Blocks of a map of ids that are brought at once.
const TOGETHER: u64 = 4;

/// A row of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoundRow {
    /// Its number.
    pub row: u32,
    /// The input where it was kept (or is the record itself), else as near as the codes are; empty where it was not asked for.
    pub vector: Vec<f32>,
    /// Its payload; empty where it has none.
    pub payload: Vec<u8>,
}

/// What the blocks of a round hold.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Ids,
    Row,
    Payload,
}

/// A search for an id.
#[derive(Debug)]
pub(super) struct Seeking {
    id: u64,
    whole: bool,
    stage: Stage,
    /// Blocks of the map that may have it, and the ids just before and behind them.
    blocks: core::ops::Range<u64>,
    ids: (u64, u64),
    rounds: u32,
    found: Option<FoundRow>,
    /// Place and bytes of the payload.
    payload: (u64, u32),
}

impl Seeking {
    pub(super) fn new(id: u64, whole: bool) -> Self {
        Self { id, whole, stage: Stage::Ids, blocks: 0..0, ids: (0, u64::MAX), rounds: 0, found: None, payload: (0, 0) }
    }

    /// Wants the first blocks; true when the answer is there already.
    pub(super) fn begin<B: AsRef<[u8]>>(&mut self, index: &Index<B>, inquiry: &mut Inquiry) -> Result<bool, Corrupt> {
        let Some((place, blocks)) = table(index, Kind::IdsIndex).map(|(place, table)| (place, table.blocks())) else {
            // Ids are the numbers of rows.
            let row = u32::try_from(self.id).ok().filter(|&row| (row as usize) < index.len());
            return self.want_row(row, index, inquiry);
        };
        self.blocks = 0..blocks;
        let first = if blocks <= TOGETHER { (0..blocks).collect() } else { vec![0, blocks - 1] };
        inquiry.want_blocks(tables(index), first.len() as u64, first.into_iter().map(|block| (place, block)))?;
        Ok(false)
    }

    /// Goes on with the blocks that came; true when the answer is there.
    pub(super) fn advance<B: AsRef<[u8]>>(&mut self, index: &Index<B>, inquiry: &mut Inquiry) -> Result<bool, SearchError> {
        match self.stage {
            Stage::Ids => self.look(index, inquiry),
            Stage::Row => self.read(index, inquiry),
            Stage::Payload => self.copy(index, inquiry),
        }
    }

    pub(super) fn found(self) -> Option<FoundRow> {
        self.found
    }

    /// Looks for the id in the blocks of the map that came.
    fn look<B: AsRef<[u8]>>(&mut self, index: &Index<B>, inquiry: &mut Inquiry) -> Result<bool, SearchError> {
        let Some((place, table)) = table(index, Kind::IdsIndex) else { return Ok(true) };
        for (wanted, bytes) in inquiry.wanted.iter().zip(&inquiry.came) {
            let bad = |what| Corrupt { section: table.kind, instance: 0, block: wanted.block, what };
            let rows = usize::try_from(table.row_bytes(wanted.block)).ok().and_then(|length| bytes.get(..length));
            let rows: Vec<&[u8]> = rows.map(|rows| rows.chunks_exact(table.stride.max(1) as usize).collect()).unwrap_or_default();
            let id = |row: &[u8]| u64::from(word(row, 0).unwrap_or(0)) | u64::from(word(row, 1).unwrap_or(0)) << 32;
            let (Some(first), Some(last)) = (rows.first().map(|row| id(row)), rows.last().map(|row| id(row))) else { continue };
            if self.id < first {
                (self.blocks.end, self.ids.1) = (self.blocks.end.min(wanted.block), first);
            } else if self.id > last {
                (self.blocks.start, self.ids.0) = (self.blocks.start.max(wanted.block + 1), last);
            } else {
                let found = rows.binary_search_by_key(&self.id, |row| id(row)).ok().and_then(|at| word(rows[at], 2));
                if found.is_some_and(|row| row as usize >= index.len()) {
                    return Err(bad("a row beyond the last one").into());
                }
                return Ok(self.want_row(found, index, inquiry)?);
            }
        }
        let blocks = self.blocks.end.saturating_sub(self.blocks.start);
        if blocks == 0 {
            return Ok(true);
        }
        self.rounds += 1;
        let (low, high) = self.ids;
        let part = u128::from(self.id.saturating_sub(low)) * u128::from(blocks) / u128::from(high.saturating_sub(low).max(1));
        let step = if self.rounds.is_multiple_of(3) { blocks / 2 } else { part as u64 };
        inquiry.want_blocks(tables(index), 1, core::iter::once((place, self.blocks.start + step.min(blocks - 1))))?;
        Ok(false)
    }

    /// Wants what is needed of a row; true when that is nothing.
    fn want_row<B: AsRef<[u8]>>(&mut self, row: Option<u32>, index: &Index<B>, inquiry: &mut Inquiry) -> Result<bool, Corrupt> {
        let Some(row) = row else { return Ok(true) };
        self.found = Some(FoundRow { row, ..FoundRow::default() });
        self.stage = Stage::Row;
        let kinds = [(Kind::Deleted, row / 8, true), (Kind::Records, row, self.whole), (Kind::Originals, row, self.whole)];
        let blocks = kinds.into_iter().filter(|(_, _, wanted)| *wanted).filter_map(|(kind, row, _)| {
            let (place, table) = table(index, kind)?;
            Some((place, table.block_of(row.into())))
        });
        let blocks: Vec<(u32, u64)> = blocks.collect();
        let done = blocks.is_empty();
        inquiry.want_blocks(tables(index), blocks.len() as u64, blocks.into_iter())?;
        Ok(done)
    }

    /// Reads the row, and wants its payload.
    fn read<B: AsRef<[u8]>>(&mut self, index: &Index<B>, inquiry: &mut Inquiry) -> Result<bool, SearchError> {
        let Some(row) = self.found.as_ref().map(|found| found.row) else { return Ok(true) };
        if bytes_of(index, inquiry, Kind::Deleted, row / 8)?.is_some_and(|byte| byte.first().is_some_and(|byte| byte >> (row % 8) & 1 == 1))
        {
            self.found = None;
            return Ok(true);
        }
        let Some(record) = bytes_of(index, inquiry, Kind::Records, row)? else { return Ok(true) };
        let loaded = index.loaded()?;
        let mut vector = Vec::new();
        match bytes_of(index, inquiry, Kind::Originals, row)? {
            Some(original) => {
                vector.resize(index.dimensions(), 0.0);
                let bytes = original.get(..index.dimensions() * index.element().bytes()).unwrap_or(original);
                vectors::decode(index.kernels(), index.element(), bytes, &mut vector);
            }
            None => loaded.space.decode(record, &mut vector),
        }
        self.payload = loaded.space.layout.payload(record);
        if let Some(found) = &mut self.found {
            found.vector = vector;
        }
        let (offset, length) = self.payload;
        if length == 0 {
            return Ok(true);
        }
        let Some((place, table)) = table(index, Kind::Payload) else { return Ok(true) };
        let end = offset.checked_add(length.into()).filter(|&end| end <= table.rows);
        let Some(end) = end else {
            let block = table.block_of(offset).min(table.blocks());
            return Err(Corrupt { section: table.kind, instance: 0, block, what: "range beyond the end of the blob" }.into());
        };
        let (first, last) = (table.block_of(offset), table.block_of(end - 1));
        self.stage = Stage::Payload;
        inquiry.want_blocks(tables(index), last - first + 1, (first..=last).map(|block| (place, block)))?;
        Ok(false)
    }

    /// Copies the payload out of the blocks that came.
    fn copy<B: AsRef<[u8]>>(&mut self, index: &Index<B>, inquiry: &mut Inquiry) -> Result<bool, SearchError> {
        let (Some((_, table)), Some(found)) = (table(index, Kind::Payload), &mut self.found) else { return Ok(true) };
        let (offset, end) = (self.payload.0, self.payload.0 + u64::from(self.payload.1));
        for (wanted, bytes) in inquiry.wanted.iter().zip(&inquiry.came) {
            let start = wanted.block * u64::from(table.block_rows);
            let (from, to) = (offset.max(start), end.min(start + table.row_bytes(wanted.block)));
            let part = bytes.get((from - start) as usize..(to.max(from) - start) as usize).unwrap_or_default();
            found.payload.extend_from_slice(part);
        }
        Ok(true)
    }
}

fn tables<B: AsRef<[u8]>>(index: &Index<B>) -> &[Table] {
    &index.reader.header().tables
}

/// The table of a kind, and its place in the directory.
fn table<B: AsRef<[u8]>>(index: &Index<B>, kind: Kind) -> Option<(u32, Table)> {
    index.table(kind).map(|(place, table)| (place, *table))
}

/// A row among the blocks that came; `None` where the file has no such table, or its block was not wanted.
fn bytes_of<'a, B: AsRef<[u8]>>(index: &Index<B>, inquiry: &'a Inquiry, kind: Kind, row: u32) -> Result<Option<&'a [u8]>, Corrupt> {
    let Some((place, table)) = table(index, kind) else { return Ok(None) };
    let block = table.block_of(row.into());
    let mut came = inquiry.wanted.iter().zip(&inquiry.came);
    let Some((_, bytes)) = came.find(|(wanted, _)| (wanted.table, wanted.block) == (place, block)) else { return Ok(None) };
    let at = (u64::from(row) % u64::from(table.block_rows.max(1)) * u64::from(table.stride)) as usize;
    let row = bytes.get(at..).and_then(|rest| rest.get(..table.stride as usize));
    row.map(Some).ok_or(Corrupt { section: table.kind, instance: 0, block, what: "row beyond the end of the block" })
}
