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
fn what_a_file_has_other_than_was_asked_is_said() {
    let sandbox = Sandbox::new();
    sandbox.write("base.fbin", &fbin(32, &numbers(2500 * 32, 1)));
    let options = "--m 6 --ef-construction 40 --originals drop";
    let said = "--codes pq128: rows of 32 dimensions have no more parts than that, so it is pq32\n";
    let built = sandbox.run(&format!("build base.fbin -o pq.shore {options} --codes pq128 --json")).ok();
    assert!(built.stderr.contains(said), "{built:?}");
    assert!(built.stdout.contains("\"codes\":\"pq32\""), "{built:?}");
    assert_eq!(sandbox.run("info pq.shore --json").json()["codes"]["encoding"], "pq32");
    assert!(sandbox.run("info pq.shore").ok().stdout.contains("walks are guided by pq32, "));
    assert!(!sandbox.run(&format!("build base.fbin -o pq.shore {options} --codes pq32 --force --json")).ok().stderr.contains("--codes"));
    // Codes of another kind than what was measured.
    sandbox.run(&format!("build base.fbin -o base.shore {options} --quiet")).ok();
    let exported = sandbox.run("export base.shore -o disk.shore --for disk --codes pq64").ok();
    assert!(exported.stderr.contains(&said.replace("pq128", "pq64")), "{exported:?}");
    assert!(exported.stdout.contains("no recall was measured") && exported.stdout.contains("nearshore tune disk.shore "), "{exported:?}");
    sandbox.run("tune disk.shore --queries base.fbin -o tuned.shore --quiet").ok();
    let exported = sandbox.run("export tuned.shore -o again.shore --for disk").ok();
    assert!(!exported.stdout.contains("no recall was measured") && !exported.stderr.contains("--codes"), "{exported:?}");
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

#[test]
fn bounds_of_memory_hold_or_are_refused_and_efforts_are_told_as_they_are() {
    let sandbox = Sandbox::new();
    sandbox.write("base.fbin", &fbin(20, &numbers(2500 * 20, 1)));
    sandbox.write("query.fbin", &fbin(20, &numbers(20 * 20, 2)));
    sandbox.run("build base.fbin -o disk.shore --tier disk --m 6 --ef-construction 40 --quiet").ok();
    let bench = |more: &str| sandbox.run(&format!("bench disk.shore --queries query.fbin {more}"));
    for option in ["--memory 1MiB", "--in-flight 4", "--read-ahead 2"] {
        bench(option).fails(2, &[option.split(' ').next().unwrap(), "--driver pread or --driver uring would be right"]);
    }
    sandbox.run("search disk.shore --queries query.fbin --memory 1MiB").fails(2, &["--memory", "--driver pread"]);
    bench("--driver pread --memory 100").fails(2, &["--memory", "bytes) at least"]);
    let text = bench("--driver pread --memory 1MiB --ef 20").ok().stdout;
    assert!(text.contains("one round of records, and one of originals: 2 rounds, about 30 blocks, at most 40; pread"), "{text}");
    assert!(text.contains("ef/gamma") && ["rounds", "blocks", "cached", "reads"].iter().all(|word| text.contains(word)), "{text}");
    // Whatever the driver: what was measured, so that it can be asked for again.
    for driver in ["slice", "pread"] {
        let run = bench(&format!("--driver {driver} --plan scan --json")).json()["runs"][0].clone();
        assert!(run.get("ef").is_none() && run["hops"] == 0.0, "{run}");
        let run = bench(&format!("--driver {driver} --recall 0.95 --json")).json()["runs"][0].clone();
        assert!(run["ef"].as_u64().unwrap() >= 10 && run["gamma"].as_f64().unwrap() >= 0.0 && run["asked_recall"] == 0.95, "{run}");
    }
}

#[test]
fn what_is_waited_for_is_said_before_and_counted_after() {
    let sandbox = Sandbox::new();
    sandbox.write("base.fbin", &fbin(20, &numbers(2500 * 20, 1)));
    sandbox.write("query.fbin", &fbin(20, &numbers(60 * 20, 2)));
    sandbox.run("build base.fbin -o disk.shore --tier disk --m 6 --ef-construction 40 --originals drop --quiet").ok();
    let header = *Index::open(sandbox.path("disk.shore")).unwrap().reader().header().table(Kind::Edges, 0).unwrap();
    let records = Index::open(sandbox.path("disk.shore")).unwrap().reader().header().table(Kind::Records, 0).unwrap().blocks();
    for driver in ["pread", "uring"] {
        // The open says it in one line, to whoever looks.
        let run = |line: String| sandbox.run_args(&line.split_whitespace().collect::<Vec<_>>());
        let search = |more: &str| run(format!("search disk.shore --queries query.fbin --driver {driver} --ef 30 {more}")).ok();
        let whole = search("").stderr;
        let words = ["disk.shore: codes and graph (", " KiB) in memory", "one round of records: 1 round, about 20 blocks, at most 30; "];
        assert!(words.iter().all(|word| whole.contains(word)) && whole.lines().count() == 1, "{whole}");
        assert!(search("--k 50").stderr.contains(": 1 round, at most 50 blocks; "));
        assert_eq!(search("--quiet").stderr, "");
        assert!(search("--rerank 25").stderr.contains(": 1 round, at most 25 blocks; "));
        // A scan, too, reads through the driver.
        let scan = search("--plan scan").stderr;
        assert!(scan.contains(&format!("a round of records for every 4096 rows: 1 round, at most {records} blocks; ")), "{scan}");
        // It has no effort.
        let table = run(format!("bench disk.shore --queries query.fbin --driver {driver} --plan scan")).ok().stdout;
        assert!(table.lines().last().is_some_and(|row| row.trim_start().starts_with("- ")), "{table}");
        let part = search(&format!("--memory {}", header.offset)).stderr;
        let said = |word: &str| -> f64 {
            let (before, _) = part.rsplit_once(word).unwrap();
            before.rsplit(' ').next().unwrap().parse().unwrap()
        };
        assert!(part.contains("codes (") && part.contains(": about "), "{part}");
        // And bench counts it: reads are what the system was asked for, not what the cache had.
        let bench = |more: &str| {
            let line = format!("bench disk.shore --queries query.fbin --driver {driver} --ef 30 {more} --json");
            run(line).json()["runs"][0].clone()
        };
        let of = |run: &serde_json::Value, key: &str| run[key].as_f64().unwrap_or_else(|| panic!("{key}: {run}"));
        let run = bench("");
        assert!(of(&run, "rounds") == 1.0 && of(&run, "cache_hits") == 0.0, "{run}");
        assert!(of(&run, "reads") > 0.0 && of(&run, "reads") <= of(&run, "blocks") && of(&run, "blocks") <= 20.0, "{run}");
        let run = bench("--plan scan");
        assert!(run.get("ef").is_none() && run.get("gamma").is_none(), "{run}");
        assert!(of(&run, "rounds") == 1.0 && of(&run, "blocks") == records as f64 && of(&run, "reads") > 0.0, "{run}");
        // In a file of thirty pages those of several searches touch, so that one read serves them.
        // The warm-up brought all that these queries want.
        let run = bench("--memory 100MiB");
        assert!(of(&run, "reads") == 0.0 && of(&run, "cache_hits") == of(&run, "blocks") && of(&run, "blocks") > 1.0, "{run}");
        let run = bench(&format!("--memory {}", header.offset));
        for (word, key) in [(" rounds,", "rounds"), (" blocks;", "blocks")] {
            let (said, counted) = (said(word), of(&run, key));
            assert!(said > counted / 2.0 && said < counted * 2.0, "{key}: {said} said, {counted} counted");
        }
    }
}
