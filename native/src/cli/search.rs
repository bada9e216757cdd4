//! `nearshore search`: the nearest rows of one query or of many.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use nearshore::dataset::{Dataset, parse_vector};
use nearshore::filter::RowSet;
use nearshore::format::{Kind, Plan};
use nearshore::io::blocks::{BlockOptions, Method};
use nearshore::search::{Effort, Layout, Pending, SearchError, SearchParams, Stats};
use nearshore::segments::{self, SegmentError};
use nearshore::{DiskIndex, DiskOptions, Driver, Flight, Index, Pool, Queries, Segments, base64};

use super::args::{Common, FilterArgs, PlanArgs, SearchArgs};
use super::fail::Fail;
use super::output::{self, print};
use super::progress::Progress;
use super::promised::{check_recall, note_recall};

/// Queries that are answered before the first of their answers is printed.
const TOGETHER: usize = 256;

/// Refuses a layout that searches whose blocks are read do not have.
pub(super) fn check_layout(plan: &PlanArgs) -> Result<(), Fail> {
    if plan.driver.method().is_some() && plan.layout == Layout::Fast {
        return Err(Fail::usage("--layout fast: searches whose blocks are read walk lean; --driver mmap would be right"));
    }
    Ok(())
}

/// Refuses options, each given or not, that say how blocks are read where none are.
pub(super) fn check_unread(plan: &PlanArgs, options: &[(&str, bool)]) -> Result<(), Fail> {
    match options.iter().find(|(_, given)| *given) {
        Some((name, _)) if plan.driver.method().is_none() => Err(Fail::usage(format!(
            "{name} is for searches that read blocks as they want them: --driver pread or --driver uring would be right"
        ))),
        _ => Ok(()),
    }
}

/// Refuses a number of tiles where none are searched.
pub(super) fn check_probes<'a>(plan: &PlanArgs, mut files: impl Iterator<Item = (&'a Path, &'a Index)>) -> Result<(), Fail> {
    let without = files.find(|(_, file)| plan.plan.unwrap_or(file.plan()) != Plan::Tiles);
    let Some((path, file)) = without.filter(|_| plan.probes.is_some()) else { return Ok(()) };
    let (path, right) = (path.display(), "--ef or --recall, or a file of nearshore export --for web, would be right");
    Err(Fail::usage(match plan.plan {
        Some(other) if file.plan() == Plan::Tiles => {
            format!("--probes is for searches of tiles: --plan tiles in place of --plan {} would be right", other.as_str())
        }
        _ => format!("--probes is for searches of tiles, and {path} has none: {right}"),
    }))
}

/// Refuses a bound of memory that holds nothing by which searches could go.
pub(super) fn check_memory(index: &DiskIndex, memory: Option<u64>) -> Result<(), Fail> {
    match memory {
        Some(memory) if memory < index.least_bytes() => {
            let least = index.least_bytes();
            Err(Fail::usage(format!("--memory: what searches of this file go by has {} ({least} bytes) at least", output::bytes(least))))
        }
        _ => Ok(()),
    }
}

/// Refuses a filter where walks would read the edges that they go by.
pub(super) fn check_filter(plan: &PlanArgs, index: &DiskIndex) -> Result<(), Fail> {
    if plan.plan.unwrap_or(index.index().plan()) != Plan::Walk || index.walks_among() {
        return Ok(());
    }
    let front = index.index().reader().header().table(Kind::Records, 0).map_or(0, |records| records.offset);
    let front = format!("{} ({front} bytes)", output::bytes(front));
    Err(Fail::usage(format!(
        "--filter: walks among rows go by codes and graph in memory, {front}; a --memory of that, --driver mmap or a file in tiles would be right"
    )))
}

