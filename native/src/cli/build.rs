//! `nearshore build`: rows in, one file out.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use nearshore::build::{BuildError, BuildParams, Builder, Codes, Input, Stage, Summary, Tier, build_with_columns, parts};
use nearshore::dataset::{ColumnChoice, DataError, Dataset, Options};
use nearshore::filter::{ColumnError, ColumnInput};
use nearshore::format::{Plan, WriteError};
use nearshore::io::{FileSink, give_back_large_blocks, memory_limit};
use nearshore::search::{Layout, QualityRow};
use nearshore::{Kernels, Par, Pool};
use serde_json::{Value, json};

use super::args::{BuildArgs, Common};
use super::fail::Fail;
use super::info::quality_json;
use super::output::{self, bytes, print, print_json, rounded, seconds};
use super::partitioned;
use super::progress::Progress;
use super::segments;

pub(crate) fn run(args: &BuildArgs, common: &Common) -> Result<(), Fail> {
    if args.alpha_sq.is_some() && args.builder != Builder::Vamana {
        return Err(Fail::usage("--alpha-sq is how vamana prunes: --builder vamana would be right"));
    }
    give_back_large_blocks();
    if let Some(memory) = args.bound.memory {
        segments::refuse_bound(args)?;
        return partitioned::build(args, common, memory.0);
    }
    // First of all, so that nobody waits an hour to hear that the output exists.
    segments::refuse_set(&args.output, args.force, &args.inputs())?;
    let sink = output::begin(&args.output, args.force, &args.inputs())?;
    let progress = Progress::new(common);
    let data = open(args, &progress)?;
    let pool = Pool::new(common.threads.map_or(0, usize::from)).map_err(|error| Fail::io(&args.output, &error))?;
    if segments::are_wanted(args, &data) {
        drop(sink);
        return segments::build(args, common, &data, &pool, &progress);
    }
    note_memory(args, &data, data.rows(), common);
    whole(args, common, &data, &pool, &progress, sink)
}

/// Says so where the records and the graph of `rows` rows, built at once, are more than the memory that there is, and what would do.
pub(super) fn note_memory(args: &BuildArgs, data: &Dataset, rows: usize, common: &Common) {
    if let Some(note) = memory_note(&args.params(Tier::Memory), rows, data.dimensions(), memory_limit()).filter(|_| !common.quiet) {
        eprintln!("note: {note}");
    }
}

/// What the program takes beside rows and graph: what two threads compare, buffers, itself.
const PROGRAM_BYTES: u64 = 24 << 20;

fn memory_note(params: &BuildParams, rows: usize, dimensions: usize, limit: Option<u64>) -> Option<String> {
    let least = parts::least_bytes(rows as u64, dimensions, params) + PROGRAM_BYTES;
    let limit = limit.filter(|&limit| limit < least)?;
    // A bound leaves something for what else is there, pages of the input before all.
    let bound = ((limit / 4 * 3) >> 20) << 20;
    let bounded =
        parts::check_params::<std::io::Error>(params).is_ok() && parts::Split::new(rows as u64, dimensions, params, bound, None).is_ok();
    let instead = if bounded { format!("; --memory {}MiB builds them in partitions within that", bound >> 20) } else { String::new() };
    let (least, limit) = (bytes(least), bytes(limit));
    Some(format!(
        "{rows} rows x {dimensions} take {least} and more while they are built at once, less where many are the same, of {limit} that this \
         process can have: it may swap, or be ended by the system{instead}"
    ))
}

/// Opens what a build reads.
pub(super) fn open(args: &BuildArgs, progress: &Progress) -> Result<Dataset, Fail> {
    let reading = |done, total| progress.tell("reading", done, total);
    let options = Options { columns: choice(&args.columns), ..args.from.options(args.payload.as_deref(), &reading) };
    let mut data = Dataset::open(&args.input, &options).map_err(|error| Fail::columns("--columns", &args.columns, error))?;
    if let Some(ids) = &args.ids {
        data.set_ids(ids, args.from.tmp.as_deref())?;
    }
    Ok(data)
}

/// The columns that these words mean.
pub(super) fn choice(words: &[String]) -> Option<ColumnChoice<'_>> {
    match words {
        [] => None,
        [word] if word == "all" => Some(ColumnChoice::All),
        names => Some(ColumnChoice::Named(names)),
    }
}

/// What a build is doing.
pub(super) fn name_of(stage: Stage) -> &'static str {
    match stage {
        Stage::Encode => "encoding",
        Stage::Link => "linking",
        Stage::Measure => "measuring",
        Stage::Write => "writing",
    }
}

