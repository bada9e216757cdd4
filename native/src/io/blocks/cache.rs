//! Blocks that came before, in bounded memory.
//!
//! Many threads share one [`BlockCache`]; each has its driver wrapped in [`CachedBlocks`]. A block is found by where it lies and how
//! long it is. What goes first when memory is full is decided by CLOCK (Corbato 1968), which comes near to "least recently used" at the
//! price of one bit a block: a hand goes round, takes the bit of those that were used since it last passed, and evicts the first that
//! has none.
//!
//! Bytes are kept as they came: who feeds on them checks them each time, so a cache never turns damage into an answer; and says when
//! they are wrong ([`Blocks::forget`]), so that it does not keep damage that was only on the way.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nearshore_core::seed::mix;

use super::{Arrived, BlockError, Blocks};

/// Parts with a lock each, so that threads seldom meet. A power of two.
const SHARDS: u64 = 16;

/// What a block costs beside its bytes: its entry, its place in the map, and the allocator's share. An estimate.
const OVERHEAD: u64 = 128;

/// Where a block lies, and how long it is.
type Key = (u64, u32);

/// Blocks of one file, of all threads, within a number of bytes.
pub struct BlockCache {
    shards: Vec<Mutex<Shard>>,
    bytes_max: u64,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Default)]
struct Shard {
    places: HashMap<Key, usize>,
    entries: Vec<Option<Entry>>,
    /// Places of `entries` that hold none; the last is the nearest behind the hand.
    free: Vec<usize>,
    hand: usize,
    bytes: u64,
}

struct Entry {
    key: Key,
    bytes: Arc<[u8]>,
    used: bool,
}

impl BlockCache {
    /// A cache that holds at most `bytes_max`, an estimate of its own needs included; 0 switches it off.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        // Few bytes are not worth dividing: a block must fit into a shard.
        let shards = (bytes_max >> 22).clamp(1, SHARDS);
        let shards = (0..shards).map(|_| Mutex::default()).collect();
        Self { shards, bytes_max, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// Bytes held now, and for what holds them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| lock(shard).bytes).sum()
    }

    /// Blocks that were asked for and found.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.hits.load(Relaxed)
    }

    /// Blocks that were asked for and not found.
    #[must_use]
    pub fn misses(&self) -> u64 {
        self.misses.load(Relaxed)
    }

    /// Bytes that one shard may hold.
    fn share(&self) -> u64 {
        self.bytes_max / self.shards.len() as u64
    }

    fn shard(&self, key: Key) -> MutexGuard<'_, Shard> {
        lock(&self.shards[(mix(key.0) % self.shards.len() as u64) as usize])
    }

    /// The block, if it is here.
    fn get(&self, key: Key) -> Option<Arc<[u8]>> {
        if self.bytes_max == 0 {
            return None;
        }
        let found = self.shard(key).get(key);
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Relaxed);
        found
    }

    /// Keeps a block, in place of others where it must.
    fn insert(&self, key: Key, bytes: &[u8]) {
        let cost = bytes.len() as u64 + OVERHEAD;
        if cost <= self.share() {
            self.shard(key).insert(key, bytes, self.share());
        }
    }

    fn forget(&self, key: Key) {
        self.shard(key).remove(key);
    }
}

impl fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes_max, .. } = self;
        write!(f, "BlockCache {{ {} of {bytes_max} bytes, {} hits, {} misses }}", self.bytes(), self.hits(), self.misses())
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    fn get(&mut self, key: Key) -> Option<Arc<[u8]>> {
        let entry = self.entries[*self.places.get(&key)?].as_mut()?;
        entry.used = true;
        Some(entry.bytes.clone())
    }

    fn insert(&mut self, key: Key, bytes: &[u8], bytes_max: u64) {
        if self.places.contains_key(&key) {
            return;
        }
        let cost = bytes.len() as u64 + OVERHEAD;
        while self.bytes + cost > bytes_max && !self.places.is_empty() {
            self.evict();
        }
        // Where the hand has just been, so that it comes here last. Not used yet: what is read once goes before what is read again.
        let place = self.free.pop().unwrap_or(self.entries.len());
        if place == self.entries.len() {
            self.entries.push(None);
        }
        self.entries[place] = Some(Entry { key, bytes: bytes.into(), used: false });
        self.places.insert(key, place);
        self.bytes += cost;
    }

    /// Takes out the first block from the hand on that was not used since the hand passed it; after one round, whichever.
    fn evict(&mut self) {
        loop {
            let place = if self.hand < self.entries.len() { self.hand } else { 0 };
            self.hand = place + 1;
            let Some(entry) = &mut self.entries[place] else { continue };
            if !std::mem::take(&mut entry.used) {
                let key = entry.key;
                return self.remove(key);
            }
        }
    }

    fn remove(&mut self, key: Key) {
        let Some(place) = self.places.remove(&key) else { return };
        let Some(entry) = self.entries[place].take() else { return };
        self.bytes -= entry.bytes.len() as u64 + OVERHEAD;
        self.free.push(place);
    }
}

