//! How many parts, and how large: from the rows, the options and the bound alone, never from the machine.

use super::super::{BuildParams, Builder, Codes, link};
use super::OVERLAP;
use crate::graph::Neighbor;
use crate::graph::leaves::STEP_LEAVES;
use crate::graph::passes::Shape;
use crate::quant::RecordLayout;
use crate::search::Layout;
use core::fmt;

/// The smallest bound: below it, buffers would be most of it.
pub const MEMORY_MIN: u64 = 64 << 20;

/// Parts at least: each of fewer, overlapping, would hold everything.
pub const PARTS_MIN: u32 = 3;

/// Parts at most.
pub const PARTS_MAX: u32 = 65_535;

/// Threads whose finds every build has room for, so that they cost none of what is left for threads.
const THREADS: u64 = 2;

/// What the leaves that a thread searches in a step find, for each slot of a node: half of the slots of 8 leaves of 1,000 nodes, 12 bytes
/// each. Afterwards as much has room for the edges of a step.
const FOUND_BYTES: u64 = 48 << 10;
const _: () = assert!(STEP_LEAVES * link::LEAF_MAX * size_of::<(u32, Neighbor)>() / 2 <= FOUND_BYTES as usize);

/// Memory of a thread at least: its stack and the pairs of a leaf.
pub const THREAD_BYTES: u64 = 10 << 20;
const _: () = assert!((2 << 20) + link::LEAF_MAX * (link::LEAF_MAX + 1) * size_of::<f32>() <= THREAD_BYTES as usize);

/// What a build takes whatever it links: the program itself, and what the leaves of a step find.
fn fixed_bytes(degree: u64) -> u64 {
    (16 << 20) + THREADS * degree * FOUND_BYTES
}

/// What a thread needs for itself: the records of a leaf and all their pairs.
fn thread_bytes(record: u64) -> u64 {
    THREAD_BYTES + link::LEAF_MAX as u64 * record
}

/// Memory of which `bytes` are left once allocators and threads, one of them at least, have theirs.
fn memory_for(bytes: u64, record: u64) -> u64 {
    (bytes / 5 * 8).max(bytes.saturating_add(thread_bytes(record)) / 7 * 8).saturating_add(8)
}

/// Threads that link rows of so many `record` bytes within `memory`, one at least: a quarter is theirs, and what more than two of them find
/// comes out of that. The bytes of the file do not depend on how many there are.
#[must_use]
pub fn threads_at_most(record: usize, params: &BuildParams, memory: u64) -> usize {
    let found = params.m as u64 * 2 * FOUND_BYTES;
    let one = thread_bytes(record as u64) + found;
    usize::try_from((memory / 4 + THREADS * found) / one).unwrap_or(usize::MAX).max(1)
}

/// Room for parts that come out larger than others, of what an even split would have, in percent.
const SLACK: u64 = 115;

/// How rows are split into parts that are linked one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Parts.
    pub parts: u32,
    /// Members of a part at most.
    pub members: u64,
    /// Neighbours that a part keeps of a node.
    pub degree: u32,
    /// Nodes of the lowest upper layer at most.
    pub upper: u64,
}

/// Why there is no such split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SplitError {
    /// Less memory than any part needs.
    Memory {
        /// Bytes that would do.
        least: u64,
    },
    /// Fewer parts than the memory asks for, or more than there can be.
    Parts {
        /// Parts at least.
        least: u64,
        /// Parts at most.
        most: u64,
    },
}

impl fmt::Display for SplitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { least } => write!(f, "at least {} MiB are needed", least.div_ceil(1 << 20)),
            Self::Parts { least, most } => write!(f, "{least} to {most} parts would be right, as fewer would be too large for the memory"),
        }
    }
}

impl core::error::Error for SplitError {}

/// Bytes that linking takes of a node with `degree` slots and a record of `record` bytes that joins `fanout` leaves, at the fullest of its
/// moments: while leaves are made, whom it joins and its places there (4 bytes each a leaf); while they are searched and lists made. The
/// first counts where lists are short and leaves many.
fn link_bytes(degree: u64, fanout: u64, record: u64) -> u64 {
    let shape = Shape { degree: degree as usize, fanout: fanout as usize, record: record as usize };
    (8 * fanout).max(shape.most_bytes(usize::MAX) as u64) + 48
}

/// A count as the functions of a build take it.
fn nodes(rows: u64) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX)
}

/// Bytes for what is linked under a bound: an eighth is left for allocators, a quarter for threads, or what one of them takes.
fn usable(memory: u64, degree: u64, record: u64) -> u64 {
    let left = (memory / 8 * 5).min((memory / 8 * 7).saturating_sub(thread_bytes(record)));
    left.saturating_sub(fixed_bytes(degree))
}