/// Says what codes by parts become where rows have fewer dimensions than the word has parts.
pub(super) fn say_codes(codes: Codes, dimensions: usize, common: &Common) {
    let (asked, made) = (codes.as_str(), codes.for_dimensions(dimensions));
    if made != asked && !common.quiet {
        eprintln!("--codes {asked}: rows of {dimensions} dimensions have no more parts than that, so it is {made}");
    }
}

/// Builds all at once.
pub(super) fn whole(
    args: &BuildArgs,
    common: &Common,
    data: &Dataset,
    pool: &Pool,
    progress: &Progress,
    sink: FileSink,
) -> Result<(), Fail> {
    let started = Instant::now();
    let params = args.params(args.tier.of(data, args, common)?);
    say_codes(params.codes, data.dimensions(), common);
    let input = Input { vectors: data.vectors(), ids: data.ids(), payloads: data.payloads() };
    let mut tell = |stage, done, total| {
        data.expect_reads_of(stage, done);
        progress.tell(name_of(stage), done, Some(total));
        ControlFlow::Continue(())
    };
    let (sink, summary) = build_with_columns(&input, &data.columns(), &params, pool, Kernels::best(), &mut tell, sink)
        .map_err(|error| explain(error, data, &args.output))?;
    progress.finish();
    sink.finish().map_err(|error| Fail::output(&args.output, &error))?;
    if args.force {
        segments::remove_set(&args.output)?;
    }
    let wall = started.elapsed().as_secs_f64();
    if common.json {
        return print_json(&summary_json(&args.output, &params, data, &summary, pool.threads(), wall));
    }
    if common.quiet { Ok(()) } else { print(|out| write_summary(out, &args.output, &params, data, &summary, wall, common.verbose > 0)) }
}

/// What came out, for programs.
pub(super) fn summary_json(output: &Path, params: &BuildParams, data: &Dataset, summary: &Summary, threads: usize, wall: f64) -> Value {
    let cpu = cpu_seconds();
    json!({
        "file": output.display().to_string(), "rows": summary.rows, "dimensions": data.dimensions(), "metric": params.metric.as_str(),
        "element": data.element().as_str(), "m": params.m, "ef_construction": params.ef_construction, "builder": params.builder.as_str(), "seed": params.seed,
        "originals": params.originals, "codes": params.codes.for_dimensions(data.dimensions()), "tier": params.tier.as_str(), "layout": params.layout.as_str(), "threads": threads, "backend": Kernels::best().name(), "duplicates": summary.duplicates,
        "layers": summary.layers, "mean_degree": rounded(summary.mean_degree), "mended_edges": summary.mended,
        "file_bytes": summary.file_bytes, "build_id": format!("{:016x}", summary.build_id), "wall_seconds": rounded(wall),
        "cpu_seconds": rounded(cpu), "quality": quality_json(&summary.quality),
        "columns": data.columns().iter().map(|column| json!({ "name": column.name, "type": column.values.kind().as_str() })).collect::<Vec<_>>(),
    })
}

/// What came out, for people.
pub(super) fn write_summary(
    out: &mut impl Write,
    output: &Path,
    params: &BuildParams,
    data: &Dataset,
    summary: &Summary,
    wall: f64,
    verbose: bool,
) -> std::io::Result<()> {
    let (rows, metric, size) = (summary.rows, params.metric, bytes(summary.file_bytes));
    writeln!(out, "{}: {rows} rows x {} dimensions, {metric}, {size}, in {}", output.display(), data.dimensions(), seconds(wall))?;
    if summary.duplicates > 0 {
        writeln!(out, "  {} rows repeat another exactly", summary.duplicates)?;
    }
    let describe = |column: &ColumnInput<'_>| format!("{} ({})", column.name, column.values.kind());
    let columns: Vec<String> = data.columns().iter().map(describe).collect();
    if !columns.is_empty() {
        writeln!(out, "  columns: {}", columns.join(", "))?;
    }
    let Some(first) = summary.quality.first() else { return Ok(()) };
    writeln!(out, "  recall@{} against brute force on {} of the rows, as if they were not in the file:", first.k, first.queries)?;
    write_quality(out, &summary.quality, verbose)?;
    let by_codes = summary.quality.iter().filter(|row| row.layout == Layout::Lean);
    let best = by_codes.map(|row| row.recall).fold(0.0, f32::max);
    if params.codes != Codes::None && best < CODES_MISS {
        let codes = params.codes.for_dimensions(data.dimensions());
        writeln!(out, "  walks by {codes} codes end at {best:.2}: these hardly tell such rows apart; --codes none walks by the records")?;
    }
    Ok(())
}

/// A best recall below which codes are the wrong guide: rows that share their codes, as in clusters far apart, are found by no effort.
const CODES_MISS: f32 = 0.9;

