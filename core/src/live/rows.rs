//! Where a live index keeps its rows: chunks that never move and are only ever added to.
//!
//! One thread appends while others read. A record's bytes are written once, before the chunk's
//! length says that they exist; a reader looks at the length first. Neighbour slots, ends of life
//! and twin links are atomics. So a reader waits on no lock and meets no half-written record; of
//! a neighbour list that is just being replaced it may see some old and some new entries, each a
//! valid node.
//!
//! A row that is replaced by another lives until that one is published: its end is the other's
//! slot, and whoever sees `rows` rows takes for dead what ends below. So a reader sees the old
//! or the new, never both and never neither. The end of a row that is deleted is 0.
//!
//! The `unsafe` is in [`Records`], which is sound whoever calls it: it does not rely on there
//! being one writer.

#[cfg(feature = "filter")]
use super::columns::RowValues;
use super::sync::{AtomicBool, AtomicU32, AtomicUsize, CHUNK_BITS_MAX, GROUP_BITS, GROUPS, OnceBox, Ordering, Places};
#[cfg(feature = "filter")]
use crate::filter::Value;
use crate::graph::NONE;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
#[cfg(feature = "filter")]
use core::ops::Range;

/// Bytes that a chunk may have, so that the first row of a large dimension costs no more.
const CHUNK_BYTES: usize = 1 << 20;

/// A cache line, so that records of 64-byte strides start on one.
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Up to `slots` records, appended one at a time.
struct Records {
    lines: Box<[UnsafeCell<Line>]>,
    stride: usize,
    slots: usize,
    length: AtomicUsize,
    appending: AtomicBool,
    /// One a slot, for the model alone.
    places: Places,
}

// SAFETY: `lines` is written only in `push`, by the one thread that holds `appending`, beyond
// `length`; it is read only in `get`, below `length`, whose release store came after the write.
unsafe impl Sync for Records {}
// SAFETY: the bytes are plain data, tied to no thread.
unsafe impl Send for Records {}

impl Records {
    fn new(stride: usize, slots: usize) -> Self {
        let lines = (slots * stride).div_ceil(size_of::<Line>());
        let lines = (0..lines).map(|_| UnsafeCell::new(Line([0; 64]))).collect();
        Self { lines, stride, slots, length: AtomicUsize::new(0), appending: AtomicBool::new(false), places: Places::new(slots) }
    }

