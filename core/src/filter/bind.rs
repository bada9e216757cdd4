//! A condition with the columns found, the types compared, and every value a key: what can be evaluated.

use super::error::{FilterError, FilterFault};
use super::expr::{Compare, Filter, Op, Test};
use super::value::{ColumnType, Keys, Value};
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Bound::{self, Excluded, Included, Unbounded};

/// Columns, wherever they are kept.
pub(crate) trait Columns {
    /// What can go wrong while reading (nothing, in memory).
    type Error;

    /// The column of that name.
    fn find(&self, name: &str) -> Result<Option<(usize, ColumnType)>, Self::Error>;

    /// All names, for messages.
    fn names(&self) -> Result<Vec<String>, Self::Error>;

    /// The keys of the texts between two.
    fn texts(&self, column: usize, low: Bound<&str>, high: Bound<&str>) -> Result<Keys, Self::Error>;

    /// The keys of the rows from `first` on; whatever they are where a row has no value.
    fn keys(&self, column: usize, first: u32, out: &mut [i64]) -> Result<(), Self::Error>;

    /// Bits of the rows from `first` on, a multiple of 64, that have no value; those beyond the last row are of no account.
    fn nulls(&self, column: usize, first: u32, out: &mut [u64]) -> Result<(), Self::Error>;
}

/// Why there is no program.
#[derive(Debug)]
pub(crate) enum BindError<E> {
    Filter(FilterError),
    Columns(E),
}

impl<E> From<FilterError> for BindError<E> {
    fn from(error: FilterError) -> Self {
        Self::Filter(error)
    }
}

/// A condition that can be evaluated over one file's columns.
#[derive(Debug)]
pub(crate) struct Program {
    pub(super) steps: Vec<Step>,
    pub(super) depth: usize,
}

#[derive(Debug)]
pub(super) enum Step {
    Test { column: usize, passes: Passes },
    And,
    Or,
    Not,
}

/// What passes a test. Only rows with a value do, but for [`Passes::Null`].
#[derive(Debug, PartialEq)]
pub(super) enum Passes {
    /// Keys in the range (or, where `outside`, all others).
    Range { keys: Keys, outside: bool },
    /// Keys among these, which ascend (or all others).
    Set { keys: Vec<i64>, outside: bool },
    /// Rows without a value (or with one).
    Null { outside: bool },
}

impl Program {
    /// Finds the columns of `filter` among `columns`.
    pub(crate) fn bind<C: Columns + ?Sized>(filter: &Filter, columns: &C) -> Result<Self, BindError<C::Error>> {
        let depth = filter.depth()?;
        let mut steps = Vec::with_capacity(filter.ops.len());
        for op in &filter.ops {
            steps.push(match op {
                Op::And => Step::And,
                Op::Or => Step::Or,
                Op::Not => Step::Not,
                Op::Test(test) => bind_test(test, columns)?,
            });
        }
        Ok(Self { steps, depth })
    }
}

/// The columns that a condition names, each once, in no order of meaning.
#[cfg(feature = "tiles")]
pub(crate) fn columns_of<C: Columns + ?Sized>(filter: &Filter, columns: &C) -> Result<Vec<usize>, BindError<C::Error>> {
    let mut found = filter.tests().map(|test| find(test, columns).map(|(column, _)| column)).collect::<Result<Vec<_>, _>>()?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn find<C: Columns + ?Sized>(test: &Test, columns: &C) -> Result<(usize, ColumnType), BindError<C::Error>> {
    if let Some(found) = columns.find(&test.column).map_err(BindError::Columns)? {
        return Ok(found);
    }
    let known = columns.names().map_err(BindError::Columns)?;
    let fault = FilterFault::UnknownColumn { column: test.column.clone(), known };
    Err(FilterError { at: test.at, fault }.into())
}

fn bind_test<C: Columns + ?Sized>(test: &Test, columns: &C) -> Result<Step, BindError<C::Error>> {
    let (column, kind) = find(test, columns)?;
    let binder = Binder { test, columns, column, kind };
    let passes = match &test.compare {
        Compare::Null => Passes::Null { outside: false },
        Compare::NotNull => Passes::Null { outside: true },
        Compare::In(values) => Passes::Set { keys: binder.set(values)?, outside: false },
        Compare::NotIn(values) => Passes::Set { keys: binder.set(values)?, outside: true },
        Compare::Equal(value) => binder.range(Included(value), Included(value), false)?,
        Compare::NotEqual(value) => binder.range(Included(value), Included(value), true)?,
        Compare::Less(value) => binder.range(Unbounded, Excluded(value), false)?,
        Compare::AtMost(value) => binder.range(Unbounded, Included(value), false)?,
        Compare::Greater(value) => binder.range(Excluded(value), Unbounded, false)?,
        Compare::AtLeast(value) => binder.range(Included(value), Unbounded, false)?,
        Compare::Between(low, high) => binder.range(Included(low), Included(high), false)?,
    };
    Ok(Step::Test { column, passes })
}

struct Binder<'a, C: ?Sized> {
    test: &'a Test,
    columns: &'a C,
    column: usize,
    kind: ColumnType,
}

