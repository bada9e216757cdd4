//! Types and values, and the keys that stand for them.

use crate::format::COLUMN_WIDTHS;
use alloc::string::String;
use core::fmt;

/// Type of a column's values; its number is the `encoding` of the column's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ColumnType {
    /// Whole numbers from -2^63 to 2^63 - 1.
    I64 = 0,
    /// Finite floating-point numbers.
    F64 = 1,
    /// True or false.
    Bool = 2,
    /// UTF-8, in byte order.
    Text = 3,
}

impl ColumnType {
    /// All of them, by number.
    pub const ALL: [Self; 4] = [Self::I64, Self::F64, Self::Bool, Self::Text];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::I64 => "i64",
            Self::F64 => "f64",
            Self::Bool => "bool",
            Self::Text => "string",
        }
    }

    /// The number of bytes that a value has in its table, one of them.
    pub(crate) const fn widths(self) -> &'static [u64] {
        COLUMN_WIDTHS[self as usize]
    }

    /// The type with this number.
    pub(crate) fn of(encoding: u32) -> Option<Self> {
        Self::ALL.get(encoding as usize).copied()
    }

    /// What is added to a value that lies in `width` bytes: whole numbers in fewer than eight are counted from the column's smallest.
    pub(crate) const fn base(self, width: usize, smallest: u64) -> u64 {
        if matches!(self, Self::I64) && width < 8 { smallest } else { 0 }
    }

    /// The key of a value, given as its 64 bits.
    #[inline(always)]
    pub(crate) fn key(self, bits: u64) -> i64 {
        if self == Self::F64 { float_key(f64::from_bits(bits)) } else { bits.cast_signed() }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A value in a condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number.
    I64(i64),
    /// Another number.
    F64(f64),
    /// True or false.
    Bool(bool),
    /// Text.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::I64(value) => value.fmt(f),
            Self::F64(value) => write!(f, "{value:?}"),
            Self::Bool(value) => value.fmt(f),
            Self::Text(value) => write!(f, "{value:?}"),
        }
    }
}

/// A number whose order is IEEE 754's total order, which for numbers other than NaN and -0.0 is the usual one.
#[inline(always)]
pub(crate) fn float_key(value: f64) -> i64 {
    let bits = value.to_bits().cast_signed();
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

/// The keys of a column between two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    /// The smallest.
    pub(crate) low: i64,
    /// The largest; below `low` when there is none.
    pub(crate) high: i64,
}

impl Keys {
    pub(crate) const NONE: Self = Self { low: i64::MAX, high: i64::MIN };
    pub(crate) const ALL: Self = Self { low: i64::MIN, high: i64::MAX };

    /// Keys of at most, or of less than, `value`, in a column of numbers of type `kind`.
    pub(crate) fn up_to(kind: ColumnType, value: &Value, inclusive: bool) -> Option<Self> {
        // Whatever is not above is below.
        let above = Self::from(kind, value, !inclusive)?;
        let high = if above == Self::NONE { Some(i64::MAX) } else { above.low.checked_sub(1) };
        Some(high.map_or(Self::NONE, |high| Self { low: i64::MIN, high }))
    }

    /// Keys of at least, or of more than, `value`, in a column of numbers of type `kind`; `None` when one of them is no number.
    pub(crate) fn from(kind: ColumnType, value: &Value, inclusive: bool) -> Option<Self> {
        let low = match (kind, value) {
            (ColumnType::I64, &Value::I64(value)) => Some(if inclusive { Some(value) } else { value.checked_add(1) }),
            (ColumnType::I64, &Value::F64(value)) => Some(whole_above(value, inclusive)),
            (ColumnType::F64, &Value::F64(value)) => Some(after(value + 0.0, inclusive)),
            (ColumnType::F64, &Value::I64(value)) => {
                // The nearest float may be on either side of the number.
                let nearest = value as f64;
                let inclusive = match (nearest as i128).cmp(&i128::from(value)) {
                    core::cmp::Ordering::Less => false,
                    core::cmp::Ordering::Equal => inclusive,
                    core::cmp::Ordering::Greater => true,
                };
                Some(after(nearest, inclusive))
            }
            _ => None,
        }?;
        Some(low.map_or(Self::NONE, |low| Self { low, high: i64::MAX }))
    }

