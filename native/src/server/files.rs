//! A folder over HTTP, for pages that open indexes in it: single ranges, any origin, nothing cached unasked.
//!
//! What a browser needs of a host to fetch parts of a file: answers of `206` to `Range`, `Access-Control-Allow-Origin` with the headers that
//! scripts may read, `Last-Modified` for those who ask again, and no compression, which would make ranges mean something else.
//! Names that begin with a dot are not served.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tower_http::cors::{Any, CorsLayer};
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;

use super::connections::{Bounds, Connections};
use super::{Options, PATIENCE, SOCKET_THREADS_MAX, listen};

/// What scripts of other origins may read of an answer.
const EXPOSED: [HeaderName; 5] =
    [header::ACCEPT_RANGES, header::CONTENT_LENGTH, header::CONTENT_RANGE, header::ETAG, header::LAST_MODIFIED];

/// A server of files that has its address and serves when it is run.
#[derive(Debug)]
pub struct FileServer {
    listener: TcpListener,
    address: SocketAddr,
    folder: PathBuf,
    runtime: Runtime,
    stop: watch::Sender<bool>,
}

impl FileServer {
    /// Takes `address`, to serve the files below `folder`; port 0 is any that is free.
    ///
    /// # Errors
    /// What the system says about the folder, the address, or threads.
    pub fn bind(address: SocketAddr, folder: &Path) -> io::Result<Self> {
        std::fs::read_dir(folder)?;
        let listener = listen(address)?;
        let runtime = Builder::new_multi_thread().worker_threads(SOCKET_THREADS_MAX).thread_name("nearshore-files").enable_all().build()?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, folder: folder.to_owned(), runtime, stop: watch::Sender::new(false) })
    }

    /// Where it can be reached.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A function that makes [`FileServer::run`] stop, from any thread.
    pub fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let stop = self.stop.clone();
        move || {
            stop.send_replace(true);
        }
    }

    /// Serves until it is stopped, and finishes what has begun.
    pub fn run(self) {
        let Self { listener, folder, runtime, stop, .. } = self;
        let mut asked = stop.subscribe();
        let Options { connections, idle, .. } = Options::default();
        let connections = Connections::new(Bounds { most: connections, idle });
        runtime.block_on(async {
            let serving = tokio::spawn(connections.serve(listener, router(&folder), stop.subscribe()));
            let _ = asked.wait_for(|stop| *stop).await;
            let _ = tokio::time::timeout(PATIENCE, serving).await;
        });
        runtime.shutdown_background();
    }
}

fn router(folder: &Path) -> Router {
    let cors = CorsLayer::new().allow_origin(Any).allow_methods([Method::GET, Method::HEAD]).allow_headers(Any).expose_headers(EXPOSED);
    // A file may be replaced under its name: who keeps a copy asks whether it still holds.
    let fresh = SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let plain = SetResponseHeaderLayer::overriding(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Router::new().fallback_service(ServeDir::new(folder)).layer(from_fn(hide)).layer(fresh).layer(plain).layer(cors)
}

/// Leaves out what a folder hides.
fn hide(request: Request, next: Next) -> impl Future<Output = Response> + Send {
    let path = request.uri().path().to_ascii_lowercase();
    // An encoded separator would part names later than here.
    let parted = ["%2f", "%5c", "\\"].into_iter().any(|separator| path.contains(separator));
    let hidden = parted || path.split('/').any(|part| part.starts_with('.') || part.starts_with("%2e"));
    async move { if hidden { StatusCode::NOT_FOUND.into_response() } else { next.run(request).await } }
}
