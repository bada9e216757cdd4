//! What is asked of a file beside searches when little of it is at hand: which rows meet a condition, which row has an id.
//!
//! As a search that waits: [`Excerpt::select`] or [`Excerpt::find`] begins, [`Inquiry::wanted`] says which blocks to bring,
//! [`Excerpt::feed`] takes them, [`Excerpt::advance`] goes on. A condition takes two rounds: the description of the columns, then the columns
//! that it names, whole; both stay for the next one. An id takes a round for each part of the map of ids that has to be looked at, one for
//! the row, and one for its payload.

use super::Index;
use super::columns::{explain, select, stored};
use super::excerpt_row::{FoundRow, Seeking};
use crate::error::{Corrupt, OpenError};
use crate::filter::{Filter, SelectError, columns_of};
use crate::format::{Kind, Reader, Table};
use crate::search::SearchError;
use crate::search::pending::Block;
use alloc::vec::Vec;

/// What an [`Inquiry`] came to.
#[derive(Debug, Default)]
pub enum Asked {
    /// Nothing was asked, or it is not done.
    #[default]
    Nothing,
    /// The rows that meet the condition, as bits, 64 a word, the lowest first.
    Rows(Vec<u64>),
    /// The row with the id; `None` where there is none.
    Row(Option<FoundRow>),
}

/// What is asked.
#[derive(Debug, Default)]
enum Question {
    #[default]
    Nothing,
    Select(Filter),
    Find(Seeking),
}

/// A question to an [`Excerpt`]: what it waits for, what came. Used again from question to question.
#[derive(Debug, Default)]
pub struct Inquiry {
    question: Question,
    /// The blocks of this round, ascending by offset, and what came of them.
    pub(super) wanted: Vec<Block>,
    pub(super) came: Vec<Vec<u8>>,
    awaited: usize,
    asked: Asked,
}

impl Inquiry {
    /// One that waits for nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The blocks of this round, ascending by place in the file, none twice.
    #[must_use]
    pub fn wanted(&self) -> &[Block] {
        &self.wanted
    }

    /// The answer, once it is there.
    pub fn answer(&mut self) -> Asked {
        core::mem::take(&mut self.asked)
    }

    fn want_none(&mut self) {
        self.wanted.clear();
        self.came.clear();
        self.awaited = 0;
    }

    fn end_finding(&mut self) {
        self.want_none();
        if let Question::Find(seeking) = core::mem::take(&mut self.question) {
            self.asked = Asked::Row(seeking.found());
        }
    }

    /// Begins a round of these `count` blocks: (place of the table, block).
    pub(super) fn want_blocks(&mut self, tables: &[Table], count: u64, wanted: impl Iterator<Item = (u32, u64)>) -> Result<(), Corrupt> {
        self.want_none();
        // How many there are is what the header says; the file may be on a host.
        let (room, mut blocks) = (usize::try_from(count).unwrap_or(usize::MAX), Vec::new());
        let reserved =
            blocks.try_reserve_exact(room).and_then(|()| self.wanted.try_reserve(room)).and_then(|()| self.came.try_reserve(room));
        let mut wanted = wanted.peekable();
        if reserved.is_err() {
            let kind = wanted.peek().map_or(0, |&(place, _)| tables[place as usize].kind);
            return Err(Corrupt { section: kind, instance: 0, block: 0, what: "more blocks than memory has room for" });
        }
        blocks.extend(wanted);
        crate::sort::by_key(&mut blocks, |&(place, block)| tables[place as usize].block_offset(block));
        blocks.dedup();
        self.wanted.extend(blocks.into_iter().map(|(place, block)| {
            let table = &tables[place as usize];
            Block { table: place, block, offset: table.block_offset(block), bytes: table.block_bytes }
        }));
        self.came.resize_with(self.wanted.len(), Vec::new);
        self.awaited = self.wanted.len();
        Ok(())
    }
}

/// What came whole of a file of which the first bytes are at hand.
#[derive(Debug)]
pub struct Excerpt {
    /// Over the tables that came whole, one behind the other; those that have not come lie beyond its end.
    tables: Reader<Vec<u8>>,
    /// Which of them have come.
    here: Vec<bool>,
}

impl Excerpt {
    /// Nothing yet of the file of `index`, which was opened by its header; and its hot region where a row is to be found.
    ///
    /// # Errors
    /// When there are more blocks than memory has bits for.
    pub fn new<B: AsRef<[u8]>>(index: &Index<B>) -> Result<Self, OpenError> {
        let mut header = index.reader.header().clone();
        header.tables.iter_mut().for_each(|table| table.offset = 0);
        let here = header.tables.iter().map(|_| false).collect();
        Ok(Self { tables: Reader::over(header, Vec::new())?, here })
    }

    /// Asks which rows meet a condition.
    ///
    /// # Errors
    /// A header that speaks of more blocks than there is room for.
    pub fn select<B: AsRef<[u8]>>(&self, index: &Index<B>, filter: Filter, inquiry: &mut Inquiry) -> Result<(), Corrupt> {
        (inquiry.question, inquiry.asked) = (Question::Select(filter), Asked::Nothing);
        self.want_tables(index, inquiry, |table| table.kind == Kind::Columns as u16 || table.kind == Kind::Deleted as u16)
    }

