//! What must hold for a live index made of any bytes: what it takes up it can search, change, compact and save, and what it
//! saves is sound.

use nearshore_core::format::Plan;
use nearshore_core::index::Index;
use nearshore_core::live::{Live, LiveError};
use nearshore_core::search::{Scratch, SearchParams};
use nearshore_core::vectors::Query;

use crate::check::as_is_and_repaired;

/// Hits asked for.
const K: usize = 5;

/// Loads, searches, inserts, updates, deletes, compacts and saves.
///
/// # Panics
/// When an answer is short, out of order or not finite, or a saved file is not sound or not the same index.
pub fn live(bytes: &[u8]) {
    as_is_and_repaired(bytes, |bytes| {
        let Ok(mut live) = Live::load(bytes) else { return };
        let mut taken_up = live.reader();
        answers(&live);
        change(&mut live);
        answers(&live);
        let mut again = saved(&live);
        live.compact();
        assert_eq!(live.deleted(), 0);
        answers(&live);
        saved(&live);
        again.compact();
        assert!(again.ids().eq(live.ids()), "the rows of a file are those that were saved");
        saved(&again);
        assert_eq!(taken_up.rows(), live.len());
        let dimensions = live.params().dimensions;
        let answer = taken_up.search(Query::F32(&vector(dimensions, 1)), &SearchParams::default(), &mut Scratch::new(), &mut Vec::new());
        answer.expect("a sound query");
    });
}

/// Small whole numbers, which every element type holds.
fn vector(dimensions: usize, salt: usize) -> Vec<f32> {
    (0..dimensions).map(|column| ((column * 29 + salt) % 97 + 1) as f32).collect()
}

fn answers(live: &Live) {
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    for plan in [Plan::Walk, Plan::Scan] {
        let query = vector(live.params().dimensions, 3);
        let params = SearchParams::ef(12).k(K).plan(plan);
        live.search(Query::F32(&query), &params, &mut scratch, &mut hits).expect("a sound query");
        assert_eq!(hits.len(), K.min(live.len()), "{plan:?}: all hits that there are");
        assert!(hits.iter().all(|hit| hit.distance.is_finite()), "{plan:?}: a distance that is not a number");
        assert!(hits.is_sorted_by(|a, b| (a.distance, a.id) <= (b.distance, b.id)), "{plan:?}: hits out of order");
        assert!(hits.iter().all(|hit| live.contains(hit.id)), "{plan:?}: a row that is not there");
        let _ = hits.iter().map(|hit| live.payload_of(hit).len()).sum::<usize>();
    }
}

fn change(live: &mut Live) {
    let dimensions = live.params().dimensions;
    let ids: Vec<u64> = live.ids().collect();
    for (salt, &id) in ids.iter().enumerate().step_by(3) {
        live.delete(id).expect("it was there");
        assert_eq!(live.delete(id), Err(LiveError::UnknownId { id }));
        live.insert(id ^ 1 << 40, Query::F32(&vector(dimensions, salt)), b"new").or_else(refused).expect("a sound row");
    }
    for &id in ids.iter().skip(1).step_by(5) {
        live.update(id, Query::F32(&vector(dimensions, 8)), b"moved").expect("a sound row");
        assert_eq!(live.payload(id), Some(&b"moved"[..]));
    }
}

/// An id may be taken.
fn refused(error: LiveError) -> Result<(), LiveError> {
    if matches!(error, LiveError::DuplicateId { .. }) { Ok(()) } else { Err(error) }
}

fn saved(live: &Live) -> Live {
    let file = live.save(Vec::new()).expect("a vector takes all");
    let index = Index::open(&file[..]).expect("what was saved opens");
    index.check(&mut |_, _| {}).unwrap_or_else(|damage| panic!("what was saved is sound: {damage}"));
    assert_eq!(index.len() as u64 - index.deleted(), live.len() as u64);
    let again = Live::load(&file).expect("what was saved is taken up");
    assert_eq!((again.len(), again.deleted(), *again.params()), (live.len(), live.deleted(), *live.params()));
    again
}
