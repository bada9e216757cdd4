//! Files of this writer, read by `tests/reader/shore_reader.py`, which shares no code with it: it accepts sound ones, decodes every
//! encoding, answers exact search, and refuses damage. A machine without Python 3 says so and skips.

use std::path::{Path, PathBuf};
use std::process::Command;

use nearshore_core::format::{Element, FileSpec, Kind, Metric, Plan, Reader, Refine, TableSpec, Writer, build_id, encoding};

const DIMENSIONS: usize = 5;
const ROWS: usize = 23;
const FACTORS: usize = 16;
const STRIDE: usize = 64;

/// Small integers that look random: exact in every element type.
fn value(row: usize, column: usize) -> i8 {
    (((row * 31 + column * 17 + 7) * 2_654_435) >> 8 & 0x3F) as i8 - if column.is_multiple_of(2) { 20 } else { 0 }
}

fn id(row: usize) -> u64 {
    (1 << 60) - 3 * row as u64
}

/// What a file holds, and what a reader should make of it.
struct Sample {
    name: &'static str,
    metric: Metric,
    element: Element,
    /// The vector as the records say it.
    decoded: Vec<Vec<f64>>,
    bytes: Vec<u8>,
}

fn sample(name: &'static str, metric: Metric, element: Element) -> Sample {
    let mean = if element == Element::F32 || element == Element::F16 { [0.5f32, -1.0, 0.0, 2.0, 0.25] } else { [0.0; 5] };
    let record_encoding = match element {
        Element::U8 => encoding::EXACT_U8,
        Element::I8 => encoding::EXACT_I8,
        Element::F32 | Element::F16 => encoding::SCALED_I8,
    };
    let (mut decoded, mut records, mut originals, mut edges, mut ids, mut payload) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in 0..ROWS {
        let scale = if record_encoding == encoding::SCALED_I8 { 0.125 + row as f32 / 64.0 } else { 1.0 };
        let codes: Vec<i16> =
            (0..DIMENSIONS).map(|c| i16::from(value(row, c))).map(|v| if element == Element::U8 { v + 150 } else { v }).collect();
        let squares: i32 = codes.iter().map(|&c| i32::from(c) * i32::from(c)).sum();
        let vector: Vec<f64> = codes.iter().zip(mean).map(|(&c, m)| f64::from(f32::from(c) * scale + m)).collect();
        let mut record = vec![0; STRIDE];
        codes.iter().zip(&mut record).for_each(|(&code, byte)| *byte = code as u8);
        let norm = if record_encoding == encoding::SCALED_I8 { (scale * scale * squares as f32).to_bits() } else { squares as u32 };
        let text = format!("row {row}");
        for (at, field) in [
            (0, &scale.to_le_bytes()[..]),
            (4, &norm.to_le_bytes()),
            (8, &1f32.to_le_bytes()),
            (16, &id(row).to_le_bytes()),
            (24, &(payload.len() as u64).to_le_bytes()),
            (32, &(text.len() as u32).to_le_bytes()),
        ] {
            record[FACTORS + at..][..field.len()].copy_from_slice(field);
        }
        payload.extend_from_slice(text.as_bytes());
        records.extend(record);
        edges.extend(((row as u32 + 1) % ROWS as u32).to_le_bytes());
        edges.extend(u32::MAX.to_le_bytes());
        let mut original = vec![0; 32];
        for (column, code) in codes.iter().enumerate() {
            match element {
                Element::F32 => original[4 * column..][..4].copy_from_slice(&f32::from(*code).to_le_bytes()),
                // Small integers in half precision: 2^10 makes the integer the fraction's bits.
                Element::F16 => original[2 * column..][..2].copy_from_slice(&half(*code).to_le_bytes()),
                Element::U8 | Element::I8 => original[column] = *code as u8,
            }
        }
        originals.extend(original);
        decoded.push(vector);
    }
    for row in (0..ROWS).rev() {
        ids.extend(id(row).to_le_bytes());
        ids.extend((row as u64).to_le_bytes());
    }
    let mut quant = Vec::new();
    for word in [1, DIMENSIONS as u32, record_encoding, 0] {
        quant.extend(word.to_le_bytes());
    }
    mean.iter().for_each(|m| quant.extend(m.to_le_bytes()));
    let file = FileSpec {
        rows: ROWS as u64,
        dimensions: DIMENSIONS as u32,
        metric,
        element,
        plan: Plan::Walk,
        refine: Refine::Records,
        seed: 3,
        build_id: build_id(&[name.as_bytes()]),
    };
    let rows = ROWS as u64;
    let tables = [
        (TableSpec::blob(Kind::Meta, 2).hot(), b"{}".to_vec()),
        (TableSpec::blob(Kind::Quant, quant.len() as u64).hot(), quant),
        (TableSpec::table(Kind::Records, rows, 64).encoding(record_encoding).parameter(16).block_rows(4), records),
        (TableSpec::table(Kind::Edges, rows, 8).parameter(2).block_rows(3), edges),
        (TableSpec::table(Kind::IdsIndex, rows, 16), ids),
        (TableSpec::blob(Kind::Deleted, 3), vec![0b10, 0, 0]),
        (TableSpec::blob(Kind::Payload, payload.len() as u64), payload),
        (TableSpec::table(Kind::Originals, rows, 32).encoding(element as u32).block_rows(7), originals),
    ];
    let mut writer = Writer::new(Vec::new(), &file, &tables.each_ref().map(|(spec, _)| *spec)).expect("a good specification");
    tables.iter().for_each(|(_, bytes)| writer.rows(bytes).expect("room"));
    Sample { name, metric, element, decoded, bytes: writer.finish().expect("full tables").0 }
}

