//! What page headers claim, looked at before the decoder believes it.
//!
//! The decoder allocates what a header says: 2 GiB for a page of a few bytes, or for its dictionary. So all headers of a
//! column are read here first, and what their pages cannot possibly hold is refused. A header is a struct in Thrift's
//! compact protocol, of which only nesting and whole numbers are understood:
//!
//! ```text
//! 2: bytes decoded   3: bytes stored   5.1: values of a data page   7.1: entries of a dictionary   8.1: values, second form
//! ```

use parquet::basic::Compression;
use parquet::file::metadata::ColumnChunkMetaData;

/// The most values that a byte of a page of lists stands for: a list costs four bytes of levels at least, even where its
/// numbers cost none, and has 32,768 of them at most.
const LIST_VALUES_A_BYTE: u64 = 8192;

/// Structs in structs in a header.
const DEPTH_MAX: u8 = 8;

/// Checks the pages of `column`, which lies in `file`.
///
/// # Errors
/// What a header claims, in words.
pub(super) fn check(file: &[u8], column: &ColumnChunkMetaData, lists: bool) -> Result<(), String> {
    let (start, length) = column.byte_range();
    let end = usize::try_from(start.saturating_add(length)).unwrap_or(usize::MAX);
    let mut rest = file.get(start as usize..end).ok_or("a column beyond the end of the file")?;
    let mut values = 0;
    while !rest.is_empty() {
        let page = Page::read(&mut rest).ok_or("a page header that is none")?;
        let Page { decoded, stored, .. } = page;
        rest = rest.get(stored as usize..).ok_or("a page beyond the end of its column")?;
        if decoded > stored.saturating_mul(expansion(column.compression())) {
            return Err(format!("a page of {stored} bytes that claims to be {decoded}"));
        }
        if page.entries > decoded.saturating_mul(8) {
            return Err(format!("a dictionary of {} entries in {decoded} bytes", page.entries));
        }
        if lists && page.values > decoded.saturating_mul(LIST_VALUES_A_BYTE) {
            return Err(format!("{} values in a page of {decoded} bytes", page.values));
        }
        values += page.values;
        if i128::from(values) > i128::from(column.num_values()) {
            return Err(format!("pages of {values} values in a column of {}", column.num_values()));
        }
    }
    Ok(())
}

/// How much longer than its input the output of a codec may be: what its densest code for a repetition gives.
fn expansion(codec: Compression) -> u64 {
    match codec {
        Compression::UNCOMPRESSED => 1,
        Compression::SNAPPY => 32,
        Compression::LZ4 | Compression::LZ4_RAW => 256,
        Compression::GZIP(_) => 1033,
        // Zstandard: a block of 128 KiB in four bytes. The others the decoder refuses.
        _ => 1 << 15,
    }
}

/// Numbers of a page header.
#[derive(Debug, Default)]
struct Page {
    decoded: u64,
    stored: u64,
    values: u64,
    entries: u64,
}

impl Page {
    /// Takes a header from the front of `rest`. A number that is negative, or twice there, makes it none.
    fn read(rest: &mut &[u8]) -> Option<Self> {
        let mut numbers = Vec::new();
        read_struct(rest, 0, DEPTH_MAX, &mut numbers)?;
        let number = |path: i64| {
            let mut found = numbers.iter().filter(|(at, _)| *at == path).map(|&(_, number)| number);
            let first = found.next();
            if found.next().is_some() { None } else { Some(first) }
        };
        let count = |path| number(path)?.map_or(Some(0), |number| u64::from(u32::try_from(number).ok()?).into());
        let size = |path| number(path)?.and_then(|number| u32::try_from(number).ok()).map(u64::from);
        Some(Self { decoded: size(2)?, stored: size(3)?, values: count(501)?.max(count(801)?), entries: count(701)? })
    }
}

/// Takes a struct from the front of `rest` and notes its whole numbers: field `i` of the struct that is field `o` has the
/// path `100 o + i`.
fn read_struct(rest: &mut &[u8], outer: i64, depth: u8, numbers: &mut Vec<(i64, i64)>) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    let mut id = 0i64;
    loop {
        let head = byte(rest)?;
        if head & 15 == 0 {
            return Some(());
        }
        id = if head >> 4 == 0 { signed(rest)? } else { id.wrapping_add(i64::from(head >> 4)) };
        read_value(rest, head & 15, outer.wrapping_mul(100).wrapping_add(id), depth, numbers)?;
    }
}

fn read_value(rest: &mut &[u8], kind: u8, path: i64, depth: u8, numbers: &mut Vec<(i64, i64)>) -> Option<()> {
    match kind {
        // The value of a boolean field is its kind.
        1 | 2 => {}
        3 => drop(byte(rest)?),
        4..=6 => numbers.push((path, signed(rest)?)),
        7 => *rest = rest.get(8..)?,
        8 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            *rest = rest.get(length..)?;
        }
        12 => read_struct(rest, path, depth, numbers)?,
        // Headers hold no lists and no maps.
        _ => return None,
    }
    Some(())
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    let (&first, others) = rest.split_first()?;
    *rest = others;
    Some(first)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = byte(rest)?;
        number |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// A number in zigzag order: 0, -1, 1, -2, ...
fn signed(rest: &mut &[u8]) -> Option<i64> {
    let number = varint(rest)?;
    Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
}
