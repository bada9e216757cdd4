//! Sets of segments through the real binary: more rows than a file may hold, in several that every command takes as one.

use std::fs;

use crate::support::{Sandbox, fbin, jsonl, keys, numbers};
use serde_json::Value;

const ROWS: usize = 1000;
const DIMENSIONS: usize = 8;

/// A folder with `base.jsonl`, whose rows have ids, payloads and a column, `base.shore` of it, and `set.shores` of three segments; queries and truth.
fn built() -> Sandbox {
    let sandbox = Sandbox::new();
    let values = numbers(ROWS * DIMENSIONS, 1);
    let fields = |row: usize| format!(", \"id\": {}, \"title\": \"row {row}\", \"year\": {}", (row as u64 * 7919) % 65_536, row % 50);
    sandbox.write("base.jsonl", &jsonl(DIMENSIONS, &values, fields));
    sandbox.write("query.fbin", &fbin(DIMENSIONS, &numbers(40 * DIMENSIONS, 2)));
    let options = "--payload title --columns year --ef-construction 40 --m 6 --quiet";
    sandbox.run(&format!("build base.jsonl -o base.shore {options}")).ok();
    sandbox.run(&format!("build base.jsonl -o set.shore --segment-rows 400 {options}")).ok();
    sandbox.run("truth base.jsonl --queries query.fbin --k 10 -o truth.ibin --quiet").ok();
    sandbox
}

/// Ids, distances and payloads of every query.
fn hits(value: &Value) -> Vec<&Value> {
    value["results"].as_array().unwrap().iter().map(|result| &result["hits"]).collect()
}

#[test]
fn a_set_answers_as_one_file() {
    let sandbox = built();
    assert_eq!(sandbox.names().iter().filter(|name| name.starts_with("set")).count(), 4, "{:?}", sandbox.names());
    let search = |file: &str, more: &str| sandbox.run(format!("search {file} --queries query.fbin --json {more}").trim_end()).json();
    for more in ["--plan scan --k 10", "--plan scan --k 2000", "--plan scan --radius 0.4", "--plan scan --filter year<7", "--filter year=3"]
    {
        let (one, set) = (search("base.shore", more), search("set.shores", more));
        assert!(hits(&set) == hits(&one), "{more}");
        assert_eq!(set["matching"], one["matching"]);
    }
    assert_eq!(keys(&search("set.shores", "")["results"][0]), ["distances", "ef", "hits", "hops"]);
    let walked = search("set.shores", "--plan walk --ef 40");
    for more in ["--threads 1", "--threads 5", "--driver slice", "--driver mmap", "--driver pread", "--driver pread --memory 1MiB"] {
        assert!(search("set.shores", &format!("--plan walk --ef 40 {more}")) == walked, "{more}");
    }
    assert!(sandbox.run("search set.shores --queries query.fbin -v").ok().stdout.contains("  row "));
    search("set.shores", "--plan walk --layout fast");
    let bench = |more: &str| sandbox.run(&format!("bench set.shores --queries query.fbin --truth truth.ibin --json {more}")).json();
    let scan = bench("--plan scan");
    assert_eq!((scan["rows"].as_u64(), scan["segments"].as_u64()), (Some(ROWS as u64), Some(3)));
    assert_eq!(scan["runs"][0]["recall"], 1.0);
    let run = &bench("--plan walk --ef 40 --threads 2")["runs"][0];
    assert!(run["recall"].as_f64().unwrap() > 0.95, "{run}");
    let hops: f64 = walked["results"].as_array().unwrap().iter().map(|result| result["hops"].as_f64().unwrap()).sum::<f64>() / 40.0;
    assert!((run["hops"].as_f64().unwrap() - hops).abs() < 1e-3 && run["ef"] == 40, "{run} {hops}");
    assert_eq!(bench("--plan scan --filter year<7")["filter"]["matching"], 140);
    assert!(sandbox.run("bench set.shores --queries query.fbin").ok().stdout.contains("1000 rows x 8 dimensions"));
}

