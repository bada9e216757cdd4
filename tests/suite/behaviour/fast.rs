//! Walks by codes of neighbours: other hops, the same hits at the same distances, and nothing taken on trust.

use super::*;
use crate::threads::Threads;
use nearshore_core::build::Codes;
use nearshore_core::error::Damage;
use nearshore_core::live::Live;
use nearshore_core::search::{Layout, QualityRow, SearchError};

const DIMENSIONS: usize = 24;

fn rows() -> Vec<f32> {
    clusters(3000, DIMENSIONS, 40, 0.3, 11)
}

/// Points near rows.
fn queries() -> Vec<f32> {
    let moved = clusters(50, DIMENSIONS, 3, 1.0, 12);
    rows().into_iter().zip(moved).map(|(row, by)| row + 0.1 * by).collect()
}

/// The same rows without codes of neighbours and with them.
fn pair(metric: Metric) -> (File, File) {
    let of = |layout| built(DIMENSIONS, &rows(), &params(metric).layout(layout)).0;
    (of(Layout::Lean), of(Layout::Fast))
}

fn fast(ef: usize) -> SearchParams {
    walk(ef).layout(Layout::Fast)
}

#[test]
fn what_is_found_has_the_distances_that_records_and_originals_give() {
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
        let (lean, file) = pair(metric);
        for refine in [Refine::Records, Refine::Originals] {
            for query in queries().chunks(DIMENSIONS) {
                let all = search(&lean, Query::F32(query), &scan().k(3000).refine(refine));
                let hits = search(&file, Query::F32(query), &fast(40).refine(refine));
                assert_eq!(hits.len(), 10);
                for hit in hits {
                    let same = all.iter().find(|other| other.id == hit.id).expect("a row of the file");
                    assert_eq!(same.distance.to_bits(), hit.distance.to_bits(), "{metric} {refine}");
                }
            }
        }
        let [by_rows, by_codes] = [walk(60), fast(200)].map(|params| recall(&file, DIMENSIONS, &queries(), &params));
        assert!(by_codes >= by_rows - 0.02, "{metric}: {by_codes} and {by_rows}");
    }
}

#[test]
fn codes_made_beside_a_file_are_those_that_a_build_writes() {
    for (metric, m) in [(Metric::L2, 8), (Metric::Cosine, 20), (Metric::InnerProduct, 16)] {
        let of = |layout| built(DIMENSIONS, &rows(), &params(metric).m(m).layout(layout)).0;
        let (mut lean, file) = (of(Layout::Lean), of(Layout::Fast));
        assert!(!lean.has_neighbor_codes() && file.has_neighbor_codes());
        let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
        let refused = lean.search(Query::F32(&rows()[..DIMENSIONS]), &fast(30), &mut scratch, &mut hits);
        assert!(matches!(refused, Err(SearchError::Unsupported { .. })), "{refused:?}");
        lean.derive_neighbor_codes(&Serial).expect("a sound file");
        for query in queries().chunks(DIMENSIONS) {
            let [beside, inside] = [&lean, &file].map(|index| {
                let mut hits = Vec::new();
                let stats = index.search(Query::F32(query), &fast(30), &mut Scratch::new(), &mut hits).expect("a search");
                (stats, hits)
            });
            assert_eq!(beside, inside, "{metric}");
        }
    }
}

