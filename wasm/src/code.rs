//! Failures: the numbers that calls return, and how the core's errors map to them.

use alloc::string::String;

use nearshore_core::error::{Corrupt, Damage, OpenError};
use nearshore_core::search::SearchError;
use nearshore_core::words::Words;

/// Why a call failed. The numbers are those of `CODES` in the package's `errors.ts`; 0 is success.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Code {
    /// Bytes that contradict their checksum, or each other.
    Corrupt = 1,
    /// Fewer bytes than the file says it has.
    Truncated = 2,
    /// A file or option that this version cannot serve.
    Unsupported = 3,
    /// Stopped by the caller.
    #[cfg(feature = "full")]
    Aborted = 4,
    /// An argument that cannot be right.
    InvalidArgument = 5,
}

/// A failure: its class, and one line that says what, where, and what would be right.
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The error's own words under a class of ours.
    pub(crate) fn of(code: Code, error: &impl Words) -> Self {
        Self { code, message: error.words() }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let code = match error {
            OpenError::Version { .. } | OpenError::Feature { .. } | OpenError::Required { .. } => Code::Unsupported,
            OpenError::Truncated { .. } => Code::Truncated,
            _ => Code::Corrupt,
        };
        Self::of(code, &error)
    }
}

impl From<SearchError> for Failure {
    fn from(error: SearchError) -> Self {
        let code = match error {
            SearchError::Corrupt(_) => Code::Corrupt,
            SearchError::Unsupported { .. } => Code::Unsupported,
            _ => Code::InvalidArgument,
        };
        Self::of(code, &error)
    }
}

impl From<Corrupt> for Failure {
    fn from(error: Corrupt) -> Self {
        Self::of(Code::Corrupt, &error)
    }
}

impl From<Damage> for Failure {
    fn from(error: Damage) -> Self {
        Self::of(Code::Corrupt, &error)
    }
}
