//! A file laid out anew for searches that fetch what they need: rows in tiles, codes tile by tile.
//!
//! Rows come tile by tile, so that a tile, its codes and its records are each one run of the file. What is derived for other uses (the
//! graph, codes that guide walks) is left out, and so are tombstones. The same file and parameters give the same bytes.

pub(super) mod assign;
pub(super) mod cluster;
mod groups;
mod measure;
#[cfg(test)]
mod tests;
mod write;

use crate::distance::Kernels;
use crate::error::Corrupt;
use crate::format::{Kind, Sink, WriteError};
use crate::index::Index;
use crate::par::Par;
use crate::quant::record::DUPLICATE_FOLLOWS;
use crate::quant::rotation::Rotation;
use crate::quant::signs::{BLOCK_SLOTS, Coder};
use crate::quant::tile::TileLayout;
use crate::quant::{CodeLayout, Space};
use crate::search::{QualityRow, SearchError};
use alloc::vec;
use alloc::vec::Vec;
use assign::Tile;
use cluster::{Centroids, Rows, Worker};
use core::fmt;
use core::ops::ControlFlow;

/// How a file is laid out in tiles.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct TileParams {
    /// Own rows of a tile in the mean, 8 to 4096; `None`: 64, and from 768 dimensions on, or a million rows, 144, so that what every query
    /// needs stays small.
    pub tile_rows: Option<usize>,
    /// Keep the original rows where the file has them: searches can then rank by them, in one round more.
    pub originals: bool,
    /// Seed of the sample and of the first centroids.
    pub seed: u64,
    /// Bytes that the file may have. Where it would have more, the originals are left out; then the copies of rows in second tiles, after
    /// which a search reads more tiles for the same recall; if that does not do, there is no file.
    pub max_bytes: Option<u64>,
}

impl TileParams {
    fn rows(&self, dimensions: usize, rows: usize) -> usize {
        self.tile_rows.unwrap_or(if dimensions >= 768 || rows >= 1_000_000 { 144 } else { 64 })
    }
}

/// What the work is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TileStage {
    /// Finding centroids.
    Cluster,
    /// Coding rows.
    Code,
    /// Measuring recall.
    Measure,
    /// Writing the file.
    Write,
}

/// Told (stage, done, total); may stop the work.
pub type TileProgress<'a> = dyn FnMut(TileStage, u64, u64) -> ControlFlow<()> + 'a;

/// What came out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TileSummary {
    /// Rows written.
    pub rows: u64,
    /// Tombstones left out.
    pub dropped: u64,
    /// Tiles.
    pub tiles: u64,
    /// Bytes of the header and the hot region: what every search needs once.
    pub hot_bytes: u64,
    /// Recall by probes and candidates.
    pub quality: Vec<QualityRow>,
    /// Whether the original rows came along.
    pub originals: bool,
    /// Whether rows have copies in second tiles.
    pub copies: bool,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// The file's build id.
    pub build_id: u64,
}

/// Why no file was written. `E` is the sink's own error.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TileError<E> {
    /// A parameter is out of its range.
    Parameter {
        /// Which one.
        parameter: &'static str,
        /// What it may be.
        must: &'static str,
    },
    /// Whatever is left out, the file has more bytes than it may.
    TooLarge {
        /// Bytes that it would have.
        least: u64,
        /// Bytes that it may have.
        limit: u64,
    },
    /// The file cannot be read, or cannot be laid out so.
    Read(SearchError),
    /// Progress asked to stop.
    Interrupted,
    /// Writing failed.
    Write(WriteError<E>),
}

impl<E: fmt::Display> fmt::Display for TileError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter { parameter, must } => write!(f, "{parameter} must be {must}"),
            Self::TooLarge { least, limit } => {
                write!(f, "the file would have {least} bytes without originals and copies of rows, more than {limit}")
            }
            Self::Read(error) => error.fmt(f),
            Self::Interrupted => f.write_str("interrupted"),
            Self::Write(error) => error.fmt(f),
        }
    }
}

impl<E: core::error::Error> core::error::Error for TileError<E> {}

impl<E> From<SearchError> for TileError<E> {
    fn from(error: SearchError) -> Self {
        Self::Read(error)
    }
}

impl<E> From<Corrupt> for TileError<E> {
    fn from(error: Corrupt) -> Self {
        Self::Read(error.into())
    }
}

impl<E> From<WriteError<E>> for TileError<E> {
    fn from(error: WriteError<E>) -> Self {
        Self::Write(error)
    }
}

