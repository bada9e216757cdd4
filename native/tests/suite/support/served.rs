//! A server under test, and a client that speaks just enough HTTP/1.1 to be rude where a library would not.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{Ran, Sandbox};

/// Longer than any machine should take.
const PATIENCE: Duration = Duration::from_secs(120);

/// `nearshore serve`, killed when the value goes.
pub(crate) struct Served {
    child: Option<Child>,
    pub(crate) address: SocketAddr,
    /// Where it speaks gRPC, if it does.
    #[cfg(feature = "grpc")]
    pub(crate) grpc: Option<SocketAddr>,
}

impl Served {
    /// What is left of [`Served::half_an_insert`].
    pub(crate) const REST: &[u8] = b": [1,2]}";

    /// Starts it with a command line, on a free port unless that says otherwise.
    pub(crate) fn start(sandbox: &Sandbox, line: &str) -> Self {
        let listen = if line.contains("--listen") { "" } else { " --listen 127.0.0.1:0" };
        let mut child = sandbox.command(format!("serve {line}{listen} --json").split(' ')).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
        let Ok(told) = serde_json::from_str::<Value>(&first) else { panic!("{:?}", Ran::from(child.wait_with_output().unwrap())) };
        let mut address: SocketAddr = told["address"].as_str().unwrap().parse().unwrap();
        if address.ip().is_unspecified() {
            address.set_ip([127, 0, 0, 1].into());
        }
        #[cfg(feature = "grpc")]
        let grpc = told["grpc_address"].as_str().map(|address| address.parse().unwrap());
        Self {
            child: Some(child),
            address,
            #[cfg(feature = "grpc")]
            grpc,
        }
    }

    pub(crate) fn client(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client(BufReader::new(stream))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.client().post(path, body)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.client().send("GET", path, &[], b"")
    }

    /// Waits until no request has a place: one is free once its answer is on its way, which may be a moment after the client has it.
    pub(crate) fn until_idle(&self) {
        self.until(|| self.get("/metrics").text.contains("in_flight 0\n").then_some(()));
    }

    /// A request that has begun, alone, and goes on when the client writes [`Served::REST`].
    pub(crate) fn half_an_insert(&self) -> Client {
        // A request before it that still has its place would be taken for it.
        self.until_idle();
        let mut client = self.client();
        client.write(b"POST /insert HTTP/1.1\r\nhost: x\r\ncontent-length: 17\r\n\r\n{\"vector\"");
        self.until(|| self.get("/metrics").text.contains("in_flight 1\n").then_some(()));
        client
    }

    /// Asks until there is something.
    #[track_caller]
    pub(crate) fn until<T>(&self, ask: impl Fn() -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(found) = ask() {
                return found;
            }
            assert!(started.elapsed() < PATIENCE, "it never came to that");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it says on standard error, to be read while it runs.
    pub(crate) fn stderr(&mut self) -> ChildStderr {
        self.child.as_mut().unwrap().stderr.take().unwrap()
    }

    /// Sends SIGTERM.
    pub(crate) fn signal(&self) {
        kill_process(Pid::from_child(self.child.as_ref().unwrap()), Signal::TERM).unwrap();
    }

    /// What it came to, once it has ended.
    pub(crate) fn wait(mut self) -> Ran {
        Ran::from(self.child.take().unwrap().wait_with_output().unwrap())
    }

    pub(crate) fn stop(self) -> Ran {
        self.signal();
        self.wait()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// One connection.
pub(crate) struct Client(BufReader<TcpStream>);

/// One response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) text: String,
}

impl Client {
    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[], body.to_string().as_bytes())
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
        self.write(&[head.as_bytes(), body].concat());
        self.answer()
    }

    /// Sends bytes as they are. A server may have answered and gone before it has read them all.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let _ = self.0.get_mut().write_all(bytes);
    }

    /// Waits until the server closes; whether it did without another word.
    pub(crate) fn ended(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(0))
    }

    /// Reads a response with a length.
    pub(crate) fn answer(&mut self) -> Answer {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the connection ended after {lines:?}");
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
        let pairs = lines[1..].iter().map(|line| line.split_once(": ").unwrap());
        let headers = pairs.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        let mut answer = Answer { status, headers, text: String::new() };
        let length = answer.header("content-length").unwrap().parse().unwrap();
        self.0.by_ref().take(length).read_to_string(&mut answer.text).unwrap();
        answer
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Fails the test unless the answer is a good one; its JSON.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!((self.status, self.header("content-type")), (200, Some("application/json")), "{self:?}");
        serde_json::from_str(&self.text).unwrap()
    }

    /// Fails the test unless the answer is this refusal; no field is `""`.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str, field: &str) {
        let error = serde_json::from_str::<Value>(&self.text).unwrap_or_default()["error"].take();
        let field = if field.is_empty() { Value::Null } else { json!(field) };
        assert_eq!((self.status, &error["code"], &error["field"]), (status, &json!(code), &field), "{self:?}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{self:?}");
    }
}
