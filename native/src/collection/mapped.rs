//! Rows of a file that is served as it lies.

use std::path::Path;
use std::sync::Arc;

use nearshore_core::filter::{Filter, RowSet, SelectError};
use nearshore_core::index::ColumnValues;
use nearshore_core::search::{Layout, SearchError};

use super::error::{CollectionError, Fault};
use super::point::{Search, Stored};
use super::{Info, LiveColumn, columns_of};
use crate::error::Error;
use crate::index::Index;
use crate::selections::Selections;

/// A mapped file; what searches touch is brought in.
#[derive(Debug)]
pub(super) struct MappedRows {
    index: Index,
    sets: Selections,
    columns: Vec<LiveColumn>,
    layout: Layout,
    /// Why writes are refused.
    pub(super) why: &'static str,
}

impl MappedRows {
    pub(super) fn new(index: Index, why: &'static str, layout: Layout) -> Result<Self, CollectionError> {
        Ok(Self { columns: columns_of(&index)?, index, sets: Selections::default(), layout, why })
    }

    pub(super) fn search<E: From<CollectionError>>(
        &self,
        search: &Search,
        mut each: impl FnMut(u64, f32, Option<&[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        let found = match &search.filter {
            Some(filter) => self.index.search_where(&search.vector, &search.params(), &*self.select(filter)?),
            None => self.index.search(&search.vector, &search.params().layout(self.layout)),
        };
        let hits = found.map_err(|error| match error {
            Error::Search(error) => CollectionError::of_vector(error, "vector"),
            other => other.into(),
        })?;
        let mut payload = Vec::new();
        for hit in hits {
            if search.with_payload {
                payload.clear();
                self.index.payload(hit.row, &mut payload).map_err(damaged)?;
            }
            each(hit.id, hit.distance, search.with_payload.then_some(&payload[..]))?;
        }
        Ok(())
    }

    /// The rows that a filter selects.
    fn select(&self, filter: &Filter) -> Result<Arc<RowSet>, CollectionError> {
        self.sets.select(&self.index, filter).map_err(|error| match error {
            SelectError::Corrupt(corrupt) => Error::Search(corrupt.into()).into(),
            other => Fault::Filter(other.to_string()).at("filter"),
        })
    }

    pub(super) fn get<E: From<CollectionError>>(&self, ids: &[u64], mut each: impl FnMut(Stored) -> Result<(), E>) -> Result<(), E> {
        let columns = self.index.column_values().map_err(|corrupt| damaged(corrupt.into()))?;
        for &id in ids {
            if let Some(row) = self.index.row_of(id).map_err(damaged)? {
                each(self.stored(id, row, &columns).map_err(damaged)?)?;
            }
        }
        Ok(())
    }

    fn stored(&self, id: u64, row: u32, columns: &ColumnValues<'_>) -> Result<Stored, SearchError> {
        let mut vector = Vec::new();
        self.index.vector(row, &mut vector)?;
        let values = columns.row(row).map_err(SearchError::Corrupt)?;
        let columns = self.columns.iter().zip(values).map(|(column, value)| (column.name.clone(), value)).collect();
        Ok(Stored { id, vector, payload: self.payload(row)?, columns })
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
            columns: self.columns.clone(),
            read_only: Some(self.why),
            unsaved: 0,
        }
    }
}

fn damaged(error: SearchError) -> CollectionError {
    Error::Search(error).into()
}
