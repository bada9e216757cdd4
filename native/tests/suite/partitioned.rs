//! A build whose memory has a bound: the same bytes however often it is ended, on one machine or many.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nearshore::build::BuildParams;
use nearshore::build::parts::in_memory_bytes;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Ran, Sandbox, SmallDisk, fbin, jsonl, names, numbers};

const DIMENSIONS: usize = 24;
const BOUND: &str = "--memory 128MiB --partitions 4 --m 8 --ef-construction 40 --threads 2";

/// Rows around as many middles as a hundredth of them, one in forty a repetition.
fn rows(count: usize, seed: u64) -> Vec<f32> {
    let (middles, noise) = (numbers(count.div_ceil(100) * DIMENSIONS, seed), numbers(count * DIMENSIONS, seed + 1));
    let near = |row: usize| &middles[row * 7919 % count / 100 * DIMENSIONS..][..DIMENSIONS];
    let mut values: Vec<f32> = Vec::new();
    for row in 0..count {
        if row % 40 == 39 {
            values.extend_from_within((row - 5) * DIMENSIONS..(row - 4) * DIMENSIONS);
        } else {
            values.extend(near(row).iter().zip(&noise[row * DIMENSIONS..]).map(|(middle, noise)| middle + 0.3 * noise));
        }
    }
    values
}

fn bytes(sandbox: &Sandbox, name: &str) -> Vec<u8> {
    std::fs::read(sandbox.path(name)).unwrap()
}

/// The highest recall that its quality table measured up to an effort.
fn recall(built: &Value, ef: u64) -> f64 {
    let rows = built["quality"].as_array().unwrap().iter().filter(|row| row["gamma"] == 0.0 && row["ef"].as_u64().unwrap() <= ef);
    rows.map(|row| row["recall"].as_f64().unwrap()).fold(0.0, f64::max)
}

