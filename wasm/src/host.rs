//! What the engine tells the JavaScript around it: how far a build is, and where a panic happened.

use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    /// `done` of `total` rows of a stage; `false` asks to stop.
    #[cfg(feature = "full")]
    #[wasm_bindgen(js_namespace = host)]
    pub(crate) fn progress(stage: u32, done: f64, total: f64) -> bool;

    #[cfg(target_family = "wasm")]
    #[wasm_bindgen(js_namespace = host)]
    fn panicked(file: &str, line: u32);
}

/// Says where the bug is before the instance traps. The message is left out: the place is enough to find it, and formatting would weigh
/// more than the rest of this crate. Inside its one caller, the optimiser sees that nobody reads a message, and drops what makes them.
#[cfg(target_family = "wasm")]
#[panic_handler]
#[allow(unused_attributes, reason = "what is exported is not inlined by rustc, but by LLVM all the same")]
#[inline(always)]
fn tell(panic: &core::panic::PanicInfo<'_>) -> ! {
    if let Some(place) = panic.location() {
        panicked(place.file(), place.line());
    }
    core::arch::wasm32::unreachable()
}
