//! An index in segments: a set of files that answers as one file of all their rows would.
//!
//! A row's number is 32 bits, so a file holds 2^32 - 2 rows; ids are 64 bits, and more rows lie in several files. A `.shores` file lists them. A
//! search asks each of them the same and keeps the nearest of all hits; no id is in two, which is seen to when the set is made.

mod batch;
mod document;
mod ids;
mod search;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nearshore_core::error::{Corrupt, Damage};
use nearshore_core::filter::{Filter, RowSet, SelectError};
use nearshore_core::format::{Element, Metric};
use nearshore_core::par::Par;
use nearshore_core::search::{SearchError, SearchParams};

use crate::error::Error;
use crate::index::{AsQuery, Driver, Index};
use crate::io::{FileSink, folder_of};

pub use document::{Entry, SEGMENTS_MAX, hex};
pub(crate) use document::{Stand, read as read_stand};
pub(crate) use search::search_each;
pub use search::{Answer, Hit, Work};

/// An index in one file or in several, ready to be searched from any number of threads at once.
///
/// ```
/// # use nearshore::{Pool, dataset::Vectors, build::{BuildParams, Input, build}, format::Element};
/// # let folder = tempfile::tempdir()?;
/// # let [a, b, all] = ["a.shore", "b.shore", "all.shores"].map(|name| folder.path().join(name));
/// # for (path, ids, rows) in [(&a, [1, 2], [0.0, 0.0, 1.0, 0.0]), (&b, [7, 8], [0.0, 1.0, 0.0, 2.0f32])] {
/// #     let vectors = Vectors::packed(Element::F32, 2, bytemuck::cast_slice(&rows)).ok_or("rows")?;
/// #     let input = Input { vectors, ids: Some(&ids), payloads: None };
/// #     let mut go_on = |_, _, _| std::ops::ControlFlow::Continue(());
/// #     let sink = FileSink::create(path, false)?;
/// #     build(&input, &BuildParams::default(), &Pool::new(1)?, nearshore::Kernels::best(), &mut go_on, sink)?.0.finish()?;
/// # }
/// use nearshore::{Segments, io::FileSink, search::SearchParams};
///
/// Segments::make(&[a, b], &all, FileSink::create(&all, false)?, &mut |_, _| {})?;
/// let hits = Segments::open(&all)?.search(&[0.0f32, 1.5], &SearchParams::recall(0.95).k(2))?;
/// assert_eq!(hits.iter().map(|hit| (hit.id, hit.segment)).collect::<Vec<_>>(), [(7, 1), (8, 1)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Segments {
    path: PathBuf,
    segments: Vec<Segment>,
    /// Whether the file at `path` is a set, and not itself the only segment.
    is_set: bool,
    /// Buffers of searches that are over, for those to come.
    work: Mutex<Vec<Work>>,
}

/// One file.
#[derive(Debug)]
struct Segment {
    path: PathBuf,
    index: Index,
}

/// Something that befell one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentError<E> {
    /// Which one.
    pub segment: usize,
    /// What.
    pub error: E,
}