#[test]
fn a_set_is_told_and_verified() {
    let sandbox = built();
    let info = sandbox.run("info set.shores --json").json();
    let segments = info["segments"].as_array().unwrap();
    let told: Vec<(&str, u64)> =
        segments.iter().map(|segment| (segment["name"].as_str().unwrap(), segment["rows"].as_u64().unwrap())).collect();
    assert_eq!(told, [("set.0.shore", 334), ("set.1.shore", 333), ("set.2.shore", 333)]);
    assert_eq!((info["rows"].as_u64(), info["metric"].as_str(), info["dimensions"].as_u64()), (Some(1000), Some("l2"), Some(8)));
    let text = sandbox.run("info set.shores").ok().stdout;
    assert!(text.contains("1000 rows x 8 dimensions in 3 segments") && text.contains("set.2.shore"), "{text}");
    assert!(sandbox.run("verify set.shores").ok().stdout.starts_with("set.shores: whole (3 segments, "));
    let whole = sandbox.run("verify set.shores --json").json();
    assert_eq!((&whole["ok"], &whole["segments"]), (&Value::from(true), &Value::from(3)));
    let mut damaged = fs::read(sandbox.path("set.1.shore")).unwrap();
    let last = damaged.len() - 100;
    damaged[last] ^= 1;
    sandbox.write("set.1.shore", &damaged);
    sandbox.run("verify set.shores").fails(5, &["set.1.shore: ", "section "]);
    let said = sandbox.run("verify set.shores --json");
    assert!(said.code == Some(5) && said.stdout.contains("\"damaged_blocks\":1"), "{said:?}");
}

#[test]
fn a_set_is_made_of_files_that_fit_together() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("below")).unwrap();
    fs::create_dir(sandbox.path("other")).unwrap();
    sandbox.write("a.fbin", &fbin(4, &numbers(40, 1)));
    sandbox.write("b.fbin", &fbin(4, &numbers(40, 2)));
    sandbox.write("wide.fbin", &fbin(5, &numbers(50, 2)));
    sandbox.write("ids.txt", (0..10).map(|row| format!("{}\n", 10 + row)).collect::<String>().as_bytes());
    sandbox.write("twice.txt", (0..10).map(|row| format!("{}\n", 19 + row)).collect::<String>().as_bytes());
    sandbox.run("build a.fbin -o a.shore --quiet").ok();
    sandbox.run("build b.fbin -o below/b.shore --ids ids.txt --quiet").ok();
    sandbox.run("build b.fbin -o c.shore --ids twice.txt --quiet").ok();
    sandbox.run("build wide.fbin -o wide.shore --quiet").ok();
    sandbox.run("build a.fbin -o cosine.shore --metric cosine --quiet").ok();
    let names = sandbox.names();
    sandbox.run("set a.shore wide.shore -o x.shores").fails(3, &["dimensions 4 in a.shore and 5 in wide.shore"]);
    sandbox.run("set a.shore cosine.shore -o x.shores").fails(3, &["metric l2 in a.shore and cosine in cosine.shore"]);
    sandbox.run("set below/b.shore c.shore -o x.shores").fails(3, &["id 19 is in below/b.shore and in c.shore; ids must differ"]);
    sandbox.run("set a.shore a.shore -o x.shores").fails(2, &["a.shore: given twice; each file once would be right"]);
    sandbox.run("set a.shore ./a.shore -o x.shores").fails(2, &["./a.shore: given twice, as a.shore as well"]);
    sandbox.run("set a.shore -o other/x.shores").fails(3, &["a.shore lies elsewhere", "the set's folder or below it"]);
    sandbox.run("set a.shore gone.shore -o x.shores").fails(4, &["gone.shore"]);
    sandbox.run("set a.shore -o x.shore").fails(2, &["x.shore: a name that ends in .shores"]);
    sandbox.run("set a.shore -o a.shore").fails(2, &["a.shore"]);
    assert_eq!(sandbox.names(), names);
    let said = sandbox.run("set a.shore below/b.shore -o x.shores").ok().stdout;
    assert_eq!(said, "x.shores: 20 rows in 2 segments\n");
    sandbox.run("set a.shore -o x.shores").fails(2, &["x.shores: exists already"]);
    sandbox.run("verify x.shores").ok();
    // Of a set and a file, from elsewhere too.
    sandbox.run("build a.fbin -o d.shore --segment-rows 20 --quiet --seed 5 --ids ids.txt --force").ok();
    sandbox.run("set x.shores d.shore -o y.shores").fails(3, &["id 10 is in"]);
    fs::remove_file(sandbox.path("d.shore")).unwrap();
    sandbox.write("more.txt", (0..10).map(|row| format!("{}\n", 100 + row)).collect::<String>().as_bytes());
    sandbox.run("build a.fbin -o d.shore --ids more.txt --quiet").ok();
    assert_eq!(sandbox.run("set x.shores d.shore -o y.shores --json").json()["rows"], 30);
    let mut elsewhere = sandbox.command(["search", "../y.shores", "--vector", "[0, 0, 0, 0]", "--k", "30", "--json"]);
    let found = crate::support::Ran::from(elsewhere.current_dir(sandbox.path("below")).output().unwrap()).json();
    assert_eq!(found["results"][0]["hits"].as_array().unwrap().len(), 30);
    // What became of the files since.
    sandbox.run("build b.fbin -o d.shore --ids more.txt --quiet --force").ok();
    for command in ["search y.shores --vector [0,0,0,0]", "info y.shores", "verify y.shores", "bench y.shores --queries a.fbin"] {
        sandbox.run(command).fails(5, &["y.shores: its segment d.shore is another file than when the set was made"]);
    }
    sandbox.write("cut.shores", b"{ \"format\": \"nearshore segments\", \"ver");
    sandbox.run("info cut.shores").fails(5, &["cut.shores: no set of segments: it is cut off"]);
    fs::remove_file(sandbox.path("below/b.shore")).unwrap();
    sandbox.run("info x.shores").fails(4, &["x.shores: its segment below/b.shore: No such file"]);
}

