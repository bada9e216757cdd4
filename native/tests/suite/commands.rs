//! Every command of the real binary, when all is well.

use std::io::Read;
use std::process::Stdio;

use crate::support::{Sandbox, fbin, jsonl, keys, numbers};
use serde_json::Value;

/// More than are scanned without asking.
const ROWS: usize = 2100;
const DIMENSIONS: usize = 8;

/// A quick build is as good as a careful one here.
const QUICK: &str = "--ef-construction 40 --quiet --force";

/// A folder with `base.fbin`, `query.fbin`, and `base.shore` built from it.
fn built(options: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("base.fbin", &fbin(DIMENSIONS, &numbers(ROWS * DIMENSIONS, 1)));
    sandbox.write("query.fbin", &fbin(DIMENSIONS, &numbers(50 * DIMENSIONS, 2)));
    sandbox.run(format!("build base.fbin -o base.shore {QUICK} {options}").trim_end()).ok();
    sandbox
}

fn ids(result: &Value) -> Vec<u64> {
    result["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_u64().unwrap()).collect()
}

#[test]
fn what_build_makes_search_bench_info_and_verify_understand() {
    for metric in ["l2", "ip", "cosine"] {
        let sandbox = built(&format!("--metric {metric}"));
        sandbox.run(&format!("truth base.fbin --queries query.fbin --metric {metric} --k 20 -o truth.ibin --quiet")).ok();
        let bench = sandbox.run("bench base.shore --queries query.fbin --truth truth.ibin --ef 10,200 --json").json();
        assert_eq!((bench["rows"].as_u64(), bench["metric"].as_str()), (Some(ROWS as u64), Some(metric)));
        let recall: Vec<f64> = bench["runs"].as_array().unwrap().iter().map(|run| run["recall"].as_f64().unwrap()).collect();
        assert!(recall[0] > 0.5 && recall[1] > 0.97 && recall[1] >= recall[0], "{metric}: {recall:?}");
        let scan = sandbox.run("bench base.shore --queries query.fbin --truth truth.ibin --plan scan --json").json();
        assert_eq!(scan["runs"][0]["recall"], 1.0, "{metric}");
        let info = sandbox.run("info base.shore --json").json();
        assert_eq!((info["metric"].as_str(), info["dimensions"].as_u64()), (Some(metric), Some(DIMENSIONS as u64)));
        let whole = sandbox.run("verify base.shore --json").json();
        assert_eq!((whole["ok"].as_bool(), whole["damaged_blocks"].as_u64()), (Some(true), Some(0)));
        for text in
            ["bench base.shore --queries query.fbin", "info base.shore", "verify base.shore", "search base.shore --queries query.fbin -v"]
        {
            assert!(!sandbox.run(text).ok().stdout.is_empty());
        }
    }
}

#[test]
fn the_keys_of_json_are_stable() {
    let sandbox = built("");
    let build = sandbox.run("build base.fbin -o again.shore --ef-construction 40 --json --quiet").json();
    let wanted = "build_id cpu_seconds backend dimensions duplicates ef_construction element file file_bytes layers m mean_degree mended_edges metric \
                  originals quality rows seed threads wall_seconds";
    assert!(wanted.split_whitespace().all(|key| build.get(key).is_some()), "{build}");
    let quality = &build["quality"][0];
    assert!(["ef", "recall", "distances", "hops", "queries", "k"].iter().all(|key| quality.get(key).is_some()), "{quality}");
    let search = sandbox.run("search base.shore --queries query.fbin --json --k 3").json();
    assert_eq!(keys(&search), ["k", "results"]);
    assert_eq!(keys(&search["results"][0]), ["distances", "ef", "hits", "hops"]);
    assert_eq!(keys(&search["results"][49]["hits"][2]), ["distance", "id"]);
    // As many candidates as hits at least; a scan keeps none.
    let ef = |line: &str| sandbox.run(&format!("search base.shore --queries query.fbin --json {line}")).json()["results"][0]["ef"].clone();
    assert_eq!(ef("--k 80 --ef 20 --plan walk"), 80);
    assert_eq!(ef("--k 8 --ef 20 --plan walk"), 20);
    assert_eq!(ef("--k 8 --plan scan"), 0);
    sandbox.run("truth base.fbin --queries query.fbin -o truth.ibin --quiet").ok();
    let bench = sandbox.run("bench base.shore --queries query.fbin --truth truth.ibin --recall 0.9,0.95 --json --threads 2").json();
    let wanted = "file rows dimensions metric k threads backend driver resident_bytes file_bytes runs";
    assert!(wanted.split_whitespace().all(|key| bench.get(key).is_some()), "{bench}");
    let wanted = "ef recall qps qps_cpu cpu_s queries mean_us p50_us p95_us p99_us distances hops blocks bytes";
    let run = &bench["runs"][1];
    assert!(wanted.split_whitespace().all(|key| run.get(key).is_some_and(|value| value.as_f64().unwrap() > 0.0)), "{run}");
    let touched = |run: &Value| (run["blocks"].as_f64().unwrap(), run["bytes"].as_f64().unwrap());
    let scan = sandbox.run("bench base.shore --queries query.fbin --plan scan --json").json();
    let (walked, scanned) = (touched(run), touched(&scan["runs"][0]));
    assert!(walked.0 >= 2.0 && scanned.1 < bench["file_bytes"].as_f64().unwrap(), "{walked:?} {scanned:?}");
    let originals = (ROWS * DIMENSIONS * 4) as f64;
    assert!(scanned.1 > originals, "a scan reads all originals: {scanned:?}");
    let info = sandbox.run("info base.shore --json").json();
    let wanted = "file file_bytes rows dimensions metric element plan refine seed build_id identity sections options quality";
    assert!(wanted.split_whitespace().all(|key| info.get(key).is_some()), "{info}");
}

#[test]
fn every_format_and_every_way_in_gives_the_same_bytes() {
    let sandbox = built("--threads 1");
    let values = numbers(ROWS * DIMENSIONS, 1);
    let bytes = std::fs::read(sandbox.path("base.shore")).unwrap();
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({ROWS}, {DIMENSIONS}), }}");
    let data = &fbin(DIMENSIONS, &values)[8..];
    sandbox.write("b.npy", &[b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat());
    let fvecs = |row: &[f32]| fbin(1, row)[8..].to_vec();
    let rows = values.chunks(DIMENSIONS).flat_map(|row| [(DIMENSIONS as u32).to_le_bytes().to_vec(), fvecs(row)].concat());
    sandbox.write("b.fvecs", &rows.collect::<Vec<u8>>());
    sandbox.write("b.jsonl", &jsonl(DIMENSIONS, &values, |_| String::new()));
    for (input, line) in [
        (None, "build b.npy -o out.shore"),
        (None, "build b.fvecs -o out.shore --threads 2"),
        (None, "build b.jsonl -o out.shore --threads 7"),
        (Some("base.fbin"), "build - -o out.shore"),
        (Some("b.jsonl"), "build - --format jsonl -o out.shore --tmp ."),
        (Some("base.fbin"), "build /dev/stdin --format fbin -o out.shore"),
    ] {
        let line = &format!("{line} {QUICK}");
        match input {
            Some(input) => sandbox.pipe(&std::fs::read(sandbox.path(input)).unwrap(), line).ok(),
            None => sandbox.run(line).ok(),
        };
        assert!(std::fs::read(sandbox.path("out.shore")).unwrap() == bytes, "{line}");
    }
}

