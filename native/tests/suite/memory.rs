//! An input may be larger than memory: a build holds its records and its graph, never the rows.
//!
//! Anonymous memory is what a build cannot give back (the pages of mapped inputs it can), and `ulimit -d` bounds it without
//! sampling: an allocation beyond ends the process.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::{Command, Output, Stdio};

use crate::support::{Sandbox, numbers};

/// Few long rows: their 64 MiB are far more than all that is kept.
const ROWS: usize = 8192;
const DIMENSIONS: usize = 2048;
const INPUT: usize = ROWS * DIMENSIONS * 4;

/// A byte an element, and the tail of a record.
const RECORDS: usize = ROWS * (DIMENSIONS + 64);

/// 2 m slots of a neighbour for each row, with room for layers, ids and orders.
const GRAPH: usize = ROWS * (2 * M * 4 + 64);
const M: usize = 16;

/// Whatever the input: stacks of three threads, what two of them compare at once, buffers of files, the queries that measure quality.
const CONSTANT: usize = 18 << 20;

/// A file of pseudo-random rows, written piece by piece.
fn write_input(sandbox: &Sandbox) {
    let mut file = BufWriter::new(File::create(sandbox.path("base.fbin")).unwrap());
    file.write_all(&[(ROWS as u32).to_le_bytes(), (DIMENSIONS as u32).to_le_bytes()].concat()).unwrap();
    for row in 0..ROWS {
        file.write_all(bytemuck::cast_slice(&numbers(DIMENSIONS, row as u64 + 1))).unwrap();
    }
    file.flush().unwrap();
}

/// Builds `input` with at most `bytes` of anonymous memory.
fn build(sandbox: &Sandbox, input: &str, bytes: usize) -> Output {
    let options = format!("--m {M} --ef-construction 8 --threads 2 --quiet --force --tmp .");
    let line = format!("ulimit -d {}; exec \"$0\" build {input} -o base.shore {options}", bytes / 1024);
    let mut command = Command::new("sh");
    command.args(["-c", &line, env!("CARGO_BIN_EXE_nearshore")]).current_dir(sandbox.path(""));
    command.stdin(File::open(sandbox.path("base.fbin")).unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.output().unwrap()
}

#[test]
fn a_build_needs_memory_for_records_and_graph_but_not_for_its_input() {
    let sandbox = Sandbox::new();
    write_input(&sandbox);
    // While rows are linked, what leaves find takes no more than a third again.
    let limit = (RECORDS + GRAPH) / 10 * 13 + CONSTANT;
    assert!(limit < INPUT * 2 / 3, "{limit} of {INPUT} bytes prove nothing");
    let mut built = Vec::new();
    // In place, and through the temporary copy of a pipe.
    for input in ["base.fbin", "-"] {
        let output = build(&sandbox, input, limit);
        assert!(output.status.success(), "{input}: {}", String::from_utf8_lossy(&output.stderr));
        built.push(std::fs::read(sandbox.path("base.shore")).unwrap());
    }
    assert!(built[0] == built[1]);
    assert!(built[0].len() > INPUT + RECORDS, "the originals are in the file");
    assert!(!build(&sandbox, "base.fbin", RECORDS).status.success(), "the limit limits nothing");
}
