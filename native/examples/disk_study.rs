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
/// Reads that a search of codes with errors of their own has at most: candidates that are ranked, 30 a hit.
const RANKED_MAX: f64 = 300.0;
const SIZES: [(f64, &str); 3] = [(1e8, "100 M"), (3e8, "300 M"), (1e9, "1 B")];
const NODES: [(f64, &str); 4] = [(64e9, "64 GB"), (192e9, "192 GB"), (512e9, "512 GB"), (2e12, "2 TB")];
/// Fewer rows say little of growth.
const FITTED_FROM: f64 = 3e4;
/// What a node of the projections has beside memory.
const CORES: f64 = 32.0;
const IOPS: f64 = 1e6;
/// Of the device's reads, what searches get; and of the memory, what an index may have.
const SHARE: f64 = 0.8;
/// Bytes a second that a core reads of memory from front to back, as a search of tiles does with their centroids.
const STREAM: f64 = 1e10;
/// Rows of tiles in the mean: unless told, and the most.
const TILE_ROWS: [f64; 2] = [144.0, 4096.0];
/// Of the search for centroids (core/src/build/tiles): more tiles are looked for by groups, as many as the root of the tiles, of which this many
/// are looked into; rounds, and rows of their sample for each tile.
const GROUPED: f64 = 16_384.0;
const GROUPS: f64 = 32.0;
const ROUNDS: f64 = 8.0;
const SAMPLE: f64 = 32.0;
/// What a build in partitions takes of a build at once: docs/research/disk.md.
const PARTITIONED: f64 = 1.5;

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

/// How a cost grows with the rows: two laws that fit what was measured, a friendly and a grim one where nothing was.
#[derive(Clone, Copy)]
struct Growth {
    /// `a + b ln n`.
    log: (f64, f64),
    /// `exp(a + b ln n)`, which is `exp(a) n^b`.
    power: (f64, f64),
}

impl Growth {
    fn of(points: &[(f64, f64)]) -> Self {
        let logs: Vec<(f64, f64)> = points.iter().map(|(rows, value)| (*rows, value.ln())).collect();
        Self { log: fit(points), power: fit(&logs) }
    }

    /// By both laws.
    fn at(self, rows: f64) -> [f64; 2] {
        [self.log.0 + self.log.1 * rows.ln(), (self.power.0 + self.power.1 * rows.ln()).exp()]
    }
}

/// Least squares of `y = a + b ln(x)`.
fn fit(points: &[(f64, f64)]) -> (f64, f64) {
    line(&points.iter().map(|point| (point.0.ln(), point.1)).collect::<Vec<_>>())
}