#[test]
fn more_rows_than_a_file_may_hold_become_a_set() {
    let sandbox = Sandbox::new();
    sandbox.write("b.fbin", &fbin(4, &numbers(400, 1)));
    sandbox.run("build b.fbin -o one.shore --segment-rows 100 --quiet").ok();
    assert_eq!(sandbox.names(), ["b.fbin", "one.shore"]);
    let text = sandbox.run("build b.fbin -o x.shore --segment-rows 99").ok().stdout;
    assert!(text.starts_with("x.shores: 100 rows x 4 dimensions, l2, ") && text.contains("x.1.shore: 50 rows"), "{text}");
    assert_eq!(sandbox.names(), ["b.fbin", "one.shore", "x.0.shore", "x.1.shore", "x.shores"]);
    // A name that is a set's is one, of however few rows, and threads change nothing.
    let said = sandbox.run("build b.fbin -o y.shores --json --quiet").json();
    assert_eq!((&said["file"], &said["rows"], said["segments"].as_array().unwrap().len()), (&"y.shores".into(), &100.into(), 1));
    assert_eq!(fs::read(sandbox.path("y.0.shore")).unwrap(), fs::read(sandbox.path("one.shore")).unwrap());
    sandbox.run("build b.fbin -o z.shores --segment-rows 99 --threads 3 --quiet").ok();
    for segment in ["0.shore", "1.shore"] {
        assert_eq!(fs::read(sandbox.path(&format!("x.{segment}"))).unwrap(), fs::read(sandbox.path(&format!("z.{segment}"))).unwrap());
    }
    // Nothing is replaced unless told, whichever of the names is taken.
    sandbox.run("build b.fbin -o x.shore --segment-rows 99").fails(2, &["x.shores: a set of that name exists already; --force"]);
    fs::remove_file(sandbox.path("x.shores")).unwrap();
    sandbox.run("build b.fbin -o x.shore --segment-rows 99").fails(2, &["x.0.shore: exists already"]);
    fs::remove_file(sandbox.path("x.0.shore")).unwrap();
    sandbox.run("build b.fbin -o x.shore --segment-rows 99").fails(2, &["x.1.shore: exists already"]);
    sandbox.run("build b.fbin -o x.shore --segment-rows 99 --quiet --force").ok();
    sandbox.run("verify x.shores").ok();
    let names = sandbox.names();
    // Rows are named by their number in the whole input, and nothing is left of a set that failed.
    let mut values = numbers(400, 1);
    values[77 * 4 + 2] = f32::NAN;
    sandbox.write("b.fbin", &fbin(4, &values));
    sandbox.run("build b.fbin -o bad.shore --segment-rows 30").fails(3, &["b.fbin", "row 77"]);
    sandbox.write("b.fbin", &fbin(4, &numbers(400, 1)));
    let ids: String = (0..100).map(|row| format!("{}\n", if row == 99 { 3 } else { row })).collect();
    sandbox.write("ids.txt", ids.as_bytes());
    sandbox.run("build b.fbin -o bad.shore --segment-rows 30 --ids ids.txt").fails(3, &["row 99", "id 3 is that of row 3 already"]);
    fs::remove_file(sandbox.path("ids.txt")).unwrap();
    for line in ["build b.fbin -o bad.shore --segment-rows 30 --memory 1GiB", "build b.fbin -o bad.shores --memory 1GiB"] {
        sandbox.run(line).fails(2, &["with --memory a build makes one file", "nearshore set"]);
    }
    assert_eq!(sandbox.names(), names);
}

