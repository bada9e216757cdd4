//! The candidates of a sweep: as [`Pool`](super::pool::Pool), for estimates, in one array.
//!
//! An estimate does not need its last bit, so a candidate is one number: 31 bits of the distance, the node, and whether it was expanded.
//! Taking one in moves eight bytes a candidate behind it, once.

use super::Neighbor;
use alloc::vec::Vec;

/// Up to so many candidates the place of a new one is found while making room for it.
const SHORT: usize = 32;

/// The best candidates seen so far, nearest first.
#[derive(Debug, Default)]
pub(super) struct SweepPool {
    entries: Vec<u64>,
    capacity: usize,
    /// All candidates before this one are expanded.
    cursor: usize,
}

/// The place of a candidate in the order; even, so that a mark fits below.
#[inline(always)]
fn entry_of(candidate: Neighbor) -> u64 {
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

    /// Takes a candidate in if it is among the best.
    #[inline]
    pub(super) fn insert(&mut self, candidate: Neighbor) {
        let entry = entry_of(candidate);
        if self.entries.len() == self.capacity {
            if self.entries.last().is_some_and(|&last| entry >= last) {
                return;
            }
            self.entries.pop();
        }
        let mut at = self.entries.len();
        if at <= SHORT {
            self.entries.push(entry);
            while at > 0 && self.entries[at - 1] > entry {
                self.entries[at] = self.entries[at - 1];
                at -= 1;
            }
            self.entries[at] = entry;
        } else {
            at = self.entries.partition_point(|&held| held < entry);
            self.entries.insert(at, entry);
        }
        self.cursor = self.cursor.min(at);
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
            let mut all = Vec::new();
            for node in 0..400 {
                let distance = random.below(1 << 16) as f32 - 1000.0;
                assert!(pool.limit() == f32::INFINITY || pool.entries.len() == capacity);
                pool.insert(Neighbor { distance, node });
                all.push(Neighbor { distance, node }.key());
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
            pool.insert(Neighbor { distance: -5000.0, node: u32::MAX - 2 });
            assert_eq!(pool.expand_next().map(|near| near.node), Some(u32::MAX - 2));
            assert_eq!(pool.expand_next(), None);
        }
    }
}
