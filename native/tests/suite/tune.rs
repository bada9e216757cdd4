//! `nearshore tune` through the real binary: queries unlike the rows get the recall that they ask for, and the new file is
//! the old one in everything else.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{Ran, Sandbox, fbin, keys, names, numbers};
use nearshore::Index;
use nearshore::format::{Kind, Section};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const ROWS: usize = 2500;
const DIMENSIONS: usize = 24;
/// Enough that the two halves agree within one in a hundred, and few enough for a quick test.
const QUERIES: usize = 400;

/// Rows in clumps: a centre of its clump, and a little beside it.
fn clumps(count: usize, seed: u64) -> Vec<f32> {
    let (centres, beside) = (numbers(60 * DIMENSIONS, 77), numbers(count * DIMENSIONS, seed));
    let value = |(at, beside): (usize, &f32)| {
        let (row, dimension) = (at / DIMENSIONS, at % DIMENSIONS);
        centres[row * 7 % 60 * DIMENSIONS + dimension] + 0.5 * beside
    };
    beside.iter().enumerate().map(value).collect()
}

/// Queries from between the clumps and beyond them, where no row is near.
fn strangers(count: usize, seed: u64) -> Vec<f32> {
    numbers(count * DIMENSIONS, seed).iter().map(|value| 1.4 * value + 0.15).collect()
}

/// A folder with `base.shore`, and queries of both kinds, each in two halves.
fn sandbox(options: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("base.fbin", &fbin(DIMENSIONS, &clumps(ROWS, 1)));
    for (name, seed) in [("a", 2), ("b", 3)] {
        sandbox.write(&format!("near-{name}.fbin"), &fbin(DIMENSIONS, &clumps(QUERIES, seed)));
        sandbox.write(&format!("far-{name}.fbin"), &fbin(DIMENSIONS, &strangers(QUERIES, seed)));
    }
    sandbox.run(format!("build base.fbin -o base.shore --m 6 --quiet {options}").trim_end()).ok();
    sandbox
}

/// What `--recall` of a file brings for queries.
fn recalls(sandbox: &Sandbox, file: &str, queries: &str, asked: &str) -> Vec<f64> {
    sandbox.run(&format!("truth base.fbin --queries {queries} --k 20 -o truth.ibin --force --quiet")).ok();
    let bench = sandbox.run(&format!("bench {file} --queries {queries} --truth truth.ibin --recall {asked} --json --quiet")).json();
    bench["runs"].as_array().unwrap().iter().map(|run| run["recall"].as_f64().unwrap()).collect()
}

#[test]
fn queries_unlike_the_rows_get_the_recall_that_they_ask_for() {
    let sandbox = sandbox("");
    assert!(recalls(&sandbox, "base.shore", "near-b.fbin", "0.95")[0] > 0.94);
    let before = recalls(&sandbox, "base.shore", "far-b.fbin", "0.95")[0];
    assert!(before < 0.93, "{before}: hard enough to show anything");
    let said = sandbox.run("tune base.shore --queries far-a.fbin -o far.shore --recall 0.9,0.95,0.98 --json --quiet").json();
    // By the file, as any search goes by it: the very queries get what they ask for within one in a hundred.
    let own = recalls(&sandbox, "far.shore", "far-a.fbin", "0.9,0.95,0.98");
    // Others of their kind do, too, but for what two samples of this size differ by: two standard errors of the difference.
    let others = recalls(&sandbox, "far.shore", "far-b.fbin", "0.9,0.95,0.98");
    for (at, asked) in [0.9, 0.95, 0.98].into_iter().enumerate() {
        let after = &said["targets"][at]["after"];
        assert!((own[at] - asked).abs() < 0.01, "{asked} asked, {} got", own[at]);
        assert!((own[at] - after["recall"].as_f64().unwrap()).abs() < 1e-4, "what was said: {after}, {}", own[at]);
        let sampling = 2.0 * 2f64.sqrt() * after["recall_error"].as_f64().unwrap();
        assert!((others[at] - asked).abs() < 0.01 + sampling, "{asked} asked, {} got, {after}", others[at]);
    }
    let target = &said["targets"][1];
    assert_eq!((target["asked_recall"].as_f64(), target["reached"].as_bool()), (Some(0.95), Some(true)));
    assert!((target["before"]["recall"].as_f64().unwrap() - before).abs() < 0.02, "{target}");
    assert!(target["after"]["distances"].as_f64() > target["before"]["distances"].as_f64(), "{target}");
    // Those like the rows get it, too. Less than 0.96 they cannot: `ef` 10, the least for ten hits, brings that already.
    let said = sandbox.run("tune base.shore --queries near-a.fbin -o near.shore --recall 0.9,0.98 --json --quiet").json();
    assert_eq!(said["targets"][0]["after"]["ef"], 10);
    let got = recalls(&sandbox, "near.shore", "near-a.fbin", "0.9,0.98");
    assert!(got[0] > 0.95 && (got[1] - 0.98).abs() < 0.01, "{got:?}");
}

