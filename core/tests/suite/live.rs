//! The live index: what goes in comes out, what is deleted stays away, and files keep it all.

use nearshore_core::format::{Metric, Plan};
use nearshore_core::index::Index;
use nearshore_core::live::{Live, LiveError, LiveParams};
use nearshore_core::search::{Effort, Hit, Scratch, SearchParams};
use nearshore_core::seed::SplitMix;
use nearshore_core::vectors::Query;

const DIMENSIONS: usize = 24;

/// Clustered rows: `count` of them around 40 centres.
fn rows(count: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut random = SplitMix::new(seed);
    let mut unit = move || (random.next_u64() >> 40) as f32 / (1 << 23) as f32 - 1.0;
    let mut fixed = SplitMix::new(99);
    let mut centre = move || (fixed.next_u64() >> 40) as f32 / (1 << 23) as f32 - 1.0;
    let centres: Vec<Vec<f32>> = (0..40).map(|_| (0..DIMENSIONS).map(|_| 2.0 * centre()).collect()).collect();
    (0..count).map(|row| centres[row % 40].iter().map(|x| x + 0.6 * unit()).collect()).collect()
}

fn filled(count: usize) -> (Live, Vec<Vec<f32>>) {
    let rows = rows(count, 1);
    let mut live = Live::new(LiveParams::new(DIMENSIONS, Metric::L2)).expect("parameters");
    for (id, row) in rows.iter().enumerate() {
        live.insert(id as u64, Query::F32(row), format!("row {id}").as_bytes()).expect("a new id");
    }
    (live, rows)
}

fn search(live: &Live, query: &[f32], params: SearchParams) -> Vec<Hit> {
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    live.search(Query::F32(query), &params, &mut scratch, &mut hits).expect("a search");
    hits
}

fn walk(ef: usize) -> SearchParams {
    let mut params = SearchParams::default().plan(Plan::Walk);
    params.effort = Effort::Ef(ef);
    params
}

/// Share of the living true ten that a walk finds.
fn recall(live: &Live, queries: &[Vec<f32>], ef: usize) -> f64 {
    let mut found = 0;
    for query in queries {
        let exact = search(live, query, SearchParams::default().plan(Plan::Scan));
        let hits = search(live, query, walk(ef));
        assert_eq!(hits.len(), exact.len());
        found += hits.iter().filter(|hit| exact.iter().any(|e| e.id == hit.id)).count();
    }
    found as f64 / (10 * queries.len()) as f64
}

#[test]
fn a_walk_finds_nearly_all_that_a_scan_finds() {
    let (live, _) = filled(4000);
    let recall = recall(&live, &rows(100, 2), 64);
    assert!(recall > 0.97, "recall@10 {recall}");
}

#[test]
fn deleted_rows_never_come_back_and_k_rows_always_do() {
    let (mut live, rows) = filled(3000);
    for id in (0..3000).filter(|id| id % 4 != 0) {
        live.delete(id).expect("a living row");
    }
    assert_eq!((live.len(), live.deleted()), (750, 2250));
    assert_eq!(live.delete(1), Err(LiveError::UnknownId { id: 1 }));
    for row in rows.iter().take(100) {
        for params in [walk(10), SearchParams::default().plan(Plan::Scan)] {
            let hits = search(&live, row, params);
            assert_eq!(hits.len(), 10);
            assert!(hits.iter().all(|hit| hit.id % 4 == 0));
        }
    }
    assert!(live.wants_compaction());
    live.compact();
    assert_eq!((live.len(), live.deleted()), (750, 0));
    let recall = recall(&live, &rows[..100], 64);
    assert!(recall > 0.97, "recall@10 after compaction {recall}");
    assert_eq!(live.payload(40), Some(&b"row 40"[..]));
}

#[test]
fn every_row_is_found_by_itself_after_inserts_and_after_compaction() {
    let (mut live, rows) = filled(2500);
    for id in 0..2500 {
        if id % 3 == 0 {
            live.delete(id).expect("a living row");
        }
    }
    live.compact();
    for (id, row) in rows.iter().enumerate().filter(|(id, _)| id % 3 != 0) {
        let hits = search(&live, row, walk(40).k(1));
        assert_eq!(hits.first().map(|hit| hit.id), Some(id as u64));
    }
}

