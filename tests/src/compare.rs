//! One comparison of an answer with the expected one: shows row, distance and bits of both sides.

use std::fmt::Write as _;

use nearshore_core::index::Index;
use nearshore_core::search::{Hit, Scratch, Stats};

use crate::expected::{Case, Expected};
use crate::rows;

/// Says how `hits` and `stats` differ from `case`; `None` when they do not.
#[must_use]
pub fn difference(case: &Case, hits: &[Hit], stats: Stats) -> Option<String> {
    let found: Vec<(u64, u32)> = hits.iter().map(|hit| (hit.id, hit.distance.to_bits())).collect();
    let wanted: Vec<(u64, u32)> = case.ids.iter().copied().zip(case.bits.iter().copied()).collect();
    if found == wanted && (stats.distances, stats.hops) == (case.stats.distances, case.stats.hops) {
        return None;
    }
    let mut text = format!("query {}, {:?}\n  wanted {:?}, found {stats:?}\n", case.query, case.params, case.stats);
    for rank in 0..found.len().max(wanted.len()) {
        let (wanted, found) = (wanted.get(rank), found.get(rank));
        if wanted != found {
            let side = |hit: Option<&(u64, u32)>| {
                hit.map_or("nothing".to_owned(), |&(id, bits)| format!("id {id} at {:e} ({bits:#010x})", f32::from_bits(bits)))
            };
            let row = hits.get(rank).map_or(String::new(), |hit| format!(", row {}", hit.row));
            let _ = writeln!(text, "  rank {rank}: wanted {}, found {}{row}", side(wanted), side(found));
        }
    }
    Some(text)
}

/// Runs every search of `expected` on `index`: hits to the bit, distances, hops, payloads.
///
/// # Panics
/// When an answer differs; `what` names the index.
pub fn check<B: AsRef<[u8]>>(expected: &Expected, index: &Index<B>, what: &str) {
    let facts = (index.len(), index.dimensions(), index.metric().as_str(), index.element().as_str());
    assert_eq!(facts, (expected.rows, expected.dimensions, &*expected.metric, &*expected.element), "{what}");
    let (mut scratch, mut hits, mut bytes) = (Scratch::new(), Vec::new(), Vec::new());
    for case in &expected.cases {
        let stats = index
            .search(expected.queries[case.query].query(), &case.params, &mut scratch, &mut hits)
            .unwrap_or_else(|error| panic!("{what}: query {}, {:?}: {error}", case.query, case.params));
        if let Some(difference) = difference(case, &hits, stats) {
            panic!("{what}: {difference}");
        }
        for hit in &hits {
            index.payload(hit.row, &mut bytes).unwrap_or_else(|error| panic!("{what}: payload of row {}: {error}", hit.row));
            let wanted = if expected.payload { rows::payload(hit.id) } else { String::new() };
            assert_eq!(String::from_utf8_lossy(&bytes), wanted, "{what}: payload of id {}", hit.id);
            assert_eq!(index.row_of(hit.id), Ok(Some(hit.row)), "{what}: id {}", hit.id);
        }
    }
}
