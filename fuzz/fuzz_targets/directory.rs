//! Header, directory and the rows that they lead to.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nearshore_hostile::check::directory(bytes));
