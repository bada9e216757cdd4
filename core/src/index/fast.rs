//! The fast layout: a walk that judges all neighbours of a node by codes beside its adjacency ([`crate::quant::neighbors`]).
//!
//! The codes are a table of the file (`neighbor.codes`) or are made of its records and edges when it is opened: the same bytes, so the
//! same answers. The walk begins at the graph's entry: a hop costs less than a node of the layers above does.

use super::rank::Ranker;
use super::view::{BaseGraph, Guide, RecordView, corrupt_row};
use super::walk::widen;
use super::{Index, Loaded};
use crate::error::Corrupt;
use crate::format::encoding::NEIGHBOR_SIGNS;
use crate::format::{Kind, Refine, Section};
use crate::graph::beam::Limits;
use crate::graph::surround::Coder;
use crate::graph::sweep::Surroundings;
use crate::par::Par;
use crate::quant::Prepared;
use crate::quant::neighbors::{NeighborLayout, UNUSED};
use crate::quant::signs::Coder as SignCoder;
use crate::search::quality::Setting;
use crate::search::{Hit, Layout, Scratch, SearchError, SearchParams, Stats};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

/// Rows of one task of a check.
const CHECKED_TOGETHER: usize = 256;

/// Neighbours of a row that are coded at most: those of the largest `m`.
const DEGREE_MAX: usize = 1024;

impl<B: AsRef<[u8]>> Index<B> {
    /// Whether walks by the fast layout find codes of neighbours, in the file or beside it.
    pub fn has_neighbor_codes(&self) -> bool {
        self.derived.is_some() || self.neighbor_codes().is_some()
    }

    /// Takes the codes that were made beside `other`, an index of the same file.
    #[must_use]
    pub fn with_neighbor_codes_of<C: AsRef<[u8]>>(mut self, other: &Index<C>) -> Self {
        if self.reader.header().superblock.identity == other.reader.header().superblock.identity {
            self.derived.clone_from(&other.derived);
        }
        self
    }

