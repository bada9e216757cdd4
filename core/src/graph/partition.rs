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
use core::ops::Range;

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

/// A group that may have to be carved: where its nodes stand.
struct Group {
    places: Range<usize>,
    depth: usize,
}

/// Groups of nodes in one piece of memory.
#[derive(Debug, Default)]
pub(super) struct Leaves {
    nodes: Vec<u32>,
    /// Where those of each leaf stand.
    places: Vec<Range<usize>>,
}

impl Leaves {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The nodes of a leaf, ascending.
    pub(super) fn nodes(&self, leaf: usize) -> &[u32] {
        &self.nodes[self.places[leaf].clone()]
    }

    /// Makes a leaf of the nodes at `places`, unless there are fewer than two.
    fn close(&mut self, places: Range<usize>) {
        let Range { start, end } = places;
        sort::by_key(&mut self.nodes[start..end], |node| *node);
        // Small groups that stand together may share nodes.
        let mut kept = start;
        for at in start..end {
            if at == start || self.nodes[kept - 1] != self.nodes[at] {
                self.nodes[kept] = self.nodes[at];
                kept += 1;
            }
        }
        if kept > start + 1 {
            self.places.push(start..kept);
        }
    }
}

/// Groups the first `nodes` nodes of `records` into leaves, each ascending and without repeats.
///
/// `progress(done)` is told in nodes, and may stop it: then `None` is returned.
///
/// Cost: `nodes` x leaders distances a level of carving; memory: two numbers for each leaf of a node, of which one stays.
pub(super) fn carve<P: Par>(
    records: Records<'_>,
    nodes: usize,
    carving: Carving,
    par: &P,
    workers: &mut [Assigner],
    progress: &mut dyn FnMut(usize) -> Option<()>,
) -> Option<Leaves> {
    // Among rows an inner product knows no near and far: the longest would draw all others.
    let space = Space { metric: Metric::L2, ..records.space.clone() };
    let records = Records { space: &space, ..records };
    let mut leaves = Leaves { nodes: (0..nodes as u32).collect(), places: Vec::new() };
    let mut open = vec![Group { places: 0..nodes, depth: 0 }];
    // Three quarters of the time go to the first level, which meets the most leaders; then places in leaves are what is done.
    let (mut first, mut placed) = (0, 0);
    let mut round = 0;
    while let Some(Group { places, depth }) = open.pop() {
        let size = places.end - places.start;
        if size <= carving.leaf {
            placed += size;
            leaves.close(places);
            continue;
        }
        // Only the first carving gives a node several places.
        let (fanout, depth) = (if depth == 0 { carving.fanout } else { 1 }, depth + 1);
        if depth > DEPTH_MAX {
            for start in places.clone().step_by(carving.leaf) {
                open.push(Group { places: start..(start + carving.leaf).min(places.end), depth });
            }
            continue;
        }
        let group = &leaves.nodes[places.clone()];
        // Half full on average, so that few have to be carved again.
        let leaders = (size * fanout).div_ceil((carving.leaf / 2).max(1)).clamp(2, LEADERS_MAX).max(fanout);
        let drawn = seed::sample(seed::hash(carving.seed, 0x006C_6561_6465_7273, round), size as u64, leaders);
        round += 1;
        // Side by side they stay in the cache.
        let mut near = Vec::with_capacity(drawn.len() * records.space.layout.stride);
        drawn.iter().for_each(|&at| near.extend_from_slice(records.record(group[at as usize])));
        let near = Records { bytes: &near, ..records };
        let mut joined = vec![0; size * fanout];
        for (step, joined) in group.chunks(STEP_NODES).zip(joined.chunks_mut(STEP_NODES * fanout)) {
            progress((3 * first + placed / carving.fanout.max(1)) / 4)?;
            par.chunks(joined, TASK_NODES * fanout, workers, |task, joined, worker| {
                for (node, joined) in step[task * TASK_NODES..].iter().zip(joined.chunks_exact_mut(fanout)) {
                    worker.assign(records, near, *node, joined);
                }
            });
            first += if depth == 1 { step.len() } else { 0 };
        }
        let (groups, mut next) = group_parts(&joined, near.rows(), carving.leaf);
        let mut parted = vec![0; joined.len()];
        for (&node, joined) in group.iter().zip(joined.chunks_exact(fanout)) {
            for &leader in joined {
                let place = &mut next[leader as usize];
                parted[*place] = node;
                *place += 1;
            }
        }
        let start = places.start;
        if depth == 1 {
            leaves.nodes = parted;
        } else {
            leaves.nodes[places].iter_mut().zip(&parted).for_each(|(node, parted)| *node = *parted);
        }
        for group in groups {
            open.push(Group { places: start + group.start..start + group.end, depth });
        }
    }
    Some(leaves)
}

/// Where groups of the parts that nodes joined stand, small parts together, and where each part begins.
fn group_parts(joined: &[u32], parts: usize, leaf: usize) -> (Vec<Range<usize>>, Vec<usize>) {
    let (mut sizes, mut begins) = (vec![0; parts], vec![0; parts]);
    joined.iter().for_each(|&part| sizes[part as usize] += 1);
    let mut next = 0;
    let mut place = |parts: &[usize]| {
        let start = next;
        for &part in parts {
            begins[part] = next;
            next += sizes[part];
        }
        start..next
    };
    let (mut groups, mut small, mut small_nodes) = (Vec::new(), Vec::new(), 0);
    for (part, &size) in sizes.iter().enumerate() {
        if size * 4 > leaf {
            groups.push(place(&[part]));
            continue;
        }
        small.push(part);
        small_nodes += size;
        if small_nodes * 2 > leaf {
            groups.push(place(&small));
            small.clear();
            small_nodes = 0;
        }
    }
    groups.push(place(&small));
    (groups, begins)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_follow_each_other_and_small_parts_share_one() {
        // Parts of 3, 1, 0, 9, 2, 1 and 1 nodes; groups of more than a quarter of 8 stand alone.
        let joined: Vec<u32> = [3, 1, 0, 9, 2, 1, 1].iter().zip(0..).flat_map(|(&size, part)| vec![part; size]).collect();
        let (groups, begins) = group_parts(&joined, 7, 8);
        // In the order in which they came to be whole; what small ones are left, none here, end it.
        assert_eq!(groups, [0..3, 3..12, 12..17, 17..17]);
        assert_eq!(begins, [0, 12, 13, 3, 13, 15, 16]);
        assert_eq!(group_parts(&[], 2, 8).1, [0, 0]);
    }

    #[test]
    fn a_leaf_ascends_without_repeats_and_holds_two_at_least() {
        let mut leaves = Leaves { nodes: vec![7, 3, 7, 5, 9, 9], places: Vec::new() };
        leaves.close(0..4);
        leaves.close(4..6);
        assert_eq!((leaves.len(), leaves.nodes(0)), (1, &[3, 5, 7][..]));
    }
}
