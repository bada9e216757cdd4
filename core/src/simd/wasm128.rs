//! WebAssembly's simd128: 128-bit registers, known when the module is compiled.
//!
//! The words form is the best one on every engine that was looked at: `i32x4.dot_i16x8_s` is one
//! `pmaddwd` on x64. The relaxed instructions are left out: see `docs/decisions/relaxed-simd.md`.

use core::arch::wasm32::*;

use super::{BYTES, COLUMNS, LANES, SUBSETS, Simd, WORDS, halves};

/// Proof of simd128: this module was compiled with it.
#[derive(Clone, Copy)]
pub(crate) struct Wasm128;

impl Simd for Wasm128 {
    type Floats = [v128; 8];
    type Words = [v128; 4];
    type Sums = [v128; 2];
    type Counts = v128;
    type Finds = [v128; 4];

    #[inline(always)]
    fn zero_f32(self) -> [v128; 8] {
        [f32x4_splat(0.0); 8]
    }

    #[inline(always)]
    fn load_f32(self, from: &[f32; LANES]) -> [v128; 8] {
        let from = from.as_ptr().cast::<v128>();
        // SAFETY: eight loads of 4 lanes, of any alignment, stay inside the 32.
        unsafe {
            [
                v128_load(from),
                v128_load(from.add(1)),
                v128_load(from.add(2)),
                v128_load(from.add(3)),
                v128_load(from.add(4)),
                v128_load(from.add(5)),
                v128_load(from.add(6)),
                v128_load(from.add(7)),
            ]
        }
    }

    #[inline(always)]
    fn store_f32(self, v: [v128; 8], to: &mut [f32; LANES]) {
        for (v, to) in v.into_iter().zip(to.as_chunks_mut::<4>().0) {
            // SAFETY: a store of 4 lanes, of any alignment, into as many.
            unsafe { v128_store(to.as_mut_ptr().cast(), v) };
        }
    }

    #[inline(always)]
    fn add_f32(self, a: [v128; 8], b: [v128; 8]) -> [v128; 8] {
        [
            f32x4_add(a[0], b[0]),
            f32x4_add(a[1], b[1]),
            f32x4_add(a[2], b[2]),
            f32x4_add(a[3], b[3]),
            f32x4_add(a[4], b[4]),
            f32x4_add(a[5], b[5]),
            f32x4_add(a[6], b[6]),
            f32x4_add(a[7], b[7]),
        ]
    }

    #[inline(always)]
    fn sub_f32(self, a: [v128; 8], b: [v128; 8]) -> [v128; 8] {
        [
            f32x4_sub(a[0], b[0]),
            f32x4_sub(a[1], b[1]),
            f32x4_sub(a[2], b[2]),
            f32x4_sub(a[3], b[3]),
            f32x4_sub(a[4], b[4]),
            f32x4_sub(a[5], b[5]),
            f32x4_sub(a[6], b[6]),
            f32x4_sub(a[7], b[7]),
        ]
    }

    #[inline(always)]
    fn mul_f32(self, a: [v128; 8], b: [v128; 8]) -> [v128; 8] {
        [
            f32x4_mul(a[0], b[0]),
            f32x4_mul(a[1], b[1]),
            f32x4_mul(a[2], b[2]),
            f32x4_mul(a[3], b[3]),
            f32x4_mul(a[4], b[4]),
            f32x4_mul(a[5], b[5]),
            f32x4_mul(a[6], b[6]),
            f32x4_mul(a[7], b[7]),
        ]
    }

    #[inline(always)]
    fn sum_f32(self, v: [v128; 8]) -> f32 {
        let (a, b) = (f32x4_add(v[0], v[4]), f32x4_add(v[1], v[5]));
        let (c, d) = (f32x4_add(v[2], v[6]), f32x4_add(v[3], v[7]));
        let v = f32x4_add(f32x4_add(a, c), f32x4_add(b, d));
        let v = f32x4_add(v, i32x4_shuffle::<2, 3, 2, 3>(v, v));
        f32x4_extract_lane::<0>(v) + f32x4_extract_lane::<1>(v)
    }

