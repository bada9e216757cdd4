//! Sets of unusual shape: sorted, far apart, in one dimension, in every small number of dimensions.

use super::*;
use nearshore_core::search::Layout;
use nearshore_tests::golden::{Golden, Ids};

/// Walks for each row and wants it first, at distance 0.
fn every_row_finds_itself(index: &File, dimensions: usize, rows: &[f32], params: &SearchParams) {
    for (row, query) in rows.chunks(dimensions).enumerate() {
        let hits = search(index, Query::F32(query), &params.k(1));
        let at_home = hits.first().is_some_and(|hit| hit.distance == 0.0);
        assert!(at_home, "row {row} found {hits:?}");
    }
}

#[test]
fn two_clusters_far_apart_are_one_graph() {
    let mut rows = clusters(800, 8, 2, 0.01, 5);
    for value in &mut rows[400 * 8..] {
        *value += 1000.0;
    }
    let (index, _) = built(8, &rows, &params(Metric::L2));
    assert_eq!(unreached(&index), 0);
    // Codes share one mean, so their steps are as wide as the clusters: only enough candidates bring the row itself back.
    let (near, far) = (&rows[..8], &rows[799 * 8..]);
    for (query, own) in [(near, 0..400u64), (far, 400..800)] {
        let hits = search(&index, Query::F32(query), &walk(100).k(100));
        assert_eq!(hits.len(), 100);
        assert!(hits.iter().all(|hit| own.contains(&hit.id)), "all from its own side");
    }
}

/// Every file that walks may go by: records, codes of four bits, codes of neighbours.
fn ways(dimensions: usize, rows: &[f32], metric: Metric, mut check: impl FnMut(&File, &SearchParams)) {
    for (codes, layout) in [(Codes::None, Layout::Lean), (Codes::U4, Layout::Lean), (Codes::None, Layout::Fast)] {
        let (index, _) = built(dimensions, rows, &params(metric).codes(codes).layout(layout).quality(false));
        assert_eq!(unreached(&index), 0, "{codes:?} {layout:?}");
        // Codes share one mean, so those of two far clusters have steps as wide as a cluster; the fast layout judges by one bit on top.
        let ef = if layout == Layout::Fast { 250 } else { 100 };
        check(&index, &walk(ef).layout(layout).rerank(ef));
    }
}

#[test]
fn nasty_sets_are_whole_and_found_by_codes_and_layouts_of_every_kind() {
    const DIMENSIONS: usize = 8;
    let far = {
        let mut rows = clusters(800, DIMENSIONS, 2, 0.5, 5);
        rows[400 * DIMENSIONS..].iter_mut().for_each(|value| *value += 100.0);
        rows
    };
    // Each of 400 rows three times; a third of the rows zero; sorted by their only coordinate that differs.
    let twins = clusters(400, DIMENSIONS, 5, 0.5, 6).repeat(3);
    let mut zeros = clusters(900, DIMENSIONS, 5, 0.5, 7);
    zeros.chunks_mut(DIMENSIONS).step_by(3).for_each(|row| row.fill(0.0));
    let sorted: Vec<f32> = (0..900).flat_map(|row| [row as f32, 1.0, 2.0, 3.0, 0.5 * row as f32, 0.0, 0.0, 1.0]).collect();
    for (name, rows) in [("far", far), ("twins", twins), ("zeros", zeros), ("sorted", sorted)] {
        for metric in [Metric::L2, Metric::InnerProduct] {
            ways(DIMENSIONS, &rows, metric, |index, params| {
                let queries: Vec<f32> = rows.chunks(DIMENSIONS).step_by(17).flatten().map(|value| value + 0.01).collect();
                // Ties are broken by ids, which no walk can know before it has met them all: what counts is how far hits are.
                let (mut found, mut all) = (0, 0);
                for query in queries.chunks(DIMENSIONS) {
                    let truth = search(index, Query::F32(query), &scan().refine(Refine::Originals));
                    let last = truth.last().expect("ten hits").distance;
                    found += search(index, Query::F32(query), params).iter().filter(|hit| hit.distance <= last).count();
                    all += truth.len();
                }
                // Far clusters and zeros are found less well under inner products: docs/research/missed.md has the figures.
                let least = if metric == Metric::L2 { 95 } else { 75 };
                assert!(found * 100 >= all * least, "{name}, {metric}, {params:?}: {found} of {all}");
            });
        }
    }
    for value in [0.0, 0.5] {
        let rows = vec![value; 500 * DIMENSIONS];
        ways(DIMENSIONS, &rows, Metric::L2, |index, params| {
            let hits = search(index, Query::F32(&rows[..DIMENSIONS]), &params.k(500));
            assert_eq!(ids(&hits), (0..500).collect::<Vec<_>>(), "all rows {value}, {params:?}");
            assert!(hits.iter().all(|hit| hit.distance == 0.0));
        });
    }
}