#[test]
fn ids_and_payloads_come_back_with_the_hits() {
    let sandbox = Sandbox::new();
    let big = u64::MAX - 5;
    let fields = |row: usize| format!(", \"id\": {}, \"title\": \"row {row}\"", big - row as u64);
    sandbox.write("rows.jsonl", &jsonl(3, &numbers(60, 3), fields));
    sandbox.run("build rows.jsonl -o rows.shore --payload title --metric cosine").ok();
    let query = format!("{:?}", &numbers(60, 3)[21..24]);
    let found = sandbox.run_args(&["search", "rows.shore", "--vector", &query, "--k", "2", "--json"]).json();
    let hit = &found["results"][0]["hits"][0];
    assert_eq!((hit["id"].as_u64(), hit["payload"].as_str()), (Some(big - 7), Some("row 7")));
    for driver in ["mmap", "slice", "pread"] {
        assert!(
            sandbox.run_args(&["search", "rows.shore", "--vector", &query, "--driver", driver]).ok().stdout.contains("row 7"),
            "{driver}"
        );
    }
    sandbox.write("base.fbin", &fbin(3, &numbers(60, 3)));
    sandbox.write("ids.txt", (0..20).map(|row| format!("{}\n", 1000 - row)).collect::<String>().as_bytes());
    sandbox.run("build base.fbin --ids ids.txt -o ids.shore --quiet").ok();
    let found = sandbox.run_args(&["search", "ids.shore", "--vector", &query, "--k", "1", "--json"]).json();
    assert_eq!(ids(&found["results"][0]), [993]);
    sandbox.write("titles.txt", (0..20).map(|row| format!("row {row}\n")).collect::<String>().as_bytes());
    sandbox.run("build base.fbin --payload titles.txt -o titles.shore --quiet").ok();
    let found = sandbox.run_args(&["search", "titles.shore", "--vector", &query, "--k", "1", "--json"]).json();
    assert_eq!(found["results"][0]["hits"][0]["payload"], "row 7");
    sandbox.run("truth base.fbin --ids ids.txt --queries base.fbin --k 1 -o t.ibin --quiet").ok();
    let bench = sandbox.run("bench ids.shore --queries base.fbin --truth t.ibin --k 1 --json").json();
    assert_eq!(bench["runs"][0]["recall"], 1.0);
}

