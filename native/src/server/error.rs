//! Refusals: a status and `{ "error": { "code", "message", "field" } }`, the same three keys always.

use std::io::ErrorKind;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::answer::json;
use crate::collection::CollectionError;
use crate::error::Error;

/// Seconds after which a server that had too much to do may be asked again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Bytes of a message, and of a field's name: over gRPC they go into headers, of which clients take a few KiB.
const WORDS_BYTES: usize = 1000;

/// A request that was not done.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
    /// The field that is to blame, where one is.
    pub(super) field: Option<String>,
}

#[derive(Serialize)]
struct Shown<'a> {
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    code: &'a str,
    message: &'a str,
    field: Option<&'a str>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), field: None }
    }

    /// A field that is wrong.
    pub(super) fn field(code: &'static str, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..Self::new(StatusCode::BAD_REQUEST, code, message) }
    }

    /// There is too much to do.
    pub(super) fn overloaded(message: &'static str) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", message)
    }

    /// A mistake of ours.
    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed; its log may say more")
    }

    /// The same in words that are not too long: what was wrong is repeated in them.
    pub(super) fn clipped(mut self) -> Self {
        for words in [Some(&mut self.message), self.field.as_mut()].into_iter().flatten() {
            if words.len() > WORDS_BYTES {
                words.truncate(words.floor_char_boundary(WORDS_BYTES));
                words.push('\u{2026}');
            }
        }
        self
    }

    /// The same, with the field's name changed.
    pub(super) fn rename(mut self, name: impl FnOnce(String) -> String) -> Self {
        self.field = self.field.map(name);
        self
    }
}

impl From<CollectionError> for ApiError {
    fn from(error: CollectionError) -> Self {
        let (status, code) = match &error {
            CollectionError::Invalid { field, fault } => return Self::field(fault.code(), field, fault.to_string()),
            CollectionError::ReadOnly { .. } => (StatusCode::SERVICE_UNAVAILABLE, "read_only"),
            CollectionError::Full => (StatusCode::INSUFFICIENT_STORAGE, "full"),
            CollectionError::File(Error::Io { source, .. })
                if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) =>
            {
                (StatusCode::INSUFFICIENT_STORAGE, "disk_full")
            }
            CollectionError::File(Error::Io { .. }) => (StatusCode::INTERNAL_SERVER_ERROR, "io"),
            CollectionError::File(_) => (StatusCode::INTERNAL_SERVER_ERROR, "damaged"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self { status, code, message, field } = self.clipped();
        let mut response = json(status, &Shown { error: Inner { code, message: &message, field: field.as_deref() } });
        if status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
