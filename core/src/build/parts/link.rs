//! The graph of one part.

use super::super::{BuildError, BuildParams, link};
use super::Plan;
use crate::distance::Kernels;
use crate::graph::layer::Records;
use crate::graph::{NONE, Neighbor, sort};
use crate::par::Par;
use alloc::vec::Vec;
use core::ops::ControlFlow;

/// Bytes of a list of `degree` neighbours in a run: a node and a distance each.
#[must_use]
pub fn run_bytes(degree: u32) -> usize {
    degree as usize * 8
}

impl Plan {
    /// Links a part, whose members' records are `records`, in order, and tells `put` the list of each member, in order: `degree` of (node
    /// u32, distance f32), nearest first, unused ones [`NONE`]. Told `progress(done)` in members.
    ///
    /// Allocates what the split was made for; `records` comes to that.
    ///
    /// # Errors
    /// What `put` says, as [`BuildError::Write`], or [`BuildError::Interrupted`].
    #[expect(clippy::too_many_arguments, reason = "a step of the build, called in one place")]
    pub fn link<P: Par, E>(
        &self,
        part: usize,
        records: &[u8],
        params: &BuildParams,
        par: &P,
        kernels: &'static Kernels,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
        put: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), BuildError<E>> {
        let records = Records { space: &self.space, kernels, bytes: records };
        let degree = self.split.degree as usize;
        let layer = link::link_part(records, self.arranged.nodes.len(), degree, params, par, &mut |done| progress(done as u64))
            .ok_or(BuildError::Interrupted)?;
        let part = &self.parts[part];
        let (mut list, mut bytes) = (Vec::new(), Vec::new());
        for slot in 0..layer.rows() as u32 {
            list.clear();
            list.extend(layer.edges(slot).map(|edge| Neighbor { node: self.node_of(part, edge.node), ..edge }));
            sort(&mut list);
            list.resize(degree, Neighbor { distance: 0.0, node: NONE });
            bytes.clear();
            bytes.extend(list.iter().flat_map(|edge| (u64::from(edge.distance.to_bits()) << 32 | u64::from(edge.node)).to_le_bytes()));
            put(&bytes).map_err(|error| BuildError::Write(crate::format::WriteError::Sink(error)))?;
        }
        Ok(())
    }
}

/// The neighbours in a list of a run.
pub(super) fn read(list: &[u8]) -> impl Iterator<Item = Neighbor> + '_ {
    let edges = list.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
    let edges = edges.map(|word| Neighbor { distance: f32::from_bits((word >> 32) as u32), node: word as u32 });
    edges.take_while(|edge| edge.node != NONE)
}
