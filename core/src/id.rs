//! Numbers that name things, and their limits.
//!
//! A **row** is the position of a vector in a file: dense, `0..rows`, a `u32`. A **user id** is what the user called it:
//! any `u64`. The two never mix: graphs and tables speak rows, doors speak user ids, and a record carries the second
//! beside the first.

/// "No row": the value of an unused edge slot. Never a row, because a file holds at most [`ROWS_MAX`] of them.
pub const NONE: u32 = u32::MAX;

/// The most rows of one file: 2^32 - 2, so that [`NONE`] and a row count both fit a `u32`.
pub const ROWS_MAX: u64 = u32::MAX as u64 - 1;

/// The most dimensions of a vector. The exact i32 sum of u8 products would overflow beyond 33,025.
pub const DIMENSIONS_MAX: u32 = 32_768;
