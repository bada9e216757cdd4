//! The instructions of each machine, behind one small vocabulary.
//!
//! A distance kernel is written once, over [`Simd`], and compiled once per machine. A value of a
//! type that implements [`Simd`] (a *token*) is the proof that this CPU has its instructions, so
//! the kernels themselves are safe and generic; only this room and the table of function pointers
//! in `distance::table` hold `unsafe`.
//!
//! **f32.** Thirty-two lanes, whatever the register width. Lane `i` sums the products of elements
//! `i, i + 32, i + 64, ...`, and [`Simd::sum_f32`] folds the lanes by halves (lane `i` meets lane
//! `i + half`: 16, 8, 4, 2, 1). Multiply and add are two roundings everywhere: there is no fused
//! multiply-add in this room. So every machine gives the same bits.
//!
//! **Integers.** Exact in any order, so each machine may use its best instruction. The common form
//! is 32 words of 16 bits, multiplied and added in pairs into 32-bit sums (`pmaddwd` and its kin);
//! the sums wrap modulo 2^32 everywhere alike.
//!
//! Every method is `#[inline(always)]` and free of closures: a piece that the compiler outlines
//! loses the target features of its caller, keeps its bits and becomes three times slower.
//! `cargo xtask codegen` looks at the machine code for that.

mod root;
mod scalar;
pub(crate) use root::{sqrt, sqrtf};
pub(crate) use scalar::{Scalar, widen_half};

cfg_if::cfg_if! {
    if #[cfg(target_arch = "x86_64")] {
        mod avx2;
        mod avx512;
        pub(crate) use avx2::Avx2;
        pub(crate) use avx512::Avx512;
    } else if #[cfg(all(target_arch = "aarch64", target_feature = "neon"))] {
        mod neon;
        pub(crate) use neon::Neon;
    } else if #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))] {
        mod wasm128;
        pub(crate) use wasm128::Wasm128;
    }
}

/// Lanes of every f32 accumulator. Part of the format: changing it changes every distance.
pub(crate) const LANES: usize = 32;
/// Integers of 16 bits in one step.
pub(crate) const WORDS: usize = 32;
/// Bytes in one step of the kernels on bytes.
pub(crate) const BYTES: usize = 2 * WORDS;

/// Columns of nibbles that are looked up together.
pub(crate) const COLUMNS: usize = 32;

