//! `nearshore export`: a file laid out anew for another use.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use nearshore::build::tiles::TileError;
use nearshore::build::{Codes, PageParams};
use nearshore::format::{Element, Header, Kind, WriteError};
use nearshore::parts;
use nearshore::{Driver, Index, Pool};
use serde_json::json;

use super::args::{CODES, Common, words};
use super::build::say_codes;
use super::export_web;
use super::fail::Fail;
use super::output::{self, print, print_json, rounded};
use super::progress::Progress;
use super::search::open;
use super::size::Bytes;

pub(crate) const EXAMPLES: &str =
    "For the web: rows in tiles. The new file lies on any host that answers range requests; `open` of the npm package fetches of it what
a search needs. Its rows, ids, payloads and columns are those of the old one; graph, codes and tombstones stay behind, and so do
originals unless kept. For a disk: codes (made, where there are none) and graph in front, records behind them in pages.

Examples:
  nearshore export base.shore -o web.shore --for web
  nearshore bench web.shore --queries queries.fbin --truth truth.ibin --recall 0.9,0.95,0.99
  nearshore export base.shore -o disk.shore --for disk
  nearshore bench disk.shore --queries queries.fbin --truth truth.ibin --ef 40,80,160 --driver uring";

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The index; it stays as it is
    pub(crate) file: PathBuf,
    /// The new file
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// What it is for
    #[arg(long = "for", value_name = "USE", value_parser = ["web", "disk"], default_value = "web")]
    pub(crate) purpose: String,
    /// Whether the input rows come along, so that searches can rank by them, in one round more
    #[arg(long, default_value = "drop", value_name = "keep|drop", value_parser = ["keep", "drop"])]
    pub(crate) originals: String,
    /// For a disk: what guides walks, of the words of `nearshore build`; made of the records where the file has others [default: those of the
    /// file, or u4]
    #[arg(long, value_parser = words::<Codes>(CODES))]
    pub(crate) codes: Option<Codes>,
    /// For a disk: bytes of a page, 4KiB to 64KiB [default: 4KiB]
    #[arg(long, value_name = "BYTES", value_parser = super::tier::page)]
    pub(crate) page: Option<u32>,
    /// For the web: the recall whose cost is reported [default: 0.95]
    #[arg(long, value_name = "R")]
    pub(crate) recall: Option<f32>,
    /// For the web: rows of a tile in the mean [default: 64; 144 from 768 dimensions or a million rows on]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(8..=4096))]
    pub(crate) tile_rows: Option<u16>,
    /// For the web: bytes that the file may have, such as 95MiB. Originals are left out first, then copies of rows in second tiles, which makes
    /// searches fetch more; if that does not do, nothing is written
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_bytes: Option<Bytes>,
    /// For hosts that send whole files only, or of a limited size: the file in parts of so many bytes, named by their content, beside the output, which
    /// then lists them and ends in .json. `open` of the npm package takes its address
    #[arg(long, value_name = "BYTES")]
    pub(crate) split: Option<Bytes>,
    /// For the web: the same file, options and seed give the same bytes [default: 0]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Replaces an existing file
    #[arg(long)]
    pub(crate) force: bool,
}

impl ExportArgs {
    /// The recall whose cost is reported.
    pub(super) fn asked(&self) -> f32 {
        self.recall.unwrap_or(0.95)
    }
}

pub(crate) fn run(args: &ExportArgs, common: &Common) -> Result<(), Fail> {
    let started = Instant::now();
    refuse_others(args)?;
    if args.split.is_some() && args.output.extension().is_none_or(|extension| extension != "json") {
        return Err(Fail::usage(format!("{}: what lists parts ends in .json; {0}.json would be right", args.output.display())));
    }
    if args.split.is_none() && args.output.extension().is_some_and(|extension| extension == "json") {
        let (path, right) = (args.output.display(), args.output.with_extension(""));
        let split = if args.purpose == "web" { "--split BYTES, or " } else { "" };
        let right = if right.extension().is_some() { right } else { args.output.with_extension("shore") };
        return Err(Fail::usage(format!(
            "{path}: .json is a list of parts, and this is one file; {split}{} would be right",
            right.display()
        )));
    }
    if args.split.is_some_and(|split| split.0 < parts::PART_MIN) {
        return Err(Fail::usage(format!("--split: parts of at least {} would be right", output::bytes(parts::PART_MIN))));
    }
    if let Some(Bytes(part_bytes)) = args.split {
        return export_web::run_split(args, common, part_bytes, started);
    }
    let sink = output::begin(&args.output, args.force, &[args.file.as_path()])?;
    let index = open(&args.file, Driver::Mmap, nearshore::search::Layout::Lean, common)?;
    check_originals(args, &index)?;
    if args.purpose == "disk" {
        let progress = Progress::new(common);
        let mut tell = |done, total| {
            progress.tell("writing", done, Some(total));
            ControlFlow::Continue(())
        };
        let pool = Pool::new(common.threads.map_or(0, usize::from)).map_err(|error| Fail::io(&args.file, &error))?;
        let mut params = PageParams::default();
        (params.codes, params.originals) = (args.codes.unwrap_or_default(), args.originals == "keep");
        params.page_bytes = args.page.unwrap_or(params.page_bytes);
        say_codes(params.codes, index.dimensions(), common);
        let done = index.write_pages(&params, &pool, &mut tell, sink);
        let (sink, header) = done.map_err(|error| explain(error, args))?;
        progress.finish();
        sink.finish().map_err(|error| Fail::output(&args.output, &error))?;
        return report_disk(args, common, &header, started.elapsed().as_secs_f64());
    }
    export_web::run(args, common, &index, sink, started)
}

