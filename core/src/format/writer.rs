//! Writes a file forward: tables in order, each block with its check, the header last.
//!
//! All places are known before the first byte, so a writer holds little more than the block it fills. Every byte after
//! the header is written exactly once, gaps included, in pieces of about a MiB; a crash leaves a file without a header,
//! which does not open. No time, host or path goes in: the same input gives the same bytes.

use alloc::vec::Vec;
use core::convert::Infallible;

use super::hash::Digest;
use super::header::Header;
use super::raw::HEADER_BYTES;
use super::spec::{self, FileSpec, TableSpec};
use super::table::Table;
use crate::error::{BadField, Must, OpenError, WriteError};

/// Whole blocks are handed to the sink once they are this many bytes.
const FLUSH_BYTES: usize = 1 << 20;

/// Where a file's bytes go. Offsets ascend without gaps from 16 KiB; the header at 0 comes last.
pub trait Sink {
    /// What can go wrong.
    type Error;

    /// Puts `bytes` at `offset`.
    ///
    /// # Errors
    /// Whatever the place behind it answers; the writer passes it on.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Self::Error>;
}

impl Sink for Vec<u8> {
    type Error = Infallible;

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Infallible> {
        // A vector that large could not exist, so the saturated value fails in `resize` as running out of memory does.
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(bytes.len());
        if self.len() < end {
            self.resize(end, 0);
        }
        if let Some(place) = self.get_mut(start..end) {
            place.copy_from_slice(bytes);
        }
        Ok(())
    }
}

impl<S: Sink + ?Sized> Sink for &mut S {
    type Error = S::Error;

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), S::Error> {
        (**self).write_at(offset, bytes)
    }
}

/// A file being written.
#[derive(Debug)]
pub struct Writer<S: Sink> {
    sink: S,
    header: Header,
    /// Table being filled, block of it, bytes of rows in that block.
    table: usize,
    block: u64,
    filled: u64,
    digest: Digest,
    /// Bytes not yet given to the sink, where they go, and where in them the current block begins.
    pending: Vec<u8>,
    pending_at: u64,
    block_start: usize,
}

impl<S: Sink> Writer<S> {
    /// Computes all places and checks them by the rules that a reader applies.
    ///
    /// # Errors
    /// When the specification breaks one of them.
    pub fn new(sink: S, file: &FileSpec, tables: &[TableSpec]) -> Result<Self, WriteError<S::Error>> {
        Self::with_header(sink, spec::header(file, tables).map_err(WriteError::Spec)?)
    }

    /// The same for a header whose tables have their places.
    pub(super) fn with_header(sink: S, mut header: Header) -> Result<Self, WriteError<S::Error>> {
        match Header::parse(&header.encode(), header.superblock.file_bytes) {
            Ok(_) => {}
            Err(OpenError::Field(bad)) => return Err(WriteError::Spec(bad)),
            Err(_) => {
                let (value, must) = (header.tables.len() as u64, Must::Be("a header that a reader accepts"));
                let bad = BadField { section: 0, instance: 0, field: "section count", value, must };
                return Err(WriteError::Spec(bad));
            }
        }
        let mut writer = Self {
            sink,
            header,
            table: 0,
            block: 0,
            filled: 0,
            digest: Digest::new(),
            pending: Vec::new(),
            pending_at: HEADER_BYTES as u64,
            block_start: 0,
        };
        writer.skip_full_tables();
        Ok(writer)
    }

    /// The header as far as it is known: places, but no digests.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Appends bytes of rows to the current table, as many and as split as it suits; the next table begins once this
    /// one is full.
    ///
    /// # Errors
    /// When the table has no room for them, or the sink fails.
    #[inline(never)] // called for every row, from a dozen places
    pub fn rows(&mut self, mut bytes: &[u8]) -> Result<(), WriteError<S::Error>> {
        let (section, room) = self.room();
        if bytes.len() as u64 > room {
            return Err(WriteError::TooManyBytes { section, room, given: bytes.len() as u64 });
        }
        while !bytes.is_empty() {
            let Some(&table) = self.header.tables.get(self.table) else { break };
            let wanted = table.row_bytes(self.block) - self.filled;
            let (part, rest) = bytes.split_at(usize::try_from(wanted).unwrap_or(usize::MAX).min(bytes.len()));
            self.pending.extend_from_slice(part);
            self.filled += part.len() as u64;
            bytes = rest;
            if part.len() as u64 == wanted {
                self.seal(&table);
                self.skip_full_tables();
                if self.pending.len() >= FLUSH_BYTES {
                    self.flush()?;
                }
            }
        }
        Ok(())
    }

    /// Writes what is left and the header.
    ///
    /// # Errors
    /// When a table is not full, or the sink fails.
    pub fn finish(mut self) -> Result<(S, Header), WriteError<S::Error>> {
        let (section, missing) = self.room();
        if missing > 0 {
            return Err(WriteError::MissingBytes { section, missing });
        }
        self.flush()?;
        let bytes = self.header.encode();
        self.sink.write_at(0, &bytes).map_err(WriteError::Sink)?;
        Ok((self.sink, self.header))
    }

    /// Kind of the current table and how many bytes it still takes.
    fn room(&self) -> (u16, u64) {
        self.header.tables.get(self.table).map_or((0, 0), |table| {
            let written = self.block * u64::from(table.block_rows) * u64::from(table.stride) + self.filled;
            (table.kind, table.rows * u64::from(table.stride) - written)
        })
    }

    /// Ends the current block: zeros, check.
    fn seal(&mut self, table: &Table) {
        table.seal(self.header.superblock.build_id, self.block, &mut self.pending, self.block_start);
        self.digest.update(self.pending.last_chunk::<8>().map_or(&[][..], |check| check));
        self.block_start = self.pending.len();
        self.block += 1;
        self.filled = 0;
    }

    /// Moves on to the next table with room, filling the gap before it.
    fn skip_full_tables(&mut self) {
        while let Some(table) = self.header.tables.get_mut(self.table) {
            // At most one gap a step, each under 4 KiB.
            let at = self.pending_at + self.pending.len() as u64;
            if self.block == 0 && at < table.offset {
                let gap = usize::try_from(table.offset - at).unwrap_or(0);
                self.pending.resize(self.pending.len() + gap, 0);
                self.block_start = self.pending.len();
            }
            if self.block < table.blocks() {
                return;
            }
            table.digest = core::mem::take(&mut self.digest).finish();
            self.table += 1;
            self.block = 0;
        }
    }

    fn flush(&mut self) -> Result<(), WriteError<S::Error>> {
        if !self.pending.is_empty() {
            self.sink.write_at(self.pending_at, &self.pending).map_err(WriteError::Sink)?;
        }
        self.pending_at += self.pending.len() as u64;
        self.pending.clear();
        self.block_start = 0;
        Ok(())
    }
}
