//! `nearshore truth`: exact answers, for measuring others by.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use nearshore::dataset::truth::Truth;
use nearshore::dataset::{ColumnChoice, DataError, Dataset, Options};
use nearshore::exact::{Base, ExactError, Found, nearest};
use nearshore::filter::{Filter, select};
use nearshore::{Par, Pool};
use serde_json::json;

use super::args::{Common, TruthArgs};
use super::fail::Fail;
use super::output::{self, print, print_json};
use super::progress::Progress;

pub(crate) fn run(args: &TruthArgs, common: &Common) -> Result<(), Fail> {
    let started = Instant::now();
    let extension = args.output.extension().unwrap_or_default();
    let as_ivecs = extension.eq_ignore_ascii_case("ivecs");
    if !as_ivecs && !extension.eq_ignore_ascii_case("ibin") {
        let what = "a name that ends in .ibin (ids and distances) or .ivecs (ids) would be right";
        return Err(Fail::usage(format!("{}: {what}", args.output.display())));
    }
    let inputs: Vec<&Path> = [Some(args.base.as_path()), Some(args.queries.as_path()), args.ids.as_deref()].into_iter().flatten().collect();
    let mut sink = output::begin(&args.output, args.force, &inputs)?;
    let progress = Progress::new(common);
    let reading = |done, total| progress.tell("reading", done, total);
    let options = args.from.options(None, &reading);
    let filter = args.only.parse()?;
    let names: Vec<String> = filter.iter().flat_map(Filter::columns).map(str::to_owned).collect();
    let columns = filter.as_ref().map(|_| ColumnChoice::Named(&names));
    let mut base = Dataset::open(&args.base, &Options { columns, ..options }).map_err(|error| Fail::columns("--filter", &names, error))?;
    if let Some(filter) = &filter {
        let rows = select(&base.columns(), base.rows(), filter).map_err(|error| Fail::usage(format!("--filter: {error}")))?;
        base = base.only(&rows, args.from.tmp.as_deref())?;
    }
    if let Some(ids) = &args.ids {
        base.set_ids(ids, args.from.tmp.as_deref())?;
    }
    let queries = Dataset::open(&args.queries, &options)?;
    if queries.dimensions() != base.dimensions() {
        let (found, wanted) = (queries.dimensions(), base.dimensions());
        return Err(Fail::input(format!("{}: {found} dimensions; {wanted} as in {} would be right", queries.name(), base.name())));
    }
    if let Some(row) = base.ids().and_then(|ids| ids.iter().position(|&id| u32::try_from(id).is_err())) {
        let what = "its id does not fit the 32 bits of a truth file; smaller ids, or none, would be right";
        return Err(DataError::malformed(base.name(), what).row(row as u64).into());
    }
    let pool = Pool::new(common.threads.map_or(0, usize::from)).map_err(|error| Fail::io(&args.output, &error))?;
    let k = (args.k as usize).min(base.rows());
    let tell = |done, total| {
        progress.tell("comparing", done, Some(total));
        ControlFlow::Continue(())
    };
    let from = Base { vectors: base.vectors(), ids: base.ids() };
    let answers = nearest(from, queries.vectors(), args.metric, k, &pool, &tell).map_err(|error| explain(error, &base, &queries))?;
    progress.finish();
    let truth = truth_of(&answers, k).ok_or_else(|| Fail::input("no answers"))?;
    let written = truth.write(&mut sink, as_ivecs).and_then(|()| sink.finish());
    written.map_err(|error| Fail::output(&args.output, &error))?;
    let took = started.elapsed().as_secs_f64();
    if common.json {
        return print_json(&json!({
            "file": args.output.display().to_string(), "queries": truth.queries(), "k": k, "rows": base.rows(), "dimensions": base.dimensions(),
            "metric": args.metric.as_str(), "threads": pool.threads(), "wall_seconds": output::rounded(took),
        }));
    }
    if common.quiet {
        return Ok(());
    }
    let (rows, count, path) = (base.rows(), truth.queries(), args.output.display());
    print(|out| writeln!(out, "{path}: {count} queries x {k} exact answers among {rows} rows, in {}", output::seconds(took)))
}

fn truth_of(answers: &[Vec<Found>], k: usize) -> Option<Truth> {
    let found = || answers.iter().flatten();
    Truth::new(k, found().map(|found| found.id as u32).collect(), Some(found().map(|found| found.distance as f32).collect()))
}

/// Says which row of which file has no distance, and why.
fn explain(error: ExactError, base: &Dataset, queries: &Dataset) -> Fail {
    let (data, row) = match error {
        ExactError::Row(row) => (base, row),
        ExactError::Query(row) => (queries, row),
        ExactError::Shape => return Fail::input(format!("{}: more than 4,294,967,295 rows", base.name())),
        ExactError::Interrupted => return Fail::interrupted(),
    };
    let at = row as usize;
    match data.check_finite(at..at + 1) {
        Err(error) => error.into(),
        Ok(()) => DataError::malformed(data.name(), "a zero vector has no cosine; leave it out, or use --metric l2").row(row).into(),
    }
}
