//! The steps of a seeded rotation: signs, fast Hadamard transforms, and a Kac step where the length is no power of two.
//! What they are, to the bit, is told where they are put together: `quant::rotation`.
#![forbid(unsafe_code)]

use crate::simd::{LANES, Simd};

/// Rotates `vector`, whose length is a multiple of 64, by as many rounds as `signs`, each 1 or -1, are as long as it. Sums, differences
/// and products of pairs, so the same bits whatever the width of a register.
#[inline(always)]
pub(super) fn rotate<S: Simd>(simd: S, signs: &[f32], vector: &mut [f32]) {
    let padded = vector.len();
    let window = 1 << padded.ilog2();
    for (round, signs) in signs.chunks_exact(padded).enumerate() {
        let (vector, signs) = (vector.as_chunks_mut::<LANES>().0, signs.as_chunks::<LANES>().0);
        for (lanes, signs) in vector.iter_mut().zip(signs) {
            let turned = simd.mul_f32(simd.load_f32(lanes), simd.load_f32(signs));
            simd.store_f32(turned, lanes);
        }
        let start = if round % 2 == 0 { 0 } else { padded - window };
        hadamard(simd, &mut vector[start / LANES..(start + window) / LANES], inverse_root(window));
        if window < padded {
            let (low, high) = vector.split_at_mut(padded / 2 / LANES);
            let scale = simd.load_f32(&[core::f32::consts::FRAC_1_SQRT_2; LANES]);
            for (a, b) in low.iter_mut().zip(high) {
                let (x, y) = (simd.load_f32(a), simd.load_f32(b));
                simd.store_f32(simd.mul_f32(simd.add_f32(x, y), scale), a);
                simd.store_f32(simd.mul_f32(simd.sub_f32(x, y), scale), b);
            }
        }
    }
}

/// The fast Walsh-Hadamard transform, then `scale`; the length is a power of two.
#[inline(always)]
fn hadamard<S: Simd>(simd: S, values: &mut [[f32; LANES]], scale: f32) {
    let scale = simd.load_f32(&[scale; LANES]);
    for lanes in &mut *values {
        simd.store_f32(simd.butterflies_f32(simd.load_f32(lanes)), lanes);
    }
    let mut half = 1;
    while half < values.len() {
        for pair in values.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                let (x, y) = (simd.load_f32(a), simd.load_f32(b));
                simd.store_f32(simd.add_f32(x, y), a);
                simd.store_f32(simd.sub_f32(x, y), b);
            }
        }
        half *= 2;
    }
    for lanes in values {
        simd.store_f32(simd.mul_f32(simd.load_f32(lanes), scale), lanes);
    }
}

/// The f32 nearest to the inverse root of a power of two: a power of two itself, or one times that of a half.
pub(super) fn inverse_root(power: usize) -> f32 {
    let exponent = power.ilog2();
    let whole = f32::from_bits((127 - exponent / 2) << 23);
    if exponent.is_multiple_of(2) { whole } else { whole * core::f32::consts::FRAC_1_SQRT_2 }
}