/// Instructions of one machine. A value is the proof that this CPU has them.
#[cfg_attr(not(feature = "codes"), allow(dead_code, reason = "what needs some of it is left out of a browser's download"))]
pub(crate) trait Simd: Copy + 'static {
    /// [`LANES`] lanes of f32.
    type Floats: Copy;
    /// [`WORDS`] integers of 16 bits.
    type Words: Copy;
    /// Partial sums of products of words: exact modulo 2^32.
    type Sums: Copy;
    /// Partial counts of bits.
    type Counts: Copy;
    /// Partial sums of numbers found in tables.
    type Finds: Copy;

    fn zero_f32(self) -> Self::Floats;
    fn load_f32(self, from: &[f32; LANES]) -> Self::Floats;
    fn store_f32(self, v: Self::Floats, to: &mut [f32; LANES]);
    fn add_f32(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    fn sub_f32(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    fn mul_f32(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// Folds the lanes by halves: lane `i` meets lane `i + 16`, then `+ 8`, `+ 4`, `+ 2`, `+ 1`.
    fn sum_f32(self, v: Self::Floats) -> f32;

    /// Lanes `i` and `i + h` become their sum and their difference, where `i / h` is even: for `h` = 1, 2, 4, 8, 16.
    #[inline(always)]
    fn butterflies_f32(self, v: Self::Floats) -> Self::Floats {
        let mut lanes = [0.0; LANES];
        self.store_f32(v, &mut lanes);
        let mut half = 1;
        while half < LANES {
            for i in (0..LANES).filter(|i| i / half % 2 == 0) {
                (lanes[i], lanes[i + half]) = (lanes[i] + lanes[i + half], lanes[i] - lanes[i + half]);
            }
            half *= 2;
        }
        self.load_f32(&lanes)
    }

    fn load_i16(self, from: &[i16; WORDS]) -> Self::Words;
    /// Widens bytes read as `i8`.
    fn widen_i8(self, from: &[u8; WORDS]) -> Self::Words;
    /// Widens bytes read as `u8`.
    fn widen_u8(self, from: &[u8; WORDS]) -> Self::Words;
    /// Widens nibbles: the low ones of all bytes come first, then the high ones.
    fn widen_u4(self, from: &[u8; WORDS / 2]) -> Self::Words;
    /// Widens pairs of bits: the lowest ones of all bytes come first, the highest last.
    #[cfg(feature = "codes")]
    #[inline(always)]
    fn widen_u2(self, from: &[u8; WORDS / 4]) -> Self::Words {
        let (bits, mut bytes) = (u64::from_le_bytes(*from), [0; WORDS]);
        for (shift, bytes) in bytes.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            *bytes = (bits >> (2 * shift) & 0x0303_0303_0303_0303).to_le_bytes();
        }
        self.widen_u8(&bytes)
    }
    fn sub_i16(self, a: Self::Words, b: Self::Words) -> Self::Words;
    fn zero_sums(self) -> Self::Sums;
    /// `sums + a * b`, products of neighbouring words added first.
    fn multiply_add(self, sums: Self::Sums, a: Self::Words, b: Self::Words) -> Self::Sums;
    fn sum_i32(self, sums: Self::Sums) -> i32;

    /// `sums + a * b` of bytes read as `i8`. By words, unless the machine has a shorter way.
    #[inline(always)]
    fn dot_i8(self, sums: Self::Sums, a: &[u8; BYTES], b: &[u8; BYTES]) -> Self::Sums {
        let ([a, a_high], [b, b_high]) = (halves(a), halves(b));
        let sums = self.multiply_add(sums, self.widen_i8(a), self.widen_i8(b));
        self.multiply_add(sums, self.widen_i8(a_high), self.widen_i8(b_high))
    }
    /// `sums + a * b` of bytes read as `u8`.
    #[inline(always)]
    fn dot_u8(self, sums: Self::Sums, a: &[u8; BYTES], b: &[u8; BYTES]) -> Self::Sums {
        let ([a, a_high], [b, b_high]) = (halves(a), halves(b));
        let sums = self.multiply_add(sums, self.widen_u8(a), self.widen_u8(b));
        self.multiply_add(sums, self.widen_u8(a_high), self.widen_u8(b_high))
    }
    /// `sums + (a - b)^2` of bytes read as `i8`.
    #[inline(always)]
    fn l2_i8(self, sums: Self::Sums, a: &[u8; BYTES], b: &[u8; BYTES]) -> Self::Sums {
        let ([a, a_high], [b, b_high]) = (halves(a), halves(b));
        let low = self.sub_i16(self.widen_i8(a), self.widen_i8(b));
        let high = self.sub_i16(self.widen_i8(a_high), self.widen_i8(b_high));
        self.multiply_add(self.multiply_add(sums, low, low), high, high)
    }
    /// `sums + (a - b)^2` of bytes read as `u8`.
    #[inline(always)]
    fn l2_u8(self, sums: Self::Sums, a: &[u8; BYTES], b: &[u8; BYTES]) -> Self::Sums {
        let ([a, a_high], [b, b_high]) = (halves(a), halves(b));
        let low = self.sub_i16(self.widen_u8(a), self.widen_u8(b));
        let high = self.sub_i16(self.widen_u8(a_high), self.widen_u8(b_high));
        self.multiply_add(self.multiply_add(sums, low, low), high, high)
    }

    fn zero_counts(self) -> Self::Counts;
    /// Adds the number of bits in which `a` and `b` differ.
    fn count_differences(self, counts: Self::Counts, a: &[u8; BYTES], b: &[u8; BYTES]) -> Self::Counts;
    /// Adds the dot product of the bits of `row` and the four-bit numbers whose bits lie in `planes`, the lowest ones first.
    fn dot_planes(self, counts: Self::Counts, row: &[u8; BYTES], planes: [&[u8; BYTES]; 4]) -> Self::Counts;
    fn sum_counts(self, counts: Self::Counts) -> u32;

    fn zero_finds(self) -> Self::Finds;
    /// Looks 32 columns of nibbles up in four tables of 16 bytes, one table a quarter of `codes`, and adds what is found column by
    /// column: columns 0 to 15 are the low nibbles of a quarter's bytes, columns 16 to 31 the high ones.
    fn find(self, finds: Self::Finds, tables: &[u8; BYTES], codes: &[u8; BYTES]) -> Self::Finds;
    /// The sum of each column, modulo 2^16.
    fn sum_finds(self, finds: Self::Finds) -> [u16; COLUMNS];

    /// In each place `least` and those of `four` whose bit is 1 in the place's number, modulo 256. A compiler makes vectors of it by itself, but
    /// for WebAssembly.
    #[inline(always)]
    fn sums_of_subsets(self, least: u8, [a, b, c, d]: [u8; 4], to: &mut [u8; 16]) {
        for (place, sum) in to.iter_mut().enumerate() {
            let pairs = (a & SUBSETS[0][place]).wrapping_add(b & SUBSETS[1][place]);
            *sum = least.wrapping_add(pairs).wrapping_add(c & SUBSETS[2][place]).wrapping_add(d & SUBSETS[3][place]);
        }
    }

    /// Eight IEEE halves as f32, exactly; a signalling NaN becomes quiet, its other bits stay.
    fn widen_f16(self, half: &[u16; 8], out: &mut [f32; 8]);
}

/// For each of four bits the numbers below 16 in which it is 1.
const SUBSETS: [[u8; 16]; 4] = {
    let mut subsets = [[0; 16]; 4];
    let mut at = 0;
    while at < 64 {
        let (bit, place) = (at / 16, at % 16);
        subsets[bit][place] = if place >> bit & 1 == 1 { 0xff } else { 0 };
        at += 1;
    }
    subsets
};

/// The two halves of a step of bytes.
#[inline(always)]
fn halves(bytes: &[u8; BYTES]) -> [&[u8; WORDS]; 2] {
    let (halves, _) = bytes.as_chunks();
    [&halves[0], &halves[1]]
}

/// Sixteen bytes, `i8` or `u8`, as words: for loops that a compiler makes vectors of by itself, but for WebAssembly.
#[inline(always)]
pub(crate) fn words_of<const SIGNED: bool>(bytes: &[u8; 16]) -> [i16; 16] {
    cfg_if::cfg_if! {
        if #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))] {
            wasm128::words_of::<SIGNED>(bytes)
        } else {
            bytes.map(|byte| if SIGNED { i16::from(byte.cast_signed()) } else { i16::from(byte) })
        }
    }
}

