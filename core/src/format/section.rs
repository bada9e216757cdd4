//! A table with its bytes: where searches read rows. The hot path of the crate.
//!
//! Row `r` of block `b` lies at `start + r * stride + b * slack`, the slack being what a block holds beside rows: two
//! multiplications, a shift and one bit test once the block is verified. The first touch of a block pays
//! for its check (11-18 GB/s) and remembers it in one atomic bit. Threads may race to verify a block: both find the same
//! answer, and the bit guards nothing but time, so its ordering is relaxed.

use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::hash;
use super::table::Table;
use crate::error::Corrupt;

/// Stands for "divide" in [`Section::shift`].
const DIVIDE: u32 = 32;

/// One table of an open file. Cheap to copy; keep it in a local variable while walking.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    table: &'a Table,
    bytes: &'a [u8],
    verified: &'a [AtomicU32],
    announce: fn(&[u8]),
    build_id: u64,
    /// Rows that [`Section::row`] reaches: all of them but in a blob beyond 4 GiB.
    rows: u32,
    start: usize,
    stride: usize,
    /// Bytes of a block that are not rows.
    slack: usize,
    block_rows: NonZeroU32,
    /// log2 of the rows of a block, or [`DIVIDE`]. A table of one block shifts everything to block 0.
    shift: u32,
}

impl<'a> Section<'a> {
    pub(super) fn new(table: &'a Table, bytes: &'a [u8], verified: &'a [AtomicU32], build_id: u64, announce: fn(&[u8])) -> Self {
        let shift = match table.block_rows {
            rows if rows.is_power_of_two() => rows.trailing_zeros(),
            _ if table.blocks() <= 1 => 31,
            _ => DIVIDE,
        };
        // The header put the whole section inside the file and `Reader::open` the file inside memory, so all these fit.
        let in_memory = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        Self {
            table,
            bytes,
            verified,
            announce,
            build_id,
            rows: u32::try_from(table.rows).unwrap_or(u32::MAX),
            start: in_memory(table.offset),
            stride: in_memory(table.stride.into()),
            slack: in_memory(u64::from(table.block_bytes) - u64::from(table.block_rows) * u64::from(table.stride)),
            block_rows: NonZeroU32::new(table.block_rows).unwrap_or(NonZeroU32::MIN),
            shift,
        }
    }

