//! Holds FORMAT.md against the code: struct offsets and sizes, kinds, words, limits.

use alloc::format;
use alloc::vec::Vec;

use super::raw::{DIRECTORY_AT, HEADER_BYTES, MAGIC, RawSuperblock, RawTable, TABLES_MAX, VERSION};
use super::*;
use crate::id::{DIMENSIONS_MAX, ROWS_MAX};

const DOCUMENT: &str = include_str!("../../FORMAT.md");

/// The cells of the table rows under a heading.
fn cells(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, section) = DOCUMENT.split_once(&format!("\n{heading}\n")).expect("the heading");
    let lines = section.lines().take_while(|line| !line.starts_with('#')).filter(|line| line.starts_with('|'));
    lines.skip(2).map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// Offset, type and name of each documented field.
fn fields(heading: &str) -> Vec<(usize, &'static str, &'static str)> {
    cells(heading).iter().map(|row| (row[0].parse().expect("an offset"), row[1], row[2])).collect()
}

/// Offset, type and name of each field of a struct, in its order; the struct has no others, or this would not compile.
macro_rules! layout {
    ($name:ident { $($field:ident: $type:ty,)* }) => {{
        let typed = |raw: $name| { let $name { $($field,)* } = raw; $(let _: $type = $field;)* };
        let _ = typed;
        [$((core::mem::offset_of!($name, $field), stringify!($type), stringify!($field)),)*]
    }};
}

#[test]
fn the_superblock_lies_as_documented() {
    let code = layout!(RawSuperblock {
        magic: [u8; 8],
        major: u16,
        minor: u16,
        sections: u32,
        required: u64,
        optional: u64,
        file_bytes: u64,
        rows: u64,
        dimensions: u32,
        metric: u8,
        element: u8,
        plan: u8,
        refine: u8,
        hot: [u64; 2],
        seed: u64,
        build_id: u64,
        identity: [u8; 16],
    });
    let mut documented = fields("## Superblock");
    assert_eq!(documented.pop(), Some((raw::CHECKSUM_AT, "u64", "checksum")));
    assert_eq!(documented, code);
}

#[test]
fn a_directory_entry_lies_as_documented() {
    let code = layout!(RawTable {
        kind: u16,
        flags: u16,
        encoding: u32,
        offset: u64,
        rows: u64,
        stride: u32,
        block_rows: u32,
        block_bytes: u32,
        parameter: u32,
        digest: u64,
        instance: u32,
        reserved: u32,
        extra: u64,
    });
    assert_eq!(fields("## Directory entry"), code);
}

#[test]
fn kinds_and_words_are_those_documented() {
    let documented: Vec<_> = cells("## Kinds").iter().map(|row| (row[0].parse().unwrap(), row[1].trim_matches('`'))).collect();
    let code: Vec<_> = Kind::ALL.iter().map(|&kind| (kind as u16, kind.as_str())).collect();
    assert_eq!(documented, code);

    let rules = cells("## Superblock");
    let rule = |field| rules.iter().find(|row| row[2] == field).expect("the field")[3];
    let check = |field, words: Vec<(u8, &str)>| {
        for (value, word) in words {
            assert!(rule(field).contains(&format!("{value} `{word}`")), "{field} {value} {word}");
        }
    };
    check("metric", Metric::ALL.iter().map(|m| (*m as u8, m.as_str())).collect());
    check("element", Element::ALL.iter().map(|e| (*e as u8, e.as_str())).collect());
    check("plan", Plan::ALL.iter().map(|p| (*p as u8, p.as_str())).collect());
    check("refine", Refine::ALL.iter().map(|r| (*r as u8, r.as_str())).collect());
}

#[test]
fn limits_are_those_documented() {
    let magic = MAGIC.map(|byte| format!("{byte:02X}")).join(" ");
    for text in [
        format!("# The `.shore` file, version {}.{}\n", VERSION.0, VERSION.1),
        format!("`{magic}`"),
        format!("at most {TABLES_MAX} entries of {} bytes", size_of::<RawTable>()),
        format!("bytes {DIRECTORY_AT}..{HEADER_BYTES}"),
        format!("superblock bytes 0..{}", raw::FACTS_BYTES),
        format!("superblock bytes 0..{}", raw::CHECKSUM_AT),
        format!("at most {} MiB", table::BLOCK_BYTES_MAX >> 20),
        format!("a multiple of {} in the hot region, of {} outside", table::ALIGN_HOT, table::ALIGN_COLD),
        format!("less than {} bytes behind the header", table::GAP_END),
        format!("{} hot, {} required", table::HOT, table::REQUIRED),
        format!("at least `parameter` + {FACTORS_BYTES}"),
        format!("Stride {QUALITY_BYTES} or more"),
        format!("A row of `tiles` is a tile; stride {TILE_BYTES} or more"),
        format!("`stride` is at least {} + 4 x `padded`", shape::TILE_FACTORS_BYTES),
    ] {
        assert!(DOCUMENT.contains(&text), "FORMAT.md does not say: {text}");
    }
    assert_eq!((ROWS_MAX, DIMENSIONS_MAX, META_BYTES_MAX), ((1 << 32) - 2, 32_768, 65_536));
    assert!(["at most 2^32 - 2", "1 to 32,768", "At most 65,536 bytes"].iter().all(|text| DOCUMENT.contains(text)));
}

#[test]
#[cfg(feature = "codes")]
fn a_block_of_a_tile_lies_as_documented() {
    let (_, section) = DOCUMENT.split_once("\nA row of `codes.tiles` is").expect("the description");
    let rows = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|')).skip(2);
    let offsets: Vec<u64> = rows.map(|row| row.split('|').nth(1).expect("an offset").trim().parse().expect("a number")).collect();
    assert_eq!(offsets, [0, 128, 192, shape::TILE_FACTORS_BYTES]);
}
