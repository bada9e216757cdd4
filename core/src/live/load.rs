//! Any file as a live index.

use super::sync::Ordering;
use super::{Live, LiveError, LiveParams, Shared, meta};
#[cfg(feature = "codes")]
use crate::build::Codes;
use crate::error::{Corrupt, OpenError};
use crate::format::{Kind, Section};
use crate::graph::NONE;
use crate::index::Index;
use crate::quant::record::DUPLICATE_FOLLOWS;
use crate::quant::{Encoding, Factors, RecordLayout, Space};
#[cfg(feature = "codes")]
use crate::search::Layout;
use crate::search::SearchError;
use alloc::vec;
use alloc::vec::Vec;

impl Live {
    /// Takes up a file, saved or built. Everything is read and checked; originals are left behind, and columns where the cargo feature `filter` is off.
    /// Codes are not kept but for their kind: a save makes them anew, where the cargo feature `codes` is on.
    /// `ef_construction` is what its `meta` says, 200 where that says nothing.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn load(bytes: &[u8]) -> Result<Self, LiveError> {
        Self::from_index(&Index::open(bytes).map_err(LiveError::Open)?)
    }

    /// Takes up a file that is open already, as [`Live::load`] does.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn from_index<B: AsRef<[u8]>>(index: &Index<B>) -> Result<Self, LiveError> {
        let damaged = |corrupt| LiveError::Open(OpenError::Corrupt(corrupt));
        index.check_but_neighbor_codes(&mut |_, _| {}).map_err(|damage| damaged(damage.first))?;
        let section = |kind: Kind| {
            let section = index.reader().section(kind, 0);
            section.ok_or(LiveError::Open(OpenError::Missing { section: kind as u16 }))
        };
        let (records, edges) = (section(Kind::Records)?, section(Kind::Edges)?);
        let degree = edges.table().parameter as usize;
        if !(4..=1024).contains(&degree) || degree % 2 == 1 {
            return Err(LiveError::Parameter { parameter: "degree of the file", must: "even, 4 to 1024" });
        }
        let mut params = LiveParams::new(index.dimensions(), index.metric()).element(index.element()).m(degree / 2);
        let meta = index.meta()?;
        let ef_construction = meta::number(&meta, "ef_construction").filter(|ef| (1..=100_000).contains(ef));
        params.ef_construction = ef_construction.map_or(params.ef_construction, |ef| ef as usize);
        params.seed = index.reader().header().superblock.seed;
        #[cfg(feature = "codes")]
        {
            let codes = index.reader().section(Kind::CodesRows, 0).and_then(|section| Codes::of_table(section.table(), index.dimensions()));
            params.codes = codes.unwrap_or(Codes::None);
            params.layout = if index.reader().section(Kind::NeighborCodes, 0).is_some() { Layout::Fast } else { Layout::Lean };
        }
        let mean = index.mean()?.to_vec();
        let shared = Shared::new(&params, mean, index.quality()?.to_vec(), index.kernels());
        let changed = meta::number(&meta, "changed").unwrap_or(0);
        shared.changed.store(u32::try_from(changed).unwrap_or(u32::MAX), Ordering::Relaxed);
        #[cfg(feature = "filter")]
        let shared = Shared { schema: super::columns::Schema::new(columns_of(index)?), ..shared };
        let mut reading = Reading { index, records, edges, levels: vec![0; index.len()], upper: Vec::new() };
        reading.read_levels()?;
        reading.fill(&shared)?;
        let mut live = Self::of(params, shared.into());
        for slot in 0..live.shared.store.len() {
            if !live.shared.store.is_deleted(slot) && live.slots.insert(live.shared.id(slot), slot).is_some() {
                return Err(LiveError::DuplicateId { id: live.shared.id(slot) });
            }
        }
        Ok(live)
    }
}

#[cfg(feature = "filter")]
fn columns_of<B: AsRef<[u8]>>(index: &Index<B>) -> Result<Vec<super::LiveColumn>, LiveError> {
    let columns = index.columns().map_err(SearchError::Corrupt)?;
    Ok(columns.into_iter().map(|column| super::LiveColumn { name: column.name, kind: column.kind }).collect())
}

/// A file that is being taken up: row `r` becomes slot `r`.
struct Reading<'a, B> {
    index: &'a Index<B>,
    records: Section<'a>,
    edges: Section<'a>,
    /// Highest layer of each row.
    levels: Vec<usize>,
    /// (row, layer, neighbours as rows).
    upper: Vec<(u32, usize, Vec<u32>)>,
}

