//! The server as clients meet it: the real binary over real sockets.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::served::{Client, Served};
use crate::support::{Sandbox, fbin, numbers};
use nearshore::format::Metric;
use nearshore::live::{Live, LiveParams};
use nearshore::search::{Layout, Scratch, SearchParams};
use nearshore::server::ROUTES;
use nearshore::{AsQuery as _, Index, Pool, base64};
use serde_json::{Value, json};

const DIMENSIONS: usize = 8;

/// `count` rows as the body of an insert, with ids from 0.
fn points(values: &[f32]) -> Value {
    let rows = values.chunks(DIMENSIONS).enumerate();
    json!({ "points": rows.map(|(id, vector)| json!({ "id": id, "vector": vector, "payload": format!("row {id}") })).collect::<Vec<_>>() })
}

/// Ids and distances of an answer.
fn hits(answer: &Value) -> Vec<(u64, f32)> {
    let pair = |hit: &Value| (hit["id"].as_u64().unwrap(), hit["distance"].as_f64().unwrap() as f32);
    answer["hits"].as_array().unwrap().iter().map(pair).collect()
}

#[test]
fn what_is_inserted_is_found_as_the_library_finds_it() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, "data");
    let values = numbers(3000 * DIMENSIONS, 1);
    let inserted = served.post("/insert", &points(&values)).ok();
    assert_eq!(inserted["ids"].as_array().unwrap().len(), 3000);
    let mut live = Live::new(LiveParams::new(DIMENSIONS, Metric::L2)).unwrap();
    for (id, row) in values.chunks(DIMENSIONS).enumerate() {
        live.insert(id as u64, row.as_query(), b"").unwrap();
    }
    let (mut scratch, mut expected) = (Scratch::new(), Vec::new());
    for query in numbers(20 * DIMENSIONS, 2).chunks(DIMENSIONS) {
        let coded = base64::encode(&query.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>());
        for (effort, params) in [
            (json!({}), SearchParams::default()),
            (json!({ "ef": 50 }), SearchParams::ef(50)),
            (json!({ "recall": 0.9 }), SearchParams::recall(0.9)),
        ] {
            live.search(query.as_query(), &params.k(5), &mut scratch, &mut expected).unwrap();
            let expected: Vec<_> = expected.iter().map(|hit| (hit.id, hit.distance)).collect();
            for vector in [json!(query), json!(coded)] {
                let mut body = effort.clone();
                body["vector"] = vector;
                body["k"] = json!(5);
                assert_eq!(hits(&served.post("/search", &body).ok()), expected);
            }
        }
    }
    let both = json!({ "searches": [{ "vector": values[..8], "k": 1, "with_payload": true }, { "vector": values[8..16], "k": 2 }] });
    let both = served.post("/search", &both).ok();
    assert_eq!(both["results"][0]["hits"][0]["payload"], "row 0");
    assert_eq!(both["results"][1]["hits"].as_array().unwrap().len(), 2);
    assert!(both["took_us"].is_u64() && both["results"][1]["hits"][0].get("payload").is_none());
}

#[test]
fn ids_are_given_or_assigned_and_payloads_are_text_or_bytes() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, "data --metric cosine");
    assert_eq!(served.get("/info").ok()["dimensions"], Value::Null);
    assert_eq!(served.post("/search", &json!({ "vector": [1, 2] })).ok()["hits"], json!([]));
    assert_eq!(served.post("/insert", &json!({ "vector": [1, 0] })).ok()["ids"], json!([0]));
    let big = u64::MAX - 1;
    let body = json!({ "points": [{ "vector": [0, 1], "payload_base64": "/w==" }, { "id": 41, "vector": [1, 1], "payload": "x" }, { "vector": [1, 2] }] });
    assert_eq!(served.post("/insert", &body).ok()["ids"], json!([1, 41, 42]));
    let got = served.post("/get", &json!({ "ids": [41, 7, 1, 0] })).ok();
    let shown: Vec<_> =
        got["points"].as_array().unwrap().iter().map(|point| (&point["id"], &point["payload"], &point["payload_base64"])).collect();
    let null = Value::Null;
    assert_eq!(shown, [(&json!(41), &json!("x"), &null), (&json!(1), &null, &json!("/w==")), (&json!(0), &null, &null)]);
    assert_eq!(got["points"][2]["vector"], json!([1.0, 0.0]));
    served.post("/insert", &json!({ "id": big, "vector": [3, 1] })).ok();
    assert_eq!(served.post("/insert", &json!({ "vector": [3, 2] })).ok()["ids"], json!([u64::MAX]));
    served.post("/insert", &json!({ "vector": [3, 3] })).refused(400, "no_id_left", "id");
    let info = served.get("/info").ok();
    assert_eq!((&info["rows"], &info["metric"], &info["dimensions"]), (&json!(6), &json!("cosine"), &json!(2)));
}

