//! `nearshore bench --driver pread|uring`: searches whose blocks are read, many in flight.

use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nearshore::bench::{cpu_time, percentile_us, resident_bytes};
use nearshore::dataset::Dataset;
use nearshore::dataset::truth::Truth;
use nearshore::filter::RowSet;
use nearshore::format::Plan;
use nearshore::io::blocks::{BlockOptions, Method};
use nearshore::search::quality::{Setting, TileSetting};
use nearshore::search::{Effort, SearchParams};
use nearshore::{DiskIndex, DiskOptions, Error, Flight, Queries, Segments};
use serde_json::{Value, json};

use super::args::{BenchArgs, Common};
use super::bench::{check_truth, check_truth_ids, effort, settings, walk_setting};
use super::fail::Fail;
use super::output::{self, print, print_json, rounded};
use super::progress::Progress;
use super::promised::note_recall;
use super::search::{check_dimensions, check_filter, check_layout, check_memory, check_probes};

/// Searches before the first that counts.
const WARM_UP: usize = 100;

/// One setting, measured.
struct Measured {
    setting: SearchParams,
    recall: Option<f64>,
    queries: usize,
    wall: f64,
    cpu: f64,
    /// Sorted nanoseconds.
    nanos: Vec<u64>,
    distances: f64,
    hops: f64,
    rounds: f64,
    /// Wanted, and their bytes; of them those that earlier searches left in memory; what the system was asked for.
    blocks: f64,
    bytes: f64,
    cache_hits: f64,
    cached: f64,
    reads: f64,
}

/// What one search gave.
#[derive(Clone, Default)]
struct Answer {
    ids: Vec<u64>,
    took: Duration,
    counters: [u64; 5],
}

pub(crate) fn run(args: &BenchArgs, common: &Common, method: Method) -> Result<(), Fail> {
    check_layout(&args.plan)?;
    if Segments::is_set_at(args.file()) {
        let (path, driver) = (args.file().display(), args.plan.driver);
        return Err(Fail::usage(format!(
            "{path}: a set of segments; --driver {driver} measures the reads of one file: one of its files, or --driver mmap, would be right"
        )));
    }
    let mut options = DiskOptions::default();
    options.blocks = BlockOptions::default().method(method);
    options.memory = args.memory.map(|memory| memory.0);
    options.read_ahead = args.read_ahead.map(usize::from);
    let opened = Instant::now();
    let index = DiskIndex::open(args.file(), options)?;
    let opened = opened.elapsed().as_secs_f64();
    check_memory(&index, args.memory.map(|memory| memory.0))?;
    check_probes(&args.plan, std::iter::once((args.file(), index.index())))?;
    let filter = args.only.parse()?;
    let selecting = Instant::now();
    let rows = filter.map(|filter| index.index().select(&filter)).transpose().map_err(|error| Fail::filter(args.file(), false, &error))?;
    let selected = rows.as_ref().map(|rows| (rows.len(), selecting.elapsed().as_secs_f64() * 1e6));
    if rows.is_some() {
        check_filter(&args.plan, &index)?;
    }
    let progress = Progress::new(common);
    let data = Dataset::open(args.queries(), &args.from.options(None, &|done, total| progress.tell("reading", done, total)))?;
    let (queries, name) = (Queries::of(&data)?, data.name().to_owned());
    drop(data);
    check_dimensions(index.index(), args.file(), &queries, &name)?;
    let truth = args.truth.as_deref().map(Truth::open).transpose()?;
    if let Some(truth) = &truth {
        check_truth(args, truth, &queries, rows.as_ref().map_or(index.index().len(), RowSet::len))?;
        check_truth_ids(args, truth, &queries, &[index.index()])?;
    }
    let threads = common.threads.map_or(1, usize::from);
    let flight = Flight { threads, in_flight: in_flight(args, &index), payloads: false };
    let settings = settings(args);
    note_recall(std::iter::once((args.file(), index.index())), &settings, common);
    let mut runs = Vec::new();
    for (done, setting) in settings.iter().enumerate() {
        progress.tell("measuring", done as u64, Some(settings.len() as u64));
        if done == 0 {
            let few = queries.first(WARM_UP);
            index.search_all(&few, setting, rows.as_ref(), flight, &|_, _| {})?;
        }
        runs.push(measure(&index, &queries, truth.as_ref(), setting, rows.as_ref(), flight, args)?);
    }
    progress.finish();
    let report = Report { args, index: &index, threads, runs, opened, selected };
    if common.json { print_json(&report.json()) } else { print(|out| report.write_text(out)) }
}

