//! `nearshore serve`: a collection over HTTP, until it is told to stop.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use nearshore::collection::{Collection, CollectionError, CollectionOptions, Info, LiveColumn, Saved};
use nearshore::filter::ColumnType;
use nearshore::format::Metric;
use nearshore::search::Layout;
use nearshore::server::{ApiKey, FileServer, Options, Server, Unsaved};
use serde_json::json;

use super::address::address;
use super::args::{Common, words};
use super::fail::Fail;
use super::output::{print, print_json};
use super::signals::stop_gracefully;

/// Seconds before each further try of the save at the end.
const TRIES: [u64; 3] = [1, 2, 4];

pub(super) const EXAMPLES: &str =
    "A folder is made where there is none, and its collection at the first insert. What was inserted or deleted since the last
POST /save is lost when the process dies; Ctrl-C and SIGTERM save before they end it (a second one does not).

Examples:
  nearshore serve data
  curl -d '{\"id\": 1, \"vector\": [0.1, 0.2], \"payload\": \"first\"}' http://127.0.0.1:6333/insert
  curl -d '{\"vector\": [0.1, 0.3], \"k\": 5, \"with_payload\": true}' http://127.0.0.1:6333/search
  nearshore serve vectors.shore --read-only --listen 127.0.0.1:8080
  nearshore serve vectors.shore --read-only --layout fast
  nearshore serve shop --column price:f64 --column brand
  nearshore serve data --grpc 127.0.0.1:6334
  nearshore serve data --listen 0.0.0.0:6333 --api-key-file key.txt
  nearshore serve --static site --listen 127.0.0.1:8080";

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// A .shore file, or the folder of a collection
    #[arg(value_name = "FILE|DIR", required_unless_present = "static_files")]
    path: Option<PathBuf>,
    /// Serves the files of a folder instead, with ranges and for any origin: what pages open indexes from
    #[arg(long = "static", value_name = "DIR", conflicts_with_all = ["path", "dimensions", "metric", "column", "read_only", "api_key_file"])]
    #[cfg_attr(feature = "grpc", arg(conflicts_with = "grpc"))]
    static_files: Option<PathBuf>,
    /// Where to listen; port 0 takes any that is free
    #[arg(long, default_value = "127.0.0.1:6333", value_name = "ADDRESS", value_parser = address)]
    listen: SocketAddr,
    /// The address and port to serve gRPC at as well, such as 127.0.0.1:6334 [default: none]
    #[cfg(feature = "grpc")]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    grpc: Option<SocketAddr>,
    /// Elements of a vector of a new collection [default: as the first insert has]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=32_768))]
    dimensions: Option<u16>,
    /// Distance of a new collection: squared Euclidean, 1 - dot product, 1 - cosine [default: l2]
    #[arg(long, value_parser = words::<Metric>(&["l2", "ip", "cosine"]))]
    metric: Option<Metric>,
    /// A column of a new collection, for filters; TYPE is i64, f64, bool or string [default: string]; once for each
    #[arg(long, value_name = "NAME[:TYPE]", value_parser = column)]
    column: Vec<LiveColumn>,
    /// Refuses writes, and searches the file as it lies
    #[arg(long)]
    read_only: bool,
    /// What walks read: nodes' own rows, or codes of neighbours beside each node (fast), which are made at the start unless
    /// `build --layout fast` put them into the file; then no recall is measured for them, and `recall` goes by a guess
    #[arg(long, default_value = "lean", requires_if("fast", "read_only"), value_parser = words::<Layout>(&["lean", "fast"]))]
    layout: Layout,
    /// A file with the key that requests must bring, as `Authorization: Bearer KEY`
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Allows other machines to come without a key
    #[arg(long)]
    insecure: bool,
    /// Requests under way, up to half of them writes and a quarter reads by id; more are answered with 429
    #[arg(long, default_value_t = 256, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    in_flight: u32,
    /// Connections open at once; the next one at each door waits, uncounted, until one of them ends, and those without a request are closed
    /// for it
    #[arg(long, default_value_t = 512, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    connections: u32,
    /// Seconds that a connection may have no request under way, which it has from the end of a head to that of the answer, before it is closed; more
    /// than a proxy before it has. A body has 30 seconds to arrive, whatever this says
    #[arg(long, default_value_t = 75, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    idle_seconds: u32,
    /// MiB of a request's body; a larger one is answered with 413
    #[arg(long, default_value_t = 32, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..=1024))]
    body_mib: u32,
    /// MiB of an answer; a request for a larger one is answered with 413
    #[arg(long, default_value_t = 64, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..=1024))]
    answer_mib: u32,
}

/// Files of a folder, until told to stop.
fn run_files(folder: &Path, args: &ServeArgs, common: &Common) -> Result<(), Fail> {
    if !args.listen.ip().is_loopback() && !args.insecure {
        return Err(Fail::usage(format!("{} is open to other machines; --insecure would be right", args.listen)));
    }
    std::fs::read_dir(folder).map_err(|error| Fail::io(folder, &error))?;
    let server = FileServer::bind(args.listen, folder).map_err(|error| Fail::io(folder, &error))?;
    let address = server.address();
    stop_gracefully(server.stopper());
    let folder = folder.display().to_string();
    if common.json {
        print_json(&json!({ "address": address.to_string(), "url": format!("http://{address}"), "static": folder }))?;
    } else if !common.quiet {
        print(|out| writeln!(out, "serving the files of {folder} on http://{address}"))?;
    }
    server.run();
    Ok(())
}

