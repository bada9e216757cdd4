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

/// A cache line.
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Rows of codes, from the start of a cache line on: a load of 64 bytes then never takes two lines, as it would of bytes that lie anywhere.
#[derive(Debug)]
pub(crate) struct Rows {
    lines: Vec<Line>,
}

impl Rows {
    /// Zeros: so many bytes, and what is left of the last line. Of many the system gives the pages when they are written to.
    fn new(bytes: usize) -> Self {
        Self { lines: bytemuck::allocation::zeroed_vec(bytes.div_ceil(64)) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.lines)
    }
}

impl core::ops::Deref for Rows {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.lines)
    }
}

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
    /// A row for each node of `graph`, one behind the other; `record` reads what a node is, `place` sees the memory before it is written to. The same bytes for any number of threads.
    /// `O(nodes degree d log d)`.
    ///
    /// # Errors
    /// What the graph or `record` reports.
    pub(crate) fn rows<'r, P: Par, G: Nodes + Sync>(
        &self,
        par: &P,
        graph: &G,
        record: impl Fn(u32) -> Result<&'r [u8], G::Error> + Sync,
        place: impl FnOnce(&mut [u8]),
    ) -> Result<Rows, G::Error>
    where
        G::Error: Send,
    {
        let stride = self.layout.stride();
        // Blocks of a row are lines, so rows are as well.
        let mut codes = Rows::new(graph.nodes() * stride);
        place(codes.bytes_mut());
        let tasks = codes.bytes_mut().chunks_mut((TASK_NODES * stride).max(1));
        let mut tasks: Vec<Task<'_, G::Error>> = tasks.map(|rows| (rows, Ok(()))).collect();
        let mut workers: Vec<Worker> = vec![Worker::default(); par.threads()];
        par.chunks(&mut tasks, 1, &mut workers, |task, tasks, worker| {
            for (rows, result) in tasks {
                let mut nodes = (task * TASK_NODES..).zip(rows.chunks_mut(stride));
                *result = nodes.try_for_each(|(node, row)| self.row(graph, node as u32, &record, worker, row));
            }
        });
        tasks.into_iter().try_for_each(|(_, result)| result)?;
        Ok(codes)
    }

    /// Rows of some nodes, `stride` bytes each, in the memory that is there.
    ///
    /// # Errors
    /// What the graph or `record` reports.
    pub(crate) fn some_rows<'r, P: Par, G: Nodes + Sync>(
        &self,
        par: &P,
        graph: &G,
        record: impl Fn(u32) -> Result<&'r [u8], G::Error> + Sync,
        rows: &mut [(u32, Vec<u8>)],
    ) -> Result<(), G::Error>
    where
        G::Error: Send,
    {
        let mut workers: Vec<(Worker, Result<(), G::Error>)> = (0..par.threads()).map(|_| (Worker::default(), Ok(()))).collect();
        par.chunks(rows, TASK_NODES, &mut workers, |_, rows, (worker, result)| {
            let done = rows.iter_mut().try_for_each(|(node, row)| self.row(graph, *node, &record, worker, row));
            if result.is_ok() {
                *result = done;
            }
        });
        workers.into_iter().try_for_each(|(_, result)| result)
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