/// Rows in their tiles, and the codes of all.
struct Tiled<'a> {
    /// Rows by number as they came, without tombstones.
    rows: Rows<'a>,
    space: &'a Space,
    rotation: &'a Rotation,
    tiles: Vec<Tile>,
    /// Number as they came of each row of the new file.
    old: Vec<u32>,
    /// The centroids, coded, one a tile.
    route: Vec<u8>,
    route_layout: CodeLayout,
    layout: TileLayout,
    codes: Vec<u8>,
    /// First block of each tile, and the number of blocks at the end.
    first: Vec<u32>,
}

impl<'a> Tiled<'a> {
    fn new<P: Par>(rows: Rows<'a>, space: &'a Space, rotation: &'a Rotation, centroids: &Centroids, tiles: Vec<Tile>, par: &P) -> Self {
        let dimensions = space.layout.dimensions;
        let (route_layout, layout) = (CodeLayout::new(dimensions), TileLayout::new(dimensions));
        let mut route = vec![0; tiles.len() * route_layout.stride];
        for (tile, row) in tiles.iter().zip(route.chunks_exact_mut(route_layout.stride)) {
            route_layout.encode(space, centroids.record(tile.centroid), row);
        }
        let old: Vec<u32> = tiles.iter().flat_map(|tile| &tile.rows).copied().collect();
        let mut first = vec![0u32];
        for tile in &tiles {
            let blocks = (tile.rows.len() + tile.spilled.len()).div_ceil(BLOCK_SLOTS);
            first.push(first.last().unwrap_or(&0) + blocks as u32);
        }
        let mut codes = vec![0; *first.last().unwrap_or(&0) as usize * layout.block()];
        let mut new = vec![0u32; old.len()];
        old.iter().zip(0..).for_each(|(&old, row)| new[old as usize] = row);
        let mut tiled = Self { rows, space, rotation, tiles, old, route, route_layout, layout, codes: Vec::new(), first };
        let mut jobs: Vec<(usize, &mut [u8])> = Vec::new();
        let mut rest = codes.as_mut_slice();
        for tile in 0..tiled.tiles.len() {
            let (own, behind) = rest.split_at_mut((tiled.first[tile + 1] - tiled.first[tile]) as usize * layout.block());
            jobs.push((tile, own));
            rest = behind;
        }
        let mut workers = vec![(Coder::default(), Vec::new()); par.threads()];
        par.chunks(&mut jobs, 8, &mut workers, |_, jobs, (coder, slots)| {
            jobs.iter_mut().for_each(|(tile, blocks)| tiled.encode(*tile, &new, coder, slots, blocks));
        });
        tiled.codes = codes;
        tiled
    }

    /// Codes the rows of a tile: its own, then the others in the order of the new file.
    fn encode(&self, number: usize, new: &[u32], coder: &mut Coder, slots: &mut Vec<(u32, u32)>, blocks: &mut [u8]) {
        let tile = &self.tiles[number];
        let stride = self.route_layout.stride;
        coder.centroid(self.space, self.rotation, &self.route_layout, &self.route[number * stride..][..stride]);
        let row = |&old: &u32| (new[old as usize], old);
        slots.clear();
        slots.extend(tile.rows.iter().map(row));
        let own = slots.len();
        slots.extend(tile.spilled.iter().map(row));
        slots[own..].sort_unstable();
        for (slots, block) in slots.chunks(BLOCK_SLOTS).zip(blocks.chunks_exact_mut(self.layout.block())) {
            let records = slots.iter().map(|&(row, old)| (row, self.rows.record(old)));
            self.layout.encode(self.space, self.rows.kernels, self.rotation, coder, records, block);
        }
    }

    /// The blocks of a tile's codes.
    fn blocks(&self, tile: u32) -> impl Iterator<Item = &[u8]> {
        let (from, to) = (self.first[tile as usize] as usize, self.first[tile as usize + 1] as usize);
        self.codes[from * self.layout.block()..to * self.layout.block()].chunks_exact(self.layout.block())
    }
}

