//! Where vectors come from: one file a format, one [`Dataset`] behind them all.
//!
//! ```text
//! .fbin .f16bin .u8bin .i8bin .fvecs .bvecs .npy   mapped, used where the rows lie
//! .parquet .jsonl, a pipe                          streamed once into an unlinked temporary file, then mapped
//! ```
//! So an input larger than memory needs no memory. Readers are strict: a length that contradicts its header, a row of
//! another dimension, a number that is not finite are errors that name file, row and field ([`DataError`]). Binary
//! files are not searched for NaN here, because whoever reads their rows looks at every number anyway
//! ([`Dataset::check_finite`] does it for those who do not).
//!
//! Also here: what else comes in files of numbers, [`ids`] and exact answers ([`truth`]).

mod binary;
mod columns;
mod error;
pub mod ids;
mod jsonl;
mod lines;
mod npy;
mod parquet;
mod spool;
pub mod truth;
mod window;

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::str::FromStr;

pub use binary::{Layout, layout};
pub use columns::ColumnChoice;
pub use error::{DataError, Fault, Place};
pub use jsonl::parse_vector;
pub use window::Window;

use nearshore_core::build::Stage;
use nearshore_core::filter::ColumnInput;
use nearshore_core::format::Element;
pub use nearshore_core::vectors::{Payloads, Vectors};

use crate::io::{MappedFile, want};

/// The most dimensions of a vector.
pub const DIMENSIONS_MAX: usize = 32_768;

/// The formats of vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names are their extensions")]
pub enum Format {
    Fbin,
    F16bin,
    U8bin,
    I8bin,
    Fvecs,
    Bvecs,
    Npy,
    Parquet,
    Jsonl,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 9] = {
        use Format::*;
        [Fbin, F16bin, U8bin, I8bin, Fvecs, Bvecs, Npy, Parquet, Jsonl]
    };

    /// Their names, for messages.
    pub const EXPECTED: &str = "fbin, f16bin, u8bin, i8bin, fvecs, bvecs, npy, parquet, jsonl";

    /// The extension, and the word of `--format`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        ["fbin", "f16bin", "u8bin", "i8bin", "fvecs", "bvecs", "npy", "parquet", "jsonl"][self as usize]
    }

    /// What the extension of `path` says.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        path.extension()?.to_str()?.to_ascii_lowercase().parse().ok()
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "ndjson" => Ok(Self::Jsonl),
            _ => Self::ALL.into_iter().find(|format| format.as_str() == word).ok_or_else(|| format!("must be one of {}", Self::EXPECTED)),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How to read an input.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// The format, where the extension does not say it. A pipe without one is `.fbin`.
    pub format: Option<Format>,
    /// Folder for temporary files; the system's when `None`.
    pub tmp: Option<&'a Path>,
    /// Column of the vectors in Parquet and JSONL. `None`: `vector`, `embedding`, or (Parquet) the only list of numbers.
    pub vector: Option<&'a str>,
    /// Column of the ids in Parquet and JSONL. `None`: `id`, where there is one.
    pub id: Option<&'a str>,
    /// Column in Parquet and JSONL whose bytes travel with the rows: text as UTF-8, anything else as JSON. Where there are
    /// no columns, a text file with one line a row.
    pub payload: Option<&'a str>,
    /// Columns in Parquet and JSONL whose values searches can be filtered by.
    pub columns: Option<ColumnChoice<'a>>,
    /// Told now and then how many bytes were read, and of how many (a pipe does not know).
    pub progress: &'a dyn Fn(u64, Option<u64>),
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("format", &self.format).field("tmp", &self.tmp).finish_non_exhaustive()
    }
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { format: None, tmp: None, vector: None, id: None, payload: None, columns: None, progress: &|_, _| {} }
    }
}

/// Vectors of one input, with the ids and payloads that came along.
#[derive(Debug)]
pub struct Dataset {
    name: String,
    bytes: MappedFile,
    layout: Layout,
    ids: Option<Column>,
    payloads: Option<PayloadBytes>,
    columns: Vec<columns::DataColumn>,
}

