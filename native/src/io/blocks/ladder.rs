//! Which driver works here: found out once, when a file is opened, and said with its cause.
//!
//! ```text
//! auto, uring:  io_uring, O_DIRECT -> io_uring -> pread, O_DIRECT -> pread -> mmap
//! pread:                                          pread, O_DIRECT -> pread -> mmap
//! mmap:                                                                       mmap
//! ```
//! Rings are missing in old kernels and forbidden in many containers; file systems may not read around their cache; memory to
//! register may be limited to nothing. None of that is told by asking, so each step is tried by reading the first bytes of
//! the file, as searches will.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::merge::Merging;
use super::pages::ALIGN;
use super::{BlockError, Blocks, HeldBlocks, PreadBlocks, same};
use crate::io::MappedFile;

/// How blocks are brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// The best that works: [`Method::Uring`], [`Method::Pread`], [`Method::Mmap`].
    #[default]
    Auto,
    /// `io_uring`: many reads in flight from one thread.
    Uring,
    /// Positioned reads, by threads when several are wanted.
    Pread,
    /// A map: the kernel reads a page when it is touched.
    Mmap,
}

impl Method {
    const ALL: [Self; 4] = [Self::Auto, Self::Uring, Self::Pread, Self::Mmap];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Uring => "uring",
            Self::Pread => "pread",
            Self::Mmap => "mmap",
        }
    }
}

impl FromStr for Method {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|method| method.as_str() == word).ok_or("must be auto, uring, pread or mmap")
    }
}

/// What is wished for. The defaults suit an index on a local disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockOptions {
    /// Where the ladder begins. Default: [`Method::Auto`].
    pub method: Method,
    /// Whether to read around the page cache (`O_DIRECT`), so that memory is what the caller gives and no more. Default: true.
    pub direct: bool,
    /// Reads in flight on a thread, at most: 256 of `io_uring`, 32 of positioned reads. Default: 64.
    pub depth: usize,
    /// Bytes nobody asked for that may be read between two blocks. Default: 0.
    pub gap: u64,
    /// Bytes beyond which blocks that touch are read apart. Default: 128 KiB.
    pub merged_bytes_max: u64,
}

impl Default for BlockOptions {
    fn default() -> Self {
        Self { method: Method::Auto, direct: true, depth: 64, gap: 0, merged_bytes_max: 128 << 10 }
    }
}

impl BlockOptions {
    /// The same with another beginning of the ladder.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// The same, around the page cache or through it.
    #[must_use]
    pub fn direct(mut self, direct: bool) -> Self {
        self.direct = direct;
        self
    }

    /// The same with another number of reads in flight.
    #[must_use]
    pub fn depth(mut self, depth: usize) -> Self {
        self.depth = depth;
        self
    }

    fn merging(&self, direct: bool) -> Merging {
        Merging { align: if direct { ALIGN as u64 } else { 1 }, gap: self.gap, bytes_max: self.merged_bytes_max }
    }
}

/// A part of the machinery that may be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// `io_uring` as a whole.
    Uring,
    /// The file, registered with a ring.
    RegisteredFile,
    /// Memory, registered with a ring.
    RegisteredBuffers,
    /// Reads around the page cache.
    Direct,
    /// Positioned reads.
    Pread,
}

impl Part {
    /// The name for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uring => "io_uring",
            Self::RegisteredFile => "a registered file",
            Self::RegisteredBuffers => "registered buffers",
            Self::Direct => "O_DIRECT",
            Self::Pread => "pread",
        }
    }
}

/// A part that was refused, and why. Displays as one line.
#[derive(Debug)]
pub struct Refusal {
    part: Part,
    cause: io::Error,
}

impl Refusal {
    pub(super) fn new(part: Part, cause: io::Error) -> Self {
        Self { part, cause }
    }

    /// What was refused.
    #[must_use]
    pub fn part(&self) -> Part {
        self.part
    }

