//! NEON, which every AArch64 has: 128-bit registers.
//!
//! Bytes are multiplied without widening first (`smull`, `umull`) and their 16-bit products added
//! in pairs into 32 bits (`sadalp`, `uadalp`): products of bytes fit, so this is exact. The dot
//! product instructions (`sdot`, `udot`) are not used: not every AArch64 has them.

use core::arch::aarch64::*;

use super::{BYTES, COLUMNS, LANES, Simd, WORDS};

/// Proof of NEON: the target's baseline.
#[derive(Clone, Copy)]
pub(crate) struct Neon;

impl Simd for Neon {
    type Floats = [float32x4_t; 8];
    type Words = [int16x8_t; 4];
    type Sums = [int32x4_t; 4];
    type Counts = uint32x4_t;
    type Finds = [uint16x8_t; 4];

    #[inline(always)]
    fn zero_f32(self) -> [float32x4_t; 8] {
        // SAFETY: `self` proves NEON.
        unsafe { [vdupq_n_f32(0.0); 8] }
    }

    #[inline(always)]
    fn load_f32(self, from: &[f32; LANES]) -> [float32x4_t; 8] {
        let from = from.as_ptr();
        // SAFETY: `self` proves NEON; eight loads of 4 lanes stay inside the 32.
        unsafe {
            [
                vld1q_f32(from),
                vld1q_f32(from.add(4)),
                vld1q_f32(from.add(8)),
                vld1q_f32(from.add(12)),
                vld1q_f32(from.add(16)),
                vld1q_f32(from.add(20)),
                vld1q_f32(from.add(24)),
                vld1q_f32(from.add(28)),
            ]
        }
    }

    #[inline(always)]
    fn store_f32(self, v: [float32x4_t; 8], to: &mut [f32; LANES]) {
        for (v, to) in v.into_iter().zip(to.as_chunks_mut::<4>().0) {
            // SAFETY: `self` proves NEON; the store writes the 4 lanes of the array.
            unsafe { vst1q_f32(to.as_mut_ptr(), v) };
        }
    }

    #[inline(always)]
    fn add_f32(self, a: [float32x4_t; 8], b: [float32x4_t; 8]) -> [float32x4_t; 8] {
        // SAFETY: `self` proves NEON.
        unsafe {
            [
                vaddq_f32(a[0], b[0]),
                vaddq_f32(a[1], b[1]),
                vaddq_f32(a[2], b[2]),
                vaddq_f32(a[3], b[3]),
                vaddq_f32(a[4], b[4]),
                vaddq_f32(a[5], b[5]),
                vaddq_f32(a[6], b[6]),
                vaddq_f32(a[7], b[7]),
            ]
        }
    }

    #[inline(always)]
    fn sub_f32(self, a: [float32x4_t; 8], b: [float32x4_t; 8]) -> [float32x4_t; 8] {
        // SAFETY: `self` proves NEON.
        unsafe {
            [
                vsubq_f32(a[0], b[0]),
                vsubq_f32(a[1], b[1]),
                vsubq_f32(a[2], b[2]),
                vsubq_f32(a[3], b[3]),
                vsubq_f32(a[4], b[4]),
                vsubq_f32(a[5], b[5]),
                vsubq_f32(a[6], b[6]),
                vsubq_f32(a[7], b[7]),
            ]
        }
    }

    #[inline(always)]
    fn mul_f32(self, a: [float32x4_t; 8], b: [float32x4_t; 8]) -> [float32x4_t; 8] {
        // SAFETY: `self` proves NEON.
        unsafe {
            [
                vmulq_f32(a[0], b[0]),
                vmulq_f32(a[1], b[1]),
                vmulq_f32(a[2], b[2]),
                vmulq_f32(a[3], b[3]),
                vmulq_f32(a[4], b[4]),
                vmulq_f32(a[5], b[5]),
                vmulq_f32(a[6], b[6]),
                vmulq_f32(a[7], b[7]),
            ]
        }
    }

