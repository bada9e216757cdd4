//! One query or many, on one thread or several.

use std::fmt::Display;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use nearshore::filter::{Filter, RowSet, SelectError};
use nearshore::search::{Effort, Hit, Scratch, SearchError, SearchParams};
use nearshore::{AsQuery as _, Driver, Par as _, Pool, Selections};

use crate::abi::{Counters, Description, SearchOptions};
use crate::failure::Failure;

/// The most queries that a thread takes at a time.
const GROUP_MAX: usize = 32;

/// Groups for each thread, where there are queries enough: no thread waits long for a slow one.
const GROUPS: usize = 4;

/// What a `nearshore_index` of C points to: an open file, and buffers of searches that are over, for those to come.
#[derive(Debug)]
pub struct Index {
    index: nearshore::Index,
    sets: Selections,
    idle: Mutex<Vec<Worker>>,
}

#[derive(Debug, Default)]
struct Worker {
    scratch: Scratch,
    hits: Vec<Hit>,
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
    pub(crate) error: Option<SearchError>,
}

impl<'a> Answer<'a> {
    /// One for every `k` places.
    pub(crate) fn places(ids: &'a mut [u64], distances: &'a mut [f32], k: usize) -> Vec<Self> {
        let both = ids.chunks_exact_mut(k.max(1)).zip(distances.chunks_exact_mut(k.max(1)));
        both.map(|(ids, distances)| Self { ids, distances, count: 0, cost: Counters::default(), error: None }).collect()
    }
}

impl Index {
    pub(crate) fn open(path: &Path, driver: Driver) -> Result<Self, Failure> {
        Ok(Self { index: nearshore::Index::open_with(path, driver)?, sets: Selections::default(), idle: Mutex::new(Vec::new()) })
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
        let group = if pool.threads() == 1 { answers.len() } else { (answers.len() / pool.threads() / GROUPS).clamp(1, GROUP_MAX) };
        let mut workers = self.workers(pool.threads());
        pool.chunks(answers, group, &mut workers, |number, answers, worker| {
            for (place, answer) in answers.iter_mut().enumerate() {
                self.answer(queries, number * group + place, params, only, worker, answer);
            }
        });
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).append(&mut workers);
        let failed = answers.iter().enumerate().find_map(|(query, answer)| Some((query, answer.error.as_ref()?)));
        failed.map_or(Ok(()), |(query, error)| Err(Failure::from(error).of(&format!("query {query}"))))
    }

    fn answer(
        &self,
        queries: Queries<'_>,
        query: usize,
        params: &SearchParams,
        only: Option<&RowSet>,
        worker: &mut Worker,
        answer: &mut Answer<'_>,
    ) {
        let place = query * queries.dimensions..(query + 1) * queries.dimensions;
        let query = match queries.numbers {
            Numbers::F32(numbers) => numbers[place].as_query(),
            Numbers::U8(numbers) => numbers[place].as_query(),
            Numbers::I8(numbers) => numbers[place].as_query(),
        };
        let (scratch, hits) = (&mut worker.scratch, &mut worker.hits);
        let found = match only {
            Some(rows) => (*self.index).search_where(query, params, rows, scratch, hits),
            None => (*self.index).search(query, params, scratch, hits),
        };
        match found {
            Ok(stats) => answer.cost = Counters { distances: stats.distances, hops: stats.hops },
            Err(error) => {
                answer.error = Some(error);
                return;
            }
        }
        answer.count = worker.hits.len();
        for (hit, (id, distance)) in worker.hits.iter().zip(answer.ids.iter_mut().zip(&mut *answer.distances)) {
            (*id, *distance) = (hit.id, hit.distance);
        }
    }

    /// A worker for each thread: idle ones, then new ones.
    fn workers(&self, threads: usize) -> Vec<Worker> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.len().saturating_sub(threads);
        let mut workers = idle.split_off(kept);
        drop(idle);
        workers.resize_with(threads, Worker::default);
        workers
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
