//! Searches among the rows that meet a condition, of what is here as a whole. Which rows those are is kept for the conditions asked last.

use alloc::string::String;
use alloc::vec::Vec;

use nearshore_core::filter::{Filter, RowSet, SelectError};
#[cfg(feature = "columns")]
use nearshore_core::live::{LiveSelection, LiveSet};

use crate::code::{Code, Failure};
use crate::engine::{Engine, State, nothing};

/// Conditions whose rows are kept.
const KEPT: usize = 16;

/// What conditions selected.
#[derive(Default)]
pub(crate) struct Filters {
    selected: Vec<(String, RowSet)>,
    /// Of an index that changes.
    #[cfg(feature = "columns")]
    living: Vec<(String, LiveSelection)>,
}

/// Which rows a search is among.
pub(crate) enum Among {
    All,
    File(RowSet),
    #[cfg(feature = "columns")]
    Live(alloc::sync::Arc<LiveSet>),
}

impl Filters {
    pub(crate) fn kept(&mut self, text: &str) -> Option<&RowSet> {
        recall(&mut self.selected, text).map(|rows| &*rows)
    }

    /// A copy shares the rows.
    pub(crate) fn keep(&mut self, text: String, rows: RowSet) -> RowSet {
        remember(&mut self.selected, text, rows.clone());
        rows
    }
}

/// What is kept of a condition, which moves behind all others.
fn recall<'a, T>(kept: &'a mut [(String, T)], text: &str) -> Option<&'a mut T> {
    let at = kept.iter().position(|(condition, _)| condition == text)?;
    kept[at..].rotate_left(1);
    kept.last_mut().map(|(_, of)| of)
}

/// Keeps one more, in the place of the one that was asked longest ago.
fn remember<T>(kept: &mut Vec<(String, T)>, text: String, of: T) {
    if kept.len() >= KEPT {
        kept.remove(0);
    }
    kept.push((text, of));
}

impl Engine {
    /// The condition in its buffer, which is empty then; `None` where it was.
    pub(crate) fn condition(&mut self) -> Result<Option<String>, Failure> {
        let text = core::mem::take(&mut self.inputs.filter);
        let text = String::from_utf8(text).map_err(|_| Failure::new(Code::InvalidArgument, "the filter is not UTF-8"))?;
        Ok((!text.is_empty()).then_some(text))
    }

    /// The rows that meet the condition in its buffer.
    pub(crate) fn among(&mut self) -> Result<Among, Failure> {
        let Some(text) = self.condition()? else { return Ok(Among::All) };
        let Self { state, filters, .. } = self;
        match state {
            State::Empty => Err(nothing()),
            State::File(index) => {
                if let Some(rows) = filters.kept(&text) {
                    return Ok(Among::File(rows.clone()));
                }
                let rows = index.select(&parse(&text)?)?;
                Ok(Among::File(filters.keep(text, rows)))
            }
            #[cfg(feature = "columns")]
            State::Live(live) => {
                // Of the file that it may have been.
                filters.selected = Vec::new();
                if let Some(selection) = recall(&mut filters.living, &text) {
                    return Ok(Among::Live(live.select(selection)?));
                }
                let mut selection = LiveSelection::new(parse(&text)?);
                let rows = live.select(&mut selection)?;
                remember(&mut filters.living, text, selection);
                Ok(Among::Live(rows))
            }
            #[cfg(all(feature = "full", not(feature = "columns")))]
            State::Live(_) => Err(nothing()),
        }
    }
}

pub(crate) fn parse(text: &str) -> Result<Filter, Failure> {
    Filter::parse(text).map_err(|error| SelectError::Filter(error).into())
}

impl From<SelectError> for Failure {
    fn from(error: SelectError) -> Self {
        match error {
            SelectError::Corrupt(corrupt) => corrupt.into(),
            other => Self::new(Code::InvalidArgument, alloc::format!("filter: {other}")),
        }
    }
}
