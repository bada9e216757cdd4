//! Rows of every shape, one beside the other in a table: estimates are those of plain arithmetic, and lie within a bound that always holds.

use super::tests::{METHODS, by_hand, coded, distances, seen};
use super::*;
use crate::format::Metric;
use crate::quant::shapes::{self, Shape, wide};
use crate::quant::{Encoding, RecordLayout};
use alloc::vec;
use proptest::prelude::*;

/// What a row's estimate may err at most: the documented bounds, that of bits with as many deviations as there can be.
struct Bound {
    /// Of a dot product.
    product: f64,
    /// Of the length of a difference, where that is what is known.
    length: Option<f64>,
}

fn bound(coarse: &Coarse, space: &Space, row: &[u8], asked: &[f64]) -> Bound {
    let bits = match &coarse.table {
        Table::Product(product) => {
            let length = f64::from(product.error);
            return Bound { product: length * shapes::length(asked), length: Some(length) };
        }
        Table::Bits(bits) => bits,
    };
    let field = |at: usize| f64::from(f32::from_le_bytes(row[bits.factors() + at..][..4].try_into().expect("four bytes")));
    let (rescale, error, padded) = (field(4), field(8), bits.rotation.padded() as f64);
    let centre = wide(&bits.centre);
    let asked = if space.metric == Metric::InnerProduct { asked.to_vec() } else { shapes::difference(asked, &centre) };
    // A query's coordinates are rounded to 15 steps of its range beside one bit, else to many of its largest.
    let largest_code = f64::from((1u32 << bits.bits) - 1);
    let mut turned: Vec<f32> = asked.iter().map(|&x| x as f32).collect();
    bits.rotation.rotate(&mut turned);
    let largest = turned.iter().fold(0.0f64, |most, x| most.max(f64::from(x.abs())));
    let half_step = if bits.bits == 1 { largest / 15.0 } else { 0.5 * largest / 32_000.0 };
    let rounding = rescale * 0.5 * largest_code * padded * half_step;
    Bound { product: (padded - 1.0).sqrt() * error * shapes::length(&asked) + rounding, length: None }
}

fn kinds() -> impl Strategy<Value = Method> {
    prop::sample::select(&METHODS[..])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn estimates_are_those_of_plain_arithmetic_and_lie_within_their_bound(
        method in kinds(), space in shapes::space(1usize..90), rows in prop::collection::vec((shapes::shape(), any::<u64>()), 1..10),
        asked in shapes::shape(), seed: u64,
    ) {
        let dimensions = space.layout.dimensions;
        let records: Vec<u8> = rows.iter().flat_map(|(shape, seed)| shapes::record(&space, &shape.row(dimensions, *seed))).collect();
        let (coarse, codes) = coded(method, &space, &records);
        let query = asked.row(dimensions, seed);
        let found = distances(&coarse, &space, &codes, &query);
        let rows: Vec<&[u8]> = records.chunks(space.layout.stride).collect();
        let longest = rows.iter().map(|record| shapes::length(&wide(&seen(&space, record, &query).0))).fold(0.0, f64::max);
        for ((record, row), found) in rows.into_iter().zip(codes.chunks(coarse.stride())).zip(found) {
            let (vector, asked) = seen(&space, record, &query);
            let (v, q) = (wide(&vector), wide(&asked));
            // Sums of f32, about a centre or centroids that lie no farther than the longest row; steps of tables.
            let size = longest + shapes::length(&v) + shapes::length(&q);
            let slack = 1e-5 + if let Table::Product(product) = &coarse.table { 2e-5 * product.books.parts() as f64 } else { 2e-5 } * size * size;
            let bound = bound(&coarse, &space, row, &q);
            let (exact, found) = (plain(space.metric, &v, &q), f64::from(found));
            let within = match (space.metric, bound.length) {
                (Metric::InnerProduct, _) => (found - exact).abs() <= bound.product + slack,
                (Metric::L2, None) => (found - exact).abs() <= 2.0 * bound.product + slack,
                (Metric::Cosine, None) => (found - exact).abs() <= bound.product + slack,
                (metric, Some(length)) => {
                    let times = if metric == Metric::L2 { 1.0 } else { 2.0 };
                    let (found, exact) = (times * found, (times * exact).sqrt());
                    let (least, most) = ((exact - length).max(0.0), exact + length);
                    found >= least * least - 2.0 * slack && found <= most * most + 2.0 * slack
                }
            };
            prop_assert!(within, "{:?} {} {:?}: {found}, not {exact}; {} of a product", method, space.metric, space.encoding, bound.product);
            if let Table::Bits(bits) = &coarse.table {
                let (wanted, rounding) = by_hand(bits, &space, row, &vector, &asked);
                prop_assert!((found - wanted).abs() <= 2.0 * rounding + slack, "{:?}: {found}, {wanted} by hand", method);
            }
        }
    }
}

/// A distance of vectors as they are coded.
fn plain(metric: Metric, a: &[f64], b: &[f64]) -> f64 {
    let away = shapes::difference(a, b);
    match metric {
        Metric::L2 => shapes::dot(&away, &away),
        Metric::Cosine => 0.5 * shapes::dot(&away, &away),
        Metric::InnerProduct => 1.0 - shapes::dot(a, b),
    }
}

/// A table of rows that are all alike, or of nothing, has codes that say so.
#[test]
fn equal_rows_have_equal_codes_and_no_error() {
    for shape in [Shape::Ordinary, Shape::Equal, Shape::Zero, Shape::Spike] {
        for method in METHODS {
            let space = Space { metric: Metric::L2, encoding: Encoding::Scaled, layout: RecordLayout::new(70), mean: vec![0.0; 70] };
            let row = shape.row(70, 8);
            let records = shapes::record(&space, &row).repeat(20);
            let (coarse, codes) = coded(method, &space, &records);
            assert!(codes.chunks(coarse.stride()).all(|row| row == &codes[..coarse.stride()]), "{method:?}, {shape:?}");
            for found in distances(&coarse, &space, &codes, &row) {
                let size = f64::from(shapes::length(&wide(&row)) as f32).powi(2);
                // The record errs by half a scale a coordinate, the codes by roundings.
                assert!(f64::from(found) <= 1e-3 * size, "{method:?}, {shape:?}: {found} of {size}");
            }
        }
    }
}
