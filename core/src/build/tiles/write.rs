//! The tables of a file in tiles, in file order.

use super::{TileError, TileParams, TileStage, Tiled};
use crate::format::encoding::{CODES_U4, TILE_SIGNS};
use crate::format::{
    Digest, FileSpec, Header, Kind, Plan, Refine, Section, Sink, TILE_BYTES, TableSpec, WriteError, Writer, build_id, file_bytes,
};
use crate::index::Index;
use crate::quant::record::{DUPLICATE_FOLLOWS, TAIL_BYTES};
use crate::quant::{RecordLayout, Space};
use crate::search::QualityRow;
use crate::search::quality::QUALITY_BYTES;
use crate::words::say;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// Version of what decides the bytes, beside the parameters.
const VERSION: &str = "tiles 1";
/// Rows between two reports of progress.
const STEP_ROWS: usize = 4096;
/// Bytes of payload in a block: with its check a page.
const PAYLOAD_BLOCK: u32 = 4096 - 8;

/// A file about to be written.
pub(super) struct File<'a, B> {
    pub(super) index: &'a Index<B>,
    pub(super) tiled: &'a Tiled<'a>,
    /// The row of the index behind each row.
    pub(super) source: &'a [u32],
    /// Whether a row is an exact duplicate of the one before it.
    pub(super) twins: &'a [bool],
    pub(super) params: &'a TileParams,
    /// Whether rows have copies in second tiles.
    pub(super) copies: bool,
    pub(super) quality: &'a [QualityRow],
}

/// Records as tight as 16 bytes allow: they are fetched one by one.
pub(super) fn record_layout(space: &Space) -> RecordLayout {
    let RecordLayout { dimensions, factors, .. } = space.layout;
    RecordLayout { dimensions, factors, stride: (factors + TAIL_BYTES).next_multiple_of(16) }
}

/// What is to be written, before it is.
struct Plans {
    meta: String,
    /// Sorted, with the row of each; none where ids are the numbers of rows.
    ids: Vec<(u64, u32)>,
    duplicates: Vec<[u32; 2]>,
    spec: FileSpec,
    tables: Vec<TableSpec>,
}

