//! What of a file is held in memory: so much of its front as there is room for.

use std::fmt;
use std::ops::Range;

use nearshore_core::format::{HEADER_BYTES, Header, Kind, Plan};

/// The largest page of a file for a disk.
const PAGES_BYTES: u32 = 64 << 10;

/// What searches find at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// Of a file in tiles: centroids.
    Centroids,
    /// All that a walk goes by.
    Graph,
    /// Codes; edges are read.
    Codes,
    /// The layers above the base; codes and edges are read.
    Upper,
    /// The whole file but its originals: it was written for memory.
    All,
}

/// The first bytes of a file, and what they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Front {
    pub(super) bytes: u64,
    pub(super) held: Held,
    /// Tombstones, where they lie behind it: every search looks at them.
    tombstones: (u64, u64),
    /// Codes of neighbours, where they lie in it: searches whose blocks are read walk lean.
    unread: (u64, u64),
}

impl Front {
    /// Fronts that searches can go by, the largest first. A header that says nothing is for the opening to judge.
    pub(super) fn all(file: &[u8]) -> Vec<Self> {
        let header_bytes = HEADER_BYTES as u64;
        let Some(header) = Header::parse(file, file.len() as u64).ok() else {
            return vec![Self { bytes: header_bytes, held: Held::All, tombstones: (0, 0), unread: (0, 0) }];
        };
        let deleted = header.table(Kind::Deleted, 0).map(|table| (table.offset, table.end()));
        let neighbors = header.table(Kind::NeighborCodes, 0).map(|table| (table.offset, table.end()));
        let front = |bytes, held| Self {
            bytes,
            held,
            tombstones: deleted.filter(|deleted| deleted.1 > bytes).unwrap_or((0, 0)),
            unread: neighbors.filter(|neighbors| neighbors.1 <= bytes).unwrap_or((0, 0)),
        };
        let begins = |kind| header.table(kind, 0).map(|table| table.offset);
        if header.superblock.plan == Plan::Tiles {
            return vec![front(begins(Kind::CodesTiles).unwrap_or(header_bytes), Held::Centroids)];
        }
        match (begins(Kind::CodesRows), begins(Kind::Edges), begins(Kind::Records)) {
            (Some(codes), Some(edges), Some(records)) if codes < edges && edges < records => {
                // What is read by itself has to lie in small blocks: files were written that keep codes and edges in large ones.
                let paged = |kind| header.table(kind, 0).is_some_and(|table| table.block_bytes <= PAGES_BYTES || table.block_rows == 1);
                let fronts = [(records, Held::Graph), (edges, Held::Codes), (codes, Held::Upper)];
                let fit = [true, paged(Kind::Edges), paged(Kind::Edges) && paged(Kind::CodesRows)];
                let fronts = fronts.into_iter().zip(fit).filter(|(_, fit)| *fit);
                fronts.map(|((bytes, held), _)| front(bytes, held)).collect()
            }
            // Walks read all of it.
            _ => vec![front(begins(Kind::Originals).unwrap_or(file.len() as u64), Held::All)],
        }
    }
}

impl Front {
    /// Where in the file lies what is held.
    pub(super) fn parts(&self) -> [Range<u64>; 3] {
        [0..self.unread.0, self.unread.1..self.bytes, self.tombstones.0..self.tombstones.1]
    }

    /// Bytes held in all.
    pub(super) fn resident(&self) -> u64 {
        self.parts().iter().map(|part| part.end - part.start).sum()
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Centroids => "centroids",
            Self::Graph => "codes and graph",
            Self::Codes => "codes",
            Self::Upper => "the layers above the base",
            Self::All => "all",
        })
    }
}

impl Held {
    /// What a search waits for.
    pub(super) fn rounds(self) -> &'static str {
        match self {
            Self::Centroids => "two rounds: codes of tiles, then records",
            Self::Graph => "one round of records",
            Self::Codes => "a round for every few hops: edges; then one of records",
            Self::Upper => "two rounds for every few hops: edges, codes; then one of records",
            Self::All => "no rounds: it was not built with --tier disk",
        }
    }
}
