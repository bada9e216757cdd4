//! What a file in tiles holds, and that searches of all of it are exact.

use std::collections::BTreeMap;

use nearshore_core::build::build_with_columns;
use nearshore_core::filter::{ColumnInput, Filter, Values};
use nearshore_core::format::{Kind, Refine};
use nearshore_core::live::{Live, LiveParams};
use nearshore_core::search::SearchError;

use super::*;

fn vector(index: &Index<Vec<u8>>, row: u32) -> Vec<u32> {
    let mut vector = Vec::new();
    index.vector(row, &mut vector).expect("a row");
    vector.into_iter().map(f32::to_bits).collect()
}

fn payload(index: &Index<Vec<u8>>, row: u32) -> Vec<u8> {
    let mut payload = Vec::new();
    index.payload(row, &mut payload).expect("a payload");
    payload
}

/// Every row of the source that is no tombstone is there once, with what belongs to it.
fn same_rows(source: &Index<Vec<u8>>, tiles: &Index<Vec<u8>>, vectors: bool) {
    assert_eq!(tiles.len() as u64, source.len() as u64 - source.deleted());
    for row in 0..source.len() as u32 {
        let id = source.id_of(row).expect("an id");
        let found = tiles.row_of(id).expect("a whole file");
        if source.is_deleted(row).expect("a row") {
            assert_eq!(found, None, "a tombstone");
            continue;
        }
        let there = found.expect("a row of that id");
        assert_eq!(tiles.id_of(there), Ok(id));
        assert_eq!(payload(tiles, there), payload(source, row));
        if vectors {
            assert_eq!(vector(tiles, there), vector(source, row));
        }
    }
}

/// The blocks of a file in tiles hold every row as the own one of a tile, at most three times in all, in no tile twice.
fn copies(index: &Index<Vec<u8>>) -> Vec<usize> {
    let section = |kind| index.reader().section(kind, 0).expect("a table of tiles");
    let (tiles, codes) = (section(Kind::Tiles), section(Kind::CodesTiles));
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[4 * at..][..4].try_into().expect("four bytes"));
    let (mut count, mut next) = (vec![0; index.len()], 0);
    for tile in 0..tiles.rows() as u32 {
        let row = tiles.row(tile).expect("a tile");
        let end = if u64::from(tile) + 1 < tiles.rows() { word(tiles.row(tile + 1).expect("a tile"), 0) } else { index.len() as u32 };
        let slots = word(row, 2) as usize;
        let blocks = word(row, 1)..word(row, 1) + slots.div_ceil(32) as u32;
        let held: Vec<u32> = blocks
            .flat_map(|block| (0..32).map(move |at| (block, at)))
            .map(|(block, at)| word(codes.row(block).expect("a block"), at))
            .collect();
        assert!(held[slots..].iter().all(|&row| row == u32::MAX));
        let (own, spilled) = held[..slots].split_at((end - word(row, 0)) as usize);
        assert!(own.iter().copied().eq(next..end), "a tile's own rows come first");
        assert!(spilled.is_sorted_by(|a, b| a < b) && spilled.iter().all(|row| !own.contains(row)), "a row twice in a tile");
        held[..slots].iter().for_each(|&row| count[row as usize] += 1);
        next = end;
    }
    assert_eq!(next as usize, index.len());
    count
}

#[test]
fn rows_keep_what_belongs_to_them_in_all_metrics_and_elements() {
    for metric in METRICS {
        for element in ELEMENTS {
            let dressed = element != Element::F16;
            let recipe = Recipe { metric, element, dressed, originals: true, ..RECIPE };
            let (source, tiles) = recipe.make();
            same_rows(&source, &tiles, true);
            let count = copies(&tiles);
            assert!(count.iter().all(|count| (2..=3).contains(count)), "{metric} {element}: {count:?}");
            assert!(tiles.tile_count() > 20 && tiles.plan() == Plan::Tiles && tiles.refine() == Refine::Records);
            for kind in [Kind::Edges, Kind::Upper, Kind::CodesRows, Kind::Deleted] {
                assert!(tiles.reader().section(kind, 0).is_none(), "{kind:?} stays behind");
            }
            assert_eq!(tiles.reader().section(Kind::Originals, 0).is_some(), source.reader().section(Kind::Originals, 0).is_some());
        }
    }
}

