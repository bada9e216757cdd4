//! Square roots, rounded to the nearest on every machine alike.
//!
//! `core` has none on stable Rust, and a WebAssembly engine's own root is reached through its vectors only: there the library's, made of
//! integers, is left out of the download where vectors are, and half of it where they are not.

/// The square root.
#[inline]
pub(crate) fn sqrt(value: f64) -> f64 {
    cfg_if::cfg_if! {
        if #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))] {
            use core::arch::wasm32::{f64x2_extract_lane, f64x2_splat, f64x2_sqrt};
            f64x2_extract_lane::<0>(f64x2_sqrt(f64x2_splat(value)))
        } else {
            libm::sqrt(value)
        }
    }
}

/// The square root. Taken in f64 and rounded once more it is the nearest f32 as well: f64 has two bits more than twice as many as f32
/// (Figueroa 1995, "When is double rounding innocuous?").
#[inline]
pub(crate) fn sqrtf(value: f32) -> f32 {
    if cfg!(target_arch = "wasm32") { sqrt(f64::from(value)) as f32 } else { libm::sqrtf(value) }
}

#[cfg(test)]
mod tests {
    use super::sqrt;

    #[test]
    fn a_root_through_f64_is_the_root_of_f32() {
        // Every exponent, and mantissas from all over, both ends among them.
        let mantissas = (0..1u32 << 23).step_by(40_009).chain([1, 2, (1 << 23) - 1]);
        for bits in mantissas.flat_map(|mantissa| (0..255u32).map(move |exponent| exponent << 23 | mantissa)) {
            let value = f32::from_bits(bits);
            assert_eq!((sqrt(f64::from(value)) as f32).to_bits(), libm::sqrtf(value).to_bits(), "{value}");
        }
    }
}
