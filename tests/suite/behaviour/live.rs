//! Files that a live index saved: tombstones in them, walked through and never returned.

use super::*;
use nearshore_core::live::{Live, LiveParams};

fn saved(live: &Live) -> File {
    let index = Index::open(live.save(Vec::new()).expect("a vector takes all")).expect("what was saved opens");
    index.check(&mut |_, _| {}).unwrap_or_else(|damage| panic!("what was saved is sound: {damage}"));
    index
}

/// 800 rows of bytes in clusters.
fn filled() -> (Live, Vec<u8>) {
    let rows = nearshore_tests::rows::rows(Element::U8, 16, 800, 21);
    let mut live = Live::new(LiveParams::new(16, Metric::L2).element(Element::U8).m(8).ef_construction(60)).expect("sound parameters");
    for (id, row) in rows.chunks(16).enumerate() {
        live.insert(id as u64, Query::U8(row), format!("row {id}").as_bytes()).expect("a sound row");
    }
    (live, rows)
}

#[test]
fn the_dead_are_never_returned_and_the_living_always_are() {
    for dead_of_ten in [1, 5, 9] {
        let (mut live, rows) = filled();
        let dies = |id: u64| id * 7919 % 10 < dead_of_ten;
        (0..800).filter(|&id| dies(id)).for_each(|id| live.delete(id).expect("it lives"));
        let index = saved(&live);
        assert_eq!((index.len(), index.deleted()), (800, 80 * dead_of_ten));
        let living = 800 - 80 * dead_of_ten as usize;
        let mut payload = Vec::new();
        for (id, row) in rows.chunks(16).enumerate().step_by(9) {
            let truth = search(&index, Query::U8(row), &scan());
            let hits = search(&index, Query::U8(row), &walk(100));
            assert_eq!((hits.len(), truth.len()), (10, 10));
            assert!(hits.iter().chain(&truth).all(|hit| !dies(hit.id)));
            assert_eq!(truth[0].id == id as u64, !dies(id as u64), "row {id}");
            let all = search(&index, Query::U8(row), &walk(800).k(800));
            assert_eq!(all.len(), living);
            assert_eq!(all, search(&index, Query::U8(row), &scan().k(800)));
            assert_eq!(index.row_of(id as u64).expect("a sound file").is_some(), !dies(id as u64));
            index.payload(hits[0].row, &mut payload).expect("a sound file");
            assert_eq!(payload, format!("row {}", hits[0].id).as_bytes());
        }
    }
}

#[test]
fn an_index_whose_rows_all_died_answers_with_nothing() {
    let (mut live, rows) = filled();
    (0..800).for_each(|id| live.delete(id).expect("it lives"));
    let index = saved(&live);
    for plan in [scan(), walk(10), SearchParams::default()] {
        assert_eq!(search(&index, Query::U8(&rows[..16]), &plan), []);
    }
    live.compact();
    assert_eq!(saved(&live).len(), 0);
}

#[test]
fn a_compacted_index_is_whole_and_keeps_its_recall() {
    let (mut live, rows) = filled();
    (0..800).filter(|id| id % 2 == 1).for_each(|id| live.delete(id).expect("it lives"));
    live.compact();
    let index = saved(&live);
    assert_eq!((index.len(), index.deleted()), (400, 0));
    assert_eq!(unreached(&index), 0);
    let (mut found, mut all) = (0, 0);
    for row in rows.chunks(16).step_by(5) {
        let truth = ids(&search(&index, Query::U8(row), &scan()));
        let hits = ids(&search(&index, Query::U8(row), &walk(64)));
        found += truth.iter().filter(|id| hits.contains(id)).count();
        all += truth.len();
    }
    assert!(found as f64 / all as f64 > 0.95, "{found} of {all}");
}

#[test]
fn live_and_saved_answer_alike() {
    let (mut live, rows) = filled();
    (0..800).filter(|id| id % 3 == 1).for_each(|id| live.delete(id).expect("it lives"));
    live.update(5, Query::U8(&rows[16 * 77..16 * 78]), b"moved").expect("it lives");
    let index = saved(&live);
    let mut hits = Vec::new();
    for row in rows.chunks(16).step_by(11) {
        live.search(Query::U8(row), &scan().k(20), &mut Scratch::new(), &mut hits).expect("a search");
        let saved = search(&index, Query::U8(row), &scan().k(20));
        let pairs = |hits: &[Hit]| hits.iter().map(|hit| (hit.id, hit.distance.to_bits())).collect::<Vec<_>>();
        assert_eq!(pairs(&hits), pairs(&saved));
    }
    let home = search(&index, Query::U8(&rows[16 * 77..16 * 78]), &walk(50).k(2));
    assert!(home.iter().any(|hit| hit.id == 5 && hit.distance == 0.0), "{home:?}");
}
