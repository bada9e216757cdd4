//! What the engine tells the JavaScript around it: how far a build is, and where a panic happened.

use std::panic::PanicHookInfo;
use std::sync::Once;

use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    /// `done` of `total` rows of a stage; `false` asks to stop.
    #[cfg(feature = "full")]
    #[wasm_bindgen(js_namespace = host)]
    pub(crate) fn progress(stage: u32, done: f64, total: f64) -> bool;

    #[wasm_bindgen(js_namespace = host)]
    fn panicked(file: &str, line: u32, what: &str);
}

/// Makes a panic say where it happened before the instance traps. Text that would have to be formatted is left out: the place is enough
/// to find it, and formatting would weigh more than the rest of this crate.
pub(crate) fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(tell)));
}

fn tell(panic: &PanicHookInfo<'_>) {
    let (file, line) = panic.location().map_or(("", 0), |place| (place.file(), place.line()));
    panicked(file, line, panic.payload_as_str().unwrap_or(""));
}
