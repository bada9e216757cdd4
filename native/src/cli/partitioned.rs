//! `nearshore build --memory` and `nearshore merge`: a build whose memory has a bound, at once or step by step.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::exit;
use std::str::FromStr;
use std::time::Instant;

use clap::Args;
use nearshore::build::parts::{PARTS_MAX, PARTS_MIN, Plan, THREAD_BYTES, check_params};
use nearshore::build::{BuildError, Summary};
use nearshore::dataset::{Dataset, Format, Options};
use nearshore::io::{FileSink, Spill, memory_limit, remove_partial_files};
use nearshore::partitioned::{Job, Manifest, PartitionedError, Share, Source, State, digest_of, fits, folder_of_build, threads_within};
use nearshore::{Par as _, Pool};
use serde_json::{Value, json};

use super::args::{BuildArgs, Common};
use super::build::{choice, explain, open, say_codes, summary_json, whole, write_summary};
use super::fail::Fail;
use super::fresh::Fresh;
use super::output::{bytes, check_folder, print, print_json, spare};
use super::progress::Progress;
use super::segments;
use super::signals;
use super::size::Bytes;

pub(crate) const MERGE_EXAMPLES: &str = "Example, on machines that share a folder:
  nearshore build large.fbin -o large.shore --memory 2GiB --partitions 8 --partition plan
  nearshore build large.fbin -o large.shore --memory 2GiB --partitions 8 --partition 1/8      (and 2/8 to 8/8, wherever)
  nearshore merge large.shore.build";

/// A bound of memory, and what follows from it.
#[derive(Debug, Args)]
pub(crate) struct BoundArgs {
    /// Bytes of memory that may be used, such as 2GiB: what needs more is built in partitions, on disk beside FILE, in FILE.build. After a
    /// kill, a full disk or Ctrl-C the same command goes on from there
    #[arg(long, value_name = "BYTES")]
    pub(crate) memory: Option<Bytes>,
    /// Partitions [default: as many as --memory asks for, and none where all fits]
    #[arg(long, value_name = "N", requires = "memory", value_parser = clap::value_parser!(u32).range(i64::from(PARTS_MIN)..=i64::from(PARTS_MAX)))]
    pub(crate) partitions: Option<u32>,
    /// One step alone of a build with --memory: `plan` first, then `1/N` to `N/N` (any order, any machine that sees FILE.build; share I of N of the partitions),
    /// then `nearshore merge FILE.build`
    #[arg(long, value_name = "plan|I/N", requires = "memory")]
    pub(crate) partition: Option<Step>,
    /// Forgets what FILE.build holds
    #[arg(long, requires = "memory")]
    pub(crate) restart: bool,
}

/// A step of a build in partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Who goes where.
    Plan,
    /// The partitions of share `.0` of `.1`.
    Link(usize, usize),
}

impl FromStr for Step {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let numbers = || {
            let (share, shares) = word.split_once('/')?;
            let (share, shares) = (share.parse().ok()?, shares.parse().ok()?);
            (1..=shares).contains(&share).then_some(Self::Link(share, shares))
        };
        if word == "plan" { Ok(Self::Plan) } else { numbers().ok_or("must be plan, or I/N with I from 1 to N") }
    }
}

#[derive(Debug, Args)]
pub(crate) struct MergeArgs {
    /// The folder that `build --partition` filled
    #[arg(value_name = "FILE.build")]
    pub(crate) folder: PathBuf,
    /// The index [default: the folder's name without `.build`]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replaces an existing file
    #[arg(long)]
    pub(crate) force: bool,
}

/// What every step works with.
struct Work<'a> {
    state: State,
    spill: Spill,
    progress: Progress,
    pool: Pool,
    common: &'a Common,
    started: Instant,
}

