//! Every way in which a command may fail: the exit code, one line that says what would be right, and nothing left.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{Ran, Sandbox, SmallDisk, fbin, jsonl, names, numbers};
use rustix::process::{Pid, Signal, kill_process};

#[test]
fn help_names_the_exit_codes_that_there_are() {
    let help = Sandbox::new().run("--help").ok();
    let (_, list) = help.stdout.split_once("Exit codes: ").expect("exit codes");
    let codes: Vec<&str> = list.split(',').filter_map(|part| part.split_whitespace().next()).collect();
    // Each is met by a test of this file, 141 by one of `commands`; 1, which says everything and nothing, by none.
    assert_eq!(codes, ["0", "2", "3", "4", "5", "129", "130", "141", "143"]);
}

#[test]
fn a_command_that_makes_no_sense_is_usage() {
    let sandbox = Sandbox::new();
    sandbox.write("b.fbin", &fbin(2, &numbers(40, 1)));
    sandbox.run("build b.fbin -o b.shore --quiet").ok();
    for line in [
        "",
        "biuld",
        "build b.fbin",
        "build b.fbin -o x --metric euclid",
        "search b.shore",
        "search b.shore --vector [1,2] --ef 1 --recall 0.9",
    ] {
        assert_eq!(sandbox.run_args(&line.split_whitespace().collect::<Vec<_>>()).code, Some(2), "{line}");
    }
    for alone in ["--partitions 4", "--partition plan", "--restart"] {
        let ran = sandbox.run(&format!("build b.fbin -o x.shore {alone}"));
        assert!(ran.code == Some(2) && ran.stderr.contains("were not provided:\n  --memory <BYTES>"), "{alone}: {ran:?}");
    }
    for line in ["bench b.shore --queries b.fbin --ef 10,x", "search b.shore --vector [1,2] --ef x"] {
        sandbox.run(line).fails_in_usage("invalid value 'x' for '--ef <N");
        sandbox.run(line).fails_in_usage("a whole number, such as 40, would be right");
    }
    sandbox.run("search b.shore --vector [1,2] --ef 0").fails(2, &["ef must be at least 1"]);
    sandbox.run("search b.shore --vector [1,2] --recall 1.5").fails(2, &["recall must be above 0"]);
    sandbox.run("search b.shore --vector [1,x]").fails(2, &["--vector", "a list such as"]);
    sandbox.run("search b.shore --vector [1,2,3]").fails(3, &["3 dimensions; 2 as in b.shore would be right"]);
}

#[test]
fn a_folder_in_place_of_an_index_is_said_with_what_would_be_right() {
    let sandbox = Sandbox::new();
    sandbox.write("b.fbin", &fbin(2, &numbers(40, 1)));
    for folder in ["empty", "data", "b.shore.build"] {
        std::fs::create_dir(sandbox.path(folder)).unwrap();
    }
    sandbox.run("build b.fbin -o data/collection.shore --quiet").ok();
    sandbox.write("b.shore.build/lock", b"nearshore build\n");
    let queries = " --queries b.fbin";
    for (command, more) in
        [("verify", ""), ("info", ""), ("search", queries), ("bench", queries), ("search", " --queries b.fbin --driver pread")]
    {
        for (folder, right) in
            [("empty", "the name of a .shore file"), ("data", "data/collection.shore"), ("b.shore.build", "a build of b.shore")]
        {
            sandbox.run(&format!("{command} {folder}{more}")).fails(2, &[&format!("{folder}: is a folder; "), right]);
        }
    }
}

#[test]
fn an_output_that_exists_is_kept_without_force() {
    let sandbox = Sandbox::new();
    sandbox.write("b.fbin", &fbin(2, &numbers(40, 1)));
    sandbox.write("b.shore", b"precious");
    sandbox.run("build b.fbin -o b.shore").fails(2, &["b.shore", "exists already; --force replaces it"]);
    sandbox.write("b.ibin", b"precious");
    sandbox.run("truth b.fbin --queries b.fbin -o b.ibin").fails(2, &["--force"]);
    assert_eq!(std::fs::read(sandbox.path("b.ibin")).unwrap(), b"precious");
    assert_eq!(std::fs::read(sandbox.path("b.shore")).unwrap(), b"precious");
    // A build that fails leaves it, too.
    sandbox.write("bad.fbin", &fbin(2, &[1.0, f32::NAN]));
    assert_eq!(sandbox.run("build bad.fbin -o b.shore --force").code, Some(3));
    assert_eq!(std::fs::read(sandbox.path("b.shore")).unwrap(), b"precious");
    sandbox.run("build b.fbin -o b.shore --force --quiet").ok();
    sandbox.run("verify b.shore").ok();
    assert_eq!(sandbox.names(), ["b.fbin", "b.ibin", "b.shore", "bad.fbin"]);
    sandbox.run("build b.fbin -o . --force").fails(2, &["is a folder"]);
}

