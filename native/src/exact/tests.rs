//! Exact answers against the plainest possible program.

use std::ops::ControlFlow;

use nearshore_core::format::{Element, Metric};
use proptest::prelude::*;

use super::*;
use crate::par::Pool;

const METRICS: [Metric; 3] = [Metric::L2, Metric::InnerProduct, Metric::Cosine];

fn run(base: Base<'_>, queries: Vectors<'_>, metric: Metric, k: usize, threads: usize) -> Result<Vec<Vec<Found>>, ExactError> {
    nearest(base, queries, metric, k, &Pool::new(threads).unwrap(), &|_, _| ControlFlow::Continue(()))
}

/// All distances in f64, sorted.
fn plain(base: &[Vec<f64>], ids: Option<&[u64]>, query: &[f64], metric: Metric, k: usize) -> Vec<Found> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut all: Vec<Found> = base
        .iter()
        .enumerate()
        .map(|(row, x)| {
            let distance = match metric {
                Metric::L2 => query.iter().zip(x).map(|(q, x)| (q - x) * (q - x)).sum(),
                Metric::InnerProduct => 1.0 - dot(query, x),
                Metric::Cosine => 1.0 - dot(query, x) / (dot(query, query).sqrt() * dot(x, x).sqrt()),
            };
            Found { id: ids.map_or(row as u64, |ids| ids[row]), distance }
        })
        .collect();
    all.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.id.cmp(&b.id)));
    all.truncate(k);
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn floats_give_the_answers_of_the_plain_program(
        seed in any::<u64>(), rows in 1usize..300, dimensions in 1usize..70, scale in prop_oneof![Just(1.0f32), Just(1e-3), Just(1e18)], k in 1usize..20,
    ) {
        let mut state = seed | 1;
        let mut next = || { state ^= state << 13; state ^= state >> 7; state ^= state << 17; ((state >> 40) as f32 / 8192.0 - 1000.0).round() * 0.37 * scale + 0.01 * scale };
        let values: Vec<f32> = (0..(rows + 3) * dimensions).map(|_| next()).collect();
        let (base, queries) = values.split_at(rows * dimensions);
        let as_f64 = |values: &[f32]| -> Vec<Vec<f64>> { values.chunks(dimensions).map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect() };
        let ids: Vec<u64> = (0..rows as u64).map(|row| (row * 7919) % 1_000_003).collect();
        let base_vectors = Vectors::packed(Element::F32, dimensions, bytemuck::cast_slice(base)).unwrap();
        let query_vectors = Vectors::packed(Element::F32, dimensions, bytemuck::cast_slice(queries)).unwrap();
        for metric in METRICS {
            let found = run(Base { vectors: base_vectors, ids: Some(&ids) }, query_vectors, metric, k, 2).unwrap();
            for (found, query) in found.iter().zip(as_f64(queries)) {
                prop_assert_eq!(found, &plain(&as_f64(base), Some(&ids), &query, metric, k.min(rows)));
            }
        }
    }

    #[test]
    fn bytes_give_the_answers_of_the_plain_program(values in proptest::collection::vec(1u8.., 66..900), k in 1usize..20) {
        let dimensions = 11;
        let values = &values[..values.len() / dimensions * dimensions];
        for element in [Element::U8, Element::I8] {
            let number = |&byte: &u8| if element == Element::U8 { f64::from(byte) } else { f64::from(byte as i8) };
            let rows: Vec<Vec<f64>> = values.chunks(dimensions).map(|row| row.iter().map(number).collect()).collect();
            let all = Vectors::packed(element, dimensions, values).unwrap();
            for metric in METRICS {
                let found = run(Base { vectors: all, ids: None }, all, metric, k, 1).unwrap();
                for (found, query) in found.iter().zip(&rows) {
                    prop_assert_eq!(found, &plain(&rows, None, query, metric, k.min(rows.len())));
                }
            }
        }
    }
}

#[test]
fn more_ties_than_spare_places_go_to_the_smallest_ids() {
    // 200 equal rows among 400: the first pass cannot tell them apart, and its spare places do not hold them.
    let values: Vec<f32> = (0..400).flat_map(|row| if row % 2 == 0 { [0.1, 0.7, 0.3] } else { [9.0, row as f32, 0.0] }).collect();
    let ids: Vec<u64> = (0..400).rev().collect();
    let base = Vectors::packed(Element::F32, 3, bytemuck::cast_slice(&values)).unwrap();
    let query = Vectors::packed(Element::F32, 3, bytemuck::cast_slice(&[0.1f32, 0.7, 0.2])).unwrap();
    for metric in METRICS {
        let found = run(Base { vectors: base, ids: Some(&ids) }, query, metric, 5, 2).unwrap();
        if metric != Metric::InnerProduct {
            assert_eq!(found[0].iter().map(|found| found.id).collect::<Vec<_>>(), [1, 3, 5, 7, 9], "{metric}");
        }
    }
}

#[test]
fn rows_without_a_distance_are_named() {
    let base = [1.0f32, 2.0, 0.0, 0.0, f32::NAN, 1.0];
    let base = Vectors::packed(Element::F32, 2, bytemuck::cast_slice(&base)).unwrap();
    let good = Vectors::packed(Element::F32, 2, bytemuck::cast_slice(&[1.0f32, 1.0])).unwrap();
    let base = Base { vectors: base, ids: None };
    assert_eq!(run(base, good, Metric::L2, 1, 1), Err(ExactError::Row(2)));
    assert_eq!(run(base, good, Metric::Cosine, 1, 1), Err(ExactError::Row(1)));
    let good = Base { vectors: good, ids: None };
    let zero = Vectors::packed(Element::F32, 2, &[0; 8]).unwrap();
    assert_eq!(run(good, zero, Metric::Cosine, 1, 1), Err(ExactError::Query(0)));
    assert_eq!(run(good, zero, Metric::L2, 1, 1).unwrap()[0], [Found { id: 0, distance: 2.0 }]);
    let longer = Vectors::packed(Element::F32, 3, &[0; 12]).unwrap();
    assert_eq!(run(good, longer, Metric::L2, 1, 1), Err(ExactError::Shape));
    let stop = nearest(good, zero, Metric::L2, 1, &Pool::new(1).unwrap(), &|_, _| ControlFlow::Break(()));
    assert_eq!(stop, Err(ExactError::Interrupted));
}
