//! The candidates of a sweep: as [`Pool`](super::pool::Pool), for estimates, in one array.
//!
//! An estimate does not need its last bit, so a candidate is one number: 31 bits of the distance, the node, and whether it was expanded.
//! What a node's neighbours bring is sorted and merged in at once, which moves each candidate behind it once a node, not once a neighbour.

use super::Neighbor;
use alloc::vec::Vec;

/// The best candidates seen so far, nearest first.
#[derive(Debug, Default)]
pub(super) struct SweepPool {
    entries: Vec<u64>,
    capacity: usize,
    /// All candidates before this one are expanded.
    cursor: usize,
}

/// A candidate as one number, which is its place in the order; even, so that a mark fits below.
#[inline(always)]
pub(super) fn entry_of(candidate: Neighbor) -> u64 {
    let key = candidate.key();
    (key >> 33 << 33) | u64::from(key as u32) << 1
}

#[inline(always)]
fn node_of(entry: u64) -> u32 {
    (entry >> 1) as u32
}

impl SweepPool {
    /// Empties the pool and sets how many it keeps.
    pub(super) fn reset(&mut self, capacity: usize) {
        self.entries.clear();
        self.capacity = capacity.max(1);
        self.cursor = 0;
    }

    /// A distance that no candidate is taken in beyond; infinite while there is room.
    #[inline]
    pub(super) fn limit(&self) -> f32 {
        match self.entries.last() {
            Some(&last) if self.entries.len() == self.capacity => Neighbor::from_key(last | 1 << 32).distance,
            _ => f32::INFINITY,
        }
    }

    /// Takes in those of `new` that are among the best, each made by [`entry_of`]; sorts them.
    #[inline]
    pub(super) fn merge(&mut self, new: &mut [u64]) {
        new.sort_unstable();
        let (mut old, mut left) = (self.entries.len(), new.len());
        // The farthest of both go until what is left fits.
        for _ in self.capacity..old + left {
            let held = old > 0 && (left == 0 || self.entries[old - 1] > new[left - 1]);
            if held {
                old -= 1;
            } else {
                left -= 1;
            }
        }
        let mut end = old + left;
        self.entries.resize(end, 0);
        // From the farthest on each goes to its place, and those behind it move as one: an entry at a time would wait for the last one's place.
        for taken in new[..left].iter().rev() {
            let at = self.entries[..old].partition_point(|held| held < taken);
            self.entries.copy_within(at..old, at + end - old);
            end -= old - at + 1;
            old = at;
            self.entries[end] = *taken;
        }
        self.cursor = self.cursor.min(end);
    }

    /// The nearest candidate that was not expanded.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u32> {
        while *self.entries.get(self.cursor)? & 1 == 1 {
            self.cursor += 1;
        }
        self.entries.get(self.cursor).map(|&entry| node_of(entry))
    }

    /// The nearest candidate that was not expanded; marks it.
    #[inline]
    pub(super) fn expand_next(&mut self) -> Option<Neighbor> {
        self.peek()?;
        let entry = self.entries.get_mut(self.cursor)?;
        *entry |= 1;
        self.cursor += 1;
        Some(Neighbor { distance: Neighbor::from_key(*entry & !0 << 33).distance, node: node_of(*entry) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::SplitMix;

    #[test]
    fn it_keeps_the_nearest_and_expands_each_once() {
        let mut random = SplitMix::new(4);
        for capacity in [1, 3, 40, 64, 65, 200] {
            let mut pool = SweepPool::default();
            pool.reset(capacity);
            let (mut all, mut next) = (Vec::new(), 0);
            while next < 400 {
                let found = (next..(next + random.below(33) as u32).min(400)).map(|node| {
                    let distance = random.below(1 << 16) as f32 - 1000.0;
                    assert!(pool.limit() == f32::INFINITY || pool.entries.len() == capacity);
                    Neighbor { distance, node }
                });
                let found: Vec<Neighbor> = found.collect();
                next += found.len() as u32;
                all.extend(found.iter().map(|found| found.key()));
                pool.merge(&mut found.into_iter().map(entry_of).collect::<Vec<_>>());
                assert!(pool.entries.is_sorted() && pool.entries.len() == capacity.min(all.len()));
            }
            all.sort_unstable();
            let last = Neighbor::from_key(all[capacity - 1]).distance;
            assert!((last..last + 0.01).contains(&pool.limit()), "{} for {last}", pool.limit());
            for &key in &all[..capacity] {
                let (wanted, found) = (Neighbor::from_key(key), pool.expand_next().expect("as many as are kept"));
                assert_eq!(found.node, wanted.node);
                assert!((found.distance - wanted.distance).abs() < 0.01);
            }
            assert_eq!(pool.peek(), None);
            // Nearer than all: expanded next.
            pool.merge(&mut [entry_of(Neighbor { distance: -5000.0, node: u32::MAX - 2 })]);
            assert_eq!(pool.expand_next().map(|near| near.node), Some(u32::MAX - 2));
            assert_eq!(pool.expand_next(), None);
        }
    }

    #[test]
    fn candidates_that_come_together_are_taken_as_one_after_the_other() {
        let mut random = SplitMix::new(5);
        for capacity in [1, 2, 7, 32] {
            let [mut together, mut alone] = [SweepPool::default(), SweepPool::default()];
            together.reset(capacity);
            alone.reset(capacity);
            for round in 0..60 {
                // Few distances and nodes, so that some are the same.
                let found: Vec<u64> = (0..random.below(33))
                    .map(|_| entry_of(Neighbor { distance: random.below(50) as f32, node: random.below(9) as u32 }))
                    .collect();
                found.iter().for_each(|&one| alone.merge(&mut [one]));
                together.merge(&mut found.clone());
                assert_eq!(together.entries, alone.entries, "{capacity} kept, round {round}");
                assert_eq!(together.expand_next().map(|next| next.node), alone.expand_next().map(|next| next.node));
            }
        }
    }
}
