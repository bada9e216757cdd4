//! Bytes that look random and are the same on every machine.

/// `length` bytes; the seed tells one sequence from another.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Floats between -4 and 4.
pub fn floats(seed: u64, length: usize) -> Vec<f32> {
    noise(seed, length).iter().map(|&byte| (f32::from(byte) - 127.5) / 32.0).collect()
}

/// A query as the walk prepares it: 16-bit integers.
pub fn words(seed: u64, length: usize) -> Vec<i16> {
    noise(seed, 2 * length).chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]) >> 3).collect()
}
