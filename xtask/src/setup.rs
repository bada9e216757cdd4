//! `cargo xtask setup`: what the other tasks need on a machine that has cargo and Node and nothing else of ours.
//!
//! Every function finds a thing or installs it through the ordinary client of its registry (rustup, npm, apt); when neither works, the
//! error says in one sentence what a person can do. All are cheap when the thing is there, so tasks call them without asking first.

use anyhow::{Context as _, Result, bail};

use crate::args::Arguments;
use crate::process::{find, program};

/// The target that a browser runs.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";
/// The second native architecture, checked and (with `--full`) run under an emulator.
pub(crate) const ARM: &str = "aarch64-unknown-linux-gnu";

pub(crate) fn run(arguments: &mut Arguments) -> Result<()> {
    arguments.end()?;
    targets()?;
    node()
}

/// The standard libraries of the two targets that are not the host.
///
/// # Errors
/// When rustup is missing or cannot add one.
pub(crate) fn targets() -> Result<()> {
    if find(&["rustup"]).is_none() {
        let sysroot = program("rustc").args(["--print", "sysroot"]).read()?;
        let libraries = std::path::Path::new(sysroot.trim()).join("lib/rustlib");
        for target in [WASM, ARM] {
            if !libraries.join(target).is_dir() {
                bail!("the standard library for {target} is missing: install rustup, or the package of your system that holds it");
            }
        }
        return Ok(());
    }
    let installed = program("rustup").args(["target", "list", "--installed"]).read()?;
    for target in [WASM, ARM] {
        if !installed.lines().any(|line| line.trim() == target) {
            program("rustup").args(["target", "add", target]).run()?;
        }
    }
    Ok(())
}

/// Node, recent enough to run the package's tests.
///
/// # Errors
/// When it is missing or too old.
pub(crate) fn node() -> Result<()> {
    let version = program("node").arg("--version").read().context("Node 20 or newer must be on the PATH")?;
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|text| text.parse::<u32>().ok());
    if major.is_none_or(|major| major < 20) {
        bail!("Node 20 or newer must be on the PATH, found {}", version.trim());
    }
    Ok(())
}
