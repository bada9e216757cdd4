//! The part of `nearshore export` that lays a file out in tiles, and says what searches of it fetch.

use std::fs::File;
use std::io::Write;
use std::ops::ControlFlow;
use std::time::Instant;

use nearshore::bench::hosted::{Fetches, Hosted, Opening};
use nearshore::build::tiles::{TileParams, TileStage, TileSummary};
use nearshore::format::Sink;
use nearshore::io::FileSink;
use nearshore::parts::{Parts, PartsSink};
use nearshore::search::{QualityRow, SearchParams, quality::TileSetting};
use nearshore::{Driver, Index, Pool};
use serde_json::{Value, json};

use super::args::Common;
use super::export::{ExportArgs, explain};
use super::fail::Fail;
use super::info::quality_json;
use super::output::{self, print, print_json, rounded};
use super::progress::Progress;
use super::search::open;

/// Bytes up to which the package reads a file whole unless it is told otherwise.
const READ_WHOLE: u64 = 4 << 20;

/// One file.
pub(super) fn run(args: &ExportArgs, common: &Common, index: &Index, sink: FileSink, started: Instant) -> Result<(), Fail> {
    let (sink, summary) = tile(args, common, index, sink)?;
    sink.finish().map_err(|error| Fail::output(&args.output, &error))?;
    let file = File::open(&args.output).map_err(|error| Fail::io(&args.output, &error))?;
    let costs = Costs::measure(args, common, &summary, &file, None)?;
    report(args, common, &summary, &costs, None, started)
}

/// A file in parts.
pub(super) fn run_split(args: &ExportArgs, common: &Common, part_bytes: u64, started: Instant) -> Result<(), Fail> {
    output::check_folder(&args.output)?;
    let sink = PartsSink::create(&args.output, args.force).map_err(|error| Fail::output(&args.output, &error))?;
    let index = open(&args.file, Driver::Mmap, nearshore::search::Layout::Lean, common)?;
    super::export::check_originals(args, &index)?;
    let (sink, summary) = tile(args, common, &index, sink)?;
    let costs = Costs::measure(args, common, &summary, sink.file(), Some(part_bytes))?;
    let parts = sink.finish(part_bytes).map_err(|error| Fail::output(&args.output, &error))?;
    report(args, common, &summary, &costs, Some(&parts), started)
}

/// Lays the rows out in tiles.
fn tile<S: Sink<Error = std::io::Error>>(args: &ExportArgs, common: &Common, index: &Index, sink: S) -> Result<(S, TileSummary), Fail> {
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
    params.seed = args.seed.unwrap_or(0);
    params.max_bytes = args.max_bytes.map(|bytes| bytes.0);
    let done = index.write_tiles(&params, &pool, &mut tell, sink).map_err(|error| explain(error, args))?;
    progress.finish();
    Ok(done)
}

/// What opening and searching fetch.
struct Costs {
    opening: Opening,
    /// The recall that was asked about.
    wanted: (TileSetting, Fetches),
    /// Row by row of the table.
    rows: Vec<Fetches>,
}

impl Costs {
    fn measure(args: &ExportArgs, common: &Common, summary: &TileSummary, file: &File, part_bytes: Option<u64>) -> Result<Self, Fail> {
        let hosted = Hosted::new(file, &args.output, part_bytes)?;
        let progress = Progress::new(common);
        let total = summary.quality.len() as u64;
        let fetches = |recall| {
            let params = SearchParams::recall(recall);
            let fetches = hosted.fetches(&params).map_err(|error| Fail::search(&args.output, "", &error))?;
            Ok::<_, Fail>((TileSetting::choose(&params, &summary.quality), fetches))
        };
        let mut rows = Vec::new();
        for (done, row) in (0..).zip(&summary.quality) {
            progress.tell("counting", done, Some(total));
            rows.push(fetches(row.recall)?.1);
        }
        let wanted = fetches(args.asked())?;
        progress.finish();
        Ok(Self { opening: hosted.opening(), wanted, rows })
    }
}

fn report(
    args: &ExportArgs,
    common: &Common,
    summary: &TileSummary,
    costs: &Costs,
    parts: Option<&Parts>,
    started: Instant,
) -> Result<(), Fail> {
    let wall = started.elapsed().as_secs_f64();
    if common.json {
        let mut value = summary_json(args, summary, costs, wall);
        if let Some(parts) = parts {
            value["parts"] = json!({ "count": parts.parts.len(), "part_bytes": parts.part_bytes, "stale": parts.stale });
        }
        return print_json(&value);
    }
    if common.quiet { Ok(()) } else { print(|out| write_summary(out, args, summary, costs, parts, wall)) }
}

