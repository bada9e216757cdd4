//! The mutable index: insert, delete, update, and searches that wait for no lock.
//!
//! A [`Live`] is the one writer; any number of [`LiveReader`]s search beside it, each from its own
//! thread. A row is linked, then published; a delete is a tombstone at once: walked through, never
//! returned. [`Live::compact`] alone repairs: it drops the tombstones, prunes each of their
//! neighbours over what they led to (FreshDiskANN, arXiv 2105.09613), mends reachability, and
//! publishes a new state that readers move to at their next search. [`Live::save`] writes the same
//! `.shore` file that a build writes, tombstones included and every row reachable; [`Live::load`]
//! takes up any such file. Until then a search that a walk leaves short of hits scans for the rest.
//!
//! A file's quality table was measured on its rows. It is carried on, into searches and saved
//! files, until the rows that were added or deleted since are more than a tenth of all; then it
//! no longer counts, and efforts are those of an index without one.
//!
//! Exact duplicates are one node of the graph with a chain of twins behind it, so a thousand copies
//! of one vector cost a thousand records and one node. Records are all that is kept: about one
//! byte an element. The mean is zero unless the index was loaded from a file that has one. Codes that
//! guide walks over files, and those of neighbours, are made anew of the records at each save.

#[cfg(feature = "filter")]
mod columns;
#[cfg(all(feature = "filter", test, not(loom)))]
mod columns_tests;
mod compact;
mod current;
mod error;
mod graph;
mod insert;
mod load;
mod meta;
#[cfg(all(loom, test))]
mod model;
mod parts;
mod reader;
mod rows;
mod save;
mod search;
mod sync;

#[cfg(feature = "filter")]
pub use columns::{LiveColumn, LiveSelection, LiveSet};
pub use error::LiveError;
pub use reader::LiveReader;

#[cfg(feature = "codes")]
use crate::build::Codes;
use crate::build::plan_of;
use crate::distance::Kernels;
use crate::format::{Element, Metric, Plan};
use crate::graph::NONE;
use crate::graph::beam::Beam;
use crate::graph::select::Selector;
use crate::quant::{Encoding, Prepared, RecordLayout, Space};
#[cfg(feature = "codes")]
use crate::search::Layout;
use crate::search::{Hit, QualityRow, Scratch, SearchError, SearchParams, Stats};
use crate::slots::Slots;
use crate::vectors::Query;
use alloc::vec::Vec;
use core::fmt;
use current::Publisher;
use rows::Store;
use sync::{Arc, AtomicU32, Ordering};

/// What a live index is made with.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LiveParams {
    /// Elements of a vector.
    pub dimensions: usize,
    /// How far apart two vectors are.
    pub metric: Metric,
    /// Type of the elements; u8 and i8 are kept exactly.
    pub element: Element,
    /// Neighbours of a node above the base layer; twice as many in it.
    pub m: usize,
    /// Pool of an insertion's search.
    pub ef_construction: usize,
    /// Decides levels.
    pub seed: u64,
    /// What guides walks over the files that are saved; searches of the live index go by records.
    #[cfg(feature = "codes")]
    pub codes: Codes,
    /// Whether saved files hold codes of neighbours.
    #[cfg(feature = "codes")]
    pub layout: Layout,
}

impl LiveParams {
    /// Vectors of `dimensions` f32, with the defaults of a build.
    #[must_use]
    pub fn new(dimensions: usize, metric: Metric) -> Self {
        Self {
            dimensions,
            metric,
            element: Element::F32,
            m: 16,
            ef_construction: 200,
            seed: 0,
            #[cfg(feature = "codes")]
            codes: Codes::None,
            #[cfg(feature = "codes")]
            layout: Layout::Lean,
        }
    }

    /// Sets the neighbours of a node.
    #[must_use]
    pub fn m(self, m: usize) -> Self {
        Self { m, ..self }
    }

    /// Sets the pool of an insertion.
    #[must_use]
    pub fn ef_construction(self, ef_construction: usize) -> Self {
        Self { ef_construction, ..self }
    }

    /// Sets the seed.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Sets the type of the elements.
    #[must_use]
    pub fn element(self, element: Element) -> Self {
        Self { element, ..self }
    }

    /// Sets what guides walks over saved files.
    #[cfg(feature = "codes")]
    #[must_use]
    pub fn codes(self, codes: Codes) -> Self {
        Self { codes, ..self }
    }

