//! Payloads in a text file of their own, one line a row: for inputs that have no columns.
//!
//! A line is kept without its end (`\n` or `\r\n`); an empty line is an empty payload. The last line needs no end.

use std::io::{BufRead, BufReader};
use std::path::Path;

use super::error::{DataError, Fault};
use super::spool::Spool;
use super::{Column, PayloadBytes};

/// Reads the lines of `path`, of which there must be `rows`, one for each row of the input called `of`.
pub(super) fn open(path: &Path, rows: usize, of: &str, tmp: Option<&Path>) -> Result<PayloadBytes, DataError> {
    let name = path.display().to_string();
    let io = |error| DataError::io(&name, error);
    let mut file = BufReader::new(std::fs::File::open(path).map_err(io)?);
    let (mut bytes, mut ends) = (Spool::new(tmp).map_err(io)?, Spool::new(tmp).map_err(io)?);
    let (mut found, mut end, mut line) = (0_usize, 0_u64, Vec::new());
    loop {
        line.clear();
        if file.read_until(b'\n', &mut line).map_err(io)? == 0 {
            break;
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        end += text.len() as u64;
        found += 1;
        bytes.write(text).and_then(|()| ends.write(&end.to_le_bytes())).map_err(io)?;
    }
    if found != rows {
        let because = format!("for the {rows} rows of {of}");
        return Err(DataError::new(&name, Fault::Count { what: "lines", wanted: rows as u64, found: found as u64, because }));
    }
    Ok(PayloadBytes { bytes: bytes.finish().map_err(io)?, ends: Column::mapped(ends.finish().map_err(io)?, 0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, rows: usize) -> Result<Vec<String>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let payloads = open(file.path(), rows, "rows.u8bin", None).map_err(|error| error.to_string())?;
        let (bytes, mut start, mut lines) = (payloads.bytes.as_ref(), 0, Vec::new());
        for &end in payloads.ends.as_slice() {
            lines.push(String::from_utf8(bytes[start..end as usize].to_vec()).unwrap());
            start = end as usize;
        }
        Ok(lines)
    }

    #[test]
    fn each_line_is_a_payload_without_its_end() {
        assert_eq!(read("coat\n\nankle boot\r\nbag", 4).unwrap(), ["coat", "", "ankle boot", "bag"]);
        assert_eq!(read("coat\nbag\n", 2).unwrap(), ["coat", "bag"]);
    }

    #[test]
    fn another_number_of_lines_is_refused() {
        let error = read("coat\nbag\n", 3).unwrap_err();
        assert!(error.contains('2') && error.contains("3 rows of rows.u8bin"), "{error}");
    }
}
