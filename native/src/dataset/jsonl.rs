//! JSON Lines: an object a line, `{"id": 7, "vector": [0.1, 0.2], "title": "..."}`.
//!
//! Read line by line and written on at once; the numbers of a vector go straight into a buffer that every line
//! reuses. Fields nobody asked for are skipped without being built. An `id` is a whole number up to 2^64 - 1, in all
//! rows or in none. Blank lines are skipped.

use std::fmt;
use std::io::{BufRead, BufReader, Read};

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::columns::Cell;
use super::error::DataError;
use super::spool::RowWriter;
use super::{ColumnChoice, Dataset, Options};

/// The longest line that is read: 32,768 numbers need less than a megabyte, the rest is for payloads.
const LINE_MAX: u64 = 256 << 20;

/// Reads all lines of `input`, which has `size` bytes where that is known.
pub(super) fn read(input: impl Read, size: Option<u64>, name: &str, options: &Options<'_>) -> Result<Dataset, DataError> {
    let mut input = BufReader::with_capacity(1 << 18, input);
    let mut rows = RowWriter::new(name, options)?;
    let (mut parsed, mut skipped) = (Row::default(), Vec::new());
    if let Some(ColumnChoice::Named(names)) = options.columns {
        // In the order of the names, whichever comes first in the rows.
        for name in names {
            rows.column(name).map_or_else(|| rows.add_column(name, None), Ok)?;
        }
    }
    // What a message about a column that is none can list.
    let mut first = Vec::new();
    let (mut text, mut line, mut bytes, mut with_ids, mut with_payload) = (Vec::new(), 0u64, 0u64, false, false);
    loop {
        text.clear();
        line += 1;
        let count = input.by_ref().take(LINE_MAX).read_until(b'\n', &mut text).map_err(|error| DataError::io(name, error))?;
        if count == 0 {
            if let Some(field) = options.payload.filter(|_| !with_payload && rows.rows() > 0) {
                let what = "no row has this field; one that rows have would be right, for --payload".to_owned();
                return Err(DataError::malformed(name, what).field(field));
            }
            if let Some(ColumnChoice::Named(names)) = options.columns.filter(|_| rows.rows() > 0)
                && let Some(field) = names.iter().find(|name| rows.is_without_values(name))
            {
                let what =
                    format!("no row has a value in this field; one that rows have would be right; row 0 has: {}", single_values(&first));
                return Err(DataError::malformed(name, what).field(field.as_str()));
            }
            return rows.finish();
        }
        bytes += count as u64;
        let row = rows.rows();
        let here = |error: DataError| error.row(row).line(line);
        let wrong = |what: String| here(DataError::malformed(name, what));
        if count as u64 == LINE_MAX {
            return Err(wrong(format!("longer than {LINE_MAX} bytes; one object a line would be right")));
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        if first.is_empty() && options.columns.is_some() {
            first.clone_from(&text);
        }
        parsed.clear();
        let mut deserializer = serde_json::Deserializer::from_slice(&text);
        let seed = RowSeed { row: &mut parsed, options };
        seed.deserialize(&mut deserializer).and_then(|()| deserializer.end()).map_err(|error| {
            let told = error.to_string();
            let told = told.split(" at line ").next().unwrap_or_default();
            let error = wrong(format!("{told} (column {})", error.column()));
            if parsed.field.is_empty() { error } else { error.field(&*parsed.field) }
        })?;
        if !parsed.has_vector {
            let fields = options.vector.map_or("a field \"vector\" or \"embedding\"".to_owned(), |field| format!("a field {field:?}"));
            return Err(wrong(format!("no vector; {fields} with a list of numbers would be right")));
        }
        if row > 0 && with_ids != parsed.id.is_some() {
            let what = if with_ids {
                "no id; an id in every row, as in row 0, would be right"
            } else {
                "an id, but row 0 has none; ids in all rows or in none would be right"
            };
            return Err(wrong(what.to_owned()).field(options.id.unwrap_or("id")));
        }
        rows.vector(&parsed.vector).map_err(|error| error.line(line).field(options.vector.unwrap_or("vector")))?;
        if let Some(id) = parsed.id {
            with_ids = true;
            rows.id(id)?;
        } else if options.id.is_some() {
            return Err(wrong("no id; a whole number in every row would be right".to_owned()).field(options.id.unwrap_or_default()));
        }
        rows.payload(&parsed.payload)?;
        with_payload |= parsed.has_payload;
        for (field, value) in &parsed.cells[..parsed.cells_used] {
            cell(&mut rows, row, field, value, options, &mut skipped).map_err(here)?;
        }
        if row % 1024 == 0 {
            (options.progress)(bytes, size);
        }
    }
}

/// The fields of a row that hold single values.
fn single_values(row: &[u8]) -> String {
    let row: serde_json::Value = serde_json::from_slice(row).unwrap_or_default();
    let single = |(name, value): (&String, &serde_json::Value)| (!value.is_array() && !value.is_object()).then(|| name.clone());
    row.as_object().into_iter().flatten().filter_map(single).collect::<Vec<_>>().join(", ")
}

/// What one line said.
#[derive(Default)]
struct Row {
    vector: Vec<f32>,
    has_vector: bool,
    id: Option<u64>,
    payload: Vec<u8>,
    has_payload: bool,
    /// Fields that are columns, with their values as they stand; the first `cells_used` of these.
    cells: Vec<(String, String)>,
    cells_used: usize,
    /// The field being read, for messages.
    field: String,
}

impl Row {
    fn clear(&mut self) {
        self.vector.clear();
        self.payload.clear();
        self.field.clear();
        self.has_vector = false;
        self.has_payload = false;
        self.cells_used = 0;
        self.id = None;
    }
}

impl Row {
    /// Keeps the value of the field being read, for a column; false when the row has one already.
    fn add_cell(&mut self, value: &str) -> bool {
        let (used, rest) = self.cells.split_at_mut(self.cells_used);
        if used.iter().any(|(field, _)| *field == self.field) {
            return false;
        }
        match rest.first_mut() {
            Some((field, kept)) => {
                field.clone_from(&self.field);
                kept.clear();
                kept.push_str(value);
            }
            None => self.cells.push((self.field.clone(), value.to_owned())),
        }
        self.cells_used += 1;
        true
    }
}

/// Puts a value, as it stands in the line, into its column. Where all columns are taken, one whose first value is a list
/// or an object is not.
fn cell(
    rows: &mut RowWriter<'_>,
    row: u64,
    field: &str,
    json: &str,
    options: &Options<'_>,
    skipped: &mut Vec<String>,
) -> Result<(), DataError> {
    if json == "null" || skipped.iter().any(|name| name == field) {
        return Ok(());
    }
    let nested = json.starts_with(['[', '{']);
    let column = match rows.column(field) {
        Some(column) => column,
        None if nested && matches!(options.columns, Some(ColumnChoice::All)) => {
            skipped.push(field.to_owned());
            return Ok(());
        }
        None => rows.add_column(field, None)?,
    };
    let text: String;
    let value = if json.starts_with('"') {
        text = serde_json::from_str(json).map_err(|error| rows.malformed(row, field, error.to_string()))?;
        Cell::Text(&text)
    } else if let Ok(value) = json.parse() {
        Cell::Bool(value)
    } else if let Ok(value) = json.parse() {
        Cell::I64(value)
    } else {
        match json.parse() {
            Ok(value) if !nested => Cell::F64(value),
            _ => return Err(rows.malformed(row, field, "a list or an object; a number, text, true, false or null would be right")),
        }
    };
    rows.cell(column, row, value)
}

struct RowSeed<'a> {
    row: &'a mut Row,
    options: &'a Options<'a>,
}

