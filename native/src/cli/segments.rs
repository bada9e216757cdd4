//! `nearshore build --segment-rows`: more rows than a file holds, in several.

use std::io::{ErrorKind, Write as _};
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::time::Instant;

use nearshore::build::{BuildError, Summary, build_with_columns};
use nearshore::dataset::Dataset;
use nearshore::segments::SEGMENTS_MAX;
use nearshore::{Kernels, Par as _, Pool, Segments};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use super::args::{BuildArgs, Common};
use super::build::{cpu_seconds, explain, name_of, note_memory, say_codes, summary_json, write_summary};
use super::fail::Fail;
use super::output::{self, begin, bytes, print, print_json, rounded, seconds};
use super::progress::Progress;

/// Rows of a file at most.
pub(super) const ROWS_MAX: i64 = u32::MAX as i64 - 1;

fn rows_max(args: &BuildArgs) -> usize {
    args.segment_rows.map_or(ROWS_MAX as usize, |rows| rows as usize)
}

fn is_set(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "shores")
}

/// Whether the rows of `data` become a set.
pub(super) fn are_wanted(args: &BuildArgs, data: &Dataset) -> bool {
    is_set(&args.output) || data.rows() > rows_max(args)
}

/// Refuses a set from a build in bounded memory.
pub(super) fn refuse_bound(args: &BuildArgs) -> Result<(), Fail> {
    let what = if is_set(&args.output) {
        args.output.display().to_string()
    } else if args.segment_rows.is_some() {
        "--segment-rows".to_owned()
    } else {
        return Ok(());
    };
    Err(Fail::usage(format!(
        "{what}: with --memory a build makes one file; several of them, and `nearshore set` to join them, would be right"
    )))
}

/// Where a set of `count` segments lies, and the segments, numbered on from `first`.
fn names(output: &Path, first: usize, count: usize) -> (PathBuf, Vec<PathBuf>) {
    let known = output.extension().is_some_and(|extension| extension == "shore" || extension == "shores");
    let stem = if known { output.with_extension("") } else { output.to_owned() };
    let with = |end: &str| {
        let mut path = stem.clone().into_os_string();
        path.push(end);
        PathBuf::from(path)
    };
    (with(".shores"), (first..first + count).map(|segment| with(&format!(".{segment}.shore"))).collect())
}

/// The same with the lowest numbers that no segment of the set has whose place they take: that one is whole until the new one is.
fn new_names(output: &Path, count: usize) -> (PathBuf, Vec<PathBuf>) {
    let taken = left_over(output);
    let mut first = 0;
    loop {
        let (set, paths) = names(output, first, count);
        match paths.iter().rposition(|path| taken.contains(path)) {
            Some(last) => first += last + 1,
            None => return (set, paths),
        }
    }
}

/// Refuses to leave a set beside the file at `output`, which would go on answering under that name. Known before the input is read.
pub(super) fn refuse_set(output: &Path, force: bool, inputs: &[&Path]) -> Result<(), Fail> {
    let set = names(output, 0, 0).0;
    if Segments::listed_at(&set).is_none() {
        return Ok(());
    }
    if !force {
        return Err(Fail::usage(format!("{}: a set of that name exists already; --force removes it and its segments", set.display())));
    }
    left_over(output).iter().try_for_each(|path| output::spare(path, inputs))
}

/// The set that lies where one of `output` would, and of the files that it lists those that have the names of a build's segments.
fn left_over(output: &Path) -> Vec<PathBuf> {
    let set = names(output, 0, 0).0;
    let Some(listed) = Segments::listed_at(&set) else { return Vec::new() };
    let stem = set.with_extension("").into_os_string();
    let is_segment = |path: &PathBuf| {
        let number = path.as_os_str().as_encoded_bytes().strip_prefix(stem.as_encoded_bytes());
        let number = number.and_then(|rest| rest.strip_prefix(b".")?.strip_suffix(b".shore"));
        number.is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
    };
    // The set first: what it lists is not missed when there is none.
    let segments: Vec<PathBuf> = listed.into_iter().filter(is_segment).collect();
    [set].into_iter().chain(segments).collect()
}

/// Removes the set whose place the file at `output` took, and its segments.
pub(super) fn remove_set(output: &Path) -> Result<(), Fail> {
    remove(&left_over(output))
}

fn remove(paths: &[PathBuf]) -> Result<(), Fail> {
    paths.iter().try_for_each(|path| match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Fail::io(path, &error)),
        _ => Ok(()),
    })
}

/// The rows of each of `count` segments: as many in one as in another, but for one.
fn shares(rows: usize, count: usize) -> impl Iterator<Item = Range<usize>> {
    let (share, more) = (rows / count, rows % count);
    (0..count).map(move |segment| {
        let start = segment * share + segment.min(more);
        start..start + share + usize::from(segment < more)
    })
}

