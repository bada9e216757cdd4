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
    check_once(&inputs)?;
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
    if !common.quiet {
        say_what_lacks(&set)?;
    }
    let (path, rows, count) = (args.output.display(), set.rows(), set.iter().len());
    if common.json {
        let (dimensions, file_bytes) = (set.dimensions(), set.file_bytes());
        return print_json(&json!({
            "file": path.to_string(), "rows": rows, "dimensions": dimensions, "segments": count, "file_bytes": file_bytes,
        }));
    }
    if common.quiet { Ok(()) } else { print(|out| writeln!(out, "{path}: {rows} rows in {count} segments")) }
}

/// Refuses a file that is given twice, by whichever names.
fn check_once(files: &[&Path]) -> Result<(), Fail> {
    for (at, file) in files.iter().enumerate() {
        if let Some(before) = files[..at].iter().find(|before| output::is_same(before, file)) {
            let also = if before == file { String::new() } else { format!(", as {} as well", before.display()) };
            return Err(Fail::usage(format!("{}: given twice{also}; each file once would be right", file.display())));
        }
    }
    Ok(())
}

/// Says which files have not all the columns that others have: a filter by those fails on the set.
fn say_what_lacks(set: &Segments) -> Result<(), Fail> {
    let mut all: Vec<String> = Vec::new();
    let mut each: Vec<(&Path, Vec<String>)> = Vec::new();
    for (path, index) in set.iter() {
        let columns = index.columns().map_err(|corrupt| Fail::search(path, "", &corrupt.into()))?;
        let names: Vec<String> = columns.into_iter().map(|column| column.name).collect();
        all.extend(names.iter().filter(|name| !all.contains(name)).cloned().collect::<Vec<_>>());
        each.push((path, names));
    }
    for (path, names) in each {
        let lacks: Vec<&str> = all.iter().filter(|name| !names.contains(name)).map(String::as_str).collect();
        if !lacks.is_empty() {
            let (path, columns) = (path.display(), if lacks.len() == 1 { "the column" } else { "the columns" });
            eprintln!(
                "note: {path} lacks {columns} {}, which others have; a filter by what a file lacks fails on the set",
                lacks.join(", ")
            );
        }
    }
    Ok(())
}

/// Refuses a name by which nobody would know a set.
pub(super) fn check_name(path: &Path) -> Result<(), Fail> {
    match path.extension() {
        Some(extension) if extension == "shores" => Ok(()),
        _ => Err(Fail::usage(format!("{}: a name that ends in .shores would be right for a set of segments", path.display()))),
    }
}
