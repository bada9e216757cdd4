//! An index larger than memory: what guides searches is at hand, the rest is read as searches want it.
//!
//! What is at hand is the front of the file: of one built for a disk, codes and graph, so that a walk reads nothing and then, in one round,
//! the records of the best it found; of one in tiles, the centroids, so that a search has two rounds. Where memory is not enough for
//! that, the front is mapped and comes as it is touched. Answers are those of every other door.

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use nearshore_core::filter::RowSet;
use nearshore_core::format::{HEADER_BYTES, Header, Kind, Plan};
use nearshore_core::search::{Pending, SearchError, SearchParams};

use crate::error::Error;
use crate::index::{FileBytes, Index};
use crate::io::blocks::run::{RunError, Waits, Work, run};
use crate::io::blocks::{BlockCache, BlockError, BlockFile, BlockOptions, Blocks, CachedBlocks};
use crate::io::{LoadedFile, MappedFile, memory};
use crate::queries::Queries;

/// How an index is opened whose blocks are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskOptions {
    /// How blocks are read.
    pub blocks: BlockOptions,
    /// Bytes that the index may hold: first the front of the file, then blocks that came before. `None`: the front, where half of the
    /// memory that is to be had holds it, and no blocks.
    pub memory: Option<u64>,
}

/// How many searches run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flight {
    /// Threads that search.
    pub threads: usize,
    /// Searches in flight on each.
    pub in_flight: usize,
    /// Whether hits bring their payloads, which is one round more where there are any.
    pub payloads: bool,
}

/// An open index whose blocks are read as searches want them. Shared by threads.
#[derive(Debug)]
pub struct DiskIndex {
    path: PathBuf,
    index: Index,
    file: BlockFile,
    cache: Option<Arc<BlockCache>>,
    /// Bytes of the front, and whether they are in memory.
    front: (u64, bool),
}

/// What a search came to.
#[derive(Debug)]
pub struct Found<'a> {
    /// Hits and counters; of a search that failed they mean nothing.
    pub pending: &'a Pending,
    /// Why it failed.
    pub error: Option<Error>,
    /// From its beginning to its end, while others were in flight.
    pub took: Duration,
}

impl DiskIndex {
    /// Opens the file at `path` and finds out how its blocks can be read.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Open`].
    pub fn open(path: impl AsRef<Path>, options: DiskOptions) -> Result<Self, Error> {
        let path = path.as_ref();
        let io = |error| Error::io(path, error);
        let file = BlockFile::open(path, options.blocks).map_err(io)?;
        let mapped = MappedFile::open(path).map_err(io)?;
        let front = front(mapped.as_ref());
        let most = options.memory.unwrap_or_else(|| memory::available().map_or(u64::MAX, |bytes| bytes / 2));
        let fits = front <= most;
        let bytes = if fits {
            drop(mapped);
            FileBytes::Loaded(LoadedFile::open(path, front).map_err(io)?)
        } else {
            mapped.expect_random();
            FileBytes::Mapped(mapped)
        };
        let left = options.memory.map_or(0, |memory| if fits { memory - front } else { memory });
        let cache = (left > 0).then(|| Arc::new(BlockCache::new(left)));
        Ok(Self { path: path.to_owned(), index: Index::of(bytes, path)?, file, cache, front: (front, fits) })
    }

    /// The index, for everything that is no search.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// How blocks are read.
    #[must_use]
    pub fn file(&self) -> &BlockFile {
        &self.file
    }

    /// Blocks that were kept from earlier searches.
    #[must_use]
    pub fn cache(&self) -> Option<&BlockCache> {
        self.cache.as_deref()
    }

