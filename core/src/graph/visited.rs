//! The nodes that a walk has seen: one bit a node, cleared by list.
//!
//! A bitmap of a million nodes is 122 KiB and stays in the second-level cache; an array of epochs
//! would be 1 to 4 MB. Clearing touches only the words that a walk set.

use alloc::vec::Vec;

/// A set of nodes that empties in time proportional to what it holds.
#[derive(Debug, Default)]
pub struct Visited {
    words: Vec<u64>,
    touched: Vec<u32>,
}

impl Visited {
    /// Empties the set and makes room for nodes below `nodes`.
    pub fn reset(&mut self, nodes: usize) {
        for word in self.touched.drain(..) {
            if let Some(word) = self.words.get_mut(word as usize) {
                *word = 0;
            }
        }
        let words = nodes.div_ceil(64);
        if self.words.len() < words {
            self.words.resize(words, 0);
        }
    }

    /// Adds `node`; true when it was not in. Nodes beyond the set's size count as seen.
    #[inline(always)]
    pub fn insert(&mut self, node: u32) -> bool {
        let index = node >> 6;
        let Some(word) = self.words.get_mut(index as usize) else {
            return false;
        };
        let bit = 1 << (node & 63);
        if *word & bit != 0 {
            return false;
        }
        if *word == 0 {
            self.touched.push(index);
        }
        *word |= bit;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_new_once_until_the_set_is_emptied() {
        let mut visited = Visited::default();
        for _ in 0..3 {
            visited.reset(130);
            assert!(visited.insert(0) && visited.insert(129) && visited.insert(63));
            assert!(!visited.insert(0) && !visited.insert(129) && !visited.insert(63));
            assert!(!visited.insert(100_000));
        }
    }
}
