//! `nearshore export` through the real binary: the same rows in tiles, searched with the same ids, and what is said where it cannot be.

use std::fs;

use crate::support::{Sandbox, fbin, keys, numbers};
use nearshore::Index;
use nearshore::format::{Kind, Plan};
use serde_json::Value;

const ROWS: usize = 1200;
const DIMENSIONS: usize = 12;

/// A folder with `base.shore`, whose rows have ids and payloads, its queries and their truth.
fn built() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("base.fbin", &fbin(DIMENSIONS, &numbers(ROWS * DIMENSIONS, 1)));
    sandbox.write("query.fbin", &fbin(DIMENSIONS, &numbers(150 * DIMENSIONS, 2)));
    let payloads: String = (0..ROWS).map(|row| format!("row {row}\n")).collect();
    sandbox.write("rows.txt", payloads.as_bytes());
    sandbox.run("build base.fbin -o base.shore --ef-construction 40 --m 6 --payload rows.txt --quiet").ok();
    sandbox.run("truth base.fbin --queries query.fbin --k 10 -o truth.ibin --quiet").ok();
    sandbox
}

fn hits(value: &Value) -> Vec<Vec<(u64, String)>> {
    let hit = |hit: &Value| (hit["id"].as_u64().unwrap(), hit["payload"].as_str().unwrap().to_owned());
    let results = value["results"].as_array().unwrap().iter();
    results.map(|result| result["hits"].as_array().unwrap().iter().map(hit).collect()).collect()
}

