//! No id twice: the sorted ids of all segments, merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use nearshore_core::error::Corrupt;
use nearshore_core::format::{Kind, Section};
use nearshore_core::index::Index;

/// Between two calls of progress.
const TELL: u64 = 1 << 16;

/// The ids of one segment, ascending: those of its `ids.index`, else its row numbers.
struct Ids<'a> {
    table: Option<Section<'a>>,
    next: u32,
    rows: u32,
}

impl Ids<'_> {
    fn next(&mut self) -> Result<Option<u64>, Corrupt> {
        if self.next == self.rows {
            return Ok(None);
        }
        let row = self.next;
        self.next += 1;
        let Some(table) = &self.table else { return Ok(Some(row.into())) };
        Ok(table.row(row)?.first_chunk().map(|id| u64::from_le_bytes(*id)))
    }
}

/// An id that two segments have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Twin {
    pub(super) id: u64,
    pub(super) segments: (usize, usize),
}

/// Finds an id that two of `indexes` have; `progress` is told ids seen, and of how many. Memory: a few words an index; cost: a pass over their ids.
///
/// # Errors
/// The index that is damaged, and how.
pub(super) fn twin<'a, B: AsRef<[u8]> + 'a>(
    indexes: impl Iterator<Item = &'a Index<B>>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Option<Twin>, (usize, Corrupt)> {
    let ids_of = |index: &'a Index<B>| {
        let table = index.reader().section(Kind::IdsIndex, 0);
        let rows = table.as_ref().map_or(index.len() as u64, Section::rows);
        Ids { table, next: 0, rows: u32::try_from(rows).unwrap_or(u32::MAX) }
    };
    let mut segments: Vec<Ids<'a>> = indexes.map(ids_of).collect();
    let total = segments.iter().map(|ids| u64::from(ids.rows)).sum();
    let mut heads = BinaryHeap::new();
    for (segment, ids) in segments.iter_mut().enumerate() {
        heads.extend(ids.next().map_err(|corrupt| (segment, corrupt))?.map(|id| Reverse((id, segment))));
    }
    let mut last: Option<(u64, usize)> = None;
    let mut done = 0;
    while let Some(Reverse((id, segment))) = heads.pop() {
        if let Some((before, other)) = last
            && before == id
            && other != segment
        {
            return Ok(Some(Twin { id, segments: (other, segment) }));
        }
        last = Some((id, segment));
        heads.extend(segments[segment].next().map_err(|corrupt| (segment, corrupt))?.map(|id| Reverse((id, segment))));
        if done % TELL == 0 {
            progress(done, total);
        }
        done += 1;
    }
    Ok(None)
}
