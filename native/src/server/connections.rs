//! Connections: how many there may be, how long one may stand about without a request, and how they end.
//!
//! A connection that has no request under way (nothing came yet, a head that comes a byte at a time, or nothing after an answer) is closed
//! after [`Bounds::idle`], whichever protocol it speaks. Where all places are taken, the next one at each door waits for a place, those
//! behind it in the system's queue, and connections that have idled for [`CROWDED`] are closed to make room.
//!
//! A request counts until its answer is handed on to be sent: what of it a slow client has not taken by then does not.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};

use super::load::UNREAD;

/// How long one may idle while others wait for its place.
const CROWDED: Duration = Duration::from_secs(1);

/// How long a connection that idled is left to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// How long the next connection is not taken after one could not be: the system has no more files to give, most likely.
const BREATH: Duration = Duration::from_millis(100);

/// Requests that one connection of HTTP/2 may have under way.
#[cfg(feature = "grpc")]
const STREAMS_MAX: u32 = 128;

/// How long a connection of HTTP/2 is silent until it is asked whether it is still there, and how long it has to answer.
#[cfg(feature = "grpc")]
const ASKED_AFTER: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(20)];

/// What connections may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) most: usize,
    pub(super) idle: Duration,
}

/// The connections of a server, by whichever door.
#[derive(Debug)]
pub(super) struct Connections {
    bounds: Bounds,
    places: Arc<Semaphore>,
    /// How many wait for a place that is not there.
    crowd: watch::Sender<usize>,
}

impl Connections {
    pub(super) fn new(bounds: Bounds) -> Arc<Self> {
        let most = bounds.most.clamp(1, Semaphore::MAX_PERMITS);
        let bounds = Bounds { most, ..bounds };
        Arc::new(Self { bounds, places: Arc::new(Semaphore::new(most)), crowd: watch::Sender::new(0) })
    }

    pub(super) fn most(&self) -> usize {
        self.bounds.most
    }

    pub(super) fn open(&self) -> usize {
        self.bounds.most.saturating_sub(self.places.available_permits())
    }

    /// A place for the next connection, when there is one.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
        }
        self.crowd.send_modify(|waiting| *waiting += 1);
        let place = Arc::clone(&self.places).acquire_owned().await;
        self.crowd.send_modify(|waiting| *waiting -= 1);
        place.ok()
    }

    /// Serves until it is asked to stop, and then finishes what has begun.
    pub(super) async fn serve(self: Arc<Self>, listener: std::net::TcpListener, router: Router, mut stopping: watch::Receiver<bool>) {
        let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
        let service = TowerToHyperService::new(router);
        // Every connection holds one: the last that goes ends the wait below.
        let (open, mut closed) = mpsc::channel::<()>(1);
        let stop = stopping.clone();
        let accepting = async {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    // A client that has gone again, or no file that the system would give.
                    sleep(BREATH).await;
                    continue;
                };
                let Some(place) = self.place().await else { return };
                let held = (place, open.clone());
                let connection = connection(stream, service.clone(), self.bounds.idle, self.crowd.subscribe(), stop.clone());
                tokio::spawn(async move {
                    connection.await;
                    drop(held);
                });
            }
        };
        tokio::select! {
            () = accepting => {}
            () = told(&mut stopping) => {}
        }
        drop((listener, open));
        let _ = closed.recv().await;
    }
}

/// Serves one connection to its end.
async fn connection(
    stream: TcpStream,
    service: TowerToHyperService<Router>,
    patience: Duration,
    crowd: watch::Receiver<usize>,
    mut stopping: watch::Receiver<bool>,
) {
    // Answers are short and whole: they need not wait for more to send.
    let _ = stream.set_nodelay(true);
    // Bytes of an answer that nobody takes must not stay for good.
    #[cfg(target_os = "linux")]
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, UNREAD.as_millis() as u32);
    let under_way = Arc::new(watch::Sender::new(0));
    let requests = under_way.subscribe();
    let builder = builder();
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), Counted { service, under_way }));
    let idled = tokio::select! {
        _ = serving.as_mut() => return,
        () = idle(requests, crowd, patience) => true,
        () = told(&mut stopping) => false,
    };
    serving.as_mut().graceful_shutdown();
    // Who stops the server bounds how long all of them may take.
    let _ = timeout(if idled { GOODBYE } else { Duration::MAX }, serving).await;
}

