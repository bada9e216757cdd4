//! `cargo xtask demo`: the whole promise on real data, in one command.
//!
//! ```text
//! web-demo/data.mjs --> fashion.u8bin --> nearshore build --> fashion.shore --+--> nearshore bench, search
//!                                                                            +--> Node, the packed npm package: same answers?
//!                                                                            +--> the page, served on localhost
//! web-demo/words.mjs --> nearshore build --> nearshore export --for web --> words.shore --> the second page, which reads parts of it
//! ```
//! Everything is made by the doors that users have: the release binary and the tarball. The measured table shows both, and how many
//! answers were compared; one that differs ends the demo with an error.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::args::Arguments;
use crate::process::{Process, cargo, program};
use crate::{pack, serve, setup, workspace};

/// The options of this task.
pub(crate) const OPTIONS: &[(&str, &str)] =
    &[("--no-serve", "end after measuring"), ("--port N", "where to serve (8080, or any that is free)")];

/// Neighbours asked for.
const K: &str = "10";
/// Efforts measured.
const EFFORTS: [&str; 5] = ["10", "20", "40", "80", "160"];
const PORT: u16 = 8080;

pub(crate) fn run(arguments: &mut Arguments) -> Result<()> {
    let measure_only = arguments.flag("--no-serve");
    let port = arguments.number("--port")?;
    arguments.end()?;
    // A taken port is known before the minutes of building.
    let listener = match port {
        _ if measure_only => None,
        Some(port) => Some(serve::listen(port)?),
        None => Some(serve::listen(PORT).or_else(|_| serve::listen(0))?),
    };

    let made = prepare(&[])?;
    compare(&made)?;
    if let Some(listener) = listener {
        println!("\nserving the web demo on http://localhost:{}/ (Ctrl-C ends it)", listener.local_addr()?.port());
        serve::serve(&listener, &workspace::root().join("web-demo/dist"));
    }
    Ok(())
}

/// What the demo needs, built.
pub(crate) struct Made {
    binary: PathBuf,
    /// The folder of the web demo; names of its files are shown relative to it.
    place: PathBuf,
    package: PathBuf,
}

/// The images that become rows, those that ask, and the index; in the folder of the web demo.
const DATA: &str = "data/fashion.u8bin";
const QUERIES: &str = "data/fashion.query.u8bin";
const INDEX: &str = "data/fashion.shore";
/// One line a row: what the image shows.
const LABELS: &str = "data/fashion.labels.txt";

/// What a release build is told by the tests of demo and README: that every command works does not ask for code as fast as it can
/// be, and that takes as long to make as all other steps compile: only the core is optimised. Such a binary would index the whole dictionary for
/// minutes, so it gets a tenth. `cargo xtask test --full` builds what users get.
pub(crate) const QUICK: [(&str, &str); 4] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("NEARSHORE_DEMO_WORDS", "12000"),
];

/// Builds the binary, with these variables set, the npm package, the data, the indexes and the pages.
///
/// # Errors
/// When a tool is missing or fails.
pub(crate) fn prepare(build: &[(&str, &str)]) -> Result<Made> {
    setup::node()?;
    setup::targets()?;
    let binary = cargo(&["build", "--release", "--package", "nearshore", "--bins"]);
    build.iter().fold(binary, |binary, (name, value)| binary.env(name, value)).run()?;
    let package = pack::pack()?;
    setup::npm_packages("web-demo")?;
    let place = workspace::root().join("web-demo");
    program("node").arg("data.mjs").dir(&place).run()?;
    let made = Made { binary: workspace::target().join("release/nearshore"), place, package };
    made.nearshore("build").args([DATA, "-o", INDEX, "--metric", "l2", "--payload", LABELS, "--force"]).run()?;
    let words = program("node").args(["words.mjs", "--nearshore"]).arg(&made.binary).dir(&made.place);
    build.iter().fold(words, |words, (name, value)| words.env(name, value)).run()?;
    program("npm").args(["run", "--silent", "build"]).dir(&made.place).run()?;
    Ok(made)
}

