//! What a live index notes in the `meta` of its files, and reads back.

use super::LiveParams;
use crate::words::say;
use alloc::string::String;

/// What decided the bytes, for people and for [`Live::load`](super::Live::load): JSON with sorted
/// keys. `changed` counts as [`Shared::changed`](super::Shared) does.
pub(super) fn describe(params: &LiveParams, rows: usize, changed: u32) -> String {
    let mut json = String::new();
    say!(&mut json, "{\"builder\":\"hnsw-live 1\",\"changed\":", changed);
    #[cfg(feature = "codes")]
    if params.codes != crate::build::Codes::None {
        say!(&mut json, ",\"codes\":\"", params.codes.as_str(), "\"");
    }
    say!(&mut json, ",\"dimensions\":", params.dimensions, ",\"ef_construction\":", params.ef_construction);
    say!(&mut json, ",\"element\":\"", params.element.as_str(), "\"");
    #[cfg(feature = "codes")]
    if params.layout == crate::search::Layout::Fast {
        say!(&mut json, ",\"layout\":\"fast\"");
    }
    say!(&mut json, ",\"m\":", params.m);
    say!(&mut json, ",\"metric\":\"", params.metric.as_str(), "\",\"rows\":", rows, ",\"seed\":", params.seed, "}");
    json
}

/// The whole number that stands behind `"key":`, in the text of any builder. Byte by byte: the search
/// and the slicing of `str` would weigh more in a browser than the whole live index.
pub(super) fn number(meta: &str, key: &str) -> Option<u64> {
    let (meta, key) = (meta.as_bytes(), key.as_bytes());
    let value = |at: usize| meta[at..].strip_prefix(b"\"")?.strip_prefix(key)?.strip_prefix(b"\"")?.trim_ascii_start().strip_prefix(b":");
    let digits = (0..meta.len()).find_map(value)?.trim_ascii_start();
    let mut number = None;
    for digit in digits.iter().take_while(|byte| byte.is_ascii_digit()) {
        number = Some(number.unwrap_or(0u64).checked_mul(10)?.checked_add(u64::from(digit - b'0'))?);
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Metric;

    #[test]
    fn numbers_are_read_back_and_nonsense_is_none() {
        let meta = describe(&LiveParams::new(3, Metric::L2).ef_construction(77), 5, 9);
        assert_eq!((number(&meta, "ef_construction"), number(&meta, "changed")), (Some(77), Some(9)));
        assert_eq!(number("{ \"a\" :\n 12 }", "a"), Some(12));
        for text in ["", "{}", "\"a", "\"a\"", "\"a\":", "\"a\":-1", "\"a\":\"1\"", "\"a\":99999999999999999999"] {
            assert_eq!(number(text, "a"), None, "{text}");
        }
    }
}
