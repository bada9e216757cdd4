//! What each choice of the in-memory tier is worth, as plots and a table: one layer against many, the heuristic against the nearest, `m`,
//! `ef_construction`, what guides walks, and how near a search is to what memory gives.
//!
//! ```text
//! cargo run --release --package nearshore --example in_memory -- BASE QUERIES TRUTH l2|ip|cosine FOLDER
//! ```
//! Writes an SVG a question into FOLDER and prints the table. Distances a query do not depend on the machine; queries a second do.

#![expect(clippy::print_stdout, reason = "its output")]

#[allow(dead_code, reason = "each example uses its part of it")]
mod plot;

use std::error::Error;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use nearshore::bench::{Bench, Run};
use nearshore::build::{BuildParams, Builder, Codes, Input, Layers, build};
use nearshore::dataset::truth::Truth;
use nearshore::dataset::{Dataset, Options};
use nearshore::format::{Kind, Metric, Refine};
use nearshore::search::{Layout, SearchParams};
use nearshore::{Kernels, Pool, Queries};
use nearshore_core::index::Index;
use plot::{Axis, Scale};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const EFS: [usize; 8] = [10, 14, 20, 32, 48, 80, 128, 200];

/// What is measured on, and the index of each way of building, built once.
struct Bed {
    data: Dataset,
    queries: Queries,
    truth: Truth,
    pool: Pool,
    one: Pool,
    metric: Metric,
}

/// What searches at growing efforts gave.
struct Curve {
    name: String,
    runs: Vec<Run>,
    /// Bytes that a search touches: for each distance, for each hop, and at its end.
    bytes: [f64; 3],
}

/// See [`Curve::bytes`], by what guides walks and what ranks.
fn touched(index: &Index<Vec<u8>>, params: SearchParams) -> [f64; 3] {
    let stride = |kind| index.reader().header().table(kind, 0).map_or(0.0, |table| f64::from(table.stride));
    let [records, codes, edges] = [Kind::Records, Kind::CodesRows, Kind::Edges].map(stride);
    let originals = if params.refine == Some(Refine::Records) { 0.0 } else { 10.0 * stride(Kind::Originals) };
    match (params.layout, codes) {
        (Layout::Fast, _) => [0.0, edges + records + stride(Kind::NeighborCodes), originals],
        (_, 0.0) => [records, edges, originals],
        _ => [codes, edges, 20.0 * records + originals],
    }
}

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
        let runs = runs.collect::<std::result::Result<_, _>>()?;
        Ok(Curve { name: name.to_owned(), runs, bytes: touched(index, walk(EFS[0])) })
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
    println!("| question | variant | recall@10 | distances | hops | KiB touched | queries a CPU second | of the stream |");
    println!("|---|---|---|---|---|---|---|---|");
    for (name, curves) in &questions {
        let by_time = *name == "guides";
        std::fs::write(Path::new(folder).join(format!("{name}.svg")), drawn(name, curves, by_time))?;
        for Curve { name: variant, runs, bytes } in curves {
            // The first effort that reaches 0.95, or the last.
            let run = runs.iter().find(|run| run.recall >= Some(0.95)).or(runs.last()).ok_or("no run")?;
            let (recall, distances, hops, qps) = (run.recall.unwrap_or(0.0), run.distances, run.hops, run.qps_cpu);
            let bytes = bytes[0] * distances + bytes[1] * hops + bytes[2];
            let (kib, share) = (bytes / 1024.0, 100.0 * bytes * qps / stream);
            println!("| {name} | {variant} | {recall:.4} | {distances:.0} | {hops:.1} | {kib:.0} | {qps:.0} | {share:.0} % |");
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

/// Recall from left to right against distances or time a query, upwards.
fn drawn(title: &str, curves: &[Curve], by_time: bool) -> String {
    let cost = |run: &Run| if by_time { 1e6 / run.qps_cpu } else { run.distances };
    let name = if by_time { "us of one processor a query" } else { "distances a query" };
    let costs: Vec<f64> = curves.iter().flat_map(|curve| &curve.runs).map(cost).collect();
    let (least, most) = costs.iter().fold((f64::MAX, 1.0f64), |(least, most), &cost| (least.min(cost), most.max(cost)));
    let powers: Vec<f64> = (least.log2().floor() as i32..=most.log2().ceil() as i32).map(|power| 2f64.powi(power)).collect();
    let recall = Axis::new("recall@10", Scale::Errors, &[0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999]);
    let points = |curve: &Curve| curve.runs.iter().map(|run| (run.recall.unwrap_or(0.0), cost(run))).collect();
    let curves: Vec<_> =
        curves.iter().map(|curve| plot::Curve { name: curve.name.clone(), points: points(curve), dashed: false }).collect();
    plot::svg(title, &recall, &Axis::new(name, Scale::Log, &powers), &curves)
}