#[test]
fn the_new_file_has_the_same_rows_in_tiles() {
    let sandbox = built();
    let before = fs::read(sandbox.path("base.shore")).unwrap();
    let text = sandbox.run("export base.shore -o web.shore --for web --tile-rows 16").ok().stdout;
    for word in
        ["web.shore: 1200 rows in ", " tiles, ", "opened by ", "in the mean of 100", "requests", "rounds", "recall", "probes", "records"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert_eq!(fs::read(sandbox.path("base.shore")).unwrap(), before);
    sandbox.run("verify web.shore").ok();
    let index = Index::open(sandbox.path("web.shore")).unwrap();
    assert_eq!((index.len(), index.plan()), (ROWS, Plan::Tiles));
    assert!(index.reader().section(Kind::Edges, 0).is_none() && index.reader().section(Kind::Originals, 0).is_none());
    let search = |file: &str, more: &str| sandbox.run(&format!("search {file} --queries query.fbin --refine records --json {more}")).json();
    let scan = hits(&search("base.shore", "--plan scan"));
    assert_eq!(hits(&search("web.shore", "--plan scan")), scan);
    assert_eq!(hits(&search("web.shore", "--probes 100000 --rerank 100000")), scan);
    let few = hits(&search("web.shore", "--probes 2 --rerank 10"));
    assert!(few != scan && few.iter().all(|hits| hits.len() == 10));
    // The same file and options give the same bytes, by any number of threads.
    sandbox.run("export base.shore -o again.shore --tile-rows 16 --threads 3 --quiet").ok();
    assert_eq!(fs::read(sandbox.path("again.shore")).unwrap(), fs::read(sandbox.path("web.shore")).unwrap());
    sandbox.run("export base.shore -o other.shore --tile-rows 16 --seed 1 --quiet").ok();
    assert_ne!(fs::read(sandbox.path("other.shore")).unwrap(), fs::read(sandbox.path("web.shore")).unwrap());
    // What was exported can be exported again.
    sandbox.run("export web.shore -o twice.shore --tile-rows 40 --quiet").ok();
    assert_eq!(hits(&search("twice.shore", "--plan scan")), scan);
}

#[test]
fn a_summary_says_what_searches_cost_and_bench_finds_it_so() {
    let sandbox = built();
    let said = sandbox.run("export base.shore -o web.shore --tile-rows 16 --recall 0.9 --json --quiet").json();
    let wanted = [
        "build_id",
        "copies",
        "dropped_tombstones",
        "expected",
        "file",
        "file_bytes",
        "for",
        "hot_bytes",
        "originals",
        "quality",
        "rows",
        "source",
        "tiles",
        "wall_seconds",
    ];
    assert_eq!(keys(&said), wanted);
    let expected = ["bytes", "open_bytes", "open_requests", "probes", "queries", "reached", "recall", "requests", "rerank", "rounds"];
    assert_eq!(keys(&said["expected"]), expected);
    // Codes, records, payloads.
    assert_eq!(
        (said["rows"].as_u64(), said["for"].as_str(), said["expected"]["rounds"].as_f64()),
        (Some(ROWS as u64), Some("web"), Some(3.0))
    );
    assert_eq!(said["file_bytes"].as_u64(), fs::metadata(sandbox.path("web.shore")).ok().map(|file| file.len()));
    let bench = sandbox.run("bench web.shore --queries query.fbin --truth truth.ibin --recall 0.9 --json --quiet").json();
    let run = &bench["runs"][0];
    assert_eq!(
        (&run["probes"], &run["rerank"], run["rounds"].as_f64()),
        (&said["expected"]["probes"], &said["expected"]["rerank"], Some(2.0))
    );
    assert!(run.get("ef").is_none());
    assert!(run["recall"].as_f64().unwrap() > 0.8, "{run}");
    let all = sandbox.run("bench web.shore --queries query.fbin --truth truth.ibin --probes 99999 --rerank 99999 --json --quiet").json();
    let run = &all["runs"][0];
    assert_eq!((run["probes"].as_u64(), run["rerank"].as_u64()), (said["tiles"].as_u64(), Some(ROWS as u64)));
    assert!(run["recall"].as_f64().unwrap() > 0.99, "{run}");
    let text = sandbox.run("bench web.shore --queries query.fbin --probes 7 --rerank 33").ok().stdout;
    assert!(text.contains("probes/records") && text.contains(" 7/33 "), "{text}");
    let info = sandbox.run("info web.shore").ok().stdout;
    assert!(info.contains("plan tiles") && info.contains("route.records") && info.contains("probes records"), "{info}");
}

#[test]
fn originals_are_kept_where_asked() {
    let sandbox = built();
    sandbox.run("export base.shore -o web.shore --originals keep --tile-rows 16 --quiet").ok();
    let search =
        |file: &str, more: &str| sandbox.run(&format!("search {file} --queries query.fbin --refine originals --json {more}")).json();
    assert_eq!(hits(&search("web.shore", "--probes 9999 --rerank 9999")), hits(&search("base.shore", "--plan scan")));
    let bench = sandbox.run("bench web.shore --queries query.fbin --refine originals --json --quiet").json();
    assert_eq!(bench["runs"][0]["rounds"].as_f64(), Some(3.0));
}

/// Options that make no sense, about which the usage says more than one line.
fn misused(sandbox: &Sandbox, line: &str, word: &str) {
    let ran = sandbox.run(line);
    assert!(ran.code == Some(2) && ran.stderr.contains(word), "{ran:?}");
}

#[test]
fn what_cannot_be_exported_is_refused_and_leaves_nothing_behind() {
    let sandbox = built();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/v1.0/l2-f32-0.shore");
    sandbox.write("empty.shore", &fs::read(golden).unwrap());
    let names = sandbox.names();
    sandbox.run("export base.shore -o base.shore").fails(2, &["base.shore"]);
    sandbox.run("export base.shore -o base.shore --force").fails(2, &["base.shore"]);
    sandbox.run("export empty.shore -o web.shore").fails(2, &["empty.shore", "no rows to lay out in tiles"]);
    misused(&sandbox, "export base.shore -o web.shore --tile-rows 7", "8..=4096");
    misused(&sandbox, "export base.shore -o web.shore --for paper", "web");
    for option in ["--max-bytes 1MiB", "--split 64KiB", "--tile-rows 16", "--recall 0.9", "--seed 1"] {
        let wanted = format!("{} is for files for the web: --for web would be right", option.split(' ').next().unwrap());
        sandbox.run(&format!("export base.shore -o disk.shore --for disk {option}")).fails(2, &[&wanted]);
    }
    for option in ["--codes u4", "--page 4KiB"] {
        let wanted = format!("{} is for files for a disk: --for disk would be right", option.split(' ').next().unwrap());
        sandbox.run(&format!("export base.shore -o web.shore {option}")).fails(2, &[&wanted]);
    }
    sandbox.run("export base.shore -o disk.shore --for disk --codes none").fails(2, &["--codes none", "u4 would be right"]);
    sandbox.run("export missing.shore -o web.shore").fails(4, &["missing.shore"]);
    assert_eq!(sandbox.names(), names);
    sandbox.run("export base.shore -o dropped.shore --originals drop --quiet").ok();
    for purpose in ["web", "disk"] {
        let asked = format!("export dropped.shore -o kept.shore --for {purpose} --originals keep");
        sandbox.run(&asked).fails(3, &["dropped.shore", "no originals to keep"]);
    }
    assert!(!sandbox.names().contains(&"kept.shore".into()));
    sandbox.write("web.shore", b"here already");
    sandbox.run("export base.shore -o web.shore").fails(2, &["web.shore", "exists already; --force replaces it"]);
    assert_eq!(fs::read(sandbox.path("web.shore")).unwrap(), b"here already");
    sandbox.run("export base.shore -o web.shore --force --quiet").ok();
    sandbox.run("verify web.shore").ok();
    let mut damaged = fs::read(sandbox.path("base.shore")).unwrap();
    let records = {
        let index = Index::open(sandbox.path("base.shore")).unwrap();
        index.reader().section(Kind::Records, 0).unwrap().place(3).unwrap()
    };
    damaged[records] ^= 1;
    sandbox.write("damaged.shore", &damaged);
    sandbox.run("export damaged.shore -o bad.shore").fails(5, &["damaged.shore", "section records, block 0", "checksum mismatch"]);
    assert!(!sandbox.path("bad.shore").exists());
}

#[test]
fn searches_that_a_file_is_not_made_for_say_which_one_is() {
    let sandbox = built();
    sandbox.run("export base.shore -o web.shore --quiet").ok();
    let search = |file: &str, more: &str| sandbox.run(&format!("search {file} --queries query.fbin {more}"));
    search("base.shore", "--plan tiles").fails(2, &["base.shore: the index has no tiles", "nearshore export --for web"]);
    search("web.shore", "--plan walk").fails(2, &["web.shore: the index has no graph: choose the plan scan"]);
    search("web.shore", "--refine originals").fails(2, &["was built without originals: refine by records"]);
    search("web.shore", "--probes 0").fails(2, &["--probes must be at least 1"]);
    misused(&sandbox, "search web.shore --queries query.fbin --probes many", "--probes");
    search("web.shore", "--plan scan --probes 3").fails(2, &["--probes is for searches of tiles: --plan tiles in place of --plan scan"]);
    for line in ["search base.shore", "search base.shore --driver pread", "bench base.shore", "bench base.shore --driver pread"] {
        let words = ["--probes is for searches of tiles, and base.shore has none", "nearshore export --for web"];
        sandbox.run(&format!("{line} --queries query.fbin --probes 3")).fails(2, &words);
    }
    // A refusal alone: what such a search would wait for is not to the point.
    let refused = search("web.shore", "--plan walk --driver pread");
    assert_eq!(refused.stderr.lines().count(), 1, "{refused:?}");
    refused.fails(2, &["web.shore: the index has no graph: choose the plan scan"]);
    sandbox
        .run("serve web.shore --listen 127.0.0.1:0")
        .fails(2, &["web.shore: the file has no graph, so rows cannot be inserted", "--read-only"]);
    let concurrent = sandbox.run("bench concurrent web.shore --queries query.fbin");
    concurrent.fails(2, &["web.shore: the index has no graph", "an index that nearshore build made"]);
    sandbox.run("tune web.shore --queries query.fbin").fails(2, &["web.shore: the index has no graph, and tune measures walks"]);
    assert_eq!(sandbox.run("search web.shore --queries query.fbin --layout fast").code, Some(3));
}

#[test]
fn a_ceiling_leaves_out_originals_then_copies_and_then_refuses() {
    let sandbox = built();
    let export = |more: &str| {
        let line = format!("export base.shore -o web.shore --force --originals keep --tile-rows 16 --json --quiet {more}");
        sandbox.run(line.trim_end())
    };
    let bytes = |said: &Value| said["file_bytes"].as_u64().unwrap();
    let kept = |said: &Value| (said["originals"].as_bool().unwrap(), said["copies"].as_bool().unwrap());
    let all = export("").json();
    assert_eq!(kept(&all), (true, true));
    let dropped = export(&format!("--max-bytes {}", bytes(&all) - 1)).json();
    assert_eq!(kept(&dropped), (false, true));
    let lean = export(&format!("--max-bytes {}", bytes(&dropped) - 1)).json();
    assert_eq!(kept(&lean), (false, false));
    assert!(bytes(&lean) < bytes(&dropped) && bytes(&dropped) < bytes(&all));
    sandbox.run("verify web.shore").ok();
    let search = |file: &str| sandbox.run(&format!("search {file} --queries query.fbin --refine records --plan scan --json")).json();
    assert_eq!(hits(&search("web.shore")), hits(&search("base.shore")));
    let before = fs::read(sandbox.path("web.shore")).unwrap();
    export("--max-bytes 100KiB")
        .fails(2, &["--max-bytes: the file would have ", "bytes without originals and copies of rows, more than 102400"]);
    assert_eq!(fs::read(sandbox.path("web.shore")).unwrap(), before);
}

#[test]
fn a_file_in_parts_is_the_file_and_is_verified_part_by_part() {
    let sandbox = built();
    sandbox.run("export base.shore -o web.shore --tile-rows 16 --quiet").ok();
    let text = sandbox.run("export base.shore -o parts.shore.json --tile-rows 16 --split 64KiB").ok().stdout;
    assert!(text.contains(" parts of 64.00 KiB beside it"), "{text}");
    let list: Value = serde_json::from_slice(&fs::read(sandbox.path("parts.shore.json")).unwrap()).unwrap();
    let names: Vec<&str> = list["parts"].as_array().unwrap().iter().map(|part| part["name"].as_str().unwrap()).collect();
    let joined: Vec<u8> = names.iter().flat_map(|name| fs::read(sandbox.path(name)).unwrap()).collect();
    assert_eq!(joined, fs::read(sandbox.path("web.shore")).unwrap());
    let whole = format!("parts.shore.json: whole ({} parts, ", names.len());
    assert!(sandbox.run("verify parts.shore.json").ok().stdout.starts_with(&whole));
    let info = sandbox.run("info parts.shore.json").ok().stdout;
    assert!(info.contains("the list of a file of ") && info.contains(" parts of 64.00 KiB"), "{info}");
    assert_eq!(sandbox.run("info parts.shore.json --json").json()["parts"].as_u64(), Some(names.len() as u64));
    // What wants a file says what this is, and which one to open.
    let words = ["parts.shore.json: the list of a file in parts", "npm package", "`nearshore export` writes without --split"];
    for line in [
        "search parts.shore.json --queries query.fbin",
        "bench parts.shore.json --queries query.fbin",
        "export parts.shore.json -o x.shore",
    ] {
        sandbox.run(line).fails(2, &words);
    }
    // Of other parts those before stay, and it is said.
    let text = sandbox.run("export base.shore -o other.shore.json --tile-rows 16 --split 64KiB").ok().stdout;
    assert!(!text.contains("lie there still"), "{text}");
    let text = sandbox.run("export base.shore -o other.shore.json --tile-rows 16 --split 96KiB --force --recall 0.9").ok().stdout;
    assert!(text.contains("parts that the list named before lie there still") && text.contains("for recall 0.9: "), "{text}");
    // Made again nothing changes; only the list has to be replaced.
    sandbox.run("export base.shore -o parts.shore.json --split 64KiB").fails(2, &["parts.shore.json", "exists already"]);
    sandbox.run("export base.shore -o parts.shore.json --tile-rows 16 --split 64KiB --force --quiet").ok();
    sandbox.run("verify parts.shore.json --quiet").ok();
    let mut damaged = fs::read(sandbox.path(names[1])).unwrap();
    damaged[77] ^= 4;
    sandbox.write(names[1], &damaged);
    sandbox.run("verify parts.shore.json").fails(5, &[names[1], "part 2 is damaged"]);
    fs::remove_file(sandbox.path(names[1])).unwrap();
    let said = sandbox.run("verify parts.shore.json --json");
    assert!(said.code == Some(5) && said.stdout.contains("part 2 cannot be read"), "{said:?}");
    sandbox.write("other.json", b"{\"format\":\"else\"}");
    sandbox.run("verify other.json").fails(5, &["other.json", "no list of parts"]);
    misused(&sandbox, "export base.shore -o p.shore --split 64KiB", "ends in .json");
    misused(&sandbox, "export base.shore -o p.json --split 1KiB", "at least 64.00 KiB");
    misused(&sandbox, "export base.shore -o p.json --for disk --split 1MiB", "--for web");
}
