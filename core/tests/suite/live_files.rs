//! Live indexes as files: what is saved can be taken up again, and every row in it is reached.

use nearshore_core::build::{BuildParams, Input, build};
use nearshore_core::distance::Kernels;
use nearshore_core::format::{Element, Kind, Metric, Plan};
use nearshore_core::index::Index;
use nearshore_core::live::{Live, LiveParams};
use nearshore_core::par::Serial;
use nearshore_core::search::{Hit, Scratch, SearchParams};
use nearshore_core::seed::SplitMix;
use nearshore_core::vectors::{Query, Vectors};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

fn insert(live: &mut Live, id: u64, vector: &[f32]) {
    live.insert(id, Query::F32(vector), &[]).expect("a new id");
}

fn saved(live: &Live) -> Vec<u8> {
    live.save(Vec::new()).expect("a file in memory")
}

fn reloaded(live: &Live) -> Live {
    Live::load(&saved(live)).expect("the saved file")
}

fn search(live: &Live, query: &[f32], params: SearchParams) -> Vec<Hit> {
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    live.search(Query::F32(query), &params, &mut scratch, &mut hits).expect("a search");
    hits
}

fn walk(ef: usize, k: usize) -> SearchParams {
    SearchParams::ef(ef).plan(Plan::Walk).k(k)
}

/// Rows of each layer of a saved file that no path reaches from where walks begin, the base last.
fn unreached(file: &[u8]) -> Vec<usize> {
    let index = Index::open(file).expect("the saved file");
    index.check(&mut |_, _| {}).expect("a sound file");
    let words = |bytes: &[u8]| bytes.chunks(4).map(|word| u32::from_le_bytes(word.try_into().expect("four bytes"))).collect::<Vec<_>>();
    let missed = |entry: u32, nodes: &BTreeSet<u32>, neighbors: &dyn Fn(u32) -> Vec<u32>| {
        let (mut left, mut queue) = (nodes.clone(), vec![entry]);
        left.remove(&entry);
        while let Some(node) = queue.pop() {
            queue.extend(neighbors(node).into_iter().take_while(|&next| next != u32::MAX).filter(|next| left.remove(next)));
        }
        left.len()
    };
    let mut counts = Vec::new();
    if let Some(upper) = index.reader().section(Kind::Upper, 0) {
        let row = |node: u32| words(upper.row(node).expect("whole"));
        let mut layers: Vec<(u32, BTreeSet<u32>)> = Vec::new();
        for node in 0..upper.rows() as u32 {
            let layer = row(node)[1];
            match layers.last_mut().filter(|last| last.0 == layer) {
                Some(last) => last.1.insert(node),
                None => {
                    layers.push((layer, BTreeSet::from([node])));
                    true
                }
            };
        }
        counts.extend(layers.iter().map(|(_, nodes)| missed(*nodes.first().expect("a node"), nodes, &|node| row(node)[4..].to_vec())));
    }
    let edges = index.reader().section(Kind::Edges, 0).expect("edges");
    let nodes = (0..index.len() as u32).collect();
    let records = index.reader().section(Kind::Records, 0).expect("records");
    // An exact duplicate has no edges: it follows the row that it equals.
    let flags = records.table().parameter as usize / 4 + 3;
    let duplicate = |row: u32| (words(records.row(row).expect("whole"))[flags] & 1 == 1).then_some(row + 1);
    let next = |row: u32| duplicate(row).into_iter().chain(words(edges.row(row).expect("whole"))).collect();
    counts.push(missed(edges.table().extra as u32, &nodes, &next));
    counts
}

#[test]
fn an_index_without_rows_becomes_live_again_as_it_was() {
    let params = LiveParams::new(3, Metric::Cosine).m(7).ef_construction(77).seed(5);
    let mut live = reloaded(&Live::new(params).expect("parameters"));
    assert_eq!(*live.params(), params);
    assert_eq!((live.len(), live.deleted()), (0, 0));
    for id in 0..40 {
        insert(&mut live, id, &[1.0, id as f32, 2.0]);
    }
    assert_eq!(search(&live, &[1.0, 11.0, 2.0], walk(40, 1))[0].id, 11);
    let again = reloaded(&live);
    assert_eq!((*again.params(), again.len()), (params, 40));
}

#[test]
fn an_index_whose_rows_all_died_becomes_live_again() {
    for compacted in [false, true] {
        let mut live = Live::new(LiveParams::new(2, Metric::L2).m(4)).expect("parameters");
        (0..60).for_each(|id| insert(&mut live, id, &[id as f32, 1.0]));
        (0..60).for_each(|id| live.delete(id).expect("a living row"));
        if compacted {
            live.compact();
        }
        let mut live = reloaded(&live);
        assert_eq!((live.len(), live.params().m), (0, 4));
        assert_eq!(search(&live, &[1.0, 1.0], walk(5, 5)), []);
        (0..60).for_each(|id| insert(&mut live, id, &[id as f32, 2.0]));
        let ids: BTreeSet<u64> = search(&live, &[1.0, 1.0], walk(5, 60)).iter().map(|hit| hit.id).collect();
        assert_eq!(ids.len(), 60);
        assert_eq!(unreached(&saved(&live)).last(), Some(&0));
    }
}

