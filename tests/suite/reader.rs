//! Golden files through `reader/shore_reader.py`, which shares no code with the library: sound, and answered alike.
//! A machine without Python 3 says so and skips.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use nearshore_core::format::{Plan, Refine};
use nearshore_tests::expected::Expected;
use nearshore_tests::golden::{FOLDER, all};
use nearshore_tests::place;
use serde_json::Value;

use super::brute;

fn python() -> bool {
    let found = Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: python3 is not on the PATH");
    }
    found
}

/// What the reader prints about a file, and whether it was content.
fn read(file: &Path, arguments: &[&str]) -> (bool, Value) {
    let script = place("reader/shore_reader.py");
    let output = Command::new("python3").arg("-B").arg(script).arg(file).arg("--json").args(arguments).output().expect("python runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.success(), value)
}

/// The queries as an `.fbin` file.
fn write_queries(name: &str, queries: &[Vec<f32>]) -> PathBuf {
    let mut bytes = [queries.len() as u32, queries[0].len() as u32].map(u32::to_le_bytes).concat();
    bytes.extend(queries.iter().flatten().flat_map(|value| value.to_le_bytes()));
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.fbin"));
    std::fs::write(&path, bytes).expect("a folder for test files");
    path
}

#[test]
fn the_independent_reader_finds_every_golden_file_sound() {
    if !python() {
        return;
    }
    for golden in all() {
        let (sound, value) = read(&place(&format!("{FOLDER}/{}.shore", golden.name())), &["--check"]);
        assert!(sound && value["ok"] == true, "{value}");
        assert_eq!(value["rows"], golden.rows, "{}", golden.name());
    }
}

#[test]
fn the_independent_reader_answers_every_scan_alike() {
    if !python() {
        return;
    }
    let mut scans = 0;
    for golden in all().into_iter().filter(|golden| golden.rows > 0) {
        let name = golden.name();
        let text = std::fs::read_to_string(place(&format!("{FOLDER}/{name}.json"))).expect("its answers");
        let expected = Expected::read(&text).expect("every field");
        let decode = |form: &nearshore_tests::expected::Form| {
            let mut query = Vec::new();
            form.query().decode(&mut query);
            query
        };
        let queries: Vec<Vec<f32>> = expected.queries.iter().map(decode).collect();
        let file = write_queries(&name, &queries);
        for refine in [Refine::Records, Refine::Originals] {
            // Integer records are the originals: there is no second table to read.
            let from = if golden.element.bytes() == 1 { Refine::Records } else { refine };
            let wanted = |case: &&nearshore_tests::expected::Case| {
                case.params.plan == Some(Plan::Scan) && case.params.refine == Some(refine) && case.params.radius.is_none()
            };
            let cases: Vec<_> = expected.cases.iter().filter(wanted).collect();
            if cases.is_empty() {
                continue;
            }
            let (rows, queries_path) = (golden.rows.to_string(), file.to_str().expect("a path"));
            let (ok, value) =
                read(&place(&format!("{FOLDER}/{name}.shore")), &["--queries", queries_path, "--k", &rows, "--refine", from.as_str()]);
            assert!(ok, "{name}: {value}");
            for case in cases {
                scans += 1;
                let hits = value["results"][case.query]["hits"].as_array().expect("hits");
                assert_eq!(hits.len(), golden.rows, "{name}");
                let distance = |hit: &Value| hit["distance"].as_f64().expect("a number");
                let by_id: BTreeMap<u64, f64> = hits.iter().map(|hit| (hit["id"].as_u64().expect("an id"), distance(hit))).collect();
                assert_eq!(case.ids.len(), case.params.k.min(golden.rows), "{name}");
                for (rank, (id, bits)) in case.ids.iter().zip(&case.bits).enumerate() {
                    let theirs = distance(&hits[rank]);
                    let ours = f64::from(f32::from_bits(*bits));
                    let slack = brute::slack(golden.metric, golden.element, from, &queries[case.query], theirs);
                    assert!((ours - theirs).abs() <= slack, "{name}, {from:?}, rank {rank}: {ours} here, {theirs} there");
                    // The same row, or one that ties with it to rounding.
                    let same_row = by_id[id];
                    assert!((same_row - theirs).abs() <= 2.0 * slack, "{name}, {from:?}, rank {rank}: id {id} is at {same_row} there");
                }
            }
        }
    }
    assert!(scans > 100, "{scans} scans compared");
}

#[test]
fn the_independent_reader_reads_the_same_columns() {
    if !python() {
        return;
    }
    let golden = all().into_iter().find(|golden| golden.columns).expect("a golden file with columns");
    let file = place(&format!("{FOLDER}/{}.shore", golden.name()));
    let (ok, value) = read(&file, &["--columns"]);
    assert!(ok, "{value}");
    let index = nearshore_core::index::Index::open(std::fs::read(&file).expect("the file")).expect("a file");
    let ids = nearshore_tests::rows::large_ids(golden.rows);
    // The file's rows are in another order than the input's.
    let source = |row: usize| ids.iter().position(|&id| id == index.id_of(row as u32).expect("a row")).expect("an id");
    use nearshore_tests::columns::{flag, n, word, x};
    type Column<'a> = (&'a str, &'a str, &'a dyn Fn(usize) -> Value);
    let wanted: [Column<'_>; 4] = [
        ("n", "i64", &|row| n(row).into()),
        ("x", "f64", &|row| x(row).map(|x| x + 0.0).into()),
        ("flag", "bool", &|row| flag(row).map(u8::from).into()),
        ("word", "string", &|row| word(row).into()),
    ];
    for (at, (name, kind, cell)) in wanted.into_iter().enumerate() {
        let column = &value["columns"][at];
        assert_eq!((column["name"].as_str(), column["type"].as_str()), (Some(name), Some(kind)));
        let values = column["values"].as_array().expect("values");
        assert_eq!(values.len(), golden.rows);
        for (row, value) in values.iter().enumerate() {
            assert_eq!(*value, cell(source(row)), "{name}, row {row}");
        }
    }
}