    #[inline(always)]
    fn sum_f32(self, v: [float32x4_t; 8]) -> f32 {
        // SAFETY: `self` proves NEON; register operations only.
        unsafe {
            let (a, b) = (vaddq_f32(v[0], v[4]), vaddq_f32(v[1], v[5]));
            let (c, d) = (vaddq_f32(v[2], v[6]), vaddq_f32(v[3], v[7]));
            let v = vaddq_f32(vaddq_f32(a, c), vaddq_f32(b, d));
            let v = vadd_f32(vget_low_f32(v), vget_high_f32(v));
            vget_lane_f32::<0>(v) + vget_lane_f32::<1>(v)
        }
    }

    #[inline(always)]
    fn load_i16(self, from: &[i16; WORDS]) -> [int16x8_t; 4] {
        let from = from.as_ptr();
        // SAFETY: `self` proves NEON; four loads of 8 words stay inside the 32.
        unsafe { [vld1q_s16(from), vld1q_s16(from.add(8)), vld1q_s16(from.add(16)), vld1q_s16(from.add(24))] }
    }

    #[inline(always)]
    fn widen_i8(self, from: &[u8; WORDS]) -> [int16x8_t; 4] {
        let from = from.as_ptr().cast::<i8>();
        // SAFETY: `self` proves NEON; two loads of 16 bytes stay inside the 32.
        unsafe {
            let (low, high) = (vld1q_s8(from), vld1q_s8(from.add(16)));
            [vmovl_s8(vget_low_s8(low)), vmovl_high_s8(low), vmovl_s8(vget_low_s8(high)), vmovl_high_s8(high)]
        }
    }

