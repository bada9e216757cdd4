//! Files of a folder over HTTP, as a page of another origin asks for parts of them.

use crate::support::Sandbox;
use crate::support::served::{Answer, Served};

fn ask(served: &Served, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    served.client().send(method, path, headers, b"")
}

#[test]
fn a_page_of_another_origin_gets_the_parts_that_it_asks_for() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("site")).unwrap();
    std::fs::write(sandbox.path("site/near.shore"), "0123456789").unwrap();
    std::fs::write(sandbox.path("site/.hidden"), "not for you").unwrap();
    std::fs::create_dir(sandbox.path("site/sub")).unwrap();
    std::fs::write(sandbox.path("site/sub/.hidden"), "not for you").unwrap();
    std::fs::write(sandbox.path("beside"), "not for you").unwrap();
    let served = Served::start(&sandbox, "--static site");
    let origin = ("origin", "https://elsewhere.example");

    let part = ask(&served, "GET", "/near.shore", &[origin, ("range", "bytes=3-5"), ("accept-encoding", "gzip, br")]);
    assert_eq!((part.status, part.text.as_str()), (206, "345"));
    assert_eq!(part.header("content-range"), Some("bytes 3-5/10"));
    assert_eq!(part.header("access-control-allow-origin"), Some("*"));
    assert!(part.header("access-control-expose-headers").unwrap().contains("content-range"));
    assert_eq!((part.header("content-encoding"), part.header("cache-control")), (None, Some("no-cache")));

    let beyond = ask(&served, "GET", "/near.shore", &[origin, ("range", "bytes=10-20")]);
    assert_eq!(beyond.status, 416);
    let whole = ask(&served, "GET", "/near.shore", &[origin]);
    assert_eq!((whole.status, whole.text.as_str(), whole.header("accept-ranges")), (200, "0123456789", Some("bytes")));
    let since = whole.header("last-modified").unwrap().to_owned();
    assert!(since.ends_with("GMT"), "{since}");
    let preflight = ask(
        &served,
        "OPTIONS",
        "/near.shore",
        &[origin, ("access-control-request-method", "GET"), ("access-control-request-headers", "range")],
    );
    assert_eq!((preflight.status, preflight.header("access-control-allow-headers")), (200, Some("*")));

    for path in [
        "/.hidden",
        "/%2ehidden",
        "/../beside",
        "/%2e%2e/beside",
        "/absent",
        "/sub/../.hidden",
        "/sub/.hidden",
        "/sub%2f.hidden",
        "/sub%2F.hidden",
        "/sub%5c.hidden",
    ] {
        assert_eq!(ask(&served, "GET", path, &[]).status, 404, "{path}");
    }
    assert_eq!(ask(&served, "POST", "/near.shore", &[]).status, 405);
    assert_eq!(served.stop().code, Some(0));
}

#[test]
fn other_machines_are_let_in_only_when_told_and_a_folder_must_be_there() {
    let sandbox = Sandbox::new();
    let open = sandbox.run("serve --static . --listen 0.0.0.0:0");
    assert_eq!(open.code, Some(2));
    assert!(open.stderr.contains("--insecure"), "{}", open.stderr);
    let absent = sandbox.run("serve --static absent --listen 127.0.0.1:0");
    assert_eq!(absent.code, Some(4));
    assert!(absent.stderr.contains("absent"), "{}", absent.stderr);
    assert_eq!(sandbox.run("serve --static . data").code, Some(2), "a folder of files or a collection");
}