#[test]
fn commands_that_take_one_file_say_so() {
    let sandbox = built();
    let what = "set.shores: a set of segments, where a single index is needed; one of its files would be right";
    sandbox.run("export set.shores -o web.shore").fails(2, &[what]);
    sandbox.run("tune set.shores --queries query.fbin").fails(2, &[what]);
    let reads = ["set.shores: a set of segments; --driver pread measures the reads of one file", "or --driver mmap, would be right"];
    sandbox.run("bench set.shores --queries query.fbin --driver pread").fails(2, &reads);
    sandbox.run("bench concurrent set.shores --queries query.fbin").fails(2, &[what]);
    #[cfg(feature = "server")]
    for more in ["", " --read-only"] {
        sandbox.run(&format!("serve set.shores --listen 127.0.0.1:0{more}")).fails(2, &[what]);
    }
}

#[test]
fn what_takes_the_place_of_a_set_leaves_nothing_of_it() {
    let sandbox = Sandbox::new();
    sandbox.write("b.fbin", &fbin(4, &numbers(400, 1)));
    sandbox.write("more.fbin", &fbin(4, &numbers(40, 2)));
    sandbox.write("ids.txt", (0..10).map(|row| format!("{}\n", 1000 + row)).collect::<String>().as_bytes());
    let set = |rows: u32, more: &str| sandbox.run(&format!("build b.fbin -o x.shore --segment-rows {rows} --quiet{more}"));
    let names = || sandbox.names().into_iter().filter(|name| name.starts_with('x')).collect::<Vec<_>>();
    set(34, "").ok();
    assert_eq!(names(), ["x.0.shore", "x.1.shore", "x.2.shore", "x.shores"]);
    // A file that the set does not list is nobody's segment, whatever it is called.
    sandbox.write("x.7.shore", b"");
    set(60, "").fails(2, &["x.shores: a set of that name exists already; --force removes it and its segments"]);
    // Numbered on, so that the old set is whole until there is the new one; then from the start again.
    set(60, " --force").ok();
    assert_eq!(names(), ["x.3.shore", "x.4.shore", "x.7.shore", "x.shores"]);
    sandbox.run("verify x.shores").ok();
    set(60, " --force").ok();
    assert_eq!(names(), ["x.0.shore", "x.1.shore", "x.7.shore", "x.shores"]);
    sandbox.run("verify x.shores").ok();
    // A single file of that name stays as it is, and is named.
    sandbox.write("x.shore", b"older");
    let said = sandbox.run("build b.fbin -o x.shores --segment-rows 60 --force").ok().stderr;
    assert!(said.contains("note: x.shore lies beside x.shores as before"), "{said}");
    assert_eq!(fs::read(sandbox.path("x.shore")).unwrap(), b"older");
    fs::remove_file(sandbox.path("x.shore")).unwrap();
    // One file in its place, built at once or in bounded memory.
    for bound in ["", " --memory 1GiB", " --memory 1GiB --partitions 4"] {
        set(60, " --force").ok();
        let one = format!("build b.fbin -o x.shore --m 4 --quiet{bound}");
        let before = names();
        sandbox.run(&one).fails(2, &["exists", "--force"]);
        let _ = fs::remove_file(sandbox.path("x.shore"));
        sandbox.run(&one).fails(2, &["x.shores: a set of that name exists already", "--force"]);
        assert_eq!(names().iter().filter(|name| *name != "x.shore").count(), before.iter().filter(|name| *name != "x.shore").count());
        sandbox.run(&format!("{one} --force")).ok();
        assert_eq!(names(), ["x.7.shore", "x.shore"], "{bound}");
    }
    // Files with names of their own stay when a set of them goes.
    sandbox.run("build more.fbin -o own.shore --ids ids.txt --quiet").ok();
    sandbox.run("set x.shore own.shore -o y.shores --quiet").ok();
    sandbox.run("build b.fbin -o y.shore --force --quiet").ok();
    assert!(sandbox.path("own.shore").exists() && sandbox.path("x.shore").exists() && !sandbox.path("y.shores").exists());
}