/// A driver that asks the cache first. Blocks that are under way for one search are not read again for another.
pub struct CachedBlocks<D> {
    inner: D,
    cache: Arc<BlockCache>,
    /// Found, by token, and not handed over.
    found: Vec<(u64, Arc<[u8]>)>,
    /// Reads under way; their place is the token of the read.
    reads: Vec<Read>,
    free: Vec<usize>,
    under_way: HashMap<Key, usize>,
    waiting: usize,
}

#[derive(Default)]
struct Read {
    key: Key,
    tokens: Vec<u64>,
}

impl<D: Blocks> CachedBlocks<D> {
    /// `inner`, behind `cache`.
    pub fn new(inner: D, cache: Arc<BlockCache>) -> Self {
        let (found, reads, free, under_way) = Default::default();
        Self { inner, cache, found, reads, free, under_way, waiting: 0 }
    }
}

impl<D: Blocks> CachedBlocks<D> {
    /// Hands over what comes from the driver by one of its calls, and keeps it.
    fn bring(
        &mut self,
        arrived: &mut Arrived<'_>,
        call: impl FnOnce(&mut D, &mut Arrived<'_>) -> Result<(), BlockError>,
    ) -> Result<(), BlockError> {
        let Self { inner, cache, reads, free, under_way, waiting, .. } = self;
        call(inner, &mut |at, bytes| {
            let at = at as usize;
            let read = &mut reads[at];
            under_way.remove(&read.key);
            free.push(at);
            *waiting -= read.tokens.len();
            let mut tokens = read.tokens.drain(..);
            match bytes {
                Ok(bytes) => {
                    cache.insert(read.key, bytes);
                    tokens.for_each(|token| arrived(token, Ok(bytes)));
                }
                Err(error) => {
                    let (first, (offset, wanted)) = (tokens.next(), read.key);
                    tokens.for_each(|token| arrived(token, Err(error.again(offset, wanted))));
                    if let Some(token) = first {
                        arrived(token, Err(error));
                    }
                }
            }
        })
    }
}

impl<D: Blocks> Blocks for CachedBlocks<D> {
    fn submit(&mut self, token: u64, offset: u64, bytes: u32) {
        let key = (offset, bytes);
        if let Some(&at) = self.under_way.get(&key) {
            self.waiting += 1;
            self.reads[at].tokens.push(token);
        } else if let Some(found) = self.cache.get(key) {
            self.found.push((token, found));
        } else {
            self.waiting += 1;
            let at = self.free.pop().unwrap_or(self.reads.len());
            if at == self.reads.len() {
                self.reads.push(Read::default());
            }
            self.reads[at].key = key;
            self.reads[at].tokens.push(token);
            self.under_way.insert(key, at);
            self.inner.submit(at as u64, offset, bytes);
        }
    }

    fn start(&mut self) -> Result<(), BlockError> {
        self.inner.start()
    }

    fn wait(&mut self, arrived: &mut Arrived<'_>) -> Result<(), BlockError> {
        if self.found.is_empty() {
            return self.bring(arrived, D::wait);
        }
        self.poll(arrived)
    }

    fn poll(&mut self, arrived: &mut Arrived<'_>) -> Result<(), BlockError> {
        // The disk works while the caller does, and what it brought waits for no end of what is found.
        self.inner.start()?;
        for (token, bytes) in self.found.drain(..) {
            arrived(token, Ok(&bytes));
        }
        self.bring(arrived, D::poll)
    }

    fn forget(&mut self, offset: u64, bytes: u32) {
        self.cache.forget((offset, bytes));
        self.inner.forget(offset, bytes);
    }

    fn in_flight(&self) -> usize {
        self.found.len() + self.waiting
    }

