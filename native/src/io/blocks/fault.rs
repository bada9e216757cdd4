//! What goes wrong, on purpose and by seed: for tests.
//!
//! Two places to do it: [`FaultyBlocks`] wraps a driver and spoils what reaches the search; [`FaultyFile`] wraps a file below
//! [`PreadBlocks`](super::PreadBlocks) and does what a system may do to one that reads. The same seed gives the same faults for the
//! same calls.

use std::io;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use nearshore_core::seed::SplitMix;

use super::{Arrived, BlockError, Blocks, ReadAt};

/// How often, in 1,000 blocks or reads, each fault happens. None by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// What everything is drawn from.
    pub seed: u64,
    /// Blocks held back for a later wait.
    pub late: u16,
    /// Blocks of fewer bytes, without a word; or reads.
    pub short: u16,
    /// Blocks whose second half is that of another block.
    pub torn: u16,
    /// Blocks that are another block whole.
    pub wrong: u16,
    /// Blocks or reads that fail.
    pub eio: u16,
    /// Reads that are interrupted.
    pub eintr: u16,
}

/// What is drawn for one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Short,
    Torn,
    Wrong,
    Eio,
    Eintr,
}

impl Faults {
    /// Some of all that a checksum notices.
    #[must_use]
    pub fn all(seed: u64) -> Self {
        Self { seed, late: 300, short: 20, torn: 20, wrong: 20, eio: 20, eintr: 0 }
    }

    /// Nothing but another order: what must not change an answer.
    #[must_use]
    pub fn late(seed: u64) -> Self {
        Self { seed, late: 500, ..Self::default() }
    }

    fn draw(&self, random: &mut SplitMix) -> Fault {
        let kinds = [
            (self.short, Fault::Short),
            (self.torn, Fault::Torn),
            (self.wrong, Fault::Wrong),
            (self.eio, Fault::Eio),
            (self.eintr, Fault::Eintr),
        ];
        let mut drawn = random.below(1000);
        for (share, fault) in kinds {
            match drawn.checked_sub(u64::from(share)) {
                None => return fault,
                Some(rest) => drawn = rest,
            }
        }
        Fault::None
    }
}

/// A driver whose blocks come late, in another order, short, torn, mistaken or not at all. It copies what it hands on.
#[derive(Debug)]
pub struct FaultyBlocks<D> {
    inner: D,
    faults: Faults,
    random: SplitMix,
    /// Token and offset of what is under way.
    asked: Vec<(u64, u64)>,
    /// Arrived and not handed over.
    held: Vec<(u64, Result<Vec<u8>, BlockError>)>,
    /// A block that arrived before, for the torn and the wrong.
    other: Vec<u8>,
    spoiled: u64,
}

impl<D: Blocks> FaultyBlocks<D> {
    /// `inner`, with faults.
    pub fn new(inner: D, faults: Faults) -> Self {
        Self { inner, faults, random: SplitMix::new(faults.seed), asked: Vec::new(), held: Vec::new(), other: Vec::new(), spoiled: 0 }
    }

    /// Blocks so far whose bytes were not those of the file, or that failed.
    pub fn spoiled(&self) -> u64 {
        self.spoiled
    }

    fn spoil(&mut self, offset: u64, bytes: Vec<u8>) -> Result<Vec<u8>, BlockError> {
        let half = bytes.len() / 2;
        let fault = self.faults.draw(&mut self.random);
        let spoiled = match fault {
            Fault::None | Fault::Eintr => Ok(bytes.clone()),
            Fault::Short => Ok(bytes[..self.random.below(bytes.len() as u64) as usize].to_vec()),
            Fault::Torn => Ok(bytes[..half].iter().chain(self.other.iter().skip(half)).copied().take(bytes.len()).collect()),
            Fault::Wrong => Ok(self.other.clone()),
            Fault::Eio => Err(BlockError::Io { offset, error: io::Error::other("an injected fault") }),
        };
        self.spoiled += u64::from(spoiled.as_ref().map_or(true, |spoiled| *spoiled != bytes));
        self.other = bytes;
        spoiled
    }
}

