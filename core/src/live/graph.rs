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

/// Rows whose codes are asked for ahead of the one that is computed.
const AHEAD: usize = 4;

impl LiveLayer<'_> {
    fn prefetch_record(&self, node: u32) {
        if let Some(record) = self.store.record(node) {
            self.kernels.prefetch(&record[..self.space.layout.factors + 16]);
        }
    }
}

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
    fn distances(&self, query: &Prepared, nodes: &[u32], _: &mut Buffers, out: &mut [f32]) -> Result<(), Infallible> {
        nodes.iter().take(AHEAD).for_each(|&node| self.prefetch_record(node));
        for (at, (&node, out)) in nodes.iter().zip(out).enumerate() {
            if let Some(&ahead) = nodes.get(at + AHEAD) {
                self.prefetch_record(ahead);
            }
            // Every node below `nodes` was appended before it was published.
            *out = self.store.record(node).map_or(f32::INFINITY, |record| {
                let dot = self.space.dot(self.kernels, query, record);
                self.space.distance(query, &self.space.layout.factors(record), dot)
            });
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
