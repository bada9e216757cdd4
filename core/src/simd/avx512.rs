//! AVX-512 with VNNI and VPOPCNTDQ: 512-bit registers.
//!
//! VNNI multiplies unsigned by signed bytes, so one side is moved by 128 (a flipped top bit) and
//! 128 times the sum of the other is taken away again: exact over the full range, because the
//! non-saturating form is used.
//!
//! `vpdpwssd` multiplies words and adds to its sums in one instruction of four or five cycles, so
//! two sums take turns: with one, each step would wait for the step before.

use core::arch::x86_64::*;

use super::{BYTES, COLUMNS, LANES, Simd, WORDS};

/// Proof of AVX-512 F, BW, VL, VNNI, VPOPCNTDQ and of F16C.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// # Safety
    /// The CPU has AVX-512 F, BW, VL, VNNI and VPOPCNTDQ, and F16C.
    #[inline(always)]
    pub(crate) unsafe fn assume() -> Self {
        Self(())
    }
}

#[inline(always)]
fn load(_proof: Avx512, from: &[u8; BYTES]) -> __m512i {
    // SAFETY: the token proves AVX-512; the unaligned load reads the 64 bytes of the array.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

impl Simd for Avx512 {
    type Floats = [__m512; 2];
    type Words = __m512i;
    type Sums = [__m512i; 2];
    type Counts = __m512i;
    /// As of AVX2, each quarter of a register with its own table.
    type Finds = [__m512i; 4];

    #[inline(always)]
    fn zero_f32(self) -> [__m512; 2] {
        // SAFETY: `self` proves AVX-512.
        unsafe { [_mm512_setzero_ps(); 2] }
    }

    #[inline(always)]
    fn load_f32(self, from: &[f32; LANES]) -> [__m512; 2] {
        let from = from.as_ptr();
        // SAFETY: `self` proves AVX-512; two loads of 16 lanes stay inside the 32.
        unsafe { [_mm512_loadu_ps(from), _mm512_loadu_ps(from.add(16))] }
    }

    #[inline(always)]
    fn store_f32(self, v: [__m512; 2], to: &mut [f32; LANES]) {
        let to = to.as_mut_ptr();
        // SAFETY: `self` proves AVX-512; two stores of 16 lanes stay inside the 32.
        unsafe {
            _mm512_storeu_ps(to, v[0]);
            _mm512_storeu_ps(to.add(16), v[1]);
        }
    }

    /// Within a register a lane meets its partner in a copy that is permuted, as in AVX2.
    #[inline(always)]
    fn butterflies_f32(self, v: [__m512; 2]) -> [__m512; 2] {
        // SAFETY: `self` proves AVX-512; register operations only.
        let [a, b] = v.map(|v| unsafe {
            let partner = _mm512_permute_ps::<0b10_11_00_01>(v);
            let v = _mm512_mask_sub_ps(_mm512_add_ps(v, partner), 0xAAAA, partner, v);
            let partner = _mm512_permute_ps::<0b01_00_11_10>(v);
            let v = _mm512_mask_sub_ps(_mm512_add_ps(v, partner), 0xCCCC, partner, v);
            let partner = _mm512_shuffle_f32x4::<0b10_11_00_01>(v, v);
            let v = _mm512_mask_sub_ps(_mm512_add_ps(v, partner), 0xF0F0, partner, v);
            let partner = _mm512_shuffle_f32x4::<0b01_00_11_10>(v, v);
            _mm512_mask_sub_ps(_mm512_add_ps(v, partner), 0xFF00, partner, v)
        });
        // SAFETY: as above.
        unsafe { [_mm512_add_ps(a, b), _mm512_sub_ps(a, b)] }
    }

    #[inline(always)]
    fn add_f32(self, a: [__m512; 2], b: [__m512; 2]) -> [__m512; 2] {
        // SAFETY: `self` proves AVX-512.
        unsafe { [_mm512_add_ps(a[0], b[0]), _mm512_add_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn sub_f32(self, a: [__m512; 2], b: [__m512; 2]) -> [__m512; 2] {
        // SAFETY: `self` proves AVX-512.
        unsafe { [_mm512_sub_ps(a[0], b[0]), _mm512_sub_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul_f32(self, a: [__m512; 2], b: [__m512; 2]) -> [__m512; 2] {
        // SAFETY: `self` proves AVX-512.
        unsafe { [_mm512_mul_ps(a[0], b[0]), _mm512_mul_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn sum_f32(self, v: [__m512; 2]) -> f32 {
        // SAFETY: `self` proves AVX-512; register operations only.
        unsafe {
            let v = _mm512_add_ps(v[0], v[1]);
            let high = _mm512_shuffle_f32x4::<0b01_00_11_10>(v, v);
            let v = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_castps512_ps256(high));
            let v = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
            let v = _mm_add_ps(v, _mm_movehl_ps(v, v));
            _mm_cvtss_f32(_mm_add_ss(v, _mm_movehdup_ps(v)))
        }
    }

    #[inline(always)]
    fn load_i16(self, from: &[i16; WORDS]) -> __m512i {
        // SAFETY: `self` proves AVX-512; the unaligned load reads the 64 bytes of the array.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn widen_i8(self, from: &[u8; WORDS]) -> __m512i {
        // SAFETY: `self` proves AVX-512 BW; the unaligned load reads the 32 bytes of the array.
        unsafe { _mm512_cvtepi8_epi16(_mm256_loadu_si256(from.as_ptr().cast())) }
    }

    #[inline(always)]
    fn widen_u8(self, from: &[u8; WORDS]) -> __m512i {
        // SAFETY: `self` proves AVX-512 BW; the unaligned load reads the 32 bytes of the array.
        unsafe { _mm512_cvtepu8_epi16(_mm256_loadu_si256(from.as_ptr().cast())) }
    }

    #[inline(always)]
    fn widen_u4(self, from: &[u8; WORDS / 2]) -> __m512i {
        // SAFETY: `self` proves AVX-512 BW; the unaligned load reads the 16 bytes of the array.
        unsafe {
            let bytes = _mm_loadu_si128(from.as_ptr().cast());
            // Shifted by words, a byte has bits of its neighbour above its own four: the mask takes them off.
            let both = _mm256_set_m128i(_mm_srli_epi16::<4>(bytes), bytes);
            _mm512_cvtepu8_epi16(_mm256_and_si256(both, _mm256_set1_epi8(15)))
        }
    }

    #[inline(always)]
    fn sub_i16(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512 BW.
        unsafe { _mm512_sub_epi16(a, b) }
    }

    #[inline(always)]
    fn zero_sums(self) -> [__m512i; 2] {
        // SAFETY: `self` proves AVX-512.
        unsafe { [_mm512_setzero_si512(); 2] }
    }

    #[inline(always)]
    fn multiply_add(self, sums: [__m512i; 2], a: __m512i, b: __m512i) -> [__m512i; 2] {
        // SAFETY: `self` proves AVX-512 VNNI.
        unsafe { [sums[1], _mm512_dpwssd_epi32(sums[0], a, b)] }
    }

    #[inline(always)]
    fn sum_i32(self, sums: [__m512i; 2]) -> i32 {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[1])) }
    }

    /// `(a + 128) * b - 128 * b`, each in a sum of its own, added outside of `vpdpbusd`.
    #[inline(always)]
    fn dot_i8(self, sums: [__m512i; 2], a: &[u8; BYTES], b: &[u8; BYTES]) -> [__m512i; 2] {
        let (a, b) = (load(self, a), load(self, b));
        // SAFETY: `self` proves AVX-512 VNNI; register operations only.
        unsafe {
            let (zero, flip) = (_mm512_setzero_si512(), _mm512_set1_epi8(i8::MIN));
            let moved = _mm512_dpbusd_epi32(zero, _mm512_xor_si512(a, flip), b);
            let excess = _mm512_dpbusd_epi32(zero, flip, b);
            [_mm512_add_epi32(sums[0], moved), _mm512_sub_epi32(sums[1], excess)]
        }
    }

    /// `a * (b - 128) + 128 * a`, the second by adding bytes in eights.
    #[inline(always)]
    fn dot_u8(self, sums: [__m512i; 2], a: &[u8; BYTES], b: &[u8; BYTES]) -> [__m512i; 2] {
        let (a, b) = (load(self, a), load(self, b));
        // SAFETY: `self` proves AVX-512 BW and VNNI; register operations only.
        unsafe {
            let (zero, flip) = (_mm512_setzero_si512(), _mm512_set1_epi8(i8::MIN));
            let moved = _mm512_dpbusd_epi32(zero, a, _mm512_xor_si512(b, flip));
            let missing = _mm512_slli_epi32::<7>(_mm512_sad_epu8(a, zero));
            [_mm512_add_epi32(sums[0], moved), _mm512_add_epi32(sums[1], missing)]
        }
    }

    #[inline(always)]
    fn zero_counts(self) -> __m512i {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    fn count_differences(self, counts: __m512i, a: &[u8; BYTES], b: &[u8; BYTES]) -> __m512i {
        let (a, b) = (load(self, a), load(self, b));
        // SAFETY: `self` proves AVX-512 VPOPCNTDQ; register operations only.
        unsafe { _mm512_add_epi64(counts, _mm512_popcnt_epi64(_mm512_xor_si512(a, b))) }
    }

    #[inline(always)]
    fn dot_planes(self, counts: __m512i, row: &[u8; BYTES], planes: [&[u8; BYTES]; 4]) -> __m512i {
        let (row, [first, second, third, fourth]) = (load(self, row), planes.map(|plane| load(self, plane)));
        // SAFETY: `self` proves AVX-512 VPOPCNTDQ; register operations only.
        unsafe {
            let [first, second, third, fourth] =
                [first, second, third, fourth].map(|plane| _mm512_popcnt_epi64(_mm512_and_si512(row, plane)));
            let low = _mm512_add_epi64(first, _mm512_slli_epi64::<1>(second));
            let high = _mm512_add_epi64(third, _mm512_slli_epi64::<1>(fourth));
            _mm512_add_epi64(counts, _mm512_add_epi64(low, _mm512_slli_epi64::<2>(high)))
        }
    }

    #[inline(always)]
    fn sum_counts(self, counts: __m512i) -> u32 {
        // SAFETY: `self` proves AVX-512.
        let bits = unsafe { _mm512_reduce_add_epi64(counts) };
        bits as u32 // modulo 2^32, as on every backend
    }

    #[inline(always)]
    fn zero_finds(self) -> [__m512i; 4] {
        // SAFETY: `self` proves AVX-512.
        unsafe { [_mm512_setzero_si512(); 4] }
    }

    #[inline(always)]
    fn find(self, finds: [__m512i; 4], tables: &[u8; BYTES], codes: &[u8; BYTES]) -> [__m512i; 4] {
        let (tables, codes) = (load(self, tables), load(self, codes));
        // SAFETY: `self` proves AVX-512 BW; register operations only.
        unsafe {
            let nibble = _mm512_set1_epi8(0x0f);
            let low = _mm512_shuffle_epi8(tables, _mm512_and_si512(codes, nibble));
            let high = _mm512_shuffle_epi8(tables, _mm512_and_si512(_mm512_srli_epi16::<4>(codes), nibble));
            [
                _mm512_add_epi16(finds[0], low),
                _mm512_add_epi16(finds[1], _mm512_srli_epi16::<8>(low)),
                _mm512_add_epi16(finds[2], high),
                _mm512_add_epi16(finds[3], _mm512_srli_epi16::<8>(high)),
            ]
        }
    }

    #[inline(always)]
    fn sum_finds(self, finds: [__m512i; 4]) -> [u16; COLUMNS] {
        // SAFETY: `self` proves AVX-512; register operations only, and AVX2 comes with it.
        unsafe {
            let halves = finds.map(|sums| _mm256_add_epi16(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64::<1>(sums)));
            super::Avx2::assume().sum_finds(halves)
        }
    }

    #[inline(always)]
    fn widen_f16(self, half: &[u16; 8], out: &mut [f32; 8]) {
        // SAFETY: `self` proves F16C; 16 bytes are read and 32 written, as long as the arrays are.
        unsafe {
            let half = _mm_loadu_si128(half.as_ptr().cast());
            _mm256_storeu_ps(out.as_mut_ptr(), _mm256_cvtph_ps(half));
        }
    }
}
