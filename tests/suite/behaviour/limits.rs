//! The edges of what is allowed: refused by name on one side, right on the other.

use super::*;
use nearshore_core::search::{Effort, SearchError};

fn refusal(element: Element, dimensions: usize, bytes: &[u8], ids: Option<&[u64]>, params: &BuildParams) -> String {
    try_build(element, dimensions, bytes, ids, params).expect_err("refused").to_string()
}

#[test]
fn a_zero_vector_has_no_cosine_and_is_a_place_like_any_other_else() {
    let rows = [1.0f32, 2.0, 0.0, 0.0, -1.0, 0.5];
    let error = try_build(Element::F32, 2, &bytes_of(&rows), None, &params(Metric::Cosine)).expect_err("refused");
    assert_eq!(error, BuildError::ZeroVector { row: 1 });
    for element in [Element::U8, Element::I8] {
        assert_eq!(refusal(element, 2, &[1, 2, 0, 0], None, &params(Metric::Cosine)), "row 1: a zero vector, which has no cosine");
    }
    let (index, _) = built(2, &rows, &params(Metric::L2));
    assert_eq!(ids(&search(&index, Query::F32(&[0.0, 0.0]), &walk(3).k(1))), [1]);
    let (index, _) = built(2, &rows, &params(Metric::InnerProduct));
    assert_eq!(ids(&search(&index, Query::F32(&[1.0, 1.0]), &walk(3).k(3))), [0, 1, 2]);
    let (index, _) = built(2, &[1.0, 2.0], &params(Metric::Cosine));
    let answer = index.search(Query::F32(&[0.0, 0.0]), &walk(3), &mut Scratch::new(), &mut Vec::new());
    assert_eq!(answer, Err(SearchError::ZeroVector));
}

#[test]
fn a_number_that_is_none_is_refused_by_row_and_element() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut rows = [0.5f32; 12];
        rows[7] = bad;
        for &metric in Metric::ALL {
            let error = try_build(Element::F32, 4, &bytes_of(&rows), None, &params(metric)).expect_err("refused");
            assert_eq!(error, BuildError::NotFinite { row: 1, element: Some(3) });
        }
        let (index, _) = built(4, &[0.5; 4], &params(Metric::L2));
        let answer = index.search(Query::F32(&rows[4..8]), &scan(), &mut Scratch::new(), &mut Vec::new());
        assert_eq!(answer, Err(SearchError::NotFinite { element: 3 }));
    }
    let halves: Vec<u8> = [0x3C00u16, 0x7C00].iter().flat_map(|half| half.to_le_bytes()).collect();
    assert_eq!(refusal(Element::F16, 1, &halves, None, &params(Metric::L2)), "row 1, element 0: not a finite number");
}

/// A file that was built must answer any query that is accepted: an overflow is no damage.
#[test]
fn rows_at_the_edge_of_f32_are_refused_or_searched_but_never_called_damaged() {
    for exponent in [15.0f32, 17.0, 18.0, 18.4, 18.5, 18.6, 18.9, 19.0, 19.1, 19.2, 19.26, 19.3, 25.0, 38.0] {
        let size = 10f32.powf(exponent);
        let rows = [size, 0.0, -size, 0.0, 0.0, size, 0.0, -size, size * 0.7, size * 0.7];
        for &metric in Metric::ALL {
            let Ok((index, _)) = try_build(Element::F32, 2, &bytes_of(&rows), None, &params(metric)) else { continue };
            for query in rows.chunks(2) {
                for plan in [scan(), walk(5)] {
                    for refine in [Refine::Records, Refine::Originals] {
                        let mut hits = Vec::new();
                        let answer = index.search(Query::F32(query), &plan.refine(refine), &mut Scratch::new(), &mut hits);
                        let damaged = matches!(answer, Err(SearchError::Corrupt(_)));
                        assert!(!damaged, "10^{exponent}, {metric:?}, {refine:?}, {query:?}: {answer:?}");
                    }
                }
            }
        }
    }
    let refused = refusal(Element::F32, 1, &bytes_of(&[1.0, 5e18]), None, &params(Metric::L2));
    assert_eq!(refused, "row 1: the norm is too large; its square must be below 1e37");
}