impl<'a> Work<'a> {
    fn begin(state: State, output: &Path, memory: u64, common: &'a Common) -> Result<Self, Fail> {
        state.can_name(output)?;
        let folder = state.folder().to_owned();
        signals::say_that_work_is_kept();
        // Threads do not change the bytes, so the bound may decide how many there are.
        let most = usize::try_from(memory / 4 / THREAD_BYTES).unwrap_or(usize::MAX).max(1);
        let asked = common.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
        let pool = Pool::new(asked.min(most)).map_err(|error| Fail::io(&folder, &error))?;
        let spill = Spill::begin(&folder, end_for_want_of_disk);
        Ok(Self { state, spill, progress: Progress::new(common), pool, common, started: Instant::now() })
    }

    fn told(&self) -> impl FnMut(&'static str, u64, u64) {
        |stage, done, total| self.progress.tell(stage, done, Some(total))
    }

    /// Links those of `wanted` that are not linked yet; says how many that were.
    fn link(&self, manifest: &Manifest, plan: &Plan, wanted: impl Iterator<Item = usize>) -> Result<usize, Fail> {
        let mut missing = Vec::new();
        for partition in wanted {
            if !self.state.is_linked(manifest, plan, partition)? {
                missing.push(partition);
            }
        }
        let members = |partition: &usize| plan.parts()[*partition].members();
        let total: u64 = missing.iter().map(members).sum();
        let mut before = 0;
        for partition in &missing {
            let mut told = |done| self.progress.tell("linking", before + done, Some(total));
            self.spill.paused(|| self.state.link(manifest, plan, *partition, &self.pool, &mut told))?;
            before += members(partition);
        }
        Ok(missing.len())
    }

    /// Merges, names the file, and removes the folder.
    fn merge(self, manifest: &Manifest, plan: &Plan, data: &Dataset, output: &Path, force: bool) -> Result<(), Fail> {
        let params = &manifest.params;
        let started = self.started;
        let words = |summary: &Summary| {
            let mut value = summary_json(output, params, data, summary, self.pool.threads(), started.elapsed().as_secs_f64());
            value["partitions"] = manifest.partitions.into();
            value["memory_bytes"] = manifest.memory.into();
            value
        };
        let mut kept = Value::Null;
        let keep = |summary: &Summary| {
            kept = words(summary);
            kept.clone()
        };
        let merged = self.state.merge(manifest, plan, data, &self.pool, &mut self.told(), keep);
        let summary = merged.map_err(|error| in_words_of(error, data, output))?;
        self.progress.finish();
        name_and_remove(self.state, output, force)?;
        if self.common.json {
            return print_json(&kept);
        }
        let (wall, verbose) = (started.elapsed().as_secs_f64(), self.common.verbose > 0);
        if self.common.quiet { Ok(()) } else { print(|out| write_summary(out, output, params, data, &summary, wall, verbose)) }
    }
}

/// Where the folder of a build could not be opened nothing was done that could be kept.
fn not_opened(error: PartitionedError) -> Fail {
    match error {
        PartitionedError::Io { path, error } => Fail::io(&path, &error),
        other => other.into(),
    }
}

