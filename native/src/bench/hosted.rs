//! What searches of a file that lies on a host fetch: the requests of the npm package, counted without a network.
//!
//! Some rows of the file are searched for as the package does it, with nothing kept but what opening brought: blocks of a round that lie close
//! together travel in one request, and hits bring their payloads. A file in parts costs the parts that the blocks lie in, each once.

use std::collections::BTreeSet;
use std::fs::File;
use std::ops::Range;
use std::path::Path;

use nearshore_core::format::{HEADER_BYTES, Header, Kind};
use nearshore_core::index::Index;
use nearshore_core::search::{Pending, SearchError, SearchParams};
use nearshore_core::vectors::Query;

use crate::Error;
use crate::io::MappedFile;
use crate::io::blocks::{Merging, merge};

/// Rows that are searched for, spread over the file.
const QUERIES: u64 = 100;

/// Bytes of a file that the package reads before it knows what is in it.
pub const FIRST_READ: u64 = 64 << 10;

/// Bytes of a description that is read along.
const META_MAX: u64 = 128 << 10;

/// How the package merges what one round wants (`npm/src/lazy/ranges.ts`).
const MERGING: Merging = Merging { align: 1, gap: 4096, bytes_max: u64::MAX };

/// What searches fetch, in the mean of one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fetches {
    /// Rows that were searched for.
    pub queries: u64,
    /// Times that a search waited: for blocks that it could name once it had those before.
    pub rounds: f64,
    /// Requests, or parts.
    pub requests: f64,
    /// Bytes of their bodies, those between blocks included.
    pub bytes: f64,
}

/// What opening fetches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// Requests, or parts.
    pub requests: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}

/// A file, as it would be read from a host.
#[derive(Debug)]
pub struct Hosted {
    index: Index<MappedFile>,
    /// Bytes of a part, where whole parts are all that can be had.
    part_bytes: Option<u64>,
    opened: u64,
}

impl Hosted {
    /// Looks at an index in tiles that is whole in `file`, which errors call `path`.
    ///
    /// # Errors
    /// A file that cannot be mapped, or is no index.
    pub fn new(file: &File, path: &Path, part_bytes: Option<u64>) -> Result<Self, Error> {
        let map = MappedFile::map(file).map_err(|error| Error::io(path, error))?;
        let index = Index::open(map).map_err(|source| Error::Open { path: path.to_owned(), source })?;
        let opened = opened(index.reader().header()).max(FIRST_READ).min(index.reader().bytes().len() as u64);
        Ok(Self { index, part_bytes: part_bytes.map(|bytes| bytes.max(1)), opened })
    }

    fn parts(&self, range: &Range<u64>) -> Range<u64> {
        self.part_bytes.map_or(0..0, |bytes| range.start / bytes..range.end.div_ceil(bytes))
    }

    fn bytes_of(&self, part: u64) -> u64 {
        let (all, bytes) = (self.index.reader().bytes().len() as u64, self.part_bytes.unwrap_or(0));
        bytes.min(all.saturating_sub(part.saturating_mul(bytes)))
    }

    /// What is fetched before the first search; the list of parts not counted.
    #[must_use]
    pub fn opening(&self) -> Opening {
        match self.part_bytes {
            None => Opening { requests: 1 + u64::from(self.opened > FIRST_READ), bytes: self.opened },
            Some(_) => {
                let parts = self.parts(&(0..self.opened));
                Opening { requests: parts.end - parts.start, bytes: parts.map(|part| self.bytes_of(part)).sum() }
            }
        }
    }

    /// What searches with these parameters fetch.
    ///
    /// # Errors
    /// As a search.
    pub fn fetches(&self, params: &SearchParams) -> Result<Fetches, SearchError> {
        let rows = self.index.len() as u64;
        let mut sum = Fetches { queries: QUERIES.min(rows), ..Fetches::default() };
        let (mut pending, mut vector) = (Pending::new(), Vec::new());
        pending.ask_payloads(true);
        for query in 0..sum.queries {
            // A file has less than 2^32 rows.
            self.index.vector((query * rows / sum.queries) as u32, &mut vector)?;
            self.index.start(Query::F32(&vector), params, &mut pending)?;
            self.fetch(&mut pending, &mut sum)?;
        }
        let count = sum.queries.max(1) as f64;
        Ok(Fetches { rounds: sum.rounds / count, requests: sum.requests / count, bytes: sum.bytes / count, ..sum })
    }