#[test]
fn tiny_rows_are_told_apart_or_refused() {
    for size in [1e-10f32, 1e-18, 1e-19, 1e-20, 1e-22, 1e-30, f32::MIN_POSITIVE, 1e-44] {
        // Ever farther from the first, and ever more askew.
        let rows: Vec<f32> = (1..=20).flat_map(|row| [size * row as f32, -size]).collect();
        for &metric in Metric::ALL {
            // Below, the squares of the first row are made of the last few bits of f32, which have no direction.
            let directed = size >= 1e-19;
            let answer = try_build(Element::F32, 2, &bytes_of(&rows), None, &params(metric));
            let (index, _) = match answer {
                Err(error) if metric == Metric::Cosine && !directed => {
                    assert_eq!(error, BuildError::ZeroVector { row: 0 }, "{size:e}");
                    continue;
                }
                answer => answer.expect("only cosine needs a direction"),
            };
            assert!(metric != Metric::Cosine || directed, "{size:e}: told apart by noise");
            let hits = search(&index, Query::F32(&rows[..2]), &walk(20).k(20));
            assert_eq!(ids(&hits), (0..20).collect::<Vec<_>>(), "{size:e}, {metric:?}");
        }
    }
    let (index, _) = built(2, &[1.0, 2.0], &params(Metric::Cosine));
    let answer = index.search(Query::F32(&[1e-22, -1e-22]), &walk(3), &mut Scratch::new(), &mut Vec::new());
    assert_eq!(answer, Err(SearchError::ZeroVector));
}

#[test]
fn the_largest_bytes_in_the_most_dimensions_are_exact() {
    const DIMENSIONS: usize = 32_768;
    let mut rows = vec![255u8; 2 * DIMENSIONS];
    rows[DIMENSIONS..].fill(0);
    rows[DIMENSIONS] = 1;
    let (index, _) = try_build(Element::U8, DIMENSIONS, &rows, None, &params(Metric::L2)).expect("sound rows");
    let hits = search(&index, Query::U8(&rows[..DIMENSIONS]), &walk(2).k(2));
    let far = (255.0f64 * 255.0 * (DIMENSIONS as f64 - 1.0) + 254.0 * 254.0) as f32;
    assert_eq!(hits.iter().map(|hit| (hit.id, hit.distance)).collect::<Vec<_>>(), [(0, 0.0), (1, far)]);
    let (index, _) = try_build(Element::U8, DIMENSIONS, &rows, None, &params(Metric::InnerProduct)).expect("sound rows");
    let hits = search(&index, Query::U8(&rows[..DIMENSIONS]), &scan().k(1));
    assert_eq!(hits[0].distance, (1.0 - 255.0f64 * 255.0 * DIMENSIONS as f64) as f32);

    let rows: Vec<u8> = [0x80u8; DIMENSIONS].into_iter().chain([0x7F; DIMENSIONS]).collect();
    let (index, _) = try_build(Element::I8, DIMENSIONS, &rows, None, &params(Metric::L2)).expect("sound rows");
    let hits = search(&index, Query::I8(&[-128; DIMENSIONS]), &walk(2).k(2));
    assert_eq!(
        hits.iter().map(|hit| (hit.id, hit.distance)).collect::<Vec<_>>(),
        [(0, 0.0), (1, (255.0f64 * 255.0 * DIMENSIONS as f64) as f32)]
    );
}

