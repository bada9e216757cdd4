//! Coarse codes of the nodes, made of their records: what will guide the walks of the file.

use crate::graph::layer::{LayerView, Records};
use crate::graph::{Buffers, Graph};
use crate::par::Par;
use crate::quant::{CodeLayout, Prepared};
use alloc::vec;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::str::FromStr;

/// Rows of one task.
const TASK_ROWS: usize = 256;

/// What guides the walks of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codes {
    /// The records.
    #[default]
    None,
    /// Four bits a dimension ([`crate::quant::lvq`]); the records rank what was found.
    U4,
}

impl Codes {
    /// The word for it, as every door spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::U4 => "u4",
        }
    }
}

impl FromStr for Codes {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        [Self::None, Self::U4].into_iter().find(|codes| codes.as_str() == word).ok_or("must be none or u4")
    }
}

/// A row of codes a node.
#[derive(Debug)]
pub(crate) struct NodeCodes {
    pub(crate) layout: CodeLayout,
    bytes: Vec<u8>,
}

impl NodeCodes {
    /// Codes every record.
    pub(super) fn of<P: Par>(records: Records<'_>, par: &P) -> Self {
        let layout = CodeLayout::new(records.space.layout.dimensions);
        let mut bytes = vec![0; records.rows() * layout.stride];
        par.chunks(&mut bytes, TASK_ROWS * layout.stride, &mut vec![(); par.threads()], |task, rows, ()| {
            for (node, row) in (task * TASK_ROWS..).zip(rows.chunks_mut(layout.stride)) {
                layout.encode(records.space, records.record(node as u32), row);
            }
        });
        Self { layout, bytes }
    }

    /// The codes of `node`.
    pub(crate) fn row(&self, node: u32) -> &[u8] {
        &self.bytes[node as usize * self.layout.stride..][..self.layout.stride]
    }
}

/// A layer that is walked by its nodes' codes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coded<'a> {
    pub(super) view: LayerView<'a>,
    pub(super) codes: &'a NodeCodes,
}

impl Graph for Coded<'_> {
    type Error = Infallible;

    fn nodes(&self) -> usize {
        self.view.nodes
    }

    fn neighbors(&self, node: u32, out: &mut Vec<u32>) -> Result<(), Infallible> {
        self.view.neighbors(node, out)
    }

    fn distances(&self, query: &Prepared, nodes: &[u32], buffers: &mut Buffers, out: &mut [f32]) -> Result<(), Infallible> {
        let NodeCodes { layout, bytes } = self.codes;
        let (records, Buffers { places, dots }) = (self.view.records, buffers);
        places.clear();
        places.extend(nodes.iter().map(|&node| node as usize * layout.stride));
        records.space.distances(Some(layout), records.kernels, query, bytes, places, dots, out);
        Ok(())
    }

    fn prefetch(&self, node: u32) {
        self.view.prefetch(node);
    }
}