/// `nearshore build --memory`.
pub(crate) fn build(args: &BuildArgs, common: &Common, memory: u64) -> Result<(), Fail> {
    let (params, bound) = (args.params(args.tier.told()?), &args.bound);
    check_params(&params).map_err(refused)?;
    if let Some(limit) = memory_limit().filter(|&limit| limit < memory && !common.quiet) {
        let (memory, limit) = (bytes(memory), bytes(limit));
        eprintln!("note: --memory: {memory} is more than the {limit} that this process can have; three quarters of that would be safe");
    }
    check_folder(&args.output)?;
    spare(&args.output, &args.inputs())?;
    segments::refuse_set(&args.output, args.force, &args.inputs())?;
    let folder = folder_of_build(&args.output);
    let share = if matches!(bound.partition, Some(Step::Link(..))) { Share::Others } else { Share::Alone };
    if bound.partition.is_some() && args.input == Path::new("-") {
        return Err(Fail::usage("--partition: its steps read the input more than once; a file in place of - would be right"));
    }
    if bound.restart && share == Share::Others {
        return Err(Fail::usage("--restart goes with --partition plan: other shares may be at work"));
    }
    let mut fresh = Fresh((!folder.exists()).then_some(&folder));
    if fresh.0.is_some() {
        if share == Share::Others {
            return Err(nothing_planned(&folder));
        }
        refuse_existing(&args.output, args.force)?;
    }
    let state = if share == Share::Others { State::open_planned(&folder, share) } else { State::open(&folder, share) };
    let work = Work::begin(state.map_err(not_opened)?, &args.output, memory, common)?;
    if bound.restart {
        work.state.restart()?;
    }
    let source = source(args)?;
    let job = Job { source: &source, params: &params, memory, partitions: bound.partitions };
    let manifest = work.state.manifest()?;
    if work.state.finished()?.is_some() {
        if let Some(manifest) = &manifest {
            work.state.matches(manifest, job, || open(args, &work.progress).map(|data| digest_of(&data)))?;
        }
        return finish(work, &args.output, args.force);
    }
    refuse_existing(&args.output, args.force)?;
    if let (Some(Step::Link(share, shares)), manifest) = (bound.partition, &manifest) {
        return link_share(&work, manifest.as_ref(), job, share, shares);
    }
    let data = open(args, &work.progress)?;
    let planned = match manifest {
        Some(manifest) => {
            work.state.matches(&manifest, job, || Ok::<_, PartitionedError>(digest_of(&data)))?;
            let plan = work.state.plan(&manifest)?;
            (manifest, plan)
        }
        None if bound.partition.is_none() && bound.partitions.is_none() && fits(&data, &params, memory) => {
            fresh.0 = None;
            let Work { state, spill, progress, pool, .. } = work;
            drop(spill);
            state.remove()?;
            let most = threads_within(&data, &params, memory);
            let pool = if pool.threads() > most {
                drop(pool);
                Pool::new(most).map_err(|error| Fail::io(&args.output, &error))?
            } else {
                pool
            };
            let sink = FileSink::create(&args.output, args.force).map_err(|error| Fail::output(&args.output, &error))?;
            return whole(args, common, &data, &pool, &progress, sink);
        }
        None => {
            say_codes(params.codes, data.dimensions(), common);
            let made = work.state.make_plan(&data, job, &work.pool, &mut work.told());
            match made {
                Ok(made) => made,
                Err(error) => {
                    // What the system refused may be gone on with; what makes no sense leaves nothing behind.
                    if matches!(error, PartitionedError::Io { .. }) {
                        fresh.0 = None;
                    }
                    return Err(in_words_of(error, &data, &args.output));
                }
            }
        }
    };
    fresh.0 = None;
    let (manifest, plan) = planned;
    if bound.partition.is_some() {
        return say(&work, &manifest, &plan, None);
    }
    work.link(&manifest, &plan, 0..plan.parts().len())?;
    work.merge(&manifest, &plan, &data, &args.output, args.force)
}

/// `nearshore build --partition I/N`: reads nothing but the folder.
fn link_share(work: &Work<'_>, manifest: Option<&Manifest>, job: Job<'_>, share: usize, shares: usize) -> Result<(), Fail> {
    let Some(manifest) = manifest else { return Err(nothing_planned(work.state.folder())) };
    // Whether the input is still that of the plan is seen when all is merged.
    work.state.matches(manifest, job, || Ok::<_, PartitionedError>(manifest.digest))?;
    let plan = work.state.plan(manifest)?;
    let own = (0..plan.parts().len()).filter(|partition| partition % shares == share - 1);
    let linked = work.link(manifest, &plan, own)?;
    say(work, manifest, &plan, Some(linked))
}

