//! What calls do: their messages become the requests that HTTP has, and the answers messages.

use std::time::Instant;

use axum::body::Bytes;
use prost::Message;

use super::super::answer::micros;
use super::super::body::{self, Vector};
use super::super::error::ApiError;
use super::super::work::Work;
use super::call::message;
use super::{limits, proto};
use crate::collection::{Found, LiveColumn, Stored};
use crate::filter::Value;

type Answer = Result<Vec<u8>, ApiError>;

fn decode<T: Message + Default>(message: &[u8]) -> Result<T, ApiError> {
    T::decode(message).map_err(|error| ApiError { field: None, ..ApiError::field("not_protobuf", "", error.to_string()) })
}

/// A vector as numbers or as bytes; `field` is the name of the former.
fn vector(numbers: Vec<f32>, bytes: &[u8], field: &str) -> Result<Vector, ApiError> {
    match (numbers.is_empty(), bytes.as_chunks::<4>()) {
        (false, _) if !bytes.is_empty() => {
            Err(ApiError::field("conflict", format!("{field}_bytes"), "`vector`, or `vector_bytes`; not both"))
        }
        (true, ([], [])) => Err(ApiError::field("missing_field", field, "`vector` is missing")),
        (true, (floats, [])) => Ok(Vector(floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())),
        (true, _) => {
            let message = format!("{} bytes; a multiple of 4 would be right", bytes.len());
            Err(ApiError::field("wrong_type", format!("{field}_bytes"), message))
        }
        (false, _) => Ok(Vector(numbers)),
    }
}

/// The value of a column of the point at `place`; none where no kind of value is given.
fn value(column: proto::Column, place: usize) -> Result<(String, Option<Value>), ApiError> {
    let proto::Column { name, i64_value, f64_value, bool_value, string_value } = column;
    let values = [i64_value.map(Value::I64), f64_value.map(Value::F64), bool_value.map(Value::Bool), string_value.map(Value::Text)];
    let mut values = values.into_iter().flatten();
    match (values.next(), values.next()) {
        (_, Some(_)) => {
            let message = "one value, of one type; there are more";
            Err(ApiError::field("conflict", format!("points[{place}].columns.{name}"), message))
        }
        (value, None) => Ok((name, value)),
    }
}

fn column(name: String, value: Option<Value>) -> proto::Column {
    let mut column = proto::Column { name, ..proto::Column::default() };
    match value {
        None => {}
        Some(Value::I64(value)) => column.i64_value = Some(value),
        Some(Value::F64(value)) => column.f64_value = Some(value),
        Some(Value::Bool(value)) => column.bool_value = Some(value),
        Some(Value::Text(text)) => column.string_value = Some(text),
    }
    column
}

pub(super) fn insert(work: &Work<'_>, body: Bytes) -> Answer {
    let message = message(body)?;
    limits::insert(&message)?;
    let proto::InsertRequest { points } = decode(&message)?;
    let points = points.into_iter().enumerate().map(|(place, proto::Point { id, vector: numbers, vector_bytes, payload, columns })| {
        let vector = vector(numbers, &vector_bytes, &format!("points[{place}].vector"))?;
        let columns = columns.into_iter().map(|column| value(column, place)).collect::<Result<_, ApiError>>()?;
        Ok(body::Point { id, vector, payload: None, payload_base64: Some(body::Bytes(payload)), columns: Some(body::Columns(columns)) })
    });
    let (points, _) = body::Insert::many(points.collect::<Result<_, ApiError>>()?).points()?;
    let ids = work.collection.insert(&points)?;
    work.room().message(&proto::InsertResponse { ids })
}

