//! Rows in memory: any number of searches beside one writer.
//!
//! Two locks keep waits short. Writers wait for each other at `writer`, for a whole request; the rows themselves are locked for
//! one change at a time, so that a `get` waits for one insertion at most, and a save, which only reads them, stops no `get`.
//! Searches go through readers of their own and wait for none of this.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use nearshore_core::filter::Value;
use nearshore_core::format::{Element, Metric};
use nearshore_core::live::{Live, LiveColumn, LiveError, LiveParams};
use nearshore_core::vectors::Query;

use super::error::{CollectionError, Fault};
use super::lock::Lock;
use super::point::{Point, Search, Stored, check_vector, values};
use super::searchers::{Searcher, Searchers};
use super::selections::Selections;
use super::{CollectionOptions, Info, Saved};
use crate::error::Error;
use crate::io::FileSink;
use crate::par::Pool;

/// A change of one row.
enum Change<'a> {
    Insert { id: u64, vector: &'a [f32], payload: &'a [u8], values: &'a [Option<Value>] },
    Delete { id: u64 },
}

/// What the one writer knows.
#[derive(Debug)]
struct Writer {
    /// The next id to assign; `None` when the largest of all is taken.
    next_id: Option<u64>,
}

/// The rows of a collection that can be written to.
#[derive(Debug)]
pub(super) struct LiveRows {
    /// What rows will be like, as far as it was said before there were any.
    options: CollectionOptions,
    /// What rows are like; set once, by the first insert or the file.
    params: OnceLock<LiveParams>,
    writer: Mutex<Writer>,
    /// `None` before the first insert.
    live: RwLock<Option<Live>>,
    searchers: Searchers,
    selections: Selections,
    rows: AtomicU64,
    tombstones: AtomicU64,
    unsaved: AtomicU64,
    _lock: Lock,
}

impl LiveRows {
    /// No rows yet.
    pub(super) fn new(options: &CollectionOptions, lock: Lock) -> Result<Self, CollectionError> {
        // Refused now what no insert could be right for.
        empty(options, 1).map_err(|error| CollectionError::of_row(error, "dimensions"))?;
        Ok(Self {
            options: options.clone(),
            params: OnceLock::new(),
            writer: Mutex::new(Writer { next_id: Some(0) }),
            live: RwLock::new(None),
            searchers: Searchers::default(),
            selections: Selections::default(),
            rows: AtomicU64::new(0),
            tombstones: AtomicU64::new(0),
            unsaved: AtomicU64::new(0),
            _lock: lock,
        })
    }

    /// The rows of a file.
    pub(super) fn loaded(live: Live, lock: Lock) -> Result<Self, CollectionError> {
        let rows = Self::new(&CollectionOptions { columns: live.columns().to_vec(), ..CollectionOptions::default() }, lock)?;
        rows.writer().next_id = live.ids().max().map_or(Some(0), |largest| largest.checked_add(1));
        rows.begin(live, 0);
        Ok(rows)
    }

    /// The one place where rows change. A log of changes would be written here, before the change is made.
    fn apply(live: &mut Live, change: &Change<'_>) -> Result<(), LiveError> {
        match *change {
            Change::Insert { id, vector, payload, values } => live.insert_with(id, Query::F32(vector), payload, values),
            Change::Delete { id } => live.delete(id),
        }
    }

    pub(super) fn insert(&self, points: &[Point]) -> Result<Vec<u64>, CollectionError> {
        let Some(first) = points.first() else { return Ok(Vec::new()) };
        let mut writer = self.writer();
        let mut next_id = writer.next_id;
        let columns = &self.options.columns;
        let of_point = |(place, point)| values(point, columns).map_err(|error| error.within(&format!("points[{place}]")));
        let values: Vec<Vec<Option<Value>>> = points.iter().enumerate().map(of_point).collect::<Result<_, _>>()?;
        let refused = |error, place| refused(error, place, columns);
        let known = self.read().as_ref().map(|live| check(live, points, &mut next_id));
        let ids = match known {
            Some(ids) => {
                let ids = ids?;
                self.extend(&ids, points, &values)?;
                ids
            }
            None => {
                // Nobody sees the rows of a first insert before they are all there.
                let length = |_| Fault::Range { must: "1 to 32768 elements long" }.at("points[0].vector");
                let mut live = empty(&self.options, first.vector.len()).map_err(length)?;
                let ids = check(&live, points, &mut next_id)?;
                for (place, change) in insertions(&ids, points, &values) {
                    Self::apply(&mut live, &change).map_err(|error| refused(error, place))?;
                }
                self.begin(live, ids.len() as u64);
                ids
            }
        };
        writer.next_id = next_id;
        Ok(ids)
    }

