//! Columns in, filters on: the commands from a file of rows to a measured answer.

use crate::support::{Sandbox, fbin, jsonl, numbers};
use serde_json::Value;

/// More than are scanned without asking.
const ROWS: usize = 3000;
const DIMENSIONS: usize = 8;

/// A folder with `base.jsonl`, `query.fbin` and `base.shore`, whose rows have a price, perhaps a brand, and are sold or not.
fn built() -> Sandbox {
    let sandbox = Sandbox::new();
    let fields = |row: usize| {
        let brand = if row.is_multiple_of(10) { "null".to_owned() } else { format!("\"{}\"", ["ash", "oak", "elm"][row % 3]) };
        format!(", \"price\": {}, \"brand\": {brand}, \"sold\": {}, \"title\": \"row {row}\"", row % 100, row.is_multiple_of(7))
    };
    sandbox.write("base.jsonl", &jsonl(DIMENSIONS, &numbers(ROWS * DIMENSIONS, 1), fields));
    sandbox.write("query.fbin", &fbin(DIMENSIONS, &numbers(40 * DIMENSIONS, 2)));
    let build = "build base.jsonl -o base.shore --ef-construction 40 --quiet --payload title --columns price,brand,sold";
    sandbox.run(build).ok();
    sandbox
}

fn search(sandbox: &Sandbox, filter: &str, more: &str) -> Value {
    let mut args = vec!["search", "base.shore", "--queries", "query.fbin", "--json", "--filter", filter];
    args.extend(more.split_whitespace());
    sandbox.run_args(&args).json()
}

