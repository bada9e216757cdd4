//! A layer of a graph in a build's own memory, and the view that walks it.

use super::select::Nodes;
use super::{Buffers, Graph, Neighbor};
use crate::distance::Kernels;
use crate::quant::{Prepared, Space};
use alloc::vec;
use alloc::vec::Vec;
use core::convert::Infallible;

/// Adjacency of equal slots. A list ascends by (distance, node).
#[derive(Debug)]
pub struct Layer {
    degree: usize,
    nodes: Vec<u32>,
    counts: Vec<u16>,
}

impl Layer {
    /// `rows` nodes without neighbours, `degree` slots each.
    #[must_use]
    pub fn new(rows: usize, degree: usize) -> Self {
        Self { degree, nodes: vec![super::NONE; rows * degree], counts: vec![0; rows] }
    }

    /// A layer of lists in `degree` slots each, of which those behind the last neighbour are [`super::NONE`].
    pub(super) fn from_lists(degree: usize, nodes: Vec<u32>) -> Self {
        let counts = nodes.chunks_exact(degree).map(|list| list.partition_point(|&node| node != super::NONE) as u16).collect();
        Self { degree, nodes, counts }
    }

    /// Slots of a node.
    #[must_use]
    pub fn degree(&self) -> usize {
        self.degree
    }

    /// Number of nodes.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.counts.len()
    }

    /// Neighbours of `node`, nearest first.
    #[inline]
    #[must_use]
    pub fn neighbors(&self, node: u32) -> &[u32] {
        let start = node as usize * self.degree;
        &self.nodes[start..start + usize::from(self.counts[node as usize])]
    }

    /// Replaces the neighbours of `node`; at most `degree` are taken.
    pub fn set(&mut self, node: u32, neighbors: &[Neighbor]) {
        let start = node as usize * self.degree;
        let count = neighbors.len().min(self.degree);
        self.nodes[start..].iter_mut().zip(&neighbors[..count]).for_each(|(slot, neighbor)| *slot = neighbor.node);
        self.counts[node as usize] = count as u16;
    }
}

/// A layer that holds the distance of each neighbour, so that lists which change all the time are pruned again without computing it.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) layer: Layer,
    distances: Vec<f32>,
}

impl Measured {
    /// `rows` nodes without neighbours, `degree` slots each.
    pub(super) fn new(rows: usize, degree: usize) -> Self {
        Self { layer: Layer::new(rows, degree), distances: vec![0.0; rows * degree] }
    }

    /// Neighbours of `node` with their distances.
    pub(super) fn edges(&self, node: u32) -> impl Iterator<Item = Neighbor> + '_ {
        let distances = &self.distances[node as usize * self.layer.degree..];
        self.layer.neighbors(node).iter().zip(distances).map(|(&node, &distance)| Neighbor { distance, node })
    }

    /// Replaces the neighbours of `node`; at most `degree` are taken.
    pub(super) fn set(&mut self, node: u32, neighbors: &[Neighbor]) {
        let distances = &mut self.distances[node as usize * self.layer.degree..][..self.layer.degree];
        distances.iter_mut().zip(neighbors).for_each(|(slot, neighbor)| *slot = neighbor.distance);
        self.layer.set(node, neighbors);
    }
}

/// Records in one buffer, `space.layout.stride` bytes each, in build order.
#[derive(Clone, Copy, Debug)]
pub struct Records<'a> {
    /// What the records share.
    pub space: &'a Space,
    /// The kernels in use.
    pub kernels: &'static Kernels,
    /// The records.
    pub bytes: &'a [u8],
}

impl Records<'_> {
    /// The record of `node`.
    #[inline]
    #[must_use]
    pub fn record(&self, node: u32) -> &[u8] {
        let stride = self.space.layout.stride;
        &self.bytes[node as usize * stride..][..stride]
    }

    /// Prepares `node` as a query.
    #[inline]
    pub fn prepare(&self, node: u32, query: &mut Prepared) {
        let (record, layout) = (self.record(node), &self.space.layout);
        query.record(self.space, &record[..layout.factors], &layout.factors(record));
    }

    /// Distances of the records that start at the places in `buffers`, `out.len()` of them.
    #[inline]
    pub fn distances_at(&self, query: &Prepared, buffers: &mut Buffers, out: &mut [f32]) {
        let Buffers { places, dots } = buffers;
        self.space.distances(None, self.kernels, query, self.bytes, places, dots, out);
    }

    /// Number of records.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.bytes.len() / self.space.layout.stride
    }
}

/// A layer with the records behind it; only the first `nodes` exist.
#[derive(Clone, Copy, Debug)]
pub struct LayerView<'a> {
    /// Who is next to whom.
    pub layer: &'a Layer,
    /// What the nodes are.
    pub records: Records<'a>,
    /// Nodes that exist yet.
    pub nodes: usize,
}

/// Nodes and how far apart they are, without edges: all that a choice among known candidates asks for.
impl Graph for Records<'_> {
    type Error = Infallible;

    fn nodes(&self) -> usize {
        self.rows()
    }

    fn neighbors(&self, _: u32, _: &mut Vec<u32>) -> Result<(), Infallible> {
        Ok(())
    }

    #[inline]
    fn distances(&self, query: &Prepared, nodes: &[u32], buffers: &mut Buffers, out: &mut [f32]) -> Result<(), Infallible> {
        let stride = self.space.layout.stride;
        buffers.places.clear();
        buffers.places.extend(nodes.iter().map(|&node| node as usize * stride));
        self.distances_at(query, buffers, out);
        Ok(())
    }

    fn prefetch(&self, _: u32) {}
}

impl Nodes for Records<'_> {
    #[inline]
    fn prepare(&self, node: u32, query: &mut Prepared) -> Result<(), Infallible> {
        Records::prepare(self, node, query);
        Ok(())
    }
}

impl Graph for LayerView<'_> {
    type Error = Infallible;

    fn nodes(&self) -> usize {
        self.nodes
    }

    #[inline]
    fn neighbors(&self, node: u32, out: &mut Vec<u32>) -> Result<(), Infallible> {
        out.extend_from_slice(self.layer.neighbors(node));
        Ok(())
    }

    #[inline]
    fn distances(&self, query: &Prepared, nodes: &[u32], buffers: &mut Buffers, out: &mut [f32]) -> Result<(), Infallible> {
        self.records.distances(query, nodes, buffers, out)
    }

    #[inline]
    fn prefetch(&self, node: u32) {
        let start = node as usize * self.layer.degree;
        let slots = &self.layer.nodes[start..start + self.layer.degree];
        self.records.kernels.prefetch(bytemuck::cast_slice(slots));
    }
}

impl Nodes for LayerView<'_> {
    #[inline]
    fn prepare(&self, node: u32, query: &mut Prepared) -> Result<(), Infallible> {
        Nodes::prepare(&self.records, node, query)
    }
}
