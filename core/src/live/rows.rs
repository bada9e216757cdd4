//! Where a live index keeps its rows: chunks that never move and are only ever added to.
//!
//! One thread appends while others read. A record's bytes are written once, before the chunk's
//! length says that they exist; a reader looks at the length first. Neighbour slots, tombstones
//! and twin links are atomics. So a reader waits on no lock and meets no half-written record; of
//! a neighbour list that is just being replaced it may see some old and some new entries, each a
//! valid node.
//!
//! The only `unsafe` of the crate outside the kernels is in [`Records`], which is sound whoever
//! calls it: it does not rely on there being one writer.

use crate::graph::NONE;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use once_cell::race::OnceBox;

/// Slots of a chunk.
pub(super) const CHUNK_SLOTS: usize = 1024;
/// Chunks of a group.
const GROUP_CHUNKS: usize = 1024;
/// Groups of a store: 2^32 slots in all.
const GROUPS: usize = 4096;

/// A cache line, so that records of 64-byte strides start on one.
#[repr(C, align(64))]
struct Line([u8; 64]);

/// `CHUNK_SLOTS` records, appended one at a time.
struct Records {
    lines: Box<[UnsafeCell<Line>]>,
    stride: usize,
    length: AtomicUsize,
    appending: AtomicBool,
}

// SAFETY: `lines` is written only in `push`, by the one thread that holds `appending`, beyond
// `length`; it is read only in `get`, below `length`, whose release store came after the write.
unsafe impl Sync for Records {}
// SAFETY: the bytes are plain data, tied to no thread.
unsafe impl Send for Records {}

impl Records {
    fn new(stride: usize) -> Self {
        let lines = (CHUNK_SLOTS * stride).div_ceil(size_of::<Line>());
        let lines = (0..lines).map(|_| UnsafeCell::new(Line([0; 64]))).collect();
        Self { lines, stride, length: AtomicUsize::new(0), appending: AtomicBool::new(false) }
    }

    /// Appends a record of `stride` bytes; false when there is no room, the length is another, or
    /// another thread is appending.
    fn push(&self, record: &[u8]) -> bool {
        if record.len() != self.stride || self.appending.swap(true, Ordering::Acquire) {
            return false;
        }
        let slot = self.length.load(Ordering::Relaxed);
        let room = slot < CHUNK_SLOTS;
        if room {
            let place = UnsafeCell::raw_get(self.lines.as_ptr()).cast::<u8>();
            // SAFETY: `slot < CHUNK_SLOTS`, so the `stride` bytes lie inside `lines`, whose cells
            // are contiguous and hold plain bytes; nobody reads at or beyond `length`, and
            // `appending` keeps other writers out.
            unsafe { core::ptr::copy_nonoverlapping(record.as_ptr(), place.add(slot * self.stride), self.stride) };
            self.length.store(slot + 1, Ordering::Release);
        }
        self.appending.store(false, Ordering::Release);
        room
    }

    #[inline(always)]
    fn get(&self, slot: usize) -> Option<&[u8]> {
        if slot >= self.length.load(Ordering::Acquire) {
            return None;
        }
        let place = UnsafeCell::raw_get(self.lines.as_ptr()).cast::<u8>();
        // SAFETY: below `length`, so inside `lines`, written before the release store that the
        // load above acquired, and never written again.
        Some(unsafe { core::slice::from_raw_parts(place.add(slot * self.stride), self.stride) })
    }
}

/// Neighbours of a node above the base layer: `m` slots a layer, layer 1 first.
struct Upper {
    slots: Box<[AtomicU32]>,
}

/// Everything about `CHUNK_SLOTS` rows.
struct Chunk {
    records: Records,
    edges: Box<[AtomicU32]>,
    upper: Box<[OnceBox<Upper>]>,
    payloads: Box<[OnceBox<Box<[u8]>>]>,
    twins: Box<[AtomicU32]>,
    deleted: Box<[AtomicU32]>,
}

/// Chunks made as they are needed.
type Group = Box<[OnceBox<Chunk>]>;

fn atomics(count: usize, value: u32) -> Box<[AtomicU32]> {
    (0..count).map(|_| AtomicU32::new(value)).collect()
}

/// All rows of a live index.
pub(super) struct Store {
    groups: Box<[OnceBox<Group>]>,
    stride: usize,
    degree: usize,
    m: usize,
    length: AtomicU32,
}

impl Store {
    pub(super) fn new(stride: usize, m: usize) -> Self {
        let groups = (0..GROUPS).map(|_| OnceBox::new()).collect();
        Self { groups, stride, degree: 2 * m, m, length: AtomicU32::new(0) }
    }

    /// Rows appended.
    #[inline]
    pub(super) fn len(&self) -> u32 {
        self.length.load(Ordering::Acquire)
    }

    #[inline(always)]
    fn chunk(&self, slot: u32) -> Option<(&Chunk, usize)> {
        let number = slot as usize / CHUNK_SLOTS;
        let group = self.groups.get(number / GROUP_CHUNKS)?.get()?;
        Some((group.get(number % GROUP_CHUNKS)?.get()?, slot as usize % CHUNK_SLOTS))
    }

    fn chunk_or_new(&self, slot: u32) -> Option<(&Chunk, usize)> {
        let number = slot as usize / CHUNK_SLOTS;
        let group = self.groups.get(number / GROUP_CHUNKS)?;
        let group = group.get_or_init(|| Box::new((0..GROUP_CHUNKS).map(|_| OnceBox::new()).collect()));
        let chunk = group.get(number % GROUP_CHUNKS)?.get_or_init(|| {
            Box::new(Chunk {
                records: Records::new(self.stride),
                edges: atomics(CHUNK_SLOTS * self.degree, NONE),
                upper: (0..CHUNK_SLOTS).map(|_| OnceBox::new()).collect(),
                payloads: (0..CHUNK_SLOTS).map(|_| OnceBox::new()).collect(),
                twins: atomics(CHUNK_SLOTS, NONE),
                deleted: atomics(CHUNK_SLOTS / 32, 0),
            })
        });
        Some((chunk, slot as usize % CHUNK_SLOTS))
    }

