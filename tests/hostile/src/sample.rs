//! Small sound files with every table that a search reads: two layers, payload, ids of their own, tombstones, duplicates,
//! quality, originals, columns of numbers and of texts. Written by hand and not by a build, so that they hold what builds rarely make.

use nearshore_core::format::{Element, FileSpec, Kind, Metric, Plan, Refine, TableSpec, Writer, build_id, encoding};
use nearshore_core::index::Index;
use nearshore_core::par::Serial;

/// Elements of a vector.
pub const DIMENSIONS: usize = 5;
/// Rows of a sample.
pub const ROWS: usize = 24;
const FACTORS: usize = 16;
const DEGREE: usize = 4;
const NONE: u32 = u32::MAX;
/// Bytes of codes of a row of `codes.rows`, and its stride.
const CODES: (usize, usize) = (16, 32);
/// Rows whose bit is set in `deleted`.
const TOMBSTONES: [usize; 2] = [2, 16];

fn code(row: usize, column: usize) -> u8 {
    // Rows 6 and 7 are equal.
    let row = if row == 7 { 6 } else { row };
    ((row * 37 + column * 53) % 101) as u8 + 3
}

fn id(row: usize) -> u64 {
    (1 << 60) - 5 * row as u64
}

/// One sound file.
///
/// # Panics
/// When the writer refuses it, which is a bug.
pub fn file(metric: Metric, element: Element) -> Vec<u8> {
    let record_encoding = match element {
        Element::U8 => encoding::EXACT_U8,
        Element::I8 => encoding::EXACT_I8,
        Element::F32 | Element::F16 => encoding::SCALED_I8,
    };
    let mut quant: Vec<u8> = [1, DIMENSIONS as u32, record_encoding, 0].into_iter().flat_map(u32::to_le_bytes).collect();
    quant.resize(16 + 4 * DIMENSIONS, 0);
    let (mut records, mut originals, mut payload) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..ROWS {
        let codes: Vec<u8> = (0..DIMENSIONS).map(|column| code(row, column)).collect();
        let squares: u32 = codes.iter().map(|&code| u32::from(code) * u32::from(code)).sum();
        // Under cosine scaled records hold unit vectors.
        let unit = metric == Metric::Cosine && record_encoding == encoding::SCALED_I8;
        let scale = if unit { 1.0 / (squares as f32).sqrt() } else { 1.0 };
        let exact = record_encoding != encoding::SCALED_I8;
        let norm = if exact { squares } else { (scale * scale * squares as f32).to_bits() };
        let mut record = codes.clone();
        record.resize(FACTORS, 0);
        record.extend(scale.to_le_bytes());
        record.extend(norm.to_le_bytes());
        record.extend((squares as f32).to_le_bytes());
        record.extend(u32::from(row == 6).to_le_bytes());
        record.extend(id(row).to_le_bytes());
        record.extend((payload.len() as u64).to_le_bytes());
        record.extend((row as u64).to_le_bytes());
        record.resize(64, 0);
        records.extend(record);
        payload.extend(core::iter::repeat_n(row as u8, row));
        let mut original: Vec<u8> = match element {
            Element::F32 => codes.iter().flat_map(|&code| f32::from(code).to_le_bytes()).collect(),
            Element::F16 => codes.iter().flat_map(|&code| half(code).to_le_bytes()).collect(),
            Element::U8 | Element::I8 => codes,
        };
        original.resize(32, 0);
        originals.extend(original);
    }
    let ids = (0..ROWS)
        .rev()
        .filter(|row| !TOMBSTONES.contains(row))
        .flat_map(|row| [id(row).to_le_bytes(), (row as u64).to_le_bytes()].concat());
    let quality = [1u32, 16, 0, 0, 10, 20, 8, 0, 0.97f32.to_bits(), 20f32.to_bits(), 9f32.to_bits(), 0];
    let file = FileSpec {
        rows: ROWS as u64,
        dimensions: DIMENSIONS as u32,
        metric,
        element,
        plan: Plan::Walk,
        refine: Refine::Originals,
        seed: 1,
        build_id: build_id(&[metric.as_str().as_bytes(), element.as_str().as_bytes()]),
    };
    let rows = ROWS as u64;
    let edges = TableSpec::table(Kind::Edges, rows, 4 * DEGREE as u32).parameter(DEGREE as u32);
    let upper = upper();
    let tables = [
        (TableSpec::blob(Kind::Meta, 2), b"{}".to_vec()),
        (TableSpec::blob(Kind::Quant, quant.len() as u64), quant),
        (TableSpec::table(Kind::Quality, 1, 48), words(quality)),
        // Blocks of all kinds: one row, a power of two, a division, the whole table.
        (TableSpec::table(Kind::Records, rows, 64).encoding(record_encoding).parameter(FACTORS as u32).block_rows(4), records),
        (edges.block_rows(5), words((0..ROWS as u32).flat_map(edges_of))),
        (TableSpec::table(Kind::Upper, upper.len() as u64 / 24, 24).parameter(2).block_rows(1), upper),
        (TableSpec::table(Kind::IdsIndex, rows - TOMBSTONES.len() as u64, 16), ids.collect()),
        (TableSpec::blob(Kind::Deleted, rows / 8).required().extra(TOMBSTONES.len() as u64), vec![0b100, 0, 1]),
        (TableSpec::table(Kind::DupOf, 1, 8), words([6, 7])),
        (TableSpec::table(Kind::Columns, 2, 128), [describe("n", 3, 0, 23), describe("w", 0, 0, 0)].concat()),
        (TableSpec::table(Kind::Column, rows, 8).block_rows(5), (0..ROWS).flat_map(|row| n(row).to_le_bytes()).collect()),
        (TableSpec::blob(Kind::ColumnNulls, rows / 8).block_rows(2), vec![0b10_0000, 0, 0b1_0001]),
        (
            TableSpec::table(Kind::Column, rows, 2).instance(1).encoding(3),
            (0..ROWS as u16).flat_map(|row| (row % 3).to_le_bytes()).collect(),
        ),
        (TableSpec::table(Kind::ColumnEnds, 3, 8).instance(1).block_rows(1), [1u64, 3, 6].map(u64::to_le_bytes).concat()),
        (TableSpec::blob(Kind::ColumnText, 6).instance(1), b"abbccc".to_vec()),
        (TableSpec::blob(Kind::Payload, payload.len() as u64).block_rows(50), payload),
        (TableSpec::table(Kind::Originals, rows, 32).encoding(element as u32).block_rows(8), originals),
    ];
    // All samples are walked by coarse codes, behind the tables that all of them have.
    let codes = match metric {
        Metric::L2 => vec![codes(&tables[3].1)],
        Metric::Cosine => bits().into(),
        Metric::InnerProduct => parts(&tables[3].1).into(),
    };
    let mut tables = Vec::from(tables);
    tables.extend(codes);
    // All hot: 64-byte instead of 4 KiB steps between sections keep the file small.
    tables.iter_mut().for_each(|(spec, _)| *spec = spec.hot());
    // One knows its neighbours: every bit of these files is flipped, and there are many in codes.
    if metric == Metric::InnerProduct {
        let codes = neighbor_codes(write(&file, &tables));
        tables.push(codes);
    }
    write(&file, &tables)
}

