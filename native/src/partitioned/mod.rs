//! A build whose memory has a bound, in steps that survive whatever ends the program.
//!
//! ```text
//! x.shore.build/lock            held by whoever works here
//!               manifest.json   what is built of what, and how it was split: there once the three below are whole
//!               plan            which row is which node, in which partitions
//!               records         of all nodes, in their order
//!               copies          records that partitions need of others' nodes
//!               run-00000 ...   the lists of a partition, there once they are whole
//!               output.part     the file under way
//!               finished.json   what came out: only its name is missing
//! ```
//! The steps are those of [`nearshore_core::build::parts`]; here they meet files. A file that another step will read is written under another
//! name, synced, and renamed, so that a name stands for a whole file whenever the power goes: a step is done when its file is there, and done
//! again when it is not. The same input, options and partitions give the same bytes, interrupted or not, on one machine or many.
//!
//! Memory: a partition is linked in memory that was counted before; all else that grows with the rows is a map of one of these files, or a block
//! that [`crate::io::SpillingAllocator`] has put into one.

mod digest;
mod error;
mod files;
mod folder;
mod manifest;
mod space;
mod steps;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nearshore_core::build::BuildParams;
use nearshore_core::build::parts::{Plan, PlanError};

use crate::dataset::Dataset;
use crate::index::Index;
use crate::io::folder_of;
pub use error::{Need, PartitionedError};
use files::read_whole;
use folder::run_name;
pub use manifest::{Manifest, Source};
pub use steps::{Told, fits, threads_within};

const LOCK: &str = "lock";
/// What is in it, so that a folder is known as a build's from its first moment.
const LOCK_BYTES: &[u8] = b"nearshore build\n";
const MANIFEST: &str = "manifest.json";
const PLAN: &str = "plan";
const RECORDS: &str = "records";
const COPIES: &str = "copies";
const OUTPUT: &str = "output.part";
const FINISHED: &str = "finished.json";

/// What is built, how, and within which bound.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// Where rows come from.
    pub source: &'a Source,
    /// What decides the bytes, beside them.
    pub params: &'a BuildParams,
    /// Bytes of anonymous memory that may be used.
    pub memory: u64,
    /// Partitions; as many as the bound asks for when `None`.
    pub partitions: Option<u32>,
}

/// Who else may work in the folder meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Nobody.
    Alone,
    /// Others that link partitions.
    Others,
}

/// The folder beside a file that is built in steps.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    lock: File,
}

/// The folder of a build of `output`.
#[must_use]
pub fn folder_of_build(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".build");
    name.into()
}

impl State {
    /// Opens `folder`, made where it is not there, and holds it as long as the value lives.
    ///
    /// # Errors
    /// [`PartitionedError::Foreign`] where something else lies there, [`PartitionedError::Busy`] where another process works there, or what the
    /// system says.
    pub fn open(folder: &Path, share: Share) -> Result<Self, PartitionedError> {
        folder::make(folder)?;
        folder::check(folder)?;
        Self::hold(folder, share)
    }

    /// Opens `folder` where something was planned in it, and leaves it as it is where nothing was.
    ///
    /// # Errors
    /// [`PartitionedError::Missing`], and as [`State::open`].
    pub fn open_planned(folder: &Path, share: Share) -> Result<Self, PartitionedError> {
        folder::check(folder)?;
        if [MANIFEST, FINISHED].iter().all(|name| !folder.join(name).exists()) {
            let what = "nothing is planned here; build --partition plan comes first".to_owned();
            return Err(PartitionedError::Missing { path: folder.to_owned(), what });
        }
        Self::hold(folder, share)
    }

