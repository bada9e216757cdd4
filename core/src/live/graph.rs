//! A live index as a graph: one layer of it, as of a moment.

use super::rows::Store;
use crate::distance::Kernels;
use crate::graph::select::Nodes;
use crate::graph::{Buffers, Graph};
use crate::quant::{Prepared, Space};
use alloc::vec::Vec;
use core::convert::Infallible;

/// Rows below `nodes` in `layer`.
#[derive(Clone, Copy)]
pub(super) struct LiveLayer<'a> {
    pub(super) store: &'a Store,
    pub(super) space: &'a Space,
    pub(super) kernels: &'static Kernels,
    pub(super) layer: usize,
    pub(super) nodes: u32,
}

/// Rows that are compared together: those of a hop.
const TOGETHER: usize = 32;

impl Graph for LiveLayer<'_> {
    type Error = Infallible;

    fn nodes(&self) -> usize {
        self.nodes as usize
    }

    #[inline]
    fn neighbors(&self, node: u32, out: &mut Vec<u32>) -> Result<(), Infallible> {
        self.store.neighbors(node, self.layer, self.nodes, out);
        Ok(())
    }

    #[inline]
    fn distances(&self, query: &Prepared, nodes: &[u32], buffers: &mut Buffers, out: &mut [f32]) -> Result<(), Infallible> {
        let mut records = [&[][..]; TOGETHER];
        for (nodes, out) in nodes.chunks(TOGETHER).zip(out.chunks_mut(TOGETHER)) {
            let records = &mut records[..nodes.len()];
            let mut found = nodes.iter().map_while(|&node| self.store.record(node));
            // Every node below `nodes` was appended before it was published.
            if records.iter_mut().zip(&mut found).map(|(record, found)| *record = found).count() < nodes.len() {
                out.fill(f32::INFINITY);
                continue;
            }
            self.space.distances_of(self.kernels, query, records, &mut buffers.dots, out);
        }
        Ok(())
    }

    #[inline]
    fn prefetch(&self, _: u32) {}
}

impl Nodes for LiveLayer<'_> {
    fn prepare(&self, node: u32, query: &mut Prepared) -> Result<(), Infallible> {
        if let Some(record) = self.store.record(node) {
            let factors = self.space.layout.factors(record);
            query.record(self.space, &record[..self.space.layout.factors], &factors);
        }
        Ok(())
    }
}
