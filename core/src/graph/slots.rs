//! What nodes hold while leaves are searched: numbers of nodes, a row each in one piece of memory, and no distances.
//!
//! A row gathers what its node found in its leaves, of which the nearest `2 * degree` count; then it holds whom the node chose of these.
//! Where an order is asked, distances are computed again, which gives the same numbers: they take half of the memory, and a build asks
//! few times.
//!
//! A full row lets go of all but the nearest. It has some slots to spare, so that this is rare.

use super::Neighbor;
use super::layer::Records;
use super::ruler::Ruler;
use crate::par::Par;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// Words of a row before its slots.
const HEAD: usize = 2;

/// Rows of some nodes.
pub(super) struct Slots {
    words: Vec<u32>,
    nodes: Range<usize>,
    shape: Shape,
}

#[derive(Clone, Copy)]
struct Shape {
    /// Neighbours of a node in the end.
    degree: usize,
    /// Words of a row.
    words: usize,
}

/// Slots of a row: what the nearest take, and an eighth of that to spare. Twice as many to spare save a twentieth of the time where records
/// are long (100,000 x 1024), for 36 bytes a row.
const fn slots(degree: usize) -> usize {
    2 * degree + degree.div_ceil(4)
}

/// Bytes of the row of a node with `degree` slots in the end.
pub(super) const fn row_bytes(degree: usize) -> usize {
    4 * (HEAD + slots(degree))
}

/// The row of a node. Its head is how many slots are taken, and the distance (the upper half of a [`Neighbor::key`]) of the last that
/// counts, if it was full before.
pub(super) struct Row<'a> {
    degree: usize,
    head: &'a mut [u32],
    slots: &'a mut [u32],
}

/// Rows that follow each other.
pub(super) struct Rows<'a> {
    /// Whose they are.
    pub(super) nodes: Range<usize>,
    shape: Shape,
    words: &'a mut [u32],
}

impl Slots {
    /// Empty rows.
    pub(super) fn new(nodes: Range<usize>, degree: usize) -> Self {
        let shape = Shape { degree, words: HEAD + slots(degree) };
        Self { words: vec![0; nodes.len() * shape.words], nodes, shape }
    }

    /// Whose they are.
    pub(super) fn nodes(&self) -> Range<usize> {
        self.nodes.clone()
    }

    /// Calls `work` with the rows of `nodes`, which are some of its own, `task` of them at a time.
    pub(super) fn each<P: Par, W: Send>(
        &mut self,
        nodes: Range<usize>,
        task: usize,
        par: &P,
        workers: &mut [W],
        work: &(dyn Fn(Rows<'_>, &mut W) + Sync),
    ) {
        let shape = self.shape;
        let first = self.nodes.start;
        let words = &mut self.words[(nodes.start - first) * shape.words..(nodes.end - first) * shape.words];
        par.chunks(words, task * shape.words, workers, |number, words, worker| {
            let first = nodes.start + number * task;
            work(Rows { nodes: first..first + words.len() / shape.words, shape, words }, worker);
        });
    }

    /// What is in the rows, one behind the other in the memory that is there: how many, and their numbers.
    pub(super) fn into_chosen(mut self) -> Vec<u32> {
        let mut end = 0;
        for from in (0..self.words.len()).step_by(self.shape.words) {
            let count = self.words[from] as usize;
            self.words[end] = count as u32;
            self.words.copy_within(from + HEAD..from + HEAD + count, end + 1);
            end += 1 + count;
        }
        self.words.truncate(end);
        self.words.shrink_to_fit();
        self.words
    }
}

impl Rows<'_> {
    /// That of `node`, which is one of theirs.
    pub(super) fn row(&mut self, node: u32) -> Row<'_> {
        let row = &mut self.words[(node as usize - self.nodes.start) * self.shape.words..][..self.shape.words];
        let (head, slots) = row.split_at_mut(HEAD);
        Row { degree: self.shape.degree, head, slots }
    }
}

