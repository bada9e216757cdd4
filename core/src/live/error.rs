//! Why a live index refuses.

use crate::error::OpenError;
use crate::search::SearchError;
use crate::words::{Words, display, say};
use alloc::string::String;

/// Why a live index refused; nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum LiveError {
    /// The query or the parameters of a search, or a file that cannot be read.
    Search(SearchError),
    /// The vector of a row: refused for what a query is refused for.
    Vector(SearchError),
    /// The id is taken.
    DuplicateId {
        /// The id.
        id: u64,
    },
    /// No living row has the id.
    UnknownId {
        /// The id.
        id: u64,
    },
    /// The element is no integer of the index's type.
    NotRepresentable {
        /// Which element.
        element: usize,
    },
    /// A value is of another type than its column, or not a finite number.
    #[cfg(feature = "filter")]
    Value {
        /// Which column.
        column: usize,
    },
    /// A parameter is out of its range.
    Parameter {
        /// Which one.
        parameter: &'static str,
        /// What it may be.
        must: &'static str,
    },
    /// 2^32 - 2 rows, tombstones included: compact.
    Full,
    /// The file does not open.
    Open(OpenError),
}

impl Words for LiveError {
    fn say(&self, out: &mut String) {
        match self {
            Self::Search(error) => say!(out, error),
            Self::Vector(error) => error.describe("vector", out),
            Self::DuplicateId { id } => say!(out, "id ", id, " is taken: update or delete it first"),
            Self::UnknownId { id } => say!(out, "no row has id ", id),
            Self::NotRepresentable { element } => {
                say!(out, "element ", element, " of the vector is no integer of the index's element type");
            }
            #[cfg(feature = "filter")]
            Self::Value { column } => say!(out, "the value of column ", column, " is of another type, or not a finite number"),
            Self::Parameter { parameter, must } => say!(out, parameter, " must be ", must),
            Self::Full => say!(out, "the index is full: compact it to make room"),
            Self::Open(error) => say!(out, error),
        }
    }
}

display!(LiveError);

impl core::error::Error for LiveError {}

impl From<SearchError> for LiveError {
    fn from(error: SearchError) -> Self {
        Self::Search(error)
    }
}
