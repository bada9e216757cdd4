//! Rows, ids and payloads by formula: the same in every language that has 64-bit integers.
//!
//! `SplitMix64` from a seed gives a stream. First come eight centres, then each row: one number chooses its centre, one more an
//! element is the noise around it. All sums are exact or rounded once, so the bits are the same everywhere.

use nearshore_core::format::Element;

/// Groups of rows in a set.
pub const CENTRES: usize = 8;

/// `SplitMix64` (Steele, Lea & Flood 2014), written out here: if the product's own generator changed, these rows would stay.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A whole number below `bound`, which is at most 2^32.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((self.bits() >> 32) * bound) >> 32
    }

    /// A multiple of 2^-23 in -1..1: exact in f32.
    pub fn float(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / 8_388_608.0 - 1.0
    }
}

/// `count` rows, one after the other, little-endian, of `dimensions` elements.
#[must_use]
pub fn rows(element: Element, dimensions: usize, count: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    match element {
        Element::F32 => scattered(&mut random, dimensions, count, Random::float, |centre, noise| centre + noise * 0.25)
            .into_iter()
            .flat_map(f32::to_le_bytes)
            .collect(),
        Element::F16 => {
            let draw = |random: &mut Random| random.below(1 << 10) as i16 - 512;
            let halves = scattered(&mut random, dimensions, count, draw, |centre, noise| centre + noise / 2);
            halves.into_iter().flat_map(|value| half(value).to_le_bytes()).collect()
        }
        Element::U8 => bytes(&mut random, dimensions, count).into_iter().map(|value| (value + 128) as u8).collect(),
        Element::I8 => bytes(&mut random, dimensions, count).into_iter().map(|value| value as u8).collect(),
    }
}

/// Values in -128..128.
fn bytes(random: &mut Random, dimensions: usize, count: usize) -> Vec<i16> {
    let draw = |random: &mut Random| random.below(256) as i16 - 128;
    scattered(random, dimensions, count, draw, |centre, noise| centre * 3 / 4 + noise / 4)
}

fn scattered<T: Copy>(
    random: &mut Random,
    dimensions: usize,
    count: usize,
    draw: impl Fn(&mut Random) -> T,
    near: impl Fn(T, T) -> T,
) -> Vec<T> {
    let centres: Vec<T> = (0..CENTRES * dimensions).map(|_| draw(random)).collect();
    let mut values = Vec::with_capacity(count * dimensions);
    for _ in 0..count {
        let centre = random.below(CENTRES as u64) as usize * dimensions;
        for column in 0..dimensions {
            let noise = draw(random);
            values.push(near(centres[centre + column], noise));
        }
    }
    values
}

/// `value / 512` as half precision; exact below 2048.
#[must_use]
pub fn half(value: i16) -> u16 {
    let magnitude = value.unsigned_abs();
    if magnitude == 0 {
        return 0;
    }
    let top = magnitude.ilog2() as u16;
    let fraction = if top <= 10 { magnitude << (10 - top) } else { magnitude >> (top - 10) };
    u16::from(value < 0) << 15 | (15 + top - 9) << 10 | (fraction & 0x3FF)
}

/// Ids that no f64 holds: above 2^53, descending, with gaps.
#[must_use]
pub fn large_ids(count: usize) -> Vec<u64> {
    (0..count as u64).map(|row| u64::MAX - 1 - row * 1_000_003).collect()
}

/// What travels with the row of `id`: its number in brackets, 0 to 3 times.
#[must_use]
pub fn payload(id: u64) -> String {
    format!("<{id}>").repeat((id % 4) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearshore_core::distance::Kernels;

    #[test]
    fn the_stream_is_the_published_one() {
        // First outputs for seed 1234567, as in the reference of the algorithm's authors.
        let mut random = Random::new(1_234_567);
        assert_eq!([random.bits(), random.bits()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn halves_are_the_fractions_they_stand_for() {
        let values: Vec<i16> = (-1023..=1023).collect();
        let halves: Vec<u16> = values.iter().map(|&value| half(value)).collect();
        let mut widened = vec![0.0; values.len()];
        Kernels::best().widen_f16(&halves, &mut widened);
        for (value, widened) in values.into_iter().zip(widened) {
            assert_eq!(widened, f32::from(value) / 512.0);
        }
    }
}
