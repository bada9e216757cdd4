//! The routes: each parses, asks the collection, and answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};

use super::Context;
use super::answer::{self, json, micros, typed};
use super::body::{self, parse};
use super::error::ApiError;
use super::guard::guard;
use super::lanes::Lane;
use crate::collection::Collection;

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

/// How long a client may take to send a body.
pub(super) const BODY_PATIENCE: Duration = Duration::from_secs(30);

type Shared = State<Arc<Context>>;

pub(super) fn router(context: Arc<Context>) -> Router {
    let health = async || json(StatusCode::OK, &answer::Status { status: "ok" });
    let unknown = async || ApiError::new(StatusCode::NOT_FOUND, "not_found", "no such route; /openapi.json lists them").into_response();
    let wrong = async || {
        let message = "the route takes another method; /openapi.json lists them";
        ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message).into_response()
    };
    Router::new()
        .route("/insert", post(async |state: Shared, request: Request| work(state, Lane::Change, request, insert).await))
        .route("/search", post(async |state: Shared, request: Request| work(state, Lane::Search, request, search).await))
        .route("/delete", post(async |state: Shared, request: Request| work(state, Lane::Change, request, delete).await))
        .route("/get", post(async |state: Shared, request: Request| work(state, Lane::Read, request, read).await))
        .route("/save", post(async |state: Shared, request: Request| work(state, Lane::Change, request, save).await))
        .route("/info", get(async |State(context): Shared| json(StatusCode::OK, &answer::InfoAnswer::from(context.collection.info()))))
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(async || typed(StatusCode::OK, "application/json", include_str!("openapi.json"))))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong)
        .layer(DefaultBodyLimit::max(context.options.body_bytes))
        .layer(from_fn_with_state(Arc::clone(&context), guard))
        .with_state(context)
}

/// Reads the body, and has it answered on a thread of the lane.
async fn work(
    State(context): Shared,
    lane: Lane,
    request: Request,
    answer: fn(&Collection, &[u8]) -> Result<Response, ApiError>,
) -> Result<Response, ApiError> {
    let bytes = receive(request, context.options.body_bytes).await?;
    let worker = Arc::clone(&context);
    context.lanes.run(lane, move || answer(&worker.collection, &bytes)).await
}

async fn receive(request: Request, most: usize) -> Result<Bytes, ApiError> {
    let too_large = || {
        let message = format!("the body has more than {most} bytes; send it in parts");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    };
    // Said before a byte of it is read, to a client that says how much it will send.
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > most as u64) {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_PATIENCE, Bytes::from_request(request, &())).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(too_large()),
        Ok(Err(error)) => Err(ApiError::new(StatusCode::BAD_REQUEST, "incomplete", error.body_text())),
        Err(_) => Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body did not arrive in time")),
    }
}

fn insert(collection: &Collection, bytes: &[u8]) -> Result<Response, ApiError> {
    let (points, alone) = parse::<body::Insert>(bytes)?.points()?;
    let ids = collection.insert(&points).map_err(|error| ApiError::from(error).rename(|field| body::short(field, alone)))?;
    Ok(json(StatusCode::OK, &answer::Inserted { ids }))
}

fn search(collection: &Collection, bytes: &[u8]) -> Result<Response, ApiError> {
    let started = Instant::now();
    let (searches, alone) = parse::<body::Search>(bytes)?.searches()?;
    let mut results = Vec::with_capacity(searches.len());
    for (place, search) in searches.iter().enumerate() {
        let found = collection.search(search).map_err(|error| body::in_search(error.into(), place, alone))?;
        results.push(answer::Hits { hits: found.into_iter().map(answer::Hit::from).collect(), took_us: None });
    }
    let took_us = micros(started);
    match results.pop() {
        Some(hits) if alone => Ok(json(StatusCode::OK, &answer::Hits { took_us: Some(took_us), ..hits })),
        last => {
            results.extend(last);
            Ok(json(StatusCode::OK, &answer::Results { results, took_us }))
        }
    }
}

fn delete(collection: &Collection, bytes: &[u8]) -> Result<Response, ApiError> {
    let deleted = collection.delete(&parse::<body::Ids>(bytes)?.ids()?)?;
    Ok(json(StatusCode::OK, &answer::Deleted { deleted }))
}

fn read(collection: &Collection, bytes: &[u8]) -> Result<Response, ApiError> {
    let stored = collection.get(&parse::<body::Ids>(bytes)?.ids()?)?;
    Ok(json(StatusCode::OK, &answer::Points { points: stored.into_iter().map(answer::Point::from).collect() }))
}

fn save(collection: &Collection, bytes: &[u8]) -> Result<Response, ApiError> {
    let started = Instant::now();
    body::Nothing::check(bytes)?;
    let saved = collection.save()?;
    Ok(json(StatusCode::OK, &answer::SavedAnswer::new(&saved, micros(started))))
}

async fn ready(State(context): Shared) -> Response {
    if *context.stopping.borrow() {
        return ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the server is stopping").into_response();
    }
    json(StatusCode::OK, &answer::Status { status: "ready" })
}

async fn metrics(State(context): Shared) -> Response {
    let in_flight = context.options.in_flight.saturating_sub(context.in_flight.available_permits());
    let text = context.metrics.text(&context.collection.info(), in_flight);
    typed(StatusCode::OK, "text/plain; version=0.0.4", text)
}
