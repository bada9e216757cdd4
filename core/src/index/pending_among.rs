//! Searches among the rows that a filter selected, which wait for blocks: of tiles here, walks in [`super::pending_walk`].
//!
//! Which rows match is known, and which rows are a tile's own: so before a block is fetched it is known how many matching rows each tile
//! has, and a tile that has none is passed over. The nearest tiles are probed until enough rows that match lie in them, all in one round;
//! where that would cost more than to fetch the records of all rows that match, those are fetched, and the answer is exact: some thousand rows
//! a round, of which the best are kept, so that a scan takes as much memory among a hundred million rows as among a few thousand.

use super::pending::COPIES;
#[cfg(feature = "codes")]
use super::rank::is_deleted;
use super::{Index, Loaded};
use crate::error::Corrupt;
use crate::filter::RowSet;
use crate::format::{Kind, Plan, Refine};
use crate::search::pending::{Candidate, Pending, Stage};
use crate::search::quality::TileSetting;
use crate::search::{Scratch, SearchError, SearchParams};
use crate::vectors::Query;

/// Bytes that a request costs beside what it brings: headers and framing on a network, half a page on a disk.
const REQUEST_BYTES: u64 = 2048;

/// Matching rows to be seen for each candidate whose record is read, at least: of fewer the best are too often not those that are near.
const ROWS_A_CANDIDATE: usize = 4;

impl<B: AsRef<[u8]>> Index<B> {
    /// As [`Index::start`], among `rows`: as many hits as are wanted, or all of them where they are fewer. A scan, by the plan [`Plan::Scan`] or
    /// where [`Index::search_where`] has one, fetches the records of all of them; where originals rank it counts other distances than that.
    ///
    /// # Errors
    /// As [`Index::search`], and a set that was made for another file. A walk that is guided by codes has to have codes and edges at hand.
    pub fn start_where(&self, query: Query<'_>, params: &SearchParams, rows: &RowSet, pending: &mut Pending) -> Result<(), SearchError> {
        pending.reset(params);
        self.demand_own(rows)?;
        let plan = params.plan.unwrap_or(self.plan());
        #[cfg(feature = "codes")]
        if plan == Plan::Walk && !self.walks_by_codes(self.loaded()?)? {
            return self.at_once(pending, |scratch, hits| self.search_where(query, params, rows, scratch, hits));
        }
        let (loaded, refine) = self.begin(query, params, &mut pending.scratch, &mut pending.hits)?;
        pending.originals = refine == Refine::Originals;
        pending.among = Some((rows.rows.clone(), rows.len()));
        if plan == Plan::Scan || rows.len() <= params.k {
            return Ok(self.want_all(pending)?);
        }
        if plan == Plan::Walk {
            #[cfg(feature = "codes")]
            return self.start_walk_where(loaded, rows, pending);
            #[cfg(not(feature = "codes"))]
            return Err(SearchError::Unsupported { lacks: "is walked among rows only where all of it is at hand" });
        }
        self.probe_where(loaded, rows, pending)
    }

    /// Wants the records of all rows that may be hits, a window after the other.
    pub(super) fn want_all(&self, pending: &mut Pending) -> Result<(), Corrupt> {
        (pending.stats.ef, pending.scans) = (0, true);
        #[cfg(feature = "codes")]
        {
            pending.walk = None;
        }
        pending.kept.clear();
        self.want_window(0, pending)
    }

    /// Wants the records of the next rows that may be hits, from `first` on: of those that match, or else of all that live.
    fn want_window(&self, first: u32, pending: &mut Pending) -> Result<(), Corrupt> {
        let Pending { among, candidates, scan, .. } = &mut *pending;
        candidates.clear();
        if let Some((rows, _)) = among {
            candidates.extend(rows.iter_from(first).take(Pending::SCAN_ROWS).map(Candidate::row));
        } else {
            #[cfg(feature = "codes")]
            {
                let deleted = self.reader.section(Kind::Deleted, 0);
                let mut rows = first..self.len() as u32;
                while candidates.len() < Pending::SCAN_ROWS
                    && let Some(row) = rows.next()
                {
                    if !deleted.as_ref().map_or(Ok(false), |deleted| is_deleted(deleted, row))? {
                        candidates.push(Candidate::row(row));
                    }
                }
            }
        }
        *scan = candidates.last().filter(|_| candidates.len() == Pending::SCAN_ROWS).and_then(|last| last.near.node.checked_add(1));
        self.want_rows(Kind::Records, Stage::Records, pending);
        Ok(())
    }

