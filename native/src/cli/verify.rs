//! `nearshore verify`: every block, every bound.

use std::io::Write;

use nearshore::Index;
use nearshore::parts::{Parts, PartsError};
use serde_json::json;

use super::args::{Common, FileArgs};
use super::fail::Fail;
use super::output::{self, print, print_json};
use super::progress::Progress;

pub(crate) fn run(args: &FileArgs, common: &Common) -> Result<(), Fail> {
    if let Some(parts) = parts_of(args)? {
        return verify_parts(args, common, &parts);
    }
    let index = Index::open(&args.file)?;
    let progress = Progress::new(common);
    let checked = index.check(&mut |done, total| progress.tell("verifying", done, Some(total)));
    progress.finish();
    let blocks: u64 = index.reader().header().tables.iter().map(|table| table.blocks()).sum();
    let file_bytes = index.reader().bytes().len() as u64;
    if common.json {
        let damage = checked.as_ref().err();
        print_json(&json!({
            "file": args.file.display().to_string(), "ok": damage.is_none(), "blocks": blocks, "file_bytes": file_bytes,
            "damaged_blocks": damage.map_or(0, |damage| damage.damaged), "first_damage": damage.map(|damage| damage.first.to_string()),
        }))?;
    }
    match checked {
        Err(damage) => Err(Fail::damaged(format!("{}: {damage}", args.file.display()))),
        Ok(()) if common.json || common.quiet => Ok(()),
        Ok(()) => print(|out| writeln!(out, "{}: whole ({blocks} blocks, {})", args.file.display(), output::bytes(file_bytes))),
    }
}

/// The list of parts that the file is, if it is one; a file that cannot be read is for the opening to name.
pub(super) fn parts_of(args: &FileArgs) -> Result<Option<Parts>, Fail> {
    match Parts::read(&args.file) {
        Err(PartsError::Io(..)) => Ok(None),
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
