//! What can be wrong with an input: where, what was found, what would be right.

use std::fmt;
use std::io;

/// An input that cannot be used. Displays as one line, outermost place first:
/// `base.jsonl: row 6 (line 7), field vector: 383 numbers; 384 as in row 0 would be right`.
#[derive(Debug)]
pub struct DataError {
    /// Where.
    pub place: Box<Place>,
    /// What is wrong.
    pub fault: Fault,
}

/// Where in an input.
#[derive(Debug)]
pub struct Place {
    /// The file, as it was named; `standard input` for a pipe.
    pub file: String,
    /// Row, counted from 0.
    pub row: Option<u64>,
    /// Line, counted from 1, in text formats.
    pub line: Option<u64>,
    /// Column, header field or option.
    pub field: Option<String>,
}

/// What is wrong with an input.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The system failed to read the input, or to write a temporary copy of it.
    Io(io::Error),
    /// Neither the extension nor an option says what format it is.
    UnknownFormat,
    /// No rows.
    Empty,
    /// The size of the file is not what its header implies.
    Length {
        /// Bytes that there should be.
        wanted: u64,
        /// Bytes that there are.
        found: u64,
        /// Why so many, such as `a header of 3 rows x 4 dimensions`.
        because: String,
    },
    /// A count of things that is not what it should be.
    Count {
        /// What is counted, such as `numbers`.
        what: &'static str,
        /// How many there should be.
        wanted: u64,
        /// How many there are.
        found: u64,
        /// Why so many.
        because: String,
    },
    /// A dimension outside 1..=32,768.
    Dimensions(u64),
    /// A NaN or an infinity.
    NotFinite(f64),
    /// Anything else, in words: what it is; what would be right.
    Malformed(String),
}

impl DataError {
    /// `fault` somewhere in `file`.
    pub fn new(file: &str, fault: Fault) -> Self {
        Self { place: Box::new(Place { file: file.to_owned(), row: None, line: None, field: None }), fault }
    }

    /// A fault in words.
    pub fn malformed(file: &str, what: impl Into<String>) -> Self {
        Self::new(file, Fault::Malformed(what.into()))
    }

    /// The system's word about `file`.
    pub fn io(file: &str, error: io::Error) -> Self {
        Self::new(file, Fault::Io(error))
    }

    /// The same, in this row.
    #[must_use]
    pub fn row(mut self, row: u64) -> Self {
        self.place.row = Some(row);
        self
    }

    /// The same, in this line.
    #[must_use]
    pub fn line(mut self, line: u64) -> Self {
        self.place.line = Some(line);
        self
    }

    /// The same, in this column or header field.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.place.field = Some(field.into());
        self
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, row, line, field } = &*self.place;
        write!(f, "{file}: ")?;
        if let Fault::Io(error) = &self.fault {
            // The system's troubles are not those of a row.
            return error.fmt(f);
        }
        match (row, line) {
            (Some(row), Some(line)) => write!(f, "row {row} (line {line})")?,
            (Some(row), None) => write!(f, "row {row}")?,
            (None, Some(line)) => write!(f, "line {line}")?,
            (None, None) => {}
        }
        let placed = row.is_some() || line.is_some();
        if let Some(field) = field {
            write!(f, "{}field {field}", if placed { ", " } else { "" })?;
        }
        if placed || field.is_some() {
            f.write_str(": ")?;
        }
        self.fault.fmt(f)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Io(error) => error.fmt(f),
            Fault::UnknownFormat => {
                write!(f, "unknown format; the extension or --format must be one of {}", super::Format::EXPECTED)
            }
            Fault::Empty => f.write_str("no rows; at least one vector would be right"),
            Fault::Length { wanted, found, because } => write!(f, "{found} bytes; {because} would be {wanted}"),
            Fault::Count { what, wanted, found, because } => write!(f, "{found} {what}; {wanted} {because} would be right"),
            Fault::Dimensions(found) => {
                write!(f, "{found} dimensions; 1 to {} would be right", super::DIMENSIONS_MAX)
            }
            Fault::NotFinite(value) => write!(f, "{value} is not a finite f32"),
            Fault::Malformed(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for DataError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            Fault::Io(error) => Some(error),
            _ => None,
        }
    }
}
