//! The columns of an open file: read where they lie, checked before they are believed.

use super::Index;
use super::view::{corrupt, corrupt_row, word};
use crate::error::Corrupt;
use crate::filter::{self, BindError, Bitmap, ColumnType, Columns, Filter, Keys, NAME_MAX, Program, RowSet, SelectError, Value};
use crate::format::{Kind, Reader, Section};
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Bound;

/// Bytes of a `columns` row before the name.
const HEAD: usize = 32;

/// What a file says about one of its columns.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnInfo {
    /// What filters call it.
    pub name: String,
    /// Type of its values.
    pub kind: ColumnType,
    /// Rows without a value.
    pub nulls: u64,
    /// The smallest and the largest number; `None` for texts, and where no row has a value.
    pub range: Option<(Value, Value)>,
    /// Different texts; 0 for other types.
    pub words: u64,
}

/// One column with its tables.
pub(super) struct Stored<'a> {
    pub(super) name: &'a str,
    pub(super) kind: ColumnType,
    /// Rows without a value, smallest and largest value as bits: as the file says.
    pub(super) says: [u64; 3],
    pub(super) values: Section<'a>,
    pub(super) nulls: Option<Section<'a>>,
    /// Ends of the words, and their text, of a column of texts.
    pub(super) words: Option<(Section<'a>, Section<'a>)>,
}

pub(super) fn u64_at(row: &[u8], at: usize) -> u64 {
    row.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// All columns, in their order.
pub(super) fn stored<B: AsRef<[u8]>>(reader: &Reader<B>) -> Result<Vec<Stored<'_>>, Corrupt> {
    let Some(table) = reader.section(Kind::Columns, 0) else { return Ok(Vec::new()) };
    let mut columns = Vec::new();
    // The header's check has bounded their number.
    for instance in 0..table.rows() as u32 {
        let row = table.row(instance)?;
        let bad = |what| corrupt_row(&table, instance, what);
        let length = word(row, 0).unwrap_or(0) as usize;
        let name = row.get(HEAD..HEAD + NAME_MAX).and_then(|name| name.get(..length)).filter(|name| !name.is_empty());
        let name = name.and_then(|name| core::str::from_utf8(name).ok()).ok_or_else(|| bad("a column without a name"))?;
        let values = reader.section(Kind::Column, instance).ok_or_else(|| bad("a column without a table"))?;
        let kind = ColumnType::of(values.table().encoding).ok_or_else(|| bad("a column of unknown type"))?;
        let words = match kind {
            ColumnType::Text => {
                let (ends, text) = (reader.section(Kind::ColumnEnds, instance), reader.section(Kind::ColumnText, instance));
                Some(ends.zip(text).ok_or_else(|| bad("a column of texts without a dictionary"))?)
            }
            _ => None,
        };
        let says = [8, 16, 24].map(|at| u64_at(row, at));
        columns.push(Stored { name, kind, says, values, nulls: reader.section(Kind::ColumnNulls, instance), words });
    }
    Ok(columns)
}

impl<B: AsRef<[u8]>> Index<B> {
    /// What the columns of the file are, in its order; no column: an empty list.
    ///
    /// # Errors
    /// A damaged block, or a column that lacks a table.
    pub fn columns(&self) -> Result<Vec<ColumnInfo>, Corrupt> {
        let rows = self.len() as u64;
        let info = |column: Stored<'_>| {
            let [nulls, low, high] = column.says;
            let value = |bits: u64| match column.kind {
                ColumnType::I64 => Some(Value::I64(bits.cast_signed())),
                ColumnType::F64 => Some(Value::F64(f64::from_bits(bits))),
                ColumnType::Bool => Some(Value::Bool(bits != 0)),
                ColumnType::Text => None,
            };
            let range = value(low).zip(value(high)).filter(|_| nulls < rows);
            let words = column.words.map_or(0, |(ends, _)| ends.rows());
            ColumnInfo { name: column.name.into(), kind: column.kind, nulls, range, words }
        };
        Ok(stored(&self.reader)?.into_iter().map(info).collect())
    }

    /// The values of rows.
    ///
    /// # Errors
    /// A damaged block, or a column that lacks a table.
    pub fn column_values(&self) -> Result<ColumnValues<'_>, Corrupt> {
        Ok(ColumnValues(stored(&self.reader)?))
    }

    /// The rows that meet a condition, tombstones left out: for [`Index::search_where`], any number of times.
    ///
    /// Cost: a pass over the columns that the condition names, about 2 ns a row and comparison (more for long lists); memory: one bit a row.
    ///
    /// # Errors
    /// A condition that does not fit the columns, or a damaged block.
    pub fn select(&self, filter: &Filter) -> Result<RowSet, SelectError> {
        let rows = select(&self.reader, filter)?;
        self.set_of(rows).map_err(SelectError::Corrupt)
    }
}

