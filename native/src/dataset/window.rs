//! Some consecutive rows of a dataset, as a build takes them.

use std::borrow::Cow;
use std::ops::Range;

use nearshore_core::build::Input;
use nearshore_core::filter::{ColumnInput, Values};
use nearshore_core::vectors::{Payloads, Vectors};

use super::{Dataset, Layout};

/// Rows of a [`Dataset`] with what belongs to them. Vectors lie where they are; numbers that are counted from the first row (ids that rows do not
/// bring along, ends of payloads and texts) are made anew: at most 8 bytes a row each.
#[derive(Debug)]
pub struct Window<'a> {
    vectors: Vectors<'a>,
    ids: Option<Cow<'a, [u64]>>,
    payloads: Option<Texts<'a>>,
    columns: Vec<Column<'a>>,
}

/// Payloads whose ends count from the window's first.
#[derive(Debug)]
struct Texts<'a> {
    bytes: &'a [u8],
    ends: Vec<u64>,
}

#[derive(Debug)]
struct Column<'a> {
    name: &'a str,
    values: Cut<'a>,
    nulls: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Cut<'a> {
    Numbers(Values<'a>),
    Texts(Texts<'a>),
}

impl<'a> Texts<'a> {
    fn cut(all: Payloads<'a>, rows: &Range<usize>) -> Self {
        let start = if rows.start == 0 { 0 } else { all.ends()[rows.start - 1] };
        let ends: Vec<u64> = all.ends()[rows.clone()].iter().map(|end| end - start).collect();
        let bytes = &all.bytes()[start as usize..(start + ends.last().copied().unwrap_or(0)) as usize];
        Self { bytes, ends }
    }

    fn payloads(&self) -> Option<Payloads<'_>> {
        Payloads::new(self.bytes, &self.ends)
    }
}

impl<'a> Column<'a> {
    fn cut(all: &ColumnInput<'a>, rows: &Range<usize>) -> Self {
        let values = match all.values {
            Values::I64(values) => Cut::Numbers(Values::I64(&values[rows.clone()])),
            Values::F64(values) => Cut::Numbers(Values::F64(&values[rows.clone()])),
            Values::Bool(values) => Cut::Numbers(Values::Bool(&values[rows.clone()])),
            Values::Text(texts) => Cut::Texts(Texts::cut(texts, rows)),
        };
        let bits = |nulls: &[u8]| {
            let mut cut = vec![0; rows.len().div_ceil(8)];
            for (place, row) in rows.clone().enumerate() {
                cut[place / 8] |= (nulls[row / 8] >> (row % 8) & 1) << (place % 8);
            }
            cut
        };
        Self { name: all.name, values, nulls: all.nulls.map(bits) }
    }

    fn input(&self) -> ColumnInput<'_> {
        let values = match &self.values {
            Cut::Numbers(values) => *values,
            Cut::Texts(texts) => texts.payloads().map_or(Values::I64(&[]), Values::Text),
        };
        ColumnInput { name: self.name, values, nulls: self.nulls.as_deref() }
    }
}

impl Dataset {
    /// The rows `rows`, which must be some that it has. Those without ids have their numbers in the whole.
    #[must_use]
    pub fn window(&self, rows: Range<usize>) -> Window<'_> {
        let Layout { start, element, dimensions, stride, .. } = self.layout;
        let data = self.bytes.as_ref().get(start + rows.start * stride..).unwrap_or_default();
        let vectors = Vectors::new(element, dimensions, rows.len(), stride, data);
        let ids = match self.ids() {
            Some(ids) => Some(Cow::Borrowed(&ids[rows.clone()])),
            None => (rows.start > 0).then(|| (rows.start as u64..rows.end as u64).collect()),
        };
        Window {
            vectors: vectors.unwrap_or_else(|| self.vectors()),
            ids,
            payloads: self.payloads().map(|payloads| Texts::cut(payloads, &rows)),
            columns: self.columns().iter().map(|column| Column::cut(column, &rows)).collect(),
        }
    }
}

impl Window<'_> {
    /// What a build reads.
    #[must_use]
    pub fn input(&self) -> Input<'_> {
        Input { vectors: self.vectors, ids: self.ids.as_deref(), payloads: self.payloads.as_ref().and_then(Texts::payloads) }
    }

    /// The columns that came with the rows.
    #[must_use]
    pub fn columns(&self) -> Vec<ColumnInput<'_>> {
        self.columns.iter().map(Column::input).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::dataset::{ColumnChoice, Options};

    fn opened(folder: &tempfile::TempDir, with_ids: bool) -> Dataset {
        let path: PathBuf = folder.path().join("x.jsonl");
        let line = |row: u64| {
            let id = if with_ids { format!(", \"id\": {}", 1000 - row) } else { String::new() };
            let year = if row.is_multiple_of(3) { "null".to_owned() } else { row.to_string() };
            format!(
                "{{\"vector\": [{row}, 1]{id}, \"t\": \"{}\", \"year\": {year}, \"word\": \"w{}\", \"odd\": {}}}\n",
                "x".repeat(row as usize),
                row % 4,
                row % 2 == 1
            )
        };
        std::fs::write(&path, (0..30).map(line).collect::<String>()).unwrap();
        let options = Options { payload: Some("t"), columns: Some(ColumnChoice::All), ..Options::default() };
        Dataset::open(&path, &options).unwrap()
    }

    #[test]
    fn a_window_has_its_rows_and_what_belongs_to_them() {
        let folder = tempfile::tempdir().unwrap();
        for with_ids in [true, false] {
            let data = opened(&folder, with_ids);
            for rows in [0..30, 0..1, 0..11, 11..30, 13..14, 29..30] {
                let window = data.window(rows.clone());
                let input = window.input();
                assert_eq!(input.vectors.rows(), rows.len());
                assert_eq!((input.ids.is_some(), input.payloads.unwrap().rows()), (with_ids || rows.start > 0, rows.len()));
                let mut columns = window.columns();
                columns.sort_by_key(|column| column.name);
                assert_eq!(columns.iter().map(|column| column.name).collect::<Vec<_>>(), ["odd", "word", "year"]);
                for (place, row) in rows.enumerate() {
                    assert_eq!(input.vectors.row(place), data.vectors().row(row));
                    assert_eq!(input.ids.map_or(place as u64, |ids| ids[place]), if with_ids { 1000 - row as u64 } else { row as u64 });
                    assert_eq!(input.payloads.unwrap().row(place).len(), row);
                    let none = |column: &ColumnInput<'_>| column.nulls.is_some_and(|nulls| nulls[place / 8] >> (place % 8) & 1 == 1);
                    assert_eq!(columns.iter().map(none).collect::<Vec<_>>(), [false, false, row.is_multiple_of(3)]);
                    match [columns[0].values, columns[1].values, columns[2].values] {
                        [Values::Bool(odd), Values::Text(words), Values::I64(years)] => {
                            assert_eq!((odd[place], words.row(place)), ((row % 2) as u8, format!("w{}", row % 4).as_bytes()));
                            assert!(row.is_multiple_of(3) || years[place] == row as i64);
                        }
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
    }
}