    /// Runs a search to its end.
    fn fetch(&self, pending: &mut Pending, sum: &mut Fetches) -> Result<(), SearchError> {
        let mut kept: BTreeSet<u64> = self.parts(&(0..self.opened)).collect();
        loop {
            let mut requests = 0;
            let blocks = pending.wanted().iter().map(|block| block.offset..block.offset + u64::from(block.bytes));
            for span in merge(blocks, MERGING) {
                let range = span.offset..span.offset + span.bytes;
                if self.part_bytes.is_none() {
                    requests += 1;
                    sum.bytes += span.bytes as f64;
                }
                for part in self.parts(&range).filter(|part| kept.insert(*part)) {
                    requests += 1;
                    sum.bytes += self.bytes_of(part) as f64;
                }
            }
            sum.requests += f64::from(requests);
            sum.rounds += f64::from(u8::from(requests > 0));
            for at in 0..pending.wanted().len() {
                let block = pending.wanted()[at];
                let bytes = usize::try_from(block.offset)
                    .ok()
                    .and_then(|from| self.index.reader().bytes().get(from..)?.get(..block.bytes as usize));
                self.index.feed(pending, at, bytes.unwrap_or_default())?;
            }
            if self.index.advance(pending)? {
                return Ok(());
            }
        }
    }
}

/// Up to where the package reads when it opens a file: its hot region, and the description if it is small and lies right behind
/// (`npm/src/lazy/header.ts`).
fn opened(header: &Header) -> u64 {
    let (hot, bytes) = header.superblock.hot;
    let mut end = hot.saturating_add(bytes).max(HEADER_BYTES as u64);
    if let Some(meta) = header.table(Kind::Meta, 0)
        && meta.offset < end.saturating_add(4096)
        && meta.end() - meta.offset < META_MAX
    {
        end = end.max(meta.end());
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::ops::ControlFlow;

    use nearshore_core::build::tiles::TileParams;
    use nearshore_core::build::{BuildParams, Input, build};
    use nearshore_core::distance::Kernels;
    use nearshore_core::format::{Element, Metric};
    use nearshore_core::seed::SplitMix;
    use nearshore_core::vectors::Vectors;

    const ROWS: usize = 1500;
    const DIMENSIONS: usize = 256;

    fn setting(probes: usize, rerank: usize) -> SearchParams {
        let mut params = SearchParams::default();
        (params.probes, params.rerank) = (Some(probes), Some(rerank));
        params
    }

    fn file() -> File {
        let mut random = SplitMix::new(3);
        let rows: Vec<f32> = (0..ROWS * DIMENSIONS).map(|_| random.below(2000) as f32 / 1000.0 - 1.0).collect();
        let vectors = Vectors::packed(Element::F32, DIMENSIONS, bytemuck::cast_slice(&rows)).expect("whole rows");
        let input = Input { vectors, ids: None, payloads: None };
        let pool = crate::Pool::new(2).expect("threads");
        let go_on = &mut |_, _, _| ControlFlow::Continue(());
        let params = BuildParams::new(Metric::L2);
        let (bytes, _) = build::<_, Vec<u8>>(&input, &params, &pool, Kernels::best(), go_on, Vec::new()).expect("sound rows");
        let index = Index::open(bytes).expect("a sound file");
        let tiles = index.write_tiles(&TileParams::default(), &pool, &mut |_, _, _| ControlFlow::Continue(()), Vec::new());
        let mut file = tempfile::tempfile().expect("room");
        file.write_all(&tiles.expect("sound rows").0).expect("room");
        file
    }

    #[test]
    fn wide_searches_fetch_every_block_and_narrow_ones_less() {
        let file = file();
        let hosted = Hosted::new(&file, Path::new("x.shore"), None).expect("a sound file");
        let wide = hosted.fetches(&setting(1 << 20, 1 << 20)).expect("sound blocks");
        // All codes in one run, then all records in another.
        let header = hosted.index.reader().header();
        let all = [Kind::CodesTiles, Kind::Records]
            .map(|kind| header.table(kind, 0).expect("a table"))
            .iter()
            .map(|table| table.end() - table.offset)
            .sum::<u64>();
        assert_eq!(wide, Fetches { queries: QUERIES, rounds: 2.0, requests: 2.0, bytes: all as f64 });
        let narrow = hosted.fetches(&setting(2, 10)).expect("sound blocks");
        assert_eq!((narrow.rounds, narrow.queries), (2.0, QUERIES));
        assert!(narrow.bytes < wide.bytes / 4.0 && (2.0..=12.0 + 1.0).contains(&narrow.requests), "{narrow:?}");
    }

    #[test]
    fn a_file_in_parts_costs_the_parts_that_opening_did_not_bring() {
        let file = file();
        let bytes = file.metadata().expect("a file").len();
        let part = 128 << 10;
        let hosted = Hosted::new(&file, Path::new("x.shore"), Some(part)).expect("a sound file");
        let opening = hosted.opening();
        assert_eq!(opening, Opening { requests: 1, bytes: part });
        let wide = hosted.fetches(&setting(1 << 20, 1 << 20)).expect("sound blocks");
        // Codes and records end before the last part, which has the table of ids alone.
        let parts = bytes.div_ceil(part) - 2;
        assert_eq!((wide.requests, wide.bytes), (parts as f64, (parts * part) as f64));
        let whole = Hosted::new(&file, Path::new("x.shore"), Some(bytes)).expect("a sound file");
        assert_eq!(whole.opening(), Opening { requests: 1, bytes });
        let none = Fetches { queries: QUERIES, ..Fetches::default() };
        assert_eq!(whole.fetches(&setting(2, 10)).expect("sound blocks"), none);
    }
}
