//! Filtered searches of a live index, beside exact ones of the same rows.

use super::{Live, LiveColumn, LiveError, LiveParams, LiveReader, LiveSelection, LiveSet};
use crate::filter::{ColumnType, Filter, Value};
use crate::format::{Metric, Plan};
use crate::search::{Hit, Scratch, SearchParams};
use crate::vectors::Query;
use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use std::sync::atomic::{AtomicU64, Ordering};

const DIMENSIONS: usize = 8;
const K: usize = 10;

fn columns() -> Vec<LiveColumn> {
    let column = |name: &str, kind| LiveColumn { name: name.into(), kind };
    vec![
        column("price", ColumnType::I64),
        column("brand", ColumnType::Text),
        column("score", ColumnType::F64),
        column("sold", ColumnType::Bool),
    ]
}

/// Vectors in clusters; every seventh is a copy of an older one.
fn vector(id: u64) -> Vec<f32> {
    let id = if id % 7 == 3 { id / 2 } else { id };
    let number = |place: u64| (crate::seed::hash(5, id, place) % 1000) as f32 / 1000.0;
    (0..DIMENSIONS as u64).map(|place| number(place) + (id % 5) as f32).collect()
}

fn values(id: u64) -> Vec<Option<Value>> {
    let price = (!id.is_multiple_of(11)).then_some(Value::I64((id * 37 % 1000) as i64));
    let brand = Some(Value::Text(["north", "east", "south"][(id % 3) as usize].into()));
    vec![price, brand, Some(Value::F64(id as f64 / 8.0)), id.is_multiple_of(2).then_some(Value::Bool(id.is_multiple_of(4)))]
}

/// What each filter selects, by id.
type Meets = fn(u64) -> bool;
const FILTERS: [(&str, Meets); 8] = [
    ("price < 2", |id| id % 11 != 0 && id * 37 % 1000 < 2),
    ("price < 30", |id| id % 11 != 0 && id * 37 % 1000 < 30),
    ("price < 200", |id| id % 11 != 0 && id * 37 % 1000 < 200),
    ("price is null", |id| id % 11 == 0),
    ("brand = \"east\" and not sold", |id| id % 3 == 1 && id % 4 != 0),
    ("score >= 10 or brand < 'n'", |id| id >= 80 || id % 3 == 1),
    ("price > 5000", |_| false),
    ("price >= 0 or price is null", |_| true),
];

/// Compares every filter's answers with exact ones; `rows` are the living ids and what their values were made of.
fn compare(live: &Live, reader: &mut LiveReader, selections: &mut BTreeMap<&'static str, LiveSelection>, rows: &BTreeMap<u64, u64>) {
    let (mut scratch, mut hits, mut all) = (Scratch::new(), Vec::new(), Vec::new());
    let (mut found, mut wanted) = (0, 0);
    for query in 0..6 {
        let query = vector(1_000_000 + query);
        let everything = SearchParams::default().k(rows.len().max(1)).plan(Plan::Scan);
        live.search(Query::F32(&query), &everything, &mut scratch, &mut all).expect("a search");
        assert_eq!(all.len(), rows.len());
        for (text, meets) in FILTERS {
            let selection = selections.entry(text).or_insert_with(|| LiveSelection::new(Filter::parse(text).expect("a filter")));
            let set = reader.select(selection).expect("columns");
            let exact: Vec<&Hit> = all.iter().filter(|hit| meets(rows[&hit.id])).take(K).collect();
            assert_eq!(set.len(), rows.values().filter(|&&of| meets(of)).count(), "{text}");
            for plan in [Some(Plan::Scan), Some(Plan::Walk), None] {
                let mut params = SearchParams::ef(60).k(K);
                params.plan = plan;
                reader.search_where(Query::F32(&query), &params, &set, &mut scratch, &mut hits).expect("a search");
                assert_eq!(hits.len(), exact.len(), "{text}, {plan:?}");
                assert!(hits.iter().all(|hit| meets(rows[&hit.id])), "{text}, {plan:?}");
                if plan == Some(Plan::Scan) {
                    assert!(hits.iter().eq(exact.iter().copied()), "{text}");
                }
                wanted += exact.len();
                found += hits.iter().filter(|hit| exact.iter().any(|exact| exact.id == hit.id)).count();
            }
        }
    }
    assert!(found * 100 >= wanted * 97, "{found} of {wanted}");
}