#[test]
fn a_search_of_all_tiles_and_all_records_is_the_scan_of_the_records() {
    for metric in METRICS {
        for element in ELEMENTS {
            let recipe = Recipe { metric, element, differ: 500, ..RECIPE };
            let (source, tiles) = recipe.make();
            for query in recipe.queries() {
                let scan = SearchParams::default().plan(Plan::Scan).refine(Refine::Records);
                for k in [1, 10, 699, 2000] {
                    let (hits, stats) = search(&tiles, &query, &probing(ALL, ALL, k));
                    assert_eq!(hits, search(&tiles, &query, &scan.k(k)).0, "{metric} {element}, k {k}");
                    assert_eq!(hits.len(), k.min(recipe.rows));
                    assert_eq!(stats.hops, tiles.tile_count());
                    let by_id = |hits: &[Hit]| hits.iter().map(|hit| (hit.id, hit.distance.to_bits())).collect::<Vec<_>>();
                    assert_eq!(by_id(&hits), by_id(&search(&source, &query, &scan.k(k)).0), "{metric} {element}, k {k}");
                }
            }
        }
    }
}

#[test]
fn every_small_number_of_dimensions_is_searched_alike() {
    for dimensions in (1..=70).chain([127, 128, 129, 520]) {
        let metric = METRICS[dimensions % 3];
        for element in ELEMENTS {
            let recipe = Recipe { metric, element, dimensions, rows: 40, tile_rows: 8, ..RECIPE };
            let (_, tiles) = recipe.make();
            let query = recipe.queries().remove(0);
            let scan = SearchParams::default().plan(Plan::Scan).refine(Refine::Records).k(40);
            assert_eq!(
                search(&tiles, &query, &probing(ALL, ALL, 40)).0,
                search(&tiles, &query, &scan).0,
                "{dimensions}, {metric} {element}"
            );
        }
    }
}

#[test]
fn originals_rank_where_they_were_kept() {
    for metric in METRICS {
        for element in [Element::F32, Element::F16] {
            let recipe = Recipe { metric, element, originals: true, ..RECIPE };
            let (_, tiles) = recipe.make();
            for query in recipe.queries() {
                let (hits, _) = search(&tiles, &query, &probing(ALL, ALL, 10).refine(Refine::Originals));
                let scan = SearchParams::default().plan(Plan::Scan).refine(Refine::Originals).k(10);
                assert_eq!(hits, search(&tiles, &query, &scan).0, "{metric} {element}");
            }
            let (_, without) = Recipe { originals: false, ..recipe }.make();
            let mut hits = Vec::new();
            let params = probing(3, 10, 10).refine(Refine::Originals);
            let error =
                without.search(Query::F32(&recipe.queries()[0]), &params, &mut Scratch::new(), &mut hits).expect_err("no originals");
            assert_eq!(error, SearchError::Unsupported { lacks: "was built without originals: refine by records" });
        }
    }
}

/// One tile has them all, and as many tiles as they need.
#[test]
fn a_thousand_copies_of_a_row_are_all_found() {
    for (metric, element, originals) in
        [(Metric::L2, Element::U8, false), (Metric::Cosine, Element::F32, true), (Metric::InnerProduct, Element::I8, false)]
    {
        for (rows, differ) in [(1000, 1), (1400, 400)] {
            let recipe = Recipe { metric, element, originals, rows, differ, dressed: true, ..RECIPE };
            let (source, tiles) = recipe.make();
            same_rows(&source, &tiles, true);
            copies(&tiles);
            let (hits, _) = search(&tiles, &recipe.queries()[0], &probing(1, 1, rows));
            assert_eq!(hits.len(), rows);
            for row in 0..rows as u32 - 1 {
                // Copies are consecutive, as the flags of their records say: `check` holds both against each other.
                let same = vector(&tiles, row) == vector(&tiles, row + 1);
                let records = tiles.reader().section(Kind::Records, 0).expect("records");
                let flags = records.table().parameter as usize + 12;
                let flag = records.row(row).expect("a row")[flags] & 1 == 1;
                assert_eq!(flag, same, "{metric}, row {row}");
            }
        }
    }
}

