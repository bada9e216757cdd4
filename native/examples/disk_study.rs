//! What was measured of indexes on a disk, as plots, fits and projections.
//!
//! ```text
//! cargo run --release -p nearshore --example disk_study -- docs/research/disk-scale.jsonl docs/images
//! ```
//! A line of the input is what `nearshore bench --json` (or `build --json`) printed, and two words of what it was: `set`, of which rows, and
//! `plan`, what was in memory. Writes `disk-*.svg` and prints tables in Markdown. Nothing is measured here.

#![expect(clippy::print_stdout, reason = "its output")]

mod plot;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use plot::{Axis, Curve, Scale, short, svg};
use serde_json::Value;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Recall at which sizes are compared.
const RECALL: f64 = 0.95;
const SIZES: [(f64, &str); 4] = [(1e6, "1 M"), (1e8, "100 M"), (3e8, "300 M"), (1e9, "1 B")];
const NODES: [(f64, &str); 4] = [(64e9, "64 GB"), (192e9, "192 GB"), (512e9, "512 GB"), (2e12, "2 TB")];
/// What a node of the projections has beside memory.
const CORES: f64 = 32.0;
const IOPS: f64 = 1e6;
/// Of the device's reads, what searches get; and of the memory, what an index may have.
const SHARE: f64 = 0.8;

struct Measured(Value);

impl Measured {
    fn word(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or("")
    }

    fn number(&self, key: &str) -> f64 {
        self.0[key].as_f64().unwrap_or(f64::NAN)
    }

    fn rows(&self) -> f64 {
        self.number("rows")
    }

    /// Values of two keys, run by run.
    fn pairs(&self, x: &str, y: &str) -> Vec<(f64, f64)> {
        let value = |run: &Value, key: &str| match key {
            "cpu_us" => run["qps_cpu"].as_f64().map(|qps| 1e6 / qps),
            key => run[key].as_f64(),
        };
        let runs = self.0["runs"].as_array().map(Vec::as_slice).unwrap_or_default();
        runs.iter().filter_map(|run| Some((value(run, x)?, value(run, y)?))).collect()
    }

    /// The value of `key` at [`RECALL`], between the runs on its two sides: by what is missing to 1, which falls by equal factors for equal factors.
    fn at(&self, key: &str) -> Option<f64> {
        let mut pairs = self.pairs("recall", key);
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let above = pairs.iter().position(|pair| pair.0 >= RECALL)?;
        let Some(below) = above.checked_sub(1) else { return Some(pairs[0].1) };
        let ((r0, v0), (r1, v1)) = (pairs[below], pairs[above]);
        let place = |recall: f64| (1.0 - recall).max(1e-4).ln();
        let share = (place(RECALL) - place(r0)) / (place(r1) - place(r0));
        Some((v0.max(1e-9).ln() * (1.0 - share) + v1.max(1e-9).ln() * share).exp())
    }
}

/// Least squares of `y = a + b ln(x)`.
fn fit(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len() as f64;
    let mean = |value: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / n;
    let (x, y) = (mean(&|p| p.0.ln()), mean(&|p| p.1));
    let (xy, xx) = (mean(&|p| (p.0.ln() - x) * (p.1 - y)), mean(&|p| (p.0.ln() - x).powi(2)));
    let b = if xx > 0.0 { xy / xx } else { 0.0 };
    (y - b * x, b)
}

/// All that was measured, and where plots go.
struct Study<'a> {
    all: Vec<Measured>,
    folder: &'a Path,
}

