//! The candidates of a walk: one sorted array instead of two heaps.
//!
//! Holds the best `capacity` nodes seen, nearest first, each with a mark that says whether it was
//! expanded. A new node is placed by binary search; the next to expand is the first without a
//! mark. For the beam widths that matter (10 to a few hundred) moving a few cache lines is
//! cheaper than sifting two heaps, and the pool is the result.

use super::Neighbor;
use alloc::vec::Vec;

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: u64,
    expanded: bool,
}

/// The best nodes seen so far, nearest first.
#[derive(Debug, Default)]
pub struct Pool {
    entries: Vec<Entry>,
    capacity: usize,
    /// All entries before this one are expanded.
    cursor: usize,
}

impl Pool {
    /// Empties the pool and sets how many it keeps.
    pub fn reset(&mut self, capacity: usize) {
        self.entries.clear();
        self.capacity = capacity.max(1);
        self.cursor = 0;
    }

    /// Number of nodes held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no node is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The held nodes, nearest first.
    pub fn iter(&self) -> impl Iterator<Item = Neighbor> + '_ {
        self.entries.iter().map(|entry| Neighbor::from_key(entry.key))
    }

    /// Distance of the `rank`-th nearest (0 is the nearest).
    #[inline]
    #[must_use]
    pub fn distance(&self, rank: usize) -> Option<f32> {
        self.entries.get(rank).map(|entry| Neighbor::from_key(entry.key).distance)
    }

    /// A node must be nearer than this to be kept; infinite while there is room.
    #[inline]
    #[must_use]
    pub fn limit(&self) -> u64 {
        if self.entries.len() < self.capacity { u64::MAX } else { self.entries.last().map_or(u64::MAX, |entry| entry.key) }
    }

    /// Takes `key` in if it is among the best. A key must not be offered twice.
    #[inline]
    pub fn insert(&mut self, key: u64) -> bool {
        if key >= self.limit() {
            return false;
        }
        if self.entries.len() == self.capacity {
            self.entries.pop();
        }
        let at = self.entries.partition_point(|entry| entry.key < key);
        self.entries.insert(at, Entry { key, expanded: false });
        self.cursor = self.cursor.min(at);
        true
    }

    /// The nearest node that was not expanded; marks it.
    #[inline]
    pub fn expand_next(&mut self) -> Option<Neighbor> {
        while let Some(entry) = self.entries.get_mut(self.cursor) {
            self.cursor += 1;
            if !entry.expanded {
                entry.expanded = true;
                return Some(Neighbor::from_key(entry.key));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_nearest_and_expands_each_once() {
        let mut pool = Pool::default();
        pool.reset(3);
        for (distance, node) in [(5.0, 1), (2.0, 2), (9.0, 3), (1.0, 4), (2.0, 0)] {
            pool.insert(Neighbor { distance, node }.key());
        }
        let held: Vec<u32> = pool.iter().map(|n| n.node).collect();
        assert_eq!(held, [4, 0, 2]);
        assert_eq!(pool.expand_next().map(|n| n.node), Some(4));
        pool.insert(Neighbor { distance: 0.5, node: 9 }.key());
        assert_eq!(pool.expand_next().map(|n| n.node), Some(9));
        assert_eq!(pool.expand_next().map(|n| n.node), Some(0));
        assert_eq!(pool.expand_next(), None);
    }
}
