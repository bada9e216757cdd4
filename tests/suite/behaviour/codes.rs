//! Walks that coarse codes guide: the same hits at the same distances, and nothing taken on trust.

use super::*;
use crate::threads::Threads;
use nearshore_core::live::Live;
use nearshore_core::search::SearchError;

const DIMENSIONS: usize = 24;

/// Codes that are checked in each test of all of them.
const SOME: [Codes; 5] = [Codes::U4, Codes::RaBitQ1, Codes::RaBitQ2, Codes::RaBitQ4, Codes::Pq32];

/// The same rows without codes and with them, and queries near them.
fn pair(metric: Metric, originals: bool) -> (File, File, Vec<f32>) {
    pair_of(Codes::U4, metric, originals)
}

fn pair_of(codes: Codes, metric: Metric, originals: bool) -> (File, File, Vec<f32>) {
    let rows = clusters(3000, DIMENSIONS, 40, 0.3, 11);
    let of = |codes| {
        let mut params = params(metric);
        (params.codes, params.originals) = (codes, originals);
        built(DIMENSIONS, &rows, &params).0
    };
    let moved = clusters(50, DIMENSIONS, 3, 1.0, 12);
    let queries = clusters(50, DIMENSIONS, 40, 0.3, 11).into_iter().zip(moved).map(|(a, b)| a + 0.1 * b);
    (of(Codes::None), of(codes), queries.collect())
}

#[test]
fn what_codes_find_has_the_distances_that_records_and_originals_give() {
    for (codes, metric) in SOME.into_iter().zip([Metric::L2, Metric::Cosine, Metric::InnerProduct].into_iter().cycle()) {
        let (plain, coded, queries) = pair_of(codes, metric, true);
        for refine in [Refine::Records, Refine::Originals] {
            for query in queries.chunks(DIMENSIONS) {
                let all = search(&plain, Query::F32(query), &scan().k(3000).refine(refine));
                for hit in search(&coded, Query::F32(query), &walk(40).refine(refine)) {
                    let same = all.iter().find(|other| other.id == hit.id).expect("a row of the file");
                    assert_eq!(same.distance.to_bits(), hit.distance.to_bits(), "{metric} {refine}");
                }
            }
        }
        let [by_records, by_codes] = [&plain, &coded].map(|index| recall(index, DIMENSIONS, &queries, &walk(60)));
        assert!(by_codes >= by_records - 0.02, "{codes:?} {metric}: {by_codes} and {by_records}");
    }
}

#[test]
fn a_quality_table_is_kept_by_the_walks_that_it_was_measured_with() {
    for (codes, rerank) in SOME.into_iter().zip([20, 300, 80, 40, 100]) {
        let (_, coded, queries) = pair_of(codes, Metric::L2, true);
        for wanted in [0.9f32, 0.99] {
            let found = recall(&coded, DIMENSIONS, &queries, &SearchParams::recall(wanted).plan(Plan::Walk));
            assert!(found >= f64::from(wanted) - 0.03, "{codes:?}: {found} where {wanted} was asked for");
        }
        let table = coded.quality().expect("a table");
        assert!(table.iter().all(|row| row.rerank == rerank), "every walk is ranked by records");
        assert_eq!(coded.rerank_count(10), Ok(rerank as usize), "{codes:?}: and a search ranks no more");
    }
}

#[test]
fn records_rank_those_whose_estimates_leave_them_in_doubt() {
    for (codes, metric) in
        SOME.into_iter().flat_map(|codes| [Metric::L2, Metric::Cosine, Metric::InnerProduct].map(|metric| (codes, metric)))
    {
        let (_, coded, queries) = pair_of(codes, metric, false);
        let most = coded.rerank_count(10).expect("a sound file");
        let (mut ranked, mut all, mut same, mut hits) = (0, 0, 0, 0);
        for query in queries.chunks(DIMENSIONS) {
            let [(few, found), (every, wanted)] = [walk(400), walk(400).rerank(most)].map(|params| {
                let (mut scratch, mut hits) = Default::default();
                let stats = coded.search(Query::F32(query), &params.k(10), &mut scratch, &mut hits).expect("a sound file");
                (stats.distances, hits)
            });
            (ranked, all) = (ranked + few, all + every);
            hits += wanted.len();
            same += wanted.iter().filter(|wanted| found.contains(wanted)).count();
        }
        if codes == Codes::U4 {
            // What is in doubt comes on top there.
            assert!(ranked >= all, "{codes:?} {metric}: {ranked} of {all} distances");
        } else if codes == Codes::Pq32 {
            assert_eq!((ranked, same), (all, hits), "{codes:?} {metric}: codes that do not know their error");
        } else {
            assert!(ranked < all, "{codes:?} {metric}: {ranked} of {all} distances");
            assert!(same as f64 >= 0.998 * hits as f64, "{codes:?} {metric}: {same} of {hits} stay");
        }
    }
}

