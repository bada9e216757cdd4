//! Filters: typed columns beside the rows, and which rows a condition on them selects.
//!
//! ```text
//! value    types of columns, numbers as keys that sort as they do     expr    a condition, in postfix
//! column   what a build is given, and what it makes of it             parse   its text form
//! bind     a condition with the columns of one file found             eval    its rows, 4,096 at a time
//! bitmap   rows as bits                                               set     the rows of a file that a search may return
//! show     the text form of a condition, written
//! ```
//! Every value has a key, an `i64` that sorts as the values do: an integer is its own, a float's is its bits in total
//! order, a string's is its place in the column's sorted dictionary. So whatever a condition compares, a test is one
//! range of keys, or a set of them, and one loop serves all types.
//!
//! Two truth values: a row without a value fails every comparison, and `not` turns around what it stands before, so
//! `not price < 20` holds where there is no price, `price >= 20` does not.

#[cfg(feature = "filter")]
mod bind;
mod bitmap;
#[cfg(feature = "filter")]
mod column;
#[cfg(feature = "filter")]
mod error;
#[cfg(feature = "filter")]
mod eval;
#[cfg(feature = "filter")]
mod expr;
#[cfg(feature = "filter")]
mod parse;
mod set;
#[cfg(feature = "filter")]
mod show;
#[cfg(feature = "filter")]
mod value;

#[cfg(test)]
mod tests;

#[cfg(all(feature = "filter", feature = "tiles"))]
pub(crate) use bind::columns_of;
#[cfg(feature = "filter")]
pub(crate) use bind::{BindError, Columns, Program};
pub(crate) use bitmap::Bitmap;
#[cfg(all(feature = "filter", feature = "live"))]
pub(crate) use column::select_unchecked;
#[cfg(feature = "filter")]
pub(crate) use column::{Coded, check, read_bits, word_keys};
#[cfg(feature = "filter")]
pub use column::{ColumnInput, Values, select};
#[cfg(feature = "filter")]
pub use error::{ColumnError, FilterError, FilterFault, SelectError};
#[cfg(feature = "filter")]
pub use expr::{Compare, Filter, OPS_MAX};
#[cfg(feature = "filter")]
pub use parse::TEXT_MAX;
pub use set::RowSet;
#[cfg(feature = "filter")]
pub(crate) use value::Keys;
#[cfg(feature = "filter")]
pub use value::{ColumnType, Value};

/// Columns of a file at most: with all their tables they leave room in the directory.
pub const COLUMNS_MAX: usize = crate::format::COLUMNS_MAX as usize;

/// Bytes of a column's name at most.
pub const NAME_MAX: usize = 96;
