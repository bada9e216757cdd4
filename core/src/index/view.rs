//! The graphs of an open file: walked where they lie, every value checked before it is followed.

use crate::distance::Kernels;
use crate::error::Corrupt;
use crate::format::Section;
#[cfg(feature = "codes")]
use crate::graph::select::Nodes;
use crate::graph::{Buffers, Graph, NONE};
#[cfg(feature = "codes")]
use crate::quant::Coarse;
use crate::quant::{CodeLayout, Prepared, Space};
use crate::search::SearchParams;
use crate::search::doubt::ranked_by_four_bits;
use alloc::vec::Vec;

/// Records of an open file, with all that turns them into distances.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordView<'a> {
    pub(super) section: Section<'a>,
    pub(super) space: &'a Space,
    pub(super) kernels: &'static Kernels,
}

impl<'a> RecordView<'a> {
    pub(super) fn record(&self, row: u32) -> Result<&'a [u8], Corrupt> {
        self.section.row(row)
    }

    /// Distances of `rows`, in their order.
    #[inline]
    pub(super) fn distances(
        &self,
        query: &Prepared,
        rows: impl Iterator<Item = Result<u32, Corrupt>>,
        buffers: &mut Buffers,
        out: &mut [f32],
    ) -> Result<(), Corrupt> {
        Guide::records(*self).distances(query, rows, buffers, out)
    }
}

/// What the distances of a walk are computed from: the records, or coarse codes in their place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guide<'a> {
    /// Records, or a table that has a row of codes for each.
    pub(super) rows: RecordView<'a>,
    /// Where the rows are codes: their places.
    pub(super) codes: Option<CodeLayout>,
    /// Where they are codes of fewer bits.
    #[cfg(feature = "codes")]
    pub(super) coarse: Option<&'a Coarse>,
}

impl<'a> Guide<'a> {
    /// The records themselves.
    pub(super) fn records(rows: RecordView<'a>) -> Self {
        Self {
            rows,
            codes: None,
            #[cfg(feature = "codes")]
            coarse: None,
        }
    }

    /// Whether the rows are codes, so that records rank what was found.
    pub(super) fn is_coarse(&self) -> bool {
        #[cfg(feature = "codes")]
        if self.coarse.is_some() {
            return true;
        }
        self.codes.is_some()
    }

    /// How many candidates are computed again: at least, and at most, of which those beyond the least are that are in doubt.
    ///
    /// | guided by | least | most |
    /// |---|---|---|
    /// | records, where originals rank | `k` | all that the walk has |
    /// | four bits | `max(20, 2 k)` | 15 times that |
    /// | RaBitQ, parts | as [`Coarse::ranked`] says | |
    ///
    /// A number that was asked for is both.
    pub(super) fn ranked(&self, params: &SearchParams) -> (usize, usize) {
        let k = params.k;
        if let Some(asked) = params.rerank {
            return (asked.max(k), asked.max(k));
        }
        #[cfg(feature = "codes")]
        if let Some(coarse) = self.coarse {
            return coarse.ranked(k);
        }
        if self.codes.is_some() { ranked_by_four_bits(k) } else { (k, usize::MAX) }
    }

    /// How far the distance of a row, from what guides the walk, may lie from the one that ranks it in the end: its original's, where that
    /// is `exact`.
    pub(super) fn tolerance(&self, query: &Prepared, row: &[u8], distance: f32, exact: bool) -> f32 {
        let space = self.rows.space;
        #[cfg(feature = "codes")]
        if let Some(coarse) = self.coarse {
            return coarse.tolerance(space, query, row);
        }
        match self.codes {
            Some(codes) => codes.factors(row).tolerance(space, query, distance, exact),
            None => space.tolerance(query, &space.layout.factors(row), distance),
        }
    }

    /// Turns the query into what the codes are compared with.
    #[cfg(feature = "codes")]
    pub(super) fn prepare(&self, query: &mut Prepared) {
        if let Some(coarse) = self.coarse {
            coarse.prepare(self.rows.space, self.rows.kernels, query);
        }
    }

    /// Distances of `rows`, in their order.
    #[inline]
    pub(super) fn distances(
        &self,
        query: &Prepared,
        rows: impl Iterator<Item = Result<u32, Corrupt>>,
        buffers: &mut Buffers,
        out: &mut [f32],
    ) -> Result<(), Corrupt> {
        let section = self.rows.section;
        buffers.places.clear();
        for row in rows {
            buffers.places.push(section.place(row?)?);
        }
        // `place` verified that the whole row lies inside the file.
        self.compute(section.bytes(), query, buffers, out).map_err(|bad| self.damaged_factor(buffers.places[bad]))
    }

    /// Distances of the rows that begin in `bytes` at the places of `buffers`, or which of them has none.
    #[inline]
    pub(super) fn compute(&self, bytes: &[u8], query: &Prepared, buffers: &mut Buffers, out: &mut [f32]) -> Result<(), usize> {
        let RecordView { space, kernels, .. } = self.rows;
        let Buffers { places, dots } = buffers;
        let out = &mut out[..places.len()];
        #[cfg(feature = "codes")]
        if let Some(coarse) = self.coarse {
            coarse.distances(space, kernels, query, bytes, places, dots, out);
        } else {
            space.distances(self.codes.as_ref(), kernels, query, bytes, places, dots, out);
        }
        #[cfg(not(feature = "codes"))]
        space.distances(self.codes.as_ref(), kernels, query, bytes, places, dots, out);
        out.iter().position(|distance| !distance.is_finite()).map_or(Ok(()), Err)
    }

