//! Few nodes of very many: open addressing, at most half full, with bytes for what a walk saw and not for what there is.

use crate::graph::NONE;
use alloc::vec;
use alloc::vec::Vec;

/// Places of the smallest table: 16 KiB.
const PLACES_MIN: usize = 1 << 12;

/// A set of nodes that is never larger than their bits would be, and empties in time proportional to what it holds.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// A node each, or [`NONE`]; a power of two of them, or none yet.
    table: Vec<u32>,
    /// Places that are taken.
    taken: Vec<u32>,
    /// What is not below this counts as seen: whole words of bits, as where there are bits.
    limit: usize,
}

impl Seen {
    /// Empties the set, which is then of nodes below `nodes`.
    pub(super) fn reset(&mut self, nodes: usize) {
        for place in self.taken.drain(..) {
            self.table[place as usize] = NONE;
        }
        self.limit = nodes.div_ceil(64).saturating_mul(64);
    }

    /// Nodes below this may be in.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// All that are in, in the order they came in.
    pub(super) fn nodes(&self) -> impl Iterator<Item = u32> {
        self.taken.iter().map(|&place| self.table[place as usize])
    }

    /// Makes room for so many nodes more; false where the bits of all nodes would be no larger.
    pub(super) fn grow(&mut self, more: usize) -> bool {
        let places = (2 * (self.taken.len() + more)).next_power_of_two().max(PLACES_MIN);
        if places <= self.table.len() {
            return true;
        }
        if places * size_of::<u32>() > self.limit / 8 {
            return false;
        }
        let nodes: Vec<u32> = self.nodes().collect();
        self.table = vec![NONE; places];
        self.taken.clear();
        nodes.into_iter().for_each(|node| {
            self.insert(node);
        });
        true
    }

    /// As [`Visited::insert_all`](super::Visited::insert_all), after [`Seen::grow`].
    pub(super) fn insert_all(&mut self, nodes: &mut [u32]) -> usize {
        let mut new = 0;
        for at in 0..nodes.len() {
            let node = nodes[at];
            if self.insert(node) {
                nodes[new] = node;
                new += 1;
            }
        }
        new
    }

    /// Whether `node` is in, or beyond what may be.
    pub(super) fn contains(&self, node: u32) -> bool {
        node as usize >= self.limit || node == NONE || !self.table.is_empty() && self.table[self.place(node)] == node
    }

    fn insert(&mut self, node: u32) -> bool {
        if node as usize >= self.limit || node == NONE {
            return false;
        }
        let place = self.place(node);
        let new = self.table[place] != node;
        if new {
            self.table[place] = node;
            self.taken.push(place as u32);
        }
        new
    }

    /// Where `node` is, or would be: by its product with 2^32 over the golden ratio, then on to the next (Knuth, 6.4).
    fn place(&self, node: u32) -> usize {
        let mask = self.table.len() - 1;
        let mut place = ((u64::from(node.wrapping_mul(0x9E37_79B9)) * self.table.len() as u64) >> 32) as usize;
        while self.table[place] != node && self.table[place] != NONE {
            place = (place + 1) & mask;
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BITS_MAX, Visited};
    use super::*;
    use proptest::prelude::*;

    /// Bytes that a set holds.
    fn bytes(visited: &Visited) -> usize {
        let seen = visited.seen.as_ref().map_or(0, |seen| seen.table.capacity() + seen.taken.capacity());
        8 * visited.words.capacity() + 4 * (visited.touched.capacity() + seen)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_is_hashed_is_what_bits_say(
            walks in prop::collection::vec(prop::collection::vec((0u32..1 << 24, 1u32..2_000, 0usize..80), 0..200), 1..4),
        ) {
            let (mut bits, mut hashed) = (Visited::default(), Visited::default());
            for walk in walks {
                bits.reset(BITS_MAX);
                // Too many by one, so that beyond all that is asked for a word of bits follows.
                hashed.reset(BITS_MAX + 1);
                prop_assert!(bits.seen.is_none() && hashed.seen.is_some());
                for (first, step, count) in walk {
                    // Sorted, spread or nearly one by one, and some again and again.
                    let mut nodes: Vec<u32> = (0..count as u32).map(|at| (first + at % 50 * step) % (1 << 24)).collect();
                    nodes.push(NONE);
                    prop_assert_eq!(bits.contains(first), hashed.contains(first));
                    let mut others = nodes.clone();
                    let (new, right) = (hashed.insert_all(&mut nodes), bits.insert_all(&mut others));
                    prop_assert_eq!(&nodes[..new], &others[..right]);
                    prop_assert!(nodes.iter().all(|&node| hashed.contains(node)));
                }
            }
        }
    }

    #[test]
    fn a_walk_through_a_billion_nodes_takes_bytes_for_what_it_saw() {
        let mut visited = Visited::default();
        for walk in 0..4 {
            visited.reset(1_000_000_000);
            for step in 0..200 {
                let mut nodes: Vec<u32> = (0..32).map(|at| (step * 32 + at) * 156_007 + walk).collect();
                assert_eq!(visited.insert_all(&mut nodes), 32, "nothing of the walk before is left");
                assert_eq!(visited.insert_all(&mut nodes), 0);
            }
        }
        assert!(bytes(&visited) <= 128 << 10, "{}", bytes(&visited));
    }

    #[test]
    fn a_walk_that_sees_very_many_goes_on_with_bits_and_the_next_is_hashed_again() {
        let nodes = BITS_MAX + 1;
        let mut visited = Visited::default();
        for _ in 0..2 {
            visited.reset(nodes);
            for first in (0..400_000).step_by(1000) {
                assert_eq!(visited.insert_all(&mut (first..first + 1000).collect::<Vec<u32>>()), 1000);
            }
            assert!(visited.seen.is_none());
            assert!((0..400_000).all(|node| visited.contains(node) && !visited.insert(node)) && !visited.contains(400_000));
            assert!(bytes(&visited) < nodes, "{}: an eighth of a byte a node, and the list of words", bytes(&visited));
        }
        visited.reset(nodes);
        assert!(visited.seen.is_some() && visited.insert(7));
        visited.reset(1000);
        assert!(visited.seen.is_none() && visited.insert(7) && !visited.insert(7));
    }
}
