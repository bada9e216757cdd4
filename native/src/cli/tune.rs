//! `nearshore tune`: the efforts behind `--recall`, measured on the queries that are really asked.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use nearshore::dataset::Dataset;
use nearshore::dataset::truth::Truth;
use nearshore::format::{Plan, RewriteError, WriteError};
use nearshore::io::FileSink;
use nearshore::tune::{Measured, Target, TruthSource, TuneError, TuneParams, TuneStage, Tuned, tune};
use nearshore::{Index, Pool, Queries};
use serde_json::{Value, json};

use super::args::{Common, TuneArgs};
use super::fail::Fail;
use super::info::quality_json;
use super::output::{self, print, print_json, rounded};
use super::progress::Progress;
use super::search::open;

pub(crate) fn run(args: &TuneArgs, common: &Common) -> Result<(), Fail> {
    let started = Instant::now();
    let index = open(&args.file, args.driver.for_many_searches(&args.file), args.layout, common)?;
    // Early, so that nobody measures for minutes to hear that the output exists.
    let sink = args.output.as_deref().map(|path| destination(args, path)).transpose()?;
    let progress = Progress::new(common);
    let data = Dataset::open(&args.queries, &args.from.options(None, &|done, total| progress.tell("reading", done, total)))?;
    let (queries, name) = (Queries::of(&data)?, data.name().to_owned());
    drop(data);
    let truth = args.truth.as_deref().map(Truth::open).transpose()?;
    let pool = Pool::new(common.threads.map_or(0, usize::from)).map_err(|error| Fail::io(&args.file, &error))?;
    let tell = |stage, done, total| {
        let stage = match stage {
            TuneStage::Truth => "scanning",
            TuneStage::Measure => "measuring",
        };
        progress.tell(stage, done, Some(total));
        ControlFlow::Continue(())
    };
    let params = TuneParams { k: args.k, recalls: args.recall.clone(), layout: args.layout };
    let tuned = tune(&*index, &queries, truth.as_ref(), &params, &pool, &tell).map_err(|error| explain(error, args, &name))?;
    if let Some((sink, path)) = sink.zip(args.output.as_deref()) {
        let written = tuned.write(&index, sink, &mut |done, total| progress.tell("writing", done, Some(total)));
        let (sink, _) = written.map_err(|error| match error {
            RewriteError::Corrupt(corrupt) => Fail::damaged(format!("{}: {corrupt}", args.file.display())),
            RewriteError::Write(WriteError::Sink(error)) => Fail::output(path, &error),
            RewriteError::Write(error) => Fail::input(format!("{}: {error}", args.file.display())),
        })?;
        sink.finish().map_err(|error| Fail::output(path, &error))?;
    }
    progress.finish();
    let report = Report { args, index: &index, queries: queries.len(), tuned: &tuned, took: started.elapsed().as_secs_f64() };
    if common.json {
        return print_json(&report.json());
    }
    if common.quiet && args.output.is_some() { Ok(()) } else { print(|out| report.write_text(out)) }
}

/// Begins the new file, unless it is one of those that are read.
fn destination(args: &TuneArgs, path: &Path) -> Result<FileSink, Fail> {
    let truth = args.truth.iter().map(|truth| truth.as_path());
    let inputs: Vec<&Path> = [args.file.as_path(), args.queries.as_path()].into_iter().chain(truth).collect();
    output::begin(path, args.force, &inputs)
}

