//! More neighbours than the heuristic keeps, where slots are free: for the fast layout, which reads all slots of a node whether they are
//! used or not.
//!
//! Candidates are the neighbours of neighbours, nearest first. One is taken unless a neighbour that the node has by then is nearer to
//! it than the node is by more than a tenth (in squared length; the heuristic with slack, as RobustPrune has it: Subramanya et al. 2019,
//! DiskANN, section 2.3); eight are tried for each free slot, and if slots stay free, the nearest of the rest follow. SymphonyQG fills its lists alike (arXiv 2411.12229,
//! section 3.2).

use super::select::Nodes;
use super::{Buffers, Neighbor};
use crate::quant::Prepared;
use crate::sort;
use alloc::vec::Vec;

/// How much nearer to a candidate a neighbour must be to make it superfluous. Measured: 1.05 to 1.3; without slack one hop in ten more.
const SLACK: f32 = 1.1;

/// Candidates tried for each free slot: with more of them, recall at equal hops is the same.
const TESTS: usize = 8;

/// Neighbours whose distances from a candidate are computed together.
const TOGETHER: usize = 4;

/// Buffers, one a thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extender {
    query: Prepared,
    candidates: Vec<Neighbor>,
    nodes: Vec<u32>,
    distances: Vec<f32>,
    buffers: Buffers,
}

impl Extender {
    /// Appends the neighbours of `node` to `slots`, which is empty, and more of them until there are `most`; of two candidates as near,
    /// the one that `rank` says a smaller number of comes first. Costs a distance a neighbour of a neighbour, and for some of these one a slot.
    ///
    /// # Errors
    /// What the graph reports.
    pub(crate) fn neighbors<G: Nodes>(
        &mut self,
        graph: &G,
        node: u32,
        most: usize,
        rank: impl Fn(u32) -> u32,
        slots: &mut Vec<u32>,
    ) -> Result<(), G::Error> {
        let Self { query, candidates, nodes, distances, buffers } = self;
        graph.neighbors(node, slots)?;
        if slots.len() >= most {
            return Ok(());
        }
        nodes.clear();
        for &slot in &*slots {
            graph.neighbors(slot, nodes)?;
        }
        nodes.sort_unstable();
        nodes.dedup();
        nodes.retain(|next| *next != node && !slots.contains(next));
        distances.resize(nodes.len(), 0.0);
        graph.prepare(node, query)?;
        graph.distances(query, nodes, buffers, distances)?;
        candidates.clear();
        candidates.extend(nodes.iter().zip(&*distances).map(|(&node, &distance)| Neighbor { distance, node }));
        sort::by_key(candidates, |near| Neighbor { distance: near.distance, node: rank(near.node) }.key());
        let mut left = 0;
        let tests = TESTS * (most - slots.len());
        for at in 0..candidates.len() {
            if slots.len() >= most {
                break;
            }
            if at >= tests {
                candidates.copy_within(at.., left);
                left += candidates.len() - at;
                break;
            }
            let candidate = candidates[at];
            if is_superfluous(graph, candidate, slots, query, distances, buffers)? {
                candidates[left] = candidate;
                left += 1;
            } else {
                slots.push(candidate.node);
            }
        }
        let room = most - slots.len();
        slots.extend(candidates[..left].iter().take(room).map(|candidate| candidate.node));
        Ok(())
    }
}

/// Whether a neighbour in `slots` stands for `candidate`. Most candidates fall to one of the nearest few.
fn is_superfluous<G: Nodes>(
    graph: &G,
    candidate: Neighbor,
    slots: &[u32],
    query: &mut Prepared,
    distances: &mut Vec<f32>,
    buffers: &mut Buffers,
) -> Result<bool, G::Error> {
    graph.prepare(candidate.node, query)?;
    for slots in slots.chunks(TOGETHER) {
        distances.resize(slots.len(), 0.0);
        graph.distances(query, slots, buffers, distances)?;
        if distances.iter().any(|distance| distance * SLACK < candidate.distance) {
            return Ok(true);
        }
    }
    Ok(false)
}
