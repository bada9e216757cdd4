//! A body that ends when it is time, whatever its sender still meant to send.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, BodyDataStream, Bytes};
use tokio::sync::watch;
use tokio::time::sleep;
use tonic::codegen::tokio_stream::Stream;

use super::super::work::BODY_PATIENCE;

/// What comes before the server stops.
pub(super) fn until_stopped(body: Body, mut stopping: watch::Receiver<bool>) -> Body {
    until(body, async move { drop(stopping.wait_for(|stop| *stop).await) })
}

/// What comes while a body may take its time.
pub(super) fn until_late(body: Body) -> Body {
    until(body, sleep(BODY_PATIENCE))
}

fn until(body: Body, stop: impl Future<Output = ()> + Send + 'static) -> Body {
    Body::from_stream(Before { bytes: body.into_data_stream(), stop: Box::pin(stop) })
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

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use tokio::time::Instant;
    use tonic::codegen::tokio_stream::{self, StreamExt as _};

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_end_has_an_end() {
        let started = Instant::now();
        let piece = Ok::<_, axum::Error>(Bytes::from_static(b"x"));
        let body = until_late(Body::from_stream(tokio_stream::once(piece).chain(tokio_stream::pending())));
        assert_eq!(body.collect().await.unwrap().to_bytes(), b"x"[..]);
        assert_eq!(started.elapsed().as_secs(), BODY_PATIENCE.as_secs());
    }
}
