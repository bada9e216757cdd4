//! A condition on columns, as a caller builds it or as its text is parsed: tests in postfix with `and`, `or`, `not`
//! behind them, so that nothing that reads it recurses.

use super::error::{FilterError, FilterFault};
use super::value::Value;
use alloc::string::String;
use alloc::vec::Vec;

/// Tests and connectives of a condition at most.
pub const OPS_MAX: usize = 4_096;
/// Intermediate results that evaluating it may hold at a time.
pub(crate) const DEPTH_MAX: usize = 64;
/// Values that all tests may name together.
pub(crate) const VALUES_MAX: usize = 65_536;

/// What a column's value is compared with. A row without a value passes [`Compare::Null`] alone.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is its name")]
pub enum Compare {
    Equal(Value),
    NotEqual(Value),
    Less(Value),
    AtMost(Value),
    Greater(Value),
    AtLeast(Value),
    /// From the first to the second, both included.
    Between(Value, Value),
    In(Vec<Value>),
    NotIn(Vec<Value>),
    Null,
    NotNull,
}

impl Compare {
    pub(crate) fn values(&self) -> &[Value] {
        match self {
            Self::Equal(value) | Self::NotEqual(value) | Self::Less(value) => core::slice::from_ref(value),
            Self::AtMost(value) | Self::Greater(value) | Self::AtLeast(value) => core::slice::from_ref(value),
            Self::In(values) | Self::NotIn(values) => values,
            Self::Between(..) | Self::Null | Self::NotNull => &[],
        }
    }

    fn count(&self) -> usize {
        if matches!(self, Self::Between(..)) { 2 } else { self.values().len() }
    }
}

/// One step of the evaluation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    Test(Test),
    And,
    Or,
    Not,
}

/// A comparison with one column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Test {
    pub(crate) column: String,
    /// The character of its text, from 1; `None` without text.
    pub(crate) at: Option<usize>,
    pub(crate) compare: Compare,
}

/// A condition on the columns of rows.
///
/// ```
/// use nearshore_core::filter::{Compare, Filter, Value};
/// let text = Filter::parse("price < 20 and not sold")?;
/// let built = Filter::test("price", Compare::Less(Value::I64(20))).and(Filter::test("sold", Compare::Equal(Value::Bool(true))).negate());
/// assert_eq!(text.to_string(), built.to_string());
/// # Ok::<(), nearshore_core::filter::FilterError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    pub(crate) ops: Vec<Op>,
}

impl Filter {
    /// Compares one column.
    #[must_use]
    pub fn test(column: impl Into<String>, compare: Compare) -> Self {
        Self { ops: alloc::vec![Op::Test(Test { column: column.into(), at: None, compare })] }
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.join(other, Op::And)
    }

    /// Either, or both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.join(other, Op::Or)
    }

    /// The opposite.
    #[must_use]
    pub fn negate(mut self) -> Self {
        self.ops.push(Op::Not);
        self
    }

    fn join(mut self, other: Self, op: Op) -> Self {
        self.ops.extend(other.ops);
        self.ops.push(op);
        self
    }

    /// The columns that it names, each once, in no order.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.tests().map(|test| test.column.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    pub(crate) fn tests(&self) -> impl Iterator<Item = &Test> {
        self.ops.iter().filter_map(|op| if let Op::Test(test) = op { Some(test) } else { None })
    }

    /// Checks the limits of what can be evaluated, as [`Filter::parse`] does and every selection.
    ///
    /// # Errors
    /// What there is too much of.
    pub fn validate(&self) -> Result<(), FilterError> {
        self.depth().map(|_| ())
    }

    /// Checks the limits; returns how many intermediate results there are at most at a time.
    pub(crate) fn depth(&self) -> Result<usize, FilterError> {
        let too_large = |what, limit| Err(FilterError { at: None, fault: FilterFault::TooLarge { what, limit } });
        if self.ops.len() > OPS_MAX {
            return too_large("conditions", OPS_MAX);
        }
        if self.tests().map(|test| test.compare.count()).sum::<usize>() > VALUES_MAX {
            return too_large("values", VALUES_MAX);
        }
        let (mut held, mut most) = (0usize, 0);
        for op in &self.ops {
            match op {
                Op::Test(_) => held += 1,
                Op::And | Op::Or => held -= 1,
                Op::Not => {}
            }
            most = held.max(most);
        }
        if most > DEPTH_MAX { too_large("conditions within conditions", DEPTH_MAX) } else { Ok(most) }
    }
}
