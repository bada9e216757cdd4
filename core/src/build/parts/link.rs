//! The graph of one part.

use super::super::{BuildError, BuildParams, link};
use super::Plan;
use crate::distance::Kernels;
use crate::graph::layer::Records;
use crate::graph::ruler::Ruler;
use crate::graph::{NONE, Neighbor, sort};
use crate::par::Par;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::ControlFlow;

/// Bytes of a list of `degree` neighbours in a run: a node and a distance each.
#[must_use]
pub fn run_bytes(degree: u32) -> usize {
    degree as usize * 8
}

/// Nodes of one step, whose lists are told before the next.
const STEP_NODES: usize = 1 << 12;
/// Nodes of one task.
const TASK_NODES: usize = 64;

/// Scratch of one thread.
#[derive(Debug, Default)]
struct Worker {
    ruler: Ruler,
    list: Vec<Neighbor>,
}

impl Plan {
    /// Links a part, whose members' records are `records`, in order, and tells `put` the list of each member, in order: `degree` of (node
    /// u32, distance f32), nearest first, unused ones [`NONE`]. Told `progress(done)` in members.
    ///
    /// Allocates what the split was made for, where `par` has no more threads than [`threads_at_most`](super::threads_at_most) says; `records`
    /// comes to that.
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
        let (degree, list_bytes) = (self.split.degree as usize, run_bytes(self.split.degree));
        let layer = link::link_part(records, self.arranged.nodes.len(), degree, params, par, &mut |done| progress(done as u64))
            .ok_or(BuildError::Interrupted)?;
        let part = &self.parts[part];
        let mut workers: Vec<Worker> = (0..par.threads()).map(|_| Worker::default()).collect();
        let mut bytes = vec![0; STEP_NODES.min(layer.rows()) * list_bytes];
        for start in (0..layer.rows()).step_by(STEP_NODES) {
            let bytes = &mut bytes[..STEP_NODES.min(layer.rows() - start) * list_bytes];
            par.chunks(bytes, TASK_NODES * list_bytes, &mut workers, |task, bytes, Worker { ruler, list }| {
                for (slot, bytes) in ((start + task * TASK_NODES) as u32..).zip(bytes.chunks_exact_mut(list_bytes)) {
                    ruler.measure(records, slot, layer.neighbors(slot), list);
                    list.iter_mut().for_each(|edge| edge.node = self.node_of(part, edge.node));
                    sort(list);
                    list.resize(degree, Neighbor { distance: 0.0, node: NONE });
                    for (edge, bytes) in list.iter().zip(bytes.as_chunks_mut::<8>().0) {
                        *bytes = (u64::from(edge.distance.to_bits()) << 32 | u64::from(edge.node)).to_le_bytes();
                    }
                }
            });
            for list in bytes.chunks_exact(list_bytes) {
                put(list).map_err(|error| BuildError::Write(crate::format::WriteError::Sink(error)))?;
            }
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
