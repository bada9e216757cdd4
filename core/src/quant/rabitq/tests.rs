//! What is promised of an estimate: in the mean, in most cases, and always.

use super::*;
use crate::quant::rotation::Rotation;
use crate::quant::shapes::{self, SHAPES, Shape, wide};
use crate::seed::SplitMix;
use alloc::vec;
use proptest::prelude::*;

/// Numbers that a rotation has to spread: a few large ones among many small.
fn spiky(random: &mut SplitMix, count: usize) -> Vec<f32> {
    (0..count)
        .map(|_| {
            let x = random.below(2001) as f32 / 1000.0 - 1.0;
            if random.below(10) == 0 { 8.0 * x } else { x * x * x }
        })
        .collect()
}

/// Mean signed error, root of the mean squared error (both as shares of |r| |q|), and share of estimates within the bound.
fn errors(dimensions: usize, bits: u32) -> (f64, f64, f64) {
    let mut random = SplitMix::new(u64::from(bits) + 77);
    let (mut sum, mut squares, mut within) = (0.0, 0.0, 0);
    const ROUNDS: usize = 2000;
    for seed in 0..ROUNDS as u64 {
        let (mut r, mut q) = (spiky(&mut random, dimensions), spiky(&mut random, dimensions));
        // Half of the queries lie near the vector.
        if seed % 2 == 0 {
            q.iter_mut().zip(&r).for_each(|(q, r)| *q = 0.3 * *q + r);
        }
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
        let (exact, size) = (dot(&r, &q), (dot(&r, &r) * dot(&q, &q)).sqrt());
        let rotation = Rotation::new(dimensions, seed);
        rotation.rotate(&mut r);
        rotation.rotate(&mut q);
        let mut codes = vec![0; r.len()];
        let factors = encode(&r, bits, &mut codes);
        let estimate = Query::new(&q).estimate(&codes, bits, &factors);
        let error = f64::from(estimate.product) - exact;
        sum += error / size;
        squares += (error / size) * (error / size);
        within += usize::from(error.abs() <= f64::from(estimate.bound));
    }
    (sum / ROUNDS as f64, (squares / ROUNDS as f64).sqrt(), within as f64 / ROUNDS as f64)
}

#[test]
fn estimates_are_unbiased_and_their_bound_holds_at_the_stated_rate() {
    for (dimensions, bits) in [(128, 1), (384, 1), (384, 2), (384, 4)] {
        let (mean, deviation, within) = errors(dimensions, bits);
        // Of 2,000 draws the mean errs by a forty-fifth of one draw's deviation; four times that is allowed.
        assert!(mean.abs() < 4.0 * deviation / 2000f64.sqrt() + 1e-7, "{dimensions}, {bits} bits: mean error {mean}");
        // The bound is on a query's part that is orthogonal to the vector: half of these queries lie near it, and err less.
        assert!(within > 0.93, "{dimensions}, {bits} bits: within the bound in {within}");
        assert!(within < 0.999 && deviation > 0.0, "{dimensions}, {bits} bits: a bound that says nothing, {within}");
    }
}

#[test]
fn each_bit_halves_the_error_about() {
    let deviation = |bits| errors(384, bits).1;
    let [one, two, four] = [1, 2, 4].map(deviation);
    // 0.75 / sqrt(D) for a bit, of queries at right angles to the vector; half of these are not.
    assert!((0.02..0.042).contains(&one), "{one}");
    assert!((0.25..0.65).contains(&(two / one)) && (0.1..0.4).contains(&(four / two)), "{one} {two} {four}");
}

