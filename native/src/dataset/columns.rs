//! Values for filters that come along with the rows: a column is a type, a value or none for each row, and goes through
//! temporary files like everything else, so that an input larger than memory stays so.
//!
//! A type is that of the schema (Parquet) or of the first value (JSONL). There whole numbers may turn out to be floats
//! later: then the column is one of floats, if that loses nothing. Everything else that does not fit is refused.

use std::io;

use nearshore_core::filter::{COLUMNS_MAX, ColumnInput, ColumnType, NAME_MAX, Values};
use nearshore_core::vectors::Payloads;

use super::error::{DataError, Fault};
use super::spool::Spool;
use super::{Column, Options};
use crate::io::MappedFile;

/// Which columns come along.
#[derive(Clone, Copy, Debug)]
pub enum ColumnChoice<'a> {
    /// Every one that holds single values, but vector, id and payload.
    All,
    /// These.
    Named(&'a [String]),
}

impl ColumnChoice<'_> {
    /// Whether the column `name`, which is not that of the vector or the id, comes along.
    pub(super) fn takes(&self, name: &str, options: &Options<'_>) -> bool {
        match self {
            Self::All => options.payload != Some(name),
            Self::Named(names) => names.iter().any(|wanted| wanted == name),
        }
    }
}

/// A value on its way into a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell<'a> {
    None,
    I64(i64),
    F64(f64),
    Bool(bool),
    Text(&'a str),
}

impl Cell<'_> {
    fn kind(self) -> Option<ColumnType> {
        match self {
            Cell::None => None,
            Cell::I64(_) => Some(ColumnType::I64),
            Cell::F64(_) => Some(ColumnType::F64),
            Cell::Bool(_) => Some(ColumnType::Bool),
            Cell::Text(_) => Some(ColumnType::Text),
        }
    }
}

/// A column under way.
pub(super) struct ColumnWriter {
    pub(super) name: String,
    kind: Option<ColumnType>,
    /// Whether the schema, and not a value, says the type.
    declared: bool,
    /// Row of the first value.
    first: u64,
    /// Rows whose values were written as whole numbers before the column turned out to hold floats.
    whole: u64,
    values: Spool,
    text: Spool,
    nulls: Vec<u8>,
    any_null: bool,
    pub(super) rows: u64,
}

/// Whole numbers up to this are floats as well.
const EXACT_MAX: u64 = 1 << 53;

fn as_float(whole: i64) -> Result<f64, String> {
    let exact = whole.unsigned_abs() <= EXACT_MAX;
    exact.then_some(whole as f64).ok_or_else(|| format!("{whole} among floats, which cannot hold it; numbers up to 2^53 would be right"))
}

impl ColumnWriter {
    /// Of `kind`, where a schema says so.
    pub(super) fn new(name: &str, kind: Option<ColumnType>, options: &Options<'_>) -> io::Result<Self> {
        let spool = || Spool::new(options.tmp);
        Ok(Self {
            name: name.to_owned(),
            kind,
            declared: kind.is_some(),
            first: 0,
            whole: 0,
            values: spool()?,
            text: spool()?,
            nulls: Vec::new(),
            any_null: false,
            rows: 0,
        })
    }

    /// Whether no row has a value, and nothing says what it would be.
    pub(super) fn is_without_values(&self) -> bool {
        self.kind.is_none()
    }

    /// Appends the value of the next row.
    ///
    /// # Errors
    /// In words, why it does not fit, or what the system says.
    pub(super) fn push(&mut self, cell: Cell<'_>) -> Result<(), Fault> {
        let wrong = |what: String| Fault::Malformed(what);
        let cell = match (self.kind, cell.kind()) {
            (_, None) => cell,
            (None, kind) => {
                // The rows so far have none; they take the room of one all the same.
                (self.kind, self.first) = (kind, self.rows);
                (0..self.rows).try_for_each(|_| self.write_room()).map_err(Fault::Io)?;
                cell
            }
            (Some(kind), Some(found)) if kind == found => cell,
            (Some(ColumnType::I64), Some(ColumnType::F64)) if !self.declared => {
                (self.kind, self.whole) = (Some(ColumnType::F64), self.rows);
                cell
            }
            (Some(ColumnType::F64), Some(ColumnType::I64)) => match cell {
                Cell::I64(whole) => Cell::F64(as_float(whole).map_err(wrong)?),
                other => other,
            },
            (Some(kind), Some(found)) => {
                let since = if self.declared { "by the schema".to_owned() } else { format!("as in row {}", self.first) };
                return Err(wrong(format!("a value of type {found}; {kind} {since} would be right")));
            }
        };
        if let Cell::F64(value) = cell
            && !value.is_finite()
        {
            return Err(wrong(format!("{value} is not a finite number; null would be right where there is none")));
        }
        let written = match cell {
            Cell::None => self.write_null(),
            Cell::I64(value) => self.values.write(&value.to_le_bytes()),
            Cell::F64(value) => self.values.write(&value.to_le_bytes()),
            Cell::Bool(value) => self.values.write(&[u8::from(value)]),
            Cell::Text(text) => self.text.write(text.as_bytes()).and_then(|()| self.values.write(&self.text.bytes().to_le_bytes())),
        };
        written.map_err(Fault::Io)?;
        self.rows += 1;
        Ok(())
    }