/// The rows that meet a condition and live.
pub(super) fn select<B: AsRef<[u8]>>(reader: &Reader<B>, filter: &Filter) -> Result<Bitmap, SelectError> {
    let columns = stored(reader).map_err(SelectError::Corrupt)?;
    let program = Program::bind(filter, columns.as_slice()).map_err(explain)?;
    let selected = || {
        let mut rows = program.select(columns.as_slice(), reader.header().superblock.rows as usize)?;
        if let Some(deleted) = reader.section(Kind::Deleted, 0) {
            for (words, first) in rows.words_mut().chunks_mut(64).zip((0..).step_by(64 * 64)) {
                let mut dead = [0; 64];
                read_blob_bits(&deleted, first, &mut dead)?;
                words.iter_mut().zip(dead).for_each(|(word, dead)| *word &= !dead);
            }
        }
        Ok(rows)
    };
    selected().map_err(SelectError::Corrupt)
}

pub(super) fn explain(error: BindError<Corrupt>) -> SelectError {
    match error {
        BindError::Filter(error) => SelectError::Filter(error),
        BindError::Columns(corrupt) => SelectError::Corrupt(corrupt),
    }
}

/// The columns of a file, for their values row by row.
pub struct ColumnValues<'a>(Vec<Stored<'a>>);

impl core::fmt::Debug for ColumnValues<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|column| column.name)).finish()
    }
}

impl ColumnValues<'_> {
    /// The values of a row, one a column in their order, `None` where it has none; no row is asked for beyond the last.
    ///
    /// # Errors
    /// A damaged block.
    pub fn row(&self, row: u32) -> Result<Vec<Option<Value>>, Corrupt> {
        self.0.iter().map(|column| column.value(row)).collect()
    }
}

/// Bits of the rows from `first` on, a multiple of 64; zeros beyond the last one.
fn read_blob_bits(blob: &Section<'_>, first: u32, out: &mut [u64]) -> Result<(), Corrupt> {
    out.fill(0);
    let mut bytes = [0; 64 * 8];
    let end = blob.rows().min(u64::from(first / 8) + 8 * out.len().min(64) as u64);
    let (mut at, mut filled) = (first / 8, 0);
    while u64::from(at) < end {
        let rest = blob.rows_from(at)?;
        let count = rest.len().min(bytes.len() - filled).min((end - u64::from(at)) as usize);
        bytes[filled..filled + count].copy_from_slice(&rest[..count]);
        (at, filled) = (at + count as u32, filled + count);
    }
    filter::read_bits(&bytes[..filled], out);
    Ok(())
}

