//! The nodes that a walk has seen: one bit a node, cleared by list.
//!
//! A bitmap of a million nodes is 122 KiB and stays in the second-level cache; an array of epochs
//! would be 1 to 4 MB. Clearing touches only the words that a walk set.
//!
//! Of very many nodes a walk sees few, and the bits of a billion are 125 MB for each search in flight: beyond [`BITS_MAX`] nodes
//! the set is a hash table of what was seen, until that would be as large as the bits.

use alloc::vec::Vec;

#[cfg(feature = "codes")]
mod seen;

/// More nodes than this are hashed: their bits would be more than 2 MiB. A browser's download, without codes, has bits alone.
#[cfg(feature = "codes")]
const BITS_MAX: usize = 1 << 24;

/// A set of nodes that empties in time proportional to what it holds.
#[derive(Debug, Default)]
pub struct Visited {
    words: Vec<u64>,
    /// Words that are not zero: the first `touches` of these.
    touched: Vec<u32>,
    touches: usize,
    /// What was seen of too many nodes for bits; `None`: see `words`.
    #[cfg(feature = "codes")]
    seen: Option<seen::Seen>,
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
        #[cfg(feature = "codes")]
        {
            // The bits of a walk that saw too much to be hashed go.
            self.words.truncate(BITS_MAX / 64);
            self.words.shrink_to(BITS_MAX / 64);
            if nodes > BITS_MAX {
                return self.seen.get_or_insert_default().reset(nodes);
            }
            self.seen = None;
        }
        self.room(nodes);
    }

    /// Has a bit for every node below `nodes`.
    fn room(&mut self, nodes: usize) {
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
        if let Some(seen) = &self.seen {
            return seen.contains(node);
        }
        self.words.get(node as usize >> 6).is_none_or(|word| word >> (node & 63) & 1 != 0)
    }

    /// Adds `nodes`, moves those that were not in to the front, in their order, and returns how
    /// many there are.
    ///
    /// Whether a walk saw a node before is a coin's toss that no branch predictor knows, so there
    /// is no branch on it: every node is written to the place of the next new one.
    #[inline]
    pub fn insert_all(&mut self, nodes: &mut [u32]) -> usize {
        #[cfg(feature = "codes")]
        if self.seen.is_some() {
            return self.insert_hashed(nodes);
        }
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

    /// [`Visited::insert_all`] of very many nodes.
    #[cfg(feature = "codes")]
    #[inline(never)]
    fn insert_hashed(&mut self, nodes: &mut [u32]) -> usize {
        if let Some(seen) = self.seen.as_mut().and_then(|seen| seen.grow(nodes.len()).then_some(seen)) {
            return seen.insert_all(nodes);
        }
        let seen = self.seen.take().unwrap_or_default();
        self.room(seen.limit());
        seen.nodes().for_each(|node| {
            self.insert(node);
        });
        self.insert_all(nodes)
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