#[test]
fn answers_are_the_nearest_that_match_whatever_happened_to_the_rows() {
    let mut live = Live::with_columns(LiveParams::new(DIMENSIONS, Metric::L2).ef_construction(60), columns()).expect("an index");
    let (mut rows, mut selections) = (BTreeMap::new(), BTreeMap::new());
    let mut reader = live.reader();
    compare(&live, &mut reader, &mut selections, &rows);
    let insert = |live: &mut Live, rows: &mut BTreeMap<u64, u64>, ids: core::ops::Range<u64>| {
        for id in ids {
            live.insert_with(id, Query::F32(&vector(id)), b"", &values(id)).expect("a new row");
            rows.insert(id, id);
        }
    };
    insert(&mut live, &mut rows, 0..300);
    compare(&live, &mut reader, &mut selections, &rows);
    insert(&mut live, &mut rows, 300..4000);
    compare(&live, &mut reader, &mut selections, &rows);
    // Deleted and replaced, without a compaction.
    for id in (0..4000).step_by(9) {
        live.delete(id).expect("a row");
        rows.remove(&id);
    }
    for id in (1..4000).step_by(9) {
        live.update_with(id, Query::F32(&vector(id + 10_000)), b"", &values(id + 500)).expect("a row");
        rows.insert(id, id + 500);
    }
    compare(&live, &mut reader, &mut selections, &rows);
    let saved = live.save(Vec::new()).expect("bytes");
    let loaded = Live::load(&saved).expect("a file");
    assert_eq!(loaded.columns(), columns());
    let same = |id: &u64| loaded.values(*id) == live.values(*id) && loaded.values(*id) == values(rows[id]);
    assert!(rows.keys().all(same));
    compare(&loaded, &mut loaded.reader(), &mut BTreeMap::new(), &rows);
    assert!(loaded.save(Vec::new()).expect("bytes") == saved || loaded.len() == live.len());
    // A file's own filtered search agrees.
    let index = crate::index::Index::open(&saved[..]).expect("a file");
    for (text, meets) in FILTERS {
        let set = index.select(&Filter::parse(text).expect("a filter")).expect("columns");
        assert_eq!(set.len(), rows.values().filter(|&&of| meets(of)).count(), "{text}");
    }
    live.compact();
    compare(&live, &mut reader, &mut selections, &rows);
    insert(&mut live, &mut rows, 20_000..20_500);
    compare(&live, &mut reader, &mut selections, &rows);
}

#[test]
fn readers_find_what_matches_while_a_writer_inserts() {
    let mut live = Live::with_columns(LiveParams::new(DIMENSIONS, Metric::L2).ef_construction(40), columns()).expect("an index");
    let done = AtomicU64::new(0);
    let reader = live.reader();
    std::thread::scope(|scope| {
        for (text, meets) in [FILTERS[1], FILTERS[4]] {
            let (mut reader, done) = (reader.clone(), &done);
            scope.spawn(move || {
                let mut selection = LiveSelection::new(Filter::parse(text).expect("a filter"));
                let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
                loop {
                    let before = done.load(Ordering::Acquire);
                    let set = reader.select(&mut selection).expect("columns");
                    reader
                        .search_where(Query::F32(&vector(before)), &SearchParams::ef(30).k(K), &set, &mut scratch, &mut hits)
                        .expect("hits");
                    let least = (0..before.min(2500)).filter(|&id| id % 50 != 0 && meets(id)).count().min(K);
                    assert!(hits.len() >= least && hits.iter().all(|hit| meets(hit.id)), "{text}: {} of {least}", hits.len());
                    if before == u64::MAX {
                        break;
                    }
                }
            });
        }
        for id in 0..2500 {
            live.insert_with(id, Query::F32(&vector(id)), b"", &values(id)).expect("a new row");
            if id % 50 == 49 {
                live.delete(id - 49).expect("a row");
            }
            if id == 1500 {
                live.compact();
            }
            done.store(id, Ordering::Release);
        }
        done.store(u64::MAX, Ordering::Release);
    });
}

