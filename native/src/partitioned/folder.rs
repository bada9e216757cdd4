//! Whose a folder is: nothing is touched that a build did not write.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use serde_json::Value;

use super::{COPIES, FINISHED, LOCK, LOCK_BYTES, MANIFEST, OUTPUT, PLAN, PartitionedError, RECORDS, files};
use crate::io::folder_of;

/// Digits of a partition in the name of its lists.
const DIGITS: usize = 5;
/// What a block of memory that was put into a file is called on systems where a file needs a name to begin with, before six letters of chance.
const SPILLED: &str = ".tmp";

/// Bytes of a manifest, at most: a check of each partition is most of it.
const MANIFEST_BYTES_MAX: usize = 16 << 20;

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
    let lock = if locked { read_short(&folder.join(LOCK), LOCK_BYTES.len()).map_err(io)? } else { None };
    let own = lock.is_some_and(|lock| lock == LOCK_BYTES || is_begun(&lock) && foreign.is_none());
    if own || has_manifest(folder) {
        return Ok(());
    }
    let name = foreign.unwrap_or(if locked { LOCK.into() } else { any }).display().to_string();
    Err(PartitionedError::Foreign { path: folder.to_owned(), name })
}

/// Whether a lock says what a build's does, or had begun to when its build or the power went: those of earlier versions are empty.
pub(super) fn is_begun(lock: &[u8]) -> bool {
    lock.len() <= LOCK_BYTES.len() && lock.iter().zip(LOCK_BYTES).all(|(byte, mark)| [0, *mark].contains(byte))
}

/// The bytes of a file that has no more than `most`. What is no file is not opened: a pipe would be waited for.
fn read_short(path: &Path, most: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    if !path.metadata()?.is_file() {
        return Ok(None);
    }
    fs::File::open(path)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= most).then_some(bytes))
}

/// Whether there is a manifest that this program wrote, whichever version of it.
fn has_manifest(folder: &Path) -> bool {
    let bytes = read_short(&folder.join(MANIFEST), MANIFEST_BYTES_MAX).ok().flatten();
    let value: Option<Value> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
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

    /// Whether the folder is taken for a build's, and what its lock says then.
    fn taken(folder: &Path) -> Result<Vec<u8>, PartitionedError> {
        super::super::State::open(folder, super::super::Share::Alone)?;
        Ok(fs::read(folder.join(LOCK)).unwrap())
    }

    #[test]
    fn a_lock_that_was_being_written_is_one_still() {
        let place = tempfile::tempdir().unwrap();
        let (folder, lock) = (place.path(), place.path().join(LOCK));
        let begun = |length: usize| [LOCK_BYTES[..length].to_vec(), vec![0; length], [&LOCK_BYTES[..length], &[0]].concat()];
        for said in (0..LOCK_BYTES.len()).flat_map(begun).chain([vec![0; LOCK_BYTES.len()]]) {
            fs::write(&lock, &said).unwrap();
            assert_eq!(taken(folder).unwrap(), LOCK_BYTES, "{said:?}");
            // Beside something of others it may be theirs.
            fs::write(&lock, &said).unwrap();
            fs::write(folder.join("notes.txt"), "mine").unwrap();
            assert!(matches!(taken(folder), Err(PartitionedError::Foreign { name, .. }) if name == "notes.txt"), "{said:?}");
            assert_eq!(fs::read(&lock).unwrap(), said);
            fs::remove_file(folder.join("notes.txt")).unwrap();
        }
        for others in [&b"nearby"[..], &[0; 17], b"nearshore build\n\n", b"\0mine"] {
            fs::write(&lock, others).unwrap();
            assert!(matches!(taken(folder), Err(PartitionedError::Foreign { name, .. }) if name == LOCK), "{others:?}");
            assert_eq!(fs::read(&lock).unwrap(), others);
        }
    }

    #[test]
    fn what_is_no_short_file_is_not_read() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path();
        for name in [LOCK, MANIFEST] {
            let path = folder.join(name);
            let refused = || assert!(matches!(taken(folder), Err(PartitionedError::Foreign { name: found, .. }) if found == name));
            fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
            refused();
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
            refused();
            fs::remove_dir(&path).unwrap();
            // A pipe that nobody writes into would be waited for.
            #[cfg(target_os = "linux")]
            {
                use rustix::fs::{CWD, FileType, Mode, mknodat};
                mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
                refused();
                fs::remove_file(&path).unwrap();
            }
        }
    }
}
