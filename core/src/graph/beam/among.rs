//! Best-first search among some of the nodes: those that a filter selected.
//!
//! Only they enter the pool. Where fewer than half of a node's neighbours match, the others serve as bridges: their
//! neighbours that match count as the node's own (ACORN-1, Patel et al. 2024, arXiv 2403.04871, section 5). A bridge is
//! crossed once in a walk, since all that matches behind it was offered then. The walk begins at matching nodes, a few
//! of which lie anywhere: from the graph's entry alone it would find nothing where all that is near does not match.

use super::{Beam, Limits};
use crate::filter::Bitmap;
use crate::graph::{Graph, Stats};
use crate::quant::Prepared;

impl Beam {
    /// Walks the nodes of `graph` that are in `among` and leaves the nearest of them found in [`Beam::pool`]. Begins at
    /// `seeds`, which are in it, and around `entries`. Stops, with false, once it has spent `budget` distances and hops.
    ///
    /// # Errors
    /// What the graph reports.
    #[expect(clippy::too_many_arguments, reason = "one call, and each is another thing")]
    pub(crate) fn search_among<G: Graph>(
        &mut self,
        graph: &G,
        query: &Prepared,
        among: &Bitmap,
        seeds: &[u32],
        entries: [u32; 2],
        limits: Limits,
        budget: u64,
        stats: &mut Stats,
    ) -> Result<bool, G::Error> {
        stats.ef = limits.ef as u64;
        self.pool.reset(limits.ef);
        self.visited.reset(graph.nodes());
        self.fresh.clear();
        self.fresh.extend(seeds.iter().copied().filter(|&seed| (seed as usize) < graph.nodes()));
        self.bridges.clear();
        for entry in entries {
            if (entry as usize) < graph.nodes() {
                if among.contains(entry) { self.fresh.push(entry) } else { self.bridges.push(entry) }
            }
        }
        self.cross(graph, among, stats)?;
        self.score_new(graph, query, f32::INFINITY, stats)?;
        let end = stats.distances + stats.hops + budget;
        while let Some(next) = self.pool.expand_next() {
            let bound = self.stop_distance(limits);
            if next.distance > bound {
                break;
            }
            if stats.distances + stats.hops > end {
                return Ok(false);
            }
            stats.hops += 1;
            self.fresh.clear();
            graph.neighbors(next.node, &mut self.fresh)?;
            self.part(among);
            if self.bridges.len() > self.fresh.len() {
                self.cross(graph, among, stats)?;
            }
            self.score_new(graph, query, bound, stats)?;
        }
        Ok(true)
    }

    /// How many of the nodes at most two edges away from `entry` are in `among`, and how many they are.
    ///
    /// # Errors
    /// What the graph reports.
    pub(crate) fn count_around<G: Graph>(
        &mut self,
        graph: &G,
        entry: u32,
        among: &Bitmap,
        stats: &mut Stats,
    ) -> Result<(u64, u64), G::Error> {
        self.visited.reset(graph.nodes());
        self.fresh.clear();
        self.bridges.clear();
        graph.neighbors(entry, &mut self.bridges)?;
        self.bridges.iter().for_each(|&near| graph.prefetch(near));
        stats.hops += 1 + self.bridges.len() as u64;
        for &near in &self.bridges {
            graph.neighbors(near, &mut self.fresh)?;
        }
        self.fresh.extend_from_slice(&self.bridges);
        let seen = self.visited.insert_all(&mut self.fresh);
        let found = self.fresh[..seen].iter().filter(|&&node| among.contains(node)).count();
        Ok((found as u64, seen as u64))
    }

    /// Keeps the gathered nodes that match; the others become bridges.
    fn part(&mut self, among: &Bitmap) {
        let Self { fresh, bridges, .. } = self;
        bridges.clear();
        fresh.retain(|&node| {
            let matches = among.contains(node);
            if !matches {
                bridges.push(node);
            }
            matches
        });
    }

    /// Gathers what matches behind the bridges, those crossed before left out.
    fn cross<G: Graph>(&mut self, graph: &G, among: &Bitmap, stats: &mut Stats) -> Result<(), G::Error> {
        let new = self.visited.insert_all(&mut self.bridges);
        self.bridges.truncate(new);
        self.bridges.iter().for_each(|&bridge| graph.prefetch(bridge));
        stats.hops += new as u64;
        for &bridge in &self.bridges {
            let start = self.fresh.len();
            graph.neighbors(bridge, &mut self.fresh)?;
            let mut kept = start;
            for at in start..self.fresh.len() {
                let node = self.fresh[at];
                self.fresh[kept] = node;
                kept += usize::from(among.contains(node));
            }
            self.fresh.truncate(kept);
        }
        Ok(())
    }

    /// Offers the gathered nodes that are new to the pool.
    fn score_new<G: Graph>(&mut self, graph: &G, query: &Prepared, bound: f32, stats: &mut Stats) -> Result<(), G::Error> {
        let new = self.visited.insert_all(&mut self.fresh);
        self.fresh.truncate(new);
        self.score(graph, query, bound, stats)
    }
}
