//! A file that appears under its name complete, or not at all.
//!
//! ```text
//! create .x.shore.AbC123.part -> write ... -> sync -> rename to x.shore -> sync the folder
//!           '-- dropped, failed, interrupted: removed, and x.shore is what it was before
//! ```
//! The names of files under way are kept in one list, so that a program that ends on a signal can remove them
//! ([`remove_partial_files`]) although no destructor will run. One that was killed outright leaves its file behind: whoever begins a file
//! of the same name removes it. A file under way is locked by its process, and the lock ends with that, however it ends.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nearshore_core::format::Sink;
use tempfile::{Builder, NamedTempFile};

/// What the name of a file under way ends with, after as many letters of chance.
const SUFFIX: &str = ".part";
const CHANCE: usize = 6;

/// Bytes gathered before they are handed to the system.
const BUFFER_BYTES: usize = 1 << 20;

static PARTIAL_FILES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn partial_files() -> MutexGuard<'static, Vec<PathBuf>> {
    PARTIAL_FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes every file that a [`FileSink`] has begun and not finished, and keeps those that finish just now from
/// being renamed. For a program about to end on a signal: what begins a file after this call waits for ever.
pub fn remove_partial_files() {
    let mut files = partial_files();
    for path in files.drain(..) {
        let _ = std::fs::remove_file(path);
    }
    std::mem::forget(files);
}

/// An entry of the list, for as long as the file is under way.
#[derive(Debug)]
struct Listed(PathBuf);

impl Drop for Listed {
    fn drop(&mut self) {
        partial_files().retain(|path| *path != self.0);
    }
}

/// A new file in `folder`, in the list and locked, when those of that prefix are gone whose processes are.
fn begin(folder: &Path, prefix: &OsStr, shape: impl Fn(&mut Builder<'_, '_>)) -> io::Result<(NamedTempFile, Listed)> {
    remove_dead(folder, prefix);
    loop {
        let mut builder = Builder::new();
        builder.prefix(prefix).suffix(SUFFIX).rand_bytes(CHANCE);
        shape(&mut builder);
        // Held until the name is in the list: a signal in between must not miss the file.
        let mut files = partial_files();
        let file = builder.tempfile_in(folder)?;
        files.push(file.path().to_owned());
        drop(files);
        let listed = Listed(file.path().to_owned());
        // Where there are no locks nobody can tell that a file is dead, and it stays. Between its making and its lock another may have.
        if file.as_file().lock().is_err() || file.path().exists() {
            return Ok((file, listed));
        }
    }
}