#[test]
fn few_rows_make_one_tile_and_none_an_error() {
    for rows in [1, 2, 7, 33] {
        let recipe = Recipe { rows, tile_rows: 64, ..RECIPE };
        let (source, tiles) = recipe.make();
        same_rows(&source, &tiles, false);
        assert_eq!(tiles.tile_count(), 1);
        assert!(copies(&tiles).iter().all(|&count| count == 1));
        let (hits, _) = search(&tiles, &recipe.queries()[0], &SearchParams::default().k(40));
        assert_eq!(hits.len(), rows);
    }
    let go_on = &mut |_, _, _| ControlFlow::Continue(());
    let empty = Index::open(Recipe { rows: 0, ..RECIPE }.source()).expect("a file");
    let error = empty.write_tiles(&TileParams::default(), &Serial, go_on, Vec::new()).expect_err("no rows");
    assert_eq!(error.to_string(), "the index has no rows to lay out in tiles");
    let mut params = TileParams::default();
    params.tile_rows = Some(7);
    let error = empty.write_tiles(&params, &Serial, go_on, Vec::new()).expect_err("tiles of few rows");
    assert_eq!(error.to_string(), "tile_rows must be 8 to 4096");
}

#[test]
fn tombstones_stay_behind() {
    let recipe = Recipe { differ: 350, rows: 400, ..RECIPE };
    let data = rows(Element::F32, recipe.dimensions, recipe.rows, recipe.differ);
    let mut live = Live::new(LiveParams::new(recipe.dimensions, Metric::L2).m(4)).expect("parameters");
    for (row, bytes) in data.chunks(recipe.dimensions * 4).enumerate() {
        let vector: Vec<f32> = bytes.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes"))).collect();
        live.insert(id(row), Query::F32(&vector), text(id(row)).as_bytes()).expect("a new id");
    }
    // Of copies the first, the second, or both; of other rows every fifth.
    for row in (0..recipe.rows).filter(|row| row % 5 == 0 || row % 350 % 3 == 0) {
        live.delete(id(row)).expect("an id");
    }
    let source = Index::open(live.save(Vec::new()).expect("a file")).expect("a file");
    assert!(source.deleted() > 100, "{}", source.deleted());
    let (file, summary) = tiles(&source, &recipe.params(), &Serial);
    let tiles = Index::open(file).expect("a file in tiles");
    tiles.check(&mut |_, _| {}).expect("a whole file");
    assert_eq!((summary.rows, summary.dropped), (tiles.len() as u64, source.deleted()));
    same_rows(&source, &tiles, false);
    for query in recipe.queries() {
        let scan = SearchParams::default().plan(Plan::Scan).refine(Refine::Records).k(50);
        let by_id = |hits: &[Hit]| hits.iter().map(|hit| (hit.id, hit.distance.to_bits())).collect::<Vec<_>>();
        assert_eq!(by_id(&search(&tiles, &query, &probing(ALL, ALL, 50)).0), by_id(&search(&source, &query, &scan).0));
    }
}

