//! What nodes hold while leaves link them: numbers of nodes, a row each in one piece of memory, and no distances.
//!
//! A row is used three times. First it gathers what its node found in its leaves, of which the nearest `2 * degree` count; then whom
//! the node chose of these; and behind them, in the end, the list with the edges back. Where an order is asked, distances are computed
//! again, which gives the same numbers: they take half of the memory, and a build asks few times.
//!
//! A full row lets go of all but the nearest. It has some slots to spare, so that this is rare.

use super::layer::{Layer, Records};
use super::ruler::Ruler;
use super::{NONE, Neighbor};
use crate::par::Par;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// Words of a row before its slots.
const HEAD: usize = 2;

/// Bytes of a record for each slot to spare. A long record takes long to compare, and beside it a slot is small.
const SPARE_BYTES: usize = 64;

/// Rows of all nodes.
pub(super) struct Slots {
    words: Vec<u32>,
    nodes: usize,
    shape: Shape,
}

#[derive(Clone, Copy)]
struct Shape {
    /// Neighbours of a node in the end.
    degree: usize,
    /// Words of a row.
    words: usize,
}

/// Slots of a row: what the nearest take, and an eighth to a half of that to spare.
const fn slots(degree: usize, record_bytes: usize) -> usize {
    let (spare, least) = (record_bytes / SPARE_BYTES, degree / 4);
    let spare = if spare < least { least } else { spare };
    2 * degree + if spare > degree { degree } else { spare }
}

/// Bytes that a build by leaves holds of a node with `degree` slots in the end and a record of so many bytes.
#[cfg(feature = "codes")]
pub(crate) const fn row_bytes(degree: usize, record_bytes: usize) -> usize {
    4 * (HEAD + slots(degree, record_bytes))
}

/// The row of a node. Its head is how many slots are taken, and then
/// - while it gathers: the distance (the upper half of a [`Neighbor::key`]) of the last that counts, if it was full before;
/// - in the end: the length of the list.
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
    pub(super) fn new(nodes: usize, degree: usize, record_bytes: usize) -> Self {
        let shape = Shape { degree, words: HEAD + slots(degree, record_bytes) };
        Self { words: vec![0; nodes * shape.words], nodes, shape }
    }

    /// How many there are.
    pub(super) fn nodes(&self) -> usize {
        self.nodes
    }

    /// Calls `work` with the rows of all `nodes`, `task` of them at a time.
    pub(super) fn each<P: Par, W: Send>(
        &mut self,
        nodes: Range<usize>,
        task: usize,
        par: &P,
        workers: &mut [W],
        work: &(dyn Fn(Rows<'_>, &mut W) + Sync),
    ) {
        let shape = self.shape;
        let words = &mut self.words[nodes.start * shape.words..nodes.end * shape.words];
        par.chunks(words, task * shape.words, workers, |number, words, worker| {
            let first = nodes.start + number * task;
            work(Rows { nodes: first..first + words.len() / shape.words, shape, words }, worker);
        });
    }

    /// Whom `node` chose.
    pub(super) fn chosen(&self, node: u32) -> &[u32] {
        let row = &self.words[node as usize * self.shape.words..][..self.shape.words];
        &row[HEAD..][..row[0] as usize]
    }

    /// The lists alone, in the memory that is there.
    pub(super) fn into_layer(mut self) -> Layer {
        let Shape { degree, words } = self.shape;
        let mut counts = Vec::with_capacity(self.nodes);
        for node in 0..self.nodes {
            let (to, from) = (node * degree, node * words);
            let count = self.words[from + 1] as usize;
            self.words.copy_within(from + HEAD + degree..from + HEAD + degree + count, to);
            self.words[to + count..to + degree].fill(NONE);
            counts.push(count as u16);
        }
        self.words.truncate(self.nodes * degree);
        self.words.shrink_to_fit();
        Layer::from_parts(degree, self.words, counts)
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

    /// Whether `node` is in it.
    pub(super) fn holds(&self, node: u32) -> bool {
        self.held().contains(&node)
    }

    /// Takes in what the node of the row found, unless it is there, or too far to count.
    pub(super) fn offer(&mut self, records: Records<'_>, node: u32, found: Neighbor, ruler: &mut Ruler, held: &mut Vec<Neighbor>) {
        let most = 2 * self.degree;
        // As long as the row was never full, 0: no distance is that small as a key.
        if self.head[1] > 0 && found.key() >= (u64::from(self.head[1]) << 32 | u64::from(self.slots[most - 1])) {
            return;
        }
        let count = self.head[0] as usize;
        if self.holds(found.node) {
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

    /// Sets the list, beside whom the node chose.
    pub(super) fn finish(&mut self, list: &[Neighbor]) {
        self.slots[self.degree..].iter_mut().zip(list).for_each(|(slot, near)| *slot = near.node);
        self.head[1] = list.len() as u32;
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
            record_bytes in prop::sample::select(vec![0usize, 96, 1088]),
        ) {
            let (space, bytes) = records(&rows);
            let records = Records { space: &space, kernels: Kernels::best(), bytes: &bytes };
            let (mut ruler, mut held) = (Ruler::default(), Vec::new());
            let others: Vec<u32> = offers.iter().map(|offer| 1 + offer.index(rows.len() - 1) as u32).collect();
            let mut offered = Vec::new();
            ruler.measure(records, 0, &others, &mut offered);
            let mut slots = Slots::new(rows.len(), degree, record_bytes);
            let width = slots.shape.words - HEAD;
            prop_assert!((2 * degree..=3 * degree).contains(&width), "{}", width);
            slots.each(0..1, 1, &Serial, &mut [()], &|mut rows, ()| {
                for other in &others {
                    let found = *offered.iter().find(|near| near.node == *other).unwrap();
                    rows.row(0).offer(records, 0, found, &mut Ruler::default(), &mut Vec::new());
                }
            });
            ruler.measure(records, 0, slots.chosen(0), &mut held);
            held.truncate(2 * degree);
            offered.dedup();
            offered.truncate(2 * degree);
            prop_assert_eq!(held, offered);
        }
    }

    #[test]
    fn whom_a_node_chose_stays_beside_its_list_and_lists_become_a_layer() {
        let nodes = 5;
        let near = |nodes: Range<u32>| nodes.map(|node| Neighbor { distance: 0.0, node }).collect::<Vec<_>>();
        let mut slots = Slots::new(nodes, 4, 64);
        slots.each(0..nodes, 2, &Serial, &mut [()], &|mut rows, ()| {
            for node in rows.nodes.start as u32..rows.nodes.end as u32 {
                rows.row(node).choose(&near(10 * node..10 * node + node));
                rows.row(node).finish(&near(100 * node..100 * node + 4 - node));
            }
        });
        assert!((0..5).all(|node| slots.chosen(node).iter().copied().eq(10 * node..10 * node + node)));
        let layer = slots.into_layer();
        assert_eq!((layer.rows(), layer.degree()), (nodes, 4));
        assert!((0..5).all(|node| layer.neighbors(node).iter().copied().eq(100 * node..100 * node + 4 - node)));
    }
}
