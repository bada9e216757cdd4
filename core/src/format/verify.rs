//! The check of a whole file: every block, every digest, the identity, and zeros wherever zeros belong.
//!
//! Searching never needs this, because it verifies what it touches; it is for copies that lie around. It goes on after
//! the first damage, to say how much there is.

use super::hash::Digest;
use super::header::Header;
use super::reader::Reader;
use super::section::Section;
use crate::error::{Corrupt, Damage};

impl<B: AsRef<[u8]>> Reader<B> {
    /// Reads every byte and checks it; `progress` hears of bytes done and bytes in all, about once a MiB.
    ///
    /// # Errors
    /// The first damage, and how many blocks are damaged.
    pub fn verify(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), Damage> {
        let bytes = self.bytes();
        let total = self.header().superblock.file_bytes;
        let mut found = Found { first: None, damaged: 0, blocks: 0 };
        let unchanged = Header::parse(bytes, bytes.len() as u64).is_ok_and(|header| header == *self.header());
        if !unchanged {
            found.add(Corrupt { section: 0, instance: 0, block: 0, what: "changed since the file was opened" });
        }
        let mut end = super::HEADER_BYTES as u64;
        let mut said = 0;
        for section in self.sections() {
            let table = section.table();
            if !is_zero(bytes, end, table.offset) {
                found.add(section.corrupt_block(0, "the gap before the section is not zero"));
            }
            let mut digest = Some(Digest::new());
            for block in 0..table.blocks() {
                found.blocks += 1;
                match check(&section, block) {
                    Ok(check) => digest.iter_mut().for_each(|digest| digest.update(&check.to_le_bytes())),
                    Err(corrupt) => {
                        digest = None;
                        found.add(corrupt);
                    }
                }
                let done = table.block_offset(block + 1);
                if done - said >= 1 << 20 {
                    progress(done, total);
                    said = done;
                }
            }
            if digest.is_some_and(|digest| digest.finish() != table.digest) {
                found.add(section.corrupt_block(0, "the digest does not match the blocks"));
            }
            end = table.end();
        }
        progress(total, total);
        let Found { first, damaged, blocks } = found;
        first.map_or(Ok(()), |first| Err(Damage { first, damaged, blocks }))
    }
}

struct Found {
    first: Option<Corrupt>,
    damaged: u64,
    blocks: u64,
}

impl Found {
    fn add(&mut self, corrupt: Corrupt) {
        self.first.get_or_insert(corrupt);
        self.damaged += 1;
    }
}

/// Checks one block and that what follows its rows is zero; returns its check.
fn check(section: &Section<'_>, block: u64) -> Result<u64, Corrupt> {
    let (bytes, check) = section.check_block(block)?;
    let rows = usize::try_from(section.table().row_bytes(block)).unwrap_or(usize::MAX);
    if bytes.get(rows..).is_some_and(|rest| rest.iter().any(|&byte| byte != 0)) {
        return Err(section.corrupt_block(block, "the bytes behind its rows are not zero"));
    }
    Ok(check)
}

fn is_zero(bytes: &[u8], from: u64, to: u64) -> bool {
    let range = usize::try_from(from).ok().zip(usize::try_from(to).ok());
    range.and_then(|(from, to)| bytes.get(from..to)).is_some_and(|gap| gap.iter().all(|&byte| byte == 0))
}
