//! One query or many, on one thread or several.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use nearshore::filter::{Filter, RowSet, SelectError};
use nearshore::search::{Effort, SearchError, SearchParams};
use nearshore::vectors::Query;
use nearshore::{Driver, Pool, Selections};

use crate::abi::{Counters, Description, SearchOptions};
use crate::failure::Failure;

/// What a `nearshore_index` of C points to: an open file.
#[derive(Debug)]
pub struct Index {
    index: nearshore::Index,
    sets: Selections,
}

/// Numbers of queries, one query after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Numbers<'a> {
    F32(&'a [f32]),
    U8(&'a [u8]),
    I8(&'a [i8]),
}

/// Queries, all of one length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queries<'a> {
    pub(crate) dimensions: usize,
    pub(crate) numbers: Numbers<'a>,
}

/// Where the answer of one query goes: as many places for ids as for distances.
pub(crate) struct Answer<'a> {
    pub(crate) ids: &'a mut [u64],
    pub(crate) distances: &'a mut [f32],
    pub(crate) count: usize,
    pub(crate) cost: Counters,
}

impl<'a> Answer<'a> {
    /// One for every `k` places.
    pub(crate) fn places(ids: &'a mut [u64], distances: &'a mut [f32], k: usize) -> Vec<Self> {
        let both = ids.chunks_exact_mut(k.max(1)).zip(distances.chunks_exact_mut(k.max(1)));
        both.map(|(ids, distances)| Self { ids, distances, count: 0, cost: Counters::default() }).collect()
    }
}

impl Index {
    pub(crate) fn open(path: &Path, driver: Driver) -> Result<Self, Failure> {
        Ok(Self { index: nearshore::Index::open_with(path, driver)?, sets: Selections::default() })
    }

    pub(crate) fn describe(&self) -> Description {
        let index = &self.index;
        Description {
            rows: index.len() as u64,
            dimensions: index.dimensions(),
            metric: index.metric() as i32,
            element: index.element() as i32,
        }
    }

    /// The rows that a filter selects, given as text.
    pub(crate) fn select(&self, filter: &str) -> Result<Arc<RowSet>, Failure> {
        let refused = |error: &dyn Display| Failure::argument(format!("filter: {error}"));
        let filter = Filter::parse(filter).map_err(|error| refused(&error))?;
        self.sets.select(&self.index, &filter).map_err(|error| match error {
            SelectError::Corrupt(corrupt) => Failure::from(&SearchError::from(corrupt)),
            other => refused(&other),
        })
    }

    /// Answers query `q` in place `q` of `answers`, by rows of `only` where it is given.
    pub(crate) fn search(
        &self,
        queries: Queries<'_>,
        params: &SearchParams,
        only: Option<&RowSet>,
        threads: usize,
        answers: &mut [Answer<'_>],
    ) -> Result<(), Failure> {
        let pool = Pool::new(threads.min(answers.len()).max(1)).map_err(|error| Failure::io("threads", &error))?;
        let query = |query: usize| {
            let place = query * queries.dimensions..(query + 1) * queries.dimensions;
            match queries.numbers {
                Numbers::F32(numbers) => Query::F32(&numbers[place]),
                Numbers::U8(numbers) => Query::U8(&numbers[place]),
                Numbers::I8(numbers) => Query::I8(&numbers[place]),
            }
        };
        let found = self.index.search_each(answers, query, params, only, &pool, |answer, hits, stats| {
            answer.cost = Counters { distances: stats.distances, hops: stats.hops };
            answer.count = hits.len();
            for (hit, (id, distance)) in hits.iter().zip(answer.ids.iter_mut().zip(&mut *answer.distances)) {
                (*id, *distance) = (hit.id, hit.distance);
            }
        });
        Ok(found?)
    }
}

/// What the options say, checked.
pub(crate) fn params(options: &SearchOptions, k: usize) -> Result<SearchParams, Failure> {
    crate::reserved(&options.reserved)?;
    let mut params = SearchParams::default().k(k);
    params.effort = match (options.ef, options.recall) {
        (0, 0.0) => Effort::Auto,
        (0, recall) => Effort::Recall(recall),
        (ef, 0.0) => Effort::Ef(ef as usize),
        _ => return Err(Failure::argument("options: ef and recall are both given; one would be right".to_owned())),
    };
    params.layout = crate::layout(options.layout)?;
    params.validate().map_err(|error| Failure::from(&error))?;
    Ok(params)
}
