//! Readers beside a writer that never rests: as many hits as there are rows, each row once, and each with its own payload.

use nearshore_core::format::{Metric, Plan};
use nearshore_core::live::{Live, LiveParams};
use nearshore_core::search::{Scratch, SearchParams};
use nearshore_core::vectors::Query;
use std::sync::atomic::{AtomicBool, Ordering};

const PLANS: [Plan; 2] = [Plan::Walk, Plan::Scan];

fn filled(count: u64) -> Live {
    let mut live = Live::new(LiveParams::new(2, Metric::L2).m(4).ef_construction(20)).expect("parameters");
    for id in 0..count {
        live.insert(id, Query::F32(&[id as f32, 0.0]), format!("row {id}").as_bytes()).expect("a new id");
    }
    live
}

#[test]
#[cfg_attr(miri, ignore = "whole searches take minutes there")]
fn rows_that_come_and_go_take_no_hits_away() {
    let (mut live, done) = (filled(3), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (counter, counting) = (live.reader(), &done);
        scope.spawn(move || {
            while !counting.load(Ordering::Relaxed) {
                assert!((3..=4).contains(&counter.rows()), "{} rows", counter.rows());
            }
        });
        for plan in PLANS {
            for _ in 0..2 {
                let (mut reader, done) = (live.reader(), &done);
                scope.spawn(move || {
                    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
                    while !done.load(Ordering::Relaxed) {
                        let params = SearchParams::default().k(3).plan(plan);
                        reader.search(Query::F32(&[0.0, 0.0]), &params, &mut scratch, &mut hits).expect("a search");
                        assert_eq!(hits.iter().map(|hit| hit.id).collect::<Vec<_>>(), [0, 1, 2]);
                    }
                });
            }
        }
        for id in 1000..6000 {
            live.insert(id, Query::F32(&[id as f32, 1.0]), &[]).expect("a new id");
            live.delete(id).expect("a living row");
            if live.wants_compaction() && id % 64 == 0 {
                live.compact();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
#[cfg_attr(miri, ignore = "whole searches take minutes there")]
fn a_row_that_is_updated_is_found_once_at_any_moment() {
    const ROWS: u64 = 40;
    let (mut live, done) = (filled(ROWS), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for plan in PLANS {
            let (mut reader, done) = (live.reader(), &done);
            scope.spawn(move || {
                let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
                while !done.load(Ordering::Relaxed) {
                    let params = SearchParams::default().k(2 * ROWS as usize).plan(plan);
                    reader.search(Query::F32(&[0.0, 0.0]), &params, &mut scratch, &mut hits).expect("a search");
                    let mut ids: Vec<u64> = hits.iter().map(|hit| hit.id).collect();
                    ids.sort_unstable();
                    assert_eq!(ids, (0..ROWS).collect::<Vec<_>>(), "{plan:?}");
                }
            });
        }
        for round in 0..6000 {
            let id = round * 7 % ROWS;
            live.update(id, Query::F32(&[id as f32, round as f32]), &[]).expect("a sound vector");
            if live.wants_compaction() && round % 50 == 0 {
                live.compact();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_hit_has_its_own_payload_or_none() {
    let mut live = filled(40);
    let mut reader = live.reader();
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    let params = SearchParams::default().k(5);
    reader.search(Query::F32(&[20.0, 0.0]), &params, &mut scratch, &mut hits).expect("a search");
    (0..19).for_each(|id| live.delete(id).expect("a living row"));
    live.compact();
    assert_eq!(reader.rows(), 21, "as of now");
    for hit in &hits {
        assert_eq!(reader.payload_of(hit), format!("row {}", hit.id).as_bytes(), "as of the search");
    }
    let (before, gone) = (hits.clone(), hits.iter().filter(|hit| hit.id < 19).count());
    assert_eq!(gone, 1);
    for hit in before.iter().filter(|hit| hit.id >= 19) {
        assert_eq!(live.payload_of(hit), format!("row {}", hit.id).as_bytes(), "found by its id");
    }
    reader.search(Query::F32(&[20.0, 0.0]), &params, &mut scratch, &mut hits).expect("a search");
    for hit in &before {
        let payload = reader.payload_of(hit);
        assert!(payload.is_empty() || payload == format!("row {}", hit.id).as_bytes(), "never another row's");
    }
}