impl Row<'_> {
    /// What is in it: in any order while it gathers.
    pub(super) fn held(&self) -> &[u32] {
        &self.slots[..self.head[0] as usize]
    }

    /// Takes in what the node of the row found, unless it is there, or too far to count.
    pub(super) fn offer(&mut self, records: Records<'_>, node: u32, found: Neighbor, ruler: &mut Ruler, held: &mut Vec<Neighbor>) {
        let most = 2 * self.degree;
        // As long as the row was never full, 0: no distance is that small as a key.
        if self.head[1] > 0 && found.key() >= (u64::from(self.head[1]) << 32 | u64::from(self.slots[most - 1])) {
            return;
        }
        let count = self.head[0] as usize;
        if self.held().contains(&found.node) {
            return;
        }
        if let Some(slot) = self.slots.get_mut(count) {
            *slot = found.node;
            self.head[0] += 1;
            return;
        }
        ruler.measure(records, node, self.held(), held);
        held.push(found);
        super::sort(held);
        self.slots.iter_mut().zip(&held[..most]).for_each(|(slot, near)| *slot = near.node);
        self.head[0] = most as u32;
        self.head[1] = (held[most - 1].key() >> 32) as u32;
    }

    /// Sets whom the node chose.
    pub(super) fn choose(&mut self, chosen: &[Neighbor]) {
        self.slots.iter_mut().zip(chosen).for_each(|(slot, near)| *slot = near.node);
        self.head[0] = chosen.len() as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::Kernels;
    use crate::format::{Element, Metric};
    use crate::par::Serial;
    use crate::quant::{Encoding, RecordLayout, Space};
    use crate::vectors::Vectors;
    use proptest::prelude::*;

    const DIMENSIONS: usize = 3;

    fn records(rows: &[[u8; DIMENSIONS]]) -> (Space, Vec<u8>) {
        let layout = RecordLayout::new(DIMENSIONS);
        let space = Space { metric: Metric::L2, encoding: Encoding::U8, layout, mean: vec![0.0; DIMENSIONS] };
        let mut bytes = vec![0; rows.len() * layout.stride];
        let vectors = Vectors::packed(Element::U8, DIMENSIONS, rows.as_flattened()).expect("whole rows");
        for (row, record) in bytes.chunks_mut(layout.stride).enumerate() {
            let factors = space.encode(Kernels::best(), &vectors, row, &mut Vec::new(), record);
            layout.write_tail(record, factors, row as u64, (0, 0));
        }
        (space, bytes)
    }

    proptest! {
        /// Few places, so that many are as far and some are the same; offers come in any order and more than once.
        #[test]
        fn a_row_keeps_the_nearest_of_all_that_it_was_offered(
            rows in prop::collection::vec(prop::array::uniform3(0..6u8), 2..120),
            offers in prop::collection::vec(any::<prop::sample::Index>(), 0..400),
            degree in 1..9usize,
        ) {
            let (space, bytes) = records(&rows);
            let records = Records { space: &space, kernels: Kernels::best(), bytes: &bytes };
            let (mut ruler, mut held) = (Ruler::default(), Vec::new());
            let others: Vec<u32> = offers.iter().map(|offer| 1 + offer.index(rows.len() - 1) as u32).collect();
            let mut offered = Vec::new();
            ruler.measure(records, 0, &others, &mut offered);
            let mut slots = Slots::new(7..9, degree);
            let width = slots.shape.words - HEAD;
            prop_assert!((2 * degree + 1..=3 * degree).contains(&width), "{}", width);
            slots.each(7..8, 1, &Serial, &mut [()], &|mut rows, ()| {
                for other in &others {
                    let found = *offered.iter().find(|near| near.node == *other).unwrap();
                    rows.row(7).offer(records, 0, found, &mut Ruler::default(), &mut Vec::new());
                }
            });
            let gathered = slots.into_chosen();
            prop_assert_eq!(gathered.len(), 2 + gathered[0] as usize);
            ruler.measure(records, 0, &gathered[1..gathered.len() - 1], &mut held);
            held.truncate(2 * degree);
            offered.dedup();
            offered.truncate(2 * degree);
            prop_assert_eq!(held, offered);
        }
    }

    #[test]
    fn whom_nodes_chose_comes_one_behind_the_other() {
        let mut slots = Slots::new(20..25, 4);
        slots.each(20..25, 2, &Serial, &mut [()], &|mut rows, ()| {
            for node in rows.nodes.start as u32..rows.nodes.end as u32 {
                let chosen: Vec<Neighbor> = (20..node).map(|other| Neighbor { distance: 0.0, node: 10 * node + other }).collect();
                rows.row(node).choose(&chosen);
            }
        });
        assert_eq!(slots.into_chosen(), [0, 1, 230, 2, 240, 241, 3, 250, 251, 252, 4, 260, 261, 262, 263]);
    }
}
