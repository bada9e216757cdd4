//! What a `.shores` file says: the files of a set, by name, length, rows and identity. Laid out in `core/FORMAT.md`, "A set of segments".

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use nearshore_core::format::Sink as _;
use serde_json::{Value, json};

use crate::io::FileSink;

/// Segments of a set at most: each is an open file.
pub const SEGMENTS_MAX: usize = 4096;

/// Bytes of a document that are read: what is longer is none.
const BYTES_MAX: u64 = 16 << 20;
/// Bytes of a name.
const NAME_MAX: usize = 1024;
/// What a document says that it is.
const FORMAT: &str = "nearshore segments";

/// What a set says of one of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it lies, seen from the folder of the set: names with `/` between them.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its rows, tombstones included.
    pub rows: u64,
    /// The identity in its superblock.
    pub identity: [u8; 16],
}

/// What a file of JSON is that stands for an index in others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    /// The list of a file in parts.
    Parts,
    /// A set of segments.
    Segments(Vec<Entry>),
    /// Neither, though it begins like them: cut off, or something else altogether.
    Unknown,
}

/// Reads the file at `path` if it is JSON that stands for an index; `None` where it does not even begin like that.
///
/// # Errors
/// What the system says, or in words what is wrong with a set ([`io::ErrorKind::InvalidData`]).
pub(crate) fn read(path: &Path) -> io::Result<Option<Stand>> {
    let mut text = Vec::new();
    let mut file = File::open(path)?;
    file.by_ref().take(1).read_to_end(&mut text)?;
    if text != b"{" {
        return Ok(None);
    }
    file.take(BYTES_MAX).read_to_end(&mut text)?;
    let value = serde_json::from_slice(&text).unwrap_or(Value::Null);
    match value["format"].as_str() {
        Some("nearshore parts") => Ok(Some(Stand::Parts)),
        Some(FORMAT) => {
            let wrong = |what| io::Error::new(io::ErrorKind::InvalidData, what);
            parse(&value).map(|entries| Some(Stand::Segments(entries))).map_err(wrong)
        }
        _ => Ok(Some(Stand::Unknown)),
    }
}

fn parse(value: &Value) -> Result<Vec<Entry>, String> {
    if value["version"] != 1 {
        return Err("`version` is not 1, the one that this version reads".to_owned());
    }
    let segments = value["segments"].as_array().ok_or("`segments` is no list")?;
    if segments.is_empty() || segments.len() > SEGMENTS_MAX {
        return Err(format!("{} segments; 1 to {SEGMENTS_MAX} would be right", segments.len()));
    }
    let mut entries: Vec<Entry> = Vec::new();
    for (number, segment) in segments.iter().enumerate() {
        let wrong = |what: &str| format!("segment {number}: {what}");
        let name = segment["name"].as_str().filter(|name| is_name(name));
        let name = name.ok_or_else(|| wrong("`name` is no name of a file beside the set or below it"))?;
        let count = |key: &str| segment[key].as_u64().ok_or_else(|| wrong(&format!("`{key}` is no number")));
        let identity = segment["identity"].as_str().and_then(of_hex);
        let identity = identity.ok_or_else(|| wrong("`identity` is not 32 digits, 0 to 9 and a to f"))?;
        entries.push(Entry { name: name.to_owned(), bytes: count("bytes")?, rows: count("rows")?, identity });
    }
    let mut seen: Vec<(&[u8; 16], usize)> = entries.iter().enumerate().map(|(number, entry)| (&entry.identity, number)).collect();
    seen.sort_unstable();
    match seen.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(format!("segments {} and {} have the same identity, so the same rows", pair[0].1, pair[1].1)),
        None => Ok(entries),
    }
}

/// Writes the document of `entries` to `sink`.
///
/// # Errors
/// What the system says, or a name that a set cannot hold ([`io::ErrorKind::InvalidInput`]).
pub(crate) fn write(entries: &[Entry], sink: &mut FileSink) -> io::Result<()> {
    let wrong = |what: String| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    if entries.is_empty() || entries.len() > SEGMENTS_MAX {
        return wrong(format!("{} segments; 1 to {SEGMENTS_MAX} would be right", entries.len()));
    }
    if let Some(entry) = entries.iter().find(|entry| !is_name(&entry.name)) {
        return wrong(format!("{:?} is no name that a set can hold: one without \\, : and unseen characters would be right", entry.name));
    }
    sink.write_at(0, to_json(entries).as_bytes())
}

