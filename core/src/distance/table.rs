//! The tables: one set of function pointers per backend, and the choice among them.
//!
//! Each entry is a wrapper that carries its backend's `#[target_feature]` and inlines the generic
//! kernel. This is the only place that asks what the CPU can do.

use super::batch::Nibbles;
#[cfg(feature = "codes")]
use super::batch::Quarters;
use super::integer::{Signed, Unsigned};
use super::{batch, brief, float, half, integer};
#[cfg(feature = "codes")]
use super::{columns, planes};
#[cfg(feature = "tiles")]
use super::{fastscan, fastscan::Asked, rotate};
#[cfg(feature = "tiles")]
use crate::simd::COLUMNS;
use crate::simd::Scalar;

/// Two rows of bytes.
type Pair<T> = unsafe fn(&[u8], &[u8]) -> T;
/// Query and row.
type One = unsafe fn(&[i16], &[u8]) -> i32;
/// Query, base, offsets, out.
type Batch = unsafe fn(&[i16], &[u8], &[usize], &mut [i32]);
/// Halves, out.
type Widen = unsafe fn(&[u16], &mut [f32]);

/// Planes, base, offsets, out.
#[cfg(feature = "codes")]
type Planes = unsafe fn(&[u8], &[u8], &[usize], &mut [u32]);
/// Query, columns, out.
#[cfg(feature = "codes")]
type Columns = unsafe fn(&[f32], &[f32], &mut [f32]);