/// Says which file is wrong, and what would be right.
fn explain(error: TuneError, args: &TuneArgs, queries: &str) -> Fail {
    let (index, truth) = (args.file.display(), args.truth.as_deref().unwrap_or("truth".as_ref()).display());
    match error {
        TuneError::Dimensions { found, wanted } => {
            Fail::input(format!("{queries}: {found} dimensions; {wanted} as in {index} would be right"))
        }
        TuneError::Queries { .. } => Fail::input(format!("{queries}: {error}")),
        TuneError::K { k, rows } => Fail::usage(format!("--k {k}: 1 to {rows}, as many as {index} has rows, would be right")),
        TuneError::Recall { recall } => Fail::usage(format!("--recall {recall}: above 0 and at most 1 would be right")),
        TuneError::TruthQueries { .. } => Fail::input(format!("{truth}: {error}, as in {queries}")),
        TuneError::TruthId { .. } => Fail::input(format!("{truth}: {error}")),
        TuneError::TruthK { .. } => Fail::input(format!("{truth}: {error}, for --k")),
        TuneError::Query(failed) => Fail::search(&args.file, &format!("{queries}: row {}", failed.query), &failed.error),
        TuneError::NoGraph => {
            Fail::usage(format!("{index}: {error}; tune the index that it was made of, or see what export measured: nearshore info"))
        }
        TuneError::Empty => Fail::input(format!("{index}: {error}")),
        TuneError::Interrupted => Fail::interrupted(),
    }
}

/// Everything that is printed.
struct Report<'a> {
    args: &'a TuneArgs,
    index: &'a Index,
    queries: usize,
    tuned: &'a Tuned,
    took: f64,
}

impl Report<'_> {
    fn json(&self) -> Value {
        let Self { args, index, tuned, .. } = self;
        let measured = |measured: &Measured| {
            json!({
                "ef": measured.setting.ef, "gamma": rounded(f64::from(measured.setting.gamma)), "recall": rounded(measured.recall),
                "recall_error": rounded(measured.recall_error), "distances": rounded(measured.distances), "hops": rounded(measured.hops),
            })
        };
        let target = |target: &Target| {
            json!({
                "asked_recall": rounded(f64::from(target.recall)), "before": measured(&target.before), "after": measured(&target.after),
                "reached": target.is_reached(),
            })
        };
        json!({
            "file": args.file.display().to_string(), "output": args.output.as_ref().map(|path| path.display().to_string()),
            "rows": index.len(), "dimensions": index.dimensions(), "metric": index.metric().as_str(), "k": args.k, "queries": self.queries,
            "truth": tuned.truth.as_str(), "refine": index.refine().as_str(), "layout": args.layout.as_str(), "targets": tuned.targets.iter().map(target).collect::<Vec<_>>(),
            "quality": quality_json(&tuned.table), "wall_seconds": rounded(self.took),
        })
    }

    fn write_text(&self, out: &mut impl Write) -> std::io::Result<()> {
        let Self { args, index, tuned, .. } = self;
        let truth = match tuned.truth {
            TruthSource::Given => "the truth that was given",
            TruthSource::Rows => "an exact scan",
            TruthSource::Codes => "a scan of the codes, for want of originals (--truth FILE says how good they are, too)",
        };
        let (k, queries, took) = (args.k, self.queries, output::seconds(self.took));
        writeln!(out, "{}: recall@{k} of {queries} queries against {truth}, in {took}", args.file.display())?;
        writeln!(out, "  {:>6}  {:<45}  {:<45}", "", "by the table of the file", "by the new one")?;
        write!(out, "  {:>6}", "asked")?;
        (0..2).try_for_each(|_| write!(out, "  {:>6} {:>6} {:>8} {:>8} {:>13}", "ef", "gamma", "recall", "+-", "distances"))?;
        writeln!(out)?;
        for target in &tuned.targets {
            write!(out, "  {:>6}", target.recall)?;
            for measured in [&target.before, &target.after] {
                let Measured { setting, recall, recall_error, distances, .. } = measured;
                let (ef, gamma) = (setting.ef, setting.gamma);
                write!(out, "  {ef:>6} {gamma:>6.3} {recall:>8.4} {recall_error:>8.4} {distances:>13.0}")?;
            }
            writeln!(out, "{}", if target.is_reached() { "" } else { "  (no effort that was measured reaches it)" })?;
        }
        if index.plan() == Plan::Scan {
            writeln!(out, "  The file is scanned unless a search says --plan walk; what is above holds for walks.")?;
        }
        match &args.output {
            Some(path) => writeln!(out, "{}: the same index with the new table", path.display()),
            None => writeln!(out, "  Nothing was written; -o FILE writes the same index with the new table."),
        }
    }
}
