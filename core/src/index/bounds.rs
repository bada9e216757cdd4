//! The check of a whole file: every block, then every bound that a search relies on.

use super::rank::is_deleted;
use super::view::{BaseGraph, Guide, RecordView, UpperGraph, corrupt, corrupt_row, word};
use super::{Index, Loaded};
use crate::error::{Corrupt, Damage};
use crate::format::{Kind, Section};
use crate::graph::{Graph, NONE};
use crate::par::{Par, Serial};
use crate::quant::record::DUPLICATE_FOLLOWS;
use crate::search::SearchError;
use alloc::vec::Vec;

impl<B: AsRef<[u8]>> Index<B> {
    /// Verifies every block and every bound: neighbours, layers, payload ranges, factors, ids; and that codes of neighbours are those of their
    /// records.
    ///
    /// `progress` is told bytes done and bytes in all. Cost: one pass over the file, and what it took to code the neighbours.
    ///
    /// # Errors
    /// The first damage found, and how many blocks are damaged (or one, when all blocks are whole
    /// and a value in them is out of bounds).
    pub fn check(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), Damage> {
        self.check_by(&Serial, progress)
    }

    /// As [`Index::check`], by the threads of `par` where that takes long.
    ///
    /// # Errors
    /// As [`Index::check`].
    pub fn check_by<P: Par>(&self, par: &P, progress: &mut dyn FnMut(u64, u64)) -> Result<(), Damage> {
        self.check_but_neighbor_codes(progress)?;
        #[cfg(feature = "codes")]
        if let Ok(loaded) = self.loaded()
            && let Ok(records) = self.records(loaded)
        {
            self.check_neighbor_codes(loaded, records, par).map_err(|first| self.damage(first))?;
        }
        let _ = par;
        Ok(())
    }

    /// The check of all that a live index takes up.
    pub(crate) fn check_but_neighbor_codes(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), Damage> {
        self.reader.verify(progress)?;
        let loaded = match self.loaded() {
            Ok(loaded) => loaded,
            Err(SearchError::Corrupt(corrupt)) => return Err(self.damage(corrupt)),
            Err(_) => return Ok(()),
        };
        self.check_bounds(loaded).map_err(|first| self.damage(first))
    }

    fn damage(&self, first: Corrupt) -> Damage {
        Damage { first, damaged: 1, blocks: self.reader.header().tables.iter().map(|table| table.blocks()).sum() }
    }

    fn check_bounds(&self, loaded: &Loaded) -> Result<(), Corrupt> {
        let Ok(records) = self.records(loaded) else { return Ok(()) };
        let (rows, layout) = (self.len(), loaded.space.layout);
        let payload = self.reader.section(Kind::Payload, 0).map_or(0, |payload| payload.rows());
        for row in 0..rows as u32 {
            let record = records.record(row)?;
            let factors = layout.factors(record);
            let bad = |what| Err(corrupt_row(&records.section, row, what));
            let norm = loaded.space.norm(factors.norm);
            if !(factors.scale.is_finite() && factors.scale >= 0.0 && norm.is_finite() && norm >= 0.0) {
                return bad("a factor is not a finite number");
            }
            let (offset, length) = layout.payload(record);
            if length > 0 && offset.checked_add(length.into()).is_none_or(|end| end > payload) {
                return bad("a payload outside its table");
            }
            if !factors.length_sq.is_finite() || factors.length_sq < 0.0 {
                return bad("a factor is not a finite number");
            }
            let padding = &record[layout.dimensions..layout.factors];
            if padding.iter().chain(&record[layout.factors + 36..]).any(|&byte| byte != 0) {
                return bad("bytes beside its fields are not zero");
            }
            if factors.flags & DUPLICATE_FOLLOWS != 0 {
                if row as usize + 1 >= rows {
                    return bad("a duplicate beyond the last row");
                }
                let next = records.record(row + 1)?;
                if next[..layout.factors + 12] != record[..layout.factors + 12] {
                    return bad("a duplicate that is another vector");
                }
            }
            if self.reader.section(Kind::IdsIndex, 0).is_none() && layout.id(record) != u64::from(row) {
                return bad("an id that is not the row's number, without a table of ids");
            }
        }
        let guide = self.guide(loaded, records);
        if cfg!(feature = "codes") {
            check_codes(&guide, rows)?; // in a browser's download a search alone notices
        }
        if let Some(edges) = self.reader.section(Kind::Edges, 0) {
            let graph = BaseGraph { edges, guide, nodes: rows };
            let mut neighbors = Vec::new();
            for row in 0..rows as u32 {
                neighbors.clear();
                graph.neighbors(row, &mut neighbors)?;
            }
        }
        #[cfg(feature = "codes")]
        if let Ok(tiles) = self.tiles(loaded) {
            check_codes(&tiles.route, tiles.count())?;
            tiles.check(rows)?;
        }
        if let Some(upper) = self.reader.section(Kind::Upper, 0) {
            check_upper(&UpperGraph { upper, guide, nodes: upper.rows() as usize })?;
        }
        if let Some(ids) = self.reader.section(Kind::IdsIndex, 0) {
            check_ids(&ids, &records, rows)?;
        }
        if let Some(deleted) = self.reader.section(Kind::Deleted, 0) {
            let mut count = 0;
            for row in 0..rows as u32 {
                count += u64::from(is_deleted(&deleted, row)?);
            }
            if count != deleted.table().extra {
                return Err(corrupt(&deleted, 0, "another number of tombstones than it says"));
            }
        }
        #[cfg(feature = "filter")]
        self.check_columns(&records)?;
        Ok(())
    }
}

