//! One message in, one out.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use bytes::{Buf as _, BufMut as _};
use tonic::codec::{DecodeBuf, Decoder, EncodeBody, EncodeBuf, Encoder, SingleMessageCompressionOverride, Streaming};
use tonic::codegen::tokio_stream;
use tonic::{Code, Status};

use super::super::Context;
use super::super::error::ApiError;
use super::super::lanes::Lane;
use super::super::routes::BODY_PATIENCE;
use super::status;
use crate::collection::Collection;

/// What a call does: an encoded message, answered by another.
pub(super) type Answer = fn(&Collection, Bytes) -> Result<Vec<u8>, ApiError>;

/// Takes the one message of a call, and has it answered on a thread of the lane; at once where there is none.
pub(super) async fn unary(context: Arc<Context>, lane: Option<Lane>, request: Request, answer: Answer) -> Response {
    let most = context.options.body_bytes;
    let message = match receive(request, most).await {
        Ok(message) => message,
        Err(response) => return response,
    };
    let worker = Arc::clone(&context);
    let answered = match lane {
        Some(lane) => context.lanes.run(lane, move || answer(&worker.collection, message)).await,
        None => answer(&worker.collection, message),
    };
    match answered {
        Ok(answer) => send(answer),
        Err(error) => status::refused(error),
    }
}

async fn receive(request: Request, most: usize) -> Result<Bytes, Response> {
    let coding = request.headers().get("grpc-encoding").map(HeaderValue::as_bytes);
    if coding.is_some_and(|coding| coding != b"identity") {
        return Err(status::response(Code::Unimplemented, "messages are not compressed here"));
    }
    let mut messages = Streaming::new_request(Encoded, request.into_body(), None, Some(most));
    let late = |_| status::refused(ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the message did not arrive in time"));
    match tokio::time::timeout(BODY_PATIENCE, messages.message()).await.map_err(late)? {
        Ok(Some(message)) => Ok(message),
        Ok(None) => Err(status::response(Code::InvalidArgument, "there is no message")),
        // Said of a length that is too much, before the message is read.
        Err(error) if error.code() == Code::OutOfRange => {
            let message = format!("the message has more than {most} bytes; send it in parts");
            Err(status::refused(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)))
        }
        Err(error) => Err(error.into_http()),
    }
}

fn send(message: Vec<u8>) -> Response {
    let messages = tokio_stream::once(Ok::<_, Status>(message));
    let body = EncodeBody::new_server(Encoded, messages, None, SingleMessageCompressionOverride::default(), None);
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// Messages stay as they are sent: what is in them is a matter for other threads.
struct Encoded;

impl Decoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}

impl Encoder for Encoded {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&message);
        Ok(())
    }
}
