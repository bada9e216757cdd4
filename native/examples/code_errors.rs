//! How far distances estimated from codes are off, and how often they lie within the bound that is documented of each.
//!
//! ```text
//! cargo run --release -p nearshore --example code_errors -- BASE QUERIES l2|cosine|ip
//! ```
//! 100 queries against every seventh row. Records (i8) are compared with the distance to the originals, by which rows of bytes are exact;
//! other codes with the distance to the record that they were made of. Prints the table of docs/research/codes.md: errors as shares of the
//! distance, of all rows and of the 20 nearest.

#![expect(clippy::print_stdout, reason = "its output")]

use std::error::Error;
use std::path::Path;

use nearshore::dataset::{Dataset, Options};
use nearshore::format::Metric;
use nearshore::{Kernels, Pool};
use nearshore_core::quant::coarse::{HEAD_BYTES, Method};
use nearshore_core::quant::{Coarse, CodeLayout, Encoding, Prepared, RecordLayout, Space, exact, mean, rabitq};
use nearshore_core::vectors::Query;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const QUERIES: usize = 100;
const STEP: usize = 7;
const NEAREST: usize = 20;
const SEED: u64 = 0;

/// An estimate, the distance that it stands for, and whether the bound holds of it.
#[derive(Clone, Copy)]
struct Found {
    estimate: f32,
    truth: f32,
    within: bool,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, queries, metric] = arguments.as_slice() else { return Err("BASE QUERIES l2|cosine|ip".into()) };
    let metric = match metric.as_str() {
        "l2" => Metric::L2,
        "cosine" => Metric::Cosine,
        "ip" => Metric::InnerProduct,
        other => return Err(format!("{other} is none of l2, cosine and ip").into()),
    };
    let (base, queries) = (Dataset::open(Path::new(base), &Options::default())?, Dataset::open(Path::new(queries), &Options::default())?);
    let (kernels, pool, vectors, dimensions) = (Kernels::best(), Pool::new(0)?, base.vectors(), base.dimensions());
    let encoding = Encoding::of(base.element());
    let mean = if encoding == Encoding::Scaled { mean::mean(&vectors, metric, SEED, kernels) } else { vec![0.0; dimensions] };
    let space = Space { metric, encoding, layout: RecordLayout::new(dimensions), mean };
    let stride = space.layout.stride;
    let (mut records, mut work) = (vec![0; stride * base.rows()], Vec::new());
    for (row, record) in records.chunks_exact_mut(stride).enumerate() {
        let factors = space.encode(kernels, &vectors, row, &mut work, record);
        space.layout.write_tail(record, factors, row as u64, (0, 0));
    }
    let record = |row: usize| &records[row * stride..][..stride];
    let rows: Vec<usize> = (0..base.rows()).step_by(STEP).collect();
    let asked = queries.vectors();
    let mut prepared = Vec::new();
    for query in 0..queries.rows().min(QUERIES) {
        let mut values = vec![0.0; dimensions];
        asked.decode(kernels, query, &mut values);
        let mut query = Prepared::new();
        query.query(&space, kernels, Query::F32(&values));
        prepared.push((values, query));
    }
    let by_record =
        |query: &Prepared, row: usize| space.distance(query, &space.layout.factors(record(row)), space.dot(kernels, query, record(row)));
    println!("| | mean, 95 % | of the {NEAREST} nearest: mean, 95 % | mean signed | within the bound |\n|---|---|---|---|---|");

    if encoding == Encoding::Scaled {
        let mut row_values = vec![0.0; dimensions];
        report(
            "i8",
            prepared.iter().map(|(values, query)| {
                let length = exact::length_sq(kernels, values);
                let judge = |&row: &usize| {
                    vectors.decode(kernels, row, &mut row_values);
                    let truth = exact::distance(kernels, metric, values, length, &row_values, exact::length_sq(kernels, &row_values));
                    let estimate = by_record(query, row);
                    let tolerance = space.tolerance(query, &space.layout.factors(record(row)), estimate);
                    Found { estimate, truth, within: (estimate - truth).abs() <= tolerance }
                };
                rows.iter().map(judge).collect()
            }),
        );
    }

    let layout = CodeLayout::new(dimensions);
    let mut codes = vec![0; layout.stride * rows.len()];
    codes.chunks_exact_mut(layout.stride).zip(&rows).for_each(|(codes, &row)| layout.encode(&space, record(row), codes));
    let places: Vec<usize> = (0..rows.len()).map(|at| at * layout.stride).collect();
    let (mut dots, mut out) = (Vec::new(), vec![0.0; rows.len()]);
    report(
        "u4",
        prepared.iter().map(|(_, query)| {
            space.distances(Some(&layout), kernels, query, &codes, &places, &mut dots, &mut out);
            let judge = |((&row, &estimate), codes): ((&usize, &f32), &[u8])| {
                let truth = by_record(query, row);
                let within = (estimate - truth).abs() <= layout.factors(codes).bound(&space, query, estimate);
                Found { estimate, truth, within }
            };
            rows.iter().zip(&out).zip(codes.chunks_exact(layout.stride)).map(judge).collect()
        }),
    );

    for (name, method) in [
        ("rabitq4", Method::RaBitQ { bits: 4 }),
        ("rabitq2", Method::RaBitQ { bits: 2 }),
        ("rabitq1", Method::RaBitQ { bits: 1 }),
        ("pq64", Method::Product { parts: 64 }),
    ] {
        let mut coarse = Coarse::learn(method, &space, kernels, base.rows(), &|row| record(row as usize), SEED, &pool);
        let (mut codes, mut farthest) = (vec![0; coarse.stride() * rows.len()], 0.0f32);
        for (codes, &row) in codes.chunks_exact_mut(coarse.stride()).zip(&rows) {
            farthest = farthest.max(coarse.encode(&space, kernels, record(row), codes, &mut work));
        }
        coarse.set_error(farthest);
        let shared = coarse.to_bytes(dimensions);
        let centre: Vec<f32> = shared[HEAD_BYTES..].as_chunks().0.iter().take(dimensions).map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let places: Vec<usize> = (0..rows.len()).map(|at| at * coarse.stride()).collect();
        report(
            name,
            prepared.iter_mut().map(|(values, query)| {
                coarse.prepare(&space, kernels, query);
                coarse.distances(&space, kernels, query, &codes, &places, &mut dots, &mut out);
                let asked = seen(&space, kernels, values);
                let from_centre = exact::length_sq(kernels, &asked.iter().zip(&centre).map(|(q, c)| q - c).collect::<Vec<f32>>()).sqrt();
                let length = exact::length_sq(kernels, &asked).sqrt();
                let judge = |((&row, &estimate), codes): ((&usize, &f32), &[u8])| {
                    let truth = by_record(query, row);
                    let within = match coarse.error() {
                        Some(error) => within_length(metric, estimate, truth, error, length),
                        None => {
                            let field = &codes[coarse.parameter() + 8..][..4];
                            let deviations = rabitq::BOUND * f32::from_le_bytes([field[0], field[1], field[2], field[3]]);
                            let most = match metric {
                                Metric::L2 => 2.0 * deviations * from_centre,
                                Metric::Cosine => deviations * from_centre,
                                Metric::InnerProduct => deviations * length,
                            };
                            (estimate - truth).abs() <= most
                        }
                    };
                    Found { estimate, truth, within }
                };
                rows.iter().zip(&out).zip(codes.chunks_exact(coarse.stride())).map(judge).collect()
            }),
        );
    }
    Ok(())
}

