//! The candidates of a walk: one sorted array instead of two heaps.
//!
//! Holds the best `capacity` nodes seen, nearest first, each with a mark that says whether it was
//! expanded. A new node is placed by binary search; the next to expand is the first without a
//! mark. For the beam widths that matter (10 to a few hundred) moving a few cache lines is
//! cheaper than sifting two heaps, and the pool is the result.

use super::Neighbor;
use alloc::vec::Vec;

/// The best nodes seen so far, nearest first.
#[derive(Debug, Default)]
pub struct Pool {
    /// Ascending. Apart from the marks, so that making room moves 8 bytes a node.
    keys: Vec<u64>,
    expanded: Vec<bool>,
    capacity: usize,
    /// All nodes before this one are expanded.
    cursor: usize,
}

impl Pool {
    /// Empties the pool and sets how many it keeps.
    pub fn reset(&mut self, capacity: usize) {
        self.keys.clear();
        self.expanded.clear();
        self.capacity = capacity.max(1);
        self.cursor = 0;
    }

    /// Number of nodes held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no node is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The held nodes, nearest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Neighbor> + '_ {
        self.keys.iter().map(|&key| Neighbor::from_key(key))
    }

    /// Distance of the `rank`-th nearest (0 is the nearest).
    #[inline]
    #[must_use]
    pub fn distance(&self, rank: usize) -> Option<f32> {
        self.keys.get(rank).map(|&key| Neighbor::from_key(key).distance)
    }

    /// A node must be nearer than this to be kept; infinite while there is room.
    #[inline]
    #[must_use]
    pub fn limit(&self) -> u64 {
        if self.keys.len() < self.capacity { u64::MAX } else { self.keys.last().copied().unwrap_or(u64::MAX) }
    }

    /// Takes `key` in if it is among the best. A key must not be offered twice.
    #[inline]
    pub fn insert(&mut self, key: u64) -> bool {
        if key >= self.limit() {
            return false;
        }
        if self.keys.len() == self.capacity {
            self.keys.pop();
            self.expanded.pop();
        }
        let at = self.keys.partition_point(|&held| held < key);
        self.keys.insert(at, key);
        self.expanded.insert(at, false);
        self.cursor = self.cursor.min(at);
        true
    }

    /// The nearest node that was not expanded; marks it.
    #[inline]
    pub fn expand_next(&mut self) -> Option<Neighbor> {
        while let Some(expanded) = self.expanded.get_mut(self.cursor) {
            let at = self.cursor;
            self.cursor += 1;
            if !core::mem::replace(expanded, true) {
                return self.keys.get(at).map(|&key| Neighbor::from_key(key));
            }
        }
        None
    }

    /// Undoes the last [`Pool::expand_next`], before anything was inserted.
    #[cfg(feature = "codes")]
    pub fn take_back(&mut self) {
        self.cursor = self.cursor.saturating_sub(1);
        if let Some(expanded) = self.expanded.get_mut(self.cursor) {
            *expanded = false;
        }
    }

    /// The nodes that were not expanded, nearest first.
    #[cfg(feature = "codes")]
    pub fn unexpanded(&self) -> impl Iterator<Item = Neighbor> + '_ {
        let all = self.keys.iter().zip(&self.expanded).skip(self.cursor);
        all.filter(|(_, expanded)| !**expanded).map(|(&key, _)| Neighbor::from_key(key))
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
