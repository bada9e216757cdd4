//! A search that waits for blocks: what it wants next, what it has found so far.
//!
//! The search itself is in [`crate::index`]; what lies here is its state, so that a driver can keep many of them in flight and use each
//! again without allocating.

use super::params::{Hit, Scratch, SearchParams};
use crate::graph::pool::Pool;
use crate::graph::{Neighbor, Stats};
use crate::quant::Factors;
use crate::quant::signs::SignQuery;
use alloc::vec::Vec;

/// A block of a file that a search waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Place of its table in the directory.
    pub table: u32,
    /// Its number in the table.
    pub block: u64,
    /// Where it begins in the file.
    pub offset: u64,
    /// Its length, check included.
    pub bytes: u32,
}

/// What the blocks that are awaited hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Codes of probed tiles.
    Codes,
    /// Records of candidates.
    Records,
    /// Edges and codes that a walk goes by.
    #[cfg(feature = "codes")]
    Graph,
    /// Records of tombstones that a walk found, which say whether an exact duplicate lives.
    #[cfg(feature = "codes")]
    Tombstones,
    /// Records of exact duplicates of candidates.
    #[cfg(feature = "codes")]
    Duplicates,
    /// Originals of candidates.
    Originals,
    /// Payloads of hits.
    Payloads,
    /// Nothing more.
    #[default]
    Done,
}

/// How a walk goes on when it is short of hits.
#[cfg(feature = "codes")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walking {
    pub(crate) limits: crate::graph::beam::Limits,
    pub(crate) entries: [u32; 2],
    pub(crate) wanted: usize,
    /// Of one whose graph is brought: whether it has begun, and the node of the layers above where it still goes down.
    pub(crate) begun: bool,
    pub(crate) upper: Option<u32>,
    /// Layers that it has come down.
    pub(crate) layers: usize,
}

/// How far a tombstone's run of exact duplicates was followed: up to `row`, unless it is known whether one of them lives.
#[cfg(feature = "codes")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) root: u32,
    pub(crate) row: u32,
    pub(crate) lives: Option<bool>,
}

/// A row that may become a hit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) near: Neighbor,
    pub(crate) id: u64,
    pub(crate) payload: (u64, u32),
    pub(crate) factors: Factors,
}

impl Candidate {
    /// One of which only the row is known.
    pub(crate) fn row(row: u32) -> Self {
        let factors = Factors { scale: 0.0, norm: 0, length_sq: 0.0, flags: 0 };
        Self { near: Neighbor { distance: f32::INFINITY, node: row }, id: 0, payload: (0, 0), factors }
    }

    /// What hits are sorted by.
    #[cfg(any(feature = "among", feature = "codes"))]
    pub(crate) fn order(&self) -> (u64, u64, u32) {
        (Neighbor { node: 0, ..self.near }.key(), self.id, self.near.node)
    }
}

/// The state of a search that waits for blocks, reused from query to query.
#[derive(Debug, Default)]
pub struct Pending {
    pub(crate) scratch: Scratch,
    pub(crate) params: SearchParams,
    pub(crate) originals: bool,
    /// Whether of the candidates those alone are ranked by originals that their records leave in doubt.
    pub(crate) in_doubt: bool,
    /// How a walk goes on.
    #[cfg(feature = "codes")]
    pub(crate) walk: Option<Walking>,
    /// What it goes by where that is brought, how far it is asked for ahead, and which blocks are about to be.
    #[cfg(feature = "codes")]
    pub(crate) held: super::held::Held,
    #[cfg(feature = "codes")]
    pub(crate) ahead: usize,
    #[cfg(feature = "codes")]
    pub(crate) missing: Vec<(u64, bool)>,
    /// Blocks of records that duplicates are read in, the tombstones whose duplicates were looked for, and how many blocks of a run of duplicates
    /// are asked for next.
    #[cfg(feature = "codes")]
    pub(crate) twins: super::held::Held,
    #[cfg(feature = "codes")]
    pub(crate) runs: Vec<Run>,
    #[cfg(feature = "codes")]
    pub(crate) run_blocks: u64,
    /// The rows that may be hits, and how many they are, where not all may.
    #[cfg(feature = "among")]
    pub(crate) among: Option<(alloc::sync::Arc<crate::filter::Bitmap>, usize)>,
    /// Whether all of them are scanned; of a scan the row from which it goes on, and the best of those before it.
    #[cfg(feature = "among")]
    pub(crate) scans: bool,
    #[cfg(feature = "among")]
    pub(crate) scan: Option<u32>,
    #[cfg(feature = "among")]
    pub(crate) kept: Vec<Candidate>,
    pub(crate) stage: Stage,
    pub(crate) wanted: Vec<Block>,
    /// Wanted blocks that have not come, and which of them have.
    pub(crate) awaited: usize,
    pub(crate) came: Vec<bool>,
    pub(crate) signs: SignQuery,
    /// A block of codes with its factors widened.
    pub(crate) wide: Vec<u8>,
    /// The nearest tiles, nearest first.
    pub(crate) tiles: Pool,
    /// Tiles whose codes were asked for, and for each wanted block of codes the distance of its tile's centroid.
    pub(crate) probed: usize,
    pub(crate) bases: Vec<f32>,
    /// The best estimates.
    pub(crate) found: Pool,
    /// Ascending by row until they are ranked.
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) hits: Vec<Hit>,
    /// For each hit where its payload lies in its table.
    pub(crate) places: Vec<(u64, u32)>,
    pub(crate) with_payloads: bool,
    pub(crate) payloads: Vec<Vec<u8>>,
    pub(crate) stats: Stats,
    pub(crate) rounds: u32,
    pub(crate) blocks: u64,
    pub(crate) bytes: u64,
}