#[test]
fn what_is_deleted_stays_away_and_what_is_saved_comes_back() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, "data");
    let values = numbers(400 * DIMENSIONS, 3);
    served.post("/insert", &points(&values)).ok();
    let few = json!({ "ids": [3, 3, 1000, 4] });
    assert_eq!(served.post("/delete", &few).ok()["deleted"], 2);
    assert_eq!(served.get("/info").ok()["tombstones"], 2);
    let search = json!({ "vector": values[3 * DIMENSIONS..4 * DIMENSIONS], "k": 3, "with_payload": true });
    let before = served.post("/search", &search).ok();
    assert!(hits(&before).iter().all(|(id, _)| *id != 3 && *id != 4));
    let saved = served.post("/save", &json!({})).ok();
    assert_eq!((&saved["rows"], served.get("/info").ok()["unsaved_changes"].as_u64()), (&json!(398), Some(0)));
    // Killed, so that only what was saved can be there.
    served.post("/insert", &json!({ "id": 5000, "vector": values[..DIMENSIONS] })).ok();
    drop(served);
    sandbox.run("verify data/collection.shore").ok();
    let served = Served::start(&sandbox, "data");
    assert_eq!(served.post("/search", &search).ok()["hits"], before["hits"]);
    assert_eq!(served.post("/get", &json!({ "ids": [5000] })).ok()["points"], json!([]));
    // Enough for a compaction, whose rows are searched at once, and a graceful stop, which saves.
    let many = json!({ "ids": (100..400).collect::<Vec<u64>>() });
    assert_eq!(served.post("/delete", &many).ok()["deleted"], 300);
    assert_eq!(served.get("/info").ok()["tombstones"], 0);
    assert_eq!(hits(&served.post("/search", &json!({ "vector": values[..DIMENSIONS], "k": 100 })).ok()).len(), 98);
    served.post("/insert", &json!({ "vector": values[..DIMENSIONS], "payload": "again" })).ok();
    served.stop().ok();
    let served = Served::start(&sandbox, "data");
    assert_eq!(served.get("/info").ok()["rows"], 99);
    assert_eq!(
        hits(&served.post("/search", &json!({ "vector": values[..DIMENSIONS], "k": 2 })).ok()).iter().map(|hit| hit.0).collect::<Vec<_>>(),
        [0, 400]
    );
}

