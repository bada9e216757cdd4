//! `nearshore build --tier` and `--page`, and `nearshore export --for disk` through the real binary.

use crate::support::{Sandbox, fbin, numbers};
use nearshore::Index;
use nearshore::format::Kind;

/// Bytes of a block of records.
fn block_bytes(sandbox: &Sandbox, file: &str) -> u32 {
    Index::open(sandbox.path(file)).unwrap().reader().header().table(Kind::Records, 0).unwrap().block_bytes
}

#[test]
fn a_file_for_a_disk_has_the_pages_that_were_asked_for() {
    let sandbox = Sandbox::new();
    sandbox.write("base.fbin", &fbin(20, &numbers(2500 * 20, 1)));
    sandbox.write("query.fbin", &fbin(20, &numbers(20 * 20, 2)));
    sandbox.run("build base.fbin -o base.shore --m 6 --ef-construction 40 --originals drop --quiet").ok();
    let search = |file: &str| sandbox.run(&format!("search {file} --queries query.fbin --k 5 --ef 30 --json")).json()["results"].clone();
    let mut answers = Vec::new();
    for (page, bytes) in [("4KiB", 4096), ("16KiB", 16_384), ("65536", 65_536)] {
        sandbox.run(&format!("export base.shore -o disk.shore --for disk --page {page} --force --quiet")).ok();
        assert_eq!(block_bytes(&sandbox, "disk.shore"), bytes);
        answers.push(search("disk.shore"));
        sandbox
            .run(&format!(
                "build base.fbin -o built.shore --tier disk --page {page} --m 6 --ef-construction 40 --originals drop --force --quiet"
            ))
            .ok();
        assert_eq!(block_bytes(&sandbox, "built.shore"), bytes);
        assert_eq!(search("built.shore"), answers[0], "{page}");
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    for (line, right) in [
        ("build base.fbin -o x.shore --page 8KiB", "--tier disk"),
        ("build base.fbin -o x.shore --tier disk --page 6KiB", "4KiB to 64KiB"),
        ("export base.shore -o x.shore --for web --page 8KiB", "--for disk"),
        ("build base.fbin -o x.shore --memory 1GiB --tier auto", "--tier disk"),
    ] {
        let refused = sandbox.run(line);
        assert!(refused.code == Some(2) && refused.stderr.contains(right), "{line}: {refused:?}");
    }
}

#[test]
fn a_tier_that_was_chosen_is_said_with_the_reason() {
    let sandbox = Sandbox::new();
    sandbox.write("base.fbin", &fbin(8, &numbers(400 * 8, 1)));
    let built = sandbox.run("build base.fbin -o auto.shore --tier auto").ok();
    // 400 rows fit wherever tests run.
    assert!(built.stderr.contains("tier memory: searches read ") && built.stderr.contains("of records and graph"), "{}", built.stderr);
    sandbox.run("build base.fbin -o told.shore --quiet").ok();
    assert_eq!(std::fs::read(sandbox.path("auto.shore")).unwrap(), std::fs::read(sandbox.path("told.shore")).unwrap());
}