fn reached(summary: &TileSummary, recall: f32) -> Option<&QualityRow> {
    summary.quality.iter().find(|row| row.recall >= recall)
}

fn summary_json(args: &ExportArgs, summary: &TileSummary, costs: &Costs, wall: f64) -> Value {
    let Costs { opening, wanted: (setting, fetches), .. } = costs;
    json!({
        "file": args.output.display().to_string(), "source": args.file.display().to_string(), "for": "web", "rows": summary.rows,
        "dropped_tombstones": summary.dropped, "tiles": summary.tiles, "file_bytes": summary.file_bytes, "hot_bytes": summary.hot_bytes,
        "originals": summary.originals, "copies": summary.copies,
        "expected": {
            "recall": rounded(args.asked().into()), "reached": reached(summary, args.asked()).is_some(), "probes": setting.probes, "rerank": setting.rerank,
            "queries": fetches.queries, "rounds": rounded(fetches.rounds), "requests": rounded(fetches.requests), "bytes": rounded(fetches.bytes),
            "open_requests": opening.requests, "open_bytes": opening.bytes,
        },
        "build_id": format!("{:016x}", summary.build_id), "wall_seconds": rounded(wall), "quality": quality_json(&summary.quality),
    })
}

fn write_summary(
    out: &mut impl Write,
    args: &ExportArgs,
    summary: &TileSummary,
    costs: &Costs,
    parts: Option<&Parts>,
    wall: f64,
) -> std::io::Result<()> {
    let TileSummary { rows, tiles, file_bytes, .. } = summary;
    let (size, took) = (output::bytes(*file_bytes), output::seconds(wall));
    writeln!(out, "{}: {rows} rows in {tiles} tiles, {size}, in {took}", args.output.display())?;
    if summary.dropped > 0 {
        writeln!(out, "  {} tombstones were left out", summary.dropped)?;
    }
    if args.max_bytes.is_some() && args.originals == "keep" && !summary.originals {
        writeln!(out, "  originals were left out, to stay within --max-bytes")?;
    }
    if !summary.copies {
        writeln!(out, "  copies of rows in second tiles were left out, to stay within --max-bytes")?;
    }
    let unit = if let Some(parts) = parts {
        let part = output::bytes(parts.part_bytes);
        writeln!(out, "  in {} parts of {part} beside it; each is read whole, and once", parts.parts.len())?;
        if parts.stale > 0 {
            writeln!(out, "  {} parts that the list named before lie there still: pages that are open may want them", parts.stale)?;
        }
        "parts"
    } else {
        "requests"
    };
    let Costs { opening, wanted: (_, Fetches { queries, .. }), rows } = costs;
    let count = opening.requests;
    let one = if count == 1 { unit.trim_end_matches('s') } else { unit };
    let first = if parts.is_some() { "a first search" } else { "a search" };
    writeln!(
        out,
        "  opened by {count} {one} of {}; then {first} fetches, in the mean of {queries} for ten hits:",
        output::bytes(opening.bytes)
    )?;
    writeln!(out, "  {:>8} {:>7} {:>8} {unit:>9} {:>12} {:>7}", "recall", "probes", "records", "bytes", "rounds")?;
    for (row, Fetches { rounds, requests, bytes, .. }) in summary.quality.iter().zip(rows) {
        let (QualityRow { recall, ef, rerank, .. }, bytes) = (row, output::bytes(*bytes as u64));
        writeln!(out, "  {recall:>8.4} {ef:>7} {rerank:>8} {requests:>9.1} {bytes:>12} {rounds:>7.1}")?;
    }
    if let Some(row) = reached(summary, args.asked()) {
        let Costs { wanted: (_, Fetches { rounds, requests, bytes, .. }), .. } = costs;
        let bytes = output::bytes(*bytes as u64);
        writeln!(out, "  for recall {}: {requests:.1} {unit}, {bytes}, {rounds:.1} rounds, by the row of {:.4}", args.asked(), row.recall)?;
    }
    if reached(summary, args.asked()).is_none() && !summary.quality.is_empty() {
        writeln!(out, "  No setting reached recall {}; searches that ask for it get the last one.", args.asked())?;
    }
    if *file_bytes <= READ_WHOLE {
        writeln!(out, "  `open` reads a file of up to {} whole, unless its mode is lazy or codes.", output::bytes(READ_WHOLE))?;
    }
    Ok(())
}