/// Query, tables.
#[cfg(feature = "tiles")]
type Fill = unsafe fn(&[f32], &mut [u8]) -> f32;
/// Query, base, most, row, next row, out.
#[cfg(feature = "tiles")]
type Estimate = unsafe fn(Asked<'_>, f32, f32, &[u8], &[u8], &mut [f32; COLUMNS]) -> u32;
/// Signs, vector.
#[cfg(feature = "tiles")]
type Rotate = unsafe fn(&[f32], &mut [f32]);

/// The distance kernels of one backend. Chosen once and passed on; all backends agree bit for bit.
///
/// ```
/// use nearshore_core::distance::Kernels;
/// let kernels = Kernels::best();
/// assert_eq!(kernels.dot_i8(&[1, -2, 3], &[4, 5, 6]), 12);
/// assert_eq!(kernels.l2_f32(&[0.0, 3.0], &[4.0, 0.0]), 25.0);
/// ```
pub struct Kernels {
    name: &'static str,
    dot_f32: unsafe fn(&[f32], &[f32]) -> f32,
    l2_f32: unsafe fn(&[f32], &[f32]) -> f32,
    dot_i8: Pair<i32>,
    l2_i8: Pair<u32>,
    dot_u8: Pair<i32>,
    l2_u8: Pair<u32>,
    hamming: Pair<u32>,
    dot_i16_i8: One,
    dot_i16_u8: One,
    dots_i16_i8: Batch,
    dots_i16_u8: Batch,
    dots_i16_u4: Batch,
    #[cfg(feature = "codes")]
    dots_u4_u1: Planes,
    #[cfg(feature = "tiles")]
    fill_sign_tables: Fill,
    #[cfg(feature = "tiles")]
    estimate_neighbors: Estimate,
    #[cfg(feature = "tiles")]
    rotate: Rotate,
    #[cfg(feature = "codes")]
    dots_i16_u2: Batch,
    #[cfg(feature = "codes")]
    l2_columns_f32: Columns,
    #[cfg(feature = "codes")]
    dot_columns_f32: Columns,
    widen_f16: Widen,
}

/// In a browser's download kernels are paid for in bytes. Those that no search spends its time in are brief there.
const BRIEF: bool = cfg!(target_family = "wasm");

/// WebAssembly without vectors is rare, and files with such codes are rare there.
const SIMD: bool = cfg!(target_feature = "simd128");

/// Stamps out one backend: wrappers with its target features, and its table.
macro_rules! backend {
    ($module:ident, $table:ident, $name:literal, $token:expr $(, $features:literal)?) => {
        mod $module {
            use super::*;

            backend!(@wrap $token, $($features)?;
                fn dot_f32(a: &[f32], b: &[f32]) -> f32 = float::dot::<_>;
                fn l2_f32(a: &[f32], b: &[f32]) -> f32 = float::l2::<_>;
                fn dot_i8(a: &[u8], b: &[u8]) -> i32 = integer::dot::<_, Signed>;
                fn l2_i8(a: &[u8], b: &[u8]) -> u32 = integer::l2::<_, Signed>;
                fn dot_u8(a: &[u8], b: &[u8]) -> i32 = integer::dot::<_, Unsigned>;
                fn l2_u8(a: &[u8], b: &[u8]) -> u32 = integer::l2::<_, Unsigned>;
                fn hamming(a: &[u8], b: &[u8]) -> u32 = integer::hamming::<_>;
                fn dot_i16_i8(query: &[i16], row: &[u8]) -> i32 = integer::dot_i16::<_, Signed>;
                fn dot_i16_u8(query: &[i16], row: &[u8]) -> i32 = integer::dot_i16::<_, Unsigned>;
                fn dots_i16_i8(query: &[i16], base: &[u8], offsets: &[usize], out: &mut [i32]) -> () = batch::dots::<_, Signed>;
                fn dots_i16_u8(query: &[i16], base: &[u8], offsets: &[usize], out: &mut [i32]) -> () = batch::dots::<_, Unsigned>;
                fn dots_i16_u4(query: &[i16], base: &[u8], offsets: &[usize], out: &mut [i32]) -> () = batch::dots::<_, Nibbles>;
                fn widen_f16(half: &[u16], out: &mut [f32]) -> () = half::widen::<_>;
            );
            #[cfg(feature = "tiles")]
            backend!(@wrap $token, $($features)?;
                fn fill_sign_tables(query: &[f32], tables: &mut [u8]) -> f32 = fastscan::fill::<_>;
                fn estimate_neighbors(query: Asked<'_>, base: f32, most: f32, row: &[u8], next: &[u8], out: &mut [f32; COLUMNS]) -> u32 =
                    fastscan::estimate::<_>;
                fn rotate(signs: &[f32], vector: &mut [f32]) -> () = rotate::rotate::<_>;
            );
            #[cfg(feature = "codes")]
            backend!(@wrap $token, $($features)?;
                fn dots_u4_u1(planes: &[u8], base: &[u8], offsets: &[usize], out: &mut [u32]) -> () = planes::dots::<_>;
                fn dots_i16_u2(query: &[i16], base: &[u8], offsets: &[usize], out: &mut [i32]) -> () = batch::dots::<_, Quarters>;
                fn l2_columns_f32(query: &[f32], columns: &[f32], out: &mut [f32]) -> () = columns::l2::<_>;
                fn dot_columns_f32(query: &[f32], columns: &[f32], out: &mut [f32]) -> () = columns::dot::<_>;
            );
        }

        static $table: Kernels = Kernels {
            name: $name,
            dot_f32: $module::dot_f32,
            l2_f32: $module::l2_f32,
            dot_i8: if BRIEF { brief::dot_i8 } else { $module::dot_i8 as Pair<i32> },
            l2_i8: if BRIEF { brief::l2_i8 } else { $module::l2_i8 as Pair<u32> },
            dot_u8: if BRIEF { brief::dot_u8 } else { $module::dot_u8 as Pair<i32> },
            l2_u8: if BRIEF { brief::l2_u8 } else { $module::l2_u8 as Pair<u32> },
            hamming: if BRIEF { brief::hamming } else { $module::hamming as Pair<u32> },
            dot_i16_i8: $module::dot_i16_i8,
            dot_i16_u8: $module::dot_i16_u8,
            dots_i16_i8: $module::dots_i16_i8,
            dots_i16_u8: $module::dots_i16_u8,
            dots_i16_u4: if BRIEF && !SIMD { brief::dots_i16_u4 } else { $module::dots_i16_u4 as Batch },
            #[cfg(feature = "codes")]
            dots_u4_u1: $module::dots_u4_u1,
            #[cfg(feature = "tiles")]
            fill_sign_tables: $module::fill_sign_tables,
            #[cfg(feature = "tiles")]
            estimate_neighbors: $module::estimate_neighbors,
            #[cfg(feature = "tiles")]
            rotate: if BRIEF { brief::rotate } else { $module::rotate as Rotate },
            #[cfg(feature = "codes")]
            dots_i16_u2: $module::dots_i16_u2,
            #[cfg(feature = "codes")]
            l2_columns_f32: $module::l2_columns_f32,
            #[cfg(feature = "codes")]
            dot_columns_f32: $module::dot_columns_f32,
            widen_f16: if BRIEF { half::brief } else { $module::widen_f16 as Widen },
        };
    };
    (@wrap $token:expr, $features:literal; $(fn $name:ident($($arg:ident: $type:ty),*) -> $result:ty = $kernel:expr;)*) => {
        $(
            /// # Safety
            /// The CPU has the backend's instructions.
            #[target_feature(enable = $features)]
            pub(super) unsafe fn $name($($arg: $type),*) -> $result {
                // SAFETY: the caller promises the instructions that the token stands for.
                ($kernel)(unsafe { $token }, $($arg),*)
            }
        )*
    };
    (@wrap $token:expr, ; $(fn $name:ident($($arg:ident: $type:ty),*) -> $result:ty = $kernel:expr;)*) => {
        $(
            /// Needs nothing beyond the target's baseline.
            pub(super) fn $name($($arg: $type),*) -> $result {
                ($kernel)($token, $($arg),*)
            }
        )*
    };
}

backend!(scalar, SCALAR, "scalar", Scalar);

cfg_if::cfg_if! {
    if #[cfg(target_arch = "x86_64")] {
        use crate::simd::{Avx2, Avx512};
        backend!(avx2, AVX2, "avx2", Avx2::assume(), "avx2,f16c");
        backend!(
            avx512, AVX512, "avx512", Avx512::assume(),
            "avx2,f16c,avx512f,avx512bw,avx512vl,avx512vnni,avx512vpopcntdq"
        );
    } else if #[cfg(all(target_arch = "aarch64", target_feature = "neon"))] {
        use crate::simd::Neon;
        backend!(neon, NEON, "neon", Neon);
    } else if #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))] {
        use crate::simd::Wasm128;
        backend!(wasm128, WASM128, "wasm128", Wasm128);
    }
}

