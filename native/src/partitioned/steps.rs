//! The steps, each from the files of those before to its own.

use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use nearshore_core::build::parts::{Kept, Plan, PlanError, Split, Stream, in_memory_bytes, run_bytes, threads_at_most};
use nearshore_core::build::{BuildError, BuildParams, Input, Stage, Summary};
use nearshore_core::distance::Kernels;
use nearshore_core::format::{Digest, WriteError};
use nearshore_core::par::AtMost;
use nearshore_core::quant::RecordLayout;

use super::files::{Growing, Run, end_run, read_whole, write_whole};
use super::folder::run_name;
use super::manifest::Manifest;
use super::{COPIES, FINISHED, Job, MANIFEST, OUTPUT, PLAN, PartitionedError, RECORDS, State, digest, space};
use crate::Pool;
use crate::dataset::Dataset;
use crate::io::{Gatherer, claim};
use crate::size;

/// Told (what is done, of what, of how many); ends nothing.
pub type Told<'a> = dyn FnMut(&'static str, u64, u64) + 'a;

/// Bytes that one stream of records gathers at most, and all of them together.
const GATHERED: (usize, usize) = (1 << 16, 8 << 20);

/// Records between two calls of progress.
const TELL: u64 = 1 << 16;

impl State {
    /// Decides who goes where, and writes every record there.
    ///
    /// # Errors
    /// Rows that cannot be indexed, a bound that cannot be kept, too small a disk, or what the system says.
    pub fn make_plan(&self, data: &Dataset, job: Job<'_>, pool: &Pool, told: &mut Told<'_>) -> Result<(Manifest, Plan), PartitionedError> {
        let (params, kernels) = (job.params, Kernels::best());
        let split =
            Split::new(data.rows() as u64, data.dimensions(), params, job.memory, job.partitions).map_err(PartitionedError::Split)?;
        space::check(self.folder(), space::need(data, params, &split))?;
        // Before the rows are read: should they change meanwhile, the time will tell.
        let mut manifest = Manifest::new(&job);
        let input = build_input(data);
        let mut tell = |_: Stage, done, total| {
            told("partitioning", done, total);
            ControlFlow::Continue(())
        };
        let plan = Plan::new(&input, &data.columns(), params, split, pool, kernels, &mut tell).map_err(PartitionedError::Build)?;
        let path = self.path(PLAN);
        let mut file = Growing::create(path.with_extension("new"))?;
        let mut digest = Digest::new();
        let written = plan.write(&mut |bytes| {
            digest.update(bytes);
            file.append(bytes)
        });
        written.map_err(|error| PartitionedError::io(&path, error))?;
        file.finish(&path)?;
        manifest.partitions = split.parts;
        manifest.rows = data.rows() as u64;
        manifest.plan_digest = digest.finish();
        manifest.digest = digest::with_rest(data, plan.digest());
        (manifest.checks, manifest.records) = self.scatter(data, &plan, pool, told)?;
        write_whole(&self.path(MANIFEST), &manifest.to_bytes())?;
        Ok((manifest, plan))
    }

