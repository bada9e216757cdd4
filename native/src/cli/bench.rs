//! `nearshore bench`: recall, speed and memory, setting by setting.

use std::io::Write;

use nearshore::bench::{Bench, QueryError, Run, resident_bytes};
use nearshore::dataset::Dataset;
use nearshore::dataset::truth::Truth;
use nearshore::format::{Element, Plan, Refine};
use nearshore::search::quality::{Setting, TileSetting};
use nearshore::search::{Effort, SearchParams};
use nearshore::{Driver, Index, Pool, Queries, Segments};
use serde_json::{Map, Value, json};

use super::args::{BenchArgs, BenchMode, Common};
use super::fail::Fail;
use super::output::{self, print, print_json, rounded};
use super::progress::Progress;
use super::promised::{check_recall, note_recall};
use super::search::{check_dimensions, check_probes, check_unread, matching, open_all, params, path_of, select};
use super::{bench_disk, billion, concurrent};

/// Queries of the untimed pass.
const WARM_UP: usize = 2_000;

pub(crate) fn run(args: &BenchArgs, common: &Common) -> Result<(), Fail> {
    match &args.mode {
        Some(BenchMode::Concurrent(args)) => return concurrent::run(args, common),
        Some(BenchMode::Billion(args)) => return billion::run(args, common),
        None => {}
    }
    check_recall(args.recall.iter())?;
    if let Some(method) = args.plan.driver.method() {
        return bench_disk::run(args, common, method);
    }
    check_unread(
        &args.plan,
        &[("--memory", args.memory.is_some()), ("--read-ahead", args.read_ahead.is_some()), ("--in-flight", args.in_flight.is_some())],
    )?;
    let opening = std::time::Instant::now();
    let driver = args.plan.driver.for_many_searches(args.file());
    let index = open_all(args.file(), driver, args.plan.layout, common)?;
    let opened = opening.elapsed().as_secs_f64();
    check_probes(&args.plan, index.iter())?;
    let progress = Progress::new(common);
    let data = Dataset::open(args.queries(), &args.from.options(None, &|done, total| progress.tell("reading", done, total)))?;
    let queries = Queries::of(&data)?;
    drop(data);
    check_dimensions(index.first(), args.file(), &queries, &args.queries().display().to_string())?;
    let truth = args.truth.as_deref().map(|path| Truth::open(path).map_err(Fail::from)).transpose()?;
    let selecting = std::time::Instant::now();
    let rows = select(&index, &args.only)?;
    let selected = rows.as_ref().map(|rows| (matching(rows), selecting.elapsed().as_secs_f64() * 1e6));
    if let Some(truth) = &truth {
        check_truth(args, truth, &queries, selected.map_or(index.rows() as usize, |(rows, _)| rows))?;
        check_truth_ids(args, truth, &queries, &index.iter().map(|(_, segment)| segment).collect::<Vec<_>>())?;
    }
    let pool = Pool::new(common.threads.map_or(1, usize::from)).map_err(|error| Fail::io(args.file(), &error))?;
    let settings = settings(args);
    note_recall(index.iter(), &settings, common);
    let segments = index.iter().map(|(_, segment)| &**segment).collect();
    let mut bench = Bench::of_segments(segments, &queries, truth.as_ref(), args.k, &pool).only(rows.as_deref());
    let explain = |error: QueryError| {
        let what = format!("{}: row {}", args.queries().display(), error.query);
        Fail::search(path_of(&index, error.segment), &what, &error.error)
    };
    let total = settings.len() as u64;
    if let Some(first) = settings.first() {
        bench.warm_up(first, WARM_UP, &pool).map_err(explain)?;
    }
    let mut runs = Vec::new();
    for (done, setting) in settings.iter().enumerate() {
        progress.tell("measuring", done as u64, Some(total));
        runs.push((*setting, bench.run(setting, &pool).map_err(explain)?));
    }
    progress.finish();
    let report = Report { args, common, driver, index: &index, runs, opened, selected };
    if common.json { print_json(&report.json()) } else { print(|out| report.write_text(out)) }
}

/// Refuses a truth of fewer queries, or of fewer answers a query than there can be. One of more queries is taken as that of the first ones.
pub(super) fn check_truth(args: &BenchArgs, truth: &Truth, queries: &Queries, rows: usize) -> Result<(), Fail> {
    let name = args.truth.as_deref().unwrap_or("truth".as_ref()).display();
    let (found, wanted) = (truth.queries(), queries.len());
    if found < wanted {
        return Err(Fail::input(format!("{name}: answers of {found} queries; {wanted} as in {} would be right", args.queries().display())));
    }
    if truth.k() < args.k.min(rows) {
        return Err(Fail::input(format!("{name}: {} answers a query; at least {} for --k would be right", truth.k(), args.k)));
    }
    Ok(())
}

