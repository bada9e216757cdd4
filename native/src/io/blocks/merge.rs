//! Which reads become one: a pure function of where they lie.

use std::ops::Range;

/// How reads are merged. All in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merging {
    /// What offsets and lengths of spans are multiples of; at least 1. Reads around the page cache want 4,096.
    pub align: u64,
    /// Bytes nobody asked for that may lie between two reads of a span, after both were widened to `align`: 0 for disks,
    /// whose reads cost little each; more where a request costs a round trip.
    pub gap: u64,
    /// Bytes at which a span grows no more. One read may be longer: it is not cut.
    pub bytes_max: u64,
}

/// One read that covers others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where it begins, a multiple of `align`.
    pub offset: u64,
    /// Its length, a multiple of `align`; so it may reach beyond the end of the file.
    pub bytes: u64,
    /// Places of the reads inside it.
    pub reads: Range<usize>,
}

/// Covers `reads`, byte ranges ascending by their beginnings, by as few spans as one pass makes: a read joins the span before
/// it where the gap and the length allow. Each read lies in one span whole; reads may overlap or be equal. O(reads), no
/// allocation.
///
/// # Panics
/// When `align` is 0.
pub fn merge(reads: impl IntoIterator<Item = Range<u64>>, rules: Merging) -> impl Iterator<Item = Span> {
    let widen = move |read: Range<u64>| {
        let start = read.start / rules.align * rules.align;
        // An empty read needs nothing, wherever it lies.
        let end = if read.is_empty() { start } else { read.end.div_ceil(rules.align).saturating_mul(rules.align) };
        start..end
    };
    let mut reads = reads.into_iter().map(widen).enumerate().peekable();
    std::iter::from_fn(move || {
        let (first, mut span) = reads.next()?;
        let mut last = first;
        while let Some((at, _)) = reads.next_if(|(_, read)| {
            let end = span.end.max(read.end);
            let joins = read.start <= span.end.saturating_add(rules.gap) && (end == span.end || end - span.start <= rules.bytes_max);
            span.end = if joins { end } else { span.end };
            joins
        }) {
            last = at;
        }
        Some(Span { offset: span.start, bytes: span.end - span.start, reads: first..last + 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spans(reads: &[Range<u64>], align: u64, gap: u64, bytes_max: u64) -> Vec<(u64, u64, usize)> {
        merge(reads.iter().cloned(), Merging { align, gap, bytes_max }).map(|span| (span.offset, span.bytes, span.reads.len())).collect()
    }

    #[test]
    fn reads_that_touch_become_one() {
        assert_eq!(spans(&[0..10, 10..20, 30..40], 1, 0, 100), [(0, 20, 2), (30, 10, 1)]);
    }

    #[test]
    fn a_gap_is_bridged_where_allowed() {
        assert_eq!(spans(&[0..10, 14..20, 25..30], 1, 4, 100), [(0, 20, 2), (25, 5, 1)]);
    }

    #[test]
    fn a_span_stops_growing_and_a_read_is_never_cut() {
        assert_eq!(spans(&[0..10, 10..20, 20..30], 1, 0, 20), [(0, 20, 2), (20, 10, 1)]);
        assert_eq!(spans(&[0..50, 50..60], 1, 0, 20), [(0, 50, 1), (50, 10, 1)]);
        // What is covered anyway joins.
        assert_eq!(spans(&[0..50, 10..50], 1, 0, 20), [(0, 50, 2)]);
    }

    #[test]
    fn reads_of_one_page_share_it() {
        assert_eq!(spans(&[100..500, 500..900, 4000..4100, 9000..9001], 4096, 0, 65_536), [(0, 12_288, 4)]);
        assert_eq!(spans(&[100..500, 8192..8200], 4096, 0, 65_536), [(0, 4096, 1), (8192, 4096, 1)]);
        assert_eq!(spans(&[4096..4096, u64::MAX - 1..u64::MAX], 4096, 0, 65_536).len(), 2);
    }

    proptest! {
        #[test]
        fn every_read_lies_in_one_span_and_no_span_could_have_gone_on(
            mut reads in prop::collection::vec((0u64..5_000, 0u64..300).prop_map(|(start, bytes)| start..start + bytes), 0..60),
            align in prop::sample::select(vec![1u64, 7, 512]), gap in 0u64..100, bytes_max in 0u64..2_000,
        ) {
            reads.sort_by_key(|read| (read.start, read.end));
            let rules = Merging { align, gap, bytes_max };
            let spans: Vec<Span> = merge(reads.iter().cloned(), rules).collect();
            let places: Vec<usize> = spans.iter().flat_map(|span| span.reads.clone()).collect();
            prop_assert_eq!(places, (0..reads.len()).collect::<Vec<_>>());
            for span in &spans {
                prop_assert!(span.offset % align == 0 && span.bytes % align == 0 && !span.reads.is_empty());
                let end = span.offset + span.bytes;
                let inside = &reads[span.reads.clone()];
                prop_assert!(inside.iter().all(|read| read.is_empty() || (span.offset <= read.start && read.end <= end)));
                // No byte more than alignment and gaps ask for.
                let longest = inside.iter().map(|read| read.end.div_ceil(align) * align - read.start / align * align).max().unwrap_or(0);
                prop_assert!(span.bytes <= bytes_max.max(longest + align) || inside.len() > 1 && span.bytes <= bytes_max.max(2 * longest));
                let wanted: u64 = inside.iter().map(|read| read.end.div_ceil(align) * align - read.start / align * align).sum();
                prop_assert!(span.bytes <= wanted + (inside.len() as u64 - 1) * gap);
            }
            for pair in spans.windows(2) {
                let (span, next) = (&pair[0], &reads[pair[1].reads.start]);
                let (start, end) = (next.start / align * align, next.end.div_ceil(align) * align);
                let stops = start > span.offset + span.bytes + gap || end.max(span.offset + span.bytes) - span.offset > bytes_max;
                prop_assert!(next.is_empty() || stops, "{:?} could have taken {:?}", span, next);
            }
        }
    }
}
