//! The last stage: tables in file order, row after row, into the sink.

use super::ingest::Arranged;
use super::{BuildError, BuildParams, Input, Progress, Stage, describe};
use crate::format::{Digest, FileSpec, Kind, Plan, Refine, Sink, TableSpec, Writer, build_id};
use crate::graph::NONE;
use crate::graph::hnsw::Hierarchy;
use crate::graph::layer::Records;
use crate::quant::Space;
use crate::quant::record::DUPLICATE_FOLLOWS;
use crate::search::QualityRow;
use crate::search::quality::QUALITY_BYTES;
use alloc::vec;
use alloc::vec::Vec;

/// Rows between two reports of progress.
const STEP_ROWS: usize = 4096;

/// A file about to be written.
pub(super) struct File<'a> {
    pub(super) input: &'a Input<'a>,
    pub(super) params: &'a BuildParams,
    pub(super) space: &'a Space,
    /// `order[i]` is the i-th node of the file; its duplicates follow it.
    pub(super) order: Vec<u32>,
    pub(super) arranged: &'a Arranged,
    pub(super) records: Records<'a>,
    pub(super) graph: &'a Hierarchy,
    pub(super) quality: &'a [QualityRow],
    pub(super) plan: Plan,
    pub(super) refine: Refine,
    /// Sorted (id, input row), when ids were given.
    pub(super) ids: Option<Vec<(u64, u32)>>,
}

/// Where input rows and nodes lie in the file.
struct Places {
    /// Input row of each file row.
    input_rows: Vec<u32>,
    /// File row of each node.
    row_of_node: Vec<u32>,
    /// Node of each file row; [`NONE`] for a duplicate.
    node_of_row: Vec<u32>,
}

