//! What goes into a collection and what comes out of it.

use nearshore_core::filter::{Filter, Value};
use nearshore_core::live::LiveColumn;
use nearshore_core::search::{Effort, SearchParams};

use super::error::{CollectionError, Fault};

/// Hits that one search may ask for.
pub const K_MAX: usize = 10_000;

/// Candidates that one search may keep.
pub const EF_MAX: usize = 100_000;

/// A row to be inserted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    /// Its id; assigned where there is none.
    pub id: Option<u64>,
    /// Its vector.
    pub vector: Vec<f32>,
    /// What hits bring back.
    pub payload: Vec<u8>,
    /// Values by the names of their columns, which the collection must have; one that is not named has none.
    pub columns: Vec<(String, Option<Value>)>,
}

/// A row that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Its id.
    pub id: u64,
    /// Its vector as near as it is kept; of unit length under cosine.
    pub vector: Vec<f32>,
    /// What came with it.
    pub payload: Vec<u8>,
    /// Its value in each column of the collection.
    pub columns: Vec<(String, Option<Value>)>,
}

/// What is searched for.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// The query.
    pub vector: Vec<f32>,
    /// Hits wanted, 1 to [`K_MAX`].
    pub k: usize,
    /// How hard to look.
    pub effort: Effort,
    /// Whether hits bring their payloads.
    pub with_payload: bool,
    /// Which rows may be hits; all where there is none.
    pub filter: Option<Filter>,
}

/// A row that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its id.
    pub id: u64,
    /// Distance from the query; smaller is nearer.
    pub distance: f32,
    /// What came with it, where it was asked for.
    pub payload: Option<Vec<u8>>,
}

impl Search {
    /// The `k` nearest of `vector`, with the effort that the collection chooses.
    #[must_use]
    pub fn new(vector: Vec<f32>, k: usize) -> Self {
        Self { vector, k, effort: Effort::Auto, with_payload: false, filter: None }
    }

    pub(super) fn params(&self) -> SearchParams {
        let mut params = SearchParams::default().k(self.k);
        params.effort = self.effort;
        params
    }

    /// Refuses numbers that would cost more than a search may.
    pub(super) fn check(&self) -> Result<(), CollectionError> {
        let range = |field, must| Err(Fault::Range { must }.at(field));
        match self.effort {
            _ if !(1..=K_MAX).contains(&self.k) => range("k", "1 to 10000"),
            Effort::Ef(ef) if !(1..=EF_MAX).contains(&ef) => range("ef", "1 to 100000"),
            Effort::Recall(recall) if !(recall > 0.0 && recall <= 1.0) => range("recall", "above 0 and at most 1"),
            _ => Ok(()),
        }
    }
}

/// The values of a point in the order of `columns`; nothing where it has none.
pub(super) fn values(point: &Point, columns: &[LiveColumn]) -> Result<Vec<Option<Value>>, CollectionError> {
    if point.columns.is_empty() {
        return Ok(Vec::new());
    }
    let mut values = vec![None; columns.len()];
    for (name, value) in &point.columns {
        let at = columns.iter().position(|column| column.name == *name);
        let at = at.ok_or_else(|| {
            let known = columns.iter().map(|column| column.name.clone()).collect();
            Fault::UnknownColumn { known }.at(format!("columns.{name}"))
        })?;
        values[at].clone_from(value);
    }
    Ok(values)
}

/// Refuses what no row and no query may be, before anything is changed.
pub(super) fn check_vector(vector: &[f32], dimensions: usize, cosine: bool) -> Result<(), Fault> {
    if vector.len() != dimensions {
        return Err(Fault::Dimensions { found: vector.len(), wanted: dimensions });
    }
    if let Some(element) = vector.iter().position(|value| !value.is_finite()) {
        return Err(Fault::NotFinite { element });
    }
    if cosine && vector.iter().all(|&value| value == 0.0) {
        return Err(Fault::ZeroVector);
    }
    Ok(())
}
