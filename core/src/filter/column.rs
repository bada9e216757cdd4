//! Columns in memory: what a build is given, checked, and texts turned into places in a sorted dictionary.

use super::bind::{BindError, Columns, Program};
use super::bitmap::Bitmap;
use super::error::{ColumnError, SelectError};
use super::expr::Filter;
use super::value::{ColumnType, Keys};
use super::{COLUMNS_MAX, NAME_MAX};
use crate::vectors::Payloads;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::ops::Bound::{self, Excluded, Included, Unbounded};

/// A column for a build: a value for each row, or none.
#[derive(Clone, Copy, Debug)]
pub struct ColumnInput<'a> {
    /// What filters call it: 1 to [`NAME_MAX`] bytes.
    pub name: &'a str,
    /// A value for each row; of no account where the row has none.
    pub values: Values<'a>,
    /// Bits of rows without a value, the lowest bit of a byte first, a bit a row at least; `None`: all have one.
    pub nulls: Option<&'a [u8]>,
}

/// The values of a column.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// Whole numbers.
    I64(&'a [i64]),
    /// Finite numbers.
    F64(&'a [f64]),
    /// 0 for false, 1 for true.
    Bool(&'a [u8]),
    /// UTF-8.
    Text(Payloads<'a>),
}

impl Values<'_> {
    /// Their type.
    #[must_use]
    pub fn kind(&self) -> ColumnType {
        match self {
            Self::I64(_) => ColumnType::I64,
            Self::F64(_) => ColumnType::F64,
            Self::Bool(_) => ColumnType::Bool,
            Self::Text(_) => ColumnType::Text,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self {
            Self::I64(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::Bool(values) => values.len(),
            Self::Text(texts) => texts.rows(),
        }
    }
}

/// Checks the columns of `rows` rows: names, counts, every value.
///
/// # Errors
/// The first column that is wrong, and where.
pub(crate) fn check(columns: &[ColumnInput<'_>], rows: usize) -> Result<(), ColumnError> {
    for (place, column) in columns.iter().enumerate() {
        let bad = |row, what| Err(ColumnError { column: column.name.to_owned(), row, what });
        if place >= COLUMNS_MAX {
            return bad(None, "a file holds at most 40 columns");
        }
        if column.name.is_empty() || column.name.len() > NAME_MAX {
            return bad(None, "a name has 1 to 96 bytes");
        }
        if columns[..place].iter().any(|other| other.name == column.name) {
            return bad(None, "a second column of that name");
        }
        if column.values.rows() != rows || column.nulls.is_some_and(|nulls| nulls.len() < rows.div_ceil(8)) {
            return bad(None, "another number of values than rows");
        }
        let is_null = |row: usize| column.nulls.is_some_and(|nulls| nulls[row / 8] >> (row % 8) & 1 == 1);
        let wrong = match column.values {
            Values::I64(_) => None,
            Values::F64(values) => (0..rows).find(|&row| !is_null(row) && !values[row].is_finite()).zip(Some("not a finite number")),
            Values::Bool(values) => (0..rows).find(|&row| !is_null(row) && values[row] > 1).zip(Some("neither 0 nor 1")),
            Values::Text(texts) => {
                (0..rows).find(|&row| !is_null(row) && core::str::from_utf8(texts.row(row)).is_err()).zip(Some("text that is not UTF-8"))
            }
        };
        if let Some((row, what)) = wrong {
            return bad(Some(row), what);
        }
    }
    Ok(())
}

/// A checked column with its texts coded.
#[derive(Debug)]
pub(crate) struct Coded<'a> {
    input: ColumnInput<'a>,
    /// Of a column of text: a place in the dictionary for each row.
    codes: Vec<u32>,
    /// Of a column of text: for each word of the dictionary a row that has it.
    words: Vec<u32>,
}

impl<'a> Coded<'a> {
    /// Memory: 8 bytes a row for texts, nothing for other values. Cost: texts are sorted.
    pub(crate) fn new(input: ColumnInput<'a>) -> Self {
        let mut coded = Self { input, codes: Vec::new(), words: Vec::new() };
        if let Values::Text(texts) = input.values {
            let mut sorted: Vec<u32> = (0..texts.rows() as u32).filter(|&row| !coded.is_null(row)).collect();
            let text = |row: u32| texts.row(row as usize);
            sorted.sort_unstable_by(|&a, &b| text(a).cmp(text(b)).then(a.cmp(&b)));
            coded.codes = vec![0; texts.rows()];
            let mut words = 0;
            for at in 0..sorted.len() {
                let row = sorted[at];
                if at == 0 || text(sorted[words - 1]) != text(row) {
                    sorted[words] = row;
                    words += 1;
                }
                coded.codes[row as usize] = words as u32 - 1;
            }
            sorted.truncate(words);
            coded.words = sorted;
        }
        coded
    }

    pub(crate) fn name(&self) -> &'a str {
        self.input.name
    }

    pub(crate) fn kind(&self) -> ColumnType {
        self.input.values.kind()
    }

    #[inline(always)]
    pub(crate) fn is_null(&self, row: u32) -> bool {
        self.input.nulls.is_some_and(|nulls| nulls[row as usize / 8] >> (row % 8) & 1 == 1)
    }

    pub(crate) fn has_nulls(&self) -> bool {
        (0..self.input.values.rows() as u32).any(|row| self.is_null(row))
    }

    /// The value of a row as 64 bits: a text's place in the dictionary, and 0 without a value.
    pub(crate) fn bits(&self, row: u32) -> u64 {
        if self.is_null(row) { 0 } else { self.some_bits(row) }
    }

    fn some_bits(&self, row: u32) -> u64 {
        let at = row as usize;
        match self.input.values {
            Values::I64(values) => values[at].cast_unsigned(),
            // The one zero.
            Values::F64(values) => (values[at] + 0.0).to_bits(),
            Values::Bool(values) => u64::from(values[at]),
            Values::Text(_) => u64::from(self.codes[at]),
        }
    }

    /// Bits of the smallest and the largest value; `None` where no row has one.
    pub(crate) fn range(&self) -> Option<(u64, u64)> {
        let present = (0..self.input.values.rows() as u32).filter(|&row| !self.is_null(row));
        let ends = present.map(|row| self.some_bits(row)).map(|bits| (self.kind().key(bits), bits));
        let range = ends.fold(None, |range, one| {
            let (low, high) = range.unwrap_or((one, one));
            Some((one.min(low), one.max(high)))
        });
        range.map(|(low, high)| (low.1, high.1))
    }

    /// The fewest bytes that hold every value, and what is taken from each before: see [`ColumnType::base`].
    pub(crate) fn width(&self) -> (usize, u64) {
        let (low, high) = match self.input.values {
            Values::Text(_) => (0, (self.words.len() as u64).saturating_sub(1)),
            _ => self.range().unwrap_or_default(),
        };
        let holds = |width: u64| width == 8 || high.wrapping_sub(self.kind().base(width as usize, low)) >> (8 * width) == 0;
        let width = self.kind().widths().iter().find(|&&width| holds(width)).map_or(8, |&width| width as usize);
        (width, self.kind().base(width, low))
    }

    /// The dictionary, ascending.
    pub(crate) fn words(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + '_ {
        self.words.iter().map(|&row| match self.input.values {
            Values::Text(texts) => texts.row(row as usize),
            _ => &[],
        })
    }
}

/// The keys of a sorted dictionary's words between two, given how many words are below (or also at) a text.
pub(crate) fn word_keys<E>(
    low: Bound<&str>,
    high: Bound<&str>,
    words: u32,
    mut count: impl FnMut(&str, bool) -> Result<u32, E>,
) -> Result<Keys, E> {
    let from = match low {
        Included(text) => count(text, false)?,
        Excluded(text) => count(text, true)?,
        Unbounded => 0,
    };
    let end = match high {
        Included(text) => count(text, true)?,
        Excluded(text) => count(text, false)?,
        Unbounded => words,
    };
    Ok(if from < end { Keys { low: from.into(), high: i64::from(end) - 1 } } else { Keys::NONE })
}

impl Columns for [Coded<'_>] {
    type Error = Infallible;

    fn find(&self, name: &str) -> Result<Option<(usize, ColumnType)>, Infallible> {
        Ok(self.iter().position(|column| column.name() == name).map(|at| (at, self[at].kind())))
    }

    fn names(&self) -> Result<Vec<String>, Infallible> {
        Ok(self.iter().map(|column| column.name().to_owned()).collect())
    }

    fn texts(&self, column: usize, low: Bound<&str>, high: Bound<&str>) -> Result<Keys, Infallible> {
        let Coded { input, words, .. } = &self[column];
        let Values::Text(texts) = input.values else { return Ok(Keys::NONE) };
        word_keys(low, high, words.len() as u32, |text, with| {
            let below = |&row: &u32| texts.row(row as usize) < text.as_bytes() || (with && texts.row(row as usize) == text.as_bytes());
            Ok(words.partition_point(below) as u32)
        })
    }

    fn keys(&self, column: usize, first: u32, out: &mut [i64]) -> Result<(), Infallible> {
        let column = &self[column];
        out.iter_mut().zip(first..).for_each(|(out, row)| *out = column.kind().key(column.some_bits(row)));
        Ok(())
    }

    fn nulls(&self, column: usize, first: u32, out: &mut [u64]) -> Result<(), Infallible> {
        let bytes = self[column].input.nulls.and_then(|nulls| nulls.get(first as usize / 8..)).unwrap_or_default();
        read_bits(bytes, out);
        Ok(())
    }
}

/// Bytes of bits as words of bits; zeros where there are no bytes.
pub(crate) fn read_bits(bytes: &[u8], out: &mut [u64]) {
    out.fill(0);
    for (out, bytes) in out.iter_mut().zip(bytes.chunks(8)) {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        *out = u64::from_le_bytes(word);
    }
}

/// The rows, of `rows` in all, that `filter` selects by `columns` in memory, ascending.
///
/// # Errors
/// A column that is wrong, or a condition that does not fit the columns.
pub fn select(columns: &[ColumnInput<'_>], rows: usize, filter: &Filter) -> Result<Vec<u32>, SelectError> {
    check(columns, rows).map_err(SelectError::Column)?;
    select_unchecked(columns, rows, filter).map(|selected| selected.iter().collect())
}

/// The same of columns that are known to be right; those that the filter does not name may be empty.
pub(crate) fn select_unchecked(columns: &[ColumnInput<'_>], rows: usize, filter: &Filter) -> Result<Bitmap, SelectError> {
    // Only those that are asked about are coded.
    let asked = |column: &ColumnInput<'_>| filter.tests().any(|test| test.column == column.name);
    let code = |&input| if asked(&input) { Coded::new(input) } else { Coded { input, codes: Vec::new(), words: Vec::new() } };
    let coded: Vec<Coded<'_>> = columns.iter().map(code).collect();
    let program = Program::bind(filter, coded.as_slice()).map_err(|error| match error {
        BindError::Filter(error) => SelectError::Filter(error),
        BindError::Columns(never) => match never {},
    })?;
    let Ok(selected) = program.select(coded.as_slice(), rows);
    Ok(selected)
}