#[test]
fn drivers_and_threads_change_no_answer() {
    let sandbox = built("--originals drop");
    let search = |options: &str| sandbox.run(&format!("search base.shore --queries query.fbin --ef 40 --json {options}")).json();
    let mapped = search("--driver mmap");
    assert_eq!(search("--driver slice"), mapped);
    assert_eq!(search("--driver auto --threads 2"), mapped);
    assert_ne!(search("--plan scan")["results"][0]["distances"], mapped["results"][0]["distances"]);
    // Those that read blocks, too: as many threads as are asked for.
    for threads in ["", " --threads 3"] {
        assert_eq!(search(&format!("--driver pread{threads}")), mapped, "{threads}");
    }
    let verbose = |plan: &str| sandbox.run(&format!("search base.shore --queries query.fbin -v --plan {plan}")).ok().stdout;
    assert!(verbose("walk").contains(" hops, ef ") && !verbose("scan").contains("ef 0"));
    let near = mapped["results"][0]["hits"][4]["distance"].as_f64().unwrap();
    let radius = search(&format!("--radius {near}"));
    assert_eq!(ids(&radius["results"][0]), ids(&mapped["results"][0])[..5]);
    let bench = sandbox.run("bench base.shore --queries query.fbin --ef 40 --driver slice --threads 2 --json").json();
    assert_eq!((bench["driver"].as_str(), bench["threads"].as_u64()), (Some("slice"), Some(2)));
    assert!(bench["runs"][0].get("recall").is_none());
}

