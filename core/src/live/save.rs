//! A live index as a file, and any file as a live index.

use super::parts::Parts;
use super::{Live, LiveError, LiveParams, Shared};
use crate::build::write::{Content, File};
use crate::build::{BuildError, plan_of};
use crate::error::OpenError;
use crate::format::{Digest, Kind, Refine, Section, Sink};
use crate::graph::NONE;
use crate::graph::order;
use crate::index::Index;
use crate::search::SearchError;
use crate::slots::Slots;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::ControlFlow;
use core::sync::atomic::Ordering;

impl Live {
    /// Writes the index as a `.shore` file, tombstones included, and returns the sink.
    ///
    /// The same rows, inserted and deleted in the same order, give the same bytes.
    ///
    /// # Errors
    /// What the sink reports.
    pub fn save<S: Sink>(&self, sink: S) -> Result<S, BuildError<S::Error>> {
        let shared = &*self.shared;
        let mut parts = shared.parts();
        for layer in 0..parts.graph.layers.len() {
            parts.measure(shared, layer);
        }
        let rows = shared.store.len() as usize;
        let mut digest = Digest::new();
        for slot in 0..rows as u32 {
            if let Some(record) = shared.store.record(slot) {
                digest.update(&record[..shared.space.layout.factors + 16]);
            }
        }
        let params = &self.params;
        let file = File {
            order: order::breadth_first(&parts.graph.layers[0]),
            content: &Rows { shared, parts: &parts },
            records: parts.records(shared),
            graph: &parts.graph,
            quality: &shared.quality,
            element: params.element,
            plan: plan_of(rows),
            refine: Refine::Records,
            seed: params.seed,
            m: params.m,
            meta: alloc::format!(
                "{{\"builder\":\"hnsw-live 1\",\"dimensions\":{},\"ef_construction\":{},\"element\":\"{}\",\"m\":{},\
                 \"metric\":\"{}\",\"rows\":{rows},\"seed\":{}}}",
                params.dimensions,
                params.ef_construction,
                params.element.as_str(),
                params.m,
                params.metric.as_str(),
                params.seed,
            ),
            digest: digest.finish(),
        };
        let (sink, _, _) = file.write(sink, &mut |_, _, _| ControlFlow::Continue(()))?;
        Ok(sink)
    }

    /// Takes up a file, saved or built. Everything is read and checked; originals are left behind.
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
        index.check(&mut |_, _| {}).map_err(|damage| damaged(damage.first))?;
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
        params.seed = index.reader().header().superblock.seed;
        let mean = index.mean()?.to_vec();
        let shared = Shared::new(&params, mean, index.quality()?.to_vec(), index.kernels());
        let mut reading = Reading { index, records, edges, levels: vec![0; index.len()], upper: Vec::new() };
        reading.read_levels()?;
        reading.fill(&shared)?;
        let mut live = Self { params, shared: shared.into(), slots: Slots::default(), work: super::Work::default() };
        for slot in 0..live.shared.store.len() {
            if !live.shared.store.is_deleted(slot) && live.slots.insert(live.shared.id(slot), slot).is_some() {
                return Err(LiveError::DuplicateId { id: live.shared.id(slot) });
            }
        }
        Ok(live)
    }
}

/// The slots of a state as a file's content.
struct Rows<'a> {
    shared: &'a Shared,
    parts: &'a Parts,
}

impl Content for Rows<'_> {
    fn source(&self, node: u32) -> u32 {
        self.parts.nodes[node as usize]
    }

    fn duplicates(&self, node: u32, out: &mut Vec<u32>) {
        out.extend_from_slice(&self.parts.twins[node as usize]);
    }

    fn id(&self, source: u32) -> u64 {
        self.shared.id(source)
    }

    fn payload(&self, source: u32) -> &[u8] {
        self.shared.store.payload(source)
    }

    fn original(&self, _: u32) -> &[u8] {
        &[]
    }

    fn deleted(&self, source: u32) -> bool {
        self.shared.store.is_deleted(source)
    }
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
        let (mut record, mut payload) = (vec![0; layout.stride], Vec::new());
        let mut last_twin = None;
        for row in 0..self.index.len() as u32 {
            let stored = self.records.row(row).map_err(SearchError::Corrupt)?;
            self.index.payload(row, &mut payload)?;
            let length = layout.factors + crate::quant::record::TAIL_BYTES;
            let mut factors = layout.factors(stored);
            let more = factors.flags & crate::quant::record::DUPLICATE_FOLLOWS != 0;
            factors.flags = 0;
            record[..length].copy_from_slice(&stored[..length]);
            layout.write_tail(&mut record, factors, layout.id(stored), (0, 0));
            let slot = shared.store.push(&record, self.levels[row as usize], &payload).ok_or(LiveError::Full)?;
            shared.store.publish(slot);
            if let Some(last) = last_twin {
                shared.store.set_twin(last, slot);
            }
            last_twin = more.then_some(slot);
            if self.index.is_deleted(row)? && shared.store.delete(slot) {
                shared.dead.fetch_add(1, Ordering::AcqRel);
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