#[test]
fn what_a_command_reads_it_never_replaces() {
    let sandbox = Sandbox::new();
    let rows = fbin(2, &numbers(40, 1));
    for name in ["b.fbin", "q.ibin"] {
        sandbox.write(name, &rows);
    }
    sandbox.write("ids.txt", (0..20).map(|id| format!("{id}\n")).collect::<String>().as_bytes());
    std::os::unix::fs::symlink("b.fbin", sandbox.path("link.fbin")).unwrap();
    for (line, named) in [
        ("build b.fbin -o b.fbin --force", "b.fbin"),
        ("build b.fbin -o link.fbin --force", "link.fbin"),
        ("build b.fbin --ids ids.txt -o ids.txt --force", "ids.txt"),
        ("truth b.fbin --queries q.ibin --format fbin -o q.ibin --force", "q.ibin"),
    ] {
        sandbox.run(line).fails(2, &[named, "is read by this command"]);
    }
    assert_eq!(std::fs::read(sandbox.path("b.fbin")).unwrap(), rows);
    assert_eq!(std::fs::read(sandbox.path("q.ibin")).unwrap(), rows);
    sandbox.run("truth b.fbin --queries b.fbin -o t.csv").fails(2, &["t.csv", ".ibin"]);
}

#[test]
fn wrong_inputs_name_file_row_and_field() {
    let sandbox = Sandbox::new();
    let mut values = numbers(10 * 4, 1);
    values[4 * 7 + 2] = f32::NAN;
    sandbox.write("nan.fbin", &fbin(4, &values));
    sandbox.run("build nan.fbin -o x.shore").fails(3, &["nan.fbin: row 7, field 2: NaN"]);
    sandbox.run("truth nan.fbin --queries nan.fbin -o x.ibin").fails(3, &["nan.fbin: row 7, field 2: NaN"]);
    values[4 * 7..4 * 8].fill(0.0);
    sandbox.write("zero.fbin", &fbin(4, &values));
    sandbox.run("build zero.fbin -o x.shore --metric cosine").fails(3, &["zero.fbin: row 7: a zero vector has no cosine"]);
    sandbox.run("truth zero.fbin --queries zero.fbin -o x.ibin --metric cosine").fails(3, &["zero.fbin: row 7: a zero vector"]);
    values[4 * 7..4 * 8].fill(3e38);
    sandbox.write("huge.fbin", &fbin(4, &values));
    sandbox.run("build huge.fbin -o x.shore").fails(3, &["huge.fbin: row 7: its norm leaves the range"]);
    sandbox.write("twice.jsonl", &jsonl(2, &numbers(8, 1), |row| format!(", \"id\": {}", row % 3)));
    sandbox.run("build twice.jsonl -o x.shore").fails(3, &["twice.jsonl: row 3: id 0 is that of row 0 already"]);
    sandbox.write("short.jsonl", b"{\"vector\": [1, 2]}\n{\"vector\": [1]}\n");
    sandbox.run("build short.jsonl -o x.shore").fails(3, &["short.jsonl: row 1 (line 2), field vector: 1 numbers; 2 as in row 0"]);
    sandbox.write("empty.fbin", b"");
    sandbox.run("build empty.fbin -o x.shore").fails(3, &["empty.fbin: no rows; at least one vector would be right"]);
    sandbox.write("cut.fbin", &fbin(4, &numbers(8, 1))[..20]);
    sandbox.run("build cut.fbin -o x.shore").fails(3, &["cut.fbin: 20 bytes; a header of 2 rows x 4 dimensions of f32 would be 40"]);
    sandbox.write("rows.csv", b"1,2\n");
    sandbox.run("build rows.csv -o x.shore").fails(3, &["rows.csv: unknown format; the extension or --format must be one of fbin"]);
    sandbox.run("build absent.fbin -o x.shore").fails(4, &["absent.fbin: No such file"]);
    sandbox.run("build nan.fbin -o no/such/folder/x.shore").fails(4, &["no/such/folder: no such folder"]);
    sandbox.run("build nan.fbin -o x.shore --payload title").fails(3, &["has no columns"]);
    sandbox.write("one.txt", b"1\n");
    sandbox.run("build zero.fbin --payload one.txt -o x.shore").fails(3, &["one.txt: 1 lines; 10 for the 10 rows of zero.fbin"]);
    sandbox.run("build zero.fbin --ids one.txt -o x.shore").fails(3, &["one.txt: 1 ids; 10 for the 10 rows of zero.fbin"]);
    sandbox.pipe(b"\x01\x00\x00\x00", "build - -o x.shore").fails(3, &["standard input: 4 bytes; the header alone"]);
    assert!(!sandbox.names().iter().any(|name| name.starts_with('x') || name.contains(".part")), "{:?}", sandbox.names());
}

