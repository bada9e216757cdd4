//! `cargo xtask tidy`: the rules of the house that no compiler knows.
//!
//! A rule looks at one file and says what is wrong with it; [`RULES`] lists them. Rules about code see text without comments, strings
//! and literals (`source`), so a word in a sentence offends no one. Each finding names file and line, and what would be right.

mod dependencies;
mod source;

use anyhow::{Result, bail};

use crate::args::Arguments;
use crate::process::program;
use crate::workspace;

/// Core's modules, each using only those before it.
const ORDER: &[&str] = &[
    "words", "error", "id", "slots", "seed", "par", "sort", "simd", "distance", "format", "vectors", "filter", "quant", "graph", "search",
    "index", "build", "live",
];

/// Where `unsafe` may stand, and why there.
const UNSAFE_ROOMS: &[(&str, &str)] = &[
    ("core/src/simd/", "vector instructions"),
    ("core/src/distance/table", "calls through the table of detected instructions"),
    ("core/src/live/", "rows that readers see while a writer appends"),
    ("native/src/io/", "memory maps, io_uring"),
    ("native/capi/src/abi/", "pointers and floating-point modes of a C caller"),
];

/// Lines that make a file too long.
const LINES_MAX: usize = 500;

/// Bytes that a file in the repository may have.
const BYTES_MAX: usize = 1024 * 1024;

/// Larger files, and what each is.
const LARGE: &[(&str, &str)] = &[
    ("web-demo/fixtures/fashion.rows.br", "Fashion-MNIST, the images of the demo, compressed"),
    ("web-demo/fixtures/words.i8.br", "vectors of 20,000 words, by which the demo embeds definitions and what is typed, compressed"),
];

/// What the text of the project never says. Spelled in two halves, so that this list may stand here.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("/wo", "rk/", "a path of one machine"),
    ("/ho", "me/", "a path of one machine"),
    ("/Us", "ers/", "a path of one machine"),
    ("/ro", "ot/", "a path of one machine"),
    ("registry.np", "mjs.org", "the host of a package registry"),
    ("registry.ya", "rnpkg.com", "the host of a package registry"),
    ("static.cra", "tes.io", "the host of a package registry"),
    ("index.cra", "tes.io", "the host of a package registry"),
    ("deb.deb", "ian.org", "the host of a package registry"),
    ("py", "pi.org", "the host of a package registry"),
];

/// One tracked file.
struct File {
    path: String,
    bytes: Vec<u8>,
}

/// A rule pushes `line: what is wrong` for everything that it finds.
type Rule = fn(&File, &mut Vec<String>);

const RULES: &[Rule] = &[size, words, lock_files, ascii, length, module_doc, unsafe_rooms, upward_use, order_in_words, hash_order];

pub(crate) fn run(arguments: &mut Arguments) -> Result<()> {
    arguments.end()?;
    check()
}

/// Checks every file that git tracks or would track, and every crate that comes in.
///
/// # Errors
/// When anything was found; each finding was printed.
pub(crate) fn check() -> Result<()> {
    let list = program("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).read()?;
    let (mut files, mut found) = (0, 0);
    for path in list.split('\0').filter(|path| !path.is_empty()) {
        // A file deleted but not yet committed is listed and not there.
        let Ok(bytes) = std::fs::read(workspace::root().join(path)) else { continue };
        let file = File { path: path.to_owned(), bytes };
        files += 1;
        for finding in findings(&file) {
            println!("{path}:{finding}");
            found += 1;
        }
    }
    for finding in dependencies::findings()? {
        println!("{finding}");
        found += 1;
    }
    if found > 0 {
        bail!("{found} findings");
    }
    println!("{files} files are tidy");
    Ok(())
}

fn findings(file: &File) -> Vec<String> {
    let mut found = Vec::new();
    for rule in RULES {
        rule(file, &mut found);
    }
    found
}

impl File {
    fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok().filter(|text| !text.contains('\0'))
    }

    fn is(&self, endings: &[&str]) -> bool {
        endings.iter().any(|ending| self.path.ends_with(ending))
    }

    /// Code without comments and literals, when this is Rust.
    fn code(&self) -> Option<String> {
        if self.is(&[".rs"]) { self.text().map(source::code) } else { None }
    }

    /// The module of core that this file belongs to, and how many modules lie above it.
    fn core_module(&self) -> Option<(&str, usize)> {
        let inside = self.path.strip_prefix("core/src/")?.strip_suffix(".rs")?;
        let test = inside.split('/').any(|part| part == "tests");
        if inside == "lib" || test {
            return None;
        }
        let depth = inside.split('/').count() - usize::from(inside.ends_with("/mod"));
        Some((inside.split('/').next()?, depth))
    }
}