    fn hold(folder: &Path, share: Share) -> Result<Self, PartitionedError> {
        let path = folder.join(LOCK);
        let lock = files::open_locked(&path, share == Share::Alone).map_err(|error| PartitionedError::io(&path, error))?;
        let lock = lock.ok_or_else(|| PartitionedError::Busy { path: folder.to_owned() })?;
        mark(&lock).map_err(|error| PartitionedError::io(&path, error))?;
        Ok(Self { folder: folder.to_owned(), lock })
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Forgets all that was done.
    ///
    /// # Errors
    /// What the system says.
    pub fn restart(&self) -> Result<(), PartitionedError> {
        // First what says that the rest is whole.
        for name in [MANIFEST, FINISHED] {
            files::remove(&self.path(name))?;
        }
        folder::clear(&self.folder, &[LOCK])
    }

    /// Removes the folder, when the file it was for has its name; what others have put there stays, and the folder with it.
    ///
    /// # Errors
    /// What the system says; then what is left says that all was done.
    pub fn remove(self) -> Result<(), PartitionedError> {
        folder::clear(&self.folder, &[LOCK, FINISHED, MANIFEST])?;
        for name in [MANIFEST, FINISHED, LOCK] {
            files::remove(&self.path(name))?;
        }
        // A network file system keeps an open file in its folder.
        drop(self.lock);
        folder::remove(&self.folder)
    }

    /// What was planned here, if it was.
    ///
    /// # Errors
    /// [`PartitionedError::Damaged`], or what the system says.
    pub fn manifest(&self) -> Result<Option<Manifest>, PartitionedError> {
        let path = self.path(MANIFEST);
        match fs::read(&path) {
            Ok(bytes) => {
                Manifest::parse(&bytes).map(Some).ok_or(PartitionedError::Damaged { path, what: "not the manifest of this version".into() })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PartitionedError::io(&path, error)),
        }
    }

    /// Whether `job` is what was planned here. `data` is asked for, and read, only where the files of its source are not those of then.
    ///
    /// # Errors
    /// [`PartitionedError::Mismatch`], which names what differs.
    pub fn matches<E: From<PartitionedError>>(
        &self,
        manifest: &Manifest,
        job: Job<'_>,
        data: impl FnOnce() -> Result<u64, E>,
    ) -> Result<(), E> {
        let differs = |what: String| PartitionedError::Mismatch { path: self.folder.clone(), what };
        manifest.same_options(&job).map_err(differs)?;
        if manifest.same_files(job.source) || data()? == manifest.digest {
            return Ok(());
        }
        Err(differs("the input has changed".to_owned()).into())
    }

    /// The plan.
    ///
    /// # Errors
    /// [`PartitionedError::Damaged`], or what the system says.
    pub fn plan(&self, manifest: &Manifest) -> Result<Plan, PartitionedError> {
        let path = self.path(PLAN);
        let map = read_whole(&path)?;
        let damaged = |error: PlanError| PartitionedError::Damaged { path: path.clone(), what: error.to_string() };
        if digest::of_bytes(map.as_ref()) != manifest.plan_digest {
            return Err(damaged(PlanError::Damaged { what: "the plan" }));
        }
        Plan::read(map.as_ref()).map_err(damaged)
    }

    /// Whether the lists of a partition seem to be there, by their length and end: merging looks at all of them.
    ///
    /// # Errors
    /// What the system says.
    pub fn seems_linked(&self, manifest: &Manifest, plan: &Plan, partition: usize) -> Result<bool, PartitionedError> {
        let (path, part) = (self.path(&run_name(partition)), &plan.parts()[partition]);
        let seems = files::Run::seems_whole(&path, manifest.plan_digest, part, plan.split().degree);
        seems.map_err(|error| PartitionedError::io(&path, error))
    }

    /// Whether the lists of a partition are there and whole. Reads all of them.
    ///
    /// # Errors
    /// What the system says.
    pub fn is_linked(&self, manifest: &Manifest, plan: &Plan, partition: usize) -> Result<bool, PartitionedError> {
        let path = self.path(&run_name(partition));
        if !path.try_exists().map_err(|error| PartitionedError::io(&path, error))? {
            return Ok(false);
        }
        let run = files::Run::open(&path)?;
        Ok(run.is_whole(manifest.plan_digest, &plan.parts()[partition], plan.split().degree))
    }

    /// What a build that lacks only the name of its file came to.
    ///
    /// # Errors
    /// [`PartitionedError::Damaged`], or what the system says.
    pub fn finished(&self) -> Result<Option<serde_json::Value>, PartitionedError> {
        let path = self.path(FINISHED);
        match fs::read(&path) {
            Ok(bytes) => {
                let words = serde_json::from_slice(&bytes).ok().filter(|words: &serde_json::Value| words["build_id"].is_string());
                let what = || "not what a build came to".to_owned();
                words.map(Some).ok_or_else(|| PartitionedError::Damaged { path, what: what() })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PartitionedError::io(&path, error)),
        }
    }

    /// Whether a finished file can get this name: by a rename, which no other file system allows. Known before the work.
    ///
    /// # Errors
    /// [`PartitionedError::Elsewhere`], or what the system says.
    pub fn can_name(&self, output: &Path) -> Result<(), PartitionedError> {
        let system_of = |path: &Path| path.metadata().map(|data| data.dev()).map_err(|error| PartitionedError::io(path, error));
        if system_of(&self.folder)? == system_of(folder_of(output))? {
            return Ok(());
        }
        Err(PartitionedError::Elsewhere { path: output.to_owned(), folder: self.folder.clone() })
    }

    /// Gives a finished file its name, unless it has it.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] as [`PartitionedError::Io`], [`PartitionedError::Damaged`] where it is neither here nor there, or what the
    /// system says.
    pub fn name_output(&self, output: &Path, replace: bool) -> Result<(), PartitionedError> {
        let own = self.path(OUTPUT);
        if own.try_exists().map_err(|error| PartitionedError::io(&own, error))? {
            return if replace { files::rename(&own, output) } else { files::rename_new(&own, output) };
        }
        let words = self.finished()?.unwrap_or_default();
        let found = Index::open(output).ok().map(|index| format!("{:016x}", index.reader().header().superblock.build_id));
        if found.is_some() && found.as_deref() == words["build_id"].as_str() {
            return Ok(());
        }
        let what = format!("is gone, and {} is not what became of it", output.display());
        Err(PartitionedError::Damaged { path: own, what })
    }
}

/// Says in a lock whose it is, where nothing is said or not all of it. Others that share it may write the same at the same moment.
fn mark(lock: &File) -> io::Result<()> {
    let mut said = Vec::new();
    lock.take(LOCK_BYTES.len() as u64 + 1).read_to_end(&mut said)?;
    if said != LOCK_BYTES && folder::is_begun(&said) { lock.write_all_at(LOCK_BYTES, 0) } else { Ok(()) }
}

/// A digest of all that a build reads of `data`.
#[must_use]
pub fn digest_of(data: &Dataset) -> u64 {
    digest::of_data(data)
}