/// Refuses by its name what the other use has.
fn refuse_others(args: &ExportArgs) -> Result<(), Fail> {
    let (max_bytes, split, tile_rows) = (args.max_bytes.is_some(), args.split.is_some(), args.tile_rows.is_some());
    let web = [
        ("--max-bytes", max_bytes),
        ("--split", split),
        ("--tile-rows", tile_rows),
        ("--recall", args.recall.is_some()),
        ("--seed", args.seed.is_some()),
    ];
    let disk = [("--codes", args.codes.is_some()), ("--page", args.page.is_some())];
    let (others, right) = if args.purpose == "web" { (&disk[..], "a disk: --for disk") } else { (&web[..], "the web: --for web") };
    if args.codes == Some(Codes::None) {
        return Err(Fail::usage("--codes none: walks of files for a disk go by codes; u4 would be right"));
    }
    match others.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(Fail::usage(format!("{name} is for files for {right} would be right"))),
        None => Ok(()),
    }
}

/// Refuses to keep what is not there; rows of integers lie in their records as they are.
pub(super) fn check_originals(args: &ExportArgs, index: &Index) -> Result<(), Fail> {
    let floats = matches!(index.element(), Element::F32 | Element::F16);
    if args.originals == "keep" && floats && index.reader().header().table(Kind::Originals, 0).is_none() {
        let path = args.file.display();
        return Err(Fail::input(format!(
            "{path}: it has no originals to keep; a file of `nearshore build --originals keep` would be right"
        )));
    }
    Ok(())
}

pub(super) fn explain(error: TileError<std::io::Error>, args: &ExportArgs) -> Fail {
    match error {
        TileError::Parameter { .. } => Fail::usage(error.to_string()),
        TileError::Read(error) => Fail::search(&args.file, "", &error),
        TileError::TooLarge { .. } => Fail::usage(format!("--max-bytes: {error}")),
        TileError::Interrupted => Fail::interrupted(),
        TileError::Write(WriteError::Sink(error)) => Fail::output(&args.output, &error),
        TileError::Write(error) => Fail::input(format!("{}: {error}", args.file.display())),
        other => Fail::input(format!("{}: {other}", args.file.display())),
    }
}

fn report_disk(args: &ExportArgs, common: &Common, header: &Header, wall: f64) -> Result<(), Fail> {
    let file_bytes = header.superblock.file_bytes;
    let front = header.table(Kind::Records, 0).map_or(0, |records| records.offset);
    if common.json {
        return print_json(&json!({
            "file": args.output.display().to_string(), "source": args.file.display().to_string(), "for": "disk", "rows": header.superblock.rows,
            "file_bytes": file_bytes, "front_bytes": front, "build_id": format!("{:016x}", header.superblock.build_id), "wall_seconds": rounded(wall),
        }));
    }
    if common.quiet {
        return Ok(());
    }
    print(|out| {
        let (size, front, took) = (output::bytes(file_bytes), output::bytes(front), output::seconds(wall));
        writeln!(
            out,
            "{}: {} rows, {size}, in {took}; codes and graph, to stay in memory, are {front}",
            args.output.display(),
            header.superblock.rows
        )?;
        if header.table(Kind::Quality, 0).is_none_or(|table| table.rows == 0) {
            let path = args.output.display();
            writeln!(
                out,
                "  no recall was measured, so --recall goes by a guess: nearshore tune {path} --queries FILE -o TUNED measures it"
            )?;
        }
        Ok(())
    })
}
