//! What filters selected, kept for those who ask again.

use std::sync::{Arc, Mutex, PoisonError};

use nearshore_core::filter::{Filter, RowSet, SelectError};

use crate::index::Index;

/// Sets that are kept.
const SETS_MAX: usize = 16;

/// A set, once it is known: whoever asks meanwhile waits for it instead of reading the columns as well.
type Known = Arc<Mutex<Option<Arc<RowSet>>>>;

/// The sets of rows of the last 16 different filters on one file, which does not change.
#[derive(Debug, Default)]
pub struct Selections(Mutex<Vec<(String, Known)>>);

impl Selections {
    /// The rows of `index` that a filter selects: kept, or selected now. Searches by the same filter wait for each other, and for nobody else.
    ///
    /// # Errors
    /// A filter that does not fit the columns, or damage.
    pub fn select(&self, index: &Index, filter: &Filter) -> Result<Arc<RowSet>, SelectError> {
        let known = self.known(filter);
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rows) = &*known {
            return Ok(Arc::clone(rows));
        }
        Ok(Arc::clone(known.insert(Arc::new(index.select(filter)?))))
    }

    fn known(&self, filter: &Filter) -> Known {
        // Before the lock: a long filter holds up nobody else.
        let key = filter.to_string();
        // Sorted by when they were asked for last.
        let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match sets.iter().position(|(kept, _)| *kept == key) {
            Some(at) => sets.remove(at).1,
            None => Known::default(),
        };
        if sets.len() >= SETS_MAX {
            sets.remove(0);
        }
        sets.push((key, Arc::clone(&found)));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearshore_core::build::{BuildParams, Input, build_with_columns};
    use nearshore_core::filter::{ColumnInput, Values};
    use nearshore_core::format::Element;
    use nearshore_core::vectors::Vectors;
    use std::ops::ControlFlow;
    use std::sync::Barrier;

    #[test]
    fn who_asks_at_once_for_the_same_rows_gets_the_same_set() {
        let folder = tempfile::tempdir().unwrap();
        let rows: Vec<f32> = (0..3000).map(|row| row as f32).collect();
        let input = Input { vectors: Vectors::packed(Element::F32, 1, bytemuck::cast_slice(&rows)).unwrap(), ids: None, payloads: None };
        let price: Vec<i64> = (0..3000).map(|row| row % 100).collect();
        let columns = [ColumnInput { name: "price", values: Values::I64(&price), nulls: None }];
        let path = folder.path().join("shop.shore");
        let sink = crate::io::FileSink::create(&path, false).unwrap();
        let mut params = BuildParams::default();
        (params.ef_construction, params.quality) = (10, false);
        let (go_on, kernels) = (&mut |_, _, _| ControlFlow::Continue(()), nearshore_core::distance::Kernels::best());
        build_with_columns(&input, &columns, &params, &nearshore_core::par::Serial, kernels, go_on, sink).unwrap().0.finish().unwrap();
        let (index, selections) = (Index::open(&path).unwrap(), Selections::default());
        for price in 1..40 {
            let filter = Filter::parse(&format!("price < {price}")).unwrap();
            let start = Barrier::new(4);
            let sets: Vec<Arc<RowSet>> = std::thread::scope(|scope| {
                let ask = || {
                    start.wait();
                    selections.select(&index, &filter).unwrap()
                };
                let asking: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
                asking.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(sets.iter().all(|set| Arc::ptr_eq(set, &sets[0]) && set.len() == 30 * price));
        }
        assert!(selections.select(&index, &Filter::parse("prize < 3").unwrap()).is_err());
    }
}