impl<B: AsRef<[u8]> + Sync> Index<B> {
    /// Writes the file anew, in tiles, for searches that fetch what they need. Returns the sink and a summary.
    ///
    /// Cost: `O(rows^2 / tile_rows * dimensions)` for finding centroids and tiles; memory: about 16 bytes and three eighths of a byte a
    /// dimension for each row, beside the file.
    ///
    /// # Errors
    /// A damaged block, a file without rows (or with tombstones among rows with columns), a parameter out of range, the sink's errors, or
    /// [`TileError::Interrupted`] when `progress` breaks.
    pub fn write_tiles<P: Par, S: Sink>(
        &self,
        params: &TileParams,
        par: &P,
        progress: &mut TileProgress<'_>,
        sink: S,
    ) -> Result<(S, TileSummary), TileError<S::Error>> {
        if params.tile_rows.is_some_and(|rows| !(8..=4096).contains(&rows)) {
            return Err(TileError::Parameter { parameter: "tile_rows", must: "8 to 4096" });
        }
        let (space, rotation) = self.coding()?;
        let kernels: &'static Kernels = self.kernels();
        let source = self.live_rows()?;
        if source.is_empty() {
            return Err(SearchError::Unsupported { lacks: "has no rows to lay out in tiles" }.into());
        }
        let columns = self.reader().section(Kind::Columns, 0).is_some();
        if columns && source.len() < self.len() {
            let lacks = "has tombstones and columns: compact it first";
            return Err(SearchError::Unsupported { lacks }.into());
        }
        let records = self.reader().section(Kind::Records, 0).ok_or(SearchError::Unsupported { lacks: "has no records" })?;
        let places = source.iter().map(|&row| records.place(row)).collect::<Result<Vec<usize>, Corrupt>>()?;
        let compact = Space { metric: cluster::compact_in(space.metric), ..space.clone() };
        let rows = Rows { places: &places, bytes: records.bytes(), space: &compact, kernels };
        let mut workers: Vec<Worker> = (0..par.threads()).map(|_| Worker::default()).collect();
        let count = rows.count().div_ceil(params.rows(self.dimensions(), rows.count()));
        let mut pass = 0;
        let mut tell = || {
            pass += 1;
            progress(TileStage::Cluster, pass, cluster::PASSES + 1).is_continue()
        };
        let centroids = cluster::centroids(&rows, count, params.seed, par, &mut workers, &mut tell).ok_or(TileError::Interrupted)?;
        let mut tiles = assign::assign(&rows, &centroids, par, &mut workers);
        let mut tell = |stage, done, total| if progress(stage, done, total).is_break() { Err(TileError::Interrupted) } else { Ok(()) };
        let layout = write::record_layout(space);
        let twins = self.twins(&source)?;
        let has_originals = self.reader().section(Kind::Originals, 0).is_some();
        let (mut originals, mut copies) = (params.originals && has_originals, true);
        let limit = params.max_bytes.unwrap_or(u64::MAX);
        let (tiled, quality) = loop {
            tell(TileStage::Code, 0, 1)?;
            let tiled = Tiled::new(rows, space, rotation, &centroids, tiles.clone(), par);
            let bytes = |originals| {
                let params = &TileParams { originals, ..*params };
                // A table of efforts has a row for each aim at most; what it comes to is not known yet.
                let quality = &[measure::NONE; measure::ROWS_MAX];
                write::File { index: self, tiled: &tiled, source: &source, twins: &twins, params, copies, quality }.bytes()
            };
            if originals && bytes(true)? > limit {
                originals = false;
            }
            let least = if limit < u64::MAX { bytes(originals)? } else { 0 };
            if least <= limit {
                tell(TileStage::Measure, 0, 1)?;
                let quality = measure::measure(&tiled, layout.stride + 8, params.seed, par);
                break (tiled, quality);
            }
            if !copies {
                return Err(TileError::TooLarge { least, limit });
            }
            copies = false;
            tiles.iter_mut().for_each(|tile| tile.spilled.clear());
        };
        tell(TileStage::Write, 0, source.len() as u64)?;
        let params = &TileParams { originals, ..*params };
        let file = write::File { index: self, tiled: &tiled, source: &source, twins: &twins, params, copies, quality: &quality };
        let (sink, header) = file.write(&mut tell, sink)?;
        let summary = TileSummary {
            rows: source.len() as u64,
            dropped: (self.len() - source.len()) as u64,
            tiles: tiled.tiles.len() as u64,
            hot_bytes: header.superblock.hot.0 + header.superblock.hot.1,
            quality,
            originals,
            copies,
            file_bytes: header.superblock.file_bytes,
            build_id: header.superblock.build_id,
        };
        Ok((sink, summary))
    }

    /// Rows that are no tombstones.
    fn live_rows(&self) -> Result<Vec<u32>, SearchError> {
        let mut rows = Vec::with_capacity(self.len());
        for row in 0..self.len() as u32 {
            if !self.is_deleted(row)? {
                rows.push(row);
            }
        }
        Ok(rows)
    }

    /// Whether a row is an exact duplicate of the one before it, for each of `source`.
    fn twins(&self, source: &[u32]) -> Result<Vec<bool>, SearchError> {
        let Some(records) = self.reader().section(Kind::Records, 0) else { return Ok(Vec::new()) };
        let layout = self.coding()?.0.layout;
        let (mut twins, mut follows, mut next) = (Vec::with_capacity(source.len()), false, 0);
        for &row in source {
            // Tombstones between two duplicates are gone.
            for gone in next..row {
                follows &= layout.factors(records.row(gone)?).flags & DUPLICATE_FOLLOWS != 0;
            }
            twins.push(follows);
            follows = layout.factors(records.row(row)?).flags & DUPLICATE_FOLLOWS != 0;
            next = row + 1;
        }
        Ok(twins)
    }
}
