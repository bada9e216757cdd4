//! What a build needs of the disk, before it begins.

use std::fs;
use std::path::Path;

use nearshore_core::build::parts::{OVERLAP, Split, run_bytes};
use nearshore_core::build::{BuildParams, Codes, Tier};
use nearshore_core::filter::Values;
use nearshore_core::quant::RecordLayout;
use nearshore_core::search::Layout;

use super::{Need, PartitionedError};
use crate::dataset::Dataset;

/// An estimate from above of what a build of `data` writes, its file included.
pub(super) fn need(data: &Dataset, params: &BuildParams, split: &Split) -> Need {
    let (rows, dimensions) = (data.rows() as u64, data.dimensions() as u64);
    let record = RecordLayout::new(data.dimensions()).stride as u64;
    let degree = 2 * params.m as u64;
    // A byte a dimension is more than any codes take.
    let codes = if params.codes == Codes::None { 0 } else { dimensions + 64 };
    let around = if params.layout == Layout::Fast { degree.next_multiple_of(32) * (dimensions.next_multiple_of(64) / 8 + 16) } else { 0 };
    let original = if params.originals { dimensions * data.element().bytes() as u64 + 16 } else { 0 };
    let paged = if params.tier == Tier::Disk { record.div_ceil(3) * 4 } else { record };
    let columns: u64 = data.columns().iter().map(|column| 2 * value_bytes(column.values)).sum();
    let payloads = data.payloads().map_or(0, |payloads| payloads.bytes().len() as u64);
    Need {
        // Every node twice, and those of upper layers once more.
        partitions: rows * (record * (OVERLAP as u64 + 1) - record * 7 / 8 + 48),
        lists: rows * (OVERLAP * run_bytes(split.degree)) as u64,
        scratch: rows * (4 * degree + 2 + codes + around + 64) + columns,
        // Blocks have a check each and are padded; of pages up to a quarter.
        output: (rows * (paged + 4 * degree * 17 / 16 + codes + around + original + 24) + columns + payloads) / 32 * 33 + (1 << 20),
    }
}

fn value_bytes(values: Values<'_>) -> u64 {
    match values {
        Values::Text(texts) => texts.bytes().len() as u64 + 12 * texts.rows() as u64,
        other => 8 * other.rows() as u64,
    }
}

/// Refuses to begin what the disk of `folder` has no room for.
pub(super) fn check(folder: &Path, need: Need) -> Result<(), PartitionedError> {
    let io = |error| PartitionedError::io(folder, error);
    let mut held = 0;
    for entry in fs::read_dir(folder).map_err(io)? {
        held += entry.and_then(|entry| entry.metadata()).map_or(0, |data| data.len());
    }
    let disk = rustix::fs::statvfs(folder).map_err(|error| io(error.into()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if need.total().saturating_sub(held) > free {
        return Err(PartitionedError::Space { path: folder.to_owned(), need, held, free });
    }
    Ok(())
}
