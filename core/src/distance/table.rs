//! The tables: one set of function pointers per backend, and the choice among them.
//!
//! Each entry is a wrapper that carries its backend's `#[target_feature]` and inlines the generic
//! kernel. This is the only place that asks what the CPU can do.

mod calls;

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
#[cfg(not(target_family = "wasm"))]
type One = unsafe fn(&[i16], &[u8]) -> i32;
/// Query, base, offsets, out.
type Batch = unsafe fn(&[i16], &[u8], &[usize], &mut [i32]);
/// Query, rows, out.
#[cfg(any(feature = "live", target_family = "wasm"))]
type Rows = unsafe fn(&[i16], &[&[u8]], &mut [i32]);
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
    #[cfg(not(target_family = "wasm"))]
    dot_i16_i8: One,
    #[cfg(not(target_family = "wasm"))]
    dot_i16_u8: One,
    #[cfg(not(target_family = "wasm"))]
    dots_i16_i8: Batch,
    #[cfg(not(target_family = "wasm"))]
    dots_i16_u8: Batch,
    dots_i16_u4: Batch,
    #[cfg(any(feature = "live", target_family = "wasm"))]
    rows_i16_i8: Rows,
    #[cfg(any(feature = "live", target_family = "wasm"))]
    rows_i16_u8: Rows,
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
                fn dots_i16_u4(query: &[i16], base: &[u8], offsets: &[usize], out: &mut [i32]) -> () = batch::dots::<_, Nibbles, usize>;
                fn widen_f16(half: &[u16], out: &mut [f32]) -> () = half::widen::<_>;
            );
            #[cfg(not(target_family = "wasm"))]
            backend!(@wrap $token, $($features)?;
                fn dot_i16_i8(query: &[i16], row: &[u8]) -> i32 = integer::dot_i16::<_, Signed>;
                fn dot_i16_u8(query: &[i16], row: &[u8]) -> i32 = integer::dot_i16::<_, Unsigned>;
                fn dots_i16_i8(query: &[i16], base: &[u8], offsets: &[usize], out: &mut [i32]) -> () = batch::dots::<_, Signed, usize>;
                fn dots_i16_u8(query: &[i16], base: &[u8], offsets: &[usize], out: &mut [i32]) -> () = batch::dots::<_, Unsigned, usize>;
            );
            #[cfg(any(feature = "live", target_family = "wasm"))]
            backend!(@wrap $token, $($features)?;
                fn rows_i16_i8(query: &[i16], rows: &[&[u8]], out: &mut [i32]) -> () = batch::rows::<_, Signed>;
                fn rows_i16_u8(query: &[i16], rows: &[&[u8]], out: &mut [i32]) -> () = batch::rows::<_, Unsigned>;
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
                fn dots_i16_u2(query: &[i16], base: &[u8], offsets: &[usize], out: &mut [i32]) -> () = batch::dots::<_, Quarters, usize>;
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
            #[cfg(not(target_family = "wasm"))]
            dot_i16_i8: $module::dot_i16_i8,
            #[cfg(not(target_family = "wasm"))]
            dot_i16_u8: $module::dot_i16_u8,
            #[cfg(not(target_family = "wasm"))]
            dots_i16_i8: $module::dots_i16_i8,
            #[cfg(not(target_family = "wasm"))]
            dots_i16_u8: $module::dots_i16_u8,
            dots_i16_u4: if BRIEF && !SIMD { brief::dots_i16_u4 } else { $module::dots_i16_u4 as Batch },
            #[cfg(any(feature = "live", target_family = "wasm"))]
            rows_i16_i8: $module::rows_i16_i8,
            #[cfg(any(feature = "live", target_family = "wasm"))]
            rows_i16_u8: $module::rows_i16_u8,
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
}

impl core::fmt::Debug for Kernels {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Kernels").field("name", &self.name).finish_non_exhaustive()
    }
}