    /// Of the candidates that were ranked and those kept before them the best stay. True when the next window is wanted; else they are all there are.
    pub(super) fn scan_on(&self, pending: &mut Pending) -> Result<bool, Corrupt> {
        if pending.scan.is_none() && pending.kept.is_empty() {
            return Ok(false);
        }
        keep_best(pending);
        let Some(first) = pending.scan else {
            core::mem::swap(&mut pending.candidates, &mut pending.kept);
            pending.kept.clear();
            crate::sort::by_key(&mut pending.candidates, |candidate| candidate.near.node);
            return Ok(false);
        };
        self.want_window(first, pending)?;
        Ok(true)
    }

    /// Wants the codes of the nearest tiles that have enough of the rows, or the records of all where that costs less.
    fn probe_where(&self, loaded: &Loaded, rows: &RowSet, pending: &mut Pending) -> Result<(), SearchError> {
        let params = pending.params;
        let tiles = self.tiles(loaded)?;
        let setting = TileSetting::choose(&params, &loaded.quality);
        self.prepare_tiles(loaded, &setting, pending);
        let candidates = pending.params.rerank.unwrap_or(1);
        let enough = Enough {
            probes: setting.probes.max(1),
            at_least: if params.probes.is_some() { params.k } else { candidates.saturating_mul(ROWS_A_CANDIDATE) },
            told: params.probes.is_some(),
            tiles: tiles.count(),
            all: self.len(),
            matching: rows.len(),
        };
        let Pending { scratch: Scratch { query, buffers, distances, found, .. }, .. } = pending;
        found.clear();
        tiles.route(query, buffers, distances, &mut |near| found.push(near))?;
        pending.stats.distances += tiles.count() as u64;
        crate::graph::sort(found);
        let (mut kept, mut seen) = (0, 0);
        for at in 0..found.len() {
            if enough.are(kept, at, seen) {
                break;
            }
            let own = tiles.own(found[at].node)?;
            let own = rows.rows.count_between(own.start, own.end);
            if own > 0 {
                found.swap(kept, at);
                (kept, seen) = (kept + 1, seen + own);
            }
        }
        found.truncate(kept);
        let candidates = if params.rerank.is_some() {
            candidates
        } else {
            // What is farther off is harder to tell apart by codes.
            let more = candidates.saturating_mul(kept) / enough.probes;
            more.clamp(candidates, candidates.max(rows.len()))
        };
        pending.params.rerank = Some(candidates);
        pending.found.reset(candidates.saturating_mul(COPIES));
        let record = self.table(Kind::Records).map_or(0, |(_, table)| u64::from(table.block_bytes)) + REQUEST_BYTES;
        let by_tiles = kept as u64 * (tiles.mean_bytes() + REQUEST_BYTES) + candidates as u64 * record;
        if params.plan.is_none() && rows.len() as u64 * record <= by_tiles {
            return Ok(self.want_all(pending)?);
        }
        pending.probed = kept;
        self.want_codes(&tiles, pending)
    }
}

/// Moves the candidates to those that are kept, of which as many stay as there may be hits: in the order of hits.
pub(super) fn keep_best(pending: &mut Pending) {
    let Pending { kept, candidates, params, .. } = pending;
    kept.append(candidates);
    crate::sort::by_key(kept, Candidate::order);
    kept.truncate(params.k);
}

/// When tiles enough have been found to be worth a look.
struct Enough {
    /// Tiles that a search of all rows would look at.
    probes: usize,
    /// Matching rows in them, whatever else.
    at_least: usize,
    /// Whether the caller said how many tiles.
    told: bool,
    tiles: usize,
    all: usize,
    matching: usize,
}

impl Enough {
    /// After `kept` tiles that have matching rows, `seen` in all, among the nearest `passed`.
    ///
    /// The nearest of few rows lie as far off as the last of many nearest, for which a search of all rows would look at more tiles: by measure,
    /// in proportion to rarity to the 0.6, so that the rows in them shrink as its 0.4. Where most tiles are passed over, what matches is far
    /// and all about as far; that asks for more tiles again (docs/research/filters.md, "In tiles").
    fn are(&self, kept: usize, passed: usize, seen: usize) -> bool {
        if seen < self.at_least.min(self.matching) {
            return false;
        }
        if self.told {
            return kept >= self.probes;
        }
        // Powers of whole numbers, so that every machine agrees.
        let fifth = |number: f64| number * number * number * number * number;
        let [probes, tiles, all, matching] = [self.probes, self.tiles, self.all, self.matching].map(|number| number as f64);
        let [kept, passed, seen_rows] = [kept.max(1), passed.max(1), seen].map(|number| number as f64);
        let rows = fifth(seen_rows * tiles) * kept >= fifth(probes) * (all * all * all) * (matching * matching) * passed;
        (rows || seen >= self.matching) && fifth(kept) >= (probes * probes * probes) * (passed * passed)
    }
}