impl Study<'_> {
    fn of(&self, set: &str, plan: &str) -> Vec<&Measured> {
        let mut found: Vec<&Measured> = self.all.iter().filter(|one| one.word("set") == set && one.word("plan") == plan).collect();
        found.sort_by(|a, b| a.rows().total_cmp(&b.rows()));
        found
    }

    fn write(&self, name: &str, svg: &str) -> Result<()> {
        Ok(std::fs::write(self.folder.join(format!("disk-{name}.svg")), svg)?)
    }

    /// Distances and hops by rows, with their fits.
    fn growth(&self, sets: &[&str]) -> Result<BTreeMap<String, (f64, f64)>> {
        let mut fits = BTreeMap::new();
        println!("| at recall {RECALL} | rows: value | fit, n rows | at 100 M | at 1 B |\n|---|---|---|---|---|");
        for (key, name, most) in [("distances", "distances", 4_000.0), ("hops", "hops", 160.0)] {
            let mut curves = Vec::new();
            for set in sets {
                let points: Vec<(f64, f64)> = self.of(set, "graph").iter().filter_map(|one| Some((one.rows(), one.at(key)?))).collect();
                if points.len() < 2 {
                    continue;
                }
                let (a, b) = fit(&points);
                let values: Vec<String> = points.iter().map(|(rows, value)| format!("{}: {value:.0}", short(*rows))).collect();
                let (at, sign) = (|rows: f64| a + b * rows.ln(), if a < 0.0 { '-' } else { '+' });
                println!("| {name}, {set} | {} | {b:.1} ln n {sign} {:.0} | {:.0} | {:.0} |", values.join(", "), a.abs(), at(1e8), at(1e9));
                curves.push(Curve { name: format!("{set}, measured"), points, dashed: false });
                curves.push(Curve { name: format!("{set}, fit"), points: vec![(1e5, at(1e5)), (1e9, at(1e9))], dashed: true });
                fits.insert(format!("{key} {set}"), (a, b));
            }
            let x = Axis::new("rows", Scale::Log, &[1e5, 1e6, 1e7, 1e8, 1e9]);
            let y = Axis::new(&format!("{name} a query"), Scale::Linear, &[0.0, most / 4.0, most / 2.0, most * 0.75, most]);
            self.write(name, &svg(&format!("{name} a query at recall@10 {RECALL}, codes and graph in memory"), &x, &y, &curves))?;
        }
        Ok(fits)
    }

    /// One plot of curves of one set, by recall.
    fn by_recall(&self, name: &str, title: &str, set: &str, plans: &[(&str, &str)], y: &Axis, key: &str) -> Result<()> {
        let curve = |&(plan, name): &(&str, &str)| {
            let last = self.of(set, plan).pop()?;
            Some(Curve { name: name.to_owned(), points: last.pairs("recall", key), dashed: false })
        };
        let curves: Vec<Curve> = plans.iter().filter_map(curve).collect();
        let x = Axis::new("recall@10", Scale::Errors, &[0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995]);
        self.write(name, &svg(title, &x, y, &curves))
    }

    /// What a node holds, how fast it would be: from bytes a row as measured, and growth as fitted.
    fn projections(&self, set: &str, plans: &[(&str, &str)], fits: &BTreeMap<String, (f64, f64)>) -> Result<()> {
        println!(
            "\n| in memory | rows | memory GB | file TB | reads | rounds | queries a second | fits |\n|---|---|---|---|---|---|---|---|"
        );
        let grown = |key: &str, rows: f64, from: f64| {
            let (a, b) = fits.get(&format!("{key} {set}")).copied().unwrap_or((1.0, 0.0));
            (a + b * rows.ln()) / (a + b * from.ln())
        };
        let mut curves = Vec::new();
        for (plan, name) in plans {
            let Some(last) = self.of(set, plan).pop() else { continue };
            let (Some(cpu), Some(reads), Some(rounds)) = (last.at("cpu_us"), last.at("blocks"), last.at("rounds")) else { continue };
            let from = last.rows();
            let memory = |rows: f64| last.number("front_bytes") / from * rows;
            // Where a walk reads as it goes, what it reads grows with its hops; candidates and tiles stay as many.
            let walks = *plan == "codes" || *plan == "inline";
            for (rows, label) in SIZES {
                let (by_distance, by_hop) = (grown("distances", rows, from), if walks { grown("hops", rows, from) } else { 1.0 });
                let (cpu, reads, rounds) = (cpu * by_distance, reads * by_hop, rounds * by_hop);
                let qps = (CORES * 1e6 / cpu).min(SHARE * IOPS / reads);
                let node = NODES.iter().find(|(bytes, _)| memory(rows) <= SHARE * bytes).map_or("none", |node| node.1);
                let (memory, file) = (memory(rows) / 1e9, last.number("file_bytes") / from * rows / 1e12);
                println!("| {name} | {label} | {memory:.3} | {file:.3} | {reads:.0} | {rounds:.0} | {qps:.0} | {node} |");
            }
            curves.push(Curve { name: (*name).to_owned(), points: vec![(1e6, memory(1e6)), (1e9, memory(1e9))], dashed: true });
        }
        let x = Axis::new("rows", Scale::Log, &[1e6, 1e7, 1e8, 1e9]);
        let mut y = Axis::new("bytes of memory", Scale::Log, &[1e6, 1e7, 1e8, 1e9, 1e10]);
        y.ticks.extend(NODES.map(|(bytes, name)| (bytes, name.to_owned())));
        self.write("memory", &svg("memory of a node by rows of 1,024 dimensions", &x, &y, &curves))
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, folder] = arguments.as_slice() else { return Err("MEASURED FOLDER would be right".into()) };
    let lines = std::fs::read_to_string(input)?;
    let all = lines.lines().filter(|line| !line.trim().is_empty());
    let all = all.map(|line| Ok(Measured(serde_json::from_str(line)?))).collect::<Result<Vec<_>>>()?;
    let study = Study { all, folder: Path::new(folder) };
    std::fs::create_dir_all(folder)?;
    let fits = study.growth(&["1024 f32", "96 u8"])?;
    let plans = [("graph", "codes and graph"), ("codes", "codes"), ("inline", "nothing; codes beside nodes"), ("tiles", "centroids")];
    let reads = Axis::new("reads a query", Scale::Log, &[10.0, 30.0, 100.0, 300.0, 1000.0]);
    study.by_recall("reads", "reads a query, 1 M x 1,024, by what is in memory", "1024 f32", &plans, &reads, "blocks")?;
    let codes = ["pq64", "rabitq1", "rabitq2", "u4"].map(|codes| [format!("{codes} only"), codes.to_owned()]);
    let bytes = ["64 B (PQ)", "144 B (1 bit)", "272 B (2 bits)", "528 B (4 bits)"];
    let names: Vec<[String; 2]> = bytes.iter().map(|bytes| [format!("{bytes}, codes alone"), format!("{bytes}, re-ranked")]).collect();
    let curves = codes.iter().zip(&names).flat_map(|(plans, names)| plans.iter().zip(names));
    let curves: Vec<(&str, &str)> = curves.map(|(plan, name)| (plan.as_str(), name.as_str())).collect();
    let distances = Axis::new("distances a query", Scale::Log, &[500.0, 1000.0, 2000.0, 4000.0, 8000.0]);
    study.by_recall("codes", "recall by bytes of code a vector, 1 M x 1,024", "1024 f32", &curves, &distances, "distances")?;
    study.projections("1024 f32", &plans, &fits)
}
