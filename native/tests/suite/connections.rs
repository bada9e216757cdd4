//! Connections to a server that stand about, and more of them than it takes; and a stop that cannot save at once.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::support::Sandbox;
use crate::support::served::{Client, Served};
use serde_json::json;

/// An insert of which the last byte is still to come.
fn half_insert(served: &Served) -> Client {
    let mut client = served.client();
    client.write(b"POST /insert HTTP/1.1\r\nhost: x\r\ncontent-length: 17\r\n\r\n{\"vector\": [1,2]");
    client
}

/// A connection on which so much was sent.
fn begun(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

/// Everything that comes until the server closes.
fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn a_connection_without_a_whole_request_is_closed_in_time() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, "data --idle-seconds 1");
    let mut slow = half_insert(&served);
    let silent = begun(served.address, b"");
    let head = begun(served.address, b"POST /insert HTTP/1.1\r\nhost: x\r\nx-a: ");
    let mut trickle = head.try_clone().unwrap();
    let answered = begun(served.address, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
    // Bytes of a head, one at a time, are no request.
    let trickling = std::thread::spawn(move || {
        while trickle.write_all(b"a").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    assert_eq!(rest(silent), "");
    let mut head_rest = Vec::new();
    // The bytes that came too late may be answered by a reset.
    let _ = { &head }.read_to_end(&mut head_rest);
    assert!(!head_rest.starts_with(b"HTTP/1.1 2"));
    trickling.join().unwrap();
    let answered = rest(answered);
    assert!(answered.starts_with("HTTP/1.1 200 ") && answered.ends_with("{\"status\":\"ok\"}"), "{answered}");
    // What was under way all the while goes on.
    slow.write(b"}");
    assert_eq!(slow.answer().ok()["ids"], json!([0]));
}

#[test]
fn more_connections_than_may_be_wait_for_their_turn() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, "data --connections 2");
    let mut first = half_insert(&served);
    let mut idle = served.client();
    let metrics = idle.send("GET", "/metrics", &[], b"").text;
    assert!(metrics.contains("\nnearshore_connections 2\n") && metrics.contains("\nnearshore_connections_max 2\n"), "{metrics}");
    // Who idles makes room, whose request is under way does not.
    let mut second = half_insert(&served);
    assert!(idle.ended());
    let waiting = begun(served.address, b"GET /info HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    waiting.set_read_timeout(Some(Duration::from_millis(1500))).unwrap();
    assert!({ &waiting }.read(&mut [0]).is_err());
    waiting.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    first.write(b"}");
    first.answer().ok();
    drop(first);
    assert!(rest(waiting).starts_with("HTTP/1.1 200 "));
    second.write(b"}");
    second.answer().ok();
}

#[cfg(feature = "grpc")]
#[test]
fn connections_of_grpc_have_the_same_bounds() {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, "data --grpc 127.0.0.1:0 --idle-seconds 1");
    let address = served.grpc.unwrap();
    assert_eq!(rest(begun(address, b"")), "");
    assert_eq!(rest(begun(address, &PREFACE[..20])), "");
    // The whole of it, with settings that say nothing: the server's are answered, then the connection is told to go.
    let mut stream = begun(address, &[PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat());
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let (mut frames, mut streams) = (Vec::new(), None);
    let mut left = &bytes[..];
    while let Some((&[a, b, c, kind, ..], after)) = left.split_first_chunk::<9>() {
        let (payload, next) = after.split_at(usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c));
        if kind == 4 {
            let settings = payload.chunks(6).map(|pair| (pair[1], u32::from_be_bytes(pair[2..].try_into().unwrap())));
            streams = streams.or(settings.into_iter().find(|(name, _)| *name == 3).map(|(_, value)| value));
        }
        frames.push(kind);
        left = next;
    }
    assert_eq!(streams, Some(128));
    assert_eq!((frames.first(), frames.contains(&7)), (Some(&4), true), "{frames:?}");
}

#[cfg(feature = "grpc")]
#[test]
fn the_door_of_grpc_says_what_it_speaks() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, "data --grpc 127.0.0.1:0");
    for call in ["grpc.health.v1.Health/Watch", "nearshore.v1.Nearshore/Info", "x/y"] {
        let head = format!("POST /{call} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/grpc\r\n");
        let asked = begun(served.grpc.unwrap(), &[head.as_bytes(), b"content-length: 5\r\n\r\n\0\0\0\0\0"].concat());
        let answer = rest(asked);
        assert!(answer.starts_with("HTTP/1.1 505 ") && answer.ends_with("\r\n\r\ngRPC is spoken here, over HTTP/2\n"), "{answer}");
    }
}

#[test]
fn a_save_at_the_end_is_tried_again() {
    let sandbox = Sandbox::new();
    let mut served = Served::start(&sandbox, "data");
    served.post("/insert", &json!({ "points": [{ "vector": [1, 2] }, { "vector": [3, 4] }] })).ok();
    std::fs::rename(sandbox.path("data"), sandbox.path("away")).unwrap();
    let mut err = BufReader::new(served.stderr());
    served.signal();
    let mut line = String::new();
    err.read_line(&mut line).unwrap();
    assert!(line.contains("No such file") && line.ends_with("2 changes are not saved; trying again in 1 s\n"), "{line}");
    std::fs::rename(sandbox.path("away"), sandbox.path("data")).unwrap();
    served.wait().ok();
    assert_eq!(Served::start(&sandbox, "data").get("/info").ok()["rows"], 2);
}

#[test]
fn a_save_at_the_end_that_fails_says_what_is_lost() {
    let sandbox = Sandbox::new();
    let served = Served::start(&sandbox, "data");
    served.post("/insert", &json!({ "vector": [1, 2] })).ok();
    served.post("/save", &json!({})).ok();
    served.post("/insert", &json!({ "points": [{ "vector": [1, 3] }, { "vector": [3, 4] }] })).ok();
    served.post("/delete", &json!({ "ids": [1] })).ok();
    std::fs::rename(sandbox.path("data"), sandbox.path("away")).unwrap();
    let ran = served.stop();
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(lines.len(), 4, "{ran:?}");
    assert!(
        lines[3].starts_with("nearshore: ") && lines[3].contains("No such file") && lines[3].contains("the last 3 changes are lost"),
        "{ran:?}"
    );
    std::fs::rename(sandbox.path("away"), sandbox.path("data")).unwrap();
    assert_eq!(Served::start(&sandbox, "data").get("/info").ok()["rows"], 1);
}