    /// Keys in both.
    pub(crate) fn and(self, other: Self) -> Self {
        let both = Self { low: self.low.max(other.low), high: self.high.min(other.high) };
        if both.low > both.high { Self::NONE } else { both }
    }
}

/// The key of `value`, or of the next float. (0.0 is the only zero in a column.)
fn after(value: f64, inclusive: bool) -> Option<i64> {
    let key = float_key(value);
    Some(if inclusive { key } else { key + 1 })
}

/// The smallest whole number of at least (more than) `value`; `None` when an `i64` is too small for it.
fn whole_above(value: f64, inclusive: bool) -> Option<i64> {
    const END: f64 = 9_223_372_036_854_775_808.0; // 2^63
    if value >= END {
        return None;
    }
    if value < -END {
        return Some(i64::MIN);
    }
    // A cast cuts towards zero; exact above, since floats beyond 2^53 are whole.
    let cut = value as i64;
    let (below, same) = (cut as f64 == value || value > 0.0, cut as f64 == value);
    match (below, same && inclusive) {
        (_, true) | (false, false) => Some(cut),
        (true, false) => cut.checked_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn floats() -> impl Strategy<Value = f64> {
        let special = [0.0, 1.5, -1.5, 1e300, -1e300, 9.3e18, -9.3e18, 9_007_199_254_740_993.0, f64::MIN_POSITIVE, -5e-324];
        prop_oneof![
            proptest::sample::select(special.to_vec()),
            (-100i32..100).prop_map(|n| f64::from(n) / 4.0),
            any::<i64>().prop_map(|n| n as f64)
        ]
    }

    fn wholes() -> impl Strategy<Value = i64> {
        let special = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX, (1 << 53) + 1, -(1 << 53) - 1];
        prop_oneof![proptest::sample::select(special.to_vec()), -30i64..30, any::<i64>()]
    }

    /// Compares two numbers of either type without rounding.
    fn exactly(a: &Value, b: &Value) -> core::cmp::Ordering {
        let wide = |value: &Value| match value {
            Value::I64(whole) => (i128::from(*whole), 0.0),
            // Beyond 2^100 the order among floats is not asked of this.
            Value::F64(float) => (float.floor().clamp(-1e30, 1e30) as i128, float - float.floor()),
            _ => (0, 0.0),
        };
        let ((a, a_rest), (b, b_rest)) = (wide(a), wide(b));
        a.cmp(&b).then(a_rest.total_cmp(&b_rest))
    }

    fn key(value: &Value) -> i64 {
        match value {
            Value::I64(whole) => *whole,
            Value::F64(float) => float_key(*float + 0.0),
            _ => 0,
        }
    }

    fn check(kind: ColumnType, row: &Value, bound: &Value) -> Result<(), TestCaseError> {
        let order = exactly(row, bound);
        let holds = |keys: Option<Keys>| keys.is_some_and(|keys| (keys.low..=keys.high).contains(&key(row)));
        prop_assert_eq!(holds(Keys::from(kind, bound, true)), order.is_ge(), "{} >= {}", row, bound);
        prop_assert_eq!(holds(Keys::from(kind, bound, false)), order.is_gt(), "{} > {}", row, bound);
        prop_assert_eq!(holds(Keys::up_to(kind, bound, true)), order.is_le(), "{} <= {}", row, bound);
        prop_assert_eq!(holds(Keys::up_to(kind, bound, false)), order.is_lt(), "{} < {}", row, bound);
        Ok(())
    }

    proptest! {
        #[test]
        fn numbers_of_two_types_compare_as_numbers(whole in wholes(), other in wholes(), float in floats(), second in floats()) {
            check(ColumnType::I64, &Value::I64(whole), &Value::I64(other))?;
            check(ColumnType::I64, &Value::I64(whole), &Value::F64(float))?;
            check(ColumnType::F64, &Value::F64(float), &Value::I64(whole))?;
            if float.abs() < 1e29 && second.abs() < 1e29 {
                check(ColumnType::F64, &Value::F64(float), &Value::F64(second))?;
            }
        }

        #[test]
        fn keys_of_floats_sort_as_floats(a in floats(), b in floats()) {
            prop_assert_eq!(float_key(a).cmp(&float_key(b)), a.total_cmp(&b));
        }
    }
}
