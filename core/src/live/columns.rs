//! Columns of a live index: values beside the rows, and which rows a condition on them selects.
//!
//! A row's values are set before the row is published and never change, like its record; a row is replaced, not edited. So
//! readers need no lock, and what a condition said about a row stays true: a [`LiveSelection`] looks at each row once, goes on
//! where it stopped when there are more, and starts anew only after a compaction, which numbers the rows anew. Rows that
//! died since are left out when a search meets them.

use super::sync::Arc;
use super::{Live, LiveError, LiveParams, LiveReader, Shared};
use crate::filter::{self, Bitmap, ColumnInput, ColumnType, Filter, RowSet, SelectError, Value, Values};
use crate::search::{Hit, Scratch, SearchError, SearchParams, Stats};
use crate::vectors::{Payloads, Query};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// Rows whose values are laid side by side at a time.
const TOGETHER: u32 = 1 << 16;

/// A column of a live index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveColumn {
    /// What filters call it: 1 to [`NAME_MAX`](crate::filter::NAME_MAX) bytes.
    pub name: String,
    /// Type of its values.
    pub kind: ColumnType,
}

/// The values of a row, one a column, `None` where it has none; no values at all: none of them.
pub(super) type RowValues = Box<[Option<Value>]>;

/// What tells one state from another: an address that nobody else has while it is held.
type Token = alloc::sync::Arc<()>;

/// The columns of a state.
#[derive(Clone, Default)]
pub(super) struct Schema {
    pub(super) columns: Vec<LiveColumn>,
    /// A new one for each state: rows have other numbers there.
    token: Token,
}

impl Schema {
    pub(super) fn new(columns: Vec<LiveColumn>) -> Self {
        Self { columns, token: Token::default() }
    }

    /// The value of a row as its column has it, `None` where it is of another type.
    fn fit(&self, column: usize, value: &Value) -> Option<Value> {
        match (self.columns.get(column)?.kind, value) {
            (ColumnType::F64, Value::I64(whole)) => Some(Value::F64(*whole as f64)),
            (ColumnType::F64, Value::F64(float)) => float.is_finite().then_some(Value::F64(*float)),
            (ColumnType::I64, Value::I64(_)) | (ColumnType::Bool, Value::Bool(_)) | (ColumnType::Text, Value::Text(_)) => {
                Some(value.clone())
            }
            _ => None,
        }
    }

    /// Values of a row, each of its column's type.
    pub(super) fn row(&self, values: &[Option<Value>]) -> Result<RowValues, LiveError> {
        if !values.is_empty() && values.len() != self.columns.len() {
            return Err(LiveError::Parameter { parameter: "values", must: "one a column, or none" });
        }
        let fitted = values.iter().enumerate().map(|(column, value)| match value {
            None => Ok(None),
            Some(value) => self.fit(column, value).map(Some).ok_or(LiveError::Value { column }),
        });
        fitted.collect()
    }
}

impl Live {
    /// An empty index whose rows have values in `columns`.
    ///
    /// # Errors
    /// A parameter out of its range, or a column that no file could have.
    pub fn with_columns(params: LiveParams, columns: Vec<LiveColumn>) -> Result<Self, LiveError> {
        let empty = Slots::new(&columns, |_| true);
        let inputs = empty.inputs(&columns);
        let must = "at most 40, with different names of 1 to 96 bytes";
        filter::check(&inputs, 0).map_err(|_| LiveError::Parameter { parameter: "columns", must })?;
        let plain = Self::new(params)?;
        let shared = Shared::new(&params, vec![0.0; params.dimensions], Vec::new(), plain.shared.kernels);
        Ok(Self::of(params, Arc::new(Shared { schema: Schema::new(columns), ..shared })))
    }

    /// The columns, in the order of values.
    pub fn columns(&self) -> &[LiveColumn] {
        &self.shared.schema.columns
    }

    /// As [`Live::insert`], with values: one a column in their order, `None` where the row has none; or none at all.
    ///
    /// # Errors
    /// As [`Live::insert`], and [`LiveError::Value`].
    pub fn insert_with(&mut self, id: u64, vector: Query<'_>, payload: &[u8], values: &[Option<Value>]) -> Result<(), LiveError> {
        self.work.values = self.shared.schema.row(values)?;
        let inserted = self.insert(id, vector, payload);
        self.work.values = Box::default();
        inserted
    }

