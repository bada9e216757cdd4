//! Searches that are cut before their blocks came: the hits that could be had, and a state that is as good as new.

use super::{RECIPE, Recipe};
use nearshore_core::index::Index;
use nearshore_core::search::{Hit, Pending, SearchParams};
use nearshore_core::vectors::Query;

/// Feeds whole rounds, then `some` blocks of the next one, and cuts.
fn cut<B: AsRef<[u8]>>(index: &Index<B>, query: &[f32], payloads: bool, whole: usize, some: usize) -> Pending {
    let file = index.reader().bytes();
    let mut pending = Pending::new();
    pending.ask_payloads(payloads);
    index.start(Query::F32(query), &SearchParams::default(), &mut pending).expect("a sound search");
    for round in 0..=whole {
        let blocks = if round < whole { pending.wanted().len() } else { some.min(pending.wanted().len()) };
        for at in 0..blocks {
            let block = pending.wanted()[at];
            index.feed(&mut pending, at, &file[block.offset as usize..][..block.bytes as usize]).expect("a sound block");
        }
        if round < whole {
            index.advance(&mut pending).expect("sound blocks");
        }
    }
    index.cut(&mut pending);
    assert!(pending.wanted().is_empty());
    assert!(index.advance(&mut pending).expect("nothing to do"), "it is done");
    pending
}

#[test]
fn hits_are_those_whose_records_came() {
    let recipe = Recipe { dressed: true, ..RECIPE };
    let (_, index) = recipe.make();
    for query in recipe.queries() {
        let full = cut(&index, &query, true, 3, 0);
        let all: Vec<Hit> = full.hits().to_vec();
        assert_eq!(all.len(), 10);
        assert!((0..10).any(|hit| !full.payload(hit).is_empty()));
        for some in [0, 3, usize::MAX] {
            assert!(cut(&index, &query, true, 0, some).hits().is_empty(), "codes have no ids");
        }
        // Every record that came is one candidate; the more, the better the hits, until they are all.
        let mut before = cut(&index, &query, true, 1, 0).hits().to_vec();
        assert!(before.is_empty());
        for some in 1..60 {
            let found = cut(&index, &query, true, 1, some);
            assert!(found.hits().len() >= before.len());
            assert!(found.hits().is_sorted_by(|a, b| (a.distance, a.id) <= (b.distance, b.id)));
            assert!(before.iter().zip(found.hits()).all(|(before, now)| now.distance <= before.distance));
            assert!((0..found.hits().len()).all(|hit| found.payload(hit).is_empty()));
            before = found.hits().to_vec();
        }
        assert_eq!(cut(&index, &query, true, 1, usize::MAX).hits(), all);
        // A part of the payloads is none.
        for some in [0, 1] {
            let found = cut(&index, &query, true, 2, some);
            assert_eq!(found.hits(), all);
            assert!((0..10).all(|hit| found.payload(hit).is_empty()));
        }
    }
}

#[test]
fn a_search_that_is_done_stays_as_it_is_and_the_next_is_sound() {
    let (_, index) = RECIPE.make();
    let [one, two, ..] = &RECIPE.queries()[..] else { unreachable!("several queries") };
    let whole = cut(&index, one, false, 2, 0).hits().to_vec();
    let mut pending = cut(&index, two, false, 1, 4);
    index.start(Query::F32(one), &SearchParams::default(), &mut pending).expect("a sound search");
    while !index.advance(&mut pending).expect("sound blocks") {
        for at in 0..pending.wanted().len() {
            let block = pending.wanted()[at];
            index.feed(&mut pending, at, &index.reader().bytes()[block.offset as usize..][..block.bytes as usize]).expect("a sound block");
        }
    }
    assert_eq!(pending.hits(), whole);
    index.cut(&mut pending);
    assert_eq!(pending.hits(), whole);
}
