//! The one buffer through which answers leave.
//!
//! ```text
//! search, for each query:   u32 hits, u32 ef, u64 distances, u64 hops
//!                           hits x { u64 id, f32 distance, u32 payload bytes (NONE: the row has none, or it was not asked for) }
//!                           the payloads, one after the other, padded with zeros to 8 bytes
//! get:                      u32 found, u32 payload bytes or NONE, dimensions x f32, the payload
//! describe:                 see `Engine::describe`
//! ```
//! Little-endian, as the file itself.

use alloc::vec::Vec;
use nearshore_core::search::{Hit, Stats};

/// Payload length of a hit that brings none.
pub(crate) const NONE: u32 = u32::MAX;

/// Bytes on their way out.
#[derive(Default)]
pub(crate) struct Answer {
    bytes: Vec<u8>,
    payload: Vec<u8>,
}

impl Answer {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn f32(&mut self, value: f32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn slice(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The hits of one query; `payload` gives the payload of a hit, empty where there is none.
    pub(crate) fn hits<E>(
        &mut self,
        hits: &[Hit],
        stats: Stats,
        mut payload: impl FnMut(&Hit, &mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.u32(hits.len() as u32);
        self.u32(stats.ef as u32);
        self.u64(stats.distances);
        self.u64(stats.hops);
        let first = self.bytes.len();
        for hit in hits {
            self.u64(hit.id);
            self.f32(hit.distance);
            self.u32(NONE);
        }
        for (at, hit) in hits.iter().enumerate() {
            self.payload.clear();
            payload(hit, &mut self.payload)?;
            if !self.payload.is_empty() {
                let place = first + at * 16 + 12;
                self.bytes[place..place + 4].copy_from_slice(&(self.payload.len() as u32).to_le_bytes());
                self.bytes.extend_from_slice(&self.payload);
            }
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        Ok(())
    }
}
