//! Parquet: a column of lists of numbers, and optionally one of ids and one of payloads.
//!
//! The file is mapped and decoded a few rows at a time through the column readers; rows go on into the spool of
//! [`RowWriter`]. Numbers may be f32, f64, f16 or integers and become f32. Nested columns, null vectors and null ids
//! are refused with their row. A damaged file is an error: what its pages cannot hold ([`pages`]), what the decoder reports, and
//! what it does not survive.

mod pages;
mod values;

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{AsBytes, DataType};
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};

use super::error::{DataError, Fault};
use super::spool::RowWriter;
use super::{ColumnChoice, DIMENSIONS_MAX, Dataset, Options};
use crate::io::MappedFile;
use nearshore_core::filter::ColumnType;

/// Records decoded at a time: a batch of the widest vectors stays under 10 MiB.
const BATCH: usize = 64;

/// Bytes of vectors and payloads that a byte of the file may stand for: far more than any data compress to, but few enough
/// that a small file cannot fill the disk.
const EXPANSION_MAX: u64 = 1 << 16;

/// And however small the file is.
const EXPANSION_FREE: u64 = 64 << 20;

/// Reads the mapped file called `name`.
pub(super) fn read(bytes: MappedFile, name: &str, options: &Options<'_>) -> Result<Dataset, DataError> {
    if bytes.as_ref().is_empty() {
        return Err(DataError::new(name, Fault::Empty));
    }
    let bytes = Bytes::from_owner(bytes);
    // The decoder checks less than it assumes; its panics on damaged pages stop here.
    catch_unwind(AssertUnwindSafe(|| read_columns(bytes, name, options)))
        .unwrap_or_else(|_| Err(DataError::malformed(name, "damaged Parquet pages; writing the file again would be right")))
}

fn read_columns(bytes: Bytes, name: &str, options: &Options<'_>) -> Result<Dataset, DataError> {
    let size = bytes.len() as u64;
    let damaged = |error: parquet::errors::ParquetError| DataError::malformed(name, format!("not readable as Parquet: {error}"));
    let file = SerializedFileReader::new(bytes.clone()).map_err(damaged)?;
    let schema = file.metadata().file_metadata().schema_descr_ptr();
    let columns = Columns::choose(&schema, name, options)?;
    let mut rows = RowWriter::new(name, options)?.at_most(size.saturating_mul(EXPANSION_MAX).saturating_add(EXPANSION_FREE));
    let mut before = 0u64;
    for group in 0..file.num_row_groups() {
        let group = file.get_row_group(group).map_err(damaged)?;
        let meta = group.metadata();
        let count = u64::try_from(meta.num_rows()).map_err(|_| DataError::malformed(name, "a negative count of rows"))?;
        let values = meta.column(columns.vector).num_values();
        if values as u128 > u128::from(count) * DIMENSIONS_MAX as u128 {
            return Err(DataError::malformed(
                name,
                format!("{values} values in {count} rows; {DIMENSIONS_MAX} a row at most would be right"),
            ));
        }
        let mut group = Group { name, file: &bytes, group: &*group, schema: &schema, before, count };
        group.vectors(columns.vector, &mut rows)?;
        if let Some(column) = columns.id {
            group.ids(column, &mut rows)?;
        }
        if let Some(column) = columns.payload {
            group.payloads(column, &mut rows)?;
        }
        for (number, &(leaf, kind)) in columns.values.iter().enumerate() {
            if group.before == 0 && rows.column(root(&schema.column(leaf))).is_none() {
                rows.add_column(root(&schema.column(leaf)), Some(kind))?;
            }
            group.values(leaf, number, &mut rows)?;
        }
        before += count;
        let total = u64::try_from(file.metadata().file_metadata().num_rows()).unwrap_or(before).max(1);
        (options.progress)((u128::from(size) * u128::from(before) / u128::from(total)) as u64, Some(size));
    }
    rows.finish()
}

/// Leaves of the schema, by number.
struct Columns {
    vector: usize,
    id: Option<usize>,
    payload: Option<usize>,
    /// Of values for filters, with their types.
    values: Vec<(usize, ColumnType)>,
}

