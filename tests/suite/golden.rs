//! Golden files: made again to the byte, sound, and answered the same by every backend from every kind of memory.

use std::fs;

use nearshore::Segments;
use nearshore::io::{FileSink, LoadedFile, MappedFile};
use nearshore::parts::Parts;
use nearshore::search::SearchParams;
use nearshore_core::distance::Kernels;
use nearshore_core::format::{Plan, Refine};
use nearshore_core::index::Index;
use nearshore_core::par::Serial;
use nearshore_tests::expected::Expected;
use nearshore_tests::golden::{FOLDER, Golden, all};
use nearshore_tests::{compare, keep, place, sha256};

/// Bytes that all golden files and their answers may have together.
const BYTES_MAX: u64 = 3600 * 1024;

/// A set of two of them whose ids differ.
const SET: &str = "l2-f32-1120.shores";
const SEGMENTS: [&str; 2] = ["l2-f32-1000.shore", "l2-f32-120-duplicates.shore"];

fn kept(golden: &Golden) -> (Vec<u8>, Expected) {
    let path = |ending| place(&format!("{FOLDER}/{}.{ending}", golden.name()));
    let file = fs::read(path("shore")).expect("a golden file; BLESS=1 writes them");
    let text = fs::read_to_string(path("json")).expect("its answers");
    let expected = Expected::read(&text).expect("every field");
    assert_eq!(expected.write(), text, "{}: reading and writing gives the same text", golden.name());
    (file, expected)
}