/// Rows without direction lie as near to anything by inner product, and take nothing from the search for others.
#[test]
fn among_zero_vectors_a_search_by_inner_product_finds_what_it_was_asked_for() {
    for (dimensions, rows) in [(8, 900), (48, 3000)] {
        let all = clusters(rows + 100, dimensions, 5, 0.5, 7);
        let (rows, queries) = all.split_at(rows * dimensions);
        let mut rows = rows.to_vec();
        rows.chunks_mut(dimensions).step_by(3).for_each(|row| row.fill(0.0));
        for (codes, layout) in [(Codes::None, Layout::Lean), (Codes::U4, Layout::Lean), (Codes::None, Layout::Fast)] {
            let (index, _) = built(dimensions, &rows, &params(Metric::InnerProduct).codes(codes).layout(layout));
            assert_eq!(unreached(&index), 0, "{codes:?} {layout:?}");
            let found = recall(&index, dimensions, queries, &SearchParams::recall(0.99).plan(Plan::Walk).layout(layout));
            assert!(found >= 0.975, "{dimensions} dimensions, {codes:?} {layout:?}: {found}");
        }
    }
}

/// Nearly all rows of a cluster have the same codes there: what tells them apart are the originals of as many as that leaves in doubt.
#[test]
fn in_two_far_clusters_a_search_finds_what_it_was_asked_for() {
    const DIMENSIONS: usize = 8;
    let mut rows = clusters(800, DIMENSIONS, 2, 0.5, 5);
    rows[400 * DIMENSIONS..].iter_mut().for_each(|value| *value += 100.0);
    let queries: Vec<f32> = rows.chunks(DIMENSIONS).step_by(17).flatten().map(|value| value + 0.01).collect();
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
        for (codes, layout) in [(Codes::None, Layout::Lean), (Codes::U4, Layout::Lean), (Codes::None, Layout::Fast)] {
            let (index, _) = built(DIMENSIONS, &rows, &params(metric).codes(codes).layout(layout));
            let found = recall(&index, DIMENSIONS, &queries, &SearchParams::recall(0.99).plan(Plan::Walk).layout(layout));
            // Four bits say nothing at all of such rows, and of 400 that are in doubt no more than 300 are ranked.
            let least = if codes == Codes::U4 && metric == Metric::Cosine { 0.92 } else { 0.975 };
            assert!(found >= least, "{metric} {codes:?} {layout:?}: {found}");
        }
    }
}

#[test]
fn sorted_rows_are_found_as_any_others() {
    for reversed in [false, true] {
        let mut rows: Vec<f32> = (0..1500).flat_map(|row| [row as f32, 0.5 * row as f32]).collect();
        if reversed {
            rows.reverse();
        }
        let (index, _) = built(2, &rows, &params(Metric::L2));
        assert_eq!(unreached(&index), 0);
        every_row_finds_itself(&index, 2, &rows, &walk(32).rerank(32));
        assert!(recall(&index, 2, &rows[..200], &walk(64).rerank(64)) > 0.95);
    }
}

#[test]
fn one_dimension_is_enough() {
    let rows: Vec<f32> = (0..500).map(|row| ((row * 7919) % 500) as f32 - 250.0).collect();
    let (index, _) = built(1, &rows, &params(Metric::L2));
    assert_eq!(unreached(&index), 0);
    every_row_finds_itself(&index, 1, &rows, &walk(32).rerank(32));
    // Under cosine there are two directions, under inner product the largest is nearest.
    let rows: Vec<f32> = rows.iter().filter(|row| **row != 0.0).copied().collect();
    let (index, _) = built(1, &rows, &params(Metric::Cosine));
    for hit in search(&index, Query::F32(&[3.0]), &walk(50).k(20)) {
        assert!(rows[hit.id as usize] > 0.0 && hit.distance == 0.0, "{hit:?}");
    }
    let (index, _) = built(1, &rows, &params(Metric::InnerProduct));
    let hits = search(&index, Query::F32(&[2.0]), &walk(50).k(3).rerank(50));
    assert_eq!(hits.iter().map(|hit| rows[hit.id as usize]).collect::<Vec<_>>(), [249.0, 248.0, 247.0]);
    assert_eq!(hits[0].distance, 1.0 - 498.0);
}

