//! A file laid out anew for a disk: codes and graph in front, to stay in memory as far as that goes; records behind them; each of these in
//! pages, to be read one by one.
//!
//! What the file holds stays what it was. Where it has no codes, or others than are asked for, they are made of its records. Its quality
//! table then says nothing of walks by them and stays behind; [`BuildParams::tier`](super::BuildParams) builds a file with a table of its own.

use super::codes::{CodeTable, Codes};
use super::recode::Recoder;
use super::tiles::TileError;
use crate::format::encoding::CODES_U4;
use crate::format::{Digest, FileSpec, Header, Kind, PAGE_BYTES, Plan, Refine, Section, Sink, TableSpec, Writer, build_id};
use crate::index::Index;
use crate::par::Par;
use crate::search::SearchError;
use crate::sort;
use alloc::vec::Vec;
use core::ops::ControlFlow;

/// Version of what decides the bytes.
const VERSION: &[u8] = b"pages 3";
/// Rows that are coded at once.
const STEP_ROWS: u32 = 16_384;

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

/// How a file is laid out for a disk.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PageParams {
    /// What guides walks; [`Codes::None`] stands for those that the file has, or four bits a dimension where it has none.
    pub codes: Codes,
    /// Whether the input rows come along; without them records rank.
    pub originals: bool,
    /// Bytes of a page: 4096 to 65,536, a multiple of 4096. Larger ones hold more rows that nobody asked for, and fewer bytes that hold none.
    pub page_bytes: u32,
}

impl Default for PageParams {
    fn default() -> Self {
        Self { codes: Codes::None, originals: false, page_bytes: PAGE_BYTES }
    }
}

/// What the bytes of a page must be.
pub(super) const PAGE_MUST: &str = "4096 to 65536, a multiple of 4096";

/// Whether pages may have so many bytes.
pub(super) const fn is_page(bytes: u32) -> bool {
    bytes >= PAGE_BYTES && bytes <= 16 * PAGE_BYTES && bytes.is_multiple_of(PAGE_BYTES)
}

impl<B: AsRef<[u8]>> Index<B> {
    /// Writes the file anew for walks that read records from a disk, and returns the sink and the new header. `progress` is told bytes done
    /// and in all. The same file and arguments give the same bytes for any number of threads.
    /// Cost: one pass over the file, and a coding of each record where codes are made.
    ///
    /// # Errors
    /// A damaged block, a file without a graph, the sink's errors, or [`TileError::Interrupted`] when `progress` breaks.
    pub fn write_pages<P: Par, S: Sink>(
        &self,
        params: &PageParams,
        par: &P,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
        sink: S,
    ) -> Result<(S, Header), TileError<S::Error>> {
        let PageParams { codes, originals, page_bytes } = *params;
        if !is_page(page_bytes) {
            return Err(TileError::Parameter { parameter: "page_bytes", must: PAGE_MUST });
        }
        let (space, _) = self.coding()?;
        let reader = self.reader();
        let superblock = &reader.header().superblock;
        if reader.section(Kind::Edges, 0).is_none() {
            return Err(SearchError::Unsupported { lacks: "has no graph to walk along" }.into());
        }
        let has = reader
            .section(Kind::CodesRows, 0)
            .map(|section| Codes::of_table(section.table(), reader.header().superblock.dimensions as usize));
        let made = if codes == Codes::None { has.is_none().then_some(Codes::U4) } else { (has != Some(Some(codes))).then_some(codes) };
        let recoder = match made {
            Some(codes) => {
                let records = reader.section(Kind::Records, 0).ok_or(SearchError::Unsupported { lacks: "has no records" })?;
                Some(Recoder::new(codes, space, self.kernels(), records, superblock.seed, par).map_err(SearchError::from)?)
            }
            None => None,
        };
        let mut tables: Vec<TableSpec> = reader.sections().filter_map(|section| self.paged(&section, made.is_none(), page_bytes)).collect();
        tables.retain(|table| originals || table.kind != Kind::Originals);
        if let Some(recoder) = &recoder {
            let (encoding, parameter) = match &recoder.table {
                CodeTable::U4(layout) => (CODES_U4, layout.factors),
                CodeTable::Coarse(coarse) => {
                    tables.push(TableSpec::blob(Kind::Quant, coarse.to_bytes(self.dimensions()).len() as u64).instance(1).hot());
                    (coarse.method().encoding(), coarse.parameter())
                }
            };
            let spec = TableSpec::table(Kind::CodesRows, superblock.rows, recoder.stride as u32);
            tables.push(spec.encoding(encoding).parameter(parameter as u32).page_rows(page_bytes));
        }
        let mut order: Vec<usize> = (0..tables.len()).collect();
        sort::by_key(&mut order, |&at| (!tables[at].hot, place(tables[at].kind), at));
        let tables: Vec<TableSpec> = order.into_iter().map(|at| tables[at]).collect();
        let mut digest = Digest::new();
        tables.iter().for_each(|table| {
            digest.update(&(table.kind as u16).to_le_bytes());
            digest.update(&(u64::from(table.encoding) << 32 | u64::from(table.parameter)).to_le_bytes());
        });
        if page_bytes != PAGE_BYTES {
            digest.update(&page_bytes.to_le_bytes());
        }
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
            match (&recoder, table.kind, table.instance) {
                (Some(recoder), Kind::CodesRows, _) => {
                    let mut rows = Vec::new();
                    for first in (0..superblock.rows as u32).step_by(STEP_ROWS as usize) {
                        recoder.rows(first, STEP_ROWS, &mut rows, par).map_err(SearchError::from)?;
                        writer.rows(&rows)?;
                        tell(rows.len() as u64)?;
                    }
                    continue;
                }
                (Some(Recoder { table: CodeTable::Coarse(coarse), .. }), Kind::Quant, 1) => {
                    writer.rows(&coarse.to_bytes(self.dimensions()))?;
                    continue;
                }
                _ => {}
            }
            let Some(section) = reader.section(table.kind, table.instance) else { continue };
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

    /// What becomes of a table; `None` where it stays behind, as codes do that others replace, with all that was said of them.
    fn paged(&self, section: &Section<'_>, codes_stay: bool, page_bytes: u32) -> Option<TableSpec> {
        let table = section.table();
        let kind = table.kind()?;
        let of_codes = matches!(kind, Kind::Quality | Kind::CodesRows) || (kind == Kind::Quant && table.instance == 1);
        let left = matches!(kind, Kind::NeighborCodes | Kind::CodesTiles | Kind::Tiles | Kind::RouteRecords);
        if left || (of_codes && !codes_stay) {
            return None;
        }
        let spec = TableSpec::table(kind, table.rows, table.stride).instance(table.instance).encoding(table.encoding);
        let spec = TableSpec { hot: table.is_hot(), required: table.is_required(), ..spec }.parameter(table.parameter).extra(table.extra);
        Some(match kind {
            Kind::Records | Kind::Edges => spec.paged(page_bytes),
            Kind::CodesRows => spec.page_rows(page_bytes),
            // A row that is no page long would be read in two as often as not.
            Kind::Originals => spec.block_rows(1).packed(),
            Kind::Payload => spec.block_rows(4096 - 8).packed(),
            _ => spec,
        })
    }
}
