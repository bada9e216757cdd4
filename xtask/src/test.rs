//! `cargo xtask test`: everything that a change can break, as a list of steps.
//!
//! Each step is named, timed and counted. A failing step does not stop the others, except those that need what it makes; the failures are
//! listed at the end, and the very last line says `N passed, M failed`. The numbers are the sums of what the test runners reported; a
//! step without a runner of its own (formatting, lints) is one check.
//!
//! The steps share what they compile: checks first, then one test profile, then one release profile. Cargo compiles a dependency again
//! for each set of features that a selection of packages asks of it, so every step that tests or runs the native crates selects them
//! with their development dependencies. The release profile, which only the demo and the README ask for, is made quick to compile
//! unless `--full` is given.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};

use anyhow::{Result, bail};

use crate::args::Arguments;
use crate::process::{Process, cargo, find, program};
use crate::tally::{Step, Tally};
use crate::{codegen, demo, pack, readme, setup, tidy, workspace};

/// The options of this task.
pub(crate) const OPTIONS: &[(&str, &str)] = &[
    ("--full", "add what takes long: sweeps, the other architecture under an emulator, every bundler"),
    ("--only WORD", "run only the steps whose name contains WORD"),
    ("--list", "name the steps and end"),
];

/// Every step, cheap before dear, so that a slip shows early.
const STEPS: &[Step] = &[
    Step { name: "tidy", needs: &[], full: false, run: |_| tidy::check() },
    Step { name: "format", needs: &[], full: false, run: format },
    Step { name: "lints", needs: &[], full: false, run: lints },
    Step { name: "targets", needs: &[], full: false, run: targets },
    Step { name: "docs", needs: &[], full: false, run: docs },
    Step { name: "crates", needs: &[], full: false, run: crates },
    Step { name: "reader", needs: &[], full: false, run: reader },
    Step { name: "capi", needs: &[], full: false, run: capi },
    Step { name: "ray", needs: &[], full: false, run: ray },
    Step { name: "package", needs: &["targets"], full: false, run: package },
    Step { name: "conformance", needs: &["package"], full: false, run: conformance },
    Step { name: "consumers", needs: &["package"], full: false, run: consumers },
    Step { name: "demo", needs: &["package"], full: false, run: page },
    Step { name: "readme", needs: &["demo"], full: false, run: readme },
    Step { name: "codegen", needs: &["targets"], full: true, run: machine_code },
    Step { name: "all consumers", needs: &["consumers"], full: true, run: all_consumers },
    Step { name: "emulated", needs: &["targets"], full: true, run: emulated },
    Step { name: "miri", needs: &[], full: true, run: miri },
    Step { name: "loom", needs: &[], full: true, run: loom },
    Step { name: "proto", needs: &[], full: true, run: proto },
    Step { name: "fuzz", needs: &[], full: true, run: fuzz },
    Step { name: "benches", needs: &[], full: true, run: benches },
];

pub(crate) fn run(arguments: &mut Arguments) -> Result<()> {
    let (full, list) = (arguments.flag("--full"), arguments.flag("--list"));
    let only = arguments.value("--only")?;
    arguments.end()?;
    let chosen = STEPS.iter().filter(|step| full || !step.full);
    let chosen = chosen.filter(|step| only.as_ref().is_none_or(|word| step.name.contains(word.as_str())));
    let mut tally = Tally::default();
    tally.full = full;
    for step in chosen {
        if list {
            println!("{}", step.name);
        } else {
            tally.step(step);
        }
    }
    if list { Ok(()) } else { tally.close() }
}

fn format(_: &mut Tally) -> Result<()> {
    cargo(&["fmt", "--all", "--check"]).run()
}

fn lints(_: &mut Tally) -> Result<()> {
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]).run()?;
    // The library of those who need no server; beside the bindings, so that what both depend on is asked for what it was above.
    cargo(&[
        "clippy",
        "-p",
        "nearshore",
        "-p",
        "nearshore-wasm",
        "--no-default-features",
        "--features",
        "nearshore-wasm/whole",
        "--",
        "-D",
        "warnings",
    ])
    .run()
}

/// The core without a standard library, for every kind of machine it meets.
fn targets(_: &mut Tally) -> Result<()> {
    setup::targets()?;
    for (target, flags) in [(setup::WASM, "-Ctarget-feature=+simd128"), (setup::WASM, ""), (setup::ARM, "")] {
        cargo(&["clippy", "-p", "nearshore-core", "--no-default-features", "--target", target, "--", "-D", "warnings"])
            .env("RUSTFLAGS", flags)
            .run()?;
    }
    // The bindings as each of the other engines.
    for engine in ["whole", "tiles", "filter,tiles", "columns"] {
        cargo(&[
            "clippy",
            "-p",
            "nearshore-wasm",
            "--no-default-features",
            "--features",
            engine,
            "--target",
            setup::WASM,
            "--",
            "-D",
            "warnings",
        ])
        .run()?;
    }
    Ok(())
}

