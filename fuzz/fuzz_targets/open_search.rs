//! All that an index can be asked.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nearshore_hostile::check::open_search(bytes));
