//! Connections: how many there may be, how long one may stand about without a request, and how they end.
//!
//! A connection that has no request under way (nothing came yet, a head that comes a byte at a time, or nothing after an answer) is closed
//! after [`Bounds::idle`], whichever protocol it speaks. Where all places are taken, the next one at each door is accepted, which
//! is how it is known that somebody waits, and waits for a place, uncounted; those behind it wait in the system's queue, and connections that
//! have idled for [`CROWDED`] are closed to make room.
//!
//! A request counts until the system has the last byte of its answer, however slowly the client takes it: one that takes nothing for [`UNREAD`]
//! idles.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::sleep;

use super::load::UNREAD;
use super::under_way::{Counted, Shared, UnderWay};

/// How long one may idle while others wait for its place.
const CROWDED: Duration = Duration::from_secs(1);

/// How long a connection that idles is left to say goodbye where it has had no request. Where it had one, it is [`UNREAD`]: the end of an answer
/// may still lie here, or another request be on its way.
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
    let shared = Shared::new(watch::Sender::default());
    let builder = builder();
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), Counted { service, shared: Arc::clone(&shared) }));
    // In this order, so that what has come is seen before time is up.
    tokio::select! {
        biased;
        () = told(&mut stopping) => {}
        _ = serving.as_mut() => return,
        () = idle(shared.subscribe(), crowd, patience) => {}
    }
    serving.as_mut().graceful_shutdown();
    // What is under way, and came meanwhile, is answered; who stops the server bounds how long all of them may take.
    let (goodbye, nobody) = (if shared.borrow().served { UNREAD } else { GOODBYE }, watch::Sender::new(0));
    tokio::select! {
        biased;
        _ = serving => {}
        () = idle(shared.subscribe(), nobody.subscribe(), goodbye) => {}
    }
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

/// Waits until nothing has been under way for `patience`, or for [`CROWDED`] while somebody waits for the place; or until the client has taken
/// nothing of what it was answered for [`UNREAD`].
async fn idle(mut under_way: watch::Receiver<UnderWay>, mut crowd: watch::Receiver<usize>, patience: Duration) {
    loop {
        let now = *under_way.borrow_and_update();
        let over = async {
            match now {
                UnderWay { ours: 0, theirs: 0, .. } => {
                    let crowded = async {
                        let _ = crowd.wait_for(|waiting| *waiting > 0).await;
                        sleep(CROWDED).await;
                    };
                    tokio::select! {
                        () = sleep(patience) => {}
                        () = crowded => {}
                    }
                }
                UnderWay { ours: 0, .. } => sleep(UNREAD).await,
                UnderWay { .. } => pending().await,
            }
        };
        tokio::select! {
            biased;
            // The other side lives as long as the connection.
            _ = under_way.changed() => {}
            () = over => return,
        }
    }
}

#[cfg(test)]
mod tests;
