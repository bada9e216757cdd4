//! Readers beside the writer, in the orders in which they may meet.
//!
//! Loom runs each test over and over. Between any two accesses to what threads share (`sync`) another thread may go on,
//! and a load may see older values that its ordering lets it see, so most orderings that are too weak fail here on every
//! machine: a relaxed publication and a missing fence do, a relaxed withdrawal in `Current::take` does not. What runs is the code that ships: the store, the replacement of states, insertion, deletion and search.
//!
//! What is held: no record, link or payload is ever seen before it is whole; a row whose insertion was acknowledged before
//! a search began is found; one whose deletion was acknowledged is not; an update is seen whole. Orders in which a thread
//! is interrupted more often than a test says (`interruptions`) are left out, where there would be too many.
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p nearshore-core --lib live::model
//! ```

use super::current::Publisher;
use super::rows::Store;
use super::sync::{Arc, AtomicU32, AtomicUsize, Ordering};
use super::{Live, LiveParams, LiveReader};
use crate::format::{Element, Metric, Plan};
use crate::search::{Hit, Scratch, SearchParams};
use crate::vectors::Query;
use alloc::vec::Vec;
use loom::model::Builder;
use loom::thread;

/// Bytes of a thread's stack: searches are not made for loom's 32 KiB.
const STACK: usize = 1 << 20;

/// Runs `test` through all orders of its threads that interrupt one at most so often.
fn orders(interruptions: usize, test: fn()) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(interruptions);
    builder.max_branches = 100_000;
    // The first thread has a small stack, too.
    builder.check(move || spawn(test).join().expect("no panic"));
}

fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::Builder::new().stack_size(STACK).spawn(work).expect("a thread")
}

/// What a row of `Store` holds in these tests: bytes, links and a payload that say its number.
fn assert_whole(store: &Store, slot: u32, rows: u32) {
    let record = store.record(slot).expect("published");
    assert!(record.iter().all(|&byte| u32::from(byte) == slot + 1), "row {slot}: {record:?}");
    assert_eq!(store.payload(slot), [slot as u8 + 7]);
    assert_eq!(store.level(slot), usize::from(slot == 1));
    let mut neighbors = Vec::new();
    (0..2).for_each(|layer| store.neighbors(slot, layer, rows, &mut neighbors));
    assert!(neighbors.iter().all(|&neighbor| neighbor < rows && store.record(neighbor).is_some()), "{neighbors:?}");
    if slot > 0 {
        assert!(neighbors.contains(&(slot - 1)), "links are there when the row is: {neighbors:?}");
    }
}

#[test]
fn a_row_is_whole_when_it_is_seen() {
    orders(3, || {
        let store = Arc::new(Store::new(64, 2));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let store = Arc::clone(&store);
                spawn(move || {
                    let rows = store.len();
                    (0..rows).for_each(|slot| assert_whole(&store, slot, rows));
                })
            })
            .collect();
        for slot in 0..3 {
            // The third is in a chunk of its own.
            assert_eq!(store.push(&[slot as u8 + 1; 64], usize::from(slot == 1), &[slot as u8 + 7]), Some(slot));
            if slot > 0 {
                store.link(slot, 0, [slot - 1].into_iter());
            }
            store.publish(slot);
            if slot > 0 {
                store.slots(slot - 1, 0)[1].store(slot, Ordering::Release);
            }
        }
        readers.into_iter().for_each(|reader| reader.join().expect("no panic"));
    });
}

#[test]
fn a_row_has_one_end_however_many_look() {
    orders(3, || {
        let store = Arc::new(Store::new(64, 2));
        for slot in 0..2 {
            assert_eq!(store.push(&[1; 64], 0, &[]), Some(slot));
            store.publish(slot);
        }
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let store = Arc::clone(&store);
                spawn(move || {
                    let rows = store.len();
                    // Row 0 is replaced by row 2: there is one of them at any moment.
                    assert_eq!(usize::from(store.lives(0, rows)) + usize::from(store.lives(2, rows)), 1, "of {rows}");
                })
            })
            .collect();
        assert_eq!(store.push(&[3; 64], 0, &[]), Some(2));
        store.replace(0, 2);
        store.publish(2);
        assert!(store.delete(1) && !store.delete(1));
        readers.into_iter().for_each(|reader| reader.join().expect("no panic"));
    });
}

/// A state that knows whether it was dropped.
struct State(u32, AtomicUsize);

impl Drop for State {
    fn drop(&mut self) {
        self.1.store(1, Ordering::Relaxed);
    }
}

#[test]
fn a_state_that_is_taken_is_alive_and_none_is_kept_for_ever() {
    orders(3, || {
        let state = |number| Arc::new(State(number, AtomicUsize::new(0)));
        let mut publisher = Publisher::new(state(0));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let current = publisher.current();
                spawn(move || {
                    let mut held = current.take();
                    if !current.is(&held) {
                        let next = current.take();
                        assert!(next.0 >= held.0, "states only go on");
                        held = next;
                    }
                    assert_eq!(held.1.load(Ordering::Relaxed), 0, "state {} was dropped", held.0);
                })
            })
            .collect();
        (1..3).for_each(|number| publisher.replace(state(number)));
        drop(publisher);
        // Loom itself fails the test where an `Arc` is left over.
        readers.into_iter().for_each(|reader| reader.join().expect("no panic"));
    });
}

/// A live index with rows at `places` on a line, the id of each its number.
fn live(places: &[u8]) -> Live {
    let mut live = Live::new(LiveParams::new(1, Metric::L2).element(Element::U8).m(2).ef_construction(4)).expect("parameters");
    for (id, &place) in (0..).zip(places) {
        live.insert(id, Query::U8(&[place]), &[place]).expect("a new id");
    }
    live
}

