//! Codes of the neighbours of every node, made of their records: what the walks of the fast layout read.

use crate::graph::layer::{LayerView, Records};
use crate::graph::surround::{Coder, Rows};
use crate::graph::sweep::Surroundings;
use crate::par::Par;
use crate::quant::Prepared;
use crate::quant::neighbors::NeighborLayout;
use crate::quant::rotation::Rotation;
use alloc::vec;
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
        Ok((distance, self.neighbors.row(node)))
    }

    /// Rows of huge numbers: a neighbour whose distance f32 cannot say is as good as none.
    fn damaged(&self, _: u32, _: &'static str) -> Result<(), Infallible> {
        Ok(())
    }

    fn ahead(&self, node: u32) -> [&[u8]; 2] {
        [self.records.record(node), self.neighbors.row(node)]
    }
}