#[test]
fn values_fit_their_columns_and_sets_their_state() {
    let mut live = Live::with_columns(LiveParams::new(2, Metric::L2), columns()).expect("an index");
    let (row, none) = (Query::F32(&[1.0, 2.0]), || None::<Value>);
    for (values, column) in [
        (vec![Some(Value::F64(1.5)), none(), none(), none()], 0),
        (vec![none(), Some(Value::I64(1)), none(), none()], 1),
        (vec![none(), none(), Some(Value::F64(f64::NAN)), none()], 2),
        (vec![none(), none(), none(), Some(Value::Text("true".into()))], 3),
    ] {
        assert_eq!(live.insert_with(1, row, b"", &values), Err(LiveError::Value { column }));
    }
    assert!(matches!(live.insert_with(1, row, b"", &[none()]), Err(LiveError::Parameter { parameter: "values", .. })));
    assert!(live.is_empty());
    live.insert_with(1, row, b"", &[none(), none(), Some(Value::I64(3)), none()]).expect("a row");
    live.insert(2, row, b"").expect("a row without values");
    assert_eq!(live.values(1)[2], Some(Value::F64(3.0)));
    let mut reader = live.reader();
    let select = |reader: &mut LiveReader, text: &str| reader.select(&mut LiveSelection::new(Filter::parse(text).expect("a filter")));
    let set = select(&mut reader, "score = 3").expect("columns");
    assert_eq!(select(&mut reader, "score is null").expect("columns").len(), 1);
    assert!(
        select(&mut reader, "prize = 3")
            .expect_err("no such column")
            .to_string()
            .ends_with("no column prize; there are: price, brand, score, sold")
    );
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    reader.search_where(row, &SearchParams::default(), &set, &mut scratch, &mut hits).expect("a search");
    assert_eq!((hits.len(), hits[0].id), (1, 1));
    live.compact();
    reader.search(row, &SearchParams::default(), &mut scratch, &mut hits).expect("a search");
    assert!(reader.search_where(row, &SearchParams::default(), &set, &mut scratch, &mut hits).is_err(), "a set of another state");
    let twice = [columns(), columns()].concat();
    assert!(matches!(Live::with_columns(LiveParams::new(2, Metric::L2), twice), Err(LiveError::Parameter { parameter: "columns", .. })));
}

#[test]
fn what_a_filter_selected_is_copied_only_where_a_search_still_has_it() {
    let mut live = Live::with_columns(LiveParams::new(DIMENSIONS, Metric::L2).ef_construction(20), columns()).expect("an index");
    let insert = |live: &mut Live, id: u64| live.insert_with(id, Query::F32(&vector(id)), b"", &values(id)).expect("a new row");
    (0..200).for_each(|id| insert(&mut live, id));
    let mut selection = LiveSelection::new(Filter::parse("brand = 'east'").expect("a filter"));
    let place = |set: &LiveSet| Arc::as_ptr(&set.set.rows);
    let first = live.select(&mut selection).expect("columns");
    // A row that does not match dies: another set, of the same bits.
    live.delete(0).expect("a row");
    let second = live.select(&mut selection).expect("columns");
    assert!(!Arc::ptr_eq(&first, &second) && place(&first) == place(&second));
    // One that matches dies and one comes, while nobody has the bits, and while somebody has.
    let (before, length) = (place(&first), first.len());
    drop((first, second));
    live.delete(1).expect("a row");
    insert(&mut live, 202);
    let third = live.select(&mut selection).expect("columns");
    assert_eq!((place(&third), third.len()), (before, length));
    live.delete(4).expect("a row");
    let fourth = live.select(&mut selection).expect("columns");
    assert_eq!((third.len(), fourth.len()), (length, length - 1));
    assert!(place(&third) != place(&fourth) && third.set.contains(4) && !fourth.set.contains(4));
}