impl Stored<'_> {
    /// What is added to the numbers of the table: see [`ColumnType::base`].
    fn base(&self) -> u64 {
        self.kind.base(self.values.table().stride as usize, self.says[1])
    }

    /// A value as 64 bits, given its row of the table.
    pub(super) fn bits(&self, row: &[u8]) -> u64 {
        let mut word = [0; 8];
        word.iter_mut().zip(row).for_each(|(byte, &given)| *byte = given);
        u64::from_le_bytes(word).wrapping_add(self.base())
    }

    /// The value of a row, if it has one.
    fn value(&self, row: u32) -> Result<Option<Value>, Corrupt> {
        if let Some(nulls) = &self.nulls
            && nulls.row(row / 8)?.first().is_some_and(|byte| byte >> (row % 8) & 1 == 1)
        {
            return Ok(None);
        }
        let bits = self.bits(self.values.row(row)?);
        Ok(Some(match self.kind {
            ColumnType::I64 => Value::I64(bits.cast_signed()),
            ColumnType::F64 => Value::F64(f64::from_bits(bits)),
            ColumnType::Bool => Value::Bool(bits != 0),
            ColumnType::Text => {
                let mut text = Vec::new();
                self.word(bits as u32, &mut text)?;
                Value::Text(String::from_utf8(text).map_err(|_| corrupt_row(&self.values, row, "text that is not UTF-8"))?)
            }
        }))
    }

    /// A word of the dictionary, into a buffer.
    pub(super) fn word(&self, index: u32, out: &mut Vec<u8>) -> Result<(), Corrupt> {
        out.clear();
        let Some((ends, text)) = &self.words else { return Ok(()) };
        let start = if index > 0 { u64_at(ends.row(index - 1)?, 0) } else { 0 };
        let length = u64_at(ends.row(index)?, 0).checked_sub(start);
        let length = length.ok_or_else(|| corrupt_row(ends, index, "the words' ends do not ascend"))?;
        text.read_blob(start, length, out)
    }

    /// Words below a text, or also those equal to it.
    fn count_below(&self, text: &str, with: bool) -> Result<u32, Corrupt> {
        let Some((ends, _)) = &self.words else { return Ok(0) };
        let (mut low, mut high) = (0, ends.rows().min(u64::from(u32::MAX)) as u32);
        let mut word = Vec::new();
        while low < high {
            let middle = low + (high - low) / 2;
            self.word(middle, &mut word)?;
            if word.as_slice() < text.as_bytes() || (with && word == text.as_bytes()) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

impl Columns for [Stored<'_>] {
    type Error = Corrupt;

    fn find(&self, name: &str) -> Result<Option<(usize, ColumnType)>, Corrupt> {
        Ok(self.iter().position(|column| column.name == name).map(|at| (at, self[at].kind)))
    }

    fn names(&self) -> Result<Vec<String>, Corrupt> {
        Ok(self.iter().map(|column| column.name.into()).collect())
    }

    fn texts(&self, column: usize, low: Bound<&str>, high: Bound<&str>) -> Result<Keys, Corrupt> {
        let column = &self[column];
        let words = column.words.map_or(0, |(ends, _)| ends.rows().min(u64::from(u32::MAX)) as u32);
        filter::word_keys(low, high, words, |text, with| column.count_below(text, with))
    }

    fn keys(&self, column: usize, first: u32, out: &mut [i64]) -> Result<(), Corrupt> {
        let Stored { kind, values, .. } = &self[column];
        let (width, base) = (values.table().stride as usize, self[column].base());
        let (mut row, mut done) = (first, 0);
        while done < out.len() {
            let rows = values.rows_from(row)?;
            let count = (rows.len() / width.max(1)).min(out.len() - done);
            if count == 0 {
                return Err(corrupt(values, 0, "a value is missing"));
            }
            read_keys(*kind, (width, base.cast_signed()), rows, &mut out[done..done + count]);
            (row, done) = (row + count as u32, done + count);
        }
        Ok(())
    }

    fn nulls(&self, column: usize, first: u32, out: &mut [u64]) -> Result<(), Corrupt> {
        match &self[column].nulls {
            Some(nulls) => read_blob_bits(nulls, first, out),
            None => {
                out.fill(0);
                Ok(())
            }
        }
    }
}

/// One loop a width, so that none of them branches on it.
fn read_keys(kind: ColumnType, (width, base): (usize, i64), rows: &[u8], out: &mut [i64]) {
    fn each<const N: usize>(rows: &[u8], out: &mut [i64], key: impl Fn([u8; N]) -> i64) {
        out.iter_mut().zip(rows.as_chunks().0).for_each(|(out, &bytes)| *out = key(bytes));
    }
    match (kind, width) {
        (ColumnType::F64, _) => each(rows, out, |bytes| ColumnType::F64.key(u64::from_le_bytes(bytes))),
        (_, 1) => each(rows, out, |[byte]| base.wrapping_add(byte.into())),
        (_, 2) => each(rows, out, |bytes| base.wrapping_add(u16::from_le_bytes(bytes).into())),
        (_, 4) => each(rows, out, |bytes| base.wrapping_add(u32::from_le_bytes(bytes).into())),
        _ => each(rows, out, i64::from_le_bytes),
    }
}
