//! A static file server for one person on this machine: std only, loopback only.
//!
//! It does what a static host does and the demo relies on: types by ending (a browser compiles WebAssembly while it arrives only when it
//! is called `application/wasm`), one byte range a request, a strong `ETag`, `HEAD`. One thread a connection, one request a connection.
//! Only files below the root are served; a name with `..` is refused before the disk is asked.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result};

/// Bytes of a request's head, at most.
const HEAD_MAX: u64 = 16 * 1024;
/// A page that no other window shares has a finer clock, so the times that it shows are worth more.
const ISOLATED: &str = "Cross-Origin-Opener-Policy: same-origin\r\nCross-Origin-Embedder-Policy: require-corp\r\n";
/// How long a silent client is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens the port; 0 takes any that is free.
///
/// # Errors
/// When the port is taken.
pub(crate) fn listen(port: u16) -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| format!("port {port} is taken; choose another with --port"))
}

/// Serves the files below `root` until the process ends.
pub(crate) fn serve(listener: &TcpListener, root: &Path) {
    for stream in listener.incoming().flatten() {
        let root = root.to_path_buf();
        // A client that goes away in the middle of an answer is no error of ours.
        std::thread::spawn(move || answer(stream, &root).ok());
    }
}

/// What a request asks for, as far as it matters here.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    method: String,
    path: String,
    range: Option<String>,
    etag: Option<String>,
}

fn answer(stream: TcpStream, root: &Path) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?).take(HEAD_MAX);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
            break;
        }
        lines.push(line);
    }
    respond(&parse(&lines), root, &mut &stream)
}