pub(crate) fn run(args: &ServeArgs, common: &Common) -> Result<(), Fail> {
    if let Some(folder) = &args.static_files {
        return run_files(folder, args, common);
    }
    let path = args.path.as_deref().unwrap_or(Path::new(""));
    let key = args.api_key_file.as_deref().map(read_key).transpose()?;
    #[cfg(feature = "grpc")]
    let grpc = args.grpc;
    #[cfg(not(feature = "grpc"))]
    let grpc = None;
    let open = [Some(args.listen), grpc].into_iter().flatten().find(|address: &SocketAddr| !address.ip().is_loopback());
    if let Some(address) = open.filter(|_| key.is_none() && !args.insecure) {
        let message = format!("{address} is open to other machines; --api-key-file FILE, or --insecure, would be right");
        return Err(Fail::usage(message));
    }
    check_once(&args.column)?;
    let dimensions = args.dimensions.map(usize::from);
    let asked =
        CollectionOptions { dimensions, metric: args.metric, columns: args.column.clone(), read_only: args.read_only, layout: args.layout };
    let (threads, in_flight) = (common.threads.map_or(0, usize::from), args.in_flight as usize);
    let options = Options {
        threads,
        in_flight,
        connections: args.connections as usize,
        idle: Duration::from_secs(args.idle_seconds.into()),
        body_bytes: (args.body_mib as usize) << 20,
        answer_bytes: (args.answer_mib as usize) << 20,
        key,
        #[cfg(feature = "grpc")]
        grpc,
    };
    let taken = |error| {
        let addresses: Vec<String> = [Some(args.listen), grpc].into_iter().flatten().map(|address| address.to_string()).collect();
        Fail::io(Path::new(&addresses.join(" or ")), &error)
    };
    // Before the collection: where the address is not to be had no folder is made.
    let bound = Server::bind(args.listen, options).map_err(taken)?;
    let collection = Collection::open(path, &asked).map_err(explain)?;
    let info = collection.info();
    let server = bound.serve(collection);
    let address = server.address();
    #[cfg(feature = "grpc")]
    let grpc = server.grpc_address();
    // Before the address is told: whoever reads it may stop us at once.
    stop_gracefully(server.stopper());
    if common.json {
        let file = info.file.display().to_string();
        let read_only = info.read_only.is_some();
        print_json(
            &json!({ "address": address.to_string(), "url": format!("http://{address}"), "grpc_address": grpc.map(|address| address.to_string()), "file": file, "read_only": read_only }),
        )?;
    } else if !common.quiet {
        print(|out| welcome(out, &info, address, grpc))?;
    }
    let saved = server.run().or_else(|unsaved| try_again(unsaved).map(Some))?;
    match saved {
        Some(saved) if !common.json && !common.quiet => print(|out| writeln!(out, "saved {} rows to {}", saved.rows, saved.file.display())),
        _ => Ok(()),
    }
}

/// Saves what a stop could not: the disk may have room in a moment, and nothing is lost until the last try.
fn try_again(mut unsaved: Box<Unsaved>) -> Result<Saved, Fail> {
    for seconds in TRIES {
        let mut err = std::io::stderr();
        let _ = writeln!(err, "{unsaved}; trying again in {seconds} s");
        std::thread::sleep(Duration::from_secs(seconds));
        unsaved = match unsaved.save() {
            Ok(saved) => return Ok(saved),
            Err(still) => still,
        };
    }
    let changes = unsaved.changes();
    let what = format!("the last {changes} changes are lost; the file is as it was saved before them");
    Err(explain(unsaved.into_error()).and(&what))
}

/// Refuses a column that is declared twice.
fn check_once(columns: &[LiveColumn]) -> Result<(), Fail> {
    let again = columns.iter().enumerate().find(|(at, column)| columns[..*at].iter().any(|before| before.name == column.name));
    match again {
        Some((_, LiveColumn { name, .. })) => Err(Fail::usage(format!("--column {name}: given twice; each name once would be right"))),
        None => Ok(()),
    }
}

/// `NAME` or `NAME:TYPE`.
fn column(text: &str) -> Result<LiveColumn, String> {
    let (name, kind) = text.rsplit_once(':').unwrap_or((text, "string"));
    let found = ColumnType::ALL.into_iter().find(|known| known.as_str() == kind);
    let kind = found.ok_or_else(|| format!("{kind} is no type; i64, f64, bool or string would be right"))?;
    Ok(LiveColumn { name: name.to_owned(), kind })
}

fn welcome(out: &mut impl Write, info: &Info, address: SocketAddr, grpc: Option<SocketAddr>) -> std::io::Result<()> {
    let (rows, file) = (info.rows, info.file.display());
    writeln!(out, "serving {file} ({rows} rows) on http://{address}")?;
    if let Some(address) = grpc {
        writeln!(out, "  over gRPC on {address}")?;
    }
    match info.read_only {
        Some(why) => writeln!(out, "  read only: {why}"),
        None => Ok(()),
    }
}

fn read_key(path: &Path) -> Result<ApiKey, Fail> {
    let text = std::fs::read_to_string(path).map_err(|error| Fail::io(path, &error))?;
    ApiKey::new(&text).ok_or_else(|| Fail::input(format!("{}: no key; one word of visible ASCII would be right", path.display())))
}

fn explain(error: CollectionError) -> Fail {
    match error {
        CollectionError::File(error) => error.into(),
        CollectionError::Differs { .. } => Fail::usage(format!("{error}; without the option it is served as it is")),
        CollectionError::NoGraph { .. } => Fail::usage(format!("{error}; --read-only serves it as it is")),
        CollectionError::Locked { .. } => Fail::usage(format!("{error}; stop it first, or use --read-only")),
        other => Fail::input(other.to_string()),
    }
}