/// Waits until `name` is there, or `most` is over, or the child has ended.
fn wait_for(child: &mut Child, path: &Path, most: Duration) {
    let began = Instant::now();
    while !path.exists() && began.elapsed() < most && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_build_that_is_killed_again_and_again_gives_the_bytes_of_one_that_is_not() {
    let sandbox = Sandbox::new();
    sandbox.write("base.fbin", &fbin(DIMENSIONS, &rows(12_000, 3)));
    let line = format!("build base.fbin -o whole.shore {BOUND} --json");
    let whole = sandbox.run(&line).json();
    assert_eq!((whole["partitions"].as_u64(), whole["duplicates"].as_u64()), (Some(4), Some(300)));
    assert_eq!(sandbox.names(), ["base.fbin", "whole.shore"], "the folder of steps is gone");
    // At one moment of each step, and at moments that nobody chose.
    let state = sandbox.path("x.shore.build");
    let names = ["lock", "plan.new", "records", "manifest.json", "run-00000.new", "run-00001", "run-00003", "output.part", "finished.json"];
    let mut killed = 0;
    for name in names {
        for later in [0, 15] {
            let mut child =
                sandbox.command(format!("build base.fbin -o x.shore {BOUND} --quiet").split(' ')).stderr(Stdio::null()).spawn().unwrap();
            wait_for(&mut child, &state.join(name), Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(later));
            killed += usize::from(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
            child.wait().unwrap();
            let done = sandbox.path("x.shore").exists();
            assert!(done || state.is_dir(), "{name}: what was done is kept");
            if done {
                assert!(bytes(&sandbox, "x.shore") == bytes(&sandbox, "whole.shore"), "killed after {name}");
                // A kill between the name and the end of the folder: the same command says so and clears up. Where the lock alone was left, it
                // says that the file is there.
                if state.is_dir() {
                    let done = state.join("finished.json").exists();
                    let again = sandbox.run(&format!("build base.fbin -o x.shore {BOUND}"));
                    if done {
                        again.ok();
                    } else {
                        again.fails(2, &["exists already"]);
                    }
                }
                std::fs::remove_file(sandbox.path("x.shore")).unwrap();
            }
        }
    }
    assert!(killed >= 6, "{killed} of 18 builds were killed at work");
    sandbox.run(&format!("build base.fbin -o x.shore {BOUND}")).ok();
    assert!(bytes(&sandbox, "x.shore") == bytes(&sandbox, "whole.shore"));
    assert_eq!(sandbox.names(), ["base.fbin", "whole.shore", "x.shore"]);
    sandbox.run("verify x.shore").ok();
}

#[test]
fn shares_of_partitions_on_many_machines_give_the_same_bytes_and_search_as_well_as_a_whole_build() {
    let sandbox = Sandbox::new();
    let values = rows(6000, 11);
    // Ids, payloads and columns come along, whatever the metric.
    for (metric, more) in [("cosine", "--codes u4"), ("l2", "--tier disk"), ("ip", "--originals drop --layout fast")] {
        let lines = jsonl(DIMENSIONS, &values, |row| {
            format!(", \"id\": {}, \"title\": \"row {row}\", \"year\": {}", 9_000_000 - row, 1900 + row % 100)
        });
        sandbox.write("base.jsonl", &lines);
        let options = format!("{BOUND} --metric {metric} --payload title --columns year {more}");
        let line = |output: &str| format!("build base.jsonl -o {output} {options}");
        let built = sandbox.run(&format!("{} --json", line("one.shore"))).json();
        let planned = sandbox.run(&format!("{} --partition plan --json", line("many.shore"))).json();
        assert_eq!((planned["partitions"].as_u64(), planned["nodes"].as_u64()), (Some(4), Some(5850)));
        sandbox.run("merge many.shore.build").fails(2, &["many.shore.build", "partition 1 of 4 is not linked yet"]);
        // Shares at once, in any order, more machines than they need.
        let shares: Vec<Child> = [3, 1, 2]
            .map(|share| sandbox.command(format!("{} --partition {share}/3", line("many.shore")).split(' ')).spawn().unwrap())
            .into();
        for share in shares {
            Ran::from(share.wait_with_output().unwrap()).ok();
        }
        let again = sandbox.run(&format!("{} --partition 1/1 --json", line("many.shore"))).json();
        assert_eq!(again["linked"], 0, "nothing is left to link");
        sandbox.run("merge many.shore.build").ok();
        assert!(bytes(&sandbox, "many.shore") == bytes(&sandbox, "one.shore"), "{metric}");
        let whole = format!(
            "build base.jsonl -o whole.shore --m 8 --ef-construction 40 --metric {metric} --payload title --columns year {more} --json"
        );
        let whole = sandbox.run(&whole).json();
        for ef in [20, 56] {
            let (own, other) = (recall(&built, ef), recall(&whole, ef));
            assert!(own > other - 0.01, "{metric}, ef {ef}: {own} in partitions, {other} at once");
        }
        // Every row is found, by its own vector, with what came along; a scan and a walk agree on what a filter leaves.
        sandbox.run("verify one.shore").ok();
        let vector = serde_json::to_string(&values[77 * DIMENSIONS..78 * DIMENSIONS]).unwrap();
        let search = |file: &str, more: &[&str]| {
            let args = [&["search", file, "--vector", &vector, "--k", "3", "--json", "--filter", "year = 1977"], more].concat();
            sandbox.run_args(&args).json()["results"][0]["hits"].clone()
        };
        let hits = search("one.shore", &["--ef", "200"]);
        if metric != "ip" {
            assert_eq!((hits[0]["id"].as_u64(), hits[0]["payload"].as_str()), (Some(9_000_000 - 77), Some("row 77")));
        }
        assert_eq!(hits, search("whole.shore", &["--ef", "200"]));
        for name in ["one.shore", "many.shore", "whole.shore"] {
            std::fs::remove_file(sandbox.path(name)).unwrap();
        }
    }
}

#[test]
fn what_was_begun_with_other_options_or_another_input_is_refused_and_dropped_when_told() {
    let sandbox = Sandbox::new();
    let values = rows(2000, 5);
    sandbox.write("base.fbin", &fbin(DIMENSIONS, &values));
    let line = format!("build base.fbin -o x.shore {BOUND}");
    sandbox.run(&format!("{line} --partition 1/2")).fails(2, &["nothing is planned here", "--partition plan"]);
    assert_eq!(sandbox.names(), ["base.fbin"]);
    sandbox.run("merge nope.build").fails(2, &["nope.build: no such folder"]);
    sandbox.run(&line.replace("x.shore", "nodir/x.shore")).fails(4, &["nodir: no such folder"]);
    let planned = sandbox.run(&format!("{line} --partition plan")).ok().stdout;
    assert!(planned.ends_with("planned; --partition 1/N to N/N are next\n"), "{planned}");
    let other = line.replace("--m 8", "--m 12");
    sandbox.run(&other).fails(2, &["x.shore.build", "--m: 8 then, 12 now", "--restart"]);
    sandbox.run(&line.replace("128MiB", "256MiB")).fails(2, &["--memory: 128.00 MiB then, 256.00 MiB now", "--restart"]);
    sandbox.run(&format!("{line} --seed 1 --partition 1/2")).fails(2, &["--seed: 0 then, 1 now"]);
    // Touched but the same: it goes on. One bit: it does not.
    std::thread::sleep(Duration::from_millis(20));
    sandbox.write("base.fbin", &fbin(DIMENSIONS, &values));
    sandbox.run(&format!("{line} --partition plan")).ok();
    let mut changed = values;
    changed[777] += 0.001;
    std::thread::sleep(Duration::from_millis(20));
    sandbox.write("base.fbin", &fbin(DIMENSIONS, &changed));
    sandbox.run(&line).fails(2, &["x.shore.build", "the input has changed", "--restart"]);
    let said = |share: &str| sandbox.run(&format!("{line} --partition {share}")).ok().stdout;
    let (first, second) = (said("1/2"), said("2/2"));
    assert!(first.contains("2 linked here, 2 of 4 in all; other shares are next"), "{first}");
    assert!(second.contains("2 linked here, 4 of 4 in all; nearshore merge x.shore.build is next"), "{second}");
    sandbox.run("merge x.shore.build").fails(2, &["the input has changed"]);
    assert!(!sandbox.path("x.shore").exists());
    sandbox.run(&format!("{other} --restart")).ok();
    assert_eq!(sandbox.names(), ["base.fbin", "x.shore"]);
    // The name is taken now, and what cannot be is refused by name.
    sandbox.run(&line).fails(2, &["x.shore", "--force"]);
    sandbox.run(&format!("{line} --force --builder insertion")).fails(2, &["--builder must be leaves"]);
    sandbox.run("build base.fbin -o y.shore --memory 1MiB").fails(2, &["--memory", "at least 6", " MiB are needed"]);
    sandbox.run("build - -o y.shore --memory 1GiB --partition plan").fails(2, &["--partition", "a file in place of -"]);
    sandbox.run("build base.fbin -o base.fbin --memory 1GiB --force").fails(2, &["base.fbin", "is read by this command"]);
    assert_eq!(sandbox.names(), ["base.fbin", "x.shore"]);
}

#[test]
fn damage_to_what_is_kept_is_found_and_a_build_at_work_is_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.write("base.fbin", &fbin(DIMENSIONS, &rows(2000, 6)));
    let line = format!("build base.fbin -o x.shore {BOUND}");
    let state = sandbox.path("x.shore.build");
    let flip = |name: &str| {
        let mut bytes = std::fs::read(state.join(name)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        std::fs::write(state.join(name), bytes).unwrap();
    };
    sandbox.run(&format!("{line} --partition plan")).ok();
    flip("plan");
    sandbox.run(&line).fails(5, &["x.shore.build/plan", "--restart"]);
    flip("plan");
    flip("records");
    sandbox.run(&line).fails(5, &["x.shore.build/records", "--restart"]);
    flip("records");
    sandbox.run(&format!("{line} --partition 1/1")).ok();
    // A list that was damaged is made again.
    flip("run-00002");
    sandbox.run("merge x.shore.build").fails(2, &["partition 3 of 4 is not linked yet"]);
    flip("run-00002");
    // One that is there and cannot be read is another matter.
    std::fs::rename(state.join("run-00001"), sandbox.path("aside")).unwrap();
    std::os::unix::fs::symlink("run-00001", state.join("run-00001")).unwrap();
    sandbox.run("merge x.shore.build").fails(4, &["x.shore.build/run-00001: "]);
    std::fs::remove_file(state.join("run-00001")).unwrap();
    std::fs::rename(sandbox.path("aside"), state.join("run-00001")).unwrap();
    // Records that were damaged since would have new checks in the index.
    flip("records");
    sandbox.run("merge x.shore.build").fails(5, &["x.shore.build/records", "--restart"]);
    flip("records");
    flip("run-00002");
    let lock = std::fs::File::options().write(true).open(state.join("lock")).unwrap();
    lock.lock().unwrap();
    sandbox.run(&line).fails(2, &["x.shore.build", "another build is at work"]);
    drop(lock);
    sandbox.run(&line).ok();
    sandbox.run(&format!("build base.fbin -o y.shore {BOUND}")).ok();
    assert!(bytes(&sandbox, "x.shore") == bytes(&sandbox, "y.shore"));
}

#[test]
fn a_folder_of_something_else_is_left_as_it_is() {
    let sandbox = Sandbox::new();
    sandbox.write("base.fbin", &fbin(DIMENSIONS, &rows(2000, 6)));
    let line = format!("build base.fbin -o x.shore {BOUND}");
    let folder = sandbox.path("x.shore.build");
    std::fs::create_dir(&folder).unwrap();
    sandbox.run("merge x.shore.build").fails(2, &["x.shore.build: nothing is planned here"]);
    assert_eq!(names(&folder).len(), 0);
    // Whatever it holds: even names that a build would know.
    sandbox.write("x.shore.build/finished.json", b"{ \"build_id\": \"0\", \"rows\": 1 }");
    for (more, held) in [("finished.json", "finished.json"), ("notes.txt", "notes.txt"), ("lock", "notes.txt")] {
        if more != "finished.json" {
            sandbox.write(&format!("x.shore.build/{more}"), b"mine");
        }
        let before = names(&folder);
        let fits = "build base.fbin -o x.shore --memory 1GiB";
        for line in [
            &line,
            &format!("{line} --restart"),
            &format!("{line} --partition 1/1"),
            fits,
            "merge x.shore.build",
            "merge x.shore.build -o y.shore",
        ] {
            sandbox.run(line).fails(2, &["x.shore.build: no folder of a build, as", held, "left as it is"]);
            assert_eq!(names(&folder), before, "{line}");
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    // What somebody put into the folder of a build is in nobody's way, and stays.
    sandbox.run(&format!("{line} --partition plan")).ok();
    sandbox.write("x.shore.build/slurm-17.out", b"linked");
    sandbox.run(&format!("{line} --restart --partition plan")).ok();
    sandbox.run(&line).ok();
    assert_eq!(names(&folder), ["slurm-17.out"]);
    sandbox.run("verify x.shore").ok();
}

#[test]
fn a_build_that_fails_before_anything_is_planned_leaves_no_folder() {
    let sandbox = Sandbox::new();
    sandbox.write("short.fbin", &fbin(DIMENSIONS, &rows(200, 6))[..5000]);
    for bound in [BOUND, "--memory 1GiB", &format!("{BOUND} --partition plan")] {
        sandbox.run(&format!("build short.fbin -o x.shore {bound}")).fails(3, &["short.fbin"]);
        sandbox.run(&format!("build absent.fbin -o x.shore {bound}")).fails(4, &["absent.fbin"]);
        assert_eq!(sandbox.names(), ["short.fbin"], "{bound}");
    }
}

#[test]
fn a_build_that_was_killed_as_it_began_is_known_beside_files_of_others() {
    let sandbox = Sandbox::new();
    sandbox.write("base.fbin", &fbin(DIMENSIONS, &rows(2000, 6)));
    let line = format!("build base.fbin -o x.shore {BOUND}");
    sandbox.run(&format!("{line} --partition plan")).ok();
    let lock = bytes(&sandbox, "x.shore.build/lock");
    let folder = sandbox.path("x.shore.build");
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    sandbox.write("x.shore.build/slurm-17.out", b"planning");
    // A lock that says nothing may be anybody's.
    sandbox.write("x.shore.build/lock", b"");
    sandbox.run(&line).fails(2, &["x.shore.build: no folder of a build, as slurm-17.out"]);
    sandbox.write("x.shore.build/lock", &lock);
    sandbox.run(&line).ok();
    assert_eq!(names(&folder), ["slurm-17.out"]);
    sandbox.run("verify x.shore").ok();
    // One that says something else is somebody's.
    std::fs::remove_file(sandbox.path("x.shore.build/slurm-17.out")).unwrap();
    sandbox.write("x.shore.build/lock", b"mine");
    sandbox.run(&format!("{line} --force")).fails(2, &["x.shore.build: no folder of a build, as lock"]);
    assert_eq!(bytes(&sandbox, "x.shore.build/lock"), b"mine");
}

#[test]
fn an_output_on_another_file_system_is_refused_before_the_work() {
    let sandbox = Sandbox::new();
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else { return };
    let device = |path: &Path| std::os::unix::fs::MetadataExt::dev(&path.metadata().unwrap());
    if device(elsewhere.path()) == device(&sandbox.path("")) {
        return;
    }
    sandbox.write("base.fbin", &fbin(DIMENSIONS, &rows(2000, 6)));
    sandbox.run(&format!("build base.fbin -o x.shore {BOUND} --partition plan")).ok();
    let output = elsewhere.path().join("x.shore");
    // Before it is seen that nothing is linked.
    sandbox.run(&format!("merge x.shore.build -o {}", output.display())).fails(2, &["x.shore: on another file system than x.shore.build"]);
}

#[test]
fn ctrl_c_keeps_what_was_done_and_the_same_command_goes_on() {
    let sandbox = Sandbox::new();
    sandbox.write("base.fbin", &fbin(DIMENSIONS, &rows(12_000, 3)));
    let line = format!("build base.fbin -o x.shore {BOUND} --quiet");
    let mut child = sandbox.command(line.split(' ')).spawn().unwrap();
    let state = sandbox.path("x.shore.build");
    wait_for(&mut child, &state.join("run-00000"), Duration::from_secs(60));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    let kept = "nearshore: interrupted; what was done is kept, and the same command goes on from there\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(130), kept));
    assert!(state.join("run-00000").exists() && !sandbox.path("x.shore").exists());
    sandbox.run(&line).ok();
    sandbox.run(&format!("build base.fbin -o y.shore {BOUND} --quiet")).ok();
    assert!(bytes(&sandbox, "x.shore") == bytes(&sandbox, "y.shore"));
    assert_eq!(sandbox.names(), ["base.fbin", "x.shore", "y.shore"]);
}

#[test]
fn a_build_that_fits_is_the_build_without_a_bound() {
    let sandbox = Sandbox::new();
    sandbox.write("base.fbin", &fbin(DIMENSIONS, &rows(3000, 7)));
    sandbox.run("build base.fbin -o a.shore").ok();
    sandbox.run("build base.fbin -o b.shore --memory 1GiB").ok();
    assert!(bytes(&sandbox, "a.shore") == bytes(&sandbox, "b.shore"));
    assert_eq!(sandbox.names(), ["a.shore", "b.shore", "base.fbin"]);
}

/// Builds pseudo-random rows with at most 64 MiB of anonymous memory, which the build without a bound must not be able to.
#[cfg(target_os = "linux")]
fn build_under_a_bound(rows: usize, dimensions: usize, m: usize) {
    const MEMORY: u64 = 64 << 20;
    let sandbox = Sandbox::new();
    let header = [(rows as u32).to_le_bytes(), (dimensions as u32).to_le_bytes()].concat();
    let words = (0..rows * dimensions)
        .map(|at| (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31).wrapping_mul(0xBF58_476D_1CE4_E5B9));
    sandbox.write("base.u8bin", &header.into_iter().chain(words.map(|word| (word >> 56) as u8)).collect::<Vec<u8>>());
    let build = |more: &str| {
        let options = format!("--m {m} --ef-construction 8 --threads 2 --json");
        let line = format!("ulimit -d {}; exec \"$0\" build base.u8bin -o x.shore {options} {more}", MEMORY >> 10);
        let mut command = Command::new("sh");
        command.args(["-c", &line, env!("CARGO_BIN_EXE_nearshore")]).current_dir(sandbox.path(""));
        Ran::from(command.stdin(Stdio::null()).output().unwrap())
    };
    let params = BuildParams::default().m(m);
    assert!(in_memory_bytes(rows as u64, dimensions, &params) > MEMORY);
    let built = build("--memory 64MiB").json();
    assert!(built["partitions"].as_u64() >= Some(3), "{built}");
    assert_eq!(built["rows"], rows);
    std::fs::remove_file(sandbox.path("x.shore")).unwrap();
    assert_ne!(build("").code, Some(0), "the limit limits nothing");
}

#[cfg(target_os = "linux")]
#[test]
fn memory_stays_under_the_bound_where_records_are_most_of_it() {
    build_under_a_bound(27_000, 2048, 4);
}

#[cfg(target_os = "linux")]
#[test]
fn memory_stays_under_the_bound_where_lists_and_numbers_of_rows_are_most_of_it() {
    build_under_a_bound(420_000, 16, 16);
}

/// Runs a command on a disk of so many MiB that it alone sees, as `full` in the folder; `None` where mounting is not permitted.
#[cfg(target_os = "linux")]
fn on_a_small_disk(sandbox: &Sandbox, mebibytes: u32, line: &str) -> Option<Ran> {
    let script = format!("mount -t tmpfs -o size={mebibytes}M none full || exit 99; cd full; exec \"$0\" {line}");
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script, env!("CARGO_BIN_EXE_nearshore")]).current_dir(sandbox.path("")).stdin(Stdio::null());
    let ran = Ran::from(command.output().ok()?);
    (ran.code != Some(99) && !(ran.code == Some(1) && ran.stderr.contains("unshare"))).then_some(ran)
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_ahead_in_numbers() {
    let sandbox = Sandbox::new();
    sandbox.write("base.fbin", &fbin(DIMENSIONS, &rows(6000, 8)));
    std::fs::create_dir(sandbox.path("full")).unwrap();
    let Some(ran) = on_a_small_disk(&sandbox, 6, &format!("build ../base.fbin -o x.shore {BOUND}")) else {
        eprintln!("not run: mounting a small disk is not permitted here");
        return;
    };
    assert!(!ran.stderr.contains(" 0.0"), "a unit that does not fit: {ran:?}");
    ran.fails(4, &["x.shore.build", " MiB more are needed (partitions ", "the disk has ", " MiB free"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_in_the_midst_of_a_step_is_named_and_the_same_command_goes_on_when_there_is_room() {
    let sandbox = Sandbox::new();
    sandbox.write("base.fbin", &fbin(DIMENSIONS, &rows(12_000, 3)));
    let folder = sandbox.path("disk");
    let Some(disk) = SmallDisk::mount(&folder, "48m") else {
        eprintln!("SKIPPED: a disk that fills up (mounting a tmpfs needs root)");
        return;
    };
    let line = format!("build base.fbin -o disk/x.shore {BOUND}");
    sandbox.run(&format!("{line} --partition plan")).ok();
    // There was room for all of it then. Lists of a partition need more than this.
    disk.fill(300 << 10);
    let words =
        ["disk/x.shore.build/run-0000", "No space left on device", "; the file takes ", "iB; what was done is kept", "goes on from there"];
    sandbox.run(&format!("{line} --partition 1/1")).fails(4, &words);
    sandbox.run(&line).fails(4, &words);
    assert!(!folder.join("x.shore").exists());
    std::fs::remove_file(folder.join("ballast")).unwrap();
    sandbox.run(&line).ok();
    assert_eq!(names(&folder), ["x.shore"]);
    sandbox.run(&format!("build base.fbin -o y.shore {BOUND}")).ok();
    assert!(bytes(&sandbox, "disk/x.shore") == bytes(&sandbox, "y.shore"));
}

/// A limit of the size of files stands in for a quota: it is met in the midst of a write, wherever mounting is not permitted.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_ends_a_build_clearly_and_the_same_command_goes_on() {
    let sandbox = Sandbox::new();
    sandbox.write("base.fbin", &fbin(DIMENSIONS, &rows(12_000, 3)));
    let line = format!("build base.fbin -o x.shore {BOUND} --quiet");
    // Files of 400 KiB cannot hold the records, of 1100 KiB no lists, of 2500 KiB not the output.
    let (mut failed, mut kept) = (Vec::new(), Vec::new());
    for kib in [400, 1100, 2500] {
        let mut command = sandbox.command(line.split(' '));
        let ran = limited(&mut command, kib << 10);
        assert_eq!(ran.code, Some(4), "{kib} KiB: {ran:?}");
        assert!(ran.stderr.contains("x.shore.build") && ran.stderr.contains("goes on from there"), "{ran:?}");
        failed.push(ran.stderr);
        kept.push(std::fs::read_dir(sandbox.path("x.shore.build")).unwrap().count());
    }
    assert!(kept.is_sorted(), "{kept:?} files after {failed:?}");
    sandbox.run(&line).ok();
    sandbox.run(&format!("build base.fbin -o y.shore {BOUND}")).ok();
    assert!(bytes(&sandbox, "x.shore") == bytes(&sandbox, "y.shore"));
}

/// Runs a command that may write files of this size at most, and is told so rather than ended.
#[cfg(target_os = "linux")]
fn limited(command: &mut Command, bytes: u64) -> Ran {
    let (program, args) = (command.get_program().to_owned(), command.get_args().map(ToOwned::to_owned).collect::<Vec<_>>());
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", bytes / 512);
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).arg(program).args(args).stdin(Stdio::null());
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    Ran::from(shell.output().unwrap())
}
