//! Searches that wait for blocks: no byte is read here that was not handed over.
//!
//! [`Index::start`] says which blocks are wanted, [`Index::feed`] takes them in any order, [`Index::advance`] goes on once all have come.
//! A search of tiles has two rounds that depend on each other: codes of the tiles near the query, records of the best rows in them; one
//! more where originals rank, and one where payloads are asked for. Hits are a function of file, query and parameters: a round ends with
//! the same state in whichever order its blocks came.

use super::pending_hits::{rank, take_payload};
use super::rank::Exact;
use super::tiles::Tiles;
use super::{Index, Loaded};
use crate::error::Corrupt;
use crate::format::{Kind, Metric, Plan, Reader, Refine, Table, block_check};
use crate::graph::Neighbor;
#[cfg(feature = "codes")]
use crate::quant::record::DUPLICATE_FOLLOWS;
use crate::quant::signs::{BLOCK_SLOTS, UNUSED};
use crate::quant::tile::TileLayout;
#[cfg(feature = "codes")]
use crate::search::Layout;
use crate::search::doubt::keep_in_doubt;
#[cfg(feature = "among")]
use crate::search::doubt::keep_not_beyond;
use crate::search::pending::{Block, Candidate, Pending, Stage};
use crate::search::quality::TileSetting;
use crate::search::{Hit, Scratch, SearchError, SearchParams, Stats};
use crate::sort;
use crate::vectors::Query;

/// Entries of a pool for each candidate that is wanted: a row stands in at most as many tiles.
pub(super) const COPIES: usize = 3;