/// Recalls that people ask for: the lines that a quality table is shortened to.
const ASKED: [f32; 3] = [0.9, 0.95, 0.99];

/// The quality table: the cheapest efforts that reach the recalls people ask for, and the best, at the level of refinement that searches use
/// unless told; all of it when `verbose`.
pub(super) fn write_quality(out: &mut impl Write, table: &[QualityRow], verbose: bool) -> std::io::Result<()> {
    let finest = table.iter().map(|row| row.refine).max();
    for layout in [Layout::Lean, Layout::Fast] {
        let of_layout = table.iter().filter(|row| row.layout == layout);
        let mut rows: Vec<&QualityRow> = of_layout.filter(|row| verbose || Some(row.refine) == finest).collect();
        if rows.is_empty() {
            continue;
        }
        if !verbose {
            rows.sort_by(|a, b| a.distances.total_cmp(&b.distances).then(b.recall.total_cmp(&a.recall)));
            let mut best = f32::NEG_INFINITY;
            rows.retain(|row| {
                let better = row.recall > best;
                best = best.max(row.recall);
                better
            });
            // Recall ascends from here on.
            let reached = |recall: f32| rows.iter().position(|row| row.recall >= recall);
            let kept: Vec<usize> = ASKED.into_iter().filter_map(reached).chain(rows.len().checked_sub(1)).collect();
            let mut at = 0..;
            rows.retain(|_| at.next().is_some_and(|at| kept.contains(&at)));
        }
        if layout == Layout::Fast {
            writeln!(out, "  with --layout fast:")?;
        }
        if rows.iter().all(|row| row.plan == Plan::Tiles) {
            writeln!(out, "  {:>6} {:>7} {:>8} {:>10}", "probes", "records", "recall", "distances")?;
            for QualityRow { ef, rerank, recall, distances, .. } in rows {
                writeln!(out, "  {ef:>6} {rerank:>7} {recall:>8.4} {distances:>10.0}")?;
            }
            continue;
        }
        writeln!(out, "  {:>6} {:>6} {:>10} {:>8} {:>10} {:>8}", "ef", "gamma", "refine", "recall", "distances", "hops")?;
        for row in rows {
            let QualityRow { ef, gamma, refine, recall, distances, hops, .. } = row;
            writeln!(out, "  {ef:>6} {gamma:>6.3} {refine:>10} {recall:>8.4} {distances:>10.0} {hops:>8.1}")?;
        }
    }
    Ok(())
}

/// Processor time of this process so far.
pub(super) fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Says in the words of the input what the build refused.
pub(super) fn explain(error: BuildError<std::io::Error>, data: &Dataset, output: &Path) -> Fail {
    let at = |row: usize, what: String| Fail::from(DataError::malformed(data.name(), what).row(row as u64));
    match error {
        BuildError::NotFinite { row, .. } => match data.check_finite(row..row + 1) {
            Err(error) => error.into(),
            Ok(()) => at(row, "its norm leaves the range of f32; smaller numbers would be right".to_owned()),
        },
        BuildError::ZeroVector { row } => at(row, "a zero vector has no cosine; leave it out, or use --metric l2".to_owned()),
        BuildError::DuplicateId { id, first, second } => at(second, format!("id {id} is that of row {first} already; ids must differ")),
        BuildError::Column(ColumnError { column, row: Some(row), what }) => {
            DataError::malformed(data.name(), what).row(row as u64).field(column).into()
        }
        BuildError::PayloadTooLong { row } => at(row, "a payload of 4 GiB or more".to_owned()),
        BuildError::Write(WriteError::Sink(error)) => Fail::output(output, &error),
        BuildError::Parameter { parameter, must } => Fail::usage(format!("--{} must be {must}", parameter.replace('_', "-"))),
        other => Fail::input(format!("{}: {other}", data.name())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearshore::format::Metric;

    #[test]
    fn a_build_that_memory_does_not_hold_is_noted_with_what_would_do() {
        let leaves = BuildParams::new(Metric::L2);
        let vamana = BuildParams::new(Metric::L2).builder(Builder::Vamana);
        let note = |params: &BuildParams, limit| memory_note(params, 1_000_000, 96, limit);
        let least = parts::least_bytes(1_000_000, 96, &leaves) + PROGRAM_BYTES;
        assert!((200 << 20..600 << 20).contains(&least), "{least}");
        assert_eq!((note(&leaves, None), note(&leaves, Some(least))), (None, None));
        assert!(note(&leaves, Some(200 << 20)).unwrap().ends_with("; --memory 150MiB builds them in partitions within that"));
        // Nothing is advised that would be refused.
        for note in [note(&leaves, Some(70 << 20)), note(&vamana, Some(200 << 20))] {
            assert!(note.unwrap().ends_with("ended by the system"));
        }
    }
}