impl Columns {
    fn choose(schema: &SchemaDescriptor, name: &str, options: &Options<'_>) -> Result<Self, DataError> {
        let input = name;
        let lists: Vec<usize> = (0..schema.num_columns()).filter(|&leaf| is_numbers(&schema.column(leaf))).collect();
        let named = |wanted: &str| (0..schema.num_columns()).find(|&leaf| root(&schema.column(leaf)) == wanted);
        let all = || (0..schema.num_columns()).map(|leaf| root(&schema.column(leaf)).to_owned()).collect::<Vec<_>>().join(", ");
        let absent = |column: &str, what: &str| {
            DataError::malformed(name, format!("no such column; {what} would be right; there are: {}", all())).field(column)
        };
        let vector = match options.vector {
            Some(column) => {
                let leaf = named(column).ok_or_else(|| absent(column, "a list of numbers"))?;
                if !lists.contains(&leaf) {
                    return Err(DataError::malformed(name, format!("{}; a list of numbers would be right", kind(&schema.column(leaf))))
                        .field(column));
                }
                leaf
            }
            None => ["vector", "embedding"]
                .iter()
                .find_map(|wanted| named(wanted).filter(|leaf| lists.contains(leaf)))
                .or(if let [only] = lists[..] { Some(only) } else { None })
                .ok_or_else(|| {
                    let what =
                        format!("{} columns are lists of numbers; --vector-column NAME would be right; there are: {}", lists.len(), all());
                    DataError::malformed(name, what)
                })?,
        };
        let flat = |column: &str, what: &str| {
            let leaf = named(column).ok_or_else(|| absent(column, what))?;
            let descriptor = schema.column(leaf);
            let nested = descriptor.max_rep_level() > 0 || descriptor.path().parts().len() > 1;
            if nested { Err(DataError::malformed(name, format!("a nested column; {what} would be right")).field(column)) } else { Ok(leaf) }
        };
        let id = match options.id {
            Some(column) => Some(flat(column, "a column of integers")?),
            None => named("id").map(|_| flat("id", "a column of integers (another: --id-column NAME)")).transpose()?,
        };
        if let Some(leaf) = id.filter(|&leaf| !matches!(schema.column(leaf).physical_type(), Physical::INT32 | Physical::INT64)) {
            let column = schema.column(leaf);
            let what = format!("{}; integers would be right for ids (another column: --id-column NAME)", kind(&column));
            return Err(DataError::malformed(name, what).field(root(&column)));
        }
        let payload = options.payload.map(|column| flat(column, "a column of text, bytes or numbers")).transpose()?;
        let values = match options.columns {
            None => Vec::new(),
            Some(ColumnChoice::All) => {
                let others = (0..schema.num_columns()).filter(|&leaf| leaf != vector && Some(leaf) != id && Some(leaf) != payload);
                let flat = others.filter(|&leaf| schema.column(leaf).max_rep_level() == 0 && schema.column(leaf).path().parts().len() == 1);
                flat.filter_map(|leaf| Some((leaf, values::kind(&schema.column(leaf)).ok()?))).collect()
            }
            Some(ColumnChoice::Named(names)) => {
                let one = |name: &String| {
                    let leaf = flat(name, "a column of numbers, booleans or text")?;
                    let kind = values::kind(&schema.column(leaf));
                    kind.map(|kind| (leaf, kind)).map_err(|what| DataError::malformed(input, what).field(name.as_str()))
                };
                let mut found = names.iter().map(one).collect::<Result<Vec<_>, _>>()?;
                let mut seen = Vec::new();
                found.retain(|&(leaf, _)| !seen.contains(&leaf) && (seen.push(leaf), true).1);
                found
            }
        };
        Ok(Self { vector, id, payload, values })
    }
}

/// Name of the top-level column that a leaf belongs to.
fn root(column: &ColumnDescriptor) -> &str {
    column.path().parts().first().map_or("", String::as_str)
}

/// What a column holds, in a word.
fn kind(column: &ColumnDescriptor) -> String {
    format!("{}{}", if column.max_rep_level() > 0 { "a list of " } else { "" }, column.physical_type())
}

fn is_numbers(column: &ColumnDescriptor) -> bool {
    let number = match column.physical_type() {
        Physical::FLOAT | Physical::DOUBLE | Physical::INT32 | Physical::INT64 => true,
        Physical::FIXED_LEN_BYTE_ARRAY => matches!(column.logical_type_ref(), Some(LogicalType::Float16)) && column.type_length() == 2,
        _ => false,
    };
    column.max_rep_level() == 1 && number
}