#[test]
fn a_truth_of_fewer_queries_or_answers_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("b.fbin", &fbin(2, &numbers(40, 1)));
    sandbox.write("q.fbin", &fbin(2, &numbers(6, 2)));
    sandbox.write("wide.fbin", &fbin(3, &numbers(6, 2)));
    sandbox.run("build b.fbin -o b.shore --quiet").ok();
    sandbox.run("truth b.fbin --queries b.fbin --k 5 -o t.ibin --quiet").ok();
    sandbox.run("truth b.fbin --queries q.fbin --k 10 -o few.ibin --quiet").ok();
    sandbox
        .run("bench b.shore --queries b.fbin --truth few.ibin")
        .fails(3, &["few.ibin: answers of 3 queries; 20 as in b.fbin would be right"]);
    sandbox.run("bench b.shore --queries b.fbin --truth t.ibin").fails(3, &["t.ibin: 5 answers a query; at least 10"]);
    sandbox.run("bench b.shore --queries wide.fbin").fails(3, &["wide.fbin: 3 dimensions; 2 as in b.shore"]);
    sandbox.run("truth b.fbin --queries wide.fbin -o x.ibin").fails(3, &["wide.fbin: 3 dimensions; 2 as in b.fbin"]);
}

#[test]
fn damage_is_found_and_never_answers() {
    let sandbox = Sandbox::new();
    sandbox.write("b.fbin", &fbin(8, &numbers(8 * 400, 1)));
    sandbox.run("build b.fbin -o b.shore --quiet").ok();
    let whole = std::fs::read(sandbox.path("b.shore")).unwrap();
    let search = "search b.shore --vector [0.1,0,0,0,0,0,0,0] --plan scan --json";
    let right = sandbox.run(search).json();
    for place in [9, 5000, 17 * 1024, whole.len() / 2, whole.len() - 9] {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x10;
        sandbox.write("b.shore", &bytes);
        sandbox.run("verify b.shore").fails(5, &["b.shore: "]);
        let ran = sandbox.run(search);
        assert!(ran.code == Some(5) || ran.json() == right, "byte {place}");
    }
    sandbox.write("b.shore", &whole[..whole.len() - 1]);
    sandbox.run("info b.shore").fails(5, &["truncated"]);
    sandbox.write("b.shore", b"something else entirely");
    sandbox.run("info b.shore").fails(5, &["b.shore: "]);
    sandbox.run("info absent.shore").fails(4, &["absent.shore: No such file"]);
}