    #[inline(always)]
    fn load_i16(self, from: &[i16; WORDS]) -> [v128; 4] {
        let from = from.as_ptr().cast::<v128>();
        // SAFETY: four loads of 8 words, of any alignment, stay inside the 32.
        unsafe { [v128_load(from), v128_load(from.add(1)), v128_load(from.add(2)), v128_load(from.add(3))] }
    }

    #[inline(always)]
    fn widen_i8(self, from: &[u8; WORDS]) -> [v128; 4] {
        let from = from.as_ptr().cast::<v128>();
        // SAFETY: two loads of 16 bytes, of any alignment, stay inside the 32.
        let (low, high) = unsafe { (v128_load(from), v128_load(from.add(1))) };
        [i16x8_extend_low_i8x16(low), i16x8_extend_high_i8x16(low), i16x8_extend_low_i8x16(high), i16x8_extend_high_i8x16(high)]
    }

    #[inline(always)]
    fn widen_u8(self, from: &[u8; WORDS]) -> [v128; 4] {
        let from = from.as_ptr().cast::<v128>();
        // SAFETY: two loads of 16 bytes, of any alignment, stay inside the 32.
        let (low, high) = unsafe { (v128_load(from), v128_load(from.add(1))) };
        [i16x8_extend_low_u8x16(low), i16x8_extend_high_u8x16(low), i16x8_extend_low_u8x16(high), i16x8_extend_high_u8x16(high)]
    }

    #[inline(always)]
    fn widen_u4(self, from: &[u8; WORDS / 2]) -> [v128; 4] {
        // SAFETY: the load, of any alignment, reads the 16 bytes of the array.
        let bytes = unsafe { v128_load(from.as_ptr().cast()) };
        let (low, high) = (v128_and(bytes, u8x16_splat(15)), u8x16_shr(bytes, 4));
        [i16x8_extend_low_u8x16(low), i16x8_extend_high_u8x16(low), i16x8_extend_low_u8x16(high), i16x8_extend_high_u8x16(high)]
    }

    #[inline(always)]
    fn sub_i16(self, a: [v128; 4], b: [v128; 4]) -> [v128; 4] {
        [i16x8_sub(a[0], b[0]), i16x8_sub(a[1], b[1]), i16x8_sub(a[2], b[2]), i16x8_sub(a[3], b[3])]
    }

    #[inline(always)]
    fn zero_sums(self) -> [v128; 2] {
        [i32x4_splat(0); 2]
    }

    #[inline(always)]
    fn multiply_add(self, sums: [v128; 2], a: [v128; 4], b: [v128; 4]) -> [v128; 2] {
        let even = i32x4_add(sums[0], i32x4_dot_i16x8(a[0], b[0]));
        let odd = i32x4_add(sums[1], i32x4_dot_i16x8(a[1], b[1]));
        [i32x4_add(even, i32x4_dot_i16x8(a[2], b[2])), i32x4_add(odd, i32x4_dot_i16x8(a[3], b[3]))]
    }

    #[inline(always)]
    fn sum_i32(self, sums: [v128; 2]) -> i32 {
        fold_i32(i32x4_add(sums[0], sums[1]))
    }

    // Bytes with bytes: every load widens, which leaves no shuffle. (The walk loads fewer, wider pieces of its rows instead: its
    // loop is bound by loads. Node 20, 1024 dimensions: 66 ns so and 80 ns by `widen_i8` here, 65 and 79 ns the other way there.)
    #[inline(always)]
    fn dot_i8(self, sums: [v128; 2], a: &[u8; BYTES], b: &[u8; BYTES]) -> [v128; 2] {
        let ([a, a_high], [b, b_high]) = (halves(a), halves(b));
        let sums = self.multiply_add(sums, load_i8(a), load_i8(b));
        self.multiply_add(sums, load_i8(a_high), load_i8(b_high))
    }

    #[inline(always)]
    fn dot_u8(self, sums: [v128; 2], a: &[u8; BYTES], b: &[u8; BYTES]) -> [v128; 2] {
        let ([a, a_high], [b, b_high]) = (halves(a), halves(b));
        let sums = self.multiply_add(sums, load_u8(a), load_u8(b));
        self.multiply_add(sums, load_u8(a_high), load_u8(b_high))
    }