/// The machine code of the distance kernels: full-width registers, no fused rounding.
fn machine_code(_: &mut Tally) -> Result<()> {
    codegen::run(&[]).map_err(anyhow::Error::msg)
}

/// The documentation of every crate, private items included, with each link in it.
fn docs(_: &mut Tally) -> Result<()> {
    cargo(&["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"])
        .env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private-intra-doc-links")
        .run()
}

/// Crates that are tested by themselves: the bindings have no tests of their own, and what they depend on asks for more of what all depend
/// on. One selection for all steps that need what tests compile, or cargo compiles it again.
const ELSEWHERE: [&str; 4] = ["--exclude", "xtask", "--exclude", "nearshore-wasm"];

/// Unit, property, baseline and hostile tests of every crate, programs in C and C++ among them, and the examples in their documentation.
fn crates(tally: &mut Tally) -> Result<()> {
    // Some compare with the independent reader.
    setup::python()?;
    // The commands of `docs/serving.md`, and those that the README has of it, are run as written.
    setup::curl()?;
    for compiler in ["cc", "c++"] {
        if find(&[compiler]).is_none() {
            println!("skipped: programs for {compiler}, which is not on the PATH");
        }
    }
    tally.runner(cargo(&["test", "--workspace", "--no-fail-fast"]).args(ELSEWHERE))?;
    // In the profile that is compiled already, as this program runs in it.
    tally.runner(cargo(&["test", "--package", "xtask", "--profile", "dev"]))
}

/// The reader of the format that shares no code with ours.
fn reader(tally: &mut Tally) -> Result<()> {
    tally.runner(program(setup::python()?).args(["-m", "unittest", "discover", "--start-directory", "tests/reader"]))
}

/// The C interface through Python: the adapter for ann-benchmarks. (Programs in C and C++ are tests of its crate.)
fn capi(tally: &mut Tally) -> Result<()> {
    // The library lies beside the tests that link to it.
    cargo(&["test", "--workspace", "--no-run"]).args(ELSEWHERE).run()?;
    let library = workspace::target().join(format!("debug/deps/{DLL_PREFIX}nearshore_c{DLL_SUFFIX}"));
    match setup::numpy() {
        Ok(python) => {
            let arguments = ["-m", "unittest", "discover", "--start-directory", "tests/ann-benchmarks"];
            tally.runner(program(python).args(arguments).env("NEARSHORE_LIBRARY", library))
        }
        Err(error) => {
            println!("skipped: the adapter for ann-benchmarks, for want of numpy: {error:#}");
            Ok(())
        }
    }
}

/// The npm package: packed, then its own tests, the browser's included.
fn package(tally: &mut Tally) -> Result<()> {
    let tarball = pack::pack()?;
    println!("{}", tarball.display());
    setup::web_servers();
    for folder in ["npm/test", "npm/test/lazy", "npm/test/kept"] {
        tally.runner(node_tests(folder)?.env("CHROMIUM", setup::chromium()?))?;
    }
    Ok(())
}

/// Golden files and builds in Node, in Chromium and on the command line: the native library's answers and bytes.
fn conformance(tally: &mut Tally) -> Result<()> {
    // The one that the tests of the command run.
    cargo(&["test", "--workspace", "--no-run"]).args(ELSEWHERE).run()?;
    let binary = workspace::target().join("debug/nearshore");
    tally.runner(program("node").args(["--test", "tests/conformance/run.mjs"]).env("CHROMIUM", setup::chromium()?).env("NEARSHORE", binary))
}

/// The packed package as strangers use it.
fn consumers(tally: &mut Tally) -> Result<()> {
    setup::npm_packages("tests/packaging")?;
    tally.runner(node_tests("tests/packaging")?.env("CHROMIUM", setup::chromium()?))
}

/// The same, with every bundler and run-time.
fn all_consumers(tally: &mut Tally) -> Result<()> {
    tally.runner(node_tests("tests/packaging")?.env("CHROMIUM", setup::chromium()?).env("NEARSHORE_FULL", "1"))
}

/// The demo's data, indexes and pages, used in Chromium as a person would.
fn page(tally: &mut Tally) -> Result<()> {
    demo::prepare(release(tally))?;
    let picture = workspace::target().join("demo/demo.png");
    let words = workspace::target().join("demo/words.png");
    let tests = node_tests("web-demo/test")?.env("CHROMIUM", setup::chromium()?);
    tally.runner(tests.env("SCREENSHOT", picture).env("SCREENSHOT_WORDS", words))
}

/// Every command of the README, as written.
fn readme(tally: &mut Tally) -> Result<()> {
    tally.passed(readme::check(release(tally))?);
    Ok(())
}

/// What the release builds of a run are told: those of `--full` are as users get them.
fn release(tally: &Tally) -> &'static [(&'static str, &'static str)] {
    if tally.full { &[] } else { &demo::QUICK }
}

