//! What the codes of a table say, against the library beneath them and against plain arithmetic.

use super::*;
use crate::format::{Element, Metric};
use crate::par::Serial;
use crate::quant::{Encoding, RecordLayout, rabitq};
use crate::seed::SplitMix;
use crate::vectors::{Query, Vectors};
use alloc::vec;

pub(super) const METHODS: [Method; 5] = [
    Method::RaBitQ { bits: 1 },
    Method::RaBitQ { bits: 2 },
    Method::RaBitQ { bits: 4 },
    Method::Product { parts: 1 },
    Method::Product { parts: 7 },
];

/// Records of `count` random rows around one far from zero, and queries like them.
fn records(metric: Metric, element: Element, dimensions: usize, count: usize) -> (Space, Vec<u8>, Vec<Vec<f32>>) {
    let mut random = SplitMix::new(dimensions as u64);
    let mut value = |at: usize| (random.below(41) + (at * 7 % 50) as u64) as f32;
    let vectors: Vec<Vec<f32>> = (0..count).map(|_| (0..dimensions).map(&mut value).collect()).collect();
    let mean = vec![if metric == Metric::InnerProduct || element != Element::F32 { 0.0 } else { 0.03 }; dimensions];
    let space = Space { metric, encoding: Encoding::of(element), layout: RecordLayout::new(dimensions), mean };
    let mut bytes = vec![0; count * space.layout.stride];
    for (vector, record) in vectors.iter().zip(bytes.chunks_mut(space.layout.stride)) {
        let factors = if element == Element::F32 {
            space.encode_f32(Kernels::best(), &mut vector.clone(), &mut record[..dimensions])
        } else {
            let row: Vec<u8> = vector.iter().map(|&x| x as u8).collect();
            let vectors = Vectors::packed(element, dimensions, &row).expect("a whole row");
            space.encode(Kernels::best(), &vectors, 0, &mut Vec::new(), record)
        };
        space.layout.write_tail(record, factors, 0, (0, 0));
    }
    (
        space,
        bytes,
        vectors
            .into_iter()
            .step_by(9)
            .map(|mut v| {
                v[0] += 3.0;
                v
            })
            .collect(),
    )
}

/// Codes of all records.
pub(super) fn coded(method: Method, space: &Space, records: &[u8]) -> (Coarse, Vec<u8>) {
    let stride = space.layout.stride;
    let record = |row: u32| &records[row as usize * stride..][..stride];
    let rows = records.len() / stride;
    let mut coarse = Coarse::learn(method, space, Kernels::best(), rows, &record, 5, &Serial);
    for kernels in Kernels::available() {
        assert_eq!(coarse, Coarse::learn(method, space, kernels, rows, &record, 5, &Serial), "{}", kernels.name());
    }
    let (mut codes, mut work, mut farthest) = (vec![0xA5; rows * coarse.stride()], Vec::new(), 0.0f32);
    for (row, codes) in (0..).zip(codes.chunks_mut(coarse.stride())) {
        farthest = farthest.max(coarse.encode(space, Kernels::best(), record(row), codes, &mut work));
        coarse.check(codes).expect("what was coded is sound");
    }
    coarse.set_error(farthest);
    (coarse, codes)
}

/// Distances of all rows of codes, the same under every backend.
pub(super) fn distances(coarse: &Coarse, space: &Space, codes: &[u8], query: &[f32]) -> Vec<f32> {
    let places: Vec<usize> = (0..codes.len()).step_by(coarse.stride()).collect();
    let of = |kernels: &'static Kernels| {
        let (mut prepared, mut out) = (Prepared::new(), vec![f32::NAN; places.len()]);
        prepared.query(space, kernels, Query::F32(query));
        coarse.prepare(space, kernels, &mut prepared);
        coarse.distances(space, kernels, &prepared, codes, &places, &mut Vec::new(), &mut out);
        out
    };
    let found = of(Kernels::best());
    for kernels in Kernels::available() {
        assert!(of(kernels).iter().zip(&found).all(|(a, b)| a.to_bits() == b.to_bits()), "{}", kernels.name());
    }
    found
}

/// The vector and the query as codes see them, before centre and rotation.
pub(super) fn seen(space: &Space, record: &[u8], query: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (mut vector, mut prepared) = (Vec::new(), Prepared::new());
    coordinates(space, record, &mut vector);
    prepared.query(space, Kernels::best(), Query::F32(query));
    let length = if is_turned(space) && prepared.length_sq > 0.0 { prepared.length_sq.sqrt() } else { 1.0 };
    (vector, prepared.work.iter().map(|x| x / length).collect())
}