    /// Sets what saved files hold for walks.
    #[cfg(feature = "codes")]
    #[must_use]
    pub fn layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }
}

/// A state of the index that readers share with the writer.
struct Shared {
    store: Store,
    space: Space,
    kernels: &'static Kernels,
    /// Where walks begin; [`NONE`] while there is no row.
    entry: AtomicU32,
    /// Living rows. A row is counted before it is published and taken off after its end, so this
    /// is never less than who looks at the store's length first can find.
    living: AtomicU32,
    quality: Vec<QualityRow>,
    /// Rows added or deleted since `quality` was measured.
    changed: AtomicU32,
    #[cfg(feature = "filter")]
    schema: columns::Schema,
}

/// A quality table counts while the changes are at most one row in so many.
const STALE_ONE_IN: u64 = 10;

impl Shared {
    fn new(params: &LiveParams, mean: Vec<f32>, quality: Vec<QualityRow>, kernels: &'static Kernels) -> Self {
        let layout = RecordLayout::new(params.dimensions);
        let encoding = Encoding::of(params.element);
        Self {
            store: Store::new(layout.stride, params.m),
            space: Space { metric: params.metric, encoding, layout, mean },
            kernels,
            entry: AtomicU32::new(NONE),
            living: AtomicU32::new(0),
            quality,
            changed: AtomicU32::new(0),
            #[cfg(feature = "filter")]
            schema: columns::Schema::default(),
        }
    }

    fn living(&self) -> usize {
        self.living.load(Ordering::Acquire) as usize
    }

    /// The quality table, unless the rows have changed too much since it was measured.
    fn quality(&self) -> &[QualityRow] {
        let changed = u64::from(self.changed.load(Ordering::Relaxed));
        if changed * STALE_ONE_IN > u64::from(self.store.len()) { &[] } else { &self.quality }
    }

    /// Leaves a tombstone.
    fn delete(&self, slot: u32) {
        if self.store.delete(slot) {
            self.living.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Rows added or deleted so far.
    #[cfg(feature = "filter")]
    fn changes(&self) -> u32 {
        self.changed.load(Ordering::Acquire)
    }

    /// Counts a row added or deleted. One thread writes, so nothing is lost.
    fn note_change(&self) {
        let changed = self.changed.load(Ordering::Relaxed);
        self.changed.store(changed.saturating_add(1), Ordering::Release);
    }

    /// The payload of a hit, where its row still has the hit's id.
    fn payload_of(&self, hit: &Hit) -> Option<&[u8]> {
        let same = self.store.record(hit.row).is_some_and(|record| self.space.layout.id(record) == hit.id);
        same.then(|| self.store.payload(hit.row))
    }

    fn id(&self, slot: u32) -> u64 {
        self.store.record(slot).map_or(0, |record| self.space.layout.id(record))
    }
}

/// A mutable index: the one writer.
/// ```
/// use nearshore_core::format::Metric;
/// use nearshore_core::live::{Live, LiveParams};
/// use nearshore_core::search::{Scratch, SearchParams};
/// use nearshore_core::vectors::Query;
///
/// let mut live = Live::new(LiveParams::new(2, Metric::L2))?;
/// live.insert(7, Query::F32(&[0.0, 1.0]), b"north")?;
/// live.insert(8, Query::F32(&[1.0, 0.0]), b"east")?;
/// live.delete(7)?;
/// let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
/// live.search(Query::F32(&[0.1, 0.9]), &SearchParams::default(), &mut scratch, &mut hits)?;
/// assert_eq!(hits.len(), 1);
/// assert_eq!(hits[0].id, 8);
/// # Ok::<(), nearshore_core::live::LiveError>(())
/// ```
pub struct Live {
    params: LiveParams,
    shared: Arc<Shared>,
    publisher: Publisher<Shared>,
    /// Living rows.
    slots: Slots,
    work: Work,
}

/// Scratch of the writer.
#[derive(Default)]
struct Work {
    beam: Beam,
    query: Prepared,
    selector: Selector,
    candidates: Vec<crate::graph::Neighbor>,
    chosen: Vec<crate::graph::Neighbor>,
    ids: Vec<u32>,
    distances: Vec<f32>,
    vector: Vec<f32>,
    record: Vec<u8>,
    /// Of the row that is being added.
    #[cfg(feature = "filter")]
    values: columns::RowValues,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("params", &self.params).field("rows", &self.len()).finish_non_exhaustive()
    }
}

impl Live {
    /// An empty index.
    ///
    /// # Errors
    /// A parameter out of its range.
    pub fn new(params: LiveParams) -> Result<Self, LiveError> {
        let bad = |parameter, must| Err(LiveError::Parameter { parameter, must });
        if params.dimensions == 0 || params.dimensions > crate::id::DIMENSIONS_MAX as usize {
            return bad("dimensions", "1 to 32768");
        }
        if !(2..=512).contains(&params.m) {
            return bad("m", "2 to 512");
        }
        if !(1..=100_000).contains(&params.ef_construction) {
            return bad("ef_construction", "1 to 100000");
        }
        let mean = alloc::vec![0.0; params.dimensions];
        let shared = Arc::new(Shared::new(&params, mean, Vec::new(), Kernels::best()));
        Ok(Self::of(params, shared))
    }