    /// What the system said.
    #[must_use]
    pub fn cause(&self) -> &io::Error {
        &self.cause
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {}: {}", self.part.as_str(), self.cause)?;
        let hint = match (self.part, self.cause.kind()) {
            (Part::Uring, io::ErrorKind::PermissionDenied) => "a seccomp filter or kernel.io_uring_disabled forbids it",
            // What std makes of ENOSYS.
            (Part::Uring, io::ErrorKind::Unsupported) => "this system has none, or a seccomp filter hides it",
            (Part::Uring | Part::RegisteredBuffers, io::ErrorKind::OutOfMemory) => "the limit of locked memory (ulimit -l) is too low",
            (Part::Direct, io::ErrorKind::InvalidInput) => "this file system reads through its cache only",
            _ => return Ok(()),
        };
        write!(f, ", {hint}")
    }
}

/// A file, and the best way found to bring blocks of it. Shared by threads; each makes its own [`Blocks`] of it.
///
/// Displays as one line that says the way and what was refused: `pread, O_DIRECT (no io_uring: Operation not permitted ...)`.
#[derive(Debug)]
pub struct BlockFile {
    /// Opened as `direct` says.
    file: Arc<File>,
    bytes: u64,
    options: BlockOptions,
    method: Method,
    direct: bool,
    refusals: Vec<Refusal>,
    /// Drivers that became positioned reads for want of a ring.
    replaced: AtomicUsize,
}

impl BlockFile {
    /// Opens the file at `path` and tries ways to read it, best first.
    ///
    /// # Errors
    /// Whatever the system says about opening the file. A way that is refused is no error while another works.
    pub fn open(path: &Path, options: BlockOptions) -> io::Result<Self> {
        Self::of(File::open(path)?, path, options)
    }

    /// The same of a file that is open, by `path` when it was: whatever has that name by now.
    ///
    /// # Errors
    /// As [`BlockFile::open`].
    pub fn of(file: File, path: &Path, options: BlockOptions) -> io::Result<Self> {
        let file = Arc::new(file);
        let bytes = file.metadata()?.len();
        expect_random(&file);
        let mut found =
            Self { file, bytes, options, method: Method::Mmap, direct: false, refusals: Vec::new(), replaced: AtomicUsize::new(0) };
        let ways: &[(Method, Part)] = match options.method {
            Method::Auto | Method::Uring => &[(Method::Uring, Part::Uring), (Method::Pread, Part::Pread)],
            Method::Pread => &[(Method::Pread, Part::Pread)],
            Method::Mmap => return Ok(found),
        };
        // Some file systems refuse when the file is opened, others when it is read.
        let direct = options.direct.then(|| open_direct(&found.file, path).map(Arc::new));
        for &(method, part) in ways {
            let mut refused = None;
            match &direct {
                Some(Ok(file)) => match found.attempt(file, method, true) {
                    Ok(refusals) => {
                        found.refusals.extend(refusals);
                        (found.file, found.method, found.direct) = (file.clone(), method, true);
                        return Ok(found);
                    }
                    Err(cause) => refused = Some(cause),
                },
                Some(Err(error)) => refused = Some(same(error)),
                None => {}
            }
            match found.attempt(&found.file, method, false) {
                Ok(refusals) => {
                    // The same way works through the cache, so that was it.
                    found.refusals.extend(refused.map(|cause| Refusal::new(Part::Direct, cause)));
                    found.refusals.extend(refusals);
                    found.method = method;
                    return Ok(found);
                }
                Err(cause) => found.refusals.push(Refusal::new(part, cause)),
            }
        }
        Ok(found)
    }

    /// Reads the first bytes one way.
    fn attempt(&self, file: &Arc<File>, method: Method, direct: bool) -> io::Result<Vec<Refusal>> {
        let (mut blocks, refusals) = driver(file, self.bytes, &self.options, method, direct)?;
        blocks.submit(0, 0, self.bytes.min(ALIGN as u64) as u32);
        let mut result = Ok(());
        let waited = blocks.wait(&mut |_, bytes| match bytes {
            // A file that is shorter than it says can be read all the same.
            Ok(_) | Err(BlockError::Truncated { .. }) => {}
            Err(BlockError::Io { error, .. } | BlockError::Stopped(error)) => result = Err(error),
        });
        match waited {
            Err(BlockError::Stopped(error) | BlockError::Io { error, .. }) => Err(error),
            _ => result.map(|()| refusals),
        }
    }

