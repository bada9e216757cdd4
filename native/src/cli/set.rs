//! `nearshore set`: several indexes that are searched as one.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use nearshore::Segments;
use serde_json::json;

use super::args::Common;
use super::fail::Fail;
use super::output::{self, print, print_json};
use super::progress::Progress;

pub(crate) const EXAMPLES: &str =
    "The indexes stay where they are, in the set's folder or below it; the set lists them. They have the same dimensions, metric and type
of elements, and no id twice.

Examples:
  nearshore set 2024.shore 2025.shore -o years.shores
  nearshore set years.shores 2026.shore -o all.shores
  nearshore search all.shores --queries queries.fbin";

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// Indexes, or sets of them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The set
    #[arg(long, short, value_name = "FILE.shores")]
    output: PathBuf,
    /// Replaces an existing file
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(args: &SetArgs, common: &Common) -> Result<(), Fail> {
    check_name(&args.output)?;
    let inputs: Vec<&Path> = args.files.iter().map(PathBuf::as_path).collect();
    let sink = output::begin(&args.output, args.force, &inputs)?;
    let progress = Progress::new(common);
    let made = Segments::make(&args.files, &args.output, sink, &mut |done, total| progress.tell("comparing ids", done, Some(total)));
    progress.finish();
    made.map_err(|error| match error {
        // Before there is a set there is nothing damaged.
        nearshore::Error::Set { .. } => Fail::input(error.to_string()),
        other => other.into(),
    })?;
    let set = Segments::open(&args.output)?;
    let (path, rows, count) = (args.output.display(), set.rows(), set.iter().len());
    if common.json {
        let (dimensions, file_bytes) = (set.dimensions(), set.file_bytes());
        return print_json(&json!({
            "file": path.to_string(), "rows": rows, "dimensions": dimensions, "segments": count, "file_bytes": file_bytes,
        }));
    }
    if common.quiet { Ok(()) } else { print(|out| writeln!(out, "{path}: {rows} rows in {count} segments")) }
}

/// Refuses a name by which nobody would know a set.
pub(super) fn check_name(path: &Path) -> Result<(), Fail> {
    match path.extension() {
        Some(extension) if extension == "shores" => Ok(()),
        _ => Err(Fail::usage(format!("{}: a name that ends in .shores would be right for a set of segments", path.display()))),
    }
}