#[test]
fn mistakes_name_their_field_and_change_nothing() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, "data --dimensions 2 --metric cosine");
    served.post("/search", &json!({ "vector": [1] })).refused(400, "dimension_mismatch", "vector");
    served.post("/insert", &json!({ "vector": [1, 2, 3] })).refused(400, "dimension_mismatch", "vector");
    served.post("/insert", &json!({ "id": 7, "vector": [1, 2] })).ok();
    for (path, body, code, field) in [
        ("/insert", r#"{"id": 7, "vector": [1, 2]}"#, "duplicate_id", "id"),
        ("/insert", r#"{"points": [{"vector": [1, 2]}, {"vector": [1]}]}"#, "dimension_mismatch", "points[1].vector"),
        ("/insert", r#"{"points": [{"id": 1, "vector": [1, 2]}, {"id": 1, "vector": [1, 2]}]}"#, "duplicate_id", "points[1].id"),
        ("/insert", r#"{"points": [{"vector": [1, 2]}, {"vector": [1e30, 1e30]}]}"#, "not_finite", "points[1].vector"),
        ("/insert", r#"{"vector": [0, 0]}"#, "zero_vector", "vector"),
        ("/insert", r#"{"vector": [1e39, 0]}"#, "not_finite", "vector"),
        ("/insert", r#"{"vector": [1, 2], "points": []}"#, "conflict", "points"),
        ("/insert", r#"{"vector": [1, 2], "payload": {"a": 1}}"#, "wrong_type", "payload"),
        ("/insert", r#"{"vector": [1, 2], "columns": {"year": 1999}}"#, "unknown_column", "columns.year"),
        ("/insert", r#"{"id": 1}"#, "missing_field", "vector"),
        ("/search", r#"{"vector": [1, 2], "k": 0}"#, "out_of_range", "k"),
        ("/search", r#"{"vector": [1, 2], "k": 10001}"#, "out_of_range", "k"),
        ("/search", r#"{"vector": [1, 2], "ef": 0}"#, "out_of_range", "ef"),
        ("/search", r#"{"vector": [1, 2], "recall": 1.5}"#, "out_of_range", "recall"),
        ("/search", r#"{"vector": [1, 2], "ef": 10, "recall": 0.5}"#, "conflict", "recall"),
        ("/search", r#"{"vector": [1, 2], "filter": "x = 1"}"#, "no_columns", "filter"),
        ("/search", r#"{"searches": [{"vector": [1, 2]}, {"vector": [1, 2], "k": 0}]}"#, "out_of_range", "searches[1].k"),
        ("/search", r#"{"vector": "AACAPw=="}"#, "dimension_mismatch", "vector"),
        ("/delete", r#"{"id": 7}"#, "unknown_field", "id"),
        ("/get", r#"{"ids": ["7"]}"#, "wrong_type", "ids[0]"),
        ("/save", r#"{"now": true}"#, "unknown_field", "now"),
    ] {
        served.client().send("POST", path, &[], body.as_bytes()).refused(400, code, field);
    }
    served.client().send("POST", "/insert", &[], b"{\"vector\": [1,").refused(400, "not_json", "");
    for packed in ["gzip", "identity, br"] {
        let refused = served.client().send("POST", "/insert", &[("content-encoding", packed)], b"\x1f\x8b\x08");
        assert!(refused.header("accept-encoding") == Some("identity") && refused.text.contains(packed), "{refused:?}");
        refused.refused(415, "unsupported_encoding", "");
    }
    let plain = served.client().send("POST", "/search", &[("content-encoding", "Identity")], br#"{"vector": [1, 2]}"#);
    assert_eq!(plain.ok()["hits"][0]["id"], 7);
    let wrong = served.get("/insert");
    assert!(wrong.header("allow") == Some("POST") && wrong.text.contains("/insert takes POST"), "{wrong:?}");
    wrong.refused(405, "method_not_allowed", "");
    served.get("/collections").refused(404, "not_found", "");
    assert_eq!(served.get("/info").ok()["rows"], 1);
    assert_eq!(served.post("/search", &json!({ "vector": [1, 2] })).ok()["hits"].as_array().unwrap().len(), 1);
}

#[test]
fn a_server_that_has_enough_to_do_says_so() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, "data --in-flight 1 --body-mib 1");
    // A length that is too much is refused before a byte is sent; without one, when too much has come.
    let mut client = served.client();
    client.write(b"POST /insert HTTP/1.1\r\nhost: x\r\ncontent-length: 1048577\r\n\r\n");
    client.answer().refused(413, "too_large", "");
    served.until_idle();
    let mut client = served.client();
    client.write(b"POST /insert HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n100001\r\n");
    client.write(&vec![b' '; 0x10_0001]);
    client.answer().refused(413, "too_large", "");
    // One request has begun and does not end.
    let mut slow = served.half_an_insert();
    let refused = served.get("/info");
    assert_eq!(refused.header("retry-after"), Some("1"));
    refused.refused(429, "overloaded", "");
    assert_eq!(served.get("/healthz").ok(), json!({ "status": "ok" }));
    slow.write(Served::REST);
    assert_eq!(slow.answer().ok()["ids"], json!([0]));
    served.until_idle();
    served.get("/info").ok();
}

#[test]
fn searches_go_on_while_rows_come_and_go() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, "data --threads 2");
    let values = numbers(1500 * DIMENSIONS, 5);
    served.post("/insert", &json!({ "id": 1_000_000, "vector": values[..DIMENSIONS] })).ok();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let search = || {
            let (mut client, mut most) = (served.client(), 0);
            while !over.load(Ordering::Relaxed) {
                let found = hits(&client.post("/search", &json!({ "vector": values[..DIMENSIONS], "k": 20 })).ok());
                // The row that was there from the start is the nearest, always.
                assert_eq!(found[0].0, 1_000_000);
                assert!(found.is_sorted_by(|a, b| a.1 <= b.1));
                most = most.max(found.len());
            }
            assert_eq!(most, 20);
        };
        let searching = [scope.spawn(search), scope.spawn(search)];
        for (part, values) in values[DIMENSIONS..].chunks(100 * DIMENSIONS).enumerate() {
            let rows = values.chunks(DIMENSIONS).enumerate().map(|(row, vector)| json!({ "id": part * 100 + row, "vector": vector }));
            served.post("/insert", &json!({ "points": rows.collect::<Vec<_>>() })).ok();
            let gone = (part * 100..part * 100 + 30).collect::<Vec<_>>();
            served.post("/delete", &json!({ "ids": gone })).ok();
            if part % 5 == 0 {
                served.post("/save", &json!({})).ok();
            }
        }
        over.store(true, Ordering::Relaxed);
        searching.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert_eq!(served.get("/info").ok()["rows"], 1 + 1499 - 15 * 30);
}

#[test]
fn a_stop_finishes_what_has_begun_and_a_second_one_does_not_wait() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, "data");
    let mut slow = served.half_an_insert();
    served.signal();
    // No new connection is taken; the request that has begun is finished and saved.
    served.until(|| TcpStream::connect(served.address).is_err().then_some(()));
    slow.write(Served::REST);
    slow.answer().ok();
    served.wait().ok();
    let served = Served::start(&sandbox, "data");
    assert_eq!(served.get("/info").ok()["rows"], 1);
    served.post("/insert", &json!({ "vector": [3, 4] })).ok();
    let _slow = served.half_an_insert();
    served.signal();
    served.until(|| TcpStream::connect(served.address).is_err().then_some(()));
    served.signal();
    assert_eq!(served.wait().code, Some(143));
    assert_eq!(Served::start(&sandbox, "data").get("/info").ok()["rows"], 1);
}

#[test]
fn other_machines_and_web_pages_need_the_key() {
    let sandbox = Sandbox::new();
    sandbox.run("serve data --listen 0.0.0.0:0").fails(2, &["--api-key-file"]);
    sandbox.write("empty", b"\n");
    sandbox.run("serve data --api-key-file empty").fails(3, &["empty: no key"]);
    let served = Served::start(&sandbox, "data");
    served.client().send("GET", "/info", &[("origin", "http://evil.example")], b"").refused(403, "origin", "");
    drop(served);
    sandbox.write("key", b"open sesame\n");
    sandbox.run("serve data --api-key-file key").fails(3, &["key: no key"]);
    sandbox.write("key", b"sesame\n");
    let served = Served::start(&sandbox, "data --api-key-file key --listen 0.0.0.0:0");
    let ask = |value: &str| served.client().send("GET", "/info", &[("authorization", value)], b"");
    ask("Bearer sesame").ok();
    for wrong in ["Bearer sesam", "Bearer sesame1", "Bearer", "Basic sesame", "sesame"] {
        let refused = ask(wrong);
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        refused.refused(401, "unauthorized", "");
    }
    served.get("/metrics").refused(401, "unauthorized", "");
    served.get("/healthz").ok();
    served.get("/readyz").ok();
}

#[test]
fn a_file_is_read_only_where_a_save_would_lose_something_or_the_user_says_so() {
    let sandbox = Sandbox::new();
    let values = numbers(2500 * DIMENSIONS, 7);
    sandbox.write("base.fbin", &fbin(DIMENSIONS, &values));
    sandbox.run("build base.fbin -o kept.shore --ef-construction 40 --quiet").ok();
    sandbox.run("build base.fbin -o dropped.shore --ef-construction 40 --originals drop --quiet").ok();
    let query = numbers(DIMENSIONS, 8);
    let fast = "kept.shore --read-only --layout fast";
    for (line, read_only) in [("kept.shore", true), (fast, true), ("dropped.shore --read-only", true), ("dropped.shore", false)] {
        let file = line.split(' ').next().unwrap();
        let mut index = Index::open(sandbox.path(file)).unwrap();
        let params = SearchParams::default().k(7).layout(if line == fast { Layout::Fast } else { Layout::Lean });
        index.derive_neighbor_codes(&Pool::new(1).unwrap()).unwrap();
        let expected = index.search(&query, &params).unwrap();
        let served = Served::start(&sandbox, line);
        let info = served.get("/info").ok();
        assert_eq!((info["read_only"].as_bool(), info["rows"].as_u64()), (Some(read_only), Some(2500)), "{line}");
        let found = served.post("/search", &json!({ "vector": query, "k": 7, "with_payload": true })).ok();
        assert_eq!(hits(&found), expected.iter().map(|hit| (hit.id, hit.distance)).collect::<Vec<_>>(), "{line}");
        assert_eq!(served.post("/get", &json!({ "ids": [9, 2500] })).ok()["points"].as_array().unwrap().len(), 1);
        served.post("/search", &json!({ "vector": [1] })).refused(400, "dimension_mismatch", "vector");
        if read_only {
            served.post("/insert", &json!({ "vector": query })).refused(503, "read_only", "");
            served.post("/delete", &json!({ "ids": [1] })).refused(503, "read_only", "");
            served.post("/save", &json!({})).refused(503, "read_only", "");
        } else {
            assert_eq!(served.post("/insert", &json!({ "vector": query })).ok()["ids"], json!([2500]));
            assert_eq!(hits(&served.post("/search", &json!({ "vector": query, "k": 1 })).ok())[0].0, 2500);
        }
        served.stop().ok();
    }
    sandbox.run("verify dropped.shore").ok();
    assert_eq!(sandbox.run("info dropped.shore --json").json()["rows"], 2501);
}

#[test]
fn what_cannot_be_served_is_said_at_once() {
    let sandbox = Sandbox::new();
    sandbox.run("serve absent.shore --listen 127.0.0.1:0").fails(4, &["absent.shore: No such file"]);
    let refused = sandbox.run("serve absent --layout fast");
    assert!(refused.code == Some(2) && refused.stderr.contains("--read-only"), "{refused:?}");
    sandbox.run("serve absent --read-only --listen 127.0.0.1:0").fails(4, &["collection.shore: No such file"]);
    sandbox.write("x.shore", b"something else");
    sandbox.run("serve x.shore --listen 127.0.0.1:0").fails(5, &["x.shore: "]);
    let served = Served::start(&sandbox, "data");
    served.post("/insert", &json!({ "vector": [1, 2] })).ok();
    served.post("/save", &json!({})).ok();
    sandbox.run("serve data --listen 127.0.0.1:0").fails(2, &["another process serves it"]);
    sandbox.run(&format!("serve other --listen {}", served.address)).fails(4, &["Address already in use"]);
    sandbox.run(&format!("serve a/new/folder --listen {}", served.address)).fails(4, &["Address already in use"]);
    assert_eq!(sandbox.names(), ["data", "x.shore"], "nothing is made for a server that cannot be reached");
    sandbox.run("serve data --listen 7511").fails_in_usage("127.0.0.1:7511 would be right");
    drop(served);
    sandbox.run("serve data --dimensions 3 --listen 127.0.0.1:0").fails(2, &["dimensions 2, not 3"]);
    sandbox.run("serve data --metric ip --listen 127.0.0.1:0").fails(2, &["metric l2, not ip"]);
}

#[test]
fn the_description_names_every_route_and_the_metrics_count_them() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, "data");
    let described = served.get("/openapi.json").ok();
    let paths = described["paths"].as_object().unwrap();
    assert_eq!(paths.len(), ROUTES.len());
    for (method, path) in ROUTES {
        assert!(described["paths"][path][method.to_lowercase()]["responses"].is_object(), "{method} {path}");
        let answer = served.client().send(method, path, &[], b"");
        assert!(!matches!(answer.status, 404 | 405), "{method} {path}: {answer:?}");
    }
    served.get("/nothing").refused(404, "not_found", "");
    let metrics = served.get("/metrics").text;
    for line in [
        "nearshore_http_requests_total{route=\"/info\",status=\"200\"} 1",
        "nearshore_http_requests_total{route=\"/search\",status=\"400\"} 1",
        "nearshore_http_requests_total{route=\"other\",status=\"404\"} 1",
        "nearshore_http_request_duration_seconds_bucket{route=\"/info\",le=\"+Inf\"} 1",
        "nearshore_http_request_duration_seconds_count{route=\"/info\"} 1",
        "nearshore_rows 0",
        "nearshore_tombstones 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
    #[cfg(target_os = "linux")]
    assert!(metrics.contains("\nnearshore_resident_bytes "));
}

#[test]
fn clients_that_send_nonsense_hurt_nobody() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, "data");
    for bytes in [&b"\x00\xff\xfe\r\n\r\n"[..], b"GET\r\n\r\n", b"POST /insert HTTP/1.1\r\ncontent-length: x\r\n\r\n", b"{}"] {
        let mut stream = TcpStream::connect(served.address).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 4"), "{:?}", String::from_utf8_lossy(&rest));
    }
    let deep = format!("{{\"vector\": {}", "[".repeat(100_000));
    assert_eq!(served.client().send("POST", "/insert", &[], deep.as_bytes()).status, 400);
    served.get("/readyz").ok();
}

/// Begins inserts that do not end, each with `sent` bytes of its body.
fn half_inserts(served: &Served, count: usize, sent: usize) -> Vec<Client> {
    let begin = |_| {
        let mut client = served.client();
        client.write(format!("POST /insert HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", sent + 1).as_bytes());
        client.write(&vec![b' '; sent]);
        client
    };
    (0..count).map(begin).collect()
}

#[test]
fn writes_that_wait_leave_room_for_searches() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, "data --in-flight 8");
    served.post("/insert", &json!({ "id": 1, "vector": [1, 2] })).ok();
    served.until_idle();
    let mut waiting = half_inserts(&served, 8, 0);
    served.until(|| served.get("/metrics").text.contains("route=\"/insert\",status=\"429\"} 4").then_some(()));
    served.post("/insert", &json!({ "vector": [1, 2] })).refused(429, "overloaded", "");
    assert_eq!(hits(&served.post("/search", &json!({ "vector": [1, 2] })).ok())[0].0, 1);
    assert_eq!(served.post("/get", &json!({ "ids": [1] })).ok()["points"][0]["id"], 1);
    waiting.clear();
    served.until(|| (served.post("/insert", &json!({ "vector": [1, 2] })).status == 200).then_some(()));
}

#[test]
fn answers_and_waiting_bodies_have_bounds() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, "data --body-mib 1 --answer-mib 1 --in-flight 64");
    served.post("/insert", &json!({ "id": 7, "vector": [1, 2], "payload": "x".repeat(700_000) })).ok();
    let search = json!({ "vector": [1, 2], "k": 1, "with_payload": true });
    let fine = json!({ "searches": [search] });
    let large = json!({ "searches": [search, search] });
    assert_eq!(served.post("/search", &fine).ok()["results"].as_array().unwrap().len(), 1);
    let refused = served.post("/search", &large);
    assert!(refused.text.contains("ask for fewer rows at a time"), "{refused:?}");
    refused.refused(413, "answer_too_large", "");
    served.post("/get", &json!({ "ids": [7, 7] })).refused(413, "answer_too_large", "");
    assert_eq!(served.post("/get", &json!({ "ids": [7] })).ok()["points"].as_array().unwrap().len(), 1);
    // Escapes make it larger than it was.
    served.post("/insert", &json!({ "id": 8, "vector": [9, 9], "payload": "\u{1}".repeat(170_000) })).ok();
    served.post("/get", &json!({ "ids": [8] })).ok();
    let effort = json!({ "searches": vec![json!({ "vector": [1, 2], "ef": 100_000 }); 11] });
    served.post("/search", &effort).refused(400, "too_many", "searches");
    // Eight of the largest together, and a little of each that does not count.
    let mut waiting = half_inserts(&served, 12, 1_000_000);
    served.until(|| served.get("/metrics").text.contains("route=\"/insert\",status=\"429\"}").then_some(()));
    assert_eq!(hits(&served.post("/search", &json!({ "vector": [1, 2], "k": 1 })).ok())[0].0, 7);
    waiting.clear();
    let again = json!({ "vector": [1, 2], "payload": "y".repeat(900_000) });
    served.until(|| (served.post("/insert", &again).status == 200).then_some(()));
}

#[test]
fn what_was_inserted_is_said_however_long_the_answer() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, "data --answer-mib 1");
    let points = (0..55_000).map(|i| json!({ "id": u64::MAX - 1 - i, "vector": [1] })).collect::<Vec<_>>();
    let said = served.post("/insert", &json!({ "points": points })).ok();
    assert_eq!(said["ids"].as_array().unwrap().len(), 55_000);
    assert_eq!(served.get("/info").ok()["rows"], 55_000);
}

#[test]
fn an_answer_keeps_its_place_until_it_is_sent() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, "data --in-flight 1");
    served.post("/insert", &json!({ "id": 7, "vector": [1, 2], "payload": "x".repeat(25 << 20) })).ok();
    served.until_idle();
    let body = json!({ "ids": [7, 7] }).to_string();
    let mut slow = served.client();
    slow.write(format!("POST /get HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes());
    // It is made, and nobody reads it.
    served.until(|| served.get("/metrics").text.contains("route=\"/get\",status=\"200\"} 1").then_some(()));
    served.get("/info").refused(429, "overloaded", "");
    assert_eq!(slow.answer().ok()["points"].as_array().unwrap().len(), 2);
    served.until(|| (served.get("/info").status == 200).then_some(()));
}
