//! Where things are.

use std::path::{Path, PathBuf};

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// Where cargo builds: `CARGO_TARGET_DIR`, else `target`; always absolute, so that it holds in any working directory.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(place) => std::path::absolute(&place).unwrap_or_else(|_| PathBuf::from(place)),
        None => root().join("target"),
    }
}
