//! `nearshore bench concurrent`: readers of a live index, alone and beside a writer.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use nearshore::bench::concurrent::{ConcurrentError, Options, Part, measure};
use nearshore::bench::{QueryError, resident_bytes};
use nearshore::dataset::{DataError, Dataset};
use nearshore::format::{Element, Kind, Refine};
use nearshore::live::{Live, LiveError};
use nearshore::search::quality::Setting;
use nearshore::search::{Effort, Layout, SearchParams};
use nearshore::{Index, Queries};
use nearshore_core::seed;
use serde_json::{Value, json};

use super::args::{Common, InputArgs};
use super::fail::Fail;
use super::output::{print, print_json, rounded};
use super::progress::Progress;
use super::search::check_dimensions;
use super::signals::stop_gracefully;
use super::size::whole;

/// How far an inserted row moves from the one that it is made of to another.
const BLEND: f32 = 0.1;

pub(crate) const EXAMPLES: &str =
    "The index is taken into memory as a live one; its file stays as it is. Ctrl-C ends it early and prints what was measured.

Examples:
  nearshore bench concurrent base.shore --queries queries.fbin
  nearshore bench concurrent base.shore --queries queries.fbin --insert more.fbin --readers 16 --seconds 30 --json";

#[derive(Debug, Args)]
pub(crate) struct ConcurrentArgs {
    /// The index
    pub(crate) file: PathBuf,
    /// Queries, one a row, in any input format
    #[arg(long, value_name = "FILE")]
    pub(crate) queries: PathBuf,
    /// Vectors to insert, in any input format [default: rows of the index, each moved a tenth of the way to another]
    #[arg(long, value_name = "FILE")]
    pub(crate) insert: Option<PathBuf>,
    /// Threads that search
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) readers: u16,
    /// How long each of the three parts lasts
    #[arg(long, default_value_t = 5.0, value_name = "S")]
    pub(crate) seconds: f64,
    /// Hits a query
    #[arg(long, short, default_value_t = 10, value_name = "N", value_parser = whole)]
    pub(crate) k: usize,
    /// Effort: candidates kept while walking
    #[arg(long, value_name = "N", value_parser = whole, conflicts_with = "recall")]
    pub(crate) ef: Option<usize>,
    /// Effort: the cheapest whose measured recall is at least this [default: 0.95]
    #[arg(long, value_name = "R")]
    pub(crate) recall: Option<f32>,
    #[command(flatten)]
    pub(crate) from: InputArgs,
}

pub(crate) fn run(args: &ConcurrentArgs, common: &Common) -> Result<(), Fail> {
    if !(args.seconds > 0.0 && args.seconds <= 86_400.0) {
        return Err(Fail::usage(format!("--seconds {}: above 0 and at most 86400 would be right", args.seconds)));
    }
    let index = Index::open(&args.file)?;
    if index.reader().section(Kind::Edges, 0).is_none() {
        let right = "an index that nearshore build made, before an export --for web, would be right";
        return Err(Fail::usage(format!("{}: the index has no graph, and a writer inserts into one; {right}", args.file.display())));
    }
    let progress = Progress::new(common);
    let read = |path: &Path| -> Result<Queries, Fail> {
        let data = Dataset::open(path, &args.from.options(None, &|done, total| progress.tell("reading", done, total)))?;
        let rows = Queries::of(&data)?;
        check_dimensions(&index, &args.file, &rows, &path.display().to_string())?;
        Ok(rows)
    };
    let (queries, inserts) = (read(&args.queries)?, args.insert.as_deref().map(read).transpose()?);
    let params = params(args, &index)?;
    let mut live = Live::from_index(&index).map_err(|error| refused(args, error))?;
    let rows = live.len();
    if rows == 0 {
        return Err(Fail::input(format!("{}: no rows; an index with some would be right", args.file.display())));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    stop_gracefully(move || stopped.store(true, Ordering::Relaxed));
    let options = Options { readers: args.readers.into(), part: Duration::from_secs_f64(args.seconds), params, stop: &stop };
    let mut number = 0;
    let mut next = |vector: &mut Vec<f32>| {
        number += 1;
        match &inserts {
            Some(inserts) if number <= inserts.len() => inserts.get(number - 1).decode(vector),
            Some(_) => return false,
            None => return blend(&index, number as u64, vector),
        }
        true
    };
    let measured = measure(&mut live, &queries, &mut next, &options, &mut |done, total| progress.tell("measuring", done, Some(total)));
    progress.finish();
    let parts = measured.map_err(|error| explain(args, error))?;
    let interrupted = stop.load(Ordering::Relaxed);
    let report = Report { args, index: &index, params, rows, parts, interrupted };
    if common.json { print_json(&report.json()) } else { print(|out| report.write_text(out)) }?;
    if interrupted { Err(Fail::cut_short()) } else { Ok(()) }
}

/// What every search asks for: an effort that stays the same when the index grows beyond what its table was measured on.
fn params(args: &ConcurrentArgs, index: &Index) -> Result<SearchParams, Fail> {
    let mut params = SearchParams::recall(args.recall.unwrap_or(0.95)).k(args.k);
    if let Some(ef) = args.ef {
        params.effort = Effort::Ef(ef);
    }
    let damaged = |error| Fail::search(&args.file, "", &error);
    params.validate().map_err(damaged)?;
    let setting = Setting::choose(&params, Layout::Lean, Refine::Records, index.quality().map_err(damaged)?);
    params.effort = Effort::Ef(setting.ef);
    Ok(params.gamma(setting.gamma))
}

/// A row of the index, chosen by `number`, a little of the way to another: of their distribution, and no duplicate. The
/// same every time. False where the file is damaged.
fn blend(index: &Index, number: u64, vector: &mut Vec<f32>) -> bool {
    let row = |stream| (seed::hash(0x6265_6E63, number, stream) % index.len() as u64) as u32;
    let mut other = Vec::new();
    if index.vector(row(0), vector).and_then(|()| index.vector(row(1), &mut other)).is_err() {
        return false;
    }
    let integers = matches!(index.element(), Element::U8 | Element::I8);
    for (value, other) in vector.iter_mut().zip(other) {
        *value += BLEND * (other - *value);
        *value = if integers { value.round() } else { *value };
    }
    true
}

fn explain(args: &ConcurrentArgs, error: ConcurrentError) -> Fail {
    match error {
        ConcurrentError::Query(QueryError { query, error, .. }) => {
            Fail::search(&args.file, &format!("{}: row {query}", args.queries.display()), &error)
        }
        ConcurrentError::Insert(row, error) => match &args.insert {
            Some(path) => DataError::malformed(&path.display().to_string(), error.to_string()).row(row).into(),
            None => Fail::input(format!("{}: {error}", args.file.display())),
        },
    }
}

/// A file that cannot be taken up as a live index.
fn refused(args: &ConcurrentArgs, error: LiveError) -> Fail {
    match error {
        LiveError::Open(error) => Fail::damaged(format!("{}: {error}", args.file.display())),
        error => Fail::input(format!("{}: {error}", args.file.display())),
    }
}

/// Everything that is printed.
struct Report<'a> {
    args: &'a ConcurrentArgs,
    index: &'a Index,
    params: SearchParams,
    /// Living rows at the beginning.
    rows: usize,
    parts: Vec<Part>,
    interrupted: bool,
}

