//! `nearshore bench billion`: offsets of terabytes, on any disk that knows holes.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use nearshore::bench::billion::{self, BillionError, DIMENSIONS, Report};
use nearshore::bench::synthetic;
use serde_json::{Value, json};

use super::args::Common;
use super::fail::Fail;
use super::output::{self, print, print_json, rounded};

pub(crate) const EXAMPLES: &str =
    "Makes a file of 4.1 TB that is nearly all hole, writes the first row, row 900,000,000 and the last, reads them back through a map,
positioned reads and io_uring, and deletes it. Then it walks through an index of a billion rows whose blocks are made as they are read, and
compares what it finds with what is nearest. That counts, offsets and ids hold at that size is what it shows; how fast a full file is, it
does not.

Examples:
  nearshore bench billion
  nearshore bench billion --dir /mnt/disk --json";

#[derive(Debug, Args)]
pub(crate) struct BillionArgs {
    /// Where the file lies meanwhile
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Rows: fewer where the file system takes no file of 4.1 TB
    #[arg(long, value_name = "N", default_value_t = billion::ROWS, value_parser = clap::value_parser!(u64).range(1000..=1_000_000_000_000))]
    pub(crate) rows: u64,
}

pub(crate) fn run(args: &BillionArgs, common: &Common) -> Result<(), Fail> {
    let report = billion::run(&args.dir, args.rows).map_err(|error| match error {
        BillionError::Wrong { .. } => Fail::damaged(format!("{}: {error}", args.dir.display())),
        _ => Fail::io(&args.dir, &io::Error::other(error)),
    })?;
    let walked = synthetic::run().map_err(|error| Fail::damaged(format!("a made index of a billion rows: {error}")))?;
    if common.json { print_json(&report_json(args, &report, &walked)) } else { print(|out| write_report(out, args, &report, &walked)) }
}

fn report_json(args: &BillionArgs, report: &Report, walked: &synthetic::Report) -> Value {
    let Report { rows, file_bytes, disk_bytes, marks, hole, write_s, reads } = report;
    let reads = reads.iter().map(|read| {
        json!({
            "asked": read.asked.as_str(), "driver": read.method.as_str(), "how": read.how,
            "open_seconds": rounded(read.open_s), "read_seconds": rounded(read.read_s),
        })
    });
    json!({
        "dir": args.dir.display().to_string(), "rows": rows, "dimensions": DIMENSIONS, "file_bytes": file_bytes, "disk_bytes": disk_bytes,
        "written_rows": marks, "hole_row": hole, "write_seconds": rounded(*write_s), "reads": reads.collect::<Vec<_>>(),
        "walks": {
            "rows": synthetic::ROWS, "file_bytes": walked.file_bytes, "farthest_block": walked.farthest, "searched_rows": synthetic::TARGETS,
            "hops": walked.hops, "rounds": walked.rounds, "blocks": walked.blocks, "seconds": rounded(walked.seconds),
        },
    })
}

fn write_report(out: &mut impl Write, args: &BillionArgs, report: &Report, walked: &synthetic::Report) -> io::Result<()> {
    let Report { rows, file_bytes, disk_bytes, marks, hole, write_s, reads } = report;
    let on_disk = disk_bytes.map_or("unknown".to_owned(), output::bytes);
    writeln!(
        out,
        "{}: a file of {rows} rows x {DIMENSIONS} f32, {} ({} on the disk), rows {marks:?} written in {:.1} ms",
        args.dir.display(),
        output::bytes(*file_bytes),
        on_disk,
        write_s * 1e3
    )?;
    for read in reads {
        let (open, took) = (read.open_s * 1e3, read.read_s * 1e3);
        writeln!(
            out,
            "{:>6}: those rows and row {hole}, a hole, as written; opened in {open:.2} ms, read in {took:.2} ms: {}",
            read.asked.as_str(),
            read.how
        )?;
    }
    writeln!(out, "deleted")?;
    let synthetic::Report { file_bytes, walks, hops, blocks, seconds, .. } = walked;
    writeln!(
        out,
        "  made: an index of {} rows x {DIMENSIONS}, {}, walked through {walks} times from row 0: {hops} hops, {blocks} blocks, the nearest 10 rows \
         each time, in {seconds:.2} s",
        synthetic::ROWS,
        output::bytes(*file_bytes)
    )
}
