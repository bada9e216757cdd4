//! Files with originals and tombstones: no writer makes them yet, any reader may meet them.

use nearshore_core::format::{FileSpec, TableSpec, Writer};

use super::*;

/// The same file with the rows whose ids `dies` names as tombstones.
fn with_tombstones(index: &File, dies: impl Fn(u64) -> bool) -> File {
    let superblock = &index.reader().header().superblock;
    let file = FileSpec {
        rows: superblock.rows,
        dimensions: superblock.dimensions,
        metric: superblock.metric,
        element: superblock.element,
        plan: superblock.plan,
        refine: superblock.refine,
        seed: superblock.seed,
        build_id: superblock.build_id,
    };
    let mut bitmap = vec![0u8; index.len().div_ceil(8)];
    let dead = (0..index.len()).filter(|&row| dies(index.id_of(row as u32).expect("a sound file")));
    let dead = dead.map(|row| bitmap[row / 8] |= 1 << (row % 8)).count();
    let copies = index.reader().sections().map(|section| {
        let table = section.table();
        let spec = TableSpec::table(table.kind().expect("a known kind"), table.rows, table.stride).block_rows(table.block_rows);
        let spec = spec.encoding(table.encoding).parameter(table.parameter).extra(table.extra);
        let rows = (0..table.rows as u32).flat_map(|row| section.row(row).expect("a sound file").to_vec());
        (if table.is_hot() { spec.hot() } else { spec }, rows.collect::<Vec<u8>>())
    });
    let deleted = TableSpec::blob(Kind::Deleted, bitmap.len() as u64).required().extra(dead as u64);
    let tables: Vec<_> = copies.chain([(deleted, bitmap)]).collect();
    let specs: Vec<TableSpec> = tables.iter().map(|(spec, _)| *spec).collect();
    let mut writer = Writer::new(Vec::new(), &file, &specs).expect("a sound specification");
    tables.iter().for_each(|(_, bytes)| writer.rows(bytes).expect("a vector takes all"));
    let index = Index::open(writer.finish().expect("full tables").0).expect("what was written opens");
    index.check(&mut |_, _| {}).unwrap_or_else(|damage| panic!("what was written is sound: {damage}"));
    index
}

#[test]
fn dead_rows_around_the_query_take_no_place_among_the_candidates() {
    let rows = clusters(3000, 12, 8, 0.3, 5);
    let (whole, _) = built(12, &rows, &params(Metric::L2));
    assert_eq!(whole.refine(), Refine::Originals);
    for query in rows.chunks(12).step_by(331) {
        let query = Query::F32(query);
        let near = ids(&search(&whole, query, &scan().k(250)));
        let index = with_tombstones(&whole, |id| near.contains(&id));
        assert_eq!(index.deleted(), 250);
        let truth = search(&index, query, &scan().k(10));
        for params in [walk(10), walk(400), SearchParams::default().plan(Plan::Walk), walk(10).rerank(10)] {
            let hits = search(&index, query, &params.k(10));
            assert_eq!(hits.len(), 10, "{params:?}");
            assert!(hits.iter().all(|hit| !near.contains(&hit.id)), "{params:?}");
            assert!(params != walk(400) || hits == truth, "{hits:?} instead of {truth:?}");
        }
    }
}

#[test]
fn a_living_duplicate_of_a_dead_row_is_a_candidate() {
    let mut rows = clusters(2500, 12, 8, 0.3, 6);
    let first: Vec<f32> = rows[..12].to_vec();
    rows.extend(first.repeat(3));
    let (whole, _) = built(12, &rows, &params(Metric::L2));
    // The row that the graph leads to and one of its duplicates are dead.
    let dead = [0, 2501];
    let index = with_tombstones(&whole, |id| dead.contains(&id));
    let hits = search(&index, Query::F32(&first), &walk(40).k(2));
    assert_eq!((ids(&hits), hits[1].distance), (vec![2500, 2502], 0.0));
}
