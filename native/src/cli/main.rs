//! `nearshore`: the command line. One file a command; each parses, calls the library, and prints.
//!
//! Results go to standard output (with `--json` one object), everything else to standard error. Exit codes:
//!
//! | code | means |
//! |---|---|
//! | 0 | done |
//! | 2 | the command was not understood |
//! | 3 | an input is wrong: the message says file, row and field |
//! | 4 | the system could not read or write, or the disk is full |
//! | 5 | the index is damaged |
//! | 130 | interrupted by Ctrl-C (SIGINT), or by SIGHUP (129) or SIGTERM (143); nothing partial is left |
//! | 141 | whoever read standard output closed it (SIGPIPE, as shells tell it) |
//!
//! `serve` and `bench concurrent` are asked to stop by the first signal, and end with 0 and 130 whichever it is; by the second as above.

#![forbid(unsafe_code)]

#[cfg(feature = "server")]
mod address;
mod args;
mod bench;
mod bench_disk;
mod billion;
mod build;
mod completions;
mod concurrent;
mod export;
mod export_web;
mod fail;
mod fresh;
mod info;
mod output;
mod partitioned;
mod progress;
mod promised;
mod search;
mod segments;
#[cfg(feature = "server")]
mod serve;
mod set;
mod signals;
mod size;
mod tier;
mod truth;
mod tune;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use fail::Fail;
use nearshore::Kernels;
use nearshore::io::SpillingAllocator;

/// Puts large blocks into files while a build asks for it, and is the system's else.
#[global_allocator]
static MEMORY: SpillingAllocator = SpillingAllocator;

fn main() -> ExitCode {
    signals::install();
    let cli = Cli::parse();
    let common = &cli.common;
    let done = known_kernels().and_then(|()| match &cli.command {
        Command::Build(args) => build::run(args, common),
        Command::Merge(args) => partitioned::merge(args, common),
        Command::Set(args) => set::run(args, common),
        Command::Search(args) => search::run(args, common),
        Command::Bench(args) => bench::run(args, common),
        Command::Truth(args) => truth::run(args, common),
        Command::Tune(args) => tune::run(args, common),
        Command::Export(args) => export::run(args, common),
        Command::Info(args) => info::run(args, common),
        Command::Verify(args) => verify::run(args, common),
        #[cfg(feature = "server")]
        Command::Serve(args) => serve::run(args, common),
        Command::Completions(args) => completions::run(args),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fail) => fail.report(common.verbose > 0),
    }
}

/// Refuses kernels that the library would quietly replace by others.
fn known_kernels() -> Result<(), Fail> {
    let Some(name) = std::env::var_os("NEARSHORE_SIMD") else { return Ok(()) };
    let names: Vec<&str> = Kernels::available().map(Kernels::name).collect();
    if names.iter().any(|known| name == *known) {
        return Ok(());
    }
    Err(Fail::usage(format!("NEARSHORE_SIMD={}: one of {} would be right on this machine", name.display(), names.join(", "))))
}