impl<B: AsRef<[u8]>> Index<B> {
    /// Opens by the first bytes of a file of `file_bytes`: its header and its hot region. What lies beyond is for [`Index::start`] to ask
    /// for; other searches find it missing.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn open_prefix(bytes: B, file_bytes: u64) -> Result<Self, crate::error::OpenError> {
        Self::with_reader(Reader::open_prefix(bytes, file_bytes)?)
    }

    /// Begins a search whose blocks are fetched: codes and records of a search of tiles, records of a walk that is guided by codes, and codes and
    /// edges, and records of exact duplicates, where they are not at hand (`Index::with_at_hand`); all records of a scan where these are not, some
    /// thousand rows a round. Whatever else it reads is read at once, in the bytes of the file: layers above the base, tombstones; scans of records
    /// that are at hand, and walks by records, as a whole.
    ///
    /// # Errors
    /// As [`Index::search`].
    pub fn start(&self, query: Query<'_>, params: &SearchParams, pending: &mut Pending) -> Result<(), SearchError> {
        pending.reset(params);
        let plan = params.plan.unwrap_or(self.plan());
        #[cfg(feature = "codes")]
        {
            if plan == Plan::Walk && params.layout == Layout::Lean && self.walks_by_codes(self.loaded()?)? {
                let (loaded, refine) = self.begin(query, params, &mut pending.scratch, &mut pending.hits)?;
                pending.originals = refine == Refine::Originals;
                return self.start_walk(loaded, pending);
            }
        }
        #[cfg(all(feature = "codes", feature = "among"))]
        if plan == Plan::Scan && !self.is_at_hand(Kind::Records) {
            let (_, refine) = self.begin(query, params, &mut pending.scratch, &mut pending.hits)?;
            pending.originals = refine == Refine::Originals;
            return Ok(self.want_all(pending)?);
        }
        if plan != Plan::Tiles {
            #[cfg(feature = "whole")]
            return self.at_once(pending, |scratch, hits| self.search(query, params, scratch, hits));
            #[cfg(not(feature = "whole"))]
            return Err(SearchError::Unsupported { lacks: "is searched here by its tiles alone" });
        }
        let (loaded, refine) = self.begin(query, params, &mut pending.scratch, &mut pending.hits)?;
        pending.originals = refine == Refine::Originals;
        let tiles = self.tiles(loaded)?;
        let setting = TileSetting::choose(params, &loaded.quality);
        self.prepare_tiles(loaded, &setting, pending);
        self.probe(loaded, setting.probes.clamp(1, tiles.count().max(1)), pending)
    }

    /// A search that does not wait.
    #[cfg(feature = "whole")]
    pub(super) fn at_once(
        &self,
        pending: &mut Pending,
        search: impl FnOnce(&mut Scratch, &mut alloc::vec::Vec<Hit>) -> Result<Stats, SearchError>,
    ) -> Result<(), SearchError> {
        pending.stats = search(&mut pending.scratch, &mut pending.hits)?;
        if pending.with_payloads {
            pending.payloads.resize_with(pending.hits.len(), alloc::vec::Vec::new);
            let mut pairs = pending.hits.iter().zip(&mut pending.payloads);
            pairs.try_for_each(|(hit, payload)| self.payload(hit.row, payload))?;
        }
        Ok(())
    }

    /// Gets ready to judge codes of tiles.
    pub(super) fn prepare_tiles(&self, loaded: &Loaded, setting: &TileSetting, pending: &mut Pending) {
        pending.stats.ef = setting.rerank as u64;
        pending.params.rerank = Some(setting.rerank.max(pending.params.k).min(self.len().max(1)));
        pending.signs.prepare(&loaded.space, self.kernels, &loaded.rotation, &pending.scratch.query);
        pending.found.reset(pending.params.rerank.unwrap_or(1).saturating_mul(COPIES));
        pending.probed = 0;
    }

    /// Takes the bytes of block `at` of [`Pending::wanted`], in any order. One that came before is not looked at again; one that was refused
    /// is awaited still.
    ///
    /// # Errors
    /// Bytes that are not that block: too few, damaged, or of another file.
    ///
    /// # Panics
    /// If there is no such block.
    pub fn feed(&self, pending: &mut Pending, at: usize, bytes: &[u8]) -> Result<(), SearchError> {
        let wanted = pending.wanted[at];
        if pending.came[at] {
            return Ok(());
        }
        let rows = self.checked(wanted, bytes)?;
        self.take(pending, at, rows)
    }

    /// What a block that came has before its check, which holds.
    pub(super) fn checked<'b>(&self, wanted: Block, bytes: &'b [u8]) -> Result<&'b [u8], Corrupt> {
        let table = &self.reader.header().tables[wanted.table as usize];
        let bad = |what| Corrupt { section: table.kind, instance: table.instance, block: wanted.block, what };
        let (rows, check) =
            bytes.split_last_chunk::<8>().filter(|_| bytes.len() == wanted.bytes as usize).ok_or(bad("block of another length"))?;
        let build_id = self.reader.header().superblock.build_id;
        if block_check(build_id, table.kind, table.instance, wanted.block, rows) != u64::from_le_bytes(*check) {
            return Err(bad("checksum mismatch"));
        }
        Ok(rows)
    }

    /// Goes on once every wanted block was fed; before that, nothing happens. True when the hits are there, else [`Pending::wanted`] has the next
    /// round.
    ///
    /// # Errors
    /// What is damaged in the blocks that came.
    pub fn advance(&self, pending: &mut Pending) -> Result<bool, SearchError> {
        if pending.awaited > 0 {
            return Ok(false);
        }
        let loaded = self.loaded()?;
        match pending.stage {
            Stage::Codes => self.end_codes(loaded, pending)?,
            #[cfg(feature = "codes")]
            Stage::Graph => self.fetch_on(loaded, pending)?,
            #[cfg(feature = "codes")]
            Stage::Tombstones => self.want_found(loaded, pending)?,
            #[cfg(feature = "codes")]
            Stage::Duplicates => self.end_ranking(loaded, pending)?,
            Stage::Records => self.end_records(loaded, pending)?,
            Stage::Originals => self.end_ranking(loaded, pending)?,
            Stage::Payloads => {
                pending.clear_round();
                pending.stage = Stage::Done;
            }
            Stage::Done => {}
        }
        if pending.awaited == 0 && pending.stage != Stage::Done {
            return self.advance(pending); // A round of no blocks.
        }
        Ok(pending.stage == Stage::Done)
    }

    /// Ends a search whose blocks have not all come: the hits of one of tiles are those candidates whose records have, none while codes are
    /// awaited, which have no ids; a walk has none. A search that is done stays as it is.
    pub fn cut(&self, pending: &mut Pending) {
        #[cfg(feature = "codes")]
        let walks = pending.walk.is_some();
        #[cfg(not(feature = "codes"))]
        let walks = false;
        match pending.stage {
            Stage::Records | Stage::Originals if !walks => {
                pending.candidates.retain(|candidate| candidate.near.distance.is_finite());
                #[cfg(feature = "among")]
                pending.candidates.append(&mut pending.kept);
                rank(pending);
            }
            Stage::Payloads => pending.payloads.clear(), // of some only a part may have come
            _ => {}
        }
        pending.clear_round();
        pending.stage = Stage::Done;
    }

    /// A search of tiles in bytes that are all at hand.
    pub(super) fn search_tiles(
        &self,
        query: Query<'_>,
        params: &SearchParams,
        #[cfg(feature = "among")] rows: Option<&crate::filter::RowSet>,
        scratch: &mut Scratch,
        hits: &mut alloc::vec::Vec<Hit>,
    ) -> Result<Stats, SearchError> {
        let mut pending = scratch.pending.take().unwrap_or_default();
        #[cfg(feature = "among")]
        let started = match rows {
            Some(rows) => self.start_where(query, params, rows, &mut pending),
            None => self.start(query, params, &mut pending),
        };
        #[cfg(not(feature = "among"))]
        let started = self.start(query, params, &mut pending);
        let done = started.and_then(|()| self.run(&mut pending));
        hits.clear();
        hits.extend_from_slice(&pending.hits);
        let stats = pending.stats;
        scratch.pending = Some(pending);
        done.map(|()| stats)
    }

    fn run(&self, pending: &mut Pending) -> Result<(), SearchError> {
        loop {
            for at in 0..pending.wanted.len() {
                let Block { table, block, .. } = pending.wanted[at];
                if let Some(section) = self.reader.section_at(table as usize) {
                    self.take(pending, at, section.verified_block(block)?)?;
                }
            }
            if self.advance(pending)? {
                return Ok(());
            }
        }
    }

    /// The table of a kind, and its place in the directory.
    pub(super) fn table(&self, kind: Kind) -> Option<(u32, &Table)> {
        let mut tables = (0..).zip(&self.reader.header().tables);
        tables.find(|(_, table)| table.kind == kind as u16 && table.instance == 0)
    }

    /// Wants the block, unless it is the one that was wanted last.
    pub(super) fn want(pending: &mut Pending, (place, table): (u32, &Table), block: u64) {
        if pending.wanted.last().is_none_or(|last| (last.table, last.block) != (place, block)) {
            let offset = table.block_offset(block);
            pending.wanted.push(Block { table: place, block, offset, bytes: table.block_bytes });
        }
    }

    /// Wants the codes of the nearest tiles, up to `probes`, that were not wanted before.
    fn probe(&self, loaded: &Loaded, probes: usize, pending: &mut Pending) -> Result<(), SearchError> {
        let tiles = self.tiles(loaded)?;
        let Pending { scratch: Scratch { query, buffers, distances, found, .. }, tiles: nearest, .. } = pending;
        nearest.reset(probes);
        tiles.route(query, buffers, distances, &mut |near| {
            nearest.insert(near.key());
        })?;
        found.clear();
        found.extend(nearest.iter().skip(pending.probed));
        pending.probed = pending.tiles.len();
        pending.stats.distances += tiles.count() as u64;
        self.want_codes(&tiles, pending)
    }

    /// Wants the codes of the tiles that were found.
    pub(super) fn want_codes(&self, tiles: &Tiles<'_>, pending: &mut Pending) -> Result<(), SearchError> {
        pending.clear_round();
        // In the order of the file, each with the distance of its centroid.
        let mut near = core::mem::take(&mut pending.scratch.found);
        sort::by_key(&mut near, |near| near.node);
        pending.stats.hops = pending.probed as u64;
        let table = self.table(Kind::CodesTiles).unwrap_or((0, tiles.codes.table()));
        let mut next = 0;
        for tile in &near {
            let (first, blocks) = tiles.blocks(tile.node)?;
            if first < next {
                // Else a small file could want any number of blocks.
                return Err(tiles.overlap(tile.node).into());
            }
            next = first + blocks;
            // How many there are is what the header says; the file may be on a host.
            let (wanted, bases) = (&mut pending.wanted, &mut pending.bases);
            let count = usize::try_from(blocks).unwrap_or(usize::MAX);
            if wanted.try_reserve(count).and_then(|()| bases.try_reserve(count)).is_err() {
                return Err(tiles.too_large(tile.node).into());
            }
            for block in first..first + blocks {
                Self::want(pending, table, block);
                pending.bases.resize(pending.wanted.len(), tile.distance);
            }
        }
        pending.scratch.found = near;
        pending.await_round(Stage::Codes);
        Ok(())
    }

    /// Takes the rows of a block whose check holds.
    fn take(&self, pending: &mut Pending, at: usize, rows: &[u8]) -> Result<(), SearchError> {
        let wanted = pending.wanted[at];
        let table = &self.reader.header().tables[wanted.table as usize];
        let loaded = self.loaded()?;
        let bad = |what| Corrupt { section: table.kind, instance: table.instance, block: wanted.block, what };
        match pending.stage {
            Stage::Codes => {
                let layout = TileLayout::new(self.dimensions());
                let (base, mut distances) = (pending.bases.get(at).copied().unwrap_or(0.0), [0.0; BLOCK_SLOTS]);
                layout.estimate(self.kernels, &pending.signs, base, rows, &mut pending.wide, &mut distances);
                for (&slot, distance) in TileLayout::slots_of(rows).iter().zip(distances) {
                    let node = u32::from_le_bytes(slot);
                    if slot == UNUSED || !pending.takes(node) {
                        continue;
                    }
                    if node as usize >= self.len() {
                        return Err(bad("a row beyond the last one").into());
                    }
                    if !distance.is_finite() {
                        return Err(bad("a factor is not a finite number, or too large").into());
                    }
                    pending.stats.distances += 1;
                    pending.found.insert(Neighbor { distance, node }.key());
                }
            }
            Stage::Records | Stage::Originals => {
                let block_of = |candidate: &Candidate| table.block_of(candidate.near.node.into());
                let from = pending.candidates.partition_point(|candidate| block_of(candidate) < wanted.block);
                let stride = table.stride as usize;
                #[cfg(feature = "codes")]
                let mut duplicate_here = false;
                for candidate in pending.candidates[from..].iter_mut().take_while(|candidate| block_of(candidate) == wanted.block) {
                    let row = (u64::from(candidate.near.node) - wanted.block * u64::from(table.block_rows)) as usize;
                    let bytes =
                        rows.get(row * stride..).and_then(|rest| rest.get(..stride)).ok_or(bad("row beyond the end of the block"))?;
                    let distance = &mut candidate.near.distance;
                    let query = &pending.scratch.query;
                    if pending.stage == Stage::Records {
                        let layout = loaded.space.layout;
                        candidate.factors = layout.factors(bytes);
                        *distance = loaded.space.distance(query, &candidate.factors, loaded.space.dot(self.kernels, query, bytes));
                        (candidate.id, candidate.payload) = (layout.id(bytes), layout.payload(bytes));
                        #[cfg(feature = "codes")]
                        {
                            duplicate_here |= candidate.factors.flags & DUPLICATE_FOLLOWS != 0 && row + 1 < table.block_rows as usize;
                        }
                    } else {
                        let row_sq = if self.metric() == Metric::Cosine { candidate.factors.length_sq } else { 0.0 };
                        let exact = Exact { kernels: self.kernels, metric: self.metric(), element: self.element() };
                        *distance = exact.distance(&query.full, query.length_sq, bytes, row_sq, &mut pending.scratch.vector);
                    }
                    if !distance.is_finite() {
                        return Err(bad("a distance that is not a finite number").into());
                    }
                    pending.stats.distances += 1;
                }
                #[cfg(feature = "codes")]
                if duplicate_here && pending.walk.is_some() && !self.is_at_hand(Kind::Records) {
                    // Where there is no room it is asked for again.
                    let _ = pending.twins.put(wanted.offset, rows);
                }
            }
            #[cfg(feature = "codes")]
            Stage::Graph | Stage::Tombstones | Stage::Duplicates => {
                let held = if pending.stage == Stage::Graph { &mut pending.held } else { &mut pending.twins };
                if !held.put(wanted.offset, rows) {
                    return Err(bad("block larger than memory").into());
                }
            }
            Stage::Payloads => take_payload(pending, table, wanted.block, rows).map_err(bad)?,
            Stage::Done => {}
        }
        pending.came[at] = true;
        pending.awaited -= 1;
        Ok(())
    }

    /// The best estimates become candidates, whose records are wanted.
    fn end_codes(&self, loaded: &Loaded, pending: &mut Pending) -> Result<(), SearchError> {
        let most = pending.params.rerank.unwrap_or(1);
        let best = &mut pending.scratch.found;
        best.clear();
        best.extend(pending.found.iter());
        // Of the copies of a row the nearest one stays.
        sort::by_key(best, |near| (near.node, near.key()));
        best.dedup_by_key(|near| near.node);
        crate::graph::sort(best);
        best.truncate(most);
        #[cfg(feature = "among")]
        if let Some((_, matching)) = pending.among {
            if best.len() < pending.params.k.min(matching) {
                // Their own tiles do not have them: a file whose tiles are not what it says.
                return Ok(self.want_all(pending)?);
            }
            self.want_best(pending);
            return Ok(());
        }
        let tiles = self.tiles(loaded)?.count();
        if best.len() < pending.params.k.min(self.len()) && pending.probed < tiles {
            return self.probe(loaded, pending.probed.saturating_mul(2).min(tiles), pending);
        }
        self.want_best(pending);
        Ok(())
    }

    /// Wants the records of the rows that were found.
    fn want_best(&self, pending: &mut Pending) {
        pending.candidates.clear();
        pending.candidates.extend(pending.scratch.found.iter().map(|near| Candidate::row(near.node)));
        self.want_rows(Kind::Records, Stage::Records, pending);
    }

    /// Wants the candidates' rows of a table.
    pub(super) fn want_rows(&self, kind: Kind, stage: Stage, pending: &mut Pending) {
        pending.clear_round();
        sort::by_key(&mut pending.candidates, |candidate| candidate.near.node);
        if let Some(table) = self.table(kind) {
            for at in 0..pending.candidates.len() {
                let block = table.1.block_of(pending.candidates[at].near.node.into());
                Self::want(pending, table, block);
            }
        }
        pending.await_round(stage);
    }

    fn end_records(&self, loaded: &Loaded, pending: &mut Pending) -> Result<(), SearchError> {
        if !pending.originals {
            return self.end_ranking(loaded, pending);
        }
        let found = &mut pending.scratch.found;
        found.clear();
        found.extend(pending.candidates.iter().map(|candidate| candidate.near));
        crate::graph::sort(found);
        let candidates = &pending.candidates;
        let place = |row| candidates.partition_point(|candidate| candidate.near.node < row);
        #[cfg(feature = "among")]
        let scans = pending.scans;
        #[cfg(not(feature = "among"))]
        let scans = false;
        if scans {
            #[cfg(feature = "among")]
            {
                let known = pending.kept.get(pending.params.k.wrapping_sub(1)).map(|last| last.near.distance);
                let factors = |near: &Neighbor| candidates[place(near.node)].factors;
                keep_not_beyond(&loaded.space, &pending.scratch.query, found, pending.params.k, known, &factors);
            }
        } else if pending.in_doubt {
            let (space, query) = (&loaded.space, &pending.scratch.query);
            keep_in_doubt::<Corrupt>(found, pending.params.k, pending.params.k, &|near| {
                Ok(space.tolerance(query, &candidates[place(near.node)].factors, near.distance))
            })?;
        }
        sort::by_key(found, |near| near.node);
        pending.candidates.retain(|candidate| found.binary_search_by_key(&candidate.near.node, |near| near.node).is_ok());
        self.want_rows(Kind::Originals, Stage::Originals, pending);
        Ok(())
    }

    /// Candidates become hits, whose payloads are wanted where they were asked for.
    fn end_ranking(&self, loaded: &Loaded, pending: &mut Pending) -> Result<(), SearchError> {
        #[cfg(feature = "codes")]
        if let Some(walking) = pending.walk
            && !self.end_walk(loaded, walking, pending)?
        {
            return Ok(());
        }
        #[cfg(not(feature = "codes"))]
        let _ = loaded;
        #[cfg(feature = "among")]
        if self.scan_on(pending)? {
            return Ok(());
        }
        rank(pending);
        let candidates = &pending.candidates;
        let place = |row: u32| candidates.partition_point(|candidate| candidate.near.node < row);
        pending.places.clear();
        pending.places.extend(pending.hits.iter().map(|hit| candidates[place(hit.row)].payload));
        pending.clear_round();
        if let Some((number, table)) = self.table(Kind::Payload).filter(|_| pending.with_payloads) {
            pending.payloads.resize_with(pending.hits.len(), alloc::vec::Vec::new);
            let mut blocks: alloc::vec::Vec<u64> = alloc::vec::Vec::new();
            for &(offset, length) in &pending.places {
                if length == 0 {
                    continue;
                }
                if offset.checked_add(length.into()).is_none_or(|end| end > table.rows) {
                    let block = table.block_of(offset).min(table.blocks());
                    return Err(Corrupt { section: table.kind, instance: 0, block, what: "range beyond the end of the blob" }.into());
                }
                blocks.extend(table.block_of(offset)..=table.block_of(offset + u64::from(length) - 1));
            }
            sort::by_key(&mut blocks, |block| *block);
            blocks.into_iter().for_each(|block| Self::want(pending, (number, table), block));
            pending.await_round(Stage::Payloads);
        } else {
            pending.stage = Stage::Done;
        }
        Ok(())
    }
}
