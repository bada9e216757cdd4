//! A body that ends when the server stops, whatever its sender still meant to send.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, BodyDataStream, Bytes};
use tokio::sync::watch;
use tonic::codegen::tokio_stream::Stream;

/// What comes before the server stops.
pub(super) fn until(body: Body, mut stopping: watch::Receiver<bool>) -> Body {
    let stop = Box::pin(async move { drop(stopping.wait_for(|stop| *stop).await) });
    Body::from_stream(Before { bytes: body.into_data_stream(), stop })
}

struct Before {
    bytes: BodyDataStream,
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Stream for Before {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.stop.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => Pin::new(&mut self.bytes).poll_next(context),
        }
    }
}