impl<B: AsRef<[u8]>> Reading<'_, B> {
    fn read_levels(&mut self) -> Result<(), LiveError> {
        let Some(upper) = self.index.reader().section(Kind::Upper, 0) else { return Ok(()) };
        let most = self.edges.table().parameter as usize / 2;
        let word = |bytes: &[u8], at: usize| bytes.as_chunks::<4>().0.get(at).map_or(NONE, |word| u32::from_le_bytes(*word));
        for index in 0..upper.rows() as u32 {
            let bytes = upper.row(index).map_err(SearchError::Corrupt)?;
            let (row, layer) = (word(bytes, 0), word(bytes, 1) as usize);
            let slots = (4..4 + upper.table().parameter as usize).map(|at| word(bytes, at));
            let mut neighbors = Vec::new();
            for neighbor in slots.take_while(|&neighbor| neighbor != NONE).take(most) {
                let bytes = upper.row(neighbor).map_err(SearchError::Corrupt)?;
                neighbors.push(word(bytes, 0));
            }
            if let Some(level) = self.levels.get_mut(row as usize) {
                *level = layer.max(*level).min(32);
            }
            self.upper.push((row, layer, neighbors));
        }
        Ok(())
    }

    fn fill(&self, shared: &Shared) -> Result<(), LiveError> {
        let layout = shared.space.layout;
        let table = self.records.table();
        let damaged = |what| LiveError::Open(OpenError::Corrupt(Corrupt { section: table.kind, instance: table.instance, block: 0, what }));
        // A file may lay its records out more tightly or widely than builds do.
        let stored_layout = RecordLayout::from_file(layout.dimensions, table.parameter as usize, table.stride as usize);
        let stored_layout = stored_layout.ok_or_else(|| damaged("parts of a record overlap"))?;
        let (mut record, mut payload) = (vec![0; layout.stride], Vec::new());
        #[cfg(feature = "filter")]
        let columns = self.index.column_values().map_err(SearchError::Corrupt)?;
        let mut last_twin = None;
        for row in 0..self.index.len() as u32 {
            let stored = self.records.row(row).map_err(SearchError::Corrupt)?;
            self.index.payload(row, &mut payload)?;
            let mut factors = stored_layout.factors(stored);
            let more = factors.flags & DUPLICATE_FOLLOWS != 0;
            factors.flags = 0;
            let codes = &stored[..layout.dimensions];
            if !is_bounded(&shared.space, codes, &factors) {
                return Err(damaged("a factor is too large"));
            }
            record[..layout.dimensions].copy_from_slice(codes);
            layout.write_tail(&mut record, factors, stored_layout.id(stored), (0, 0));
            let slot = shared.store.push(&record, self.levels[row as usize], &payload).ok_or(LiveError::Full)?;
            #[cfg(feature = "filter")]
            shared.store.set_values(slot, columns.row(row).map_err(SearchError::Corrupt)?.into());
            shared.living.fetch_add(1, Ordering::AcqRel);
            shared.store.publish(slot);
            if let Some(last) = last_twin {
                shared.store.set_twin(last, slot);
            }
            last_twin = more.then_some(slot);
            if self.index.is_deleted(row)? {
                shared.delete(slot);
            }
        }
        for row in 0..self.index.len() as u32 {
            let stored = self.edges.row(row).map_err(SearchError::Corrupt)?;
            let slots = stored.as_chunks::<4>().0.iter().map(|slot| u32::from_le_bytes(*slot));
            shared.store.link(row, 0, slots.take_while(|&slot| slot != NONE));
        }
        for (row, layer, neighbors) in &self.upper {
            shared.store.link(*row, *layer, neighbors.iter().copied());
        }
        let top = self.upper.first().map(|(row, _, _)| *row);
        let entry = top.unwrap_or(self.edges.table().extra as u32);
        if shared.store.len() > 0 {
            shared.entry.store(entry, Ordering::Release);
        }
        Ok(())
    }
}

/// Whether distances from a record stay finite, whatever the query: later searches do not look at that again.
fn is_bounded(space: &Space, codes: &[u8], factors: &Factors) -> bool {
    if space.encoding != Encoding::Scaled {
        return factors.scale == 1.0;
    }
    let squares: i64 = codes.iter().map(|&code| i64::from(code as i8) * i64::from(code as i8)).sum();
    let length_sq = f64::from(factors.scale) * f64::from(factors.scale) * squares as f64;
    // Four times what a row may have, since a mean was taken off.
    length_sq.max(space.norm(factors.norm)) <= f64::from(f32::MAX / 4.0)
}