fn size(file: &File, found: &mut Vec<String>) {
    if file.bytes.len() > BYTES_MAX && !LARGE.iter().any(|(path, _)| *path == file.path) {
        found.push(format!("1: {} bytes; a file above {BYTES_MAX} needs an entry in LARGE with its reason", file.bytes.len()));
    }
}

fn words(file: &File, found: &mut Vec<String>) {
    let Some(text) = file.text() else { return };
    for (head, tail, what) in FORBIDDEN {
        let word = format!("{head}{tail}");
        for (number, line) in text.lines().enumerate() {
            if line.contains(&word) {
                found.push(format!("{}: names {word}, {what}", number + 1));
            }
        }
    }
}

fn lock_files(file: &File, found: &mut Vec<String>) {
    if !file.is(&["package-lock.json"]) {
        return;
    }
    let lines = file.text().unwrap_or("").lines().enumerate();
    for (number, _) in lines.filter(|(_, line)| line.contains("\"resolved\": \"http")) {
        found.push(format!("{}: names the host that a package came from; set omit-lockfile-registry-resolved in .npmrc", number + 1));
    }
}

fn ascii(file: &File, found: &mut Vec<String>) {
    if file.is(&[".rs"]) {
        for (number, line) in file.bytes.split(|&byte| byte == b'\n').enumerate() {
            if !line.is_ascii() {
                found.push(format!("{}: a byte that is not ASCII; write it as an escape", number + 1));
            }
        }
    }
}

fn length(file: &File, found: &mut Vec<String>) {
    if file.is(&[".rs", ".ts", ".js", ".mjs", ".py", ".css"]) {
        let lines = file.bytes.iter().filter(|&&byte| byte == b'\n').count();
        if lines > LINES_MAX {
            found.push(format!("{LINES_MAX}: {lines} lines; split it, a file is one idea"));
        }
    }
}

fn module_doc(file: &File, found: &mut Vec<String>) {
    if file.is(&[".rs"]) && !file.text().is_some_and(|text| text.trim_start().starts_with("//!")) {
        found.push("1: no module doc; open the file with `//!` and its story".to_owned());
    }
}

fn unsafe_rooms(file: &File, found: &mut Vec<String>) {
    let Some(code) = file.code() else { return };
    if UNSAFE_ROOMS.iter().any(|(room, _)| file.path.starts_with(room)) {
        return;
    }
    for (number, line) in code.lines().enumerate() {
        if identifiers(line).any(|word| word == "unsafe") {
            found.push(format!("{}: `unsafe` outside its rooms", number + 1));
        }
    }
}

fn upward_use(file: &File, found: &mut Vec<String>) {
    let (Some((module, depth)), Some(code)) = (file.core_module(), file.code()) else { return };
    let Some(rank) = ORDER.iter().position(|name| *name == module) else {
        found.push(format!("1: module {module} has no place in the order of core's modules; give it one in ORDER"));
        return;
    };
    for (number, line, name) in crate_names(source::shipped(&code), depth) {
        if ORDER.iter().position(|other| *other == name).is_some_and(|other| other > rank) {
            found.push(format!("{number}: {module} uses {name}, which comes after it ({}); move the shared thing down", line.trim()));
        }
    }
}

/// The map that people read names the same order.
fn order_in_words(file: &File, found: &mut Vec<String>) {
    let order = ORDER.join(", ");
    if file.path == "ARCHITECTURE.md" && !file.text().is_some_and(|text| text.contains(&order)) {
        found.push(format!("1: the order of core's modules is not this one: {order}"));
    }
}

