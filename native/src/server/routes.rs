//! The routes: each parses, asks the collection, and answers.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};

use super::Context;
use super::answer::{self, json, micros, typed};
use super::body::{self, parse};
use super::error::ApiError;
use super::guard::guard;
use super::lanes::Lane;
use super::work::{Answer, Work};

/// Every method and path that a server knows.
pub const ROUTES: [(&str, &str); 10] = [
    ("POST", "/insert"),
    ("POST", "/search"),
    ("POST", "/delete"),
    ("POST", "/get"),
    ("POST", "/save"),
    ("GET", "/info"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
];

type Shared = State<Arc<Context>>;

pub(super) fn router(context: Arc<Context>) -> Router {
    let health = async || json(StatusCode::OK, &answer::Status { status: "ok" });
    let unknown = async || ApiError::new(StatusCode::NOT_FOUND, "not_found", "no such route; /openapi.json lists them").into_response();
    let wrong = async |uri: Uri| {
        let taken: Vec<&str> = ROUTES.iter().filter(|(_, path)| *path == uri.path()).map(|(method, _)| *method).collect();
        let message = format!("{} takes {}", uri.path(), taken.join(", "));
        ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message).into_response()
    };
    Router::new()
        .route("/insert", post(async |state: Shared, request: Request| work(state, Lane::Change, request, insert).await))
        .route("/search", post(async |state: Shared, request: Request| work(state, Lane::Search, request, search).await))
        .route("/delete", post(async |state: Shared, request: Request| work(state, Lane::Change, request, delete).await))
        .route("/get", post(async |state: Shared, request: Request| work(state, Lane::Read, request, read).await))
        .route("/save", post(async |state: Shared, request: Request| work(state, Lane::Change, request, save).await))
        .route("/info", get(info))
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(async || typed(StatusCode::OK, "application/json", include_str!("openapi.json"))))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong)
        .layer(from_fn_with_state(Arc::clone(&context), guard))
        .with_state(context)
}

async fn work(State(context): Shared, lane: Lane, request: Request, answer: Answer) -> Result<Response, ApiError> {
    plain(request.headers())?;
    let answered = context.work(Some(lane), 0, request, answer).await?;
    Ok(typed(StatusCode::OK, "application/json", answered))
}

/// Refuses a body that is packed.
fn plain(headers: &HeaderMap) -> Result<(), ApiError> {
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
    let Some(value) = values.find(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) else { return Ok(()) };
    let value = String::from_utf8_lossy(value.as_bytes());
    let message = format!("Content-Encoding: {value} is not read here; JSON as it is, without that header, would be right");
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", message))
}

fn insert(work: &Work<'_>, bytes: Bytes) -> Result<Vec<u8>, ApiError> {
    let (points, alone) = parse::<body::Insert>(&bytes)?.points()?;
    let ids = work.collection.insert(&points).map_err(|error| ApiError::from(error).rename(|field| body::short(field, alone)))?;
    work.room().json(&answer::Inserted { ids })
}

fn search(work: &Work<'_>, bytes: Bytes) -> Result<Vec<u8>, ApiError> {
    let started = Instant::now();
    let (searches, alone) = parse::<body::Search>(&bytes)?.searches()?;
    let (mut room, mut results) = (work.room(), Vec::with_capacity(searches.len()));
    for (place, search) in searches.iter().enumerate() {
        let found = work.search(search, &mut room).map_err(|error| body::in_search(error, place, alone))?;
        results.push(answer::Hits { hits: found.into_iter().map(answer::Hit::from).collect(), took_us: None });
    }
    let took_us = micros(started);
    match results.pop() {
        Some(hits) if alone => room.json(&answer::Hits { took_us: Some(took_us), ..hits }),
        last => {
            results.extend(last);
            room.json(&answer::Results { results, took_us })
        }
    }
}

fn delete(work: &Work<'_>, bytes: Bytes) -> Result<Vec<u8>, ApiError> {
    let deleted = work.collection.delete(&parse::<body::Ids>(&bytes)?.ids()?)?;
    work.room().json(&answer::Deleted { deleted })
}

fn read(work: &Work<'_>, bytes: Bytes) -> Result<Vec<u8>, ApiError> {
    let mut room = work.room();
    let stored = work.rows(&parse::<body::Ids>(&bytes)?.ids()?, &mut room)?;
    room.json(&answer::Points { points: stored.into_iter().map(answer::Point::from).collect() })
}

fn save(work: &Work<'_>, bytes: Bytes) -> Result<Vec<u8>, ApiError> {
    let started = Instant::now();
    body::Nothing::check(&bytes)?;
    let saved = work.collection.save()?;
    work.room().json(&answer::SavedAnswer::new(&saved, micros(started)))
}

async fn info(State(context): Shared) -> Result<Response, ApiError> {
    let _place = context.places.enter(None)?;
    Ok(json(StatusCode::OK, &answer::InfoAnswer::from(context.collection.info())))
}

async fn ready(State(context): Shared) -> Response {
    if *context.stopping.borrow() {
        return ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the server is stopping").into_response();
    }
    json(StatusCode::OK, &answer::Status { status: "ready" })
}

async fn metrics(State(context): Shared) -> Response {
    let text = context.metrics.text(&context.collection.info(), context.places.taken(), &context.connections);
    typed(StatusCode::OK, "text/plain; version=0.0.4", text)
}
