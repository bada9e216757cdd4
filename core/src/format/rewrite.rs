//! A file written anew with another table in the place of one: how a tuned quality table gets into a file.
//!
//! The build id of a file seeds every check in it, and another table makes another build id; so every block is read,
//! checked, and sealed anew. The bytes of all other rows stay what they were, and so does what the directory says of
//! their tables, those of kinds that this version does not know included; only places may move. A damaged block ends
//! the copy: sealing it would make damage look sound.

use super::hash::{self, Digest};
use super::header::Header;
use super::raw::HEADER_BYTES;
use super::reader::Reader;
use super::section::Section;
use super::spec::TableSpec;
use super::table::{ALIGN_COLD, ALIGN_HOT, HOT, Table};
use super::writer::{Sink, Writer};
use crate::error::{BadField, Corrupt, WriteError};
use alloc::vec::Vec;
use core::fmt;

/// Why a file was not written anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RewriteError<E> {
    /// The file that was read is damaged.
    Corrupt(Corrupt),
    /// The new one could not be written.
    Write(WriteError<E>),
}

impl<E: fmt::Display> fmt::Display for RewriteError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(corrupt) => corrupt.fmt(f),
            Self::Write(error) => error.fmt(f),
        }
    }
}

impl<E: core::error::Error> core::error::Error for RewriteError<E> {}

impl<E> From<WriteError<E>> for RewriteError<E> {
    fn from(error: WriteError<E>) -> Self {
        Self::Write(error)
    }
}

impl<B: AsRef<[u8]>> Reader<B> {
    /// Writes this file to `sink` with the table `spec`, whose rows are `rows`, in the place of the one of its kind and
    /// instance; where there is none, behind the last hot table. Returns the sink and the new header; its build id is a
    /// hash of the old one and of the table. The same file and table give the same bytes.
    ///
    /// `progress` hears of bytes done and bytes in all, about once a MiB. Cost: one pass over the file.
    ///
    /// # Errors
    /// A damaged block, a table that breaks a rule of the format, rows that do not fill it, or the sink's own error.
    pub fn rewrite<S: Sink>(
        &self,
        spec: &TableSpec,
        rows: &[u8],
        sink: S,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(S, Header), RewriteError<S::Error>> {
        let (section, room, given) = (spec.kind as u16, spec.rows.saturating_mul(spec.stride.into()), rows.len() as u64);
        if given < room {
            return Err(WriteError::MissingBytes { section, missing: room - given }.into());
        }
        if given > room {
            return Err(WriteError::TooManyBytes { section, room, given }.into());
        }
        let header = self.header_with(spec, rows).map_err(WriteError::Spec)?;
        let total = header.superblock.file_bytes;
        let mut writer = Writer::with_header(sink, header)?;
        let (mut done, mut said) = (0, 0);
        let tables: Vec<Table> = writer.header().tables.clone();
        for table in &tables {
            if is_of(table, spec) {
                writer.rows(rows)?;
                continue;
            }
            let old = self.sections().find(|old| (old.table().kind, old.table().instance) == (table.kind, table.instance));
            let Some(old) = old else { continue };
            copy(&old, |bytes| {
                writer.rows(bytes)?;
                done += bytes.len() as u64;
                if done - said >= 1 << 20 {
                    progress(done, total);
                    said = done;
                }
                Ok(())
            })?;
        }
        let written = writer.finish()?;
        progress(total, total);
        Ok(written)
    }

    /// The header of the new file: its tables moved up behind one another, digests still the old ones.
    fn header_with(&self, spec: &TableSpec, rows: &[u8]) -> Result<Header, BadField> {
        let mut header = self.header().clone();
        let table = spec.place(HEADER_BYTES as u64)?;
        match header.tables.iter_mut().find(|old| is_of(old, spec)) {
            // Where it lies says whether it is hot: all hot tables stand together.
            Some(old) => *old = Table { flags: table.flags & !HOT | old.flags & HOT, ..table },
            None => {
                let hot = header.tables.iter().rposition(Table::is_hot).map_or(0, |last| last + 1);
                header.tables.insert(hot, table);
            }
        }
        let (mut end, mut hot) = (HEADER_BYTES as u64, None);
        for table in &mut header.tables {
            table.offset = end.next_multiple_of(if table.is_hot() { ALIGN_HOT } else { ALIGN_COLD });
            end = table.end();
            if table.is_hot() {
                hot = Some((hot.map_or(table.offset, |(start, _)| start), end));
            }
        }
        let superblock = &mut header.superblock;
        superblock.hot = hot.map_or((HEADER_BYTES as u64, 0), |(start, end)| (start, end - start));
        superblock.file_bytes = end;
        let place = [u32::from(spec.kind as u16), spec.instance, spec.stride].map(u32::to_le_bytes);
        superblock.build_id = hash::build_id(&[&superblock.build_id.to_le_bytes(), place.as_flattened(), rows]);
        Ok(header)
    }
}

fn is_of(table: &Table, spec: &TableSpec) -> bool {
    table.kind == spec.kind as u16 && table.instance == spec.instance
}

/// Hands the rows of every block to `write`, once the block is checked.
fn copy<E>(section: &Section<'_>, mut write: impl FnMut(&[u8]) -> Result<(), RewriteError<E>>) -> Result<(), RewriteError<E>> {
    let (table, mut digest) = (section.table(), Digest::new());
    for block in 0..table.blocks() {
        let (bytes, check) = section.check_block(block).map_err(RewriteError::Corrupt)?;
        digest.update(&check.to_le_bytes());
        let rows = usize::try_from(table.row_bytes(block)).unwrap_or(usize::MAX);
        write(bytes.get(..rows).unwrap_or(bytes))?;
    }
    if digest.finish() == table.digest {
        return Ok(());
    }
    Err(RewriteError::Corrupt(section.corrupt_block(0, "the digest does not match the blocks")))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "tests may panic")]
