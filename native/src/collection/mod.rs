//! A collection: rows that are inserted, searched, deleted and saved. The whole of what a server does, without a network.
//!
//! ```text
//!   search ------------> readers, which wait for nobody
//!   get, info ---------> rows in memory <--- apply <--- one writer at a time <--- insert, delete
//!   save --------------> NAME.shore, complete or not at all
//! ```
//! A collection lives in memory and becomes a file when it is saved. **What was written since the last [`Collection::save`] is
//! lost when the process dies.** Every change of a row passes through one function (`live::LiveRows::apply`): that is where a
//! log of changes belongs.
//!
//! A file that the live index would not give back as it was (one with originals, which a live index does not keep) is served as
//! it lies, from a map: the same type, the same searches, and every write is refused.

mod error;
mod live;
mod lock;
mod mapped;
mod point;
mod searchers;
mod selections;
#[cfg(test)]
mod tests;

pub use error::{CollectionError, Fault};
pub use point::{EF_MAX, Found, K_MAX, Point, Search, Stored};

use std::path::{Path, PathBuf};

use nearshore_core::format::{Element, Kind, Metric};
pub use nearshore_core::live::LiveColumn;
use nearshore_core::live::{Live, LiveError};
use nearshore_core::search::Layout;

use crate::error::Error;
use crate::index::Index;
use crate::par::Pool;
use live::LiveRows;
use lock::Lock;
use mapped::MappedRows;

/// The file of the collection of a folder.
const FILE_NAME: &str = "collection.shore";

/// How a collection is opened, and what a new one is like.
#[derive(Clone, Debug, Default)]
pub struct CollectionOptions {
    /// Elements of a vector; unless given, as many as the first insert has.
    pub dimensions: Option<usize>,
    /// The distance; unless given, squared Euclidean.
    pub metric: Option<Metric>,
    /// The columns of a new collection, for filters.
    pub columns: Vec<LiveColumn>,
    /// Whether writes are refused and the file is searched as it lies.
    pub read_only: bool,
    /// What walks over a file that is searched as it lies read: the fast layout takes the codes of neighbours that are in it, or makes them
    /// when it is opened. Rows that are written to have none.
    pub layout: Layout,
}

/// What a collection says about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Info {
    /// The file that a save writes.
    pub file: PathBuf,
    /// Rows that searches find.
    pub rows: u64,
    /// Deleted rows that still take memory.
    pub tombstones: u64,
    /// Elements of a vector; unknown before the first insert unless they were given.
    pub dimensions: Option<usize>,
    /// The distance.
    pub metric: Metric,
    /// What an element is.
    pub element: Element,
    /// What filters may ask about.
    pub columns: Vec<LiveColumn>,
    /// Why writes are refused; `None` where they are not.
    pub read_only: Option<&'static str>,
    /// Rows inserted and deleted since the last save.
    pub unsaved: u64,
}

/// What a save wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The file.
    pub file: PathBuf,
    /// Rows in it that searches find.
    pub rows: u64,
    /// Its size; 0 where there is no file, since nothing was ever inserted.
    pub bytes: u64,
}

/// Rows that are searched by any number of threads while one of them writes.
///
/// ```
/// use nearshore::collection::{Collection, CollectionOptions, Point, Search};
///
/// let folder = tempfile::tempdir()?;
/// let collection = Collection::open(folder.path(), &CollectionOptions::default())?;
/// let ids = collection.insert(&[
///     Point { id: Some(7), vector: vec![0.0, 1.0], payload: b"north".to_vec(), ..Point::default() },
///     Point { id: None, vector: vec![1.0, 0.0], payload: b"east".to_vec(), ..Point::default() },
/// ])?;
/// assert_eq!(ids, [7, 8]);
/// let found = collection.search(&Search { with_payload: true, ..Search::new(vec![0.9, 0.1], 1) })?;
/// assert_eq!((found[0].id, found[0].payload.as_deref()), (8, Some(&b"east"[..])));
/// collection.save()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Collection {
    path: PathBuf,
    rows: Rows,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of it, not many")]
