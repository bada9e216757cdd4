//! `nearshore export`: a file laid out anew for another use.

use std::io::Write;
use std::ops::ControlFlow;
use std::time::Instant;

use nearshore::build::tiles::{TileError, TileParams, TileStage, TileSummary};
use nearshore::format::WriteError;
use nearshore::search::{QualityRow, SearchParams, quality::TileSetting};
use nearshore::{Driver, Pool};
use serde_json::{Value, json};

use super::args::{Common, ExportArgs};
use super::fail::Fail;
use super::info::quality_json;
use super::output::{self, print, print_json, rounded};
use super::progress::Progress;
use super::search::open;

/// What a browser reads before it knows what is in a file.
const FIRST_READ: u64 = 64 * 1024;

pub(crate) fn run(args: &ExportArgs, common: &Common) -> Result<(), Fail> {
    let started = Instant::now();
    let sink = output::begin(&args.output, args.force, &[args.file.as_path()])?;
    let index = open(&args.file, Driver::Mmap, nearshore::search::Layout::Lean, common)?;
    let pool = Pool::new(common.threads.map_or(0, usize::from)).map_err(|error| Fail::io(&args.file, &error))?;
    let progress = Progress::new(common);
    let mut tell = |stage, done, total| {
        let name = match stage {
            TileStage::Cluster => "clustering",
            TileStage::Code => "coding",
            TileStage::Measure => "measuring",
            TileStage::Write => "writing",
        };
        progress.tell(name, done, Some(total));
        ControlFlow::Continue(())
    };
    let mut params = TileParams::default();
    params.tile_rows = args.tile_rows.map(usize::from);
    params.originals = args.originals == "keep";
    params.seed = args.seed;
    let (sink, summary) = index.write_tiles(&params, &pool, &mut tell, sink).map_err(|error| explain(error, args))?;
    progress.finish();
    sink.finish().map_err(|error| Fail::output(&args.output, &error))?;
    let wall = started.elapsed().as_secs_f64();
    if common.json {
        return print_json(&summary_json(args, &summary, wall));
    }
    if common.quiet { Ok(()) } else { print(|out| write_summary(out, args, &summary, wall)) }
}

fn explain(error: TileError<std::io::Error>, args: &ExportArgs) -> Fail {
    match error {
        TileError::Parameter { .. } => Fail::usage(error.to_string()),
        TileError::Read(error) => Fail::search(&args.file, "", &error),
        TileError::Interrupted => Fail::interrupted(),
        TileError::Write(WriteError::Sink(error)) => Fail::output(&args.output, &error),
        TileError::Write(error) => Fail::input(format!("{}: {error}", args.file.display())),
        other => Fail::input(format!("{}: {other}", args.file.display())),
    }
}

/// What a search is expected to fetch: two rounds, these bytes.
fn expected(summary: &TileSummary, recall: f32) -> (TileSetting, u64, u64) {
    let setting = TileSetting::choose(&SearchParams::recall(recall), &summary.quality);
    let (probes, rerank) = (setting.probes as u64, setting.rerank as u64);
    (setting, probes * summary.tile_bytes, rerank * summary.record_bytes)
}

fn reached(summary: &TileSummary, recall: f32) -> Option<&QualityRow> {
    summary.quality.iter().find(|row| row.recall >= recall)
}

fn summary_json(args: &ExportArgs, summary: &TileSummary, wall: f64) -> Value {
    let (setting, codes, records) = expected(summary, args.recall);
    json!({
        "file": args.output.display().to_string(), "source": args.file.display().to_string(), "for": "web", "rows": summary.rows,
        "dropped_tombstones": summary.dropped, "tiles": summary.tiles, "file_bytes": summary.file_bytes, "hot_bytes": summary.hot_bytes,
        "expected": {
            "recall": rounded(args.recall.into()), "reached": reached(summary, args.recall).is_some(), "probes": setting.probes, "rerank": setting.rerank, "rounds": 2,
            "codes_bytes": codes, "records_bytes": records, "bytes": codes + records,
        },
        "build_id": format!("{:016x}", summary.build_id), "wall_seconds": rounded(wall), "quality": quality_json(&summary.quality),
    })
}

fn write_summary(out: &mut impl Write, args: &ExportArgs, summary: &TileSummary, wall: f64) -> std::io::Result<()> {
    let TileSummary { rows, tiles, hot_bytes, file_bytes, .. } = summary;
    let (size, took) = (output::bytes(*file_bytes), output::seconds(wall));
    writeln!(out, "{}: {rows} rows in {tiles} tiles, {size}, in {took}", args.output.display())?;
    if summary.dropped > 0 {
        writeln!(out, "  {} tombstones were left out", summary.dropped)?;
    }
    let hot = output::bytes((*hot_bytes).max(FIRST_READ));
    writeln!(
        out,
        "  opened by {} of {hot}, then a search has two rounds that depend on each other",
        if *hot_bytes > FIRST_READ { "two reads" } else { "one read" }
    )?;
    writeln!(out, "  {:>8} {:>7} {:>8} {:>12} {:>12} {:>12}", "recall", "probes", "records", "codes", "records", "in all")?;
    for row in &summary.quality {
        let (codes, records) = (u64::from(row.ef) * summary.tile_bytes, u64::from(row.rerank) * summary.record_bytes);
        let [codes_text, records_text, all] = [codes, records, codes + records].map(output::bytes);
        writeln!(out, "  {:>8.4} {:>7} {:>8} {codes_text:>12} {records_text:>12} {all:>12}", row.recall, row.ef, row.rerank)?;
    }
    if reached(summary, args.recall).is_none() && !summary.quality.is_empty() {
        writeln!(out, "  No setting reached recall {}; searches that ask for it get the last one.", args.recall)?;
    }
    Ok(())
}