#[test]
fn planes_estimate_as_the_query_does_but_for_their_rounding() {
    let mut random = SplitMix::new(6);
    for dimensions in [64, 384, 1024] {
        let (mut more, mut size) = (0.0f64, 0.0f64);
        for seed in 0..200 {
            let (mut r, mut q) = (spiky(&mut random, dimensions), spiky(&mut random, dimensions));
            let rotation = Rotation::new(dimensions, seed);
            rotation.rotate(&mut r);
            rotation.rotate(&mut q);
            let (mut codes, mut bits, planes) = (vec![0; dimensions], vec![0; dimensions.next_multiple_of(512) / 8], Planes::new(&q));
            let factors = encode(&r, 1, &mut codes);
            let ones = pack(&codes, &mut bits);
            let mut dots = [0];
            for kernels in crate::distance::Kernels::available() {
                kernels.dots_u4_u1(&planes.bytes, &bits, &[0], &mut dots);
            }
            let whole = Query::new(&q).estimate(&codes, 1, &factors);
            more += f64::from(planes.product(dots[0], ones, &factors) - whole.product).powi(2);
            size += f64::from(whole.bound / BOUND).powi(2);
        }
        // The rounding's variance beside that of the estimate itself.
        assert!(more < 0.2 * size, "{dimensions}: {}", more / size);
    }
}

#[test]
fn a_zero_vector_is_estimated_exactly() {
    let mut codes = [7; 64];
    for bits in [1, 2, 4] {
        let factors = encode(&[0.0; 64], bits, &mut codes);
        let estimate = Query::new(&[1.5; 64]).estimate(&codes, bits, &factors);
        assert_eq!((estimate.product, estimate.bound), (0.0, 0.0));
    }
}

#[test]
fn codes_use_their_range_and_no_more() {
    let vector: Vec<f32> = (0..64).map(|i| (i as f32 - 31.5) / 8.0).collect();
    for bits in [1, 2, 4, 8] {
        let mut codes = [0; 64];
        encode(&vector, bits, &mut codes);
        assert!(codes.is_sorted(), "{bits} bits: order is kept");
        assert_eq!((codes[0], u32::from(codes[63])), (0, (1 << bits) - 1), "{bits} bits");
    }
}

/// Whatever the vector, random rotations make its estimates right in the mean, and their bound holds about as often as is said.
#[test]
fn estimates_of_hard_vectors_are_unbiased_over_rotations() {
    const ROUNDS: u32 = 300;
    for (shape, dimensions) in SHAPES.into_iter().flat_map(|shape| [1, 64, 100].map(|dimensions| (shape, dimensions))) {
        for (bits, other) in [(1, Shape::Ordinary), (2, Shape::Spike), (4, Shape::Equal)] {
            let (r, q) = (shape.row(dimensions, 3), other.row(dimensions, 4));
            let (exact, size) = (shapes::dot(&wide(&r), &wide(&q)), shapes::length(&wide(&r)) * shapes::length(&wide(&q)));
            let (mut sum, mut squares, mut within) = (0.0, 0.0, 0);
            for seed in 0..ROUNDS {
                let rotation = Rotation::new(dimensions, seed.into());
                let [r, q] = [&r, &q].map(|x| {
                    let mut x = x.clone();
                    rotation.rotate(&mut x);
                    x
                });
                let mut codes = vec![0; r.len()];
                let factors = encode(&r, bits, &mut codes);
                let estimate = Query::new(&q).estimate(&codes, bits, &factors);
                let error = f64::from(estimate.product) - exact;
                (sum, squares) = (sum + error, squares + error * error);
                within += u32::from(error.abs() <= f64::from(estimate.bound) + 4e-6 * size);
            }
            let (mean, deviation) = (sum / f64::from(ROUNDS), (squares / f64::from(ROUNDS)).sqrt());
            let what = format!("{shape:?}, {dimensions} dimensions, {bits} bits");
            assert!(mean.abs() <= 5.0 * deviation / f64::from(ROUNDS).sqrt() + 4e-6 * size, "{what}: {mean} in the mean of {deviation}");
            assert!(within >= ROUNDS * 9 / 10, "{what}: within the bound in {within} of {ROUNDS}");
        }
    }
}

