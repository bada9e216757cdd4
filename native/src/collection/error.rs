//! Why a collection refuses: what is wrong with which field, or what stands in the way.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use nearshore_core::build::BuildError;
use nearshore_core::filter::ColumnType;
use nearshore_core::format::WriteError;
use nearshore_core::live::LiveError;
use nearshore_core::search::SearchError;

use crate::error::Error;

/// What is wrong with a field of a request.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// A vector of another length than the collection's.
    Dimensions {
        /// Elements that were given.
        found: usize,
        /// Elements that a row has.
        wanted: usize,
    },
    /// An element is NaN or infinite, or its square leaves f32.
    NotFinite {
        /// Which one.
        element: usize,
    },
    /// A vector without direction, under cosine.
    ZeroVector,
    /// An element is no integer of the collection's type.
    NotRepresentable {
        /// Which one.
        element: usize,
    },
    /// The id is that of a row, or of another point of the same request.
    DuplicateId {
        /// The id.
        id: u64,
    },
    /// No id is left above the largest: give one.
    NoIdLeft,
    /// A number out of its range.
    Range {
        /// What it may be.
        must: &'static str,
    },
    /// A value for a column that the collection does not have.
    UnknownColumn {
        /// Those that it has.
        known: Vec<String>,
    },
    /// A value of another type than its column's.
    ColumnType {
        /// Which type it has.
        wanted: ColumnType,
    },
    /// A filter that does not fit the columns, in words.
    Filter(String),
    /// A filter where there are no columns.
    NoColumns,
}

impl Fault {
    /// The word for it, the same in every version.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Dimensions { .. } => "dimension_mismatch",
            Self::NotFinite { .. } => "not_finite",
            Self::ZeroVector => "zero_vector",
            Self::NotRepresentable { .. } => "not_representable",
            Self::DuplicateId { .. } => "duplicate_id",
            Self::NoIdLeft => "no_id_left",
            Self::Range { .. } => "out_of_range",
            Self::UnknownColumn { .. } => "unknown_column",
            Self::ColumnType { .. } => "wrong_type",
            Self::Filter(_) => "bad_filter",
            Self::NoColumns => "no_columns",
        }
    }

    /// The error that says where.
    pub(super) fn at(self, field: impl Into<String>) -> CollectionError {
        CollectionError::Invalid { field: field.into(), fault: self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dimensions { found, wanted } => write!(f, "{found} dimensions; {wanted} as in the collection would be right"),
            Self::NotFinite { element } => write!(f, "element {element} is not a finite number, or too large"),
            Self::ZeroVector => f.write_str("a zero vector has no cosine"),
            Self::NotRepresentable { element } => write!(f, "element {element} is no integer of the collection's element type"),
            Self::DuplicateId { id } => write!(f, "id {id} is taken; delete it first, or use another"),
            Self::NoIdLeft => f.write_str("no id is left above the largest; give one"),
            Self::Range { must } => write!(f, "must be {must}"),
            Self::UnknownColumn { known } if known.is_empty() => {
                f.write_str("the collection has no columns; a new one has those of --column NAME:TYPE")
            }
            Self::UnknownColumn { known } => write!(f, "no such column; there are: {}", known.join(", ")),
            Self::ColumnType { wanted } => write!(f, "a value of type {wanted}, or null, would be right"),
            Self::Filter(what) => f.write_str(what),
            Self::NoColumns => {
                f.write_str("the collection has no columns; a new one has those of --column NAME:TYPE, a file those it was built with")
            }
        }
    }
}

/// Why a collection could not do what was asked; nothing has changed then.
#[derive(Debug)]
#[non_exhaustive]
pub enum CollectionError {
    /// A field of the request is wrong.
    Invalid {
        /// Which one: `vector`, `points[3].id`.
        field: String,
        /// What is wrong with it.
        fault: Fault,
    },
    /// Writes are refused.
    ReadOnly {
        /// Why.
        why: &'static str,
    },
    /// No row fits any more.
    Full,
    /// The file has no graph, into which rows are inserted: it is in tiles.
    NoGraph {
        /// Which file.
        path: PathBuf,
    },
    /// Another process serves the file.
    Locked {
        /// Which file.
        path: PathBuf,
    },
    /// The file is not as an option says.
    Differs {
        /// Which option.
        option: &'static str,
        /// What the file has.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// The file could not be read or written, or is damaged.
    File(Error),
}

impl CollectionError {
    /// The same, of a field inside of another.
    pub(super) fn within(self, outer: &str) -> Self {
        match self {
            Self::Invalid { field, fault } => Self::Invalid { field: format!("{outer}.{field}"), fault },
            other => other,
        }
    }

    /// What a row's refusal by the live index is called here; `field` is that of its vector.
    pub(super) fn of_row(error: LiveError, field: &str) -> Self {
        match error {
            LiveError::Search(error) | LiveError::Vector(error) => Self::of_vector(error, field),
            LiveError::DuplicateId { id } => Fault::DuplicateId { id }.at(field),
            LiveError::NotRepresentable { element } => Fault::NotRepresentable { element }.at(field),
            LiveError::Parameter { parameter, must } => Fault::Range { must }.at(parameter),
            // What is left cannot come of a row that was checked.
            _ => Self::Full,
        }
    }

    /// What a search's refusal is called here.
    pub(super) fn of_vector(error: SearchError, field: &str) -> Self {
        match error {
            SearchError::Dimensions { wanted, found } => Fault::Dimensions { found, wanted }.at(field),
            SearchError::NotFinite { element } => Fault::NotFinite { element }.at(field),
            SearchError::ZeroVector => Fault::ZeroVector.at(field),
            SearchError::Parameter { parameter, must } => Fault::Range { must }.at(parameter),
            other => Self::File(Error::Search(other)),
        }
    }

    /// What a save's failure is called here.
    pub(super) fn of_save(error: BuildError<io::Error>, path: &Path) -> Self {
        Self::File(Error::io(
            path,
            match error {
                BuildError::Write(WriteError::Sink(error)) => error,
                other => io::Error::other(other.to_string()),
            },
        ))
    }
}

impl fmt::Display for CollectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { field, fault } => write!(f, "{field}: {fault}"),
            Self::ReadOnly { why } => write!(f, "the collection is read only: {why}"),
            Self::Full => f.write_str("the collection is full"),
            Self::NoGraph { path } => write!(f, "{}: the file has no graph, so rows cannot be inserted", path.display()),
            Self::Locked { path } => write!(f, "{}: another process serves it", path.display()),
            Self::Differs { option, found, wanted } => write!(f, "the collection has {option} {found}, not {wanted}"),
            Self::File(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CollectionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(error) => error.source(),
            _ => None,
        }
    }
}

impl From<Error> for CollectionError {
    fn from(error: Error) -> Self {
        Self::File(error)
    }
}
