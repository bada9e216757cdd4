//! Writer then reader is the identity; each rule refuses what it is for, by name.

use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

pub(super) fn spec(rows: u64) -> FileSpec {
    FileSpec {
        rows,
        dimensions: 4,
        metric: Metric::L2,
        element: Element::U8,
        plan: Plan::Walk,
        refine: Refine::Records,
        seed: 7,
        build_id: build_id(&[b"tests"]),
    }
}

/// Bytes that look like nothing in particular, yet the same every time.
fn noise(length: usize, salt: u64) -> Vec<u8> {
    let mut state = salt.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    core::iter::repeat_with(next).take(length).collect()
}

/// Writes tables whose bytes are given, in pieces of `piece` bytes.
pub(super) fn write(file: &FileSpec, tables: &[(TableSpec, Vec<u8>)], piece: usize) -> Vec<u8> {
    let specs: Vec<_> = tables.iter().map(|(spec, _)| *spec).collect();
    let mut writer = Writer::new(Vec::new(), file, &specs).expect("a good specification");
    for (_, bytes) in tables {
        bytes.chunks(piece).for_each(|part| writer.rows(part).expect("room"));
    }
    writer.finish().expect("full tables").0
}

/// A small file with a bit of everything: hot and cold, several blocks, a division by 3, a blob, no rows at all.
pub(super) fn tables() -> Vec<(TableSpec, Vec<u8>)> {
    let with = |spec: TableSpec, salt| (spec, noise(spec.rows as usize * spec.stride as usize, salt));
    vec![
        with(TableSpec::blob(Kind::Meta, 300).hot(), 1),
        with(TableSpec::table(Kind::Quality, 3, 48).hot(), 2),
        with(TableSpec::table(Kind::Keys, 0, 4).instance(1), 3),
        with(TableSpec::table(Kind::Edges, 11, 8).parameter(2).block_rows(3).extra(10), 4),
        with(TableSpec::table(Kind::Originals, 11, 16).encoding(2).block_rows(4), 5),
        with(TableSpec::blob(Kind::Payload, 500).block_rows(120), 6),
    ]
}

fn assert_holds<B: AsRef<[u8]>>(reader: &Reader<B>, tables: &[(TableSpec, Vec<u8>)]) {
    for (spec, bytes) in tables {
        let section = reader.section(spec.kind, spec.instance).expect("the section");
        assert_eq!(section.rows(), spec.rows);
        for (row, expected) in bytes.chunks(spec.stride as usize).enumerate() {
            let row = row as u32;
            assert_eq!(section.row(row), Ok(expected), "{} row {row}", spec.kind);
            assert_eq!(section.place(row).ok(), section.prefetch_place(row));
            assert_eq!(section.place(row).unwrap() as u64, section.table().row_offset(row.into()));
        }
        assert_eq!(section.prefetch_place(spec.rows as u32), None);
        assert_eq!(section.row(spec.rows as u32).unwrap_err().what, "row number beyond the end of the table");
    }
}

#[test]
fn what_was_written_is_read_from_a_vector_and_from_a_slice() {
    let bytes = write(&spec(11), &tables(), 7);
    let reader = Reader::open(&bytes[..]).unwrap();
    assert_holds(&reader, &tables());
    assert_eq!(reader.verify(&mut |_, _| {}), Ok(()));
    let reader = Reader::open(bytes.clone()).unwrap();
    assert_holds(&reader, &tables());
    assert_eq!(reader.into_inner(), bytes);
}

#[test]
fn the_pieces_in_which_rows_come_leave_no_trace() {
    let whole = write(&spec(11), &tables(), usize::MAX);
    for piece in [1, 3, 64] {
        assert_eq!(write(&spec(11), &tables(), piece), whole);
    }
}

