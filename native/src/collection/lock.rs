//! One process a file: two that save the same one would undo each other's work.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::path::Path;

use super::error::CollectionError;
use crate::error::Error;

/// Held while the value lives, and gone with the process however it ends.
///
/// It lies on a file of its own, `.NAME.lock`, since every save puts another file in the place of the collection's. That file
/// stays: to remove it would take it from under whoever has just opened it.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the collection at `path`.
    pub(super) fn take(path: &Path) -> Result<Self, CollectionError> {
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".lock");
        let beside = path.with_file_name(name);
        let io = |error| CollectionError::File(Error::io(&beside, error));
        let file = File::options().create(true).truncate(false).write(true).open(&beside).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(CollectionError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }
}
