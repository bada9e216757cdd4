//! Seeded numbers, the same on every machine and in every version.
//!
//! SplitMix64 (Steele, Lea & Flood 2014): a counter and a bijective mixer on `u64`. No `rand`:
//! its sampling over `usize` differs between 32- and 64-bit targets, and its streams change
//! between versions, while what is drawn here decides bytes in files.

/// Mixes 64 bits so that each input bit changes about half of the output bits.
#[inline]
pub fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A hash of `id` for one purpose (`stream`) of one seed.
#[inline]
pub fn hash(seed: u64, stream: u64, id: u64) -> u64 {
    mix(mix(seed ^ mix(stream)) ^ id)
}

/// A sequence of numbers from one seed.
#[derive(Clone, Debug)]
pub struct SplitMix(u64);

impl SplitMix {
    /// Starts the sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let value = mix(self.0);
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        value
    }

    /// A number below `bound` (0 when `bound` is 0), by multiplication (Lemire 2019); the bias is
    /// below `bound` / 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}

/// `count` different numbers below `total`, ascending (all of them when `count >= total`).
pub fn sample(seed: u64, total: u64, count: usize) -> alloc::vec::Vec<u64> {
    if count as u64 >= total {
        return (0..total).collect();
    }
    // Floyd's algorithm: exactly `count` draws, no rejection.
    let mut random = SplitMix::new(seed);
    let mut chosen = crate::slots::Slots::default();
    for last in total - count as u64..total {
        let draw = random.below(last + 1);
        if chosen.insert(draw, 0).is_some() {
            chosen.insert(last, 0);
        }
    }
    chosen.ids().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_fixed_for_ever() {
        // Reference values of SplitMix64 with seed 1234567 (the generator's published outputs).
        let mut random = SplitMix::new(1_234_567);
        assert_eq!(random.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(random.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn a_sample_has_no_repeats_and_stays_below_the_total() {
        for count in [0, 1, 5, 99, 100, 200] {
            let chosen = sample(7, 100, count);
            assert_eq!(chosen.len(), count.min(100));
            assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(chosen.iter().all(|&n| n < 100));
        }
    }
}
