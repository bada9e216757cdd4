//! XXH3 for the browser's download: every length and every way to hash through one small state.
//!
//! Natively a crate does this, with vector code and a path for each length that inlines into every caller. That is fast, and 13 KB of
//! WebAssembly; this is a fifth of it. The results are the same (the tests compare them), as the specification demands:
//! <https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>, whose names the constants bear.

const PRIME32_1: u64 = 0x9E37_79B1;
const PRIME32_2: u64 = 0x85EB_CA77;
const PRIME32_3: u64 = 0xC2B2_AE3D;
const PRIME64_1: u64 = 0x9E37_79B1_85EB_CA87;
const PRIME64_2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const PRIME64_3: u64 = 0x1656_67B1_9E37_79F9;
const PRIME64_4: u64 = 0x85EB_CA77_C2B2_AE63;
const PRIME64_5: u64 = 0x27D4_EB2F_1656_67C5;
const PRIME_MX1: u64 = 0x1656_6791_9E37_79F9;
const PRIME_MX2: u64 = 0x9FB2_1C65_1E98_DF25;

/// Bytes that the lanes take at a time.
const STRIPE: usize = 64;
/// Bytes after which the lanes are scrambled.
const BLOCK: usize = 1024;
/// Longer input goes through the lanes.
const SHORT_MAX: usize = 240;

type Secret = [u8; 192];
type Lanes = [u64; 8];

#[rustfmt::skip]
const SECRET: Secret = [
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c, 0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb,
    0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f, 0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c, 0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb,
    0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3, 0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d, 0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31,
    0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64, 0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e, 0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc,
    0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce, 0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
];

/// XXH3-64 of `bytes`.
pub(super) fn xxh3_64_with_seed(bytes: &[u8], seed: u64) -> u64 {
    let mut state = Xxh3::with_seed(seed);
    state.update(bytes);
    state.digest()
}

/// XXH3-128 of `bytes`, of which there must be more than 240: a header's directory always has more.
pub(super) fn xxh3_128_with_seed(bytes: &[u8], seed: u64) -> u128 {
    debug_assert!(bytes.len() > SHORT_MAX);
    let mut state = Xxh3::with_seed(seed);
    state.update(bytes);
    let lanes = state.all_lanes();
    let low = state.merge(&lanes, 11, state.total.wrapping_mul(PRIME64_1));
    let high = state.merge(&lanes, 117, !state.total.wrapping_mul(PRIME64_2));
    u128::from(low) | u128::from(high) << 64
}

/// The state of a hash whose bytes come piece by piece.
#[derive(Clone)]
pub(super) struct Xxh3 {
    seed: u64,
    secret: Secret,
    lanes: Lanes,
    /// The last stripe before the current block, then what has come of the block.
    buffer: [u8; STRIPE + BLOCK],
    /// Bytes that have come of the block.
    filled: usize,
    total: u64,
}

impl Xxh3 {
    /// Of no bytes yet, seed 0.
    pub(super) const fn new() -> Self {
        let lanes = [PRIME32_3, PRIME64_1, PRIME64_2, PRIME64_3, PRIME64_4, PRIME32_2, PRIME64_5, PRIME32_1];
        Self { seed: 0, secret: SECRET, lanes, buffer: [0; STRIPE + BLOCK], filled: 0, total: 0 }
    }

    fn with_seed(seed: u64) -> Self {
        let mut state = Self { seed, ..Self::new() };
        for pair in state.secret.as_chunks_mut::<16>().0 {
            let (low, high) = words(pair);
            *pair = join(low.wrapping_add(seed), high.wrapping_sub(seed));
        }
        state
    }