/// An integer of at most 10 bits as half precision.
fn half(value: i16) -> u16 {
    let magnitude = value.unsigned_abs();
    if magnitude == 0 {
        return 0;
    }
    let top = magnitude.ilog2() as u16;
    u16::from(value < 0) << 15 | (15 + top) << 10 | (magnitude << (10 - top) & 0x3FF)
}

fn distance(metric: Metric, scaled: bool, q: &[f64], v: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let length = dot(q, q).sqrt();
    match metric {
        Metric::L2 => q.iter().zip(v).map(|(a, b)| (a - b) * (a - b)).sum(),
        Metric::InnerProduct => 1.0 - dot(q, v),
        Metric::Cosine if scaled => q.iter().zip(v).map(|(a, b)| (a / length - b).powi(2)).sum::<f64>() / 2.0,
        Metric::Cosine => 1.0 - dot(q, v) / (length * dot(v, v).sqrt()),
    }
}

fn python() -> Option<&'static str> {
    let found = Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: python3 is not on the PATH");
    }
    found.then_some("python3")
}

/// What the reader prints about a file, and whether it was content.
fn read(python: &str, file: &Path, arguments: &[&str]) -> (bool, serde_json::Value) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/reader/shore_reader.py");
    let output = Command::new(python).arg(script).arg(file).arg("--json").args(arguments).output().expect("python runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.success(), value)
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("a folder for test files");
    folder
}

fn samples() -> Vec<Sample> {
    vec![
        sample("l2-f32", Metric::L2, Element::F32),
        sample("cosine-f16", Metric::Cosine, Element::F16),
        sample("ip-f32", Metric::InnerProduct, Element::F32),
        sample("l2-u8", Metric::L2, Element::U8),
        sample("cosine-i8", Metric::Cosine, Element::I8),
    ]
}

#[test]
fn it_accepts_sound_files_and_agrees_on_the_header() {
    let Some(python) = python() else { return };
    for sample in samples() {
        let file = folder("sound").join(sample.name);
        std::fs::write(&file, &sample.bytes).expect("the file");
        let (ok, value) = read(python, &file, &["--check"]);
        assert!(ok, "{value}");
        assert_eq!(value["blocks"], 1 + 1 + 6 + 8 + 1 + 1 + 1 + 4);
        let (_, info) = read(python, &file, &[]);
        let reader = Reader::open(&sample.bytes).expect("a sound file");
        let superblock = reader.header().superblock;
        assert_eq!(info["metric"], superblock.metric.as_str());
        assert_eq!(info["element"], superblock.element.as_str());
        assert_eq!(info["build_id"], superblock.build_id);
        let identity: String = superblock.identity.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(info["identity"], identity);
        for (table, section) in info["tables"].as_array().expect("tables").iter().zip(reader.sections()) {
            assert_eq!(table["kind"], section.table().kind().expect("known").as_str());
            assert_eq!(table["offset"], section.table().offset);
        }
    }
}