    /// All or none, among rows that are there.
    fn extend(&self, ids: &[u64], points: &[Point], values: &[Vec<Option<Value>>]) -> Result<(), CollectionError> {
        for (place, change) in insertions(ids, points, values) {
            if let Err(error) = self.change(&change) {
                // Those before it are there, so that to delete them cannot fail.
                ids[..place].iter().for_each(|&id| self.change(&Change::Delete { id }).unwrap_or_default());
                return Err(refused(error, place, &self.options.columns));
            }
        }
        Ok(())
    }

    pub(super) fn delete(&self, ids: &[u64]) -> Result<u64, CollectionError> {
        let _writer = self.writer();
        // An id that is not there is no mistake: to delete twice is to delete.
        let deleted = ids.iter().filter(|&&id| self.change(&Change::Delete { id }).is_ok()).count();
        if let Some(live) = self.write().as_mut().filter(|live| live.wants_compaction()) {
            live.compact();
            self.searchers.renew(live.reader());
            self.count(live);
        }
        Ok(deleted as u64)
    }

    pub(super) fn search<E: From<CollectionError>>(
        &self,
        search: &Search,
        mut each: impl FnMut(u64, f32, Option<&[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        if search.filter.is_some() && self.options.columns.is_empty() {
            return Err(Fault::NoColumns.at("filter").into());
        }
        if let (None, Some(dimensions)) = (self.params.get(), self.options.dimensions) {
            // No rows yet, but what a query must be is known.
            let cosine = self.options.metric == Some(Metric::Cosine);
            check_vector(&search.vector, dimensions, cosine).map_err(|fault| fault.at("vector"))?;
        }
        let found = self.searchers.with(|searcher| {
            let Searcher { reader, scratch, hits, .. } = searcher;
            let query = Query::F32(&search.vector);
            let searched = match &search.filter {
                Some(filter) => {
                    let rows = self.selections.select(reader, filter)?;
                    reader.search_where(query, &search.params(), &rows, scratch, hits)
                }
                None => reader.search(query, &search.params(), scratch, hits),
            };
            searched.map_err(|error| CollectionError::of_vector(error, "vector"))?;
            hits.iter().try_for_each(|hit| each(hit.id, hit.distance, search.with_payload.then(|| reader.payload_of(hit))))
        });
        match (found, &search.filter) {
            (Some(found), _) => found,
            (None, None) => Ok(()),
            (None, Some(filter)) => {
                // No rows yet, but what a condition may ask about is known.
                let nothing = empty(&self.options, 1).map_err(|error| CollectionError::of_row(error, "columns"))?;
                self.selections.select(&mut nothing.reader(), filter)?;
                Ok(())
            }
        }
    }

    pub(super) fn get<E>(&self, ids: &[u64], each: impl FnMut(Stored) -> Result<(), E>) -> Result<(), E> {
        let mut stored = ids.iter().filter_map(|&id| {
            // Locked for each, so that a writer waits for one row only.
            let live = self.read();
            let live = live.as_ref()?;
            let (names, values) = (live.columns().iter(), live.values(id));
            let columns = names.enumerate().map(|(at, column)| (column.name.clone(), values.get(at).cloned().flatten()));
            Some(Stored { id, vector: live.vector(id)?, payload: live.payload(id)?.to_vec(), columns: columns.collect() })
        });
        stored.try_for_each(each)
    }

    pub(super) fn info(&self, path: &Path) -> Info {
        let params = self.params.get();
        Info {
            file: path.to_owned(),
            rows: self.rows.load(Ordering::Relaxed),
            tombstones: self.tombstones.load(Ordering::Relaxed),
            dimensions: params.map(|params| params.dimensions).or(self.options.dimensions),
            metric: params.map_or(self.options.metric.unwrap_or(Metric::L2), |params| params.metric),
            element: params.map_or(Element::F32, |params| params.element),
            columns: self.options.columns.clone(),
            read_only: None,
            unsaved: self.unsaved.load(Ordering::Relaxed),
        }
    }

    pub(super) fn save(&self, path: &Path) -> Result<Saved, CollectionError> {
        let io = |error| CollectionError::File(Error::io(path, error));
        let _writer = self.writer();
        if let Some(live) = self.read().as_ref().filter(|_| self.unsaved.load(Ordering::Relaxed) > 0) {
            let sink = FileSink::create(path, true).map_err(io)?;
            // Codes are made by all cores; without threads by this one.
            let saved = match Pool::new(0) {
                Ok(pool) => live.save_by(sink, &pool),
                Err(_) => live.save(sink),
            };
            let sink = saved.map_err(|error| CollectionError::of_save(error, path))?;
            sink.finish().map_err(io)?;
            self.unsaved.store(0, Ordering::Relaxed);
        }
        let bytes = path.metadata().map_or(0, |metadata| metadata.len());
        Ok(Saved { file: path.to_owned(), rows: self.rows.load(Ordering::Relaxed), bytes })
    }

    /// Makes `live` the rows of the collection, which had none.
    fn begin(&self, live: Live, unsaved: u64) {
        self.params.get_or_init(|| *live.params());
        self.searchers.renew(live.reader());
        self.count(&live);
        self.unsaved.store(unsaved, Ordering::Relaxed);
        *self.write() = Some(live);
    }

    /// Changes a row where everyone sees it, and counts.
    fn change(&self, change: &Change<'_>) -> Result<(), LiveError> {
        let mut live = self.write();
        let (Change::Insert { id, .. } | Change::Delete { id }) = *change;
        let live = live.as_mut().ok_or(LiveError::UnknownId { id })?;
        Self::apply(live, change)?;
        self.unsaved.fetch_add(1, Ordering::Relaxed);
        self.count(live);
        Ok(())
    }

    fn count(&self, live: &Live) {
        self.rows.store(live.len() as u64, Ordering::Relaxed);
        self.tombstones.store(live.deleted() as u64, Ordering::Relaxed);
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<Live>> {
        self.live.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Option<Live>> {
        self.live.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An index without rows, as the options say or else as the first vector is.
fn empty(options: &CollectionOptions, dimensions: usize) -> Result<Live, LiveError> {
    let params = LiveParams::new(options.dimensions.unwrap_or(dimensions), options.metric.unwrap_or(Metric::L2));
    Live::with_columns(params, options.columns.clone())
}

/// Each point as a change, and its place.
fn insertions<'a>(ids: &'a [u64], points: &'a [Point], values: &'a [Vec<Option<Value>>]) -> impl Iterator<Item = (usize, Change<'a>)> {
    let changes = ids.iter().zip(points).zip(values).map(|((&id, point), values)| {
        let Point { vector, payload, .. } = point;
        Change::Insert { id, vector, payload, values }
    });
    changes.enumerate()
}

/// Why the point at `place` is no row.
fn refused(error: LiveError, place: usize, columns: &[LiveColumn]) -> CollectionError {
    match error {
        LiveError::Value { column } if column < columns.len() => {
            let LiveColumn { name, kind } = &columns[column];
            Fault::ColumnType { wanted: *kind }.at(format!("points[{place}].columns.{name}"))
        }
        error => CollectionError::of_row(error, &format!("points[{place}].vector")),
    }
}

/// Refuses points that cannot all be rows; their ids, those that are assigned included.
fn check(live: &Live, points: &[Point], next_id: &mut Option<u64>) -> Result<Vec<u64>, CollectionError> {
    let LiveParams { dimensions, metric, .. } = *live.params();
    let mut ids = Vec::with_capacity(points.len());
    let mut seen = BTreeSet::new();
    for (place, point) in points.iter().enumerate() {
        check_vector(&point.vector, dimensions, metric == Metric::Cosine).map_err(|fault| fault.at(format!("points[{place}].vector")))?;
        let at_id = |fault: Fault| fault.at(format!("points[{place}].id"));
        let id = point.id.or(*next_id).ok_or_else(|| at_id(Fault::NoIdLeft))?;
        if live.contains(id) || !seen.insert(id) {
            return Err(at_id(Fault::DuplicateId { id }));
        }
        *next_id = next_id.and_then(|next| if next > id { Some(next) } else { id.checked_add(1) });
        ids.push(id);
    }
    Ok(ids)
}
