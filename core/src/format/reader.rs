//! A whole file in memory or mapped: opened by its header alone, verified block by block on first touch.
//!
//! Nothing is parsed, copied or decompressed. Beside the checked header a reader keeps one bit a block. Those bits are
//! allocated as zeroed memory, so that opening a terabyte touches no page of them; a block has at least 16 bytes, so
//! they are never more than 1/128 of the file.

use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};

use super::header::Header;
use super::section::Section;
use super::table::Table;
use super::terms::Kind;
use crate::error::{BadField, Must, OpenError};

/// An open file over anything that gives its bytes: a `Vec<u8>`, a slice, a memory map.
pub struct Reader<B> {
    bytes: B,
    header: Header,
    /// For each table, the first word of its bits in `verified`; one more at the end.
    words: Vec<usize>,
    verified: Vec<AtomicU32>,
    announce: fn(&[u8]),
}

impl<B: AsRef<[u8]>> Reader<B> {
    /// Opens a file. Reads its first 16 KiB, whatever its length.
    ///
    /// # Errors
    /// When the header breaks a rule of the format, or the file is shorter or longer than it says.
    pub fn open(bytes: B) -> Result<Self, OpenError> {
        let file_bytes = bytes.as_ref().len() as u64;
        Self::open_prefix(bytes, file_bytes)
    }

    /// Opens by the first bytes of a file that is `file_bytes` long. Tables beyond them end in an error where they are read.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open_prefix(bytes: B, file_bytes: u64) -> Result<Self, OpenError> {
        let header = Header::parse(bytes.as_ref(), file_bytes)?;
        Self::over(header, bytes)
    }

    /// Over bytes in which the tables lie where `header` says, which need not be the file's own places. Tables that are not there end in an
    /// error where they are read.
    ///
    /// # Errors
    /// When there are more blocks than memory has bits for.
    pub(crate) fn over(header: Header, bytes: B) -> Result<Self, OpenError> {
        let mut words = Vec::with_capacity(header.tables.len() + 1);
        let (mut total, at_hand) = (0, bytes.as_ref().len() as u64);
        for table in &header.tables {
            words.push(total);
            // What is not at hand is never verified here, and the length that a file is said to have justifies nothing.
            let blocks = table.blocks().min(at_hand.saturating_sub(table.offset) / u64::from(table.block_bytes));
            total += usize::try_from(blocks.div_ceil(32)).unwrap_or(usize::MAX / 256);
        }
        words.push(total);
        let verified = bytemuck::allocation::try_zeroed_vec(total).map_err(|()| {
            let must = Must::Be("few enough for one bit each to fit memory");
            BadField { section: 0, instance: 0, field: "block count", value: total as u64 * 32, must }
        })?;
        Ok(Self { bytes, header, words, verified, announce: |_| () })
    }

    /// Has `announce` told of each block that is about to be checked, as a map may want to ask for all of it at once.
    pub fn announcing(self, announce: fn(&[u8])) -> Self {
        Self { announce, ..self }
    }

    /// Superblock and directory.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.as_ref()
    }

    /// Gives the bytes back.
    pub fn into_inner(self) -> B {
        self.bytes
    }

    /// Blocks touched since the file was opened, each counted once, and their bytes: what a search that begins with nothing
    /// in memory has to fetch, beside the header.
    pub fn touched(&self) -> (u64, u64) {
        self.header.tables.iter().zip(self.words.windows(2)).fold((0, 0), |(blocks, bytes), (table, words)| {
            let bits = words.first().zip(words.last()).and_then(|(&from, &to)| self.verified.get(from..to)).unwrap_or_default();
            let touched: u64 = bits.iter().map(|word| u64::from(word.load(Ordering::Relaxed).count_ones())).sum();
            (blocks + touched, bytes + touched * u64::from(table.block_bytes))
        })
    }

    /// The table of a kind with its rows, `None` when the file has none.
    pub fn section(&self, kind: Kind, instance: u32) -> Option<Section<'_>> {
        self.sections().find(|section| {
            let Table { kind: number, instance: its, .. } = *section.table();
            number == kind as u16 && its == instance
        })
    }

    /// All sections in file order, those of unknown kinds included.
    pub fn sections(&self) -> impl Iterator<Item = Section<'_>> {
        (0..self.header.tables.len()).filter_map(|place| self.section_at(place))
    }

    /// The section at a place of the directory.
    pub(crate) fn section_at(&self, place: usize) -> Option<Section<'_>> {
        let (table, words) = self.header.tables.get(place).zip(self.words.get(place..)?.first_chunk::<2>())?;
        let bits = self.verified.get(words[0]..words[1]).unwrap_or_default();
        Some(Section::new(table, self.bytes(), bits, self.header.superblock.build_id, self.announce))
    }
}

impl<B: AsRef<[u8]>> fmt::Debug for Reader<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("header", &self.header).finish_non_exhaustive()
    }
}
