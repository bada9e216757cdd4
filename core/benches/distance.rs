//! Nanoseconds a distance, in cache, beside a plain loop and beside `simsimd`.
//!
//! `cargo bench --manifest-path core/benches/Cargo.toml`; `-- 1024` for one size. Compare lines of one run: a shared machine
//! changes its pace between runs. The batch line counts one row of 32.

mod noise;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use nearshore_core::distance::{Asked, Kernels};
use noise::{floats, noise, words};
use simsimd::{BinarySimilarity, SpatialSimilarity};

const DIMENSIONS: [usize; 5] = [128, 384, 768, 1024, 1536];
const ROWS: usize = 32;

fn plain_f32(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn plain_i8(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}

fn bench_f32(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("f32");
    for dimensions in DIMENSIONS {
        let (a, b) = (floats(1, dimensions), floats(2, dimensions));
        let id = |name: &str| BenchmarkId::new(name.to_owned(), dimensions);
        for kernels in Kernels::available() {
            let name = kernels.name();
            group.bench_function(id(&format!("dot {name}")), |bench| bench.iter(|| kernels.dot_f32(black_box(&a), black_box(&b))));
            group.bench_function(id(&format!("l2 {name}")), |bench| bench.iter(|| kernels.l2_f32(black_box(&a), black_box(&b))));
        }
        group.bench_function(id("dot plain loop"), |bench| bench.iter(|| plain_f32(black_box(&a), black_box(&b))));
        group.bench_function(id("dot simsimd"), |bench| bench.iter(|| <f32 as SpatialSimilarity>::dot(black_box(&a), black_box(&b))));
        group
            .bench_function(id("l2 simsimd"), |bench| bench.iter(|| <f32 as SpatialSimilarity>::sqeuclidean(black_box(&a), black_box(&b))));
    }
    group.finish();
}

fn bench_bytes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("bytes");
    for dimensions in DIMENSIONS {
        let (a, b) = (noise(3, dimensions), noise(4, dimensions));
        let (signed_a, signed_b): (&[i8], &[i8]) = (bytemuck::cast_slice(&a), bytemuck::cast_slice(&b));
        let id = |name: &str| BenchmarkId::new(name.to_owned(), dimensions);
        for kernels in Kernels::available() {
            let name = kernels.name();
            group.bench_function(id(&format!("dot_i8 {name}")), |bench| {
                bench.iter(|| kernels.dot_i8(black_box(signed_a), black_box(signed_b)));
            });
            group.bench_function(id(&format!("l2_i8 {name}")), |bench| {
                bench.iter(|| kernels.l2_i8(black_box(signed_a), black_box(signed_b)));
            });
            group.bench_function(id(&format!("l2_u8 {name}")), |bench| bench.iter(|| kernels.l2_u8(black_box(&a), black_box(&b))));
            group.bench_function(id(&format!("hamming {name}")), |bench| bench.iter(|| kernels.hamming(black_box(&a), black_box(&b))));
        }
        group.bench_function(id("dot_i8 plain loop"), |bench| bench.iter(|| plain_i8(black_box(signed_a), black_box(signed_b))));
        group.bench_function(id("dot_i8 simsimd"), |bench| {
            bench.iter(|| <i8 as SpatialSimilarity>::dot(black_box(signed_a), black_box(signed_b)));
        });
        group.bench_function(id("l2_i8 simsimd"), |bench| {
            bench.iter(|| <i8 as SpatialSimilarity>::sqeuclidean(black_box(signed_a), black_box(signed_b)));
        });
        group.bench_function(id("hamming simsimd"), |bench| bench.iter(|| <u8 as BinarySimilarity>::hamming(black_box(&a), black_box(&b))));
    }
    group.finish();
}

/// The walk's kernels: one row, and a batch of rows that lie in cache, in no order.
fn bench_walk(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("walk");
    for dimensions in DIMENSIONS {
        let (query, base) = (words(5, dimensions), noise(6, ROWS * dimensions));
        let offsets: Vec<_> = (0..ROWS).map(|i| i * 21 % ROWS * dimensions).collect();
        let row: &[i8] = bytemuck::cast_slice(&base[..dimensions]);
        let mut out = [0; ROWS];
        for kernels in Kernels::available() {
            group.throughput(Throughput::Elements(1));
            group.bench_function(BenchmarkId::new(format!("dot_i16_i8 {}", kernels.name()), dimensions), |bench| {
                bench.iter(|| kernels.dot_i16_i8(black_box(&query), black_box(row)));
            });
            group.throughput(Throughput::Elements(ROWS as u64));
            group.bench_function(BenchmarkId::new(format!("dots_i16_i8 x {ROWS} {}", kernels.name()), dimensions), |bench| {
                bench.iter(|| kernels.dots_i16_i8(black_box(&query), black_box(&base), black_box(&offsets), &mut out));
            });
        }
    }
    group.finish();
}

/// Codes of few bits: batches of 32 rows that lie in cache, and what a query becomes for them.
fn bench_codes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codes");
    for dimensions in DIMENSIONS {
        let (query, base) = (words(5, dimensions), noise(6, ROWS * dimensions + 64));
        let offsets: Vec<_> = (0..ROWS).map(|i| i * 21 % ROWS * dimensions).collect();
        let (values, planes) = (floats(1, dimensions), noise(10, 4 * dimensions.div_ceil(512) * 64));
        let signs: Vec<f32> = noise(7, 4 * dimensions).iter().map(|byte| f32::from(byte % 2) * 2.0 - 1.0).collect();
        let row: Vec<u8> = floats(8, 64).iter().flat_map(|x| x.to_le_bytes()).chain(noise(9, 4 * dimensions)).collect();
        let (mut out, mut counts, mut near) = ([0; ROWS], [0; ROWS], [0.0; ROWS]);
        let (mut tables, mut turned) = (vec![0; 4 * dimensions], values.clone());
        for kernels in Kernels::available() {
            let id = |name: &str| BenchmarkId::new(format!("{name} {}", kernels.name()), dimensions);
            let step = kernels.fill_sign_tables(&values, &mut tables);
            group.throughput(Throughput::Elements(ROWS as u64));
            group.bench_function(id("estimate_neighbors x 32"), |bench| {
                bench.iter(|| kernels.estimate_neighbors(Asked { tables: black_box(&tables), step }, 1.0, 2.0, black_box(&row), &[], &mut near));
            });
            group.bench_function(id("dots_u4_u1 x 32"), |bench| {
                bench.iter(|| kernels.dots_u4_u1(black_box(&planes), black_box(&base), black_box(&offsets), &mut counts));
            });
            group.bench_function(id("dots_i16_u2 x 32"), |bench| {
                bench.iter(|| kernels.dots_i16_u2(black_box(&query), black_box(&base), black_box(&offsets), &mut out));
            });
            group.bench_function(id("dots_i16_u4 x 32"), |bench| {
                bench.iter(|| kernels.dots_i16_u4(black_box(&query), black_box(&base), black_box(&offsets), &mut out));
            });
            group.throughput(Throughput::Elements(1));
            group.bench_function(id("fill_sign_tables"), |bench| bench.iter(|| kernels.fill_sign_tables(black_box(&values), &mut tables)));
            group.bench_function(id("rotate"), |bench| bench.iter(|| kernels.rotate(black_box(&signs), black_box(&mut turned))));
        }
    }
    group.finish();
}

criterion_group!(benches, bench_f32, bench_bytes, bench_walk, bench_codes);
criterion_main!(benches);
