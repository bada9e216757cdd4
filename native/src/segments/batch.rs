//! Many queries: every segment of every query is a piece of work that any thread takes.

use std::ops::Range;

use nearshore_core::filter::RowSet;
use nearshore_core::par::Par;
use nearshore_core::search::{Hit, SearchError, SearchParams, Stats};

use super::search::{Answer, Work};
use super::{SegmentError, Segments};
use crate::batch::in_groups;
use crate::queries::Queries;

/// One query in one segment.
type Found = Result<(Vec<Hit>, Stats), SearchError>;

impl Segments {
    /// Searches for the queries `which`, among `only` the rows that [`Segments::select`] selected where that is said, by the threads of `par`: the
    /// answers are those of [`Segments::search`], whatever their number.
    ///
    /// Memory: `k` hits of each query and segment.
    pub fn search_batch(
        &self,
        queries: &Queries,
        which: Range<usize>,
        params: &SearchParams,
        only: Option<&[RowSet]>,
        par: &impl Par,
    ) -> Vec<Result<Answer, SegmentError<SearchError>>> {
        let count = self.segments.len();
        let which = which.start.min(queries.len())..which.end.min(queries.len());
        let mut found: Vec<Found> = (0..which.len() * count).map(|_| Ok((Vec::new(), Stats::default()))).collect();
        let mut workers: Vec<Work> = (0..par.threads()).map(|_| Work::default()).collect();
        in_groups(&mut found, &mut workers, par, |first, found, work| {
            for (at, found) in (first..).zip(found) {
                let (query, segment) = (queries.get(which.start + at / count), at % count);
                let only = only.and_then(|only| only.get(segment));
                let stats = work.search(&self.segments[segment].index, query, params, only);
                *found = stats.map(|stats| (work.hits().to_vec(), stats));
            }
        });
        found.chunks(count).map(|found| merge(found, params.k)).collect()
    }
}

/// The answer of a query from those of the segments, or the error of the first that failed.
fn merge(found: &[Found], k: usize) -> Result<Answer, SegmentError<SearchError>> {
    let mut answer = Answer::default();
    for (segment, found) in found.iter().enumerate() {
        let (hits, stats) = found.as_ref().map_err(|error| SegmentError { segment, error: *error })?;
        answer.add(segment, hits, stats, k);
    }
    Ok(answer)
}
