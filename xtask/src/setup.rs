//! `cargo xtask setup`: what the other tasks need on a machine that has cargo and Node and nothing else of ours.
//!
//! Every function finds a thing or installs it through the ordinary client of its registry (rustup, npm, apt); when neither works, the
//! error says in one sentence what a person can do. All are cheap when the thing is there, so tasks call them without asking first.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::args::Arguments;
use crate::process::{find, program};
use crate::workspace;

/// The target that a browser runs.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";
/// The second native architecture, checked and (with `--full`) run under an emulator.
pub(crate) const ARM: &str = "aarch64-unknown-linux-gnu";

pub(crate) fn run(arguments: &mut Arguments) -> Result<()> {
    arguments.end()?;
    targets()?;
    node()?;
    for package in ["npm", "web-demo"] {
        if workspace::root().join(package).join("package-lock.json").is_file() {
            npm_packages(package)?;
        }
    }
    println!("python: {}", python()?.display());
    println!("chromium: {}", chromium()?.display());
    web_servers();
    Ok(())
}

/// The standard libraries of the two targets that are not the host.
///
/// # Errors
/// When one is missing and rustup cannot add it.
pub(crate) fn targets() -> Result<()> {
    let sysroot = program("rustc").args(["--print", "sysroot"]).read()?;
    let libraries = Path::new(sysroot.trim()).join("lib/rustlib");
    let missing: Vec<&str> = [WASM, ARM].into_iter().filter(|target| !libraries.join(target).join("lib").is_dir()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if find(&["rustup"]).is_none() {
        bail!("the standard library for {} is missing: install rustup, or the package of your system that holds it", missing.join(" and "));
    }
    program("rustup").args(["target", "add"]).args(missing).run()
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

/// The npm packages that `directory` of the repository locks, installed exactly as locked. Nothing is done while the lock is the one
/// that was installed last.
///
/// # Errors
/// When npm fails.
pub(crate) fn npm_packages(directory: &str) -> Result<()> {
    let place = workspace::root().join(directory);
    let lock = std::fs::read(place.join("package-lock.json")).with_context(|| format!("{directory} has no package-lock.json"))?;
    let installed = place.join("node_modules/.installed-lock.json");
    if std::fs::read(&installed).is_ok_and(|last| last == lock) {
        return Ok(());
    }
    program("npm").args(["ci", "--no-audit", "--no-fund"]).dir(&place).run()?;
    if installed.parent().is_some_and(Path::is_dir) {
        std::fs::write(&installed, lock)?;
    }
    Ok(())
}

/// A Chromium: the one that `CHROMIUM` names, else one on the PATH, else the system's package.
///
/// # Errors
/// When there is none and none can be installed.
pub(crate) fn chromium() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM").map(PathBuf::from) {
        if !named.is_file() {
            bail!("CHROMIUM names {}, which is no file", named.display());
        }
        return Ok(named);
    }
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    system_program(&names, &["chromium"], "install Chromium, or name its binary in CHROMIUM")
}

/// Web servers that tests fetch files from, and the packages that bring them.
const WEB_SERVERS: [(&str, &str); 3] = [("nginx", "nginx"), ("caddy", "caddy"), ("apache2", "apache2-bin")];

/// Servers of static files. Where one is missing and cannot be installed its tests skip themselves, and say so.
pub(crate) fn web_servers() {
    let missing: Vec<(&str, &str)> = WEB_SERVERS.into_iter().filter(|(program, _)| find(&[program]).is_none()).collect();
    if let Some((program, _)) = missing.first() {
        let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
        if let Err(error) = system_program(&[program], &packages, "its tests are skipped") {
            println!("skipped: tests with a web server: {error:#}");
        }
    }
}

/// Python 3, for the reader of the format that shares no code with ours; its standard library is enough.
///
/// # Errors
/// When there is none and none can be installed.
pub(crate) fn python() -> Result<PathBuf> {
    system_program(&["python3"], &["python3"], "install Python 3, the standard library is enough")
}

/// curl, as which the documentation speaks to a server.
///
/// # Errors
/// When there is none and none can be installed.
pub(crate) fn curl() -> Result<PathBuf> {
    system_program(&["curl"], &["curl", "ca-certificates"], "install curl, by which the pages about serving speak to a server")
}

/// A Python that has numpy, in an environment of its own: the system's is not ours to change.
///
/// # Errors
/// When Python cannot make an environment or pip cannot install.
pub(crate) fn numpy() -> Result<PathBuf> {
    python_with("numpy", "python")
}

/// A Python that has Ray, in another environment: it is large.
///
/// # Errors
/// When Python cannot make an environment or pip cannot install.
pub(crate) fn ray() -> Result<PathBuf> {
    python_with("ray", "python-ray")
}

/// A Python in an environment `name` that has `package`.
fn python_with(package: &str, name: &str) -> Result<PathBuf> {
    let place = workspace::target().join(name);
    let own = place.join("bin/python3");
    let there = || own.is_file() && program(&own).args(["-c", &format!("import {package}")]).read().is_ok();
    if !there() {
        let advice = "install what Python needs for `python3 -m venv` (on Debian and Ubuntu: python3-venv)";
        program(python()?).args(["-m", "venv"]).arg(&place).run().context(advice)?;
        program(&own).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]).run()?;
    }
    Ok(own)
}

/// Miri, the interpreter that finds undefined behaviour, of the nightly toolchain.
///
/// # Errors
/// When it is missing and rustup cannot add it.
pub(crate) fn miri() -> Result<()> {
    if find(&["rustup"]).is_none() {
        bail!("Miri comes with a nightly toolchain: install rustup, which brings it");
    }
    let there = program("rustup").args(["run", "nightly", "cargo", "miri", "--version"]).read();
    if there.is_err() {
        program("rustup").args(["toolchain", "install", "nightly", "--profile", "minimal", "--component", "miri,rust-src"]).run().context(
            "no nightly toolchain with Miri can be had today (it is left out of some nightlies); everything else runs without it",
        )?;
    }
    program("rustup").args(["run", "nightly", "cargo", "miri", "setup"]).run()
}

/// A linker and an emulator for the second native architecture.
///
/// # Errors
/// When one is missing and cannot be installed.
pub(crate) fn emulator() -> Result<(PathBuf, PathBuf)> {
    let advice = "install a cross compiler and the user-mode emulator for aarch64";
    let linker = system_program(&["aarch64-linux-gnu-gcc"], &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"], advice)?;
    let emulator = system_program(&["qemu-aarch64", "qemu-aarch64-static"], &["qemu-user"], advice)?;
    Ok((linker, emulator))
}

/// A program that a system package brings: found, or installed where that needs no one's password.
fn system_program(names: &[&str], packages: &[&str], advice: &str) -> Result<PathBuf> {
    if let Some(found) = find(names) {
        return Ok(found);
    }
    let administrator = program("id").arg("-u").read().is_ok_and(|id| id.trim() == "0");
    if find(&["apt-get"]).is_none() || !administrator {
        bail!("{} is not on the PATH: {advice} (on Debian and Ubuntu: `sudo apt-get install {}`)", names[0], packages.join(" "));
    }
    program("apt-get").arg("update").run()?;
    program("apt-get")
        .args(["install", "--yes", "--no-install-recommends"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Programs are wanted, not services that start with their packages.
        .env("RUNLEVEL", "1")
        .run()?;
    find(names).with_context(|| format!("installing {} brought no {}", packages.join(" "), names[0]))
}
