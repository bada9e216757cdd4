//! Rows of a file that is served as it lies.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use nearshore_core::filter::{Filter, RowSet, SelectError};
use nearshore_core::search::SearchError;

use super::Info;
use super::error::{CollectionError, Fault};
use super::point::{Found, Search, Stored};
use crate::error::Error;
use crate::index::Index;

/// Sets of rows that are kept for the filters that were asked last.
const SETS_MAX: usize = 16;

/// A mapped file; what searches touch is brought in.
#[derive(Debug)]
pub(super) struct MappedRows {
    index: Index,
    /// What filters selected, the last asked at the end: the file does not change.
    sets: Mutex<Vec<(String, Arc<RowSet>)>>,
    /// Why writes are refused.
    pub(super) why: &'static str,
}

impl MappedRows {
    pub(super) fn new(index: Index, why: &'static str) -> Self {
        Self { index, sets: Mutex::default(), why }
    }

    pub(super) fn search(&self, search: &Search) -> Result<Vec<Found>, CollectionError> {
        let found = match &search.filter {
            Some(filter) => self.index.search_where(&search.vector, &search.params(), &*self.select(filter)?),
            None => self.index.search(&search.vector, &search.params()),
        };
        let hits = found.map_err(|error| match error {
            Error::Search(error) => CollectionError::of_vector(error, "vector"),
            other => other.into(),
        })?;
        let found = hits.into_iter().map(|hit| {
            let payload = if search.with_payload { Some(self.payload(hit.row)?) } else { None };
            Ok(Found { id: hit.id, distance: hit.distance, payload })
        });
        found.collect::<Result<_, SearchError>>().map_err(|error| Error::Search(error).into())
    }

    /// The rows that a filter selects: kept, or selected now, while nobody waits.
    fn select(&self, filter: &Filter) -> Result<Arc<RowSet>, CollectionError> {
        let key = filter.to_string();
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = sets.iter().position(|(kept, _)| *kept == key) {
            let found = sets.remove(at);
            let rows = Arc::clone(&found.1);
            sets.push(found);
            return Ok(rows);
        }
        drop(sets);
        let rows = self.index.select(filter).map_err(|error| match error {
            SelectError::Corrupt(corrupt) => Error::Search(corrupt.into()).into(),
            other => Fault::Filter(other.to_string()).at("filter"),
        })?;
        let rows = Arc::new(rows);
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        if sets.len() >= SETS_MAX {
            sets.remove(0);
        }
        sets.push((key, Arc::clone(&rows)));
        Ok(rows)
    }

    pub(super) fn get(&self, ids: &[u64]) -> Result<Vec<Stored>, CollectionError> {
        let stored = ids.iter().filter_map(|&id| match self.index.row_of(id) {
            Ok(row) => row.map(|row| self.stored(id, row)),
            Err(error) => Some(Err(error)),
        });
        stored.collect::<Result<_, SearchError>>().map_err(|error| Error::Search(error).into())
    }

    fn stored(&self, id: u64, row: u32) -> Result<Stored, SearchError> {
        let mut vector = Vec::new();
        self.index.vector(row, &mut vector)?;
        Ok(Stored { id, vector, payload: self.payload(row)? })
    }

    fn payload(&self, row: u32) -> Result<Vec<u8>, SearchError> {
        let mut payload = Vec::new();
        self.index.payload(row, &mut payload)?;
        Ok(payload)
    }

    pub(super) fn info(&self, path: &Path) -> Info {
        let index = &self.index;
        Info {
            file: path.to_owned(),
            rows: (index.len() as u64).saturating_sub(index.deleted()),
            tombstones: index.deleted(),
            dimensions: Some(index.dimensions()),
            metric: index.metric(),
            element: index.element(),
            read_only: Some(self.why),
            unsaved: 0,
        }
    }
}