impl<B: AsRef<[u8]> + Sync> File<'_, B> {
    /// Bytes that the file would have.
    pub(super) fn bytes<E>(&self) -> Result<u64, TileError<E>> {
        let Plans { spec, tables, .. } = self.plan()?;
        file_bytes(&spec, &tables).map_err(|bad| TileError::Write(WriteError::Spec(bad)))
    }

    fn plan(&self) -> Result<Plans, crate::search::SearchError> {
        let superblock = &self.index.reader().header().superblock;
        let meta = self.meta();
        let mut ids = self.ids()?;
        crate::sort::by_key(&mut ids, |pair| *pair);
        if ids.iter().all(|&(id, row)| id == u64::from(row)) {
            ids.clear();
        }
        let mut quality = Digest::new();
        self.quality.iter().for_each(|row| quality.update(&row.to_bytes()));
        let spec = FileSpec {
            rows: self.source.len() as u64,
            dimensions: superblock.dimensions,
            metric: superblock.metric,
            element: superblock.element,
            plan: Plan::Tiles,
            refine: Refine::Records,
            seed: superblock.seed,
            build_id: build_id(&[VERSION.as_bytes(), &superblock.build_id.to_le_bytes(), meta.as_bytes(), &quality.finish().to_le_bytes()]),
        };
        let duplicates = self.duplicates();
        let tables = self.tables(&meta, ids.len() as u64, duplicates.len() as u64);
        Ok(Plans { meta, ids, duplicates, spec, tables })
    }

    pub(super) fn write<S: Sink>(
        &self,
        tell: &mut dyn FnMut(TileStage, u64, u64) -> Result<(), TileError<S::Error>>,
        sink: S,
    ) -> Result<(S, Header), TileError<S::Error>> {
        let old = self.index.reader();
        let Plans { meta, ids, duplicates, spec, tables } = self.plan()?;
        let mut writer = Writer::new(sink, &spec, &tables)?;
        for table in &tables {
            let section = old.section(table.kind, table.instance);
            match (table.kind, section) {
                (Kind::Meta, _) => writer.rows(meta.as_bytes())?,
                (Kind::Quality, _) => self.quality.iter().try_for_each(|row| writer.rows(&row.to_bytes()))?,
                (Kind::Tiles, _) => self.write_tiles(&mut writer)?,
                (Kind::RouteRecords, _) => writer.rows(&self.tiled.route)?,
                (Kind::CodesTiles, _) => writer.rows(&self.tiled.codes)?,
                (Kind::Records, _) => self.write_records(tell, &mut writer)?,
                (Kind::IdsIndex, _) => ids.iter().try_for_each(|(id, row)| {
                    let entry = u128::from(*id) | u128::from(*row) << 64;
                    writer.rows(&entry.to_le_bytes())
                })?,
                (Kind::DupOf, _) => duplicates.iter().try_for_each(|pair| writer.rows(pair.map(u32::to_le_bytes).as_flattened()))?,
                (Kind::Payload, _) => {
                    let mut payload = Vec::new();
                    for &row in &self.tiled.old {
                        self.index.payload(self.source[row as usize], &mut payload)?;
                        writer.rows(&payload)?;
                    }
                }
                (Kind::ColumnNulls, Some(section)) => self.write_bits(&section, &mut writer)?,
                (Kind::Column | Kind::Originals, Some(section)) => {
                    for &row in &self.tiled.old {
                        writer.rows(section.row(self.source[row as usize])?)?;
                    }
                }
                (_, Some(section)) => copy(&section, &mut writer)?,
                (_, None) => {}
            }
        }
        Ok(writer.finish()?)
    }

    /// The tables, hot ones first.
    fn tables(&self, meta: &str, ids: u64, duplicates: u64) -> Vec<TableSpec> {
        let Tiled { tiles, route_layout, layout, space, first, .. } = self.tiled;
        let (rows, tile_count) = (self.source.len() as u64, tiles.len() as u64);
        let records = record_layout(space);
        let old = self.index.reader();
        let same = |section: &Section<'_>| {
            let table = section.table();
            let kind = table.kind()?;
            let spec = TableSpec::table(kind, table.rows, table.stride).instance(table.instance).encoding(table.encoding);
            Some(spec.parameter(table.parameter).extra(table.extra))
        };
        let copied =
            |kind: Kind| old.sections().filter(move |section| section.table().kind == kind as u16).filter_map(|section| same(&section));
        let mut tables: Vec<TableSpec> =
            copied(Kind::Quant).filter(|table| table.instance == 0).map(|table| table.hot().required()).collect();
        tables.extend([
            TableSpec::table(Kind::Quality, self.quality.len() as u64, QUALITY_BYTES as u32).hot(),
            TableSpec::table(Kind::Tiles, tile_count, TILE_BYTES).hot(),
            TableSpec::table(Kind::RouteRecords, tile_count, route_layout.stride as u32)
                .encoding(CODES_U4)
                .parameter(route_layout.factors as u32)
                .hot(),
            TableSpec::blob(Kind::Meta, meta.len() as u64),
            TableSpec::table(Kind::CodesTiles, first.last().copied().unwrap_or(0).into(), layout.block() as u32)
                .encoding(TILE_SIGNS)
                .block_rows(1)
                .packed(),
            TableSpec::table(Kind::Records, rows, records.stride as u32)
                .encoding(space.encoding as u32)
                .parameter(records.factors as u32)
                .block_rows(1)
                .packed()
                .required(),
        ]);
        if ids > 0 {
            tables.push(TableSpec::table(Kind::IdsIndex, ids, 16));
        }
        if duplicates > 0 {
            tables.push(TableSpec::table(Kind::DupOf, duplicates, 8));
        }
        for kind in [Kind::Columns, Kind::Column, Kind::ColumnNulls, Kind::ColumnEnds, Kind::ColumnText] {
            tables.extend(copied(kind));
        }
        let payload = copied(Kind::Payload).next().map(|table| table.rows).filter(|_| self.source.len() == self.index.len());
        let payload = payload.unwrap_or_else(|| self.payload_bytes());
        if payload > 0 {
            tables.push(TableSpec::blob(Kind::Payload, payload).block_rows(PAYLOAD_BLOCK).packed());
        }
        if self.params.originals {
            tables.extend(copied(Kind::Originals).map(|table| TableSpec { rows, ..table }.block_rows(1).packed()));
        }
        tables
    }

    /// Whether a row of the new file is an exact duplicate of the one before it: such lie in one tile, in their order.
    fn repeats(&self, row: usize) -> bool {
        let old = self.tiled.old.get(row).copied().unwrap_or(0) as usize;
        row > 0 && self.twins.get(old) == Some(&true) && self.tiled.old.get(row - 1).is_some_and(|&before| before as usize + 1 == old)
    }

    /// What `dup_of` holds, which files with columns have.
    fn duplicates(&self) -> Vec<[u32; 2]> {
        let mut pairs = Vec::new();
        if self.index.reader().section(Kind::Columns, 0).is_some() {
            let mut first = 0;
            for row in 0..self.tiled.old.len() {
                if self.repeats(row) {
                    pairs.push([first, row as u32]);
                } else {
                    first = row as u32;
                }
            }
        }
        pairs
    }

    /// Bytes of the payloads that stay.
    fn payload_bytes(&self) -> u64 {
        let layout = self.tiled.space.layout;
        (0..self.source.len() as u32).map(|row| u64::from(layout.payload(self.tiled.rows.record(row)).1)).sum()
    }

    fn ids(&self) -> Result<Vec<(u64, u32)>, crate::search::SearchError> {
        let layout = self.tiled.space.layout;
        Ok(self.tiled.old.iter().zip(0..).map(|(&old, row)| (layout.id(self.tiled.rows.record(old)), row)).collect())
    }

    fn write_tiles<S: Sink>(&self, writer: &mut Writer<S>) -> Result<(), WriteError<S::Error>> {
        let mut row = 0u32;
        for (tile, &first) in self.tiled.tiles.iter().zip(&self.tiled.first) {
            let slots = (tile.rows.len() + tile.spilled.len()) as u32;
            let words = [row, first, slots, tile.radius.to_bits()];
            writer.rows(words.map(u32::to_le_bytes).as_flattened())?;
            row += tile.rows.len() as u32;
        }
        Ok(())
    }

    fn write_records<S: Sink>(
        &self,
        tell: &mut dyn FnMut(TileStage, u64, u64) -> Result<(), TileError<S::Error>>,
        writer: &mut Writer<S>,
    ) -> Result<(), TileError<S::Error>> {
        let (from, to) = (self.tiled.space.layout, record_layout(self.tiled.space));
        let (mut record, mut payload_end) = (vec![0; to.stride], 0u64);
        for (place, &old) in self.tiled.old.iter().enumerate() {
            if place.is_multiple_of(STEP_ROWS) {
                tell(TileStage::Write, place as u64, self.source.len() as u64)?;
            }
            let bytes = self.tiled.rows.record(old);
            record[..to.factors].copy_from_slice(&bytes[..to.factors]);
            let mut factors = from.factors(bytes);
            factors.flags = if self.repeats(place + 1) { DUPLICATE_FOLLOWS } else { 0 };
            let length = from.payload(bytes).1;
            let payload = if length > 0 { (payload_end, length) } else { (0, 0) };
            payload_end += u64::from(length);
            to.write_tail(&mut record, factors, from.id(bytes), payload);
            writer.rows(&record)?;
        }
        Ok(())
    }

    /// A bitmap over rows, in the new order.
    fn write_bits<S: Sink>(&self, section: &Section<'_>, writer: &mut Writer<S>) -> Result<(), TileError<S::Error>> {
        let mut bits = vec![0u8; self.source.len().div_ceil(8)];
        for (row, &old) in self.tiled.old.iter().enumerate() {
            let source = self.source[old as usize];
            let byte = section.row(source / 8)?.first().copied().unwrap_or(0);
            bits[row / 8] |= (byte >> (source % 8) & 1) << (row % 8);
        }
        Ok(writer.rows(&bits)?)
    }

    /// What decided the bytes, for people: JSON with sorted keys.
    fn meta(&self) -> String {
        let superblock = &self.index.reader().header().superblock;
        let mut json = String::new();
        let out = &mut json;
        say!(out, "{\"builder\":\"", VERSION);
        // Said where they are not, so that files that have them stay what they were.
        say!(out, if self.copies { "" } else { "\",\"copies\":false,\"" });
        say!(out, if self.copies { "\",\"" } else { "" }, "dimensions\":", superblock.dimensions);
        say!(out, ",\"element\":\"", superblock.element.as_str(), "\",\"metric\":\"", superblock.metric.as_str());
        let originals = self.params.originals && self.index.reader().section(Kind::Originals, 0).is_some();
        say!(out, "\",\"originals\":", originals, ",\"rows\":", self.source.len());
        let tile_rows = self.params.rows(superblock.dimensions as usize, self.source.len());
        say!(out, ",\"seed\":", self.params.seed, ",\"source\":", superblock.build_id, ",\"tile_rows\":", tile_rows, "}");
        json
    }
}

/// Hands on every row of a table.
fn copy<S: Sink>(section: &Section<'_>, writer: &mut Writer<S>) -> Result<(), TileError<S::Error>> {
    let table = section.table();
    for block in 0..table.blocks() {
        let rows = usize::try_from(table.row_bytes(block)).unwrap_or(usize::MAX);
        let bytes = section.verified_block(block)?;
        writer.rows(bytes.get(..rows).unwrap_or(bytes))?;
    }
    Ok(())
}