/// Waits until the folder holds a file under way.
fn wait_for_partial_file(sandbox: &Sandbox) {
    let started = Instant::now();
    while !sandbox.names().iter().any(|name| name.ends_with(".part")) {
        assert!(started.elapsed() < Duration::from_secs(30), "no output was begun");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn ctrl_c_and_its_relatives_leave_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("b.fbin", &fbin(32, &numbers(32 * 40_000, 1)));
    let before = sandbox.names();
    // While reading a pipe that never ends, and while building.
    for (line, signal, code) in [
        ("build - -o x.shore --tmp .", Signal::INT, 130),
        ("build b.fbin -o x.shore --ef-construction 2000 --threads 1", Signal::TERM, 143),
        ("truth b.fbin --queries b.fbin -o x.ibin", Signal::HUP, 129),
    ] {
        let mut child = sandbox.command(line.split(' ')).stdin(Stdio::piped()).spawn().unwrap();
        wait_for_partial_file(&sandbox);
        std::thread::sleep(Duration::from_millis(200));
        kill_process(Pid::from_child(&child), signal).unwrap();
        let held = child.stdin.take();
        let ran = Ran::from(child.wait_with_output().unwrap());
        drop(held);
        assert_eq!(ran.code, Some(code), "{line}: {ran:?}");
        assert!(ran.stderr.contains("nothing partial is left"), "{ran:?}");
        assert_eq!(sandbox.names(), before, "{line}");
    }
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("b.fbin", &fbin(32, &numbers(32 * 2000, 1)));
    sandbox.write("b.jsonl", &jsonl(32, &numbers(32 * 3000, 1), |_| String::new()));
    let folder = sandbox.path("small");
    let Some(disk) = SmallDisk::mount(&folder, "256k") else {
        eprintln!("SKIPPED: a full disk (mounting a tmpfs needs root)");
        return;
    };
    std::fs::write(folder.join("x.shore"), b"precious").unwrap();
    sandbox.run("build b.fbin -o small/x.shore --force").fails(4, &["small/x.shore", "No space left on device"]);
    assert_eq!(std::fs::read(folder.join("x.shore")).unwrap(), b"precious");
    sandbox.run("build b.jsonl -o x.shore --tmp small").fails(4, &["b.jsonl: temporary copy", "--tmp DIR", "No space left on device"]);
    sandbox.run("truth b.fbin --queries b.fbin -o small/t.ibin").fails(4, &["small/t.ibin", "No space left on device"]);
    sandbox.run("build b.fbin -o b.shore --quiet").ok();
    sandbox.run("tune b.shore --queries b.fbin -o small/t.shore").fails(4, &["small/t.shore", "No space left on device"]);
    std::fs::remove_file(sandbox.path("b.shore")).unwrap();
    assert_eq!(names(&folder), ["x.shore"]);
    drop(disk);
    assert_eq!(sandbox.names(), ["b.fbin", "b.jsonl", "small"]);
}

#[test]
fn an_output_that_cannot_be_written_to_is_an_io_error() {
    let sandbox = Sandbox::new();
    sandbox.write("b.fbin", &fbin(2, &numbers(40, 1)));
    sandbox.run("build b.fbin -o b.shore --quiet").ok();
    let Ok(full) = std::fs::File::options().write(true).open("/dev/full") else {
        eprintln!("SKIPPED: a full standard output (no /dev/full)");
        return;
    };
    let output = sandbox.command(["info", "b.shore"]).stdout(full).output().unwrap();
    Ran::from(output).fails(4, &["standard output: No space left"]);
}

#[test]
fn what_goes_with_something_else_is_refused_by_name() {
    let sandbox = Sandbox::new();
    sandbox.write("b.fbin", &fbin(2, &numbers(40, 1)));
    sandbox.run("build b.fbin -o b.shore --quiet").ok();
    let names = sandbox.names();
    sandbox.run("build b.fbin -o x.shore --alpha-sq 1.5").fails(2, &["--alpha-sq", "--builder vamana would be right"]);
    sandbox.run("build b.fbin -o x.shore --tier disk --page 1MB").fails_in_usage("such as 16KiB");
    sandbox.run("export b.shore -o x.shore --for disk --tile-rows 16").fails(2, &["--tile-rows", "--for web would be right"]);
    sandbox.run("export b.shore -o x.json").fails(2, &["x.json: .json is a list of parts", "--split BYTES, or x.shore would be right"]);
    sandbox.run("export b.shore -o x.shore.json --for disk").fails(2, &["one file; x.shore would be right"]);
    // Before the input is read: there is none.
    sandbox.run("build gone.fbin -o nodir/x.shore").fails(4, &["nearshore: nodir: no such folder"]);
    sandbox.run("build gone.fbin -o b.fbin/x.shore").fails(4, &["nearshore: b.fbin: no folder, but a file"]);
    sandbox.run("export b.shore -o nodir/x.json --split 1MiB").fails(4, &["nodir: no such folder"]);
    sandbox.run("search b.shore").fails_in_usage("--queries <FILE>|--vector <JSON>");
    assert_eq!(sandbox.names(), names);
    let hits = |word: &str| sandbox.run(&format!("search b.shore --vector [1,2] {word} 3")).ok().stdout.lines().count();
    assert_eq!((hits("-k"), hits("--k")), (3, 3));
}

#[test]
fn a_truth_of_other_rows_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("b.fbin", &fbin(2, &numbers(40, 1)));
    sandbox.write("more.fbin", &fbin(2, &numbers(400, 1)));
    sandbox.write("q.fbin", &fbin(2, &numbers(400, 3)));
    sandbox.run("build b.fbin -o b.shore --quiet").ok();
    sandbox.run("build b.fbin -o s.shores --segment-rows 10 --quiet").ok();
    sandbox.run("truth more.fbin --queries q.fbin -o more.ibin --k 10 --quiet").ok();
    for line in ["bench b.shore", "bench s.shores", "bench b.shore --driver pread", "tune b.shore"] {
        let words = ["more.ibin: query 0: ", " is no id of ", "the answers of "];
        sandbox.run(&format!("{line} --queries q.fbin --truth more.ibin")).fails(3, &words);
    }
    sandbox.run("truth b.fbin --queries q.fbin -o b.ibin --k 10 --quiet").ok();
    sandbox.run("bench s.shores --queries q.fbin --truth b.ibin --quiet").ok();
}