    /// As [`Live::update`], with values.
    ///
    /// # Errors
    /// As [`Live::update`], and [`LiveError::Value`].
    pub fn update_with(&mut self, id: u64, vector: Query<'_>, payload: &[u8], values: &[Option<Value>]) -> Result<(), LiveError> {
        self.work.values = self.shared.schema.row(values)?;
        let updated = self.update(id, vector, payload);
        self.work.values = Box::default();
        updated
    }

    /// As [`LiveReader::select`].
    ///
    /// # Errors
    /// As [`LiveReader::select`].
    pub fn select(&self, selection: &mut LiveSelection) -> Result<alloc::sync::Arc<LiveSet>, SelectError> {
        selection.of(&self.shared)
    }

    /// As [`LiveReader::search_where`], among rows that this index selected since it was compacted last.
    ///
    /// # Errors
    /// As [`LiveReader::search_where`].
    pub fn search_where(
        &self,
        query: Query<'_>,
        params: &SearchParams,
        rows: &LiveSet,
        scratch: &mut Scratch,
        hits: &mut Vec<Hit>,
    ) -> Result<Stats, SearchError> {
        self.shared.search_set(query, params, rows, scratch, hits)
    }

    /// The values of `id`, one a column; empty where it has none, or there is no such row.
    pub fn values(&self, id: u64) -> &[Option<Value>] {
        self.slots.get(id).map_or(&[], |slot| self.shared.store.values(slot))
    }
}

/// The values of some rows, side by side.
pub(super) struct Slots {
    columns: Vec<Side>,
    rows: usize,
}

/// The values of one column; empty where nobody asks for it.
struct Side {
    asked: bool,
    values: Owned,
    nulls: Vec<u8>,
}

enum Owned {
    I64(Vec<i64>),
    F64(Vec<f64>),
    Bool(Vec<u8>),
    Text { bytes: Vec<u8>, ends: Vec<u64> },
}

impl Slots {
    fn new(columns: &[LiveColumn], asked: impl Fn(&str) -> bool) -> Self {
        let side = |column: &LiveColumn| Side {
            asked: asked(&column.name),
            values: match column.kind {
                ColumnType::I64 => Owned::I64(Vec::new()),
                ColumnType::F64 => Owned::F64(Vec::new()),
                ColumnType::Bool => Owned::Bool(Vec::new()),
                ColumnType::Text => Owned::Text { bytes: Vec::new(), ends: Vec::new() },
            },
            nulls: Vec::new(),
        };
        Self { columns: columns.iter().map(side).collect(), rows: 0 }
    }

    /// Those of a state's rows.
    pub(super) fn of(shared: &Shared, rows: core::ops::Range<u32>, asked: impl Fn(&str) -> bool) -> Self {
        let mut slots = Self::new(&shared.schema.columns, asked);
        rows.for_each(|slot| slots.push(shared.store.values(slot)));
        slots
    }

    fn push(&mut self, row: &[Option<Value>]) {
        for (place, side) in self.columns.iter_mut().enumerate().filter(|(_, side)| side.asked) {
            if self.rows.is_multiple_of(8) {
                side.nulls.push(0);
            }
            let value = row.get(place).and_then(Option::as_ref);
            if value.is_none() {
                side.nulls[self.rows / 8] |= 1 << (self.rows % 8);
            }
            match (&mut side.values, value) {
                (Owned::I64(values), Some(Value::I64(value))) => values.push(*value),
                (Owned::I64(values), _) => values.push(0),
                (Owned::F64(values), Some(Value::F64(value))) => values.push(*value),
                (Owned::F64(values), _) => values.push(0.0),
                (Owned::Bool(values), value) => values.push(u8::from(matches!(value, Some(Value::Bool(true))))),
                (Owned::Text { bytes, ends }, value) => {
                    if let Some(Value::Text(text)) = value {
                        bytes.extend_from_slice(text.as_bytes());
                    }
                    ends.push(bytes.len() as u64);
                }
            }
        }
        self.rows += 1;
    }