/// Rows with columns, some without a value, `differ` of them different.
fn with_columns(recipe: &Recipe) -> Index<Vec<u8>> {
    let data = rows(recipe.element, recipe.dimensions, recipe.rows, recipe.differ);
    let ids: Vec<u64> = (0..recipe.rows).map(id).collect();
    let input =
        Input { vectors: Vectors::packed(recipe.element, recipe.dimensions, &data).expect("whole rows"), ids: Some(&ids), payloads: None };
    let numbers: Vec<i64> = (0..recipe.rows as i64).map(|row| row * 37 % 100).collect();
    let nulls: Vec<u8> = (0..recipe.rows.div_ceil(8)).map(|byte| [0b100, 0, 0b1001][byte % 3]).collect();
    let (mut words, mut ends) = (Vec::new(), Vec::new());
    for row in 0..recipe.rows {
        words.extend_from_slice(["amber", "blue", "", "dun"][row % 4].as_bytes());
        ends.push(words.len() as u64);
    }
    let columns = [
        ColumnInput { name: "n", values: Values::I64(&numbers), nulls: Some(&nulls) },
        ColumnInput { name: "w", values: Values::Text(Payloads::new(&words, &ends).expect("words")), nulls: None },
    ];
    let params = BuildParams::new(recipe.metric).m(4).ef_construction(20);
    let go_on = &mut |_, _, _| ControlFlow::Continue(());
    Index::open(build_with_columns(&input, &columns, &params, &Serial, Kernels::best(), go_on, Vec::new()).expect("a build").0)
        .expect("a file")
}

#[test]
fn columns_come_along_and_filters_select_the_same_ids() {
    for differ in [ALL, 300] {
        let recipe = Recipe { element: Element::U8, rows: 500, differ, ..RECIPE };
        let source = with_columns(&recipe);
        let tiles = Index::open(tiles(&source, &recipe.params(), &Serial).0).expect("a file in tiles");
        tiles.check(&mut |_, _| {}).expect("a whole file");
        assert_eq!(tiles.columns(), source.columns());
        let values = |index: &Index<Vec<u8>>| -> BTreeMap<u64, String> {
            let values = index.column_values().expect("columns");
            (0..index.len() as u32).map(|row| (index.id_of(row).expect("a row"), format!("{:?}", values.row(row)))).collect()
        };
        assert_eq!(values(&tiles), values(&source));
        for text in ["n < 20", "n is null", "w = \"blue\" or n = 7", "w in (\"\", \"dun\") and not n > 50", "n < 0"] {
            let filter = Filter::parse(text).expect("a condition");
            let [here, there] = [&tiles, &source].map(|index| {
                let rows = index.select(&filter).expect("columns");
                let mut ids: Vec<u64> = rows.iter().map(|row| index.id_of(row).expect("a row")).collect();
                ids.sort_unstable();
                (rows, ids)
            });
            assert_eq!(here.1, there.1, "{text}");
            for query in recipe.queries() {
                // Few rows are scanned unless told otherwise, and there is no graph to walk.
                let find = |index: &Index<Vec<u8>>, rows, params: &SearchParams| {
                    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
                    index
                        .search_where(Query::F32(&query), params, rows, &mut scratch, &mut hits)
                        .map(|_| hits.iter().map(|hit| (hit.id, hit.distance.to_bits())).collect::<Vec<_>>())
                };
                let wanted = find(&source, &there.0, &SearchParams::default().plan(Plan::Scan));
                assert_eq!(find(&tiles, &here.0, &SearchParams::default()), wanted, "{text}");
                if here.1.len() > 10 {
                    let error = find(&tiles, &here.0, &SearchParams::default().plan(Plan::Walk));
                    let lacks = "has no graph: choose the plan scan";
                    assert!(matches!(error, Err(SearchError::Unsupported { lacks: found }) if found == lacks), "{error:?}");
                    let among = find(&tiles, &here.0, &SearchParams::default().plan(Plan::Tiles)).expect("sound tiles");
                    assert!(among.len() == 10 && among.iter().all(|hit| here.1.contains(&hit.0)), "{text}: {among:?}");
                }
            }
        }
    }
}

