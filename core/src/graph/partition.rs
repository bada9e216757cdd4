//! Overlapping leaves: groups of nodes that lie near each other, each node in several of them.
//!
//! Randomised ball carving (PiPNN, arXiv 2602.21247, section 4): leaders are drawn from the nodes and
//! each node joins its nearest few; a group that is still too large is carved again by leaders of its
//! own. Groups that came out small stand together, so that no node sees few others.

use super::layer::Records;
use super::pool::Pool;
use super::{Buffers, Neighbor};
use crate::format::Metric;
use crate::par::Par;
use crate::quant::{Prepared, Space};
use crate::seed;
use crate::sort;
use alloc::vec;
use alloc::vec::Vec;

/// How nodes are grouped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carving {
    /// Nodes of a leaf at most.
    pub(super) leaf: usize,
    /// Leaves that a node joins.
    pub(super) fanout: usize,
    /// Decides the leaders.
    pub(super) seed: u64,
}

/// Leaders of one carving at most; what is larger than they can part is carved twice.
const LEADERS_MAX: usize = 1_024;

/// Carvings of carvings at most. Rows that no leaders part (records all alike) are cut in order then.
const DEPTH_MAX: usize = 6;

/// Nodes that one task assigns.
const TASK_NODES: usize = 64;

/// Nodes that are assigned between two reports.
const STEP_NODES: usize = 1 << 12;

/// Scratch of one thread.
#[derive(Debug, Default)]
pub(super) struct Assigner {
    query: Prepared,
    buffers: Buffers,
    distances: Vec<f32>,
    nearest: Pool,
}

/// A group that may have to be carved.
struct Group {
    nodes: Vec<u32>,
    fanout: usize,
    depth: usize,
}

/// Groups the first `nodes` nodes of `records` into leaves, each ascending and without repeats.
///
/// `progress(done)` is told in nodes, and may stop it: then `None` is returned.
///
/// Cost: `nodes` x leaders distances a level of carving.
pub(super) fn carve<P: Par>(
    records: Records<'_>,
    nodes: usize,
    carving: Carving,
    par: &P,
    workers: &mut [Assigner],
    progress: &mut dyn FnMut(usize) -> Option<()>,
) -> Option<Vec<Vec<u32>>> {
    // Among rows an inner product knows no near and far: the longest would draw all others.
    let space = Space { metric: Metric::L2, ..records.space.clone() };
    let records = Records { space: &space, ..records };
    let mut leaves = Vec::new();
    let mut open = vec![Group { nodes: (0..nodes as u32).collect(), fanout: carving.fanout, depth: 0 }];
    // Three quarters of the time go to the first level, which meets the most leaders; then places in leaves are what is done.
    let (mut first, mut placed) = (0, 0);
    let mut round = 0;
    while let Some(mut group) = open.pop() {
        if group.nodes.len() <= carving.leaf {
            placed += group.nodes.len();
            // Small groups that stand together may share nodes.
            sort::by_key(&mut group.nodes, |node| *node);
            group.nodes.dedup();
            if group.nodes.len() > 1 {
                leaves.push(group.nodes);
            }
            continue;
        }
        let (fanout, depth) = (group.fanout, group.depth + 1);
        if depth > DEPTH_MAX {
            open.extend(group.nodes.chunks(carving.leaf).map(|piece| Group { nodes: piece.to_vec(), fanout: 1, depth }));
            continue;
        }
        // Half full on average, so that few have to be carved again.
        let leaders = (group.nodes.len() * fanout).div_ceil((carving.leaf / 2).max(1)).clamp(2, LEADERS_MAX).max(fanout);
        let drawn = seed::sample(seed::hash(carving.seed, 0x006C_6561_6465_7273, round), group.nodes.len() as u64, leaders);
        round += 1;
        let leaders: Vec<u32> = drawn.iter().map(|&at| group.nodes[at as usize]).collect();
        // Side by side they stay in the cache.
        let mut near = Vec::with_capacity(leaders.len() * records.space.layout.stride);
        leaders.iter().for_each(|&leader| near.extend_from_slice(records.record(leader)));
        let near = Records { bytes: &near, ..records };
        let mut joined = vec![0; group.nodes.len() * fanout];
        for (step, joined) in group.nodes.chunks(STEP_NODES).zip(joined.chunks_mut(STEP_NODES * fanout)) {
            progress((3 * first + placed / carving.fanout.max(1)) / 4)?;
            par.chunks(joined, TASK_NODES * fanout, workers, |task, joined, worker| {
                for (node, joined) in step[task * TASK_NODES..].iter().zip(joined.chunks_exact_mut(fanout)) {
                    worker.assign(records, near, *node, joined);
                }
            });
            first += if depth == 1 { step.len() } else { 0 };
        }
        let mut parts: Vec<Vec<u32>> = vec![Vec::new(); leaders.len()];
        for (&node, joined) in group.nodes.iter().zip(joined.chunks_exact(fanout)) {
            joined.iter().for_each(|&leader| parts[leader as usize].push(node));
        }
        let mut small = Vec::new();
        for part in parts {
            if part.len() * 4 > carving.leaf {
                open.push(Group { nodes: part, fanout: 1, depth });
            } else {
                small.extend(part);
                if small.len() * 2 > carving.leaf {
                    open.push(Group { nodes: core::mem::take(&mut small), fanout: 1, depth });
                }
            }
        }
        open.push(Group { nodes: small, fanout: 1, depth });
    }
    Some(leaves)
}

impl Assigner {
    /// The numbers of a node's nearest leaders, as many as `joined` holds.
    fn assign(&mut self, records: Records<'_>, leaders: Records<'_>, node: u32, joined: &mut [u32]) {
        records.prepare(node, &mut self.query);
        self.buffers.places.clear();
        self.buffers.places.extend((0..leaders.rows()).map(|at| at * leaders.space.layout.stride));
        self.distances.resize(leaders.rows(), 0.0);
        leaders.distances_at(&self.query, &mut self.buffers, &mut self.distances);
        self.nearest.reset(joined.len());
        for (node, &distance) in (0..).zip(&self.distances) {
            self.nearest.insert(Neighbor { distance, node }.key());
        }
        joined.iter_mut().zip(self.nearest.iter()).for_each(|(joined, leader)| *joined = leader.node);
    }
}