    /// Appends bytes.
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        self.total += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.filled == BLOCK {
                self.end_block();
            }
            let room = self.buffer.get_mut(STRIPE + self.filled..).unwrap_or_default();
            let (part, rest) = bytes.split_at(bytes.len().min(room.len()));
            room.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            self.filled += part.len();
            bytes = rest;
        }
    }

    /// The hash of all bytes so far.
    pub(super) fn digest(&self) -> u64 {
        if self.total <= SHORT_MAX as u64 {
            return short(self.buffer.get(STRIPE..STRIPE + self.filled).unwrap_or_default(), self.seed);
        }
        self.merge(&self.all_lanes(), 11, self.total.wrapping_mul(PRIME64_1))
    }

    /// Takes a whole block in, once it is known that more follows.
    fn end_block(&mut self) {
        accumulate_all(&mut self.lanes, self.buffer.get(STRIPE..).unwrap_or_default(), &self.secret);
        let keys = self.secret.last_chunk::<STRIPE>().map_or(&[][..], |keys| keys.as_chunks::<8>().0);
        for (lane, key) in self.lanes.iter_mut().zip(keys) {
            *lane = (*lane ^ (*lane >> 47) ^ u64::from_le_bytes(*key)).wrapping_mul(PRIME32_1);
        }
        self.buffer.copy_within(BLOCK.., 0);
        self.filled = 0;
    }

    /// The lanes after what is left of the last block, and after the last stripe.
    fn all_lanes(&self) -> Lanes {
        let mut lanes = self.lanes;
        let whole = self.filled.saturating_sub(1) / STRIPE * STRIPE;
        accumulate_all(&mut lanes, self.buffer.get(STRIPE..STRIPE + whole).unwrap_or_default(), &self.secret);
        let last = self.buffer.get(self.filled..self.filled + STRIPE).unwrap_or_default();
        accumulate(&mut lanes, last, self.secret.get(121..).unwrap_or_default());
        lanes
    }

    fn merge(&self, lanes: &Lanes, secret_at: usize, start: u64) -> u64 {
        let keys = self.secret.get(secret_at..).unwrap_or_default().as_chunks::<16>().0;
        let pairs = lanes.as_chunks::<2>().0.iter().zip(keys);
        avalanche(pairs.fold(start, |sum, (lanes, key)| {
            let (low, high) = words(key);
            sum.wrapping_add(fold(lanes[0] ^ low, lanes[1] ^ high))
        }))
    }
}

/// Takes whole stripes in, each with its part of the secret.
fn accumulate_all(lanes: &mut Lanes, stripes: &[u8], secret: &Secret) {
    for (stripe, number) in stripes.as_chunks::<STRIPE>().0.iter().zip(0..) {
        accumulate(lanes, stripe, secret.get(8 * number..).unwrap_or_default());
    }
}

fn accumulate(lanes: &mut Lanes, stripe: &[u8], secret: &[u8]) {
    let pairs = lanes.as_chunks_mut::<2>().0.iter_mut().zip(stripe.as_chunks().0).zip(secret.as_chunks().0);
    for (([low, high], bytes), key) in pairs {
        let ((a, b), (key_a, key_b)) = (words(bytes), words(key));
        *low = low.wrapping_add(b).wrapping_add(halves(a ^ key_a));
        *high = high.wrapping_add(a).wrapping_add(halves(b ^ key_b));
    }
}

