//! What the tests that span crates share: seeded rows, the list of golden files, and expected answers as JSON.
//!
//! - [`rows`]: rows, ids and payloads by formula, so that a script in another language can make the same;
//! - [`golden`]: each golden file's recipe, built by the core;
//! - [`columns`]: values for filters by formula;
//! - [`expected`]: the answers beside a golden file, written once by the scalar kernels and read by every door;
//! - [`builds`]: larger builds of which only the SHA-256 is kept;
//! - [`compare`]: one comparison that shows row, distance and bits of both sides.
//!
//! `BLESS=1 cargo test -p nearshore-tests` rewrites what is kept; the difference is for a person to judge.

pub mod builds;
pub mod columns;
pub mod compare;
pub mod expected;
pub mod golden;
pub mod rows;

use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

/// A place under the repository's `tests` folder.
#[must_use]
pub fn place(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// SHA-256 in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares `bytes` with the file kept at `path`, or keeps them under `BLESS=1`.
///
/// # Errors
/// What differs, and what to do about it.
pub fn keep(path: &str, bytes: &[u8]) -> Result<(), String> {
    let file = place(path);
    if std::env::var_os("BLESS").is_some_and(|value| value == "1") {
        return std::fs::write(&file, bytes).map_err(|error| format!("{path}: {error}"));
    }
    let kept = std::fs::read(&file).map_err(|error| format!("{path}: {error}; BLESS=1 writes it"))?;
    if kept == bytes {
        return Ok(());
    }
    let at = kept.iter().zip(bytes).position(|(a, b)| a != b).unwrap_or(kept.len().min(bytes.len()));
    Err(format!(
        "{path}: {} bytes kept, {} made, first difference at byte {at}; if it is meant, BLESS=1 keeps the new one",
        kept.len(),
        bytes.len()
    ))
}