/// Everything that lives, as (id, place on the line), by a search that walks and by one that scans.
fn found(reader: &mut LiveReader, plan: Plan) -> Vec<(u64, u8)> {
    let (mut scratch, mut hits) = (Scratch::new(), Vec::<Hit>::new());
    let params = SearchParams::ef(8).k(8).plan(plan);
    reader.search(Query::U8(&[0]), &params, &mut scratch, &mut hits).expect("a search");
    assert!(hits.iter().all(|hit| reader.payload_of(hit).iter().all(|&place| f32::from(place).powi(2) == hit.distance)), "{hits:?}");
    let mut found: Vec<(u64, u8)> =
        hits.iter().map(|hit| (hit.id, (0..=255).find(|&x| f32::from(x).powi(2) == hit.distance).expect("a place"))).collect();
    found.sort_unstable();
    found
}

/// Two readers, one that walks and one that scans; each looks once and is told what was acknowledged before.
fn beside(live: &Live, acknowledged: &Arc<AtomicU32>, check: fn(u32, Vec<(u64, u8)>)) -> Vec<thread::JoinHandle<()>> {
    [Plan::Walk, Plan::Scan]
        .into_iter()
        .map(|plan| {
            let (mut reader, acknowledged) = (live.reader(), Arc::clone(acknowledged));
            spawn(move || {
                let before = acknowledged.load(Ordering::Acquire);
                check(before, found(&mut reader, plan));
            })
        })
        .collect()
}

#[test]
fn an_inserted_row_is_found_once_it_is_acknowledged() {
    orders(2, || {
        let (mut live, acknowledged) = (live(&[3]), Arc::new(AtomicU32::new(0)));
        let readers = beside(&live, &acknowledged, |before, found| match found[..] {
            [(0, 3)] => assert_eq!(before, 0, "inserted before"),
            [(0, 3), (1, 5)] => {}
            _ => panic!("{found:?}"),
        });
        live.insert(1, Query::U8(&[5]), &[5]).expect("a new id");
        acknowledged.store(1, Ordering::Release);
        readers.into_iter().for_each(|reader| reader.join().expect("no panic"));
    });
}

#[test]
fn a_deleted_row_is_not_found_once_it_is_acknowledged() {
    orders(2, || {
        let (mut live, acknowledged) = (live(&[3, 5]), Arc::new(AtomicU32::new(0)));
        let readers = beside(&live, &acknowledged, |before, found| match found[..] {
            [(0, 3), (1, 5)] => assert_eq!(before, 0, "deleted before"),
            [(1, 5)] => {}
            _ => panic!("{found:?}"),
        });
        live.delete(0).expect("a living row");
        acknowledged.store(1, Ordering::Release);
        readers.into_iter().for_each(|reader| reader.join().expect("no panic"));
    });
}

#[test]
fn a_row_may_go_while_another_comes() {
    orders(1, || {
        let (mut live, acknowledged) = (live(&[3]), Arc::new(AtomicU32::new(0)));
        let readers = beside(&live, &acknowledged, |before, found| {
            assert!(found.iter().all(|row| [(0, 3), (1, 5)].contains(row)), "{found:?}");
            assert!(before < 1 || found.contains(&(1, 5)), "inserted before: {found:?}");
            assert!(before < 2 || !found.contains(&(0, 3)), "deleted before: {found:?}");
        });
        live.insert(1, Query::U8(&[5]), &[5]).expect("a new id");
        acknowledged.store(1, Ordering::Release);
        live.delete(0).expect("a living row");
        acknowledged.store(2, Ordering::Release);
        readers.into_iter().for_each(|reader| reader.join().expect("no panic"));
    });
}

#[test]
fn an_update_is_seen_whole() {
    orders(2, || {
        let (mut live, acknowledged) = (live(&[3, 9]), Arc::new(AtomicU32::new(0)));
        let readers = beside(&live, &acknowledged, |before, found| match found[..] {
            [(0, 3), (1, 9)] => assert_eq!(before, 0, "updated before"),
            [(0, 5), (1, 9)] => {}
            _ => panic!("{found:?}"),
        });
        live.update(0, Query::U8(&[5]), &[5]).expect("a sound vector");
        acknowledged.store(1, Ordering::Release);
        readers.into_iter().for_each(|reader| reader.join().expect("no panic"));
    });
}

#[test]
fn an_exact_duplicate_is_seen_once_it_is_acknowledged() {
    orders(2, || {
        let (mut live, acknowledged) = (live(&[3]), Arc::new(AtomicU32::new(0)));
        let readers = beside(&live, &acknowledged, |before, found| match found[..] {
            [(0, 3)] => assert_eq!(before, 0, "inserted before"),
            [(0, 3), (1, 3)] => {}
            _ => panic!("{found:?}"),
        });
        live.insert(1, Query::U8(&[3]), &[3]).expect("a new id");
        acknowledged.store(1, Ordering::Release);
        readers.into_iter().for_each(|reader| reader.join().expect("no panic"));
    });
}

#[test]
fn a_compaction_changes_nothing_that_is_found() {
    orders(1, || {
        let (mut live, acknowledged) = (live(&[3, 9]), Arc::new(AtomicU32::new(0)));
        live.delete(0).expect("a living row");
        let readers = beside(&live, &acknowledged, |before, found| match found[..] {
            [(1, 9)] => assert!(before < 2, "inserted before"),
            [(1, 9), (2, 4)] => {}
            _ => panic!("{found:?}"),
        });
        live.compact();
        acknowledged.store(1, Ordering::Release);
        live.insert(2, Query::U8(&[4]), &[4]).expect("a new id");
        acknowledged.store(2, Ordering::Release);
        readers.into_iter().for_each(|reader| reader.join().expect("no panic"));
    });
}
