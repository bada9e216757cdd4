//! What a live index notes in the `meta` of its files, and reads back.

use super::LiveParams;
use alloc::string::String;

/// What decided the bytes, for people and for [`Live::load`](super::Live::load): JSON with sorted
/// keys. `changed` counts as [`Shared::changed`](super::Shared) does.
pub(super) fn describe(params: &LiveParams, rows: usize, changed: u32) -> String {
    alloc::format!(
        "{{\"builder\":\"hnsw-live 1\",\"changed\":{changed},\"dimensions\":{},\"ef_construction\":{},\"element\":\"{}\",\"m\":{},\
         \"metric\":\"{}\",\"rows\":{rows},\"seed\":{}}}",
        params.dimensions,
        params.ef_construction,
        params.element.as_str(),
        params.m,
        params.metric.as_str(),
        params.seed,
    )
}

/// The whole number that stands behind `"key":`, in the text of any builder.
pub(super) fn number(meta: &str, key: &str) -> Option<u64> {
    let mut rests = meta.split(key).skip(1).filter_map(|rest| rest.strip_prefix('"')?.trim_start().strip_prefix(':'));
    let rest = rests.next()?.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
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