fn nothing_planned(folder: &Path) -> Fail {
    Fail::usage(format!("{}: nothing is planned here; --partition plan comes first", folder.display()))
}

/// What a step left.
fn say(work: &Work<'_>, manifest: &Manifest, plan: &Plan, linked: Option<usize>) -> Result<(), Fail> {
    let (planned, linked) = (linked.is_none(), linked.unwrap_or(0));
    work.progress.finish();
    let folder = work.state.folder().display();
    let mut in_all = 0;
    for partition in 0..plan.parts().len() {
        in_all += usize::from(work.state.seems_linked(manifest, plan, partition)?);
    }
    let (partitions, rows, most) = (manifest.partitions, manifest.rows, plan.parts().iter().map(|part| part.members()).max());
    if work.common.json {
        let wall = work.started.elapsed().as_secs_f64();
        return print_json(&json!({
            "folder": folder.to_string(), "rows": rows, "nodes": plan.nodes(), "partitions": partitions, "linked": linked, "linked_in_all": in_all,
            "members_max": most, "wall_seconds": super::output::rounded(wall),
        }));
    }
    if work.common.quiet {
        Ok(())
    } else {
        let next = match in_all {
            0 => "--partition 1/N to N/N are next".to_owned(),
            _ if in_all < plan.parts().len() => "other shares are next".to_owned(),
            _ => format!("nearshore merge {folder} is next"),
        };
        let here = if planned { "planned".to_owned() } else { format!("{linked} linked here, {in_all} of {partitions} in all") };
        print(|out| writeln!(out, "{folder}: {rows} rows in {partitions} partitions, {here}; {next}"))
    }
}

/// `nearshore merge`.
pub(crate) fn merge(args: &MergeArgs, common: &Common) -> Result<(), Fail> {
    let named = || args.folder.to_str()?.trim_end_matches('/').strip_suffix(".build").map(PathBuf::from);
    let output = args.output.clone().or_else(named);
    let output =
        output.ok_or_else(|| Fail::usage(format!("{}: -o FILE would be right, as this is no FILE.build", args.folder.display())))?;
    if !args.folder.exists() {
        return Err(Fail::usage(format!("{}: no such folder", args.folder.display())));
    }
    if !args.folder.is_dir() {
        return Err(Fail::usage(format!("{}: no folder of a build in partitions", args.folder.display())));
    }
    check_folder(&output)?;
    segments::refuse_set(&output, args.force, &[])?;
    // What was bounded before is bounded now; the plan says by how much.
    let state = State::open_planned(&args.folder, Share::Alone).map_err(not_opened)?;
    let planned = state.manifest()?;
    let memory = planned.as_ref().map_or(0, |manifest| manifest.memory);
    let work = Work::begin(state, &output, memory, common)?;
    if work.state.finished()?.is_some() {
        return finish(work, &output, args.force);
    }
    refuse_existing(&output, args.force)?;
    let Some(manifest) = planned else {
        return Err(Fail::usage(format!("{}: nothing is planned here; build --partition plan comes first", args.folder.display())));
    };
    let (data, plan) = (open_again(&manifest.source, &work.progress)?, work.state.plan(&manifest)?);
    work.state.matches(&manifest, manifest.job(), || Ok::<_, PartitionedError>(digest_of(&data)))?;
    work.merge(&manifest, &plan, &data, &output, args.force)
}

/// Opens what was planned.
fn open_again(source: &Source, progress: &Progress) -> Result<Dataset, Fail> {
    let reading = |done, total| progress.tell("reading", done, total);
    let options = Options {
        format: source.format.as_deref().and_then(|format| format.parse::<Format>().ok()),
        vector: source.vector_column.as_deref(),
        id: source.id_column.as_deref(),
        payload: source.payload.as_deref(),
        columns: choice(&source.columns),
        progress: &reading,
        tmp: None,
    };
    let mut data = Dataset::open(&source.input, &options)?;
    if let Some(ids) = &source.ids {
        data.set_ids(ids, None)?;
    }
    Ok(data)
}

