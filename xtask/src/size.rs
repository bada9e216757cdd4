//! `cargo xtask size`: what one browser downloads, held against its budget.

use anyhow::Result;

use crate::args::Arguments;
use crate::pack;
use crate::process::program;

pub(crate) fn run(arguments: &mut Arguments) -> Result<()> {
    arguments.end()?;
    pack::dist()?;
    check()
}

/// Prints the sizes of what was built; the script that measures holds the budget.
///
/// # Errors
/// When the download is above the budget.
pub(crate) fn check() -> Result<()> {
    program("node").arg("npm/size.mjs").run()
}
