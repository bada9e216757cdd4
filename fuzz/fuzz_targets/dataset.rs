//! Files of vectors, ids, payloads and answers.

#![no_main]

use std::panic;

libfuzzer_sys::fuzz_target!(
    init: {
        // The Parquet decoder panics on some damaged pages, which its reader here expects and catches; libFuzzer's hook
        // would end the process first.
        let abort = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !panic.location().is_some_and(|place| place.file().contains("/parquet-")) {
                abort(panic);
            }
        }));
    },
    |bytes: &[u8]| nearshore_hostile::data::read(bytes)
);
