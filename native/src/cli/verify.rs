//! `nearshore verify`: every block, every bound.

use std::io::Write;

use nearshore::Index;
use serde_json::json;

use super::args::{Common, FileArgs};
use super::fail::Fail;
use super::output::{self, print, print_json};
use super::progress::Progress;

pub(crate) fn run(args: &FileArgs, common: &Common) -> Result<(), Fail> {
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