impl Split {
    /// Splits `rows` so that each part is linked within `memory` bytes; into `parts` where that is said.
    ///
    /// # Errors
    /// [`SplitError`]: what would do.
    pub fn new(rows: u64, dimensions: usize, params: &BuildParams, memory: u64, parts: Option<u32>) -> Result<Self, SplitError> {
        let degree = params.m as u64 * 2;
        let record = RecordLayout::new(dimensions).stride as u64;
        let member = record + link_bytes(degree, link::part_fanout(params, nodes(rows)) as u64, record);
        let most = usable(memory, degree, record) / member;
        let sound = sound(degree);
        if memory < MEMORY_MIN || most < sound {
            let least = memory_for(sound * member + fixed_bytes(degree), record);
            return Err(SplitError::Memory { least: least.max(MEMORY_MIN) });
        }
        let mut least = slots(rows).div_ceil(most).max(PARTS_MIN.into());
        // Of few parts the fullest may be more than its share.
        while least < u64::from(PARTS_MAX) && members(rows, least, sound) > most {
            least += 1;
        }
        let parts = parts.map_or(least, u64::from);
        if parts < least || parts > PARTS_MAX.into() {
            return Err(SplitError::Parts { least, most: PARTS_MAX.into() });
        }
        Ok(Self {
            parts: parts as u32,
            members: members(rows, parts, sound),
            degree: degree as u32,
            upper: usable(memory, degree, record) / link_bytes(params.m as u64, link::fanout(params, nodes(rows)) as u64, record),
        })
    }

    /// Nodes whose first part a part is, at most, of `nodes` in all.
    pub(super) fn first(&self, nodes: usize) -> u64 {
        first(nodes as u64, self.parts.into())
    }

    /// Members of a part beyond which a node of `rows` in all looks for another.
    pub(super) fn room(&self, rows: usize) -> u64 {
        room(rows as u64, self.parts.into(), sound(self.degree.into()))
    }
}

/// Members of a part that is more than hardly a graph: at least what a few rows need to find any room.
fn sound(degree: u64) -> u64 {
    4 * degree
}

/// Places of all parts together.
fn slots(rows: u64) -> u64 {
    rows.saturating_mul(OVERLAP as u64) * SLACK / 100
}

fn room(rows: u64, parts: u64, sound: u64) -> u64 {
    slots(rows).div_ceil(parts).max(sound)
}

fn first(nodes: u64, parts: u64) -> u64 {
    (nodes * SLACK / 100).div_ceil(parts).max(1)
}

/// Members of a part at most.
///
/// A node joins a part that has no room only where all but its first have none. Were that so of nodes of two parts, all would be full, which is
/// more than there is; so it is so of the nodes of one part alone, and what they bring goes to the others evenly. These are the fullest where that
/// one has the fewest members: its first ones, when the others have as many first ones as they may. From eight parts on no part is full beyond
/// its room.
fn members(rows: u64, parts: u64, sound: u64) -> u64 {
    let others = parts - 1;
    let fewest = rows.saturating_sub(others * first(rows, parts));
    let fullest = (rows.saturating_mul(OVERLAP as u64) - fewest).div_ceil(others);
    let room = room(rows, parts, sound);
    // All but one can be full.
    if room.saturating_mul(others) < rows.saturating_mul(OVERLAP as u64) { room.max(fullest) } else { room }
}

/// Bytes that a build of the rows without parts holds at its fullest at least, where none repeats another: their records, and what each finds or is
/// linked to.
#[must_use]
pub fn least_bytes(rows: u64, dimensions: usize, params: &BuildParams) -> u64 {
    let (degree, record) = (params.m * 2, RecordLayout::new(dimensions).stride);
    let row = match params.builder {
        Builder::Leaves => Shape { degree, fanout: link::fanout(params, nodes(rows)), record }.least_bytes(nodes(rows)),
        Builder::Insertion | Builder::Vamana => 8 * degree,
    };
    rows.saturating_mul((record + row) as u64)
}

/// Bytes that a build of the rows without parts allocates: an estimate from above.
#[must_use]
pub fn in_memory_bytes(rows: u64, dimensions: usize, params: &BuildParams) -> u64 {
    let degree = params.m as u64 * 2;
    let record = RecordLayout::new(dimensions).stride as u64;
    let codes = if params.codes == Codes::None { 0 } else { dimensions as u64 + 64 };
    // Codes of every neighbour: a bit a dimension, padded, and factors.
    let around = if params.layout == Layout::Fast { degree.next_multiple_of(32) * (dimensions as u64 / 8 + 32) } else { 0 };
    let row = record + link_bytes(degree, link::fanout(params, nodes(rows)) as u64, record) * 17 / 16 + codes + around + 96;
    let bytes = rows.saturating_mul(row).saturating_add(fixed_bytes(degree));
    memory_for(bytes, record)
}