#[test]
fn blobs_are_read_across_blocks_and_never_beyond_their_end() {
    let tables = tables();
    let bytes = write(&spec(11), &tables, 64);
    let reader = Reader::open(&bytes).unwrap();
    let (payload, expected) = (reader.section(Kind::Payload, 0).unwrap(), &tables[5].1);
    let mut out = vec![1, 2, 3];
    for (from, to) in [(0, 0), (0, 500), (119, 121), (120, 240), (300, 500), (500, 500)] {
        payload.read_blob(from as u64, (to - from) as u64, &mut out).unwrap();
        assert_eq!(out, expected[from..to]);
    }
    let mut out = Vec::new();
    for (offset, length) in [(0, 501), (501, 0), (400, 101), (1, u64::MAX), (u64::MAX, 1), (0, u64::MAX)] {
        assert_eq!(payload.read_blob(offset, length, &mut out).unwrap_err().what, "range beyond the end of the blob");
        assert_eq!(out.capacity(), 0);
    }
    let edges = reader.section(Kind::Edges, 0).unwrap();
    assert_eq!(edges.read_blob(0, 1, &mut out).unwrap_err().what, "not a blob");
}

/// Where the bytes are and which of them were asked for: `open` may not go beyond the header.
#[test]
fn opening_depends_on_the_header_alone() {
    let good = write(&spec(11), &tables(), 64);
    let mut bytes = good.clone();
    bytes[HEADER_BYTES..].fill(0xA5);
    let reader = Reader::open(&bytes).unwrap();
    assert_eq!(reader.header(), Reader::open(&good).unwrap().header());
    let damage = reader.verify(&mut |_, _| {}).unwrap_err();
    assert_eq!(damage.blocks, 1 + 1 + 4 + 3 + 5);
    assert!(reader.section(Kind::Edges, 0).unwrap().row(0).is_err());
}

#[test]
fn a_damaged_block_is_found_on_touch_and_the_others_stay_readable() {
    let mut bytes = write(&spec(11), &tables(), 64);
    let at = Reader::open(&bytes).unwrap().section(Kind::Edges, 0).unwrap().table().row_offset(4) as usize;
    bytes[at] ^= 0x10;
    let reader = Reader::open(&bytes).unwrap();
    let edges = reader.section(Kind::Edges, 0).unwrap();
    for row in [0, 1, 2, 6, 10] {
        assert!(edges.row(row).is_ok());
    }
    for row in [3, 4, 5, 4] {
        assert_eq!(edges.row(row).unwrap_err().to_string(), "section edges, block 1: checksum mismatch");
    }
    let damage = reader.verify(&mut |_, _| {}).unwrap_err();
    assert_eq!(damage.to_string(), "section edges, block 1: checksum mismatch (1 of 14 blocks damaged)");
}

#[test]
fn touched_blocks_are_counted_once() {
    let reader = Reader::open(write(&spec(11), &tables(), 64)).unwrap();
    assert_eq!(reader.touched(), (0, 0));
    let edges = reader.section(Kind::Edges, 0).unwrap();
    // Three rows a block: rows 0 and 2 share one.
    [0, 2, 3].iter().for_each(|&row| assert!(edges.row(row).is_ok()));
    let originals = reader.section(Kind::Originals, 0).unwrap();
    assert!(originals.row(10).is_ok());
    let bytes = 2 * edges.table().block_bytes + originals.table().block_bytes;
    assert_eq!(reader.touched(), (3, u64::from(bytes)));
}

#[test]
fn a_block_is_announced_whole_before_its_first_check_and_never_again() {
    use core::sync::atomic::{AtomicUsize, Ordering};
    static ANNOUNCED: AtomicUsize = AtomicUsize::new(0);
    let file = write(&spec(11), &tables(), 64);
    let reader = Reader::open(file).expect("a good file").announcing(|rows| {
        ANNOUNCED.fetch_add(rows.len(), Ordering::Relaxed);
    });
    let edges = reader.section(Kind::Edges, 0).expect("edges");
    let block = edges.table().block_bytes as usize - 8;
    for (row, announced) in [(0, 1), (2, 1), (3, 2), (1, 2), (10, 3), (9, 3)] {
        edges.row(row).expect("a row");
        assert_eq!(ANNOUNCED.load(Ordering::Relaxed), announced * block, "row {row}");
    }
}

#[test]
fn verify_says_how_far_it_is() {
    let bytes = write(&spec(11), &[(TableSpec::blob(Kind::Payload, 5 << 20), vec![9; 5 << 20])], 1 << 16);
    let mut said = Vec::new();
    Reader::open(&bytes).unwrap().verify(&mut |done, total| said.push((done, total))).unwrap();
    assert!(said.len() >= 5 && said.is_sorted());
    assert_eq!(said.last(), Some(&(bytes.len() as u64, bytes.len() as u64)));
}