pub(crate) fn run(args: &SearchArgs, common: &Common) -> Result<(), Fail> {
    check_recall(args.recall.iter())?;
    check_layout(&args.plan)?;
    check_unread(&args.plan, &[("--memory", args.memory.is_some())])?;
    let index = open_all(&args.file, args.plan.driver, args.plan.layout, common)?;
    check_probes(&args.plan, index.iter())?;
    let (queries, name) = queries(args, common)?;
    check_dimensions(index.first(), &args.file, &queries, &name)?;
    let effort = match (args.ef, args.recall) {
        (Some(ef), _) => Effort::Ef(ef),
        (None, Some(recall)) => Effort::Recall(recall),
        (None, None) => Effort::Auto,
    };
    let mut params = params(&args.plan, args.k, effort);
    params.radius = args.radius;
    note_recall(index.iter(), &[params], common);
    let rows = select(&index, &args.only)?;
    if !common.json && !common.quiet && rows.as_ref().is_some_and(|rows| matching(rows) == 0) {
        let _ = writeln!(io::stderr().lock(), "--filter: no row matches it");
    }
    let asked = Asked { args, index: &index, queries: &queries, params, only: rows.as_deref() };
    let with_payload = index.iter().any(|(_, segment)| segment.reader().section(Kind::Payload, 0).is_some());
    let pool = Pool::new(common.threads.map_or(0, usize::from)).map_err(|error| Fail::io(&args.file, &error))?;
    let mut read = args.plan.driver.method().map(|method| asked.read_all(method, with_payload, common)).transpose()?;
    let mut failed = None;
    let mut answer_all = |out: &mut dyn Write| {
        if common.json {
            write!(out, "{{\"k\":{},", args.k)?;
            if let Some(rows) = &rows {
                write!(out, "\"matching\":{},", matching(rows))?;
            }
            write!(out, "\"results\":[")?;
        }
        for first in (0..queries.len()).step_by(TOGETHER) {
            let which = first..queries.len().min(first + TOGETHER);
            let found = match &mut read {
                Some(read) => read[which].iter_mut().map(|answer| Ok(std::mem::take(answer))).collect(),
                None => asked.search(which, with_payload, &pool),
            };
            for (query, found) in (first..).zip(found) {
                let answer = match found {
                    Ok(answer) => answer,
                    Err(SegmentError { segment, error }) => {
                        failed = Some(Fail::search(path_of(&index, segment), &format!("{name}: row {query}"), &error));
                        return Ok(());
                    }
                };
                if common.json {
                    answer.write_json(out, query > 0, with_payload)?;
                } else {
                    answer.write_text(out, (queries.len() > 1).then_some(query), common.verbose > 0, with_payload)?;
                }
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

/// The file of a segment.
pub(super) fn path_of(index: &Segments, segment: usize) -> &Path {
    index.iter().nth(segment).map_or(index.path(), |(path, _)| path)
}

/// The rows that a filter selects, of each segment.
pub(super) fn select(index: &Segments, only: &FilterArgs) -> Result<Option<Vec<RowSet>>, Fail> {
    let Some(filter) = only.parse()? else { return Ok(None) };
    let selected = index.select(&filter);
    selected.map(Some).map_err(|SegmentError { segment, error }| Fail::filter(path_of(index, segment), index.is_set(), &error))
}

/// How many rows those are.
pub(super) fn matching(rows: &[RowSet]) -> usize {
    rows.iter().map(RowSet::len).sum()
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
        coding_neighbors(path, common, |pool| index.derive_neighbor_codes(pool))?;
    }
    Ok(index)
}

/// The same of a set of segments, or of one.
pub(super) fn open_all(path: &Path, driver: Driver, layout: Layout, common: &Common) -> Result<Segments, Fail> {
    let mut index = Segments::open_with(path, driver)?;
    if layout == Layout::Fast && index.iter().any(|(_, segment)| !segment.has_neighbor_codes()) {
        coding_neighbors(path, common, |pool| index.derive_neighbor_codes(pool))?;
    }
    Ok(index)
}

/// Has codes of neighbours made, and says so meanwhile.
fn coding_neighbors(path: &Path, common: &Common, derive: impl FnOnce(&Pool) -> Result<(), nearshore::Error>) -> Result<(), Fail> {
    let pool = Pool::new(common.threads.map_or(0, usize::from)).map_err(|error| Fail::io(path, &error))?;
    let progress = Progress::new(common);
    progress.tell("coding neighbours", 0, None);
    derive(&pool)?;
    progress.finish();
    Ok(())
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

/// Threads that read blocks: one unless more are asked for, as what their searches in flight read is held in memory.
fn reading_threads(common: &Common, queries: usize) -> usize {
    common.threads.map_or(1, usize::from).min(queries).max(1)
}

/// What is searched for, and where.
struct Asked<'a> {
    args: &'a SearchArgs,
    index: &'a Segments,
    queries: &'a Queries,
    params: SearchParams,
    only: Option<&'a [RowSet]>,
}

impl Asked<'_> {
    /// Answers of the queries `which`.
    fn search(&self, which: Range<usize>, payloads: bool, pool: &Pool) -> Vec<Result<Answer, SegmentError<SearchError>>> {
        let found = self.index.search_batch(self.queries, which, &self.params, self.only, pool);
        let with_payloads = |found: segments::Answer| {
            let mut answer = Answer { found, payloads: BTreeMap::new() };
            for hit in answer.found.hits.iter().filter(|_| payloads) {
                let payload = answer.payloads.entry((hit.segment, hit.row)).or_default();
                self.index.payload(hit, payload).map_err(|error| SegmentError { segment: hit.segment, error })?;
            }
            Ok(answer)
        };
        found.into_iter().map(|found| found.and_then(with_payloads)).collect()
    }

    /// Refuses what no search of this file can be, before it is said what it waits for.
    fn can_begin(&self, disk: &DiskIndex, only: Option<&RowSet>) -> Result<(), SearchError> {
        let (first, mut pending) = (self.queries.get(0), Pending::new());
        match only {
            Some(rows) => disk.index().start_where(first, &self.params, rows, &mut pending),
            None => disk.index().start(first, &self.params, &mut pending),
        }
    }

    /// Answers of all queries by a driver that reads blocks as they are wanted: one segment after the other, among which the memory is shared
    /// out.
    fn read_all(&self, method: Method, payloads: bool, common: &Common) -> Result<Vec<Answer>, Fail> {
        let mut answers = vec![Answer::default(); self.queries.len()];
        let segments = self.index.iter();
        let count = segments.len() as u64;
        let (progress, done) = (Progress::new(common), AtomicU64::new(0));
        let total = self.queries.len() as u64 * count;
        for (segment, (path, _)) in segments.enumerate() {
            let mut options = DiskOptions::default();
            options.blocks = BlockOptions::default().method(method);
            options.memory = self.args.memory.map(|memory| memory.0 / count);
            let memory = options.memory;
            let disk = DiskIndex::open(path, options)?;
            check_memory(&disk, memory)?;
            if self.only.is_some() {
                check_filter(&self.args.plan, &disk)?;
            }
            let only = self.only.and_then(|only| only.get(segment));
            if !common.quiet {
                self.can_begin(&disk, only).map_err(|error| Fail::search(path, "row 0", &error))?;
                let _ = writeln!(std::io::stderr().lock(), "{}: {}", path.display(), disk.line(&self.params, only.is_some()));
            }
            let found = Mutex::new((&mut answers, None));
            let flight = Flight { threads: reading_threads(common, self.queries.len()), in_flight: disk.in_flight(), payloads };
            disk.search_all(self.queries, &self.params, only, flight, &|query, ended| {
                if total > 1 {
                    progress.tell("searching", done.fetch_add(1, Ordering::Relaxed) + 1, Some(total));
                }
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                let (pending, answer) = (ended.pending, &mut found.0[query]);
                answer.found.add(segment, pending.hits(), &pending.stats(), self.params.k);
                for (place, hit) in pending.hits().iter().enumerate().filter(|_| payloads) {
                    answer.payloads.insert((segment, hit.row), pending.payload(place).to_vec());
                }
                if let Some(error) = ended.error {
                    found.1.get_or_insert((query, error));
                }
            })?;
            progress.finish();
            if !common.quiet && disk.file().replaced() > 0 {
                let _ = writeln!(std::io::stderr().lock(), "{}: {}", path.display(), disk.file());
            }
            match found.into_inner().unwrap_or_else(PoisonError::into_inner).1 {
                None => {}
                Some((query, nearshore::Error::Search(error))) => return Err(Fail::search(path, &format!("row {query}"), &error)),
                Some((_, error)) => return Err(error.into()),
            }
        }
        Ok(answers)
    }
}

/// One query's answer.
#[derive(Clone, Default)]
struct Answer {
    found: segments::Answer,
    /// By segment and row.
    payloads: BTreeMap<(usize, u32), Vec<u8>>,
}

impl Answer {
    fn hits(&self) -> impl Iterator<Item = (usize, &segments::Hit, &[u8])> {
        let payload = |hit: &segments::Hit| self.payloads.get(&(hit.segment, hit.row)).map_or(&[][..], Vec::as_slice);
        self.found.hits.iter().enumerate().map(move |(place, hit)| (place, hit, payload(hit)))
    }

    fn write_json(&self, out: &mut dyn Write, comma: bool, with_payload: bool) -> io::Result<()> {
        write!(out, "{}{{\"hits\":[", if comma { "," } else { "" })?;
        for (place, hit, payload) in self.hits() {
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
        let Stats { distances, hops, ef } = self.found.stats;
        write!(out, "],\"distances\":{distances},\"hops\":{hops},\"ef\":{ef}}}")
    }

    fn write_text(&self, out: &mut dyn Write, query: Option<usize>, verbose: bool, with_payload: bool) -> io::Result<()> {
        if let Some(query) = query {
            writeln!(out, "query {query}")?;
        }
        for (place, hit, payload) in self.hits() {
            write!(out, "{:>4}  id {:<12} distance {:<12}", place + 1, hit.id, hit.distance)?;
            if with_payload {
                // Whatever a payload holds, a terminal gets one line of it.
                write!(out, "  {}", String::from_utf8_lossy(payload).escape_debug())?;
            }
            writeln!(out)?;
        }
        if verbose {
            let Stats { distances, hops, ef } = self.found.stats;
            write!(out, "      {distances} distances")?;
            // What compares all rows has neither.
            if ef > 0 {
                write!(out, ", {hops} hops, ef {ef}")?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_by_as_many_threads_as_are_asked_for_and_have_work() {
        let threads = |asked, queries| reading_threads(&Common { json: false, quiet: false, verbose: 0, threads: asked }, queries);
        assert_eq!((threads(Some(3), 10), threads(Some(3), 2), threads(None, 10), threads(Some(8), 0)), (3, 2, 1, 1));
    }
}
