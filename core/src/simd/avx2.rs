//! AVX2 and F16C: 256-bit registers. FMA is never used, though such machines have it.

use core::arch::x86_64::*;

use super::{BYTES, COLUMNS, LANES, Simd, WORDS};

/// Proof of AVX2 and F16C.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// # Safety
    /// The CPU has AVX2 and F16C.
    #[inline(always)]
    pub(crate) unsafe fn assume() -> Self {
        Self(())
    }
}

/// The sum of eight 32-bit lanes.
///
/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn fold_i32(v: __m256i) -> i32 {
    // SAFETY: register operations only; the caller promises AVX2.
    unsafe {
        let v = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
        let v = _mm_add_epi32(v, _mm_shuffle_epi32::<0b01_00_11_10>(v));
        let v = _mm_add_epi32(v, _mm_shuffle_epi32::<0b10_11_00_01>(v));
        _mm_cvtsi128_si32(v)
    }
}

/// Bits of each nibble by table (Mula's `pshufb` count), bytes then added in eights by `psadbw`.
///
/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn count_bits(counts: __m256i, x: __m256i, y: __m256i) -> __m256i {
    // SAFETY: register operations only; the caller promises AVX2.
    unsafe {
        let bits = _mm256_add_epi8(count_bytes(x), count_bytes(y));
        _mm256_add_epi64(counts, _mm256_sad_epu8(bits, _mm256_setzero_si256()))
    }
}

/// Bits set in each byte.
///
/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn count_bytes(x: __m256i) -> __m256i {
    // SAFETY: register operations only; the caller promises AVX2.
    unsafe {
        let table = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
        let low = _mm256_set1_epi8(0x0f);
        let high = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16::<4>(x), low));
        _mm256_add_epi8(_mm256_shuffle_epi8(table, _mm256_and_si256(x, low)), high)
    }
}

/// Looks the nibbles of 32 bytes up, each half of the register in its own table.
///
/// # Safety
/// The CPU has AVX2.
#[inline(always)]
#[cfg_attr(not(feature = "codes"), allow(dead_code, reason = "as of the vocabulary"))]
unsafe fn find_half(finds: [__m256i; 4], tables: __m256i, codes: __m256i) -> [__m256i; 4] {
    // SAFETY: register operations only; the caller promises AVX2.
    unsafe {
        let nibble = _mm256_set1_epi8(0x0f);
        let low = _mm256_shuffle_epi8(tables, _mm256_and_si256(codes, nibble));
        let high = _mm256_shuffle_epi8(tables, _mm256_and_si256(_mm256_srli_epi16::<4>(codes), nibble));
        [
            _mm256_add_epi16(finds[0], low),
            _mm256_add_epi16(finds[1], _mm256_srli_epi16::<8>(low)),
            _mm256_add_epi16(finds[2], high),
            _mm256_add_epi16(finds[3], _mm256_srli_epi16::<8>(high)),
        ]
    }
}

impl Simd for Avx2 {
    type Floats = [__m256; 4];
    type Words = [__m256i; 2];
    type Sums = [__m256i; 2];
    type Counts = __m256i;
    /// Of the low nibbles the bytes as words and the odd bytes, then of the high ones; each half of a register has its own tables.
    type Finds = [__m256i; 4];

    #[inline(always)]
    fn zero_f32(self) -> [__m256; 4] {
        // SAFETY: `self` proves AVX.
        unsafe { [_mm256_setzero_ps(); 4] }
    }