#[test]
fn more_hits_than_rows_and_fewer_candidates_than_hits() {
    let rows = clusters(50, 5, 4, 0.2, 6);
    let (index, _) = built(5, &rows, &params(Metric::L2));
    let query = Query::F32(&rows[..5]);
    for plan in [scan(), walk(1), walk(10), walk(1_000_000), SearchParams::default()] {
        assert_eq!(search(&index, query, &plan.k(51)).len(), 50, "{plan:?}");
        for k in [usize::MAX / 4, usize::MAX / 2 + 1, usize::MAX] {
            assert_eq!(search(&index, query, &plan.k(k)).len(), 50, "{plan:?}");
        }
    }
    for k in 1..=50 {
        assert_eq!(search(&index, query, &walk(1).k(k)).len(), k);
        assert_eq!(search(&index, query, &walk(7).k(k).rerank(1)).len(), k);
    }
}

#[test]
fn a_radius_holds_what_lies_on_it() {
    let rows: Vec<f32> = (0..100).flat_map(|row| [row as f32, 0.0]).collect();
    let (index, _) = built(2, &rows, &params(Metric::L2));
    for plan in [scan(), walk(60)] {
        let near = search(&index, Query::F32(&[10.0, 0.0]), &plan.k(50).radius(9.0).refine(Refine::Originals));
        assert_eq!(ids(&near), [10, 9, 11, 8, 12, 7, 13], "{plan:?}");
        assert!(search(&index, Query::F32(&[10.0, 5.0]), &plan.radius(24.9)).is_empty());
    }
}

#[test]
fn parameters_out_of_range_are_named() {
    let (index, _) = built(2, &[1.0, 2.0], &params(Metric::L2));
    let answer = |params: &SearchParams| index.search(Query::F32(&[1.0, 1.0]), params, &mut Scratch::new(), &mut Vec::new());
    let of = |change: &dyn Fn(&mut SearchParams)| {
        let mut params = SearchParams::default();
        change(&mut params);
        answer(&params).expect_err("refused").to_string()
    };
    assert_eq!(of(&|params| params.k = 0), "k must be at least 1");
    assert_eq!(of(&|params| params.effort = Effort::Ef(0)), "ef must be at least 1");
    for recall in [0.0, -1.0, 1.5, f32::NAN] {
        assert_eq!(of(&|params| params.effort = Effort::Recall(recall)), "recall must be above 0 and at most 1");
    }
    assert_eq!(of(&|params| params.gamma = Some(-0.1)), "gamma must be at least 0");
    assert_eq!(of(&|params| params.radius = Some(f32::NAN)), "radius must be a number");
    assert_eq!(of(&|params| params.plan = Some(Plan::Tiles)), "the index has no tiles: choose walk or scan");
    let other = index.search(Query::F32(&[1.0]), &SearchParams::default(), &mut Scratch::new(), &mut Vec::new());
    assert_eq!(other, Err(SearchError::Dimensions { wanted: 2, found: 1 }));

    let rows = bytes_of(&[1.0, 2.0, 3.0, 4.0]);
    let build = |change: &dyn Fn(&mut BuildParams), ids: Option<&[u64]>| {
        let mut params = params(Metric::L2);
        change(&mut params);
        refusal(Element::F32, 2, &rows, ids, &params)
    };
    assert_eq!(build(&|params| params.m = 1, None), "m must be 2 to 512");
    assert_eq!(build(&|params| params.m = 513, None), "m must be 2 to 512");
    assert_eq!(build(&|params| params.ef_construction = 0, None), "ef_construction must be 1 to 100000");
    assert_eq!(build(&|_| {}, Some(&[1])), "1 ids for 2 rows");
    assert_eq!(build(&|_| {}, Some(&[7, 7])), "row 1: id 7 is taken by row 0; ids must be unique");
}

#[test]
fn originals_that_were_dropped_are_not_ranked_by() {
    let mut params = params(Metric::L2);
    params.originals = false;
    let (index, _) = built(2, &[1.0, 2.0, 5.0, 6.0], &params);
    let wish = scan().refine(Refine::Originals);
    let answer = index.search(Query::F32(&[1.0, 2.0]), &wish, &mut Scratch::new(), &mut Vec::new());
    assert!(matches!(answer, Err(SearchError::Unsupported { .. })), "{answer:?}");
    assert_eq!(ids(&search(&index, Query::F32(&[1.0, 2.0]), &scan())), [0, 1]);
}