pub(super) fn search(work: &Work<'_>, body: Bytes) -> Answer {
    let message = message(body)?;
    let started = Instant::now();
    limits::search(&message)?;
    let proto::SearchRequest { searches } = decode(&message)?;
    let searches = searches.into_iter().enumerate().map(|(place, search)| {
        let at = |field: &str| format!("searches[{place}].{field}");
        let proto::Search { vector: numbers, vector_bytes, k, ef, recall, with_payload, filter } = search;
        let number = |number: Option<u32>| number.map(|number| number as usize);
        Ok(body::OneSearch {
            vector: vector(numbers, &vector_bytes, &at("vector"))?,
            k: number(k),
            ef: number(ef),
            recall,
            with_payload: Some(with_payload),
            filter: condition(filter).map_err(|what| ApiError::field("bad_filter", at("filter"), what))?,
        })
    });
    let (searches, alone) = body::Search::many(searches.collect::<Result<_, ApiError>>()?).searches()?;
    let (mut room, mut results) = (work.room(), Vec::with_capacity(searches.len()));
    for (place, search) in searches.iter().enumerate() {
        let found = work.search(search, &mut room).map_err(|error| body::in_search(error, place, alone))?;
        results.push(proto::Hits { hits: found.into_iter().map(hit).collect() });
    }
    room.message(&proto::SearchResponse { results, took_us: micros(started) })
}

/// A filter as HTTP has it: an object is JSON, anything else is the text form, which never begins with a bracket of that kind.
fn condition(filter: String) -> Result<Option<serde_json::Value>, String> {
    match filter.trim_start() {
        "" => Ok(None),
        text if text.starts_with('{') => serde_json::from_str(text).map(Some).map_err(|error| error.to_string()),
        _ => Ok(Some(serde_json::Value::String(filter))),
    }
}

fn hit(Found { id, distance, payload }: Found) -> proto::Hit {
    proto::Hit { id, distance, payload: payload.unwrap_or_default() }
}

pub(super) fn delete(work: &Work<'_>, body: Bytes) -> Answer {
    let message = message(body)?;
    let proto::DeleteRequest { ids } = decode(&message)?;
    let deleted = work.collection.delete(&body::Ids { ids }.ids()?)?;
    work.room().message(&proto::DeleteResponse { deleted })
}

pub(super) fn read(work: &Work<'_>, body: Bytes) -> Answer {
    let message = message(body)?;
    let proto::GetRequest { ids } = decode(&message)?;
    let mut room = work.room();
    let stored = work.rows(&body::Ids { ids }.ids()?, &mut room)?;
    let points = stored.into_iter().map(|Stored { id, vector, payload, columns }| {
        let columns = columns.into_iter().map(|(name, value)| column(name, value)).collect();
        proto::StoredPoint { id, vector, payload, columns }
    });
    room.message(&proto::GetResponse { points: points.collect() })
}

pub(super) fn save(work: &Work<'_>, body: Bytes) -> Answer {
    let message = message(body)?;
    let started = Instant::now();
    let proto::SaveRequest {} = decode(&message)?;
    let saved = work.collection.save()?;
    let file = saved.file.display().to_string();
    work.room().message(&proto::SaveResponse { file, rows: saved.rows, file_bytes: saved.bytes, took_us: micros(started) })
}

pub(super) fn info(work: &Work<'_>, body: Bytes) -> Answer {
    let message = message(body)?;
    let proto::InfoRequest {} = decode(&message)?;
    let info = work.collection.info();
    let answer = proto::InfoResponse {
        file: info.file.display().to_string(),
        rows: info.rows,
        tombstones: info.tombstones,
        dimensions: info.dimensions.map(|dimensions| dimensions as u64),
        metric: info.metric.as_str().to_owned(),
        element: info.element.as_str().to_owned(),
        columns: info.columns.into_iter().map(|LiveColumn { name, kind }| proto::ColumnType { name, r#type: kind.to_string() }).collect(),
        read_only: info.read_only.is_some(),
        read_only_because: info.read_only.unwrap_or_default().to_owned(),
        unsaved_changes: info.unsaved,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    work.room().message(&answer)
}