    #[cold]
    fn damaged_factor(&self, place: usize) -> Corrupt {
        let section = &self.rows.section;
        let table = section.table();
        let block = (place as u64).saturating_sub(table.offset) / u64::from(table.block_bytes);
        corrupt(section, block, "a factor is not a finite number, or too large")
    }
}

/// An error about `block` of `section`.
pub(super) fn corrupt(section: &Section<'_>, block: u64, what: &'static str) -> Corrupt {
    let table = section.table();
    Corrupt { section: table.kind, instance: table.instance, block, what }
}

/// An error about the block of `row`.
#[cold]
pub(super) fn corrupt_row(section: &Section<'_>, row: u32, what: &'static str) -> Corrupt {
    corrupt(section, section.table().block_of(row.into()), what)
}

/// Little-endian word `index` of `row`.
#[inline(always)]
pub(super) fn word(row: &[u8], index: usize) -> Option<u32> {
    row.as_chunks::<4>().0.get(index).map(|bytes| u32::from_le_bytes(*bytes))
}

/// Appends the used slots of a neighbour list, which must be below `nodes`.
#[inline(always)]
fn read_slots(slots: &[u8], nodes: usize, out: &mut Vec<u32>) -> Result<(), &'static str> {
    let start = out.len();
    out.extend(slots.as_chunks::<4>().0.iter().map(|slot| u32::from_le_bytes(*slot)));
    let used = out[start..].iter().position(|&node| node == NONE).unwrap_or(out.len() - start);
    out.truncate(start + used);
    let last = out[start..].iter().fold(0, |last, &node| node.max(last));
    if (last as usize) < nodes || used == 0 { Ok(()) } else { Err("a neighbour beyond the last row") }
}

/// Appends the neighbours of `node` that its row of `edges` lists.
#[inline(always)]
pub(super) fn read_edges(edges: &Section<'_>, row: &[u8], node: u32, nodes: usize, out: &mut Vec<u32>) -> Result<(), Corrupt> {
    let slots = &row[..edges.table().parameter as usize * 4];
    read_slots(slots, nodes, out).map_err(|what| corrupt_row(edges, node, what))
}

/// The base layer: nodes are rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct BaseGraph<'a> {
    pub(super) edges: Section<'a>,
    pub(super) guide: Guide<'a>,
    pub(super) nodes: usize,
}

impl Graph for BaseGraph<'_> {
    type Error = Corrupt;

    #[inline]
    fn nodes(&self) -> usize {
        self.nodes
    }

    #[inline]
    fn neighbors(&self, node: u32, out: &mut Vec<u32>) -> Result<(), Corrupt> {
        read_edges(&self.edges, self.edges.row(node)?, node, self.nodes, out)
    }

    #[inline]
    fn distances(&self, query: &Prepared, nodes: &[u32], buffers: &mut Buffers, out: &mut [f32]) -> Result<(), Corrupt> {
        self.guide.distances(query, nodes.iter().map(|&node| Ok(node)), buffers, out)
    }

    #[inline]
    fn prefetch(&self, node: u32) {
        if let Some(place) = self.edges.prefetch_place(node) {
            let end = place + self.edges.table().stride as usize;
            if let Some(row) = self.edges.bytes().get(place..end) {
                self.guide.rows.kernels.prefetch(row);
            }
        }
    }
}

#[cfg(feature = "codes")]
impl Nodes for BaseGraph<'_> {
    fn prepare(&self, node: u32, query: &mut Prepared) -> Result<(), Corrupt> {
        let (rows, layout) = (self.guide.rows, self.guide.rows.space.layout);
        let record = rows.record(node)?;
        query.record(rows.space, &record[..layout.factors], &layout.factors(record));
        Ok(())
    }
}

/// The layers above: nodes are rows of the `upper` table, which know their row and their place in
/// the layer below.
#[derive(Clone, Copy, Debug)]
pub(super) struct UpperGraph<'a> {
    pub(super) upper: Section<'a>,
    pub(super) guide: Guide<'a>,
    pub(super) nodes: usize,
}

/// A node of the `upper` table.
#[derive(Clone, Copy, Debug)]
pub(super) struct UpperNode {
    pub(super) row: u32,
    pub(super) layer: u32,
    pub(super) below: u32,
}

/// Bytes of a node before its neighbours.
pub(super) const UPPER_HEAD: usize = 16;

impl UpperGraph<'_> {
    pub(super) fn node(&self, node: u32) -> Result<UpperNode, Corrupt> {
        let bytes = self.upper.row(node)?;
        let read = |index| word(bytes, index).unwrap_or(NONE);
        let found = UpperNode { row: read(0), layer: read(1), below: read(2) };
        if u64::from(found.row) >= self.guide.rows.section.rows() {
            return Err(corrupt_row(&self.upper, node, "a row beyond the last one"));
        }
        Ok(found)
    }
}

impl Graph for UpperGraph<'_> {
    type Error = Corrupt;

    fn nodes(&self) -> usize {
        self.nodes
    }

    fn neighbors(&self, node: u32, out: &mut Vec<u32>) -> Result<(), Corrupt> {
        let row = self.upper.row(node)?;
        let slots = &row[UPPER_HEAD..UPPER_HEAD + self.upper.table().parameter as usize * 4];
        read_slots(slots, self.nodes, out).map_err(|what| corrupt_row(&self.upper, node, what))
    }

    fn distances(&self, query: &Prepared, nodes: &[u32], buffers: &mut Buffers, out: &mut [f32]) -> Result<(), Corrupt> {
        let rows = nodes.iter().map(|&node| self.node(node).map(|node| node.row));
        self.guide.distances(query, rows, buffers, out)
    }

    fn prefetch(&self, _: u32) {}
}
