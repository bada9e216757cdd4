//! Makes Rust of `proto/nearshore.proto`, where the feature `grpc` is on: message types, and the descriptor that reflection
//! tells.
//!
//! The usual generators compile for a minute, as much as the whole server, to read this one file. It needs little of the
//! language, and what it uses beyond that is refused by its line: see [`parse`]. `cargo xtask test --full` compares the
//! descriptor with that of a full compiler.

#![expect(clippy::print_stdout, reason = "that is how a build script speaks to cargo")]

mod descriptor;
mod messages;
mod parse;

use std::path::Path;
use std::{env, fs};

const PROTO: &str = "proto/nearshore.proto";

fn main() {
    println!("cargo::rerun-if-changed={PROTO}");
    println!("cargo::rerun-if-changed=build");
    if env::var_os("CARGO_FEATURE_GRPC").is_none() {
        return;
    }
    let text = fs::read_to_string(PROTO).unwrap_or_else(|error| panic!("{PROTO}: {error}"));
    let file = parse::parse(&text).unwrap_or_else(|error| panic!("{PROTO}:{error}"));
    let out = env::var_os("OUT_DIR").expect("cargo says where");
    let write = |name: &str, bytes: &[u8]| fs::write(Path::new(&out).join(name), bytes).expect("the folder is ours");
    write("nearshore.v1.rs", messages::rust(&file).as_bytes());
    write("nearshore.v1.bin", &descriptor::set(&file, "nearshore.proto"));
}