fn measure(
    index: &DiskIndex,
    queries: &Queries,
    truth: Option<&Truth>,
    setting: &SearchParams,
    only: Option<&RowSet>,
    flight: Flight,
    args: &BenchArgs,
) -> Result<Measured, Fail> {
    let answers = Mutex::new((vec![Answer::default(); queries.len()], None::<(usize, Error)>));
    let cached = || index.cache().map_or((0, 0, index.reads()), |cache| (cache.hits(), cache.misses(), index.reads()));
    let (before, cpu, started) = (cached(), cpu_time(), Instant::now());
    index.search_all(queries, setting, only, flight, &|query, found| {
        let pending = found.pending;
        let stats = pending.stats();
        let answer = Answer {
            ids: pending.hits().iter().map(|hit| hit.id).collect(),
            took: found.took,
            counters: [stats.distances, stats.hops, pending.rounds().into(), pending.blocks(), pending.bytes()],
        };
        let mut answers = answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match found.error {
            None => answers.0[query] = answer,
            Some(error) => {
                answers.1.get_or_insert((query, error));
            }
        }
    })?;
    let (wall, cpu, after) = (started.elapsed().as_secs_f64(), (cpu_time() - cpu).as_secs_f64(), cached());
    let (answers, failed) = answers.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some((query, error)) = failed {
        return Err(match error {
            Error::Search(error) => Fail::search(args.file(), &format!("{}: row {query}", args.queries().display()), &error),
            error => error.into(),
        });
    }
    let mut nanos: Vec<u64> = answers.iter().map(|answer| answer.took.as_nanos() as u64).collect();
    nanos.sort_unstable();
    let mean = |counter: usize| answers.iter().map(|answer| answer.counters[counter]).sum::<u64>() as f64 / answers.len().max(1) as f64;
    let recall = truth.map(|truth| {
        let right = answers.iter().enumerate().map(|(query, answer)| truth.found(query, setting.k, &answer.ids));
        right.sum::<usize>() as f64 / (setting.k.min(truth.k()).max(1) * answers.len()) as f64
    });
    let (hits, misses, reads) = (after.0 - before.0, after.1 - before.1, after.2 - before.2);
    let each = |count: u64| count as f64 / answers.len().max(1) as f64;
    Ok(Measured {
        setting: *setting,
        recall,
        queries: answers.len(),
        wall,
        cpu,
        nanos,
        distances: mean(0),
        hops: mean(1),
        rounds: mean(2),
        blocks: mean(3),
        bytes: mean(4),
        cache_hits: each(hits),
        reads: each(reads),
        cached: if hits + misses == 0 { 0.0 } else { hits as f64 / (hits + misses) as f64 },
    })
}

/// Everything that is printed.
struct Report<'a> {
    args: &'a BenchArgs,
    index: &'a DiskIndex,
    threads: usize,
    runs: Vec<Measured>,
    opened: f64,
    /// Rows that the filter selected, and the microseconds that took.
    selected: Option<(usize, f64)>,
}

/// Searches in flight on each thread at most.
fn in_flight(args: &BenchArgs, index: &DiskIndex) -> usize {
    args.in_flight.map_or(index.in_flight(), usize::from)
}