enum Rows {
    Live(LiveRows),
    Mapped(MappedRows),
}

impl Collection {
    /// Opens the file `path`, or the collection of the folder `path`, which is made where nothing is.
    ///
    /// # Errors
    /// A file that cannot be read or is damaged, one that another process serves, or one that is not as the options say.
    pub fn open(path: impl AsRef<Path>, options: &CollectionOptions) -> Result<Self, CollectionError> {
        let path = file_of(path.as_ref(), options.read_only)?;
        if options.read_only || path.exists() {
            let mut index = Index::open(&path)?;
            check_options(&index, options)?;
            if let Some(why) = why_read_only(&index, options) {
                if options.layout == Layout::Fast {
                    index.derive_neighbor_codes(&Pool::new(0).map_err(|error| Error::io(&path, error))?)?;
                }
                return Ok(Self { path, rows: Rows::Mapped(MappedRows::new(index, why, options.layout)?) });
            }
            if index.reader().section(Kind::Edges, 0).is_none() {
                return Err(CollectionError::NoGraph { path });
            }
        }
        let lock = Lock::take(&path)?;
        if !path.exists() {
            return Ok(Self { path, rows: Rows::Live(LiveRows::new(options, lock)?) });
        }
        // Opened anew: whoever had the lock may have put another file there.
        let index = Index::open(&path)?;
        check_options(&index, options)?;
        let rows = match Live::from_index(&index) {
            Ok(live) => Rows::Live(LiveRows::loaded(live, lock)?),
            Err(LiveError::Open(source)) => return Err(Error::Open { path, source }.into()),
            Err(LiveError::Search(error)) => return Err(Error::Search(error).into()),
            Err(_) => Rows::Mapped(MappedRows::new(index, "the file has a graph that cannot be added to", Layout::Lean)?),
        };
        Ok(Self { path, rows })
    }

    /// Adds rows, all or none; ids in the order of the points. A point without id gets one above the largest so far.
    ///
    /// # Errors
    /// A point that cannot be a row, or an id that is taken: the field is named as in `points[3].vector`.
    pub fn insert(&self, points: &[Point]) -> Result<Vec<u64>, CollectionError> {
        self.live()?.insert(points)
    }

    /// Deletes the rows of `ids` that are there, and says how many were.
    ///
    /// # Errors
    /// [`CollectionError::ReadOnly`].
    pub fn delete(&self, ids: &[u64]) -> Result<u64, CollectionError> {
        self.live()?.delete(ids)
    }

    /// The nearest rows, nearest first, ties by the smaller id. Waits for no writer.
    ///
    /// # Errors
    /// A vector or a number out of range, by its field, or damage in a file.
    pub fn search(&self, search: &Search) -> Result<Vec<Found>, CollectionError> {
        let mut hits = Vec::new();
        self.search_each(search, |id, distance, payload| {
            hits.push(Found { id, distance, payload: payload.map(<[u8]>::to_vec) });
            Ok::<_, CollectionError>(())
        })?;
        Ok(hits)
    }

