//! `cargo xtask pack`: the npm package as it would be published, `npm/nearshore-<version>.tgz`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::args::Arguments;
use crate::process::program;
use crate::{size, wasm, workspace};

pub(crate) fn run(arguments: &mut Arguments) -> Result<()> {
    arguments.end()?;
    let tarball = pack()?;
    size::check()?;
    println!("{}", tarball.display());
    Ok(())
}

/// Builds the engine, the scripts and the types, and packs them.
///
/// # Errors
/// When a tool fails or leaves no tarball.
pub(crate) fn pack() -> Result<PathBuf> {
    dist()?;
    let npm = workspace::root().join("npm");
    for entry in fs::read_dir(&npm)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "tgz") {
            fs::remove_file(path)?;
        }
    }
    // `npm pack` prints the tarball's name; its working folder is the package, so that no other package is meant.
    let name = program("npm").args(["pack", "--silent", "--pack-destination", "npm", "./npm"]).read()?;
    let name = name.lines().last().context("npm pack named no file")?;
    Ok(npm.join(name.trim()))
}

/// The package's `dist/`: everything that is published, before it is packed.
///
/// # Errors
/// When a tool fails.
pub(crate) fn dist() -> Result<()> {
    wasm::build()?;
    program("node").arg("npm/build.mjs").run()
}
