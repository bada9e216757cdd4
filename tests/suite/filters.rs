//! Filters on a file with a graph and on the same rows in tiles: the answers beside them, which the package of the browser gives as well.

use std::fs;

use nearshore_core::filter::{Filter, RowSet};
use nearshore_core::format::Plan;
use nearshore_core::index::{Asked, Excerpt, Index, Inquiry};
use nearshore_core::search::{Effort, Pending, Scratch, SearchParams};
use nearshore_core::vectors::Query;
use nearshore_tests::place;
use serde_json::Value;

fn read(name: &str) -> Vec<u8> {
    fs::read(place(&format!("conformance/{name}"))).expect("a file of the tests")
}

fn index(name: &str) -> Index<Vec<u8>> {
    Index::open(read(&format!("{name}.shore"))).expect("a sound file")
}

fn number(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|number| usize::try_from(number).ok())
}

fn params(options: &Value) -> SearchParams {
    let mut params = SearchParams::default().k(number(&options["k"]).expect("k"));
    if let Some(ef) = number(&options["ef"]) {
        params.effort = Effort::Ef(ef);
    }
    if let Some(recall) = options["recall"].as_f64() {
        params.effort = Effort::Recall(recall as f32);
    }
    params.plan = options["plan"].as_str().map(|_| Plan::Tiles);
    params
}

/// What a file that is read in parts answers about a condition: the rows, and how many rounds of blocks that took.
fn selected_in_parts(index: &Index<&[u8]>, excerpt: &mut Excerpt, file: &[u8], filter: Filter) -> (Vec<u64>, usize) {
    let (mut inquiry, mut rounds) = (Inquiry::new(), 0);
    excerpt.select(index, filter, &mut inquiry).expect("few blocks");
    loop {
        rounds += usize::from(!inquiry.wanted().is_empty());
        for at in (0..inquiry.wanted().len()).rev() {
            let block = inquiry.wanted()[at];
            let bytes = &file[block.offset as usize..][..block.bytes as usize];
            let mut damaged = bytes.to_vec();
            damaged[3] ^= 16;
            Excerpt::feed(index, &mut inquiry, at, &damaged).expect_err("a damaged block");
            Excerpt::feed(index, &mut inquiry, at, bytes).expect("a sound block");
        }
        if excerpt.advance(index, &mut inquiry).expect("a sound file") {
            break;
        }
    }
    let Asked::Rows(words) = inquiry.answer() else { panic!("no rows") };
    (words, rounds)
}

#[test]
fn searches_among_rows_give_what_is_written_beside_them() {
    let expected: Value = serde_json::from_slice(&read("filters.json")).expect("JSON");
    let queries: Vec<Vec<f32>> = serde_json::from_value(expected["queries"].clone()).expect("queries");
    let (mut scratch, mut hits, mut pending) = (Scratch::new(), Vec::new(), Pending::new());
    let mut last: Option<(String, Index<Vec<u8>>, RowSet)> = None;
    let (mut exact, mut probed) = (0, 0);
    for search in expected["searches"].as_array().expect("searches") {
        let (file, text) = (search["file"].as_str().expect("a file"), search["filter"].as_str().expect("a filter"));
        let key = format!("{file} {text}");
        if last.as_ref().is_none_or(|(of, ..)| *of != key) {
            let index = index(file);
            let rows = index.select(&Filter::parse(text).expect(text)).expect(text);
            last = Some((key, index, rows));
        }
        let Some((key, index, rows)) = &last else { continue };
        let params = params(&search["options"]);
        let query = Query::F32(&queries[number(&search["query"]).expect("a query")]);
        let stats = index.search_where(query, &params, rows, &mut scratch, &mut hits).expect(key);
        let wanted = search["hits"].as_array().expect("hits");
        let found: Vec<(u64, f32)> = hits.iter().map(|hit| (hit.id, hit.distance)).collect();
        let wanted: Vec<(u64, f32)> =
            wanted.iter().map(|hit| (hit[0].as_u64().expect("an id"), hit[1].as_f64().expect("a distance") as f32)).collect();
        assert_eq!(found, wanted, "{key} {params:?}");
        let counters = [&search["matching"], &search["distances"], &search["hops"]].map(|counter| counter.as_u64().expect("a count"));
        assert_eq!([rows.len() as u64, stats.distances, stats.hops], counters, "{key} {params:?}");
        assert_eq!(hits.len(), params.k.min(rows.len()), "{key}: never fewer than there are");
        if index.plan() == Plan::Tiles {
            index.start_where(query, &params, rows, &mut pending).expect(key);
            if rows.len() > params.k {
                *(if pending.stats().ef == 0 { &mut exact } else { &mut probed }) += 1;
            }
        }
    }
    assert!(exact > 10 && probed > 50, "both plans: {exact} exact, {probed} by tiles");
}

