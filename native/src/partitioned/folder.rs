//! Whose a folder is: nothing is touched that a build did not write.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

use serde_json::Value;

use super::{COPIES, FINISHED, LOCK, LOCK_BYTES, MANIFEST, OUTPUT, PLAN, PartitionedError, RECORDS, files};
use crate::io::folder_of;

/// Digits of a partition in the name of its lists.
const DIGITS: usize = 5;
/// What a block of memory that was put into a file is called on systems where a file needs a name to begin with, before six letters of chance.
const SPILLED: &str = ".tmp";

/// The name of a partition's lists.
pub(super) fn run_name(partition: usize) -> String {
    format!("run-{partition:0DIGITS$}")
}

/// Whether a build calls one of its files so.
fn is_own(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let is_run = |name: &str| {
        let number = name.strip_prefix("run-").map(|rest| rest.strip_suffix(".new").unwrap_or(rest));
        number.is_some_and(|number| number.len() == DIGITS && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let is_spilled = |chance: &str| chance.len() == 6 && chance.bytes().all(|byte| byte.is_ascii_alphanumeric());
    [LOCK, MANIFEST, PLAN, RECORDS, COPIES, OUTPUT, FINISHED, "manifest.new", "plan.new", "finished.new"].contains(&name)
        || is_run(name)
        || name.strip_prefix(SPILLED).is_some_and(is_spilled)
}

/// Refuses a folder that holds something and was not made by a build. What others have put into one that was, the log of a job for
/// instance, is no hindrance.
///
/// # Errors
/// [`PartitionedError::Foreign`], or what the system says, but for a folder that is not there.
pub(super) fn check(folder: &Path) -> Result<(), PartitionedError> {
    let io = |error| PartitionedError::io(folder, error);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(io)?,
    };
    let (mut locked, mut any, mut foreign) = (false, None, None);
    for entry in entries {
        let name = entry.map_err(io)?.file_name();
        // The lock is the first file to come and the last to go.
        locked |= name == LOCK;
        // A network file system keeps what was removed while it was open, under names like this.
        if !is_own(&name) && !name.as_encoded_bytes().starts_with(b".nfs") {
            foreign.get_or_insert_with(|| name.clone());
        }
        any.get_or_insert(name);
    }
    let Some(any) = any else { return Ok(()) };
    let lock = if locked { fs::read(folder.join(LOCK)).map_err(io)? } else { Vec::new() };
    // Those of earlier versions, and of a build that ended as it began, are empty.
    if lock == LOCK_BYTES || locked && lock.is_empty() && foreign.is_none() || has_manifest(folder) {
        return Ok(());
    }
    let name = foreign.unwrap_or(if locked { LOCK.into() } else { any }).display().to_string();
    Err(PartitionedError::Foreign { path: folder.to_owned(), name })
}

/// Whether there is a manifest that this program wrote, whichever version of it.
fn has_manifest(folder: &Path) -> bool {
    let value: Option<Value> = fs::read(folder.join(MANIFEST)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    value.is_some_and(|value| value["nearshore"].is_string() && value["plan"].is_string())
}

/// Makes the folder, and its name durable, unless it is there.
pub(super) fn make(folder: &Path) -> Result<(), PartitionedError> {
    let made = || {
        if folder.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(folder)?;
        fs::File::open(folder_of(folder))?.sync_all()
    };
    made().map_err(|error| PartitionedError::io(folder, error))
}

/// Removes every file of a build but `kept`, and nothing else.
pub(super) fn clear(folder: &Path, kept: &[&str]) -> Result<(), PartitionedError> {
    let io = |error| PartitionedError::io(folder, error);
    for entry in fs::read_dir(folder).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        if is_own(&name) && kept.iter().all(|kept| name != *kept) {
            files::remove(&folder.join(name))?;
        }
    }
    Ok(())
}

/// Removes the folder, unless something lies in it that is not a build's.
pub(super) fn remove(folder: &Path) -> Result<(), PartitionedError> {
    match fs::remove_dir(folder) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound) => {
            Err(PartitionedError::io(folder, error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_build_are_known_and_no_others() {
        let own = ["lock", "manifest.json", "manifest.new", "records", "run-00000", "run-65534.new", "output.part", ".tmpAbC123"];
        let others = ["Lock", "manifest", "run-1", "run-000000", "run-0000x", "run-00000.old", "output", ".tmp", ".tmpAbC12-", "notes.txt"];
        assert!(own.iter().all(|name| is_own(OsStr::new(name))));
        assert!(!others.iter().any(|name| is_own(OsStr::new(name))));
        assert_eq!(run_name(7), "run-00007");
    }
}
