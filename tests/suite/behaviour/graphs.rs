//! Graphs under every option: whole, and good enough.

use super::*;
use nearshore_core::build::Layers;

const DIMENSIONS: usize = 24;

/// Sets an option.
type Change = fn(&mut BuildParams);

fn rows() -> (Vec<f32>, Vec<f32>) {
    let mut rows = clusters(2100, DIMENSIONS, 20, 0.35, 77);
    let queries = rows.split_off(2000 * DIMENSIONS);
    (rows, queries)
}

#[test]
fn every_node_is_reachable_whatever_the_options() {
    let rows = clusters(700, 6, 12, 0.02, 8);
    for m in [2, 3, 16] {
        for ef_construction in [1, 5, 60] {
            for heuristic in [true, false] {
                for layers in [Layers::Many, Layers::One] {
                    let mut params = params(Metric::L2);
                    (params.m, params.ef_construction) = (m, ef_construction);
                    (params.heuristic, params.layers, params.quality) = (heuristic, layers, false);
                    let (index, summary) = built(6, &rows, &params);
                    assert_eq!(unreached(&index), 0, "{params:?}");
                    assert_eq!(summary.layers == 1, layers == Layers::One, "{params:?}");
                    let all = search(&index, Query::F32(&rows[..6]), &walk(700).k(700));
                    assert_eq!(all.len(), 700, "{params:?}");
                }
            }
        }
    }
}

#[test]
fn recall_on_clustered_rows_by_option() {
    let (rows, queries) = rows();
    let of = |change: &dyn Fn(&mut BuildParams)| {
        let mut params = params(Metric::L2);
        params.quality = false;
        change(&mut params);
        let (index, summary) = built(DIMENSIONS, &rows, &params);
        (recall(&index, DIMENSIONS, &queries, &walk(64)), summary.mean_degree)
    };
    let (plain, degree) = of(&|_| {});
    assert!(plain >= 0.95, "{plain}");
    let (simple, _) = of(&|params| params.heuristic = false);
    assert!(simple >= 0.4 && simple < plain, "the heuristic is for clusters: {simple} against {plain}");
    let (one, _) = of(&|params| params.layers = Layers::One);
    assert!(one >= 0.93, "{one}");
    let (extended, _) = of(&|params| params.extend_candidates = true);
    assert!(extended >= plain - 0.02, "{extended} against {plain}");
    let (kept, fuller) = of(&|params| params.keep_pruned = true);
    assert!(kept >= plain - 0.02, "{kept} against {plain}");
    assert!(fuller > degree, "{fuller} against {degree} neighbours");
    assert!(fuller <= 16.0, "twice m at most: {fuller}");
}

#[test]
fn options_change_the_file_and_nothing_else_does() {
    let rows = clusters(400, 8, 5, 0.3, 4);
    let file = |change: &dyn Fn(&mut BuildParams)| {
        let mut params = params(Metric::Cosine);
        change(&mut params);
        built(8, &rows, &params).0.reader().bytes().to_vec()
    };
    let plain = file(&|_| {});
    assert!(plain == file(&|_| {}), "the same twice");
    let changes: [(&str, Change); 7] = [
        ("heuristic", |params| params.heuristic = false),
        ("extend_candidates", |params| params.extend_candidates = true),
        ("keep_pruned", |params| params.keep_pruned = true),
        ("layers", |params| params.layers = Layers::One),
        ("seed", |params| params.seed = 1),
        ("m", |params| params.m = 9),
        ("metric", |params| params.metric = Metric::L2),
    ];
    for (name, change) in changes {
        assert!(plain != file(&change), "{name}");
    }
}

#[test]
fn the_recall_that_was_asked_for_is_about_what_strangers_get() {
    let (rows, queries) = rows();
    let (index, summary) = built(DIMENSIONS, &rows, &params(Metric::L2));
    assert!(!summary.quality.is_empty());
    for wanted in [0.8f32, 0.9, 0.95, 0.99] {
        let got = recall(&index, DIMENSIONS, &queries, &SearchParams::recall(wanted).plan(Plan::Walk));
        // Not much more, either, where the ladder has a step so low.
        let more = got - f64::from(wanted.max(summary.quality[0].recall));
        assert!((-0.06..=0.06).contains(&more), "asked for {wanted}, got {got}");
    }
    let effort = |recall: f32| {
        let query = Query::F32(&queries[..DIMENSIONS]);
        let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
        index.search(query, &SearchParams::recall(recall).plan(Plan::Walk), &mut scratch, &mut hits).expect("a search").distances
    };
    assert!(effort(0.5) < effort(0.99), "less is cheaper");
}

#[test]
fn more_candidates_never_find_fewer() {
    let (rows, queries) = rows();
    let (index, _) = built(DIMENSIONS, &rows, &params(Metric::L2));
    let mut last = 0.0;
    for ef in [10, 20, 40, 80, 160, 2000] {
        let found = recall(&index, DIMENSIONS, &queries, &walk(ef).rerank(ef));
        assert!(found >= last - 0.005, "ef {ef}: {found} after {last}");
        last = found;
    }
    assert_eq!(last, 1.0, "with every row a candidate");
}

#[test]
fn nearly_all_of_the_sample_is_measured_where_ways_are_few() {
    // On a line each row is on the way to others.
    let rows = clusters(1500, 1, 1, 40.0, 9);
    let (_, summary) = built(1, &rows, &params(Metric::L2));
    assert!((170..=188).contains(&summary.quality[0].queries), "{} of 188", summary.quality[0].queries);
}