fn ids(value: &Value, query: usize) -> Vec<u64> {
    value["results"][query]["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_u64().unwrap()).collect()
}

/// A condition, and whether it holds for a row.
type Condition = (&'static str, fn(u64) -> bool);

#[test]
fn a_filter_that_no_row_matches_is_said_where_nothing_is_printed() {
    let sandbox = built();
    let search = |more: &[&str]| {
        let args = ["search", "base.shore", "--queries", "query.fbin", "--filter", "price > 1000"];
        sandbox.run_args(&[&args[..], more].concat()).ok().stderr
    };
    assert_eq!(search(&[]), "--filter: no row matches it\n");
    assert_eq!((search(&["--quiet"]), search(&["--json"])), (String::new(), String::new()));
}

#[test]
fn hits_meet_the_filter_and_are_as_many_as_there_are() {
    let sandbox = built();
    let matches: [Condition; 5] = [
        ("price < 2", |row| row % 100 < 2),
        ("price = 40 and sold", |row| row % 100 == 40 && row % 7 == 0),
        ("brand in (\"oak\", 'elm') and not sold", |row| row % 10 != 0 && row % 3 != 0 && row % 7 != 0),
        ("brand is null or price between 90 and 95.5", |row| row % 10 == 0 || (90..=95).contains(&(row % 100))),
        ("price > 1000", |_| false),
    ];
    for (filter, passes) in matches {
        let matching = (0..ROWS as u64).filter(|&row| passes(row)).count();
        for more in ["--k 10", "--k 10 --plan scan", "--k 10 --plan walk --ef 60", "--k 100"] {
            let found = search(&sandbox, filter, more);
            assert_eq!(found["matching"].as_u64(), Some(matching as u64), "{filter}");
            for query in 0..40 {
                let ids = ids(&found, query);
                let wanted = if more.contains("100") { 100 } else { 10 };
                assert_eq!(ids.len(), matching.min(wanted), "{filter}, {more}");
                assert!(ids.iter().all(|&id| passes(id)), "{filter}, {more}");
            }
        }
    }
}

#[test]
fn truth_and_bench_measure_among_the_same_rows() {
    let sandbox = built();
    for (filter, floor) in [("price < 3", 1.0), ("price < 60 and not sold", 0.9)] {
        sandbox
            .run_args(&["truth", "base.jsonl", "--queries", "query.fbin", "--k", "10", "--filter", filter, "-o", "t.ibin", "--force"])
            .ok();
        let bench = ["bench", "base.shore", "--queries", "query.fbin", "--truth", "t.ibin", "--ef", "100", "--filter", filter];
        let measured = sandbox.run_args(&[&bench[..], &["--json"]].concat()).json();
        let recall = measured["runs"][0]["recall"].as_f64().unwrap();
        assert!(recall >= floor && measured["filter"]["matching"].as_u64().unwrap() > 0, "{filter}: {measured}");
        let scan = sandbox.run_args(&[&bench[..], &["--json", "--plan", "scan"]].concat()).json();
        assert_eq!(scan["runs"][0]["recall"], 1.0);
        assert!(sandbox.run_args(&bench).ok().stdout.contains("rows match the filter"));
    }
}

#[test]
fn info_lists_columns_and_verify_reads_them() {
    let sandbox = built();
    let info = sandbox.run("info base.shore --json").json();
    let columns = serde_json::json!([
        { "name": "price", "type": "i64", "nulls": 0, "min": 0, "max": 99, "distinct": null },
        { "name": "brand", "type": "string", "nulls": ROWS / 10, "min": null, "max": null, "distinct": 3 },
        { "name": "sold", "type": "bool", "nulls": 0, "min": false, "max": true, "distinct": null },
    ]);
    assert_eq!(info["columns"], columns);
    let text = sandbox.run("info base.shore").ok().stdout;
    assert!(
        text.contains("column \"price\": i64 from 0 to 99") && text.contains("column \"brand\": string, 3 different, none in 300 rows")
    );
    sandbox.run("verify base.shore").ok();
    let all = sandbox.run("build base.jsonl -o all.shore --ef-construction 40 --columns all --json").json();
    let names: Vec<&str> = all["columns"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap()).collect();
    // In the order of their first values; row 0 has no brand.
    assert_eq!(names, ["price", "sold", "title", "brand"]);
}

#[test]
fn the_same_columns_give_the_same_bytes_and_others_give_others() {
    let sandbox = built();
    let build = "build base.jsonl -o again.shore --ef-construction 40 --quiet --payload title --force";
    let bytes = |options: &str| {
        sandbox.run(&format!("{build} {options}")).ok();
        std::fs::read(sandbox.path("again.shore")).unwrap()
    };
    let first = std::fs::read(sandbox.path("base.shore")).unwrap();
    assert!(bytes("--columns price,brand,sold --threads 1") == first);
    let [plain, fewer] = ["--threads 2", "--columns price,brand"].map(bytes);
    assert!(plain.len() < fewer.len() && fewer.len() < first.len());
    // The build id.
    assert!(plain[80..88] != fewer[80..88] && fewer[80..88] != first[80..88]);
}

#[test]
fn mistakes_name_the_place() {
    let sandbox = built();
    let fails = |filter: &str, words: &[&str]| {
        sandbox.run_args(&["search", "base.shore", "--queries", "query.fbin", "--filter", filter]).fails(2, words);
    };
    fails("price <", &["--filter: at character 8: the end; a value would be right"]);
    fails("prise < 3", &["--filter: at character 1: no column prise; there are: price, brand, sold"]);
    fails("sold and brand = 3", &["at character 10: column brand is string: \"text\" in quotes would be right, not 3"]);
    let truth = ["truth", "base.jsonl", "--queries", "query.fbin", "-o", "t.ibin", "--filter"];
    sandbox.run_args(&[&truth[..], &["price > 1000"]].concat()).fails(3, &["no row meets the filter"]);
    sandbox.run_args(&[&truth[..], &["nothing = 1"]].concat()).fails(3, &["field nothing: no row has a value in this field"]);
    sandbox.write("base.fbin", &fbin(DIMENSIONS, &numbers(40 * DIMENSIONS, 1)));
    sandbox.run("build base.fbin -o x.shore --columns a").fails(3, &["--columns: ", "a .fbin file has no columns"]);
    sandbox
        .run_args(&["truth", "base.fbin", "--queries", "base.fbin", "-o", "x.ibin", "--filter", "a < 3"])
        .fails(3, &["--filter: ", "a .fbin file has no columns; .parquet or .jsonl would be right"]);
    sandbox.write("few.jsonl", b"{\"vector\": [1, 2], \"price\": 3, \"brand\": \"x\"}\n");
    let listed = ["few.jsonl: field prise: no row has a value", "row 0 has: ", "brand", "price"];
    sandbox
        .run_args(&["truth", "few.jsonl", "--queries", "few.jsonl", "-o", "x.ibin", "--filter", "prise < 3"])
        .fails(3, &[&["--filter: "][..], &listed].concat());
    sandbox.run("build few.jsonl -o x.shore --columns prise").fails(3, &[&["--columns: "][..], &listed].concat());
    sandbox.run_args(&["build", "few.jsonl", "-o", "few.shore", "--columns", "price, brand"]).ok();
    sandbox.write("bad.jsonl", b"{\"vector\": [1], \"n\": 1}\n{\"vector\": [2], \"n\": \"x\"}\n");
    let words = ["bad.jsonl: row 1 (line 2), field n: a value of type string; i64 as in row 0 would be right"];
    sandbox.run("build bad.jsonl -o x.shore --columns n").fails(3, &words);
}

#[test]
fn tiles_are_filtered_by_every_driver_alike() {
    let sandbox = built();
    sandbox.run("export base.shore -o web.shore --tile-rows 16 --quiet").ok();
    let search = |filter: &str, more: &str| {
        let mut args = vec!["search", "web.shore", "--queries", "query.fbin", "--json", "--filter", filter];
        args.extend(more.split_whitespace());
        sandbox.run_args(&args)
    };
    for (filter, matching) in [("price < 60 and not sold", 1543), ("price = 3", 30), ("price > 1000", 0)] {
        let exact = search(filter, "--plan scan").json();
        let wanted = search(filter, "").json();
        assert_eq!(wanted["matching"].as_u64(), Some(matching), "{filter}");
        let (mut right, mut all) = (0, 0);
        for query in 0..40 {
            let (found, truth) = (ids(&wanted, query), ids(&exact, query));
            assert_eq!(found.len(), truth.len(), "{filter}: as many as there are");
            right += found.iter().filter(|id| truth.contains(id)).count();
            all += truth.len();
        }
        assert!(right as f64 >= 0.9 * all as f64, "{filter}: {right} of {all}");
        for driver in ["pread", "uring", "slice"] {
            assert_eq!(search(filter, &format!("--driver {driver}")).json(), wanted, "{filter}: {driver}");
        }
    }
    let bench = "bench web.shore --queries query.fbin --driver pread --json --quiet --filter";
    let mut args: Vec<&str> = bench.split_whitespace().collect();
    args.push("price < 60");
    let said = sandbox.run_args(&args).json();
    assert_eq!(said["filter"]["matching"].as_u64(), Some(1800));
    assert!(said["runs"][0]["rounds"].as_f64().is_some_and(|rounds| rounds <= 2.0), "{said}");
    let walk = ["search", "base.shore", "--queries", "query.fbin", "--driver", "pread", "--filter", "price < 60"];
    // A file for memory is walked as a whole; one for a disk by what is resident.
    sandbox.run_args(&walk).ok();
    sandbox.run("export base.shore -o disk.shore --for disk --quiet").ok();
    let walk = |more: &[&str]| {
        let line = ["search", "disk.shore", "--queries", "query.fbin", "--json", "--plan", "walk", "--filter", "price < 60"];
        sandbox.run_args(&[&line, more].concat())
    };
    let mapped = walk(&["--driver", "mmap"]).json();
    assert_eq!((walk(&["--driver", "pread"]).json(), walk(&["--driver", "uring"]).json()), (mapped.clone(), mapped));
    let front = sandbox.run("info disk.shore --json").json();
    let section = |name: &str| {
        let sections = front["sections"].as_array().unwrap();
        sections.iter().find(|section| section["kind"] == name).map(|section| section["offset_bytes"].to_string()).unwrap()
    };
    walk(&["--driver", "pread", "--memory", &section("edges")]).fails(2, &["--filter: walks among rows go by codes and graph in memory"]);
    walk(&["--driver", "pread", "--memory", &section("records")]).ok();
}
