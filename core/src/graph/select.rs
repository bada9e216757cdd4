//! Choosing neighbours (Malkov & Yashunin 2016, Algorithms 3 and 4).
//!
//! The simple rule keeps the nearest. The heuristic keeps a candidate only if it is nearer to the
//! base node than to every neighbour kept before it, so that edges point in different directions;
//! with `keep_pruned` the discarded fill what is left, nearest first. The comparison is strict:
//! a twin of the base (distance 0) would otherwise remove every other candidate.

/// How neighbours are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The heuristic (Algorithm 4) rather than the nearest (Algorithm 3).
    pub heuristic: bool,
    /// Fill up with discarded candidates, nearest first.
    pub keep_pruned: bool,
}

use super::{Buffers, Graph, Neighbor};
use crate::quant::Prepared;
use alloc::vec::Vec;

/// Scratch of [`Selector::select`].
#[derive(Debug, Default)]
pub struct Selector {
    query: Prepared,
    kept: Vec<u32>,
    discarded: Vec<Neighbor>,
    distances: Vec<f32>,
    buffers: Buffers,
}

/// A graph whose nodes can stand as queries themselves.
pub trait Nodes: Graph {
    /// Prepares `node` as a query.
    ///
    /// # Errors
    /// Where its record is damaged.
    fn prepare(&self, node: u32, query: &mut Prepared) -> Result<(), Self::Error>;
}

/// Kept neighbours whose distances to a candidate are computed together: most candidates fall to
/// one of the nearest few, so the rest need not be computed.
const TOGETHER: usize = 4;

impl Selector {
    /// Chooses at most `most` of `candidates`, which ascend by (distance, node), into `chosen`.
    ///
    /// # Errors
    /// What the graph reports.
    pub fn select<G: Nodes>(
        &mut self,
        graph: &G,
        candidates: &[Neighbor],
        most: usize,
        selection: Selection,
        chosen: &mut Vec<Neighbor>,
    ) -> Result<(), G::Error> {
        chosen.clear();
        if !selection.heuristic {
            chosen.extend(candidates.iter().take(most));
            return Ok(());
        }
        self.kept.clear();
        self.discarded.clear();
        for &candidate in candidates {
            if chosen.len() >= most {
                break;
            }
            if self.is_hidden(graph, candidate)? {
                self.discarded.push(candidate);
            } else {
                self.kept.push(candidate.node);
                chosen.push(candidate);
            }
        }
        if selection.keep_pruned && chosen.len() < most {
            let room = most - chosen.len();
            chosen.extend(self.discarded.iter().take(room));
            super::sort(chosen);
        }
        Ok(())
    }

    /// Whether a kept neighbour is nearer to `candidate` than the base is.
    fn is_hidden<G: Nodes>(&mut self, graph: &G, candidate: Neighbor) -> Result<bool, G::Error> {
        if self.kept.is_empty() {
            return Ok(false);
        }
        graph.prepare(candidate.node, &mut self.query)?;
        for kept in self.kept.chunks(TOGETHER) {
            self.distances.resize(kept.len(), 0.0);
            graph.distances(&self.query, kept, &mut self.buffers, &mut self.distances)?;
            if self.distances.iter().any(|&d| d < candidate.distance) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
