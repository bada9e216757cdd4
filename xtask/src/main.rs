//! `cargo xtask`: everything a person does to this repository, each as one command.
//!
//! A task is a file with a `run(arguments)` and a line in [`TASKS`]; nothing else has to know of it. Tasks call tools (cargo, npm,
//! node, a browser) and read what they say. They hold no product logic: what a task measures or checks is done by the crates, the
//! command line tool and the npm package through the doors that users have.
//!
//! Run `cargo xtask` alone for the list, `cargo xtask TASK --help` for the options of one.
#![allow(clippy::print_stdout, reason = "a tool for terminals: stdout is its door")]

mod args;
mod codegen;
mod count;
mod demo;
mod pack;
mod process;
mod readme;
mod serve;
mod setup;
mod size;
mod tally;
mod test;
mod tidy;
mod wasm;
mod workspace;

use std::process::ExitCode;

use args::Arguments;

/// One task: its name, the line that the list shows, its options, and what does it.
struct Task {
    name: &'static str,
    about: &'static str,
    options: &'static [(&'static str, &'static str)],
    run: fn(&mut Arguments) -> anyhow::Result<()>,
}

/// Every task, in the order in which a newcomer meets them.
const TASKS: &[Task] = &[
    Task { name: "demo", about: "build, measure and serve the whole promise on real data", options: demo::OPTIONS, run: demo::run },
    Task { name: "test", about: "run everything that a change can break", options: test::OPTIONS, run: test::run },
    Task { name: "tidy", about: "check the rules of the house that no compiler knows", options: &[], run: tidy::run },
    Task { name: "wasm", about: "build the WebAssembly engine into npm/wasm/", options: &[], run: wasm::run },
    Task { name: "pack", about: "build and pack the npm package", options: &[], run: pack::run },
    Task { name: "size", about: "say what one browser downloads; fail above the budget", options: &[], run: size::run },
    Task { name: "setup", about: "find or install what the other tasks need (they do it themselves)", options: &[], run: setup::run },
    Task { name: "codegen", about: "look at the machine code of the distance kernels", options: &[], run: look_at_kernels },
];

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let name = match words.next().as_deref() {
        None | Some("--help" | "-h" | "help") => {
            print!("{}", overview());
            return ExitCode::SUCCESS;
        }
        Some(name) => name.to_owned(),
    };
    let Some(task) = TASKS.iter().find(|task| task.name == name) else {
        eprintln!("error: no task is called {name}\n\n{}", overview());
        return ExitCode::from(2);
    };
    let mut arguments = Arguments::new(words.collect());
    if arguments.flag("--help") || arguments.flag("-h") {
        print!("{}", help(task));
        return ExitCode::SUCCESS;
    }
    match (task.run)(&mut arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The codegen task speaks in plain strings.
fn look_at_kernels(_: &mut Arguments) -> anyhow::Result<()> {
    codegen::run(&[]).map_err(anyhow::Error::msg)
}

/// The list of tasks.
fn overview() -> String {
    let mut text = String::from("cargo xtask TASK [OPTIONS]: builds, tests and shows nearshore\n\nTasks:\n");
    for task in TASKS {
        text.push_str(&format!("  {:10} {}\n", task.name, task.about));
    }
    text.push_str(
        "\nAll set-up that a task needs (targets, npm packages, a browser) it does itself.\n`cargo xtask TASK --help` shows its options.\n",
    );
    text
}

/// What one task does and takes.
fn help(task: &Task) -> String {
    let mut text = format!("cargo xtask {}: {}\n", task.name, task.about);
    if !task.options.is_empty() {
        text.push_str("\nOptions:\n");
        for (option, about) in task.options {
            text.push_str(&format!("  {option:18} {about}\n"));
        }
    }
    text
}