    /// The same, one hit after the other, with its id, distance and payload: whoever takes them can stop by an error.
    ///
    /// # Errors
    /// As [`Collection::search`], and those of `each`.
    pub fn search_each<E: From<CollectionError>>(
        &self,
        search: &Search,
        each: impl FnMut(u64, f32, Option<&[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        search.check()?;
        match &self.rows {
            Rows::Live(rows) => rows.search(search, each),
            Rows::Mapped(rows) => rows.search(search, each),
        }
    }

    /// The rows of `ids` that are there, in that order. Vectors come as near as they are kept.
    ///
    /// # Errors
    /// Damage in a file.
    pub fn get(&self, ids: &[u64]) -> Result<Vec<Stored>, CollectionError> {
        let mut stored = Vec::new();
        self.get_each(ids, |row| {
            stored.push(row);
            Ok::<_, CollectionError>(())
        })?;
        Ok(stored)
    }

    /// The same, one row after the other.
    ///
    /// # Errors
    /// As [`Collection::get`], and those of `each`.
    pub fn get_each<E: From<CollectionError>>(&self, ids: &[u64], each: impl FnMut(Stored) -> Result<(), E>) -> Result<(), E> {
        match &self.rows {
            Rows::Live(rows) => rows.get(ids, each),
            Rows::Mapped(rows) => rows.get(ids, each),
        }
    }

    /// What the collection holds now. Waits for nobody.
    pub fn info(&self) -> Info {
        match &self.rows {
            Rows::Live(rows) => rows.info(&self.path),
            Rows::Mapped(rows) => rows.info(&self.path),
        }
    }

    /// Writes all rows to the file; until it is complete, an older one stays. Searches go on meanwhile, writes wait.
    ///
    /// # Errors
    /// [`CollectionError::ReadOnly`], or what the system says about the file.
    pub fn save(&self) -> Result<Saved, CollectionError> {
        self.live()?.save(&self.path)
    }

    fn live(&self) -> Result<&LiveRows, CollectionError> {
        match &self.rows {
            Rows::Live(rows) => Ok(rows),
            Rows::Mapped(rows) => Err(CollectionError::ReadOnly { why: rows.why }),
        }
    }
}

/// The file that `path` means: itself, or that of a folder.
fn file_of(path: &Path, read_only: bool) -> Result<PathBuf, CollectionError> {
    if path.is_file() || (path.extension().is_some_and(|extension| extension == "shore") && !path.is_dir()) {
        // A file must be there: its name is more likely a slip than a wish.
        path.metadata().map_err(|error| Error::io(path, error))?;
        return Ok(path.to_owned());
    }
    if !read_only {
        std::fs::create_dir_all(path).map_err(|error| Error::io(path, error))?;
    }
    Ok(path.join(FILE_NAME))
}

/// Why a file is served as it lies, where that is clear before its rows are read.
fn why_read_only(index: &Index, options: &CollectionOptions) -> Option<&'static str> {
    let has = |kind| index.reader().section(kind, 0).is_some();
    match (options.read_only, has(Kind::Originals)) {
        (true, _) => Some("it was opened to be read only"),
        (_, true) => Some("the file keeps originals, which a save would lose; build it with --originals drop"),
        _ => None,
    }
}

/// The columns of a file.
fn columns_of(index: &Index) -> Result<Vec<LiveColumn>, CollectionError> {
    let columns = index.columns().map_err(|corrupt| Error::Search(corrupt.into()))?;
    Ok(columns.into_iter().map(|column| LiveColumn { name: column.name, kind: column.kind }).collect())
}

/// A file that is there decides what it is; options may only agree.
fn check_options(index: &Index, options: &CollectionOptions) -> Result<(), CollectionError> {
    let differ = |option, found: String, wanted: String| Err(CollectionError::Differs { option, found, wanted });
    match (options.dimensions, options.metric) {
        (Some(wanted), _) if wanted != index.dimensions() => differ("dimensions", index.dimensions().to_string(), wanted.to_string()),
        (_, Some(wanted)) if wanted != index.metric() => differ("metric", index.metric().to_string(), wanted.to_string()),
        _ => Ok(()),
    }?;
    let columns = columns_of(index)?;
    if options.columns.is_empty() || options.columns == columns {
        return Ok(());
    }
    let shown = |columns: &[LiveColumn]| match columns {
        [] => "none".to_owned(),
        columns => columns.iter().map(|column| format!("{}:{}", column.name, column.kind)).collect::<Vec<_>>().join(", "),
    };
    differ("columns", shown(&columns), shown(&options.columns))
}