impl Segments {
    /// Opens the set at `path`, or the single file, mapped. Reads the document and 16 KiB of each segment.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Open`]; of a set [`Error::Set`], and [`Error::Segment`] for a file that is missing, damaged, or another than
    /// when the set was made.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(path, Driver::Auto)
    }

    /// The same by another driver.
    ///
    /// # Errors
    /// As [`Segments::open`].
    pub fn open_with(path: impl AsRef<Path>, driver: Driver) -> Result<Self, Error> {
        let path = path.as_ref();
        let Some(entries) = entries(path)? else {
            let segments = vec![Segment { path: path.to_owned(), index: Index::open_with(path, driver)? }];
            return Ok(Self { path: path.to_owned(), segments, is_set: false, work: Mutex::default() });
        };
        let mut segments: Vec<Segment> = Vec::new();
        for entry in &entries {
            let file = path.with_file_name(&entry.name);
            let opened = Index::open_with(&file, driver);
            let in_set = |source| Error::Segment { set: path.to_owned(), path: file.clone(), source: Box::new(source) };
            let index = opened.map_err(in_set)?;
            check_entry(path, entry, &index)?;
            if let Some(first) = segments.first() {
                check_kind((&first.path, &first.index), (&file, &index)).map_err(|what| Error::Set { path: path.to_owned(), what })?;
            }
            segments.push(Segment { path: file, index });
        }
        Ok(Self { path: path.to_owned(), segments, is_set: true, work: Mutex::default() })
    }

    /// Writes a set of the files at `paths`, or of those that sets among them list, to `sink`, which will have the name `set`. The files lie in the
    /// set's folder or below it. `progress` is told ids compared, and of how many.
    ///
    /// Cost: a pass over the ids of all files. Memory: nothing to speak of.
    ///
    /// # Errors
    /// As [`Segments::open`]; [`Error::Set`] for files that do not fit together: other dimensions, metric or type of elements, or an id in two.
    pub fn make(
        paths: &[impl AsRef<Path>],
        set: impl AsRef<Path>,
        sink: FileSink,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), Error> {
        let (set, mut sink) = (set.as_ref(), sink);
        let mut segments: Vec<Segment> = Vec::new();
        for path in paths {
            segments.append(&mut Self::open(path)?.segments);
        }
        Self::list(segments, set, &mut sink, progress)?;
        sink.finish().map_err(|error| Error::io(set, error))
    }

    /// The same for files that have no names yet, and give them theirs: first the segments, then the set. What can fail is done before, so that a
    /// set whose place this one takes is whole until then, if none of its files is replaced.
    ///
    /// # Errors
    /// As [`Segments::make`]; then no file has its name.
    pub fn make_of(
        segments: Vec<FileSink>,
        set: impl AsRef<Path>,
        sink: FileSink,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), Error> {
        let (set, mut sinks, mut sink) = (set.as_ref(), segments, sink);
        let mut segments = Vec::new();
        for sink in &mut sinks {
            sink.sync().map_err(|error| Error::io(sink.destination(), error))?;
            segments.push(Segment { path: sink.destination().to_owned(), index: Index::open_with(sink.path(), Driver::Mmap)? });
        }
        Self::list(segments, set, &mut sink, progress)?;
        sink.finish_after(sinks).map_err(|(path, error)| Error::io(&path, error))
    }

    /// Writes to `sink` what a set of these files says, when they fit together.
    fn list(segments: Vec<Segment>, set: &Path, sink: &mut FileSink, progress: &mut dyn FnMut(u64, u64)) -> Result<(), Error> {
        let wrong = |what: String| Error::Set { path: set.to_owned(), what };
        let mut entries = Vec::new();
        for segment in &segments {
            let first = &segments[0];
            check_kind((&first.path, &first.index), (&segment.path, &segment.index)).map_err(wrong)?;
            let superblock = &segment.index.reader().header().superblock;
            let name = name_below(folder_of(set), &segment.path).map_err(wrong)?;
            entries.push(Entry { name, bytes: superblock.file_bytes, rows: superblock.rows, identity: superblock.identity });
        }
        let made = Self { path: set.to_owned(), segments, is_set: true, work: Mutex::default() };
        made.check_ids(progress)?;
        document::write(&entries, sink).map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidInput => wrong(error.to_string()),
            _ => Error::io(set, error),
        })
    }

    /// Finds the nearest rows, nearest first, ties by the smaller id.
    ///
    /// # Errors
    /// As [`Index::search`]; of a set [`Error::Segment`], of the first segment that fails.
    pub fn search(&self, query: &(impl AsQuery + ?Sized), params: &SearchParams) -> Result<Vec<Hit>, Error> {
        self.search_among(query, params, None)
    }

    /// As [`Segments::search`], among rows that [`Segments::select`] selected.
    ///
    /// # Errors
    /// As [`Segments::search`], and sets that were made for other files.
    pub fn search_where(&self, query: &(impl AsQuery + ?Sized), params: &SearchParams, rows: &[RowSet]) -> Result<Vec<Hit>, Error> {
        self.search_among(query, params, Some(rows))
    }

    fn search_among(&self, query: &(impl AsQuery + ?Sized), params: &SearchParams, only: Option<&[RowSet]>) -> Result<Vec<Hit>, Error> {
        let free = self.work.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut work = free.unwrap_or_default();
        let mut answer = Answer::default();
        let found = search_each(self.cores(), query.as_query(), params, only, &mut work, &mut answer);
        self.work.lock().unwrap_or_else(PoisonError::into_inner).push(work);
        found.map(|()| answer.hits).map_err(|(segment, error)| self.explain(SegmentError { segment, error }))
    }

    /// The rows of each segment that meet a condition.
    ///
    /// # Errors
    /// The first segment whose columns it does not fit, or that is damaged.
    pub fn select(&self, filter: &Filter) -> Result<Vec<RowSet>, SegmentError<SelectError>> {
        let selected = self.segments.iter().enumerate();
        selected.map(|(segment, file)| file.index.select(filter).map_err(|error| SegmentError { segment, error })).collect()
    }

    /// Reads the payload of a hit of this set into `out`; empty where it has none.
    ///
    /// # Errors
    /// A damaged block.
    pub fn payload(&self, hit: &Hit, out: &mut Vec<u8>) -> Result<(), SearchError> {
        out.clear();
        self.segments.get(hit.segment).map_or(Ok(()), |segment| segment.index.payload(hit.row, out))
    }

    /// [`Index::derive_neighbor_codes`], of each segment that has none.
    ///
    /// # Errors
    /// [`Error::Search`] and [`Error::Segment`].
    pub fn derive_neighbor_codes(&mut self, par: &impl Par) -> Result<(), Error> {
        for segment in 0..self.segments.len() {
            let index = &mut self.segments[segment].index;
            if !index.has_neighbor_codes() {
                index.derive_neighbor_codes(par).map_err(|error| self.in_set(segment, error))?;
            }
        }
        Ok(())
    }

    /// Checks every block and bound of every segment ([`nearshore_core::index::Index::check`]), and that no id is in two; `progress` is told bytes
    /// done and in all; codes of neighbours are made again by the threads of `par`.
    ///
    /// # Errors
    /// The first segment that is damaged, or [`Error::Set`] for the id.
    pub fn check(&self, par: &impl Par, progress: &mut dyn FnMut(u64, u64)) -> Result<(), CheckError> {
        let total = self.file_bytes();
        let mut before = 0;
        for (segment, file) in self.segments.iter().enumerate() {
            let checked = file.index.check_by(par, &mut |done, _| progress(before + done, total));
            checked.map_err(|error| CheckError::Damage(SegmentError { segment, error }))?;
            before += file.index.reader().bytes().len() as u64;
        }
        self.check_ids(&mut |_, _| {}).map_err(CheckError::Ids)
    }

    /// Refuses an id that two segments have.
    fn check_ids(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), Error> {
        if self.segments.len() == 1 {
            return Ok(());
        }
        let twin = ids::twin(self.cores(), progress);
        let twin = twin.map_err(|(segment, corrupt): (usize, Corrupt)| self.explain(SegmentError { segment, error: corrupt.into() }))?;
        twin.map_or(Ok(()), |ids::Twin { id, segments: (first, second) }| {
            let (first, second) = (self.segments[first].path.display(), self.segments[second].path.display());
            Err(Error::Set { path: self.path.clone(), what: format!("id {id} is in {first} and in {second}; ids must differ") })
        })
    }

    /// The file that was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file at `path` says that it is a set.
    #[must_use]
    pub fn is_set_at(path: &Path) -> bool {
        !matches!(entries(path), Ok(None) | Err(Error::Io { .. }))
    }

    /// The files that a set at `path` lists, whether they are there or not; `None` for what is no sound set.
    #[must_use]
    pub fn listed_at(path: &Path) -> Option<Vec<PathBuf>> {
        let entries = entries(path).ok()??;
        Some(entries.iter().map(|entry| path.with_file_name(&entry.name)).collect())
    }

    /// Whether that is a set, and not a single file.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.is_set
    }

    /// Every segment and its file, in the set's order; one at least.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Path, &Index)> {
        self.segments.iter().map(|segment| (segment.path.as_path(), &segment.index))
    }

    /// The first segment: what all have in common can be asked of it.
    #[must_use]
    pub fn first(&self) -> &Index {
        &self.segments[0].index
    }

    fn cores(&self) -> impl Iterator<Item = &nearshore_core::index::Index<crate::index::FileBytes>> {
        self.segments.iter().map(|segment| &*segment.index)
    }

    /// Rows of all segments, tombstones included.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.segments.iter().map(|segment| segment.index.len() as u64).sum()
    }

    /// Tombstones of all segments.
    #[must_use]
    pub fn deleted(&self) -> u64 {
        self.segments.iter().map(|segment| segment.index.deleted()).sum()
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.index.reader().bytes().len() as u64).sum()
    }

    /// Elements of a vector.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.first().dimensions()
    }

    /// How far apart two vectors are.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.first().metric()
    }

    /// Type of the input's elements.
    #[must_use]
    pub fn element(&self) -> Element {
        self.first().element()
    }

    /// An error of a segment as one of the set, or of the single file; what is wrong with a query is nobody's fault but its own.
    fn explain(&self, SegmentError { segment, error }: SegmentError<SearchError>) -> Error {
        match error {
            SearchError::Corrupt(_) | SearchError::Unsupported { .. } => self.in_set(segment, Error::Search(error)),
            _ => Error::Search(error),
        }
    }

    fn in_set(&self, segment: usize, error: Error) -> Error {
        if !self.is_set {
            return error;
        }
        Error::Segment { set: self.path.clone(), path: self.segments[segment].path.clone(), source: Box::new(error) }
    }
}

