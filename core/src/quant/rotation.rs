//! A seeded rotation in `O(d log d)`: what makes the coordinates of any vector alike, so that a bit each says as much as can be said.
//!
//! Random signs and fast Hadamard transforms, and for lengths that are no power of two a Kac step between them: the "FHT-Kac" rotation
//! of the RaBitQ library (Gao & Long 2024, arXiv 2405.12497; Ailon & Chazelle 2009 for the transform). It is defined to the bit, so it
//! may decide bytes of files: sums and differences of two f32, products with one constant, in the order written here.
//!
//! The vector is padded with zeros to a multiple of 64, `padded`; `window` is the largest power of two that is not larger. Four rounds:
//! 1. Signs: where bit `i % 64` of word `i / 64` of the round is 1, coordinate `i` is negated. The words of all rounds are drawn one
//!    after the other from SplitMix64 of the seed.
//! 2. A transform of the first `window` coordinates in rounds 0 and 2, of the last `window` in rounds 1 and 3: for `h` = 1, 2, 4 and so
//!    on below `window`, `a` and `b` that lie `h` apart (`i` and `i + h` where `i / h` is even) become `a + b` and `a - b`. Then each is
//!    multiplied by the f32 nearest to `window^(-1/2)`.
//! 3. Where `window < padded`: coordinates `i` and `i + padded / 2` become their sum and their difference, each multiplied by the f32
//!    nearest to `2^(-1/2)`.

use crate::distance::Kernels;
use crate::seed::SplitMix;
use alloc::vec::Vec;

/// Rounds of signs and transforms.
const ROUNDS: usize = 4;

/// Lengths are padded to a multiple of this.
const PADDING: usize = 64;

/// A rotation of vectors of some length.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotation {
    padded: usize,
    /// 1 or -1, `padded` a round.
    signs: Vec<f32>,
}

impl Rotation {
    /// The rotation of `seed` for vectors of `dimensions` elements.
    #[must_use]
    pub fn new(dimensions: usize, seed: u64) -> Self {
        let padded = dimensions.max(1).next_multiple_of(PADDING);
        let mut random = SplitMix::new(seed);
        let words = (0..ROUNDS * padded / PADDING).map(|_| random.next_u64());
        let signs = words.flat_map(|word| (0..PADDING).map(move |bit| if word >> bit & 1 == 1 { -1.0 } else { 1.0 }));
        Self { padded, signs: signs.collect() }
    }

    /// Elements of a rotated vector.
    #[must_use]
    pub fn padded(&self) -> usize {
        self.padded
    }

    /// Rotates `vector`, padding it with zeros. Lengths and angles stay, up to rounding. `O(d log d)`.
    ///
    /// # Panics
    /// If `vector` is longer than [`Rotation::padded`].
    pub fn rotate(&self, vector: &mut Vec<f32>) {
        assert!(vector.len() <= self.padded);
        vector.resize(self.padded, 0.0);
        Kernels::best().rotate(&self.signs, vector);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Digest;
    use alloc::format;
    use alloc::vec;
    use proptest::prelude::*;

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    }

    #[test]
    fn unit_vectors_become_an_orthonormal_basis() {
        for dimensions in [1, 64, 65, 128, 192, 384, 500, 784] {
            let rotation = Rotation::new(dimensions, 9);
            let padded = rotation.padded();
            let rows: Vec<Vec<f32>> = (0..dimensions)
                .map(|i| {
                    let mut unit = vec![0.0; dimensions];
                    unit[i] = 1.0;
                    rotation.rotate(&mut unit);
                    unit
                })
                .collect();
            for (i, a) in rows.iter().enumerate().step_by(7) {
                assert_eq!(a.len(), padded);
                for (j, b) in rows.iter().enumerate() {
                    let wanted = f64::from(u8::from(i == j));
                    assert!((dot(a, b) - wanted).abs() < 2e-6, "{dimensions}: {i} and {j} give {}", dot(a, b));
                }
            }
        }
    }

    #[test]
    fn one_coordinate_is_spread_over_all() {
        for dimensions in [64, 384, 768, 1000] {
            let mut unit = vec![0.0; dimensions];
            unit[3] = 1.0;
            let rotation = Rotation::new(dimensions, 1);
            rotation.rotate(&mut unit);
            let largest = unit.iter().fold(0.0f32, |most, x| most.max(x.abs()));
            assert!(largest < 6.0 / (rotation.padded() as f32).sqrt(), "{dimensions}: {largest}");
        }
    }

    /// The lines of FORMAT.md: a vector of 1, 2, 3 and so on, its first coordinate rotated and the hash of all.
    #[test]
    fn rotated_vectors_are_those_documented() {
        let document = include_str!("../../FORMAT.md");
        for (dimensions, seed) in [(5, 0), (64, 1), (100, 42), (384, 7), (768, u64::MAX), (1024, 3)] {
            let mut vector: Vec<f32> = (1..=dimensions).map(|x| x as f32).collect();
            Rotation::new(dimensions, seed).rotate(&mut vector);
            let mut digest = Digest::new();
            vector.iter().for_each(|value| digest.update(&value.to_le_bytes()));
            let line = format!("| {dimensions} | {seed} | `{:08x}` | `{:016x}` |", vector[0].to_bits(), digest.finish());
            assert!(document.contains(&line), "FORMAT.md does not say: {line}");
        }
    }

    proptest! {
        #[test]
        fn lengths_and_products_stay(pairs in prop::collection::vec((-10f32..10.0, -10f32..10.0), 1..700), seed: u64) {
            let (mut a, mut b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let (before, size) = ([dot(&a, &a), dot(&a, &b)], dot(&a, &a) + dot(&b, &b));
            let rotation = Rotation::new(a.len(), seed);
            rotation.rotate(&mut a);
            rotation.rotate(&mut b);
            for (before, after) in before.into_iter().zip([dot(&a, &a), dot(&a, &b)]) {
                prop_assert!((before - after).abs() <= 4e-6 * size, "{before} became {after}");
            }
        }
    }
}
