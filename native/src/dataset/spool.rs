//! Where the rows of text, columnar and piped inputs go: temporary files without a name, mapped once they are written.
//!
//! An input of 4 GB so needs 4 GB of disk, not of memory, and everything behind this door sees mapped rows only. The
//! files are unlinked from the start: whatever ends the program, the system frees them.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use super::binary::{Layout, check_shape};
use super::columns::{Cell, ColumnWriter, check_name};
use super::error::{DataError, Fault};
use super::{Column, Dataset, Element, Options, PayloadBytes};
use crate::io::MappedFile;
use nearshore_core::filter::ColumnType;

const BUFFER_BYTES: usize = 1 << 18;

/// One temporary file under way.
pub(super) struct Spool {
    file: BufWriter<File>,
    bytes: u64,
}

impl Spool {
    /// A file in `folder` (the system's folder for temporary files when `None`), without a name.
    pub(super) fn new(folder: Option<&Path>) -> io::Result<Self> {
        let file = match folder {
            Some(folder) => tempfile::tempfile_in(folder)?,
            None => tempfile::tempfile()?,
        };
        Ok(Self { file: BufWriter::with_capacity(BUFFER_BYTES, file), bytes: 0 })
    }

    /// Bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// Everything that was written, as a map.
    pub(super) fn finish(self) -> io::Result<MappedFile> {
        MappedFile::map(&self.file.into_inner().map_err(io::IntoInnerError::into_error)?)
    }
}

/// Copies a pipe into a temporary file, telling `progress` how far it is.
pub(super) fn copy_pipe(mut pipe: impl Read, options: &Options<'_>) -> io::Result<MappedFile> {
    let mut spool = Spool::new(options.tmp)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return spool.finish(),
            Ok(count) => {
                spool.write(&buffer[..count])?;
                (options.progress)(spool.bytes, None);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Rows that arrive one by one, as f32, with the ids and payloads that come along.
pub(super) struct RowWriter<'a> {
    name: &'a str,
    options: &'a Options<'a>,
    vectors: Spool,
    ids: Option<Spool>,
    payloads: Option<(Spool, Spool)>,
    columns: Vec<ColumnWriter>,
    dimensions: Option<usize>,
    rows: u64,
    row_bytes: Vec<u8>,
    bytes_left: u64,
}

impl<'a> RowWriter<'a> {
    /// No rows yet of the input called `name`.
    pub(super) fn new(name: &'a str, options: &'a Options<'a>) -> Result<Self, DataError> {
        let spool = || Spool::new(options.tmp).map_err(|error| temporary(name, error));
        let payloads = if options.payload.is_some() { Some((spool()?, spool()?)) } else { None };
        let (vectors, row_bytes) = (spool()?, Vec::new());
        let columns = Vec::new();
        Ok(Self { name, options, vectors, ids: None, payloads, columns, dimensions: None, rows: 0, row_bytes, bytes_left: u64::MAX })
    }

    /// Refuses what comes after `bytes` of vectors and payloads: for inputs that are larger than they look.
    pub(super) fn at_most(self, bytes: u64) -> Self {
        Self { bytes_left: bytes, ..self }
    }

    fn spend(&mut self, bytes: usize) -> Result<(), DataError> {
        self.bytes_left = self.bytes_left.checked_sub(bytes as u64).ok_or_else(|| {
            let what = "the file decodes to tens of thousands of times its size; fewer repetitions would be right";
            DataError::malformed(self.name, what).row(self.rows)
        })?;
        Ok(())
    }

    /// Rows so far.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Appends a vector. Refused: a dimension unlike that of row 0, and numbers that are not finite. The error has no
    /// line and no field; the caller knows them.
    pub(super) fn vector(&mut self, vector: &[f32]) -> Result<(), DataError> {
        let at_row = |fault| DataError::new(self.name, fault).row(self.rows);
        let wanted = match self.dimensions {
            Some(wanted) => wanted,
            None => {
                check_shape(self.name, 1, vector.len() as u64).map_err(|error| at_row(error.fault))?;
                *self.dimensions.insert(vector.len())
            }
        };
        if vector.len() != wanted {
            let because = "as in row 0".into();
            return Err(at_row(Fault::Count { what: "numbers", wanted: wanted as u64, found: vector.len() as u64, because }));
        }
        if let Some(bad) = vector.iter().find(|value| !value.is_finite()) {
            return Err(at_row(Fault::NotFinite(f64::from(*bad))));
        }
        self.spend(4 * wanted)?;
        self.row_bytes.clear();
        self.row_bytes.extend(vector.iter().flat_map(|value| value.to_le_bytes()));
        self.vectors.write(&self.row_bytes).map_err(|error| temporary(self.name, error))?;
        self.rows += 1;
        Ok(())
    }

    /// Appends an id.
    pub(super) fn id(&mut self, id: u64) -> Result<(), DataError> {
        let write = |ids: &mut Option<Spool>| {
            if ids.is_none() {
                *ids = Some(Spool::new(self.options.tmp)?);
            }
            ids.as_mut().map_or(Ok(()), |ids| ids.write(&id.to_le_bytes()))
        };
        write(&mut self.ids).map_err(|error| temporary(self.name, error))
    }

    /// Appends a payload; without [`Options::payload`] it is dropped.
    pub(super) fn payload(&mut self, payload: &[u8]) -> Result<(), DataError> {
        self.spend(payload.len())?;
        let Some((bytes, ends)) = &mut self.payloads else { return Ok(()) };
        bytes.write(payload).and_then(|()| ends.write(&bytes.bytes.to_le_bytes())).map_err(|error| temporary(self.name, error))
    }

    /// Begins a column whose type is `kind`, or that of its first value; returns its number.
    pub(super) fn add_column(&mut self, name: &str, kind: Option<ColumnType>) -> Result<usize, DataError> {
        check_name(self.name, name, self.columns.len())?;
        self.columns.push(ColumnWriter::new(name, kind, self.options).map_err(|error| temporary(self.name, error))?);
        Ok(self.columns.len() - 1)
    }

    /// An error about a value.
    pub(super) fn malformed(&self, row: u64, field: &str, what: impl Into<String>) -> DataError {
        DataError::malformed(self.name, what).row(row).field(field)
    }

    /// The number of a column that was begun.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Whether a column that was begun has no value in any row so far.
    pub(super) fn is_without_values(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.name == name && column.is_without_values())
    }

    /// Appends the value of row `row` to a column; rows that it skips have none. The error names row and field.
    pub(super) fn cell(&mut self, column: usize, row: u64, cell: Cell<'_>) -> Result<(), DataError> {
        if let Cell::Text(text) = cell {
            self.spend(text.len())?;
        }
        let Some(column) = self.columns.get_mut(column) else { return Ok(()) };
        let skipped = row.saturating_sub(column.rows);
        let pushed = (0..skipped).try_for_each(|_| column.push(Cell::None)).and_then(|()| column.push(cell));
        pushed.map_err(|fault| match fault {
            Fault::Io(error) => temporary(self.name, error),
            fault => DataError::new(self.name, fault).row(row).field(&*column.name),
        })
    }

    /// Everything, mapped. `name` counts rows in messages of whoever reads it.
    pub(super) fn finish(self) -> Result<Dataset, DataError> {
        let Some(dimensions) = self.dimensions else {
            return Err(DataError::new(self.name, Fault::Empty));
        };
        let map = |spool: Spool| spool.finish().map_err(|error| temporary(self.name, error));
        let layout = Layout { start: 0, element: Element::F32, dimensions, rows: self.rows as usize, stride: 4 * dimensions };
        let payloads = match self.payloads {
            Some((bytes, ends)) => Some(PayloadBytes { bytes: map(bytes)?, ends: Column::mapped(map(ends)?, 0) }),
            None => None,
        };
        let ids = self.ids.map(map).transpose()?.map(|ids| Column::mapped(ids, 0));
        let mut columns = Vec::new();
        for mut column in self.columns {
            // The last rows may have had no value.
            (column.rows..self.rows).try_for_each(|_| column.push(Cell::None)).map_err(|fault| DataError::new(self.name, fault))?;
            columns.extend(column.finish(self.name, self.options)?);
        }
        Ok(Dataset { name: self.name.to_owned(), bytes: map(self.vectors)?, layout, ids, payloads, columns })
    }
}