    /// Writes records and copies; returns a check of each partition's, and a digest of all records.
    fn scatter(&self, data: &Dataset, plan: &Plan, pool: &Pool, told: &mut Told<'_>) -> Result<(Vec<u64>, u64), PartitionedError> {
        let stride = plan.record_bytes() as u64;
        let copies = plan.parts().last().map_or(0, |part| part.copies.end);
        let mut files = Vec::new();
        for (name, count) in [(RECORDS, plan.nodes()), (COPIES, copies)] {
            let file = Growing::create(self.path(name))?;
            // What the disk cannot hold is known before the work.
            claim(&file.file, count * stride).map_err(|error| PartitionedError::io(&self.path(name), error))?;
            files.push(file);
        }
        let parts = plan.parts().len();
        let most = (GATHERED.1 / (2 * parts + 1)).clamp(stride as usize, GATHERED.0);
        let mut streams: Vec<Gatherer> = (0..2 * parts + 1).map(|_| Gatherer::default()).collect();
        let mut digest = 0u64;
        let mut put = |stream: Stream, at: u64, record: &[u8]| {
            if !matches!(stream, Stream::Copies(_)) {
                digest = digest.wrapping_add(digest::of_record(at, record));
            }
            let (number, file) = match stream {
                Stream::Upper => (2 * parts, &files[0]),
                Stream::Nodes(part) => (part as usize, &files[0]),
                Stream::Copies(part) => (parts + part as usize, &files[1]),
            };
            streams[number].write_at(&file.file, at * stride, record, most)
        };
        let mut tell = |_: Stage, done, total| {
            told("writing partitions", done, total);
            ControlFlow::Continue(())
        };
        let written = plan.scatter(&build_input(data), pool, Kernels::best(), &mut tell, &mut put);
        let checks = written.map_err(|error| self.write_failed(RECORDS, error))?;
        for (number, stream) in streams.iter_mut().enumerate() {
            let copies = (parts..2 * parts).contains(&number);
            let flushed = stream.flush(&files[usize::from(copies)].file);
            flushed.map_err(|error| PartitionedError::io(&self.path(if copies { COPIES } else { RECORDS }), error))?;
        }
        files.iter_mut().try_for_each(Growing::sync)?;
        Ok((checks, digest))
    }

    /// Links a partition, whose records and lists are the only large things in memory then.
    ///
    /// # Errors
    /// [`PartitionedError::Busy`] where another process links it, or what the system says.
    pub fn link(
        &self,
        manifest: &Manifest,
        plan: &Plan,
        partition: usize,
        pool: &Pool,
        told: &mut dyn FnMut(u64),
    ) -> Result<(), PartitionedError> {
        let path = self.path(&run_name(partition));
        let mut file = Growing::create_alone(path.with_extension("new"))?;
        let part = &plan.parts()[partition];
        let stride = plan.record_bytes() as u64;
        let mut records = vec![0; (part.members() * stride) as usize];
        let own = (u64::from(part.nodes.end - part.nodes.start) * stride) as usize;
        let (nodes, copies) = records.split_at_mut(own);
        for (name, first, bytes) in [(RECORDS, part.nodes.start.into(), nodes), (COPIES, part.copies.start, copies)] {
            let path = self.path(name);
            let read = std::fs::File::open(&path).and_then(|file| file.read_exact_at(bytes, first * stride));
            read.map_err(|error| PartitionedError::io(&path, error))?;
        }
        let check = manifest.checks.get(partition).copied().unwrap_or(0);
        plan.check_records(&records, check)
            .map_err(|error| PartitionedError::Damaged { path: self.path(RECORDS), what: error.to_string() })?;
        let mut digest = Digest::new();
        let mut put = |list: &[u8]| {
            digest.update(list);
            file.append(list)
        };
        let mut tell = |done| {
            told(done);
            ControlFlow::Continue(())
        };
        let params = &manifest.params;
        let pool = AtMost(pool, threads_at_most(plan.record_bytes(), params, manifest.memory));
        let linked = plan.link(partition, &records, params, &pool, Kernels::best(), &mut tell, &mut put);
        let bytes = part.members() * run_bytes(plan.split().degree) as u64;
        let linked = linked.map_err(|error| self.write_failed(&run_name(partition), error));
        let ended = linked
            .and_then(|()| end_run(&mut file, &digest, manifest.plan_digest).map_err(|error| PartitionedError::io(&path, error)))
            .and_then(|()| file.finish(&path));
        ended.map_err(|error| with_size(error, bytes))
    }