fn parse(lines: &[String]) -> Request {
    let mut request = Request::default();
    if let Some(first) = lines.first() {
        let mut words = first.split_whitespace();
        request.method = words.next().unwrap_or("").to_owned();
        request.path = words.next().unwrap_or("").split(['?', '#']).next().unwrap_or("").to_owned();
    }
    for line in lines.iter().skip(1) {
        let Some((name, value)) = line.split_once(':') else { continue };
        match name.to_ascii_lowercase().as_str() {
            "range" => request.range = Some(value.trim().to_owned()),
            "if-none-match" => request.etag = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    request
}

fn respond(request: &Request, root: &Path, out: &mut dyn Write) -> std::io::Result<()> {
    if !["GET", "HEAD"].contains(&request.method.as_str()) {
        return message(out, "405 Method Not Allowed", "Allow: GET, HEAD\r\n");
    }
    let Some((mut file, path)) = locate(root, &request.path).and_then(|path| Some((File::open(&path).ok()?, path))) else {
        return message(out, "404 Not Found", "");
    };
    let about = file.metadata()?;
    let changed = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let etag = format!("\"{:x}-{:x}\"", about.len(), changed.as_nanos());
    let common = format!("ETag: {etag}\r\nCache-Control: no-cache\r\nAccept-Ranges: bytes\r\n{ISOLATED}");
    if request.etag.as_ref() == Some(&etag) {
        return message(out, "304 Not Modified", &common);
    }
    let (status, start, length, place) = match request.range.as_deref().map(|range| span(range, about.len())) {
        None | Some(Span::Whole) => ("200 OK", 0, about.len(), String::new()),
        Some(Span::Part(start, end)) => {
            ("206 Partial Content", start, end - start, format!("Content-Range: bytes {start}-{}/{}\r\n", end - 1, about.len()))
        }
        Some(Span::Outside) => {
            return message(out, "416 Range Not Satisfiable", &format!("Content-Range: bytes */{}\r\n", about.len()));
        }
    };
    let kind = media_type(&path);
    write!(out, "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{common}{place}Connection: close\r\n\r\n")?;
    if request.method == "GET" {
        file.seek(SeekFrom::Start(start))?;
        std::io::copy(&mut file.take(length), out)?;
    }
    out.flush()
}

fn message(out: &mut dyn Write, status: &str, headers: &str) -> std::io::Result<()> {
    // A 304 has no body, and its length would describe the file.
    let body = if status.starts_with("304") { String::new() } else { format!("{status}\n") };
    write!(
        out,
        "HTTP/1.1 {status}\r\n{headers}Content-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    out.flush()
}

/// The file that a request's path names; a directory means its `index.html`.
fn locate(root: &Path, path: &str) -> Option<PathBuf> {
    let name = decode(path.strip_prefix('/')?)?;
    if name.contains(['\\', '\0']) || name.split('/').any(|part| part == ".." || part == ".") || name.starts_with('/') {
        return None;
    }
    let file = root.join(name);
    let file = if file.is_dir() { file.join("index.html") } else { file };
    file.is_file().then_some(file)
}

/// Undoes `%20` and its like.
fn decode(text: &str) -> Option<String> {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            out.push(*first);
        }
    }
    String::from_utf8(out).ok()
}

/// What a `Range` header means for a file.
#[derive(Debug, PartialEq, Eq)]
enum Span {
    /// No range that this server knows: the whole file, as the standard asks.
    Whole,
    /// From, to (exclusive).
    Part(u64, u64),
    /// Nothing of the file.
    Outside,
}

fn span(range: &str, size: u64) -> Span {
    let Some((first, last)) = range.strip_prefix("bytes=").filter(|list| !list.contains(',')).and_then(|one| one.split_once('-')) else {
        return Span::Whole;
    };
    let (start, end) = match (first.parse::<u64>().ok(), last.parse::<u64>().ok()) {
        (Some(start), Some(last)) if last >= start => (start, last.saturating_add(1).min(size)),
        (Some(start), None) if last.is_empty() => (start, size),
        (None, Some(count)) if first.is_empty() => (size.saturating_sub(count), size),
        _ => return Span::Whole,
    };
    if start < end { Span::Part(start, end) } else { Span::Outside }
}

fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|ending| ending.to_str()).unwrap_or("") {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_mean_what_the_standard_says() {
        assert_eq!(span("bytes=0-9", 100), Span::Part(0, 10));
        assert_eq!(span("bytes=90-200", 100), Span::Part(90, 100));
        assert_eq!(span("bytes=90-", 100), Span::Part(90, 100));
        assert_eq!(span("bytes=-10", 100), Span::Part(90, 100));
        assert_eq!(span("bytes=100-", 100), Span::Outside);
        assert_eq!(span("bytes=-0", 100), Span::Outside);
        assert_eq!(span("bytes=0-1,5-6", 100), Span::Whole);
        assert_eq!(span("rows=0-1", 100), Span::Whole);
    }

    /// A served directory and what a request line with headers is answered.
    fn ask(text: &str) -> String {
        let root = std::env::temp_dir().join(format!("nearshore-serve-{}-{:?}", std::process::id(), std::thread::current().id()));
        std::fs::create_dir_all(root.join("a")).unwrap();
        std::fs::write(root.join("a/index.html"), "hello world").unwrap();
        std::fs::write(root.join("a/x y.wasm"), "wasm").unwrap();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut out = Vec::new();
        respond(&parse(&lines), &root, &mut out).unwrap();
        std::fs::remove_dir_all(&root).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn files_are_typed_and_cut() {
        let whole = ask("GET /a/?query HTTP/1.1");
        assert!(whole.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html") && whole.ends_with("\r\n\r\nhello world"), "{whole}");
        let part = ask("GET /a/index.html HTTP/1.1\nRANGE: bytes=6-8");
        assert!(part.contains("Content-Range: bytes 6-8/11\r\n") && part.ends_with("\r\n\r\nwor"), "{part}");
        let head = ask("HEAD /a/x%20y.wasm HTTP/1.1");
        assert!(head.contains("application/wasm\r\nContent-Length: 4\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    }

    #[test]
    fn an_unchanged_file_is_not_sent_again() {
        let whole = ask("GET /a/ HTTP/1.1");
        assert!(whole.contains("ETag: \"b-"), "{whole}");
        let root = std::env::temp_dir().join(format!("nearshore-etag-{}", std::process::id()));
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(root.join("f"), "x").unwrap();
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let mut request = Request { method: "GET".to_owned(), path: "/f".to_owned(), ..Request::default() };
        respond(&request, &root, &mut first).unwrap();
        let first = String::from_utf8(first).unwrap();
        request.etag = first.lines().find_map(|line| line.strip_prefix("ETag: ")).map(str::to_owned);
        respond(&request, &root, &mut second).unwrap();
        std::fs::remove_dir_all(&root).unwrap();
        assert!(second.starts_with(b"HTTP/1.1 304 "));
    }

    #[test]
    fn nothing_outside_the_root_is_served() {
        for path in ["/../secret", "/a/%2e%2e/%2e%2e/secret", "//etc/passwd", "/missing", "secret", "/%zz"] {
            assert!(ask(&format!("GET {path} HTTP/1.1")).starts_with("HTTP/1.1 404"), "{path}");
        }
        assert!(ask("POST / HTTP/1.1").starts_with("HTTP/1.1 405"));
        assert!(ask("").starts_with("HTTP/1.1 405"));
    }
}