    #[inline(always)]
    fn widen_u8(self, from: &[u8; WORDS]) -> [int16x8_t; 4] {
        let from = from.as_ptr();
        // SAFETY: `self` proves NEON; two loads of 16 bytes stay inside the 32.
        unsafe {
            let (low, high) = (vld1q_u8(from), vld1q_u8(from.add(16)));
            [
                vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(low))),
                vreinterpretq_s16_u16(vmovl_high_u8(low)),
                vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(high))),
                vreinterpretq_s16_u16(vmovl_high_u8(high)),
            ]
        }
    }

    #[inline(always)]
    fn widen_u4(self, from: &[u8; WORDS / 2]) -> [int16x8_t; 4] {
        // SAFETY: `self` proves NEON; the load reads the 16 bytes of the array.
        unsafe {
            let bytes = vld1q_u8(from.as_ptr());
            let (low, high) = (vandq_u8(bytes, vdupq_n_u8(15)), vshrq_n_u8::<4>(bytes));
            [
                vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(low))),
                vreinterpretq_s16_u16(vmovl_high_u8(low)),
                vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(high))),
                vreinterpretq_s16_u16(vmovl_high_u8(high)),
            ]
        }
    }

    #[inline(always)]
    fn sub_i16(self, a: [int16x8_t; 4], b: [int16x8_t; 4]) -> [int16x8_t; 4] {
        // SAFETY: `self` proves NEON.
        unsafe { [vsubq_s16(a[0], b[0]), vsubq_s16(a[1], b[1]), vsubq_s16(a[2], b[2]), vsubq_s16(a[3], b[3])] }
    }

    #[inline(always)]
    fn zero_sums(self) -> [int32x4_t; 4] {
        // SAFETY: `self` proves NEON.
        unsafe { [vdupq_n_s32(0); 4] }
    }

    #[inline(always)]
    fn multiply_add(self, sums: Self::Sums, a: Self::Words, b: Self::Words) -> Self::Sums {
        // SAFETY: `self` proves NEON.
        unsafe {
            [
                vmlal_high_s16(vmlal_s16(sums[0], vget_low_s16(a[0]), vget_low_s16(b[0])), a[0], b[0]),
                vmlal_high_s16(vmlal_s16(sums[1], vget_low_s16(a[1]), vget_low_s16(b[1])), a[1], b[1]),
                vmlal_high_s16(vmlal_s16(sums[2], vget_low_s16(a[2]), vget_low_s16(b[2])), a[2], b[2]),
                vmlal_high_s16(vmlal_s16(sums[3], vget_low_s16(a[3]), vget_low_s16(b[3])), a[3], b[3]),
            ]
        }
    }

    #[inline(always)]
    fn sum_i32(self, sums: [int32x4_t; 4]) -> i32 {
        // SAFETY: `self` proves NEON.
        unsafe { vaddvq_s32(vaddq_s32(vaddq_s32(sums[0], sums[1]), vaddq_s32(sums[2], sums[3]))) }
    }

    #[inline(always)]
    fn dot_i8(self, mut sums: Self::Sums, a: &[u8; BYTES], b: &[u8; BYTES]) -> Self::Sums {
        let ((a, _), (b, _)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            // SAFETY: `self` proves NEON; the loads read the 16 bytes of each array.
            unsafe {
                let (a, b) = (vld1q_s8(a.as_ptr().cast()), vld1q_s8(b.as_ptr().cast()));
                *sum = vpadalq_s16(*sum, vmull_s8(vget_low_s8(a), vget_low_s8(b)));
                *sum = vpadalq_s16(*sum, vmull_high_s8(a, b));
            }
        }
        sums
    }

    #[inline(always)]
    fn dot_u8(self, mut sums: Self::Sums, a: &[u8; BYTES], b: &[u8; BYTES]) -> Self::Sums {
        let ((a, _), (b, _)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            // SAFETY: `self` proves NEON; the loads read the 16 bytes of each array.
            unsafe { *sum = multiply_u8(*sum, vld1q_u8(a.as_ptr()), vld1q_u8(b.as_ptr())) }
        }
        sums
    }

    /// The difference of two bytes fits a byte without its sign.
    #[inline(always)]
    fn l2_i8(self, mut sums: Self::Sums, a: &[u8; BYTES], b: &[u8; BYTES]) -> Self::Sums {
        let ((a, _), (b, _)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            // SAFETY: `self` proves NEON; the loads read the 16 bytes of each array.
            unsafe {
                let (a, b) = (vld1q_s8(a.as_ptr().cast()), vld1q_s8(b.as_ptr().cast()));
                let difference = vreinterpretq_u8_s8(vabdq_s8(a, b));
                *sum = multiply_u8(*sum, difference, difference);
            }
        }
        sums
    }

    #[inline(always)]
    fn l2_u8(self, mut sums: Self::Sums, a: &[u8; BYTES], b: &[u8; BYTES]) -> Self::Sums {
        let ((a, _), (b, _)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            // SAFETY: `self` proves NEON; the loads read the 16 bytes of each array.
            unsafe {
                let difference = vabdq_u8(vld1q_u8(a.as_ptr()), vld1q_u8(b.as_ptr()));
                *sum = multiply_u8(*sum, difference, difference);
            }
        }
        sums
    }

    #[inline(always)]
    fn zero_counts(self) -> uint32x4_t {
        // SAFETY: `self` proves NEON.
        unsafe { vdupq_n_u32(0) }
    }

    /// Bits of each byte by `cnt`; four of them stay below 256 when added.
    #[inline(always)]
    fn count_differences(self, counts: uint32x4_t, a: &[u8; BYTES], b: &[u8; BYTES]) -> uint32x4_t {
        let ((a, _), (b, _)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
        // SAFETY: `self` proves NEON; register operations only.
        let mut bits = unsafe { vdupq_n_u8(0) };
        for (a, b) in a.iter().zip(b) {
            // SAFETY: `self` proves NEON; the loads read the 16 bytes of each array.
            unsafe {
                let different = veorq_u8(vld1q_u8(a.as_ptr()), vld1q_u8(b.as_ptr()));
                bits = vaddq_u8(bits, vcntq_u8(different));
            }
        }
        // SAFETY: `self` proves NEON; register operations only.
        unsafe { vpadalq_u16(counts, vpaddlq_u8(bits)) }
    }

    #[inline(always)]
    fn dot_planes(self, counts: uint32x4_t, row: &[u8; BYTES], planes: [&[u8; BYTES]; 4]) -> uint32x4_t {
        // SAFETY: `self` proves NEON; register operations only.
        let mut pairs = unsafe { vdupq_n_u16(0) };
        for (at, row) in row.as_chunks::<16>().0.iter().enumerate() {
            // SAFETY: `self` proves NEON; the loads read the 16 bytes of each array.
            unsafe {
                let (row, mut sum) = (vld1q_u8(row.as_ptr()), vdupq_n_u8(0)); // at most 8 x 15 a byte
                for plane in planes.into_iter().rev() {
                    let plane = vld1q_u8(plane.as_chunks::<16>().0[at].as_ptr());
                    sum = vaddq_u8(vaddq_u8(sum, sum), vcntq_u8(vandq_u8(row, plane)));
                }
                pairs = vpadalq_u8(pairs, sum);
            }
        }
        // SAFETY: `self` proves NEON; register operations only.
        unsafe { vpadalq_u16(counts, pairs) }
    }

    #[inline(always)]
    fn sum_counts(self, counts: uint32x4_t) -> u32 {
        // SAFETY: `self` proves NEON.
        unsafe { vaddvq_u32(counts) }
    }

    #[inline(always)]
    fn zero_finds(self) -> [uint16x8_t; 4] {
        // SAFETY: `self` proves NEON.
        unsafe { [vdupq_n_u16(0); 4] }
    }

    #[inline(always)]
    fn find(self, mut finds: [uint16x8_t; 4], tables: &[u8; BYTES], codes: &[u8; BYTES]) -> [uint16x8_t; 4] {
        for (table, codes) in tables.as_chunks::<16>().0.iter().zip(codes.as_chunks::<16>().0) {
            // SAFETY: `self` proves NEON; the loads read the 16 bytes of each array.
            unsafe {
                let (table, codes) = (vld1q_u8(table.as_ptr()), vld1q_u8(codes.as_ptr()));
                let low = vqtbl1q_u8(table, vandq_u8(codes, vdupq_n_u8(15)));
                let high = vqtbl1q_u8(table, vshrq_n_u8::<4>(codes));
                finds = [
                    vaddw_u8(finds[0], vget_low_u8(low)),
                    vaddw_high_u8(finds[1], low),
                    vaddw_u8(finds[2], vget_low_u8(high)),
                    vaddw_high_u8(finds[3], high),
                ];
            }
        }
        finds
    }

    #[inline(always)]
    fn sum_finds(self, finds: [uint16x8_t; 4]) -> [u16; COLUMNS] {
        let mut sums = [0; COLUMNS];
        for (finds, sums) in finds.into_iter().zip(sums.as_chunks_mut::<8>().0) {
            // SAFETY: `self` proves NEON; the store writes the 16 bytes of the array.
            unsafe { vst1q_u16(sums.as_mut_ptr(), finds) };
        }
        sums
    }

    #[inline(always)]
    fn widen_f16(self, half: &[u16; 8], out: &mut [f32; 8]) {
        super::Scalar.widen_f16(half, out); // the conversion's types are not stable yet
    }
}

/// `sums + a * b` of 16 unsigned bytes.
///
/// # Safety
/// The CPU has NEON.
#[inline(always)]
unsafe fn multiply_u8(sums: int32x4_t, a: uint8x16_t, b: uint8x16_t) -> int32x4_t {
    // SAFETY: register operations only; the caller promises NEON.
    unsafe {
        let sums = vreinterpretq_u32_s32(sums);
        let sums = vpadalq_u16(sums, vmull_u8(vget_low_u8(a), vget_low_u8(b)));
        vreinterpretq_s32_u32(vpadalq_u16(sums, vmull_high_u8(a, b)))
    }
}
