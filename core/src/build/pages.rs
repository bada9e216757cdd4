//! A file laid out anew for a disk: codes and graph in front, to stay in memory as far as that goes; records behind them; each of these in
//! pages, to be read one by one.
//!
//! What the file holds stays what it was. Where it has no codes, four bits a dimension are made of its records. Its quality table then
//! says nothing of walks by them and stays behind; [`BuildParams::tier`](super::BuildParams) builds a file with a table of its own.

use super::tiles::TileError;
use crate::format::encoding::CODES_U4;
use crate::format::{Digest, FileSpec, Header, Kind, Plan, Refine, Section, Sink, TableSpec, Writer, build_id};
use crate::index::Index;
use crate::quant::CodeLayout;
use crate::search::SearchError;
use crate::sort;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::ControlFlow;

/// Version of what decides the bytes.
const VERSION: &[u8] = b"pages 2";
/// Rows between two reports of progress.
const STEP_ROWS: u32 = 4096;

/// Where a table goes: hot ones first, then what guides walks, then what is read.
fn place(kind: Kind) -> u8 {
    match kind {
        Kind::Upper => 1,
        Kind::CodesRows => 2,
        Kind::Edges => 3,
        Kind::Records => 5,
        Kind::Originals => 6,
        Kind::Payload => 7,
        _ => 4,
    }
}

impl<B: AsRef<[u8]>> Index<B> {
    /// Writes the file anew for walks that read records from a disk, and returns the sink and the new header; without `originals` those stay
    /// behind, and records rank. `progress` is told bytes done and in all. The same file gives the same bytes. Cost: one pass over the file.
    ///
    /// # Errors
    /// A damaged block, a file without a graph, the sink's errors, or [`TileError::Interrupted`] when `progress` breaks.
    pub fn write_pages<S: Sink>(
        &self,
        originals: bool,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
        sink: S,
    ) -> Result<(S, Header), TileError<S::Error>> {
        let (space, _) = self.coding()?;
        let reader = self.reader();
        let superblock = &reader.header().superblock;
        if reader.section(Kind::Edges, 0).is_none() {
            return Err(SearchError::Unsupported { lacks: "has no graph to walk along" }.into());
        }
        let layout = CodeLayout::new(self.dimensions());
        let codes = reader.section(Kind::CodesRows, 0).is_some();
        let mut tables: Vec<TableSpec> = reader.sections().filter_map(|section| self.paged(&section, codes)).collect();
        tables.retain(|table| originals || table.kind != Kind::Originals);
        if !codes {
            let spec = TableSpec::table(Kind::CodesRows, superblock.rows, layout.stride as u32);
            tables.push(spec.encoding(CODES_U4).parameter(layout.factors as u32).page_rows());
        }
        let mut order: Vec<usize> = (0..tables.len()).collect();
        sort::by_key(&mut order, |&at| (!tables[at].hot, place(tables[at].kind), at));
        let tables: Vec<TableSpec> = order.into_iter().map(|at| tables[at]).collect();
        let mut digest = Digest::new();
        tables.iter().for_each(|table| digest.update(&(table.kind as u16).to_le_bytes()));
        let spec = FileSpec {
            rows: superblock.rows,
            dimensions: superblock.dimensions,
            metric: superblock.metric,
            element: superblock.element,
            plan: Plan::Walk,
            refine: if originals { superblock.refine } else { Refine::Records },
            seed: superblock.seed,
            build_id: build_id(&[VERSION, &superblock.build_id.to_le_bytes(), &digest.finish().to_le_bytes()]),
        };
        let mut writer = Writer::new(sink, &spec, &tables)?;
        let total = writer.header().superblock.file_bytes;
        let mut done = 0;
        let mut tell = |bytes: u64| {
            done += bytes;
            if progress(done, total).is_break() { Err(TileError::Interrupted) } else { Ok(()) }
        };
        for table in &tables {
            let Some(section) = reader.section(table.kind, table.instance) else {
                let mut code = vec![0; layout.stride];
                let records = reader.section(Kind::Records, 0).ok_or(SearchError::Unsupported { lacks: "has no records" })?;
                for row in 0..superblock.rows as u32 {
                    layout.encode(space, records.row(row)?, &mut code);
                    writer.rows(&code)?;
                    if row.is_multiple_of(STEP_ROWS) {
                        tell(u64::from(STEP_ROWS) * layout.stride as u64)?;
                    }
                }
                continue;
            };
            let old = section.table();
            for block in 0..old.blocks() {
                let rows = usize::try_from(old.row_bytes(block)).unwrap_or(usize::MAX);
                let bytes = section.verified_block(block)?;
                writer.rows(bytes.get(..rows).unwrap_or(bytes))?;
                if block.is_multiple_of(64) {
                    tell(64 * u64::from(old.block_bytes))?;
                }
            }
        }
        Ok(writer.finish()?)
    }

    /// What becomes of a table; `None` where it stays behind.
    fn paged(&self, section: &Section<'_>, codes: bool) -> Option<TableSpec> {
        let table = section.table();
        let kind = table.kind()?;
        if matches!(kind, Kind::NeighborCodes | Kind::CodesTiles | Kind::Tiles | Kind::RouteRecords) || (kind == Kind::Quality && !codes) {
            return None;
        }
        let spec = TableSpec::table(kind, table.rows, table.stride).instance(table.instance).encoding(table.encoding);
        let spec = TableSpec { hot: table.is_hot(), required: table.is_required(), ..spec }.parameter(table.parameter).extra(table.extra);
        Some(match kind {
            Kind::Records | Kind::Edges => spec.paged(),
            Kind::CodesRows => spec.page_rows(),
            // A row that is no page long would be read in two as often as not.
            Kind::Originals => spec.block_rows(1).packed(),
            Kind::Payload => spec.block_rows(4096 - 8).packed(),
            _ => spec,
        })
    }
}