impl<'de> DeserializeSeed<'de> for RowSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object such as {\"id\": 7, \"vector\": [0.1, 0.2]}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { row, options } = self;
        while map.next_key_seed(Key(&mut row.field))?.is_some() {
            let key = row.field.as_str();
            let is_vector = options.vector.map_or(matches!(key, "vector" | "embedding"), |name| key == name);
            let is_id = key == options.id.unwrap_or("id");
            if is_vector && std::mem::replace(&mut row.has_vector, true) {
                return Err(de::Error::custom("a second vector; one would be right"));
            }
            let is_payload = Some(key) == options.payload;
            let is_column = match &options.columns {
                Some(ColumnChoice::All) if is_vector || is_id => false,
                Some(choice) => choice.takes(key, options),
                None => false,
            };
            if is_payload || is_column {
                if is_payload && std::mem::replace(&mut row.has_payload, true) {
                    return Err(de::Error::custom("a second payload; one would be right"));
                }
                // It may be the vector or the id as well.
                let value: &RawValue = map.next_value()?;
                if is_payload {
                    write_payload(value.get(), &mut row.payload).map_err(de::Error::custom)?;
                }
                if is_column && !row.add_cell(value.get()) {
                    return Err(de::Error::custom("a second value; one would be right"));
                }
                if is_vector {
                    Numbers(&mut row.vector).deserialize(value).map_err(de::Error::custom)?;
                } else if is_id {
                    row.id = Some(u64::deserialize(value).map_err(de::Error::custom)?);
                }
            } else if is_vector {
                map.next_value_seed(Numbers(&mut row.vector))?;
            } else if is_id {
                row.id = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        row.field.clear();
        Ok(())
    }
}

/// A text as it reads, nothing for null, any other value as it stands.
fn write_payload(json: &str, payload: &mut Vec<u8>) -> serde_json::Result<()> {
    match json {
        "null" => {}
        text if text.starts_with('"') => payload.extend_from_slice(serde_json::from_str::<String>(text)?.as_bytes()),
        other => payload.extend_from_slice(other.as_bytes()),
    }
    Ok(())
}

/// A key, into a buffer that is reused.
struct Key<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<(), E> {
        self.0.clear();
        self.0.push_str(key);
        Ok(())
    }
}

