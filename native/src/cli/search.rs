//! `nearshore search`: the nearest rows of one query or of many.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use nearshore::dataset::{Dataset, parse_vector};
use nearshore::filter::RowSet;
use nearshore::format::{Kind, Plan};
use nearshore::io::blocks::{BlockOptions, Method};
use nearshore::search::{Effort, Hit, Layout, Scratch, SearchParams, Stats};
use nearshore::{DiskIndex, DiskOptions, Driver, Flight, Index, Pool, Queries, base64};

use super::args::{Common, PlanArgs, SearchArgs};
use super::fail::Fail;
use super::output::print;
use super::progress::Progress;

/// Refuses a layout that searches whose blocks are read do not have.
pub(super) fn check_layout(plan: &PlanArgs) -> Result<(), Fail> {
    if plan.driver.method().is_some() && plan.layout == Layout::Fast {
        return Err(Fail::usage("--layout fast: searches whose blocks are read walk lean; --driver mmap would be right"));
    }
    Ok(())
}

/// Refuses a filter where searches read blocks and walk.
pub(super) fn check_filter(plan: &PlanArgs, index: &Index) -> Result<(), Fail> {
    if plan.driver.method().is_some() && plan.plan.unwrap_or(index.plan()) == Plan::Walk {
        return Err(Fail::usage("--filter: walks whose blocks are read have none; --driver mmap, or a file in tiles, would be right"));
    }
    Ok(())
}

pub(crate) fn run(args: &SearchArgs, common: &Common) -> Result<(), Fail> {
    check_layout(&args.plan)?;
    let index = open(&args.file, args.plan.driver, args.plan.layout, common)?;
    let (queries, name) = queries(args, common)?;
    check_dimensions(&index, &args.file, &queries, &name)?;
    let effort = match (args.ef, args.recall) {
        (Some(ef), _) => Effort::Ef(ef),
        (None, Some(recall)) => Effort::Recall(recall),
        (None, None) => Effort::Auto,
    };
    let mut params = params(&args.plan, args.k, effort);
    params.radius = args.radius;
    let filter = args.only.parse()?;
    let rows = filter.map(|filter| index.select(&filter)).transpose().map_err(|error| Fail::filter(&args.file, &error))?;
    let with_payload = index.reader().section(Kind::Payload, 0).is_some();
    if rows.is_some() {
        check_filter(&args.plan, &index)?;
    }
    let only = rows.as_ref();
    let mut read = args.plan.driver.method().map(|method| read_all(args, method, &queries, &params, only, with_payload)).transpose()?;
    let mut scratch = Scratch::new();
    let mut answer = Answer::default();
    let mut failed = None;
    let mut answer_all = |out: &mut dyn Write| {
        if common.json {
            write!(out, "{{\"k\":{},", args.k)?;
            if let Some(rows) = &rows {
                write!(out, "\"matching\":{},", rows.len())?;
            }
            write!(out, "\"results\":[")?;
        }
        for query in 0..queries.len() {
            let asked = queries.get(query);
            let found = match (&mut read, &rows) {
                (Some(read), _) => {
                    answer = std::mem::take(&mut read[query]);
                    Ok(None)
                }
                (None, Some(rows)) => (*index).search_where(asked, &params, rows, &mut scratch, &mut answer.hits).map(Some),
                (None, None) => (*index).search(asked, &params, &mut scratch, &mut answer.hits).map(Some),
            };
            let found = found.and_then(|stats| {
                let Some(stats) = stats else { return Ok(()) };
                answer.stats = stats;
                answer.payloads.resize(answer.hits.len(), Vec::new());
                let mut pairs = answer.hits.iter().zip(&mut answer.payloads).filter(|_| with_payload);
                pairs.try_for_each(|(hit, payload)| index.payload(hit.row, payload))
            });
            if let Err(error) = found {
                failed = Some(Fail::search(&args.file, &format!("{name}: row {query}"), &error));
                return Ok(());
            }
            if common.json {
                answer.write_json(out, query > 0, with_payload)?;
            } else {
                answer.write_text(out, (queries.len() > 1).then_some(query), common.verbose > 0, with_payload)?;
            }
        }
        if common.json { writeln!(out, "]}}") } else { Ok(()) }
    };
    if !common.json {
        print(|out| answer_all(out))?;
        return failed.map_or(Ok(()), Err);
    }
    // One object or none: nothing is printed before the last query is answered.
    let mut object = Vec::new();
    answer_all(&mut object).map_err(|error| Fail::io("standard output".as_ref(), &error))?;
    match failed {
        Some(fail) => Err(fail),
        None => print(|out| out.write_all(&object)),
    }
}

/// Refuses queries of another length than the index has.
pub(super) fn check_dimensions(index: &Index, file: &Path, queries: &Queries, name: &str) -> Result<(), Fail> {
    let (found, wanted) = (queries.dimensions(), index.dimensions());
    if found == wanted {
        return Ok(());
    }
    Err(Fail::input(format!("{name}: {found} dimensions; {wanted} as in {} would be right", file.display())))
}