impl File<'_> {
    /// Writes everything; returns the sink, the bytes of the file and its build id.
    pub(super) fn write<S: Sink>(self, sink: S, progress: &mut Progress<'_>) -> Result<(S, u64, u64), BuildError<S::Error>> {
        let places = self.places();
        let rows = places.input_rows.len() as u64;
        let meta = describe(self.input, self.params);
        let id = self.build_id(&meta);
        let spec = FileSpec {
            rows,
            dimensions: self.input.vectors.dimensions() as u32,
            metric: self.params.metric,
            element: self.input.vectors.element(),
            plan: self.plan,
            refine: self.refine,
            seed: self.params.seed,
            build_id: id,
        };
        let tables = self.tables(&places, &meta);
        let mut writer = Writer::new(sink, &spec, &tables)?;
        for table in &tables {
            match table.kind {
                Kind::Meta => writer.rows(meta.as_bytes())?,
                Kind::Quant => writer.rows(&self.quant())?,
                Kind::Quality => {
                    for row in self.quality {
                        writer.rows(&row.to_bytes())?;
                    }
                }
                Kind::Upper => self.write_upper(&places, &mut writer)?,
                Kind::Records => self.write_records(&places, &mut writer, progress)?,
                Kind::Edges => self.write_edges(&places, table, &mut writer)?,
                Kind::IdsIndex => self.write_ids(&places, &mut writer)?,
                Kind::Payload => {
                    let payloads = self.input.payloads;
                    for &row in &places.input_rows {
                        writer.rows(payloads.map_or(&[][..], |payloads| payloads.row(row as usize)))?;
                    }
                }
                Kind::Originals => self.write_originals(&places, table, &mut writer, progress)?,
                _ => {}
            }
        }
        let (sink, header) = writer.finish()?;
        Ok((sink, header.superblock.file_bytes, id))
    }

    fn places(&self) -> Places {
        let rows = self.input.vectors.rows();
        let mut places = Places {
            input_rows: Vec::with_capacity(rows),
            row_of_node: vec![NONE; self.order.len()],
            node_of_row: Vec::with_capacity(rows),
        };
        for &node in &self.order {
            let row = self.arranged.nodes[node as usize];
            places.row_of_node[node as usize] = places.input_rows.len() as u32;
            places.input_rows.push(row);
            places.node_of_row.push(node);
            for duplicate in self.arranged.duplicates_of(row) {
                places.input_rows.push(duplicate);
                places.node_of_row.push(NONE);
            }
        }
        places
    }

    /// The tables, hot ones first; sizes are known before a byte is written.
    fn tables(&self, places: &Places, meta: &str) -> Vec<TableSpec> {
        let rows = places.input_rows.len() as u64;
        let layout = self.space.layout;
        let base = &self.graph.layers[0];
        let dimensions = self.input.vectors.dimensions();
        let mut tables = vec![
            TableSpec::blob(Kind::Quant, (16 + 4 * dimensions) as u64).hot().required(),
            TableSpec::table(Kind::Quality, self.quality.len() as u64, QUALITY_BYTES as u32).hot(),
            TableSpec::blob(Kind::Meta, meta.len() as u64),
        ];
        let upper: usize = self.graph.layers[1..].iter().map(|layer| layer.rows()).sum();
        if upper > 0 {
            let stride = (16 + 4 * self.params.m) as u32;
            tables.push(TableSpec::table(Kind::Upper, upper as u64, stride).parameter(self.params.m as u32));
        }
        let encoding = self.space.encoding as u32;
        tables.push(
            TableSpec::table(Kind::Records, rows, layout.stride as u32).required().encoding(encoding).parameter(layout.factors as u32),
        );
        let degree = base.degree() as u32;
        let entry = places.row_of_node.first().copied().unwrap_or(0);
        tables.push(TableSpec::table(Kind::Edges, rows, degree * 4).parameter(degree).extra(entry.into()));
        tables.push(TableSpec::table(Kind::IdsIndex, rows, 16));
        if let Some(payloads) = self.input.payloads {
            tables.push(TableSpec::blob(Kind::Payload, payloads.bytes().len() as u64));
        }
        if self.refine == Refine::Originals {
            let stride = (dimensions * self.input.vectors.element().bytes()).next_multiple_of(16) as u32;
            let element = self.input.vectors.element() as u32;
            tables.push(TableSpec::table(Kind::Originals, rows, stride).encoding(element));
        }
        tables
    }

    /// A hash of all that decides the bytes: options, rows, ids, payload.
    fn build_id(&self, meta: &str) -> u64 {
        let mut ids = Digest::new();
        for id in self.input.ids.unwrap_or(&[]) {
            ids.update(&id.to_le_bytes());
        }
        let mut payload = Digest::new();
        if let Some(payloads) = self.input.payloads {
            payload.update(payloads.bytes());
            payloads.ends().iter().for_each(|end| payload.update(&end.to_le_bytes()));
        }
        build_id(&[meta.as_bytes(), &self.arranged.digest.to_le_bytes(), &ids.finish().to_le_bytes(), &payload.finish().to_le_bytes()])
    }

    fn quant(&self) -> Vec<u8> {
        let head = [1, self.space.layout.dimensions as u32, self.space.encoding as u32, 0];
        let mut bytes: Vec<u8> = head.iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
        bytes.extend(self.space.mean.iter().flat_map(|value| value.to_le_bytes()));
        bytes
    }

    /// Layers from the top down; a node's neighbours are places in this table.
    fn write_upper<S: Sink>(&self, places: &Places, writer: &mut Writer<S>) -> Result<(), BuildError<S::Error>> {
        let layers = &self.graph.layers;
        let mut start = 0u32;
        for (number, layer) in layers.iter().enumerate().skip(1).rev() {
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
        let layout = self.space.layout;
        let (mut record, mut payload_end) = (vec![0; layout.stride], 0u64);
        let mut last_node = 0;
        for (place, &row) in places.input_rows.iter().enumerate() {
            self.report(progress, place)?;
            let node = places.node_of_row[place];
            last_node = if node == NONE { last_node } else { node };
            record.copy_from_slice(self.records.record(last_node));
            let mut factors = layout.factors(&record);
            if places.node_of_row.get(place + 1) == Some(&NONE) {
                factors.flags |= DUPLICATE_FOLLOWS;
            }
            let length = self.input.payloads.map_or(0, |payloads| payloads.row(row as usize).len());
            let length = u32::try_from(length).map_err(|_| BuildError::PayloadTooLong { row: row as usize })?;
            let payload = if length > 0 { (payload_end, length) } else { (0, 0) };
            payload_end += u64::from(length);
            let id = self.input.ids.map_or(u64::from(row), |ids| ids[row as usize]);
            layout.write_tail(&mut record, factors, id, payload);
            writer.rows(&record)?;
        }
        Ok(())
    }

    fn write_edges<S: Sink>(&self, places: &Places, table: &TableSpec, writer: &mut Writer<S>) -> Result<(), BuildError<S::Error>> {
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

    fn write_ids<S: Sink>(&self, places: &Places, writer: &mut Writer<S>) -> Result<(), BuildError<S::Error>> {
        let mut row_of_input = vec![0u32; places.input_rows.len()];
        for (place, &row) in places.input_rows.iter().enumerate() {
            row_of_input[row as usize] = place as u32;
        }
        let mut write = |id: u64, row: u32| {
            let mut entry = [0; 16];
            entry[..8].copy_from_slice(&id.to_le_bytes());
            entry[8..12].copy_from_slice(&row_of_input[row as usize].to_le_bytes());
            writer.rows(&entry)
        };
        match &self.ids {
            Some(sorted) => sorted.iter().try_for_each(|&(id, row)| write(id, row))?,
            None => (0..places.input_rows.len() as u32).try_for_each(|row| write(row.into(), row))?,
        }
        Ok(())
    }

    fn write_originals<S: Sink>(
        &self,
        places: &Places,
        table: &TableSpec,
        writer: &mut Writer<S>,
        progress: &mut Progress<'_>,
    ) -> Result<(), BuildError<S::Error>> {
        let mut padded = vec![0; table.stride as usize];
        for (place, &row) in places.input_rows.iter().enumerate() {
            self.report(progress, place)?;
            let bytes = self.input.vectors.row(row as usize);
            padded[..bytes.len()].copy_from_slice(bytes);
            writer.rows(&padded)?;
        }
        Ok(())
    }

    fn report<E>(&self, progress: &mut Progress<'_>, done: usize) -> Result<(), BuildError<E>> {
        let total = self.input.vectors.rows() as u64;
        if done.is_multiple_of(STEP_ROWS) && progress(Stage::Write, done as u64, total).is_break() {
            return Err(BuildError::Interrupted);
        }
        Ok(())
    }
}
