//! Filters on golden files: what they select, and what searches among it find.

use std::fs;
use std::ops::ControlFlow;

use nearshore_core::build::{BuildParams, Input, build_with_columns};
use nearshore_core::distance::Kernels;
use nearshore_core::filter::{ColumnInput, ColumnType, Filter, Value, Values};
use nearshore_core::format::{Element, Kind, Plan};
use nearshore_core::index::Index;
use nearshore_core::par::Serial;
use nearshore_core::search::{Scratch, SearchParams};
use nearshore_core::vectors::{Payloads, Query, Vectors};
use nearshore_tests::columns::{WORDS, flag, n, word, x};
use nearshore_tests::golden::{FOLDER, Golden, all};
use nearshore_tests::{place, rows};

type Passes = fn(usize) -> bool;

/// Conditions, and what they mean for an input row.
const CONDITIONS: [(&str, Passes); 12] = [
    ("n < 0", |row| n(row).is_some_and(|n| n < 0)),
    ("n >= -9223372036854775808 and n <= 9.3e18", |row| n(row).is_some()),
    ("not n < 0.5", |row| n(row).is_none_or(|n| n >= 1)),
    ("n is null or x is null", |row| n(row).is_none() || x(row).is_none()),
    ("x = 0", |row| x(row) == Some(0.0)),
    ("x between -1.25 and 3", |row| x(row).is_some_and(|x| (-1.25..=3.0).contains(&x))),
    ("flag", |row| flag(row) == Some(true)),
    ("not flag and flag is not null", |row| flag(row) == Some(false)),
    ("word > \"a\" and word <= \"b\"", |row| word(row).is_some_and(|word| word > "a" && word <= "b")),
    ("word in (\"caf\u{e9}\", \"missing\", \"\")", |row| [Some("caf\u{e9}"), Some("")].contains(&word(row))),
    ("word != \"ab\"", |row| word(row).is_some_and(|word| word != "ab")),
    ("full = 91 or full = 119", |row| row == 91 || row == 119),
];

fn goldens() -> Vec<(Golden, Vec<u8>)> {
    let read = |golden: Golden| (golden, fs::read(place(&format!("{FOLDER}/{}.shore", golden.name()))).expect("the file"));
    all().into_iter().filter(|golden| golden.columns).map(read).collect()
}

/// The one with a graph.
fn golden() -> (Golden, Vec<u8>) {
    goldens().into_iter().find(|(golden, _)| golden.tiles.is_none()).expect("a golden file with columns")
}

#[test]
fn conditions_select_the_rows_that_they_mean() {
    assert_eq!(goldens().len(), 2, "one of them in tiles");
    for (golden, file) in goldens() {
        let ids = rows::large_ids(golden.rows);
        let index = Index::open(file).expect("a file");
        for (text, passes) in CONDITIONS {
            let selected = index.select(&Filter::parse(text).expect(text)).expect(text);
            let mut found: Vec<u64> = selected.iter().map(|row| index.id_of(row).expect("a row")).collect();
            found.sort_unstable();
            let mut wanted: Vec<u64> = (0..golden.rows).filter(|&row| passes(row)).map(|row| ids[row]).collect();
            wanted.sort_unstable();
            assert_eq!(found, wanted, "{}: {text}", golden.name());
            assert!(!found.is_empty() && found.len() < golden.rows, "{text}");
        }
    }
}