#[derive(Debug)]
struct PayloadBytes {
    bytes: MappedFile,
    ends: Column,
}

/// 64-bit numbers, one a row.
#[derive(Debug)]
enum Column {
    /// In a map whose numbers are aligned.
    Mapped(MappedFile, usize),
    /// In memory, where they had to be converted.
    Owned(Vec<u64>),
}

impl Column {
    /// The numbers in `map` from byte `start`; copied where they are not aligned.
    fn mapped(map: MappedFile, start: usize) -> Self {
        let bytes = map.as_ref().get(start..).unwrap_or_default();
        match bytemuck::try_cast_slice::<u8, u64>(bytes) {
            Ok(_) => Self::Mapped(map, start),
            Err(_) => Self::Owned(bytes.as_chunks().0.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect()),
        }
    }

    fn as_slice(&self) -> &[u64] {
        match self {
            Self::Mapped(map, start) => map.as_ref().get(*start..).map_or(&[], |bytes| bytemuck::try_cast_slice(bytes).unwrap_or(&[])),
            Self::Owned(numbers) => numbers,
        }
    }
}

impl Dataset {
    /// Opens `path`; `-` is standard input.
    ///
    /// # Errors
    /// [`DataError`]: says file, row, field, and what would be right.
    pub fn open(path: &Path, options: &Options<'_>) -> Result<Self, DataError> {
        let piped = path == Path::new("-");
        let name = if piped { "standard input".to_owned() } else { path.display().to_string() };
        let known = options.format.or_else(|| Format::of_path(path)).or(piped.then_some(Format::Fbin));
        let format = known.ok_or_else(|| DataError::new(&name, Fault::UnknownFormat))?;
        let io = |error| DataError::io(&name, error);
        let file = if piped { None } else { Some(File::open(path).map_err(io)?) };
        let size = match &file {
            Some(file) => Some(file.metadata().map_err(io)?).filter(std::fs::Metadata::is_file).map(|meta| meta.len()),
            None => None,
        };
        if format == Format::Jsonl {
            return match file {
                Some(file) => jsonl::read(file, size, &name, options),
                None => jsonl::read(std::io::stdin().lock(), None, &name, options),
            };
        }
        // A pipe under a name, such as <(command), is copied like standard input.
        let bytes = match (&file, size) {
            (Some(file), Some(_)) => MappedFile::map(file),
            (Some(file), None) => spool::copy_pipe(file, options),
            (None, _) => spool::copy_pipe(std::io::stdin().lock(), options),
        };
        let bytes = bytes.map_err(io)?;
        if format == Format::Parquet {
            return parquet::read(bytes, &name, options);
        }
        let layout = layout(format, &name, bytes.as_ref())?;
        let payloads = match options.payload.map(Path::new) {
            Some(lines) if lines.is_file() => Some(lines::open(lines, layout.rows, &name, options.tmp)?),
            Some(column) => {
                let column = column.display();
                let what = format!(
                    "a .{format} file has no columns; for --payload {column}, .parquet, .jsonl or a text file called so (a line a row) would be right"
                );
                return Err(DataError::malformed(&name, what));
            }
            None => None,
        };
        if let Some(columns) = options.columns {
            let error = DataError::malformed(&name, format!("a .{format} file has no columns; .parquet or .jsonl would be right"));
            return Err(match columns {
                ColumnChoice::Named([first, ..]) => error.field(first),
                _ => error,
            });
        }
        Ok(Self { name, bytes, layout, ids: None, payloads, columns: Vec::new() })
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.layout.rows
    }