/// Waits until the server is to stop.
async fn told(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

fn builder() -> Builder<TokioExecutor> {
    #[allow(unused_mut, reason = "there is nothing to set without HTTP/2")]
    let mut builder = Builder::new(TokioExecutor::new());
    #[cfg(feature = "grpc")]
    {
        let [after, within] = ASKED_AFTER;
        let mut http2 = builder.http2();
        http2.timer(hyper_util::rt::TokioTimer::new()).keep_alive_interval(after).keep_alive_timeout(within);
        http2.max_concurrent_streams(STREAMS_MAX);
    }
    builder
}

/// Waits until no request has been under way for `patience`, or for [`CROWDED`] while somebody waits for the place.
async fn idle(mut requests: watch::Receiver<usize>, mut crowd: watch::Receiver<usize>, patience: Duration) {
    loop {
        // The other side lives as long as the connection.
        let _ = requests.wait_for(|under_way| *under_way == 0).await;
        let crowded = async {
            let _ = crowd.wait_for(|waiting| *waiting > 0).await;
            sleep(CROWDED).await;
        };
        tokio::select! {
            () = sleep(patience) => return,
            () = crowded => return,
            _ = requests.changed() => {}
        }
    }
}

/// The routes, with what is under way on a connection counted.
struct Counted {
    service: TowerToHyperService<Router>,
    under_way: Arc<watch::Sender<usize>>,
}

/// One request, until the value goes.
struct UnderWay(Arc<watch::Sender<usize>>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|under_way| *under_way -= 1);
    }
}

impl Service<Request<Incoming>> for Counted {
    type Response = Response;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Self::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.under_way.send_modify(|under_way| *under_way += 1);
        let under_way = UnderWay(Arc::clone(&self.under_way));
        let answer = self.service.call(request);
        Box::pin(async move { Ok(answer.await?.map(|body| Body::new(Sent { body, _under_way: under_way }))) })
    }
}

/// The body of an answer: its request is under way until all of it is handed on to be sent.
struct Sent {
    body: Body,
    _under_way: UnderWay,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    const PATIENCE: Duration = Duration::from_secs(75);

    /// Seconds until `idle` is over.
    async fn waited(requests: &watch::Sender<usize>, crowd: &watch::Sender<usize>) -> u64 {
        let started = Instant::now();
        idle(requests.subscribe(), crowd.subscribe(), PATIENCE).await;
        started.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn only_time_without_requests_counts() {
        let (requests, crowd) = (watch::Sender::new(1), watch::Sender::new(0));
        let busy = async {
            sleep(Duration::from_secs(100)).await;
            requests.send_replace(0);
            sleep(Duration::from_secs(70)).await;
            // One that has come and gone before anybody looked.
            requests.send_replace(1);
            requests.send_replace(0);
        };
        assert_eq!(tokio::join!(waited(&requests, &crowd), busy).0, 100 + 70 + 75);
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_makes_it_short() {
        let (requests, crowd) = (watch::Sender::new(0), watch::Sender::new(1));
        assert_eq!(waited(&requests, &crowd).await, 1);
        crowd.send_replace(0);
        let come = async {
            sleep(Duration::from_secs(20)).await;
            crowd.send_replace(2);
        };
        assert_eq!(tokio::join!(waited(&requests, &crowd), come).0, 21);
        // A request under way is never cut short.
        requests.send_replace(1);
        let done = async {
            sleep(Duration::from_secs(500)).await;
            requests.send_replace(0);
        };
        assert_eq!(tokio::join!(waited(&requests, &crowd), done).0, 501);
    }
}
