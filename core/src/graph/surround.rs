//! Codes of the neighbours of every node of a graph: what the fast layout adds to it.

use super::extend::Extender;
use super::select::Nodes;
use crate::distance::Kernels;
use crate::par::Par;
use crate::quant::Space;
use crate::quant::neighbors::NeighborLayout;
use crate::quant::rotation::Rotation;
use crate::quant::signs::Coder as SignCoder;
use alloc::vec;
use alloc::vec::Vec;

/// Nodes of one task.
const TASK_NODES: usize = 256;

/// Rows to write, and how that went.
type Task<'a, E> = (&'a mut [u8], Result<(), E>);

/// What all rows are coded by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coder<'a> {
    pub(crate) layout: NeighborLayout,
    pub(crate) space: &'a Space,
    pub(crate) rotation: &'a Rotation,
    pub(crate) kernels: &'static Kernels,
    /// Place of each node in the file, where nodes are not its rows; decides between candidates that are as near.
    pub(crate) rank: Option<&'a [u32]>,
}

impl Coder<'_> {
    /// A row for each node of `graph`, one behind the other; `record` reads what a node is. The same bytes for any number of threads.
    /// `O(nodes degree d log d)`.
    ///
    /// # Errors
    /// What the graph or `record` reports.
    pub(crate) fn rows<'r, P: Par, G: Nodes + Sync>(
        &self,
        par: &P,
        graph: &G,
        record: impl Fn(u32) -> Result<&'r [u8], G::Error> + Sync,
    ) -> Result<Vec<u8>, G::Error>
    where
        G::Error: Send,
    {
        let stride = self.layout.stride();
        let mut bytes = vec![0; graph.nodes() * stride];
        let tasks = bytes.chunks_mut((TASK_NODES * stride).max(1));
        let mut tasks: Vec<Task<'_, G::Error>> = tasks.map(|rows| (rows, Ok(()))).collect();
        let mut workers: Vec<Worker> = vec![Worker::default(); par.threads()];
        par.chunks(&mut tasks, 1, &mut workers, |task, tasks, worker| {
            for (rows, result) in tasks {
                let mut nodes = (task * TASK_NODES..).zip(rows.chunks_mut(stride));
                *result = nodes.try_for_each(|(node, row)| self.row(graph, node as u32, &record, worker, row));
            }
        });
        tasks.into_iter().try_for_each(|(_, result)| result)?;
        Ok(bytes)
    }

    fn row<'r, G: Nodes>(
        &self,
        graph: &G,
        node: u32,
        record: &impl Fn(u32) -> Result<&'r [u8], G::Error>,
        worker: &mut Worker,
        row: &mut [u8],
    ) -> Result<(), G::Error> {
        worker.slots.clear();
        let rank = |node: u32| self.rank.map_or(node, |rank| rank[node as usize]);
        worker.extender.neighbors(graph, node, self.layout.slots, rank, &mut worker.slots)?;
        let mut failed = Ok(());
        let neighbors = worker.slots.iter().map_while(|&slot| match record(slot) {
            Ok(record) => Some((slot, record)),
            Err(error) => {
                failed = Err(error);
                None
            }
        });
        self.layout.encode(self.space, self.kernels, self.rotation, record(node)?, neighbors, &mut worker.work, row);
        failed
    }
}

/// Buffers, one a thread.
#[derive(Clone, Debug, Default)]
struct Worker {
    extender: Extender,
    work: SignCoder,
    slots: Vec<u32>,
}