/// A scan reads the originals of those rows alone that their codes do not rule out. All of them are read when all are asked for.
#[test]
fn a_scan_of_some_rows_gives_the_first_of_a_scan_of_all() {
    for (dimensions, spread, offset) in [(3, 0.4, 0.0), (24, 0.4, 0.0), (24, 1e-3, 50.0), (130, 2.0, -7.0)] {
        let mut rows = clusters(1500, dimensions, 12, spread, 3);
        rows.iter_mut().for_each(|value| *value += offset);
        for row in rows.chunks_mut(dimensions).step_by(9) {
            row[0] *= 30.0;
        }
        for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
            let (index, _) = built(dimensions, &rows, &params(metric));
            let mut spared = 0;
            for query in rows.chunks(dimensions).step_by(47) {
                let query: Vec<f32> = query.iter().map(|value| value * 1.01 + 0.003).collect();
                let answer = |k: usize| {
                    let mut hits = Vec::new();
                    let wish = scan().refine(Refine::Originals).k(k);
                    let stats = index.search(Query::F32(&query), &wish, &mut Scratch::new(), &mut hits).expect("a sound query");
                    (hits, stats.distances)
                };
                let ((all, most), (some, fewer)) = (answer(1500), answer(10));
                assert_eq!(some, all[..10], "{metric:?}, {dimensions} dimensions");
                spared += most - fewer;
            }
            assert!(spared > 0, "{metric:?}, {dimensions} dimensions");
        }
    }
}

/// By default only those of the candidates are ranked again that the error of their codes leaves in doubt.
#[test]
fn originals_that_are_not_in_doubt_would_not_have_changed_the_answer() {
    const DIMENSIONS: usize = 24;
    let mut rows = clusters(3000, DIMENSIONS, 12, 0.4, 9);
    // Outliers make the codes of some rows far coarser than those of others.
    for row in rows.chunks_mut(DIMENSIONS).step_by(7) {
        row[0] *= 20.0;
    }
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
        let (index, _) = built(DIMENSIONS, &rows, &params(metric));
        let (mut spared, mut other) = (0, 0);
        for query in rows.chunks(DIMENSIONS).step_by(11) {
            let answer = |params: &SearchParams| {
                let mut hits = Vec::new();
                let stats = index.search(Query::F32(query), params, &mut Scratch::new(), &mut hits).expect("a sound query");
                (hits, stats.distances)
            };
            let ((hits, some), (truth, all)) = (answer(&walk(60)), answer(&walk(60).rerank(60)));
            spared += all - some;
            other += usize::from(hits != truth);
        }
        assert!(spared > 300, "{metric:?}: {spared} originals spared");
        assert_eq!(other, 0, "{metric:?}");
    }
}

#[test]
fn a_build_stops_where_it_is_told_to() {
    let rows = bytes_of(&clusters(600, 4, 3, 0.2, 2));
    let input = Input { vectors: Vectors::packed(Element::F32, 4, &rows).expect("whole rows"), ids: None, payloads: None };
    let mut calls = 0;
    let mut count = |_, _, _| {
        calls += 1;
        ControlFlow::Continue(())
    };
    build(&input, &params(Metric::L2), &Serial, Kernels::best(), &mut count, Vec::new()).expect("sound rows");
    assert!(calls > 10, "{calls}");
    for last in 0..calls {
        let mut left = last;
        let mut stop = |_, _, _| {
            left -= 1;
            if left < 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let answer = build(&input, &params(Metric::L2), &Serial, Kernels::best(), &mut stop, Vec::new());
        assert!(matches!(answer, Err(BuildError::Interrupted)), "after {last} of {calls} reports");
    }
}