    /// Appends a row on `level`; `None` when the store is full. Readers do not see it before
    /// [`Store::publish`].
    pub(super) fn push(&self, record: &[u8], level: usize, payload: &[u8]) -> Option<u32> {
        let slot = self.length.load(Ordering::Relaxed);
        if slot >= NONE - 1 {
            return None;
        }
        let (chunk, at) = self.chunk_or_new(slot)?;
        if level > 0 {
            let slots = atomics(level * self.m, NONE);
            let _ = chunk.upper[at].set(Box::new(Upper { slots }));
        }
        if !payload.is_empty() {
            let _ = chunk.payloads[at].set(Box::new(payload.into()));
        }
        chunk.records.push(record).then_some(slot)
    }

    /// Lets readers see the row that was appended last.
    pub(super) fn publish(&self, slot: u32) {
        self.length.store(slot + 1, Ordering::Release);
    }

    /// The record of a row that was appended (published or not).
    #[inline(always)]
    pub(super) fn record(&self, slot: u32) -> Option<&[u8]> {
        let (chunk, at) = self.chunk(slot)?;
        chunk.records.get(at)
    }

    pub(super) fn payload(&self, slot: u32) -> &[u8] {
        self.chunk(slot).and_then(|(chunk, at)| chunk.payloads[at].get()).map_or(&[], |bytes| bytes)
    }

    /// Layers above the base that the row stands in.
    pub(super) fn level(&self, slot: u32) -> usize {
        let upper = self.chunk(slot).and_then(|(chunk, at)| chunk.upper[at].get());
        upper.map_or(0, |upper| upper.slots.len() / self.m)
    }

    /// Slots of a row in `layer` (0 is the base).
    #[inline(always)]
    pub(super) fn slots(&self, slot: u32, layer: usize) -> &[AtomicU32] {
        let Some((chunk, at)) = self.chunk(slot) else { return &[] };
        if layer == 0 {
            return chunk.edges.get(at * self.degree..(at + 1) * self.degree).unwrap_or(&[]);
        }
        let upper = chunk.upper[at].get().map_or(&[][..], |upper| &upper.slots);
        upper.get((layer - 1) * self.m..layer * self.m).unwrap_or(&[])
    }

    /// Neighbours of a row, those below `nodes`.
    #[inline(always)]
    pub(super) fn neighbors(&self, slot: u32, layer: usize, nodes: u32, out: &mut Vec<u32>) {
        for neighbor in self.slots(slot, layer) {
            let neighbor = neighbor.load(Ordering::Acquire);
            if neighbor == NONE {
                break;
            }
            if neighbor < nodes {
                out.push(neighbor);
            }
        }
    }

    /// Replaces the neighbours of a row; at most as many as there are slots are taken.
    pub(super) fn link(&self, slot: u32, layer: usize, neighbors: impl Iterator<Item = u32>) {
        let rest = core::iter::repeat(NONE);
        for (slot, neighbor) in self.slots(slot, layer).iter().zip(neighbors.chain(rest)) {
            slot.store(neighbor, Ordering::Release);
        }
    }

    /// The next exact duplicate of a row.
    pub(super) fn twin(&self, slot: u32) -> Option<u32> {
        let (chunk, at) = self.chunk(slot)?;
        Some(chunk.twins[at].load(Ordering::Acquire)).filter(|&twin| twin != NONE)
    }

    pub(super) fn set_twin(&self, slot: u32, twin: u32) {
        if let Some((chunk, at)) = self.chunk(slot) {
            chunk.twins[at].store(twin, Ordering::Release);
        }
    }

    pub(super) fn is_deleted(&self, slot: u32) -> bool {
        let word = self.chunk(slot).map(|(chunk, at)| chunk.deleted[at / 32].load(Ordering::Acquire));
        word.is_some_and(|word| word >> (slot % 32) & 1 == 1)
    }

    /// Marks a tombstone; false when it was one.
    pub(super) fn delete(&self, slot: u32) -> bool {
        let bit = 1 << (slot % 32);
        let chunk = self.chunk(slot);
        chunk.is_some_and(|(chunk, at)| chunk.deleted[at / 32].fetch_or(bit, Ordering::AcqRel) & bit == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn a_record_is_appended_once_and_read_back() {
        let records = Records::new(48);
        assert!(records.get(0).is_none());
        for slot in 0..CHUNK_SLOTS {
            assert!(records.push(&[slot as u8; 48]));
            assert_eq!(records.get(slot), Some(&[slot as u8; 48][..]));
        }
        assert!(!records.push(&[0; 48]), "the chunk is full");
        assert!(!Records::new(48).push(&[0; 47]), "another length");
    }

    /// Rows appended, and looked at in one go: few under Miri, which is slow.
    const MANY: (u32, usize) = if cfg!(miri) { (40, 4) } else { (3000, 64) };

    #[test]
    fn readers_see_whole_records_while_a_writer_appends() {
        let store = Store::new(64, 4);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        let length = store.len();
                        for slot in (0..length).rev().take(MANY.1) {
                            let record = store.record(slot).expect("published");
                            assert!(record.iter().all(|&byte| byte == record[0]) && record[0] == slot as u8);
                        }
                    }
                });
            }
            for slot in 0..MANY.0 {
                assert_eq!(store.push(&[slot as u8; 64], 0, &[]), Some(slot));
                store.publish(slot);
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}