#[test]
fn a_saved_index_answers_the_same_opened_and_loaded() {
    let (mut live, _) = filled(2600);
    live.delete(17).expect("a living row");
    live.update(18, Query::F32(&[0.5; DIMENSIONS]), b"moved").expect("an update");
    let file = live.save(Vec::new()).expect("a file in memory");
    assert_eq!(file, live.save(Vec::new()).expect("a file in memory"), "the same bytes each time");
    let index = Index::open(&file[..]).expect("the saved file");
    index.check(&mut |_, _| {}).expect("whole");
    let loaded = Live::load(&file).expect("the saved file");
    assert_eq!((loaded.len(), loaded.deleted()), (live.len(), live.deleted()));
    assert_eq!(index.row_of(17), Ok(None));
    let row = index.row_of(18).expect("whole").expect("updated");
    let mut payload = Vec::new();
    index.payload(row, &mut payload).expect("whole");
    assert_eq!(payload, b"moved");
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    for query in rows(50, 3) {
        let exact = |hits: &[Hit]| hits.iter().map(|hit| (hit.id, hit.distance.to_bits())).collect::<Vec<_>>();
        for params in [walk(2700), SearchParams::default().plan(Plan::Scan)] {
            let expected = exact(&search(&live, &query, params));
            assert_eq!(exact(&search(&loaded, &query, params)), expected);
            index.search(Query::F32(&query), &params, &mut scratch, &mut hits).expect("a search");
            assert_eq!(exact(&hits), expected);
        }
    }
}

#[test]
fn a_thousand_copies_of_one_vector_bury_nothing() {
    let (mut live, rows) = filled(500);
    for id in 0..1000 {
        live.insert(10_000 + id, Query::F32(&rows[0]), &[]).expect("a new id");
    }
    for (id, row) in rows.iter().enumerate().skip(1) {
        assert_eq!(search(&live, row, walk(20).k(1))[0].id, id as u64);
    }
    let hits = search(&live, &rows[0], walk(20).k(1001));
    assert_eq!(hits.iter().filter(|hit| hit.distance == hits[0].distance).count(), 1001);
    live.delete(0).expect("a living row");
    live.delete(10_500).expect("a living row");
    live.compact();
    assert_eq!(live.len(), 1498);
    assert_eq!(search(&live, &rows[0], walk(20).k(999)).len(), 999);
    let file = live.save(Vec::new()).expect("a file in memory");
    assert_eq!(Live::load(&file).expect("the saved file").len(), 1498);
}

#[test]
fn what_cannot_be_indexed_is_refused_and_changes_nothing() {
    let (mut live, _) = filled(30);
    assert_eq!(live.insert(3, Query::F32(&[0.0; DIMENSIONS]), &[]), Err(LiveError::DuplicateId { id: 3 }));
    assert!(live.insert(99, Query::F32(&[0.0; 3]), &[]).is_err());
    assert!(live.update(3, Query::F32(&[f32::NAN; DIMENSIONS]), &[]).is_err());
    assert_eq!(live.len(), 30);
    assert_eq!(live.payload(3), Some(&b"row 3"[..]));
    let mut cosine = Live::new(LiveParams::new(2, Metric::Cosine)).expect("parameters");
    assert!(cosine.insert(1, Query::F32(&[0.0, 0.0]), &[]).is_err());
    assert!(Live::load(b"not a file").is_err());
}

