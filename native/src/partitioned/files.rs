//! Files that are whole once they have their name.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nearshore_core::build::parts::{Part, run_bytes};
use nearshore_core::format::{Digest, Sink};

use super::PartitionedError;
use super::digest;
use crate::io::{Gatherer, MappedFile, folder_of};

/// Bytes gathered before they are handed to the system.
const BUFFER_BYTES: usize = 1 << 19;

/// The name of a partition's lists.
pub(super) fn run_name(partition: usize) -> String {
    format!("run-{partition:05}")
}

/// Takes a lock that goes with the process, unless somebody holds one that does not go with it. A file system without locks has none to hold.
pub(super) fn lock(file: &File, alone: bool) -> io::Result<bool> {
    let tried = if alone { file.try_lock() } else { file.try_lock_shared() };
    match tried {
        Ok(()) => Ok(true),
        Err(fs::TryLockError::WouldBlock) => Ok(false),
        Err(fs::TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(true),
        Err(fs::TryLockError::Error(error)) => Err(error),
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
    let sync = |path: &Path| File::open(folder_of(path))?.sync_all();
    fs::rename(from, to).and_then(|()| sync(to)).map_err(|error| PartitionedError::io(to, error))
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
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path).map_err(io)?;
        if !lock(&file, true).map_err(io)? {
            return Err(PartitionedError::Busy { path });
        }
        file.set_len(0).map_err(io)?;
        Ok(Self { path, file, gatherer: Gatherer::default(), end: 0 })
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.gatherer.write_at(&self.file, self.end, bytes, BUFFER_BYTES)?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Makes it durable.
    pub(super) fn sync(mut self) -> Result<PathBuf, PartitionedError> {
        let synced = self.gatherer.flush(&self.file).and_then(|()| self.file.sync_all());
        synced.map_err(|error| PartitionedError::io(&self.path, error))?;
        Ok(self.path)
    }

    /// Makes it durable under another name.
    pub(super) fn finish(self, name: &Path) -> Result<(), PartitionedError> {
        rename(&self.sync()?, name)
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