/// One row group of a file.
struct Group<'a> {
    name: &'a str,
    file: &'a [u8],
    group: &'a dyn RowGroupReader,
    schema: &'a SchemaDescriptor,
    /// Rows in the groups before.
    before: u64,
    count: u64,
}

impl Group<'_> {
    fn damaged(&self, column: usize, row: u64, error: impl std::fmt::Display) -> DataError {
        DataError::malformed(self.name, format!("not readable as Parquet: {error}")).row(row).field(root(&self.schema.column(column)))
    }

    fn reader(&self, column: usize) -> Result<ColumnReader, DataError> {
        let lists = self.schema.column(column).max_rep_level() > 0;
        pages::check(self.file, self.group.metadata().column(column), lists).map_err(|what| self.damaged(column, self.before, what))?;
        self.group.get_column_reader(column).map_err(|error| self.damaged(column, self.before, error))
    }

    fn vectors(&mut self, column: usize, rows: &mut RowWriter<'_>) -> Result<(), DataError> {
        match self.reader(column)? {
            ColumnReader::FloatColumnReader(reader) => self.lists(column, reader, rows, |value| *value),
            ColumnReader::DoubleColumnReader(reader) => self.lists(column, reader, rows, |value| *value as f32),
            ColumnReader::Int32ColumnReader(reader) => self.lists(column, reader, rows, |value| *value as f32),
            ColumnReader::Int64ColumnReader(reader) => self.lists(column, reader, rows, |value| *value as f32),
            ColumnReader::FixedLenByteArrayColumnReader(reader) => self.lists(column, reader, rows, |value| match value.data() {
                [low, high] => widen(u16::from_le_bytes([*low, *high])),
                _ => f32::NAN,
            }),
            _ => Err(self.damaged(column, self.before, "a column of another type than its schema says")),
        }
    }

    /// Cuts a column of lists into rows by its levels.
    fn lists<T: DataType>(
        &self,
        column: usize,
        mut reader: ColumnReaderImpl<T>,
        rows: &mut RowWriter<'_>,
        number: impl Fn(&T::T) -> f32,
    ) -> Result<(), DataError> {
        let descriptor = self.schema.column(column);
        let field = root(&descriptor);
        let present = descriptor.max_def_level();
        let (mut definitions, mut repetitions, mut values, mut vector) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut done = 0u64;
        while done < self.count {
            definitions.clear();
            repetitions.clear();
            values.clear();
            let wanted = BATCH.min((self.count - done) as usize);
            let (records, _, levels) = reader
                .read_records(wanted, Some(&mut definitions), Some(&mut repetitions), &mut values)
                .map_err(|error| self.damaged(column, self.before + done, error))?;
            if records == 0 {
                return Err(self.damaged(column, self.before + done, format!("{done} rows in the column, {} in its group", self.count)));
            }
            if definitions.len() < levels || repetitions.len() < levels {
                return Err(self.damaged(column, self.before + done, "levels are missing"));
            }
            let mut values = values.iter();
            let mut at = 0;
            while at < levels {
                let end = (at + 1..levels).find(|&level| repetitions[level] == 0).unwrap_or(levels);
                let row = rows.rows();
                vector.clear();
                for &definition in &definitions[at..end] {
                    match (definition == present, values.next_if_present(definition == present)) {
                        (true, Some(value)) => vector.push(number(value)),
                        (true, None) => return Err(self.damaged(column, row, "values are missing")),
                        // One level below a present value stands an empty list or a null, and it stands alone.
                        (false, _) => {
                            let what = if end - at > 1 { "a null in the list; numbers only" } else { "null or empty; a list of numbers" };
                            return Err(DataError::malformed(self.name, format!("{what} would be right")).row(row).field(field));
                        }
                    }
                }
                rows.vector(&vector).map_err(|error| error.field(field))?;
                at = end;
            }
            done += records as u64;
        }
        if rows.rows() == self.before + self.count { Ok(()) } else { Err(self.damaged(column, rows.rows(), "rows and records disagree")) }
    }

    fn ids(&mut self, column: usize, rows: &mut RowWriter<'_>) -> Result<(), DataError> {
        let descriptor = self.schema.column(column);
        let unsigned = matches!(descriptor.logical_type_ref(), Some(LogicalType::Integer(int)) if !int.is_signed)
            || matches!(
                descriptor.converted_type(),
                ConvertedType::UINT_64 | ConvertedType::UINT_32 | ConvertedType::UINT_16 | ConvertedType::UINT_8
            );
        let refuse = |row, what: String| {
            Err(DataError::malformed(self.name, format!("{what}; a whole number from 0 to 2^64 - 1 would be right"))
                .row(row)
                .field(root(&descriptor)))
        };
        let mut take = |row: u64, id: Option<i64>| match id {
            Some(id) if id >= 0 || unsigned => rows.id(id.cast_unsigned()),
            Some(id) => refuse(row, format!("id {id}")),
            None => refuse(row, "no id".to_owned()),
        };
        match self.reader(column)? {
            ColumnReader::Int64ColumnReader(reader) => self.flat(column, reader, |row, value| take(row, value.copied())),
            ColumnReader::Int32ColumnReader(reader) => self.flat(column, reader, |row, value: Option<&i32>| {
                take(row, value.map(|&id| if unsigned { i64::from(id.cast_unsigned()) } else { i64::from(id) }))
            }),
            _ => Err(self.damaged(column, self.before, "ids of another type than the schema says")),
        }
    }

    fn payloads(&mut self, column: usize, rows: &mut RowWriter<'_>) -> Result<(), DataError> {
        match self.reader(column)? {
            ColumnReader::ByteArrayColumnReader(reader) => {
                self.flat(column, reader, |_, value| rows.payload(value.map_or(b"", |value| value.as_bytes())))
            }
            ColumnReader::FixedLenByteArrayColumnReader(reader) => {
                self.flat(column, reader, |_, value| rows.payload(value.map_or(b"", |value| value.as_bytes())))
            }
            ColumnReader::BoolColumnReader(reader) => self.texts(column, reader, rows),
            ColumnReader::Int32ColumnReader(reader) => self.texts(column, reader, rows),
            ColumnReader::Int64ColumnReader(reader) => self.texts(column, reader, rows),
            ColumnReader::FloatColumnReader(reader) => self.texts(column, reader, rows),
            ColumnReader::DoubleColumnReader(reader) => self.texts(column, reader, rows),
            ColumnReader::Int96ColumnReader(_) => Err(self.damaged(column, self.before, "INT96 is not supported; text would be right")),
        }
    }

    /// Payloads that are numbers, in decimal.
    fn texts<T: DataType<T: std::fmt::Display>>(
        &self,
        column: usize,
        reader: ColumnReaderImpl<T>,
        rows: &mut RowWriter<'_>,
    ) -> Result<(), DataError> {
        self.flat(column, reader, |_, value| rows.payload(value.map(ToString::to_string).unwrap_or_default().as_bytes()))
    }

    /// Hands each value of a column without lists to `take`, with its row; `None` for a null.
    fn flat<T: DataType>(
        &self,
        column: usize,
        mut reader: ColumnReaderImpl<T>,
        mut take: impl FnMut(u64, Option<&T::T>) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let present = self.schema.column(column).max_def_level();
        let (mut definitions, mut values) = (Vec::new(), Vec::new());
        let mut done = 0u64;
        while done < self.count {
            definitions.clear();
            values.clear();
            let wanted = BATCH.min((self.count - done) as usize);
            let row = self.before + done;
            let (records, ..) =
                reader.read_records(wanted, Some(&mut definitions), None, &mut values).map_err(|error| self.damaged(column, row, error))?;
            if records == 0 {
                return Err(self.damaged(column, row, format!("{done} rows in the column, {} in its group", self.count)));
            }
            let mut values = values.iter();
            for record in 0..records {
                let there = present == 0 || definitions.get(record) == Some(&present);
                take(row + record as u64, values.next_if_present(there))?;
            }
            done += records as u64;
        }
        Ok(())
    }
}

/// Steps only where a value is stored.
trait NextIfPresent: Iterator {
    fn next_if_present(&mut self, present: bool) -> Option<Self::Item>;
}

impl<I: Iterator> NextIfPresent for I {
    fn next_if_present(&mut self, present: bool) -> Option<I::Item> {
        if present { self.next() } else { None }
    }
}

/// An IEEE half as f32.
fn widen(bits: u16) -> f32 {
    let mut out = [0.0];
    nearshore_core::distance::Kernels::best().widen_f16(&[bits], &mut out);
    out[0]
}

#[cfg(test)]
mod tests;