/// What the options say, for the library.
pub(super) fn params(plan: &PlanArgs, k: usize, effort: Effort) -> SearchParams {
    let mut params = SearchParams::default().k(k);
    params.effort = effort;
    params.plan = plan.plan;
    params.rerank = plan.rerank;
    params.probes = plan.probes;
    params.refine = plan.refine;
    params.layout = plan.layout;
    params
}

/// Opens an index and sees to it that walks find what their layout reads.
pub(super) fn open(path: &Path, driver: Driver, layout: Layout, common: &Common) -> Result<Index, Fail> {
    let mut index = Index::open_with(path, driver)?;
    if layout == Layout::Fast && !index.has_neighbor_codes() {
        let pool = Pool::new(common.threads.map_or(0, usize::from)).map_err(|error| Fail::io(path, &error))?;
        let progress = Progress::new(common);
        progress.tell("coding neighbours", 0, None);
        index.derive_neighbor_codes(&pool)?;
        progress.finish();
    }
    Ok(index)
}

/// The queries, and what messages call them.
fn queries(args: &SearchArgs, common: &Common) -> Result<(Queries, String), Fail> {
    if let Some(text) = &args.vector {
        let vector =
            parse_vector(text).map_err(|what| Fail::usage(format!("--vector: {what}; a list such as [0.1, 0.2] would be right")))?;
        return Ok((Queries::one(vector), "--vector".to_owned()));
    }
    let path = args.queries.as_deref().unwrap_or("-".as_ref());
    let progress = Progress::new(common);
    let data = Dataset::open(path, &args.from.options(None, &|done, total| progress.tell("reading", done, total)))?;
    Ok((Queries::of(&data)?, data.name().to_owned()))
}

/// Answers of all queries by a driver that reads blocks as they are wanted.
fn read_all(
    args: &SearchArgs,
    method: Method,
    queries: &Queries,
    params: &SearchParams,
    only: Option<&RowSet>,
    payloads: bool,
) -> Result<Vec<Answer>, Fail> {
    let mut options = DiskOptions::default();
    options.blocks = BlockOptions::default().method(method);
    options.memory = args.memory.map(|memory| memory.0);
    let index = DiskIndex::open(&args.file, options)?;
    let answers = Mutex::new((vec![Answer::default(); queries.len()], None));
    let flight = Flight { threads: 1, in_flight: 16, payloads };
    index.search_all(queries, params, only, flight, &|query, found| {
        let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = found.pending;
        let payloads = (0..pending.hits().len()).map(|hit| pending.payload(hit).to_vec()).collect();
        answers.0[query] = Answer { hits: pending.hits().to_vec(), payloads, stats: pending.stats() };
        if let Some(error) = found.error {
            answers.1.get_or_insert((query, error));
        }
    })?;
    let (answers, failed) = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    match failed {
        None => Ok(answers),
        Some((query, nearshore::Error::Search(error))) => Err(Fail::search(&args.file, &format!("row {query}"), &error)),
        Some((_, error)) => Err(error.into()),
    }
}

/// One query's answer.
#[derive(Clone, Default)]
struct Answer {
    hits: Vec<Hit>,
    payloads: Vec<Vec<u8>>,
    stats: Stats,
}

impl Answer {
    fn write_json(&self, out: &mut dyn Write, comma: bool, with_payload: bool) -> io::Result<()> {
        write!(out, "{}{{\"hits\":[", if comma { "," } else { "" })?;
        for (place, (hit, payload)) in self.hits.iter().zip(&self.payloads).enumerate() {
            let comma = if place > 0 { "," } else { "" };
            write!(out, "{comma}{{\"id\":{},\"distance\":{:?}", hit.id, hit.distance)?;
            if with_payload {
                match std::str::from_utf8(payload) {
                    Ok(text) => write!(out, ",\"payload\":{}", serde_json::Value::from(text))?,
                    Err(_) => write!(out, ",\"payload_base64\":\"{}\"", base64::encode(payload))?,
                }
            }
            write!(out, "}}")?;
        }
        let Stats { distances, hops, ef } = self.stats;
        write!(out, "],\"distances\":{distances},\"hops\":{hops},\"ef\":{ef}}}")
    }

    fn write_text(&self, out: &mut dyn Write, query: Option<usize>, verbose: bool, with_payload: bool) -> io::Result<()> {
        if let Some(query) = query {
            writeln!(out, "query {query}")?;
        }
        for (place, (hit, payload)) in self.hits.iter().zip(&self.payloads).enumerate() {
            write!(out, "{:>4}  id {:<12} distance {:<12}", place + 1, hit.id, hit.distance)?;
            if with_payload {
                // Whatever a payload holds, a terminal gets one line of it.
                write!(out, "  {}", String::from_utf8_lossy(payload).escape_debug())?;
            }
            writeln!(out)?;
        }
        if verbose {
            let Stats { distances, hops, ef } = self.stats;
            writeln!(out, "      {distances} distances, {hops} hops, ef {ef}")?;
        }
        Ok(())
    }
}