    /// As a build takes them.
    pub(super) fn inputs<'a>(&'a self, columns: &'a [LiveColumn]) -> Vec<ColumnInput<'a>> {
        let input = |(side, column): (&'a Side, &'a LiveColumn)| {
            let values = match &side.values {
                Owned::I64(values) => Values::I64(values),
                Owned::F64(values) => Values::F64(values),
                Owned::Bool(values) => Values::Bool(values),
                Owned::Text { bytes, ends } => Values::Text(Payloads::new(bytes, ends)?),
            };
            Some(ColumnInput { name: &column.name, values, nulls: Some(&side.nulls) })
        };
        // The ends ascend to the number of bytes, so that they are payloads.
        self.columns.iter().zip(columns).filter_map(input).collect()
    }
}

/// The rows of one state of a live index that meet a condition: what a search needs.
#[derive(Clone, Debug)]
pub struct LiveSet {
    token: Token,
    pub(super) set: RowSet,
}

impl LiveSet {
    /// Rows that met the condition and lived when it was made.
    #[must_use]
    pub fn len(&self) -> usize {
        self.set.len()
    }

    /// Whether there were none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }
}

/// A condition and what is known so far about which rows meet it. Keep it between searches: each looks at new rows only, and at rows of
/// chunks in which some have died since.
#[derive(Clone, Debug)]
pub struct LiveSelection {
    filter: Filter,
    token: Token,
    /// Of the rows that were looked at those that meet the condition and are not known to be dead. The sets of searches that are under way
    /// share it, and it is copied only if it changes before they are done.
    matched: alloc::sync::Arc<Bitmap>,
    /// What [`Store::ended`](super::rows::Store) said of each chunk when its dead were taken out of `matched`.
    ended: Vec<u32>,
    /// Pairs (node, exact duplicate behind it), and of how many duplicates they are all.
    pairs: (Vec<(u32, u32)>, Option<u32>),
    /// What was made of them, and of how many rows, changes and living rows.
    made: Option<(alloc::sync::Arc<LiveSet>, [u32; 3])>,
}

impl LiveSelection {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(filter: Filter) -> Self {
        let matched = alloc::sync::Arc::new(Bitmap::new(0));
        Self { filter, token: Token::default(), matched, ended: Vec::new(), pairs: (Vec::new(), Some(0)), made: None }
    }

    fn of(&mut self, shared: &Shared) -> Result<alloc::sync::Arc<LiveSet>, SelectError> {
        let token = &shared.schema.token;
        if !alloc::sync::Arc::ptr_eq(&self.token, token) {
            *self = Self { token: token.clone(), ..Self::new(self.filter.clone()) };
        }
        let now = [shared.store.len(), shared.changes(), shared.living() as u32];
        if let Some((set, _)) = self.made.as_ref().filter(|(_, of)| *of == now) {
            return Ok(set.clone());
        }
        // Its bits are ours alone again, unless a search has them.
        self.made = None;
        let rows = now[0];
        self.look(shared, rows)?;
        self.bury(shared, rows);
        let twins = shared.store.twins();
        if self.pairs.1 != Some(twins) {
            let (pairs, whole) = shared.pairs(rows);
            self.pairs = (pairs, whole.then_some(twins));
        }
        let pairs = self.pairs.0.iter().map(|&pair| Ok::<_, core::convert::Infallible>(pair));
        let Ok(set) = RowSet::new(self.matched.clone(), pairs, 0);
        let set = alloc::sync::Arc::new(LiveSet { token: token.clone(), set });
        self.made = Some((set.clone(), now));
        Ok(set)
    }