/// What the build script makes of the gRPC service, compared with what a full compiler makes of it.
fn proto(_: &mut Tally) -> Result<()> {
    cargo(&["run", "--quiet", "--manifest-path", "tests/proto/Cargo.toml"]).run()
}

/// The guide's program for Ray: the bytes of the one command.
fn ray(_: &mut Tally) -> Result<()> {
    let python = match setup::ray() {
        Ok(python) => python,
        Err(error) => {
            println!("skipped: the guide's program, for want of Ray: {error:#}");
            return Ok(());
        }
    };
    // The one that the tests of the command run.
    cargo(&["test", "--workspace", "--no-run"]).args(ELSEWHERE).run()?;
    let place = workspace::target().join("ray");
    let binaries = workspace::target().join("debug");
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(binaries).chain(std::env::split_paths(&paths)))?;
    // Left by a run that failed, it would be gone on with.
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place)?;
    let rows = "import array, random\nrandom.seed(7)\nn, d = 6000, 32\nwith open('base.fbin', 'wb') as f:\n  f.write(array.array('I', [n, d]).tobytes())\n  array.array('f', (random.gauss(0, 1) for _ in range(n * d))).tofile(f)\n";
    program(&python).args(["-c", rows]).dir(&place).run()?;
    let options = ["--metric", "cosine", "--memory", "256MiB", "--partitions", "3", "--m", "8"];
    let script = workspace::root().join("docs/guides/ray_build.py");
    program(&python).arg(script).args(["base.fbin", "ray.shore"]).args(options).env("PATH", &path).dir(&place).run()?;
    let nearshore = workspace::target().join("debug/nearshore");
    program(nearshore).args(["build", "base.fbin", "-o", "one.shore"]).args(options).dir(&place).run()?;
    if std::fs::read(place.join("ray.shore"))? != std::fs::read(place.join("one.shore"))? {
        bail!("a build on Ray gives other bytes than the one command");
    }
    Ok(std::fs::remove_dir_all(&place)?)
}

/// A long random campaign against everything that reads bytes from strangers; and the coverage-guided targets compile.
fn fuzz(tally: &mut Tally) -> Result<()> {
    tally.runner(
        cargo(&["test", "--release", "--package", "nearshore-hostile", "--test", "malice"])
            .env("NEARSHORE_FUZZ_ROUNDS", "400000")
            .env("NEARSHORE_FUZZ_SEED", "11"),
    )?;
    tally.runner(cargo(&["test", "--package", "nearshore-hostile", "--test", "flips"]).env("NEARSHORE_FULL", "1"))?;
    cargo(&["check", "--manifest-path", "fuzz/Cargo.toml"]).run()
}

/// The benchmarks compile and run, once over each; in WebAssembly every kernel gives what scalar ones give.
fn benches(_: &mut Tally) -> Result<()> {
    program("node").args(["core/benches/wasm.mjs", "--proof"]).run()?;
    cargo(&["bench", "--manifest-path", "core/benches/Cargo.toml", "--bench", "distance", "--", "--test"]).run()
}

/// Node's test runner over the `.test.mjs` files of a folder, two at a time: most of their time is waiting for a browser.
fn node_tests(folder: &str) -> Result<Process> {
    let mut files: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(workspace::root().join(folder))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".test.mjs") {
            files.push(format!("{folder}/{name}"));
        }
    }
    files.sort();
    Ok(program("node").args(["--test", "--test-concurrency=2", "--test-reporter=spec"]).args(files))
}

/// The core's tests as another machine runs them; there a missing backend is a failure.
fn emulated(tally: &mut Tally) -> Result<()> {
    let (linker, emulator) = setup::emulator()?;
    let runner = format!("{} -L /usr/aarch64-linux-gnu", emulator.display());
    tally.runner(
        cargo(&["test", "-p", "nearshore-core", "--lib", "--target", setup::ARM])
            .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", linker)
            .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", runner)
            .env("NEARSHORE_TEST_BACKENDS", "neon"),
    )
}

/// The live index's readers beside its writer, in every order in which they may meet.
fn loom(tally: &mut Tally) -> Result<()> {
    let arguments = ["test", "--package", "nearshore-core", "--lib", "live::model"];
    // Its own target folder: everything is compiled with another flag.
    let target = workspace::target().join("loom");
    tally.runner(cargo(&arguments).env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", target))
}

/// The rows of the live index, written while they are read, under an interpreter that knows every rule of memory.
fn miri(tally: &mut Tally) -> Result<()> {
    setup::miri()?;
    let cargo = ["run", "nightly", "cargo", "miri", "test", "--package", "nearshore-core", "--features", "std", "--lib"];
    let arguments = cargo.iter().chain(&["--", "live::rows", "live::current"]);
    // Its own target folder: it compiles for a machine of its own.
    tally.runner(program("rustup").args(arguments).env("CARGO_TARGET_DIR", workspace::target().join("miri")))
}