    #[inline(always)]
    fn l2_i8(self, sums: [v128; 2], a: &[u8; BYTES], b: &[u8; BYTES]) -> [v128; 2] {
        let ([a, a_high], [b, b_high]) = (halves(a), halves(b));
        let low = self.sub_i16(load_i8(a), load_i8(b));
        let high = self.sub_i16(load_i8(a_high), load_i8(b_high));
        self.multiply_add(self.multiply_add(sums, low, low), high, high)
    }

    #[inline(always)]
    fn l2_u8(self, sums: [v128; 2], a: &[u8; BYTES], b: &[u8; BYTES]) -> [v128; 2] {
        let ([a, a_high], [b, b_high]) = (halves(a), halves(b));
        let low = self.sub_i16(load_u8(a), load_u8(b));
        let high = self.sub_i16(load_u8(a_high), load_u8(b_high));
        self.multiply_add(self.multiply_add(sums, low, low), high, high)
    }

    #[inline(always)]
    fn zero_counts(self) -> v128 {
        i32x4_splat(0)
    }

    /// Four counts of a byte stay below 256 when added.
    #[inline(always)]
    fn count_differences(self, counts: v128, a: &[u8; BYTES], b: &[u8; BYTES]) -> v128 {
        let ((a, _), (b, _)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
        let mut bits = i8x16_splat(0);
        for (a, b) in a.iter().zip(b) {
            // SAFETY: the loads, of any alignment, read the 16 bytes of each array.
            let (a, b) = unsafe { (v128_load(a.as_ptr().cast()), v128_load(b.as_ptr().cast())) };
            bits = i8x16_add(bits, i8x16_popcnt(v128_xor(a, b)));
        }
        i32x4_add(counts, i32x4_extadd_pairwise_u16x8(i16x8_extadd_pairwise_u8x16(bits)))
    }

    #[inline(always)]
    fn dot_planes(self, counts: v128, row: &[u8; BYTES], planes: [&[u8; BYTES]; 4]) -> v128 {
        let mut pairs = i16x8_splat(0);
        for (at, row) in row.as_chunks::<16>().0.iter().enumerate() {
            // SAFETY: the load, of any alignment, reads the 16 bytes of the array.
            let row = unsafe { v128_load(row.as_ptr().cast()) };
            let mut sum = i8x16_splat(0); // at most 8 x 15 a byte
            for plane in planes.into_iter().rev() {
                // SAFETY: as above.
                let plane = unsafe { v128_load(plane.as_chunks::<16>().0[at].as_ptr().cast()) };
                sum = i8x16_add(i8x16_add(sum, sum), i8x16_popcnt(v128_and(row, plane)));
            }
            pairs = i16x8_add(pairs, i16x8_extadd_pairwise_u8x16(sum));
        }
        i32x4_add(counts, i32x4_extadd_pairwise_u16x8(pairs))
    }

    #[inline(always)]
    fn sum_counts(self, counts: v128) -> u32 {
        fold_i32(counts).cast_unsigned()
    }

    #[inline(always)]
    fn zero_finds(self) -> [v128; 4] {
        [i16x8_splat(0); 4]
    }

    #[inline(always)]
    fn find(self, mut finds: [v128; 4], tables: &[u8; BYTES], codes: &[u8; BYTES]) -> [v128; 4] {
        let (tables, codes) = (tables.as_ptr().cast::<v128>(), codes.as_ptr().cast::<v128>());
        for quarter in 0..BYTES / 16 {
            // SAFETY: loads of 16 bytes, of any alignment, inside the 64.
            let (table, codes) = unsafe { (v128_load(tables.add(quarter)), v128_load(codes.add(quarter))) };
            let low = i8x16_swizzle(table, v128_and(codes, u8x16_splat(15)));
            let high = i8x16_swizzle(table, u8x16_shr(codes, 4));
            finds = [
                i16x8_add(finds[0], u16x8_extend_low_u8x16(low)),
                i16x8_add(finds[1], u16x8_extend_high_u8x16(low)),
                i16x8_add(finds[2], u16x8_extend_low_u8x16(high)),
                i16x8_add(finds[3], u16x8_extend_high_u8x16(high)),
            ];
        }
        finds
    }

    #[inline(always)]
    fn sum_finds(self, finds: [v128; 4]) -> [u16; COLUMNS] {
        let mut sums = [0; COLUMNS];
        for (finds, sums) in finds.into_iter().zip(sums.as_chunks_mut::<8>().0) {
            // SAFETY: a store of 16 bytes, of any alignment, into as many.
            unsafe { v128_store(sums.as_mut_ptr().cast(), finds) };
        }
        sums
    }

    #[inline(always)]
    fn sums_of_subsets(self, least: u8, [a, b, c, d]: [u8; 4], to: &mut [u8; 16]) {
        let (low, high) = (i8x16_add(where_set(0, a), where_set(1, b)), i8x16_add(where_set(2, c), where_set(3, d)));
        let sums = i8x16_add(u8x16_splat(least), i8x16_add(low, high));
        // SAFETY: a store of 16 bytes, of any alignment, into as many.
        unsafe { v128_store(to.as_mut_ptr().cast(), sums) };
    }

    #[inline(always)]
    fn widen_f16(self, half: &[u16; 8], out: &mut [f32; 8]) {
        super::Scalar.widen_f16(half, out); // simd128 has no conversion
    }
}

/// `x` in the places in whose number that bit is 1.
#[inline(always)]
fn where_set(bit: usize, x: u8) -> v128 {
    // SAFETY: the load, of any alignment, reads the 16 bytes of the array.
    v128_and(unsafe { v128_load(SUBSETS[bit].as_ptr().cast()) }, u8x16_splat(x))
}

/// Sixteen bytes as words.
#[inline(always)]
pub(crate) fn words_of<const SIGNED: bool>(bytes: &[u8; 16]) -> [i16; 16] {
    // SAFETY: the load, of any alignment, reads the 16 bytes.
    let bytes = unsafe { v128_load(bytes.as_ptr().cast()) };
    let [low, high] = match SIGNED {
        true => [i16x8_extend_low_i8x16(bytes), i16x8_extend_high_i8x16(bytes)],
        false => [i16x8_extend_low_u8x16(bytes), i16x8_extend_high_u8x16(bytes)],
    };
    let mut words = [0; 16];
    let to = words.as_mut_ptr();
    // SAFETY: two stores of 16 bytes, of any alignment, stay inside the 32.
    unsafe {
        v128_store(to.cast(), low);
        v128_store(to.add(8).cast(), high);
    }
    words
}

/// The sum of four 32-bit lanes.
#[inline(always)]
fn fold_i32(v: v128) -> i32 {
    let v = i32x4_add(v, i32x4_shuffle::<2, 3, 2, 3>(v, v));
    i32x4_extract_lane::<0>(v).wrapping_add(i32x4_extract_lane::<1>(v))
}

/// Widens with every load.
#[inline(always)]
fn load_i8(from: &[u8; WORDS]) -> [v128; 4] {
    let from = from.as_ptr().cast::<i8>();
    // SAFETY: four loads of 8 bytes, of any alignment, stay inside the 32.
    unsafe {
        [
            i16x8_load_extend_i8x8(from),
            i16x8_load_extend_i8x8(from.add(8)),
            i16x8_load_extend_i8x8(from.add(16)),
            i16x8_load_extend_i8x8(from.add(24)),
        ]
    }
}

/// Widens with every load.
#[inline(always)]
fn load_u8(from: &[u8; WORDS]) -> [v128; 4] {
    let from = from.as_ptr();
    // SAFETY: four loads of 8 bytes, of any alignment, stay inside the 32.
    unsafe {
        [
            i16x8_load_extend_u8x8(from),
            i16x8_load_extend_u8x8(from.add(8)),
            i16x8_load_extend_u8x8(from.add(16)),
            i16x8_load_extend_u8x8(from.add(24)),
        ]
    }
}
