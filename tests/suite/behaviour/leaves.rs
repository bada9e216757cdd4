//! Graphs of every builder: whole on every shape of set; those by leaves and by Vamana as good as those built by insertion.

use super::*;
use nearshore::Pool;
use nearshore_core::build::{Builder, Stage};

/// More than one leaf holds.
const ROWS: usize = 5000;

fn by_each(dimensions: usize, rows: &[f32], metric: Metric) -> [(File, Summary); 3] {
    [Builder::Leaves, Builder::Insertion, Builder::Vamana].map(|builder| {
        let mut params = params(metric);
        (params.builder, params.quality) = (builder, false);
        let (index, summary) = built(dimensions, rows, &params);
        assert_eq!(unreached(&index), 0, "{builder:?}");
        let meta = index.meta().expect("meta");
        assert_eq!(meta.contains("\"builder\":\"leaves"), builder == Builder::Leaves, "{meta}");
        assert_eq!(meta.contains("\"builder\":\"vamana") && meta.contains("alpha_sq"), builder == Builder::Vamana, "{meta}");
        (index, summary)
    })
}

#[test]
fn recall_is_that_of_insertion_under_every_metric() {
    let dimensions = 24;
    let mut rows = clusters(ROWS + 100, dimensions, 20, 0.35, 77);
    let queries = rows.split_off(ROWS * dimensions);
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
        let [leaves, insertion, vamana] =
            by_each(dimensions, &rows, metric).map(|(index, _)| recall(&index, dimensions, &queries, &walk(48)));
        // Leaves group rows by how near they are, which under an inner product says less.
        let loss = if metric == Metric::InnerProduct { 0.04 } else { 0.02 };
        assert!(leaves >= insertion - loss, "{metric:?}: {leaves} by leaves, {insertion} by insertion");
        assert!(leaves >= 0.85, "{metric:?}: {leaves}");
        assert!(vamana >= insertion - 0.02, "{metric:?}: {vamana} by Vamana, {insertion} by insertion");
    }
}

#[test]
fn more_candidates_make_a_better_graph() {
    let dimensions = 24;
    let mut rows = clusters(ROWS + 100, dimensions, 20, 2.0, 78);
    let queries = rows.split_off(ROWS * dimensions);
    let [least, usual, most] = [1, 150, 600].map(|ef_construction| {
        let mut params = params(Metric::L2);
        (params.ef_construction, params.quality) = (ef_construction, false);
        let (index, _) = built(dimensions, &rows, &params);
        assert_eq!(unreached(&index), 0, "{ef_construction}");
        recall(&index, dimensions, &queries, &walk(24))
    });
    assert!(least <= usual + 0.01 && usual <= most + 0.01 && least < most, "{least}, {usual}, {most}");
}

#[test]
fn far_clusters_and_sorted_rows_are_whole() {
    let mut rows = clusters(ROWS, 8, 2, 0.01, 5);
    for value in &mut rows[ROWS / 2 * 8..] {
        *value += 1000.0;
    }
    by_each(8, &rows, Metric::L2);
    let rows: Vec<f32> = (0..ROWS).flat_map(|row| [row as f32, 0.5 * row as f32]).collect();
    let [(index, _), ..] = by_each(2, &rows, Metric::L2);
    assert!(recall(&index, 2, &rows[..200], &walk(64).rerank(64)) > 0.95);
}

/// Rows so close to each other that their codes are all the same, beside some so far away that they decide the scale: nothing parts
/// the many, neither by leaders nor by pruning.
#[test]
fn rows_with_the_same_codes_are_cut_into_leaves_and_reached() {
    let mut random = Random::new(9);
    let mut rows: Vec<f32> = (0..ROWS * 4).map(|_| 1.0 + random.float() * 1e-6).collect();
    for row in rows.chunks_mut(4).step_by(500) {
        row.iter_mut().for_each(|value| *value *= -1000.0 * random.float());
    }
    by_each(4, &rows, Metric::L2);
}

#[test]
fn vamana_gives_the_same_bytes_for_any_number_of_threads_and_stops_when_asked() {
    let rows = bytes_of(&clusters(1500, 8, 20, 0.3, 1));
    let vectors = Vectors::packed(Element::F32, 8, &rows).expect("whole rows");
    let input = Input { vectors, ids: None, payloads: None };
    let mut params = params(Metric::Cosine);
    params.builder = Builder::Vamana;
    let go_on = &mut |_, _, _| ControlFlow::Continue(());
    let (one, _) = build(&input, &params, &Serial, Kernels::best(), go_on, Vec::new()).expect("sound rows");
    let (three, _) = build(&input, &params, &Pool::new(3).expect("threads"), Kernels::best(), go_on, Vec::new()).expect("sound rows");
    let (scalar, _) =
        build(&input, &params, &Serial, Kernels::by_name("scalar").expect("always there"), go_on, Vec::new()).expect("sound rows");
    assert!(one == three && one == scalar);
    let longer = build(&input, &params.alpha_sq(1.44), &Serial, Kernels::best(), go_on, Vec::new());
    assert_ne!(longer.expect("sound rows").0, one);
    for alpha_sq in [0.99, 4.1, f32::NAN] {
        let refused = build(&input, &params.alpha_sq(alpha_sq), &Serial, Kernels::best(), go_on, Vec::new());
        assert!(matches!(refused, Err(BuildError::Parameter { parameter: "alpha_sq", .. })), "{alpha_sq}");
    }
    for other in [params.heuristic(false), params.extend_candidates(true), params.keep_pruned(true)] {
        let refused = build(&input, &other, &Serial, Kernels::best(), go_on, Vec::new());
        assert!(matches!(refused, Err(BuildError::Parameter { parameter: "builder", .. })));
    }
    let mut calls = 0;
    let stop = &mut |stage, _, _| {
        calls += usize::from(stage == Stage::Link);
        if calls > 20 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    assert!(matches!(build(&input, &params, &Serial, Kernels::best(), stop, Vec::new()), Err(BuildError::Interrupted)));
}

#[test]
fn a_build_by_leaves_stops_when_asked() {
    let rows = bytes_of(&clusters(ROWS, 8, 20, 0.3, 1));
    let vectors = Vectors::packed(Element::F32, 8, &rows).expect("whole rows");
    let input = Input { vectors, ids: None, payloads: None };
    let (mut calls, mut last, mut carving) = (0, 0, 0);
    let told = build(
        &input,
        &params(Metric::L2),
        &Serial,
        Kernels::best(),
        &mut |stage, done, total| {
            if stage == Stage::Link {
                calls += 1;
                assert!(done >= last && done <= total, "{done} of {total} after {last}");
                last = done;
                carving += usize::from(done > 0 && done < total / 8);
            }
            ControlFlow::Continue(())
        },
        Vec::new(),
    );
    assert!(told.is_ok() && calls > 5, "{calls}");
    // The first eighth groups rows into leaves, which takes long enough to be told of.
    assert!(carving >= 1, "{carving}");
    for stop in [1, 3, calls / 2, calls] {
        let mut call = 0;
        let result = build(
            &input,
            &params(Metric::L2),
            &Serial,
            Kernels::best(),
            &mut |stage, _, _| {
                call += usize::from(stage == Stage::Link);
                if call >= stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
            Vec::new(),
        );
        assert!(matches!(result, Err(BuildError::Interrupted)), "stopped at call {stop} of {calls}");
    }
}
