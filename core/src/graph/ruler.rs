//! Distances of a node from others, computed when they are needed.

use super::layer::Records;
use super::{Buffers, Graph, Neighbor};
use crate::quant::Prepared;
use alloc::vec::Vec;

/// Scratch of [`Ruler::measure`].
#[derive(Debug, Default)]
pub(crate) struct Ruler {
    pub(super) query: Prepared,
    pub(super) buffers: Buffers,
    distances: Vec<f32>,
}

impl Ruler {
    /// `others` with their distances from `node`, nearest first.
    pub(crate) fn measure(&mut self, records: Records<'_>, node: u32, others: &[u32], out: &mut Vec<Neighbor>) {
        records.prepare(node, &mut self.query);
        self.distances.resize(others.len(), 0.0);
        let Ok(()) = records.distances(&self.query, others, &mut self.buffers, &mut self.distances);
        out.clear();
        out.extend(others.iter().zip(&self.distances).map(|(&node, &distance)| Neighbor { distance, node }));
        super::sort(out);
    }
}