/// Whole numbers tie all the time, so what decides between equals shows; under cosine they have lengths of their own.
#[test]
fn rows_of_small_integers_are_coded_alike_beside_and_inside_and_found() {
    let rows: Vec<u8> = clusters(3000, DIMENSIONS, 40, 0.3, 5).iter().map(|x| ((x + 2.0) * 3.0) as u8 % 12).collect();
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
        let of = |layout| try_build(Element::U8, DIMENSIONS, &rows, None, &params(metric).layout(layout)).expect("sound rows").0;
        let (mut lean, file) = (of(Layout::Lean), of(Layout::Fast));
        lean.derive_neighbor_codes(&Serial).expect("a sound file");
        let (mut found, mut all) = (0, 0);
        for query in rows.chunks(DIMENSIONS).step_by(61) {
            let [beside, inside] = [&lean, &file].map(|index| {
                let mut hits = Vec::new();
                let stats = index.search(Query::U8(query), &fast(40), &mut Scratch::new(), &mut hits).expect("a search");
                (stats, hits)
            });
            assert_eq!(beside, inside, "{metric}");
            let truth = search(&file, Query::U8(query), &scan());
            let last = truth[9].distance;
            found += search(&file, Query::U8(query), &fast(100)).iter().filter(|hit| hit.distance <= last).count();
            all += truth.len();
        }
        assert!(found * 100 > all * 93, "{metric}: {found} of {all}");
    }
}

#[test]
fn the_least_effort_leaves_the_entry_behind() {
    let (_, file) = pair(Metric::L2);
    let nearest = |query: &[f32]| search(&file, Query::F32(query), &fast(1).k(1))[0].id;
    let ids: std::collections::BTreeSet<u64> = queries().chunks(DIMENSIONS).map(nearest).collect();
    assert!(ids.len() > 10, "{ids:?}");
}

#[test]
fn a_quality_table_is_kept_by_the_walks_that_it_was_measured_with() {
    let (lean, file) = pair(Metric::L2);
    let of_layout = |index: &File, layout| index.quality().expect("a table").iter().filter(|row| row.layout == layout).count();
    assert!(of_layout(&file, Layout::Fast) > 5 && of_layout(&lean, Layout::Fast) == 0);
    assert_eq!(of_layout(&file, Layout::Lean), of_layout(&lean, Layout::Lean));
    for wanted in [0.9f32, 0.99] {
        for layout in [Layout::Lean, Layout::Fast] {
            let params = SearchParams::recall(wanted).plan(Plan::Walk).layout(layout);
            let found = recall(&file, DIMENSIONS, &queries(), &params);
            assert!(found >= f64::from(wanted) - 0.03, "{found} where {wanted} was asked for, {layout:?}");
        }
    }
}

#[test]
fn enough_living_rows_are_found_among_tombstones() {
    let (_, file) = pair(Metric::L2);
    let mut live = Live::from_index(&file).expect("a sound file");
    let rows = rows();
    let query = &rows[..DIMENSIONS];
    let near = search(&file, Query::F32(query), &scan().k(400));
    for hit in &near {
        live.delete(hit.id).expect("a row");
    }
    let saved = Index::open(live.save(Vec::new()).expect("a file")).expect("a saved file");
    let section = saved.reader().section(Kind::NeighborCodes, 0).expect("as the file had them");
    assert_eq!((section.rows(), saved.deleted()), (3000, 400));
    saved.check(&mut |_, _| {}).expect("a sound file");
    for ef in [10, 50] {
        let hits = search(&saved, Query::F32(query), &fast(ef));
        assert_eq!(hits.len(), 10, "ef {ef}");
        assert!(hits.iter().all(|hit| !near.iter().any(|dead| dead.id == hit.id)));
    }
    let all = search(&saved, Query::F32(query), &fast(10).k(3000));
    assert_eq!(all.len(), 2600, "every living row can be reached");
}

#[test]
fn rows_that_are_all_alike_or_copies_are_found() {
    let equal = vec![0.5; 300 * DIMENSIONS];
    let (file, _) = built(DIMENSIONS, &equal, &params(Metric::L2).layout(Layout::Fast));
    assert_eq!(search(&file, Query::F32(&equal[..DIMENSIONS]), &fast(10)).len(), 10);
    let mut rows = rows();
    let copy = rows[..DIMENSIONS].to_vec();
    for row in 0..1000 {
        rows[row * DIMENSIONS..][..DIMENSIONS].copy_from_slice(&copy);
    }
    let (file, _) = built(DIMENSIONS, &rows, &params(Metric::Cosine).layout(Layout::Fast));
    let hits = search(&file, Query::F32(&copy), &fast(20).k(1000));
    assert!(hits.len() == 1000 && hits.iter().all(|hit| hit.id < 1000 && hit.distance == 0.0));
    let other = search(&file, Query::F32(&rows[2000 * DIMENSIONS..][..DIMENSIONS]), &fast(20));
    assert_eq!(other[0].id, 2000);
}

