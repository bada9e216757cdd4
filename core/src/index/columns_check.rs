//! The check of a file's columns: every value in its type, every statistic true, every dictionary in order.

use super::Index;
use super::columns::{Stored, stored, u64_at};
use super::filtered::twins;
use super::view::{RecordView, corrupt, corrupt_row, word};
use crate::error::Corrupt;
use crate::filter::ColumnType;
use crate::format::{Kind, Section};
use crate::quant::record::DUPLICATE_FOLLOWS;
use alloc::vec::Vec;

impl<B: AsRef<[u8]>> Index<B> {
    pub(super) fn check_columns(&self, records: &RecordView<'_>) -> Result<(), Corrupt> {
        let columns = stored(&self.reader)?;
        if let Some(table) = self.reader.section(Kind::Columns, 0) {
            self.check_twins(records, &table)?;
            for (row, column) in (0..).zip(&columns) {
                let bytes = table.row(row)?;
                let bad = |what| Err(corrupt_row(&table, row, what));
                if word(bytes, 1) != Some(0) || bytes[32 + column.name.len()..].iter().any(|&byte| byte != 0) {
                    return bad("bytes beside its fields are not zero");
                }
                if columns[..row as usize].iter().any(|other| other.name == column.name) {
                    return bad("two columns of one name");
                }
                if column.check(self.len() as u32)? != column.says {
                    return bad("another number of rows without a value, or another smallest or largest one, than it says");
                }
            }
        }
        let of_columns = [Kind::Column, Kind::ColumnNulls, Kind::ColumnEnds, Kind::ColumnText].map(|kind| kind as u16);
        let stray = self.reader.sections().find(|section| {
            let table = section.table();
            of_columns.contains(&table.kind) && table.instance as usize >= columns.len()
        });
        stray.map_or(Ok(()), |section| Err(corrupt(&section, 0, "a column that `columns` does not describe")))
    }

    /// `dup_of` says what the flags of the records say.
    fn check_twins(&self, records: &RecordView<'_>, table: &Section<'_>) -> Result<(), Corrupt> {
        let mut pairs = twins(&self.reader);
        let (mut node, mut follows) = (0, false);
        for row in 0..self.len() as u32 {
            if !follows {
                node = row;
            } else if pairs.next().transpose()? != Some((node, row)) {
                return Err(corrupt(table, 0, "columns without a pair in `dup_of` for every duplicate"));
            }
            follows = records.space.layout.factors(records.record(row)?).flags & DUPLICATE_FOLLOWS != 0;
        }
        match (pairs.next().transpose()?, self.reader.section(Kind::DupOf, 0)) {
            (Some(_), Some(section)) => Err(corrupt(&section, 0, "a pair of rows that are no duplicates")),
            _ => Ok(()),
        }
    }
}

impl Stored<'_> {
    /// Checks every value; returns what `columns` should say: rows without one, smallest, largest.
    fn check(&self, rows: u32) -> Result<[u64; 3], Corrupt> {
        let words = self.check_words()?;
        let (mut nulls, mut range) = (0, None::<[(i64, u64); 2]>);
        for row in 0..rows {
            let bytes = self.values.row(row)?;
            let bad = |what| Err(corrupt_row(&self.values, row, what));
            let is_null = match &self.nulls {
                Some(blob) => blob.row(row / 8)?.first().is_some_and(|byte| byte >> (row % 8) & 1 == 1),
                None => false,
            };
            if is_null {
                if bytes.iter().any(|&byte| byte != 0) {
                    return bad("a value in a row without one");
                }
                nulls += 1;
                continue;
            }
            let bits = self.bits(bytes);
            let float = f64::from_bits(bits);
            match self.kind {
                ColumnType::F64 if !float.is_finite() || bits == (-0.0f64).to_bits() => return bad("not a finite number, or -0.0"),
                ColumnType::Bool if bits > 1 => return bad("neither true nor false"),
                ColumnType::Text if bits >= words => return bad("a word beyond its dictionary"),
                _ => {}
            }
            let one = (self.kind.key(bits), bits);
            let [low, high] = range.unwrap_or([one, one]);
            range = Some([low.min(one), high.max(one)]);
        }
        if let Some(blob) = self.nulls {
            let last = blob.rows().checked_sub(1).and_then(|last| u32::try_from(last).ok());
            let spare = match last.filter(|_| !rows.is_multiple_of(8)) {
                Some(last) => blob.row(last)?.first().map_or(0, |byte| byte >> (rows % 8)),
                None => 0,
            };
            if spare != 0 || nulls == 0 {
                return Err(corrupt(&blob, 0, "bits beyond the last row, or none at all"));
            }
        }
        let [low, high] = range.filter(|_| self.kind != ColumnType::Text).unwrap_or_default();
        Ok([nulls, low.1, high.1])
    }

    /// Checks the dictionary; returns how many words it has.
    fn check_words(&self) -> Result<u64, Corrupt> {
        let Some((ends, text)) = &self.words else { return Ok(0) };
        let (mut last, mut word) = (None::<Vec<u8>>, Vec::new());
        for index in 0..ends.rows() as u32 {
            self.word(index, &mut word)?;
            if last.as_ref().is_some_and(|last| *last >= word) || core::str::from_utf8(&word).is_err() {
                return Err(corrupt_row(ends, index, "words out of order, or not UTF-8"));
            }
            last = Some(core::mem::take(&mut word));
        }
        let end = match ends.rows().checked_sub(1) {
            Some(last) => u64_at(ends.row(last as u32)?, 0),
            None => 0,
        };
        if end == text.rows() { Ok(ends.rows()) } else { Err(corrupt(text, 0, "text behind the last word")) }
    }
}