impl Made {
    /// The native binary, in the folder of the web demo.
    fn nearshore(&self, command: &str) -> Process {
        Process::named(&self.binary, "nearshore").arg(command).dir(&self.place)
    }
}

/// Measures natively and in Node, prints the table.
fn compare(made: &Made) -> Result<()> {
    let place = workspace::target().join("demo");
    std::fs::create_dir_all(&place)?;
    let truth = place.join("truth.ibin");
    made.nearshore("truth").args([DATA, "--queries", QUERIES, "--k", K, "--metric", "l2", "--force", "-o"]).arg(&truth).run()?;
    let bench = made.nearshore("bench").args([INDEX, "--queries", QUERIES, "--k", K, "--ef", &EFFORTS.join(","), "--truth"]).arg(&truth);
    let bench = bench.args(["--threads", "1", "--json"]).read()?;
    let bench: Value = serde_json::from_str(&bench).context("`nearshore bench --json` printed no JSON")?;
    let node = in_node(made, &place)?;
    print_table(made, &bench, &node)?;
    let differences = node["differences"].as_array().context("no list of differences")?;
    for difference in differences {
        println!("{}", difference.as_str().unwrap_or_default());
    }
    if !differences.is_empty() {
        bail!("the answers of the native binary and of the npm package differ");
    }
    Ok(())
}

/// Installs the tarball as a stranger would and lets `measure.mjs` search and compare.
fn in_node(made: &Made, place: &Path) -> Result<Value> {
    std::fs::write(place.join("package.json"), "{ \"private\": true, \"type\": \"module\" }\n")?;
    std::fs::copy(workspace::root().join("xtask/demo/measure.mjs"), place.join("measure.mjs"))?;
    program("npm").args(["install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund"]).arg(&made.package).dir(place).run()?;
    let mut measure = program("node").arg("measure.mjs").arg(made.place.join(INDEX)).arg(made.place.join(QUERIES)).dir(place);
    for ef in EFFORTS {
        let answers = made.nearshore("search").args([INDEX, "--queries", QUERIES, "--k", K, "--ef", ef, "--json"]).read()?;
        let file = place.join(format!("{ef}.json"));
        std::fs::write(&file, answers)?;
        measure = measure.arg(file);
    }
    serde_json::from_str(&measure.read()?).context("measure.mjs printed no JSON")
}

fn print_table(made: &Made, bench: &Value, node: &Value) -> Result<()> {
    let number = |value: &Value, key: &str| value[key].as_f64().with_context(|| format!("{key} is missing in {value}"));
    let (rows, dimensions) = (number(bench, "rows")?, number(bench, "dimensions")?);
    let queries = node["queries"].as_u64().context("no number of queries")?;
    println!("\nFashion-MNIST: {rows} rows of {dimensions} bytes, {queries} queries not among them, recall@{K} against exact search");
    println!("one thread each; native backend: {}\n", bench["backend"].as_str().unwrap_or("unknown"));
    println!("|  ef | recall@{K} | native QPS | Node QPS | distances | hops | same answers |");
    println!("|----:|----------:|-----------:|---------:|----------:|-----:|--------------|");
    let (native, node) = (bench["runs"].as_array().context("no runs")?, node["runs"].as_array().context("no runs")?);
    for (native, node) in native.iter().zip(node) {
        println!(
            "| {:>3} | {:>9.4} | {:>10.0} | {:>8.0} | {:>9.1} | {:>4.1} | {:<12} |",
            number(native, "ef")?,
            number(native, "recall")?,
            number(native, "qps")?,
            number(node, "qps")?,
            number(native, "distances")?,
            number(native, "hops")?,
            if node["equal"] == true { "yes, all" } else { "NO" }
        );
    }
    let (file, raw) = (std::fs::metadata(made.place.join(INDEX))?.len(), rows * dimensions);
    println!("\nbytes: {raw} of raw vectors, {file} in the index file ({:.2} x)", file as f64 / raw);
    Ok(())
}
