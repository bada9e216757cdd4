//! Choosing neighbours (Malkov & Yashunin 2016, Algorithms 3 and 4).
//!
//! The simple rule keeps the nearest. The heuristic keeps a candidate only if it is nearer to the
//! base node than to every neighbour kept before it, so that edges point in different directions;
//! with `keep_pruned` the discarded fill what is left, nearest first. The comparison is strict:
//! a twin of the base (distance 0) would otherwise remove every other candidate.

/// How neighbours are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Selection {
    /// The heuristic (Algorithm 4) rather than the nearest (Algorithm 3).
    pub heuristic: bool,
    /// Fill up with discarded candidates, nearest first.
    pub keep_pruned: bool,
    /// How many times as near to a candidate a kept neighbour must be to discard it, as a factor on the distance as computed, at least 1
    /// (RobustPrune: Subramanya et al. 2019, "DiskANN", Algorithm 2). 1 is the heuristic.
    #[cfg(feature = "codes")]
    pub alpha_sq: f32,
}

impl Selection {
    /// The heuristic of Algorithm 4.
    pub const HEURISTIC: Self = Self::new(true, false);

    /// Without slack.
    #[must_use]
    pub const fn new(heuristic: bool, keep_pruned: bool) -> Self {
        Self {
            heuristic,
            keep_pruned,
            #[cfg(feature = "codes")]
            alpha_sq: 1.0,
        }
    }

    /// The factor; left out of a download, where it is 1.
    fn factor(self) -> f32 {
        #[cfg(feature = "codes")]
        return self.alpha_sq;
        #[cfg(not(feature = "codes"))]
        1.0
    }
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
            if self.is_hidden(graph, candidate, selection.factor())? {
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

    /// Whether a kept neighbour is nearer to `candidate` than the base is, `factor` times.
    fn is_hidden<G: Nodes>(&mut self, graph: &G, candidate: Neighbor, factor: f32) -> Result<bool, G::Error> {
        if self.kept.is_empty() {
            return Ok(false);
        }
        graph.prepare(candidate.node, &mut self.query)?;
        for kept in self.kept.chunks(TOGETHER) {
            self.distances.resize(kept.len(), 0.0);
            graph.distances(&self.query, kept, &mut self.buffers, &mut self.distances)?;
            if self.distances.iter().any(|&d| d * factor < candidate.distance) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(all(test, feature = "codes"))]
mod tests {
    use super::*;
    use crate::format::Metric;
    use alloc::vec;
    use core::convert::Infallible;
    use proptest::prelude::*;

    /// Points of a plane, as far apart as a metric says.
    struct Plane(Vec<[f32; 2]>, Metric);

    impl Plane {
        fn apart(&self, a: u32, b: u32) -> f32 {
            let ([ax, ay], [bx, by]) = (self.0[a as usize], self.0[b as usize]);
            let dot = |ax: f32, ay: f32, bx: f32, by: f32| ax * bx + ay * by;
            match self.1 {
                Metric::L2 => dot(ax - bx, ay - by, ax - bx, ay - by),
                Metric::InnerProduct => -dot(ax, ay, bx, by),
                Metric::Cosine => (1.0 - dot(ax, ay, bx, by) / (dot(ax, ay, ax, ay) * dot(bx, by, bx, by)).sqrt()).max(0.0),
            }
        }
    }

    impl Graph for Plane {
        type Error = Infallible;

        fn nodes(&self) -> usize {
            self.0.len()
        }

        fn neighbors(&self, _: u32, _: &mut Vec<u32>) -> Result<(), Infallible> {
            Ok(())
        }

        fn distances(&self, query: &Prepared, nodes: &[u32], _: &mut Buffers, out: &mut [f32]) -> Result<(), Infallible> {
            nodes.iter().zip(out).for_each(|(&node, out)| *out = self.apart(query.sum as u32, node));
            Ok(())
        }

        fn prefetch(&self, _: u32) {}
    }

    impl Nodes for Plane {
        fn prepare(&self, node: u32, query: &mut Prepared) -> Result<(), Infallible> {
            query.sum = node as i32;
            Ok(())
        }
    }

    /// What is chosen for node 0 of all others.
    fn chosen(plane: &Plane, most: usize, alpha_sq: f32) -> Vec<Neighbor> {
        let mut candidates: Vec<Neighbor> =
            (1..plane.0.len() as u32).map(|node| Neighbor { distance: plane.apart(0, node), node }).collect();
        crate::graph::sort(&mut candidates);
        let mut chosen = Vec::new();
        let selection = Selection { alpha_sq, ..Selection::HEURISTIC };
        let Ok(()) = Selector::default().select(plane, &candidates, most, selection, &mut chosen);
        chosen
    }

    proptest! {
        #[test]
        fn whom_pruning_removes_a_kept_neighbour_stands_for(
            points in prop::collection::vec((-25..25i8, -25..25i8), 2..60),
            // Exact copies of some of them, the base among them.
            twins in prop::collection::vec(0..4usize, 0..6),
            metric in prop::sample::select(vec![Metric::L2, Metric::Cosine, Metric::InnerProduct]),
            most in 1..20usize,
            alpha in 0..5u8,
        ) {
            // A zero vector has no cosine.
            let mut points: Vec<[f32; 2]> = points.iter().map(|&(x, y)| [f32::from(x) + 0.5, f32::from(y)]).collect();
            twins.iter().for_each(|twin| points.push(points[twin % points.len()]));
            let plane = Plane(points, metric);
            // As builds have it: inner products are not stretched.
            let alpha_sq = if metric == Metric::InnerProduct { 1.0 } else { 1.0 + f32::from(alpha) / 4.0 };
            let kept = chosen(&plane, most, alpha_sq);
            prop_assert!(!kept.is_empty() && kept.len() <= most);
            prop_assert!(kept.windows(2).all(|pair| pair[0].key() < pair[1].key()));
            let stands = |by: &Neighbor, node: u32| plane.apart(by.node, node) * alpha_sq < plane.apart(0, node);
            for twin in kept.iter().filter(|near| plane.0[near.node as usize] == plane.0[0]) {
                prop_assert!((1..plane.0.len() as u32).all(|node| !stands(twin, node)), "a twin of the base stands for others");
            }
            for node in 1..plane.0.len() as u32 {
                let at = kept.iter().position(|by| by.node == node);
                let before = &kept[..at.unwrap_or(kept.len())];
                let removed = before.iter().any(|by| stands(by, node));
                prop_assert!(at.is_none() || !removed, "{} is kept beside one that stands for it", node);
                prop_assert!(at.is_some() || removed || kept.len() == most, "{} is removed by none", node);
            }
        }
    }

    #[test]
    fn a_twin_of_the_base_removes_nobody() {
        let plane = Plane(vec![[0.0, 0.0], [0.0, 0.0], [3.0, 0.0], [0.0, 4.0], [-5.0, 0.0]], Metric::L2);
        for alpha_sq in [1.0, 1.2, 2.0] {
            let nodes: Vec<u32> = chosen(&plane, 8, alpha_sq).iter().map(|near| near.node).collect();
            assert_eq!(nodes, [1, 2, 3, 4], "{alpha_sq}");
        }
    }
}
