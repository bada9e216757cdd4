//! The graph of a build without the rows that it is measured by.
//!
//! A walk that may pass through the row it looks for, whose edges lead straight to its nearest, finds more than a stranger's query
//! would (measured on MNIST: 0.976 where queries that are no rows found 0.915); one that may not step on it, whose nearest have but edges
//! to it where they would have others, finds less. So lists that lead to a row of the sample are mended ([`Without`]), and a row that
//! is the only way to others is none of the sample.

use super::codes::NodeCodes;
use super::measure::Bench;
use crate::graph::layer::LayerView;
use crate::graph::reach::keep_bridges;
use crate::graph::select::{Nodes, Selection};
use crate::graph::without::Without;
use crate::graph::{Buffers, Graph};
use crate::par::Par;
use crate::quant::Prepared;
use alloc::vec::Vec;
use core::convert::Infallible;

/// The lists that differ.
#[derive(Debug)]
pub(super) struct HeldOut {
    /// By layer.
    lists: Vec<Without>,
    /// Codes of neighbours that differ, by node.
    #[cfg(feature = "codes")]
    pub(super) rows: Vec<(u32, Vec<u8>)>,
}

impl HeldOut {
    /// Takes `sample`, which ascends, out of a graph. Rows that others are reached by alone leave the sample.
    pub(super) fn new<P: Par>(bench: &Bench<'_>, sample: &mut Vec<u32>, par: &P) -> Self {
        let selection = Selection::new(bench.params.heuristic, bench.params.keep_pruned);
        let layers = &bench.graph.layers;
        let lists = loop {
            let lists: Vec<Without> = layers.iter().map(|layer| Without::of(layer, bench.records, sample, selection, par)).collect();
            if !layers.iter().zip(&lists).any(|(layer, without)| keep_bridges(layer, without, sample)) {
                break lists;
            }
        };
        #[cfg(feature = "codes")]
        {
            let mut held = Self { lists, rows: Vec::new() };
            if let Some(neighbors) = bench.neighbors {
                // By records, as the file's rows are chosen, whatever guides walks.
                let layer = Measured { codes: None, ..held.layer(bench, 0) };
                held.rows = neighbors.without(&layer, sample, par);
            }
            held
        }
        #[cfg(not(feature = "codes"))]
        Self { lists }
    }

    /// A layer as it is measured.
    pub(super) fn layer<'a>(&'a self, bench: &'a Bench<'_>, layer: usize) -> Measured<'a> {
        let (without, layer) = (&self.lists[layer], &bench.graph.layers[layer]);
        let view = LayerView { layer, records: bench.records, nodes: layer.rows() };
        Measured { view, without, codes: bench.codes.filter(|_| cfg!(feature = "codes")) }
    }
}

/// A layer without the sample, walked by records or by codes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured<'a> {
    pub(super) view: LayerView<'a>,
    without: &'a Without,
    /// What guides the walk, if not the records.
    codes: Option<&'a NodeCodes>,
}

impl Graph for Measured<'_> {
    type Error = Infallible;

    fn nodes(&self) -> usize {
        self.view.nodes
    }

    fn neighbors(&self, node: u32, out: &mut Vec<u32>) -> Result<(), Infallible> {
        out.extend_from_slice(self.without.list(node).unwrap_or_else(|| self.view.layer.neighbors(node)));
        Ok(())
    }

    fn distances(&self, query: &Prepared, nodes: &[u32], buffers: &mut Buffers, out: &mut [f32]) -> Result<(), Infallible> {
        match self.codes {
            None => self.view.distances(query, nodes, buffers, out),
            Some(codes) => {
                codes.distances(self.view.records, query, nodes, buffers, out);
                Ok(())
            }
        }
    }

    fn prefetch(&self, node: u32) {
        self.view.prefetch(node);
    }
}

impl Nodes for Measured<'_> {
    fn prepare(&self, node: u32, query: &mut Prepared) -> Result<(), Infallible> {
        self.view.prepare(node, query)
    }
}