    fn write_null(&mut self) -> io::Result<()> {
        let row = self.rows as usize;
        self.nulls.resize(row / 8 + 1, 0);
        self.nulls[row / 8] |= 1 << (row % 8);
        self.any_null = true;
        if self.kind.is_some() { self.write_room() } else { Ok(()) }
    }

    /// What stands where a row has no value.
    fn write_room(&mut self) -> io::Result<()> {
        match self.kind {
            Some(ColumnType::Bool) => self.values.write(&[0]),
            Some(ColumnType::Text) => self.values.write(&self.text.bytes().to_le_bytes()),
            _ => self.values.write(&[0; 8]),
        }
    }

    /// Everything, mapped; `None` where no row has a value and no schema says what it would be.
    pub(super) fn finish(self, input: &str, options: &Options<'_>) -> Result<Option<DataColumn>, DataError> {
        let temporary = |error| super::spool::temporary(input, error);
        let Some(kind) = self.kind else { return Ok(None) };
        let mut values = self.values.finish().map_err(temporary)?;
        if self.whole > 0 {
            // Once more, the whole numbers at the front as floats.
            let mut again = Spool::new(options.tmp).map_err(temporary)?;
            for (row, bytes) in values.as_ref().as_chunks::<8>().0.iter().enumerate() {
                let mut bytes = *bytes;
                if (row as u64) < self.whole {
                    let float = as_float(i64::from_le_bytes(bytes));
                    let float = float.map_err(|what| DataError::malformed(input, what).row(row as u64).field(&*self.name))?;
                    bytes = float.to_le_bytes();
                }
                again.write(&bytes).map_err(temporary)?;
            }
            values = again.finish().map_err(temporary)?;
        }
        let mut nulls = self.nulls;
        nulls.resize((self.rows as usize).div_ceil(8), 0);
        let values = match kind {
            ColumnType::Bool => Kept::Bytes(values),
            ColumnType::Text => Kept::Text(self.text.finish().map_err(temporary)?, Column::mapped(values, 0)),
            ColumnType::I64 | ColumnType::F64 => Kept::Numbers(Column::mapped(values, 0)),
        };
        Ok(Some(DataColumn { name: self.name, kind, values, nulls: self.any_null.then_some(nulls) }))
    }
}

/// A column of a data set.
#[derive(Debug)]
pub(super) struct DataColumn {
    name: String,
    kind: ColumnType,
    values: Kept,
    nulls: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Kept {
    Numbers(Column),
    Bytes(MappedFile),
    Text(MappedFile, Column),
}

impl DataColumn {
    /// As a build takes it.
    pub(super) fn input(&self) -> ColumnInput<'_> {
        let values = match &self.values {
            Kept::Numbers(numbers) if self.kind == ColumnType::F64 => Values::F64(bytemuck::cast_slice(numbers.as_slice())),
            Kept::Numbers(numbers) => Values::I64(bytemuck::cast_slice(numbers.as_slice())),
            Kept::Bytes(bytes) => Values::Bool(bytes.as_ref()),
            Kept::Text(bytes, ends) => {
                // What the writer wrote; were it not, the build would miss rows and say so.
                Payloads::new(bytes.as_ref(), ends.as_slice()).map_or(Values::I64(&[]), Values::Text)
            }
        };
        ColumnInput { name: &self.name, values, nulls: self.nulls.as_deref() }
    }
}

