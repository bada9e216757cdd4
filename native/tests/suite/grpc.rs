//! The same server over gRPC: the real binary, called by messages of the same `.proto` file.

use std::net::TcpStream;

use crate::support::called::{Caller, proto, refused};
use crate::support::served::Served;
use crate::support::{Sandbox, numbers};
use serde_json::{Value, json};
use tonic::Code;
use tonic::codegen::tokio_stream::{self, StreamExt as _};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_prost::prost::Message as _;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServiceResponse};

const DIMENSIONS: usize = 8;

fn start(sandbox: &Sandbox, line: &str) -> (Served, Caller) {
    let served = Served::start(sandbox, &format!("{line} --grpc 127.0.0.1:0"));
    let caller = Caller::new(served.grpc.unwrap());
    (served, caller)
}

fn point(id: Option<u64>, vector: &[f32], payload: &str) -> proto::Point {
    proto::Point { id, vector: vector.to_vec(), vector_bytes: Vec::new(), payload: payload.into(), columns: Vec::new() }
}

fn search(vector: &[f32]) -> proto::Search {
    proto::Search { vector: vector.to_vec(), ..proto::Search::default() }
}

fn bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Id, bits of the distance and payload of each hit over HTTP.
fn over_http(answer: &Value) -> Vec<(u64, u32, String)> {
    let text = |hit: &Value| hit["payload"].as_str().unwrap_or_default().to_owned();
    let hit = |hit: &Value| (hit["id"].as_u64().unwrap(), (hit["distance"].as_f64().unwrap() as f32).to_bits(), text(hit));
    answer["hits"].as_array().unwrap().iter().map(hit).collect()
}

fn over_grpc(hits: &[proto::Hit]) -> Vec<(u64, u32, String)> {
    hits.iter().map(|hit| (hit.id, hit.distance.to_bits(), String::from_utf8(hit.payload.clone()).unwrap())).collect()
}