    /// Looks at the rows that are new.
    fn look(&mut self, shared: &Shared, rows: u32) -> Result<(), SelectError> {
        let filter = &self.filter;
        let asked = |name: &str| filter.columns().contains(&name);
        // Once at least, so that a condition that does not fit is refused where there are no rows.
        let mut first = self.matched.rows() as u32;
        if first > 0 && first >= rows {
            return Ok(());
        }
        loop {
            let end = rows.min(first.saturating_add(TOGETHER));
            let slots = Slots::of(shared, first..end, asked);
            let found = filter::select_unchecked(&slots.inputs(&shared.schema.columns), (end - first) as usize, filter)?;
            let matched = alloc::sync::Arc::make_mut(&mut self.matched);
            matched.grow(end as usize);
            found.iter().for_each(|row| matched.insert(first + row));
            first = end;
            if first >= rows {
                return Ok(());
            }
        }
    }

    /// Takes out the rows that have died.
    fn bury(&mut self, shared: &Shared, rows: u32) {
        let Self { matched, ended, .. } = self;
        for (chunk, (slots, now)) in shared.store.ended(rows).enumerate() {
            if ended.len() <= chunk {
                ended.push(0);
            }
            if ended[chunk] == now {
                continue;
            }
            let mut dying = false;
            for row in slots.filter(|&row| shared.store.is_deleted(row)) {
                if shared.store.lives(row, rows) {
                    // Until the row in its place is seen.
                    dying = true;
                } else if matched.contains(row) {
                    alloc::sync::Arc::make_mut(matched).remove(row);
                }
            }
            if !dying {
                ended[chunk] = now;
            }
        }
    }
}

impl Shared {
    /// Searches among a set of this state.
    fn search_set(
        &self,
        query: Query<'_>,
        params: &SearchParams,
        rows: &LiveSet,
        scratch: &mut Scratch,
        hits: &mut Vec<Hit>,
    ) -> Result<Stats, SearchError> {
        if !alloc::sync::Arc::ptr_eq(&rows.token, &self.schema.token) {
            return Err(SearchError::Parameter { parameter: "rows", must: "selected here, after the last compaction" });
        }
        self.search_where(query, params, &rows.set, scratch, hits)
    }

    /// Pairs (node, exact duplicate behind it) of the first `rows` rows, and whether no newer row hangs behind any.
    fn pairs(&self, rows: u32) -> (Vec<(u32, u32)>, bool) {
        let (mut pairs, mut whole) = (Vec::new(), true);
        // A node is an older row than those behind it.
        let mut behind = vec![false; rows as usize];
        for node in 0..rows {
            if behind[node as usize] {
                continue;
            }
            let mut next = self.store.twin(node);
            while let Some(twin) = next {
                match behind.get_mut(twin as usize) {
                    Some(behind) if !*behind => {
                        *behind = true;
                        pairs.push((node, twin));
                    }
                    None => whole = false,
                    Some(_) => break,
                }
                next = self.store.twin(twin);
            }
        }
        (pairs, whole)
    }
}

impl LiveReader {
    /// The rows that meet a condition, as of now: for [`LiveReader::search_where`], until the reader selects or searches again.
    ///
    /// Cost: a pass over the rows that are new to `selection`, for each column of the condition; and a bit for
    /// every row, where anything has changed.
    ///
    /// # Errors
    /// A condition that does not fit the columns.
    pub fn select(&mut self, selection: &mut LiveSelection) -> Result<alloc::sync::Arc<LiveSet>, SelectError> {
        if !self.current.is(&self.shared) {
            self.shared = self.current.take();
        }
        selection.of(&self.shared)
    }

    /// As [`LiveReader::search`], among the rows of a set: as many hits as are wanted, or all of them where they are fewer.
    ///
    /// # Errors
    /// As [`LiveReader::search`], and a set that this reader did not select last.
    pub fn search_where(
        &self,
        query: Query<'_>,
        params: &SearchParams,
        rows: &LiveSet,
        scratch: &mut Scratch,
        hits: &mut Vec<Hit>,
    ) -> Result<Stats, SearchError> {
        self.shared.search_set(query, params, rows, scratch, hits)
    }

    /// The columns, in the order of values.
    pub fn columns(&self) -> &[LiveColumn] {
        &self.shared.schema.columns
    }

    /// The values of a hit of the last search, one a column; empty where its row has none.
    pub fn values_of(&self, hit: &Hit) -> &[Option<Value>] {
        self.shared.store.values(hit.row)
    }
}