    /// Elements in a row.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.layout.dimensions
    }

    /// Type of an element.
    #[must_use]
    pub fn element(&self) -> Element {
        self.layout.element
    }

    /// The rows where they lie.
    ///
    /// # Panics
    /// Never: a layout is checked against the length when it is made.
    #[must_use]
    #[expect(clippy::expect_used, reason = "stated above")]
    pub fn vectors(&self) -> Vectors<'_> {
        let Layout { start, element, dimensions, rows, stride } = self.layout;
        let data = &self.bytes.as_ref()[start..];
        Vectors::new(element, dimensions, rows, stride, data).expect("a layout lies inside its file").announcing(want)
    }

    /// The ids that came with the rows, or were given since.
    #[must_use]
    pub fn ids(&self) -> Option<&[u64]> {
        self.ids.as_ref().map(Column::as_slice)
    }

    /// Gives the rows the ids in `path`, in place of those that came with them.
    ///
    /// # Errors
    /// A count unlike that of the rows, or a file that is none of ids: see [`ids`].
    pub fn set_ids(&mut self, path: &Path, tmp: Option<&Path>) -> Result<(), DataError> {
        self.ids = Some(ids::open(path, self.rows(), &self.name, tmp)?);
        Ok(())
    }

    /// The payloads that came with the rows.
    #[must_use]
    pub fn payloads(&self) -> Option<Payloads<'_>> {
        let payloads = self.payloads.as_ref()?;
        Payloads::new(payloads.bytes.as_ref(), payloads.ends.as_slice())
    }

    /// The columns that came with the rows.
    #[must_use]
    pub fn columns(&self) -> Vec<ColumnInput<'_>> {
        self.columns.iter().map(columns::DataColumn::input).collect()
    }

    /// Says that the rows will be read from the first to the last.
    pub fn expect_forward(&self) {
        self.bytes.expect_forward();
    }

    /// Says how a build that tells of `done` in `stage` reads rows from now on. Where memory does not hold the input, what lies around a row that is
    /// read alone would be read in vain.
    pub fn expect_reads_of(&self, stage: Stage, done: u64) {
        match stage {
            Stage::Encode if done == 0 => self.bytes.expect_forward(),
            // Measuring begins with all rows in their order; what it ranks, and what is written, is here and there.
            Stage::Measure if done == 1 => self.bytes.expect_random(),
            Stage::Write if done == 0 => self.bytes.expect_random(),
            _ => {}
        }
    }

    /// An error about a row of this input.
    #[must_use]
    pub fn fault(&self, row: u64, fault: Fault) -> DataError {
        DataError::new(&self.name, fault).row(row)
    }

    /// Looks for a number that is not finite: the first one in the first such row of `rows`.
    ///
    /// # Errors
    /// [`Fault::NotFinite`] with row and place.
    pub fn check_finite(&self, rows: std::ops::Range<usize>) -> Result<(), DataError> {
        let vectors = self.vectors();
        for row in rows {
            let found = match self.layout.element {
                Element::F32 => first_not_finite(vectors.row(row), |bytes: [u8; 4]| f32::from_le_bytes(bytes)),
                Element::F16 => first_not_finite(vectors.row(row), |bytes: [u8; 2]| half_or_not(u16::from_le_bytes(bytes))),
                Element::U8 | Element::I8 => return Ok(()),
            };
            if let Some((at, value)) = found {
                return Err(self.fault(row as u64, Fault::NotFinite(f64::from(value))).field(format!("{at}")));
            }
        }
        Ok(())
    }
}

fn first_not_finite<const N: usize>(row: &[u8], number: impl Fn([u8; N]) -> f32) -> Option<(usize, f32)> {
    row.as_chunks().0.iter().map(|chunk| number(*chunk)).enumerate().find(|(_, value)| !value.is_finite())
}

/// 0 for a finite half, else what it stands for.
fn half_or_not(bits: u16) -> f32 {
    match (bits >> 10 & 31, bits & 1023, bits >> 15) {
        (31, 0, 0) => f32::INFINITY,
        (31, 0, _) => f32::NEG_INFINITY,
        (31, _, _) => f32::NAN,
        _ => 0.0,
    }
}