fn write(file: &FileSpec, tables: &[(TableSpec, Vec<u8>)]) -> Vec<u8> {
    let specs: Vec<TableSpec> = tables.iter().map(|(spec, _)| *spec).collect();
    let mut writer = Writer::new(Vec::new(), file, &specs).expect("a good specification");
    tables.iter().for_each(|(_, bytes)| writer.rows(bytes).expect("room"));
    writer.finish().expect("full tables").0
}

/// Coarse codes of records whose scale is 1: in steps of 8, from 4 on.
fn codes(records: &[u8]) -> (TableSpec, Vec<u8>) {
    let mut rows = Vec::new();
    for record in records.chunks(64) {
        let mut row: Vec<u8> = record[..DIMENSIONS].iter().map(|&code| code / 8).collect();
        let norm: f32 = row.iter().map(|&code| (f32::from(code) * 8.0 + 4.0).powi(2)).sum();
        row.resize(CODES.0, 0);
        row.extend([8.0, 4.0, norm].into_iter().flat_map(f32::to_le_bytes));
        row.resize(CODES.1, 0);
        rows.extend(row);
    }
    let spec = TableSpec::table(Kind::CodesRows, ROWS as u64, CODES.1 as u32);
    (spec.encoding(encoding::CODES_U4).parameter(CODES.0 as u32).block_rows(5), rows)
}

/// Codes of each row's neighbours, as they follow from a file without them.
fn neighbor_codes(file: Vec<u8>) -> (TableSpec, Vec<u8>) {
    let mut index = Index::open(file).expect("a sound file");
    index.derive_neighbor_codes(&Serial).expect("a graph");
    let rows = index.derived_neighbor_codes().expect("just made").to_vec();
    let spec = TableSpec::table(Kind::NeighborCodes, ROWS as u64, 640).hot();
    (spec.encoding(encoding::NEIGHBOR_SIGNS).parameter(32).block_rows(3), rows)
}