fn to_json(entries: &[Entry]) -> String {
    let entry = |entry: &Entry| json!({ "name": entry.name, "bytes": entry.bytes, "rows": entry.rows, "identity": hex(&entry.identity) });
    let entries: Vec<String> = entries.iter().map(|segment| format!("    {}", entry(segment))).collect();
    format!("{{ \"format\": \"{FORMAT}\", \"version\": 1,\n  \"segments\": [\n{}\n  ] }}\n", entries.join(",\n"))
}

/// Whether a text leads from a folder to a file in it or below it, on every system and as an address.
fn is_name(name: &str) -> bool {
    let is_step = |step: &str| !step.is_empty() && step != "." && step != "..";
    name.len() <= NAME_MAX && name.split('/').all(is_step) && !name.chars().any(|char| char.is_control() || char == '\\' || char == ':')
}

/// The digits of an identity.
#[must_use]
pub fn hex(bytes: &[u8; 16]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn of_hex(digits: &str) -> Option<[u8; 16]> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (digits.len() == 32 && digits.bytes().all(is_digit)).then_some(())?;
    u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, identity: u8) -> Entry {
        Entry { name: name.to_owned(), bytes: 20_000, rows: 7, identity: [identity; 16] }
    }

    fn read_text(text: &[u8]) -> Result<Option<Stand>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.shores");
        std::fs::write(&path, text).unwrap();
        read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn a_document_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.shores");
        let entries = vec![entry("x.0.shore", 1), entry("below/K\u{fc}ste 2.shore", 0xAB)];
        let mut sink = FileSink::create(&path, false).unwrap();
        write(&entries, &mut sink).unwrap();
        sink.finish().unwrap();
        assert_eq!(read(&path).unwrap(), Some(Stand::Segments(entries)));
        assert_eq!(read_text(b"{\"format\": \"nearshore parts\"}"), Ok(Some(Stand::Parts)));
        for text in [&b""[..], b"\x89SHORE", b"[]"] {
            assert_eq!(read_text(text), Ok(None), "{text:?}");
        }
        for text in [&b"{\"a\": 1}"[..], b"{\"format\": 1}", b"{", b"{\"format\": \"nearshore segments\"", &[b'{'; 100_000]] {
            assert_eq!(read_text(text), Ok(Some(Stand::Unknown)), "{text:?}");
        }
        for entries in [vec![], vec![entry("../x.shore", 1)], vec![entry("", 1)]] {
            let failed = write(&entries, &mut FileSink::create(&folder.path().join("y.shores"), false).unwrap()).unwrap_err();
            assert_eq!(failed.kind(), io::ErrorKind::InvalidInput);
        }
        assert!(!folder.path().join("y.shores").exists());
    }

    #[test]
    fn a_document_that_cannot_be_is_refused() {
        let sound = to_json(&[entry("x.0.shore", 1), entry("x.1.shore", 2)]);
        let changed = |from: &str, to: &str| {
            assert!(sound.contains(from), "{from}");
            read_text(sound.replacen(from, to, 1).as_bytes()).unwrap_err()
        };
        assert_eq!(changed("\"version\": 1", "\"version\": 2"), "`version` is not 1, the one that this version reads");
        assert_eq!(changed("\"segments\": [", "\"segments\": [], \"others\": ["), "0 segments; 1 to 4096 would be right");
        assert_eq!(changed("\"segments\"", "\"segment\""), "`segments` is no list");
        assert_eq!(changed("20000", "-1"), "segment 0: `bytes` is no number");
        assert_eq!(changed("\"rows\":7", "\"rows\":7.5"), "segment 0: `rows` is no number");
        assert_eq!(changed("\"rows\":7", "\"rows\":99999999999999999999"), "segment 0: `rows` is no number");
        let digits = "segment 0: `identity` is not 32 digits, 0 to 9 and a to f";
        assert_eq!(changed("0101", "010"), digits);
        assert_eq!(changed("0101", "+101"), digits);
        assert_eq!(changed("0101", "010A"), digits);
        assert_eq!(changed(&"01".repeat(16), &"02".repeat(16)), "segments 0 and 1 have the same identity, so the same rows");
        for name in ["../x", "/etc/x", "a//b", "", ".", "a/..", "a\\\\b", "https:x", "a\\u0000", "a/", &"x".repeat(1025)] {
            assert_eq!(changed("x.0.shore", name), "segment 0: `name` is no name of a file beside the set or below it", "{name}");
        }
        let many: Vec<Entry> = (0..=SEGMENTS_MAX as u128).map(|at| Entry { identity: at.to_be_bytes(), ..entry("x", 0) }).collect();
        assert_eq!(read_text(to_json(&many).as_bytes()).unwrap_err(), "4097 segments; 1 to 4096 would be right");
    }
}
