//! How a command fails: an exit code and one line that says what, where, and what would be right.

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use nearshore::dataset::{DataError, Fault};
use nearshore::filter::SelectError;
use nearshore::search::SearchError;

/// A failure on its way to the exit.
#[derive(Debug)]
pub(crate) struct Fail {
    code: u8,
    message: String,
    /// What led to it, outermost first; shown with `-v`.
    chain: Vec<String>,
}

impl Fail {
    /// The command makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into(), chain: Vec::new() }
    }

    /// An input is wrong.
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self { code: 3, message: message.into(), chain: Vec::new() }
    }

    /// The system could not read or write `path`.
    pub(crate) fn io(path: &Path, error: &io::Error) -> Self {
        Self { code: 4, message: format!("{}: {error}", path.display()), chain: causes(error) }
    }

    /// The system could not read or write `path`, in the midst of work that is kept.
    pub(crate) fn kept(path: &Path, error: &io::Error) -> Self {
        let message = format!("{}: {error}; what was done is kept, and the same command goes on from there", path.display());
        Self { code: 4, message, chain: causes(error) }
    }

    /// A folder is not there.
    pub(crate) fn no_folder(message: impl Into<String>) -> Self {
        Self { code: 4, message: message.into(), chain: Vec::new() }
    }

    /// The disk has too little room.
    pub(crate) fn full(message: impl Into<String>) -> Self {
        Self { code: 4, message: message.into(), chain: Vec::new() }
    }

    /// The index is damaged.
    pub(crate) fn damaged(message: impl Into<String>) -> Self {
        Self { code: 5, message: message.into(), chain: Vec::new() }
    }

    /// The command was told to stop.
    pub(crate) fn interrupted() -> Self {
        Self { code: 130, message: "interrupted".to_owned(), chain: Vec::new() }
    }

    /// An output that could not be begun or finished: one that exists is a matter of usage.
    pub(crate) fn output(path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AlreadyExists => Self::usage(format!("{}: exists already; --force replaces it", path.display())),
            io::ErrorKind::IsADirectory => Self::usage(format!("{}: is a folder; the name of a file would be right", path.display())),
            _ => Self::io(path, error),
        }
    }

    /// An input that has not the `columns` that `option` names, or is wrong otherwise.
    pub(crate) fn columns(option: &str, columns: &[String], error: DataError) -> Self {
        let named = error.place.row.is_none() && error.place.field.as_ref().is_some_and(|field| columns.contains(field));
        let mut fail = Self::from(error);
        if named {
            fail.message = format!("{option}: {}", fail.message);
        }
        fail
    }

    /// A search that failed; `what` says which query of which input.
    pub(crate) fn search(index: &Path, what: &str, error: &SearchError) -> Self {
        match error {
            SearchError::Corrupt(corrupt) => Self::damaged(format!("{}: {corrupt}", index.display())),
            SearchError::Parameter { parameter, must } => Self::usage(format!("--{parameter} must be {must}")),
            // Said in full here alone: what a browser downloads says it in few words.
            SearchError::Unsupported { lacks } if lacks.starts_with("has no tiles") => {
                Self::usage(format!("{}: {error}; nearshore export --for web writes the same rows in tiles", index.display()))
            }
            SearchError::Unsupported { .. } => Self::usage(format!("{}: {error}", index.display())),
            _ => Self::input(format!("{what}: {error}")),
        }
    }

    /// A filter that selects nothing it could in `index`, which is one of several where `of_set` says so.
    pub(crate) fn filter(index: &Path, of_set: bool, error: &SelectError) -> Self {
        match error {
            SelectError::Corrupt(corrupt) => Self::damaged(format!("{}: {corrupt}", index.display())),
            _ if of_set => Self::usage(format!("--filter: {}: {error}", index.display())),
            _ => Self::usage(format!("--filter: {error}")),
        }
    }

    /// A measurement that a signal cut short, after what it came to was printed.
    pub(crate) fn cut_short() -> Self {
        Self { code: 130, message: "interrupted; the figures are those until then".to_owned(), chain: Vec::new() }
    }

    /// The same, with what follows from it.
    #[cfg(feature = "server")]
    pub(crate) fn and(self, what: &str) -> Self {
        Self { message: format!("{}; {what}", self.message), ..self }
    }

    /// Prints it and says how to exit.
    pub(crate) fn report(&self, verbose: bool) -> ExitCode {
        let mut err = io::stderr().lock();
        let _ = writeln!(err, "nearshore: {}", self.message);
        for cause in self.chain.iter().filter(|_| verbose) {
            let _ = writeln!(err, "  caused by: {cause}");
        }
        ExitCode::from(self.code)
    }
}

/// Everything that an error names as its cause.
fn causes(error: &dyn Error) -> Vec<String> {
    std::iter::successors(error.source(), |error| (*error).source()).map(ToString::to_string).collect()
}

impl From<DataError> for Fail {
    fn from(error: DataError) -> Self {
        let code = if matches!(error.fault, Fault::Io(_)) { 4 } else { 3 };
        Self { code, message: error.to_string(), chain: causes(&error) }
    }
}

/// What would be right where the name of a folder stands for an index.
fn not_a_folder(path: &Path) -> String {
    let (collection, build) =
        (path.join("collection.shore"), path.to_str().and_then(|name| name.trim_end_matches('/').strip_suffix(".build")));
    let right = match build {
        _ if collection.is_file() => format!("a collection of `nearshore serve`, whose index is {}", collection.display()),
        Some(file) if path.join("lock").is_file() => {
            format!("a build of {file} that is not done; the same `nearshore build` goes on with it")
        }
        _ => "the name of a .shore file, or of a set of segments, would be right".to_owned(),
    };
    format!("{}: is a folder; {right}", path.display())
}

impl From<nearshore::Error> for Fail {
    fn from(error: nearshore::Error) -> Self {
        if let nearshore::Error::Io { path, .. } = &error
            && path.is_dir()
        {
            return Self::usage(not_a_folder(path));
        }
        Self { code: code_of(&error), message: error.to_string(), chain: causes(&error) }
    }
}

fn code_of(error: &nearshore::Error) -> u8 {
    match error {
        nearshore::Error::Stand { .. } => 2,
        nearshore::Error::Io { .. } => 4,
        nearshore::Error::Open { .. } | nearshore::Error::Set { .. } => 5,
        nearshore::Error::Segment { source, .. } => code_of(source),
        nearshore::Error::Query { source: SearchError::Corrupt(_), .. } | nearshore::Error::Search(SearchError::Corrupt(_)) => 5,
        nearshore::Error::Query { .. } | nearshore::Error::Search(_) => 3,
    }
}
