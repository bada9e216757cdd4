//! Rows that codes find hard, for tests: what a code promises, it promises of these as well.

use crate::distance::Kernels;
use crate::format::{Element, Metric};
use crate::quant::{Encoding, Prepared, RecordLayout, Space};
use crate::seed::SplitMix;
use crate::vectors::{Query, Vectors};
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

pub(crate) const METRICS: [Metric; 3] = [Metric::L2, Metric::InnerProduct, Metric::Cosine];
pub(crate) const ELEMENTS: [Element; 3] = [Element::F32, Element::U8, Element::I8];

/// What a row is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Ordinary,
    /// All coordinates are one number.
    Equal,
    Zero,
    /// One coordinate is ten thousand times as large as the others.
    Spike,
    Sorted,
    /// Its squared norm is near the largest that is taken.
    Huge,
    Tiny,
}

pub(crate) const SHAPES: [Shape; 7] = [Shape::Ordinary, Shape::Equal, Shape::Zero, Shape::Spike, Shape::Sorted, Shape::Huge, Shape::Tiny];

pub(crate) fn shape() -> impl Strategy<Value = Shape> {
    prop::sample::select(&SHAPES[..])
}

/// A space of some metric and element.
pub(crate) fn space(dimensions: impl Strategy<Value = usize>) -> impl Strategy<Value = Space> {
    (prop::sample::select(&METRICS[..]), prop::sample::select(&ELEMENTS[..]), dimensions).prop_map(|(metric, element, dimensions)| Space {
        metric,
        encoding: Encoding::of(element),
        layout: RecordLayout::new(dimensions),
        mean: vec![0.0; dimensions],
    })
}

impl Shape {
    /// A row of that shape, another for each seed.
    pub(crate) fn row(self, dimensions: usize, seed: u64) -> Vec<f32> {
        let mut random = SplitMix::new(seed);
        let mut uniform = || random.below(2_000_001) as f32 / 1e6 - 1.0;
        let one = uniform();
        let mut row: Vec<f32> = (0..dimensions).map(|_| uniform()).collect();
        match self {
            Self::Ordinary => {}
            Self::Equal => row.fill(one),
            Self::Zero => row.fill(0.0),
            Self::Spike => row[seed as usize % dimensions] = 1e4 * one,
            Self::Sorted => row.sort_by(f32::total_cmp),
            Self::Huge => row.iter_mut().for_each(|x| *x *= 1e16),
            Self::Tiny => row.iter_mut().for_each(|x| *x *= 1e-15),
        }
        row
    }
}

/// A record of a row; rows of integers reach over all that their bytes hold.
pub(crate) fn record(space: &Space, row: &[f32]) -> Vec<u8> {
    let (kernels, dimensions) = (Kernels::best(), row.len());
    let mut record = vec![0; space.layout.stride];
    let largest = row.iter().fold(f32::MIN_POSITIVE, |most, x| most.max(x.abs()));
    let bytes = |element, byte: &dyn Fn(f32) -> u8, record: &mut [u8]| {
        let bytes: Vec<u8> = row.iter().map(|x| byte(x / largest)).collect();
        space.encode(kernels, &Vectors::packed(element, dimensions, &bytes).expect("a row"), 0, &mut Vec::new(), record)
    };
    let factors = match space.encoding {
        Encoding::Scaled => space.encode_f32(kernels, &mut row.to_vec(), &mut record[..dimensions]),
        Encoding::U8 => bytes(Element::U8, &|x| (255.0 * x.abs()) as u8, &mut record),
        Encoding::I8 => bytes(Element::I8, &|x| ((128.0 * x) as i8).cast_unsigned(), &mut record),
    };
    space.layout.write_tail(&mut record, factors, 0, (0, 0));
    record
}

/// A query of a row; whole numbers where rows are.
pub(crate) fn query(space: &Space, row: &[f32]) -> Prepared {
    let largest = row.iter().fold(f32::MIN_POSITIVE, |most, x| most.max(x.abs()));
    let asked: Vec<f32> = match space.encoding {
        Encoding::Scaled => row.to_vec(),
        _ => row.iter().map(|x| libm::truncf(100.0 * x / largest)).collect(),
    };
    let mut query = Prepared::new();
    query.query(space, Kernels::best(), Query::F32(&asked));
    query
}

/// A prepared query as the codes of records see it.
pub(crate) fn asked(space: &Space, query: &Prepared) -> Vec<f64> {
    query.codes[..space.layout.dimensions].iter().map(|&code| f64::from(code) * f64::from(query.scale)).collect()
}

/// A record's codes times its scale.
pub(crate) fn said(space: &Space, record: &[u8]) -> Vec<f64> {
    let scale = f64::from(space.layout.factors(record).scale);
    let code = |&byte: &u8| if space.encoding == Encoding::U8 { f64::from(byte) } else { f64::from(byte.cast_signed()) };
    record[..space.layout.dimensions].iter().map(|byte| code(byte) * scale).collect()
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(crate) fn length(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

pub(crate) fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

pub(crate) fn wide(a: &[f32]) -> Vec<f64> {
    a.iter().map(|&x| f64::from(x)).collect()
}

/// A distance as the metric has it, in f64.
pub(crate) fn distance(space: &Space, a: &[f64], b: &[f64]) -> f64 {
    let squared = difference(a, b).iter().map(|x| x * x).sum::<f64>();
    match space.metric {
        Metric::L2 => squared,
        Metric::InnerProduct => 1.0 - dot(a, b),
        // Rows of floats are unit vectors by then.
        Metric::Cosine if space.encoding == Encoding::Scaled => 0.5 * squared,
        Metric::Cosine if length(a) * length(b) == 0.0 => 1.0,
        Metric::Cosine => 1.0 - dot(a, b) / (length(a) * length(b)),
    }
}
