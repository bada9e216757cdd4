//! Tables against plain arithmetic, and the bound that the triangle gives.

use super::*;
use crate::par::Serial;
use crate::quant::shapes::{self, wide};
use crate::seed::SplitMix;
use proptest::prelude::*;

/// Rows around a few centres, as embeddings are.
fn rows(count: usize, dimensions: usize, seed: u64) -> Vec<f32> {
    let mut random = SplitMix::new(seed);
    let mut uniform = || random.below(2001) as f32 / 1000.0 - 1.0;
    let centres: Vec<f32> = (0..20 * dimensions).map(|_| 2.0 * uniform()).collect();
    (0..count * dimensions).map(|i| centres[(i / dimensions * 7 % 20) * dimensions + i % dimensions] + 0.5 * uniform()).collect()
}

#[test]
fn a_sum_of_entries_is_the_distance_to_what_the_codes_stand_for() {
    let kernels = Kernels::best();
    for (dimensions, parts) in [(24, 3), (25, 4), (7, 7), (64, 5)] {
        let sample = rows(500, dimensions, 3);
        let books = Codebooks::train(kernels, &sample, dimensions, parts, 1, &Serial);
        let (mut codes, mut decoded, mut tables) = (vec![0; parts], Vec::new(), Tables::default());
        for (vector, query) in sample.chunks(dimensions).zip(sample.chunks(dimensions).skip(1)).take(50) {
            let error = books.encode(kernels, vector, &mut codes);
            books.decode(&codes, &mut decoded);
            assert_eq!(decoded.len(), dimensions);
            assert!((error - kernels.l2_f32(vector, &decoded)).abs() <= 1e-4 * (1.0 + error), "{error}");
            for (sum, wanted) in [(Sum::L2, kernels.l2_f32(query, &decoded)), (Sum::Dot, kernels.dot_f32(query, &decoded))] {
                books.tables(kernels, query, sum, &mut tables);
                let mut sums = [0];
                tables.sums(kernels, &codes, &[0], &mut sums);
                let found = tables.value(sums[0]);
                let slack = 0.51 * parts as f32 * tables.step + 1e-5 * (1.0 + kernels.dot_f32(query, query));
                assert!((found - wanted).abs() <= slack, "{sum:?}: {found} and {wanted}");
                // The error bound of an estimate: the triangle through the row, the query and what the codes stand for.
                if sum == Sum::L2 {
                    let exact = kernels.l2_f32(query, vector);
                    assert!(
                        (found.max(0.0).sqrt() - exact.sqrt()).abs() <= error.sqrt() + (slack / exact.max(slack).sqrt()),
                        "{found} {exact}"
                    );
                }
            }
        }
    }
}

#[test]
fn codebooks_and_codes_are_the_same_under_every_backend() {
    let sample = rows(400, 40, 8);
    let books = Codebooks::train(Kernels::best(), &sample, 40, 6, 9, &Serial);
    let (mut codes, mut same) = ([0; 6], [0; 6]);
    for kernels in Kernels::available() {
        assert_eq!(books, Codebooks::train(kernels, &sample, 40, 6, 9, &Serial), "{}", kernels.name());
        for vector in sample.chunks(40) {
            books.encode(Kernels::best(), vector, &mut codes);
            books.encode(kernels, vector, &mut same);
            assert_eq!(codes, same, "{}", kernels.name());
        }
    }
    assert_ne!(books, Codebooks::train(Kernels::best(), &sample, 40, 6, 10, &Serial), "the seed counts");
}

#[test]
fn a_thousand_dimensions_fit_64_bytes_and_neighbours_stay_near() {
    let (kernels, dimensions) = (Kernels::best(), 1024);
    let sample = rows(700, dimensions, 5);
    let books = Codebooks::train(kernels, &sample, dimensions, 64, 2, &Serial);
    assert_eq!(books.parts(), 64);
    let codes: Vec<Vec<u8>> = sample
        .chunks(dimensions)
        .map(|vector| {
            let mut codes = vec![0; 64];
            books.encode(kernels, vector, &mut codes);
            codes
        })
        .collect();
    let mut tables = Tables::default();
    // Row i shares its centre with i + 20, and no other row below it does.
    for (at, query) in sample.chunks(dimensions).enumerate().take(30) {
        books.tables(kernels, query, Sum::L2, &mut tables);
        let mut order: Vec<usize> = (0..codes.len()).collect();
        let places: Vec<usize> = (0..codes.len()).map(|row| row * 64).collect();
        let mut sums = vec![0; codes.len()];
        tables.sums(kernels, &codes.concat(), &places, &mut sums);
        order.sort_by_key(|&row| (sums[row], row));
        assert!(order[..35].iter().all(|row| row % 20 == at % 20), "query {at}: {:?}", &order[..35]);
    }
}

