//! An index larger than memory: what guides searches is at hand, the rest is read as searches want it.
//!
//! What is at hand is the front of the file: of one built for a disk, codes and graph, so that a walk reads nothing and then, in one round,
//! the records of the best it found; of one in tiles, the centroids, so that a search has two rounds. Where memory is not enough for codes and
//! graph, it holds codes, and walks read edges, some nodes ahead; or neither, and they read both. Where it is not enough for that, the
//! front is mapped and comes as it is touched. Answers are those of every other door.

mod expect;
mod front;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use nearshore_core::filter::RowSet;
use nearshore_core::format::{Plan, Refine};
use nearshore_core::search::{Pending, SearchError, SearchParams};

pub use self::expect::Expected;
use self::front::{Front, Held};
use crate::error::Error;
use crate::index::{FileBytes, Index};
use crate::io::blocks::run::{RunError, Waits, Work, run};
use crate::io::blocks::{BlockCache, BlockError, BlockFile, BlockOptions, Blocks, CachedBlocks};
use crate::io::{LoadedFile, MappedFile, memory};
use crate::queries::Queries;
use crate::size::bytes;

/// How an index is opened whose blocks are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskOptions {
    /// How blocks are read.
    pub blocks: BlockOptions,
    /// Bytes that the index may hold: first as much of the front of the file as searches can go by and as fits, then blocks that came before.
    /// `None`: half of the memory that is to be had for the front, and no blocks. Beside that each search in flight holds what it reads
    /// until it ends, and a MiB of it after: a block of a page for each node that it expands where edges are read, for each that it sees
    /// where codes are.
    pub memory: Option<u64>,
    /// Nodes whose edges a walk asks for ahead of its need, where edges are read: more of them are fewer rounds and more reads. `None` or 0: four.
    pub read_ahead: Option<usize>,
}

