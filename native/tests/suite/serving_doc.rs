//! `docs/serving.md` as a reader would run it: every command in order, in one shell, and the answers that it promises.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::support::{Ran, Sandbox};
use serde_json::Value;

const PAGE: &str = include_str!("../../../docs/serving.md");
const README: &str = include_str!("../../../README.md");

/// Where the page's server listens. A free port takes its place here, or two tests on one machine would meet.
const ADDRESS: &str = "127.0.0.1:6333";

/// Between the outputs of two blocks.
const MARK: &str = "--- next block";

/// Fenced blocks that are to be run: language and text.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let mut parts = page.split("\n```");
    let mut before = parts.next().unwrap_or_default();
    let mut found = Vec::new();
    while let (Some(block), Some(after)) = (parts.next(), parts.next()) {
        found.extend(block.split_once('\n').filter(|_| !before.ends_with("-->")));
        before = after;
    }
    found
}

/// An answer without what differs each time.
fn timeless(text: &str) -> Value {
    let mut answer: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text:?}"));
    if let Some(fields) = answer.as_object_mut() {
        fields.remove("took_us");
    }
    answer
}

#[test]
fn every_command_of_the_page_works_and_answers_as_it_says() {
    let curl = Command::new("curl").arg("--version").output();
    assert!(
        curl.is_ok_and(|curl| curl.status.success()),
        "the page's commands ask for curl, which is not on the PATH; `cargo xtask test` installs it"
    );
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    // A command that fails must not leave the server behind.
    let mut script = "set -eu\ntrap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n".to_owned();
    let mut promised = Vec::new();
    for (language, text) in blocks(PAGE) {
        match language {
            "sh" => {
                let listen = |text: String, name: &str| text.replace(&format!("serve {name}"), &format!("serve {name} --listen {free}"));
                let text = ["data", "shop"].into_iter().fold(text.to_owned(), listen).replace(ADDRESS, &free);
                script.push_str(&format!("{text}\necho '{MARK}'\n"));
                promised.push(None);
            }
            "json" => *promised.last_mut().unwrap() = Some(timeless(text)),
            other => panic!("a block of {other}"),
        }
    }
    assert!(promised.iter().flatten().count() >= 6);
    let sandbox = Sandbox::new();
    let binaries = Path::new(env!("CARGO_BIN_EXE_nearshore")).parent().unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash").args(["-c", &script]).env("PATH", path).current_dir(sandbox.path("")).output().unwrap();
    let ran = Ran::from(output).ok();
    let printed: Vec<&str> = ran.stdout.split(MARK).collect();
    assert_eq!(printed.len(), promised.len() + 1, "{ran:?}");
    for (printed, promised) in printed.iter().zip(promised) {
        assert!(promised.is_none_or(|promised| timeless(printed) == promised), "{printed}");
    }
    assert!(printed[0].contains("serving data/collection.shore (0 rows) on http://"), "{ran:?}");
}

#[test]
fn the_readme_shows_commands_of_the_page() {
    let section = README.split("## Serve\n").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let commands: Vec<&str> = section.lines().filter(|line| line.starts_with("curl ") || line.starts_with("nearshore ")).collect();
    assert_eq!(commands.len(), 3);
    assert!(commands.iter().all(|command| PAGE.contains(command)), "{commands:?}");
}
