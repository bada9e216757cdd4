//! What filters selected, kept for those who ask again.

use std::sync::{Arc, Mutex, PoisonError};

use nearshore_core::filter::{Filter, RowSet, SelectError};

use crate::index::Index;

/// Sets that are kept.
const SETS_MAX: usize = 16;

/// The sets of rows of the last 16 different filters on one file, which does not change.
#[derive(Debug, Default)]
pub struct Selections(Mutex<Vec<(String, Arc<RowSet>)>>);

impl Selections {
    /// The rows of `index` that a filter selects: kept, or selected now, while nobody waits.
    ///
    /// # Errors
    /// A filter that does not fit the columns, or damage.
    pub fn select(&self, index: &Index, filter: &Filter) -> Result<Arc<RowSet>, SelectError> {
        // Sorted by when they were asked for last.
        let kept = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = filter.to_string();
        let mut sets = kept();
        if let Some(at) = sets.iter().position(|(kept, _)| *kept == key) {
            let found = sets.remove(at);
            let rows = Arc::clone(&found.1);
            sets.push(found);
            return Ok(rows);
        }
        drop(sets);
        let rows = Arc::new(index.select(filter)?);
        let mut sets = kept();
        if sets.len() >= SETS_MAX {
            sets.remove(0);
        }
        sets.push((key, Arc::clone(&rows)));
        Ok(rows)
    }
}