/// Why a check failed.
#[derive(Debug)]
pub enum CheckError {
    /// A segment is damaged.
    Damage(SegmentError<Damage>),
    /// An id is in two segments, or a map of ids is damaged.
    Ids(Error),
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damage(SegmentError { segment, error }) => write!(f, "segment {segment}: {error}"),
            Self::Ids(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CheckError {}

/// What a set at `path` lists; `None` for a file that is no set.
fn entries(path: &Path) -> Result<Option<Vec<Entry>>, Error> {
    match read_stand(path) {
        Ok(Some(Stand::Segments(entries))) => Ok(Some(entries)),
        Ok(Some(Stand::Unknown) | None) if path.extension().is_some_and(|extension| extension == "shores") => {
            let what =
                "no set of segments: it is cut off, or its `format` is not \"nearshore segments\"; `nearshore set` makes one".to_owned();
            Err(Error::Set { path: path.to_owned(), what })
        }
        Ok(_) => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Err(Error::Set { path: path.to_owned(), what: error.to_string() }),
        Err(error) => Err(Error::io(path, error)),
    }
}

/// Bytes of the file at `path`, or of those that a set there lists.
pub(crate) fn bytes_at(path: &Path) -> Option<u64> {
    match entries(path).ok()? {
        Some(entries) => entries.iter().try_fold(0u64, |sum, entry| sum.checked_add(entry.bytes)),
        None => path.metadata().ok().map(|file| file.len()),
    }
}

/// Whether a file is the one that the set lists.
fn check_entry(set: &Path, entry: &Entry, index: &Index) -> Result<(), Error> {
    let superblock = &index.reader().header().superblock;
    let wrong = |what: String| Err(Error::Set { path: set.to_owned(), what: format!("its segment {} {what}", entry.name) });
    if superblock.identity != entry.identity {
        let (found, wanted) = (hex(&superblock.identity), hex(&entry.identity));
        return wrong(format!("is another file than when the set was made: its identity is {found}; {wanted} would be right"));
    }
    let told = [("bytes", superblock.file_bytes, entry.bytes), ("rows", superblock.rows, entry.rows)];
    match told.iter().find(|(_, found, told)| found != told) {
        Some((what, found, told)) => wrong(format!("has {found} {what}, but the set says {told}")),
        None => Ok(()),
    }
}

/// Whether two files may be segments of one set: in words why not.
fn check_kind((first, a): (&Path, &Index), (second, b): (&Path, &Index)) -> Result<(), String> {
    let of = |index: &Index| {
        [
            ("dimensions", index.dimensions().to_string()),
            ("metric", index.metric().as_str().to_owned()),
            ("element", index.element().as_str().to_owned()),
        ]
    };
    let (a, b) = (of(a), of(b));
    let differs = a.iter().zip(&b).find(|(a, b)| a != b);
    differs.map_or(Ok(()), |((what, a), (_, b))| {
        Err(format!("{what} {a} in {} and {b} in {}; segments of a set have the same", first.display(), second.display()))
    })
}

/// How a set in `folder` calls the file at `path`.
fn name_below(folder: &Path, path: &Path) -> Result<String, String> {
    let real = |path: &Path| path.canonicalize().map_err(|error| format!("{}: {error}", path.display()));
    let below = real(folder_of(path))?.strip_prefix(real(folder)?).ok().map(|below| below.join(path.file_name().unwrap_or_default()));
    let name = below.and_then(|below| below.to_str().map(str::to_owned));
    name.ok_or_else(|| format!("{} lies elsewhere; a segment's place is in the set's folder or below it", path.display()))
}
