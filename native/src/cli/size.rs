//! Sizes and counts as people write them.

use std::str::FromStr;

/// A count of bytes: a number, with KiB, MiB, GiB or TiB behind it perhaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

impl FromStr for Bytes {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
        let unit = units.into_iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)));
        let (number, shift) = unit.unwrap_or((text, 0));
        let bytes = number.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
        bytes.map(Self).ok_or("must be a number of bytes, such as 100MiB")
    }
}

/// A count of something, with what would be right where it is none.
pub(crate) fn whole(text: &str) -> Result<usize, String> {
    text.trim().parse().map_err(|_| "a whole number, such as 40, would be right".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_a_unit() {
        let read = |text: &str| text.parse::<Bytes>().map(|bytes| bytes.0);
        assert_eq!((read("1000"), read("100MiB"), read("2 GiB"), read("1KiB")), (Ok(1000), Ok(100 << 20), Ok(2 << 30), Ok(1024)));
        for wrong in ["", "MiB", "-1", "1.5GiB", "99999999TiB", "1 MB"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