/// Finishes a build that was ended when its file had all but its name.
fn finish(work: Work<'_>, output: &Path, force: bool) -> Result<(), Fail> {
    let words = work.state.finished()?.unwrap_or_default();
    name_and_remove(work.state, output, force)?;
    match (work.common.json, work.common.quiet) {
        (true, _) => print_json(&words),
        (_, true) => Ok(()),
        _ => print(|out| writeln!(out, "{}: {} rows, finished before", output.display(), words["rows"])),
    }
}

fn name_and_remove(state: State, output: &Path, force: bool) -> Result<(), Fail> {
    state.name_output(output, force)?;
    if force {
        segments::remove_set(output)?;
    }
    Ok(state.remove()?)
}

fn refuse_existing(output: &Path, force: bool) -> Result<(), Fail> {
    let kind = if output.is_dir() {
        Some(io::ErrorKind::IsADirectory)
    } else {
        (!force && output.symlink_metadata().is_ok()).then_some(io::ErrorKind::AlreadyExists)
    };
    kind.map_or(Ok(()), |kind| Err(Fail::output(output, &kind.into())))
}

/// Where the rows of a build come from, by names that hold wherever the command runs.
fn source(args: &BuildArgs) -> Result<Source, Fail> {
    let absolute = |path: &Path| {
        if path == Path::new("-") {
            return Ok(path.to_owned());
        }
        let path = std::path::absolute(path).map_err(|error| Fail::io(path, &error))?;
        if path.to_str().is_none() {
            return Err(Fail::usage(format!("{}: with --memory a name in UTF-8 would be right", path.display())));
        }
        Ok(path)
    };
    let payload = match &args.payload {
        Some(payload) if Path::new(payload).is_file() => Some(absolute(Path::new(payload))?.display().to_string()),
        other => other.clone(),
    };
    Ok(Source {
        input: absolute(&args.input)?,
        ids: args.ids.as_deref().map(absolute).transpose()?,
        payload,
        columns: args.columns.clone(),
        format: args.from.format.map(|format| format.as_str().to_owned()),
        vector_column: args.from.vector_column.clone(),
        id_column: args.from.id_column.clone(),
    })
}

/// Says in the words of the input what a step refused.
fn in_words_of(error: PartitionedError, data: &Dataset, output: &Path) -> Fail {
    match error {
        PartitionedError::Build(error) => explain(error, data, output),
        other => other.into(),
    }
}

fn refused(error: BuildError<io::Error>) -> Fail {
    match error {
        BuildError::Parameter { parameter, must } => Fail::usage(format!("--{} must be {must}", parameter.replace('_', "-"))),
        other => Fail::usage(other.to_string()),
    }
}

/// Ends the program where a block finds no room on the disk: an allocator cannot return.
fn end_for_want_of_disk(folder: &Path, error: &io::Error) -> ! {
    remove_partial_files();
    eprintln!("nearshore: {}: {error}; what was done is kept, and the same command goes on from there", folder.display());
    exit(4)
}

impl From<PartitionedError> for Fail {
    fn from(error: PartitionedError) -> Self {
        match &error {
            PartitionedError::Io { path, error } if error.kind() == io::ErrorKind::AlreadyExists => Self::output(path, error),
            PartitionedError::Io { path, error } => Self::kept(path, error),
            PartitionedError::Space { .. } => Self::full(error.to_string()),
            PartitionedError::Damaged { .. } => Self::damaged(error.to_string()),
            PartitionedError::Build(_) => Self::input(error.to_string()),
            PartitionedError::Split(nearshore::build::parts::SplitError::Memory { .. }) => Self::usage(format!("--memory: {error}")),
            PartitionedError::Split(_) => Self::usage(format!("--partitions: {error}")),
            _ => Self::usage(error.to_string()),
        }
    }
}
