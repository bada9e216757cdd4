//! Which crates may come in: from the registry only, under licences that go with ours, and into `core` and `wasm` only by name.
//!
//! Read from `cargo metadata`, so it speaks of what the lock file resolves to, all platforms and features included.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::process::cargo;

/// Licences that a binary or a download of ours may carry.
const LICENCES: &[&str] = &[
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "0BSD",
];

/// What a crate may depend on, where every byte or every assumption counts: our own crates among them, so arrows go one way.
const MAY_USE: &[(&str, &[&str])] = &[
    ("nearshore-core", &["bytemuck", "cfg-if", "libm", "once_cell", "xxhash-rust"]),
    ("nearshore-capi", &["nearshore"]),
    ("nearshore-wasm", &["nearshore-core", "bytemuck", "dlmalloc", "wasm-bindgen", "js-sys", "web-sys"]),
];

/// Findings about the dependency graph.
///
/// # Errors
/// When cargo cannot resolve it.
pub(super) fn findings() -> Result<Vec<String>> {
    let text = cargo(&["metadata", "--format-version", "1", "--locked"]).read()?;
    let graph: Value = serde_json::from_str(&text).context("`cargo metadata` printed no JSON")?;
    Ok(judge(graph["packages"].as_array().context("`cargo metadata` names no packages")?))
}

fn judge(packages: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    let may_use: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    for package in packages {
        let text = |key: &str| package[key].as_str().unwrap_or("");
        let (name, version, source) = (text("name"), text("version"), text("source"));
        let ours = package["source"].is_null();
        if !ours && !source.starts_with("registry+") {
            found.push(format!("{name} {version}: comes from {source}; only the registry keeps what it gave"));
        }
        if !ours && !licensed(text("license")) {
            found.push(format!("{name} {version}: licence \"{}\" is not among those that go with ours", text("license")));
        }
        let Some(allowed) = may_use.get(name).filter(|_| ours) else { continue };
        for dependency in package["dependencies"].as_array().into_iter().flatten().filter(|dependency| dependency["kind"].is_null()) {
            let other = dependency["name"].as_str().unwrap_or("");
            if !allowed.contains(&other) {
                found.push(format!("{name} uses {other}; it may use {}", allowed.join(", ")));
            }
        }
    }
    found
}

/// Whether one alternative of a licence expression holds only licences of the list.
fn licensed(expression: &str) -> bool {
    let (mut depth, mut start, mut alternatives) = (0_usize, 0, Vec::new());
    let text = expression.replace('/', " OR ");
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ' ' if depth == 0 && text[at..].starts_with(" OR ") => {
                alternatives.push(&text[start..at]);
                start = at + " OR ".len();
            }
            _ => {}
        }
    }
    alternatives.push(&text[start..]);
    alternatives.iter().any(|alternative| {
        alternative.trim().split(" AND ").all(|part| {
            let part = part.trim();
            match part.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
                Some(inner) => licensed(inner),
                None => LICENCES.contains(&part),
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_alternative_must_hold() {
        for good in
            ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "(MIT OR Apache-2.0) AND Unicode-3.0", "Apache-2.0 WITH LLVM-exception OR GPL-2.0"]
        {
            assert!(licensed(good), "{good}");
        }
        for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "(GPL-2.0 OR AGPL-3.0) AND MIT"] {
            assert!(!licensed(bad), "{bad}");
        }
    }

    #[test]
    fn strangers_and_upward_arrows_are_named() {
        let packages = [
            json!({ "name": "a", "version": "1.0.0", "source": "git+https://example.org/a", "license": "MIT" }),
            json!({ "name": "b", "version": "1.0.0", "source": "registry+x", "license": "GPL-3.0" }),
            json!({ "name": "nearshore-core", "source": null, "dependencies": [
                { "name": "bytemuck", "kind": null }, { "name": "nearshore", "kind": null }, { "name": "proptest", "kind": "dev" }] }),
        ];
        let found = judge(&packages);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[2].starts_with("nearshore-core uses nearshore;"));
    }
}
