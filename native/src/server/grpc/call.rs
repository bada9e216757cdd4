//! One message in, one out.

use std::future::ready;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use http_body_util::{BodyExt as _, Full};
use tonic::Code;

use super::super::Context;
use super::super::error::ApiError;
use super::super::lanes::Lane;
use super::super::work::Answer;
use super::status;

/// Bytes before a message: whether it is compressed, and its length.
pub(super) const PREFIX: usize = 5;

/// Takes the one message of a call, and has it answered on a thread of the lane; at once where there is none.
pub(super) async fn unary(context: Arc<Context>, lane: Option<Lane>, request: Request, answer: Answer) -> Response {
    let coding = request.headers().get("grpc-encoding").map(HeaderValue::as_bytes);
    if coding.is_some_and(|coding| coding != b"identity") {
        return status::response(Code::Unimplemented, "messages are not compressed here");
    }
    match context.work(lane, PREFIX, request, answer).await {
        Ok(answer) => send(answer),
        Err(error) => status::refused(error),
    }
}

/// The message of a body.
pub(super) fn message(mut body: Bytes) -> Result<Bytes, ApiError> {
    let whole = match body.split_first_chunk::<PREFIX>() {
        Some(([0, length @ ..], message)) => message.len() == u32::from_be_bytes(*length) as usize,
        _ => false,
    };
    if !whole {
        let what = "one whole message that is not compressed would be right";
        return Err(ApiError { field: None, ..ApiError::field("not_protobuf", "", what) });
    }
    Ok(body.split_off(PREFIX))
}

fn send(message: Bytes) -> Response {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let mut response = Response::new(Body::new(Full::new(message).with_trailers(ready(Some(Ok(trailers))))));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_one_message() {
        let message = |bytes: &'static [u8]| message(Bytes::from_static(bytes)).map_err(|error| error.code);
        assert_eq!(message(&[0, 0, 0, 0, 2, 7, 8]).unwrap(), [7, 8][..]);
        assert_eq!(message(&[0, 0, 0, 0, 0]).unwrap(), [][..]);
        for wrong in [&[][..], &[0, 0, 0, 0], &[0, 0, 0, 0, 2, 7], &[0, 0, 0, 0, 1, 7, 8], &[1, 0, 0, 0, 1, 7]] {
            assert_eq!(message(wrong), Err("not_protobuf"));
        }
    }
}
