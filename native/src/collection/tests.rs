//! What holds for a collection whoever asks it.

use nearshore_core::filter::{ColumnType, Value};
use nearshore_core::search::Effort;

use super::*;

fn open(folder: &tempfile::TempDir) -> Collection {
    Collection::open(folder.path(), &CollectionOptions::default()).unwrap()
}

fn point(id: impl Into<Option<u64>>, vector: &[f32]) -> Point {
    Point { id: id.into(), vector: vector.to_vec(), payload: Vec::new(), columns: Vec::new() }
}

/// The field and the code of a refusal.
fn refusal<T: std::fmt::Debug>(done: Result<T, CollectionError>) -> (String, &'static str) {
    match done.unwrap_err() {
        CollectionError::Invalid { field, fault } => (field, fault.code()),
        other => panic!("{other}"),
    }
}

#[test]
fn an_insert_that_fails_leaves_no_row_and_decides_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let collection = open(&folder);
    assert_eq!(collection.insert(&[]).unwrap(), [0; 0]);
    // The second row is refused only by the index itself: its norm leaves f32.
    let huge = [point(None, &[1.0, 2.0, 3.0]), point(None, &[1e30, 0.0, 0.0])];
    assert_eq!(refusal(collection.insert(&huge)), ("points[1].vector".into(), "not_finite"));
    assert_eq!(refusal(collection.insert(&[point(None, &[])])), ("points[0].vector".into(), "out_of_range"));
    assert_eq!((collection.info().dimensions, collection.save().unwrap().bytes), (None, 0));
    assert_eq!(collection.insert(&[point(9, &[1.0, 2.0])]).unwrap(), [9]);
    let huge = [point(None, &[1.0, 2.0]), point(None, &[1e30, 0.0])];
    assert_eq!(refusal(collection.insert(&huge)), ("points[1].vector".into(), "not_finite"));
    assert_eq!(collection.info().rows, 1);
    assert_eq!(collection.get(&[9, 10, 11]).unwrap().len(), 1);
    assert_eq!(collection.insert(&[point(None, &[1.0, 2.0])]).unwrap(), [10], "what was refused uses up no id");
}

#[test]
fn an_assigned_id_is_above_all_others_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let collection = open(&folder);
    let ids = collection.insert(&[point(5, &[1.0]), point(None, &[2.0]), point(2, &[3.0]), point(None, &[4.0])]).unwrap();
    assert_eq!(ids, [5, 6, 2, 7]);
    collection.save().unwrap();
    drop(collection);
    let collection = open(&folder);
    assert_eq!(collection.insert(&[point(None, &[5.0])]).unwrap(), [8]);
    assert_eq!(collection.insert(&[point(u64::MAX, &[6.0])]).unwrap(), [u64::MAX]);
    assert_eq!(refusal(collection.insert(&[point(1, &[6.0]), point(None, &[6.0])])), ("points[1].id".into(), "no_id_left"));
    assert_eq!(collection.insert(&[point(1, &[6.0])]).unwrap(), [1]);
}

#[test]
fn a_collection_emptied_and_saved_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let collection = open(&folder);
    collection.insert(&[point(1, &[1.0, 0.0]), point(2, &[0.0, 1.0])]).unwrap();
    assert_eq!(collection.delete(&[1, 2, 2, 3]).unwrap(), 2);
    assert_eq!((collection.info().rows, collection.info().tombstones), (0, 0));
    collection.save().unwrap();
    drop(collection);
    let collection = open(&folder);
    assert_eq!((collection.info().dimensions, collection.info().read_only), (Some(2), None));
    assert_eq!(collection.search(&Search::new(vec![1.0, 0.0], 3)).unwrap(), []);
    assert_eq!(refusal(collection.insert(&[point(1, &[1.0])])), ("points[0].vector".into(), "dimension_mismatch"));
    collection.insert(&[point(1, &[1.0, 0.0])]).unwrap();
    assert_eq!(collection.search(&Search::new(vec![1.0, 0.0], 3)).unwrap()[0].id, 1);
}

#[test]
fn numbers_out_of_range_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let collection = open(&folder);
    let search = |k, effort| refusal(collection.search(&Search { effort, ..Search::new(vec![1.0], k) }));
    assert_eq!(search(0, Effort::Auto), ("k".into(), "out_of_range"));
    assert_eq!(search(K_MAX + 1, Effort::Auto), ("k".into(), "out_of_range"));
    assert_eq!(search(1, Effort::Ef(EF_MAX + 1)), ("ef".into(), "out_of_range"));
    assert_eq!(search(1, Effort::Recall(f32::NAN)), ("recall".into(), "out_of_range"));
    let options = CollectionOptions { dimensions: Some(40_000), ..CollectionOptions::default() };
    let other = tempfile::tempdir().unwrap();
    assert_eq!(refusal(Collection::open(other.path(), &options)), ("dimensions".into(), "out_of_range"));
}

