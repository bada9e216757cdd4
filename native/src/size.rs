//! Counts of bytes as people read them.

/// A count of bytes in the unit that fits: `12 bytes`, `1.50 GiB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (count as f64, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} bytes") } else { format!("{value:.2} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_fits_its_count() {
        assert_eq!((bytes(12), bytes(1 << 20), bytes(3 << 29)), ("12 bytes".into(), "1.00 MiB".into(), "1.50 GiB".into()));
    }
}
