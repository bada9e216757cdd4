//! Formats whose rows are used where they lie: all that a reader finds out is where the first row starts and how far
//! it is from row to row.
//!
//! ```text
//! .fbin .f16bin .u8bin .i8bin   u32 rows, u32 dimensions, then the rows back to back        (big-ann-benchmarks)
//! .fvecs .bvecs                 a row: u32 dimensions, then f32 or u8 elements              (TEXMEX)
//! .npy                          text header, then the rows back to back: f4, f2, u1, i1     (NumPy, C order)
//! ```
//! All little-endian. The functions take bytes, not files, and allocate nothing.

use super::error::{DataError, Fault};
use super::npy;
use nearshore_core::format::Element;

use super::{DIMENSIONS_MAX, Format};

/// Where the rows of a binary file lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Byte of the first row.
    pub start: usize,
    /// Type of an element.
    pub element: Element,
    /// Elements in a row.
    pub dimensions: usize,
    /// Number of rows.
    pub rows: usize,
    /// Bytes from row to row.
    pub stride: usize,
}

/// Finds the rows in `bytes`, the whole of the file called `name`. Formats that are not binary are [`Fault::UnknownFormat`].
///
/// # Errors
/// A header that the length contradicts, no rows, dimensions outside 1..=32,768, rows of unequal length.
pub fn layout(format: Format, name: &str, bytes: &[u8]) -> Result<Layout, DataError> {
    match format {
        Format::Fbin => counted(Element::F32, name, bytes),
        Format::F16bin => counted(Element::F16, name, bytes),
        Format::U8bin => counted(Element::U8, name, bytes),
        Format::I8bin => counted(Element::I8, name, bytes),
        Format::Fvecs => prefixed(Element::F32, name, bytes),
        Format::Bvecs => prefixed(Element::U8, name, bytes),
        Format::Npy => matrix(name, bytes),
        Format::Parquet | Format::Jsonl => Err(DataError::new(name, Fault::UnknownFormat)),
    }
}

/// The u32 at `at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn counted(element: Element, name: &str, bytes: &[u8]) -> Result<Layout, DataError> {
    let found = bytes.len() as u64;
    let (Some(rows), Some(dimensions)) = (u32_at(bytes, 0), u32_at(bytes, 4)) else {
        return Err(if found == 0 {
            DataError::new(name, Fault::Empty)
        } else {
            DataError::new(name, Fault::Length { wanted: 8, found, because: "the header alone (u32 rows, u32 dimensions)".into() })
        });
    };
    check_shape(name, u64::from(rows), u64::from(dimensions))?;
    let wanted = 8 + u128::from(rows) * u128::from(dimensions) * element.bytes() as u128;
    if wanted != u128::from(found) {
        let because = format!("a header of {rows} rows x {dimensions} dimensions of {element}");
        return Err(DataError::new(name, Fault::Length { wanted: u64::try_from(wanted).unwrap_or(u64::MAX), found, because }));
    }
    let dimensions = dimensions as usize;
    Ok(Layout { start: 8, element, dimensions, rows: rows as usize, stride: dimensions * element.bytes() })
}

fn prefixed(element: Element, name: &str, bytes: &[u8]) -> Result<Layout, DataError> {
    let found = bytes.len() as u64;
    let Some(dimensions) = u32_at(bytes, 0) else {
        return Err(if found == 0 {
            DataError::new(name, Fault::Empty)
        } else {
            DataError::new(name, Fault::Length { wanted: 4, found, because: "the first row's dimension alone".into() })
        });
    };
    check_shape(name, 1, u64::from(dimensions)).map_err(|error| error.row(0))?;
    let dimensions = dimensions as usize;
    let stride = 4 + dimensions * element.bytes();
    let rows = bytes.len() / stride;
    for row in 0..rows {
        let own = u32_at(bytes, row * stride).unwrap_or(0);
        if own as usize != dimensions {
            let fault =
                Fault::Count { what: "dimensions", wanted: dimensions as u64, found: u64::from(own), because: "as in row 0".into() };
            return Err(DataError::new(name, fault).row(row as u64));
        }
    }
    if !bytes.len().is_multiple_of(stride) {
        let because = format!("{} rows of {stride} bytes (u32 {dimensions}, then {dimensions} x {element})", rows + 1);
        return Err(DataError::new(name, Fault::Length { wanted: (rows as u64 + 1) * stride as u64, found, because }));
    }
    Ok(Layout { start: 4, element, dimensions, rows, stride })
}

