//! The nodes that a walk has seen: one bit a node, cleared by list.
//!
//! A bitmap of a million nodes is 122 KiB and stays in the second-level cache; an array of epochs
//! would be 1 to 4 MB. Clearing touches only the words that a walk set.

use alloc::vec::Vec;

/// A set of nodes that empties in time proportional to what it holds.
#[derive(Debug, Default)]
pub struct Visited {
    words: Vec<u64>,
    /// Words that are not zero: the first `touches` of these.
    touched: Vec<u32>,
    touches: usize,
}

impl Visited {
    /// Empties the set and makes room for nodes below `nodes`.
    pub fn reset(&mut self, nodes: usize) {
        for &word in &self.touched[..self.touches] {
            if let Some(word) = self.words.get_mut(word as usize) {
                *word = 0;
            }
        }
        self.touches = 0;
        let words = nodes.div_ceil(64);
        if self.words.len() < words {
            self.words.resize(words, 0);
        }
    }

    /// Adds `node`; true when it was not in. Nodes beyond the set's size count as seen.
    pub fn insert(&mut self, node: u32) -> bool {
        self.insert_all(&mut [node]) == 1
    }

    /// Whether `node` is in.
    #[cfg(feature = "codes")]
    #[inline]
    pub fn contains(&self, node: u32) -> bool {
        self.words.get(node as usize >> 6).is_none_or(|word| word >> (node & 63) & 1 != 0)
    }

    /// Adds `nodes`, moves those that were not in to the front, in their order, and returns how
    /// many there are.
    ///
    /// Whether a walk saw a node before is a coin's toss that no branch predictor knows, so there
    /// is no branch on it: every node is written to the place of the next new one.
    #[inline]
    pub fn insert_all(&mut self, nodes: &mut [u32]) -> usize {
        let room = self.touches + nodes.len();
        if self.touched.len() < room {
            self.touched.resize(room, 0);
        }
        let mut new = 0;
        for at in 0..nodes.len() {
            let node = nodes[at];
            let index = node >> 6;
            let Some(word) = self.words.get_mut(index as usize) else { continue };
            let bit = 1 << (node & 63);
            let (before, touches) = (*word, self.touches);
            *word = before | bit;
            self.touched[touches] = index;
            self.touches = touches + usize::from(before == 0);
            nodes[new] = node;
            new += usize::from(before & bit == 0);
        }
        new
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

    #[test]
    fn many_at_once_keep_their_order_and_lose_what_was_seen() {
        let mut visited = Visited::default();
        visited.reset(200);
        assert!(visited.insert(5));
        let mut nodes = [9, 5, 199, 9, 64, 5000, 5, 0];
        let new = visited.insert_all(&mut nodes);
        assert_eq!(nodes[..new], [9, 199, 64, 0]);
        assert_eq!(visited.insert_all(&mut nodes), 0);
        visited.reset(200);
        assert_eq!(visited.insert_all(&mut [9, 5]), 2);
    }
}
