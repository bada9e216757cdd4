//! Search by looking at every row: exact at its refine level, and faster than a graph for a few
//! thousand rows.

use super::rank::{Originals, Ranker};
use super::{Index, Loaded};
use crate::error::Corrupt;
use crate::format::{Kind, Refine};
use crate::graph::Neighbor;
use crate::graph::pool::Pool;
use crate::search::doubt::Beyond;
use crate::search::{Hit, Scratch, SearchError, SearchParams, Stats};
use alloc::vec::Vec;

/// Rows whose distances are computed together.
const TOGETHER: usize = 128;

impl<B: AsRef<[u8]>> Index<B> {
    pub(super) fn scan(
        &self,
        loaded: &Loaded,
        params: &SearchParams,
        refine: Refine,
        scratch: &mut Scratch,
        hits: &mut Vec<Hit>,
    ) -> Result<Stats, SearchError> {
        let ranker = Ranker::new(self.records(loaded)?, self.reader.section(Kind::Deleted, 0));
        self.scan_rows(&ranker, 0..self.len() as u32, params, refine, scratch, hits)
    }

    /// Scans those of `candidates` that may be hits. They are at most as many as the file has rows.
    pub(super) fn scan_rows(
        &self,
        ranker: &Ranker<'_>,
        candidates: impl Iterator<Item = u32>,
        params: &SearchParams,
        refine: Refine,
        scratch: &mut Scratch,
        hits: &mut Vec<Hit>,
    ) -> Result<Stats, SearchError> {
        let records = ranker.records;
        let originals = self.reader.section(Kind::Originals, 0).filter(|_| refine == Refine::Originals);
        let originals = originals.map(|section| Originals { section, element: self.element(), metric: self.metric() });
        let (pool, ties) = (core::mem::take(&mut scratch.beam.pool), core::mem::take(&mut scratch.found));
        let mut best = Best { pool, ties, k: params.k.min(self.len().max(1)) };
        best.pool.reset(best.k);
        best.ties.clear();
        let mut stats = Stats::default();
        let mut beyond = Beyond::new(records.space, &scratch.query);
        let mut candidates = candidates;
        loop {
            scratch.rows.clear();
            for row in candidates.by_ref() {
                if !ranker.is_out(row)? {
                    scratch.rows.push(row);
                    if scratch.rows.len() == TOGETHER {
                        break;
                    }
                }
            }
            if scratch.rows.is_empty() {
                break;
            }
            scratch.distances.resize(scratch.rows.len(), 0.0);
            let rows = scratch.rows.iter().map(|&row| Ok(row));
            records.distances(&scratch.query, rows, &mut scratch.buffers, &mut scratch.distances)?;
            stats.distances += scratch.rows.len() as u64;
            for (&node, &distance) in scratch.rows.iter().zip(&scratch.distances) {
                let Some(originals) = &originals else {
                    best.offer(Neighbor { distance, node });
                    continue;
                };
                // The codes rule most rows out; what is left is measured by its original, so the answer is exact.
                if let Some(beyond) = &mut beyond {
                    beyond.limit(best.last());
                    if beyond.is(&records.space.layout.factors(records.record(node)?), distance) {
                        continue;
                    }
                }
                let (query, query_sq) = (&scratch.query.full, scratch.query.length_sq);
                let distance = originals.distance(&records, query, query_sq, node, &mut scratch.vector)?;
                best.offer(Neighbor { distance, node });
                stats.distances += 1;
            }
        }
        let pushed = best.push_all(ranker, hits);
        (scratch.beam.pool, scratch.found) = (best.pool, best.ties);
        pushed?;
        Hit::finish(hits, params.k, params.radius);
        Ok(stats)
    }
}

/// The `k` nearest, and whatever ties with the last: which of those has the smaller id is only
/// known once their records are read.
struct Best {
    pool: Pool,
    ties: Vec<Neighbor>,
    k: usize,
}

impl Best {
    /// A row farther than this is not among the best.
    #[inline]
    fn last(&self) -> f32 {
        self.pool.distance(self.k - 1).unwrap_or(f32::INFINITY)
    }

    #[inline]
    fn offer(&mut self, found: Neighbor) {
        if self.pool.len() < self.k {
            self.pool.insert(found.key());
            return;
        }
        let last = self.last();
        if found.distance > last {
            return;
        }
        if found.distance == last {
            self.ties.push(found);
            return;
        }
        let displaced = self.pool.iter().next_back();
        self.pool.insert(found.key());
        // All ties are as near as the last was: they stay as long as the next one is, and none does otherwise.
        if self.last() == last {
            self.ties.extend(displaced);
        } else {
            self.ties.clear();
        }
    }

    fn push_all(&self, ranker: &Ranker<'_>, hits: &mut Vec<Hit>) -> Result<(), Corrupt> {
        for found in self.pool.iter().chain(self.ties.iter().copied()) {
            ranker.push(found, hits)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::SplitMix;

    #[test]
    fn the_best_are_the_nearest_and_all_that_tie_with_the_last() {
        let mut random = SplitMix::new(1);
        for (count, distances, k) in [(300, 3, 10), (300, 40, 10), (50, 1, 7), (5, 2, 9), (400, 400, 1)] {
            let found: Vec<Neighbor> = (0..count).map(|node| Neighbor { distance: random.below(distances) as f32, node }).collect();
            let mut best = Best { pool: Pool::default(), ties: Vec::new(), k };
            best.pool.reset(k);
            for (at, &neighbor) in found.iter().enumerate() {
                best.offer(neighbor);
                // None is kept that cannot be a hit, at any time, so none is looked at again.
                let mut nearest: Vec<f32> = found[..=at].iter().map(|neighbor| neighbor.distance).collect();
                nearest.sort_by(f32::total_cmp);
                let last = nearest.get(k - 1).copied().unwrap_or(f32::INFINITY);
                let mut kept: Vec<u32> = best.pool.iter().chain(best.ties.iter().copied()).map(|neighbor| neighbor.node).collect();
                kept.sort_unstable();
                let wanted = found[..=at].iter().filter(|neighbor| neighbor.distance <= last).map(|neighbor| neighbor.node);
                assert!(kept.into_iter().eq(wanted), "{count} of {distances}, after {at}");
            }
        }
    }
}
