//! `nearshore bench billion` through the real binary: rows at offsets of terabytes, and file systems that will not have it.

use std::path::Path;
use std::process::Command;

use crate::support::{Ran, Sandbox, keys};

#[test]
fn rows_of_a_file_of_a_billion_are_read_back_by_every_driver() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run("bench billion --json");
    if ran.code == Some(4) && ran.stderr.contains("this file system") {
        eprintln!("skipped: {}", ran.stderr);
        return;
    }
    let said = ran.json();
    assert_eq!(
        keys(&said),
        ["dimensions", "dir", "disk_bytes", "file_bytes", "hole_row", "reads", "rows", "walks", "write_seconds", "written_rows"]
    );
    assert_eq!((said["rows"].as_u64(), said["file_bytes"].as_u64()), (Some(1_000_000_000), Some(4_096_000_000_000)));
    assert_eq!(said["written_rows"], serde_json::json!([0, 899_999_999, 999_999_999]));
    assert!(said["disk_bytes"].as_u64().unwrap() < 1 << 20);
    let reads = said["reads"].as_array().unwrap();
    let asked: Vec<&str> = reads.iter().filter_map(|read| read["asked"].as_str()).collect();
    assert_eq!(asked, ["mmap", "pread", "uring"]);
    for read in reads {
        // Where rings are forbidden another driver took its place, and the line says so.
        assert!(read["driver"] == read["asked"] || read["how"].as_str().unwrap().contains("no io_uring: "), "{read}");
    }
    let walks = &said["walks"];
    assert_eq!((walks["rows"].as_u64(), walks["searched_rows"].as_array().map(Vec::len)), (Some(1_000_000_000), Some(5)));
    let [file, farthest] = ["file_bytes", "farthest_block"].map(|key| walks[key].as_u64().unwrap());
    assert!(file > 2_000_000_000_000 && farthest > file - 8192, "{walks}");
    assert!(walks["hops"].as_u64() > Some(5 * 48), "{walks}");
    assert!(sandbox.names().is_empty());
    let text = sandbox.run("bench billion --dir . --rows 1000000").ok().stdout;
    assert!(text.contains("1000000 rows x 1024 f32, 3.81 GiB") && text.contains("[0, 899999, 999999]"), "{text}");
    assert!(text.contains("\ndeleted\n") && text.lines().count() == 6, "{text}");
}

#[test]
fn a_limit_of_the_process_is_said_and_nothing_is_left() {
    let sandbox = Sandbox::new();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 1000000; exec \"$0\" bench billion", env!("CARGO_BIN_EXE_nearshore")]).current_dir(sandbox.path(""));
    Ran::from(command.output().unwrap()).fails(4, &["no file of 4096000000000 bytes", "ulimit -f"]);
    assert!(sandbox.names().is_empty());
}

#[test]
fn a_file_larger_than_a_file_system_takes_is_said_and_nothing_is_left() {
    let sandbox = Sandbox::new();
    // Four petabytes are more than most take.
    let ran = sandbox.run("bench billion --rows 1000000000000");
    if ran.code != Some(0) {
        ran.fails(4, &["this file system takes no file of 4096000000000000 bytes"]);
    }
    assert!(sandbox.names().is_empty());
    assert_eq!(sandbox.run("bench billion --rows 10").code, Some(2));
    sandbox.run("bench billion --dir nowhere").fails(4, &["nowhere", "a file cannot be made"]);
    assert!(!Path::new("nowhere").exists());
}