/// Refuses a truth that names rows which `segments` do not have. One of more rows than there are now, as some were deleted, is fine.
pub(super) fn check_truth_ids(args: &BenchArgs, truth: &Truth, queries: &Queries, segments: &[&Index]) -> Result<(), Fail> {
    if segments.iter().any(|segment| segment.deleted() > 0) {
        return Ok(());
    }
    for query in 0..queries.len().min(truth.queries()) {
        for &id in truth.right_ids(query, args.k) {
            let mut known = false;
            for segment in segments {
                known |= segment.row_of(id.into()).map_err(|error| Fail::search(args.file(), "", &error))?.is_some();
            }
            if !known {
                let (name, index) = (args.truth.as_deref().unwrap_or("truth".as_ref()).display(), args.file().display());
                return Err(Fail::input(format!("{name}: query {query}: {id} is no id of {index}; the answers of other rows?")));
            }
        }
    }
    Ok(())
}

pub(super) fn settings(args: &BenchArgs) -> Vec<SearchParams> {
    let setting = |effort| params(&args.plan, args.k, effort);
    let efs = args.ef.iter().map(|&ef| setting(Effort::Ef(ef)));
    let settings: Vec<SearchParams> = efs.chain(args.recall.iter().map(|&recall| setting(Effort::Recall(recall)))).collect();
    if settings.is_empty() { vec![setting(Effort::Auto)] } else { settings }
}

/// What a walk through this index goes by; `None` where all rows are compared.
pub(super) fn walk_setting(index: &Index, params: &SearchParams) -> Option<Setting> {
    if params.plan.unwrap_or(index.plan()) == Plan::Scan {
        return None;
    }
    let refine = params.refine.unwrap_or(index.refine());
    let chosen = Setting::choose(params, params.layout, refine, index.quality().unwrap_or_default());
    Some(Setting { ef: chosen.limits(params.k, index.metric(), index.len()).ef, gamma: chosen.gamma })
}

/// Candidates, and behind a stroke how much farther than the last hit a walk looks before it ends, where the pool is not all that ends it; of a scan nothing.
pub(super) fn effort(setting: Option<Setting>) -> String {
    match setting {
        Some(Setting { ef, gamma }) if gamma > 0.0 => format!("{ef}/{gamma:.2}"),
        Some(Setting { ef, .. }) => ef.to_string(),
        None => "-".to_owned(),
    }
}

/// Everything that is printed.
struct Report<'a> {
    args: &'a BenchArgs,
    common: &'a Common,
    driver: Driver,
    index: &'a Segments,
    runs: Vec<(SearchParams, Run)>,
    opened: f64,
    /// Rows that the filter selected, and the microseconds that took.
    selected: Option<(usize, f64)>,
}