#[test]
fn a_row_that_is_asked_for_is_found_at_distance_zero_under_the_stop_rule() {
    let rows = clusters(3000, DIMENSIONS, 40, 0.3, 11);
    let (_, coded, _) = pair(Metric::L2, true);
    for row in (0..3000).step_by(61) {
        let hits = search(&coded, Query::F32(&rows[row * DIMENSIONS..][..DIMENSIONS]), &walk(100).gamma(0.1));
        assert_eq!((hits.len(), hits[0].id, hits[0].distance), (10, row as u64, 0.0));
    }
}

/// The bytes of a file whose entry for `codes.rows` has another word at `at`.
fn with_entry(file: &File, at: usize, value: u32) -> Vec<u8> {
    let mut bytes = file.reader().bytes().to_vec();
    let kind = (Kind::CodesRows as u16).to_le_bytes();
    let entry = (4096..).step_by(64).find(|&entry| bytes[entry..entry + 2] == kind).expect("a table of codes");
    bytes[entry + at..entry + at + 4].copy_from_slice(&value.to_le_bytes());
    nearshore_hostile::repair(&mut bytes);
    bytes
}

#[test]
fn codes_of_a_later_version_are_left_alone() {
    let (plain, coded, queries) = pair(Metric::L2, false);
    let later = Index::open(with_entry(&coded, 4, 77)).expect("an encoding that no one must know");
    for query in queries.chunks(DIMENSIONS) {
        assert_eq!(search(&later, Query::F32(query), &walk(30)), search(&plain, Query::F32(query), &walk(30)));
    }
    for (at, value) in [(16, 2999), (24, 31), (36, 32)] {
        assert!(Index::open(with_entry(&coded, at, value)).is_err(), "rows, stride and parameter fit the file");
    }
}

#[test]
fn codes_of_few_bits_stand_only_in_files_that_say_so() {
    for codes in [Codes::RaBitQ1, Codes::Pq32] {
        let (_, coded, _) = pair_of(codes, Metric::L2, false);
        assert_eq!(coded.reader().header().superblock.required, 1);
        let mut bytes = coded.reader().bytes().to_vec();
        bytes[16] = 0;
        nearshore_hostile::repair(&mut bytes);
        let error = Index::open(bytes).expect_err("an older reader would walk by records, and find other hits").to_string();
        assert!(error.contains("encoding"), "{error}");
        for (at, value) in [(16, 2999), (24, 15), (36, 64)] {
            assert!(Index::open(with_entry(&coded, at, value)).is_err(), "rows, stride and parameter fit the file");
        }
        // Another method than the one that its instance of `quant` is of.
        let other = Index::open(with_entry(&coded, 4, if codes == Codes::Pq32 { 1 } else { 4 }));
        let found = other.map(|index| index.quality().map(<[_]>::len));
        assert!(!matches!(found, Ok(Ok(_))), "{found:?}");
    }
}

#[test]
fn the_bytes_of_codes_do_not_depend_on_threads_or_kernels() {
    let rows = bytes_of(&clusters(700, 40, 9, 0.4, 5));
    let input = Input { vectors: Vectors::packed(Element::F32, 40, &rows).expect("whole rows"), ids: None, payloads: None };
    for codes in SOME {
        let params = params(Metric::Cosine).codes(codes).quality(false);
        let made =
            |kernels| build(&input, &params, &Serial, kernels, &mut |_, _, _| ControlFlow::Continue(()), Vec::new()).expect("a file").0;
        let first = made(Kernels::best());
        for kernels in Kernels::available() {
            assert!(made(kernels) == first, "{codes:?} under {}", kernels.name());
        }
        let par = crate::threads::Threads(3);
        let threads =
            build(&input, &params, &par, Kernels::best(), &mut |_, _, _| ControlFlow::Continue(()), Vec::new()).expect("a file").0;
        assert!(threads == first, "{codes:?} by three threads");
    }
}

