//! Rows of a file that is served as it lies.

use std::path::Path;

use nearshore_core::search::SearchError;

use super::Info;
use super::error::CollectionError;
use super::point::{Found, Search, Stored};
use crate::error::Error;
use crate::index::Index;

/// A mapped file; what searches touch is brought in.
#[derive(Debug)]
pub(super) struct MappedRows {
    index: Index,
    /// Why writes are refused.
    pub(super) why: &'static str,
}

impl MappedRows {
    pub(super) fn new(index: Index, why: &'static str) -> Self {
        Self { index, why }
    }

    pub(super) fn search(&self, search: &Search) -> Result<Vec<Found>, CollectionError> {
        let hits = self.index.search(&search.vector, &search.params()).map_err(|error| match error {
            Error::Search(error) => CollectionError::of_vector(error, "vector"),
            other => other.into(),
        })?;
        let found = hits.into_iter().map(|hit| {
            let payload = if search.with_payload { Some(self.payload(hit.row)?) } else { None };
            Ok(Found { id: hit.id, distance: hit.distance, payload })
        });
        found.collect::<Result<_, SearchError>>().map_err(|error| Error::Search(error).into())
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
