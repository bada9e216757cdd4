//! What every request passes before its route: who it is, and how long it took.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::Context;
use super::error::ApiError;
use super::metrics::Door;
use super::routes::ROUTES;

/// Asked by whatever watches the server, with or without the key, however busy it is.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// Lets a request through, or refuses it, and counts it.
pub(super) async fn guard(State(context): State<Arc<Context>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let path = request.uri().path();
    // Paths that are none of ours are one label, or a stranger could fill the memory with names.
    let route = ROUTES.iter().map(|(_, route)| *route).find(|route| *route == path).unwrap_or("other");
    let response = pass(&context, route, request, next).await.unwrap_or_else(ApiError::into_response);
    context.metrics.count(Door::Http, route, response.status().as_u16(), started.elapsed());
    response
}

async fn pass(context: &Context, route: &str, request: Request, next: Next) -> Result<Response, ApiError> {
    if PROBES.contains(&route) {
        return Ok(next.run(request).await);
    }
    admit(context, request.headers())?;
    Ok(next.run(request).await)
}

/// The key, where there is one. Where there is none, everybody on this machine may come, a web page in somebody's browser
/// excepted: browsers say so by `Origin`.
pub(super) fn admit(context: &Context, headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(key) = &context.options.key else {
        if headers.contains_key(header::ORIGIN) {
            let message = "a web page may not ask a server without a key; start it with --api-key-file";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "origin", message));
        }
        return Ok(());
    };
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    if given.is_some_and(|given| key.is(given)) {
        return Ok(());
    }
    Err(ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", "the key is missing or wrong; send `Authorization: Bearer KEY`"))
}
