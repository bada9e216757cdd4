//! The end of a search that waited: candidates become hits, blocks of the payload table their payloads.

use crate::format::Table;
use crate::search::Hit;
use crate::search::pending::{Candidate, Pending};

/// Candidates become hits.
pub(super) fn rank(pending: &mut Pending) {
    let hit = |candidate: &Candidate| Hit { id: candidate.id, distance: candidate.near.distance, row: candidate.near.node };
    pending.hits.clear();
    pending.hits.extend(pending.candidates.iter().map(hit));
    Hit::finish(&mut pending.hits, pending.params.k, pending.params.radius);
}

/// Copies what a block of the payload table has of each hit's payload.
pub(super) fn take_payload(pending: &mut Pending, table: &Table, block: u64, bytes: &[u8]) -> Result<(), &'static str> {
    let start = block * u64::from(table.block_rows);
    for (&(offset, length), payload) in pending.places.iter().zip(&mut pending.payloads) {
        let (end, block_end) = (offset + u64::from(length), start + table.row_bytes(block));
        let (from, to) = (offset.max(start), end.min(block_end));
        if from >= to {
            continue;
        }
        let in_memory = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        if payload.is_empty() {
            payload.try_reserve_exact(length as usize).map_err(|_| "range larger than memory")?;
            payload.resize(length as usize, 0);
        }
        let part = bytes.get(in_memory(from - start)..in_memory(to - start)).ok_or("row beyond the end of the block")?;
        payload[in_memory(from - offset)..][..part.len()].copy_from_slice(part);
    }
    Ok(())
}
