//! The reference: plain arrays, any machine. Every other backend must agree with it bit for bit.

use super::{BYTES, COLUMNS, LANES, Simd, WORDS};

/// No instructions beyond the target's baseline.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

impl Simd for Scalar {
    type Floats = [f32; LANES];
    type Words = [i16; WORDS];
    type Sums = [i32; WORDS / 2];
    type Counts = u32;
    type Finds = [u16; COLUMNS];

    #[inline(always)]
    fn zero_f32(self) -> [f32; LANES] {
        [0.0; LANES]
    }

    #[inline(always)]
    fn load_f32(self, from: &[f32; LANES]) -> [f32; LANES] {
        *from
    }

    #[inline(always)]
    fn store_f32(self, v: [f32; LANES], to: &mut [f32; LANES]) {
        *to = v;
    }

    #[inline(always)]
    fn add_f32(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        core::array::from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub_f32(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        core::array::from_fn(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn mul_f32(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        core::array::from_fn(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn sum_f32(self, v: [f32; LANES]) -> f32 {
        let v: [f32; 16] = core::array::from_fn(|i| v[i] + v[i + 16]);
        let v: [f32; 8] = core::array::from_fn(|i| v[i] + v[i + 8]);
        let v: [f32; 4] = core::array::from_fn(|i| v[i] + v[i + 4]);
        (v[0] + v[2]) + (v[1] + v[3])
    }

    #[inline(always)]
    fn load_i16(self, from: &[i16; WORDS]) -> [i16; WORDS] {
        *from
    }

    #[inline(always)]
    fn widen_i8(self, from: &[u8; WORDS]) -> [i16; WORDS] {
        core::array::from_fn(|i| i16::from(from[i].cast_signed()))
    }

    #[inline(always)]
    fn widen_u8(self, from: &[u8; WORDS]) -> [i16; WORDS] {
        core::array::from_fn(|i| i16::from(from[i]))
    }

    #[inline(always)]
    fn widen_u4(self, from: &[u8; WORDS / 2]) -> [i16; WORDS] {
        core::array::from_fn(|i| i16::from(if i < WORDS / 2 { from[i] & 15 } else { from[i - WORDS / 2] >> 4 }))
    }

    #[inline(always)]
    fn sub_i16(self, a: [i16; WORDS], b: [i16; WORDS]) -> [i16; WORDS] {
        core::array::from_fn(|i| a[i].wrapping_sub(b[i]))
    }

    #[inline(always)]
    fn zero_sums(self) -> [i32; WORDS / 2] {
        [0; WORDS / 2]
    }

    #[inline(always)]
    fn multiply_add(self, sums: Self::Sums, a: Self::Words, b: Self::Words) -> Self::Sums {
        core::array::from_fn(|i| {
            let even = i32::from(a[2 * i]) * i32::from(b[2 * i]);
            let odd = i32::from(a[2 * i + 1]) * i32::from(b[2 * i + 1]);
            sums[i].wrapping_add(even.wrapping_add(odd))
        })
    }

    #[inline(always)]
    fn sum_i32(self, sums: Self::Sums) -> i32 {
        sums.iter().fold(0, |sum: i32, &part| sum.wrapping_add(part))
    }

    #[inline(always)]
    fn zero_counts(self) -> u32 {
        0
    }

    #[inline(always)]
    fn count_differences(self, counts: u32, a: &[u8; BYTES], b: &[u8; BYTES]) -> u32 {
        let ((a, _), (b, _)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
        a.iter().zip(b).fold(counts, |counts, (a, b)| counts.wrapping_add((u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b)).count_ones()))
    }

    #[inline(always)]
    fn dot_planes(self, counts: u32, row: &[u8; BYTES], planes: [&[u8; BYTES]; 4]) -> u32 {
        planes.iter().enumerate().fold(counts, |counts, (bit, plane)| {
            let ((row, _), (plane, _)) = (row.as_chunks::<8>(), plane.as_chunks::<8>());
            let common = row.iter().zip(plane).map(|(a, b)| (u64::from_le_bytes(*a) & u64::from_le_bytes(*b)).count_ones());
            counts.wrapping_add(common.sum::<u32>() << bit)
        })
    }

    #[inline(always)]
    fn sum_counts(self, counts: u32) -> u32 {
        counts
    }

    #[inline(always)]
    fn zero_finds(self) -> [u16; COLUMNS] {
        [0; COLUMNS]
    }

    #[inline(always)]
    fn find(self, mut finds: [u16; COLUMNS], tables: &[u8; BYTES], codes: &[u8; BYTES]) -> [u16; COLUMNS] {
        for (table, codes) in tables.as_chunks::<16>().0.iter().zip(codes.as_chunks::<16>().0) {
            for (column, &code) in codes.iter().enumerate() {
                let (low, high) = (table[usize::from(code & 15)], table[usize::from(code >> 4)]);
                finds[column] = finds[column].wrapping_add(low.into());
                finds[column + 16] = finds[column + 16].wrapping_add(high.into());
            }
        }
        finds
    }

    #[inline(always)]
    fn sum_finds(self, finds: [u16; COLUMNS]) -> [u16; COLUMNS] {
        finds
    }

    #[inline(always)]
    fn widen_f16(self, half: &[u16; 8], out: &mut [f32; 8]) {
        for (half, out) in half.iter().zip(out) {
            *out = widen_half(*half);
        }
    }
}

/// One IEEE half as f32, by its bits; subnormal halves are small integers times 2^-24.
#[inline(always)]
pub(crate) fn widen_half(half: u16) -> f32 {
    let half = u32::from(half);
    let (sign, magnitude) = ((half & 0x8000) << 16, half & 0x7fff);
    let bits = match magnitude {
        0..0x0400 => (magnitude as f32 * (1.0 / 16_777_216.0)).to_bits(),
        0x0400..0x7c00 => (magnitude << 13) + ((127 - 15) << 23),
        0x7c00 => 0x7f80_0000,
        _ => 0x7fc0_0000 | (magnitude << 13),
    };
    f32::from_bits(sign | bits)
}

#[cfg(test)]
mod tests {
    use super::widen_half;

    #[test]
    fn halves_widen_to_the_values_of_the_standard() {
        let known: [(u16, f32); 8] = [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
        ];
        for (half, value) in known {
            assert_eq!(widen_half(half).to_bits(), value.to_bits(), "half {half:#06x}");
        }
        assert_eq!(widen_half(0x8000).to_bits(), (-0.0f32).to_bits());
        assert_eq!(widen_half(0x7c00), f32::INFINITY);
        assert_eq!(widen_half(0xfc00), f32::NEG_INFINITY);
        assert_eq!(widen_half(0x7c01).to_bits(), 0x7fc0_2000, "a signalling NaN becomes quiet");
    }
}
