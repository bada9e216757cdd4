//! Files that are whole once they have their name.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nearshore_core::build::parts::{Part, run_bytes};
use nearshore_core::format::{Digest, Sink};

use super::PartitionedError;
use super::digest;
use crate::io::{Gatherer, MappedFile, folder_of};

/// Bytes gathered before they are handed to the system.
const BUFFER_BYTES: usize = 1 << 19;

/// Takes a lock that goes with the process, unless somebody holds one that does not go with it. A file system without locks has none to hold.
pub(super) fn lock(file: &File, alone: bool) -> io::Result<bool> {
    let tried = if alone { file.try_lock() } else { file.try_lock_shared() };
    match tried {
        Ok(()) => Ok(true),
        Err(fs::TryLockError::WouldBlock) => Ok(false),
        Err(fs::TryLockError::Error(error)) if knows_no_locks(&error) => Ok(true),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Of a network file system whose server keeps no locks, too.
fn knows_no_locks(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(rustix::io::Errno::NOLCK.raw_os_error())
}

/// Opens the file at `path`, made where it is not there, and takes its lock; `None` where somebody holds one that does not go with it. For
/// reading and writing: over NFS a lock that is shared needs the one, and a lock that is not the other.
pub(super) fn open_locked(path: &Path, alone: bool) -> io::Result<Option<File>> {
    loop {
        let file = File::options().create(true).truncate(false).read(true).write(true).open(path)?;
        if !lock(&file, alone)? {
            return Ok(None);
        }
        // Between the two its holder may have renamed or removed it: then the name is free, or means another file.
        if is_at(&file, path)? {
            return Ok(Some(file));
        }
    }
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match path.symlink_metadata() {
        Ok(named) => Ok((named.dev(), named.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) fn remove(path: &Path) -> Result<(), PartitionedError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(PartitionedError::io(path, error)),
        _ => Ok(()),
    }
}

/// Renames, and makes the name durable.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), PartitionedError> {
    fs::rename(from, to).and_then(|()| sync_name(to)).map_err(|error| PartitionedError::io(to, error))
}

/// The same where nothing has the name.
pub(super) fn rename_new(from: &Path, to: &Path) -> Result<(), PartitionedError> {
    let renamed = rename_without_replacing(from, to);
    renamed.and_then(|()| sync_name(to)).map_err(|error| PartitionedError::io(to, error))
}

fn rename_without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Not every file system can: then a look has to do.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            other => return Ok(other?),
        }
    }
    if to.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    fs::rename(from, to)
}

fn sync_name(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// A file as a slice.
pub(super) fn read_whole(path: &Path) -> Result<MappedFile, PartitionedError> {
    MappedFile::open(path).map_err(|error| PartitionedError::io(path, error))
}

/// A file under way.
#[derive(Debug)]
pub(super) struct Growing {
    path: PathBuf,
    pub(super) file: File,
    gatherer: Gatherer,
    end: u64,
}

impl Growing {
    /// Begins `path` anew.
    pub(super) fn create(path: PathBuf) -> Result<Self, PartitionedError> {
        let options = || File::options().create(true).truncate(true).read(true).write(true).open(&path);
        let file = options().map_err(|error| PartitionedError::io(&path, error))?;
        Ok(Self { path, file, gatherer: Gatherer::default(), end: 0 })
    }

    /// Begins `path`, unless another process is writing it.
    pub(super) fn create_alone(path: PathBuf) -> Result<Self, PartitionedError> {
        let io = |error| PartitionedError::io(&path, error);
        let Some(file) = open_locked(&path, true).map_err(io)? else { return Err(PartitionedError::Busy { path }) };
        // Not before: another may have been at work on it until now.
        file.set_len(0).map_err(io)?;
        Ok(Self { path, file, gatherer: Gatherer::default(), end: 0 })
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.gatherer.write_at(&self.file, self.end, bytes, BUFFER_BYTES)?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Makes it durable.
    pub(super) fn sync(&mut self) -> Result<(), PartitionedError> {
        let synced = self.gatherer.flush(&self.file).and_then(|()| self.file.sync_all());
        synced.map_err(|error| PartitionedError::io(&self.path, error))
    }

    /// Makes it durable under another name. It is open, and with that locked, until it has it.
    pub(super) fn finish(mut self, name: &Path) -> Result<(), PartitionedError> {
        self.sync()?;
        rename(&self.path, name)
    }
}

impl Sink for Growing {
    type Error = io::Error;

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.gatherer.write_at(&self.file, offset, bytes, BUFFER_BYTES)
    }
}

/// Writes a small file whole.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), PartitionedError> {
    let mut file = Growing::create(path.with_extension("new"))?;
    file.append(bytes).map_err(|error| PartitionedError::io(path, error))?;
    file.finish(path)
}

