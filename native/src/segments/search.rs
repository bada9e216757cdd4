//! One query, several files: each is asked, and the nearest of all hits are kept.

use nearshore_core::filter::RowSet;
use nearshore_core::index::Index;
use nearshore_core::search::{self, Scratch, SearchError, SearchParams, Stats};
use nearshore_core::vectors::Query;

/// A row that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// The user's id.
    pub id: u64,
    /// Distance from the query; smaller is nearer.
    pub distance: f32,
    /// The segment that has it.
    pub segment: usize,
    /// Its row there.
    pub row: u32,
}

/// What one search came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Nearest first, ties by the smaller id.
    pub hits: Vec<Hit>,
    /// Distances and hops of all segments; the largest effort of any.
    pub stats: Stats,
}

/// Buffers of a search, one a thread.
#[derive(Debug, Default)]
pub struct Work {
    scratch: Scratch,
    hits: Vec<search::Hit>,
}

impl Answer {
    /// Adds what was found in `segment`, and keeps the `k` nearest of all.
    pub fn add(&mut self, segment: usize, hits: &[search::Hit], stats: &Stats, k: usize) {
        let hit = |hit: &search::Hit| Hit { id: hit.id, distance: hit.distance, segment, row: hit.row };
        self.hits.extend(hits.iter().map(hit));
        self.hits.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.id.cmp(&b.id)));
        self.hits.truncate(k);
        self.stats.distances += stats.distances;
        self.stats.hops += stats.hops;
        self.stats.ef = self.stats.ef.max(stats.ef);
    }
}

/// Asks every index for the nearest rows, among those of `only` where that is said: a set for each index.
///
/// # Errors
/// The first index that fails.
pub(crate) fn search_each<'a, B: AsRef<[u8]> + 'a>(
    indexes: impl Iterator<Item = &'a Index<B>>,
    query: Query<'_>,
    params: &SearchParams,
    only: Option<&[RowSet]>,
    work: &mut Work,
    answer: &mut Answer,
) -> Result<(), (usize, SearchError)> {
    answer.hits.clear();
    answer.stats = Stats::default();
    for (segment, index) in indexes.enumerate() {
        let stats = work.search(index, query, params, only.and_then(|only| only.get(segment)));
        answer.add(segment, &work.hits, &stats.map_err(|error| (segment, error))?, params.k);
    }
    Ok(())
}

impl Work {
    /// Asks one index.
    pub(super) fn search<B: AsRef<[u8]>>(
        &mut self,
        index: &Index<B>,
        query: Query<'_>,
        params: &SearchParams,
        only: Option<&RowSet>,
    ) -> Result<Stats, SearchError> {
        match only {
            Some(rows) => index.search_where(query, params, rows, &mut self.scratch, &mut self.hits),
            None => index.search(query, params, &mut self.scratch, &mut self.hits),
        }
    }

    /// What was found.
    pub(super) fn hits(&self) -> &[search::Hit] {
        &self.hits
    }
}