impl<D: Blocks> Blocks for FaultyBlocks<D> {
    fn submit(&mut self, token: u64, offset: u64, bytes: u32) {
        self.asked.push((token, offset));
        self.inner.submit(token, offset, bytes);
    }

    fn start(&mut self) -> Result<(), BlockError> {
        self.inner.start()
    }

    fn wait(&mut self, arrived: &mut Arrived<'_>) -> Result<(), BlockError> {
        self.bring(arrived, D::wait, true)
    }

    fn poll(&mut self, arrived: &mut Arrived<'_>) -> Result<(), BlockError> {
        self.bring(arrived, D::poll, false)
    }

    fn forget(&mut self, offset: u64, bytes: u32) {
        self.inner.forget(offset, bytes);
    }

    fn in_flight(&self) -> usize {
        self.inner.in_flight() + self.held.len()
    }

    fn reads(&self) -> u64 {
        self.inner.reads()
    }
}

impl<D: Blocks> FaultyBlocks<D> {
    /// Hands over some of what was held and of what `bring` has the driver hand over; at least one block of it where that `must` be.
    fn bring(
        &mut self,
        arrived: &mut Arrived<'_>,
        bring: impl FnOnce(&mut D, &mut Arrived<'_>) -> Result<(), BlockError>,
        must: bool,
    ) -> Result<(), BlockError> {
        let mut fresh = Vec::new();
        bring(&mut self.inner, &mut |token, bytes| fresh.push((token, bytes.map(<[u8]>::to_vec))))?;
        for (token, bytes) in fresh {
            let asked = self.asked.iter().position(|asked| asked.0 == token).map(|at| self.asked.swap_remove(at));
            let bytes = bytes.and_then(|bytes| self.spoil(asked.map_or(0, |asked| asked.1), bytes));
            // Anywhere among those that wait: the order is drawn too.
            let place = self.random.below(self.held.len() as u64 + 1) as usize;
            self.held.insert(place, (token, bytes));
        }
        let mut handed = 0;
        let mut at = 0;
        while at < self.held.len() {
            let last_chance = must && handed == 0 && at + 1 == self.held.len();
            if !last_chance && self.random.below(1000) < u64::from(self.faults.late) {
                at += 1;
                continue;
            }
            let (token, bytes) = self.held.remove(at);
            match bytes {
                Ok(bytes) => arrived(token, Ok(&bytes)),
                Err(error) => arrived(token, Err(error)),
            }
            handed += 1;
        }
        Ok(())
    }
}

/// A file that gives fewer bytes than asked for, is interrupted, fails, and may shrink.
#[derive(Debug)]
pub struct FaultyFile<F> {
    inner: F,
    faults: Faults,
    random: Mutex<SplitMix>,
    ends_at: AtomicU64,
}

impl<F: ReadAt> FaultyFile<F> {
    /// `inner`, with faults: `short`, `eintr` and `eio` of them.
    pub fn new(inner: F, faults: Faults) -> Self {
        Self { inner, faults, random: Mutex::new(SplitMix::new(faults.seed)), ends_at: AtomicU64::new(u64::MAX) }
    }

    /// From now on the file has no byte at `bytes` or beyond.
    pub fn shrink(&self, bytes: u64) {
        self.ends_at.store(bytes, Relaxed);
    }
}

impl<F: ReadAt> ReadAt for FaultyFile<F> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = self.faults.draw(&mut random);
        let short = 1 + random.below(buffer.len() as u64) as usize;
        drop(random);
        let there = usize::try_from(self.ends_at.load(Relaxed).saturating_sub(offset)).unwrap_or(usize::MAX);
        let bytes = buffer.len().min(there).min(if fault == Fault::Short { short } else { usize::MAX });
        match fault {
            Fault::Eio => Err(io::Error::other("an injected fault")),
            Fault::Eintr => Err(io::ErrorKind::Interrupted.into()),
            _ => self.inner.read_at(&mut buffer[..bytes], offset),
        }
    }
}