fn matrix(name: &str, bytes: &[u8]) -> Result<Layout, DataError> {
    let header = npy::header(name, bytes)?;
    let element = match header.descr {
        "<f4" => Element::F32,
        "<f2" => Element::F16,
        "|u1" | "u1" => Element::U8,
        "|i1" | "i1" => Element::I8,
        other => {
            let what = format!("elements of type {other:?}; '<f4', '<f2', '|u1' or '|i1' would be right (array.astype('<f4'))");
            return Err(DataError::malformed(name, what).field("descr"));
        }
    };
    let (Some(&rows), Some(&dimensions), 2) = (header.shape.first(), header.shape.get(1), header.dims) else {
        let what = format!("an array of {} axes; 2 would be right: (rows, dimensions)", header.dims);
        return Err(DataError::malformed(name, what).field("shape"));
    };
    check_shape(name, rows, dimensions)?;
    header.check_length(name, bytes, element.bytes())?;
    let stride = dimensions as usize * element.bytes();
    Ok(Layout { start: header.start, element, dimensions: dimensions as usize, rows: rows as usize, stride })
}

/// Refuses no rows and dimensions out of range.
pub(super) fn check_shape(name: &str, rows: u64, dimensions: u64) -> Result<(), DataError> {
    if rows == 0 {
        return Err(DataError::new(name, Fault::Empty));
    }
    if dimensions == 0 || dimensions > DIMENSIONS_MAX as u64 {
        return Err(DataError::new(name, Fault::Dimensions(dimensions)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fault(format: Format, bytes: &[u8]) -> String {
        layout(format, "x", bytes).unwrap_err().to_string()
    }

    fn fbin(rows: u32, dimensions: u32, values: usize) -> Vec<u8> {
        let mut bytes = [rows.to_le_bytes(), dimensions.to_le_bytes()].concat();
        bytes.resize(8 + 4 * values, 0);
        bytes
    }

    #[test]
    fn a_counted_file_is_its_header_and_its_rows() {
        let found = layout(Format::Fbin, "x", &fbin(3, 2, 6)).unwrap();
        assert_eq!(found, Layout { start: 8, element: Element::F32, dimensions: 2, rows: 3, stride: 8 });
        assert_eq!(layout(Format::U8bin, "x", &fbin(4, 6, 6)).unwrap().stride, 6);
    }

    #[test]
    fn faults_of_counted_files_say_what_would_be_right() {
        assert_eq!(fault(Format::Fbin, b""), "x: no rows; at least one vector would be right");
        assert_eq!(fault(Format::Fbin, &[1; 5]), "x: 5 bytes; the header alone (u32 rows, u32 dimensions) would be 8");
        assert_eq!(fault(Format::Fbin, &fbin(3, 2, 5)), "x: 28 bytes; a header of 3 rows x 2 dimensions of f32 would be 32");
        assert_eq!(fault(Format::Fbin, &fbin(0, 2, 0)), "x: no rows; at least one vector would be right");
        assert_eq!(fault(Format::Fbin, &fbin(1, 0, 0)), "x: 0 dimensions; 1 to 32768 would be right");
        assert_eq!(fault(Format::Fbin, &fbin(u32::MAX, 32_769, 0)), "x: 32769 dimensions; 1 to 32768 would be right");
        assert!(fault(Format::Fbin, &fbin(u32::MAX, 32_768, 0)).contains("4294967295 rows x 32768 dimensions"));
        assert!(fault(Format::Jsonl, b"{}").contains("unknown format"));
    }

    #[test]
    fn a_prefixed_file_repeats_its_dimension() {
        let row = [&2u32.to_le_bytes()[..], &[0; 8]].concat();
        let two = [&row[..], &row].concat();
        let found = layout(Format::Fvecs, "x", &two).unwrap();
        assert_eq!(found, Layout { start: 4, element: Element::F32, dimensions: 2, rows: 2, stride: 12 });
        let mut wrong = two.clone();
        wrong[12] = 3;
        assert_eq!(fault(Format::Fvecs, &wrong), "x: row 1: 3 dimensions; 2 as in row 0 would be right");
        assert_eq!(fault(Format::Fvecs, &two[..23]), "x: 23 bytes; 2 rows of 12 bytes (u32 2, then 2 x f32) would be 24");
        assert_eq!(fault(Format::Bvecs, &[0; 4]), "x: row 0: 0 dimensions; 1 to 32768 would be right");
        assert_eq!(fault(Format::Bvecs, &[0xFF; 4]), "x: row 0: 4294967295 dimensions; 1 to 32768 would be right");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_layout_inside_them_or_an_error(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), small in any::<bool>()) {
            if small && bytes.len() >= 8 {
                bytes[1..4].fill(0);
                bytes[5..8].fill(0);
            }
            for format in Format::ALL {
                if let Ok(found) = layout(format, "x", &bytes) {
                    let end = found.start + (found.rows - 1) * found.stride + found.dimensions * found.element.bytes();
                    prop_assert_eq!(end, bytes.len());
                }
            }
        }
    }
}
