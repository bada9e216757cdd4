//! Indexes that rows are added to.
//!
//! A file that was loaded stays a file, and is searched as one, until the first change asks for a graph that can change; its originals are
//! left behind then. A call that would change nothing leaves it a file.

use alloc::boxed::Box;
use alloc::string::String;

use nearshore_core::live::{Live, LiveError, LiveParams};
use nearshore_core::vectors::Query;
use nearshore_core::words::Words as _;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::code::{Code, Failure};
use crate::engine::{Engine, State, element, metric, query};

#[wasm_bindgen]
impl Engine {
    /// Makes an empty index; in an engine of columns with those that were said.
    pub fn create(&mut self, dimensions: usize, of_element: u32, of_metric: u32, m: usize, ef_construction: usize, seed: u64) -> u32 {
        let result = element(of_element).and_then(|element| {
            let params = LiveParams::new(dimensions, metric(of_metric)?).m(m).ef_construction(ef_construction).seed(seed).element(element);
            #[cfg(not(feature = "columns"))]
            let live = Live::new(params)?;
            #[cfg(feature = "columns")]
            let live = Live::with_columns(params, core::mem::take(&mut self.schema))?;
            self.state = State::Live(Box::new(live));
            Ok(())
        });
        self.end(result)
    }

    /// Adds the rows in the buffers `Ids`, `Query` (their vectors), `Payloads` and `Ends`, in an engine of columns with the values in `Columns`,
    /// unless it is empty: all, or none. `replace` takes the place of the row that has the id.
    pub fn add(&mut self, form: u32, replace: bool) -> u32 {
        let result = self.add_rows(form, replace);
        self.inputs.release();
        self.end(result)
    }

    /// Deletes a row; answers with u32 1 when the row was there, else 0.
    pub fn delete(&mut self, id: u64) -> u32 {
        let result = self.delete_row(id);
        self.end(result)
    }

    /// Drops the tombstones.
    pub fn compact(&mut self) -> u32 {
        let result = match &self.state {
            State::File(index) if index.deleted() == 0 => Ok(()),
            _ => live(&mut self.state).map(Live::compact),
        };
        self.end(result)
    }
}

impl Engine {
    fn add_rows(&mut self, form: u32, replace: bool) -> Result<(), Failure> {
        let live = live(&mut self.state)?;
        let inputs = &self.inputs;
        let dimensions = live.params().dimensions;
        #[cfg(feature = "columns")]
        let schema = live.columns().iter().filter(|_| !inputs.columns.is_empty()).cloned().collect::<alloc::vec::Vec<_>>();
        #[cfg(feature = "columns")]
        let columns = crate::columns::values(&schema, inputs.ids.len(), &inputs.columns)?;
        for (row, &id) in inputs.ids.iter().enumerate() {
            let start = if row == 0 { 0 } else { inputs.ends.get(row - 1).copied().unwrap_or(0) };
            let end = inputs.ends.get(row).copied().unwrap_or(start);
            let payload = inputs.payloads.get(start as usize..end as usize).unwrap_or(&[]);
            #[cfg(feature = "columns")]
            let values = crate::columns::of_row(&columns, row);
            #[cfg(not(feature = "columns"))]
            let values = ();
            let added =
                query(&inputs.query, form, row, dimensions).and_then(|vector| Ok(put(live, id, vector, payload, &values, replace)?));
            if let Err(failure) = added {
                if !replace {
                    inputs.ids.iter().take(row).try_for_each(|&id| live.delete(id))?;
                }
                tidy(live);
                let mut message = String::new();
                ["row ", &row.words(), ": ", &failure.message].iter().for_each(|piece| message.push_str(piece));
                return Err(Failure { message, ..failure });
            }
        }
        tidy(live);
        Ok(())
    }

    fn delete_row(&mut self, id: u64) -> Result<(), Failure> {
        let deleted = match &self.state {
            State::File(index) if index.row_of(id)?.is_none() => false,
            _ => {
                let live = live(&mut self.state)?;
                let deleted = match live.delete(id) {
                    Ok(()) => true,
                    Err(LiveError::UnknownId { .. }) => false,
                    Err(error) => return Err(error.into()),
                };
                tidy(live);
                deleted
            }
        };
        self.answer.clear();
        self.answer.u32(u32::from(deleted));
        Ok(())
    }
}

/// Drops the tombstones that a write left, once there are many: deleted rows, replaced ones, and those that were taken back.
fn tidy(live: &mut Live) {
    if live.wants_compaction() {
        live.compact();
    }
}

/// The values of a row, where rows have some.
#[cfg(feature = "columns")]
type Values = alloc::vec::Vec<Option<nearshore_core::filter::Value>>;
#[cfg(not(feature = "columns"))]
type Values = ();

#[cfg(feature = "columns")]
fn put(live: &mut Live, id: u64, vector: Query<'_>, payload: &[u8], values: &Values, replace: bool) -> Result<(), LiveError> {
    if replace { live.update_with(id, vector, payload, values) } else { live.insert_with(id, vector, payload, values) }
}

#[cfg(not(feature = "columns"))]
fn put(live: &mut Live, id: u64, vector: Query<'_>, payload: &[u8], _: &Values, replace: bool) -> Result<(), LiveError> {
    if replace { live.update(id, vector, payload) } else { live.insert(id, vector, payload) }
}

/// The live index; a file becomes one.
fn live(state: &mut State) -> Result<&mut Live, Failure> {
    if let State::File(index) = state {
        *state = State::Live(Box::new(Live::from_index(index)?));
    }
    match state {
        State::Live(live) => Ok(live),
        _ => Err(Failure::new(Code::InvalidArgument, "there is no index yet")),
    }
}

impl From<LiveError> for Failure {
    fn from(error: LiveError) -> Self {
        match error {
            LiveError::Search(error) => error.into(),
            LiveError::Open(error) => error.into(),
            error => Self::of(Code::InvalidArgument, &error),
        }
    }
}