fn distance(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(&a, &b)| f(a.into(), b.into())).sum::<f64>();
    match metric {
        Metric::L2 => sum(&|a, b| (a - b) * (a - b)),
        Metric::Cosine => 0.5 * sum(&|a, b| (a - b) * (a - b)),
        Metric::InnerProduct => 1.0 - sum(&|a, b| a * b),
    }
}

pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

#[test]
fn a_distance_is_that_of_the_library_beneath() {
    for (element, dimensions) in [(Element::F32, 40), (Element::U8, 70), (Element::I8, 64), (Element::F32, 700)] {
        for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
            let (space, records, queries) = records(metric, element, dimensions, 60);
            for method in METHODS {
                let (coarse, codes) = coded(method, &space, &records);
                for query in &queries {
                    let found = distances(&coarse, &space, &codes, query);
                    for ((record, row), &found) in records.chunks(space.layout.stride).zip(codes.chunks(coarse.stride())).zip(&found) {
                        let (vector, asked) = seen(&space, record, query);
                        let (wanted, slack) = match &coarse.table {
                            Table::Bits(bits) => by_hand(bits, &space, row, &vector, &asked),
                            Table::Product(product) => {
                                let mut decoded = Vec::new();
                                product.books.decode(&row[..product.books.parts()], &mut decoded);
                                (distance(metric, &decoded, &asked), 1e-3 * (dot(&vector, &vector) * dot(&asked, &asked)).sqrt())
                            }
                        };
                        let slack = slack + 1e-4 * (dot(&vector, &vector) + dot(&asked, &asked));
                        assert!(
                            (f64::from(found) - wanted).abs() <= slack,
                            "{method:?} {metric} {element} {dimensions}: {found}, {wanted} by hand"
                        );
                    }
                }
            }
        }
    }
}

/// The distance that `rabitq` estimates from unpacked codes in f64, and what the query's rounding may add.
pub(super) fn by_hand(bits: &Bits, space: &Space, row: &[u8], vector: &[f32], asked: &[f32]) -> (f64, f64) {
    let centred = |x: &[f32]| x.iter().zip(&bits.centre).map(|(x, c)| x - c).collect::<Vec<f32>>();
    let (mut rest, mut query) = (centred(vector), centred(asked));
    if space.metric == Metric::InnerProduct {
        query = asked.to_vec();
    }
    let (norm, query_norm) = (dot(&rest, &rest), dot(&query, &query));
    bits.rotation.rotate(&mut rest);
    bits.rotation.rotate(&mut query);
    let code = |j: usize| match bits.bits {
        1 => row[j / 8] >> (j % 8) & 1,
        2 => row[j / 32 * 8 + j % 8] >> (j % 32 / 8 * 2) & 3,
        _ => row[j / 32 * 16 + j % 16] >> (j % 32 / 16 * 4) & 15,
    };
    let codes: Vec<u8> = (0..rest.len()).map(code).collect();
    let mut again = vec![0; rest.len()];
    let factors = rabitq::encode(&rest, bits.bits, &mut again);
    assert_eq!(codes, again, "codes are packed as the format says");
    let estimate = rabitq::Query::new(&query).estimate(&codes, bits.bits, &factors);
    let product = f64::from(estimate.product);
    // Four bits of the query: a step is a fifteenth of its range, and errors add up as a random walk's.
    let range = query.iter().fold(0.0f32, |most, x| most.max(x.abs())) * 2.0 / 15.0;
    let slack = if bits.bits == 1 { f64::from(range * factors.rescale * (rest.len() as f32).sqrt()) * 2.0 } else { 0.0 };
    match space.metric {
        Metric::L2 => ((norm + query_norm - 2.0 * product).max(0.0), 2.0 * slack),
        Metric::Cosine => ((0.5 * (norm + query_norm) - product).max(0.0), slack),
        Metric::InnerProduct => (1.0 - (dot(&bits.centre, asked) + product), slack),
    }
}

