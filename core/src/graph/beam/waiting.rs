//! The walk of [`Beam::search`] over a graph whose nodes come when they are asked for: it stops at the first that is not at hand and goes
//! on from there. Which nodes were brought ahead of time changes nothing of what it finds.

use super::{Beam, Limits};
use crate::graph::{Graph, Neighbor, Stats};
use crate::quant::Prepared;

/// A graph of which not all is at hand.
pub(crate) trait Fetched: Graph {
    /// Whether `node` can be expanded: who its neighbours are, and how far away.
    fn at_hand(&self, node: u32) -> bool;
}

impl Beam {
    /// Begins a walk of `graph` at `entries`, whose distances are at hand; [`Beam::go_on`] walks.
    ///
    /// # Errors
    /// What the graph reports.
    pub(crate) fn start<G: Graph>(
        &mut self,
        graph: &G,
        query: &Prepared,
        entries: impl IntoIterator<Item = u32>,
        limits: Limits,
        stats: &mut Stats,
    ) -> Result<(), G::Error> {
        self.gather(graph, entries, limits, stats);
        self.score(graph, query, f32::INFINITY, stats)
    }

    /// Walks as far as the graph is at hand; whether that was to the end.
    ///
    /// # Errors
    /// What the graph reports.
    pub(crate) fn go_on<G: Fetched>(&mut self, graph: &G, query: &Prepared, limits: Limits, stats: &mut Stats) -> Result<bool, G::Error> {
        while let Some(next) = self.pool.expand_next() {
            let bound = self.stop_distance(limits);
            if next.distance > bound {
                break;
            }
            if !graph.at_hand(next.node) {
                self.pool.take_back();
                return Ok(false);
            }
            self.expand(graph, query, next.node, bound, stats)?;
        }
        Ok(true)
    }

    /// The nodes that the walk would expand next as things stand, nearest first.
    pub(crate) fn ahead(&self, limits: Limits) -> impl Iterator<Item = Neighbor> + '_ {
        let bound = self.stop_distance(limits);
        self.pool.unexpanded().take_while(move |next| next.distance <= bound)
    }
}