#[test]
fn every_backend_finds_the_same_by_every_plan_and_as_many_as_there_are() {
    let (golden, file) = golden();
    let mut answers = Vec::new();
    for kernels in Kernels::available() {
        let index = Index::open(&file).expect("a file").with_kernels(kernels);
        let (mut scratch, mut hits, mut answer) = (Scratch::new(), Vec::new(), Vec::new());
        for (text, _) in CONDITIONS {
            let rows = index.select(&Filter::parse(text).expect(text)).expect(text);
            for plan in [Plan::Scan, Plan::Walk] {
                let query: Vec<i8> = (0..golden.dimensions).map(|column| column as i8 * 9 - 30).collect();
                let params = SearchParams::ef(20).k(5).plan(plan);
                let stats = index.search_where(Query::I8(&query), &params, &rows, &mut scratch, &mut hits).expect(text);
                assert_eq!(hits.len(), rows.len().min(5), "{text}, {plan}");
                assert!(hits.iter().all(|hit| rows.contains(hit.row)));
                answer.push((stats, hits.iter().map(|hit| (hit.id, hit.distance.to_bits())).collect::<Vec<_>>()));
            }
        }
        answers.push(answer);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}

#[test]
fn a_file_says_what_its_columns_are() {
    let (golden, file) = golden();
    let index = Index::open(file).expect("a file");
    let columns = index.columns().expect("columns");
    let described: Vec<_> = columns.iter().map(|column| (column.name.as_str(), column.kind)).collect();
    let types = [ColumnType::I64, ColumnType::F64, ColumnType::Bool, ColumnType::Text, ColumnType::I64];
    assert_eq!(described, ["n", "x", "flag", "word", "full"].into_iter().zip(types).collect::<Vec<_>>());
    let without: Vec<u64> = columns.iter().map(|column| column.nulls).collect();
    let count = |none: &dyn Fn(usize) -> bool| (0..golden.rows).filter(|&row| none(row)).count() as u64;
    let none = [count(&|row| n(row).is_none()), count(&|row| x(row).is_none()), count(&|row| flag(row).is_none())];
    assert_eq!(without, [none[0], none[1], none[2], count(&|row| word(row).is_none()), 0]);
    assert_eq!(columns[0].range, Some((Value::I64(i64::MIN + 1), Value::I64(i64::MAX - 2))));
    assert_eq!(columns[3].range, None);
    assert_eq!((columns[3].words, columns[4].range.clone()), (WORDS.len() as u64, Some((Value::I64(0), Value::I64(119)))));
}

/// A file of as many rows as `values`, with one column.
fn file_with(values: Values<'_>, nulls: &[u8]) -> Index<Vec<u8>> {
    let vectors: Vec<u8> = (0..values.rows()).flat_map(|row| [row as u8, (row >> 8) as u8]).collect();
    let input = Input { vectors: Vectors::packed(Element::U8, 2, &vectors).expect("rows"), ids: None, payloads: None };
    let column = ColumnInput { name: "c", values, nulls: Some(nulls) };
    let go_on = &mut |_, _, _| ControlFlow::Continue(());
    let built = build_with_columns(&input, &[column], &BuildParams::default(), &Serial, Kernels::best(), go_on, Vec::new());
    Index::open(built.expect("a file").0).expect("a file")
}

#[test]
fn a_value_takes_as_few_bytes_as_its_column_needs() {
    let stride = |index: &Index<Vec<u8>>| index.reader().section(Kind::Column, 0).expect("a column").table().stride;
    let ranges = [
        (7, 7, 1),
        (-3, 252, 1),
        (-3, 253, 2),
        (i64::MIN, i64::MIN + 65_535, 2),
        (i64::MAX - 65_536, i64::MAX, 4),
        (-5_000_000_000, -5_000_000_000 + 0xffff_ffff, 4),
        (0, 0x1_0000_0000, 8),
        (i64::MIN, i64::MAX, 8),
    ];
    for (low, high, bytes) in ranges {
        // The third row has no value: what is given for it, beyond all others, is of no account.
        let given = [high, low, 0, low, high];
        let index = file_with(Values::I64(&given), &[0b100]);
        assert_eq!(stride(&index), bytes, "{low} to {high}");
        index.check(&mut |_, _| ()).expect("sound");
        let values = index.column_values().expect("values");
        for (row, value) in given.into_iter().enumerate() {
            let id = index.row_of(row as u64).expect("a row").expect("a row");
            assert_eq!(values.row(id).expect("values"), [(row != 2).then_some(Value::I64(value))], "{low} to {high}");
        }
        for (text, count) in [(format!("c = {low}"), if low == high { 4 } else { 2 }), (format!("c >= {low} and c <= {high}"), 4)] {
            assert_eq!(index.select(&Filter::parse(&text).expect("a condition")).expect("rows").len(), count, "{text}, {low} to {high}");
        }
    }
    for (words, bytes) in [(1u32, 1), (256, 1), (257, 2)] {
        let text: Vec<u8> = (0..words).flat_map(|word| format!("{word:05}").into_bytes()).collect();
        let ends: Vec<u64> = (1..=u64::from(words)).map(|row| 5 * row).collect();
        let index = file_with(Values::Text(Payloads::new(&text, &ends).expect("texts")), &vec![0; words.div_ceil(8) as usize]);
        assert_eq!(stride(&index), bytes, "{words} words");
        let last = Filter::parse(&format!("c >= \"{:05}\"", words - 1)).expect("a condition");
        assert_eq!(
            index.select(&last).expect("rows").iter().map(|row| index.id_of(row).expect("a row")).collect::<Vec<_>>(),
            [u64::from(words) - 1]
        );
    }
}