    /// The directory entry.
    #[inline]
    pub fn table(&self) -> &'a Table {
        self.table
    }

    /// Rows of the table.
    #[inline]
    pub fn rows(&self) -> u64 {
        self.table.rows
    }

    /// The whole file.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes of a row, from a block that is verified.
    ///
    /// # Errors
    /// When the row does not exist or its block fails its check.
    #[inline]
    pub fn row(&self, row: u32) -> Result<&'a [u8], Corrupt> {
        let place = self.place(row)?;
        match self.bytes.get(place..place + self.stride) {
            Some(bytes) => Ok(bytes),
            None => Err(self.corrupt(row, "row beyond the end of the file")),
        }
    }

    /// Where a row begins in [`Section::bytes`], once its block is verified: for kernels that take many rows at once.
    ///
    /// # Errors
    /// As [`Section::row`].
    #[inline]
    pub fn place(&self, row: u32) -> Result<usize, Corrupt> {
        let Some((block, place)) = self.locate(row) else {
            return Err(self.corrupt(row, "row number beyond the end of the table"));
        };
        if self.is_verified(block) { Ok(place) } else { self.touch(block).map(|()| place) }
    }

    /// Where a row begins, its block verified or not: for prefetching only. `None` beyond the last row.
    #[inline]
    pub fn prefetch_place(&self, row: u32) -> Option<usize> {
        self.locate(row).map(|(_, place)| place)
    }

    /// The rows from `row` to the end of its block, which is verified: for those who read a table from front to back.
    ///
    /// # Errors
    /// As [`Section::row`].
    pub fn rows_from(&self, row: u32) -> Result<&'a [u8], Corrupt> {
        let place = self.place(row)?;
        let block = self.table.block_of(row.into());
        let within = (u64::from(row) - block * u64::from(self.table.block_rows)) * u64::from(self.table.stride);
        let bytes = usize::try_from(self.table.row_bytes(block) - within).ok();
        let rows = self.bytes.get(place..).zip(bytes).and_then(|(rest, bytes)| rest.get(..bytes));
        rows.ok_or_else(|| self.corrupt(row, "row beyond the end of the file"))
    }

    /// Reads a range of a blob (a table of stride 1), across blocks, into `out`, which is cleared first.
    ///
    /// # Errors
    /// When the range leaves the table (before anything is allocated) or a block fails its check.
    pub fn read_blob(&self, offset: u64, length: u64, out: &mut Vec<u8>) -> Result<(), Corrupt> {
        out.clear();
        let block = self.table.block_of(offset);
        if self.table.stride != 1 {
            return Err(self.corrupt_block(block, "not a blob"));
        }
        let end = match offset.checked_add(length) {
            Some(end) if end <= self.table.rows => end,
            _ => return Err(self.corrupt_block(block, "range beyond the end of the blob")),
        };
        let bytes = usize::try_from(length).unwrap_or(usize::MAX);
        if out.try_reserve_exact(bytes).is_err() {
            return Err(self.corrupt_block(block, "range larger than memory"));
        }
        let mut at = offset;
        while at < end {
            let block = self.table.block_of(at);
            let within = at - block * u64::from(self.table.block_rows);
            let upto = (end - at).min(u64::from(self.table.block_rows) - within);
            let rows = self.verified_block(block)?;
            let range = usize::try_from(within).ok().zip(usize::try_from(within + upto).ok());
            match range.and_then(|(from, to)| rows.get(from..to)) {
                Some(part) => out.extend_from_slice(part),
                None => return Err(self.corrupt_block(block, "block beyond the end of the file")),
            }
            at += upto;
        }
        Ok(())
    }

    /// A verified block without its check.
    pub(crate) fn verified_block(&self, block: u64) -> Result<&'a [u8], Corrupt> {
        let number = usize::try_from(block).unwrap_or(usize::MAX);
        if !self.is_verified(number) {
            self.touch(number)?;
        }
        self.block(block).map(|(rows, _)| rows).ok_or(self.corrupt_block(block, "block beyond the end of the file"))
    }

    /// Block and place of a row. Nothing here can overflow: the row exists, so its place lies inside the file.
    #[inline(always)]
    fn locate(&self, row: u32) -> Option<(usize, usize)> {
        if row >= self.rows {
            return None;
        }
        let block = if self.shift < DIVIDE { row >> self.shift } else { row / self.block_rows };
        let (row, block) = (row as usize, block as usize);
        Some((block, self.start + row * self.stride + block * self.slack))
    }

    #[inline(always)]
    fn is_verified(&self, block: usize) -> bool {
        self.verified.get(block / 32).is_some_and(|word| word.load(Relaxed) >> (block % 32) & 1 != 0)
    }

    /// Verifies a block and remembers it.
    #[cold]
    #[inline(never)]
    fn touch(&self, block: usize) -> Result<(), Corrupt> {
        self.check_block(block as u64)?;
        if let Some(word) = self.verified.get(block / 32) {
            word.fetch_or(1 << (block % 32), Relaxed);
        }
        Ok(())
    }

    /// Verifies a block, whether or not that was done before; returns its rows, the bytes behind them and its check.
    pub(super) fn check_block(&self, block: u64) -> Result<(&'a [u8], u64), Corrupt> {
        let Some((rows, stored)) = self.block(block) else {
            return Err(self.corrupt_block(block, "block beyond the end of the file"));
        };
        (self.announce)(rows);
        let Table { kind, instance, .. } = *self.table;
        if hash::block_check(self.build_id, kind, instance, block, rows) != stored {
            return Err(self.corrupt_block(block, "checksum mismatch"));
        }
        Ok((rows, stored))
    }

    /// The bytes of a block before its check, and the check.
    fn block(&self, block: u64) -> Option<(&'a [u8], u64)> {
        if block >= self.table.blocks() {
            return None;
        }
        let start = usize::try_from(self.table.block_offset(block)).ok()?;
        let bytes = self.bytes.get(start..)?.get(..usize::try_from(self.table.block_bytes).ok()?)?;
        let (rows, check) = bytes.split_last_chunk::<8>()?;
        Some((rows, u64::from_le_bytes(*check)))
    }

    #[cold]
    #[inline(never)]
    fn corrupt(&self, row: u32, what: &'static str) -> Corrupt {
        self.corrupt_block(self.table.block_of(row.into()), what)
    }

    #[cold]
    pub(super) fn corrupt_block(&self, block: u64, what: &'static str) -> Corrupt {
        Corrupt { section: self.table.kind, instance: self.table.instance, block, what }
    }
}
