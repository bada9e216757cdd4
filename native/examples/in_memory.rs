//! What each choice of the in-memory tier is worth, as plots and a table: one layer against many, the heuristic against the nearest, `m`,
//! `ef_construction`, what guides walks, and how near a search is to what memory gives.
//!
//! ```text
//! cargo run --release --package nearshore --example in_memory -- BASE QUERIES TRUTH l2|ip|cosine FOLDER
//! ```
//! Writes an SVG a question into FOLDER and prints the table. Distances a query do not depend on the machine; queries a second do.

#![expect(clippy::print_stdout, reason = "its output")]

use std::error::Error;
use std::fmt::Write as _;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use nearshore::bench::{Bench, Run};
use nearshore::build::{BuildParams, Builder, Codes, Input, Layers, build};
use nearshore::dataset::truth::Truth;
use nearshore::dataset::{Dataset, Options};
use nearshore::format::{Metric, Refine};
use nearshore::search::{Layout, SearchParams};
use nearshore::{Kernels, Pool, Queries};
use nearshore_core::index::Index;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const EFS: [usize; 8] = [10, 14, 20, 32, 48, 80, 128, 200];
const COLOURS: [&str; 6] = ["#1f5fa8", "#c2452d", "#2e8b57", "#8a4fb0", "#b8860b", "#444444"];

/// What is measured on, and the index of each way of building, built once.
struct Bed {
    data: Dataset,
    queries: Queries,
    truth: Truth,
    pool: Pool,
    one: Pool,
    metric: Metric,
}

/// A name, and what searches at growing efforts gave.
type Curve = (String, Vec<Run>);

impl Bed {
    fn index(&self, params: &BuildParams) -> Result<Index<Vec<u8>>> {
        let input = Input { vectors: self.data.vectors(), ids: None, payloads: None };
        let mut go_on = |_, _, _| ControlFlow::Continue(());
        let (file, _) = build(&input, params, &self.pool, Kernels::best(), &mut go_on, Vec::new())?;
        Ok(Index::open(file)?)
    }

    fn curve(&self, name: &str, index: &Index<Vec<u8>>, asked: impl Fn(SearchParams) -> SearchParams) -> Result<Curve> {
        let mut bench = Bench::new(index, &self.queries, Some(&self.truth), 10, &self.one);
        let walk = |ef| asked(SearchParams::ef(ef).plan(nearshore::format::Plan::Walk));
        bench.warm_up(&walk(EFS[0]), 500, &self.one).map_err(|error| format!("{error:?}"))?;
        let runs = EFS.iter().map(|&ef| bench.run(&walk(ef), &self.one).map_err(|error| format!("{error:?}")));
        Ok((name.to_owned(), runs.collect::<std::result::Result<_, _>>()?))
    }

    fn built(&self, name: &str, params: &BuildParams) -> Result<Curve> {
        self.curve(name, &self.index(params)?, |params| params)
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, queries, truth, metric, folder] = arguments.as_slice() else {
        return Err("BASE QUERIES TRUTH l2|ip|cosine FOLDER would be right".into());
    };
    let open = |path: &str| Dataset::open(Path::new(path), &Options::default());
    let bed = Bed {
        data: open(base)?,
        queries: Queries::of(&open(queries)?)?,
        truth: Truth::open(Path::new(truth))?,
        pool: Pool::new(0)?,
        one: Pool::new(1)?,
        metric: metric.parse::<Metric>()?,
    };
    std::fs::create_dir_all(folder)?;
    let base = BuildParams::new(bed.metric).quality(false);
    let inserted = base.builder(Builder::Insertion);
    let plain = bed.index(&base)?;
    let fast = bed.index(&base.layout(Layout::Fast))?;
    let coded = |codes| bed.index(&base.codes(codes));
    let of_m = |m: usize| bed.built(&format!("m {m}"), &base.m(m));
    let of_ef = |ef: usize| bed.built(&format!("ef_construction {ef}"), &base.ef_construction(ef));
    let questions = [
        ("layers", vec![bed.curve("many layers", &plain, |p| p)?, bed.built("one layer", &base.layers(Layers::One))?]),
        (
            "neighbours",
            vec![
                bed.built("heuristic", &inserted)?,
                bed.built("heuristic, filled up", &inserted.keep_pruned(true))?,
                bed.built("the nearest", &inserted.heuristic(false))?,
                bed.curve("heuristic, by leaves", &plain, |p| p)?,
            ],
        ),
        ("m", [8, 12, 16, 24, 32].into_iter().map(of_m).collect::<Result<_>>()?),
        ("ef_construction", [50, 100, 200, 400].into_iter().map(of_ef).collect::<Result<_>>()?),
        (
            "guides",
            vec![
                bed.curve("records", &plain, |p| p)?,
                bed.curve("records, scalar kernels", &bed.index(&base)?.with_kernels(scalar()), |p| p)?,
                bed.curve("records, none of the originals", &plain, |p| p.refine(Refine::Records))?,
                bed.curve("u4", &coded(Codes::U4)?, |p| p)?,
                bed.curve("rabitq1", &coded("rabitq1".parse()?)?, |p| p)?,
                bed.curve("fast layout", &fast, |p| p.layout(Layout::Fast))?,
            ],
        ),
    ];
    let stream = stream_bytes_a_second();
    println!("memory streams {:.1} GB/s, read by one thread\n", stream / 1e9);
    println!("| question | variant | recall@10 | distances | hops | queries a CPU second | of the stream |\n|---|---|---|---|---|---|---|");
    for (name, curves) in &questions {
        let by_time = *name == "guides";
        std::fs::write(Path::new(folder).join(format!("{name}.svg")), plot(name, curves, by_time))?;
        for (variant, runs) in curves {
            // The first effort that reaches 0.95, or the last.
            let run = runs.iter().find(|run| run.recall >= Some(0.95)).or(runs.last()).ok_or("no run")?;
            let (recall, share) = (run.recall.unwrap_or(0.0), run.bytes * run.qps_cpu / stream);
            let (distances, hops, qps) = (run.distances, run.hops, run.qps_cpu);
            println!("| {name} | {variant} | {recall:.4} | {distances:.0} | {hops:.1} | {qps:.0} | {:.0} % |", 100.0 * share);
        }
    }
    Ok(())
}

