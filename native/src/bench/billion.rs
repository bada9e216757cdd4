//! A file of a billion rows of 1,024 f32, without the disk for it.
//!
//! The file is a hole of 4.1 TB in which a few rows are written: the first, row 900,000,000 and the last. They are read back by each
//! driver, with a row of the hole between them. What that shows is that sizes and offsets hold at that scale in every part of the way,
//! the file system's and the kernel's included; not how fast a full file would be.

use std::fmt;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

use nearshore_core::seed;

use crate::io::ScratchFile;
use crate::io::blocks::{BlockError, BlockFile, BlockOptions, Method};

/// Rows of the file.
pub const ROWS: u64 = 1_000_000_000;

/// Numbers of a row.
pub const DIMENSIONS: usize = 1024;

/// Bytes of a row.
pub const ROW_BYTES: u32 = DIMENSIONS as u32 * 4;

/// What a file system without holes is found out by: a file of this length, of which at most a quarter may be there.
const TRIED_BYTES: u64 = 64 << 20;

/// What was done, and how long it took.
#[derive(Debug)]
pub struct Report {
    /// Rows of the file.
    pub rows: u64,
    /// Its length.
    pub file_bytes: u64,
    /// What it took of the disk; `None` where the system does not tell.
    pub disk_bytes: Option<u64>,
    /// Rows that were written and read back.
    pub marks: [u64; 3],
    /// A row of the hole, which was read as zeros.
    pub hole: u64,
    /// Seconds it took to make the file and write the rows.
    pub write_s: f64,
    /// By each driver.
    pub reads: Vec<Read>,
}

/// What one driver did.
#[derive(Debug)]
pub struct Read {
    /// The driver asked for.
    pub asked: Method,
    /// The one that did it: another where that one does not work here.
    pub method: Method,
    /// How, and what was refused: one line.
    pub how: String,
    /// Seconds to open the file.
    pub open_s: f64,
    /// Seconds until all four rows were there.
    pub read_s: f64,
}

/// Why it could not be done.
#[derive(Debug)]
#[non_exhaustive]
pub enum BillionError {
    /// The file system gives every byte of a file its place on the disk.
    NoHoles,
    /// A file of that length cannot be.
    TooLarge {
        /// Bytes that were wanted.
        wanted: u64,
        /// Who says so.
        limit: Limit,
    },
    /// The system could not do something.
    Io {
        /// What.
        what: &'static str,
        /// What it says.
        error: io::Error,
    },
    /// A row was not what was written.
    Wrong {
        /// By which driver.
        method: Method,
        /// Which row.
        row: u64,
    },
}

/// What bounds the length of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The file system.
    FileSystem,
    /// The process: so many bytes.
    Process(u64),
}

impl fmt::Display for BillionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHoles => f.write_str("this file system has no sparse files; another folder would be right"),
            Self::TooLarge { wanted, limit: Limit::FileSystem } => {
                write!(f, "this file system takes no file of {wanted} bytes; another folder, or fewer rows, would be right")
            }
            Self::TooLarge { wanted, limit: Limit::Process(bytes) } => {
                write!(f, "this process may write no file of {wanted} bytes: its limit (ulimit -f) is {bytes}")
            }
            Self::Io { what, error } => write!(f, "{what}: {error}"),
            Self::Wrong { method, row } => write!(f, "row {row} read by {} is not what was written", method.as_str()),
        }
    }
}

impl std::error::Error for BillionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// Makes the file in `folder`, of `rows` rows (10 at least), reads rows of it by every driver, and deletes it.
///
/// # Errors
/// [`BillionError`]; the file is deleted then, too.
///
/// # Panics
/// With fewer than 10 rows, or more than fit 2^63 bytes.
pub fn run(folder: &Path, rows: u64) -> Result<Report, BillionError> {
    assert!((10..=i64::MAX as u64 / u64::from(ROW_BYTES)).contains(&rows), "{rows} rows");
    let begun = Instant::now();
    let file_bytes = rows * u64::from(ROW_BYTES);
    let marks = [0, rows / 10 * 9 - 1, rows - 1];
    let hole = rows / 2;
    let scratch = ScratchFile::create(folder).map_err(|error| BillionError::Io { what: "a file cannot be made", error })?;
    stretch(&scratch, file_bytes)?;
    for row in marks {
        write_row(&scratch, row).map_err(|error| BillionError::Io { what: "a row cannot be written", error })?;
    }
    let write_s = begun.elapsed().as_secs_f64();
    let disk_bytes = bytes_on_disk(&scratch);
    let wanted = [marks[0], hole, marks[1], marks[2]];
    let reads = [Method::Mmap, Method::Pread, Method::Uring].map(|method| read(scratch.path(), method, hole, &wanted));
    let reads = reads.into_iter().collect::<Result<_, _>>()?;
    Ok(Report { rows, file_bytes, disk_bytes, marks, hole, write_s, reads })
}

