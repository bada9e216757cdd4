//! `nearshore verify`: every block, every bound.

use std::io::Write;

use nearshore::parts::{Parts, PartsError};
use nearshore::segments::{CheckError, SegmentError};
use nearshore::{Pool, Segments};
use serde_json::json;

use super::args::{Common, FileArgs};
use super::fail::Fail;
use super::output::{self, print, print_json};
use super::progress::Progress;
use super::search::path_of;

pub(crate) fn run(args: &FileArgs, common: &Common) -> Result<(), Fail> {
    if let Some(parts) = parts_of(args)? {
        return verify_parts(args, common, &parts);
    }
    let index = Segments::open(&args.file)?;
    let pool = Pool::new(common.threads.map_or(0, usize::from)).map_err(|error| Fail::io(&args.file, &error))?;
    let progress = Progress::new(common);
    let checked = index.check(&pool, &mut |done, total| progress.tell("verifying", done, Some(total)));
    progress.finish();
    let tables = index.iter().flat_map(|(_, segment)| &segment.reader().header().tables);
    let blocks: u64 = tables.map(|table| table.blocks()).sum();
    let file_bytes = index.file_bytes();
    let segments = index.is_set().then_some(index.iter().len());
    let damage = checked.as_ref().err().map(|error| match error {
        CheckError::Damage(SegmentError { segment, error }) => {
            (path_of(&index, *segment), error.damaged, error.first.to_string(), error.to_string())
        }
        CheckError::Ids(error) => (index.path(), 0, error.to_string(), error.to_string()),
    });
    if common.json {
        let (damaged, first) = damage.as_ref().map_or((0, None), |(_, damaged, first, _)| (*damaged, Some(first)));
        let mut value = json!({
            "file": args.file.display().to_string(), "ok": damage.is_none(), "blocks": blocks, "file_bytes": file_bytes,
            "damaged_blocks": damaged, "first_damage": first,
        });
        if let Some(segments) = segments {
            value["segments"] = segments.into();
        }
        print_json(&value)?;
    }
    match (checked, damage) {
        (Err(CheckError::Ids(error)), _) => Err(error.into()),
        (Err(_), Some((path, _, _, what))) => Err(Fail::damaged(format!("{}: {what}", path.display()))),
        _ if common.json || common.quiet => Ok(()),
        _ => print(|out| {
            let count = segments.map_or_else(String::new, |count| format!("{count} segments, "));
            writeln!(out, "{}: whole ({count}{blocks} blocks, {})", args.file.display(), output::bytes(file_bytes))
        }),
    }
}

/// The list of parts that the file is, if it is one; a file that cannot be read is for the opening to name.
pub(super) fn parts_of(args: &FileArgs) -> Result<Option<Parts>, Fail> {
    match Parts::read(&args.file) {
        Err(PartsError::Io(..)) => Ok(None),
        // Not one, but a set of segments, or what should be one by its name.
        Err(PartsError::List(..)) if Segments::is_set_at(&args.file) => Ok(None),
        found => found.map_err(|error| Fail::damaged(error.to_string())),
    }
}

/// Every part by its digest. The blocks are in the parts, so they are what they were when the list was made.
fn verify_parts(args: &FileArgs, common: &Common, parts: &Parts) -> Result<(), Fail> {
    let progress = Progress::new(common);
    let checked = parts.check(&args.file, &mut |done, total| progress.tell("verifying", done, Some(total)));
    progress.finish();
    let (count, file_bytes) = (parts.parts.len(), parts.file_bytes);
    if common.json {
        let damage = checked.as_ref().err().map(ToString::to_string);
        print_json(&json!({
            "file": args.file.display().to_string(), "ok": damage.is_none(), "parts": count, "file_bytes": file_bytes, "first_damage": damage,
        }))?;
    }
    match checked {
        Err(damage) => Err(Fail::damaged(damage.to_string())),
        Ok(_) if common.json || common.quiet => Ok(()),
        Ok(_) => print(|out| writeln!(out, "{}: whole ({count} parts, {})", args.file.display(), output::bytes(file_bytes))),
    }
}