impl Dataset {
    /// Copies the rows `rows`, which ascend, with their ids: what is left after a filter.
    ///
    /// # Errors
    /// No row, or a temporary file that cannot be written.
    pub fn only(&self, rows: &[u32], tmp: Option<&Path>) -> Result<Self, DataError> {
        let failed = |error| temporary(&self.name, error);
        if rows.is_empty() {
            return Err(DataError::malformed(&self.name, "no row meets the filter; one that some rows meet would be right"));
        }
        let (vectors, mut spool) = (self.vectors(), Spool::new(tmp).map_err(failed)?);
        rows.iter().try_for_each(|&row| spool.write(vectors.row(row as usize))).map_err(failed)?;
        let ids = rows.iter().map(|&row| self.ids().map_or(u64::from(row), |ids| ids[row as usize])).collect();
        let Layout { element, dimensions, .. } = self.layout;
        let layout = Layout { start: 0, rows: rows.len(), stride: dimensions * element.bytes(), ..self.layout };
        let bytes = spool.finish().map_err(failed)?;
        Ok(Self { name: self.name.clone(), bytes, layout, ids: Some(Column::Owned(ids)), payloads: None, columns: Vec::new() })
    }
}

/// An error of a temporary file; a full disk should not be blamed on the input.
pub(super) fn temporary(name: &str, error: io::Error) -> DataError {
    let error = io::Error::new(error.kind(), format!("temporary copy (another folder: --tmp DIR): {error}"));
    DataError::io(name, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_beyond_what_an_input_may_decode_to_are_refused() {
        let options = Options { payload: Some("title"), ..Options::default() };
        let mut rows = RowWriter::new("x", &options).unwrap().at_most(2 * 8 + 3);
        rows.vector(&[1.0, 2.0]).and_then(|()| rows.payload(b"one")).unwrap();
        rows.vector(&[3.0, 4.0]).unwrap();
        assert!(rows.payload(b"2").unwrap_err().to_string().contains("row 2: the file decodes to tens of thousands of times its size"));
        assert!(rows.vector(&[5.0, 6.0]).is_err());
    }
}