/// `count` rows in clusters that are far from each other, one cluster after the other.
fn clusters(count: usize, of_each: usize, seed: u64) -> Vec<[f32; 4]> {
    let mut random = SplitMix::new(seed);
    let mut unit = move || (random.next_u64() >> 40) as f32 / (1 << 24) as f32;
    (0..count).map(|row| core::array::from_fn(|column| unit() + if column == 0 { 1000.0 * (row / of_each) as f32 } else { 0.0 })).collect()
}

#[test]
fn every_row_of_a_saved_file_is_reached_whatever_was_inserted_and_deleted() {
    for (m, of_each) in [(2, 400), (2, 20), (4, 400), (16, 400)] {
        let rows = clusters(800, of_each, 3);
        let mut live = Live::new(LiveParams::new(4, Metric::L2).m(m).ef_construction(20)).expect("parameters");
        rows.iter().zip(0..).for_each(|(row, id)| insert(&mut live, id, row));
        let none = |file: &[u8], what: &str| {
            let unreached = unreached(file);
            assert!(unreached.iter().all(|&missed| missed == 0), "m {m}, clusters of {of_each}, {what}: {unreached:?}");
        };
        none(&saved(&live), "inserted");
        (0..800).filter(|id| id % 5 != 0).for_each(|id| live.delete(id).expect("a living row"));
        none(&saved(&live), "many deleted");
        clusters(300, of_each, 7).iter().zip(2000..).for_each(|(row, id)| insert(&mut live, id, row));
        let mut live = reloaded(&live);
        (2000..2100).for_each(|id| live.delete(id).expect("a living row"));
        none(&saved(&live), "taken up, changed and saved again");
        live.compact();
        none(&saved(&live), "compacted");
    }
}

#[test]
fn k_hits_come_back_before_anything_was_mended() {
    for (m, of_each) in [(2, 400), (2, 20), (4, 400)] {
        let rows = clusters(800, of_each, 4);
        let mut live = Live::new(LiveParams::new(4, Metric::L2).m(m).ef_construction(20)).expect("parameters");
        rows.iter().zip(0..).for_each(|(row, id)| insert(&mut live, id, row));
        for (row, id) in rows.iter().zip(0..).step_by(37) {
            let all: BTreeSet<u64> = search(&live, row, walk(10, 800)).iter().map(|hit| hit.id).collect();
            assert_eq!(all.len(), 800, "m {m}, clusters of {of_each}, row {id}");
            assert_eq!(search(&live, row, walk(1, 500)).len(), 500);
        }
        (0..800).filter(|id| id % 40 != 0).for_each(|id| live.delete(id).expect("a living row"));
        for row in rows.iter().step_by(37) {
            assert_eq!(search(&live, row, walk(10, 20)).len(), 20, "m {m}, clusters of {of_each}");
        }
    }
}

/// A built file of 2,200 rows with a quality table.
fn measured() -> Vec<u8> {
    let rows = clusters(2200, 100, 9);
    let bytes: Vec<u8> = rows.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    let vectors = Vectors::packed(Element::F32, 4, &bytes).expect("whole rows");
    let input = Input { vectors, ids: None, payloads: None };
    let mut params = BuildParams::default();
    (params.m, params.ef_construction) = (6, 40);
    build(&input, &params, &Serial, Kernels::best(), &mut |_, _, _| ControlFlow::Continue(()), Vec::new()).expect("sound rows").0
}

#[test]
fn a_quality_table_is_dropped_once_a_tenth_of_the_rows_has_changed() {
    let table = |live: &Live| Index::open(saved(live)).expect("the saved file").quality().expect("whole").len();
    let mut live = Live::load(&measured()).expect("a built file");
    assert_eq!((live.params().m, live.params().ef_construction), (6, 40), "what the file was built with");
    assert!(table(&live) > 0);
    (0..130).for_each(|id| live.delete(id).expect("a living row"));
    assert!(table(&live) > 0, "130 of 2,200 rows changed");
    let mut live = reloaded(&live);
    (130..240).for_each(|id| live.delete(id).expect("a living row"));
    assert_eq!(table(&live), 0, "240 of 2,200 rows changed, half of them before the file was saved");

    let mut live = Live::load(&measured()).expect("a built file");
    (0..210).for_each(|id| live.delete(id).expect("a living row"));
    live.compact();
    assert_eq!(table(&live), 0, "210 rows are more than a tenth of what is left");
}