    fn reads(&self) -> u64 {
        self.inner.reads()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::blocks::HeldBlocks;

    const BLOCK: u32 = 1000;

    fn ask(blocks: &mut impl Blocks, numbers: &[u64]) {
        for &number in numbers {
            blocks.submit(number, number * u64::from(BLOCK), BLOCK);
        }
        let mut left = numbers.len();
        while blocks.in_flight() > 0 {
            blocks
                .wait(&mut |number, bytes| {
                    assert_eq!(bytes.unwrap(), [number as u8; BLOCK as usize]);
                    left -= 1;
                })
                .unwrap();
        }
        assert_eq!(left, 0);
    }

    fn file() -> Vec<u8> {
        (0..100 * BLOCK).map(|byte| (byte / BLOCK) as u8).collect()
    }

    fn cached(blocks: u64) -> (Arc<BlockCache>, CachedBlocks<HeldBlocks<Vec<u8>>>) {
        let cache = Arc::new(BlockCache::new(blocks * (u64::from(BLOCK) + OVERHEAD)));
        (cache.clone(), CachedBlocks::new(HeldBlocks::new(file()), cache))
    }

    #[test]
    fn what_was_read_is_found_and_counted() {
        let (cache, mut blocks) = cached(10);
        ask(&mut blocks, &[1, 2, 3]);
        ask(&mut blocks, &[2, 3, 4]);
        assert_eq!((cache.hits(), cache.misses()), (2, 4));
        assert_eq!(cache.bytes(), 4 * (u64::from(BLOCK) + OVERHEAD));
    }

    #[test]
    fn what_was_used_stays_longer() {
        let (cache, mut blocks) = cached(4);
        ask(&mut blocks, &[0, 1, 2, 3]);
        ask(&mut blocks, &[0, 2]);
        // In place of 1 and 3.
        ask(&mut blocks, &[4]);
        ask(&mut blocks, &[5]);
        let before = cache.hits();
        ask(&mut blocks, &[0, 2, 4, 5]);
        assert_eq!(cache.hits() - before, 4);
        assert!(cache.bytes() <= cache.bytes_max);
    }

    #[test]
    fn memory_is_bounded_whatever_is_read() {
        for (room, kept) in [(0, 0), (1, 1), (7, 7), (1000, 100)] {
            let (cache, mut blocks) = cached(room);
            for round in 0..3 {
                ask(&mut blocks, &(0..100).map(|number| (number * 37 + round) % 100).collect::<Vec<_>>());
            }
            assert_eq!(cache.bytes() / (u64::from(BLOCK) + OVERHEAD), kept);
        }
        // A block larger than the cache is handed over all the same.
        let mut blocks = CachedBlocks::new(HeldBlocks::new(file()), Arc::new(BlockCache::new(100)));
        ask(&mut blocks, &[1, 1]);
    }

    #[test]
    fn a_block_under_way_is_read_once() {
        let (cache, mut blocks) = cached(10);
        blocks.submit(1, 0, BLOCK);
        blocks.submit(2, 0, BLOCK);
        assert_eq!((blocks.in_flight(), blocks.inner.in_flight()), (2, 1));
        let mut tokens = Vec::new();
        blocks.wait(&mut |token, _| tokens.push(token)).unwrap();
        assert_eq!((tokens, cache.misses()), (vec![1, 2], 1));
        // So is an error.
        blocks.submit(3, 99_500, BLOCK);
        blocks.submit(4, 99_500, BLOCK);
        let mut cut = 0;
        blocks.wait(&mut |_, bytes| cut += i32::from(matches!(bytes, Err(BlockError::Truncated { found: 500, .. })))).unwrap();
        assert_eq!((cut, blocks.in_flight()), (2, 0));
    }

    /// A driver that has what was asked for at once.
    struct Ready(HeldBlocks<Vec<u8>>);

    impl Blocks for Ready {
        fn submit(&mut self, token: u64, offset: u64, bytes: u32) {
            self.0.submit(token, offset, bytes);
        }

        fn wait(&mut self, arrived: &mut Arrived<'_>) -> Result<(), BlockError> {
            self.0.wait(arrived)
        }

        fn poll(&mut self, arrived: &mut Arrived<'_>) -> Result<(), BlockError> {
            self.0.wait(arrived)
        }

        fn in_flight(&self) -> usize {
            self.0.in_flight()
        }
    }

    #[test]
    fn what_was_read_waits_for_nothing_that_is_found() {
        let cache = Arc::new(BlockCache::new(1 << 20));
        let mut blocks = CachedBlocks::new(Ready(HeldBlocks::new(file())), cache);
        ask(&mut blocks, &[1]);
        blocks.submit(1, u64::from(BLOCK), BLOCK);
        blocks.submit(2, 2 * u64::from(BLOCK), BLOCK);
        let mut tokens = Vec::new();
        blocks.wait(&mut |token, _| tokens.push(token)).unwrap();
        assert_eq!((tokens, blocks.in_flight()), (vec![1, 2], 0));
    }

    #[test]
    fn what_is_wrong_is_forgotten() {
        let (cache, mut blocks) = cached(10);
        ask(&mut blocks, &[1]);
        blocks.forget(u64::from(BLOCK), BLOCK);
        assert_eq!(cache.bytes(), 0);
        ask(&mut blocks, &[1]);
        assert_eq!((cache.hits(), cache.misses()), (0, 2));
    }
}
