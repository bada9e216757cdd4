//! Columns of a collection that is written to: over HTTP, over gRPC, and through files.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::served::Served;
use crate::support::{Sandbox, numbers};
use serde_json::{Value, json};

const DIMENSIONS: usize = 8;
const COLUMNS: &str = "--column year:i64 --column lang --column score:f64 --column open:bool";

fn columns(id: usize) -> Value {
    let year = if id % 10 == 9 { Value::Null } else { json!(1900 + id % 100) };
    let lang = ["en", "de", "fr"][id % 3];
    json!({ "year": year, "lang": lang, "score": id as f64, "open": id.is_multiple_of(2) })
}

fn points(values: &[f32], first: usize) -> Value {
    let rows = values.chunks(DIMENSIONS).zip(first..);
    json!({ "points": rows.map(|(vector, id)| json!({ "id": id, "vector": vector, "columns": columns(id) })).collect::<Vec<_>>() })
}

fn ids(answer: &Value) -> Vec<usize> {
    answer["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_u64().unwrap() as usize).collect()
}

/// Filters and what they select, by id.
type Meets = fn(usize) -> bool;
const FILTERS: [(&str, Meets); 5] = [
    ("year = 1908", |id| id % 100 == 8),
    ("year < 1950 and lang in ('en', 'fr')", |id| id % 10 != 9 && id % 100 < 50 && id % 3 != 1),
    ("year is null and not open", |id| id % 10 == 9),
    ("score >= 100.5 or open", |id| id > 100 || id % 2 == 0),
    ("lang = 'it'", |_| false),
];

/// Every filter finds as many as there are, up to 10, and nothing else; the nearest of them first.
fn compare(served: &Served, values: &[f32], there: &[usize]) {
    let vector = |id: usize| &values[id * DIMENSIONS..(id + 1) * DIMENSIONS];
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
    for query in numbers(3 * DIMENSIONS, 77).chunks(DIMENSIONS) {
        for (filter, meets) in FILTERS {
            let found = ids(&served.post("/search", &json!({ "vector": query, "k": 10, "ef": 100, "filter": filter })).ok());
            let mut exact: Vec<usize> = there.iter().copied().filter(|&id| meets(id)).collect();
            exact.sort_by(|&a, &b| distance(query, vector(a)).total_cmp(&distance(query, vector(b))));
            assert_eq!(found.len(), exact.len().min(10), "{filter}");
            assert!(found.iter().all(|id| exact.contains(id)), "{filter}");
            // Records are near, not exact: two rows may change places.
            let near = found.iter().filter(|id| exact.iter().take(12).any(|exact| exact == *id)).count();
            assert!(near * 10 >= found.len() * 9, "{filter}: {found:?} of {exact:?}");
        }
    }
}

#[test]
fn columns_are_inserted_filtered_returned_saved_and_loaded() {
    let sandbox = Sandbox::new();
    let line = format!("data {COLUMNS}");
    let served = Served::start(&sandbox, &line);
    let declared = json!([{ "name": "year", "type": "i64" }, { "name": "lang", "type": "string" }, { "name": "score", "type": "f64" }, { "name": "open", "type": "bool" }]);
    assert_eq!(served.get("/info").ok()["columns"], declared);
    // Before there are rows.
    assert_eq!(ids(&served.post("/search", &json!({ "vector": [1], "filter": "year = 1" })).ok()), [0; 0]);
    served.post("/search", &json!({ "vector": [1], "filter": "yeer = 1" })).refused(400, "bad_filter", "filter");
    let values = numbers(3000 * DIMENSIONS, 4);
    served.post("/insert", &points(&values[..2000 * DIMENSIONS], 0)).ok();
    let mut there: Vec<usize> = (0..2000).collect();
    compare(&served, &values, &there);
    served.post("/insert", &points(&values[2000 * DIMENSIONS..], 2000)).ok();
    there.extend(2000..3000);
    compare(&served, &values, &there);
    let got = served.post("/get", &json!({ "ids": [8, 9] })).ok();
    assert_eq!(got["points"][0]["columns"], json!({ "year": 1908, "lang": "fr", "score": 8.0, "open": true }));
    assert_eq!(got["points"][1]["columns"], columns(9));
    // A fifth, and a compaction.
    let gone: Vec<usize> = (0..3000).filter(|id| id % 4 == 3).collect();
    served.post("/delete", &json!({ "ids": gone })).ok();
    assert_eq!(served.get("/info").ok()["tombstones"], 0);
    there.retain(|id| id % 4 != 3);
    compare(&served, &values, &there);
    served.post("/delete", &json!({ "ids": [2, 5] })).ok();
    there.retain(|id| *id != 2 && *id != 5);
    served.post("/insert", &json!({ "id": 40_000, "vector": values[..DIMENSIONS] })).ok();
    let nothing = json!({ "year": null, "lang": null, "score": null, "open": null });
    assert_eq!(served.post("/get", &json!({ "ids": [40_000] })).ok()["points"][0]["columns"], nothing);
    served.post("/delete", &json!({ "ids": [40_000] })).ok();
    compare(&served, &values, &there);
    served.stop().ok();
    sandbox.run("verify data/collection.shore").ok();
    let info = sandbox.run("info data/collection.shore --json").json();
    assert_eq!(info["columns"].as_array().unwrap().len(), 4);
    // What the file searches on its own, and what a server that takes it up does.
    let query = format!("{:?}", &values[..DIMENSIONS]).replace(' ', "");
    let told =
        sandbox.run_args(&["search", "data/collection.shore", "--vector", &query, "--filter", "year = 1908", "--k", "5", "--json"]).json();
    assert_eq!(told["results"][0]["hits"].as_array().unwrap().len(), 5);
    let served = Served::start(&sandbox, "data");
    assert_eq!(served.get("/info").ok()["columns"], declared);
    compare(&served, &values, &there);
    served.post("/insert", &json!({ "id": 50_000, "vector": values[..DIMENSIONS], "columns": { "lang": "it" } })).ok();
    let it = json!({ "vector": values[..DIMENSIONS], "filter": { "column": "lang", "eq": "it" } });
    assert_eq!(ids(&served.post("/search", &it).ok()), [50_000]);
    drop(served);
    sandbox
        .run("serve data --column year:f64 --listen 127.0.0.1:0")
        .fails(2, &["has columns year:i64, lang:string, score:f64, open:bool, not year:f64"]);
}

#[test]
fn mistakes_name_the_column_and_change_nothing() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run("serve data --column year:int");
    assert!(ran.code == Some(2) && ran.stderr.contains("int is no type; i64, f64, bool or string would be right"), "{ran:?}");
    sandbox.run("serve data --column year --column year:i64").fails(2, &["--column year: given twice; each name once would be right"]);
    let served = Served::start(&sandbox, &format!("data {COLUMNS}"));
    for (body, code, field) in [
        (r#"{"vector": [1], "columns": {"yeer": 1}}"#, "unknown_column", "columns.yeer"),
        (r#"{"vector": [1], "columns": {"year": 1.5}}"#, "wrong_type", "columns.year"),
        (r#"{"vector": [1], "columns": {"year": "1999"}}"#, "wrong_type", "columns.year"),
        (r#"{"vector": [1], "columns": {"lang": 1}}"#, "wrong_type", "columns.lang"),
        (r#"{"vector": [1], "columns": {"open": 1}}"#, "wrong_type", "columns.open"),
        (r#"{"vector": [1], "columns": {"open": [true]}}"#, "wrong_type", "columns.open"),
        (r#"{"vector": [1], "columns": 7}"#, "wrong_type", "columns"),
        (r#"{"points": [{"vector": [1]}, {"vector": [1], "columns": {"year": true}}]}"#, "wrong_type", "points[1].columns.year"),
    ] {
        served.client().send("POST", "/insert", &[], body.as_bytes()).refused(400, code, field);
    }
    assert_eq!(served.get("/info").ok()["rows"], 0);
    served.post("/insert", &json!({ "vector": [1], "columns": { "score": 3 } })).ok();
    for body in
        [r#"{"vector": [1], "columns": {"yeer": 1}}"#, r#"{"points": [{"vector": [1]}, {"vector": [1], "columns": {"lang": false}}]}"#]
    {
        assert_eq!(served.client().send("POST", "/insert", &[], body.as_bytes()).status, 400);
    }
    assert_eq!(served.get("/info").ok()["rows"], 1);
}

#[test]
fn filtered_searches_go_on_while_rows_come_and_go() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, &format!("data --threads 2 {COLUMNS}"));
    let values = numbers(1500 * DIMENSIONS, 5);
    served.post("/insert", &points(&values[..100 * DIMENSIONS], 0)).ok();
    let over = AtomicBool::new(false);
    let search = |filter: &'static str, meets: Meets| {
        let (mut client, served) = (served.client(), &values);
        while !over.load(Ordering::Relaxed) {
            let found = ids(&client.post("/search", &json!({ "vector": served[..DIMENSIONS], "k": 5, "filter": filter })).ok());
            assert!(found.len() == 5 && found.iter().all(|&id| meets(id)), "{filter}: {found:?}");
        }
    };
    std::thread::scope(|scope| {
        let (search, over) = (&search, &over);
        let searching = [FILTERS[1], FILTERS[3]].map(|(filter, meets)| scope.spawn(move || search(filter, meets)));
        for first in (100..1500).step_by(100) {
            served.post("/insert", &points(&values[first * DIMENSIONS..(first + 100) * DIMENSIONS], first)).ok();
            served.post("/delete", &json!({ "ids": (first..first + 40).collect::<Vec<_>>() })).ok();
        }
        over.store(true, Ordering::Relaxed);
        searching.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[cfg(feature = "grpc")]
#[test]
fn columns_over_grpc_are_those_over_http() {
    use crate::support::called::{Caller, proto, refused};
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, &format!("data --grpc 127.0.0.1:0 {COLUMNS}"));
    let caller = Caller::new(served.grpc.unwrap());
    let named = |name: &str| proto::Column { name: name.into(), ..Default::default() };
    let point = |columns| proto::Point { vector: vec![1.0, 2.0], columns, ..Default::default() };
    let full = vec![
        proto::Column { i64_value: Some(-7), ..named("year") },
        proto::Column { string_value: Some("en".into()), ..named("lang") },
        proto::Column { f64_value: Some(0.5), ..named("score") },
        proto::Column { bool_value: Some(false), ..named("open") },
    ];
    assert_eq!(caller.insert(vec![point(full.clone()), point(vec![named("year")])]).unwrap(), [0, 1]);
    assert_eq!(caller.get(&[0])[0].columns, full);
    assert_eq!(caller.get(&[1])[0].columns, ["year", "lang", "score", "open"].map(named));
    let told = served.post("/get", &json!({ "ids": [0] })).ok();
    assert_eq!(told["points"][0]["columns"], json!({ "year": -7, "lang": "en", "score": 0.5, "open": false }));
    let search = proto::Search { vector: vec![1.0, 2.0], filter: "year < 0 and not open".into(), ..Default::default() };
    assert_eq!(caller.search(vec![search]).unwrap()[0].iter().map(|hit| hit.id).collect::<Vec<_>>(), [0]);
    assert_eq!(caller.info().unwrap().columns[2], proto::ColumnType { name: "score".into(), r#type: "f64".into() });
    let invalid = tonic::Code::InvalidArgument;
    refused(caller.insert(vec![point(vec![named("yeer")])]), invalid, "unknown_column", "points[0].columns.yeer");
    let wrong = proto::Column { bool_value: Some(true), ..named("lang") };
    refused(caller.insert(vec![point(vec![wrong])]), invalid, "wrong_type", "points[0].columns.lang");
    let two = proto::Column { bool_value: Some(true), i64_value: Some(1), ..named("open") };
    refused(caller.insert(vec![point(vec![two])]), invalid, "conflict", "points[0].columns.open");
}