    /// The table that this version knows how to read.
    fn neighbor_codes(&self) -> Option<Section<'_>> {
        self.reader.section(Kind::NeighborCodes, 0).filter(|section| section.table().encoding == NEIGHBOR_SIGNS)
    }

    /// Codes the neighbours of every row, in memory, where the file does not have them: what `build` with the fast layout would have
    /// written: 12 bytes and a bit a dimension for each slot of each row. Costs `O(rows degree d log d)`.
    ///
    /// # Errors
    /// A damaged block, or a file without a graph.
    pub fn derive_neighbor_codes<P: Par>(&mut self, par: &P) -> Result<(), SearchError>
    where
        B: Sync,
    {
        self.derive_neighbor_codes_in(par, |_| {})
    }

    /// The same, where `place` is shown the memory, all zeros, before it is written to: to say how the system should give it.
    ///
    /// # Errors
    /// As [`Index::derive_neighbor_codes`].
    pub fn derive_neighbor_codes_in<P: Par>(&mut self, par: &P, place: impl FnOnce(&mut [u8])) -> Result<(), SearchError>
    where
        B: Sync,
    {
        if self.has_neighbor_codes() || self.is_empty() {
            return Ok(());
        }
        let loaded = self.loaded()?;
        let records = self.records(loaded)?;
        let edges = self.edges()?;
        let degree = edges.table().parameter as usize;
        let layout = NeighborLayout::new(self.dimensions(), degree);
        if degree > DEGREE_MAX || layout.stride().checked_mul(self.len()).is_none() {
            return Err(SearchError::Unsupported { lacks: "has more neighbours a row than can be coded: choose the layout lean" });
        }
        let coder = Coder { layout, space: &loaded.space, rotation: &loaded.rotation, kernels: self.kernels, rank: None };
        // By records, whatever guides other walks.
        let graph = BaseGraph { edges, guide: Guide::records(records), nodes: self.len() };
        self.derived = Some(Arc::new(coder.rows(par, &graph, |row| records.record(row), place)?));
        Ok(())
    }

    /// The codes that [`Index::derive_neighbor_codes`] made, row after row.
    pub fn derived_neighbor_codes(&self) -> Option<&[u8]> {
        self.derived.as_ref().map(|bytes| &bytes[..])
    }

    /// Neighbours are rows, the used ones first; codes and factors are what the records of those rows and of their node make; what belongs to
    /// no neighbour is zero.
    pub(super) fn check_neighbor_codes<P: Par>(&self, loaded: &Loaded, records: RecordView<'_>, par: &P) -> Result<(), Corrupt> {
        let Some(section) = self.neighbor_codes() else { return Ok(()) };
        let Loaded { space, rotation, .. } = loaded;
        let (layout, nodes) = (NeighborLayout::new(self.dimensions(), section.table().parameter as usize), self.len());
        let check = |row: u32, (own, coder): &mut (Vec<u8>, SignCoder)| {
            let bytes = section.row(row)?;
            let (fields, beside) = bytes.split_at(layout.stride());
            layout.check(fields, nodes).map_err(|what| corrupt_row(&section, row, what))?;
            if beside.iter().any(|&byte| byte != 0) {
                return Err(corrupt_row(&section, row, "bytes beside its fields are not zero"));
            }
            let slots = fields.chunks(layout.block()).flat_map(NeighborLayout::slots_of).take_while(|&&slot| slot != UNUSED);
            let mut neighbors = Vec::with_capacity(layout.slots);
            for slot in slots {
                let neighbor = u32::from_le_bytes(*slot);
                neighbors.push((neighbor, records.record(neighbor)?));
            }
            own.resize(layout.stride(), 0);
            layout.encode(space, self.kernels, rotation, records.record(row)?, neighbors.into_iter(), coder, own);
            if own == fields { Ok(()) } else { Err(corrupt_row(&section, row, "codes of other records than those of its neighbours")) }
        };
        let mut tasks = vec![Ok(()); nodes.div_ceil(CHECKED_TOGETHER)];
        let mut workers = vec![(Vec::new(), SignCoder::default()); par.threads()];
        par.chunks(&mut tasks, 1, &mut workers, |task, results, worker| {
            for result in results {
                let rows = task * CHECKED_TOGETHER..nodes.min((task + 1) * CHECKED_TOGETHER);
                *result = rows.into_iter().try_for_each(|row| check(row as u32, worker));
            }
        });
        tasks.into_iter().collect()
    }

    /// A walk by codes of neighbours.
    pub(super) fn sweep(
        &self,
        loaded: &Loaded,
        params: &SearchParams,
        refine: Refine,
        scratch: &mut Scratch,
        hits: &mut Vec<Hit>,
    ) -> Result<Stats, SearchError> {
        let mut stats = Stats::default();
        let rows = self.len();
        if rows == 0 {
            return Ok(stats);
        }
        let records = self.records(loaded)?;
        let edges = self.edges()?;
        let codes = match (&self.derived, self.neighbor_codes()) {
            (Some(bytes), _) => Codes::Derived(bytes),
            (None, Some(section)) => Codes::Table(section),
            (None, None) => return Err(SearchError::Unsupported { lacks: "has no codes of neighbours: choose the layout lean" }),
        };
        let slots = match &codes {
            Codes::Table(section) => section.table().parameter,
            Codes::Derived(_) => edges.table().parameter,
        };
        let layout = NeighborLayout::new(self.dimensions(), slots as usize);
        let graph = FastGraph { nodes: rows, records, codes, layout };
        let ranker = Ranker::new(records, self.reader.section(Kind::Deleted, 0));
        let setting = Setting::choose(params, Layout::Fast, refine, &loaded.quality);
        let mut limits = setting.limits(params.k, self.metric(), rows);
        let live = rows - self.deleted() as usize;
        let wanted = params.k.min(live);
        limits.ef = widen(limits.ef, rows, live);
        scratch.sweep.query.prepare(&loaded.space, self.kernels, &loaded.rotation, &scratch.query);
        let entry = edges.table().extra as u32;
        loop {
            // Tombstones are expanded like others, so the nearest of all may have to be more than those that are ranked; and how many
            // originals rank is a matter of what their codes leave in doubt.
            let more = live < rows || (refine == Refine::Originals && params.rerank.is_none());
            let keep = if more { params.rerank_count().max(limits.ef) } else { params.rerank_count() };
            scratch.sweep.search(&graph, self.kernels, &scratch.query, [entry], keep, limits, &mut stats)?;
            hits.clear();
            core::mem::swap(&mut scratch.beam.pool, &mut scratch.sweep.nearest);
            let ranked = self.rank(Guide::records(records), records, &ranker, params, refine, scratch, &mut stats, hits);
            core::mem::swap(&mut scratch.beam.pool, &mut scratch.sweep.nearest);
            ranked?;
            if hits.len() >= wanted || (limits.ef >= rows && limits.stop == f32::INFINITY) {
                break;
            }
            limits = Limits { ef: limits.ef.saturating_mul(2).min(rows), stop: f32::INFINITY, ..limits };
        }
        Hit::finish(hits, params.k, params.radius);
        Ok(stats)
    }
}

