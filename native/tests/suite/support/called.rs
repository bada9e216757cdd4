//! A client of gRPC, with the messages that the server is made with.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codegen::{Service, http};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use tonic_prost::prost::Message;

#[allow(dead_code, unreachable_pub, reason = "not every message is sent by a test")]
pub(crate) mod proto {
    include!(concat!(env!("OUT_DIR"), "/nearshore.v1.rs"));
}

/// One connection.
#[derive(Clone)]
pub(crate) struct Connection(SendRequest<Body>);

impl Service<http::Request<Body>> for Connection {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// A client that waits for each answer.
pub(crate) struct Caller {
    pub(crate) runtime: Runtime,
    pub(crate) connection: Connection,
    pub(crate) origin: http::Uri,
    key: Option<&'static str>,
}

impl Caller {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let sender = runtime.block_on(async {
            let stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            sender
        });
        let origin = format!("http://{address}").parse().unwrap();
        Self { runtime, connection: Connection(sender), origin, key: None }
    }

    /// Brings a key with each call.
    pub(crate) fn with_key(self, key: &'static str) -> Self {
        Self { key: Some(key), ..self }
    }

    /// Calls `name` of the service.
    pub(crate) fn call<T: Message + Default + 'static>(&self, name: &str, message: impl Message + 'static) -> Result<T, Status> {
        let path = format!("/{}/{name}", proto::SERVICE).parse().unwrap();
        let mut request = Request::new(message);
        if let Some(key) = self.key {
            request.metadata_mut().insert("authorization", key.parse().unwrap());
        }
        let mut client = Grpc::with_origin(self.connection.clone(), self.origin.clone());
        self.runtime.block_on(async {
            client.ready().await.unwrap();
            client.unary(request, path, ProstCodec::default()).await.map(tonic::Response::into_inner)
        })
    }

    pub(crate) fn insert(&self, points: Vec<proto::Point>) -> Result<Vec<u64>, Status> {
        self.call("Insert", proto::InsertRequest { points }).map(|proto::InsertResponse { ids }| ids)
    }

    pub(crate) fn search(&self, searches: Vec<proto::Search>) -> Result<Vec<Vec<proto::Hit>>, Status> {
        let answer: proto::SearchResponse = self.call("Search", proto::SearchRequest { searches })?;
        Ok(answer.results.into_iter().map(|of_one| of_one.hits).collect())
    }

    pub(crate) fn get(&self, ids: &[u64]) -> Vec<proto::StoredPoint> {
        self.call("Get", proto::GetRequest { ids: ids.to_vec() }).map(|proto::GetResponse { points }| points).unwrap()
    }

    pub(crate) fn delete(&self, ids: &[u64]) -> Result<u64, Status> {
        self.call("Delete", proto::DeleteRequest { ids: ids.to_vec() }).map(|proto::DeleteResponse { deleted }| deleted)
    }

    pub(crate) fn save(&self) -> Result<proto::SaveResponse, Status> {
        self.call("Save", proto::SaveRequest {})
    }

    pub(crate) fn info(&self) -> Result<proto::InfoResponse, Status> {
        self.call("Info", proto::InfoRequest {})
    }
}

/// Fails the test unless this is the refusal; no field is `""`.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, word: &str, field: &str) {
    let status = answer.unwrap_err();
    let told = |key: &str| status.metadata().get(key).map_or("", |value| value.to_str().unwrap());
    assert_eq!((status.code(), told("error-code"), told("error-field")), (code, word, field), "{status:?}");
    assert!(!status.message().is_empty() && status.message().starts_with(field), "{status:?}");
}