#[test]
fn all_but_the_quality_table_stays() {
    for options in ["", "--originals drop --codes u4", "--codes rabitq1"] {
        let sandbox = sandbox(options);
        let tune = "tune base.shore --queries far-a.fbin --k 5 --recall 0.9 --quiet --force";
        let before = std::fs::read(sandbox.path("base.shore")).unwrap();
        sandbox.run(&format!("{tune} -o new.shore --threads 1")).ok();
        sandbox.run(&format!("{tune} -o again.shore --threads 3 --driver mmap")).ok();
        assert_eq!(std::fs::read(sandbox.path("new.shore")).unwrap(), std::fs::read(sandbox.path("again.shore")).unwrap());
        assert_eq!(std::fs::read(sandbox.path("base.shore")).unwrap(), before);
        sandbox.run("verify new.shore").ok();
        let (old, new) = (Index::open(sandbox.path("base.shore")).unwrap(), Index::open(sandbox.path("new.shore")).unwrap());
        let row = |section: &Section<'_>, row: u64| section.row(row as u32).unwrap().to_vec();
        let mut compared = 0;
        for (a, b) in old.reader().sections().zip(new.reader().sections()) {
            assert_eq!(a.table().kind, b.table().kind);
            if a.table().kind != Kind::Quality as u16 {
                assert!(a.rows() == b.rows() && (0..a.rows()).all(|at| row(&a, at) == row(&b, at)));
                compared += 1;
            }
        }
        assert!(compared >= 5);
        let info = sandbox.run("info new.shore --json").json();
        let quality = &info["quality"][0];
        assert_eq!((quality["source"].as_str(), quality["queries"].as_u64(), quality["k"].as_u64()), (Some("queries"), Some(400), Some(5)));
        assert!(sandbox.run("info new.shore").ok().stdout.contains("measured on 400 queries that were given"));
        let search = |file: &str| sandbox.run(&format!("search {file} --queries far-b.fbin --ef 40 --json")).ok().stdout;
        assert_eq!(search("base.shore"), search("new.shore"), "the same effort, the same answers");
        assert_ne!(sandbox.run("info base.shore --json").json()["identity"], info["identity"]);
    }
}

#[test]
fn a_truth_that_is_given_counts_and_the_summary_says_where_it_came_from() {
    let sandbox = sandbox("--originals drop");
    sandbox.run("truth base.fbin --queries far-a.fbin --k 20 -o truth.ibin --quiet").ok();
    let tuned = |options: &str| sandbox.run(format!("tune base.shore --queries far-a.fbin --json --quiet {options}").trim_end()).json();
    let (given, codes) = (tuned("--truth truth.ibin"), tuned(""));
    assert_eq!((given["truth"].as_str(), codes["truth"].as_str()), (Some("given"), Some("codes")));
    let best = |said: &Value| said["quality"].as_array().unwrap().iter().map(|row| row["recall"].as_f64().unwrap()).fold(0.0, f64::max);
    assert!(best(&given) < best(&codes), "codes cannot tell what they lost: {} {}", best(&given), best(&codes));
    let wanted = [
        "dimensions",
        "file",
        "k",
        "layout",
        "metric",
        "output",
        "quality",
        "queries",
        "refine",
        "rows",
        "targets",
        "truth",
        "wall_seconds",
    ];
    assert_eq!(keys(&given), wanted);
    assert_eq!(keys(&given["targets"][2]["after"]), ["distances", "ef", "gamma", "hops", "recall", "recall_error"]);
    let text = sandbox.run("tune base.shore --queries far-a.fbin --recall 0.95,1").ok().stdout;
    assert!(text.contains("a scan of the codes") && text.contains("Nothing was written") && text.contains("0.95"), "{text}");
    assert!(!sandbox.names().iter().any(|name| name.contains("part")));
}

