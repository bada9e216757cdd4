//! Kernels on bytes as short as they can be: for the browser's download, where no search needs the long ones.
#![forbid(unsafe_code)]

pub(super) fn dot_i8(a: &[u8], b: &[u8]) -> i32 {
    sum(a, b, |a, b| i32::from(a.cast_signed()) * i32::from(b.cast_signed()))
}

pub(super) fn l2_i8(a: &[u8], b: &[u8]) -> u32 {
    sum(a, b, |a, b| (i32::from(a.cast_signed()) - i32::from(b.cast_signed())).pow(2)).cast_unsigned()
}

pub(super) fn dot_u8(a: &[u8], b: &[u8]) -> i32 {
    sum(a, b, |a, b| i32::from(a) * i32::from(b))
}

pub(super) fn l2_u8(a: &[u8], b: &[u8]) -> u32 {
    sum(a, b, |a, b| i32::from(a.abs_diff(b)).pow(2)).cast_unsigned()
}

pub(super) fn hamming(a: &[u8], b: &[u8]) -> u32 {
    sum(a, b, |a, b| (a ^ b).count_ones().cast_signed()).cast_unsigned()
}

pub(super) fn dots_i16_u4(query: &[i16], base: &[u8], offsets: &[usize], out: &mut [i32]) {
    for (&offset, out) in offsets.iter().zip(out) {
        let row = &base[offset..];
        let term = |(j, &q): (usize, &i16)| i32::from(q) * i32::from(row[j / 32 * 16 + j % 16] >> (j % 32 / 16 * 4) & 15);
        *out = query.iter().enumerate().map(term).fold(0, i32::wrapping_add);
    }
}

/// The same pairs in the same order, one at a time.
#[cfg(feature = "tiles")]
pub(super) fn rotate(signs: &[f32], vector: &mut [f32]) {
    let padded = vector.len();
    let window = 1 << padded.ilog2();
    for (round, signs) in signs.chunks_exact(padded).enumerate() {
        vector.iter_mut().zip(signs).for_each(|(value, sign)| *value *= sign);
        let start = if round % 2 == 0 { 0 } else { padded - window };
        let mut half = 1;
        while half < window {
            let scale = if half == window / 2 { super::rotate::inverse_root(window) } else { 1.0 };
            vector[start..start + window].chunks_exact_mut(2 * half).for_each(|values| turn(values, scale));
            half *= 2;
        }
        if window < padded {
            turn(vector, core::f32::consts::FRAC_1_SQRT_2);
        }
    }
}

/// Sums and differences of the two halves, scaled.
#[cfg(feature = "tiles")]
fn turn(values: &mut [f32], scale: f32) {
    let (low, high) = values.split_at_mut(values.len() / 2);
    for (a, b) in low.iter_mut().zip(high) {
        (*a, *b) = ((*a + *b) * scale, (*a - *b) * scale);
    }
}

/// Sums are modulo 2^32, as those of every backend.
#[inline(always)]
fn sum(a: &[u8], b: &[u8], term: impl Fn(u8, u8) -> i32) -> i32 {
    a.iter().zip(b).fold(0, |sum, (&a, &b)| sum.wrapping_add(term(a, b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::Kernels;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn they_agree_with_every_backend(pairs in prop::collection::vec(any::<(u8, u8)>(), 0..300)) {
            let (a, b): (Vec<u8>, Vec<u8>) = pairs.into_iter().unzip();
            let (signed_a, signed_b): (&[i8], &[i8]) = (bytemuck::cast_slice(&a), bytemuck::cast_slice(&b));
            for kernels in Kernels::available() {
                prop_assert_eq!(dot_i8(&a, &b), kernels.dot_i8(signed_a, signed_b));
                prop_assert_eq!(l2_i8(&a, &b), kernels.l2_i8(signed_a, signed_b));
                prop_assert_eq!(dot_u8(&a, &b).cast_unsigned(), kernels.dot_u8(&a, &b));
                prop_assert_eq!(l2_u8(&a, &b), kernels.l2_u8(&a, &b));
                prop_assert_eq!(hamming(&a, &b), kernels.hamming(&a, &b));
                let query: Vec<i16> = a.iter().zip(&b).map(|(&a, &b)| i16::from_le_bytes([a, b])).collect();
                let (rows, mut found, mut wanted) = ([a.clone(), vec![0xB7; 32]].concat(), [0; 2], [0; 2]);
                dots_i16_u4(&query, &rows, &[0, 3], &mut found);
                kernels.dots_i16_u4(&query, &rows, &[0, 3], &mut wanted);
                prop_assert_eq!(found, wanted);
            }
        }
    }

    #[test]
    fn they_rotate_as_every_backend_does() {
        let mut random = crate::seed::SplitMix::new(5);
        for padded in [64, 128, 192, 320, 384, 448, 768, 1024, 1088] {
            let signs: Vec<f32> = (0..3 * padded).map(|_| if random.below(2) == 0 { 1.0 } else { -1.0 }).collect();
            let vector: Vec<f32> = (0..padded).map(|_| random.below(1 << 20) as f32 / 977.0 - 500.0).collect();
            let mut found = vector.clone();
            rotate(&signs, &mut found);
            for kernels in Kernels::available() {
                let mut wanted = vector.clone();
                kernels.rotate(&signs, &mut wanted);
                let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&found), bits(&wanted), "{} at {padded}", kernels.name());
            }
        }
    }
}
