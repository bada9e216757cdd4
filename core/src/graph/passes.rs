//! How many nodes gather at a time what their leaves find, so that a build needs little beside its records and its graph.
//!
//! A row of [`super::slots`] is as large as a short record and its list together. So leaves are searched in passes, each for the nodes of
//! one range, whose rows are then gone: what stays is whom nodes chose, a quarter of a row. A pass takes as many nodes as there is room
//! for beside what was chosen before. Nodes are in an order of chance, so each leaf has its share of each range. More passes cost time,
//! as distances in leaves are computed again; what a build writes does not depend on them.

use super::slots::row_bytes;
use core::ops::Range;

/// Passes at most.
const PASSES_MAX: usize = 8;

/// The share of a pass that a rest of nodes is at most, which the last pass takes in as well.
const REST_SHARE: usize = 32;

/// What a build by two threads holds however few its rows are: leaves that they compare and what these find, stacks, the program.
const CONSTANT: usize = 16 << 20;

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

    /// Bytes that rows and what was chosen may take together for each of `nodes` nodes, so that all is about 1.3 times the records and
    /// the graph at most; or 1.2 times without what is there for the fewest rows, which would leave no room in a small build.
    fn room(self, nodes: usize) -> usize {
        let (wanted, held) = (self.record + 4 * self.degree + 2, self.record + 4 * self.fanout);
        let with = (wanted * 13 / 10).saturating_sub(held + CONSTANT / nodes.max(1));
        let without = (wanted * 12 / 10).saturating_sub(held);
        with.max(without).clamp(self.row() / PASSES_MAX, self.row())
    }

    /// Bytes that a node surely takes at the fullest moment, beside its record.
    #[cfg(feature = "codes")]
    pub(crate) fn least_bytes(self, nodes: usize) -> usize {
        self.room(nodes).max(4 * self.degree)
    }

    /// Bytes that it takes at most, beside its record: even where each node chooses as many others as it can.
    #[cfg(feature = "codes")]
    pub(crate) fn most_bytes(self, nodes: usize) -> usize {
        let (room, chosen) = (self.room(nodes), 4 + 4 * self.degree);
        // The last pass may have a few more nodes than there is room for, and none has less than an eighth of all.
        let gathering = 4 * self.fanout + (room + room / REST_SHARE + 1).min(self.row()).max(chosen + self.row() / PASSES_MAX);
        gathering.max(chosen + 4 * self.degree + 2)
    }
}

/// The next pass of a layer of `nodes` nodes: from `start` on, where what those before chose takes `chosen` bytes. One pass in a browser,
/// where few rows are built from and each byte of code is downloaded.
pub(super) fn next(shape: Shape, nodes: usize, start: usize, chosen: usize) -> Range<usize> {
    if cfg!(target_family = "wasm") {
        return start..nodes;
    }
    let room = shape.room(nodes) as u64 * nodes as u64;
    let fit = (room.saturating_sub(chosen as u64) / shape.row() as u64) as usize;
    let count = fit.max(nodes.div_ceil(PASSES_MAX));
    let left = nodes - start;
    // A small rest is not worth all distances once more.
    start..start + if left <= count + count / REST_SHARE { left } else { count }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::RecordLayout;

    const NODES: usize = 1_000_000;

    /// At a million rows and what is usual.
    fn shape(dimensions: usize) -> Shape {
        Shape { degree: 32, fanout: 16, record: RecordLayout::new(dimensions).stride }
    }

    /// The passes of so many nodes that choose as many others each.
    fn passes(shape: Shape, nodes: usize, others: usize) -> Vec<Range<usize>> {
        let mut passes: Vec<Range<usize>> = Vec::new();
        while passes.last().is_none_or(|pass| pass.end < nodes) {
            let start = passes.last().map_or(0, |pass| pass.end);
            passes.push(next(shape, nodes, start, start * 4 * (1 + others)));
        }
        passes
    }

    #[test]
    fn short_records_ask_for_passes_and_long_ones_for_one() {
        let count = |nodes| [16, 96, 128, 256, 384, 512, 768, 1024, 4096].map(|dimensions| passes(shape(dimensions), nodes, 20).len());
        assert_eq!(count(NODES), [5, 3, 3, 2, 2, 2, 1, 1, 1]);
        assert_eq!(count(NODES / 10), [5, 4, 4, 3, 2, 2, 2, 1, 1]);
    }

    #[test]
    fn passes_are_of_all_nodes_and_none_holds_more_than_is_said() {
        for (dimensions, others) in [(16, 16), (96, 20), (96, 32), (384, 16), (1024, 32)] {
            let shape = shape(dimensions);
            let passes = passes(shape, NODES, others);
            assert_eq!((passes[0].start, passes[passes.len() - 1].end), (0, NODES));
            assert!(passes.len() <= PASSES_MAX && passes.windows(2).all(|pair| pair[0].end == pair[1].start && !pair[0].is_empty()));
            let most = (shape.most_bytes(NODES) - 4 * shape.fanout) * NODES;
            for Range { start, end } in passes {
                assert!(start * 4 * (1 + others) + (end - start) * shape.row() <= most);
            }
        }
    }
}