#[test]
fn one_process_at_a_time_writes() {
    let folder = tempfile::tempdir().unwrap();
    let collection = open(&folder);
    let second = Collection::open(folder.path(), &CollectionOptions::default());
    assert!(matches!(second, Err(CollectionError::Locked { .. })));
    collection.insert(&[point(1, &[1.0])]).unwrap();
    collection.save().unwrap();
    let reader = CollectionOptions { read_only: true, ..CollectionOptions::default() };
    let reader = Collection::open(folder.path(), &reader).unwrap();
    assert_eq!(reader.search(&Search::new(vec![1.0], 1)).unwrap()[0].id, 1);
    assert!(matches!(reader.insert(&[point(2, &[1.0])]), Err(CollectionError::ReadOnly { .. })));
    drop(collection);
    open(&folder);
}

#[test]
fn a_file_with_columns_is_searched_by_filters_and_one_without_says_so() {
    use nearshore_core::build::{BuildParams, Input, build_with_columns};
    use nearshore_core::filter::{ColumnInput, Filter, Values};
    use nearshore_core::vectors::Vectors;
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<f32> = (0..50).map(|row| row as f32).collect();
    let input = Input { vectors: Vectors::packed(Element::F32, 1, bytemuck::cast_slice(&rows)).unwrap(), ids: None, payloads: None };
    let price: Vec<i64> = (0..50).map(|row| row % 5).collect();
    let columns = [ColumnInput { name: "price", values: Values::I64(&price), nulls: None }];
    let mut params = BuildParams::default();
    params.originals = false;
    let path = folder.path().join("shop.shore");
    let sink = crate::io::FileSink::create(&path, false).unwrap();
    let go_on = &mut |_, _, _| std::ops::ControlFlow::Continue(());
    let kernels = nearshore_core::distance::Kernels::best();
    build_with_columns(&input, &columns, &params, &nearshore_core::par::Serial, kernels, go_on, sink).unwrap().0.finish().unwrap();
    let filtered = |text: &str| Search { filter: Some(Filter::parse(text).unwrap()), ..Search::new(vec![21.0], 3) };
    for read_only in [true, false] {
        let shop = Collection::open(&path, &CollectionOptions { read_only, ..CollectionOptions::default() }).unwrap();
        assert_eq!(shop.info().read_only.is_some(), read_only);
        assert_eq!(shop.info().columns, [LiveColumn { name: "price".into(), kind: ColumnType::I64 }]);
        for _ in 0..2 {
            let ids: Vec<u64> = shop.search(&filtered("price = 3")).unwrap().iter().map(|found| found.id).collect();
            assert_eq!(ids, [23, 18, 28]);
        }
        assert_eq!(refusal(shop.search(&filtered("prize = 3"))), ("filter".to_owned(), "bad_filter"));
        for number in 0..40 {
            assert_eq!(shop.search(&filtered(&format!("price < {}", number % 20))).unwrap().len(), if number % 20 == 0 { 0 } else { 3 });
        }
        assert_eq!(shop.get(&[7]).unwrap()[0].columns, [("price".to_owned(), Some(Value::I64(2)))]);
    }
    let other =
        CollectionOptions { columns: vec![LiveColumn { name: "price".into(), kind: ColumnType::F64 }], ..CollectionOptions::default() };
    let refused = Collection::open(&path, &other).unwrap_err().to_string();
    assert_eq!(refused, "the collection has columns price:i64, not price:f64");
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(refusal(open(&folder).search(&filtered("price = 3"))), ("filter".to_owned(), "no_columns"));
}

#[test]
fn a_save_keeps_the_codes_that_the_file_had() {
    use nearshore_core::build::{BuildParams, Codes, Input, build};
    use nearshore_core::vectors::Vectors;
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<f32> = (0..600u64).map(|at| (nearshore_core::seed::hash(1, 2, at) % 1000) as f32).collect();
    let input = Input { vectors: Vectors::packed(Element::F32, 2, bytemuck::cast_slice(&rows)).unwrap(), ids: None, payloads: None };
    let mut params = BuildParams::default();
    (params.originals, params.codes, params.layout) = (false, Codes::U4, Layout::Fast);
    let path = folder.path().join("coded.shore");
    let sink = crate::io::FileSink::create(&path, false).unwrap();
    let go_on = &mut |_, _, _| std::ops::ControlFlow::Continue(());
    let kernels = nearshore_core::distance::Kernels::best();
    build(&input, &params, &nearshore_core::par::Serial, kernels, go_on, sink).unwrap().0.finish().unwrap();
    let collection = Collection::open(&path, &CollectionOptions::default()).unwrap();
    collection.insert(&[point(1_000, &[1.0, 2.0])]).unwrap();
    assert_eq!(collection.delete(&[3]).unwrap(), 1);
    collection.save().unwrap();
    drop(collection);
    let saved = Index::open(&path).unwrap();
    saved.check(&mut |_, _| {}).unwrap();
    let rows_of = |kind| saved.reader().section(kind, 0).map(|section| section.rows());
    assert_eq!([rows_of(Kind::CodesRows), rows_of(Kind::NeighborCodes)], [Some(301); 2]);
}