#[test]
fn every_small_number_of_dimensions_answers_the_same_under_every_backend() {
    for dimensions in 1..=70 {
        let metric = Metric::ALL[dimensions % 3];
        for &element in Element::ALL {
            let golden = Golden {
                about: "",
                metric,
                element,
                rows: 40,
                dimensions,
                ids: Ids::Rows,
                payload: false,
                period: 0,
                originals: true,
                layers: nearshore_core::build::Layers::Many,
                codes: Codes::ALL[dimensions % Codes::ALL.len()],
                layout: if dimensions % 4 < 2 { Layout::Fast } else { Layout::Lean },
                columns: false,
                tiles: None,
                suffix: "",
            };
            let made = golden.make();
            let (file, summary) = golden.build(&made, &Serial, Kernels::best());
            let mut query = vec![0.0; dimensions];
            made.vectors(element, dimensions).decode(Kernels::best(), 7, &mut query);
            query[0] += 0.25;
            let mut answers = Vec::new();
            for kernels in Kernels::available() {
                let index = Index::open(file.clone()).expect("a file").with_kernels(kernels);
                for refine in [Refine::Records, Refine::Originals] {
                    // A walk that may keep every row sees what a scan sees.
                    let scanned = search(&index, Query::F32(&query), &scan().k(40).refine(refine));
                    let layout = golden.layout;
                    let walked = search(&index, Query::F32(&query), &walk(40).k(40).refine(refine).layout(layout));
                    assert_eq!(scanned.len(), 40);
                    assert_eq!(scanned, walked, "{dimensions} dimensions, {metric:?}, {element:?}, {}", kernels.name());
                    answers.push(scanned);
                }
            }
            assert!(answers.iter().skip(2).zip(&answers).all(|(a, b)| a == b), "{dimensions} dimensions, {element:?}");
            assert_eq!(summary.rows, 40);
        }
    }
}

#[test]
fn halves_and_the_floats_they_stand_for_answer_alike() {
    let halves = nearshore_tests::rows::rows(Element::F16, 24, 600, 9);
    let mut floats = vec![0.0; 24];
    let vectors = Vectors::packed(Element::F16, 24, &halves).expect("whole rows");
    let mut rows = Vec::new();
    for row in 0..600 {
        vectors.decode(Kernels::best(), row, &mut floats);
        rows.extend_from_slice(&floats);
    }
    for &metric in Metric::ALL {
        let (half, _) = try_build(Element::F16, 24, &halves, None, &params(metric)).expect("sound rows");
        let (full, _) = built(24, &rows, &params(metric));
        for query in clusters(20, 24, 4, 0.3, 10).chunks(24) {
            for refine in [Refine::Records, Refine::Originals] {
                for plan in [scan(), walk(20)] {
                    let plan = plan.refine(refine);
                    assert_eq!(search(&half, Query::F32(query), &plan), search(&full, Query::F32(query), &plan), "{metric:?}");
                }
            }
        }
    }
}

#[test]
fn bytes_are_exact_in_any_form_of_query() {
    let rows = nearshore_tests::rows::rows(Element::U8, 20, 300, 3);
    for &metric in Metric::ALL {
        let (index, _) = try_build(Element::U8, 20, &rows, None, &params(metric)).expect("sound rows");
        for query in rows.chunks(20).take(20) {
            let floats: Vec<f32> = query.iter().map(|&value| f32::from(value)).collect();
            assert_eq!(search(&index, Query::U8(query), &walk(30)), search(&index, Query::F32(&floats), &walk(30)));
            let small: Vec<i8> = query.iter().map(|&value| (value / 2) as i8).collect();
            let floats: Vec<f32> = small.iter().map(|&value| f32::from(value)).collect();
            assert_eq!(search(&index, Query::I8(&small), &walk(30)), search(&index, Query::F32(&floats), &walk(30)));
        }
    }
}