#[test]
fn a_file_read_in_parts_selects_the_same_rows_in_two_rounds_and_keeps_the_columns() {
    let expected: Value = serde_json::from_slice(&read("filters.json")).expect("JSON");
    for name in ["filters", "filters-tiles"] {
        let (file, index) = (read(&format!("{name}.shore")), index(name));
        let header = Index::open_prefix(&file[..16_384], file.len() as u64).expect("a sound header");
        let mut excerpt = Excerpt::new(&header).expect("room");
        let mut all = Vec::new();
        for search in expected["searches"].as_array().expect("searches").iter().filter(|search| search["file"] == name) {
            let filter = Filter::parse(search["filter"].as_str().expect("a filter")).expect("sound");
            let rows = index.select(&filter).expect("sound");
            let (words, rounds) = selected_in_parts(&header, &mut excerpt, &file, filter);
            assert_eq!(words, rows.words(), "{name}: {}", search["filter"]);
            all.push(rounds);
        }
        assert_eq!((all[0], all.iter().skip(1).all(|&rounds| rounds < 2), all.last()), (2, true, Some(&0)), "{name}: {all:?}");
        let mut inquiry = Inquiry::new();
        excerpt.select(&header, Filter::parse("prize < 3").expect("sound"), &mut inquiry).expect("few blocks");
        let error = excerpt.advance(&header, &mut inquiry).expect_err("no such column").to_string();
        assert_eq!(error, "at character 1: no column prize; there are: group, price, brand, score, sold");
    }
}

#[test]
fn a_file_read_in_parts_finds_rows_by_their_ids() {
    let file = read("filters-tiles.shore");
    let index = index("filters-tiles");
    let hot = index.reader().header().superblock.hot;
    let prefix = Index::open_prefix(&file[..(hot.0 + hot.1) as usize], file.len() as u64).expect("a sound header");
    let mut excerpt = Excerpt::new(&prefix).expect("room");
    let (mut inquiry, mut vector, mut payload) = (Inquiry::new(), Vec::new(), Vec::new());
    for id in (0..60).chain([4497, 4498, u64::MAX]) {
        for whole in [true, false] {
            Excerpt::find(&prefix, id, whole, &mut inquiry).expect("few blocks");
            loop {
                for at in 0..inquiry.wanted().len() {
                    let block = inquiry.wanted()[at];
                    Excerpt::feed(&prefix, &mut inquiry, at, &file[block.offset as usize..][..block.bytes as usize])
                        .expect("a sound block");
                }
                if excerpt.advance(&prefix, &mut inquiry).expect("a sound file") {
                    break;
                }
            }
            let Asked::Row(found) = inquiry.answer() else { panic!("no answer") };
            let row = index.row_of(id).expect("a sound file");
            assert_eq!(found.as_ref().map(|found| found.row), row, "id {id}");
            assert_eq!(row.is_some(), id % 5 == 2 && id < 4500);
            if let (Some(row), Some(found), true) = (row, found, whole) {
                index.vector(row, &mut vector).expect("a row");
                index.payload(row, &mut payload).expect("a row");
                assert_eq!((found.vector, found.payload), (vector.clone(), payload.clone()));
            }
        }
    }
}