    /// Asks for the row with an id: its vector and payload where `whole`, else whether there is one.
    ///
    /// # Errors
    /// As [`Excerpt::select`].
    pub fn find<B: AsRef<[u8]>>(index: &Index<B>, id: u64, whole: bool, inquiry: &mut Inquiry) -> Result<(), Corrupt> {
        inquiry.want_none();
        inquiry.asked = Asked::Nothing;
        let mut seeking = Seeking::new(id, whole);
        let done = seeking.begin(index, inquiry)?;
        inquiry.question = Question::Find(seeking);
        if done {
            inquiry.end_finding();
        }
        Ok(())
    }

    /// Takes the bytes of block `at` of [`Inquiry::wanted`], in any order. One that came before is not looked at again.
    ///
    /// # Errors
    /// Bytes that are not that block.
    ///
    /// # Panics
    /// If there is no such block.
    pub fn feed<B: AsRef<[u8]>>(index: &Index<B>, inquiry: &mut Inquiry, at: usize, bytes: &[u8]) -> Result<(), Corrupt> {
        index.checked(inquiry.wanted[at], bytes)?;
        if inquiry.came[at].is_empty() {
            inquiry.came[at] = bytes.to_vec();
            inquiry.awaited -= 1;
        }
        Ok(())
    }

    /// Goes on once every wanted block was fed; before that, nothing happens. True when the answer is there, else there is a next round.
    ///
    /// # Errors
    /// A condition that does not fit the columns, or what is damaged in the blocks that came.
    pub fn advance<B: AsRef<[u8]>>(&mut self, index: &Index<B>, inquiry: &mut Inquiry) -> Result<bool, SelectError> {
        if inquiry.awaited > 0 {
            return Ok(false);
        }
        match core::mem::take(&mut inquiry.question) {
            Question::Nothing => Ok(true),
            Question::Select(filter) => {
                self.keep_tables(inquiry).map_err(SelectError::Corrupt)?;
                let columns = stored(&self.tables).map_err(SelectError::Corrupt)?;
                let named = columns_of(&filter, columns.as_slice()).map_err(explain)?;
                let of_columns = [Kind::Column, Kind::ColumnNulls, Kind::ColumnEnds, Kind::ColumnText].map(|kind| kind as u16);
                let asked = |table: &Table| of_columns.contains(&table.kind) && named.contains(&(table.instance as usize));
                self.want_tables(index, inquiry, asked).map_err(SelectError::Corrupt)?;
                if inquiry.awaited > 0 {
                    inquiry.question = Question::Select(filter);
                    return Ok(false);
                }
                inquiry.asked = Asked::Rows(select(&self.tables, &filter)?.words().to_vec());
                Ok(true)
            }
            Question::Find(mut seeking) => {
                let done = seeking.advance(index, inquiry).map_err(|error| match error {
                    SearchError::Corrupt(corrupt) => SelectError::Corrupt(corrupt),
                    // The opening has seen to all else.
                    _ => SelectError::Corrupt(Corrupt { section: Kind::Records as u16, instance: 0, block: 0, what: "not to be read" }),
                })?;
                inquiry.question = Question::Find(seeking);
                if done {
                    inquiry.end_finding();
                }
                Ok(done)
            }
        }
    }

    /// Wants every block of these tables, but for those that are here.
    fn want_tables<B: AsRef<[u8]>>(&self, index: &Index<B>, inquiry: &mut Inquiry, asked: impl Fn(&Table) -> bool) -> Result<(), Corrupt> {
        let tables = &index.reader.header().tables;
        let wanted = (0u32..).zip(tables).zip(&self.here).filter(|((_, table), here)| !**here && asked(table));
        let count = wanted.clone().fold(0u64, |sum, ((_, table), _)| sum.saturating_add(table.blocks()));
        inquiry.want_blocks(tables, count, wanted.flat_map(|((place, table), _)| (0..table.blocks()).map(move |block| (place, block))))
    }

    /// What came are whole tables, which stay.
    fn keep_tables(&mut self, inquiry: &mut Inquiry) -> Result<(), Corrupt> {
        let mut header = self.tables.header().clone();
        let too_large = Corrupt { section: Kind::Columns as u16, instance: 0, block: 0, what: "columns larger than memory" };
        let empty = Reader::over(header.clone(), Vec::new()).map_err(|_| too_large)?;
        let mut bytes = core::mem::replace(&mut self.tables, empty).into_inner();
        let kept = self.here.clone();
        let mut made = || {
            bytes.try_reserve(inquiry.came.iter().map(Vec::len).sum()).map_err(|_| too_large)?;
            for (wanted, block) in inquiry.wanted.iter().zip(&inquiry.came) {
                let place = wanted.table as usize;
                // Another question may have brought it.
                if kept[place] {
                    continue;
                }
                if !core::mem::replace(&mut self.here[place], true) {
                    header.tables[place].offset = bytes.len() as u64;
                }
                bytes.extend_from_slice(block);
            }
            Ok(())
        };
        let done = made();
        inquiry.want_none();
        let end = bytes.len() as u64;
        for (table, _) in header.tables.iter_mut().zip(&self.here).filter(|(_, here)| !**here) {
            table.offset = end;
        }
        self.tables = Reader::over(header, bytes).map_err(|_| too_large)?;
        done
    }
}
