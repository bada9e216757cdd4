//! What is known about which rows filters select, kept between searches: rows are only added, so each is looked at once.

use std::sync::{Arc, Mutex, PoisonError};

use nearshore_core::filter::{Filter, SelectError};
use nearshore_core::live::{LiveReader, LiveSelection, LiveSet};

use super::error::{CollectionError, Fault};
use crate::error::Error;

/// Filters that are known.
const FILTERS_MAX: usize = 16;

/// Those that were asked for last, the last one at the end. Searches by the same filter wait for each other while one of them looks
/// at new rows, and for nobody else.
#[derive(Debug, Default)]
pub(super) struct Selections(Mutex<Vec<(String, Arc<Mutex<LiveSelection>>)>>);

impl Selections {
    /// The rows that a filter selects, as `reader` sees them now.
    pub(super) fn select(&self, reader: &mut LiveReader, filter: &Filter) -> Result<Arc<LiveSet>, CollectionError> {
        let selection = self.kept(filter);
        let mut selection = selection.lock().unwrap_or_else(PoisonError::into_inner);
        reader.select(&mut selection).map_err(|error| match error {
            SelectError::Corrupt(corrupt) => Error::Search(corrupt.into()).into(),
            other => Fault::Filter(other.to_string()).at("filter"),
        })
    }

    fn kept(&self, filter: &Filter) -> Arc<Mutex<LiveSelection>> {
        let key = filter.to_string();
        let mut filters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match filters.iter().position(|(kept, _)| *kept == key) {
            Some(at) => filters.remove(at).1,
            None => Arc::new(Mutex::new(LiveSelection::new(filter.clone()))),
        };
        if filters.len() >= FILTERS_MAX {
            filters.remove(0);
        }
        filters.push((key, Arc::clone(&found)));
        found
    }
}
