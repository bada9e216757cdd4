//! The header of a `.npy` file (NumPy format 1.0 to 3.0).
//!
//! ```text
//! 93 'N' 'U' 'M' 'P' 'Y', u8 major, u8 minor, u16 (from 2.0: u32) length,
//! {'descr': '<f4', 'fortran_order': False, 'shape': (60000, 784), }   and spaces up to the length
//! ```
//! The dictionary is Python's; of its grammar only what `numpy.save` writes is understood.

use super::error::{DataError, Fault};

const MAGIC: &[u8] = b"\x93NUMPY";

/// What `numpy.save` may write is far shorter; the rest would be an attempt to make us scan.
const HEADER_MAX: usize = 1 << 16;

/// What a header says.
#[derive(Debug)]
pub(super) struct Header<'a> {
    /// Type of an element as NumPy spells it, such as `<f4`.
    pub(super) descr: &'a str,
    /// The first axes, two at most.
    pub(super) shape: [u64; 2],
    /// How many axes there are.
    pub(super) dims: usize,
    /// Byte of the first element.
    pub(super) start: usize,
}

/// Reads the header at the start of `bytes`.
pub(super) fn header<'a>(name: &str, bytes: &'a [u8]) -> Result<Header<'a>, DataError> {
    let bad = |what: &str| DataError::malformed(name, format!("{what}; a .npy file as numpy.save writes it would be right"));
    if bytes.is_empty() {
        return Err(DataError::new(name, Fault::Empty));
    }
    let (major, from, length) = match (bytes.strip_prefix(MAGIC), bytes.get(6)) {
        (Some([1, _, a, b, ..]), _) => (1, 10, usize::from(u16::from_le_bytes([*a, *b]))),
        (Some([major @ 2..=3, _, a, b, c, d, ..]), _) => (*major, 12, u32::from_le_bytes([*a, *b, *c, *d]) as usize),
        (Some(_), Some(major)) => return Err(bad(&format!("header of version {major}, or cut short"))),
        _ => return Err(bad("the first bytes are not the magic number of NumPy")),
    };
    if length > HEADER_MAX {
        return Err(bad(&format!("a header of {length} bytes")));
    }
    let text = bytes.get(from..from + length).ok_or_else(|| bad("the header is cut short"))?;
    let text = std::str::from_utf8(text).map_err(|_| bad(&format!("header of version {major} that is not text")))?;
    let descr = value(text, "descr").and_then(quoted).ok_or_else(|| bad("no simple 'descr' in the header"))?;
    match value(text, "fortran_order") {
        Some(rest) if rest.starts_with("False") => {}
        Some(rest) if rest.starts_with("True") => {
            let what = "columns lie back to back (Fortran order); rows would be right (numpy.ascontiguousarray)";
            return Err(DataError::malformed(name, what).field("fortran_order"));
        }
        _ => return Err(bad("no 'fortran_order' in the header")),
    }
    let (shape, dims) = value(text, "shape").and_then(tuple).ok_or_else(|| bad("no 'shape' in the header"))?;
    Ok(Header { descr, shape, dims, start: from + length })
}

impl Header<'_> {
    /// Refuses a file that is shorter or longer than its shape implies.
    pub(super) fn check_length(&self, name: &str, bytes: &[u8], element_bytes: usize) -> Result<(), DataError> {
        let axes = &self.shape[..self.dims.min(2)];
        let elements = axes.iter().fold(1u128, |product, &axis| product.saturating_mul(u128::from(axis)));
        let wanted = elements.saturating_mul(element_bytes as u128).saturating_add(self.start as u128);
        if wanted == bytes.len() as u128 {
            return Ok(());
        }
        let because = format!("a header of shape {axes:?} and type {}", self.descr);
        let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
        Err(DataError::new(name, Fault::Length { wanted, found: bytes.len() as u64, because }))
    }
}

/// What stands after `'key':`.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    for quote in ['\'', '"'] {
        let key = format!("{quote}{key}{quote}");
        if let Some((_, rest)) = text.split_once(&key) {
            return Some(rest.trim_start().strip_prefix(':')?.trim_start());
        }
    }
    None
}

/// The content of the string literal that `text` starts with.
fn quoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote).map(|(inside, _)| inside)
}

/// The first two numbers of the tuple that `text` starts with, and how many there are.
fn tuple(text: &str) -> Option<([u64; 2], usize)> {
    let (inside, _) = text.strip_prefix('(')?.split_once(')')?;
    let mut axes = [0; 2];
    let mut count = 0;
    for axis in inside.split(',').map(str::trim).filter(|axis| !axis.is_empty()) {
        let axis = axis.parse().ok()?;
        if let Some(place) = axes.get_mut(count) {
            *place = axis;
        }
        count += 1;
    }
    Some((axes, count))
}

#[cfg(test)]
mod tests {
    use super::super::{Element, Format, layout};
    use super::*;

    fn npy(dictionary: &str, data: usize) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((dictionary.len() as u16).to_le_bytes());
        bytes.extend(dictionary.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    }

    fn fault(bytes: &[u8]) -> String {
        layout(Format::Npy, "x", bytes).unwrap_err().to_string()
    }

    #[test]
    fn a_matrix_is_found() {
        let bytes = npy("{'descr': '<f2', 'fortran_order': False, 'shape': (3, 2), }  \n", 12);
        let found = layout(Format::Npy, "x", &bytes).unwrap();
        assert_eq!((found.element, found.rows, found.dimensions, found.stride), (Element::F16, 3, 2, 4));
        assert_eq!(found.start, bytes.len() - 12);
    }

    #[test]
    fn what_is_not_a_matrix_of_ours_is_refused_with_the_remedy() {
        let f8 = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }", 48);
        assert!(fault(&f8).contains("field descr: elements of type \"<f8\"") && fault(&f8).contains("astype('<f4')"));
        let fortran = npy("{'descr': '<f4', 'fortran_order': True, 'shape': (3, 2), }", 24);
        assert!(fault(&fortran).contains("ascontiguousarray"));
        let flat = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }", 24);
        assert!(fault(&flat).contains("an array of 1 axes; 2 would be right"));
        let cube = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2, 1), }", 24);
        assert!(fault(&cube).contains("an array of 3 axes"));
        let short = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }", 23);
        assert!(fault(&short).contains("shape [3, 2] and type <f4 would be"));
        let huge = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551615, 32768), }", 24);
        assert!(fault(&huge).contains("would be 18446744073709551615"));
        let big = npy("{'descr': '>f4', 'fortran_order': False, 'shape': (3, 2), }", 24);
        assert!(fault(&big).contains("\">f4\""));
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_is_an_error_or_a_layout() {
        let good = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }", 24);
        for cut in 0..good.len() {
            assert!(layout(Format::Npy, "x", &good[..cut]).is_err());
        }
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bytes = good.clone();
                bytes[at] ^= 1 << bit;
                if let Ok(found) = layout(Format::Npy, "x", &bytes) {
                    assert_eq!(found.start + found.rows * found.stride, bytes.len());
                }
            }
        }
    }
}