#[test]
fn it_decodes_every_encoding_and_answers_as_brute_force_does() {
    let Some(python) = python() else { return };
    let queries = [[1.5f32, 2.0, -3.0, 8.0, 0.5], [30.0, -7.0, 12.0, 1.0, 9.0]];
    let mut bytes = [2u32, DIMENSIONS as u32].map(u32::to_le_bytes).concat();
    queries.iter().flatten().for_each(|x| bytes.extend(x.to_le_bytes()));
    let query_file = folder("search").join("queries.fbin");
    std::fs::write(&query_file, bytes).expect("the file");
    for sample in samples() {
        let file = folder("search").join(sample.name);
        std::fs::write(&file, &sample.bytes).expect("the file");
        let integers: Vec<Vec<f64>> = (0..ROWS)
            .map(|row| {
                (0..DIMENSIONS).map(|c| f64::from(value(row, c)) + if sample.element == Element::U8 { 150.0 } else { 0.0 }).collect()
            })
            .collect();
        for (refine, vectors) in [("records", &sample.decoded), ("originals", &integers)] {
            let scaled = refine == "records" && matches!(sample.element, Element::F32 | Element::F16);
            let arguments = ["--queries", query_file.to_str().expect("a path"), "--k", "6", "--refine", refine];
            let (ok, value) = read(python, &file, &arguments);
            assert!(ok, "{value}");
            for (query, result) in queries.iter().zip(value["results"].as_array().expect("results")) {
                let query: Vec<f64> = query.iter().map(|&x| f64::from(x)).collect();
                let mut expected: Vec<(f64, u64, usize)> = vectors
                    .iter()
                    .enumerate()
                    .filter(|(row, _)| *row != 1)
                    .map(|(row, v)| (distance(sample.metric, scaled, &query, v), id(row), row))
                    .collect();
                expected.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                let hits = result["hits"].as_array().expect("hits");
                assert_eq!(hits.len(), 6);
                for (hit, (distance, id, row)) in hits.iter().zip(&expected) {
                    assert_eq!((&hit["id"], &hit["row"]), (&(*id).into(), &(*row).into()), "{} {refine}", sample.name);
                    let found = hit["distance"].as_f64().expect("a number");
                    assert!((found - distance).abs() <= 1e-9 * (1.0 + distance.abs()), "{found} {distance}");
                    let text: String = format!("row {row}").bytes().map(|byte| format!("{byte:02x}")).collect();
                    assert_eq!(hit["payload"], text);
                }
            }
        }
    }
}

#[test]
fn it_finds_a_flipped_bit_wherever_it_is() {
    let Some(python) = python() else { return };
    let sample = sample("flipped", Metric::L2, Element::U8);
    let file = folder("flipped").join(sample.name);
    // A bit in each kind of place: fields, reserve, checksum, entries, directory's end, then all over the sections and gaps.
    let mut places = vec![40, 90, 2000, 4090, 4096, 4200, 16383];
    places.extend((16384..sample.bytes.len()).step_by(sample.bytes.len() / 24));
    for at in places {
        let mut bytes = sample.bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&file, bytes).expect("the file");
        let (ok, value) = read(python, &file, &["--check"]);
        assert!(!ok && value["ok"] == false, "byte {at}: {value}");
    }
}

#[test]
fn its_hash_gives_the_numbers_of_the_reference() {
    let Some(python) = python() else { return };
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/reader");
    let output = Command::new(python).args(["-B", "-m", "unittest", "test_reader"]).current_dir(tests).output().expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