/// The lists of a partition: `members` lists, then a digest of them and of the plan that they follow.
#[derive(Debug)]
pub(super) struct Run(MappedFile);

/// Bytes behind the lists.
const TAIL: usize = 16;

impl Run {
    pub(super) fn open(path: &Path) -> Result<Self, PartitionedError> {
        Ok(Self(read_whole(path)?))
    }

    /// Whether the file at `path` has the length of all of a partition's lists and ends as those of this plan do. Reads 16 bytes.
    pub(super) fn seems_whole(path: &Path, plan: u64, part: &Part, degree: u32) -> io::Result<bool> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
        let lists = part.members() * run_bytes(degree) as u64;
        if file.metadata()?.len() != lists + TAIL as u64 {
            return Ok(false);
        }
        let mut tail = [0; TAIL];
        file.read_exact_at(&mut tail, lists)?;
        Ok(tail[8..] == plan.to_le_bytes())
    }

    /// The lists.
    pub(super) fn lists(&self) -> &[u8] {
        let bytes = self.0.as_ref();
        &bytes[..bytes.len().saturating_sub(TAIL)]
    }

    /// Whether it is all of a partition's lists by this plan.
    pub(super) fn is_whole(&self, plan: u64, part: &Part, degree: u32) -> bool {
        let lists = self.lists();
        self.0.expect_forward();
        lists.len() as u64 == part.members() * run_bytes(degree) as u64
            && self.0.as_ref().get(lists.len()..) == Some(&tail(digest::of_bytes(lists), plan)[..])
    }
}

/// Ends the lists that `digest` has seen.
pub(super) fn end_run(file: &mut Growing, digest: &Digest, plan: u64) -> io::Result<()> {
    file.append(&tail(digest.finish(), plan))
}

fn tail(lists: u64, plan: u64) -> [u8; TAIL] {
    let mut tail = [0; TAIL];
    tail[..8].copy_from_slice(&lists.to_le_bytes());
    tail[8..].copy_from_slice(&plan.to_le_bytes());
    tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_renamed_while_one_waited_for_its_lock_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let [new, run] = ["run-00000.new", "run-00000"].map(|name| folder.path().join(name));
        let mut first = Growing::create_alone(new.clone()).unwrap();
        assert!(matches!(Growing::create_alone(new.clone()), Err(PartitionedError::Busy { .. })));
        first.append(b"lists").unwrap();
        // Opened before the rename, locked after it.
        let late = File::options().read(true).write(true).open(&new).unwrap();
        first.finish(&run).unwrap();
        assert!(lock(&late, true).unwrap() && !is_at(&late, &new).unwrap());
        drop(Growing::create_alone(new.clone()).unwrap());
        assert!(!is_at(&late, &new).unwrap());
        assert_eq!((fs::read(&run).unwrap(), fs::read(&new).unwrap()), (b"lists".to_vec(), Vec::new()));
    }

    #[test]
    fn what_appeared_meanwhile_is_not_renamed_over() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = ["output.part", "x.shore"].map(|name| folder.path().join(name));
        fs::write(&from, b"ours").unwrap();
        fs::write(&to, b"theirs").unwrap();
        let failed = rename_new(&from, &to).unwrap_err();
        assert!(matches!(&failed, PartitionedError::Io { path, error } if *path == to && error.kind() == io::ErrorKind::AlreadyExists));
        assert_eq!((fs::read(&from).unwrap(), fs::read(&to).unwrap()), (b"ours".to_vec(), b"theirs".to_vec()));
        fs::remove_file(&to).unwrap();
        rename_new(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"ours");
    }
}