    /// Bytes of the file that are held in memory for searches to go by.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        if self.front.1 { self.front.0 } else { 0 }
    }

    /// Searches for every query, as many at once as `flight` says, and hands over what each came to, in no order; among `only` some rows
    /// of a file in tiles, where that is said.
    ///
    /// # Errors
    /// [`Error::Io`] when blocks can be read no more. What befalls a single search goes to `found`.
    pub fn search_all(
        &self,
        queries: &Queries,
        params: &SearchParams,
        only: Option<&RowSet>,
        flight: Flight,
        found: &(impl Fn(usize, Found<'_>) + Sync),
    ) -> Result<(), Error> {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let serve = || self.serve((queries, params, only), flight, &next, found);
            let workers: Vec<_> = (0..flight.threads.max(1)).map(|_| scope.spawn(serve)).collect();
            workers.into_iter().try_for_each(|worker| match worker.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })
    }

    /// One thread's part.
    fn serve(
        &self,
        (queries, params, only): (&Queries, &SearchParams, Option<&RowSet>),
        flight: Flight,
        next: &AtomicUsize,
        found: &(impl Fn(usize, Found<'_>) + Sync),
    ) -> Result<(), Error> {
        let blocks = self.file.blocks().map_err(|error| Error::io(&self.path, error))?;
        let mut blocks: Box<dyn Blocks> = match &self.cache {
            Some(cache) => Box::new(CachedBlocks::new(blocks, cache.clone())),
            None => blocks,
        };
        let slot = || {
            let mut pending = Pending::new();
            pending.ask_payloads(flight.payloads);
            Slot { index: &self.index, pending, query: 0, began: Instant::now() }
        };
        let mut slots: Vec<Slot<'_>> = (0..flight.in_flight.max(1)).map(|_| slot()).collect();
        let mut all = All {
            queries,
            params,
            only,
            next,
            found: &|query, slot: &Slot<'_>, error: Option<RunError<SearchError>>| {
                let error = error.map(|error| self.explain(error));
                found(query, Found { pending: &slot.pending, error, took: slot.began.elapsed() });
            },
        };
        run(&mut *blocks, &mut slots, &mut all).map_err(|error| self.explain(RunError::Read(error)))
    }

    fn explain(&self, error: RunError<SearchError>) -> Error {
        match error {
            RunError::Search(error) => Error::Search(error),
            RunError::Read(BlockError::Io { error, .. } | BlockError::Stopped(error)) => Error::io(&self.path, error),
            RunError::Read(error) => Error::io(&self.path, std::io::Error::new(std::io::ErrorKind::UnexpectedEof, error.to_string())),
        }
    }
}

/// One line: what is at hand, what searches wait for, how blocks are read.
impl fmt::Display for DiskIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (front, fits) = self.front;
        let what = match (self.index.plan(), self.index.reader().section(Kind::CodesRows, 0).is_some()) {
            (Plan::Tiles, _) => ("centroids", "two rounds: codes of tiles, then records"),
            (_, true) if front < self.index.reader().bytes().len() as u64 => ("codes and graph", "one round of records"),
            (_, true) => ("all", "one round of records, of large blocks: --tier disk of build makes pages of them"),
            _ => ("all", "no rounds: it was not built with --tier disk"),
        };
        let mib = front as f64 / f64::from(1 << 20);
        write!(f, "{} ({mib:.1} MiB) {}; a search has {}", what.0, if fits { "in memory" } else { "mapped, for want of memory" }, what.1)?;
        write!(f, "; {}", self.file)
    }
}

/// Bytes before the first table that searches wait for. A header that says nothing is for the opening to judge.
fn front(file: &[u8]) -> u64 {
    let Some(header) = Header::parse(file, file.len() as u64).ok() else { return HEADER_BYTES as u64 };
    let table = |kind| header.table(kind, 0).map(|table| table.offset);
    let waited = match header.superblock.plan {
        Plan::Tiles => table(Kind::CodesTiles),
        _ if table(Kind::CodesRows).is_some() && table(Kind::Edges) < table(Kind::Records) => table(Kind::Records),
        // Written for memory: walks read all of it.
        _ => table(Kind::Originals).or(Some(file.len() as u64)),
    };
    waited.unwrap_or(HEADER_BYTES as u64)
}

/// A search in flight.
struct Slot<'a> {
    index: &'a Index,
    pending: Pending,
    query: usize,
    began: Instant,
}

impl Waits for Slot<'_> {
    type Error = SearchError;

    fn wanted(&self) -> usize {
        self.pending.wanted().len()
    }

    fn block(&self, at: usize) -> (u64, u32) {
        let block = self.pending.wanted()[at];
        (block.offset, block.bytes)
    }

    fn feed(&mut self, at: usize, bytes: &[u8]) -> Result<(), SearchError> {
        self.index.feed(&mut self.pending, at, bytes)
    }

    fn advance(&mut self) -> Result<bool, SearchError> {
        self.index.advance(&mut self.pending)
    }
}

/// All queries, shared by threads.
struct All<'a, F> {
    queries: &'a Queries,
    params: &'a SearchParams,
    only: Option<&'a RowSet>,
    next: &'a AtomicUsize,
    found: &'a F,
}

impl<'a, F: Fn(usize, &Slot<'a>, Option<RunError<SearchError>>)> Work<Slot<'a>> for All<'_, F> {
    fn next(&mut self, slot: &mut Slot<'a>) -> Option<Result<(), SearchError>> {
        slot.query = self.next.fetch_add(1, Relaxed);
        if slot.query >= self.queries.len() {
            return None;
        }
        slot.began = Instant::now();
        let (query, pending) = (self.queries.get(slot.query), &mut slot.pending);
        Some(match self.only {
            Some(rows) => slot.index.start_where(query, self.params, rows, pending),
            None => slot.index.start(query, self.params, pending),
        })
    }

    fn done(&mut self, slot: &mut Slot<'a>, result: Result<(), RunError<SearchError>>) {
        (self.found)(slot.query, slot, result.err());
    }
}
