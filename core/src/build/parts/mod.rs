//! Building a graph that memory cannot hold: part by part, then merged.
//!
//! ```text
//! Plan::new      rows are checked; each gets two of the parts, whose middles are found on a sample; nodes are numbered
//! Plan::scatter  one pass over the rows: records in the order of nodes, and the copies that parts need of others' nodes
//! Plan::link     the graph of one part, in memory, by the builder that links whole inputs: its run of lists
//! Plan::merge    a node's two lists are one, pruned by the rule of the builder; mended, ordered, measured, written
//! ```
//! Overlapping parts with merged lists are DiskANN's way (Subramanya et al. 2019, section 3.2); there the merged list is cut by chance, here
//! it is pruned, which exact distances of records in a map allow. Numbers of nodes follow the parts, so what is read together lies together.
//!
//! Nothing here knows of files. The caller keeps what a step gives (the plan as bytes, records, copies, runs) and hands it to the next
//! step as slices, which may be maps; every step is a function of its input, so a step that was cut short is done again. What steps other
//! than [`Plan::link`] allocate grows with the rows, in few large pieces, which the caller's allocator may place in a file.

mod assign;
mod bytes;
mod link;
mod merge;
mod scatter;
mod split;
#[cfg(test)]
mod tests;

use super::ingest::{self, Arranged, Turn};
use super::{BuildError, BuildParams, Builder, Input, Layers, Progress, validate};
use crate::distance::Kernels;
#[cfg(feature = "filter")]
use crate::filter::{self, ColumnInput};
use crate::par::Par;
use crate::quant::{Encoding, RecordLayout, Space, mean};
use crate::sort;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

pub use bytes::PlanError;
pub use link::run_bytes;
pub use merge::Kept;
pub use scatter::{Put, Stream};
pub use split::{MEMORY_MIN, PARTS_MAX, PARTS_MIN, Split, SplitError, THREAD_BYTES, in_memory_bytes, least_bytes, threads_at_most};

/// Parts that a node belongs to.
pub const OVERLAP: usize = 2;

/// A node's place in a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Member {
    part: u32,
    /// Place among the part's members.
    slot: u32,
}

/// A part: its members are `nodes`, and behind them nodes of other numbers, of which it has copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Nodes whose first part this is, but for those of upper layers.
    pub nodes: Range<u32>,
    /// Where its copies lie among all copies.
    pub copies: Range<u64>,
}

impl Part {
    /// Nodes that it links.
    #[must_use]
    pub fn members(&self) -> u64 {
        u64::from(self.nodes.end - self.nodes.start) + (self.copies.end - self.copies.start)
    }
}

/// Which row is which node, and which node is in which parts.
#[derive(Debug)]
pub struct Plan {
    split: Split,
    space: Space,
    arranged: Arranged,
    /// By node.
    members: Vec<[Member; OVERLAP]>,
    /// The node of every copy, part by part, ascending by row.
    copies: Vec<u32>,
    parts: Vec<Part>,
}

/// What cannot be built in parts, by name.
///
/// # Errors
/// [`BuildError::Parameter`].
pub fn check_params<E>(params: &BuildParams) -> Result<(), BuildError<E>> {
    let bad = |parameter, must| Err(BuildError::Parameter { parameter, must });
    // Each is refused below or has a place in what keeps a build that goes on later, the manifest of the native crate: a field more belongs there.
    let BuildParams {
        metric: _,
        m: _,
        ef_construction: _,
        seed: _,
        originals: _,
        layers: _,
        keep_pruned: _,
        codes: _,
        layout: _,
        tier: _,
        page_bytes: _,
        quality: _,
        builder: _,
        heuristic: _,
        extend_candidates: _,
        // Of another builder than the one there is.
        #[cfg(feature = "codes")]
            alpha_sq: _,
        // Parts are not seen to by walks.
        #[cfg(feature = "codes")]
            led_from: _,
    } = params;
    match () {
        () if params.builder != Builder::Leaves => bad("builder", "leaves where memory is bounded"),
        () if !params.heuristic => bad("heuristic", "on where memory is bounded"),
        () if params.extend_candidates => bad("extend_candidates", "off where memory is bounded"),
        () => Ok(()),
    }
}

impl Plan {
    /// Checks the rows and decides everything; reads them twice. What it allocates grows with the rows: about 100 bytes each.
    ///
    /// # Errors
    /// As [`super::build`], but for the sink's.
    pub fn new<P: Par, E>(
        input: &Input<'_>,
        #[cfg(feature = "filter")] columns: &[ColumnInput<'_>],
        params: &BuildParams,
        split: Split,
        par: &P,
        kernels: &'static Kernels,
        progress: &mut Progress<'_>,
    ) -> Result<Self, BuildError<E>> {
        #[cfg(feature = "filter")]
        filter::check(columns, input.vectors.rows()).map_err(BuildError::Column)?;
        validate(input, params)?;
        check_params(params)?;
        ingest::check_ids(input)?;
        let space = space_of(input, params, kernels);
        let checked = ingest::check(input, params, par, kernels, progress)?;
        let rows: Vec<u32> = checked.turns(input, params).map(|turn| turn.2).collect();
        let owners = assign::assign(input, &space, &rows, &split, params.seed, par, kernels, progress)?;
        let (upper, mut layer_sizes) = upper(checked.turns(input, params), split.upper as usize, params.layers);
        layer_sizes.insert(0, rows.len());
        debug_assert_eq!(checked.nodes(), rows.len());
        let mut plan = Self {
            split,
            space,
            arranged: Arranged { nodes: Vec::new(), layer_sizes, duplicates: checked.duplicates, digest: checked.digest },
            members: vec![[Member::default(); OVERLAP]; rows.len()],
            copies: Vec::new(),
            parts: Vec::new(),
        };
        plan.number(&rows, &owners, &upper);
        Ok(plan)
    }

