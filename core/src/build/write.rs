//! The last stage: tables in file order, row after row, into the sink.
//!
//! A build and a live index write the same file; what differs is where ids, payloads and originals
//! come from, which is [`Content`].

#[cfg(feature = "codes")]
use super::NodeNeighbors;
#[cfg(feature = "filter")]
use super::columns;
use super::{BuildError, CodeTable, NodeCodes, Progress, Stage, Tier};
#[cfg(feature = "filter")]
use crate::filter::Coded;
use crate::format::encoding::CODES_U4;
#[cfg(feature = "codes")]
use crate::format::encoding::NEIGHBOR_SIGNS;
use crate::format::{Digest, Element, FileSpec, Kind, Plan, Refine, Sink, TableSpec, WriteError, Writer, build_id};
use crate::graph::NONE;
use crate::graph::hnsw::Hierarchy;
use crate::graph::layer::Records;
use crate::quant::record::DUPLICATE_FOLLOWS;
use crate::search::QualityRow;
use crate::search::quality::QUALITY_BYTES;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// Rows between two reports of progress.
const STEP_ROWS: usize = 4096;

/// Originals that are asked for together: they lie anywhere in the input, and a disk answers many questions at once.
const ANNOUNCED: usize = 256;

/// What a file's rows carry. A *source* is whatever the owner calls a row: an input row, a slot.
pub(crate) trait Content {
    /// The source of a node of the graph.
    fn source(&self, node: u32) -> u32;
    /// Appends the sources of the node's exact duplicates.
    fn duplicates(&self, node: u32, out: &mut Vec<u32>);
    /// The user's id.
    fn id(&self, source: u32) -> u64;
    /// The payload; empty where there is none.
    fn payload(&self, source: u32) -> &[u8];
    /// The input row, where the file keeps it.
    fn original(&self, source: u32) -> &[u8];
    /// Says that this will be asked for soon.
    fn announce_original(&self, _: u32) {}
    /// Whether it is a tombstone.
    fn deleted(&self, source: u32) -> bool;
}

/// A file about to be written.
pub(crate) struct File<'a> {
    pub(crate) content: &'a dyn Content,
    /// `order[i]` is the i-th node of the file; its duplicates follow it.
    pub(crate) order: Vec<u32>,
    pub(crate) records: Records<'a>,
    pub(crate) graph: &'a Hierarchy,
    /// What guides a walk, if not the records.
    pub(crate) codes: Option<&'a NodeCodes>,
    /// What the fast layout adds.
    #[cfg(feature = "codes")]
    pub(crate) neighbors: Option<&'a NodeNeighbors>,
    pub(crate) quality: &'a [QualityRow],
    pub(crate) element: Element,
    pub(crate) plan: Plan,
    pub(crate) refine: Refine,
    pub(crate) seed: u64,
    pub(crate) m: usize,
    /// What decided the bytes: JSON with sorted keys.
    pub(crate) meta: String,
    /// Digest of the vectors.
    pub(crate) digest: u64,
    /// Where records are read.
    pub(crate) tier: Tier,
    /// Bytes of a page, where they are read from a disk.
    pub(crate) page_bytes: u32,
    /// Values for filters, by source.
    #[cfg(feature = "filter")]
    pub(crate) columns: &'a [Coded<'a>],
}

/// Where sources and nodes lie in the file.
pub(super) struct Places {
    /// Source of each file row.
    pub(super) sources: Vec<u32>,
    /// Node of each file row; [`NONE`] for a duplicate.
    pub(super) node_of_row: Vec<u32>,
    /// File row of each node.
    row_of_node: Vec<u32>,
    payload_bytes: u64,
    deleted: u64,
    /// Sorted (id, file row); empty when every id is its row.
    ids: Vec<(u64, u32)>,
}

