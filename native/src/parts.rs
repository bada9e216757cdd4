//! A `.shore` file in parts, for hosts that send whole files only, or none above some size.
//!
//! ```text
//! big.shore.json               lists the parts, in their order: name, bytes, SHA-256
//! big.shore.3f2a9c...e1.part   bytes 0 to P of the file; named by the first 16 digits of its digest, so that it never changes
//! big.shore.90b1d4...77.part   bytes P to 2 P; and so on, the last one shorter
//! ```
//! The list is laid out in `core/FORMAT.md`, "A file in parts". Whoever reads takes a part as a whole and believes none whose digest is another.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nearshore_core::format::{HEADER_BYTES, Header, Sink};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::io::{FileSink, ScratchFile};

/// The smallest part: a header and more.
pub const PART_MIN: u64 = 64 << 10;

/// Parts of a file at most.
const PARTS_MAX: usize = 100_000;
/// Bytes of a list that is read.
const LIST_BYTES_MAX: u64 = 64 << 20;
/// What a list says that it is.
const FORMAT: &str = "nearshore parts";

/// One part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Of its file, beside the list.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
}

/// The list of a file's parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes of every part but the last.
    pub part_bytes: u64,
    /// In the order of the file.
    pub parts: Vec<Part>,
    /// Parts of a list that this one took the place of, which it does not name and which are there still.
    pub stale: usize,
}

/// What is wrong with a file in parts.
#[derive(Debug)]
#[non_exhaustive]
pub enum PartsError {
    /// A file that cannot be read.
    Io(PathBuf, io::Error),
    /// A list that says what cannot be.
    List(PathBuf, &'static str),
    /// A part that is not what the list says.
    Part {
        /// Its file.
        path: PathBuf,
        /// Its number, from 1.
        number: usize,
        /// What is wrong with it.
        what: String,
    },
}

impl fmt::Display for PartsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::List(path, what) => write!(f, "{}: no list of parts: {what}", path.display()),
            Self::Part { path, number, what } => write!(f, "{}: part {number} {what}", path.display()),
        }
    }
}

impl std::error::Error for PartsError {}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Takes a file that is to be in parts: in a scratch file beside them, until it is whole.
#[derive(Debug)]
pub struct PartsSink {
    scratch: ScratchFile,
    list: PathBuf,
    replace: bool,
}

impl PartsSink {
    /// Begins a file in parts whose list will be `list`, which must not be there unless `replace` is true.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], [`io::ErrorKind::InvalidInput`] for a name that no host could be asked for, or whatever the system says about the folder.
    pub fn create(list: &Path, replace: bool) -> io::Result<Self> {
        if !replace && list.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !list.file_stem().and_then(|stem| stem.to_str()).is_some_and(is_name) {
            let must = "a list's name names its parts on a host: letters, digits, - _ . alone, and no . in front, would be right";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, must));
        }
        Ok(Self { scratch: ScratchFile::create(folder_of(list))?, list: list.to_owned(), replace })
    }

    /// The file so far.
    #[must_use]
    pub fn file(&self) -> &File {
        self.scratch.file()
    }

    /// Writes the parts, then the list. Parts that are there already have the same bytes, and stay.
    ///
    /// # Errors
    /// Whatever the system says. Parts without a list may be left.
    pub fn finish(self, part_bytes: u64) -> io::Result<Parts> {
        let file = self.scratch.file();
        let file_bytes = file.metadata()?.len();
        if file_bytes.div_ceil(part_bytes.max(PART_MIN)) > PARTS_MAX as u64 {
            let right = file_bytes.div_ceil(PARTS_MAX as u64).div_ceil(1 << 20);
            let what = format!("more than {PARTS_MAX} parts, which no reader takes: parts of {right} MiB would be right");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let stem = self.list.file_stem().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy().into_owned();
        let mut parts = Vec::new();
        let mut buffer = Vec::new();
        let mut at = 0;
        while at < file_bytes {
            let bytes = part_bytes.min(file_bytes - at);
            buffer.resize(usize::try_from(bytes).map_err(|_| io::ErrorKind::OutOfMemory)?, 0);
            file.read_exact_at(&mut buffer, at)?;
            let sha256 = digest(&buffer);
            let name = format!("{stem}.{}.part", &sha256[..16]);
            let path = folder_of(&self.list).join(&name);
            // One that was cut off or damaged meanwhile is made again.
            if !std::fs::read(&path).is_ok_and(|there| there == buffer) {
                let mut sink = FileSink::create(&path, true)?;
                sink.write_at(0, &buffer)?;
                sink.finish()?;
            }
            parts.push(Part { name, bytes, sha256 });
            at += bytes;
        }
        let named: HashSet<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        let before = Parts::read(&self.list).ok().flatten().map_or_else(Vec::new, |before| before.parts);
        let is_stale = |part: &Part| !named.contains(part.name.as_str()) && folder_of(&self.list).join(&part.name).exists();
        let stale = before.iter().filter(|part| is_stale(part)).count();
        let parts = Parts { file_bytes, part_bytes, parts, stale };
        let mut sink = FileSink::create(&self.list, self.replace)?;
        sink.write_at(0, parts.to_json().as_bytes())?;
        sink.finish()?;
        Ok(parts)
    }
}