/// Refuses a name that no file takes, and more columns than one takes.
pub(super) fn check_name(input: &str, name: &str, before: usize) -> Result<(), DataError> {
    let wrong = |what: String| Err(DataError::malformed(input, what).field(name));
    if name.is_empty() || name.len() > NAME_MAX {
        return wrong(format!("a name of {} bytes; 1 to {NAME_MAX} would be right for a column", name.len()));
    }
    if before >= COLUMNS_MAX {
        return wrong(format!("more than {COLUMNS_MAX} columns; fewer, named in --columns, would be right"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Dataset, jsonl};
    use super::*;
    use nearshore_core::filter::{Filter, select};

    fn parse(text: &str, columns: ColumnChoice<'_>) -> Result<Dataset, String> {
        let payload = text.contains("payload").then_some("payload");
        let options = Options { columns: Some(columns), payload, ..Options::default() };
        jsonl::read(text.as_bytes(), None, "x", &options).map_err(|error| error.to_string())
    }

    fn fault(text: &str, names: &[&str]) -> String {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        parse(text, ColumnChoice::Named(&names)).map(|data| format!("{data:?}")).unwrap_err()
    }

    const ROWS: &str = r#"{"id": 1, "vector": [1, 2], "n": 3, "text": "a\u00e9", "tags": [1], "late": null, "payload": "p"}
{"id": 2, "vector": [1, 3], "n": -2.5, "flag": true}
{"id": 3, "vector": [1, 4], "n": null, "text": "b", "tags": 7, "late": 9, "flag": false}
{"id": 4, "vector": [1, 5], "n": 1e3, "text": "", "payload": "q"}"#;

    #[test]
    fn types_are_those_of_the_values_and_missing_ones_are_none() {
        let data = parse(ROWS, ColumnChoice::All).unwrap();
        let columns = data.columns();
        let types: Vec<_> = columns.iter().map(|column| (column.name, column.values.kind().as_str())).collect();
        // Lists are no column, and the payload is not one unless it is named.
        assert_eq!(types, [("n", "f64"), ("text", "string"), ("flag", "bool"), ("late", "i64")]);
        let found = |text: &str| select(&columns, data.rows(), &Filter::parse(text).unwrap()).unwrap();
        assert_eq!(found("n = 3 or n = 1000"), [0, 3]);
        assert_eq!(found("n is null"), [2]);
        assert_eq!(found("text is not null and text < \"b\""), [0, 3]);
        assert_eq!(found("text = \"a\u{e9}\""), [0]);
        assert_eq!(found("flag"), [1]);
        assert_eq!(found("late = 9 or flag = false"), [2]);
        assert_eq!(found("late is null"), [0, 1, 3]);
    }

    #[test]
    fn columns_can_be_named_the_id_and_the_payload_too() {
        let names = ["payload", "id", "n"].map(str::to_owned);
        let data = parse(ROWS, ColumnChoice::Named(&names)).unwrap();
        let columns = data.columns();
        let types: Vec<_> = columns.iter().map(|column| (column.name, column.values.kind().as_str())).collect();
        assert_eq!(types, [("payload", "string"), ("id", "i64"), ("n", "f64")]);
        assert_eq!((data.ids(), data.payloads().unwrap().row(3)), (Some(&[1, 2, 3, 4][..]), &b"q"[..]));
        assert_eq!(select(&columns, 4, &Filter::parse("id > 2 and payload = 'q'").unwrap()).unwrap(), [3]);
    }

    #[test]
    fn what_is_no_column_is_refused_with_row_and_field() {
        let row = |value: &str| format!("{{\"vector\": [1], \"n\": {value}}}\n");
        let rows = |values: &[&str]| values.iter().map(|value| row(value)).collect::<String>();
        let unlike = fault(&rows(&["null", "1", "\"a\""]), &["n"]);
        assert_eq!(unlike, "x: row 2 (line 3), field n: a value of type string; i64 as in row 1 would be right");
        assert!(fault(&rows(&["true", "1"]), &["n"]).ends_with("a value of type i64; bool as in row 0 would be right"));
        let nested = fault(&rows(&["[1]"]), &["n"]);
        assert_eq!(nested, "x: row 0 (line 1), field n: a list or an object; a number, text, true, false or null would be right");
        let large = fault(&rows(&["0.5", "9007199254740993"]), &["n"]);
        assert!(large.ends_with("9007199254740993 among floats, which cannot hold it; numbers up to 2^53 would be right"), "{large}");
        let earlier = fault(&rows(&["9007199254740993", "0.5"]), &["n"]);
        assert!(earlier.starts_with("x: row 0, field n: 9007199254740993 among floats"), "{earlier}");
        assert!(fault(&rows(&["1e999"]), &["n"]).contains("field n: inf is not a finite number"));
        assert_eq!(
            fault(&rows(&["1"]), &["m"]),
            "x: field m: no row has a value in this field; one that rows have would be right; row 0 has: n"
        );
        let twice = fault("{\"vector\": [1], \"n\": 1, \"n\": 2}", &["n"]);
        assert!(twice.contains("field n: a second value; one would be right"), "{twice}");
        let long = "n".repeat(97);
        assert!(fault(&row("1").replace('n', &long), &[&long]).contains("a name of 97 bytes"));
        let many: String = (0..41).map(|at| format!(", \"c{at}\": 1")).collect();
        let many = parse(&format!("{{\"vector\": [1]{many}}}"), ColumnChoice::All).map(|_| ()).unwrap_err();
        assert_eq!(many, "x: row 0 (line 1), field c40: more than 40 columns; fewer, named in --columns, would be right");
    }

    #[test]
    fn whole_numbers_before_the_first_float_are_floats_as_well() {
        let text: String =
            (0..100).map(|n| format!("{{\"vector\": [1], \"n\": {}}}\n", if n == 70 { "0.5".to_owned() } else { n.to_string() })).collect();
        let data = parse(&text, ColumnChoice::All).unwrap();
        assert_eq!(
            select(&data.columns(), 100, &Filter::parse("n < 3 or n between 68 and 72").unwrap()).unwrap(),
            [0, 1, 2, 68, 69, 70, 71, 72]
        );
    }
}