    /// Merges the lists of all partitions and writes the file, but for its name; `words` says what to keep of the summary until it has that.
    ///
    /// # Errors
    /// [`PartitionedError::Missing`] where a partition is not linked, or what the system says.
    pub fn merge(
        &self,
        manifest: &Manifest,
        plan: &Plan,
        data: &Dataset,
        pool: &Pool,
        told: &mut Told<'_>,
        words: impl FnOnce(&Summary) -> serde_json::Value,
    ) -> Result<Summary, PartitionedError> {
        let degree = plan.split().degree;
        let mut runs = Vec::new();
        for (number, part) in plan.parts().iter().enumerate() {
            let path = self.path(&run_name(number));
            let missing = || {
                let what = format!("partition {} of {} is not linked yet", number + 1, plan.parts().len());
                PartitionedError::Missing { path: self.folder().to_owned(), what }
            };
            let run = match Run::open(&path) {
                Err(PartitionedError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
                other => other?,
            };
            if !run.is_whole(manifest.plan_digest, part, degree) {
                return Err(missing());
            }
            runs.push(run);
        }
        space::check(self.folder(), space::need(data, &manifest.params, &plan.split()))?;
        let records = read_whole(&self.path(RECORDS))?;
        let runs: Vec<&[u8]> = runs.iter().map(Run::lists).collect();
        let kept = Kept { records: records.as_ref(), runs: &runs };
        let damaged = |error: PlanError| PartitionedError::Damaged { path: self.path(RECORDS), what: error.to_string() };
        plan.check_kept(kept).map_err(damaged)?;
        self.check_records(records.as_ref(), plan, manifest, told)?;
        let mut tell = |stage, done, total| {
            data.expect_reads_of(stage, done);
            let name = match stage {
                Stage::Encode | Stage::Link => "merging",
                Stage::Measure => "measuring",
                Stage::Write => "writing",
            };
            told(name, done, total);
            ControlFlow::Continue(())
        };
        let file = Growing::create(self.path(OUTPUT))?;
        let built = plan.merge(&build_input(data), &data.columns(), &manifest.params, kept, pool, Kernels::best(), &mut tell, file);
        let (mut file, summary) = built.map_err(|error| self.write_failed(OUTPUT, error))?;
        // Rows that changed while they were read would be in the file. What came through a pipe is a copy of our own.
        if manifest.source.input != Path::new("-") {
            data.expect_forward();
            self.matches(manifest, manifest.job(), || Ok::<_, PartitionedError>(digest::of_data(data)))?;
        }
        file.sync()?;
        write_whole(&self.path(FINISHED), words(&summary).to_string().as_bytes())?;
        Ok(summary)
    }

    /// Whether all records are those that were written: a merge would give damage fresh checks.
    fn check_records(&self, records: &[u8], plan: &Plan, manifest: &Manifest, told: &mut Told<'_>) -> Result<(), PartitionedError> {
        let mut sum = 0u64;
        for (number, record) in (0..).zip(records.chunks_exact(plan.record_bytes())) {
            sum = sum.wrapping_add(digest::of_record(number, record));
            if number % TELL == 0 {
                told("checking", number, plan.nodes());
            }
        }
        if sum == manifest.records {
            return Ok(());
        }
        Err(PartitionedError::Damaged { path: self.path(RECORDS), what: "not what was written".to_owned() })
    }

    /// An error of a sink with the name of its file, any other as it is.
    fn write_failed(&self, name: &str, error: BuildError<io::Error>) -> PartitionedError {
        match error {
            BuildError::Write(WriteError::Sink(error)) => PartitionedError::io(&self.path(name), error),
            other => PartitionedError::Build(other),
        }
    }
}

/// Where the disk is full, or a quota used up: the same, with the bytes of the file that it had no room for.
fn with_size(error: PartitionedError, bytes: u64) -> PartitionedError {
    match error {
        PartitionedError::Io { path, error } if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            let what = format!("{error}; the file takes {}", size::bytes(bytes));
            PartitionedError::Io { path, error: io::Error::new(error.kind(), what) }
        }
        other => other,
    }
}

/// Whether a build of `data` without partitions keeps to `memory` bytes.
#[must_use]
pub fn fits(data: &Dataset, params: &BuildParams, memory: u64) -> bool {
    in_memory_bytes(data.rows() as u64, data.dimensions(), params) <= memory
}

/// Threads with which a build of `data` without partitions keeps to `memory` bytes.
#[must_use]
pub fn threads_within(data: &Dataset, params: &BuildParams, memory: u64) -> usize {
    threads_at_most(RecordLayout::new(data.dimensions()).stride, params, memory)
}

fn build_input(data: &Dataset) -> Input<'_> {
    Input { vectors: data.vectors(), ids: data.ids(), payloads: data.payloads() }
}
