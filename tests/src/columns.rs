//! Values for filters by formula, of every type, and what they are row by row.

use nearshore_core::filter::{ColumnInput, Values};
use nearshore_core::vectors::Payloads;

/// Words of the column `word`; by bytes the order is another than by length.
pub const WORDS: [&str; 6] = ["", "a", "ab", "b", "caf\u{e9}", "z\"'\\z"];

/// Columns `n` (i64), `x` (f64), `flag` (bool), `word` (string), and `full` (i64, a value in every row).
#[derive(Debug)]
pub struct Columns {
    n: Vec<i64>,
    x: Vec<f64>,
    flag: Vec<u8>,
    words: Vec<u8>,
    ends: Vec<u64>,
    full: Vec<i64>,
    nulls: [Vec<u8>; 4],
}

/// The value of `n` in a row: small, large, or none.
#[must_use]
pub fn n(row: usize) -> Option<i64> {
    match row % 7 {
        0 => None,
        1 => Some(i64::MIN + row as i64),
        2 => Some(i64::MAX - row as i64),
        _ => Some(row as i64 * 37 % 50 - 25),
    }
}

/// The value of `x` in a row: quarters, and a zero that was negative.
#[must_use]
pub fn x(row: usize) -> Option<f64> {
    match row % 5 {
        0 => None,
        1 => Some(-0.0),
        _ => Some((row as f64 * 13.0 % 40.0 - 20.0) / 4.0),
    }
}

/// The value of `flag` in a row.
#[must_use]
pub fn flag(row: usize) -> Option<bool> {
    (!row.is_multiple_of(3)).then_some(row.is_multiple_of(2))
}

/// The value of `word` in a row.
#[must_use]
pub fn word(row: usize) -> Option<&'static str> {
    (row % 11 != 4).then_some(WORDS[row * 5 % 6])
}

impl Columns {
    /// Those of `rows` rows.
    #[must_use]
    pub fn new(rows: usize) -> Self {
        let nulls = |none: &dyn Fn(usize) -> bool| {
            let mut bytes = vec![0u8; rows.div_ceil(8)];
            (0..rows).filter(|&row| none(row)).for_each(|row| bytes[row / 8] |= 1 << (row % 8));
            bytes
        };
        let (mut words, mut ends) = (Vec::new(), Vec::new());
        for row in 0..rows {
            words.extend_from_slice(word(row).unwrap_or("never read").as_bytes());
            ends.push(words.len() as u64);
        }
        Self {
            n: (0..rows).map(|row| n(row).unwrap_or(77)).collect(),
            x: (0..rows).map(|row| x(row).unwrap_or(f64::NAN)).collect(),
            flag: (0..rows).map(|row| flag(row).map_or(9, u8::from)).collect(),
            words,
            ends,
            full: (0..rows).map(|row| row as i64).collect(),
            nulls: [
                nulls(&|row| n(row).is_none()),
                nulls(&|row| x(row).is_none()),
                nulls(&|row| flag(row).is_none()),
                nulls(&|row| word(row).is_none()),
            ],
        }
    }

    /// As a build takes them.
    ///
    /// # Panics
    /// When the words do not end where they should.
    #[must_use]
    pub fn inputs(&self) -> Vec<ColumnInput<'_>> {
        let words = Payloads::new(&self.words, &self.ends).expect("words end to end");
        let values = [Values::I64(&self.n), Values::F64(&self.x), Values::Bool(&self.flag), Values::Text(words)];
        let named = ["n", "x", "flag", "word"].into_iter().zip(values).zip(&self.nulls);
        let mut columns: Vec<ColumnInput<'_>> =
            named.map(|((name, values), nulls)| ColumnInput { name, values, nulls: Some(nulls) }).collect();
        columns.push(ColumnInput { name: "full", values: Values::I64(&self.full), nulls: None });
        columns
    }
}