#[test]
fn golden_files_are_made_again_to_the_byte() {
    let mut differences = Vec::new();
    for golden in all() {
        let name = golden.name();
        let made = golden.make();
        let (file, summary) = golden.build(&made, &Serial, super::scalar());
        assert_eq!(summary.rows as usize, golden.rows, "{name}");
        let index = Index::open(&file).expect("a file that opens").with_kernels(super::scalar());
        let expected = Expected::of(&golden, &made, &index, sha256(&file));
        differences.extend(keep(&format!("{FOLDER}/{name}.shore"), &file).err());
        differences.extend(keep(&format!("{FOLDER}/{name}.json"), expected.write().as_bytes()).err());
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn golden_files_are_small_and_none_is_a_stray() {
    let mut names: Vec<String> = all().iter().flat_map(|golden| ["json", "shore"].map(|end| format!("{}.{end}", golden.name()))).collect();
    names.push(SET.to_owned());
    names.sort();
    let (mut found, mut bytes) = (Vec::new(), 0);
    for entry in fs::read_dir(place(FOLDER)).expect("the folder") {
        let entry = entry.expect("an entry");
        found.push(entry.file_name().into_string().expect("a plain name"));
        bytes += entry.metadata().expect("its size").len();
    }
    found.sort();
    assert_eq!(found, names);
    assert!(bytes <= BYTES_MAX, "{bytes} bytes in {FOLDER}");
}

#[test]
fn the_golden_set_is_made_again_to_the_byte_and_answers_as_its_segments_do() {
    let [set, first, second] = [SET, SEGMENTS[0], SEGMENTS[1]].map(|name| place(&format!("{FOLDER}/{name}")));
    let folder = tempfile::tempdir().expect("a folder");
    let made = folder.path().join(SET);
    let sink = FileSink::create(&made, false).expect("a file");
    Segments::make(&[&first, &second], &set, sink, &mut |_, _| {}).expect("files that fit together");
    keep(&format!("{FOLDER}/{SET}"), &fs::read(made).expect("the set")).expect("the same bytes");
    let opened = Segments::open(set).expect("a sound set");
    let query = vec![0.1f32; opened.dimensions()];
    let hits = opened.search(&query, &SearchParams::default().k(2000)).expect("a sound search");
    let mut wanted = Vec::new();
    for (segment, path) in [first, second].into_iter().enumerate() {
        let found = nearshore::Index::open(path).expect("a sound file").search(&query, &SearchParams::default().k(2000));
        wanted.extend(found.expect("a sound search").into_iter().map(|hit| (hit.distance, hit.id, segment, hit.row)));
    }
    wanted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    assert_eq!(hits.len(), 1120);
    assert!(hits.iter().map(|hit| (hit.distance, hit.id, hit.segment, hit.row)).eq(wanted));
}

#[test]
fn a_golden_list_of_parts_is_read_and_written_as_it_is_and_its_parts_are_the_file() {
    let list = place("golden/parts/cosine-f32-150-tiles.shore.json");
    let parts = Parts::read(&list).expect("a list that can be").expect("JSON");
    parts.check(&list, &mut |_, _| {}).expect("parts that are what the list says");
    assert_eq!(parts.to_json(), fs::read_to_string(&list).expect("its text"));
    let read = |name: &str| fs::read(list.with_file_name(name)).expect("a part");
    let joined: Vec<u8> = parts.parts.iter().flat_map(|part| read(&part.name)).collect();
    assert!(joined == fs::read(place(&format!("{FOLDER}/cosine-f32-150-tiles.shore"))).expect("the file"));
}

#[test]
fn every_block_and_bound_of_a_golden_file_holds() {
    for golden in all() {
        let (file, expected) = kept(&golden);
        assert_eq!(sha256(&file), expected.sha256, "{}", golden.name());
        let index = Index::open(&file).expect("a file that opens");
        index.check(&mut |_, _| {}).unwrap_or_else(|damage| panic!("{}: {damage}", golden.name()));
    }
}

#[test]
fn every_backend_answers_the_same_from_a_vec() {
    for golden in all() {
        let (file, expected) = kept(&golden);
        for kernels in Kernels::available() {
            let index = Index::open(file.clone()).expect("a file that opens").with_kernels(kernels);
            compare::check(&expected, &index, &format!("{} under {}", golden.name(), kernels.name()));
        }
    }
}

#[test]
fn every_backend_answers_the_same_from_memory_without_alignment() {
    for golden in all() {
        let (file, expected) = kept(&golden);
        let shifted: Vec<u8> = [0; 1].into_iter().chain(file).collect();
        for kernels in Kernels::available() {
            let index = Index::open(&shifted[1..]).expect("a file that opens").with_kernels(kernels);
            compare::check(&expected, &index, &format!("{} under {}, unaligned", golden.name(), kernels.name()));
        }
    }
}

#[test]
fn every_backend_answers_the_same_from_a_mapped_file() {
    for golden in all() {
        let (_, expected) = kept(&golden);
        let path = place(&format!("{FOLDER}/{}.shore", golden.name()));
        for kernels in Kernels::available() {
            let mapped = MappedFile::open(&path).expect("a file that can be mapped");
            let index = Index::open(mapped).expect("a file that opens").with_kernels(kernels);
            compare::check(&expected, &index, &format!("{} under {}, mapped", golden.name(), kernels.name()));
        }
    }
}

#[test]
fn every_backend_answers_the_same_from_a_file_half_loaded_half_mapped() {
    for golden in all() {
        let (file, expected) = kept(&golden);
        let path = place(&format!("{FOLDER}/{}.shore", golden.name()));
        for (kernels, resident) in Kernels::available().zip([file.len() as u64 / 2, 1, u64::MAX].into_iter().cycle()) {
            let loaded = LoadedFile::open(&path, resident).expect("a file that can be read and mapped");
            let index = Index::open(loaded).expect("a file that opens").with_kernels(kernels);
            compare::check(&expected, &index, &format!("{} under {}, {resident} bytes loaded", golden.name(), kernels.name()));
        }
    }
}

/// The answers were written by the code under test; a scan at least is held against arithmetic.
#[test]
fn a_scan_over_originals_agrees_with_brute_force_in_f64() {
    for golden in all().into_iter().filter(|golden| golden.rows > 0) {
        let (_, expected) = kept(&golden);
        let made = golden.make();
        let vectors = made.vectors(golden.element, golden.dimensions);
        let mut checked = 0;
        for case in &expected.cases {
            let params = &case.params;
            let exact = params.refine == Some(Refine::Originals);
            if params.plan != Some(Plan::Scan) || !exact {
                continue;
            }
            checked += 1;
            let mut query = Vec::new();
            expected.queries[case.query].query().decode(&mut query);
            let truth = super::brute::nearest(golden.metric, &vectors, &made.ids, &query);
            assert_eq!(case.ids.len(), params.k.min(golden.rows), "{}", golden.name());
            for (rank, (id, bits)) in case.ids.iter().zip(&case.bits).enumerate() {
                let found = f64::from(f32::from_bits(*bits));
                let (wanted, _) = truth[rank];
                let slack = super::brute::slack(golden.metric, golden.element, Refine::Originals, &query, wanted);
                assert!((found - wanted).abs() <= slack, "{}: rank {rank}: {found} and {wanted}", golden.name());
                let own = truth.iter().find(|hit| hit.1 == *id).expect("an id of the file").0;
                assert!((own - wanted).abs() <= 2.0 * slack, "{}: rank {rank}: id {id} is at {own}", golden.name());
            }
        }
        let originals = golden.originals || golden.element.bytes() == 1;
        assert_eq!(checked, if originals { expected.queries.len() } else { 0 }, "{}", golden.name());
    }
}