impl Report<'_> {
    fn json(&self) -> Value {
        let Self { args, index, .. } = self;
        let mut value = json!({
            "file": args.file().display().to_string(), "rows": index.rows(), "dimensions": index.dimensions(), "metric": index.metric().as_str(),
            "k": args.k, "threads": self.threads(), "backend": index.first().kernels().name(), "driver": self.driver.as_str(), "layout": args.plan.layout.as_str(),
            "resident_bytes": resident_bytes(), "file_bytes": index.file_bytes(), "open_seconds": rounded(self.opened),
            "runs": self.runs.iter().map(|(setting, run)| self.run_json(setting, run)).collect::<Vec<_>>(),
        });
        if index.is_set() {
            value["segments"] = index.iter().len().into();
        }
        if let Some((rows, took)) = self.selected {
            value["filter"] = json!({ "matching": rows, "select_us": rounded(took) });
        }
        value
    }

    fn run_json(&self, setting: &SearchParams, run: &Run) -> Value {
        let mut map = Map::new();
        if let Some(TileSetting { probes, rerank }) = self.tiles(setting) {
            map.insert("probes".into(), json!(probes));
            map.insert("rerank".into(), json!(rerank));
        } else if let Some(Setting { ef, gamma }) = self.setting(setting) {
            map.insert("ef".into(), json!(ef));
            map.insert("gamma".into(), rounded(f64::from(gamma)));
        }
        if let Effort::Recall(recall) = setting.effort {
            map.insert("asked_recall".into(), rounded(f64::from(recall)));
        }
        if let Some(recall) = run.recall {
            map.insert("recall".into(), rounded(recall));
        }
        map.insert("queries".into(), json!(run.queries));
        let values = [
            ("qps", run.qps),
            ("qps_cpu", run.qps_cpu),
            ("cpu_s", run.cpu_s),
            ("wall_seconds", run.wall_s),
            ("mean_us", run.mean_us),
            ("p50_us", run.p50_us),
            ("p95_us", run.p95_us),
            ("p99_us", run.p99_us),
            ("distances", run.distances),
            ("hops", run.hops),
            ("rounds", self.rounds(setting, run)),
            ("blocks", run.blocks),
            ("bytes", run.bytes),
        ];
        map.extend(values.map(|(key, value)| (key.to_owned(), rounded(value))));
        Value::Object(map)
    }

    /// Reads that wait for one another: a walk's steps do, a scan's do not; a search of tiles reads codes, then records, then perhaps
    /// originals.
    fn rounds(&self, setting: &SearchParams, run: &Run) -> f64 {
        let exact = matches!(self.index.element(), Element::U8 | Element::I8);
        let originals = !exact && setting.refine.unwrap_or(self.index.first().refine()) == Refine::Originals;
        self.tiles(setting).map_or(run.hops.max(1.0), |_| if originals { 3.0 } else { 2.0 })
    }

    /// Tiles and records that the setting stands for, where tiles are searched: of all segments.
    fn tiles(&self, setting: &SearchParams) -> Option<TileSetting> {
        let is_tiled = |(_, segment): (_, &Index)| setting.plan.unwrap_or(segment.plan()) == Plan::Tiles;
        if self.selected.is_some() || !self.index.iter().all(is_tiled) {
            return None;
        }
        let mut all = TileSetting { probes: 0, rerank: 0 };
        for (_, segment) in self.index.iter() {
            let TileSetting { probes, rerank } = TileSetting::choose(setting, segment.quality().unwrap_or_default());
            let tiles = usize::try_from(segment.tile_count()).unwrap_or(usize::MAX);
            all.probes += probes.clamp(1, tiles.max(1));
            all.rerank += rerank.max(setting.k).min(segment.len());
        }
        Some(all)
    }

    /// What walks go by: of segments that differ the one with the largest pool.
    fn setting(&self, setting: &SearchParams) -> Option<Setting> {
        let of = |(_, segment): (_, &Index)| walk_setting(segment, setting);
        self.index.iter().filter_map(of).max_by_key(|setting| setting.ef)
    }

    fn threads(&self) -> usize {
        self.common.threads.map_or(1, usize::from)
    }

    fn write_text(&self, out: &mut impl Write) -> std::io::Result<()> {
        let Self { args, index, .. } = self;
        writeln!(
            out,
            "{}: {} rows x {} dimensions, {}, k {}, {} thread(s), {}, {}",
            args.file().display(),
            index.rows(),
            index.dimensions(),
            index.metric(),
            args.k,
            self.threads(),
            index.first().kernels().name(),
            self.driver
        )?;
        let resident = resident_bytes().map_or("unknown".to_owned(), output::bytes);
        writeln!(out, "file {}, resident {resident}", output::bytes(index.file_bytes()))?;
        if let Some((rows, took)) = self.selected {
            writeln!(out, "{rows} rows match the filter, selected in {took:.0} us")?;
        }
        let tiled = self.runs.iter().any(|(setting, _)| self.tiles(setting).is_some());
        let name = if tiled { 14 } else { 10 };
        if !args.recall.is_empty() {
            write!(out, "{:>7} ", "asked")?;
        }
        writeln!(
            out,
            "{:>name$} {:>8} {:>10} {:>10} {:>9} {:>9} {:>9} {:>9} {:>10} {:>8} {:>8} {:>10}",
            if tiled { "probes/records" } else { "ef/gamma" },
            "recall",
            "qps",
            "qps_cpu",
            "mean_us",
            "p50_us",
            "p95_us",
            "p99_us",
            "distances",
            "hops",
            "blocks",
            "touched"
        )?;
        for (setting, run) in &self.runs {
            let recall = run.recall.map_or("-".to_owned(), |recall| format!("{recall:.4}"));
            let Run { qps, qps_cpu, mean_us, p50_us, p95_us, p99_us, distances, hops, blocks, bytes, .. } = run;
            let touched = output::bytes(*bytes as u64);
            let tiles = self.tiles(setting).map(|TileSetting { probes, rerank }| format!("{probes}/{rerank}"));
            let effort = tiles.unwrap_or_else(|| effort(self.setting(setting)));
            if let Effort::Recall(asked) = setting.effort {
                write!(out, "{asked:>7} ")?;
            }
            writeln!(
                out,
                "{:>name$} {recall:>8} {qps:>10.0} {qps_cpu:>10.0} {mean_us:>9.1} {p50_us:>9.1} {p95_us:>9.1} {p99_us:>9.1} {distances:>10.0} {hops:>8.1} {blocks:>8.1} {touched:>10}",
                effort
            )?;
        }
        Ok(())
    }
}