#[test]
fn both_doors_give_the_same_answers_bit_for_bit() {
    let sandbox = Sandbox::new();
    let (served, caller) = start(&sandbox, "data");
    let values = numbers(2000 * DIMENSIONS, 1);
    let points = values.chunks(DIMENSIONS).enumerate().map(|(id, vector)| match id % 2 {
        0 => point(Some(id as u64), vector, &format!("row {id}")),
        _ => proto::Point { vector: Vec::new(), vector_bytes: bytes(vector), ..point(None, &[], &format!("row {id}")) },
    });
    assert_eq!(caller.insert(points.collect()).unwrap(), (0..2000).collect::<Vec<_>>());
    let queries = numbers(20 * DIMENSIONS, 2);
    for (effort, body) in [
        (proto::Search::default(), json!({})),
        (proto::Search { k: Some(5), ef: Some(50), ..Default::default() }, json!({ "k": 5, "ef": 50 })),
        (
            proto::Search { k: Some(7), recall: Some(0.9), with_payload: true, ..Default::default() },
            json!({ "k": 7, "recall": 0.9, "with_payload": true }),
        ),
    ] {
        let numbers = queries.chunks(DIMENSIONS).map(|query| proto::Search { vector: query.to_vec(), ..effort.clone() });
        let found = caller.search(numbers.collect()).unwrap();
        let coded = queries.chunks(DIMENSIONS).map(|query| proto::Search { vector_bytes: bytes(query), ..effort.clone() });
        assert_eq!(found, caller.search(coded.collect()).unwrap());
        for (query, found) in queries.chunks(DIMENSIONS).zip(&found) {
            let mut body = body.clone();
            body["vector"] = json!(query);
            assert_eq!(over_grpc(found), over_http(&served.post("/search", &body).ok()));
        }
    }
    let told = served.post("/get", &json!({ "ids": [3, 4] })).ok();
    let got = caller.get(&[3, 99_999, 4]);
    assert_eq!(got.iter().map(|point| point.id).collect::<Vec<_>>(), [3, 4]);
    for (point, told) in got.iter().zip(told["points"].as_array().unwrap()) {
        let vector: Vec<f32> = told["vector"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect();
        assert_eq!((&point.vector, &told["payload"]), (&vector, &json!(String::from_utf8_lossy(&point.payload))));
    }
}

#[test]
fn filters_are_text_or_json_as_over_http() {
    let sandbox = Sandbox::new();
    let rows: String =
        (0..300).map(|row| format!("{{\"vector\": [{}, 1], \"price\": {row}, \"sold\": {}}}\n", row % 17, row % 2 == 0)).collect();
    sandbox.write("shop.jsonl", rows.as_bytes());
    sandbox.run("build shop.jsonl -o shop.shore --columns price,sold --quiet").ok();
    let (served, caller) = start(&sandbox, "shop.shore");
    let object = json!({ "and": [{ "column": "price", "lt": 20 }, { "not": { "column": "sold", "eq": true } }] });
    let told = served.post("/search", &json!({ "vector": [3, 1], "filter": object })).ok();
    assert_eq!(over_http(&told).len(), 10);
    for filter in ["price < 20 and not sold".to_owned(), format!(" {object}")] {
        let found = caller.search(vec![proto::Search { filter, ..search(&[3.0, 1.0]) }]).unwrap();
        assert_eq!(over_grpc(&found[0]), over_http(&told));
    }
    for filter in ["prize < 3", "price <", "{\"column\": \"price\"}", "{"] {
        let wrong = proto::Search { filter: filter.into(), ..search(&[3.0, 1.0]) };
        refused(caller.search(vec![search(&[3.0, 1.0]), wrong]), Code::InvalidArgument, "bad_filter", "searches[1].filter");
    }
    assert!(caller.info().unwrap().read_only);
    refused(caller.insert(vec![point(None, &[1.0, 2.0], "")]), Code::FailedPrecondition, "read_only", "");
    refused(caller.delete(&[1]), Code::FailedPrecondition, "read_only", "");
    refused(caller.save(), Code::FailedPrecondition, "read_only", "");
}

#[test]
fn mistakes_have_a_code_and_a_field_and_change_nothing() {
    let sandbox = Sandbox::new();
    let (served, caller) = start(&sandbox, "data --dimensions 2 --metric cosine --body-mib 1");
    assert_eq!(caller.insert(vec![point(Some(7), &[1.0, 2.0], "")]).unwrap(), [7]);
    let fine = || point(None, &[1.0, 2.0], "");
    let inserts = [
        (vec![fine(), point(Some(7), &[1.0, 2.0], "")], "duplicate_id", "points[1].id"),
        (vec![point(None, &[1.0], "")], "dimension_mismatch", "points[0].vector"),
        (vec![fine(), point(None, &[], "")], "missing_field", "points[1].vector"),
        (vec![proto::Point { vector_bytes: vec![0; 8], ..fine() }], "conflict", "points[0].vector_bytes"),
        (vec![proto::Point { vector_bytes: vec![0; 7], ..point(None, &[], "") }], "wrong_type", "points[0].vector_bytes"),
        (vec![point(None, &[0.0, 0.0], "")], "zero_vector", "points[0].vector"),
        (vec![point(None, &[f32::NAN, 0.0], "")], "not_finite", "points[0].vector"),
    ];
    for (points, word, field) in inserts {
        refused(caller.insert(points), Code::InvalidArgument, word, field);
    }
    let query = || search(&[1.0, 2.0]);
    let searches = [
        (search(&[1.0]), "dimension_mismatch", "searches[1].vector"),
        (proto::Search { k: Some(0), ..query() }, "out_of_range", "searches[1].k"),
        (proto::Search { k: Some(10_001), ..query() }, "out_of_range", "searches[1].k"),
        (proto::Search { ef: Some(0), ..query() }, "out_of_range", "searches[1].ef"),
        (proto::Search { recall: Some(1.5), ..query() }, "out_of_range", "searches[1].recall"),
        (proto::Search { ef: Some(9), recall: Some(0.5), ..query() }, "conflict", "searches[1].recall"),
        (proto::Search { filter: "x = 1".into(), ..query() }, "no_columns", "searches[1].filter"),
    ];
    for (wrong, word, field) in searches {
        refused(caller.search(vec![query(), wrong]), Code::InvalidArgument, word, field);
    }
    refused(caller.search(vec![query(); 1001]), Code::InvalidArgument, "too_many", "searches");
    refused(caller.delete(&vec![1; 100_001]), Code::InvalidArgument, "too_many", "ids");
    let large = point(None, &[1.0, 2.0], &"x".repeat(1 << 20));
    refused(caller.insert(vec![large]), Code::ResourceExhausted, "too_large", "");
    let unknown = caller.call::<proto::InfoResponse>("Upsert", proto::InfoRequest {}).unwrap_err();
    assert_eq!(unknown.code(), Code::Unimplemented);
    let nonsense = caller.call::<proto::SearchResponse>("Search", proto::SaveResponse { file: "x".into(), ..Default::default() });
    refused(nonsense, Code::InvalidArgument, "not_protobuf", "");
    assert_eq!(served.get("/info").ok()["rows"], 1);
    assert_eq!(caller.search(vec![query()]).unwrap()[0].len(), 1);
    assert_eq!(caller.search(Vec::new()).unwrap(), Vec::<Vec<proto::Hit>>::new());
    let metrics = served.get("/metrics").text;
    for line in [
        "nearshore_grpc_requests_total{call=\"/nearshore.v1.Nearshore/Info\",code=\"0\"} ",
        "nearshore_grpc_requests_total{call=\"/nearshore.v1.Nearshore/Insert\",code=\"3\"} 7",
        "nearshore_grpc_requests_total{call=\"/nearshore.v1.Nearshore/Insert\",code=\"8\"} 1",
        "nearshore_grpc_requests_total{call=\"other\",code=\"12\"} 1",
        "nearshore_grpc_request_duration_seconds_count{call=\"/nearshore.v1.Nearshore/Delete\"} 1",
    ] {
        // Nobody has asked for Info yet.
        assert_eq!(metrics.contains(line), !line.contains("Info"), "{line} in {metrics}");
    }
}

#[test]
fn a_server_that_has_enough_to_do_says_so() {
    let sandbox = Sandbox::new();
    let (served, caller) = start(&sandbox, "data --in-flight 1");
    let mut slow = served.half_an_insert();
    refused(caller.info(), Code::ResourceExhausted, "overloaded", "");
    assert_eq!(health(&caller, ""), ServingStatus::Serving);
    slow.write(Served::REST);
    slow.answer().ok();
    served.until_idle();
    assert_eq!(caller.info().unwrap().rows, 1);
}

fn health(caller: &Caller, service: &str) -> ServingStatus {
    let mut client = HealthClient::with_origin(caller.connection.clone(), caller.origin.clone());
    let asked = HealthCheckRequest { service: service.into() };
    caller.runtime.block_on(client.check(asked)).unwrap().into_inner().status()
}

#[test]
fn it_tells_its_health_and_describes_itself() {
    let sandbox = Sandbox::new();
    let (_served, caller) = start(&sandbox, "data");
    for service in ["", proto::SERVICE] {
        assert_eq!(health(&caller, service), ServingStatus::Serving);
    }
    let mut client = ServerReflectionClient::with_origin(caller.connection.clone(), caller.origin.clone());
    let mut ask = |question| {
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
        caller.runtime.block_on(async {
            let answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap();
            answers.into_inner().message().await.unwrap().unwrap().message_response.unwrap()
        })
    };
    let MessageResponse::ListServicesResponse(list) = ask(MessageRequest::ListServices(String::new())) else { panic!() };
    let names: Vec<_> = list.service.into_iter().map(|ServiceResponse { name }| name).collect();
    assert!(names.contains(&proto::SERVICE.to_owned()) && names.contains(&"grpc.health.v1.Health".to_owned()), "{names:?}");
    let symbol = MessageRequest::FileContainingSymbol(proto::SERVICE.into());
    let MessageResponse::FileDescriptorResponse(files) = ask(symbol) else { panic!() };
    let file = prost_types::FileDescriptorProto::decode(&files.file_descriptor_proto[0][..]).unwrap();
    assert_eq!((file.package(), file.syntax()), ("nearshore.v1", "proto3"));
    let search = file.message_type.iter().find(|message| message.name() == "Search").unwrap();
    let fields: Vec<_> =
        search.field.iter().map(|field| (field.name(), field.json_name(), field.number(), field.proto3_optional())).collect();
    assert_eq!(fields[1], ("vector_bytes", "vectorBytes", 2, false));
    assert_eq!(fields[2], ("k", "k", 3, true));
    // Every call that is described is one that works.
    for method in &file.service[0].method {
        let path = format!("/{}/{}", proto::SERVICE, method.name());
        assert!(proto::CALLS.contains(&path.as_str()));
        let answer = caller.call::<proto::SaveRequest>(method.name(), proto::SaveRequest {});
        assert!(answer.is_ok(), "{path}: {answer:?}");
    }
    assert_eq!(file.service[0].method.len(), proto::CALLS.len());
}

#[test]
fn other_machines_and_web_pages_need_the_key() {
    let sandbox = Sandbox::new();
    sandbox.run("serve data --grpc 0.0.0.0:0").fails(2, &["0.0.0.0:0 is open to other machines", "--api-key-file"]);
    sandbox.write("key", b"sesame\n");
    let (_served, caller) = start(&sandbox, "data --api-key-file key");
    refused(caller.info(), Code::Unauthenticated, "unauthorized", "");
    assert_eq!(health(&caller, ""), ServingStatus::Serving);
    let caller = caller.with_key("Bearer sesam");
    refused(caller.info(), Code::Unauthenticated, "unauthorized", "");
    assert_eq!(caller.with_key("Bearer sesame").info().unwrap().rows, 0);
}

#[test]
fn a_stop_saves_and_ends_those_who_watch() {
    let sandbox = Sandbox::new();
    let (served, caller) = start(&sandbox, "data");
    caller.insert(vec![point(None, &[1.0, 2.0], "x"), point(Some(9), &[2.0, 1.0], "")]).unwrap();
    assert_eq!(caller.save().unwrap().rows, 2);
    assert_eq!(caller.delete(&[9, 9, 10]).unwrap(), 1);
    let info = caller.info().unwrap();
    assert_eq!((info.rows, info.dimensions, info.metric.as_str(), info.unsaved_changes), (1, Some(2), "l2", 1));
    let mut client = HealthClient::with_origin(caller.connection.clone(), caller.origin.clone());
    let started = std::time::Instant::now();
    let told = caller.runtime.block_on(async {
        let watch = client.watch(HealthCheckRequest { service: String::new() }).await.unwrap();
        let (mut watch, mut told) = (watch.into_inner(), Vec::new());
        served.signal();
        while let Ok(Some(HealthCheckResponse { status })) = watch.message().await {
            told.push(status);
        }
        told
    });
    assert_eq!(told, [ServingStatus::Serving as i32, ServingStatus::NotServing as i32]);
    let address = served.grpc.unwrap();
    served.wait().ok();
    assert!(started.elapsed().as_secs() < 9, "it waited for the watch");
    assert!(TcpStream::connect(address).is_err());
    let (_served, caller) = start(&sandbox, "data");
    assert_eq!(caller.get(&[0, 9]).len(), 1);
}

#[test]
fn a_stop_ends_the_streams_of_those_who_ask_what_there_is() {
    let sandbox = Sandbox::new();
    let (served, caller) = start(&sandbox, "data");
    let mut client = ServerReflectionClient::with_origin(caller.connection.clone(), caller.origin.clone());
    let question = MessageRequest::ListServices(String::new());
    let question = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
    let end = caller.runtime.block_on(async {
        // As tools do that keep the stream for further questions.
        let questions = tokio_stream::once(question).chain(tokio_stream::pending());
        let mut answers = client.server_reflection_info(questions).await.unwrap().into_inner();
        assert!(answers.message().await.unwrap().is_some());
        served.signal();
        answers.message().await.map(|answer| answer.is_some()).map_err(|error| error.to_string())
    });
    assert_eq!(end, Ok(false), "an end, not a connection that broke when the server would wait no longer");
    served.wait().ok();
}

#[test]
fn answers_have_a_bound_and_keep_their_place_until_they_are_sent() {
    let sandbox = Sandbox::new();
    let (served, caller) = start(&sandbox, "data --answer-mib 1 --in-flight 4");
    caller.insert(vec![point(Some(7), &[1.0, 2.0], &"x".repeat(700_000))]).unwrap();
    let one = || proto::Search { k: Some(1), with_payload: true, ..search(&[1.0, 2.0]) };
    assert_eq!(caller.search(vec![one()]).unwrap()[0][0].payload.len(), 700_000);
    refused(caller.search(vec![one(), one()]), Code::ResourceExhausted, "answer_too_large", "");
    let get = |ids: &[u64]| caller.call::<proto::GetResponse>("Get", proto::GetRequest { ids: ids.to_vec() });
    served.until_idle();
    assert_eq!(get(&[7]).unwrap().points.len(), 1);
    served.until_idle();
    refused(get(&[7, 7]), Code::ResourceExhausted, "answer_too_large", "");
    served.until_idle();
}