#[test]
fn the_largest_row_numbers_do_not_overflow() {
    let bytes = write(&spec(11), &tables(), 64);
    let reader = Reader::open(&bytes).unwrap();
    for section in reader.sections() {
        for row in [u32::MAX, u32::MAX - 1, 1 << 31] {
            assert!(section.row(row).is_err() && section.place(row).is_err());
        }
        let table = section.table();
        assert!(table.row_offset(u64::MAX) >= table.end());
        assert_eq!(table.row_bytes(u64::MAX), 0);
    }
}

#[test]
fn a_table_picks_blocks_that_need_no_division_and_keep_rows_aligned() {
    for stride in 1..3000 {
        let spec = TableSpec::table(Kind::Keys, 1 << 20, stride);
        assert!(spec.block_rows.is_power_of_two() && spec.block_rows * stride + 8 <= 64 * 1024);
    }
    assert_eq!(TableSpec::table(Kind::Keys, 1 << 20, 1 << 20).block_rows, 1);
    assert_eq!(TableSpec::table(Kind::Keys, 5, 832).block_rows, 5);
    let bytes = write(&spec(0), &[(TableSpec::table(Kind::Keys, 3, 64).block_rows(1), vec![0; 192])], 64);
    let reader = Reader::open(&bytes).unwrap();
    let keys = reader.section(Kind::Keys, 0).unwrap();
    assert!((0..3).all(|row| keys.place(row).unwrap().is_multiple_of(64)));
}

#[test]
fn a_writer_refuses_too_much_and_too_little() {
    let table = TableSpec::table(Kind::Keys, 2, 4);
    let writer = || Writer::new(Vec::new(), &spec(2), &[table, table.instance(1)]).unwrap();
    let error = writer().rows(&[0; 9]).unwrap_err();
    assert_eq!(error.to_string(), "section keys: 9 bytes given, room for 8");
    let mut partial = writer();
    partial.rows(&[0; 8]).unwrap();
    partial.rows(&[0; 3]).unwrap();
    assert_eq!(partial.finish().unwrap_err().to_string(), "section keys: 5 bytes missing");
    let mut full = writer();
    full.rows(&[0; 8]).unwrap();
    full.rows(&[0; 8]).unwrap();
    assert_eq!(full.rows(&[0]).unwrap_err().to_string(), "header: 1 bytes given, room for 0");
}

#[test]
fn a_writer_refuses_specifications_that_no_reader_would_accept() {
    let refused = |file: FileSpec, tables: &[TableSpec]| match Writer::new(Vec::new(), &file, tables) {
        Err(WriteError::Spec(bad)) => bad.to_string(),
        other => panic!("not refused: {other:?}"),
    };
    let keys = TableSpec::table(Kind::Keys, 2, 4);
    assert_eq!(refused(spec(u64::MAX), &[]), "header: rows is 18446744073709551615, must be at most 4294967294");
    assert_eq!(refused(FileSpec { dimensions: 0, ..spec(1) }, &[]), "header: dimensions is 0, must be at least 1");
    assert_eq!(refused(FileSpec { dimensions: 32_769, ..spec(1) }, &[]), "header: dimensions is 32769, must be at most 32768");
    let message = refused(spec(2), &[keys, keys]);
    assert_eq!(message, "section keys: instance is 0, must be another than that of an earlier section of its kind");
    assert!(refused(spec(2), &[keys, keys.instance(1).hot()]).ends_with("must be before all tables that are not hot"));
    assert_eq!(refused(spec(2), &[TableSpec { stride: 0, ..keys }]), "section keys: stride is 0, must be at least 1");
    assert!(refused(spec(2), &[keys.block_rows(u32::MAX)]).contains("block bytes is 17179869248, must be at most 16777216"));
    assert!(refused(spec(2), &[TableSpec::table(Kind::Keys, u64::MAX, 64)]).contains("rows is"));
    let many: Vec<_> = (0..193).map(|instance| keys.instance(instance)).collect();
    assert_eq!(refused(spec(2), &many), "header: section count is 193, must be at most 192");
    assert!(Writer::new(Vec::new(), &spec(2), &many[..192]).is_ok());
}