    fn of(params: LiveParams, shared: Arc<Shared>) -> Self {
        let publisher = Publisher::new(Arc::clone(&shared));
        Self { params, shared, publisher, slots: Slots::default(), work: Work::default() }
    }

    /// What the index was made with.
    pub fn params(&self) -> &LiveParams {
        &self.params
    }

    /// Living rows.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no row lives.
    pub fn is_empty(&self) -> bool {
        self.slots.len() == 0
    }

    /// How searches go that do not say: by a scan while there are few rows.
    pub fn plan(&self) -> Plan {
        plan_of(self.shared.store.len() as usize)
    }

    /// Whether any row came with a payload, one that is a tombstone included.
    pub fn has_payloads(&self) -> bool {
        self.shared.store.has_payloads()
    }

    /// Tombstones: what [`Live::compact`] would free.
    pub fn deleted(&self) -> usize {
        self.shared.store.len() as usize - self.slots.len()
    }

    /// Whether a living row has `id`. `O(log rows)`.
    pub fn contains(&self, id: u64) -> bool {
        self.slots.get(id).is_some()
    }

    /// The vector of `id` as near as its codes are (exact for integers, unit length under cosine).
    pub fn vector(&self, id: u64) -> Option<Vec<f32>> {
        let record = self.shared.store.record(self.slots.get(id)?)?;
        let mut vector = Vec::new();
        self.shared.space.decode(record, &mut vector);
        Some(vector)
    }

    /// The payload of `id`; empty where it has none.
    pub fn payload(&self, id: u64) -> Option<&[u8]> {
        self.slots.get(id).map(|slot| self.shared.store.payload(slot))
    }

    /// Living ids, ascending.
    pub fn ids(&self) -> impl Iterator<Item = u64> + '_ {
        self.slots.ids()
    }

    /// Leaves a tombstone. `O(log rows)`.
    ///
    /// # Errors
    /// [`LiveError::UnknownId`] when no living row has the id.
    pub fn delete(&mut self, id: u64) -> Result<(), LiveError> {
        let slot = self.slots.remove(id).ok_or(LiveError::UnknownId { id })?;
        self.shared.delete(slot);
        self.shared.note_change();
        Ok(())
    }

    /// As [`LiveReader::search`].
    ///
    /// # Errors
    /// As [`LiveReader::search`].
    pub fn search(
        &self,
        query: Query<'_>,
        params: &SearchParams,
        scratch: &mut Scratch,
        hits: &mut Vec<Hit>,
    ) -> Result<Stats, SearchError> {
        self.shared.search(query, params, scratch, hits)
    }

    /// The payload of a hit's row, of the row that has its id where that one moved; empty where
    /// there is none.
    pub fn payload_of(&self, hit: &Hit) -> &[u8] {
        self.shared.payload_of(hit).or_else(|| self.payload(hit.id)).unwrap_or(&[])
    }

    /// A handle that searches beside this writer, from any thread.
    pub fn reader(&self) -> LiveReader {
        LiveReader { current: self.publisher.current(), shared: Arc::clone(&self.shared) }
    }

    /// Makes `shared` the state of the index; readers move over at their next search.
    fn replace(&mut self, shared: Shared) {
        let shared = Arc::new(shared);
        self.shared = Arc::clone(&shared);
        self.publisher.replace(shared);
        self.slots.clear();
        for slot in 0..self.shared.store.len() {
            if !self.shared.store.is_deleted(slot) {
                self.slots.insert(self.shared.id(slot), slot);
            }
        }
    }
}
