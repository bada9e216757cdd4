//! Searches of tiles among the rows that a filter selected.
//!
//! Which rows match is known, and which rows are a tile's own: so before a block is fetched it is known how many matching rows each tile
//! has, and a tile that has none is passed over. The nearest tiles are probed until enough rows that match lie in them, all in one round;
//! where that would cost more than to fetch the records of all rows that match, those are fetched, and the answer is exact.
//!
//! Of `n` rows `m` match. Where they lie anywhere, the nearest of them lie among `n / m` times as many of the nearest rows, which fill fewer
//! than `n / m` times as many tiles, for a tile that is near holds some of them: the rows to be seen shrink as the root of `m / n` only
//! (measured: docs/research/filters.md).

use super::{Index, Loaded};
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
    /// As [`Index::start`], among `rows`, in tiles: as many hits as are wanted, or all of them where they are fewer. By the plan
    /// [`Plan::Scan`] the records of all of them are fetched.
    ///
    /// # Errors
    /// As [`Index::search`], and a set that was made for another file. Walks among rows do not wait.
    pub fn start_where(&self, query: Query<'_>, params: &SearchParams, rows: &RowSet, pending: &mut Pending) -> Result<(), SearchError> {
        pending.reset(params);
        self.demand_own(rows)?;
        let plan = params.plan.unwrap_or(self.plan());
        if plan == Plan::Walk {
            return Err(SearchError::Unsupported { lacks: "is walked among rows only where all of it is at hand" });
        }
        let (loaded, refine) = self.begin(query, params, &mut pending.scratch, &mut pending.hits)?;
        pending.originals = refine == Refine::Originals;
        pending.among = Some((rows.rows.clone(), rows.len()));
        if plan == Plan::Scan || rows.len() <= params.k {
            self.want_all(pending);
            return Ok(());
        }
        self.probe_where(loaded, rows, pending)
    }

    /// Wants the records of all rows that match.
    pub(super) fn want_all(&self, pending: &mut Pending) {
        pending.stats.ef = 0;
        let Pending { among, candidates, .. } = &mut *pending;
        candidates.clear();
        candidates.extend(among.iter().flat_map(|(rows, _)| rows.iter()).map(Candidate::row));
        self.want_rows(Kind::Records, Stage::Records, pending);
    }

    /// Wants the codes of the nearest tiles that have enough of the rows, or the records of all where that costs less.
    fn probe_where(&self, loaded: &Loaded, rows: &RowSet, pending: &mut Pending) -> Result<(), SearchError> {
        let params = pending.params;
        let tiles = self.tiles(loaded)?;
        let setting = TileSetting::choose(&params, &loaded.quality);
        self.prepare_tiles(loaded, &setting, pending);
        let candidates = pending.params.rerank.unwrap_or(1);
        let probes = setting.probes.max(1);
        let root = (self.len() as u64 * rows.len() as u64).isqrt() as usize;
        let wanted = match params.probes {
            Some(_) => params.k,
            None => (candidates.saturating_mul(ROWS_A_CANDIDATE)).max(probes.saturating_mul(root) / tiles.count().max(1)),
        };
        let Pending { scratch: Scratch { query, buffers, distances, found, .. }, .. } = pending;
        found.clear();
        tiles.route(query, buffers, distances, &mut |near| found.push(near))?;
        pending.stats.distances += tiles.count() as u64;
        crate::graph::sort(found);
        let (mut kept, mut seen) = (0, 0);
        for at in 0..found.len() {
            // Where most tiles near the query are passed over, those that have matching rows are far, and all about as far: more of them are
            // worth a look, by the root of how many were passed over for each.
            let far = if params.probes.is_none() { at.max(1) } else { kept.max(1) };
            if seen >= wanted.min(rows.len())
                && (kept as u64).saturating_pow(3) >= (probes as u64).saturating_pow(2).saturating_mul(far as u64)
            {
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
        let record = self.table(Kind::Records).map_or(0, |(_, table)| u64::from(table.block_bytes)) + REQUEST_BYTES;
        let by_tiles = kept as u64 * (tiles.mean_bytes() + REQUEST_BYTES) + candidates as u64 * record;
        if params.plan.is_none() && rows.len() as u64 * record <= by_tiles {
            self.want_all(pending);
            return Ok(());
        }
        pending.probed = kept;
        self.want_codes(&tiles, pending)
    }
}