#[test]
fn what_is_called_a_set_and_is_none_is_told_so() {
    let sandbox = Sandbox::new();
    for text in [&b"{}"[..], b"{ \"format\": \"nearsh", b"", b"[1]"] {
        sandbox.write("x.shores", text);
        for command in ["info x.shores", "verify x.shores", "search x.shores --vector [1]"] {
            sandbox.run(command).fails(5, &["x.shores: no set of segments: ", "`nearshore set` makes one"]);
        }
    }
}

#[test]
fn a_set_of_files_with_different_columns_says_so() {
    let sandbox = Sandbox::new();
    let rows = |first: usize| jsonl(4, &numbers(40, first as u64), move |row| format!(", \"id\": {}, \"a\": 1, \"b\": 2", first + row));
    sandbox.write("one.jsonl", &rows(0));
    sandbox.write("two.jsonl", &rows(100));
    sandbox.run("build one.jsonl -o one.shore --columns all --quiet").ok();
    sandbox.run("build two.jsonl -o two.shore --quiet").ok();
    let said = sandbox.run("set one.shore two.shore -o x.shores").ok();
    assert!(said.stderr.starts_with("note: ") && said.stderr.contains("two.shore lacks the columns a, b"), "{said:?}");
    assert_eq!(sandbox.run("set one.shore two.shore -o x.shores --force --quiet").ok().stderr, "");
    assert_eq!(sandbox.run("set one.shore -o x.shores --force").ok().stderr, "");
}

#[test]
fn a_build_in_the_place_of_a_set_that_is_killed_leaves_a_set_that_opens() {
    let sandbox = Sandbox::new();
    sandbox.write("b.fbin", &fbin(4, &numbers(400, 1)));
    let line = |seed: u32| format!("build b.fbin -o x.shore --segment-rows 2 --m 4 --quiet --force --seed {seed}");
    sandbox.run(&line(0)).ok();
    let seen = || sandbox.names().into_iter().filter(|name| name.starts_with('x')).collect::<Vec<_>>();
    let identity = |name: &str| sandbox.path(name).metadata().ok().map(|data| std::os::unix::fs::MetadataExt::ino(&data));
    let mut killed = 0;
    for seed in 1..=6u32 {
        let (before, first) = (seen(), seen()[0].clone());
        let own = identity(&first);
        let mut child = sandbox.command(line(seed).split(' ')).spawn().unwrap();
        // At the first name that changes hands, or a little later.
        while child.try_wait().unwrap().is_none() && seen() == before && identity(&first) == own {}
        std::thread::sleep(std::time::Duration::from_micros(500 * u64::from(seed - 1)));
        killed += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        sandbox.run("verify x.shores").ok();
        assert_eq!(sandbox.run("info x.shores --json").json()["rows"], 100);
        // Whatever the killed one left goes with the next.
        sandbox.run(&line(0)).ok();
        sandbox.run("verify x.shores").ok();
        assert_eq!(sandbox.names().len(), 52, "{:?}", sandbox.names());
    }
    eprintln!("{killed} of 6 were killed at work");
}

#[cfg(target_os = "linux")]
#[test]
fn more_segments_than_files_may_be_open_raise_the_limit_or_are_refused_before_the_work() {
    let sandbox = Sandbox::new();
    sandbox.write("b.fbin", &fbin(4, &numbers(400, 1)));
    let build = |limit: &str| {
        let line = format!("ulimit {limit}; exec \"$0\" build b.fbin -o x.shore --segment-rows 2 --m 4 --quiet");
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &line, env!("CARGO_BIN_EXE_nearshore")]).current_dir(sandbox.path(""));
        crate::support::Ran::from(command.output().unwrap())
    };
    build("-n 50").fails(2, &["--segment-rows: 50 segments", "the system allows 50 (ulimit -n)"]);
    assert_eq!(sandbox.names(), ["b.fbin"]);
    build("-S -n 50").ok();
    sandbox.run("verify x.shores").ok();
}
