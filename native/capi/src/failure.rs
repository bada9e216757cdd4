//! What a call came to when it did not succeed: a status of `nearshore.h` and a sentence.

use std::any::Any;
use std::io;

use nearshore::build::BuildError;
use nearshore::format::WriteError;
use nearshore::search::SearchError;

/// The numbers of `nearshore_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Status {
    Ok = 0,
    Argument = 1,
    Io = 2,
    Damaged = 3,
    Unsupported = 4,
    Internal = 5,
}

/// Why a call failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: Status,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn argument(message: String) -> Self {
        Self { status: Status::Argument, message }
    }

    pub(crate) fn io(place: &str, error: &io::Error) -> Self {
        Self { status: Status::Io, message: format!("{place}: {error}") }
    }

    /// A panic is a bug of ours: what it said goes into the report.
    pub(crate) fn panic(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied());
        Self { status: Status::Internal, message: format!("internal error: {}", text.unwrap_or("no message")) }
    }

    /// The same, beginning with whose failure it is.
    pub(crate) fn of(self, place: &str) -> Self {
        Self { message: format!("{place}: {}", self.message), ..self }
    }
}

impl From<nearshore::Error> for Failure {
    fn from(error: nearshore::Error) -> Self {
        let status = match &error {
            nearshore::Error::Io { .. } => Status::Io,
            nearshore::Error::Stand { .. } => Status::Unsupported,
            nearshore::Error::Open { .. } | nearshore::Error::Set { .. } | nearshore::Error::Segment { .. } => Status::Damaged,
            nearshore::Error::Query { query, source } => return Self::from(source).of(&format!("query {query}")),
            nearshore::Error::Search(error) => return error.into(),
        };
        Self { status, message: error.to_string() }
    }
}

impl From<&SearchError> for Failure {
    fn from(error: &SearchError) -> Self {
        let status = match error {
            SearchError::Corrupt(_) => Status::Damaged,
            SearchError::Unsupported { .. } => Status::Unsupported,
            _ => Status::Argument,
        };
        Self { status, message: error.to_string() }
    }
}

impl From<BuildError<io::Error>> for Failure {
    fn from(error: BuildError<io::Error>) -> Self {
        let status = match &error {
            BuildError::Write(WriteError::Sink(_)) => Status::Io,
            BuildError::Write(_) | BuildError::Interrupted => Status::Internal,
            _ => Status::Argument,
        };
        Self { status, message: error.to_string() }
    }
}