#[test]
fn what_cannot_be_tuned_is_said_in_one_line_and_leaves_nothing() {
    let sandbox = sandbox("");
    sandbox.write("few.fbin", &fbin(DIMENSIONS, &strangers(99, 5)));
    sandbox.write("wide.fbin", &fbin(3, &numbers(300, 5)));
    sandbox.write("none.fbin", b"");
    sandbox.write("small.fbin", &fbin(DIMENSIONS, &clumps(5, 6)));
    sandbox.run("build small.fbin -o small.shore --quiet").ok();
    sandbox.write("other.fbin", &fbin(DIMENSIONS, &clumps(ROWS + 500, 9)));
    sandbox.run("truth other.fbin --queries far-a.fbin --k 10 -o other.ibin --quiet").ok();
    sandbox.run("truth base.fbin --queries far-a.fbin --k 5 -o short.ibin --quiet").ok();
    sandbox.run("truth base.fbin --queries few.fbin --k 10 -o few.ibin --quiet").ok();
    sandbox.write("there.shore", b"precious");
    #[cfg(unix)]
    std::os::unix::fs::symlink("base.shore", sandbox.path("link.shore")).unwrap();
    let before = (sandbox.names(), std::fs::read(sandbox.path("base.shore")).unwrap());
    let fails = |options: &str, code, words: &[&str]| sandbox.run(&format!("tune base.shore {options}")).fails(code, words);
    fails("--queries wide.fbin -o x.shore", 3, &["wide.fbin: 3 dimensions; 24 as in base.shore would be right"]);
    fails("--queries few.fbin -o x.shore", 3, &["few.fbin: 99 queries; at least 100"]);
    fails("--queries none.fbin -o x.shore", 3, &["none.fbin: no rows"]);
    fails("--queries far-a.fbin --k 2501 -o x.shore", 2, &["--k 2501: 1 to 2500, as many as base.shore has rows"]);
    fails("--queries far-a.fbin --k 0", 2, &["--k 0: 1 to 2500"]);
    fails("--queries far-a.fbin --recall 1.5", 2, &["--recall 1.5: above 0"]);
    fails("--queries far-a.fbin --truth short.ibin -o x.shore", 3, &["short.ibin: 5 answers a query; at least 10"]);
    fails("--queries far-a.fbin --truth other.ibin -o x.shore", 3, &["other.ibin: query", "is no id of the index"]);
    fails("--queries far-a.fbin --truth few.ibin -o x.shore", 3, &["few.ibin: answers of 99 queries; 400", "far-a.fbin"]);
    for name in ["base.shore", "./base.shore", "link.shore"] {
        fails(&format!("--queries far-a.fbin --force -o {name}"), 2, &[name, "is read by this command"]);
    }
    fails("--queries far-a.fbin -o there.shore", 2, &["there.shore", "--force replaces it"]);
    sandbox.run("tune absent.shore --queries far-a.fbin -o x.shore").fails(4, &["absent.shore"]);
    sandbox.run("tune small.shore --queries few.fbin -o x.shore --k 6").fails(3, &["99 queries"]);
    sandbox.run("tune small.shore --queries far-a.fbin -o x.shore --k 6").fails(2, &["--k 6: 1 to 5"]);
    assert_eq!((sandbox.names(), std::fs::read(sandbox.path("base.shore")).unwrap()), before);
    let mut damaged = before.1;
    let place = damaged.len() - 5000;
    damaged[place] ^= 1;
    sandbox.write("damaged.shore", &damaged);
    sandbox.run("tune damaged.shore --queries far-a.fbin --driver mmap -o x.shore").fails(5, &["damaged.shore: ", "checksum"]);
    assert!(!sandbox.names().iter().any(|name| name.starts_with('x') || name.contains(".part")), "{:?}", sandbox.names());
}

