//! Ids in a file of their own: one u64 a row.
//!
//! ```text
//! .npy             one axis of u8, i8, u4 or i4 (NumPy's names for 64 and 32 bits)
//! .txt .csv .ids   one whole number a line
//! anything else    u64 little-endian, back to back
//! ```

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::error::{DataError, Fault};
use super::spool::Spool;
use super::{Column, npy};
use crate::io::MappedFile;

/// Longer than any number; a line beyond it is not one.
const LINE_MAX: u64 = 256;

/// Reads the ids in `path`, of which there must be `rows`, one for each row of the input called `of`.
pub(super) fn open(path: &Path, rows: usize, of: &str, tmp: Option<&Path>) -> Result<Column, DataError> {
    let name = path.display().to_string();
    let io = |error| DataError::io(&name, error);
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
    let ids = match extension.as_str() {
        "txt" | "csv" | "ids" => lines(std::fs::File::open(path).map_err(io)?, &name, tmp)?,
        "npy" => array(MappedFile::open(path).map_err(io)?, &name)?,
        _ => {
            let map = MappedFile::open(path).map_err(io)?;
            let found = map.as_ref().len() as u64;
            let wanted = 8 * rows as u64;
            if found != wanted {
                return Err(DataError::new(
                    &name,
                    Fault::Length { wanted, found, because: format!("a u64 for each of the {rows} rows of {of}") },
                ));
            }
            Column::mapped(map, 0)
        }
    };
    let found = ids.as_slice().len();
    if found != rows {
        let because = format!("for the {rows} rows of {of}");
        return Err(DataError::new(&name, Fault::Count { what: "ids", wanted: rows as u64, found: found as u64, because }));
    }
    Ok(ids)
}

fn lines(file: impl Read, name: &str, tmp: Option<&Path>) -> Result<Column, DataError> {
    let io = |error| DataError::io(name, error);
    let mut file = BufReader::new(file);
    let mut spool = Spool::new(tmp).map_err(io)?;
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        if file.by_ref().take(LINE_MAX).read_until(b'\n', &mut text).map_err(io)? == 0 {
            break;
        }
        let word = text.trim_ascii();
        if word.is_empty() {
            continue;
        }
        let id: Option<u64> = std::str::from_utf8(word).ok().and_then(|word| word.parse().ok());
        let id = id.ok_or_else(|| {
            let word = String::from_utf8_lossy(&word[..word.len().min(40)]);
            DataError::malformed(name, format!("{word:?} is no id; a whole number from 0 to 2^64 - 1 would be right")).line(line)
        })?;
        spool.write(&id.to_le_bytes()).map_err(io)?;
    }
    Ok(Column::mapped(spool.finish().map_err(io)?, 0))
}

fn array(map: MappedFile, name: &str) -> Result<Column, DataError> {
    let bytes = map.as_ref();
    let header = npy::header(name, bytes)?;
    if header.dims != 1 {
        let what = format!("an array of {} axes; 1 would be right for ids", header.dims);
        return Err(DataError::malformed(name, what).field("shape"));
    }
    let start = header.start;
    let size = match header.descr {
        "<u8" | "<i8" => 8,
        "<u4" | "<i4" => 4,
        other => {
            let what = format!("ids of type {other:?}; '<u8', '<i8', '<u4' or '<i4' would be right");
            return Err(DataError::malformed(name, what).field("descr"));
        }
    };
    header.check_length(name, bytes, size)?;
    let signed = header.descr.starts_with("<i");
    let ids = if size == 8 {
        Column::mapped(map, start)
    } else {
        let number = |chunk: &[u8; 4]| u32::from_le_bytes(*chunk);
        let widen = |id: u32| if signed { i64::from(id.cast_signed()).cast_unsigned() } else { u64::from(id) };
        Column::Owned(bytes[start..].as_chunks().0.iter().map(number).map(widen).collect())
    };
    let negative = ids.as_slice().iter().position(|&id| signed && id.cast_signed() < 0);
    match negative {
        Some(row) => {
            let what = format!("id {}; a whole number from 0 on would be right", ids.as_slice()[row].cast_signed());
            Err(DataError::malformed(name, what).row(row as u64))
        }
        None => Ok(ids),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str, content: &[u8], rows: usize) -> Result<Vec<u64>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file);
        std::fs::write(&path, content).unwrap();
        match open(&path, rows, "base.fbin", None) {
            Ok(ids) => Ok(ids.as_slice().to_vec()),
            Err(error) => Err(error.to_string().replace(&path.display().to_string(), file)),
        }
    }

    fn npy(descr: &str, data: &[u8], count: usize) -> Vec<u8> {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({count},), }}");
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    #[test]
    fn ids_come_raw_as_text_and_as_arrays() {
        let raw: Vec<u8> = [3u64, u64::MAX].iter().flat_map(|id| id.to_le_bytes()).collect();
        assert_eq!(read("x.u64", &raw, 2).unwrap(), [3, u64::MAX]);
        assert_eq!(read("x.txt", b"3\r\n\n18446744073709551615", 2).unwrap(), [3, u64::MAX]);
        assert_eq!(read("x.npy", &npy("<u8", &raw, 2), 2).unwrap(), [3, u64::MAX]);
        assert_eq!(read("x.npy", &npy("<u4", &[255; 4], 1), 1).unwrap(), [u64::from(u32::MAX)]);
    }

    #[test]
    fn wrong_ids_are_refused_with_their_place() {
        assert_eq!(read("x.bin", &[0; 15], 2).unwrap_err(), "x.bin: 15 bytes; a u64 for each of the 2 rows of base.fbin would be 16");
        assert_eq!(read("x.txt", b"1\n2\n3\n", 2).unwrap_err(), "x.txt: 3 ids; 2 for the 2 rows of base.fbin would be right");
        assert!(read("x.txt", b"1\n-2\n", 2).unwrap_err().starts_with("x.txt: line 2: \"-2\" is no id"));
        assert!(read("x.txt", &[b'1'; 1000], 1).unwrap_err().contains("is no id"));
        assert!(read("x.npy", &npy("<i4", &[255; 4], 1), 1).unwrap_err().starts_with("x.npy: row 0: id -1;"));
        assert!(read("x.npy", &npy("<f8", &[255; 8], 1), 1).unwrap_err().contains("ids of type \"<f8\""));
    }
}