/// Whether the CPU has a feature: asked at run time under `std`, else known from the build.
#[cfg(target_arch = "x86_64")]
macro_rules! detected {
    ($($feature:tt),*) => {{
        #[cfg(any(feature = "std", test))]
        let found = $(std::arch::is_x86_feature_detected!($feature))&&*;
        #[cfg(not(any(feature = "std", test)))]
        let found = $(cfg!(target_feature = $feature))&&*;
        found
    }};
}

impl Kernels {
    /// Every table this CPU can run, slowest first; the first is always `scalar`.
    pub fn available() -> impl Iterator<Item = &'static Kernels> {
        cfg_if::cfg_if! {
            if #[cfg(target_arch = "x86_64")] {
                let wide = detected!("avx512f", "avx512bw", "avx512vl", "avx512vnni", "avx512vpopcntdq");
                let avx2 = detected!("avx2", "f16c");
                let fast = [avx2.then_some(&AVX2), (avx2 && wide).then_some(&AVX512)];
            } else if #[cfg(all(target_arch = "aarch64", target_feature = "neon"))] {
                let fast = [Some(&NEON)];
            } else if #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))] {
                let fast = [Some(&WASM128)];
            } else {
                let fast = [None];
            }
        }
        core::iter::once(&SCALAR).chain(fast.into_iter().flatten())
    }

    /// The fastest table of this CPU, or the one that the environment names in `NEARSHORE_SIMD`
    /// (native builds with `std`; a name that is unknown here is ignored). Decided once.
    pub fn best() -> &'static Kernels {
        cfg_if::cfg_if! {
            if #[cfg(all(feature = "std", not(target_family = "wasm")))] {
                static BEST: std::sync::OnceLock<&'static Kernels> = std::sync::OnceLock::new();
                BEST.get_or_init(|| {
                    let forced = std::env::var("NEARSHORE_SIMD").ok();
                    forced.and_then(|name| Self::by_name(&name)).unwrap_or_else(Self::fastest)
                })
            } else {
                Self::fastest()
            }
        }
    }

    /// The table of that name, if this CPU can run it.
    pub fn by_name(name: &str) -> Option<&'static Kernels> {
        Self::available().find(|kernels| kernels.name == name)
    }

    fn fastest() -> &'static Kernels {
        Self::available().last().unwrap_or(&SCALAR)
    }

    /// `scalar`, `avx2`, `avx512`, `neon` or `wasm128`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Dot product, the same bits on every backend.
    ///
    /// # Panics
    /// If the lengths differ (as every kernel of a pair does).
    #[inline]
    pub fn dot_f32(&self, a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.dot_f32)(a, b) }
    }

    /// Squared Euclidean distance, the same bits on every backend.
    #[inline]
    pub fn l2_f32(&self, a: &[f32], b: &[f32]) -> f32 {
        assert_eq!(a.len(), b.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.l2_f32)(a, b) }
    }

    /// Dot product over the full range -128..=127; exact up to 131,071 dimensions.
    #[inline]
    pub fn dot_i8(&self, a: &[i8], b: &[i8]) -> i32 {
        assert_eq!(a.len(), b.len());
        let (a, b) = (bytemuck::cast_slice(a), bytemuck::cast_slice(b));
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.dot_i8)(a, b) }
    }

    /// Squared Euclidean distance; exact up to 66,051 dimensions.
    #[inline]
    pub fn l2_i8(&self, a: &[i8], b: &[i8]) -> u32 {
        assert_eq!(a.len(), b.len());
        let (a, b) = (bytemuck::cast_slice(a), bytemuck::cast_slice(b));
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.l2_i8)(a, b) }
    }

    /// Dot product; exact up to 66,051 dimensions.
    #[inline]
    pub fn dot_u8(&self, a: &[u8], b: &[u8]) -> u32 {
        assert_eq!(a.len(), b.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.dot_u8)(a, b) }.cast_unsigned()
    }

    /// Squared Euclidean distance; exact up to 66,051 dimensions.
    #[inline]
    pub fn l2_u8(&self, a: &[u8], b: &[u8]) -> u32 {
        assert_eq!(a.len(), b.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.l2_u8)(a, b) }
    }

    /// Number of bits in which `a` and `b` differ.
    ///
    /// # Panics
    /// If the lengths differ or are 2^29 or more, where the count would not fit.
    #[inline]
    pub fn hamming(&self, a: &[u8], b: &[u8]) -> u32 {
        assert!(a.len() == b.len() && a.len() < 1 << 29);
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.hamming)(a, b) }
    }

    /// Dot product of a query prepared as `i16` with a row of `i8`. Exact while the sum fits `i32`,
    /// which the caller sees to; beyond that it wraps.
    #[inline]
    pub fn dot_i16_i8(&self, query: &[i16], row: &[i8]) -> i32 {
        assert_eq!(query.len(), row.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.dot_i16_i8)(query, bytemuck::cast_slice(row)) }
    }

    /// Dot product of a query prepared as `i16` with a row of `u8`; see [`Kernels::dot_i16_i8`].
    #[inline]
    pub fn dot_i16_u8(&self, query: &[i16], row: &[u8]) -> i32 {
        assert_eq!(query.len(), row.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.dot_i16_u8)(query, row) }
    }

    /// Many rows at once: `out[i] = dot(query, base[offsets[i]..][..query.len()])`, bytes read as
    /// `i8`. Rows may lie anywhere, at any alignment; later rows are prefetched.
    ///
    /// # Panics
    /// If `offsets` and `out` differ in length, or a row does not lie inside `base`.
    #[inline]
    pub fn dots_i16_i8(&self, query: &[i16], base: &[u8], offsets: &[usize], out: &mut [i32]) {
        assert_eq!(offsets.len(), out.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.dots_i16_i8)(query, base, offsets, out) }
    }

    /// Many rows at once, bytes read as `u8`; see [`Kernels::dots_i16_i8`].
    #[inline]
    pub fn dots_i16_u8(&self, query: &[i16], base: &[u8], offsets: &[usize], out: &mut [i32]) {
        assert_eq!(offsets.len(), out.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.dots_i16_u8)(query, base, offsets, out) }
    }

    /// Many rows of `u4` at once, two codes a byte: of each 32 dimensions, dimension `j` is the low half of byte `j` and dimension
    /// `j + 16` its high half. A row is `query.len()` rounded up to 32 codes, 16 bytes each; see [`Kernels::dots_i16_i8`].
    #[inline]
    pub fn dots_i16_u4(&self, query: &[i16], base: &[u8], offsets: &[usize], out: &mut [i32]) {
        assert_eq!(offsets.len(), out.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.dots_i16_u4)(query, base, offsets, out) }
    }

    /// Many rows of one bit a dimension against a query of four, given as planes one behind the other: plane `j` holds bit `j` of every
    /// dimension. Rows are as long as a plane, a multiple of 64 bytes; what follows the codes in a row meets zeros of the planes.
    /// Exact up to 2^28 dimensions.
    ///
    /// # Panics
    /// If `offsets` and `out` differ in length, the planes are not four of a multiple of 64 bytes, or a row does not lie inside `base`.
    #[cfg(feature = "codes")]
    #[inline]
    pub fn dots_u4_u1(&self, planes: &[u8], base: &[u8], offsets: &[usize], out: &mut [u32]) {
        assert!(offsets.len() == out.len() && planes.len().is_multiple_of(4 * 64) && planes.len() < 1 << 27);
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.dots_u4_u1)(planes, base, offsets, out) }
    }

    /// Fills the tables in which a rotated query's dot products with signs are looked up, and returns the step that its coordinates were
    /// rounded to; see [`Kernels::estimate_neighbors`]. The same bits on every backend.
    ///
    /// # Panics
    /// If there are not 16 bytes of tables for each four coordinates.
    #[cfg(feature = "tiles")]
    #[inline]
    pub(crate) fn fill_sign_tables(&self, query: &[f32], tables: &mut [u8]) -> f32 {
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.fill_sign_tables)(query, tables) }
    }

    /// Distances of 32 neighbours of a node, estimated from one bit a dimension ([`crate::quant::neighbors`]): `base` is the query's
    /// distance from the node. The lines of `next` are prefetched. Returns a bit for each distance that is at most `most`, or no finite number.
    ///
    /// # Panics
    /// If the tables are no multiple of 64 bytes, or `row` is shorter than 256 bytes of factors and as many of codes as of tables.
    #[cfg(feature = "tiles")]
    #[inline]
    pub(crate) fn estimate_neighbors(
        &self,
        query: Asked<'_>,
        base: f32,
        most: f32,
        row: &[u8],
        next: &[u8],
        out: &mut [f32; COLUMNS],
    ) -> u32 {
        assert!(query.tables.len().is_multiple_of(64));
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.estimate_neighbors)(query, base, most, row, next, out) }
    }

    /// Rotates a vector ([`crate::quant::rotation`]) by signs of 1 and -1, a vector's length of them a round; the same bits on every backend.
    ///
    /// # Panics
    /// If its length is no positive multiple of 64.
    #[cfg(feature = "tiles")]
    #[inline]
    pub(crate) fn rotate(&self, signs: &[f32], vector: &mut [f32]) {
        assert!(!vector.is_empty() && vector.len().is_multiple_of(64));
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.rotate)(signs, vector) }
    }

    /// Many rows of `u2` at once, four codes a byte: of each 32 dimensions, which are 8 bytes, dimension `j` is in byte `j % 8`, shifted
    /// by `2 * (j / 8)` bits. A row is `query.len()` rounded up to 32 codes; see [`Kernels::dots_i16_i8`].
    #[cfg(feature = "codes")]
    #[inline]
    pub fn dots_i16_u2(&self, query: &[i16], base: &[u8], offsets: &[usize], out: &mut [i32]) {
        assert_eq!(offsets.len(), out.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.dots_i16_u2)(query, base, offsets, out) }
    }

    /// Squared distances of `query` from vectors that lie column by column: `out[i]` is that of the one whose coordinate `d` is
    /// `columns[d * out.len() + i]`. Summed coordinate after coordinate, so every backend gives the same bits.
    ///
    /// # Panics
    /// If `columns` is not `query.len() * out.len()` long.
    #[cfg(feature = "codes")]
    #[inline]
    pub fn l2_columns_f32(&self, query: &[f32], columns: &[f32], out: &mut [f32]) {
        assert!(!out.is_empty() && columns.len() == query.len() * out.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.l2_columns_f32)(query, columns, out) }
    }

    /// Dot products of `query` with vectors that lie column by column; see [`Kernels::l2_columns_f32`].
    #[cfg(feature = "codes")]
    #[inline]
    pub fn dot_columns_f32(&self, query: &[f32], columns: &[f32], out: &mut [f32]) {
        assert!(!out.is_empty() && columns.len() == query.len() * out.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.dot_columns_f32)(query, columns, out) }
    }

    /// Widens IEEE halves (as bits) to f32, exactly.
    #[inline]
    pub fn widen_f16(&self, half: &[u16], out: &mut [f32]) {
        assert_eq!(half.len(), out.len());
        // SAFETY: a table is handed out only where its CPU features were detected.
        unsafe { (self.widen_f16)(half, out) }
    }

    /// Whether [`Kernels::prefetch`] does anything: WebAssembly has no such hint.
    pub const PREFETCHES: bool = crate::simd::PREFETCHES;

    /// Asks the machine to fetch every cache line of `bytes`; only a hint.
    #[inline]
    pub fn prefetch(&self, bytes: &[u8]) {
        batch::prefetch(bytes);
    }
}

impl core::fmt::Debug for Kernels {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Kernels").field("name", &self.name).finish_non_exhaustive()
    }
}