fn scalar() -> &'static Kernels {
    Kernels::by_name("scalar").unwrap_or(Kernels::best())
}

/// How fast one thread reads memory from front to back.
fn stream_bytes_a_second() -> f64 {
    let words = vec![1u64; 32 << 20];
    let pass = || {
        let started = Instant::now();
        black_box(words.iter().fold(0u64, |sum, word| sum.wrapping_add(*word)));
        (words.len() * 8) as f64 / started.elapsed().as_secs_f64()
    };
    (0..5).map(|_| pass()).fold(0.0, f64::max)
}

/// Recall from left to right against distances or time a query, upwards, by powers of two.
fn plot(title: &str, curves: &[Curve], by_time: bool) -> String {
    let cost = |run: &Run| if by_time { 1e6 / run.qps_cpu } else { run.distances };
    let all: Vec<&Run> = curves.iter().flat_map(|(_, runs)| runs).collect();
    let least = all.iter().map(|run| cost(run)).fold(f64::MAX, f64::min).log2().floor();
    let most = all.iter().map(|run| cost(run)).fold(0.0, f64::max).log2().ceil();
    // Errors are halved from left to right, so that 0.9, 0.99 and 0.999 are as far apart.
    let x = |recall: f64| 60.0 + 480.0 * ((0.3 / (1.0 - recall).clamp(0.001, 0.3)).log10() / 300f64.log10());
    let y = |cost: f64| 330.0 - 290.0 * (cost.log2() - least) / (most - least).max(1.0);
    let mut svg =
        String::from("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 380\" font-family=\"sans-serif\" font-size=\"12\">\n");
    let unit = if by_time { "us a query" } else { "distances a query" };
    let _ = writeln!(
        svg,
        "<rect width=\"760\" height=\"380\" fill=\"#fff\"/><text x=\"60\" y=\"20\" font-size=\"14\">{title}: {unit} by recall@10</text>"
    );
    for recall in [0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999] {
        let at = x(recall);
        let _ = writeln!(
            svg,
            "<path d=\"M{at:.1} 40V330\" stroke=\"#ddd\"/><text x=\"{at:.1}\" y=\"348\" text-anchor=\"middle\">{recall}</text>"
        );
    }
    for power in least as i32..=most as i32 {
        let (at, label) = (y(2f64.powi(power)), 2f64.powi(power));
        let _ = writeln!(
            svg,
            "<path d=\"M60 {at:.1}H540\" stroke=\"#ddd\"/><text x=\"54\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            at + 4.0
        );
    }
    for (number, (name, runs)) in curves.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let points: Vec<String> = runs.iter().map(|run| format!("{:.1},{:.1}", x(run.recall.unwrap_or(0.0)), y(cost(run)))).collect();
        let _ = writeln!(svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>", points.join(" "));
        let at = 60 + 20 * number;
        let _ = writeln!(
            svg,
            "<path d=\"M556 {at}h18\" stroke=\"{colour}\" stroke-width=\"2\"/><text x=\"580\" y=\"{}\">{name}</text>",
            at + 4
        );
    }
    svg + "</svg>\n"
}
