//! The same collection over gRPC: `proto/nearshore.proto`, health and reflection.
//!
//! ```text
//!   connection --> guard (who, how many, how long) --> a call --> a lane of threads --> Collection
//! ```
//! As over HTTP, which it shares everything with: a message is turned into the request that its JSON would be
//! ([`requests`]), so that limits, checks and names of fields are the same ones; refusals are the same words with a gRPC code
//! ([`status`]). Async threads move bytes; a message is decoded, answered and encoded on a thread of its lane.

mod call;
mod limits;
mod requests;
mod status;
mod stopped;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Version};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any_service, post};
use tonic::Code;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tonic_reflection::server::Builder;

use super::Context;
use super::error::ApiError;
use super::guard;
use super::lanes::Lane;
use super::metrics::Door;
use super::work::Answer;
use call::unary;

/// Messages, and what reflection tells of them; made from `proto/nearshore.proto` by the build script.
#[allow(unreachable_pub, reason = "generated")]
pub(super) mod proto {
    include!(concat!(env!("OUT_DIR"), "/nearshore.v1.rs"));

    /// The descriptor of the file.
    pub(super) const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/nearshore.v1.bin"));
}

/// Asked by whatever watches the server, with or without the key, however busy it is.
const PROBES: &str = "/grpc.health.v1.Health/";

/// How long those who watch the health of a server that stops are left to hear of it.
const FAREWELL: Duration = Duration::from_millis(50);

/// The calls, and who tells of the health.
pub(super) async fn router(context: Arc<Context>) -> (Router, HealthReporter) {
    let health = HealthReporter::new();
    health.set_service_status(proto::SERVICE, ServingStatus::Serving).await;
    let healthy = any_service(HealthServer::new(HealthService::from_health_reporter(health.clone())));
    let reflection = || {
        let described = Builder::configure().register_encoded_file_descriptor_set(proto::DESCRIPTOR);
        described.register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let mut router = Router::new().route("/grpc.health.v1.Health/{call}", healthy);
    // Both versions: clients of a few years ago know the older one only. They are constants, which are right or never were.
    if let (Ok(v1), Ok(v1alpha)) = (reflection().build_v1(), reflection().build_v1alpha()) {
        let ending = from_fn_with_state(Arc::clone(&context), ended_by_a_stop);
        router = router
            .route("/grpc.reflection.v1.ServerReflection/{call}", any_service(v1).layer(ending.clone()))
            .route("/grpc.reflection.v1alpha.ServerReflection/{call}", any_service(v1alpha).layer(ending));
    }
    for path in proto::CALLS {
        let call = path.rsplit('/').next().unwrap_or_default();
        let (lane, answer) = match call {
            "Insert" => (Some(Lane::Change), requests::insert as Answer),
            "Search" => (Some(Lane::Search), requests::search as Answer),
            "Delete" => (Some(Lane::Change), requests::delete as Answer),
            "Get" => (Some(Lane::Read), requests::read as Answer),
            "Save" => (Some(Lane::Change), requests::save as Answer),
            "Info" => (None, requests::info as Answer),
            // A test calls every one.
            _ => continue,
        };
        router = router.route(
            path,
            post(async move |State(context): State<Arc<Context>>, request: Request| unary(context, lane, request, answer).await),
        );
    }
    let unknown = async || status::response(Code::Unimplemented, "no such call; reflection lists them");
    let router = router.fallback(unknown).method_not_allowed_fallback(unknown);
    (router.layer(from_fn_with_state(Arc::clone(&context), guarded)).with_state(context), health)
}

/// Lets no more questions come over a stream once the server stops: those who may ask more would keep it waiting.
async fn ended_by_a_stop(State(context): State<Arc<Context>>, request: Request, next: Next) -> Response {
    next.run(request.map(|body| stopped::until_stopped(body, context.stopping.clone()))).await
}

/// Says that the server stops, and ends the streams of those who watch: they would keep it waiting.
pub(super) async fn farewell(mut health: HealthReporter) {
    for service in ["", proto::SERVICE] {
        health.set_service_status(service, ServingStatus::NotServing).await;
    }
    tokio::time::sleep(FAREWELL).await;
    for service in ["", proto::SERVICE] {
        health.clear_service_status(service).await;
    }
}

/// Lets a call through, or refuses it, and counts it.
async fn guarded(State(context): State<Arc<Context>>, request: Request, next: Next) -> Response {
    // Clients of HTTP/1 would not see how a call ended, which is said in trailers.
    if request.version() < Version::HTTP_2 {
        return (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "gRPC is spoken here, over HTTP/2\n").into_response();
    }
    let started = Instant::now();
    let path = request.uri().path();
    let call = proto::CALLS.into_iter().find(|call| *call == path);
    let response = pass(&context, request, next).await.unwrap_or_else(status::refused);
    let code = status::code(&response);
    context.metrics.count(Door::Grpc, call.unwrap_or("other"), code as u16, started.elapsed());
    response
}

async fn pass(context: &Context, request: Request, next: Next) -> Result<Response, ApiError> {
    if request.uri().path().starts_with(PROBES) {
        // Asked without a key: who does not end the question must not keep its place by it.
        return Ok(next.run(request.map(stopped::until_late)).await);
    }
    guard::admit(context, request.headers())?;
    Ok(next.run(request).await)
}