/// Codebooks of random centroids, which no training made: what is promised holds for any.
fn any_books(dimensions: usize, parts: usize, size: f32, seed: u64) -> Codebooks {
    let mut random = SplitMix::new(seed);
    let columns = (0..CENTROIDS * dimensions).map(|_| size * (random.below(2001) as f32 / 1000.0 - 1.0)).collect();
    Codebooks::new(dimensions, parts, columns).expect("as many as the dimensions take")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// The tables say, under every backend, what plain arithmetic over the centroids does, within half a step a part.
    #[test]
    fn a_sum_of_entries_is_the_direct_computation(
        dimensions in 1usize..70, share in 0f64..1.0, shape in shapes::shape(), size in prop::sample::select(&[1f32, 0.0, 1e4, 1e-12][..]), seed: u64,
    ) {
        let parts = 1 + (share * dimensions as f64) as usize;
        let books = any_books(dimensions, parts, size, seed);
        let query = shape.row(dimensions, seed);
        let codes: Vec<u8> = (0..3 * parts as u64).map(|at| seed::hash(seed, 1, at) as u8).collect();
        for sum in [Sum::L2, Sum::Dot] {
            let mut first: Option<(Tables, [u32; 3])> = None;
            for kernels in Kernels::available() {
                let (mut tables, mut sums) = (Tables::default(), [0; 3]);
                books.tables(kernels, &query, sum, &mut tables);
                tables.sums(kernels, &codes, &[parts, 0, 2 * parts], &mut sums);
                let (same, same_sums) = first.get_or_insert_with(|| (tables.clone(), sums));
                let bits = |tables: &Tables| (tables.entries.clone(), tables.base.to_bits(), tables.step.to_bits());
                prop_assert_eq!((bits(&tables), sums), (bits(same), *same_sums), "{}", kernels.name());
            }
            let (tables, sums) = first.expect("every machine has a backend");
            for (at, found) in [1, 0, 2].into_iter().zip(sums) {
                let mut decoded = Vec::new();
                books.decode(&codes[at * parts..][..parts], &mut decoded);
                let (q, x) = (wide(&query), wide(&decoded));
                let wanted = if sum == Sum::L2 { shapes::dot(&shapes::difference(&q, &x), &shapes::difference(&q, &x)) } else { shapes::dot(&q, &x) };
                // Sums of a part are of f32; so is the value.
                let rounding = 1e-7 * (dimensions / parts + 4) as f64 * (shapes::length(&q) + shapes::length(&x)).powi(2);
                let slack = 0.51 * parts as f64 * f64::from(tables.step) + rounding;
                prop_assert!((f64::from(tables.value(found)) - wanted).abs() <= slack, "{:?}: {} and {wanted}", sum, tables.value(found));
            }
        }
    }

    /// A row lies as far from what its codes stand for as `encode` says, and no other codes are nearer; so the estimate of a squared distance
    /// errs, in length, by no more, and that of a dot product by no more than this times the query's length.
    #[test]
    fn the_bound_always_holds(
        dimensions in 1usize..70, share in 0f64..1.0, shape in shapes::shape(), other in shapes::shape(), seed: u64,
    ) {
        let parts = 1 + (share * dimensions as f64) as usize;
        let books = any_books(dimensions, parts, 1.0, seed);
        let (row, query) = (shape.row(dimensions, seed), other.row(dimensions, !seed));
        let (mut codes, mut decoded) = (vec![0; parts], Vec::new());
        let residual = books.encode(Kernels::best(), &row, &mut codes);
        for kernels in Kernels::available() {
            let mut same = vec![0; parts];
            prop_assert_eq!(books.encode(kernels, &row, &mut same).to_bits(), residual.to_bits(), "{}", kernels.name());
            prop_assert_eq!(&same, &codes, "{}", kernels.name());
        }
        books.decode(&codes, &mut decoded);
        let (v, q, x) = (wide(&row), wide(&query), wide(&decoded));
        let rounding = 1e-6 * (shapes::length(&v) + shapes::length(&q) + shapes::length(&x)).powi(2) * (dimensions as f64).sqrt();
        let far = |x: &[f64]| shapes::dot(&shapes::difference(&v, x), &shapes::difference(&v, x));
        prop_assert!((far(&x) - f64::from(residual)).abs() <= rounding, "{} and {residual}", far(&x));
        for other in 0..20u64 {
            let mut nearby = codes.clone();
            nearby[seed::hash(seed, 2, other) as usize % parts] = seed::hash(seed, 3, other) as u8;
            books.decode(&nearby, &mut decoded);
            prop_assert!(far(&wide(&decoded)) >= far(&x) - rounding);
        }
        let (mut tables, mut sums) = (Tables::default(), [0]);
        let mut estimate = |sum| {
            books.tables(Kernels::best(), &query, sum, &mut tables);
            tables.sums(Kernels::best(), &codes, &[0], &mut sums);
            let slack = 0.51 * parts as f64 * f64::from(tables.step) + rounding;
            (f64::from(tables.value(sums[0])), slack)
        };
        let length = f64::from(residual).sqrt();
        let (found, slack) = estimate(Sum::L2);
        let exact = shapes::length(&shapes::difference(&v, &q));
        // Within the bound, both ways, whatever the slack adds to the square.
        prop_assert!((found + slack).max(0.0).sqrt() >= exact - length - rounding.sqrt(), "{found} of {}", exact * exact);
        prop_assert!((found - slack).max(0.0).sqrt() <= exact + length + rounding.sqrt(), "{found} of {}", exact * exact);
        let (found, slack) = estimate(Sum::Dot);
        prop_assert!((found - shapes::dot(&v, &q)).abs() <= length * shapes::length(&q) + slack, "{found}");
    }
}