/// Where the codes of neighbours lie.
enum Codes<'a> {
    /// In the file.
    Table(Section<'a>),
    /// Beside it, row after row.
    Derived(&'a [u8]),
}

/// The base layer with codes of neighbours.
struct FastGraph<'a> {
    nodes: usize,
    records: RecordView<'a>,
    codes: Codes<'a>,
    layout: NeighborLayout,
}

impl FastGraph<'_> {
    /// The row of a derived table.
    #[inline]
    fn derived<'b>(&self, bytes: &'b [u8], node: u32) -> Option<&'b [u8]> {
        let stride = self.layout.stride();
        bytes.get(node as usize * stride..)?.get(..stride)
    }
}

impl Surroundings for FastGraph<'_> {
    type Error = Corrupt;

    #[inline]
    fn nodes(&self) -> usize {
        self.nodes
    }

    #[inline]
    fn block(&self) -> usize {
        self.layout.block()
    }

    #[inline]
    fn expand(&self, node: u32, query: &Prepared) -> Result<(f32, &[u8]), Corrupt> {
        let RecordView { section, space, kernels } = self.records;
        let record = section.row(node)?;
        let distance = space.distance(query, &space.layout.factors(record), space.dot(kernels, query, record));
        if !distance.is_finite() {
            return Err(corrupt_row(&section, node, "a factor is not a finite number, or too large"));
        }
        let row = match &self.codes {
            Codes::Table(section) => &section.row(node)?[..self.layout.stride()],
            // The records have as many rows, and this one is there.
            Codes::Derived(bytes) => self.derived(bytes, node).unwrap_or_default(),
        };
        Ok((distance, row))
    }

    #[cold]
    fn damaged(&self, node: u32, what: &'static str) -> Result<(), Corrupt> {
        let section = match &self.codes {
            Codes::Table(section) => section,
            Codes::Derived(_) => &self.records.section,
        };
        Err(corrupt_row(section, node, what))
    }

    #[inline]
    fn ahead(&self, node: u32) -> [&[u8]; 2] {
        fn row<'b>(section: &Section<'b>, node: u32, bytes: usize) -> Option<&'b [u8]> {
            let place = section.prefetch_place(node)?;
            section.bytes().get(place..place + bytes)
        }
        let record = row(&self.records.section, node, self.records.space.layout.stride);
        let codes = match &self.codes {
            Codes::Table(section) => row(section, node, self.layout.stride()),
            Codes::Derived(bytes) => self.derived(bytes, node),
        };
        [record.unwrap_or_default(), codes.unwrap_or_default()]
    }
}
