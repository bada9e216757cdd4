//! A plan as bytes, to be kept between steps. Not a part of any file that lasts: read by the version that wrote it alone.

use super::super::ingest::Arranged;
use super::{OVERLAP, Part, Plan, Split};
use crate::format::Metric;
use crate::quant::{Encoding, RecordLayout, Space};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

/// Version of these bytes and of all that follows from them.
const VERSION: u64 = 1;

/// Why a step cannot go on from what the steps before left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanError {
    /// Written by another version.
    Version,
    /// Not what the step before wrote.
    Damaged {
        /// What is damaged.
        what: &'static str,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version => f.write_str("the plan is that of another version"),
            Self::Damaged { what } => write!(f, "{what}: not what was written"),
        }
    }
}

impl core::error::Error for PlanError {}

/// Numbers in front: version, what the split says, what there is of each array, how records read.
const HEAD: usize = 14;

impl Plan {
    /// Tells `put` the bytes of the plan, piece by piece.
    ///
    /// # Errors
    /// What `put` says.
    pub fn write<E>(&self, put: &mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let Self { split, space, arranged, members, copies, parts } = self;
        let head: [u64; HEAD] = [
            VERSION,
            split.parts.into(),
            split.members,
            split.degree.into(),
            split.upper,
            arranged.nodes.len() as u64,
            arranged.layer_sizes.len() as u64,
            arranged.duplicates.len() as u64,
            copies.len() as u64,
            arranged.digest,
            space.layout.dimensions as u64,
            space.metric as u64,
            space.encoding as u64,
            0,
        ];
        let words = |words: &[u64]| -> Vec<u8> { words.iter().flat_map(|word| word.to_le_bytes()).collect() };
        put(&words(&head))?;
        put(&words(&arranged.layer_sizes.iter().map(|&size| size as u64).collect::<Vec<_>>()))?;
        put(&words(&parts.iter().flat_map(|part| [part.nodes.end.into(), part.copies.end]).collect::<Vec<_>>()))?;
        put(bytemuck::cast_slice(&space.mean))?;
        put(bytemuck::cast_slice(&arranged.nodes))?;
        put(bytemuck::cast_slice(members))?;
        put(bytemuck::cast_slice(copies))?;
        arranged.duplicates.iter().try_for_each(|&(first, row)| put(bytemuck::bytes_of(&[first, row])))
    }

    /// The plan that these bytes are.
    ///
    /// # Errors
    /// [`PlanError`]. Every node is checked to be in two parts, at places that are its own.
    pub fn read(bytes: &[u8]) -> Result<Self, PlanError> {
        let mut rest = Rest(bytes);
        let head: Vec<u64> = rest.take(HEAD)?;
        let [version, parts, members, degree, upper, nodes, layers, duplicates, copies, digest, dimensions, metric, encoding, _] = head[..]
        else {
            return Err(DAMAGED);
        };
        if version != VERSION {
            return Err(PlanError::Version);
        }
        let small = |word: u64| u32::try_from(word).map_err(|_| DAMAGED);
        let count = |word: u64| usize::try_from(word).map_err(|_| DAMAGED);
        let split = Split { parts: small(parts)?, members, degree: small(degree)?, upper };
        let layer_sizes = rest.take::<u64>(count(layers)?)?.into_iter().map(count).collect::<Result<Vec<_>, _>>()?;
        let ends: Vec<u64> = rest.take(count(parts)?.saturating_mul(2))?;
        let metric = u8::try_from(metric).ok().and_then(|metric| Metric::try_from(metric).ok()).ok_or(DAMAGED)?;
        let encoding = Encoding::try_from(small(encoding)?).map_err(|_| DAMAGED)?;
        let dimensions = count(dimensions)?;
        if dimensions == 0 || dimensions > crate::id::DIMENSIONS_MAX as usize {
            return Err(DAMAGED);
        }
        let space = Space { metric, encoding, layout: RecordLayout::new(dimensions), mean: rest.take(dimensions)? };
        let mut plan = Self {
            split,
            space,
            arranged: Arranged { nodes: rest.take(count(nodes)?)?, layer_sizes, duplicates: Vec::new(), digest },
            members: rest.take(count(nodes)?)?,
            copies: rest.take(count(copies)?)?,
            parts: Vec::new(),
        };
        let pairs: Vec<[u32; 2]> = rest.take(count(duplicates)?)?;
        plan.arranged.duplicates = pairs.into_iter().map(|[first, row]| (first, row)).collect();
        let (mut node, mut copy) = (plan.upper(), 0);
        for ends in ends.as_chunks::<2>().0 {
            let part = Part { nodes: node..small(ends[0])?, copies: copy..ends[1] };
            (node, copy) = (part.nodes.end, part.copies.end);
            plan.parts.push(part);
        }
        if rest.0.is_empty() && plan.is_sound() { Ok(plan) } else { Err(DAMAGED) }
    }

    /// Whether parts hold every node exactly [`OVERLAP`] times, each in another part, and nothing else.
    pub(super) fn is_sound(&self) -> bool {
        let nodes = self.arranged.nodes.len();
        let ascending = self.parts.iter().all(|part| part.nodes.start <= part.nodes.end && part.copies.start <= part.copies.end);
        let ends = self.parts.last().map_or((0, 0), |part| (part.nodes.end as usize, part.copies.end));
        let sizes = self.arranged.layer_sizes.first() == Some(&nodes) && self.arranged.layer_sizes.is_sorted_by(|a, b| a >= b);
        if !ascending || ends != (nodes, self.copies.len() as u64) || !sizes || self.split.parts as usize != self.parts.len() {
            return false;
        }
        let held: u64 = self.parts.iter().map(Part::members).sum();
        // As many places as there are members, and every member at a place that knows it: each place holds one.
        held == (nodes * OVERLAP) as u64
            && self.members.iter().zip(0..).all(|(members, node)| {
                members[0].part != members[1].part
                    && members.iter().all(|member| {
                        let part = self.parts.get(member.part as usize);
                        part.is_some_and(|part| u64::from(member.slot) < part.members() && self.node_of(part, member.slot) == node)
                    })
            })
    }
}

const DAMAGED: PlanError = PlanError::Damaged { what: "the plan" };

/// Bytes that were not read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    /// Takes `count` values.
    fn take<T: bytemuck::Pod>(&mut self, count: usize) -> Result<Vec<T>, PlanError> {
        let length = count.checked_mul(size_of::<T>()).ok_or(DAMAGED)?;
        let (own, rest) = self.0.split_at_checked(length).ok_or(DAMAGED)?;
        self.0 = rest;
        let mut values = vec![T::zeroed(); count];
        bytemuck::cast_slice_mut(&mut values).copy_from_slice(own);
        Ok(values)
    }
}
