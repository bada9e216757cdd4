//! Columns of single values, for filters.

use parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{AsBytes, DataType};
use parquet::schema::types::ColumnDescriptor;

use super::super::columns::Cell;
use super::super::error::DataError;
use super::super::spool::RowWriter;
use super::{Group, root, widen};
use nearshore_core::filter::ColumnType;

/// What a column's values become.
///
/// # Errors
/// In words, what they are instead.
pub(super) fn kind(column: &ColumnDescriptor) -> Result<ColumnType, String> {
    let half = matches!(column.logical_type_ref(), Some(LogicalType::Float16));
    let decimal =
        matches!(column.logical_type_ref(), Some(LogicalType::Decimal { .. })) || column.converted_type() == ConvertedType::DECIMAL;
    match column.physical_type() {
        _ if decimal => Err("decimals; whole numbers or doubles would be right".to_owned()),
        Physical::INT32 | Physical::INT64 => Ok(ColumnType::I64),
        Physical::FLOAT | Physical::DOUBLE => Ok(ColumnType::F64),
        Physical::FIXED_LEN_BYTE_ARRAY if half => Ok(ColumnType::F64),
        Physical::BOOLEAN => Ok(ColumnType::Bool),
        Physical::BYTE_ARRAY => Ok(ColumnType::Text),
        other => Err(format!("{other}; numbers, booleans or text would be right")),
    }
}

impl Group<'_> {
    /// Reads a column of single values into column `number` of `rows`.
    pub(super) fn values(&mut self, column: usize, number: usize, rows: &mut RowWriter<'_>) -> Result<(), DataError> {
        let descriptor = self.schema.column(column);
        let unsigned = matches!(descriptor.logical_type_ref(), Some(LogicalType::Integer(int)) if !int.is_signed)
            || matches!(descriptor.converted_type(), ConvertedType::UINT_64 | ConvertedType::UINT_32);
        match self.reader(column)? {
            ColumnReader::BoolColumnReader(reader) => self.cells(column, number, reader, rows, |value| Ok(Cell::Bool(*value))),
            ColumnReader::Int32ColumnReader(reader) => self.cells(column, number, reader, rows, |&value: &i32| {
                Ok(Cell::I64(if unsigned { value.cast_unsigned().into() } else { value.into() }))
            }),
            ColumnReader::Int64ColumnReader(reader) => self.cells(column, number, reader, rows, |&value: &i64| {
                let fits = value >= 0 || !unsigned;
                fits.then_some(Cell::I64(value)).ok_or("a number beyond 2^63 - 1; a smaller one would be right")
            }),
            ColumnReader::FloatColumnReader(reader) => self.cells(column, number, reader, rows, |&value: &f32| Ok(Cell::F64(value.into()))),
            ColumnReader::DoubleColumnReader(reader) => self.cells(column, number, reader, rows, |&value: &f64| Ok(Cell::F64(value))),
            ColumnReader::FixedLenByteArrayColumnReader(reader) => self.cells(column, number, reader, rows, |value| match value.data() {
                [low, high] => Ok(Cell::F64(widen(u16::from_le_bytes([*low, *high])).into())),
                _ => Err("not two bytes; half precision would be right"),
            }),
            ColumnReader::ByteArrayColumnReader(reader) => self.cells(column, number, reader, rows, |value| {
                let text = std::str::from_utf8(value.as_bytes());
                text.map(Cell::Text).map_err(|_| "bytes that are not UTF-8; text would be right")
            }),
            ColumnReader::Int96ColumnReader(_) => Err(self.damaged(column, self.before, "INT96 is not supported; text would be right")),
        }
    }

    fn cells<T: DataType>(
        &self,
        column: usize,
        number: usize,
        reader: ColumnReaderImpl<T>,
        rows: &mut RowWriter<'_>,
        cell: impl Fn(&T::T) -> Result<Cell<'_>, &'static str>,
    ) -> Result<(), DataError> {
        let descriptor = self.schema.column(column);
        self.flat(column, reader, |row, value| {
            let cell = value.map_or(Ok(Cell::None), &cell).map_err(|what| rows.malformed(row, root(&descriptor), what))?;
            rows.cell(number, row, cell)
        })
    }
}