#[test]
fn integers_are_found_exactly() {
    let sandbox = Sandbox::new();
    let bytes: Vec<u8> = numbers(500 * 16, 5).iter().map(|value| (value * 500.0) as i32 as u8).collect();
    let file = [&500u32.to_le_bytes()[..], &16u32.to_le_bytes(), &bytes].concat();
    for name in ["b.u8bin", "b.i8bin"] {
        sandbox.write(name, &file);
        sandbox.run(&format!("build {name} -o b.shore --force --quiet")).ok();
        sandbox.run(&format!("truth {name} --queries {name} --k 10 -o t.ibin --force --quiet")).ok();
        let bench = sandbox.run(&format!("bench b.shore --queries {name} --truth t.ibin --ef 100 --json")).json();
        assert!(bench["runs"][0]["recall"].as_f64().unwrap() > 0.99, "{bench}");
        let found = sandbox.run(&format!("search b.shore --queries {name} --k 1 --json")).json();
        assert!(found["results"].as_array().unwrap().iter().all(|result| result["hits"][0]["distance"] == 0.0));
    }
}

#[test]
fn the_summary_is_printed_unless_quiet() {
    let sandbox = built("");
    let loud = sandbox.run("build base.fbin -o b.shore --ef-construction 40").ok().stdout;
    assert!(loud.contains("2100 rows x 8 dimensions, l2") && loud.contains("recall@10 against brute force on"), "{loud}");
    // Of the quality table what people ask for, and the best; all of it where asked.
    let lines = |text: &str| {
        let table = text.lines().skip_while(|line| !line.contains(" distances "));
        table.skip(1).map(|line| line.split_whitespace().nth(3).unwrap().parse().unwrap()).collect::<Vec<f64>>()
    };
    let (short, whole) = (lines(&loud), lines(&sandbox.run("info b.shore -v").ok().stdout));
    assert!((1..=4).contains(&short.len()) && whole.len() > 10, "{loud}");
    assert!(short.iter().all(|recall| *recall >= 0.9 && whole.contains(recall)), "{loud}");
    assert_eq!(short.last(), whole.iter().max_by(|a, b| a.total_cmp(b)));
    assert_eq!(lines(&sandbox.run("info b.shore").ok().stdout), short);
    let quiet = sandbox.run("build base.fbin -o c.shore --ef-construction 40 --quiet").ok();
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
}

#[test]
fn codes_that_do_not_tell_rows_apart_are_said_to() {
    let sandbox = Sandbox::new();
    // Half of the rows so far away that under cosine they share a direction, but for what four bits do not see.
    let mut rows = numbers(4000 * 8, 3);
    rows[2000 * 8..].iter_mut().for_each(|value| *value += 500.0);
    sandbox.write("far.fbin", &fbin(8, &rows));
    let said = sandbox.run("build far.fbin -o far.shore --metric cosine --codes u4").ok().stdout;
    assert!(said.contains("walks by u4 codes end at 0.") && said.contains("--codes none walks by the records"), "{said}");
    let silent = sandbox.run("build far.fbin -o far.shore --metric l2 --force").ok().stdout;
    assert!(!silent.contains("walks by"), "{silent}");
}

#[test]
fn help_has_examples_and_completions_know_every_command() {
    let sandbox = Sandbox::new();
    for command in ["build", "set", "search", "bench", "truth", "tune", "serve", "completions"] {
        assert!(sandbox.run(&format!("{command} --help")).ok().stdout.contains("Example"), "{command}");
    }
    assert!(sandbox.run("--help").ok().stdout.contains("Exit codes"));
    assert!(sandbox.run("--version").ok().stdout.starts_with("nearshore "));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = sandbox.run(&format!("completions {shell}")).ok().stdout;
        let commands = ["build", "set", "search", "bench", "truth", "tune", "info", "verify", "serve"];
        assert!(commands.iter().all(|command| script.contains(command)), "{shell}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let sandbox = built("");
    let mut child =
        sandbox.command("search base.shore --queries base.fbin --k 50 --json".split(' ')).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 16];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    use std::os::unix::process::ExitStatusExt;
    assert!(output.status.signal() == Some(13) || output.status.code() == Some(141), "{:?}", output.status);
}
