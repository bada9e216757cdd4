//! What can go wrong with an index in a file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use nearshore_core::error::OpenError;
use nearshore_core::search::SearchError;

/// Why an index could not be opened or searched.
#[derive(Debug)]
pub enum Error {
    /// The system could not read the file.
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no index, or a damaged one.
    Open {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: OpenError,
    },
    /// The file is JSON that stands for an index in other files, where one in this file is needed.
    Stand {
        /// Which file.
        path: PathBuf,
        /// What it is, and what would be right.
        what: &'static str,
    },
    /// A set of segments says what cannot be, or its files do not fit together.
    Set {
        /// Which set.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A file of a set.
    Segment {
        /// Which set.
        set: PathBuf,
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<Error>,
    },
    /// One query of several.
    Query {
        /// Its number.
        query: usize,
        /// What is wrong with it, or what its search met.
        source: SearchError,
    },
    /// The search was asked for the impossible, or met damage.
    Search(SearchError),
}

impl Error {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Open { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Stand { path, what } => write!(f, "{}: {what}", path.display()),
            Self::Set { path, what } => write!(f, "{}: {what}", path.display()),
            Self::Segment { set, path, source } => match &**source {
                Self::Search(error) => write!(f, "{}: its segment {}: {error}", set.display(), path.display()),
                other => write!(f, "{}: its segment {other}", set.display()),
            },
            Self::Query { query, source } => write!(f, "query {query}: {source}"),
            Self::Search(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Open { source, .. } => Some(source),
            Self::Segment { source, .. } => Some(source),
            Self::Query { source: error, .. } | Self::Search(error) => Some(error),
            Self::Stand { .. } | Self::Set { .. } => None,
        }
    }
}

impl From<SearchError> for Error {
    fn from(error: SearchError) -> Self {
        Self::Search(error)
    }
}