/// XXH3-64 of at most 240 bytes.
fn short(bytes: &[u8], seed: u64) -> u64 {
    let secret = |at| word(&SECRET, at);
    let (length, total) = (bytes.len(), bytes.len() as u64);
    let mix = |at: usize, secret_at: usize| {
        let (low, high) = (word(bytes, at), word(bytes, at + 8));
        fold(low ^ secret(secret_at).wrapping_add(seed), high ^ secret(secret_at + 8).wrapping_sub(seed))
    };
    match length {
        0 => end_64(seed ^ secret(56) ^ secret(64)),
        1..=3 => {
            let byte = |at: usize| u64::from(bytes.get(at).copied().unwrap_or(0));
            let all = byte(0) << 16 | byte(length / 2) << 24 | byte(length - 1) | total << 8;
            end_64(all ^ (low_half(secret(0)) ^ secret(0) >> 32).wrapping_add(seed))
        }
        4..=8 => {
            let seed = seed ^ (low_half(seed).swap_bytes() & !0xFFFF_FFFF);
            let (first, last) = (low_half(word(bytes, 0)), low_half(word(bytes, length - 4)));
            let keyed = last.wrapping_add(first << 32) ^ (secret(8) ^ secret(16)).wrapping_sub(seed);
            let mixed = (keyed ^ keyed.rotate_left(49) ^ keyed.rotate_left(24)).wrapping_mul(PRIME_MX2);
            let mixed = (mixed ^ (mixed >> 35).wrapping_add(total)).wrapping_mul(PRIME_MX2);
            mixed ^ mixed >> 28
        }
        9..=16 => {
            let low = word(bytes, 0) ^ (secret(24) ^ secret(32)).wrapping_add(seed);
            let high = word(bytes, length - 8) ^ (secret(40) ^ secret(48)).wrapping_sub(seed);
            avalanche(total.wrapping_add(low.swap_bytes()).wrapping_add(high).wrapping_add(fold(low, high)))
        }
        17..=128 => {
            // Pairs from both ends towards the middle.
            let pairs = (0..(length - 1) / 32 + 1).map(|i| mix(16 * i, 32 * i).wrapping_add(mix(length - 16 * (i + 1), 32 * i + 16)));
            avalanche(pairs.fold(total.wrapping_mul(PRIME64_1), u64::wrapping_add))
        }
        _ => {
            let first = (0..8).map(|i| mix(16 * i, 16 * i)).fold(total.wrapping_mul(PRIME64_1), u64::wrapping_add);
            let rest = (8..length / 16).map(|i| mix(16 * i, 16 * (i - 8) + 3));
            avalanche(rest.fold(avalanche(first), u64::wrapping_add).wrapping_add(mix(length - 16, 136 - 17)))
        }
    }
}

/// The little-endian word at a place; bytes beyond the end are zeros.
fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.iter_mut().zip(bytes.get(at..).unwrap_or_default()).for_each(|(to, from)| *to = *from);
    u64::from_le_bytes(word)
}

#[inline(always)]
fn words(pair: &[u8; 16]) -> (u64, u64) {
    let [low, high] = [pair.first_chunk(), pair.last_chunk()].map(|word| u64::from_le_bytes(*word.unwrap_or(&[0; 8])));
    (low, high)
}

fn join(low: u64, high: u64) -> [u8; 16] {
    (u128::from(low) | u128::from(high) << 64).to_le_bytes()
}

fn low_half(word: u64) -> u64 {
    word & 0xFFFF_FFFF
}

/// The product of the halves.
#[inline(always)]
fn halves(word: u64) -> u64 {
    low_half(word).wrapping_mul(word >> 32)
}

/// The product, its upper half folded onto the lower.
#[expect(clippy::cast_possible_truncation, reason = "halves of a product")]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

fn avalanche(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 37).wrapping_mul(PRIME_MX1);
    hash ^ hash >> 32
}

/// The end of XXH64, for the shortest input.
fn end_64(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 33).wrapping_mul(PRIME64_2);
    let hash = (hash ^ hash >> 29).wrapping_mul(PRIME64_3);
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use xxhash_rust::xxh3;

    #[test]
    fn it_agrees_with_the_reference_at_every_length_however_bytes_are_split() {
        let bytes: Vec<u8> = (0..20_000u32).map(|i| (i * 7 % 251) as u8).collect();
        let lengths = (0..1400).chain([2047, 2048, 2049, 2112, 4088, 12_288, 20_000]);
        for length in lengths {
            let bytes = &bytes[..length];
            for seed in [0, 1, 0x0123_4567_89AB_CDEF, u64::MAX] {
                assert_eq!(xxh3_64_with_seed(bytes, seed), xxh3::xxh3_64_with_seed(bytes, seed), "{length} bytes, seed {seed}");
                if length > SHORT_MAX {
                    assert_eq!(xxh3_128_with_seed(bytes, seed), xxh3::xxh3_128_with_seed(bytes, seed), "{length} bytes, seed {seed}");
                }
            }
            for piece in [1, 63, 64, 200, 1024, 1500] {
                let mut state = Xxh3::new();
                bytes.chunks(piece).for_each(|part| state.update(part));
                assert_eq!(state.digest(), xxh3::xxh3_64(bytes), "{length} bytes in pieces of {piece}");
            }
        }
    }
}