#[test]
fn ctrl_c_leaves_nothing() {
    let sandbox = sandbox("");
    sandbox.write("many.fbin", &fbin(DIMENSIONS, &strangers(50_000, 9)));
    let before = sandbox.names();
    let mut command = sandbox.command("tune base.shore --queries many.fbin -o x.shore --threads 1".split(' '));
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    while !names(sandbox.path("base.shore").parent().unwrap()).iter().any(|name| name.ends_with(".part")) {
        assert!(started.elapsed() < Duration::from_secs(30), "no output was begun");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(200));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(130), "{ran:?}");
    assert!(ran.stderr.contains("nothing partial is left"), "{ran:?}");
    assert_eq!(sandbox.names(), before);
}

/// Both layouts of one file: each has efforts of its own, and what is tuned for one leaves the other's alone.
#[test]
fn the_fast_layout_is_built_searched_and_tuned_by_name() {
    let sandbox = sandbox("--layout fast");
    let rows = |said: &Value, layout: &str| -> Vec<Value> {
        let rows = said["quality"].as_array().unwrap().iter().filter(|row| row["layout"] == layout);
        rows.cloned().collect()
    };
    let built = sandbox.run("info base.shore --json").json();
    assert!(rows(&built, "lean").len() > 5 && rows(&built, "fast").len() > 5, "{built}");
    assert!(sandbox.run("info base.shore").ok().stdout.contains("with --layout fast:"));
    let tuned = sandbox.run("tune base.shore --queries far-a.fbin --layout fast -o far.shore --json --quiet").json();
    assert_eq!((rows(&tuned, "lean"), tuned["layout"].as_str()), (rows(&built, "lean"), Some("fast")));
    assert!(rows(&tuned, "fast").iter().all(|row| row["source"] == "queries"), "{tuned}");
    // A file without codes of neighbours gets them as it is opened: the same hits, the same hops.
    sandbox.run("build base.fbin -o lean.shore --m 6 --quiet").ok();
    sandbox.run("truth base.fbin --queries far-b.fbin --k 20 -o truth.ibin --quiet").ok();
    let search = |file: &str, layout: &str| {
        sandbox.run(&format!("search {file} --queries far-b.fbin --plan walk --ef 40 --layout {layout} --json --quiet")).json()
    };
    assert_eq!(search("base.shore", "fast"), search("lean.shore", "fast"));
    assert_eq!(search("base.shore", "lean"), search("lean.shore", "lean"));
    assert_ne!(search("base.shore", "fast"), search("base.shore", "lean"), "hops differ at least");
    for file in ["base.shore", "lean.shore"] {
        let bench =
            sandbox.run(&format!("bench {file} --queries far-b.fbin --truth truth.ibin --ef 80 --layout fast --json --quiet")).json();
        assert!(bench["layout"] == "fast" && bench["runs"][0]["recall"].as_f64() > Some(0.9), "{bench}");
    }
}

#[test]
fn a_recall_that_a_file_has_not_measured_is_said() {
    let sandbox = sandbox("");
    let said = |line: &str| sandbox.run(&format!("{line} base.shore --queries near-a.fbin")).ok().stderr;
    let guessed = said("search --recall 0.9 --layout fast");
    assert!(guessed.contains("note: base.shore: --recall 0.9: searches (fast walks, ranked by originals) were not measured"), "{guessed}");
    // Records are codes of eight bits, which no effort sees through.
    let most = said("bench --recall 0.9,0.9999 --refine records");
    assert_eq!(most.matches("note: ").count(), 1, "{most}");
    assert!(
        most.contains("note: base.shore: --recall 0.9999: searches (lean walks, ranked by records) were measured up to 0.99"),
        "{most}"
    );
    sandbox.run("search base.shore --queries near-a.fbin --recall 95").fails(2, &["--recall must be above 0 and at most 1, not 95"]);
    let disk = said("bench --driver pread --recall 0.9,0.9999 --refine records");
    assert!(disk.contains("note: base.shore: --recall 0.9999: "), "{disk}");
    let text = sandbox.run("bench base.shore --queries near-a.fbin --driver pread --recall 0.9 --quiet").ok().stdout;
    assert!(text.contains("  asked "), "{text}");
    for line in ["search --recall 0.9", "search --ef 20 --layout fast --quiet", "search --recall 0.99999 --plan scan"] {
        assert!(!said(line).contains("note: "), "{line}");
    }
}
