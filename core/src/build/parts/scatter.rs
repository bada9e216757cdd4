//! The one pass that writes records where parts find them.

use super::super::{BuildError, Input, Progress, ingest};
use super::{Plan, PlanError};
use crate::distance::Kernels;
use crate::format::Digest;
use crate::par::Par;
use alloc::vec;
use alloc::vec::Vec;

/// Bytes of records that are made at once.
const STEP_BYTES: usize = 3 << 18;

/// Where a record goes. Those of one stream come one behind the other, but for the first, which come in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Nodes of upper layers, among the records.
    Upper,
    /// Nodes of a part, among the records.
    Nodes(u32),
    /// Copies for a part, among the copies.
    Copies(u32),
}

/// Takes the stream, the number of the record among the records or copies, and the record.
pub type Put<'a, E> = dyn FnMut(Stream, u64, &[u8]) -> Result<(), E> + 'a;

impl Plan {
    /// Codes every row that becomes a node, and tells `put` where its record goes: the stream, the number of the record among the records or
    /// copies, the bytes. Returns a check for each part: the sum over its members of the hash of slot and record.
    ///
    /// # Errors
    /// What `put` says, as [`BuildError::Write`], or [`BuildError::Interrupted`].
    pub fn scatter<P: Par, E>(
        &self,
        input: &Input<'_>,
        par: &P,
        kernels: &'static Kernels,
        progress: &mut Progress<'_>,
        put: &mut Put<'_, E>,
    ) -> Result<Vec<u64>, BuildError<E>> {
        let stride = self.space.layout.stride;
        let upper = self.upper();
        let mut node_of_row = vec![u32::MAX; input.vectors.rows()];
        self.arranged.nodes.iter().zip(0..).for_each(|(&row, node)| node_of_row[row as usize] = node);
        let mut checks = vec![0u64; self.parts.len()];
        let mut bytes = vec![0; (STEP_BYTES / stride).max(1) * stride];
        let mut work = vec![Vec::new(); par.threads()];
        for (step, nodes) in node_of_row.chunks(bytes.len() / stride).enumerate() {
            let first = step * (bytes.len() / stride);
            ingest::report(progress, first, node_of_row.len())?;
            bytes.fill(0);
            par.chunks(&mut bytes[..nodes.len() * stride], 64 * stride, &mut work, |task, bytes, work| {
                for (record, at) in bytes.chunks_mut(stride).zip(task * 64..) {
                    if nodes[at] != u32::MAX {
                        ingest::encode_row(input, &self.space, kernels, (first + at) as u32, work, record);
                    }
                }
            });
            for (record, &node) in bytes.chunks(stride).zip(nodes) {
                if node == u32::MAX {
                    continue;
                }
                let members = self.members[node as usize];
                let own = if node < upper { Stream::Upper } else { Stream::Nodes(members[0].part) };
                put(own, node.into(), record).map_err(write_failed)?;
                for (which, member) in members.into_iter().enumerate() {
                    checks[member.part as usize] = checks[member.part as usize].wrapping_add(check(member.slot, record));
                    if which > 0 || node < upper {
                        let part = &self.parts[member.part as usize];
                        let own = part.nodes.end - part.nodes.start;
                        put(Stream::Copies(member.part), part.copies.start + u64::from(member.slot - own), record).map_err(write_failed)?;
                    }
                }
            }
        }
        Ok(checks)
    }

    /// Whether `records`, those of a part's members in order, are what [`Plan::scatter`] said.
    ///
    /// # Errors
    /// [`PlanError::Damaged`].
    pub fn check_records(&self, records: &[u8], expected: u64) -> Result<(), PlanError> {
        let records = records.chunks(self.space.layout.stride);
        let found = records.zip(0..).fold(0u64, |sum, (record, slot)| sum.wrapping_add(check(slot, record)));
        if found == expected { Ok(()) } else { Err(PlanError::Damaged { what: "the records of a part" }) }
    }
}

fn write_failed<E>(error: E) -> BuildError<E> {
    BuildError::Write(crate::format::WriteError::Sink(error))
}

fn check(slot: u32, record: &[u8]) -> u64 {
    let mut digest = Digest::new();
    digest.update(&slot.to_le_bytes());
    digest.update(record);
    digest.finish()
}
