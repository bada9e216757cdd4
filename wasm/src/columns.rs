//! Columns of rows that are built or added here, as JavaScript gives them: first which there are, then values, both in the buffer `Columns`.
//!
//! ```text
//! schema, for each column:  a digit for its type, a byte for the length of its name, the name: all of it UTF-8
//! values, for each column:  bits of the rows without a value, the lowest of a byte first
//!                           i64 or f64: 8 bytes a row; bool: a byte a row; string: u64 a row, where its text ends, then the texts
//! ```
//! Little-endian; each part of the values is padded to 8 bytes.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use nearshore_core::filter::{ColumnInput, ColumnType, Value, Values};
use nearshore_core::live::LiveColumn;
use nearshore_core::vectors::Payloads;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::answer::Answer;
use crate::code::{Code, Failure};
use crate::engine::{Engine, State};

#[wasm_bindgen]
impl Engine {
    /// Says the columns of the index that is created or built next: their schema is the first `bytes` of the buffer `Columns`, which is empty
    /// afterwards.
    pub fn schema(&mut self, bytes: usize) -> u32 {
        let words = core::mem::take(&mut self.inputs.columns);
        let schema = bytemuck::cast_slice(&words).get(..bytes).and_then(read);
        let result = schema.map(|schema| self.schema = schema).ok_or_else(|| wrong("columns: no such schema"));
        self.end(result)
    }
}

impl Engine {
    /// Appends the schema of the index to the answer.
    pub(crate) fn tell_columns(&mut self) -> Result<(), Failure> {
        let Self { state, answer, .. } = self;
        match state {
            State::Empty => {}
            State::File(index) => index.columns()?.iter().for_each(|column| tell(answer, &column.name, column.kind)),
            State::Live(live) => live.columns().iter().for_each(|column| tell(answer, &column.name, column.kind)),
        }
        Ok(())
    }
}

fn tell(answer: &mut Answer, name: &str, kind: ColumnType) {
    answer.slice(&[b'0' + kind as u8, name.len() as u8]);
    answer.slice(name.as_bytes());
}

fn read(mut bytes: &[u8]) -> Option<Vec<LiveColumn>> {
    let mut schema = Vec::new();
    while !bytes.is_empty() {
        let (&[digit, length], rest) = bytes.split_first_chunk()?;
        let (name, rest) = rest.split_at_checked(length.into())?;
        let (name, kind) = (core::str::from_utf8(name).ok()?.to_owned(), *ColumnType::ALL.get(usize::from(digit.wrapping_sub(b'0')))?);
        schema.push(LiveColumn { name, kind });
        bytes = rest;
    }
    Some(schema)
}

/// The values of `rows` rows, in the order of the schema.
pub(crate) fn values<'a>(schema: &'a [LiveColumn], rows: usize, words: &'a [u64]) -> Result<Vec<ColumnInput<'a>>, Failure> {
    let mut rest = words;
    let columns = schema.iter().map(|column| {
        let nulls = bytemuck::cast_slice(take(&mut rest, rows.div_ceil(64))?);
        let values = match column.kind {
            ColumnType::I64 => Values::I64(bytemuck::cast_slice(take(&mut rest, rows)?)),
            ColumnType::F64 => Values::F64(bytemuck::cast_slice(take(&mut rest, rows)?)),
            ColumnType::Bool => Values::Bool(bytemuck::cast_slice(take(&mut rest, rows.div_ceil(8))?).get(..rows)?),
            ColumnType::Text => {
                let ends = take(&mut rest, rows)?;
                let bytes = usize::try_from(ends.last().copied().unwrap_or(0)).ok()?;
                let texts: &[u8] = bytemuck::cast_slice(take(&mut rest, bytes.div_ceil(8))?);
                Values::Text(Payloads::new(&texts[..bytes], ends)?)
            }
        };
        Some(ColumnInput { name: &column.name, values, nulls: Some(nulls) })
    });
    columns.collect::<Option<_>>().ok_or_else(|| wrong("columns: fewer values than rows"))
}

fn take<'a>(rest: &mut &'a [u64], words: usize) -> Option<&'a [u64]> {
    let (taken, left) = rest.split_at_checked(words)?;
    *rest = left;
    Some(taken)
}

/// The values of one row, as an insertion takes them; none at all without columns.
pub(crate) fn of_row(columns: &[ColumnInput<'_>], row: usize) -> Vec<Option<Value>> {
    let value = |column: &ColumnInput<'_>| {
        if column.nulls.is_some_and(|nulls| nulls[row / 8] >> (row % 8) & 1 == 1) {
            return None;
        }
        Some(match column.values {
            Values::I64(values) => Value::I64(values[row]),
            Values::F64(values) => Value::F64(values[row]),
            Values::Bool(values) => Value::Bool(values[row] == 1),
            Values::Text(texts) => Value::Text(String::from_utf8_lossy(texts.row(row)).into_owned()),
        })
    };
    columns.iter().map(value).collect()
}

fn wrong(what: &str) -> Failure {
    Failure::new(Code::InvalidArgument, what)
}
