//! Codes of the neighbours of every node, made of their records: what the walks of the fast layout read.

use super::held_out::Measured;
use crate::graph::layer::{LayerView, Records};
use crate::graph::surround::{Coder, Rows};
use crate::graph::sweep::Surroundings;
use crate::par::Par;
use crate::quant::Prepared;
use crate::quant::neighbors::NeighborLayout;
use crate::quant::rotation::Rotation;
use alloc::vec;
use alloc::vec::Vec;
use core::convert::Infallible;

/// A row a node.
#[derive(Debug)]
pub(crate) struct NodeNeighbors {
    pub(crate) layout: NeighborLayout,
    pub(super) rotation: Rotation,
    codes: Rows,
}

impl NodeNeighbors {
    /// Codes the neighbours of every node of the base layer; `order` is that of the nodes in the file.
    pub(crate) fn of<P: Par>(view: LayerView<'_>, order: &[u32], seed: u64, par: &P) -> Self {
        let Records { space, kernels, .. } = view.records;
        let dimensions = space.layout.dimensions;
        let (layout, rotation) = (NeighborLayout::new(dimensions, view.layer.degree()), Rotation::new(dimensions, seed));
        let mut rank = vec![0; order.len()];
        order.iter().zip(0..).for_each(|(&node, row)| rank[node as usize] = row);
        let coder = Coder { layout, space, rotation: &rotation, kernels, rank: Some(&rank) };
        let Ok(codes) = coder.rows(par, &view, |node| Ok::<_, Infallible>(view.records.record(node)), |_| {});
        Self { layout, rotation, codes }
    }

    /// Rows that lead to one of `sample`, as they would be in `graph`, which is without it.
    pub(super) fn without<P: Par>(&self, graph: &Measured<'_>, sample: &[u32], par: &P) -> Vec<(u32, Vec<u8>)> {
        let Records { space, kernels, .. } = graph.view.records;
        let leads = |&node: &u32| {
            self.row(node)
                .chunks(self.layout.block())
                .any(|block| NeighborLayout::slots_of(block).iter().any(|slot| sample.binary_search(&u32::from_le_bytes(*slot)).is_ok()))
        };
        let mut rows: Vec<(u32, Vec<u8>)> =
            (0..graph.view.nodes as u32).filter(leads).map(|node| (node, vec![0; self.layout.stride()])).collect();
        let coder = Coder { layout: self.layout, space, rotation: &self.rotation, kernels, rank: None };
        let Ok(()) = coder.some_rows(par, graph, |node| Ok::<_, Infallible>(graph.view.records.record(node)), &mut rows);
        rows
    }

    /// The row of `node`, its neighbours named as nodes.
    pub(crate) fn row(&self, node: u32) -> &[u8] {
        &self.codes[node as usize * self.layout.stride()..][..self.layout.stride()]
    }
}

/// The base layer, walked by its nodes' neighbours' codes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surrounded<'a> {
    pub(super) records: Records<'a>,
    pub(super) neighbors: &'a NodeNeighbors,
    /// Rows that are read instead of its own, by node.
    pub(super) instead: &'a [(u32, Vec<u8>)],
}

impl Surrounded<'_> {
    fn row(&self, node: u32) -> &[u8] {
        match self.instead.binary_search_by_key(&node, |row| row.0) {
            Ok(at) => &self.instead[at].1,
            Err(_) => self.neighbors.row(node),
        }
    }
}

impl Surroundings for Surrounded<'_> {
    type Error = Infallible;

    fn nodes(&self) -> usize {
        self.records.rows()
    }

    fn block(&self) -> usize {
        self.neighbors.layout.block()
    }

    fn expand(&self, node: u32, query: &Prepared) -> Result<(f32, &[u8]), Infallible> {
        let Records { space, kernels, .. } = self.records;
        let record = self.records.record(node);
        let distance = space.distance(query, &space.layout.factors(record), space.dot(kernels, query, record));
        Ok((distance, self.row(node)))
    }

    /// Rows of huge numbers: a neighbour whose distance f32 cannot say is as good as none.
    fn damaged(&self, _: u32, _: &'static str) -> Result<(), Infallible> {
        Ok(())
    }

    fn ahead(&self, node: u32) -> [&[u8]; 2] {
        [self.records.record(node), self.row(node)]
    }
}