impl Report<'_> {
    /// What a setting stands for: of a walk, or of a search of tiles; of a scan it is nothing.
    fn effort(&self, setting: &SearchParams) -> Result<Option<Setting>, TileSetting> {
        let index = self.index.index();
        if setting.plan.unwrap_or(index.plan()) == Plan::Tiles {
            return Err(TileSetting::choose(setting, index.quality().unwrap_or_default()));
        }
        Ok(walk_setting(index, setting))
    }

    fn json(&self) -> Value {
        let Self { args, index, .. } = self;
        let core = index.index();
        let run = |run: &Measured| {
            let all = run.nanos.iter().sum::<u64>() as f64 / 1e3;
            let mean = all / run.nanos.len().max(1) as f64;
            let in_flight = all / 1e6 / run.wall / self.threads.max(1) as f64;
            let mut value = json!({
                "queries": run.queries, "qps": rounded(run.queries as f64 / run.wall), "qps_cpu": rounded(run.queries as f64 / run.cpu.max(1e-9)),
                "cpu_s": rounded(run.cpu), "wall_seconds": rounded(run.wall), "mean_us": rounded(mean), "p50_us": rounded(percentile_us(&run.nanos, 0.5)),
                "p95_us": rounded(percentile_us(&run.nanos, 0.95)), "p99_us": rounded(percentile_us(&run.nanos, 0.99)), "distances": rounded(run.distances),
                "hops": rounded(run.hops), "rounds": rounded(run.rounds), "blocks": rounded(run.blocks), "bytes": rounded(run.bytes),
                "mean_in_flight": rounded(in_flight), "reads": rounded(run.reads), "cache_hits": rounded(run.cache_hits), "cache_hit_share": rounded(run.cached),
            });
            match self.effort(&run.setting) {
                Ok(Some(Setting { ef, gamma })) => (value["ef"], value["gamma"]) = (json!(ef), rounded(f64::from(gamma))),
                Ok(None) => {}
                Err(TileSetting { probes, rerank }) => (value["probes"], value["rerank"]) = (json!(probes), json!(rerank)),
            }
            if let Effort::Recall(recall) = run.setting.effort {
                value["asked_recall"] = rounded(recall.into());
            }
            if let Some(recall) = run.recall {
                value["recall"] = rounded(recall);
            }
            value
        };
        let mut value = json!({
            "file": args.file().display().to_string(), "rows": core.len(), "dimensions": core.dimensions(), "metric": core.metric().as_str(), "k": args.k,
            "threads": self.threads, "in_flight": in_flight(args, index), "backend": core.kernels().name(), "driver": index.file().method().as_str(),
            "direct": index.file().direct(), "refused": index.file().refusals().iter().map(ToString::to_string).collect::<Vec<_>>(),
            "front_bytes": index.resident_bytes(), "memory_bytes": args.memory.map(|memory| memory.0), "resident_bytes": resident_bytes(),
            "file_bytes": core.reader().bytes().len(), "open_seconds": rounded(self.opened), "runs": self.runs.iter().map(run).collect::<Vec<_>>(),
        });
        if let Some((rows, took)) = self.selected {
            value["filter"] = json!({ "matching": rows, "select_us": rounded(took) });
        }
        value
    }

    fn write_text(&self, out: &mut impl Write) -> std::io::Result<()> {
        let Self { args, index, threads, .. } = self;
        let core = index.index();
        let (rows, dimensions, metric) = (core.len(), core.dimensions(), core.metric());
        writeln!(
            out,
            "{}: {rows} rows x {dimensions} dimensions, {metric}, k {}, {threads} thread(s), at most {} in flight on each",
            args.file().display(),
            args.k,
            in_flight(args, index)
        )?;
        // What the dearest reads bounds what the others do.
        let dearest = self.runs.iter().max_by(|a, b| a.blocks.total_cmp(&b.blocks));
        writeln!(out, "{}", index.line(&dearest.map_or_else(SearchParams::default, |run| run.setting), self.selected.is_some()))?;
        let resident = resident_bytes().map_or("unknown".to_owned(), output::bytes);
        if let Some((rows, took)) = self.selected {
            writeln!(out, "{rows} rows match the filter, selected in {took:.0} us")?;
        }
        writeln!(out, "file {}, resident {resident}", output::bytes(core.reader().bytes().len() as u64))?;
        if !args.recall.is_empty() {
            write!(out, "{:>7} ", "asked")?;
        }
        writeln!(
            out,
            "{:>14} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>10} {:>7} {:>7} {:>10} {:>7} {:>7}",
            if self.runs.iter().any(|run| self.effort(&run.setting).is_err()) { "probes/records" } else { "ef/gamma" },
            "recall",
            "qps",
            "qps_cpu",
            "mean_us",
            "p50_us",
            "p99_us",
            "distances",
            "rounds",
            "blocks",
            "bytes",
            "cached",
            "reads"
        )?;
        for run in &self.runs {
            let recall = run.recall.map_or("-".to_owned(), |recall| format!("{recall:.4}"));
            let (qps, qps_cpu) = (run.queries as f64 / run.wall, run.queries as f64 / run.cpu.max(1e-9));
            let mean = run.nanos.iter().sum::<u64>() as f64 / run.nanos.len().max(1) as f64 / 1e3;
            let (p50, p99) = (percentile_us(&run.nanos, 0.5), percentile_us(&run.nanos, 0.99));
            let Measured { distances, rounds, blocks, bytes, cache_hits, reads, setting, .. } = run;
            let tiles = |TileSetting { probes, rerank }| format!("{probes}/{rerank}");
            if let Effort::Recall(asked) = setting.effort {
                write!(out, "{asked:>7} ")?;
            }
            let (effort, bytes) = (self.effort(setting).map_or_else(tiles, effort), output::bytes(*bytes as u64));
            writeln!(
                out,
                "{effort:>14} {recall:>8} {qps:>9.0} {qps_cpu:>9.0} {mean:>9.1} {p50:>9.1} {p99:>9.1} {distances:>10.0} {rounds:>7.1} {blocks:>7.1} {bytes:>10} {cache_hits:>7.1} {reads:>7.1}"
            )?;
        }
        Ok(())
    }
}
