//! Files of a real build, read by `tests/reader/shore_reader.py`: it accepts all of them, and its exact search over records and
//! originals finds what a scan of this crate finds. A machine without Python 3 says so and skips.

use std::path::Path;
use std::process::Command;

use nearshore_core::build::{BuildParams, Input, build};
use nearshore_core::distance::Kernels;
use nearshore_core::format::{Element, Kind, Metric, Plan, Refine};
use nearshore_core::index::Index;
use nearshore_core::par::Serial;
use nearshore_core::search::{Scratch, SearchParams};
use nearshore_core::vectors::{Payloads, Query, Vectors};

const DIMENSIONS: usize = 20;
const K: usize = 7;

/// Small numbers that look random.
fn coordinate(row: usize, column: usize) -> u8 {
    let mixed = ((row * DIMENSIONS + column) as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 56) as u8
}

/// Rows as an element type stores them. Row 4 repeats row 3, so that there is a duplicate.
fn rows(element: Element, rows: usize) -> Vec<u8> {
    let places = (0..rows).flat_map(|row| (0..DIMENSIONS).map(move |column| coordinate(if row == 4 { 3 } else { row }, column)));
    match element {
        Element::F32 => places.flat_map(|byte| (f32::from(byte) / 64.0 - 1.5).to_le_bytes()).collect(),
        // Half precision from 1 up to 2 and its negatives: the byte is the fraction's upper bits.
        Element::F16 => places.flat_map(|byte| (u16::from(byte & 1) << 15 | 15 << 10 | u16::from(byte) << 2).to_le_bytes()).collect(),
        Element::U8 | Element::I8 => places.collect(),
    }
}

fn read(file: &Path, arguments: &[&str]) -> serde_json::Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/reader/shore_reader.py");
    let output = Command::new("python3").arg("-B").arg(script).arg(file).arg("--json").args(arguments).output().expect("python runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}: {text}{}", file.display(), String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).expect("JSON")
}

/// Builds a file, has it checked, and compares a scan's hits with the reader's.
fn compare(name: &str, metric: Metric, element: Element, count: usize) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("built");
    std::fs::create_dir_all(&folder).expect("a folder for test files");
    let data = rows(element, count);
    let ids: Vec<u64> = (0..count as u64).map(|row| (1 << 55) - 9 * row).collect();
    let text: Vec<u8> = (0..count).flat_map(|row| vec![row as u8; row % 5]).collect();
    let ends: Vec<u64> = (0..count)
        .scan(0, |end, row| {
            *end += (row % 5) as u64;
            Some(*end)
        })
        .collect();
    let input = Input {
        vectors: Vectors::packed(element, DIMENSIONS, &data).expect("rows"),
        ids: Some(&ids),
        payloads: Payloads::new(&text, &ends),
    };
    let mut params = BuildParams::default();
    params.metric = metric;
    let mut go_on = |_, _, _| core::ops::ControlFlow::Continue(());
    let (file, _) = build(&input, &params, &Serial, Kernels::best(), &mut go_on, Vec::new()).expect("a file");
    let path = folder.join(name);
    std::fs::write(&path, &file).expect("the file");
    assert_eq!(read(&path, &["--check"])["rows"], count);

    let queries = [[0.5f32; DIMENSIONS], core::array::from_fn(|column| f32::from(coordinate(9999, column)) / 64.0 - 1.0)];
    let mut bytes = [2u32, DIMENSIONS as u32].map(u32::to_le_bytes).concat();
    queries.iter().flatten().for_each(|x| bytes.extend(x.to_le_bytes()));
    let query_path = folder.join(format!("{name}.fbin"));
    std::fs::write(&query_path, bytes).expect("the queries");
    let index = Index::open(file).expect("a sound file");
    let (mut scratch, mut hits, mut payload) = (Scratch::new(), Vec::new(), Vec::new());
    for refine in [Refine::Records, Refine::Originals] {
        if refine == Refine::Originals && index.reader().section(Kind::Originals, 0).is_none() {
            continue;
        }
        let arguments = ["--queries", query_path.to_str().expect("a path"), "--k", "7", "--refine", refine.as_str()];
        let value = read(&path, &arguments);
        for (query, result) in queries.iter().zip(value["results"].as_array().expect("results")) {
            let params = SearchParams::default().k(K).plan(Plan::Scan).refine(refine);
            index.search(Query::F32(query), &params, &mut scratch, &mut hits).expect("an answer");
            let theirs = result["hits"].as_array().expect("hits");
            assert_eq!((theirs.len(), hits.len()), (K.min(count), K.min(count)), "{name}");
            // The query was rounded to 14 bits for records; rows that are nearer to each other than that may change places.
            let scale = f64::from(hits[hits.len() - 1].distance.abs()) + 1.0;
            let near = scale * if refine == Refine::Records { 2e-4 } else { 1e-5 };
            for (hit, their) in hits.iter().zip(theirs) {
                let distance = their["distance"].as_f64().expect("a number");
                assert!((f64::from(hit.distance) - distance).abs() < near, "{name} {refine}: {hit:?} against {their}");
                if let Some(same) = theirs.iter().find(|their| their["id"] == hit.id) {
                    assert_eq!(same["row"], hit.row, "{name}");
                    index.payload(hit.row, &mut payload).expect("a payload");
                    let hex: String = payload.iter().map(|byte| format!("{byte:02x}")).collect();
                    assert_eq!(same["payload"].as_str().unwrap_or_default(), hex, "{name}");
                } else {
                    let last = theirs[theirs.len() - 1]["distance"].as_f64().expect("a number");
                    assert!(last - f64::from(hit.distance) < near, "{name} {refine}: {hit:?} is missing");
                }
            }
        }
    }
}

#[test]
fn a_second_reader_agrees_on_files_of_every_metric_and_element() {
    if !Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: python3 is not on the PATH");
        return;
    }
    for (metric, element, count) in [
        (Metric::L2, Element::F32, 150),
        (Metric::Cosine, Element::F32, 150),
        (Metric::InnerProduct, Element::F32, 150),
        (Metric::L2, Element::F16, 90),
        (Metric::L2, Element::U8, 150),
        (Metric::Cosine, Element::I8, 90),
        (Metric::InnerProduct, Element::U8, 31),
        (Metric::L2, Element::F32, 2),
        (Metric::L2, Element::U8, 1),
    ] {
        compare(&format!("{metric}-{element}-{count}"), metric, element, count);
    }
}
