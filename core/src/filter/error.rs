//! What can be wrong with a condition or a column: where, what was found, what would be right.

use super::value::ColumnType;
use crate::error::Corrupt;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A condition that cannot be evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// Which character of its text, counted from 1; `None` where it has no text.
    pub at: Option<usize>,
    /// What is wrong.
    pub fault: FilterFault,
}

/// What is wrong with a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilterFault {
    /// The text does not go on as it should.
    Expected {
        /// What would be right.
        wanted: &'static str,
        /// What stands there.
        found: String,
    },
    /// No column has that name.
    UnknownColumn {
        /// The name.
        column: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// A value, or a test, that a column of its type cannot be held against.
    Type {
        /// The column.
        column: String,
        /// Its type.
        is: ColumnType,
        /// What would be right.
        wanted: &'static str,
        /// What stands there.
        found: String,
    },
    /// Larger than a condition may be.
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: usize,
    },
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.at {
            write!(f, "at character {at}: ")?;
        }
        match &self.fault {
            FilterFault::Expected { wanted, found } => write!(f, "{found}; {wanted} would be right"),
            FilterFault::UnknownColumn { column, known } if known.is_empty() => {
                write!(f, "no column {column}: there are no columns")
            }
            FilterFault::UnknownColumn { column, known } => write!(f, "no column {column}; there are: {}", known.join(", ")),
            FilterFault::Type { column, is, wanted, found } => write!(f, "column {column} is {is}: {wanted} would be right, not {found}"),
            FilterFault::TooLarge { what, limit } => write!(f, "more than {limit} {what}"),
        }
    }
}

impl core::error::Error for FilterError {}

/// A column that cannot go into a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnError {
    /// Which one.
    pub column: String,
    /// Which row of it, where one is to blame.
    pub row: Option<usize>,
    /// What is wrong.
    pub what: &'static str,
}

impl fmt::Display for ColumnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {:?}", self.column)?;
        if let Some(row) = self.row {
            write!(f, ", row {row}")?;
        }
        write!(f, ": {}", self.what)
    }
}

impl core::error::Error for ColumnError {}

/// Why no rows could be selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectError {
    /// A column is wrong.
    Column(ColumnError),
    /// The condition does not fit the columns.
    Filter(FilterError),
    /// The file that keeps them is damaged.
    Corrupt(Corrupt),
}

impl fmt::Display for SelectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(error) => error.fmt(f),
            Self::Filter(error) => error.fmt(f),
            Self::Corrupt(corrupt) => corrupt.fmt(f),
        }
    }
}

impl core::error::Error for SelectError {}