    /// Gives nodes their numbers: those of upper layers by turn, then part by part, ascending by row. `rows` are the rows that become
    /// nodes, ascending, `owners` their parts.
    fn number(&mut self, rows: &[u32], owners: &[[u16; OVERLAP]], upper: &[u32]) {
        let parts = self.split.parts as usize;
        // Of each row of `rows`, by its place there.
        let mut node_of = vec![u32::MAX; rows.len()];
        for (node, row) in (0..).zip(upper) {
            if let Ok(at) = rows.binary_search(row) {
                node_of[at] = node;
            }
        }
        let (mut own, mut copied) = (vec![0u32; parts], vec![0u64; parts]);
        for (node, owners) in node_of.iter().zip(owners) {
            let is_upper = *node != u32::MAX;
            own[usize::from(owners[0])] += u32::from(!is_upper);
            copied[usize::from(owners[0])] += u64::from(is_upper);
            copied[usize::from(owners[1])] += 1;
        }
        let (mut node, mut copy) = (upper.len() as u32, 0);
        for (own, copied) in own.iter().zip(&copied) {
            self.parts.push(Part { nodes: node..node + own, copies: copy..copy + copied });
            (node, copy) = (node + own, copy + copied);
        }
        self.copies = vec![0; copy as usize];
        self.arranged.nodes = vec![0; rows.len()];
        let mut next: Vec<(u32, u64)> = self.parts.iter().map(|part| (part.nodes.start, part.copies.start)).collect();
        for ((&row, own), owners) in rows.iter().zip(&mut node_of).zip(owners) {
            let is_upper = *own != u32::MAX;
            if !is_upper {
                let next = &mut next[usize::from(owners[0])].0;
                *own = *next;
                *next += 1;
            }
            self.arranged.nodes[*own as usize] = row;
            for (which, &owner) in owners.iter().enumerate() {
                let part = &self.parts[usize::from(owner)];
                let slot = if which == 0 && !is_upper {
                    *own - part.nodes.start
                } else {
                    let next = &mut next[usize::from(owner)].1;
                    self.copies[*next as usize] = *own;
                    *next += 1;
                    (part.nodes.end - part.nodes.start) + (*next - 1 - part.copies.start) as u32
                };
                self.members[*own as usize][which] = Member { part: owner.into(), slot };
            }
        }
    }

    /// Its parts.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// How it splits.
    #[must_use]
    pub fn split(&self) -> Split {
        self.split
    }

    /// Nodes of the graph: rows but for exact duplicates.
    #[must_use]
    pub fn nodes(&self) -> u64 {
        self.arranged.nodes.len() as u64
    }

    /// Bytes of a record.
    #[must_use]
    pub fn record_bytes(&self) -> usize {
        self.space.layout.stride
    }

    /// A digest of the input's vectors.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.arranged.digest
    }

    /// The node that is member `slot` of a part.
    fn node_of(&self, part: &Part, slot: u32) -> u32 {
        let own = part.nodes.end - part.nodes.start;
        if slot < own { part.nodes.start + slot } else { self.copies[(part.copies.start + u64::from(slot - own)) as usize] }
    }

    /// Nodes of the lowest upper layer.
    fn upper(&self) -> u32 {
        self.arranged.layer_sizes.get(1).map_or(0, |&nodes| nodes as u32)
    }
}

/// What records of `input` share.
fn space_of(input: &Input<'_>, params: &BuildParams, kernels: &Kernels) -> Space {
    let vectors = &input.vectors;
    let encoding = Encoding::of(vectors.element());
    let mean = match encoding {
        Encoding::Scaled => mean::mean(vectors, params.metric, params.seed, kernels),
        _ => vec![0.0; vectors.dimensions()],
    };
    Space { metric: params.metric, encoding, layout: RecordLayout::new(vectors.dimensions()), mean }
}

/// The rows of upper layers by turn, and the sizes of these layers, lowest first: all levels whose lowest has at most `most` nodes.
/// Levels between it and the base are left out, so that what links it fits into memory whatever the number of rows.
fn upper(turns: impl Iterator<Item = Turn>, most: usize, layers: Layers) -> (Vec<u32>, Vec<usize>) {
    if layers == Layers::One {
        return (Vec::new(), Vec::new());
    }
    let mut upper: Vec<Turn> = turns.filter(|turn| turn.0 < u8::MAX).collect();
    sort::by_key(&mut upper, |turn| *turn);
    let mut lowest = 1;
    while upper.len() > most {
        lowest += 1;
        upper.truncate(upper.partition_point(|turn| u8::MAX - turn.0 >= lowest));
    }
    let sizes = if upper.is_empty() { Vec::new() } else { ingest::layer_sizes(&upper, lowest) };
    (upper.into_iter().map(|turn| turn.2).collect(), sizes)
}