    #[inline(always)]
    fn load_f32(self, from: &[f32; LANES]) -> [__m256; 4] {
        let from = from.as_ptr();
        // SAFETY: `self` proves AVX; four loads of 8 lanes stay inside the 32.
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8)), _mm256_loadu_ps(from.add(16)), _mm256_loadu_ps(from.add(24))] }
    }

    #[inline(always)]
    fn store_f32(self, v: [__m256; 4], to: &mut [f32; LANES]) {
        let to = to.as_mut_ptr();
        // SAFETY: `self` proves AVX; four stores of 8 lanes stay inside the 32.
        unsafe {
            _mm256_storeu_ps(to, v[0]);
            _mm256_storeu_ps(to.add(8), v[1]);
            _mm256_storeu_ps(to.add(16), v[2]);
            _mm256_storeu_ps(to.add(24), v[3]);
        }
    }

    /// Within a register a lane meets its partner in a copy that is permuted: the first of a pair takes the sum, the second the difference.
    #[inline(always)]
    fn butterflies_f32(self, v: [__m256; 4]) -> [__m256; 4] {
        // SAFETY: `self` proves AVX; register operations only.
        let [a, b, c, d] = v.map(|v| unsafe {
            let partner = _mm256_permute_ps::<0b10_11_00_01>(v);
            let v = _mm256_blend_ps::<0b1010_1010>(_mm256_add_ps(v, partner), _mm256_sub_ps(partner, v));
            let partner = _mm256_permute_ps::<0b01_00_11_10>(v);
            let v = _mm256_blend_ps::<0b1100_1100>(_mm256_add_ps(v, partner), _mm256_sub_ps(partner, v));
            let partner = _mm256_permute2f128_ps::<1>(v, v);
            _mm256_blend_ps::<0b1111_0000>(_mm256_add_ps(v, partner), _mm256_sub_ps(partner, v))
        });
        // SAFETY: as above.
        unsafe {
            let [a, b] = [_mm256_add_ps(a, b), _mm256_sub_ps(a, b)];
            let [c, d] = [_mm256_add_ps(c, d), _mm256_sub_ps(c, d)];
            [_mm256_add_ps(a, c), _mm256_add_ps(b, d), _mm256_sub_ps(a, c), _mm256_sub_ps(b, d)]
        }
    }

    #[inline(always)]
    fn add_f32(self, a: [__m256; 4], b: [__m256; 4]) -> [__m256; 4] {
        // SAFETY: `self` proves AVX.
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1]), _mm256_add_ps(a[2], b[2]), _mm256_add_ps(a[3], b[3])] }
    }

    #[inline(always)]
    fn sub_f32(self, a: [__m256; 4], b: [__m256; 4]) -> [__m256; 4] {
        // SAFETY: `self` proves AVX.
        unsafe { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1]), _mm256_sub_ps(a[2], b[2]), _mm256_sub_ps(a[3], b[3])] }
    }

    #[inline(always)]
    fn mul_f32(self, a: [__m256; 4], b: [__m256; 4]) -> [__m256; 4] {
        // SAFETY: `self` proves AVX.
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1]), _mm256_mul_ps(a[2], b[2]), _mm256_mul_ps(a[3], b[3])] }
    }

    #[inline(always)]
    fn sum_f32(self, v: [__m256; 4]) -> f32 {
        // SAFETY: `self` proves AVX; register operations only.
        unsafe {
            let v = _mm256_add_ps(_mm256_add_ps(v[0], v[2]), _mm256_add_ps(v[1], v[3]));
            let v = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
            let v = _mm_add_ps(v, _mm_movehl_ps(v, v));
            _mm_cvtss_f32(_mm_add_ss(v, _mm_movehdup_ps(v)))
        }
    }

    #[inline(always)]
    fn load_i16(self, from: &[i16; WORDS]) -> [__m256i; 2] {
        let from = from.as_ptr().cast::<__m256i>();
        // SAFETY: `self` proves AVX; two unaligned loads of 32 bytes stay inside the 64.
        unsafe { [_mm256_loadu_si256(from), _mm256_loadu_si256(from.add(1))] }
    }

    #[inline(always)]
    fn widen_i8(self, from: &[u8; WORDS]) -> [__m256i; 2] {
        let from = from.as_ptr().cast::<__m128i>();
        // SAFETY: `self` proves AVX2; two unaligned loads of 16 bytes stay inside the 32.
        unsafe { [_mm256_cvtepi8_epi16(_mm_loadu_si128(from)), _mm256_cvtepi8_epi16(_mm_loadu_si128(from.add(1)))] }
    }

    #[inline(always)]
    fn widen_u8(self, from: &[u8; WORDS]) -> [__m256i; 2] {
        let from = from.as_ptr().cast::<__m128i>();
        // SAFETY: `self` proves AVX2; two unaligned loads of 16 bytes stay inside the 32.
        unsafe { [_mm256_cvtepu8_epi16(_mm_loadu_si128(from)), _mm256_cvtepu8_epi16(_mm_loadu_si128(from.add(1)))] }
    }

    #[inline(always)]
    fn widen_u4(self, from: &[u8; WORDS / 2]) -> [__m256i; 2] {
        // SAFETY: `self` proves AVX2; the unaligned load reads the 16 bytes of the array.
        unsafe {
            let bytes = _mm256_cvtepu8_epi16(_mm_loadu_si128(from.as_ptr().cast()));
            [_mm256_and_si256(bytes, _mm256_set1_epi16(15)), _mm256_srli_epi16::<4>(bytes)]
        }
    }

    #[inline(always)]
    fn sub_i16(self, a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_sub_epi16(a[0], b[0]), _mm256_sub_epi16(a[1], b[1])] }
    }

    #[inline(always)]
    fn zero_sums(self) -> [__m256i; 2] {
        // SAFETY: `self` proves AVX.
        unsafe { [_mm256_setzero_si256(); 2] }
    }

    #[inline(always)]
    fn multiply_add(self, sums: [__m256i; 2], a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_add_epi32(sums[0], _mm256_madd_epi16(a[0], b[0])), _mm256_add_epi32(sums[1], _mm256_madd_epi16(a[1], b[1]))] }
    }

    #[inline(always)]
    fn sum_i32(self, sums: [__m256i; 2]) -> i32 {
        // SAFETY: `self` proves AVX2.
        unsafe { fold_i32(_mm256_add_epi32(sums[0], sums[1])) }
    }

    #[inline(always)]
    fn zero_counts(self) -> __m256i {
        // SAFETY: `self` proves AVX.
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    fn count_differences(self, counts: __m256i, a: &[u8; BYTES], b: &[u8; BYTES]) -> __m256i {
        let (a, b) = (a.as_ptr().cast::<__m256i>(), b.as_ptr().cast::<__m256i>());
        // SAFETY: `self` proves AVX2; two unaligned loads of 32 bytes each stay inside the 64.
        unsafe {
            let low = _mm256_xor_si256(_mm256_loadu_si256(a), _mm256_loadu_si256(b));
            let high = _mm256_xor_si256(_mm256_loadu_si256(a.add(1)), _mm256_loadu_si256(b.add(1)));
            count_bits(counts, low, high)
        }
    }

    #[inline(always)]
    fn dot_planes(self, counts: __m256i, row: &[u8; BYTES], planes: [&[u8; BYTES]; 4]) -> __m256i {
        // SAFETY: `self` proves AVX2; unaligned loads of 32 bytes at 0 and 32 stay inside the 64 of each array.
        unsafe {
            let mut sums = [_mm256_setzero_si256(); 2]; // at most 8 x 15 a byte, so that two of them fit one
            for (half, sum) in sums.iter_mut().enumerate() {
                let row = _mm256_loadu_si256(row.as_ptr().cast::<__m256i>().add(half));
                for plane in planes.into_iter().rev() {
                    let common = _mm256_and_si256(row, _mm256_loadu_si256(plane.as_ptr().cast::<__m256i>().add(half)));
                    *sum = _mm256_add_epi8(_mm256_add_epi8(*sum, *sum), count_bytes(common));
                }
            }
            _mm256_add_epi64(counts, _mm256_sad_epu8(_mm256_add_epi8(sums[0], sums[1]), _mm256_setzero_si256()))
        }
    }

    /// The low halves of the four 64-bit counts hold all of each: `Kernels::hamming` takes fewer than
    /// 2^32 bits per lane.
    #[inline(always)]
    fn sum_counts(self, counts: __m256i) -> u32 {
        // SAFETY: `self` proves AVX2.
        unsafe { fold_i32(counts).cast_unsigned() }
    }

    #[inline(always)]
    fn zero_finds(self) -> [__m256i; 4] {
        // SAFETY: `self` proves AVX.
        unsafe { [_mm256_setzero_si256(); 4] }
    }

    #[inline(always)]
    fn find(self, finds: [__m256i; 4], tables: &[u8; BYTES], codes: &[u8; BYTES]) -> [__m256i; 4] {
        let (tables, codes) = (tables.as_ptr().cast::<__m256i>(), codes.as_ptr().cast::<__m256i>());
        // SAFETY: `self` proves AVX2; two unaligned loads of 32 bytes each stay inside the 64.
        unsafe {
            let finds = find_half(finds, _mm256_loadu_si256(tables), _mm256_loadu_si256(codes));
            find_half(finds, _mm256_loadu_si256(tables.add(1)), _mm256_loadu_si256(codes.add(1)))
        }
    }

    /// The even bytes' sums are those of the words less what the odd bytes added to them.
    #[inline(always)]
    fn sum_finds(self, [low, low_odd, high, high_odd]: [__m256i; 4]) -> [u16; COLUMNS] {
        let mut sums = [0; COLUMNS];
        let out = sums.as_mut_ptr().cast::<__m128i>();
        // SAFETY: `self` proves AVX2; four unaligned stores of 16 bytes stay inside the 64.
        unsafe {
            for (i, (words, odd)) in [(low, low_odd), (high, high_odd)].into_iter().enumerate() {
                let even = _mm256_sub_epi16(words, _mm256_slli_epi16::<8>(odd));
                let even = _mm_add_epi16(_mm256_castsi256_si128(even), _mm256_extracti128_si256::<1>(even));
                let odd = _mm_add_epi16(_mm256_castsi256_si128(odd), _mm256_extracti128_si256::<1>(odd));
                _mm_storeu_si128(out.add(2 * i), _mm_unpacklo_epi16(even, odd));
                _mm_storeu_si128(out.add(2 * i + 1), _mm_unpackhi_epi16(even, odd));
            }
        }
        sums
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