/// Removes files under way of that prefix whose processes are gone.
fn remove_dead(folder: &Path, prefix: &OsStr) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let name = entry.file_name();
        let chance = name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes()).and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()));
        if !chance.is_some_and(|chance| chance.len() == CHANCE && chance.iter().all(u8::is_ascii_alphanumeric)) {
            continue;
        }
        // What is no file, or not to be opened, is nothing that was begun here. Over NFS only what can be written can be locked.
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        let open = || File::options().read(true).write(true).open(entry.path()).ok();
        let Some(file) = is_file.then(open).flatten() else { continue };
        if file.try_lock().is_ok() {
            // Still locked, so that nobody takes it for a living one.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// A file for a while: gone when this value is, and when the program ends on a signal.
#[derive(Debug)]
pub struct ScratchFile {
    file: NamedTempFile,
    _listed: Listed,
}

impl ScratchFile {
    /// An empty file in `folder`.
    ///
    /// # Errors
    /// Whatever the system says about the folder.
    pub fn create(folder: &Path) -> io::Result<Self> {
        let (file, listed) = begin(folder, OsStr::new(".nearshore."), |_| {})?;
        Ok(Self { file, _listed: listed })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The file, open for reading and writing.
    #[must_use]
    pub fn file(&self) -> &File {
        self.file.as_file()
    }
}

/// The destination of a build. Writes go to a temporary file in the destination's folder; [`FileSink::finish`] gives
/// it its name.
#[derive(Debug)]
pub struct FileSink {
    file: NamedTempFile,
    listed: Listed,
    destination: PathBuf,
    replace: bool,
    gatherer: Gatherer,
}

/// Writes that follow each other, gathered before they are handed to the system.
#[derive(Debug, Default)]
pub(crate) struct Gatherer {
    buffer: Vec<u8>,
    /// Where the first byte of `buffer` goes.
    at: u64,
}

impl Gatherer {
    /// Writes `bytes` to `file` at `offset`, by and by: at once what follows nothing, or makes the buffer longer than `most`.
    pub(crate) fn write_at(&mut self, file: &File, offset: u64, bytes: &[u8], most: usize) -> io::Result<()> {
        if offset != self.at + self.buffer.len() as u64 {
            self.flush(file)?;
            self.at = offset;
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= most { self.flush(file) } else { Ok(()) }
    }

    /// Hands what was gathered to the system.
    pub(crate) fn flush(&mut self, mut file: &File) -> io::Result<()> {
        if !self.buffer.is_empty() {
            file.seek(SeekFrom::Start(self.at))?;
            file.write_all(&self.buffer)?;
            self.at += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }
}

impl FileSink {
    /// Begins a file that will be called `destination`. An existing file is replaced only where `replace` is true.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], or whatever the system says about the folder.
    pub fn create(destination: &Path, replace: bool) -> io::Result<Self> {
        if !replace && destination.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if destination.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let mut prefix = OsString::from(".");
        prefix.push(destination.file_name().ok_or(io::ErrorKind::InvalidInput)?);
        prefix.push(".");
        let (file, listed) = begin(folder_of(destination), &prefix, |builder| {
            #[cfg(unix)]
            builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less the process's umask
        })?;
        Ok(Self { file, listed, destination: destination.to_owned(), replace, gatherer: Gatherer::default() })
    }

    /// Where the file is until it has its name.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The name that it will have.
    #[must_use]
    pub fn destination(&self) -> &Path {
        &self.destination
    }

    /// Makes all bytes durable, and readable at [`FileSink::path`].
    ///
    /// # Errors
    /// Whatever the system says (a full disk).
    pub fn sync(&mut self) -> io::Result<()> {
        self.gatherer.flush(self.file.as_file())?;
        self.file.as_file().sync_all()
    }

    /// Makes all bytes durable, gives the file its name, and makes the name durable.
    ///
    /// # Errors
    /// Whatever the system says (a full disk); then nothing is left, and an older file of that name is untouched.
    pub fn finish(self) -> io::Result<()> {
        self.finish_after(Vec::new()).map_err(|(_, error)| error)
    }

    /// The same for many: `others`, of one folder, have their names when this one gets its own, and a signal comes before all of them or after.
    ///
    /// # Errors
    /// The file, and what the system says; then none of them is left.
    pub fn finish_after(mut self, mut others: Vec<Self>) -> Result<(), (PathBuf, io::Error)> {
        for sink in others.iter_mut().chain([&mut self]) {
            sink.sync().map_err(|error| (sink.destination.clone(), error))?;
        }
        let folder = folder_of(&self.destination).to_owned();
        let many = !others.is_empty();
        // Held until all have their names: who removes what is under way waits.
        let files = partial_files();
        // They take themselves off the list when it is free again.
        let mut listed = Vec::new();
        let mut named = Vec::new();
        let mut result = Ok(());
        for (sink, last) in others.into_iter().map(|other| (other, false)).chain([(self, true)]) {
            let Self { file, listed: own, destination, replace, .. } = sink;
            let known = files.contains(&own.0);
            listed.push(own);
            if result.is_ok() {
                let renamed = || {
                    known.then_some(()).ok_or(io::ErrorKind::Interrupted)?;
                    if last && many {
                        sync_folder(&folder)?;
                    }
                    // An error has the file, which goes with it.
                    let renamed = if replace { file.persist(&destination) } else { file.persist_noclobber(&destination) };
                    renamed.map(drop).map_err(|failed| failed.error)
                };
                match renamed() {
                    Ok(()) => named.push(destination),
                    Err(error) => result = Err((destination, error)),
                }
            }
        }
        if result.is_err() {
            named.iter().for_each(|path| drop(std::fs::remove_file(path)));
        }
        drop(files);
        drop(listed);
        result.and_then(|()| sync_folder(&folder).map_err(|error| (folder, error)))
    }
}

/// Makes names in a folder durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

impl Sink for FileSink {
    type Error = io::Error;

    /// Neighbouring writes are gathered.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.gatherer.write_at(self.file.as_file(), offset, bytes, BUFFER_BYTES)
    }
}

/// The folder that holds `path`.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(folder: &Path) -> Vec<OsString> {
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn a_finished_sink_leaves_one_file_with_the_bytes_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.shore");
        let mut sink = FileSink::create(&path, false).unwrap();
        sink.write_at(4, b"second").unwrap();
        sink.write_at(10, &[b'.'; BUFFER_BYTES]).unwrap();
        sink.write_at(0, b"1st ").unwrap();
        assert!(!path.exists());
        sink.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(&bytes[..12], b"1st second..");
        assert_eq!(bytes.len(), 10 + BUFFER_BYTES);
        assert_eq!(entries(folder.path()), ["x.shore"]);
    }

    #[test]
    fn a_dropped_sink_leaves_the_older_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.shore");
        std::fs::write(&path, b"older").unwrap();
        assert_eq!(FileSink::create(&path, false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let mut sink = FileSink::create(&path, true).unwrap();
        sink.write_at(0, b"newer").unwrap();
        drop(sink);
        assert_eq!(entries(folder.path()), ["x.shore"]);
        assert_eq!(std::fs::read(&path).unwrap(), b"older");
    }

    #[test]
    fn a_name_taken_meanwhile_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.shore");
        let sink = FileSink::create(&path, false).unwrap();
        std::fs::write(&path, b"somebody else's").unwrap();
        assert_eq!(sink.finish().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"somebody else's");
        assert_eq!(entries(folder.path()), ["x.shore"]);
    }

    #[test]
    fn what_a_killed_process_left_goes_and_what_lives_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.shore");
        // As a kill leaves them; those of other names, and what only looks alike, are not this one's.
        let (dead, others) =
            ([".x.shore.AbC123.part"], [".x.shore.2.AbC123.part", ".y.shore.AbC123.part", ".x.shore.AbC-12.part", "x.shore.part"]);
        dead.iter().chain(&others).for_each(|name| std::fs::write(folder.path().join(name), b"half").unwrap());
        std::fs::create_dir(folder.path().join(".x.shore.folder.part")).unwrap();
        let living = FileSink::create(&path, false).unwrap();
        assert!(!folder.path().join(dead[0]).exists());
        let second = FileSink::create(&path, false).unwrap();
        assert!(living.file.path().exists() && second.file.path().exists());
        assert!(others.iter().all(|name| folder.path().join(name).exists()) && folder.path().join(".x.shore.folder.part").exists());
        std::fs::write(folder.path().join(".nearshore.AbC123.part"), b"half").unwrap();
        let scratch = [(); 2].map(|()| ScratchFile::create(folder.path()).unwrap());
        assert!(scratch.iter().all(|scratch| scratch.path().exists()) && !folder.path().join(".nearshore.AbC123.part").exists());
        second.finish().unwrap();
        drop((living, scratch));
        assert_eq!(entries(folder.path()).len(), others.len() + 2);
    }

    #[test]
    fn many_get_their_names_together_or_none_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let begin = |name: &str, replace| {
            let mut sink = FileSink::create(&path(name), replace).unwrap();
            sink.write_at(0, name.as_bytes()).unwrap();
            sink
        };
        std::fs::write(path("list"), b"older").unwrap();
        let (list, others) = (begin("list", true), vec![begin("a", false), begin("b", false), begin("c", false)]);
        std::fs::write(path("c"), b"somebody else's").unwrap();
        let (at, error) = list.finish_after(others).unwrap_err();
        assert_eq!((at, error.kind()), (path("c"), io::ErrorKind::AlreadyExists));
        assert_eq!((std::fs::read(path("list")).unwrap(), entries(folder.path()).len()), (b"older".to_vec(), 2));
        begin("list", true).finish_after(vec![begin("a", false), begin("c", true)]).unwrap();
        for name in ["list", "a", "c"] {
            assert_eq!(std::fs::read(path(name)).unwrap(), name.as_bytes());
        }
        assert_eq!(entries(folder.path()).len(), 3);
        assert!(!partial_files().iter().any(|listed| listed.starts_with(folder.path())));
    }

    #[test]
    fn a_scratch_file_goes_with_its_value() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = ScratchFile::create(folder.path()).unwrap();
        scratch.file().write_all(b"near").unwrap();
        assert_eq!(std::fs::read(scratch.path()).unwrap(), b"near");
        assert!(partial_files().iter().any(|path| path == scratch.path()));
        drop(scratch);
        assert!(entries(folder.path()).is_empty());
    }

    #[test]
    fn a_folder_is_no_destination() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(FileSink::create(folder.path(), true).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }
}
