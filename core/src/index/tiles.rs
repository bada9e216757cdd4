//! Tiles of an open file: which are near a query, and which of their rows may be.
//!
//! A tile is a cluster of rows, with rows of its neighbours spilled into it (Sun et al. 2023, "SOAR", arXiv 2404.00774), so that few tiles
//! hold the nearest rows of a query (Chen et al. 2021, "SPANN", arXiv 2111.08566). The centroids are scanned; the codes of the nearest
//! tiles ([`crate::quant::tile`]) tell which rows' records to read; the records rank.

use super::view::{Guide, RecordView, corrupt, corrupt_row, word};
use super::{Index, Loaded};
use crate::error::Corrupt;
use crate::format::{Kind, Section};
use crate::graph::{Buffers, Neighbor};
use crate::quant::CodeLayout;
use crate::quant::Prepared;
use crate::quant::signs::BLOCK_SLOTS;
#[cfg(feature = "codes")]
use crate::quant::tile::TileLayout;
use crate::search::SearchError;
use alloc::vec::Vec;

/// Centroids whose distances are computed together.
const TOGETHER: u32 = 256;

const OUT_OF_ORDER: &str = "a tile that does not begin where the one before it ends";

/// The tables of tiles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiles<'a> {
    tiles: Section<'a>,
    pub(super) route: Guide<'a>,
    /// The table of codes, its bytes not at hand perhaps.
    pub(super) codes: Section<'a>,
    /// Rows of the file.
    rows: u64,
}

impl<B: AsRef<[u8]>> Index<B> {
    /// The tables of tiles.
    pub(super) fn tiles<'a>(&'a self, loaded: &'a Loaded) -> Result<Tiles<'a>, SearchError> {
        let section = |kind| self.reader.section(kind, 0);
        let tables = (section(Kind::Tiles), section(Kind::RouteRecords), section(Kind::CodesTiles));
        let (Some(tiles), Some(route), Some(codes)) = tables else {
            return Err(SearchError::Unsupported { lacks: "has no tiles: choose walk or scan" });
        };
        if route.rows() != tiles.rows() {
            return Err(corrupt(&tiles, 0, "another number of tiles than of centroids").into());
        }
        let dimensions = self.dimensions();
        let route_codes = CodeLayout { stride: route.table().stride as usize, ..CodeLayout::new(dimensions) };
        let rows = RecordView { section: route, space: &loaded.space, kernels: self.kernels };
        let route = Guide { codes: Some(route_codes), ..Guide::records(rows) };
        Ok(Tiles { tiles, route, codes, rows: self.reader.header().superblock.rows })
    }

    /// Tiles of the file; 0 where it has none.
    pub fn tile_count(&self) -> u64 {
        self.reader.section(Kind::Tiles, 0).map_or(0, |tiles| tiles.rows())
    }
}

impl Tiles<'_> {
    /// Number of tiles.
    pub(super) fn count(&self) -> usize {
        self.tiles.rows() as usize
    }

    /// First block and blocks of a tile's codes.
    pub(super) fn blocks(&self, tile: u32) -> Result<(u64, u64), Corrupt> {
        let row = self.tiles.row(tile)?;
        let read = |at| u64::from(word(row, at).unwrap_or(0));
        let (first, blocks) = (read(1), read(2).div_ceil(BLOCK_SLOTS as u64));
        if read(2) > self.rows {
            return Err(corrupt_row(&self.tiles, tile, "more slots than there are rows"));
        }
        if first + blocks > self.codes.table().blocks() {
            return Err(corrupt_row(&self.tiles, tile, "a tile beyond the last block of codes"));
        }
        Ok((first, blocks))
    }

    /// The rows of which a tile is the own one; none that do not ascend.
    #[cfg(feature = "among")]
    pub(super) fn own(&self, tile: u32) -> Result<core::ops::Range<u32>, Corrupt> {
        let first = self.tiles.row(tile).map(|row| word(row, 0).unwrap_or(0))?;
        let next = u64::from(tile) + 1;
        let end = if next < self.tiles.rows() { word(self.tiles.row(tile + 1)?, 0).unwrap_or(0) } else { self.rows as u32 };
        Ok(first..end)
    }

    /// Bytes of a tile's codes in the mean.
    #[cfg(feature = "among")]
    pub(super) fn mean_bytes(&self) -> u64 {
        self.codes.table().section_bytes() / self.tiles.rows().max(1)
    }

    /// The error of a tile whose blocks are those of another one, too.
    pub(super) fn overlap(&self, tile: u32) -> Corrupt {
        corrupt_row(&self.tiles, tile, OUT_OF_ORDER)
    }

    /// The error of a tile of which this machine could not name all blocks.
    pub(super) fn too_large(&self, tile: u32) -> Corrupt {
        corrupt_row(&self.tiles, tile, "more blocks than memory holds")
    }

    /// Tells how far each tile's centroid is.
    pub(super) fn route(
        &self,
        query: &Prepared,
        buffers: &mut Buffers,
        distances: &mut Vec<f32>,
        tell: &mut dyn FnMut(Neighbor),
    ) -> Result<(), Corrupt> {
        let tiles = self.count() as u32;
        for start in (0..tiles).step_by(TOGETHER as usize) {
            let end = (start + TOGETHER).min(tiles);
            distances.resize((end - start) as usize, 0.0);
            self.route.distances(query, (start..end).map(Ok), buffers, distances)?;
            for (node, &distance) in (start..end).zip(&*distances) {
                tell(Neighbor { distance, node });
            }
        }
        Ok(())
    }

    /// Tiles divide the rows and the blocks of codes among them; their own rows come first; factors are numbers.
    #[cfg(feature = "codes")]
    pub(super) fn check(&self, rows: usize) -> Result<(), Corrupt> {
        let count = self.tiles.rows() as u32;
        let first_row = |tile: u32| match tile {
            tile if tile < count => self.tiles.row(tile).map(|row| word(row, 0).unwrap_or(0)),
            _ => Ok(rows as u32),
        };
        let layout = TileLayout::new(self.route.rows.space.layout.dimensions);
        let mut next_block = 0;
        for tile in 0..count {
            let row = self.tiles.row(tile)?;
            let bad = |what| Err(corrupt_row(&self.tiles, tile, what));
            let read = |at| word(row, at).unwrap_or(0);
            let (first, blocks) = self.blocks(tile)?;
            let (own, next) = (first_row(tile)?, first_row(tile + 1)?);
            if first != next_block || own > next || (tile == 0 && own != 0) {
                return bad(OUT_OF_ORDER);
            }
            let radius = f32::from_bits(read(3));
            if !(radius.is_finite() && radius >= 0.0) {
                return bad("a radius that is not a finite number");
            }
            let (mut slots, mut owned) = (0, own);
            for block in first..first + blocks {
                let bytes = self.codes.row(block as u32)?;
                let bad = |what| Err(corrupt(&self.codes, block, what));
                match layout.check(bytes, rows) {
                    Ok(used) => slots += used as u32,
                    Err(what) => return bad(what),
                }
                for slot in TileLayout::slots_of(bytes) {
                    if owned < next && u32::from_le_bytes(*slot) != owned {
                        return bad("rows of a tile that are not its own");
                    }
                    owned = (owned + 1).min(next);
                }
            }
            if slots != read(2) || owned != next {
                return bad("another number of rows than its blocks have");
            }
            next_block = first + blocks;
        }
        if next_block != self.codes.rows() {
            return Err(corrupt(&self.codes, next_block, "codes of no tile"));
        }
        Ok(())
    }
}