#[test]
#[cfg_attr(miri, ignore = "whole searches take minutes there; the rows that readers and writer share have a small test of their own")]
fn readers_search_beside_the_writer() {
    let (mut live, rows) = filled(1500);
    let more = self::rows(1500, 5);
    let readers: Vec<_> = (0..4).map(|_| live.reader()).collect();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for mut reader in readers {
            let (done, rows) = (&done, &rows);
            scope.spawn(move || {
                let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
                let mut at = 0;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    at = (at + 4) % 1500;
                    reader.search(Query::F32(&rows[at]), &walk(40), &mut scratch, &mut hits).expect("a search");
                    // Multiples of four are never deleted.
                    assert_eq!(hits[0].id, at as u64);
                    assert_eq!(hits.len(), 10);
                }
            });
        }
        for (id, row) in more.iter().enumerate() {
            live.insert(5000 + id as u64, Query::F32(row), &[]).expect("a new id");
            if id % 4 == 1 {
                live.delete(id as u64).expect("a living row");
            }
            if id == 700 {
                live.compact();
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(live.len(), 1500 + 1500 - 375);
}

#[test]
fn a_row_without_a_direction_or_too_large_is_refused_by_name() {
    let mut cosine = Live::new(LiveParams::new(2, Metric::Cosine)).expect("parameters");
    let mut refusal = |vector: &[f32]| cosine.insert(1, Query::F32(vector), &[]).expect_err("refused").to_string();
    for size in [0.0, 1e-22, 1e-20] {
        assert_eq!(refusal(&[size, -size]), "the vector is a zero vector, which has no cosine");
    }
    assert_eq!(refusal(&[1.0, f32::NAN]), "element 1 of the vector is not a finite number, or too large");
    assert_eq!(refusal(&[1.0]), "the vector has 1 dimensions, the index has 2");
    let mut live = Live::new(LiveParams::new(3, Metric::L2)).expect("parameters");
    let error = live.insert(1, Query::F32(&[1e18, -1e19, 1e17]), &[]).expect_err("refused");
    assert_eq!(error.to_string(), "element 1 of the vector is not a finite number, or too large");
    assert_eq!(live.deleted(), 0);
    cosine.insert(1, Query::F32(&[1.0, 0.0]), &[]).expect("a direction");
    let answer = cosine.search(Query::F32(&[1e-22, 1e-22]), &walk(5), &mut Scratch::new(), &mut Vec::new());
    assert_eq!(answer, Err(nearshore_core::search::SearchError::ZeroVector));
}

#[test]
fn updates_leave_tombstones_that_ask_for_a_compaction() {
    let (mut live, rows) = filled(40);
    let updated = (0..).zip(&rows).take_while(|&(id, row)| {
        live.update(id, Query::F32(row), b"new").expect("a sound vector");
        !live.wants_compaction()
    });
    assert_eq!(updated.count(), 10, "11 of 51 rows are more than a fifth");
    live.compact();
    assert_eq!((live.len(), live.deleted(), live.wants_compaction()), (40, 0, false));
    assert_eq!(live.payload(3), Some(&b"new"[..]));
}

#[test]
fn any_k_is_answered_with_all_rows() {
    let (live, rows) = filled(50);
    for plan in [Plan::Walk, Plan::Scan] {
        for k in [51, usize::MAX / 2 + 1, usize::MAX] {
            assert_eq!(search(&live, &rows[0], SearchParams::default().plan(plan).k(k)).len(), 50);
        }
    }
}

#[test]
fn a_scan_keeps_few_of_rows_that_are_all_alike() {
    let mut live = Live::new(LiveParams::new(1, Metric::L2)).unwrap();
    // Descending ids: each row that comes is nearer to the front than all before it. Those who tie differ in nothing else.
    let count = 20_000;
    for id in 0..count {
        live.insert(count - id, Query::F32(&[(id % 2) as f32]), b"").unwrap();
    }
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    live.search(Query::F32(&[0.0]), &SearchParams::default().k(10).plan(Plan::Scan), &mut scratch, &mut hits).unwrap();
    assert_eq!(hits.iter().map(|hit| hit.id).collect::<Vec<_>>(), (1..=10).map(|place| 2 * place).collect::<Vec<_>>());
    assert!(hits.capacity() < 2_000, "{} hits at a time", hits.capacity());
}

#[test]
fn a_walk_that_would_cost_more_than_a_scan_is_one() {
    let (live, rows) = filled(3_000);
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    let mut stats = |params: &SearchParams| live.search(Query::F32(&rows[7]), params, &mut scratch, &mut hits).unwrap();
    let walked = stats(&SearchParams::ef(64));
    assert!(walked.hops > 0 && walked.ef == 64);
    let scanned = stats(&SearchParams::ef(1_500).k(1_000));
    // From layer to layer, and no further.
    assert!(scanned.hops < 30 && scanned.ef == 0, "{scanned:?}");
    assert!(stats(&walk(1_500).k(1_000)).hops >= 1_000, "who names the plan gets it");
}
