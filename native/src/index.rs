//! An index in a file: the core's [`Index`](nearshore_core::index::Index) over bytes that a driver brings.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::ops::Deref;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use nearshore_core::error::OpenError;
use nearshore_core::filter::RowSet;
use nearshore_core::format::{HEADER_BYTES, Header, Kind};
use nearshore_core::index;
use nearshore_core::par::Par;
use nearshore_core::search::{Hit, Scratch, SearchError, SearchParams, Stats};
use nearshore_core::vectors::Query;

use crate::batch::{First, in_groups};
use crate::error::Error;
use crate::io::blocks::Method;
use crate::io::{LoadedFile, MappedFile, huge, memory, want};
use crate::segments::{self, Stand};

/// How the bytes of an index come into memory. It changes what a search costs, never what it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// The best for most: [`Driver::Mmap`]; where many searches are to come and the file is small beside the free
    /// memory, [`Driver::Slice`].
    #[default]
    Auto,
    /// All but the originals is read when the file is opened, onto huge pages where there are any: the fastest to search.
    Slice,
    /// The file is mapped: opening is instant, and only what searches touch is brought in.
    Mmap,
    /// What guides searches is in memory, the rest is read as it is wanted, by positioned reads: see [`DiskIndex`](crate::DiskIndex).
    Pread,
    /// The same by `io_uring`, where the system has it.
    Uring,
}

impl Driver {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Slice => "slice",
            Self::Mmap => "mmap",
            Self::Pread => "pread",
            Self::Uring => "uring",
        }
    }

    /// How blocks are read, of a driver that reads them as they are wanted.
    #[must_use]
    pub fn method(self) -> Option<Method> {
        match self {
            Self::Auto | Self::Slice | Self::Mmap => None,
            Self::Pread => Some(Method::Pread),
            Self::Uring => Some(Method::Uring),
        }
    }

    /// What `Auto` stands for where many searches of the file at `path` are to come.
    #[must_use]
    pub fn for_many_searches(self, path: &Path) -> Self {
        match self {
            Self::Auto if segments::bytes_at(path).is_some_and(fits_twice) => Self::Slice,
            Self::Auto => Self::Mmap,
            chosen => chosen,
        }
    }
}

/// Whether there is memory for twice as many bytes.
fn fits_twice(bytes: u64) -> bool {
    memory::available().is_some_and(|available| bytes <= available / 2)
}

/// Bytes at the front of a file that walks and scans read: everything before the originals.
fn searched_bytes(path: &Path) -> std::io::Result<u64> {
    let mut start = Vec::new();
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut start)?;
    // A header that says nothing leaves all to be loaded; what is wrong with it is for `open` to say.
    let originals = Header::parse(&start, length).ok().and_then(|header| Some(header.table(Kind::Originals, 0)?.offset));
    Ok(originals.unwrap_or(length))
}

/// Why the file at `path` is no index: one that stands for an index in others says so.
fn refused(path: &Path, source: OpenError) -> Error {
    let stand = if source == OpenError::NotShore { segments::read_stand(path).ok().flatten() } else { None };
    let what = match stand {
        Some(Stand::Parts) => {
            "the list of a file in parts, for the npm package; the file that `nearshore export` writes without --split would be right"
        }
        Some(Stand::Segments(_)) => "a set of segments, where a single index is needed; one of its files would be right",
        Some(Stand::Unknown) | None => return Error::Open { path: path.to_owned(), source },
    };
    Error::Stand { path: path.to_owned(), what }
}

impl FromStr for Driver {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let all = [Self::Auto, Self::Slice, Self::Mmap, Self::Pread, Self::Uring];
        all.into_iter().find(|driver| driver.as_str() == word).ok_or("must be auto, slice, mmap, pread or uring")
    }
}

/// The bytes of a file, by either driver.
#[derive(Debug)]
pub enum FileBytes {
    /// In memory.
    Loaded(LoadedFile),
    /// Mapped.
    Mapped(MappedFile),
}

impl AsRef<[u8]> for FileBytes {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Loaded(file) => file.as_ref(),
            Self::Mapped(file) => file.as_ref(),
        }
    }
}

/// A `.shore` file ready to be searched, from any number of threads at once.
///
/// ```
/// # use nearshore::{Pool, dataset::Vectors, build::{BuildParams, Input, build}, format::Element, io::FileSink};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("example.shore");
/// # let rows: [f32; 6] = [0.0, 0.0, 1.0, 0.0, 0.0, 2.0];
/// # let vectors = Vectors::packed(Element::F32, 2, bytemuck::cast_slice(&rows)).ok_or("rows")?;
/// # let input = Input { vectors, ids: None, payloads: None };
/// # let mut go_on = |_, _, _| std::ops::ControlFlow::Continue(());
/// # let (sink, _) = build(&input, &BuildParams::default(), &Pool::new(1)?, nearshore::Kernels::best(), &mut go_on, FileSink::create(&path, false)?)?;
/// # sink.finish()?;
/// use nearshore::{Index, search::SearchParams};
///
/// let query = [0.0f32, 1.5];
/// let hits = Index::open(path)?.search(&query, &SearchParams::recall(0.95).k(2))?;
/// assert_eq!(hits[0].id, 2);
/// assert_eq!(hits[0].distance, 0.25);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Everything else that an open index can say is on the core's [`Index`](nearshore_core::index::Index), to which this
/// one derefs; [`index::Index::search`] there takes buffers of the caller and allocates nothing.
#[derive(Debug)]
pub struct Index {
    index: index::Index<FileBytes>,
    /// Buffers of searches that are over, for those to come.
    scratch: Mutex<Vec<Scratch>>,
}

