//! IEEE half precision to f32, exactly.
#![forbid(unsafe_code)]

use crate::simd::{Simd, widen_half};

/// Widens every half of `half` into `out`.
#[inline(always)]
pub(super) fn widen<S: Simd>(simd: S, half: &[u16], out: &mut [f32]) {
    let ((half, half_tail), (out, out_tail)) = (half.as_chunks::<8>(), out.as_chunks_mut::<8>());
    for (half, out) in half.iter().zip(out) {
        simd.widen_f16(half, out);
    }
    if !half_tail.is_empty() {
        let (mut half, mut wide) = ([0; 8], [0.0; 8]);
        half[..half_tail.len()].copy_from_slice(half_tail);
        simd.widen_f16(&half, &mut wide);
        out_tail.copy_from_slice(&wide[..half_tail.len()]);
    }
}

/// The same without steps, for the browser's download.
pub(super) fn brief(half: &[u16], out: &mut [f32]) {
    for (half, out) in half.iter().zip(out) {
        *out = widen_half(*half);
    }
}