#[test]
fn more_bytes_err_less_and_bounds_hold() {
    let (space, records, queries) = records(Metric::L2, Element::F32, 384, 400);
    let mut last = f64::INFINITY;
    for method in [Method::RaBitQ { bits: 1 }, Method::RaBitQ { bits: 2 }, Method::RaBitQ { bits: 4 }] {
        let (coarse, codes) = coded(method, &space, &records);
        let (mut squares, mut within, mut count) = (0.0, 0, 0);
        let Table::Bits(bits) = &coarse.table else { panic!("bits") };
        for query in &queries {
            for (at, found) in distances(&coarse, &space, &codes, query).into_iter().enumerate() {
                let (vector, asked) = seen(&space, &records[at * space.layout.stride..][..space.layout.stride], query);
                let error = f64::from(found) - distance(Metric::L2, &vector, &asked);
                let tail = &codes[at * bits.stride + bits.factors()..];
                let deviation = f64::from(f32::from_le_bytes([tail[8], tail[9], tail[10], tail[11]]));
                let length = asked.iter().zip(&bits.centre).map(|(&q, &c)| f64::from(q - c).powi(2)).sum::<f64>().sqrt();
                within += u32::from(error.abs() <= 2.0 * f64::from(rabitq::BOUND) * deviation * length);
                squares += error * error;
                count += 1;
            }
        }
        assert!(squares < 0.4 * last, "{method:?}: {squares} after {last}");
        // Rounding the query to four bits takes a little of the one bit's bound.
        assert!(f64::from(within) > 0.92 * f64::from(count), "{method:?}: {within} of {count}");
        last = squares;
    }
    let (coarse, codes) = coded(Method::Product { parts: 48 }, &space, &records);
    let bound = f64::from(coarse.error().expect("it is known")) + 1e-2;
    for query in &queries {
        for (at, found) in distances(&coarse, &space, &codes, query).into_iter().enumerate() {
            let (vector, asked) = seen(&space, &records[at * space.layout.stride..][..space.layout.stride], query);
            let exact = distance(Metric::L2, &vector, &asked);
            assert!((f64::from(found).sqrt() - exact.sqrt()).abs() <= bound, "{found} and {exact}");
        }
    }
}

#[test]
fn what_they_share_comes_back_from_its_bytes_and_nonsense_does_not() {
    let (space, records, _) = records(Metric::L2, Element::F32, 40, 30);
    for method in METHODS {
        let (coarse, _) = coded(method, &space, &records);
        let bytes = coarse.to_bytes(40);
        let read = |bytes: &[u8]| Coarse::read(&space, method.encoding(), coarse.parameter(), coarse.stride(), bytes);
        assert_eq!(read(&bytes), Ok(coarse.clone()), "{method:?}");
        for (at, value) in [(0, 2), (4, 41), (8, 0), (12, 3), (32, 0x7F80_0000u32), (24, 0x7FC0_0000)] {
            let mut bad = bytes.clone();
            bad[at..at + 4].copy_from_slice(&value.to_le_bytes());
            assert!(read(&bad).is_err(), "{method:?}: byte {at}");
        }
        for length in [0, 31, 32, bytes.len() - 4] {
            assert!(read(&bytes[..length]).is_err(), "{method:?}: {length} bytes");
        }
        assert!(read(&[&bytes[..], &[0; 4]].concat()).is_err(), "{method:?}: a number more");
    }
}

#[test]
fn a_row_that_breaks_its_bounds_is_found() {
    let (space, records, _) = records(Metric::Cosine, Element::U8, 70, 30);
    for method in METHODS {
        let (coarse, codes) = coded(method, &space, &records);
        let row = &codes[..coarse.stride()];
        let bad = |at: usize, with: &[u8]| {
            let mut bad = row.to_vec();
            bad[at..at + with.len()].copy_from_slice(with);
            coarse.check(&bad).is_err()
        };
        if let Table::Bits(bits) = &coarse.table {
            for factor in [0, 4, 8] {
                assert!(bad(bits.factors() + factor, &f32::NAN.to_le_bytes()) && bad(bits.factors() + factor, &(-1f32).to_le_bytes()));
            }
            assert!(bad(bits.factors() + 12, &[row[bits.factors() + 12] ^ 1]) && bad(3, &[!row[3] & 0x7F | row[3] & 0x80]));
            if bits.stride > bits.factors() + 16 {
                assert!(bad(bits.factors() + 16, &[1]));
            }
        }
    }
}

#[test]
fn rows_are_as_short_as_documented() {
    let space = |dimensions| Space {
        metric: Metric::L2,
        encoding: Encoding::Scaled,
        layout: RecordLayout::new(dimensions),
        mean: vec![0.0; dimensions],
    };
    for (dimensions, strides) in [(384, [64, 112, 208]), (784, [128, 224, 432]), (1024, [144, 272, 528]), (40, [64, 32, 48])] {
        for (bits, stride) in [1, 2, 4].into_iter().zip(strides) {
            let coarse = Coarse::learn(Method::RaBitQ { bits }, &space(dimensions), Kernels::best(), 0, &|_| &[], 0, &Serial);
            assert_eq!(coarse.stride(), stride, "{dimensions} dimensions, {bits} bits");
        }
    }
    let coarse = Coarse::learn(Method::Product { parts: 64 }, &space(1024), Kernels::best(), 0, &|_| &[], 0, &Serial);
    assert_eq!((coarse.stride(), coarse.parameter()), (64, 64));
    let coarse = Coarse::learn(Method::Product { parts: 64 }, &space(3), Kernels::best(), 0, &|_| &[], 0, &Serial);
    assert_eq!((coarse.stride(), coarse.method()), (3, Method::Product { parts: 3 }));
}