/// Factors of coarse codes are numbers, and what stands beside codes and factors is zero.
fn check_codes(guide: &Guide<'_>, rows: usize) -> Result<(), Corrupt> {
    #[cfg(feature = "codes")]
    if let Some(coarse) = guide.coarse {
        return super::coarse::check(&guide.rows.section, coarse, rows);
    }
    let Some(layout) = guide.codes else { return Ok(()) };
    for row in 0..rows as u32 {
        let bytes = guide.rows.section.row(row)?;
        let bad = |what| Err(corrupt_row(&guide.rows.section, row, what));
        let factors = layout.factors(bytes);
        if !(factors.scale >= 0.0 && factors.norm >= 0.0 && [factors.scale, factors.offset, factors.norm].iter().all(|x| x.is_finite())) {
            return bad("a factor is not a finite number");
        }
        if bytes[layout.factors + 12..].iter().any(|&byte| byte != 0) || !layout.ends_in_zeros(bytes) {
            return bad("bytes beside its fields are not zero");
        }
    }
    Ok(())
}

/// Layers descend from the entry, neighbours stay in their layer, `below` leads to the same row.
fn check_upper(graph: &UpperGraph<'_>) -> Result<(), Corrupt> {
    let mut last_layer = u32::MAX;
    let mut neighbors = Vec::new();
    for index in 0..graph.nodes as u32 {
        let node = graph.node(index)?;
        let bad = |what| Err(corrupt_row(&graph.upper, index, what));
        if graph.upper.row(index).map(|row| word(row, 3))? != Some(0) {
            return bad("bytes beside its fields are not zero");
        }
        if node.layer == 0 || node.layer > last_layer {
            return bad("layers out of order");
        }
        last_layer = node.layer;
        if (node.layer == 1) != (node.below == NONE) {
            return bad("the way down does not fit the layer");
        }
        if node.below != NONE {
            if node.below as usize >= graph.nodes {
                return bad("the way down leads beyond the table");
            }
            let below = graph.node(node.below)?;
            if below.row != node.row || below.layer != node.layer - 1 {
                return bad("the way down leads to another node");
            }
        }
        neighbors.clear();
        graph.neighbors(index, &mut neighbors)?;
        for &neighbor in &neighbors {
            if graph.upper.row(neighbor).map(|row| word(row, 1))? != Some(node.layer) {
                return bad("a neighbour in another layer");
            }
        }
    }
    Ok(())
}

/// Ids ascend, rows exist and have them.
fn check_ids(ids: &Section<'_>, records: &RecordView<'_>, rows: usize) -> Result<(), Corrupt> {
    let mut last = None;
    for index in 0..ids.rows().min(u64::from(u32::MAX)) as u32 {
        let entry = ids.row(index)?;
        let read = |at| u64::from(word(entry, at).unwrap_or(0));
        let id = read(0) | read(1) << 32;
        if last >= Some(id) {
            return Err(corrupt_row(ids, index, "ids out of order"));
        }
        if read(2) >= rows as u64 {
            return Err(corrupt_row(ids, index, "a row beyond the last one"));
        }
        if records.space.layout.id(records.record(read(2) as u32)?) != id {
            return Err(corrupt_row(ids, index, "a row with another id"));
        }
        if read(3) != 0 {
            return Err(corrupt_row(ids, index, "bytes beside its fields are not zero"));
        }
        last = Some(id);
    }
    Ok(())
}
