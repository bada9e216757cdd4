//! Why a step could not be done.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use nearshore_core::build::BuildError;
use nearshore_core::build::parts::SplitError;

use crate::size::bytes;

/// Bytes of disk that a build needs, by what they are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Records, copies and the plan.
    pub partitions: u64,
    /// The lists of all partitions.
    pub lists: u64,
    /// What merging keeps in files for a while.
    pub scratch: u64,
    /// The file.
    pub output: u64,
}

impl Need {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.partitions + self.lists + self.scratch + self.output
    }
}

/// Why a step could not be done. Whatever was done before stays.
#[derive(Debug)]
#[non_exhaustive]
pub enum PartitionedError {
    /// What the system says of a path.
    Io {
        /// The path.
        path: PathBuf,
        /// What it says.
        error: io::Error,
    },
    /// Another process works on the same.
    Busy {
        /// On what.
        path: PathBuf,
    },
    /// The folder is not that of a build, and is left as it is.
    Foreign {
        /// The folder.
        path: PathBuf,
        /// What lies in it.
        name: String,
    },
    /// The output is to lie where no rename leads from the folder.
    Elsewhere {
        /// The output.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// What was begun is another build.
    Mismatch {
        /// The folder.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// A step before was not done.
    Missing {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        what: String,
    },
    /// A file of the folder is not what was written.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The bound cannot be kept.
    Split(SplitError),
    /// The disk has too little room.
    Space {
        /// The folder.
        path: PathBuf,
        /// What all steps need.
        need: Need,
        /// What of it is there.
        held: u64,
        /// What the disk has.
        free: u64,
    },
    /// The rows cannot be indexed.
    Build(BuildError<io::Error>),
}

impl PartitionedError {
    pub(super) fn io(path: &Path, error: io::Error) -> Self {
        Self::Io { path: path.to_owned(), error }
    }
}

impl fmt::Display for PartitionedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Busy { path } => write!(f, "{}: another build is at work here", path.display()),
            Self::Foreign { path, name } => write!(
                f,
                "{}: no folder of a build, as {name} lies in it; it is left as it is, and another output, or another place for it, would be right",
                path.display()
            ),
            Self::Elsewhere { path, folder } => write!(
                f,
                "{}: on another file system than {}, where the file is made; an output beside that would be right",
                path.display(),
                folder.display()
            ),
            Self::Mismatch { path, what } => {
                write!(f, "{}: holds another build ({what}); --restart drops it, the options of then go on with it", path.display())
            }
            Self::Missing { path, what } => write!(f, "{}: {what}", path.display()),
            Self::Damaged { path, what } => write!(f, "{}: {what}; --restart begins anew", path.display()),
            Self::Split(error) => write!(f, "{error}"),
            Self::Space { path, need, held, free } => write!(
                f,
                "{}: {} more are needed (partitions {}, lists {}, scratch {}, the file {}, less {} that are there), and the disk has {} free",
                path.display(),
                bytes(need.total().saturating_sub(*held)),
                bytes(need.partitions),
                bytes(need.lists),
                bytes(need.scratch),
                bytes(need.output),
                bytes(*held),
                bytes(*free)
            ),
            Self::Build(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for PartitionedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::Build(error) => Some(error),
            Self::Split(error) => Some(error),
            _ => None,
        }
    }
}