/// Every `crate::name` in code, by line, also in groups (`crate::{a, b::C}`) and through `super` from a module `depth` below the root.
fn crate_names(code: &str, depth: usize) -> Vec<(usize, &str, &str)> {
    let mut names = Vec::new();
    let roots = ["crate::".to_owned(), "super::".repeat(depth)];
    for root in &roots {
        for (at, _) in code.match_indices(root.as_str()) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let number = code[..at].matches('\n').count() + 1;
            let line = code.lines().nth(number - 1).unwrap_or("");
            let rest = &code[at + root.len()..];
            match rest.strip_prefix('{') {
                Some(group) => names.extend(group_heads(group).into_iter().map(|name| (number, line, name))),
                None => names.extend(identifiers(rest).next().map(|name| (number, line, name))),
            }
        }
    }
    names
}

/// The first name of every entry of a `use` group, given the text after its brace.
fn group_heads(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut heads) = (0_usize, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                heads.extend(identifiers(&group[start..at]).next());
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    heads
}

fn hash_order(file: &File, found: &mut Vec<String>) {
    let (Some(_), Some(code)) = (file.core_module(), file.code()) else { return };
    for (number, line) in source::shipped(&code).lines().enumerate() {
        if let Some(word) = identifiers(line).find(|word| ["HashMap", "HashSet"].contains(word)) {
            found.push(format!("{}: {word} has no order, and results must have one; use BTreeMap or a sorted Vec", number + 1));
        }
    }
}

fn identifiers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        findings(&File { path: path.to_owned(), bytes: text.as_bytes().to_vec() })
    }

    #[test]
    fn a_tidy_file_has_no_findings() {
        let text = "//! Story.\nuse crate::{error::Corrupt, simd};\n/// unsafe in words is fine, so is \"HashMap\".\nfn f() {}\n";
        assert!(found("core/src/format/reader.rs", text).is_empty());
    }

    #[test]
    fn a_module_may_not_look_up() {
        assert_eq!(found("core/src/simd/scalar.rs", "//! S.\nuse crate::search::Hit;\n").len(), 1);
        assert_eq!(found("core/src/simd/scalar.rs", "//! S.\nuse crate::{\n    error::Corrupt,\n    live::{self, A},\n};\n").len(), 1);
        assert_eq!(found("core/src/simd/scalar.rs", "//! S.\nuse super::super::index::Index;\n").len(), 1);
        assert_eq!(found("core/src/simd/mod.rs", "//! S.\nfn f() { super::index::open() }\n").len(), 1);
        assert!(found("core/src/simd/scalar.rs", "//! S.\nuse super::index::Lane;\n").is_empty());
        assert!(found("core/src/simd.rs", "//! S.\n#[cfg(test)]\nmod tests { use crate::search::Hit; }\n").is_empty());
    }

    #[test]
    fn a_module_without_a_place_is_named() {
        assert_eq!(found("core/src/utils.rs", "//! S.\n").len(), 1);
    }

    #[test]
    fn unsafe_stays_in_its_rooms() {
        let text = "//! S.\n#![forbid(unsafe_code)]\nfn f() { unsafe { g() } }\n";
        assert_eq!(found("native/src/cli/main.rs", text), ["3: `unsafe` outside its rooms"]);
        assert!(found("native/src/io/mmap.rs", text).is_empty());
    }

    #[test]
    fn shape_of_files() {
        assert_eq!(found("xtask/src/a.rs", "fn f() {}\n").len(), 1);
        assert_eq!(found("xtask/src/a.rs", "//! caf\u{e9}\n").len(), 1);
        assert_eq!(found("npm/src/a.ts", &"x\n".repeat(LINES_MAX + 1)).len(), 1);
        assert_eq!(found("tests/golden/big.shore", &"x".repeat(BYTES_MAX + 1)).len(), 1);
        assert_eq!(found("core/src/graph/a.rs", "//! S.\nuse std::collections::HashMap;\n").len(), 1);
        assert_eq!(found("npm/package-lock.json", "{\n\"resolved\": \"https://example.org/a.tgz\" }").len(), 1);
        assert_eq!(found("README.md", concat!("see /wo", "rk/x\n")).len(), 1);
    }
}