/// Codes of one bit a dimension, and the centre that they share. Few rows are as near as they say, which only costs a walk time.
fn bits() -> [(TableSpec, Vec<u8>); 2] {
    let mut rows = Vec::new();
    for row in 0..ROWS {
        let code = (row as u64).wrapping_mul(0x9E37_79B9_97F4_A7C1);
        let start = rows.len();
        rows.extend(code.to_le_bytes());
        rows.extend([0.75f32, 0.125, 0.0625].into_iter().flat_map(f32::to_le_bytes));
        rows.extend(code.count_ones().to_le_bytes());
        rows.resize(start + 64, 0);
    }
    let mut quant = words([1, DIMENSIONS as u32, encoding::CODES_RABITQ_1, 1, 7, 0, 0, 0]);
    quant.extend((0..DIMENSIONS).flat_map(|column| (0.125 * column as f32).to_le_bytes()));
    let spec = TableSpec::table(Kind::CodesRows, ROWS as u64, 64).encoding(encoding::CODES_RABITQ_1).parameter(8);
    [(TableSpec::blob(Kind::Quant, quant.len() as u64).instance(1), quant), (spec.block_rows(5), rows)]
}

/// Codes of two parts, 2 and 3 dimensions; centroid `i` of both is `i / 2` in each dimension.
fn parts(records: &[u8]) -> [(TableSpec, Vec<u8>); 2] {
    let rows = records.chunks(64).flat_map(|record| [record[0], record[3]].map(|code| code.saturating_mul(2))).collect();
    let mut quant = words([1, DIMENSIONS as u32, encoding::CODES_PQ, 2, 0, 0, 250f32.to_bits(), 0]);
    quant.extend((0..DIMENSIONS * 256).flat_map(|at| (0.5 * (at % 256) as f32).to_le_bytes()));
    let spec = TableSpec::table(Kind::CodesRows, ROWS as u64, 2).encoding(encoding::CODES_PQ).parameter(2);
    [(TableSpec::blob(Kind::Quant, quant.len() as u64).instance(1), quant), (spec.block_rows(7), rows)]
}

/// A row of `columns`.
fn describe(name: &str, nulls: u64, low: i64, high: i64) -> Vec<u8> {
    let mut row = [(name.len() as u64).to_le_bytes(), nulls.to_le_bytes(), low.to_le_bytes(), high.to_le_bytes()].concat();
    row.extend_from_slice(name.as_bytes());
    row.resize(128, 0);
    row
}

/// The value of column `n`; rows 5, 16 and 20 have none.
fn n(row: usize) -> i64 {
    if [5, 16, 20].contains(&row) { 0 } else { row as i64 }
}

fn words(words: impl IntoIterator<Item = u32>) -> Vec<u8> {
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// A ring with chords; row 7, the duplicate of row 6, has no edges and no one leads to it.
fn edges_of(row: u32) -> [u32; DEGREE] {
    let rows = ROWS as u32;
    let step = |by: u32| if (row + by) % rows == 7 { 8 } else { (row + by) % rows };
    if row == 7 { [NONE; DEGREE] } else { [step(1), step(5), step(rows - 1), NONE] }
}

/// Layer 2: rows 0 and 12. Layer 1: rows 0, 6, 12, 18.
fn upper() -> Vec<u8> {
    words(
        [
            [0, 2, 2, 0, 1, NONE],
            [12, 2, 4, 0, 0, NONE],
            [0, 1, NONE, 0, 3, 5],
            [6, 1, NONE, 0, 2, 4],
            [12, 1, NONE, 0, 3, 5],
            [18, 1, NONE, 0, 4, 2],
        ]
        .into_iter()
        .flatten(),
    )
}

/// An integer of 1 to 255 as half precision.
fn half(value: u8) -> u16 {
    let top = value.ilog2() as u16;
    (15 + top) << 10 | (u16::from(value) << (10 - top) & 0x3FF)
}

/// One file a way of reading rows, and each metric; and one in tiles.
pub fn all() -> Vec<Vec<u8>> {
    [(Metric::L2, Element::F32), (Metric::Cosine, Element::F16), (Metric::L2, Element::U8), (Metric::InnerProduct, Element::I8)]
        .map(|(metric, element)| file(metric, element))
        .into_iter()
        .chain([crate::tiles::file()])
        .collect()
}
