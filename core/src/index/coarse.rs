//! Codes of few bits in an open file: what they share is read at the first search, their rows are held against their bounds by `check`.

use super::Index;
use super::view::{corrupt, corrupt_row};
use crate::error::Corrupt;
use crate::format::encoding::{CODES_PQ, CODES_RABITQ_1};
use crate::format::{Kind, Plan, Reader, Section};
use crate::quant::{Coarse, Space};
use crate::search::{Layout, QualityRow, SearchError};
use alloc::vec::Vec;

impl<B: AsRef<[u8]>> Index<B> {
    /// Candidates that a walk for `k` hits ranks again unless it is told, in the usual case, as [`Index::candidates`] counts them.
    ///
    /// # Errors
    /// A damaged block.
    pub fn rerank_count(&self, k: usize) -> Result<usize, SearchError> {
        Ok(self.candidates(&crate::search::SearchParams::default().k(k))?.0)
    }
}

/// The codes of a file, if they are of few bits, and how many candidates its quality table ranked again.
pub(super) fn read<B: AsRef<[u8]>>(reader: &Reader<B>, space: &Space, quality: &[QualityRow]) -> Result<Option<Coarse>, Corrupt> {
    let Some(codes) = reader.section(Kind::CodesRows, 0) else { return Ok(None) };
    let table = codes.table();
    if !(CODES_RABITQ_1..=CODES_PQ).contains(&table.encoding) {
        return Ok(None);
    }
    let quant = reader.section(Kind::Quant, 1).ok_or_else(|| corrupt(&codes, 0, "coarse codes without instance 1 of `quant`"))?;
    let mut bytes = Vec::new();
    quant.read_blob(0, quant.rows(), &mut bytes)?;
    let read = Coarse::read(space, table.encoding, table.parameter as usize, table.stride as usize, &bytes);
    let mut coarse = read.map_err(|what| corrupt(&quant, 0, what))?;
    // The largest share of them: a walk by any row of the table then ranks as many as that row did.
    let walks = quality.iter().filter(|row| row.plan == Plan::Walk && row.layout == Layout::Lean && row.rerank > 0);
    if let Some(row) = walks.max_by_key(|row| u64::from(row.rerank) * 1000 / u64::from(row.k)) {
        coarse.rerank = (row.rerank, row.k);
    }
    Ok(Some(coarse))
}

/// Every row of codes is within its bounds.
pub(super) fn check(section: &Section<'_>, coarse: &Coarse, rows: usize) -> Result<(), Corrupt> {
    for row in 0..rows as u32 {
        coarse.check(section.row(row)?).map_err(|what| corrupt_row(section, row, what))?;
    }
    Ok(())
}