#[test]
fn row_counts_dimensions_and_degrees_must_agree() {
    let refused = |table: TableSpec| Writer::new(Vec::new(), &spec(11), &[table]).unwrap_err().to_string();
    let records = TableSpec::table(Kind::Records, 11, 64).parameter(16);
    for (table, message) in [
        (TableSpec::blob(Kind::Meta, 65_537), "section meta: rows is 65537, must be at most 65536"),
        (TableSpec::blob(Kind::Quant, 31), "section quant: rows is 31, must be at least 32"),
        (TableSpec { rows: 12, ..records }, "section records: rows is 12, must be 11"),
        (records.encoding(3), "section records: encoding is 3, must be at most 2"),
        (records.parameter(4), "section records: parameter is 4, must be 16"),
        (records.parameter(32), "section records: parameter is 32, must be 16"),
        (TableSpec { stride: 48, ..records }, "section records: stride is 48, must be at least 56"),
        (TableSpec { stride: 60, ..records }, "section records: stride is 60, must be a multiple of 16"),
        (TableSpec::table(Kind::Edges, 11, 8).parameter(3), "section edges: parameter is 3, must be at most 2"),
        (TableSpec::table(Kind::Edges, 11, 8).extra(11), "section edges: extra is 11, must be at most 10"),
        (TableSpec::table(Kind::Upper, 1, 20).parameter(2), "section upper: stride is 20, must be at least 24"),
        (TableSpec::table(Kind::IdsIndex, 12, 16), "section ids.index: rows is 12, must be at most 11"),
        (TableSpec::table(Kind::DupOf, 12, 8), "section dup_of: rows is 12, must be at most 11"),
        (TableSpec::blob(Kind::Deleted, 1), "section deleted: rows is 1, must be 2"),
        (TableSpec::table(Kind::Quality, 1, 40), "section quality: stride is 40, must be at least 48"),
        (TableSpec::table(Kind::Originals, 11, 16), "section originals: encoding is 0, must be 2"),
        (TableSpec::table(Kind::Originals, 11, 3).encoding(2), "section originals: stride is 3, must be at least 4"),
    ] {
        assert_eq!(refused(table), message);
    }
}

/// Specifications that a builder might come up with, and worse.
fn any_tables() -> impl Strategy<Value = Vec<(TableSpec, Vec<u8>)>> {
    let table = (0u64..40, 1u32..50, 1u32..12, any::<bool>(), any::<u64>());
    proptest::collection::vec(table, 0..6).prop_map(|parts| {
        let hot_first = |(.., hot, _): &(u64, u32, u32, bool, u64)| !*hot;
        let mut parts = parts;
        parts.sort_by_key(hot_first);
        let tables = parts.into_iter().zip(0..).map(|((rows, stride, block_rows, hot, salt), instance)| {
            let spec = TableSpec::table(Kind::Keys, rows, stride).block_rows(block_rows).instance(instance);
            let spec = if hot { spec.hot() } else { spec };
            (spec.extra(salt), noise((rows * u64::from(stride)) as usize, salt))
        });
        tables.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_file_is_read_as_it_was_written(tables in any_tables(), piece in 1usize..200, seed: u64, build_id: u64) {
        let file = FileSpec { seed, build_id, ..spec(3) };
        let bytes = write(&file, &tables, piece);
        let reader = Reader::open(&bytes).unwrap();
        let superblock = reader.header().superblock;
        prop_assert_eq!((superblock.seed, superblock.build_id, superblock.rows), (seed, build_id, 3));
        prop_assert_eq!(superblock.file_bytes, bytes.len() as u64);
        assert_holds(&reader, &tables);
        prop_assert_eq!(reader.verify(&mut |_, _| {}), Ok(()));
        for (spec, _) in &tables {
            let table = reader.header().table(spec.kind, spec.instance).unwrap();
            prop_assert_eq!((table.extra, table.is_hot()), (spec.extra, spec.hot), "{}", format!("{table:?}"));
        }
    }
}