/// Reads one vector written as a JSON list.
///
/// # Errors
/// What is not JSON, not a list of numbers, or not a finite f32.
pub fn parse_vector(text: &str) -> Result<Vec<f32>, String> {
    let mut vector = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Numbers(&mut vector).deserialize(&mut deserializer).and_then(|()| deserializer.end()).map_err(|error| error.to_string())?;
    match vector.iter().position(|number| !number.is_finite()) {
        Some(place) => Err(format!("number {place} is not a finite f32")),
        None if vector.is_empty() => Err("no numbers".to_owned()),
        None => Ok(vector),
    }
}

/// A list of numbers, into a buffer that is reused.
struct Numbers<'a>(&'a mut Vec<f32>);

impl<'de> DeserializeSeed<'de> for Numbers<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Numbers<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<(), A::Error> {
        while let Some(number) = numbers.next_element::<f64>()? {
            self.0.push(number as f32);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, options: &Options<'_>) -> Result<Dataset, String> {
        read(text.as_bytes(), None, "x", options).map_err(|error| error.to_string())
    }

    fn fault(text: &str) -> String {
        parse(text, &Options::default()).unwrap_err()
    }

    #[test]
    fn lines_become_rows_ids_and_payloads() {
        let text = "{\"id\": 18446744073709551615, \"vector\": [1, 2.5], \"title\": \"a\\n\"}\n\n{\"tags\":[1, {\"deep\": []}],\"vector\":[3e0,-4],\"id\":7,\"title\":{\"b\": 1}}";
        let data = parse(text, &Options { payload: Some("title"), ..Options::default() }).unwrap();
        assert_eq!((data.rows(), data.dimensions()), (2, 2));
        assert_eq!(data.ids(), Some(&[u64::MAX, 7][..]));
        assert_eq!(bytemuck::cast_slice::<u8, f32>(data.vectors().row(1)), [3.0, -4.0]);
        let payloads = data.payloads().unwrap();
        assert_eq!((payloads.row(0), payloads.row(1)), (&b"a\n"[..], &b"{\"b\": 1}"[..]));
    }

