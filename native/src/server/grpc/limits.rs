//! How many parts a message has, before it is decoded: an empty point is two bytes of a message and a hundred in memory.

use nearshore_core::filter::COLUMNS_MAX;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::super::body::{POINTS_MAX, SEARCHES_MAX, too_many};
use super::super::error::ApiError;

/// Refuses more points than a request may have, and more columns in one than any collection has.
pub(super) fn insert(message: &[u8]) -> Result<(), ApiError> {
    let mut columns = 0;
    let points = count(message, 1, |point| columns = columns.max(count(point, 5, |_| {})));
    too_many("points", points, POINTS_MAX)?;
    too_many("points.columns", columns, COLUMNS_MAX)
}

/// Refuses more searches than a request may have.
pub(super) fn search(message: &[u8]) -> Result<(), ApiError> {
    too_many("searches", count(message, 1, |_| {}), SEARCHES_MAX)
}

/// Parts of `message` under `field`, each shown to `look`; up to where it is malformed, which is for decoding to say.
fn count(mut message: &[u8], field: u32, mut look: impl FnMut(&[u8])) -> usize {
    let mut parts = 0;
    while let Ok((tag, wire)) = decode_key(&mut message) {
        if (tag, wire) != (field, WireType::LengthDelimited) {
            if skip_field(wire, tag, &mut message, DecodeContext::default()).is_err() {
                break;
            }
            continue;
        }
        let length = decode_varint(&mut message).ok().and_then(|length| usize::try_from(length).ok());
        let Some((part, rest)) = length.and_then(|length| message.split_at_checked(length)) else { break };
        look(part);
        message = rest;
        parts += 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_up_to_where_a_message_breaks() {
        // Field 1 twice (empty, then two bytes), field 2 as a number, field 1 cut short.
        let message = [0x0a, 0, 0x10, 0x96, 1, 0x0a, 2, 7, 7, 0x0a, 9, 1];
        let mut bytes = Vec::new();
        assert_eq!(count(&message, 1, |part| bytes.extend_from_slice(part)), 2);
        assert_eq!(bytes, [7, 7]);
        assert_eq!(count(&[], 1, |_| {}), 0);
        assert_eq!(count(&[0xff; 20], 1, |_| {}), 0);
    }

    #[test]
    fn too_many_parts_are_refused_before_they_are_decoded() {
        let points = |count: usize| [0x0au8, 0].repeat(count);
        assert!(insert(&points(POINTS_MAX)).is_ok());
        assert_eq!(insert(&points(POINTS_MAX + 1)).unwrap_err().field.as_deref(), Some("points"));
        assert_eq!(search(&points(SEARCHES_MAX + 1)).unwrap_err().field.as_deref(), Some("searches"));
        let columns = |count: usize| [vec![0x0a, 2 * count as u8], [0x2a, 0].repeat(count)].concat();
        assert!(insert(&columns(40)).is_ok());
        assert_eq!(insert(&columns(41)).unwrap_err().field.as_deref(), Some("points.columns"));
    }
}