mod tests {
    use super::super::tests::{spec, tables, write};
    use super::super::{Kind, Superblock};
    use super::*;
    use alloc::vec;

    /// As `rewrite` with a table of `count` rows of quality; the file is whole.
    fn rewritten(file: &[u8], count: u64) -> Vec<u8> {
        let reader = Reader::open(file).expect("a sound file");
        let table = TableSpec::table(Kind::Quality, count, 48).hot();
        let rows = vec![9; count as usize * 48];
        let (bytes, _) = reader.rewrite(&table, &rows, Vec::new(), &mut |_, _| {}).expect("a sound file");
        let new = Reader::open(bytes).expect("a file that opens");
        new.verify(&mut |_, _| {}).expect("a whole file");
        new.into_inner()
    }

    #[test]
    fn all_but_one_table_stays_as_it_was() {
        for left_out in [None, Some(1)] {
            let mut tables = tables();
            if let Some(at) = left_out {
                tables.remove(at);
            }
            let file = write(&spec(11), &tables, usize::MAX);
            let old = Reader::open(&*file).expect("a sound file");
            for count in [0, 1, 3, 900] {
                let bytes = rewritten(&file, count);
                let new = Reader::open(&*bytes).expect("a sound file");
                let quality = new.section(Kind::Quality, 0).expect("the table");
                assert_eq!((quality.rows(), quality.table().is_hot()), (count, true));
                assert!((0..count as u32).all(|row| quality.row(row) == Ok(&[9; 48][..])));
                let others = || new.sections().filter(|section| section.table().kind != Kind::Quality as u16);
                let kept = || old.sections().filter(|section| section.table().kind != Kind::Quality as u16);
                assert_eq!(others().count(), kept().count());
                for (a, b) in kept().zip(others()) {
                    assert_eq!(Table { offset: 0, digest: 0, ..*a.table() }, Table { offset: 0, digest: 0, ..*b.table() });
                    assert!((0..a.rows() as u32).all(|row| a.row(row) == b.row(row)));
                }
                let facts = |reader: &Reader<&[u8]>| Superblock {
                    build_id: 0,
                    identity: [0; 16],
                    file_bytes: 0,
                    hot: (0, 0),
                    ..reader.header().superblock
                };
                assert_eq!(facts(&old), facts(&new));
                assert_ne!(old.header().superblock.build_id, new.header().superblock.build_id);
                assert_ne!(old.header().superblock.identity, new.header().superblock.identity);
                assert_eq!(bytes, rewritten(&file, count), "the same bytes again");
            }
        }
    }

    #[test]
    fn a_table_among_cold_ones_stays_cold() {
        let mut tables = tables();
        let (mut quality, rows) = tables.remove(1);
        quality.hot = false;
        tables.push((quality, rows));
        let file = write(&spec(11), &tables, usize::MAX);
        let new = Reader::open(rewritten(&file, 5)).expect("a sound file");
        let quality = new.section(Kind::Quality, 0).expect("the table");
        assert_eq!((quality.rows(), quality.table().is_hot()), (5, false));
    }

    #[test]
    fn damage_is_not_sealed_and_a_wrong_table_is_refused() {
        let mut file = write(&spec(11), &tables(), usize::MAX);
        let table = TableSpec::table(Kind::Quality, 1, 48).hot();
        let reader = Reader::open(&*file).expect("a sound file");
        let few = reader.rewrite(&table, &[0; 47], Vec::new(), &mut |_, _| {});
        assert!(matches!(few, Err(RewriteError::Write(WriteError::MissingBytes { section: 17, missing: 1 }))), "{few:?}");
        let short = TableSpec { stride: 40, ..table };
        let short = reader.rewrite(&short, &[0; 40], Vec::new(), &mut |_, _| {});
        assert!(matches!(short, Err(RewriteError::Write(WriteError::Spec(bad))) if bad.field == "stride"), "{short:?}");
        let last = file.len() - 100;
        file[last] ^= 1;
        let damaged = Reader::open(&*file).expect("a sound header").rewrite(&table, &[0; 48], Vec::new(), &mut |_, _| {});
        assert!(matches!(damaged, Err(RewriteError::Corrupt(corrupt)) if corrupt.section == 19), "{damaged:?}");
    }
}