impl Sink for PartsSink {
    type Error = io::Error;

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.scratch.file().write_all_at(bytes, offset)
    }
}

impl Parts {
    /// The list as it lies in its file.
    #[must_use]
    pub fn to_json(&self) -> String {
        let part = |part: &Part| json!({ "name": part.name, "bytes": part.bytes, "sha256": part.sha256 });
        let parts: Vec<Value> = self.parts.iter().map(part).collect();
        format!(
            "{}\n",
            json!({ "format": FORMAT, "version": 1, "file_bytes": self.file_bytes, "part_bytes": self.part_bytes, "parts": parts })
        )
    }

    /// Reads the list at `path`; `None` where that is no JSON, and so something else.
    ///
    /// # Errors
    /// A file that cannot be read, or a list that says what cannot be.
    pub fn read(path: &Path) -> Result<Option<Self>, PartsError> {
        let io = |error| PartsError::Io(path.to_owned(), error);
        let mut start = [0; 1];
        let mut file = File::open(path).map_err(io)?;
        if file.read(&mut start).map_err(io)? == 0 || start != *b"{" {
            return Ok(None);
        }
        let mut text = vec![b'{'];
        file.take(LIST_BYTES_MAX).read_to_end(&mut text).map_err(io)?;
        let list: Value = serde_json::from_slice(&text).map_err(|_| PartsError::List(path.to_owned(), "it is not JSON"))?;
        Self::of_json(&list).map(Some).map_err(|what| PartsError::List(path.to_owned(), what))
    }

    fn of_json(list: &Value) -> Result<Self, &'static str> {
        if list["format"] != FORMAT {
            return Err("`format` is not \"nearshore parts\"");
        }
        if list["version"] != 1 {
            return Err("`version` is not 1, the one that this version reads");
        }
        let number = |value: &Value| value.as_u64();
        let (file_bytes, part_bytes) = number(&list["file_bytes"]).zip(number(&list["part_bytes"])).ok_or("its sizes are no numbers")?;
        let entries = list["parts"].as_array().filter(|parts| parts.len() <= PARTS_MAX).ok_or("`parts` is no list, or too long a one")?;
        if part_bytes < PART_MIN || file_bytes.div_ceil(part_bytes) != entries.len() as u64 {
            return Err("another number of parts than its sizes make");
        }
        let mut parts = Vec::new();
        for (entry, at) in entries.iter().zip((0..).step_by(usize::try_from(part_bytes).unwrap_or(usize::MAX))) {
            let name =
                entry["name"].as_str().filter(|name| is_name(name)).ok_or("a part has no name that stands for a file beside the list")?;
            let sha256 = entry["sha256"]
                .as_str()
                .filter(|digits| digits.len() == 64 && digits.bytes().all(|digit| b"0123456789abcdef".contains(&digit)))
                .ok_or("a part has no SHA-256")?;
            let bytes =
                number(&entry["bytes"]).filter(|&bytes| bytes == part_bytes.min(file_bytes - at)).ok_or("a part of another length")?;
            parts.push(Part { name: name.to_owned(), bytes, sha256: sha256.to_owned() });
        }
        Ok(Self { file_bytes, part_bytes, parts, stale: 0 })
    }

    /// Checks every part beside the list at `path`, and the header of the file that they are. Reads all of it.
    ///
    /// # Errors
    /// The first part that is missing or not what the list says.
    pub fn check(&self, path: &Path, tell: &mut dyn FnMut(u64, u64)) -> Result<Header, PartsError> {
        let mut header = None;
        let mut done = 0;
        for (number, part) in (1..).zip(&self.parts) {
            tell(done, self.file_bytes);
            let path = folder_of(path).join(&part.name);
            let bad = |what: String| PartsError::Part { path: path.clone(), number, what };
            let bytes = std::fs::read(&path).map_err(|error| bad(format!("cannot be read: {error}")))?;
            if bytes.len() as u64 != part.bytes {
                return Err(bad(format!("has {} bytes; {} would be right", bytes.len(), part.bytes)));
            }
            if digest(&bytes) != part.sha256 {
                return Err(bad("is damaged: its SHA-256 is another".to_owned()));
            }
            if number == 1 {
                let start = &bytes[..bytes.len().min(HEADER_BYTES)];
                header =
                    Some(Header::parse(start, self.file_bytes).map_err(|error| bad(format!("does not begin as a .shore file: {error}")))?);
            }
            done += part.bytes;
        }
        header.ok_or_else(|| PartsError::List(path.to_owned(), "it lists no part"))
    }
}

