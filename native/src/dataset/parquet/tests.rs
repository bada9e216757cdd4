//! Files written by the `parquet` crate itself, whole and damaged.

use std::path::Path;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, FloatType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::super::{Dataset, Options};

const SCHEMA: &str = "message rows {
    required int64 id;
    optional group embedding (LIST) { repeated group list { optional float element; } }
    optional binary title (UTF8);
    required double weight;
}";

/// Levels of a list column: (definition, repetition) of each value.
type Levels<'a> = (&'a [i16], &'a [i16]);

/// Ids, vectors back to back with their levels, titles with their definition levels.
type Group<'a> = (&'a [i64], &'a [f32], Levels<'a>, &'a [&'a str], &'a [i16]);

fn write(schema: &str, compression: Compression, groups: &[Group<'_>]) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut bytes = Vec::new();
    let mut file = SerializedFileWriter::new(&mut bytes, schema, properties).unwrap();
    for (ids, vectors, (definitions, repetitions), titles, title_levels) in groups {
        let mut group = file.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(ids, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<FloatType>().write_batch(vectors, Some(definitions), Some(repetitions)).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let titles: Vec<ByteArray> = titles.iter().map(|title| ByteArray::from(*title)).collect();
        column.typed::<ByteArrayType>().write_batch(&titles, Some(title_levels), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<DoubleType>().write_batch(&vec![0.5; ids.len()], None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    file.close().unwrap();
    bytes
}

const GOOD: Levels<'_> = (&[3, 3, 3, 3], &[0, 1, 0, 1]);

fn good(compression: Compression) -> Vec<u8> {
    write(
        SCHEMA,
        compression,
        &[(&[7, 8], &[1.0, 2.0, 3.0, 4.0], GOOD, &["a"], &[1, 0]), (&[9], &[5.0, 6.0], (&[3, 3], &[0, 1]), &["b"], &[1])],
    )
}

fn open(bytes: &[u8], options: &Options<'_>) -> Result<Dataset, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    std::fs::write(&path, bytes).unwrap();
    Dataset::open(&path, options).map_err(|error| error.to_string().replace(&path.display().to_string(), "x"))
}

fn row(data: &Dataset, row: usize) -> Vec<f32> {
    data.vectors().row(row).as_chunks().0.iter().map(|cell| f32::from_le_bytes(*cell)).collect()
}

#[test]
fn columns_become_rows_ids_and_payloads_across_row_groups() {
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::ZSTD(Default::default()), Compression::LZ4_RAW] {
        let data = open(&good(compression), &Options { payload: Some("title"), ..Options::default() }).unwrap();
        assert_eq!((data.rows(), data.dimensions(), data.ids()), (3, 2, Some(&[7, 8, 9][..])));
        assert_eq!((row(&data, 1), row(&data, 2)), (vec![3.0, 4.0], vec![5.0, 6.0]));
        let payloads = data.payloads().unwrap();
        assert_eq!([payloads.row(0), payloads.row(1), payloads.row(2)], [&b"a"[..], b"", b"b"]);
    }
    let data = open(&good(Compression::SNAPPY), &Options { payload: Some("weight"), id: Some("id"), ..Options::default() }).unwrap();
    assert_eq!(data.payloads().unwrap().row(2), b"0.5");
}

#[test]
fn faults_name_row_and_column() {
    let fault = |ids: &[i64], vectors: &[f32], levels: Levels<'_>| {
        let bytes = write(SCHEMA, Compression::SNAPPY, &[(ids, vectors, levels, &[], &vec![0; ids.len()])]);
        open(&bytes, &Options::default()).unwrap_err()
    };
    assert_eq!(
        fault(&[1, 2], &[1.0, 2.0, 3.0], (&[3, 3, 3], &[0, 1, 0])),
        "x: row 1, field embedding: 1 numbers; 2 as in row 0 would be right"
    );
    let null = fault(&[1, 2], &[1.0, 2.0], (&[3, 3, 0], &[0, 1, 0]));
    assert_eq!(null, "x: row 1, field embedding: null or empty; a list of numbers would be right");
    let hole = fault(&[1, 2], &[1.0, 2.0, 3.0], (&[3, 3, 3, 2], &[0, 1, 0, 1]));
    assert_eq!(hole, "x: row 1, field embedding: a null in the list; numbers only would be right");
    assert_eq!(fault(&[1, 2], &[1.0, 2.0, f32::NAN, 3.0], GOOD), "x: row 1, field embedding: NaN is not a finite f32");
    assert!(fault(&[1, -2], &[1.0; 4], GOOD).starts_with("x: row 1, field id: id -2; a whole number"));
    assert!(fault(&[], &[], (&[], &[])).contains("no rows"));
}

#[test]
fn columns_that_are_not_there_or_not_fit_are_refused_with_the_choice() {
    let fault = |options: &Options<'_>| open(&good(Compression::SNAPPY), options).unwrap_err();
    let absent = fault(&Options { vector: Some("v"), ..Options::default() });
    assert_eq!(absent, "x: field v: no such column; a list of numbers would be right; there are: id, embedding, title, weight");
    assert!(fault(&Options { vector: Some("weight"), ..Options::default() }).contains("DOUBLE; a list of numbers would be right"));
    assert!(fault(&Options { id: Some("title"), ..Options::default() }).contains("integers would be right for ids"));
    assert!(fault(&Options { payload: Some("embedding"), ..Options::default() }).contains("a nested column"));
}

/// Numbers as page headers hold them.
fn zigzag(number: u32) -> Vec<u8> {
    let mut rest = u64::from(number) * 2;
    let mut bytes = Vec::new();
    while rest > 0x7F {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// A sound file with another page at the start of a column's last chunk: of `kind` (0 data, 2 dictionary), with sizes and a
/// count as given.
fn with_page(column: usize, kind: u32, decoded: u32, stored: u32, count: u32) -> Vec<u8> {
    let mut bytes = good(Compression::SNAPPY);
    let file = SerializedFileReader::new(bytes::Bytes::from(bytes.clone())).unwrap();
    let (start, length) = file.metadata().row_group(1).column(column).byte_range();
    let fields = [kind, decoded, stored].map(zigzag).map(|number| [&[0x15], &number[..]].concat()).concat();
    let inner = if kind == 0 { 0x2C } else { 0x4C };
    let page = [&fields[..], &[inner, 0x15], &zigzag(count), &[0x15, 0, 0x15, 6, 0x15, 6, 0, 0]].concat();
    let chunk = &mut bytes[start as usize..][..length as usize];
    chunk.fill(0);
    chunk[..page.len()].copy_from_slice(&page);
    bytes
}

#[test]
fn pages_that_claim_more_than_they_can_hold_are_refused_before_they_are_decoded() {
    let options = Options { payload: Some("weight"), ..Options::default() };
    let fault = |bytes: &[u8]| open(bytes, &options).unwrap_err();
    let most = i32::MAX as u32;
    let large = fault(&with_page(3, 0, most, 8, 1));
    assert_eq!(large, "x: row 2, field weight: not readable as Parquet: a page of 8 bytes that claims to be 2147483647");
    assert!(fault(&with_page(3, 2, 8, 8, most)).contains("a dictionary of 2147483647 entries in 8 bytes"));
    assert!(fault(&with_page(3, 0, 8, 8, 2)).contains("pages of 2 values in a column of 1"));
    assert!(fault(&with_page(3, 0, 8, 1 << 20, 1)).contains("a page beyond the end of its column"));
    assert!(fault(&with_page(3, 0, u32::MAX, 8, 1)).contains("a page of 8 bytes that claims"));
    assert!(
        fault(&with_page(1, 0, 8, 8, most)).contains("field embedding: not readable as Parquet: 2147483647 values in a page of 8 bytes")
    );
}

#[test]
fn no_truncation_and_no_flipped_byte_is_worse_than_an_error() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let whole = good(Compression::UNCOMPRESSED);
    assert!(open(b"", &Options::default()).unwrap_err().contains("no rows"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    let read = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        Dataset::open(Path::new(&path), &Options { payload: Some("title"), ..Options::default() })
    };
    for cut in 0..whole.len() {
        assert!(read(&whole[..cut]).is_err(), "cut at {cut}");
    }
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        if let Ok(data) = read(&bytes) {
            assert_eq!(data.vectors().rows(), data.rows(), "byte {at}");
        }
    }
    std::panic::set_hook(hook);
}

#[test]
fn columns_have_the_types_of_the_schema() {
    use super::super::ColumnChoice;
    use nearshore_core::filter::{Filter, select};
    let bytes = good(Compression::SNAPPY);
    let data = open(&bytes, &Options { columns: Some(ColumnChoice::All), ..Options::default() }).unwrap();
    let columns = data.columns();
    let types: Vec<_> = columns.iter().map(|column| (column.name, column.values.kind().as_str())).collect();
    assert_eq!(types, [("title", "string"), ("weight", "f64")]);
    let found = |text: &str| select(&columns, 3, &Filter::parse(text).unwrap()).unwrap();
    assert_eq!((found("title in ('a', 'b')"), found("title is null"), found("weight = 0.5")), (vec![0, 2], vec![1], vec![0, 1, 2]));
    let names = ["id", "weight", "id"].map(str::to_owned);
    let data = open(&bytes, &Options { columns: Some(ColumnChoice::Named(&names)), ..Options::default() }).unwrap();
    let columns = data.columns();
    assert_eq!(columns.iter().map(|column| column.name).collect::<Vec<_>>(), ["id", "weight"]);
    assert_eq!(select(&columns, 3, &Filter::parse("id >= 8").unwrap()).unwrap(), [1, 2]);
    let names = ["embedding".to_owned()];
    let error = open(&bytes, &Options { columns: Some(ColumnChoice::Named(&names)), ..Options::default() }).unwrap_err();
    assert_eq!(error, "x: field embedding: a nested column; a column of numbers, booleans or text would be right");
    let names = ["price".to_owned()];
    let error = open(&bytes, &Options { columns: Some(ColumnChoice::Named(&names)), ..Options::default() }).unwrap_err();
    assert!(error.starts_with("x: field price: no such column; a column of numbers, booleans or text would be right"), "{error}");
}