impl Pending {
    /// A state that waits for nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether searches that begin after this bring the payloads of their hits, which takes one more round where there are any.
    pub fn ask_payloads(&mut self, yes: bool) {
        self.with_payloads = yes;
    }

    /// Nodes that are asked for ahead of a walk unless [`Pending::read_ahead`] says otherwise. On 100,000 embeddings: see
    /// `docs/research/disk.md`.
    #[cfg(feature = "codes")]
    pub const READ_AHEAD: usize = 4;

    /// Rows of a scan whose records are wanted in one round.
    #[cfg(feature = "among")]
    pub const SCAN_ROWS: usize = 4096;

    /// How many nodes ahead a walk asks for edges that are not at hand ([`Pending::READ_AHEAD`], and so for 0): more of them are fewer rounds and more blocks, of which more are
    /// for nothing. Hits stay the same.
    #[cfg(feature = "codes")]
    pub fn read_ahead(&mut self, nodes: usize) {
        self.ahead = nodes;
    }

    /// The blocks of this round, ascending by place in the file, none twice.
    #[must_use]
    pub fn wanted(&self) -> &[Block] {
        &self.wanted
    }

    /// The hits, once the search is done: nearest first, ties by the smaller id.
    #[must_use]
    pub fn hits(&self) -> &[Hit] {
        &self.hits
    }

    /// The payload of a hit; empty where there is none, or none was asked for.
    #[must_use]
    pub fn payload(&self, hit: usize) -> &[u8] {
        self.payloads.get(hit).map_or(&[], Vec::as_slice)
    }

    /// What the search computed.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Rounds of blocks that depended on each other.
    #[must_use]
    pub fn rounds(&self) -> u32 {
        self.rounds
    }

    /// Blocks that were wanted.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Their bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Ends whatever search there was.
    pub(crate) fn reset(&mut self, params: &SearchParams) {
        self.clear_round();
        self.stage = Stage::Done;
        self.params = *params;
        self.places.clear();
        self.payloads.clear();
        (self.rounds, self.blocks, self.bytes, self.stats) = (0, 0, 0, Stats::default());
        self.in_doubt = true;
        #[cfg(feature = "codes")]
        {
            self.walk = None;
            self.held.clear();
            self.twins.clear();
        }
        #[cfg(feature = "among")]
        {
            (self.among, self.scans, self.scan) = (None, false, None);
            self.kept.clear();
        }
    }

    /// Whether a row may be a hit.
    #[inline(always)]
    pub(crate) fn takes(&self, row: u32) -> bool {
        #[cfg(feature = "among")]
        if let Some((rows, _)) = &self.among {
            return rows.contains(row);
        }
        let _ = row;
        true
    }

    /// Whether some rows alone may be hits.
    #[cfg(feature = "codes")]
    pub(crate) fn is_among(&self) -> bool {
        #[cfg(feature = "among")]
        return self.among.is_some();
        #[cfg(not(feature = "among"))]
        false
    }

    /// Begins a round without blocks.
    pub(crate) fn clear_round(&mut self) {
        self.wanted.clear();
        self.came.clear();
        self.bases.clear();
        self.awaited = 0;
    }

    /// Ends the list of a round's blocks.
    pub(crate) fn await_round(&mut self, stage: Stage) {
        self.stage = stage;
        self.awaited = self.wanted.len();
        self.came.resize(self.awaited, false);
        self.rounds += u32::from(self.awaited > 0);
        self.blocks += self.wanted.len() as u64;
        self.bytes += self.wanted.iter().map(|block| u64::from(block.bytes)).sum::<u64>();
    }
}