/// Squares near the largest number: what is added and what multiplies stay numbers, though their halves are coarse.
#[test]
fn rows_as_large_as_rows_may_be_are_found() {
    for metric in METRICS {
        for size in [6e17f32, 1e-17] {
            let mut random = SplitMix::new(17);
            let value = |random: &mut SplitMix| (random.below(2001) as f32 - 1000.0) / 1000.0 * size;
            let data: Vec<u8> = (0..300 * 24).flat_map(|_| value(&mut random).to_le_bytes()).collect();
            let input = Input { vectors: Vectors::packed(Element::F32, 24, &data).expect("whole rows"), ids: None, payloads: None };
            let go_on = &mut |_, _, _| ControlFlow::Continue(());
            let source = build(&input, &BuildParams::new(metric).m(4), &Serial, Kernels::best(), go_on, Vec::new()).expect("a build").0;
            let file = tiles(&Index::open(source).expect("a file"), &RECIPE.params(), &Serial).0;
            let index = Index::open(file).expect("a file in tiles");
            index.check(&mut |_, _| {}).expect("a whole file");
            let query: Vec<f32> = (0..24).map(|_| value(&mut random)).collect();
            let scan = SearchParams::default().plan(Plan::Scan).refine(Refine::Records);
            assert_eq!(search(&index, &query, &probing(ALL, ALL, 10)).0, search(&index, &query, &scan).0, "{metric}, {size}");
            assert_eq!(search(&index, &query, &probing(4, 20, 10)).0.len(), 10);
        }
    }
}

/// What asks for the pieces that a file in tiles does not have says so.
#[test]
fn other_plans_say_what_is_missing() {
    let recipe = RECIPE;
    let (source, tiles) = recipe.make();
    let query = recipe.queries().remove(0);
    let fails = |index: &Index<Vec<u8>>, plan| {
        let params = SearchParams::default().plan(plan);
        index.search(Query::F32(&query), &params, &mut Scratch::new(), &mut Vec::new()).expect_err("no such tables").to_string()
    };
    assert_eq!(fails(&source, Plan::Tiles), "the index has no tiles: choose walk or scan");
    assert_eq!(fails(&tiles, Plan::Walk), "the index has no graph: choose the plan scan");
    assert!(Live::load(tiles.reader().bytes()).is_err());
}

#[test]
fn one_file_whatever_threads_kernels_and_progress() {
    struct Reversed(usize);
    impl Par for Reversed {
        fn threads(&self) -> usize {
            self.0
        }

        fn chunks<T: Send, S: Send>(&self, data: &mut [T], size: usize, scratch: &mut [S], work: impl Fn(usize, &mut [T], &mut S) + Sync) {
            let chunks: Vec<_> = data.chunks_mut(size.max(1)).enumerate().collect();
            for (at, (index, chunk)) in chunks.into_iter().rev().enumerate() {
                work(index, chunk, &mut scratch[at % self.0]);
            }
        }
    }
    for (metric, element) in
        [(Metric::L2, Element::U8), (Metric::Cosine, Element::F32), (Metric::InnerProduct, Element::I8), (Metric::Cosine, Element::I8)]
    {
        let recipe = Recipe { metric, element, differ: 600, originals: true, dressed: true, ..RECIPE };
        let source = recipe.source();
        let first = tiles(&Index::open(&source).expect("a file"), &recipe.params(), &Serial).0;
        for kernels in Kernels::available() {
            let index = Index::open(&source).expect("a file").with_kernels(kernels);
            for threads in [1, 2, 7] {
                let file = tiles(&index, &recipe.params(), &Reversed(threads)).0;
                assert!(file == first, "{metric} {element}: {threads} threads under {}", kernels.name());
            }
        }
        let mut other = recipe.params();
        other.seed = 4;
        assert!(tiles(&Index::open(&source).expect("a file"), &other, &Serial).0 != first, "a seed decides");
    }
}

#[test]
fn progress_may_stop_it_at_any_report() {
    let index = Index::open(RECIPE.source()).expect("a file");
    let mut reports = 0;
    let count = &mut |_, done, total| {
        assert!(done <= total);
        reports += 1;
        ControlFlow::Continue(())
    };
    index.write_tiles(&RECIPE.params(), &Serial, count, Vec::new()).expect("a file in tiles");
    for stop in 0..reports {
        let mut left = stop;
        let mut count = |_, _, _| {
            left -= 1;
            if left < 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let error = index.write_tiles(&RECIPE.params(), &Serial, &mut count, Vec::new()).expect_err("a stop");
        assert_eq!(error.to_string(), "interrupted");
    }
}
