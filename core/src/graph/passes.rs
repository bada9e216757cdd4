//! How many nodes gather at a time what their leaves find, so that a build needs little beside its records and its graph.
//!
//! A row of [`super::slots`] is as large as a short record and its list together. So leaves are searched in passes, each for the nodes of
//! one range, whose rows are then gone: what stays is whom nodes chose, a quarter of a row. The first pass has the most nodes, and each
//! later one as many fewer as makes room for what was chosen before. Nodes are in an order of chance, so each leaf has its share of each
//! range. More passes cost time, as distances in leaves are computed again; how many there are follows from the shape of rows alone.

use super::slots::row_bytes;
use alloc::vec::Vec;
use core::ops::Range;

/// Passes at most.
const PASSES_MAX: usize = 8;

/// What a node takes beside its record while a layer is built.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// Slots of a node.
    pub(crate) degree: usize,
    /// Leaves that a node joins.
    pub(crate) fanout: usize,
    /// Bytes of a record.
    pub(crate) record: usize,
}

impl Shape {
    /// Bytes of a row.
    const fn row(self) -> usize {
        row_bytes(self.degree)
    }

    /// Bytes of whom a node chose: half of its slots as a rule, and how many.
    const fn chosen(self) -> usize {
        4 + 2 * self.degree
    }

    /// How large `passes` are beside each other.
    fn weights(self, passes: usize) -> impl Iterator<Item = usize> {
        let (row, chosen) = (self.row(), self.chosen());
        core::iter::successors(Some(1 << 16), move |weight| Some(weight * (row - chosen) / row)).take(passes)
    }

    /// Bytes of a node in its leaves, of the rows of the largest pass, and of what nodes chose before.
    fn gathering(self, passes: usize) -> usize {
        let total: usize = self.weights(passes).sum();
        4 * self.fanout + ((self.row() << 16) / total)
    }

    /// The least number of passes with which a build takes no more than 1.3 times its records and its graph.
    pub(crate) fn passes(self) -> usize {
        let most = (self.record + 4 * self.degree + 2) * 13 / 10 - self.record;
        (1..PASSES_MAX).find(|&passes| self.gathering(passes) <= most).unwrap_or(PASSES_MAX)
    }

    /// Bytes that a node surely takes at the fullest moment, beside its record.
    #[cfg(feature = "codes")]
    pub(crate) fn least_bytes(self) -> usize {
        (self.gathering(self.passes()) - 4 * self.fanout).max(4 * self.degree)
    }

    /// Bytes that it takes at most, beside its record: even where each node chooses as many others as it can.
    #[cfg(feature = "codes")]
    pub(crate) fn most_bytes(self) -> usize {
        let (passes, chosen) = (self.passes(), 4 + 4 * self.degree);
        let total: usize = self.weights(passes).sum();
        let mut before = 0;
        let gathering = self.weights(passes).map(|weight| {
            before += weight;
            ((before - weight) * chosen + weight * self.row()).div_ceil(total)
        });
        let gathering = 4 * self.fanout + gathering.max().unwrap_or_default();
        gathering.max(chosen + 4 * self.degree + 2)
    }
}

/// The nodes of so many passes; of one in a browser, where few rows are built from and each byte of code is downloaded.
pub(super) fn ranges(shape: Shape, passes: usize, nodes: usize) -> Vec<Range<usize>> {
    if cfg!(target_family = "wasm") {
        return alloc::vec![Range { start: 0, end: nodes }];
    }
    let total: usize = shape.weights(passes).sum();
    let ends = shape.weights(passes).scan(0, |end, weight| {
        *end += weight;
        Some((nodes as u64 * *end as u64 / total as u64) as usize)
    });
    let mut start = 0;
    ends.map(|end| core::mem::replace(&mut start, end)..end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::RecordLayout;

    /// At a million rows and what is usual.
    fn shape(dimensions: usize) -> Shape {
        Shape { degree: 32, fanout: 16, record: RecordLayout::new(dimensions).stride }
    }

    #[test]
    fn short_records_ask_for_passes_and_long_ones_for_one() {
        assert_eq!([16, 96, 128, 256, 384, 512, 768, 1024, 4096].map(|dimensions| shape(dimensions).passes()), [4, 3, 3, 2, 2, 2, 1, 1, 1]);
    }

    #[test]
    fn passes_are_of_all_nodes_and_each_holds_about_as_much() {
        let shape = shape(96);
        for passes in 1..=PASSES_MAX {
            let ranges = ranges(shape, passes, 1_000_000);
            assert_eq!((ranges.len(), ranges[0].start, ranges[passes - 1].end), (passes, 0, 1_000_000));
            assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
            let most = (shape.gathering(passes) - 4 * shape.fanout) * 1_000_000;
            for Range { start, end } in ranges {
                let held = start * shape.chosen() + (end - start) * shape.row();
                assert!(held.abs_diff(most) < most / 50, "{held} and {most}");
            }
        }
    }
}
