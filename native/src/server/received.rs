//! The body of a request, which is read to its end whatever becomes of it: a client that is refused while it still sends would not see the answer,
//! but a connection that broke.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{Version, header};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::runtime::Handle;
use tokio::time::timeout;

/// How long a client that was answered may go on with its body, before the connection is closed instead.
const REST: Duration = Duration::from_secs(3);

/// A body that comes.
pub(super) struct Received {
    /// Until the value goes.
    body: Option<Incoming>,
    /// Whether the client sends the rest though nobody asks for it.
    comes: bool,
    /// Whether it is read as it comes, which over HTTP/2 it is not: there a body is refused by a word of its own.
    streams: bool,
}

/// The request, with its body so.
pub(super) fn received(request: Request<Incoming>) -> Request<Received> {
    let streams = request.version() < Version::HTTP_2;
    // Who asks whether to send it sends nothing until it is read.
    let comes = streams && !request.headers().contains_key(header::EXPECT);
    request.map(|body| Received { body: Some(body), comes, streams })
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        // Who asks whether to send it is told to as soon as it is asked for. Behind the end, or an error, nothing comes.
        self.comes = self.streams && matches!(polled, Poll::Pending | Poll::Ready(Some(Ok(_))));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Incoming::size_hint).unwrap_or_default()
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        let Some(mut body) = self.body.take().filter(|body| self.comes && !body.is_end_stream()) else { return };
        let rest = async move { while let Some(Ok(_)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {} };
        // Where the runtime has ended, so has the connection.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(timeout(REST, rest));
        }
    }
}