    #[test]
    fn faults_name_row_line_and_field() {
        assert_eq!(fault(""), "x: no rows; at least one vector would be right");
        assert_eq!(fault("\n\n"), "x: no rows; at least one vector would be right");
        let two = fault("{\"vector\": [1, 2]}\n\n{\"vector\": [1]}");
        assert_eq!(two, "x: row 1 (line 3), field vector: 1 numbers; 2 as in row 0 would be right");
        assert_eq!(fault("{\"vector\": [1e39]}"), "x: row 0 (line 1), field vector: inf is not a finite f32");
        assert!(fault("{\"vector\": [NaN]}").starts_with("x: row 0 (line 1), field vector: expected value (column 1"));
        assert!(fault("{\"vector\": [1, \"2\"]}").contains("field vector: invalid type: string \"2\", expected f64"));
        assert!(fault("[1, 2]").contains("expected an object such as"));
        assert!(fault("{\"id\": 1}").contains("no vector; a field \"vector\" or \"embedding\""));
        assert!(fault("{\"vector\": []}").contains("0 dimensions; 1 to 32768"));
        assert!(fault("{\"vector\": [1], \"embedding\": [1]}").contains("a second vector"));
        assert!(fault("{\"vector\": [1], \"id\": -1}").contains("field id: invalid value: integer `-1`, expected u64"));
        assert!(fault("{\"vector\": [1], \"id\": \"a\"}").contains("field id: invalid type: string \"a\""));
        assert!(fault("{\"vector\": [1]").contains("EOF while parsing"));
        assert!(fault("{\"vector\": [1]} 2").contains("trailing characters"));
        assert!(fault("{\"vector\": [1], \"id\": 1}\n{\"vector\": [1]}").contains("row 1 (line 2), field id: no id"));
        assert!(fault("{\"vector\": [1]}\n{\"vector\": [1], \"id\": 1}").contains("field id: an id, but row 0 has none"));
        assert!(fault(&format!("{{\"vector\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000))).contains("invalid type: sequence"));
        assert!(fault(&format!("{{\"other\": {}", "[".repeat(100_000))).contains("EOF while parsing"));
    }

    #[test]
    fn a_payload_is_found_once_a_row_and_in_some_row() {
        let with = |payload| Options { payload: Some(payload), ..Options::default() };
        let rows = "{\"id\": 5, \"vector\": [1]}\n{\"id\": 6, \"vector\": [2], \"title\": null}";
        assert_eq!(
            parse(rows, &with("titel")).unwrap_err(),
            "x: field titel: no row has this field; one that rows have would be right, for --payload"
        );
        assert!(parse(rows, &with("title")).is_ok());
        let ids = parse(rows, &with("id")).unwrap();
        assert_eq!((ids.ids(), ids.payloads().unwrap().row(1)), (Some(&[5, 6][..]), &b"6"[..]));
        let vectors = parse(rows, &with("vector")).unwrap();
        assert_eq!((vectors.dimensions(), vectors.payloads().unwrap().row(0)), (1, &b"[1]"[..]));
        let twice = parse("{\"vector\": [1], \"t\": 1, \"t\": 2}", &with("t")).unwrap_err();
        assert!(twice.contains("a second payload"), "{twice}");
    }

    #[test]
    fn columns_can_be_named() {
        let options = Options { vector: Some("v"), id: Some("key"), ..Options::default() };
        let data = parse("{\"key\": 9, \"v\": [1], \"vector\": \"text\", \"id\": \"text\"}", &options).unwrap();
        assert_eq!((data.ids(), data.rows()), (Some(&[9][..]), 1));
        assert!(parse("{\"v\": [1]}", &options).unwrap_err().contains("field key: no id"));
    }
}
