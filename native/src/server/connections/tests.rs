//! Clients that are slow, rude or late, over sockets that are real.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;

use axum::body::{Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::*;

const PATIENCE: Duration = Duration::from_secs(75);
const NOTHING: UnderWay = UnderWay { ours: 0, theirs: 0, served: true };
const OURS: UnderWay = UnderWay { ours: 1, ..NOTHING };
const THEIRS: UnderWay = UnderWay { theirs: 1, ..NOTHING };

/// Seconds until `idle` is over.
async fn waited(under_way: &watch::Sender<UnderWay>, crowd: &watch::Sender<usize>) -> u64 {
    let started = Instant::now();
    idle(under_way.subscribe(), crowd.subscribe(), PATIENCE).await;
    started.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn only_time_without_requests_counts() {
    let (under_way, crowd) = (watch::Sender::new(OURS), watch::Sender::new(0));
    let busy = async {
        sleep(Duration::from_secs(100)).await;
        under_way.send_replace(NOTHING);
        sleep(Duration::from_secs(70)).await;
        // One that has come and gone before anybody looked.
        under_way.send_replace(OURS);
        under_way.send_replace(NOTHING);
    };
    assert_eq!(tokio::join!(waited(&under_way, &crowd), busy).0, 100 + 70 + 75);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_makes_it_short() {
    let (under_way, crowd) = (watch::Sender::new(NOTHING), watch::Sender::new(1));
    assert_eq!(waited(&under_way, &crowd).await, 1);
    crowd.send_replace(0);
    let come = async {
        sleep(Duration::from_secs(20)).await;
        crowd.send_replace(2);
    };
    assert_eq!(tokio::join!(waited(&under_way, &crowd), come).0, 21);
    // A request under way is never cut short.
    under_way.send_replace(OURS);
    let done = async {
        sleep(Duration::from_secs(500)).await;
        under_way.send_replace(NOTHING);
    };
    assert_eq!(tokio::join!(waited(&under_way, &crowd), done).0, 501);
}

#[tokio::test(start_paused = true)]
async fn an_answer_waits_for_a_client_that_takes_some_of_it_now_and_then() {
    let (under_way, crowd) = (watch::Sender::new(THEIRS), watch::Sender::new(1));
    assert_eq!(waited(&under_way, &crowd).await, 30);
    let taken = async {
        for _ in 0..10 {
            sleep(Duration::from_secs(29)).await;
            under_way.send_modify(|_| {});
        }
    };
    assert_eq!(tokio::join!(waited(&under_way, &crowd), taken).0, 10 * 29 + 30);
    // What is taken by nobody does not end what others wait for.
    under_way.send_replace(UnderWay { ours: 1, ..THEIRS });
    let done = async {
        sleep(Duration::from_secs(500)).await;
        under_way.send_replace(THEIRS);
    };
    assert_eq!(tokio::join!(waited(&under_way, &crowd), done).0, 530);
}

/// A server of a large answer, a slow one and a short one, on one connection at a time.
async fn serving(idle: Duration) -> (SocketAddr, watch::Sender<bool>, JoinHandle<()>) {
    let slow = async || {
        sleep(GOODBYE + Duration::from_millis(500)).await;
        "slow"
    };
    let large = async || Bytes::from_static(&LARGE);
    let router = Router::new().route("/large", get(large)).route("/slow", get(slow));
    let router = router.route("/", get(async || "short")).route("/refusing", post(refusing));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), watch::Sender::new(false));
    let served = tokio::spawn(Connections::new(Bounds { most: 1, idle }).serve(listener, router, stop.subscribe()));
    (address, stop, served)
}

static LARGE: [u8; 16 << 20] = [b'x'; 16 << 20];

/// Longer than a connection stays that idles while others wait.
const SLOW: Duration = Duration::from_millis(2500);

/// A connection on which so much was sent, and whose system takes little that is not read.
async fn begun(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 << 10).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

#[tokio::test]
async fn a_slow_reader_gets_all_of_its_answer_though_others_wait() {
    let (address, _stop, _) = serving(PATIENCE).await;
    let mut slow = begun(address, b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
    slow.readable().await.unwrap();
    let mut other = begun(address, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    sleep(SLOW).await;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(slow.read_u8().await.unwrap());
    }
    let mut answer = vec![0; LARGE.len()];
    slow.read_exact(&mut answer).await.unwrap();
    assert!(answer == LARGE);
    drop(slow);
    let mut answer = String::new();
    other.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("short"), "{answer}");
}

#[tokio::test]
async fn a_client_that_is_refused_while_it_sends_sees_why() {
    let (address, _stop, _) = serving(PATIENCE).await;
    let mut stream = begun(address, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 16777216\r\n\r\n").await;
    stream.write_all(&LARGE).await.unwrap();
    // The connection is as good as before.
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    assert!(answers.starts_with("HTTP/1.1 405 ") && answers.contains("HTTP/1.1 200 ") && answers.ends_with("short"), "{answers}");
}

/// Told when the client knows that it may send.
static MAY_SEND: Notify = Notify::const_new();

/// Asks for the body, and refuses it before anything of it is there.
async fn refusing(request: Request) -> StatusCode {
    let mut body = request.into_body();
    poll_fn(|context| Poll::Ready(Pin::new(&mut body).poll_frame(context).is_pending())).await;
    MAY_SEND.notified().await;
    StatusCode::CONFLICT
}

#[tokio::test]
async fn a_client_that_asked_whether_to_send_sees_why_it_is_refused() {
    const GO_ON: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    let (address, _stop, _) = serving(PATIENCE).await;
    let head = b"POST /refusing HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 16777216\r\n\r\n";
    let mut stream = begun(address, head).await;
    let mut told = [0; GO_ON.len()];
    stream.read_exact(&mut told).await.unwrap();
    assert_eq!(told, GO_ON);
    MAY_SEND.notify_one();
    stream.write_all(&LARGE).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    assert!(answers.starts_with("HTTP/1.1 409 ") && answers.ends_with("short"), "{answers}");
}

#[tokio::test]
async fn half_a_head_does_not_hold_up_a_stop() {
    let (address, stop, served) = serving(PATIENCE).await;
    let stream = begun(address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    stream.readable().await.unwrap();
    drop(stream);
    let _half = begun(address, b"GET / HTTP/1.1\r\nhost: x\r\nx-a: ").await;
    // Time to read it.
    sleep(Duration::from_millis(100)).await;
    stop.send_replace(true);
    timeout(UNREAD, served).await.unwrap().unwrap();
}

/// Frames of HTTP/2, by hand: clients of libraries are too polite.
#[cfg(feature = "grpc")]
mod frames {
    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    const WINDOW_UPDATE: u8 = 8;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream], payload].concat()
    }

    /// A whole request on the first stream.
    fn request(path: &str) -> Vec<u8> {
        // `:method: GET` and `:scheme: http`, then `:path` and `:authority` as text.
        let headers = [&[0x82, 0x86, 0x04, path.len() as u8], path.as_bytes(), &[0x01, 1, b'x']].concat();
        frame(HEADERS, 0b101, 1, &headers)
    }

    async fn next(stream: &mut TcpStream) -> (u8, u8, Vec<u8>) {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).await.unwrap();
        (head[3], head[4], payload)
    }

    /// The answer on the first stream.
    async fn answer(stream: &mut TcpStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let (kind, flags, payload) = next(stream).await;
            if kind == DATA {
                bytes.extend(payload);
                if flags & 1 == 1 {
                    return bytes;
                }
            }
        }
    }

    #[tokio::test]
    async fn a_client_that_lets_its_answer_wait_gets_all_of_it() {
        let (address, _stop, _) = serving(PATIENCE).await;
        let mut slow = begun(address, &[PREFACE, &frame(SETTINGS, 0, 0, &[]), &request("/large")].concat()).await;
        while next(&mut slow).await.0 != DATA {}
        let _other = begun(address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        sleep(SLOW).await;
        let more = 0x4000_0000_u32.to_be_bytes();
        slow.write_all(&[frame(WINDOW_UPDATE, 0, 0, &more), frame(WINDOW_UPDATE, 0, 1, &more)].concat()).await.unwrap();
        let bytes = answer(&mut slow).await;
        assert!(bytes.len() > LARGE.len() - (64 << 10) && LARGE.ends_with(&bytes), "{}", bytes.len());
    }

    #[tokio::test]
    async fn a_request_that_comes_while_goodbye_is_said_is_answered() {
        let (address, _stop, _) = serving(Duration::from_millis(50)).await;
        let mut stream = begun(address, &[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await;
        while next(&mut stream).await.0 != GOAWAY {}
        stream.write_all(&request("/slow")).await.unwrap();
        assert_eq!(answer(&mut stream).await, b"slow");
    }
}
