//! Equal rows, equal distances, and rows that differ without being apart.

use super::*;

#[test]
fn a_thousand_equal_rows_are_all_found_smallest_ids_first() {
    for &metric in Metric::ALL {
        let rows = [0.5f32, -0.25, 1.0].repeat(1000);
        let (index, summary) = built(3, &rows, &params(metric));
        assert_eq!((summary.rows, summary.duplicates), (1000, 999));
        for plan in [scan(), walk(1)] {
            let first = search(&index, Query::F32(&[1.0, 0.0, 0.5]), &plan.k(10));
            assert_eq!(ids(&first), (0..10).collect::<Vec<_>>(), "{metric:?} {plan:?}");
            let all = search(&index, Query::F32(&[1.0, 0.0, 0.5]), &plan.k(5000));
            assert_eq!(ids(&all), (0..1000).collect::<Vec<_>>(), "{metric:?} {plan:?}");
            assert!(all.iter().all(|hit| hit.distance.to_bits() == first[0].distance.to_bits()));
        }
    }
}

#[test]
fn a_thousand_duplicates_do_not_hide_their_neighbours() {
    let mut rows = clusters(300, 4, 3, 0.5, 1);
    let twin = [0.1f32, 0.2, 0.3, 0.4];
    rows.extend(twin.repeat(1000));
    let (index, summary) = built(4, &rows, &params(Metric::L2));
    assert_eq!(summary.duplicates, 999);
    assert_eq!(unreached(&index), 0);
    let hits = search(&index, Query::F32(&twin), &walk(64).k(1005));
    assert_eq!(ids(&hits[..1000]), (300..1300).collect::<Vec<_>>());
    let truth = search(&index, Query::F32(&twin), &scan().k(1005));
    assert_eq!(ids(&hits), ids(&truth));
}

#[test]
fn ids_of_duplicates_need_no_order() {
    let rows = [1.0f32, 2.0, 1.0, 2.0, 1.0, 2.0, 7.0, 7.0].to_vec();
    let (index, _) = try_build(Element::F32, 2, &bytes_of(&rows), Some(&[30, 10, 20, 5]), &params(Metric::L2)).expect("sound rows");
    for plan in [scan(), walk(4)] {
        assert_eq!(ids(&search(&index, Query::F32(&[1.0, 2.0]), &plan.k(2))), [10, 20], "{plan:?}");
        assert_eq!(ids(&search(&index, Query::F32(&[1.0, 2.0]), &plan.k(9))), [10, 20, 30, 5], "{plan:?}");
    }
    let mut vector = Vec::new();
    for (id, wanted) in [(30, [1.0, 2.0]), (10, [1.0, 2.0]), (20, [1.0, 2.0]), (5, [7.0, 7.0])] {
        let row = index.row_of(id).expect("a sound file").expect("a row");
        assert_eq!(index.id_of(row), Ok(id));
        index.vector(row, &mut vector).expect("a sound file");
        assert_eq!(vector, wanted);
    }
    assert_eq!(index.row_of(31), Ok(None));
}

#[test]
fn equal_distances_come_by_the_smaller_id_wherever_the_cut_falls() {
    // Sixteen rows at one distance from the middle; ids run against the order of rows.
    let corners: Vec<u8> = (0..16u8).flat_map(|corner| (0..4).map(move |bit| 100 + 50 * (corner >> bit & 1))).collect();
    let own: Vec<u64> = (0..16).map(|row| 1000 - row).collect();
    let (index, _) = try_build(Element::U8, 4, &corners, Some(&own), &params(Metric::L2)).expect("sound rows");
    for k in 1..=16 {
        for plan in [scan(), walk(16)] {
            let hits = search(&index, Query::U8(&[125; 4]), &plan.k(k));
            assert_eq!(ids(&hits), (985..985 + k as u64).collect::<Vec<_>>(), "{plan:?}");
            assert!(hits.iter().all(|hit| hit.distance == 2500.0));
        }
    }
}

#[test]
fn minus_zero_and_zero_are_apart_by_nothing() {
    let rows = [0.0f32, 1.0, -0.0, 1.0, 3.0, 3.0];
    let (index, _) = built(2, &rows, &params(Metric::L2));
    for plan in [scan(), walk(3)] {
        let hits = search(&index, Query::F32(&[-0.0, 1.0]), &plan.k(2).refine(Refine::Originals));
        assert_eq!(ids(&hits), [0, 1]);
        assert!(hits.iter().all(|hit| hit.distance.to_bits() == 0));
    }
}

#[test]
fn rows_that_differ_in_the_last_bit_are_different_rows() {
    let mut rows = Vec::new();
    for step in 0..200u32 {
        rows.extend([f32::from_bits(1.0f32.to_bits() + step), 1.0]);
    }
    let (index, summary) = built(2, &rows, &params(Metric::L2));
    assert_eq!(summary.duplicates, 0);
    assert_eq!(unreached(&index), 0);
    let all = search(&index, Query::F32(&[1.0, 1.0]), &walk(200).k(200).rerank(200));
    assert_eq!(ids(&all), (0..200).collect::<Vec<_>>(), "originals tell apart what codes cannot");
}

/// A graph of 2^17 nodes is seen to by walks, and the file says so.
#[test]
fn rows_count_once_for_a_graph_however_often_they_are_there() {
    let rows: Vec<u8> = (0..(1 << 17) + 1000u32).map(|row| row as u8).collect();
    let mut params = params(Metric::L2);
    params.quality = false;
    let (index, summary) = try_build(Element::U8, 1, &rows, None, &params).expect("sound rows");
    assert_eq!(summary.rows - summary.duplicates, 256);
    let meta = index.meta().expect("meta");
    assert!(meta.contains("\"builder\":\"leaves 1\""), "{meta}");
}