proptest! {
    /// What the codes err is orthogonal to the vector, and `error` knows how long that is.
    #[test]
    fn no_estimate_errs_by_more_than_its_deviation_times_the_root_of_the_dimensions(
        shape in shapes::shape(), other in shapes::shape(), dimensions in 1usize..150, bits in prop::sample::select(&[1u32, 2, 4][..]), seed: u64,
    ) {
        let (r, q) = (shape.row(dimensions, seed), other.row(dimensions, !seed));
        let mut codes = vec![0xFF; dimensions];
        let factors = encode(&r, bits, &mut codes);
        prop_assert!(codes.iter().all(|&code| u32::from(code) < 1 << bits));
        prop_assert!([factors.norm, factors.rescale, factors.error].iter().all(|x| x.is_finite() && *x >= 0.0), "{factors:?}");
        let (exact, estimate) = (shapes::dot(&wide(&r), &wide(&q)), Query::new(&q).estimate(&codes, bits, &factors));
        let deviation = f64::from(factors.error) * shapes::length(&wide(&q));
        prop_assert!((f64::from(estimate.bound) - f64::from(BOUND) * deviation).abs() <= 1e-6 * deviation, "the bound is so many deviations");
        let most = ((dimensions - 1) as f64).sqrt() * deviation;
        let coded: Vec<f64> = codes.iter().map(|&code| f64::from(factors.rescale) * f64::from(f32::from(code) - middle(bits))).collect();
        let slack = 1e-6 * (most + shapes::length(&coded) * shapes::length(&wide(&q)));
        prop_assert!((f64::from(estimate.product) - exact).abs() <= most + slack, "{estimate:?}, not {exact}; at most {most} off");
    }

    /// The estimate is exact along the vector, whatever its length, and of nothing.
    #[test]
    fn a_query_along_the_vector_is_estimated_exactly(
        shape in shapes::shape(), dimensions in 1usize..150, bits in prop::sample::select(&[1u32, 2, 4][..]), times in -8f32..8.0, seed: u64,
    ) {
        let r = shape.row(dimensions, seed);
        let mut codes = vec![0; dimensions];
        let factors = encode(&r, bits, &mut codes);
        let q: Vec<f32> = r.iter().map(|x| times * x).collect();
        let (exact, estimate) = (shapes::dot(&wide(&r), &wide(&q)), Query::new(&q).estimate(&codes, bits, &factors));
        prop_assert!((f64::from(estimate.product) - exact).abs() <= 1e-5 * exact.abs(), "{estimate:?}, not {exact}");
        let nothing = Query::new(&vec![0.0; dimensions]).estimate(&codes, bits, &factors);
        prop_assert_eq!((nothing.product, nothing.bound), (0.0, 0.0));
    }

    /// A direction is coded: lengths are in the factors, equal vectors have equal codes, and opposite ones complements.
    #[test]
    fn codes_are_of_a_direction(
        shape in shapes::shape(), dimensions in 1usize..150, bits in prop::sample::select(&[1u32, 2, 4][..]), power in -9i32..4, seed: u64,
    ) {
        let r = shape.row(dimensions, seed);
        let of = |r: &[f32]| {
            let mut codes = vec![0; r.len()];
            let factors = encode(r, bits, &mut codes);
            (codes, factors)
        };
        let (codes, factors) = of(&r);
        let scale = 2f32.powi(power);
        let (longer, of_longer) = of(&r.iter().map(|x| x * scale).collect::<Vec<f32>>());
        prop_assert_eq!(&longer, &codes);
        let wanted = Factors { norm: factors.norm * scale * scale, rescale: factors.rescale * scale, error: factors.error * scale };
        prop_assert_eq!(of_longer, wanted);
        let (opposite, of_opposite) = of(&r.iter().map(|x| -x).collect::<Vec<f32>>());
        prop_assert_eq!(of_opposite, factors);
        for ((&x, &code), &opposite) in r.iter().zip(&codes).zip(&opposite) {
            prop_assert!(x == 0.0 || u32::from(code) + u32::from(opposite) == (1 << bits) - 1, "{} and {}", code, opposite);
        }
    }
}