/// 1.5 * 2^23: a sum with it has no bits for a fraction, so the processor rounds to the nearest integer, halves to even, as IEEE 754 says.
pub(crate) const ROUNDING: f32 = 12_582_912.0;

/// Rounds to the nearest integer, halves to even. For |x| below 2^22.
#[inline(always)]
pub(crate) fn round_ties_even(x: f32) -> f32 {
    (x + ROUNDING) - ROUNDING
}

/// The same as an integer, which is what the bits of that sum differ by: a conversion that a compiler makes vectors of.
#[inline(always)]
pub(crate) fn rounded(x: f32) -> i32 {
    (x + ROUNDING).to_bits().wrapping_sub(ROUNDING.to_bits()).cast_signed()
}

/// Whether [`prefetch_line`] does anything: WebAssembly has no such hint.
pub(crate) const PREFETCHES: bool = !cfg!(target_family = "wasm");

/// Asks for the cache line of `byte`. A hint: it reads nothing that a program could notice.
#[inline(always)]
pub(crate) fn prefetch_line(byte: &u8) {
    cfg_if::cfg_if! {
        if #[cfg(miri)] {
            let _ = byte;
        } else if #[cfg(target_arch = "x86_64")] {
            use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: SSE is part of x86-64, and a prefetch has no effect on memory or registers.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(byte).cast()) }
        } else if #[cfg(target_arch = "aarch64")] {
            // SAFETY: `prfm` is a hint; it changes no memory, register or flag.
            unsafe {
                core::arch::asm!("prfm pldl1keep, [{0}]", in(reg) core::ptr::from_ref(byte),
                    options(nostack, preserves_flags, readonly));
            }
        } else {
            let _ = byte;
        }
    }
}
