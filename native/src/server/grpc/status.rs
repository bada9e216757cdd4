//! Refusals: the words of HTTP's with the codes of gRPC.

use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use tonic::{Code, Status};

use super::super::error::ApiError;

/// A refusal; its words for programs go into the metadata.
pub(super) fn refused(error: ApiError) -> Response {
    let ApiError { status, code, message, field } = error.clipped();
    let message = match &field {
        Some(field) => format!("{field}: {message}"),
        None => message,
    };
    let mut refused = response(code_of(status, code), message);
    refused.headers_mut().insert("error-code", HeaderValue::from_static(code));
    // Names of fields are those of the interface; one that no header can hold was a stranger's, and is in the message.
    if let Some(field) = field.and_then(|field| HeaderValue::from_str(&field).ok()) {
        refused.headers_mut().insert("error-field", field);
    }
    refused
}

/// A refusal of a call that is none.
pub(super) fn response(code: Code, message: impl Into<String>) -> Response {
    Status::new(code, message).into_http()
}

/// The code that a response will be counted by.
pub(super) fn code(response: &Response) -> Code {
    response.headers().get("grpc-status").map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()))
}

fn code_of(status: StatusCode, code: &str) -> Code {
    match (status, code) {
        (_, "read_only") => Code::FailedPrecondition,
        (_, "damaged") => Code::DataLoss,
        (StatusCode::BAD_REQUEST, _) => Code::InvalidArgument,
        (StatusCode::UNAUTHORIZED, _) => Code::Unauthenticated,
        (StatusCode::FORBIDDEN, _) => Code::PermissionDenied,
        (StatusCode::REQUEST_TIMEOUT, _) => Code::DeadlineExceeded,
        (StatusCode::PAYLOAD_TOO_LARGE | StatusCode::TOO_MANY_REQUESTS | StatusCode::INSUFFICIENT_STORAGE, _) => Code::ResourceExhausted,
        (StatusCode::SERVICE_UNAVAILABLE, _) => Code::Unavailable,
        _ => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collection::CollectionError;

    #[test]
    fn every_refusal_has_the_code_that_clients_expect() {
        let code_of = |error: ApiError| code(&refused(error));
        assert_eq!(code_of(CollectionError::ReadOnly { why: "so" }.into()), Code::FailedPrecondition);
        assert_eq!(code_of(CollectionError::Full.into()), Code::ResourceExhausted);
        let file = |error| CollectionError::File(error).into();
        assert_eq!(code_of(file(crate::Error::Search(nearshore_core::search::SearchError::ZeroVector))), Code::DataLoss);
        let full = std::io::ErrorKind::StorageFull.into();
        assert_eq!(code_of(file(crate::Error::Io { path: "x".into(), source: full })), Code::ResourceExhausted);
        let used_up = std::io::ErrorKind::QuotaExceeded.into();
        assert_eq!(code_of(file(crate::Error::Io { path: "x".into(), source: used_up })), Code::ResourceExhausted);
        let broken = std::io::ErrorKind::BrokenPipe.into();
        assert_eq!(code_of(file(crate::Error::Io { path: "x".into(), source: broken })), Code::Internal);
        let refused = refused(ApiError::field("out_of_range", "searches[1].k", "must be 1 to 10000"));
        assert_eq!(code(&refused), Code::InvalidArgument);
        assert_eq!(refused.headers()["error-code"], "out_of_range");
        assert_eq!(refused.headers()["error-field"], "searches[1].k");
        assert_eq!(Status::from_header_map(refused.headers()).unwrap().message(), "searches[1].k: must be 1 to 10000");
    }

    #[test]
    fn long_words_of_a_stranger_fit_into_headers() {
        let refused = refused(ApiError::field("wrong_type", "x".repeat(1 << 20), "\u{e9}\n".repeat(1 << 20)));
        let bytes: usize = refused.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        assert!(bytes < 8 << 10, "{bytes}");
        let said = Status::from_header_map(refused.headers()).unwrap().message().to_owned();
        assert!(said.starts_with("xxx") && said.contains("\u{e9}") && said.ends_with('\u{2026}'), "{said}");
    }
}