    /// A driver for the thread that calls this. Where it was found to be `io_uring` and the kernel gives no further ring, positioned
    /// reads take its place, which the line says from then on ([`BlockFile::replaced`]).
    ///
    /// # Errors
    /// Whatever the system says; of a map alone.
    pub fn blocks(&self) -> io::Result<Box<dyn Blocks>> {
        let made = driver(&self.file, self.bytes, &self.options, self.method, self.direct);
        let made = made.or_else(|_| {
            let instead = driver(&self.file, self.bytes, &self.options, Method::Pread, self.direct)?;
            self.replaced.fetch_add(1, Relaxed);
            Ok(instead)
        });
        made.map(|(blocks, _)| blocks)
    }

    /// Its length when it was opened.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The way that was found; never [`Method::Auto`].
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// Whether reads go around the page cache.
    #[must_use]
    pub fn direct(&self) -> bool {
        self.direct
    }

    /// Drivers that were to be of that way and read by position, since the system gave no further ring.
    #[must_use]
    pub fn replaced(&self) -> usize {
        self.replaced.load(Relaxed)
    }

    /// What was refused on the way, best first.
    #[must_use]
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }
}

impl fmt::Display for BlockFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.method.as_str(), if self.direct { ", O_DIRECT" } else { "" })?;
        match self.replaced() {
            0 => {}
            1 => f.write_str(", 1 thread by pread for want of a ring")?,
            count => write!(f, ", {count} threads by pread for want of a ring")?,
        }
        for (i, refusal) in self.refusals.iter().enumerate() {
            write!(f, "{}{refusal}", if i == 0 { " (" } else { "; " })?;
        }
        f.write_str(if self.refusals.is_empty() { "" } else { ")" })
    }
}

/// A driver of one kind, and what it does without.
fn driver(
    file: &Arc<File>,
    bytes: u64,
    options: &BlockOptions,
    method: Method,
    direct: bool,
) -> io::Result<(Box<dyn Blocks>, Vec<Refusal>)> {
    let merging = options.merging(direct);
    match method {
        #[cfg(target_os = "linux")]
        Method::Auto | Method::Uring => {
            let (blocks, refusals) = super::UringBlocks::new(file.clone(), bytes, merging, options.depth)?;
            Ok((Box::new(blocks), refusals))
        }
        #[cfg(not(target_os = "linux"))]
        Method::Auto | Method::Uring => Err(io::ErrorKind::Unsupported.into()),
        Method::Pread => Ok((Box::new(PreadBlocks::new(file.clone(), bytes, merging, options.depth)), Vec::new())),
        Method::Mmap => {
            let map = MappedFile::map(file)?;
            map.expect_random();
            Ok((Box::new(HeldBlocks::new(map)), Vec::new()))
        }
    }
}

/// Tells the kernel to read nothing ahead: what lies behind a block is not what comes next.
fn expect_random(file: &File) {
    #[cfg(target_os = "linux")]
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Random);
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}

/// Opens the file once more for reads around the page cache: the same one, which may have lost its name `path` to another.
fn open_direct(file: &File, path: &Path) -> io::Result<File> {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    {
        use rustix::fs::{Mode, OFlags, open};
        use std::os::fd::AsRawFd as _;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECT;
        if let Ok(again) = open(format!("/proc/self/fd/{}", file.as_raw_fd()), flags, Mode::empty()) {
            return Ok(File::from(again));
        }
        // No /proc, or a file system that will not.
        let again = File::from(open(path, flags, Mode::empty())?);
        if is_same(file, &again)? { Ok(again) } else { Err(io::Error::other("another file has taken its name")) }
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    {
        let _ = (file, path);
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Whether both are one file.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
pub(super) fn is_same(one: &File, other: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let place = |file: &File| file.metadata().map(|data| (data.dev(), data.ino()));
    Ok(place(one)? == place(other)?)
}
