//! All that a live index does with a file that it takes up.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nearshore_hostile::live::live(bytes));