/// Whether a text is a plain name of a file.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// The folder that holds `path`.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_the_file_and_tell_what_is_missing_or_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("x.shore.json");
        let bytes: Vec<u8> = (0..150_000u32).map(|i| (i * 7 % 251) as u8).collect();
        let mut sink = PartsSink::create(&list, false).unwrap();
        sink.write_at(1000, &bytes[1000..]).unwrap();
        sink.write_at(0, &bytes[..1000]).unwrap();
        let parts = sink.finish(PART_MIN).unwrap();
        assert_eq!(Parts::read(&list).unwrap(), Some(parts.clone()));
        let path = |part: &Part| folder.path().join(&part.name);
        let joined: Vec<u8> = parts.parts.iter().flat_map(|part| std::fs::read(path(part)).unwrap()).collect();
        assert_eq!(joined, bytes);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4, "three parts and their list");
        assert_eq!(PartsSink::create(&list, false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let fails = || parts.check(&list, &mut |_, _| {}).unwrap_err().to_string();
        assert!(fails().contains("does not begin as a .shore file"), "{}", fails());
        std::fs::write(path(&parts.parts[0]), &bytes[1..=PART_MIN as usize]).unwrap();
        assert!(fails().ends_with("part 1 is damaged: its SHA-256 is another"), "{}", fails());
        std::fs::write(path(&parts.parts[0]), b"short").unwrap();
        assert!(fails().ends_with("part 1 has 5 bytes; 65536 would be right"), "{}", fails());
        std::fs::remove_file(path(&parts.parts[0])).unwrap();
        assert!(fails().contains("part 1 cannot be read"), "{}", fails());
    }

    #[test]
    fn a_list_that_cannot_be_is_refused() {
        let part = |name: &str, bytes: u64| json!({ "name": name, "bytes": bytes, "sha256": "0".repeat(64) });
        let list =
            |parts: Vec<Value>| json!({ "format": FORMAT, "version": 1, "file_bytes": 70_000, "part_bytes": 65_536, "parts": parts });
        let read = |list: &Value| Parts::of_json(list).err();
        assert_eq!(read(&list(vec![part("a.part", 65_536), part("b.part", 4_464)])), None);
        assert_eq!(read(&json!({ "format": "else" })), Some("`format` is not \"nearshore parts\""));
        assert_eq!(read(&json!({ "format": FORMAT, "version": 2 })), Some("`version` is not 1, the one that this version reads"));
        assert_eq!(read(&list(vec![part("a.part", 65_536)])), Some("another number of parts than its sizes make"));
        assert_eq!(read(&list(vec![part("a.part", 65_536), part("b.part", 4_465)])), Some("a part of another length"));
        let mut other = part("b.part", 4_464);
        other["sha256"] = json!("X".repeat(64));
        assert_eq!(read(&list(vec![part("a.part", 65_536), other])), Some("a part has no SHA-256"));
        for name in ["../a", "/etc/a", "a/b", "", ".a", "https:a"] {
            let what = "a part has no name that stands for a file beside the list";
            assert_eq!(read(&list(vec![part(name, 65_536), part("b.part", 4_464)])), Some(what), "{name}");
        }
    }
}
