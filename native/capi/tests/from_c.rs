//! The library as C programs use it: compiled by the machine's C and C++ compilers without a warning, linked, run, and compared
//! with the Rust library.
//!
//! Programs run under the address sanitizer where the compiler has one. A machine without a compiler says so and skips.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nearshore::build::{BuildParams, Codes, Input, build, build_with_columns};
use nearshore::dataset::Vectors;
use nearshore::filter::{ColumnInput, Filter, Values};
use nearshore::format::Element;
use nearshore::io::FileSink;
use nearshore::search::{Layout, Scratch, SearchParams};
use nearshore::vectors::Payloads;
use nearshore::{AsQuery as _, Index, Kernels, Pool};

const C: (&str, &[&str]) = ("cc", &["-std=c11"]);
const CPP: (&str, &[&str]) = ("c++", &["-x", "c++", "-std=c++17"]);

const ROWS: usize = 2200;
const DIMENSIONS: usize = 12;
const QUERIES: usize = 60;

/// A folder of this test's own, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder for test files");
    folder
}

/// Cargo puts the library beside the tests that may link to it.
fn library_folder() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    test.parent().expect("its folder").to_owned()
}

fn there(compiler: &str) -> bool {
    let found = Command::new(compiler).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: there is no {compiler} on the PATH");
    }
    found
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Compiles `source` to a program beside it, or in `folder`; `None` without a compiler.
fn compiled(source: &Path, folder: &Path, (compiler, language): (&str, &[&str])) -> Option<PathBuf> {
    if !there(compiler) {
        return None;
    }
    let program = folder.join(source.file_stem().expect("a name"));
    let libraries = library_folder();
    let compile = |more: &[&str]| {
        Command::new(compiler)
            .args(language)
            .args(["-O1", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror"])
            .args(more)
            .arg(source)
            .arg("-I")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../include"))
            // After `-x c++`, what follows would be taken for a source as well.
            .args(["-x", "none", "-lnearshore_c", "-L"])
            .arg(&libraries)
            .arg(format!("-Wl,-rpath,{}", libraries.display()))
            .arg("-o")
            .arg(&program)
            .output()
            .expect("the compiler runs")
    };
    if !compile(&["-fsanitize=address", "-fno-omit-frame-pointer"]).status.success() {
        let output = compile(&[]);
        assert!(output.status.success(), "{compiler} {}: {}", source.display(), told(&output));
        eprintln!("without the address sanitizer, which {compiler} lacks");
    }
    Some(program)
}

/// What a program prints; it must be content.
fn run(program: &Path, folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    // Cargo names folders where an older library may lie, and they would come before the one that the program was linked to.
    command.env_remove("LD_LIBRARY_PATH").env_remove("DYLD_FALLBACK_LIBRARY_PATH");
    let output = command.args(arguments).current_dir(folder).output().expect("the program runs");
    assert!(output.status.success(), "{} {arguments:?}: {}: {}", program.display(), output.status, told(&output));
    String::from_utf8(output.stdout).expect("text")
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(name)
}

/// Rows so small that their distances, which are squares, are subnormal: whoever flushes those to zero finds all rows at one
/// place. Every fifth row is itself subnormal in part.
fn rows() -> Vec<f32> {
    let mut state = 1u64;
    let mut number = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 16_777_216.0 - 0.5
    };
    let mut rows: Vec<f32> = (0..ROWS * DIMENSIONS).map(|_| number() * 1e-20).collect();
    rows.chunks_exact_mut(DIMENSIONS).step_by(5).for_each(|row| row[0] *= 1e-20);
    rows
}

/// What `answers.c` builds and prints, by the Rust library.
fn expected(rows: &[f32], file: &Path, codes: Codes, layout: Layout) -> String {
    let bytes: Vec<u8> = rows.iter().flat_map(|number| number.to_le_bytes()).collect();
    let vectors = Vectors::packed(Element::F32, DIMENSIONS, &bytes).expect("rows");
    let ids: Vec<u64> = (0..ROWS as u64).map(|row| 1_000_000 - 3 * row).collect();
    let mut params = BuildParams::default();
    (params.m, params.ef_construction, params.codes, params.layout) = (8, 40, codes, layout);
    let input = Input { vectors, ids: Some(&ids), payloads: None };
    let (pool, sink) = (Pool::new(1).expect("one thread"), FileSink::create(file, true).expect("a file"));
    let mut go_on = |_, _, _| std::ops::ControlFlow::Continue(());
    let (sink, _) = build(&input, &params, &pool, Kernels::best(), &mut go_on, sink).expect("a build");
    sink.finish().expect("a file");
    let index = Index::open(file).expect("an index");
    let (mut scratch, mut hits, mut text) = (Scratch::new(), Vec::new(), String::new());
    for query in rows.chunks_exact(DIMENSIONS).take(QUERIES) {
        let stats = (*index).search(query.as_query(), &SearchParams::ef(40).k(10).layout(layout), &mut scratch, &mut hits).expect("hits");
        write!(text, "{} {}", stats.distances, stats.hops).expect("a string grows");
        hits.iter().for_each(|hit| write!(text, " {}:{:08x}", hit.id, hit.distance.to_bits()).expect("a string grows"));
        text.push('\n');
    }
    text
}

#[test]
fn files_and_answers_are_those_of_the_rust_library_in_any_floating_point_mode() {
    let folder = folder("answers");
    let Some(program) = compiled(&source("answers.c"), &folder, C) else { return };
    let rows = rows();
    std::fs::write(folder.join("rows"), rows.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>()).expect("rows");
    let expected = expected(&rows, &folder.join("rust.shore"), Codes::None, Layout::Lean);
    let subnormal = |bits: &str| u32::from_str_radix(bits, 16).is_ok_and(|bits| f32::from_bits(bits).is_subnormal());
    let distances = expected.split([' ', '\n']).filter_map(|hit| hit.split_once(':')).filter(|(_, bits)| subnormal(bits));
    assert!(distances.count() > QUERIES, "too few subnormal distances to notice who flushes them");
    let sizes = [ROWS, DIMENSIONS, QUERIES].map(|size| size.to_string());
    for mode in ["default", "flush", "upward", "trap"] {
        let found = run(&program, &folder, &[mode, "rows", &sizes[0], &sizes[1], &sizes[2], "c.shore", "0", "0"]);
        assert!(found == expected, "{mode}: other answers\n{found}\n{expected}");
        let (ours, theirs) = (std::fs::read(folder.join("rust.shore")), std::fs::read(folder.join("c.shore")));
        assert!(ours.expect("a file") == theirs.expect("a file"), "{mode}: other bytes");
    }
}

#[test]
fn codes_and_layouts_are_those_of_the_rust_library() {
    let folder = folder("codes");
    let Some(program) = compiled(&source("answers.c"), &folder, C) else { return };
    let rows: Vec<f32> = rows().iter().map(|number| number * 1e20).collect();
    std::fs::write(folder.join("rows"), rows.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>()).expect("rows");
    let sizes = [ROWS, DIMENSIONS, QUERIES].map(|size| size.to_string());
    let mut seen = Vec::new();
    let kinds =
        [(2, Codes::RaBitQ1, Layout::Lean), (5, Codes::Pq32, Layout::Lean), (0, Codes::None, Layout::Fast), (1, Codes::U4, Layout::Fast)];
    for (number, codes, layout) in kinds {
        let expected = expected(&rows, &folder.join("rust.shore"), codes, layout);
        let last = [number.to_string(), u8::from(layout == Layout::Fast).to_string()];
        let found = run(&program, &folder, &["default", "rows", &sizes[0], &sizes[1], &sizes[2], "c.shore", &last[0], &last[1]]);
        assert!(found == expected, "{codes:?}, {layout:?}: other answers\n{found}\n{expected}");
        let file = std::fs::read(folder.join("c.shore")).expect("a file");
        assert!(file == std::fs::read(folder.join("rust.shore")).expect("a file"), "{codes:?}, {layout:?}: other bytes");
        assert!(!seen.contains(&file), "{codes:?}, {layout:?}: the file of another");
        seen.push(file);
    }
}

#[test]
fn every_wrong_argument_is_a_status_with_words() {
    for (name, language) in [("errors-c", C), ("errors-c++", CPP)] {
        let folder = folder(name);
        if let Some(program) = compiled(&source("errors.c"), &folder, language) {
            run(&program, &folder, &["x.shore"]);
        }
    }
}

/// A file of the Rust library with columns, and what `filters.c` prints for each of these filters.
fn filtered(rows: &[f32], file: &Path, filters: &[&str]) -> String {
    let bytes: Vec<u8> = rows.iter().flat_map(|number| number.to_le_bytes()).collect();
    let vectors = Vectors::packed(Element::F32, DIMENSIONS, &bytes).expect("rows");
    let price: Vec<i64> = (0..ROWS as i64).map(|row| row * 7 % 1000).collect();
    let texts: Vec<u8> = (0..ROWS).map(|row| b"abc"[row % 3]).collect();
    let ends: Vec<u64> = (1..=ROWS as u64).collect();
    let brand = Payloads::new(&texts, &ends).expect("texts");
    let columns = [
        ColumnInput { name: "price", values: Values::I64(&price), nulls: None },
        ColumnInput { name: "brand", values: Values::Text(brand), nulls: None },
    ];
    let mut params = BuildParams::default();
    (params.m, params.ef_construction) = (8, 40);
    let input = Input { vectors, ids: None, payloads: None };
    let (pool, sink) = (Pool::new(1).expect("one thread"), FileSink::create(file, true).expect("a file"));
    let mut go_on = |_, _, _| std::ops::ControlFlow::Continue(());
    let (sink, _) = build_with_columns(&input, &columns, &params, &pool, Kernels::best(), &mut go_on, sink).expect("a build");
    sink.finish().expect("a file");
    let index = Index::open(file).expect("an index");
    let (mut scratch, mut hits, mut text) = (Scratch::new(), Vec::new(), String::new());
    for filter in filters {
        let set = index.select(&Filter::parse(filter).expect("a filter")).expect("columns");
        for query in rows.chunks_exact(DIMENSIONS).take(QUERIES) {
            let params = SearchParams::ef(40).k(10);
            let stats = (*index).search_where(query.as_query(), &params, &set, &mut scratch, &mut hits).expect("hits");
            assert_eq!(hits.len(), set.len().min(10));
            write!(text, "{} {}", stats.distances, stats.hops).expect("a string grows");
            hits.iter().for_each(|hit| write!(text, " {}:{:08x}", hit.id, hit.distance.to_bits()).expect("a string grows"));
            text.push('\n');
        }
    }
    text
}

#[test]
fn filters_select_and_refuse_as_in_the_rust_library() {
    // Half, few, one in five hundred, none, a text of the same meaning as another.
    let filters = ["price < 500", "brand = \"a\" and price < 30", "price in (7, 14)", "price > 2000", "price<500"];
    let rows: Vec<f32> = rows().iter().map(|number| number * 1e20).collect();
    for (name, language) in [("filters-c", C), ("filters-c++", CPP)] {
        let folder = folder(name);
        let Some(program) = compiled(&source("filters.c"), &folder, language) else { continue };
        let queries: Vec<u8> = rows[..QUERIES * DIMENSIONS].iter().flat_map(|number| number.to_le_bytes()).collect();
        std::fs::write(folder.join("queries"), queries).expect("queries");
        let expected = filtered(&rows, &folder.join("x.shore"), &filters);
        let found = run(&program, &folder, &[&["x.shore", "queries", &DIMENSIONS.to_string()], &filters[..]].concat());
        assert!(found == expected, "other answers\n{found}\n{expected}");
    }
}

#[test]
fn the_example_of_the_documentation_does_what_it_says() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/c.md")).expect("the page");
    let block = |language: &str| {
        let (_, rest) = page.split_once(&format!("```{language}\n")).expect("a fenced block");
        rest.split_once("```").expect("its end").0
    };
    for (name, language) in [("example-c", C), ("example-c++", CPP)] {
        let folder = folder(name);
        let source = folder.join("nearest.c");
        std::fs::write(&source, block("c")).expect("the example");
        // What C++ compilers say about `= {0}` is a matter of taste.
        let language = (language.0, [language.1, &["-Wno-missing-field-initializers"]].concat());
        if let Some(program) = compiled(&source, &folder, (language.0, &language.1)) {
            assert_eq!(run(&program, &folder, &[]), block("text"));
        }
    }
}