/// Builds one segment after the other. They get their names when the last one is built, and the set is written then.
pub(super) fn build(args: &BuildArgs, common: &Common, data: &Dataset, pool: &Pool, progress: &Progress) -> Result<(), Fail> {
    let started = Instant::now();
    let count = data.rows().div_ceil(rows_max(args)).max(1);
    if count > SEGMENTS_MAX {
        return Err(Fail::usage(format!("--segment-rows: {count} segments; at most {SEGMENTS_MAX} would be right")));
    }
    allow_files(count)?;
    let (set, paths) = new_names(&args.output, count);
    // First of all, so that nobody waits an hour to hear that an output exists, or of an id that comes twice.
    let begin = |path: &Path| begin(path, args.force, &args.inputs());
    paths.iter().try_for_each(|path| begin(path).map(drop))?;
    let list = begin(&set)?;
    let mut old = left_over(&args.output);
    old.retain(|path| *path != set);
    check_ids(data)?;
    let params = args.params(args.tier.of(data, args, common)?);
    say_codes(params.codes, data.dimensions(), common);
    note_memory(args, data, shares(data.rows(), count).map(|rows| rows.len()).max().unwrap_or(0), common);
    let (mut sinks, mut summaries) = (Vec::new(), Vec::new());
    for (segment, (rows, path)) in shares(data.rows(), count).zip(&paths).enumerate() {
        let began = Instant::now();
        let window = data.window(rows.clone());
        let mut tell = |stage, done, total| {
            data.expect_reads_of(stage, done);
            progress.tell(&format!("segment {} of {count}, {}", segment + 1, name_of(stage)), done, Some(total));
            ControlFlow::Continue(())
        };
        let (input, columns) = (window.input(), window.columns());
        let (sink, summary) = build_with_columns(&input, &columns, &params, pool, Kernels::best(), &mut tell, begin(path)?)
            .map_err(|error| explain(of_whole(error, rows.start), data, path))?;
        sinks.push(sink);
        summaries.push((summary, began.elapsed().as_secs_f64()));
    }
    let made = Segments::make_of(sinks, &set, list, &mut |done, total| progress.tell("comparing ids", done, Some(total)));
    made.map_err(|error| match error {
        nearshore::Error::Io { path, source } => Fail::output(&path, &source),
        other => other.into(),
    })?;
    progress.finish();
    remove(&old)?;
    let single = set.with_extension("shore");
    if !common.quiet && single.exists() {
        let (single, set) = (single.display(), set.display());
        eprintln!("note: {single} lies beside {set} as before, and is no part of it: searches of {single} do not find these rows");
    }
    let wall = started.elapsed().as_secs_f64();
    let file_bytes = summaries.iter().map(|(summary, _)| summary.file_bytes).sum();
    if common.json {
        let segment =
            |((summary, took), path): (&(Summary, f64), &PathBuf)| summary_json(path, &params, data, summary, pool.threads(), *took);
        return print_json(&json!({
            "file": set.display().to_string(), "rows": data.rows(), "dimensions": data.dimensions(), "metric": params.metric.as_str(),
            "element": data.element().as_str(), "threads": pool.threads(), "file_bytes": file_bytes, "wall_seconds": rounded(wall),
            "cpu_seconds": rounded(cpu_seconds()), "segments": summaries.iter().zip(&paths).map(segment).collect::<Vec<_>>(),
        }));
    }
    if common.quiet {
        return Ok(());
    }
    print(|out| {
        let (path, rows, dimensions, size) = (set.display(), data.rows(), data.dimensions(), bytes(file_bytes));
        writeln!(
            out,
            "{path}: {rows} rows x {dimensions} dimensions, {}, {size}, in {}, in {count} segments:",
            params.metric,
            seconds(wall)
        )?;
        let mut each = summaries.iter().zip(&paths);
        each.try_for_each(|((summary, took), path)| write_summary(out, path, &params, data, summary, *took, common.verbose > 0))
    })
}

/// Files that a build has open beside its segments.
const FILES_BESIDE: u64 = 64;

/// Sees to it that `count` segments can be open at once, which each is until all are built. Refuses what the system does not allow: nobody waits
/// an hour to hear that.
fn allow_files(count: usize) -> Result<(), Fail> {
    let wanted = count as u64 + FILES_BESIDE;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    if maximum.is_none_or(|most| most >= wanted) && setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).is_ok() {
        return Ok(());
    }
    let most = maximum.or(current).unwrap_or(0);
    Err(Fail::usage(format!(
        "--segment-rows: {count} segments are {wanted} open files, and the system allows {most} (ulimit -n); more rows a segment, or a higher limit, would be right"
    )))
}

/// Refuses an id that two rows have, be they in one segment or in two. Memory: 8 bytes a row.
fn check_ids(data: &Dataset) -> Result<(), Fail> {
    let Some(ids) = data.ids() else { return Ok(()) };
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]) else { return Ok(()) };
    let mut rows = (0..).zip(ids).filter(|(_, id)| **id == twice).map(|(row, _)| row);
    let (first, second) = (rows.next().unwrap_or(0), rows.next().unwrap_or(0));
    let error: BuildError<std::io::Error> = BuildError::DuplicateId { id: twice, first, second };
    Err(explain(error, data, Path::new("")))
}

/// An error about rows that are counted from `first` as one about rows of the whole.
fn of_whole(mut error: BuildError<std::io::Error>, start: usize) -> BuildError<std::io::Error> {
    match &mut error {
        BuildError::NotFinite { row, .. } | BuildError::ZeroVector { row } | BuildError::PayloadTooLong { row } => *row += start,
        BuildError::DuplicateId { first, second, .. } => (*first, *second) = (*first + start, *second + start),
        BuildError::Column(error) => error.row = error.row.map(|row| row + start),
        _ => {}
    }
    error
}