impl File<'_> {
    /// Writes everything; returns the sink, the bytes of the file and its build id.
    pub(crate) fn write<S: Sink>(self, sink: S, progress: &mut Progress<'_>) -> Result<(S, u64, u64), BuildError<S::Error>> {
        let places = self.places();
        let id = self.build_id(&places);
        let spec = FileSpec {
            rows: places.sources.len() as u64,
            dimensions: self.records.space.layout.dimensions as u32,
            metric: self.records.space.metric,
            element: self.element,
            plan: self.plan,
            refine: self.refine,
            seed: self.seed,
            build_id: id,
        };
        let tables = self.tables(&places);
        let mut writer = Writer::new(sink, &spec, &tables)?;
        for table in &tables {
            match table.kind {
                Kind::Meta => writer.rows(self.meta.as_bytes())?,
                #[cfg(feature = "codes")]
                Kind::Quant if table.instance == 1 => writer.rows(&self.codes_quant().unwrap_or_default())?,
                Kind::Quant => writer.rows(&self.quant())?,
                Kind::Quality => self.quality.iter().try_for_each(|row| writer.rows(&row.to_bytes()))?,
                Kind::Upper => self.write_upper(&places, &mut writer)?,
                Kind::CodesRows => self.write_codes(&places, &mut writer)?,
                #[cfg(feature = "codes")]
                Kind::NeighborCodes => self.write_neighbor_codes(&places, &mut writer)?,
                Kind::Records => self.write_records(&places, &mut writer, progress)?,
                Kind::Edges => self.write_edges(&places, table, &mut writer)?,
                Kind::IdsIndex => write_ids(&places.ids, &mut writer)?,
                Kind::Deleted => self.write_deleted(&places, &mut writer)?,
                Kind::Payload => places.sources.iter().try_for_each(|&source| writer.rows(self.content.payload(source)))?,
                Kind::Originals => self.write_originals(&places, table, &mut writer, progress)?,
                #[cfg(feature = "filter")]
                _ => columns::write(self.columns, &places, table, &mut writer)?,
                #[cfg(not(feature = "filter"))]
                _ => {}
            }
        }
        let (sink, header) = writer.finish()?;
        Ok((sink, header.superblock.file_bytes, id))
    }

    fn places(&self) -> Places {
        let mut places = Places {
            sources: Vec::with_capacity(self.order.len()),
            node_of_row: Vec::with_capacity(self.order.len()),
            row_of_node: vec![NONE; self.order.len()],
            payload_bytes: 0,
            deleted: 0,
            ids: Vec::new(),
        };
        for &node in &self.order {
            places.row_of_node[node as usize] = places.sources.len() as u32;
            places.sources.push(self.content.source(node));
            places.node_of_row.push(node);
            self.content.duplicates(node, &mut places.sources);
            places.node_of_row.resize(places.sources.len(), NONE);
        }
        for &source in &places.sources {
            places.payload_bytes += self.content.payload(source).len() as u64;
            places.deleted += u64::from(self.content.deleted(source));
        }
        // Where an id occurs twice (a live index: deleted, then inserted again) the living one counts.
        let living = places.sources.iter().zip(0..).filter(|&(&source, _)| !self.content.deleted(source));
        places.ids = living.map(|(&source, row)| (self.content.id(source), row)).collect();
        crate::sort::by_key(&mut places.ids, |pair| *pair);
        let whole = places.ids.len() == places.sources.len();
        if whole && places.ids.iter().all(|&(id, row)| id == u64::from(row)) {
            places.ids.clear();
        }
        places
    }

    /// The tables, hot ones first; sizes are known before a byte is written.
    fn tables(&self, places: &Places) -> Vec<TableSpec> {
        let rows = places.sources.len() as u64;
        let layout = self.records.space.layout;
        let base = &self.graph.layers[0];
        let mut tables = vec![
            TableSpec::blob(Kind::Quant, (16 + 4 * layout.dimensions) as u64).hot().required(),
            TableSpec::table(Kind::Quality, self.quality.len() as u64, QUALITY_BYTES as u32).hot(),
            TableSpec::blob(Kind::Meta, self.meta.len() as u64),
        ];
        #[cfg(feature = "codes")]
        if let Some(quant) = self.codes_quant() {
            tables.insert(1, TableSpec::blob(Kind::Quant, quant.len() as u64).instance(1).hot());
        }
        let upper: usize = self.graph.layers[1..].iter().map(|layer| layer.rows()).sum();
        if upper > 0 {
            let stride = (16 + 4 * self.m) as u32;
            tables.push(TableSpec::table(Kind::Upper, upper as u64, stride).parameter(self.m as u32));
        }
        if let Some(NodeCodes { table, stride, .. }) = self.codes.filter(|_| cfg!(feature = "codes")) {
            let (encoding, parameter) = match table {
                CodeTable::U4(layout) => (CODES_U4, layout.factors),
                #[cfg(feature = "codes")]
                CodeTable::Coarse(coarse) => (coarse.method().encoding(), coarse.parameter()),
            };
            let codes = TableSpec::table(Kind::CodesRows, rows, *stride as u32);
            let codes = codes.encoding(encoding).parameter(parameter as u32);
            // To stay in memory if anything does, so without the rests of pages.
            tables.push(if self.for_disk() { codes.page_rows(self.page_bytes) } else { codes });
        }
        let encoding = self.records.space.encoding as u32;
        let records = TableSpec::table(Kind::Records, rows, layout.stride as u32).required();
        let records = records.encoding(encoding).parameter(layout.factors as u32);
        if !self.for_disk() {
            tables.push(records);
        }
        let degree = base.degree() as u32;
        let entry = places.row_of_node.first().copied().unwrap_or(0);
        tables.push(self.paged(TableSpec::table(Kind::Edges, rows, degree * 4).parameter(degree).extra(entry.into())));
        if self.for_disk() {
            // Behind all that a walk may keep in memory, which is then one piece of the file.
            tables.push(records.paged(self.page_bytes));
        }
        #[cfg(feature = "codes")]
        if let Some(NodeNeighbors { layout, .. }) = self.neighbors {
            let codes = TableSpec::table(Kind::NeighborCodes, rows, layout.stride() as u32);
            tables.push(codes.encoding(NEIGHBOR_SIGNS).parameter(layout.slots as u32));
        }
        if !places.ids.is_empty() || places.deleted > 0 {
            tables.push(TableSpec::table(Kind::IdsIndex, places.ids.len() as u64, 16));
        }
        if places.deleted > 0 {
            // A bitmap that is left out where some are dead would bring them back: required.
            tables.push(TableSpec::blob(Kind::Deleted, rows.div_ceil(8)).required().extra(places.deleted));
        }
        #[cfg(feature = "filter")]
        columns::plan(self.columns, places, &mut tables);
        if places.payload_bytes > 0 {
            tables.push(TableSpec::blob(Kind::Payload, places.payload_bytes));
        }
        if self.refine == Refine::Originals {
            let stride = (layout.dimensions * self.element.bytes()).next_multiple_of(16) as u32;
            let originals = TableSpec::table(Kind::Originals, rows, stride).encoding(self.element as u32);
            // A row that is no page long would be read in two as often as not.
            tables.push(if self.for_disk() { originals.block_rows(1).packed() } else { originals });
        }
        tables
    }

    /// Whether records are read from a disk: never of a library without codes, which has no files for one.
    fn for_disk(&self) -> bool {
        cfg!(feature = "codes") && self.tier == Tier::Disk
    }

    /// A table whose blocks a walk reads one by one where memory does not hold it: pages, in a file for a disk.
    fn paged(&self, table: TableSpec) -> TableSpec {
        if self.for_disk() { table.paged(self.page_bytes) } else { table }
    }

    /// A hash of all that decides the bytes: options, rows, ids, payload, tombstones, and what was
    /// made of them: the graph (a live index of the same rows may have another) and the quality table.
    fn build_id(&self, places: &Places) -> u64 {
        let (mut ids, mut payload, mut deleted) = (Digest::new(), Digest::new(), Digest::new());
        for (&source, row) in places.sources.iter().zip(0u32..) {
            ids.update(&self.content.id(source).to_le_bytes());
            let bytes = self.content.payload(source);
            payload.update(&(bytes.len() as u64).to_le_bytes());
            payload.update(bytes);
            if self.content.deleted(source) {
                deleted.update(&row.to_le_bytes());
            }
        }
        let mut graph = Digest::new();
        let mut update = |words: &[u32]| words.iter().for_each(|word| graph.update(&word.to_le_bytes()));
        update(&self.order);
        for layer in &self.graph.layers {
            for node in 0..layer.rows() as u32 {
                let neighbors = layer.neighbors(node);
                update(&[neighbors.len() as u32]);
                update(neighbors);
            }
        }
        let mut quality = Digest::new();
        self.quality.iter().for_each(|row| quality.update(&row.to_bytes()));
        let parts: [&[u8]; 7] = [
            self.meta.as_bytes(),
            &self.digest.to_le_bytes(),
            &ids.finish().to_le_bytes(),
            &payload.finish().to_le_bytes(),
            &deleted.finish().to_le_bytes(),
            &graph.finish().to_le_bytes(),
            &quality.finish().to_le_bytes(),
        ];
        #[cfg(feature = "filter")]
        if !self.columns.is_empty() {
            let columns = columns::digest(self.columns, places).to_le_bytes();
            return build_id(&[&parts[..], &[&columns]].concat());
        }
        build_id(&parts)
    }

    fn quant(&self) -> Vec<u8> {
        let space = self.records.space;
        let head = [1, space.layout.dimensions as u32, space.encoding as u32, 0];
        let mut bytes: Vec<u8> = head.iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
        bytes.extend(space.mean.iter().flat_map(|value| value.to_le_bytes()));
        bytes
    }

    /// What coarse codes share.
    #[cfg(feature = "codes")]
    fn codes_quant(&self) -> Option<Vec<u8>> {
        match &self.codes?.table {
            CodeTable::U4(_) => None,
            CodeTable::Coarse(coarse) => Some(coarse.to_bytes(self.records.space.layout.dimensions)),
        }
    }

    /// Layers from the top down; a node's neighbours are places in this table.
    fn write_upper<S: Sink>(&self, places: &Places, writer: &mut Writer<S>) -> Result<(), WriteError<S::Error>> {
        let mut start = 0u32;
        for (number, layer) in self.graph.layers.iter().enumerate().skip(1).rev() {
            let next = start + layer.rows() as u32;
            for node in 0..layer.rows() as u32 {
                let below = if number > 1 { next + node } else { NONE };
                let head = [places.row_of_node[node as usize], number as u32, below, 0];
                let neighbors = layer.neighbors(node);
                let unused = core::iter::repeat_n(NONE, layer.degree() - neighbors.len());
                let slots = neighbors.iter().map(|&neighbor| start + neighbor).chain(unused);
                let bytes: Vec<u8> = head.into_iter().chain(slots).flat_map(u32::to_le_bytes).collect();
                writer.rows(&bytes)?;
            }
            start = next;
        }
        Ok(())
    }

    fn write_records<S: Sink>(
        &self,
        places: &Places,
        writer: &mut Writer<S>,
        progress: &mut Progress<'_>,
    ) -> Result<(), BuildError<S::Error>> {
        let layout = self.records.space.layout;
        let (mut record, mut payload_end) = (vec![0; layout.stride], 0u64);
        let mut node = 0;
        for (place, &source) in places.sources.iter().enumerate() {
            report(progress, place, places.sources.len())?;
            if places.node_of_row[place] != NONE {
                node = places.node_of_row[place];
            }
            record.copy_from_slice(self.records.record(node));
            let mut factors = layout.factors(&record);
            let twin_next = places.node_of_row.get(place + 1) == Some(&NONE);
            factors.flags = if twin_next { DUPLICATE_FOLLOWS } else { 0 };
            let length = self.content.payload(source).len();
            let length = u32::try_from(length).map_err(|_| BuildError::PayloadTooLong { row: source as usize })?;
            let payload = if length > 0 { (payload_end, length) } else { (0, 0) };
            payload_end += u64::from(length);
            layout.write_tail(&mut record, factors, self.content.id(source), payload);
            writer.rows(&record)?;
        }
        Ok(())
    }

    fn write_codes<S: Sink>(&self, places: &Places, writer: &mut Writer<S>) -> Result<(), WriteError<S::Error>> {
        let Some(codes) = self.codes.filter(|_| cfg!(feature = "codes")) else { return Ok(()) };
        let mut node = 0;
        places.node_of_row.iter().try_for_each(|&own| {
            // A duplicate has the codes of the row before it.
            node = if own == NONE { node } else { own };
            writer.rows(codes.row(node))
        })
    }

    #[cfg(feature = "codes")]
    fn write_neighbor_codes<S: Sink>(&self, places: &Places, writer: &mut Writer<S>) -> Result<(), WriteError<S::Error>> {
        let Some(neighbors) = self.neighbors else { return Ok(()) };
        let mut row = vec![0; neighbors.layout.stride()];
        places.node_of_row.iter().try_for_each(|&node| {
            if node == NONE {
                neighbors.layout.clear(&mut row);
            } else {
                row.copy_from_slice(neighbors.row(node));
                neighbors.layout.rename(&mut row, |neighbor| places.row_of_node[neighbor as usize]);
            }
            writer.rows(&row)
        })
    }

    fn write_edges<S: Sink>(&self, places: &Places, table: &TableSpec, writer: &mut Writer<S>) -> Result<(), WriteError<S::Error>> {
        let mut row = vec![0xFF; table.stride as usize];
        for &node in &places.node_of_row {
            row.fill(0xFF);
            if node != NONE {
                let neighbors = self.graph.layers[0].neighbors(node);
                for (slot, &neighbor) in row.as_chunks_mut::<4>().0.iter_mut().zip(neighbors) {
                    *slot = places.row_of_node[neighbor as usize].to_le_bytes();
                }
            }
            writer.rows(&row)?;
        }
        Ok(())
    }

    fn write_deleted<S: Sink>(&self, places: &Places, writer: &mut Writer<S>) -> Result<(), WriteError<S::Error>> {
        let mut bitmap = vec![0u8; places.sources.len().div_ceil(8)];
        for (row, &source) in places.sources.iter().enumerate() {
            bitmap[row / 8] |= u8::from(self.content.deleted(source)) << (row % 8);
        }
        writer.rows(&bitmap)
    }

    fn write_originals<S: Sink>(
        &self,
        places: &Places,
        table: &TableSpec,
        writer: &mut Writer<S>,
        progress: &mut Progress<'_>,
    ) -> Result<(), BuildError<S::Error>> {
        let mut padded = vec![0; table.stride as usize];
        for (group, sources) in places.sources.chunks(ANNOUNCED).enumerate() {
            sources.iter().for_each(|&source| self.content.announce_original(source));
            for (place, &source) in (group * ANNOUNCED..).zip(sources) {
                report(progress, place, places.sources.len())?;
                let bytes = self.content.original(source);
                padded[..bytes.len()].copy_from_slice(bytes);
                writer.rows(&padded)?;
            }
        }
        Ok(())
    }
}

fn write_ids<S: Sink>(ids: &[(u64, u32)], writer: &mut Writer<S>) -> Result<(), WriteError<S::Error>> {
    ids.iter().try_for_each(|(id, row)| {
        let mut entry = [0; 16];
        entry[..8].copy_from_slice(&id.to_le_bytes());
        entry[8..12].copy_from_slice(&row.to_le_bytes());
        writer.rows(&entry)
    })
}

fn report<E>(progress: &mut Progress<'_>, done: usize, total: usize) -> Result<(), BuildError<E>> {
    if done.is_multiple_of(STEP_ROWS) && progress(Stage::Write, done as u64, total as u64).is_break() {
        return Err(BuildError::Interrupted);
    }
    Ok(())
}
