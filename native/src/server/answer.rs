//! What requests are answered with.

use std::time::Instant;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::base64;
use crate::collection::{Found, Info, LiveColumn, Saved, Stored};
use crate::filter::Value;

/// A value as JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    // Our own types are always JSON: keys are strings.
    let text = serde_json::to_vec(value).unwrap_or_default();
    typed(status, "application/json", text)
}

/// Text of a type.
pub(super) fn typed(status: StatusCode, kind: &'static str, text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// What came with a row: text where it is UTF-8, base64 where it is not, nothing where there is nothing.
#[derive(Default, Serialize)]
pub(super) struct Payload {
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) if text.is_empty() => Self::default(),
            Ok(text) => Self { payload: Some(text), payload_base64: None },
            Err(not_text) => Self { payload: None, payload_base64: Some(base64::encode(not_text.as_bytes())) },
        }
    }
}

#[derive(Serialize)]
pub(super) struct Inserted {
    pub(super) ids: Vec<u64>,
}

#[derive(Serialize)]
pub(super) struct Deleted {
    pub(super) deleted: u64,
}

/// One search's hits and, where it came alone, its time.
#[derive(Serialize)]
pub(super) struct Hits {
    pub(super) hits: Vec<Hit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) took_us: Option<u64>,
}

/// Those of many.
#[derive(Serialize)]
pub(super) struct Results {
    pub(super) results: Vec<Hits>,
    pub(super) took_us: u64,
}

#[derive(Serialize)]
pub(super) struct Hit {
    id: u64,
    distance: f32,
    #[serde(flatten)]
    payload: Payload,
}

impl From<Found> for Hit {
    fn from(Found { id, distance, payload }: Found) -> Self {
        Self { id, distance, payload: payload.map(Payload::from).unwrap_or_default() }
    }
}

#[derive(Serialize)]
pub(super) struct Points {
    pub(super) points: Vec<Point>,
}

#[derive(Serialize)]
pub(super) struct Point {
    id: u64,
    vector: Vec<f32>,
    #[serde(flatten)]
    payload: Payload,
    /// By name; null where the row has no value.
    #[serde(skip_serializing_if = "Map::is_empty")]
    columns: Map<String, Json>,
}

impl From<Stored> for Point {
    fn from(Stored { id, vector, payload, columns }: Stored) -> Self {
        let value = |value| match value {
            None => Json::Null,
            Some(Value::I64(value)) => value.into(),
            Some(Value::F64(value)) => value.into(),
            Some(Value::Bool(value)) => value.into(),
            Some(Value::Text(text)) => text.into(),
        };
        let columns = columns.into_iter().map(|(name, of_row)| (name, value(of_row))).collect();
        Self { id, vector, payload: payload.into(), columns }
    }
}

#[derive(Serialize)]
pub(super) struct SavedAnswer {
    file: String,
    rows: u64,
    file_bytes: u64,
    took_us: u64,
}

impl SavedAnswer {
    pub(super) fn new(Saved { file, rows, bytes }: &Saved, took_us: u64) -> Self {
        Self { file: file.display().to_string(), rows: *rows, file_bytes: *bytes, took_us }
    }
}

#[derive(Serialize)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
pub(super) struct InfoAnswer {
    file: String,
    rows: u64,
    tombstones: u64,
    dimensions: Option<usize>,
    metric: &'static str,
    element: &'static str,
    columns: Vec<Column>,
    read_only: bool,
    read_only_because: Option<&'static str>,
    unsaved_changes: u64,
    version: &'static str,
}

impl From<Info> for InfoAnswer {
    fn from(info: Info) -> Self {
        Self {
            file: info.file.display().to_string(),
            rows: info.rows,
            tombstones: info.tombstones,
            dimensions: info.dimensions,
            metric: info.metric.as_str(),
            element: info.element.as_str(),
            columns: info.columns.into_iter().map(|LiveColumn { name, kind }| Column { name, kind: kind.as_str() }).collect(),
            read_only: info.read_only.is_some(),
            read_only_because: info.read_only,
            unsaved_changes: info.unsaved,
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Status {
    pub(super) status: &'static str,
}

/// How long it took.
pub(super) fn micros(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX)
}