    /// Appends a record of `stride` bytes; false when there is no room, the length is another, or
    /// another thread is appending.
    fn push(&self, record: &[u8]) -> bool {
        if record.len() != self.stride || self.appending.swap(true, Ordering::Acquire) {
            return false;
        }
        let slot = self.length.load(Ordering::Relaxed);
        let room = slot < self.slots;
        if room {
            self.places.write(slot);
            let place = UnsafeCell::raw_get(self.lines.as_ptr()).cast::<u8>();
            // SAFETY: `slot < self.slots`, so the `stride` bytes lie inside `lines`, whose cells
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
        self.places.read(slot);
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

/// Everything about a few rows, a power of two of them.
struct Chunk {
    records: Records,
    edges: Box<[AtomicU32]>,
    upper: Box<[OnceBox<Upper>]>,
    payloads: Box<[OnceBox<Box<[u8]>>]>,
    #[cfg(feature = "filter")]
    values: Box<[OnceBox<RowValues>]>,
    twins: Box<[AtomicU32]>,
    /// A row is alive for those who see as many rows or fewer; [`NONE`]: for all.
    ends: Box<[AtomicU32]>,
    /// Ends that were set: another number, and there is something new.
    #[cfg(feature = "filter")]
    ended: AtomicU32,
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
    /// Slots of a chunk, as a power of two.
    chunk_bits: u32,
    length: AtomicU32,
    /// Whether a row has a payload.
    with_payload: AtomicBool,
    /// Rows that hang behind another.
    #[cfg(feature = "filter")]
    twins: AtomicU32,
}

impl Store {
    pub(super) fn new(stride: usize, m: usize) -> Self {
        let row = stride + 2 * m * size_of::<AtomicU32>() + size_of::<[usize; 3]>();
        let chunk_bits = (CHUNK_BYTES / row).max(1).ilog2().min(CHUNK_BITS_MAX);
        let groups = (0..GROUPS).map(|_| OnceBox::new()).collect();
        Self {
            groups,
            stride,
            degree: 2 * m,
            m,
            chunk_bits,
            length: AtomicU32::new(0),
            with_payload: AtomicBool::new(false),
            #[cfg(feature = "filter")]
            twins: AtomicU32::new(0),
        }
    }

    /// Neighbour slots of a row in `layer` (0 is the base).
    pub(super) fn degree(&self, layer: usize) -> usize {
        if layer == 0 { self.degree } else { self.m }
    }

    /// Rows appended.
    #[inline]
    pub(super) fn len(&self) -> u32 {
        self.length.load(Ordering::Acquire)
    }

    /// Where a slot lies: group, chunk in the group, place in the chunk.
    #[inline(always)]
    fn place(&self, slot: u32) -> (usize, usize, usize) {
        let in_group = slot & ((1 << GROUP_BITS) - 1);
        let in_chunk = slot & ((1 << self.chunk_bits) - 1);
        ((slot >> GROUP_BITS) as usize, (in_group >> self.chunk_bits) as usize, in_chunk as usize)
    }

    #[inline(always)]
    fn chunk(&self, slot: u32) -> Option<(&Chunk, usize)> {
        let (group, chunk, at) = self.place(slot);
        Some((self.groups.get(group)?.get()?.get(chunk)?.get()?, at))
    }

    fn chunk_or_new(&self, slot: u32) -> Option<(&Chunk, usize)> {
        let (group, chunk, at) = self.place(slot);
        let chunks = 1 << (GROUP_BITS - self.chunk_bits);
        let group = self.groups.get(group)?.get_or_init(|| Box::new((0..chunks).map(|_| OnceBox::new()).collect()));
        let chunk = group.get(chunk)?.get_or_init(|| {
            let slots = 1 << self.chunk_bits;
            Box::new(Chunk {
                records: Records::new(self.stride, slots),
                edges: atomics(slots * self.degree, NONE),
                upper: (0..slots).map(|_| OnceBox::new()).collect(),
                payloads: (0..slots).map(|_| OnceBox::new()).collect(),
                #[cfg(feature = "filter")]
                values: (0..slots).map(|_| OnceBox::new()).collect(),
                twins: atomics(slots, NONE),
                ends: atomics(slots, NONE),
                #[cfg(feature = "filter")]
                ended: AtomicU32::new(0),
            })
        });
        Some((chunk, at))
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
            self.with_payload.store(true, Ordering::Relaxed);
            let _ = chunk.payloads[at].set(Box::new(payload.into()));
        }
        chunk.records.push(record).then_some(slot)
    }

    /// Sets the values of a row that was appended and is not yet published.
    #[cfg(feature = "filter")]
    pub(super) fn set_values(&self, slot: u32, values: RowValues) {
        if let Some((chunk, at)) = self.chunk(slot).filter(|_| !values.is_empty()) {
            let _ = chunk.values[at].set(Box::new(values));
        }
    }

    /// The values of a row, one a column; empty where it has none.
    #[cfg(feature = "filter")]
    pub(super) fn values(&self, slot: u32) -> &[Option<Value>] {
        self.chunk(slot).and_then(|(chunk, at)| chunk.values[at].get()).map_or(&[], |values| values)
    }

    /// Rows that are the exact duplicates of others.
    #[cfg(feature = "filter")]
    pub(super) fn twins(&self) -> u32 {
        self.twins.load(Ordering::Acquire)
    }

    /// The first `rows` rows by chunks, with a number for each that is another once more of its rows have ended.
    #[cfg(feature = "filter")]
    pub(super) fn ended(&self, rows: u32) -> impl Iterator<Item = (Range<u32>, u32)> + '_ {
        let slots = 1 << self.chunk_bits;
        (0..rows).step_by(slots as usize).map(move |first| {
            let ended = self.chunk(first).map_or(0, |(chunk, _)| chunk.ended.load(Ordering::Acquire));
            (first..rows.min(first.saturating_add(slots)), ended)
        })
    }

    pub(super) fn has_payloads(&self) -> bool {
        self.with_payload.load(Ordering::Relaxed)
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
        #[cfg(feature = "filter")]
        self.twins.fetch_add(1, Ordering::Release);
    }

    fn end(&self, slot: u32) -> Option<&AtomicU32> {
        self.chunk(slot).map(|(chunk, at)| &chunk.ends[at])
    }

    /// Counts an end, after it was set.
    fn count_end(&self, slot: u32) {
        #[cfg(feature = "filter")]
        if let Some((chunk, _)) = self.chunk(slot) {
            chunk.ended.fetch_add(1, Ordering::Release);
        }
        #[cfg(not(feature = "filter"))]
        let _ = slot;
    }

    /// Whether a row is there for who sees `rows` rows: published, and not ended.
    #[inline]
    pub(super) fn lives(&self, slot: u32, rows: u32) -> bool {
        slot < rows && self.end(slot).is_some_and(|end| end.load(Ordering::Acquire) >= rows)
    }

    /// Whether a row is a tombstone for who sees all rows.
    pub(super) fn is_deleted(&self, slot: u32) -> bool {
        self.end(slot).is_some_and(|end| end.load(Ordering::Acquire) != NONE)
    }

    /// Ends a row; false when it had ended.
    pub(super) fn delete(&self, slot: u32) -> bool {
        let ended = self.end(slot).is_some_and(|end| end.swap(0, Ordering::AcqRel) == NONE);
        self.count_end(slot);
        ended
    }

    /// Ends a row as soon as `by` is seen, which was appended and is not yet published.
    pub(super) fn replace(&self, slot: u32, by: u32) {
        if let Some(end) = self.end(slot) {
            end.store(by, Ordering::Release);
        }
        self.count_end(slot);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn a_record_is_appended_once_and_read_back() {
        let records = Records::new(48, 1024);
        assert!(records.get(0).is_none());
        for slot in 0..1024 {
            assert!(records.push(&[slot as u8; 48]));
            assert_eq!(records.get(slot), Some(&[slot as u8; 48][..]));
        }
        assert!(!records.push(&[0; 48]), "the chunk is full");
        assert!(!Records::new(48, 1).push(&[0; 47]), "another length");
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

    #[test]
    #[cfg_attr(miri, ignore = "megabytes take minutes there")]
    fn a_chunk_has_few_bytes_however_large_a_row_is() {
        for (stride, m) in [(64, 2), (448, 16), (2_112, 16), (32_896, 16), (32_896, 512)] {
            let store = Store::new(stride, m);
            assert!((stride + 8 * m) << store.chunk_bits <= CHUNK_BYTES, "{stride} bytes, m {m}: 2^{}", store.chunk_bits);
        }
        assert_eq!(Store::new(64, 2).chunk_bits, CHUNK_BITS_MAX);
        let store = Store::new(32_896, 16);
        for slot in 0..40 {
            assert_eq!(store.push(&[slot as u8; 32_896], 0, &[]), Some(slot));
            store.publish(slot);
            assert!((0..=slot).all(|slot| store.record(slot).is_some_and(|record| record[32_895] == slot as u8)));
        }
    }

    #[test]
    fn a_row_lives_until_the_one_in_its_place_is_seen() {
        let store = Store::new(64, 4);
        for slot in 0..3 {
            assert_eq!(store.push(&[0; 64], 0, &[]), Some(slot));
            store.publish(slot);
        }
        store.replace(0, 2);
        assert!(store.lives(0, 2) && !store.lives(2, 2), "before");
        assert!(!store.lives(0, 3) && store.lives(2, 3), "after");
        assert!(store.is_deleted(0) && !store.is_deleted(2));
        assert!(store.delete(1) && !store.delete(1));
        assert!(!store.lives(1, 2));
    }
}