/// The query as coarse codes see it.
fn seen(space: &Space, kernels: &Kernels, values: &[f32]) -> Vec<f32> {
    let mut asked = values.to_vec();
    if space.metric == Metric::Cosine {
        exact::normalize(kernels, &mut asked);
    }
    asked.iter_mut().zip(&space.mean).for_each(|(x, mean)| *x -= mean);
    asked
}

/// Whether an estimate is off by no more than a row that lies `error` from what its codes stand for allows; roundings add a little.
fn within_length(metric: Metric, estimate: f32, truth: f32, error: f32, length: f32) -> bool {
    let roots = |times: f32| ((times * estimate).sqrt() - (times * truth).sqrt()).abs() <= 1.001 * error;
    match metric {
        Metric::L2 => roots(1.0),
        Metric::Cosine => roots(2.0),
        Metric::InnerProduct => (estimate - truth).abs() <= 1.001 * error * length,
    }
}

/// Prints a line: what is found of each query.
fn report(name: &str, queries: impl Iterator<Item = Vec<Found>>) {
    let (mut all, mut near, mut signed, mut within, mut count) = (Vec::new(), Vec::new(), 0.0, 0usize, 0usize);
    for mut found in queries {
        found.retain(|found| found.truth > 0.0);
        found.sort_by(|a, b| a.truth.total_cmp(&b.truth));
        let share = |found: &Found| f64::from(found.estimate - found.truth) / f64::from(found.truth);
        near.extend(found.iter().take(NEAREST).map(|found| share(found).abs()));
        all.extend(found.iter().map(|found| share(found).abs()));
        signed += found.iter().map(share).sum::<f64>();
        within += found.iter().filter(|found| found.within).count();
        count += found.len();
    }
    let summary = |errors: &mut Vec<f64>| {
        errors.sort_by(f64::total_cmp);
        let mean = errors.iter().sum::<f64>() / errors.len().max(1) as f64;
        format!("{mean:.4}, {:.4}", errors.get(errors.len() * 95 / 100).copied().unwrap_or(0.0))
    };
    let (all, near) = (summary(&mut all), summary(&mut near));
    let within = if within == count { "all".to_owned() } else { format!("{:.4}", within as f64 / count.max(1) as f64) };
    println!("| {name} | {all} | {near} | {:+.4} | {within} |", signed / count.max(1) as f64);
}