/// Least squares of `y = a + b x`.
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len() as f64;
    let mean = |value: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / n;
    let (x, y) = (mean(&|p| p.0), mean(&|p| p.1));
    let (xy, xx) = (mean(&|p| (p.0 - x) * (p.1 - y)), mean(&|p| (p.0 - x).powi(2)));
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
    fn growth(&self, sets: &[&str]) -> Result<BTreeMap<String, Growth>> {
        let mut fits = BTreeMap::new();
        println!("| at recall {RECALL} | rows: value | logarithm | power | 100 M by either | 1 B |\n|---|---|---|---|---|---|");
        for (key, least) in [("distances", 500.0), ("hops", 25.0)] {
            let mut curves = Vec::new();
            for set in sets {
                let points: Vec<(f64, f64)> = self.of(set, "graph").iter().filter_map(|one| Some((one.rows(), one.at(key)?))).collect();
                if points.len() < 2 {
                    continue;
                }
                let fitted: Vec<(f64, f64)> = points.iter().copied().filter(|point| point.0 >= FITTED_FROM).collect();
                let growth = Growth::of(&fitted);
                let ((a, b), (c, e)) = (growth.log, growth.power);
                let values: Vec<String> = points.iter().map(|(rows, value)| format!("{}: {value:.0}", short(*rows))).collect();
                let far = [1e8, 1e9].map(|rows| growth.at(rows).map(|value| format!("{value:.0}")).join(", "));
                let (values, sign, a, c) = (values.join(", "), if a < 0.0 { '-' } else { '+' }, a.abs(), c.exp());
                println!("| {key}, {set} | {values} | {b:.1} ln n {sign} {a:.0} | {c:.1} n^{e:.3} | {} | {} |", far[0], far[1]);
                curves.push(Curve { name: format!("{set}, measured"), points, dashed: false });
                let sizes = [1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
                for (law, name) in ["logarithm", "power"].into_iter().enumerate() {
                    let points = sizes.map(|rows| (rows, growth.at(rows)[law])).to_vec();
                    curves.push(Curve { name: format!("{set}, {name}"), points, dashed: true });
                }
                fits.insert(format!("{key} {set}"), growth);
            }
            let x = Axis::new("rows", Scale::Log, &[1e4, 1e5, 1e6, 1e7, 1e8, 1e9]);
            let y =
                Axis::new(&format!("{key} a query"), Scale::Log, &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0].map(|times| times * least));
            self.write(key, &svg(&format!("{key} a query at recall@10 {RECALL}, codes and graph in memory"), &x, &y, &curves))?;
        }
        Ok(fits)
    }

    /// One plot of curves of one set by recall, at the largest size that all of `plans` were measured at.
    fn by_recall(&self, name: &str, title: &str, set: &str, plans: &[(&str, &str)], y: &Axis, key: &str) -> Result<()> {
        let measured = |rows: f64| plans.iter().filter(|(plan, _)| self.of(set, plan).iter().any(|one| one.rows() == rows)).count();
        let sizes = self.all.iter().filter(|one| one.word("set") == set).map(Measured::rows);
        let rows = sizes.max_by(|a, b| measured(*a).cmp(&measured(*b)).then(a.total_cmp(b))).unwrap_or(0.0);
        let curve = |&(plan, name): &(&str, &str)| {
            let one = self.of(set, plan).into_iter().rfind(|one| one.rows() == rows)?;
            Some(Curve { name: name.to_owned(), points: one.pairs("recall", key), dashed: false })
        };
        let curves: Vec<Curve> = plans.iter().filter_map(curve).collect();
        let x = Axis::new("recall@10", Scale::Errors, &[0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995]);
        self.write(name, &svg(&format!("{title}: {} x {set}", short(rows)), &x, y, &curves))
    }

    /// What a node holds, how fast it would be: from bytes a row as measured, and growth as fitted.
    fn projections(&self, set: &str, plans: &[(&str, &str)], fits: &BTreeMap<String, Growth>) -> Result<()> {
        println!(
            "\n| in memory | rows | memory GB | node | file TB | reads by either law | rounds | queries a second |\n|---|---|---|---|---|---|---|---|"
        );
        let grown = |key: &str, rows: f64, from: f64| {
            let Some(growth) = fits.get(&format!("{key} {set}")) else { return [1.0; 2] };
            let (then, now) = (growth.at(rows), growth.at(from));
            [then[0] / now[0], then[1] / now[1]]
        };
        // By the power that a set's own sizes follow.
        let power = |set: &str, plan: &str, key: &str| {
            let points: Vec<(f64, f64)> = self.of(set, plan).iter().filter_map(|one| Some((one.rows(), one.at(key)?))).collect();
            if points.len() < 2 { 0.0 } else { Growth::of(&points).power.1 }
        };
        let mut curves = Vec::new();
        for (plan, name) in plans {
            let Some(last) = self.of(set, plan).pop() else { continue };
            let (Some(cpu), Some(reads), Some(rounds)) = (last.at("cpu_us"), last.at("blocks"), last.at("rounds")) else { continue };
            let from = last.rows();
            let per_row = |key: &str, rows: f64| last.number(key) / from * rows;
            let most = last.pairs("recall", "blocks").iter().fold(0.0, |most: f64, run| most.max(run.1));
            for (rows, label) in SIZES {
                let (by_distance, by_hop) = (grown("distances", rows, from), grown("hops", rows, from));
                let either = [0, 1].map(|law| {
                    let (reads, rounds) = match *plan {
                        // What a walk reads as it goes grows with its hops; candidates of four bits stay as many.
                        "codes" | "inline" => (reads * by_hop[law], rounds * by_hop[law]),
                        "graph" => (reads, rounds),
                        // By what was measured of these dimensions, and of 96.
                        "tiles" => (reads * (rows / from).powf(power([set, "96 u8"][law], plan, "blocks")), rounds),
                        // How many candidates codes leave in doubt: as many as at this size at the most, or ever more, up to the product's bound.
                        _ if law == 1 && plan.starts_with("rabitq") => {
                            ((reads * (rows / from).powf(power(set, plan, "blocks"))).min(RANKED_MAX), rounds)
                        }
                        _ => ((reads * by_distance[law]).min(most), rounds),
                    };
                    let cpu = if *plan == "tiles" {
                        // What is not the centroids, read from front to back, is the codes of tiles.
                        let stream = |rows: f64| per_row("front_bytes", rows) / STREAM * 1e6;
                        (cpu - stream(from)).max(0.0) * reads / last.at("blocks").unwrap_or(reads) + stream(rows)
                    } else {
                        cpu * by_distance[law]
                    };
                    let qps = (CORES * 1e6 / cpu).min(SHARE * IOPS / reads);
                    [reads, rounds, qps]
                });
                let [reads, rounds, qps] = [0, 1, 2].map(|at| either.map(|law| format!("{:.0}", law[at])).join(", "));
                let (memory, file) = (per_row("front_bytes", rows), per_row("file_bytes", rows) / 1e12);
                let node = NODES.iter().find(|(bytes, _)| memory <= SHARE * bytes).map_or("none", |node| node.1);
                println!("| {name} | {label} | {:.1} | {node} | {file:.2} | {reads} | {rounds} | {qps} |", memory / 1e9);
            }
            curves.push(Curve {
                name: (*name).to_owned(),
                points: [1e6, 1e9].map(|rows| (rows, per_row("front_bytes", rows))).to_vec(),
                dashed: true,
            });
        }
        let x = Axis::new("rows", Scale::Log, &[1e6, 1e7, 1e8, 1e9]);
        let mut y = Axis::new("bytes of memory", Scale::Log, &[1e5, 1e6, 1e7, 1e8, 1e9, 1e10]);
        y.ticks.extend(NODES.map(|(bytes, name)| (bytes, name.to_owned())));
        self.write("memory", &svg("memory by rows of 1,024 dimensions", &x, &y, &curves))
    }

    /// How long a build takes.
    fn builds(&self, sets: &[&str]) {
        println!(
            "\n| build | us of the processor a row | fit, n rows | {CORES} cores, in partitions: 100 M | 300 M | 1 B |\n|---|---|---|---|---|---|"
        );
        for set in sets {
            let points: Vec<(f64, f64)> =
                self.of(set, "build").iter().map(|one| (one.rows(), one.number("cpu_seconds") * 1e6 / one.rows())).collect();
            if points.len() < 2 {
                continue;
            }
            let (a, b) = fit(&points);
            let hours = |rows: f64| (a + b * rows.ln()) * rows / 1e6 * PARTITIONED / CORES / 3600.0;
            let values: Vec<String> = points.iter().map(|(rows, value)| format!("{}: {value:.0}", short(*rows))).collect();
            let hours = SIZES.map(|(rows, _)| format!("{:.1} h", hours(rows))).join(" | ");
            println!("| {set} | {} | {b:.1} ln n {} {:.0} | {hours} |", values.join(", "), if a < 0.0 { '-' } else { '+' }, a.abs());
        }
    }

    /// How long an export into tiles takes: rows are compared with centroids, then centroids come in a chain.
    fn exports(&self, sets: &[(&str, f64)]) {
        println!(
            "\n| export into tiles | us of the processor a row | a row, a centroid compared | {CORES} cores, then one core for the chain: 100 M | 300 M | 1 B |"
        );
        println!("|---|---|---|---|---|---|");
        sets.iter().for_each(|(set, record)| self.export(set, *record));
    }

    fn export(&self, set: &str, record: f64) {
        // Centroids that a row is compared with: by the rounds, if it is of their sample, and when tiles are divided and when they are filled.
        let compared = |tiles: f64, tile_rows: f64| {
            let near = if tiles > GROUPED { (1.0 + GROUPS) * tiles.sqrt() } else { tiles };
            near * (2.0 + ROUNDS * (SAMPLE / tile_rows).min(1.0))
        };
        let all = self.of(set, "tiles export");
        let points: Vec<(f64, f64)> = all
            .iter()
            .map(|one| (compared(one.number("tiles"), one.rows() / one.number("tiles")), one.number("cpu_seconds") * 1e6 / one.rows()))
            .collect();
        if points.len() < 2 {
            return;
        }
        let (a, b) = line(&points);
        let values: Vec<String> = all.iter().zip(&points).map(|(one, (_, us))| format!("{}: {us:.0}", short(one.rows()))).collect();
        for tile_rows in TILE_ROWS {
            let hours = SIZES.map(|(rows, _)| {
                let tiles = (rows / tile_rows).ceil();
                let found = (a + b * compared(tiles, tile_rows)) * rows / 1e6 / CORES / 3600.0;
                let chained = tiles * tiles / 2.0 * record / STREAM / 3600.0;
                format!("{found:.1} h, {chained:.1} h")
            });
            println!("| {set}, {tile_rows} rows a tile | {} | {a:.0} + {:.1} ns | {} |", values.join(", "), b * 1e3, hours.join(" | "));
        }
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
    let plans = [
        ("graph", "4-bit codes and graph"),
        ("codes", "4-bit codes"),
        ("inline", "a sample; 1-bit codes beside nodes"),
        ("tiles", "centroids of tiles"),
    ];
    let reads = Axis::new("reads a query", Scale::Log, &[10.0, 30.0, 100.0, 300.0, 1000.0]);
    study.by_recall("reads", "reads a query by what is in memory", "1024 f32", &plans, &reads, "blocks")?;
    let rounds = Axis::new("rounds a query", Scale::Log, &[1.0, 3.0, 10.0, 30.0, 100.0]);
    study.by_recall("rounds", "rounds a query by what is in memory", "1024 f32", &plans, &rounds, "rounds")?;
    let codes = [("pq64", "64 B, parts"), ("rabitq1", "144 B, 1 bit"), ("rabitq2", "272 B, 2 bits"), ("graph", "528 B, 4 bits")];
    let alone =
        [("pq64 only", "64 B, alone"), ("rabitq1 only", "144 B, alone"), ("rabitq2 only", "272 B, alone"), ("u4 only", "528 B, alone")];
    let curves: Vec<(&str, &str)> = codes.into_iter().chain(alone).collect();
    let distances = Axis::new("distances a query", Scale::Log, &[500.0, 1000.0, 2000.0, 4000.0]);
    study.by_recall("codes", "recall by bytes of code a vector", "1024 f32", &curves, &distances, "distances")?;
    let more = [
        ("pq64 200", "64-byte codes and graph, 200 ranked"),
        ("rabitq1", "1-bit codes and graph"),
        ("rabitq2", "2-bit codes and graph"),
        ("rabitq4", "4-bit rotated codes and graph"),
    ];
    let all: Vec<(&str, &str)> = more.into_iter().chain(plans).collect();
    study.projections("1024 f32", &all, &fits)?;
    study.builds(&["1024 f32", "96 u8"]);
    // Centroids are records: a byte a dimension, and 64 bytes or 32.
    study.exports(&[("1024 f32", 1088.0), ("96 u8", 128.0)]);
    Ok(())
}
