//! The codes that calls return: 0 is success, the others name the error classes of the package.

/// Why a call failed. The numbers are those of `CODES` in the package's `errors.ts`.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Code {
    /// Bytes that contradict their checksum, or each other.
    Corrupt = 1,
    /// Fewer bytes than the file says it has.
    Truncated = 2,
    /// A file or option of a later version.
    Unsupported = 3,
    /// Not enough memory.
    Quota = 4,
    /// Stopped by the caller.
    Aborted = 5,
    /// An argument that cannot be right.
    InvalidArgument = 6,
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
}
