//! The graph of a file of which codes or edges are brought in blocks.

use super::view::{Guide, UpperGraph, corrupt, corrupt_row, read_edges};
use crate::error::Corrupt;
use crate::format::Section;
use crate::graph::beam::waiting::Fetched;
use crate::graph::{Buffers, Graph, NONE};
use crate::quant::Prepared;
use crate::search::held::Held;
use alloc::vec::Vec;

/// A table whose rows are at hand, or brought in blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<'a> {
    pub(super) section: Section<'a>,
    /// Where its blocks are, if they are brought.
    pub(super) held: Option<&'a Held>,
}

impl<'a> Rows<'a> {
    /// The offset in the file of the block with that row, unless it is at hand.
    pub(super) fn missing(&self, row: u32) -> Option<u64> {
        let table = self.section.table();
        let offset = table.block_offset(table.block_of(row.into()));
        self.held.filter(|held| held.find(offset).is_none()).map(|_| offset)
    }

    /// Where a row of a held block begins in the bytes held.
    fn place(&self, held: &Held, row: u32) -> Result<usize, Corrupt> {
        let table = self.section.table();
        let block = table.block_of(row.into());
        let within = (u64::from(row) - block * u64::from(table.block_rows)) * u64::from(table.stride);
        let start = held.find(table.block_offset(block)).filter(|_| u64::from(row) < table.rows);
        start.map(|start| start + within as usize).ok_or_else(|| corrupt_row(&self.section, row, "a row that was not brought"))
    }

    /// A row, unless it is still to be brought.
    pub(super) fn get(&self, row: u32) -> Result<Option<&'a [u8]>, Corrupt> {
        let there = u64::from(row) >= self.section.table().rows || self.missing(row).is_none();
        there.then(|| self.row(row)).transpose()
    }

    pub(super) fn row(&self, row: u32) -> Result<&'a [u8], Corrupt> {
        let Some(held) = self.held else { return self.section.row(row) };
        let (place, stride) = (self.place(held, row)?, self.section.table().stride as usize);
        held.bytes().get(place..place + stride).ok_or_else(|| corrupt_row(&self.section, row, "row beyond the end of the block"))
    }
}

/// A block that is not at hand: where it lies in the file, and whether it is one of edges rather than codes.
pub(super) type Missing = (u64, bool);

/// Rows of codes, or of records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guides<'a> {
    pub(super) rows: Rows<'a>,
    pub(super) guide: Guide<'a>,
}

impl Guides<'_> {
    /// The block without which the distance of `row` is not known.
    pub(super) fn missing(&self, row: u32) -> Option<Missing> {
        self.rows.missing(row).map(|offset| (offset, false))
    }

    fn distances(
        &self,
        query: &Prepared,
        rows: impl Iterator<Item = Result<u32, Corrupt>>,
        buffers: &mut Buffers,
        out: &mut [f32],
    ) -> Result<(), Corrupt> {
        let Some(held) = self.rows.held else { return self.guide.distances(query, rows, buffers, out) };
        buffers.places.clear();
        let first = self.rows.section.table().offset;
        for row in rows {
            buffers.places.push(self.rows.place(held, row?)?);
        }
        self.guide.compute(held.bytes(), query, buffers, out).map_err(|bad| {
            let offset = held.offset(buffers.places[bad]).unwrap_or(first);
            let block = (offset - first) / u64::from(self.rows.section.table().block_bytes);
            corrupt(&self.rows.section, block, "a factor is not a finite number, or too large")
        })
    }
}

/// The layers above, which are at hand, over rows that may not be.
#[derive(Clone, Copy, Debug)]
pub(super) struct FetchedUpper<'a> {
    pub(super) upper: UpperGraph<'a>,
    pub(super) codes: Guides<'a>,
}

impl FetchedUpper<'_> {
    /// Appends the blocks without which `node` cannot be expanded.
    pub(super) fn missing(&self, node: u32, out: &mut Vec<Missing>) -> Result<(), Corrupt> {
        let mut next = Vec::new();
        self.upper.neighbors(node, &mut next)?;
        for node in next {
            out.extend(self.codes.missing(self.upper.node(node)?.row));
        }
        Ok(())
    }
}

impl Graph for FetchedUpper<'_> {
    type Error = Corrupt;

    fn nodes(&self) -> usize {
        self.upper.nodes
    }

    fn neighbors(&self, node: u32, out: &mut Vec<u32>) -> Result<(), Corrupt> {
        self.upper.neighbors(node, out)
    }

    fn distances(&self, query: &Prepared, nodes: &[u32], buffers: &mut Buffers, out: &mut [f32]) -> Result<(), Corrupt> {
        let rows = nodes.iter().map(|&node| self.upper.node(node).map(|node| node.row));
        self.codes.distances(query, rows, buffers, out)
    }

    fn prefetch(&self, _: u32) {}
}

impl Fetched for FetchedUpper<'_> {
    /// What cannot be read counts as at hand: expanding it says what is wrong.
    fn at_hand(&self, node: u32) -> bool {
        let mut missing = Vec::new();
        self.missing(node, &mut missing).is_err() || missing.is_empty()
    }
}

/// The base layer: nodes are rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct FetchedGraph<'a> {
    pub(super) edges: Rows<'a>,
    pub(super) codes: Guides<'a>,
    pub(super) nodes: usize,
}

impl FetchedGraph<'_> {
    /// Appends the blocks without which `node` cannot be expanded: first its edges, once they are there the codes of
    /// whom they lead to.
    pub(super) fn missing(&self, node: u32, out: &mut Vec<Missing>) {
        if let Some(offset) = self.edges.missing(node) {
            out.push((offset, true));
        } else if self.codes.rows.held.is_some() {
            out.extend(self.slots(node).filter_map(|next| self.codes.missing(next)));
        }
    }

    /// Neighbours of `node`, as far as they can be read.
    fn slots(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        let row = self.edges.row(node).unwrap_or_default();
        let slots = row.get(..self.edges.section.table().parameter as usize * 4).unwrap_or_default();
        let slots = slots.as_chunks::<4>().0.iter().map(|slot| u32::from_le_bytes(*slot));
        slots.take_while(|&next| next != NONE && (next as usize) < self.nodes)
    }
}

impl Graph for FetchedGraph<'_> {
    type Error = Corrupt;

    fn nodes(&self) -> usize {
        self.nodes
    }

    fn neighbors(&self, node: u32, out: &mut Vec<u32>) -> Result<(), Corrupt> {
        read_edges(&self.edges.section, self.edges.row(node)?, node, self.nodes, out)
    }

    fn distances(&self, query: &Prepared, nodes: &[u32], buffers: &mut Buffers, out: &mut [f32]) -> Result<(), Corrupt> {
        self.codes.distances(query, nodes.iter().map(|&node| Ok(node)), buffers, out)
    }

    fn prefetch(&self, _: u32) {}
}

impl Fetched for FetchedGraph<'_> {
    fn at_hand(&self, node: u32) -> bool {
        self.edges.missing(node).is_none()
            && (self.codes.rows.held.is_none() || self.slots(node).all(|next| self.codes.missing(next).is_none()))
    }
}