/// How many searches run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flight {
    /// Threads that search.
    pub threads: usize,
    /// Searches in flight on each at most; one begins only when no other there can go on. [`DiskIndex::in_flight`] is a good number.
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
    front: Front,
    /// Whether that is in memory.
    resident: bool,
    /// Bytes of the smallest front that searches can go by.
    least: u64,
    read_ahead: usize,
    /// Reads that searches which are over gave to the system.
    reads: AtomicU64,
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
        // Once: whatever takes its name meanwhile is another file.
        let opened = File::open(path).map_err(io)?;
        let file = BlockFile::of(opened.try_clone().map_err(io)?, path, options.blocks).map_err(io)?;
        let mapped = MappedFile::map(&opened).map_err(io)?;
        let fronts = Front::all(mapped.as_ref());
        let most = options.memory.unwrap_or_else(|| memory::available().map_or(u64::MAX, |bytes| bytes / 2));
        let fitting = fronts.iter().find(|front| front.resident() <= most).copied();
        // What is mapped is a little of the file as well as all that a walk goes by.
        let front = fitting.unwrap_or(fronts[0]);
        let bytes = if fitting.is_some() {
            drop(mapped);
            FileBytes::Loaded(LoadedFile::read(&opened, &front.parts()).map_err(io)?)
        } else {
            mapped.expect_random();
            FileBytes::Mapped(mapped)
        };
        let mut index = Index::of(bytes, path)?;
        if fitting.is_none() {
            index = index.wanting_blocks();
        }
        if front.held != Held::All {
            index = index.with_at_hand(front.bytes);
        }
        let left = options.memory.map_or(0, |memory| memory.saturating_sub(fitting.map_or(0, |front| front.resident())));
        let cache = (left > 0).then(|| Arc::new(BlockCache::new(left)));
        let read_ahead = options.read_ahead.unwrap_or(0);
        let least = fronts.last().map_or(0, Front::resident);
        let reads = AtomicU64::new(0);
        Ok(Self { path: path.to_owned(), index, file, cache, front, resident: fitting.is_some(), least, read_ahead, reads })
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

    /// Reads that [`DiskIndex::search_all`] gave to the system so far: blocks that were wanted, less those that were kept or under way, those that touch
    /// taken together. None where the file is mapped.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads.load(Relaxed)
    }

    /// Bytes of the file that are held in memory for searches to go by.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        if self.resident { self.front.resident() } else { 0 }
    }

    /// Bytes of the file that have to be held at least for searches to go by; with fewer in [`DiskOptions::memory`] all that they go by is mapped.
    #[must_use]
    pub fn least_bytes(&self) -> u64 {
        self.least
    }

    /// How many searches a thread should have in flight at most, as it has where the disk is slow beside it: few where a search waits once, since a
    /// busy disk answers no more of a longer queue; many where it waits for the edges of a few nodes at a time. By measure,
    /// `docs/decisions/searches-begin-when-no-other-can.md`.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        match self.front.held {
            // The codes of all neighbours of a few nodes are a round of their own, and as many reads as a queue has room for.
            Held::Graph | Held::Upper => 8,
            Held::Centroids | Held::All => 16,
            Held::Codes => 32,
        }
    }

    /// Whether walks among some of the rows can be had: their codes and graph are at hand.
    #[must_use]
    pub fn walks_among(&self) -> bool {
        !matches!(self.front.held, Held::Codes | Held::Upper)
    }

    /// Searches for every query, as many at once as `flight` says, and hands over what each came to, in no order; among `only` some rows,
    /// where that is said: in tiles, by a scan, or where [`DiskIndex::walks_among`].
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
            pending.read_ahead(self.read_ahead);
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
        let ran = run(&mut *blocks, &mut slots, &mut all);
        self.reads.fetch_add(blocks.reads(), Relaxed);
        ran.map_err(|error| self.explain(RunError::Read(error)))
    }

    fn explain(&self, error: RunError<SearchError>) -> Error {
        match error {
            RunError::Search(error) => Error::Search(error),
            RunError::Read(BlockError::Io { error, .. } | BlockError::Stopped(error)) => Error::io(&self.path, error),
            RunError::Read(error) => Error::io(&self.path, std::io::Error::new(std::io::ErrorKind::UnexpectedEof, error.to_string())),
        }
    }
}

/// One line: what is at hand, what searches wait for and how much that is by the file's default effort, how blocks are read.
impl fmt::Display for DiskIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.line(&SearchParams::default(), false).fmt(f)
    }
}

impl DiskIndex {
    /// The same line for searches by `params`; what they read is left out where they are `filtered`, since the filter decides it.
    #[must_use]
    pub fn line(&self, params: &SearchParams, filtered: bool) -> impl fmt::Display + '_ {
        Line { index: self, params: *params, filtered }
    }

    fn write_line(&self, params: &SearchParams, filtered: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.front.held;
        let place = if self.resident { "in memory" } else { "mapped, for want of memory" };
        write!(f, "{held} ({}) {place}; ", bytes(self.front.resident()))?;
        if filtered {
            return write!(f, "what a search reads is up to its filter; {}", self.file);
        }
        f.write_str("a search has ")?;
        let plan = params.plan.unwrap_or(self.index.plan());
        let waits = self.waits(plan);
        match held {
            Held::All if waits => f.write_str(Held::Graph.rounds())?,
            _ if plan == Plan::Scan && waits => write!(f, "a round of records for every {} rows", Pending::SCAN_ROWS)?,
            held => f.write_str(held.rounds())?,
        }
        if waits && params.refine.unwrap_or(self.index.refine()) == Refine::Originals {
            f.write_str(if plan == Plan::Scan { ", and one of originals behind each" } else { ", and one of originals" })?;
        }
        if waits {
            write!(f, ": {}", self.expected(params))?;
        }
        write!(f, "; {}", self.file)
    }
}

struct Line<'a> {
    index: &'a DiskIndex,
    params: SearchParams,
    filtered: bool,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.index.write_line(&self.params, self.filtered, f)
    }
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