#[test]
fn a_factor_that_is_no_number_ends_the_search() {
    let (_, coded, queries) = pair(Metric::L2, false);
    let codes = coded.reader().section(Kind::CodesRows, 0).expect("a table of codes");
    let factors = codes.table().parameter as usize;
    let mut bytes = coded.reader().bytes().to_vec();
    for row in 0..3000 {
        let place = codes.place(row).expect("a row") + factors;
        bytes[place..place + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    }
    nearshore_hostile::repair(&mut bytes);
    let bad = Index::open(bytes).expect("all checksums are right");
    let mut hits = Vec::new();
    let error = bad.search(Query::F32(&queries[..DIMENSIONS]), &walk(30), &mut Scratch::new(), &mut hits).expect_err("no number");
    assert!(matches!(error, SearchError::Corrupt(corrupt) if corrupt.section == Kind::CodesRows as u16), "{error}");
    assert!(error.to_string().contains("a factor is not a finite number"), "{error}");
    // A scan does not read codes.
    assert_eq!(search(&bad, Query::F32(&queries[..DIMENSIONS]), &scan()).len(), 10);
}

#[test]
fn a_live_index_searches_by_records_and_saves_the_codes_that_its_file_had() {
    let (plain, coded, queries) = pair_of(Codes::RaBitQ1, Metric::L2, true);
    let [plain, coded] = [&plain, &coded].map(|index| Live::from_index(index).expect("a sound file"));
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    let mut found = |live: &Live, query: &[f32], params: &SearchParams| {
        live.search(Query::F32(query), params, &mut scratch, &mut hits).expect("a search");
        hits.clone()
    };
    for query in queries.chunks(DIMENSIONS) {
        assert_eq!(found(&plain, query, &walk(30)), found(&coded, query, &walk(30)));
        // The table that came with the file was measured under its codes, which need no less effort.
        assert_eq!(found(&coded, query, &SearchParams::recall(0.95)).len(), 10);
    }
    let saved = Index::open(plain.save(Vec::new()).expect("a file")).expect("a sound file");
    assert!(saved.reader().section(Kind::CodesRows, 0).is_none());
}

#[test]
fn what_is_saved_has_the_codes_of_the_file_that_was_taken_up() {
    for codes in [Codes::None, Codes::U4, Codes::RaBitQ2, Codes::Pq32] {
        let (_, coded, queries) = pair_of(codes, Metric::L2, true);
        let kind = |index: &File| {
            let section = index.reader().section(Kind::CodesRows, 0);
            section.map(|section| (section.table().encoding, section.table().parameter, section.table().stride))
        };
        let mut live = Live::from_index(&coded).expect("a sound file");
        assert_eq!(live.params().codes, codes);
        for (id, query) in (1_000_000..).zip(queries.chunks(DIMENSIONS)) {
            live.insert(id, Query::F32(query), &[]).expect("a new id");
        }
        (0..500).for_each(|id| live.delete(id).expect("a row"));
        live.compact();
        let bytes = live.save(Vec::new()).expect("a file");
        assert!(bytes == live.save_by(Vec::new(), &Threads(3)).expect("a file"), "{codes:?}: the same by any number of threads");
        let saved = Index::open(bytes).expect("a sound file");
        saved.check(&mut |_, _| {}).expect("codes that are those of the records");
        assert_eq!(kind(&saved), kind(&coded), "{codes:?}");
        // Each of them is a row now, the nearest to itself.
        for (id, query) in (1_000_000..).zip(queries.chunks(DIMENSIONS)) {
            assert_eq!(search(&saved, Query::F32(query), &walk(60))[0].id, id, "{codes:?}");
        }
        let mut none = Live::from_index(&saved).expect("what was saved");
        none.ids().collect::<Vec<_>>().into_iter().for_each(|id| none.delete(id).expect("a row"));
        none.compact();
        let none = Index::open(none.save(Vec::new()).expect("a file")).expect("a sound file");
        none.check(&mut |_, _| {}).expect("a sound file");
        assert_eq!(Live::from_index(&none).expect("no rows").params().codes, codes, "of no rows as well");
    }
}