impl<C: Columns + ?Sized> Binder<'_, C> {
    fn range(&self, low: Bound<&Value>, high: Bound<&Value>, outside: bool) -> Result<Passes, BindError<C::Error>> {
        Ok(Passes::Range { keys: self.keys(low, high)?, outside })
    }

    /// The keys between two values.
    fn keys(&self, low: Bound<&Value>, high: Bound<&Value>) -> Result<Keys, BindError<C::Error>> {
        match self.kind {
            ColumnType::Text => {
                let (low, high) = (self.text(low)?, self.text(high)?);
                self.columns.texts(self.column, low, high).map_err(BindError::Columns)
            }
            ColumnType::Bool => {
                let (Included(&Value::Bool(value)), Included(_)) = (low, high) else {
                    return Err(self.wrong(low, high, "= or != with true or false").into());
                };
                let key = i64::from(value);
                Ok(Keys { low: key, high: key })
            }
            ColumnType::I64 | ColumnType::F64 => {
                let number = |value: &Value, keys: Option<Keys>| match value {
                    Value::F64(float) if !float.is_finite() => Err(self.wrong(Included(value), Unbounded, "a finite number")),
                    _ => keys.ok_or_else(|| self.wrong(Included(value), Unbounded, "a number")),
                };
                let from = match low {
                    Included(value) => number(value, Keys::from(self.kind, value, true))?,
                    Excluded(value) => number(value, Keys::from(self.kind, value, false))?,
                    Unbounded => Keys::ALL,
                };
                let up_to = match high {
                    Included(value) => number(value, Keys::up_to(self.kind, value, true))?,
                    Excluded(value) => number(value, Keys::up_to(self.kind, value, false))?,
                    Unbounded => Keys::ALL,
                };
                Ok(from.and(up_to))
            }
        }
    }

    /// The keys of values, each once.
    fn set(&self, values: &[Value]) -> Result<Vec<i64>, BindError<C::Error>> {
        let mut keys = Vec::with_capacity(values.len());
        for value in values {
            let one = self.keys(Included(value), Included(value))?;
            // A value has one key, or none where no row can have it.
            keys.extend((one.low == one.high).then_some(one.low));
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    fn text<'v>(&self, value: Bound<&'v Value>) -> Result<Bound<&'v str>, FilterError> {
        let text = |value: &'v Value| match value {
            Value::Text(text) => Ok(text.as_str()),
            _ => Err(self.wrong(Included(value), Unbounded, "\"text\" in quotes")),
        };
        Ok(match value {
            Included(value) => Included(text(value)?),
            Excluded(value) => Excluded(text(value)?),
            Unbounded => Unbounded,
        })
    }

    fn wrong(&self, low: Bound<&Value>, high: Bound<&Value>, wanted: &'static str) -> FilterError {
        let found = match (low, high) {
            (Included(value) | Excluded(value), _) | (_, Included(value) | Excluded(value)) => alloc::format!("{value}"),
            _ => String::new(),
        };
        let fault = FilterFault::Type { column: self.test.column.clone(), is: self.kind, wanted, found };
        FilterError { at: self.test.at, fault }
    }
}
