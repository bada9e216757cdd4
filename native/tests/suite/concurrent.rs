//! `nearshore bench concurrent` through the real binary: what it counts adds up, and Ctrl-C loses nothing that was measured.

use std::time::{Duration, Instant};

use crate::support::{Ran, Sandbox, fbin, keys, numbers};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const ROWS: usize = 2100;
const DIMENSIONS: usize = 8;

fn built() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("base.fbin", &fbin(DIMENSIONS, &numbers(ROWS * DIMENSIONS, 1)));
    sandbox.write("query.fbin", &fbin(DIMENSIONS, &numbers(50 * DIMENSIONS, 2)));
    sandbox.write("more.fbin", &fbin(DIMENSIONS, &numbers(30 * DIMENSIONS, 3)));
    sandbox.run("build base.fbin -o base.shore --ef-construction 40 --quiet").ok();
    sandbox
}

const BENCH: &str = "bench concurrent base.shore --queries query.fbin";

fn count(part: &Value, key: &str) -> u64 {
    part[key].as_u64().unwrap()
}

#[test]
fn what_readers_and_writer_did_adds_up() {
    let sandbox = built();
    let before = std::fs::read(sandbox.path("base.shore")).unwrap();
    let said = sandbox.run(&format!("{BENCH} --readers 3 --seconds 0.3 --ef 20 --json --quiet")).json();
    let wanted =
        ["backend", "dimensions", "ef", "file", "gamma", "interrupted", "k", "metric", "parts", "readers", "resident_bytes", "rows"];
    assert_eq!(keys(&said), wanted);
    assert_eq!((count(&said, "rows"), count(&said, "ef"), said["interrupted"].as_bool()), (ROWS as u64, 20, Some(false)));
    let parts = said["parts"].as_array().unwrap();
    let wanted = [
        "inserts",
        "inserts_per_cpu_second",
        "inserts_per_second",
        "mean_us",
        "p50_us",
        "p95_us",
        "p99_us",
        "qps",
        "qps_cpu",
        "readers",
        "rows",
        "searches",
        "wall_seconds",
        "writer",
    ];
    let shape = [(3, false), (3, true), (0, true)];
    let mut rows = ROWS as u64;
    assert_eq!(parts.len(), shape.len());
    for (part, (readers, writer)) in parts.iter().zip(shape) {
        assert_eq!(keys(part), wanted);
        assert_eq!((count(part, "readers"), part["writer"].as_bool()), (readers, Some(writer)));
        assert_eq!((count(part, "inserts") > 0, count(part, "searches") > 0), (writer, readers > 0), "{part}");
        rows += count(part, "inserts");
        assert_eq!(count(part, "rows"), rows, "every inserted row lives");
        let number = |key: &str| part[key].as_f64().unwrap();
        assert!(number("wall_seconds") >= 0.3);
        let rate = count(part, "searches") as f64 / number("wall_seconds");
        assert!((number("qps") - rate).abs() <= 0.01 * rate, "{part}");
        assert!(number("p50_us") <= number("p95_us") && number("p95_us") <= number("p99_us"), "{part}");
    }
    assert_eq!(std::fs::read(sandbox.path("base.shore")).unwrap(), before, "the file stays as it is");
}

#[test]
fn rows_to_insert_are_used_once_and_integers_stay_integers() {
    let sandbox = built();
    let said = sandbox.run(&format!("{BENCH} --readers 1 --seconds 0.2 --insert more.fbin --json --quiet")).json();
    let inserts = said["parts"].as_array().unwrap().iter().map(|part| count(part, "inserts")).sum::<u64>();
    assert_eq!(inserts, 30, "{said}");
    let bytes: Vec<u8> = numbers(500 * 16, 5).iter().map(|value| (value * 500.0) as i32 as u8).collect();
    let file = [&500u32.to_le_bytes()[..], &16u32.to_le_bytes(), &bytes].concat();
    for name in ["b.u8bin", "b.i8bin"] {
        sandbox.write(name, &file);
        sandbox.run(&format!("build {name} -o b.shore --force --quiet")).ok();
        let text = sandbox.run(&format!("bench concurrent b.shore --queries {name} --readers 2 --seconds 0.1 --quiet")).ok().stdout;
        assert!(text.starts_with("b.shore: 500 rows x 16 dimensions, l2, live") && text.lines().count() == 5, "{text}");
    }
}

#[test]
fn ctrl_c_prints_what_was_measured() {
    let sandbox = built();
    let child = sandbox.command(format!("{BENCH} --readers 2 --seconds 600 --json --quiet").split(' ')).spawn().unwrap();
    let started = Instant::now();
    // Long enough for the index to be taken up on a slow machine; how much was measured does not matter.
    std::thread::sleep(Duration::from_millis(1500));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert!(started.elapsed() < Duration::from_secs(60));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(130), "nearshore: interrupted; the figures are those until then\n"));
    let said: Value = serde_json::from_str(&ran.stdout).unwrap();
    let parts = said["parts"].as_array().unwrap();
    assert_eq!((said["interrupted"].as_bool(), parts.len()), (Some(true), 1));
    assert!(count(&parts[0], "searches") > 0 && parts[0]["qps"].as_f64() > Some(0.0), "{said}");
}

#[test]
fn what_cannot_be_measured_is_said() {
    let sandbox = built();
    sandbox.write("wide.fbin", &fbin(3, &numbers(30, 5)));
    sandbox.run("bench concurrent base.shore --queries wide.fbin").fails(3, &["wide.fbin: 3 dimensions; 8 as in base.shore"]);
    sandbox.run(&format!("{BENCH} --insert wide.fbin")).fails(3, &["wide.fbin: 3 dimensions; 8 as in base.shore"]);
    sandbox.run(&format!("{BENCH} --seconds 0")).fails(2, &["--seconds 0: above 0"]);
    sandbox.run(&format!("{BENCH} --k 0")).fails(2, &["k must be at least 1"]);
    sandbox.run(&format!("{BENCH} --recall 2")).fails(2, &["recall must be above 0"]);
    sandbox.run("bench concurrent absent.shore --queries query.fbin").fails(4, &["absent.shore"]);
    for line in ["bench", "bench concurrent base.shore", "bench base.shore", "bench concurrent base.shore --queries query.fbin --readers 0"]
    {
        assert_eq!(sandbox.run(line).code, Some(2), "{line}");
    }
    assert!(sandbox.run("bench concurrent --help").ok().stdout.contains("Example"));
}