/// Gives the file its length, if it can be had without the disk for it.
fn stretch(scratch: &ScratchFile, bytes: u64) -> Result<(), BillionError> {
    // The system ends a process that goes beyond its own limit.
    #[cfg(unix)]
    if let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Fsize).current.filter(|limit| *limit < bytes) {
        return Err(BillionError::TooLarge { wanted: bytes, limit: Limit::Process(limit) });
    }
    let set = |bytes| {
        scratch.file().set_len(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => BillionError::TooLarge { wanted: bytes, limit: Limit::FileSystem },
            // What is asked of some systems beyond their maximum, and of those that give each byte its place.
            io::ErrorKind::InvalidInput => BillionError::TooLarge { wanted: bytes, limit: Limit::FileSystem },
            io::ErrorKind::StorageFull => BillionError::NoHoles,
            _ => BillionError::Io { what: "the file cannot be given its length", error },
        })
    };
    set(TRIED_BYTES.min(bytes))?;
    if bytes_on_disk(scratch).is_some_and(|there| there > TRIED_BYTES / 4) {
        return Err(BillionError::NoHoles);
    }
    set(bytes)
}

/// What the file takes of the disk.
fn bytes_on_disk(scratch: &ScratchFile) -> Option<u64> {
    #[cfg(unix)]
    return scratch.file().metadata().ok().map(|data| std::os::unix::fs::MetadataExt::blocks(&data) * 512);
    #[cfg(not(unix))]
    None
}

/// A row that knows its number.
fn contents(row: u64) -> Vec<u8> {
    let number = |at: u64| ((seed::hash(0, row, at) >> 40) as f32 / (1 << 24) as f32).to_le_bytes();
    (0..DIMENSIONS as u64).flat_map(number).collect()
}

fn write_row(scratch: &ScratchFile, row: u64) -> io::Result<()> {
    let mut file = scratch.file();
    file.seek(SeekFrom::Start(row * u64::from(ROW_BYTES)))?;
    file.write_all(&contents(row))?;
    // Reads around the page cache must find it.
    file.sync_data()
}

/// Reads all of `wanted` at once, and compares.
fn read(path: &Path, asked: Method, hole: u64, wanted: &[u64]) -> Result<Read, BillionError> {
    let begun = Instant::now();
    let file = BlockFile::open(path, BlockOptions::default().method(asked));
    let file = file.map_err(|error| BillionError::Io { what: "the file cannot be opened", error })?;
    let mut blocks = file.blocks().map_err(|error| BillionError::Io { what: "the file cannot be mapped", error })?;
    let open_s = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    for &row in wanted {
        blocks.submit(row, row * u64::from(ROW_BYTES), ROW_BYTES);
    }
    let mut rows = Vec::new();
    let mut failed = None;
    let failure = |error| BillionError::Io { what: "a row cannot be read", error };
    while blocks.in_flight() > 0 {
        let waited = blocks.wait(&mut |row, bytes| match bytes {
            Ok(bytes) => rows.push((row, bytes.to_vec())),
            Err(error) => failed = Some(io::Error::other(error)),
        });
        waited.map_err(|error: BlockError| failure(io::Error::other(error)))?;
    }
    let read_s = begun.elapsed().as_secs_f64();
    if let Some(error) = failed {
        return Err(failure(error));
    }
    let method = file.method();
    let wrong = |row| BillionError::Wrong { method, row };
    for &row in wanted {
        let expected = if row == hole { vec![0; ROW_BYTES as usize] } else { contents(row) };
        if !rows.iter().any(|(read, bytes)| *read == row && *bytes == expected) {
            return Err(wrong(row));
        }
    }
    Ok(Read { asked, method, how: file.to_string(), open_s, read_s })
}