/// The file with a word of the first row of `neighbor.codes` changed, and all checks made right again.
fn with_word(file: &File, at: usize, value: u32) -> Vec<u8> {
    let offset = file.reader().section(Kind::NeighborCodes, 0).expect("a table of codes").table().offset as usize;
    let mut bytes = file.reader().bytes().to_vec();
    bytes[offset + at..][..4].copy_from_slice(&value.to_le_bytes());
    nearshore_hostile::repair(&mut bytes);
    bytes
}

#[test]
fn damaged_rows_are_errors_that_name_their_table() {
    let (_, file) = pair(Metric::L2);
    // Row 0 is where every walk begins.
    for (at, value, what) in [
        (0, 3000, "a neighbour"),
        (0, 3100, "a neighbour"),
        (128, f32::NAN.to_bits(), "a factor"),
        (260, f32::INFINITY.to_bits(), "a factor"),
    ] {
        let damaged = Index::open(with_word(&file, at, value)).expect("the header is sound");
        let mut hits = Vec::new();
        let mut failed = 0;
        for query in queries().chunks(DIMENSIONS) {
            match damaged.search(Query::F32(query), &fast(50), &mut Scratch::new(), &mut hits) {
                Ok(_) => assert!(hits.iter().all(|hit| hit.row < 3000 && hit.distance.is_finite())),
                Err(SearchError::Corrupt(_)) => failed += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!(failed > 0, "{what}: some walk meets it");
        let damage = damaged.check(&mut |_, _| {}).expect_err("damage");
        assert!(damage.first.section == Kind::NeighborCodes as u16 && damage.first.what.starts_with(what), "{damage}");
    }
}

#[test]
fn codes_of_other_records_than_those_of_the_neighbours_are_damage() {
    let (_, file) = pair(Metric::L2);
    let section = file.reader().section(Kind::NeighborCodes, 0).expect("a table of codes");
    let row = section.row(0).expect("whole");
    let word = |at: usize| u32::from_le_bytes(row[at..at + 4].try_into().expect("four bytes"));
    let another = (1..3000).find(|other| (0..32).all(|slot| word(4 * slot) != *other)).expect("a row that is no neighbour");
    // Nothing that is out of bounds: another neighbour, another number, a sign that is turned around.
    for (at, value) in [(0, another), (128, word(128) ^ 1), (260, word(260) ^ 1), (384, word(384) ^ 1)] {
        let damaged = Index::open(with_word(&file, at, value)).expect("the header is sound");
        for par in [1, 3] {
            let damage = damaged.check_by(&Threads(par), &mut |_, _| {}).expect_err("damage");
            let Damage { first, .. } = damage;
            assert_eq!((first.section, first.what), (Kind::NeighborCodes as u16, "codes of other records than those of its neighbours"));
        }
        // What a live index takes up does not include them, so it may.
        assert!(Live::from_index(&damaged).is_ok());
    }
}

#[test]
fn what_the_fast_layout_is_measured_to_find_does_not_depend_on_other_codes() {
    let table = |codes| {
        let (index, _) = built(DIMENSIONS, &rows(), &params(Metric::L2).codes(codes).layout(Layout::Fast));
        let fast = |row: &&QualityRow| row.layout == Layout::Fast;
        index.quality().expect("a table").iter().filter(fast).copied().collect::<Vec<_>>()
    };
    let without = table(Codes::None);
    assert!(without.len() > 3);
    assert_eq!(without, table(Codes::U4));
}
