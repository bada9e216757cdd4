//! Small sound files of everything that the dataset readers read, and what must hold of them for any bytes.

use std::path::Path;
use std::sync::Arc;

use nearshore::Queries;
use nearshore::dataset::truth::Truth;
use nearshore::dataset::{DIMENSIONS_MAX, Dataset, Format, Options};
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, FloatType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

const ROWS: usize = 6;
const DIMENSIONS: usize = 3;

/// A column that samples have, and inputs may.
const PAYLOAD: &str = "title";

/// Every reader of a file of vectors, ids, payloads or answers, each on the same bytes: few readers accept what is another's,
/// and none may mind.
///
/// # Panics
/// When a reader accepts what it then cannot read.
pub fn read(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("input");
    std::fs::write(&path, bytes).expect("a temporary file");
    for format in Format::ALL {
        let columns = matches!(format, Format::Parquet | Format::Jsonl);
        // Where there are no columns, the bytes are their own lines of payload.
        let payload = if columns { Some(PAYLOAD) } else { path.to_str() };
        for payload in [None, payload] {
            let options = Options { format: Some(format), payload, ..Options::default() };
            if let Ok(mut data) = Dataset::open(&path, &options) {
                use_data(&data, bytes.len());
                for name in ["input", "input.txt", "input.npy"] {
                    ids(&mut data, &folder.path().join(name), bytes);
                }
            }
        }
    }
    let truths = [Truth::parse_ibin("input", bytes), Truth::parse_ivecs("input", bytes)];
    for truth in truths.into_iter().flatten() {
        for query in [0, truth.queries() - 1] {
            assert_eq!(truth.ids(query).len(), truth.k());
            assert!(truth.right_ids(query, 1).len() <= truth.k());
            assert!(truth.distances(query).is_none_or(|distances| distances.len() == truth.k()));
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(vector) = nearshore::dataset::parse_vector(text)
    {
        assert!(!vector.is_empty() && vector.iter().all(|number| number.is_finite()));
    }
}

/// Reads all that an accepted input holds.
fn use_data(data: &Dataset, input: usize) {
    let (rows, dimensions) = (data.rows(), data.dimensions());
    assert!(rows > 0 && (1..=DIMENSIONS_MAX).contains(&dimensions), "{rows} rows x {dimensions} dimensions");
    let row_bytes = dimensions * data.element().bytes();
    assert!((0..rows).all(|row| data.vectors().row(row).len() == row_bytes));
    let finite = data.check_finite(0..rows).is_ok();
    // Compressed inputs may be larger than they look; a copy of those is the caller's affair.
    if rows * dimensions * 4 <= 4 * input {
        assert_eq!(Queries::of(data).is_ok_and(|queries| queries.len() == rows), finite);
    }
    assert!(data.ids().is_none_or(|ids| ids.len() == rows));
    assert!(data.payloads().is_none_or(|payloads| payloads.rows() == rows && payloads.row(rows - 1).len() <= payloads.bytes().len()));
}

/// The bytes as ids of the rows that they are themselves.
fn ids(data: &mut Dataset, path: &Path, bytes: &[u8]) {
    if !path.exists() {
        std::fs::write(path, bytes).expect("a temporary file");
    }
    if data.set_ids(path, None).is_ok() {
        assert_eq!(data.ids().map(<[u64]>::len), Some(data.rows()));
    }
}

/// One sound file of every kind, under the name that its corpus has.
///
/// # Panics
/// When the Parquet writer refuses a sample, which is a bug.
#[must_use]
pub fn all() -> Vec<(&'static str, Vec<u8>)> {
    let (rows, dimensions) = (ROWS as u32, DIMENSIONS as u32);
    let numbers: Vec<f32> = (0..ROWS * DIMENSIONS).map(|at| (at * 7 % 11) as f32 - 2.5).collect();
    let f32s: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let f16s: Vec<u8> = (0..ROWS * DIMENSIONS).flat_map(|at| (0x3C00 + at as u16).to_le_bytes()).collect();
    let bytes: Vec<u8> = (0..ROWS * DIMENSIONS).map(|at| (at * 37) as u8).collect();
    let counted = |data: &[u8]| [&rows.to_le_bytes(), &dimensions.to_le_bytes(), data].concat();
    let prefixed =
        |count: u32, data: &[u8], row: usize| data.chunks(row).flat_map(|row| [&count.to_le_bytes(), row].concat()).collect::<Vec<u8>>();
    let vectors: Vec<(&str, Vec<u8>)> = vec![
        ("fbin", counted(&f32s)),
        ("f16bin", counted(&f16s)),
        ("u8bin", counted(&bytes)),
        ("i8bin", counted(&bytes)),
        ("fvecs", prefixed(dimensions, &f32s, 4 * DIMENSIONS)),
        ("bvecs", prefixed(dimensions, &bytes, DIMENSIONS)),
        ("f4.npy", npy("<f4", &format!("({ROWS}, {DIMENSIONS})"), &f32s)),
        ("f2.npy", npy("<f2", &format!("({ROWS}, {DIMENSIONS})"), &f16s)),
        ("jsonl", jsonl(&numbers).into_bytes()),
        ("plain.parquet", parquet(&numbers, Compression::UNCOMPRESSED, false)),
        ("dictionary.parquet", parquet(&numbers, Compression::UNCOMPRESSED, true)),
        ("snappy.parquet", parquet(&numbers, Compression::SNAPPY, false)),
        ("gzip.parquet", parquet(&numbers, Compression::GZIP(Default::default()), false)),
        ("zstd.parquet", parquet(&numbers, Compression::ZSTD(Default::default()), true)),
        ("lz4.parquet", parquet(&numbers, Compression::LZ4_RAW, true)),
    ];
    let ids: Vec<u8> = (0..ROWS as u64).flat_map(|row| (u64::MAX - row).to_le_bytes()).collect();
    let answers = counted(&[&f32s[..], &f32s].concat());
    let others = vec![
        ("ids.npy", npy("<u8", &format!("({ROWS},)"), &ids)),
        ("ids.txt", b"18446744073709551615\n7\r\n\n3\n9\n1\n0\n".to_vec()),
        ("ibin", answers),
        ("ivecs", prefixed(dimensions, &f32s, 4 * DIMENSIONS)),
        ("query.json", b"[0.1, -2e3, 7]".to_vec()),
    ];
    vectors.into_iter().chain(others).collect()
}

fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

fn jsonl(numbers: &[f32]) -> String {
    let line =
        |(row, vector): (usize, &[f32])| format!("{{\"id\": {row}, \"vector\": {vector:?}, \"title\": \"row {row}\\n\", \"x\": [{{}}]}}\n");
    numbers.chunks(DIMENSIONS).enumerate().map(line).collect()
}

/// Two row groups of ids, lists and titles.
fn parquet(numbers: &[f32], compression: Compression, dictionary: bool) -> Vec<u8> {
    const SCHEMA: &str = "message rows {
        required int64 id;
        optional group vector (LIST) { repeated group list { optional float element; } }
        optional binary title (UTF8);
    }";
    let schema = Arc::new(parse_message_type(SCHEMA).expect("a schema"));
    let properties = WriterProperties::builder().set_compression(compression).set_dictionary_enabled(dictionary);
    let properties = Arc::new(properties.set_created_by("nearshore".to_owned()).build());
    let mut bytes = Vec::new();
    let mut file = SerializedFileWriter::new(&mut bytes, schema, properties).expect("a writer");
    for (half, numbers) in numbers.chunks(ROWS / 2 * DIMENSIONS).enumerate() {
        let rows = numbers.len() / DIMENSIONS;
        let ids: Vec<i64> = (0..rows).map(|row| (half * rows + row) as i64).collect();
        let repetitions: Vec<i16> = (0..numbers.len()).map(|at| i16::from(at % DIMENSIONS > 0)).collect();
        let titles: Vec<ByteArray> = (1..rows).map(|row| ByteArray::from(format!("row {row}").as_str())).collect();
        let present: Vec<i16> = (0..rows).map(|row| i16::from(row > 0)).collect();
        let mut group = file.next_row_group().expect("a row group");
        let mut column = group.next_column().expect("a column").expect("ids");
        column.typed::<Int64Type>().write_batch(&ids, None, None).expect("room");
        column.close().expect("whole");
        let mut column = group.next_column().expect("a column").expect("vectors");
        column.typed::<FloatType>().write_batch(numbers, Some(&vec![3; numbers.len()]), Some(&repetitions)).expect("room");
        column.close().expect("whole");
        let mut column = group.next_column().expect("a column").expect("titles");
        column.typed::<ByteArrayType>().write_batch(&titles, Some(&present), None).expect("room");
        column.close().expect("whole");
        group.close().expect("whole");
    }
    file.close().expect("whole");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearshore_core::format::Element;

    #[test]
    fn every_sample_is_read_by_the_reader_that_it_is_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut elements = Vec::new();
        for (name, bytes) in all() {
            read(&bytes);
            let path = folder.path().join(format!("x.{name}"));
            std::fs::write(&path, &bytes).expect("a file");
            if let Some(format) = Format::of_path(&path).filter(|_| !name.starts_with("ids")) {
                let columns = matches!(format, Format::Parquet | Format::Jsonl);
                let options = Options { payload: columns.then_some(PAYLOAD), ..Options::default() };
                let data = Dataset::open(&path, &options).unwrap_or_else(|error| panic!("{error}"));
                assert_eq!((data.rows(), data.dimensions()), (ROWS, DIMENSIONS), "{name}");
                assert!(!columns || data.ids().is_some() && data.payloads().is_some(), "{name}");
                elements.push(data.element());
            }
        }
        for element in [Element::F32, Element::F16, Element::U8, Element::I8] {
            assert!(elements.contains(&element), "no sample of {element}");
        }
    }
}