impl Index {
    /// Opens the file at `path`, mapped. Reads its 16 KiB header, whatever its size.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(path, Driver::Auto)
    }

    /// The same by another driver.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Open`].
    pub fn open_with(path: impl AsRef<Path>, driver: Driver) -> Result<Self, Error> {
        let path = path.as_ref();
        let mut short = false;
        let bytes = match driver {
            Driver::Slice => searched_bytes(path).and_then(|bytes| LoadedFile::open(path, bytes)).map(FileBytes::Loaded),
            Driver::Auto | Driver::Mmap | Driver::Pread | Driver::Uring => MappedFile::open(path).map(|file| {
                // What is read ahead drives out what walks need where memory is short.
                short = memory::available().is_some_and(|available| file.as_ref().len() as u64 > available / 2);
                if short {
                    file.expect_random();
                }
                FileBytes::Mapped(file)
            }),
        };
        let index = Self::of(bytes.map_err(|error| Error::io(path, error))?, path)?;
        Ok(if short { index.wanting_blocks() } else { index })
    }

    /// Opens bytes of the file at `path`.
    pub(crate) fn of(bytes: FileBytes, path: &Path) -> Result<Self, Error> {
        let index = index::Index::open(bytes).map_err(|source| refused(path, source))?;
        Ok(Self { index, scratch: Mutex::new(Vec::new()) })
    }

    /// Asks a map from which nothing is read ahead for each block that is touched first: its check reads all of it.
    pub(crate) fn wanting_blocks(self) -> Self {
        Self { index: self.index.announcing(want), ..self }
    }

    /// [`index::Index::with_at_hand`].
    pub(crate) fn with_at_hand(self, bytes: u64) -> Self {
        Self { index: self.index.with_at_hand(bytes), ..self }
    }

    /// Makes the codes that walks by [`Layout::Fast`](nearshore_core::search::Layout) read, where the file does not have them:
    /// [`index::Index::derive_neighbor_codes`], on huge pages where the system has them.
    ///
    /// # Errors
    /// [`Error::Search`]: a damaged block, or a file without a graph.
    pub fn derive_neighbor_codes(&mut self, par: &impl Par) -> Result<(), Error> {
        Ok(self.index.derive_neighbor_codes_in(par, huge::ask)?)
    }

    /// Finds the nearest rows, nearest first, ties by the smaller id.
    ///
    /// # Errors
    /// [`Error::Search`]: a query of the wrong length or with a value that is not finite, a parameter out of range, or
    /// a damaged block, which never leads to a wrong answer.
    pub fn search(&self, query: &(impl AsQuery + ?Sized), params: &SearchParams) -> Result<Vec<Hit>, Error> {
        self.with_scratch(|scratch, hits| self.index.search(query.as_query(), params, scratch, hits))
    }

    /// As [`Index::search`], among rows that [`index::Index::select`] selected by a condition.
    ///
    /// # Errors
    /// As [`Index::search`], and a set that was made for another file.
    pub fn search_where(&self, query: &(impl AsQuery + ?Sized), params: &SearchParams, rows: &RowSet) -> Result<Vec<Hit>, Error> {
        self.with_scratch(|scratch, hits| self.index.search_where(query.as_query(), params, rows, scratch, hits))
    }

    /// The hits of every query, in their order, by the threads of `par`: those of [`Index::search`], whatever the number of threads.
    ///
    /// ```
    /// # use nearshore::{dataset::Vectors, build::{BuildParams, Input, build}, format::Element, io::FileSink};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("example.shore");
    /// # let rows: [f32; 6] = [0.0, 0.0, 1.0, 0.0, 0.0, 2.0];
    /// # let vectors = Vectors::packed(Element::F32, 2, bytemuck::cast_slice(&rows)).ok_or("rows")?;
    /// # let input = Input { vectors, ids: None, payloads: None };
    /// # let mut go_on = |_, _, _| std::ops::ControlFlow::Continue(());
    /// # let (sink, _) = build(&input, &BuildParams::default(), &nearshore::Pool::new(1)?, nearshore::Kernels::best(), &mut go_on, FileSink::create(&path, false)?)?;
    /// # sink.finish()?;
    /// use nearshore::{Index, Pool, search::SearchParams};
    ///
    /// let cores = Pool::new(0)?; // a thread for each; to be kept for batches to come
    /// let queries = [[0.0f32, 1.5], [0.9, 0.0]];
    /// let hits = Index::open(path)?.search_batch(&queries, &SearchParams::recall(0.95).k(2), &cores)?;
    /// assert_eq!((hits[0][0].id, hits[1][0].id), (2, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Memory: `k` hits of each query, and buffers of a search for each thread.
    ///
    /// # Errors
    /// [`Error::Query`]: the first query, by number, that [`Index::search`] would refuse, and why; [`Error::Search`] for a parameter out of
    /// range.
    pub fn search_batch(&self, queries: &[impl AsQuery + Sync], params: &SearchParams, par: &impl Par) -> Result<Vec<Vec<Hit>>, Error> {
        self.batch(queries, params, None, par)
    }

    /// As [`Index::search_batch`], among rows that [`index::Index::select`] selected by a condition.
    ///
    /// # Errors
    /// As [`Index::search_batch`], and a set that was made for another file.
    pub fn search_batch_where(
        &self,
        queries: &[impl AsQuery + Sync],
        params: &SearchParams,
        rows: &RowSet,
        par: &impl Par,
    ) -> Result<Vec<Vec<Hit>>, Error> {
        self.batch(queries, params, Some(rows), par)
    }

    fn batch(
        &self,
        queries: &[impl AsQuery + Sync],
        params: &SearchParams,
        only: Option<&RowSet>,
        par: &impl Par,
    ) -> Result<Vec<Vec<Hit>>, Error> {
        let mut answers = vec![Vec::new(); queries.len()];
        self.search_each(&mut answers, |query| queries[query].as_query(), params, only, par, |answer, hits, _| *answer = hits.to_vec())?;
        Ok(answers)
    }

    /// Has every place of `answers` take what the search for the query of its number finds, by the threads of `par`, among the rows of `only`
    /// where that is given: what [`Index::search_batch`] does, for those who have queries and answers in a form of their own.
    ///
    /// # Errors
    /// As [`Index::search_batch`]; which answers were taken then is open.
    pub fn search_each<'q, A: Send>(
        &self,
        answers: &mut [A],
        query: impl Fn(usize) -> Query<'q> + Sync,
        params: &SearchParams,
        only: Option<&RowSet>,
        par: &impl Par,
        take: impl Fn(&mut A, &[Hit], &Stats) + Sync,
    ) -> Result<(), Error> {
        params.validate()?;
        let mut workers = self.workers(par.threads());
        let first = First::none();
        in_groups(answers, &mut workers, par, |start, answers, (scratch, hits)| {
            for (number, answer) in (start..).zip(answers).take_while(|(number, _)| first.wants(*number)) {
                let found = match only {
                    Some(rows) => self.index.search_where(query(number), params, rows, scratch, hits),
                    None => self.index.search(query(number), params, scratch, hits),
                };
                match found {
                    Ok(stats) => take(answer, hits, &stats),
                    Err(error) => first.fail(number, error),
                }
            }
        });
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner).extend(workers.into_iter().map(|(scratch, _)| scratch));
        first.into_error().map_or(Ok(()), |(query, source)| Err(Error::Query { query, source }))
    }

    /// Buffers for so many threads: idle ones, then new ones.
    fn workers(&self, threads: usize) -> Vec<(Scratch, Vec<Hit>)> {
        let mut idle = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.len().saturating_sub(threads);
        let mut scratches = idle.split_off(kept);
        drop(idle);
        scratches.resize_with(threads, Scratch::default);
        scratches.into_iter().map(|scratch| (scratch, Vec::new())).collect()
    }

    fn with_scratch(&self, search: impl FnOnce(&mut Scratch, &mut Vec<Hit>) -> Result<Stats, SearchError>) -> Result<Vec<Hit>, Error> {
        let free = self.scratch.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut scratch = free.unwrap_or_default();
        let mut hits = Vec::new();
        let found = search(&mut scratch, &mut hits);
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
        found?;
        Ok(hits)
    }
}

impl Deref for Index {
    type Target = index::Index<FileBytes>;

    fn deref(&self) -> &Self::Target {
        &self.index
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What can be searched for: numbers in any of the forms that an index takes.
pub trait AsQuery {
    /// The numbers as the core wants them.
    fn as_query(&self) -> Query<'_>;
}

macro_rules! queries {
    ($($number:ty => $form:ident),*) => { $(
        impl AsQuery for [$number] {
            fn as_query(&self) -> Query<'_> {
                Query::$form(self)
            }
        }

        impl<const N: usize> AsQuery for [$number; N] {
            fn as_query(&self) -> Query<'_> {
                Query::$form(self)
            }
        }

        impl AsQuery for Vec<$number> {
            fn as_query(&self) -> Query<'_> {
                Query::$form(self)
            }
        }
    )* };
}

queries!(f32 => F32, u8 => U8, i8 => I8);

impl AsQuery for Query<'_> {
    fn as_query(&self) -> Query<'_> {
        *self
    }
}