impl Report<'_> {
    fn ef(&self) -> usize {
        if let Effort::Ef(ef) = self.params.effort { ef } else { 0 }
    }

    fn json(&self) -> Value {
        let Self { args, index, .. } = self;
        let part = |part: &Part| {
            json!({
                "readers": part.readers, "writer": part.writer, "wall_seconds": rounded(part.wall_s), "rows": part.rows,
                "inserts": part.inserts, "inserts_per_second": rounded(part.inserts_per_second),
                "inserts_per_cpu_second": rounded(part.inserts_per_cpu_second), "searches": part.searches, "qps": rounded(part.qps),
                "qps_cpu": rounded(part.qps_cpu), "mean_us": rounded(part.mean_us), "p50_us": rounded(part.p50_us),
                "p95_us": rounded(part.p95_us), "p99_us": rounded(part.p99_us),
            })
        };
        json!({
            "file": args.file.display().to_string(), "rows": self.rows, "dimensions": index.dimensions(), "metric": index.metric().as_str(),
            "k": args.k, "ef": self.ef(), "gamma": rounded(f64::from(self.params.gamma.unwrap_or(0.0))), "readers": args.readers,
            "backend": index.kernels().name(), "resident_bytes": resident_bytes(), "interrupted": self.interrupted,
            "parts": self.parts.iter().map(part).collect::<Vec<_>>(),
        })
    }

    fn write_text(&self, out: &mut impl Write) -> std::io::Result<()> {
        let Self { args, index, rows, .. } = self;
        let (dimensions, metric, k, backend) = (index.dimensions(), index.metric(), args.k, index.kernels().name());
        writeln!(
            out,
            "{}: {rows} rows x {dimensions} dimensions, {metric}, live, k {k}, ef {}, {backend}",
            args.file.display(),
            self.ef()
        )?;
        writeln!(
            out,
            "{:>8} {:>7} {:>8} {:>10} {:>10} {:>9} {:>9} {:>9} {:>9} {:>10} {:>12}",
            "readers", "writer", "seconds", "qps", "qps_cpu", "mean_us", "p50_us", "p95_us", "p99_us", "inserts/s", "by its cpu"
        )?;
        for part in &self.parts {
            let Part { readers, wall_s, qps, qps_cpu, mean_us, p50_us, p95_us, p99_us, .. } = part;
            let (writer, inserts, by_cpu) = (u8::from(part.writer), part.inserts_per_second, part.inserts_per_cpu_second);
            writeln!(
                out,
                "{readers:>8} {writer:>7} {wall_s:>8.1} {qps:>10.0} {qps_cpu:>10.0} {mean_us:>9.1} {p50_us:>9.1} {p95_us:>9.1} {p99_us:>9.1} {inserts:>10.0} {by_cpu:>12.0}"
            )?;
        }
        Ok(())
    }
}
