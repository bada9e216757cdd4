//! A collection over HTTP, JSON in, JSON out; and over gRPC where that is asked for (feature `grpc`).
//!
//! ```text
//!   connection --> guard (who, how many, how long) --> routes --> a lane of threads --> Collection
//! ```
//! Async threads read and write sockets and nothing else: a request's body is parsed, answered and printed on a thread of its
//! lane (`lanes`), so that a slow search or save stops no other connection. What a request may cost has limits with names:
//! bytes of a body and of an answer and requests under way in [`Options`], numbers of things in `body`.
//!
//! There is no TLS: beyond this machine, put a proxy that has it before the server.

mod answer;
mod body;
mod connections;
mod error;
mod files;
#[cfg(feature = "grpc")]
mod grpc;
mod guard;
mod key;
mod lanes;
mod load;
mod metrics;
mod object;
mod places;
mod received;
mod room;
mod routes;
mod under_way;
mod unsaved;
mod words;
mod work;

pub use files::FileServer;
pub use key::ApiKey;
pub use routes::ROUTES;
pub use unsaved::Unsaved;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::collection::{Collection, Saved};
use connections::{Bounds, Connections};
use lanes::Lanes;
use load::Budget;
use metrics::Metrics;
use places::Places;

/// How long a graceful stop waits for requests that have begun.
const PATIENCE: Duration = Duration::from_secs(10);

/// Threads that read and write sockets, at most: there is little to do.
const SOCKET_THREADS_MAX: usize = 4;

/// Bodies of the largest size that may wait together, and answers: more are refused.
const LARGEST_TOGETHER: usize = 8;

/// How a server serves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Searches at once; 0 is one for each core.
    pub threads: usize,
    /// Requests under way, up to half of them writes and a quarter reads by id; more are told to come again.
    pub in_flight: usize,
    /// Connections open at once, by whichever door; the next one at each door waits until one of them ends, and is not counted until then.
    pub connections: usize,
    /// How long a connection may have no request under way, one whose head is not complete included, before it is closed.
    pub idle: Duration,
    /// Bytes of a body; those that wait together have 8 times as many.
    pub body_bytes: usize,
    /// Bytes of an answer; those that wait to be sent have 8 times as many together.
    pub answer_bytes: usize,
    /// The key that requests must bring; without one, requests that come out of a web page are refused.
    pub key: Option<ApiKey>,
    /// Where the same is served over gRPC; nowhere unless it is said. Port 0 is any that is free.
    #[cfg(feature = "grpc")]
    pub grpc: Option<SocketAddr>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            threads: 0,
            in_flight: 256,
            connections: 512,
            // Longer than proxies keep theirs (a minute), so that it is they who close.
            idle: Duration::from_secs(75),
            body_bytes: 32 << 20,
            answer_bytes: 64 << 20,
            key: None,
            #[cfg(feature = "grpc")]
            grpc: None,
        }
    }
}

/// What every request sees.
struct Context {
    collection: Collection,
    lanes: Lanes,
    metrics: Metrics,
    places: Places,
    connections: Arc<Connections>,
    bodies: Arc<Budget>,
    answers: Arc<Budget>,
    options: Options,
    stopping: watch::Receiver<bool>,
}

/// The addresses of a server: taken before a collection is opened or made, so that where they are not to be had nothing was done. Who connects
/// meanwhile waits.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    #[cfg(feature = "grpc")]
    grpc: Option<TcpListener>,
    runtime: Runtime,
    options: Options,
}

/// A server that serves when it is run.
#[derive(Debug)]
pub struct Server {
    bound: Bound,
    collection: Collection,
    stop: watch::Sender<bool>,
}

impl Bound {
    /// The server of `collection` here.
    pub fn serve(self, collection: Collection) -> Server {
        Server { bound: self, collection, stop: watch::Sender::new(false) }
    }
}

impl Server {
    /// Takes `address`, and that of [`Options`] for gRPC; port 0 is any that is free.
    ///
    /// # Errors
    /// What the system says about the addresses, or about threads.
    pub fn bind(address: SocketAddr, mut options: Options) -> io::Result<Bound> {
        if options.threads == 0 {
            options.threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        }
        let listener = listen(address)?;
        #[cfg(feature = "grpc")]
        let grpc = options.grpc.map(listen).transpose()?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(options.threads.min(SOCKET_THREADS_MAX))
            .max_blocking_threads(Lanes::threads(options.threads))
            .thread_name("nearshore-serve")
            .enable_all()
            .build()?;
        Ok(Bound {
            address: listener.local_addr()?,
            listener,
            #[cfg(feature = "grpc")]
            grpc,
            runtime,
            options,
        })
    }

    /// Where it can be reached.
    pub fn address(&self) -> SocketAddr {
        self.bound.address
    }

    /// Where it can be reached over gRPC, if it can.
    #[cfg(feature = "grpc")]
    pub fn grpc_address(&self) -> Option<SocketAddr> {
        self.bound.grpc.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// A function that makes [`Server::run`] stop gracefully, from any thread.
    pub fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let stop = self.stop.clone();
        move || {
            stop.send_replace(true);
        }
    }

    /// Serves until it is stopped: then it takes no more connections, finishes the requests that have begun, and saves what has
    /// changed. `None` where there was nothing to save.
    ///
    /// # Errors
    /// What the save reports. The older file is untouched, and the rows are still there to be saved by another try.
    pub fn run(self) -> Result<Option<Saved>, Box<Unsaved>> {
        let Self { bound, collection, stop } = self;
        #[cfg(feature = "grpc")]
        let grpc = bound.grpc;
        let Bound { listener, runtime, options, .. } = bound;
        let context = Arc::new(Context {
            collection,
            lanes: Lanes::new(options.threads),
            metrics: Metrics::default(),
            places: Places::new(options.in_flight),
            connections: Connections::new(Bounds { most: options.connections, idle: options.idle }),
            bodies: Budget::new(options.body_bytes.saturating_mul(LARGEST_TOGETHER)),
            answers: Budget::new(options.answer_bytes.saturating_mul(LARGEST_TOGETHER)),
            options,
            stopping: stop.subscribe(),
        });
        let served = Arc::clone(&context);
        runtime.block_on(async move {
            let mut asked = served.stopping.clone();
            let stopping = served.stopping.clone();
            #[cfg(feature = "grpc")]
            let grpc = match grpc {
                Some(listener) => {
                    let (router, health) = grpc::router(Arc::clone(&served)).await;
                    Some((tokio::spawn(Arc::clone(&served.connections).serve(listener, router, stopping.clone())), health))
                }
                None => None,
            };
            let connections = Arc::clone(&served.connections);
            let serving = tokio::spawn(connections.serve(listener, routes::router(served), stopping));
            let _ = asked.wait_for(|stop| *stop).await;
            let all = async {
                #[cfg(feature = "grpc")]
                if let Some((serving, health)) = grpc {
                    grpc::farewell(health).await;
                    let _ = serving.await;
                }
                let _ = serving.await;
            };
            let _ = tokio::time::timeout(PATIENCE, all).await;
        });
        runtime.shutdown_background();
        if context.collection.info().unsaved == 0 {
            return Ok(None);
        }
        match context.collection.save() {
            Ok(saved) => Ok(Some(saved)),
            Err(error) => Err(Box::new(Unsaved { context, error })),
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
