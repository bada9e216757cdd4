//! One number for all that a build reads.

use nearshore_core::filter::{ColumnInput, Values};
use nearshore_core::format::Digest;
use nearshore_core::vectors::Payloads;

use crate::dataset::Dataset;

pub(super) fn of_bytes(bytes: &[u8]) -> u64 {
    let mut digest = Digest::new();
    digest.update(bytes);
    digest.finish()
}

/// Of one of many records, whose digests are summed, as they are not written in their order.
pub(super) fn of_record(number: u64, record: &[u8]) -> u64 {
    let mut digest = Digest::new();
    digest.update(&number.to_le_bytes());
    digest.update(record);
    digest.finish()
}

/// A digest of vectors, ids, payloads and columns. Reads all of them.
pub(super) fn of_data(data: &Dataset) -> u64 {
    let vectors = data.vectors();
    let mut rows = Digest::new();
    // As a build hashes them: it needs the hash of each row.
    (0..vectors.rows()).for_each(|row| rows.update(&of_bytes(vectors.row(row)).to_le_bytes()));
    with_rest(data, rows.finish())
}

/// The same, from the digest that a plan has of the vectors.
pub(super) fn with_rest(data: &Dataset, rows: u64) -> u64 {
    let mut digest = Digest::new();
    let shape = [data.rows() as u64, data.dimensions() as u64, data.element() as u64, rows];
    digest.update(bytemuck::cast_slice(&shape));
    if let Some(ids) = data.ids() {
        digest.update(b"ids");
        digest.update(bytemuck::cast_slice(ids));
    }
    if let Some(payloads) = data.payloads() {
        digest.update(b"payloads");
        update_texts(&mut digest, payloads);
    }
    for ColumnInput { name, values, nulls } in data.columns() {
        digest.update(name.as_bytes());
        digest.update(values.kind().as_str().as_bytes());
        match values {
            Values::I64(numbers) => digest.update(bytemuck::cast_slice(numbers)),
            Values::F64(numbers) => digest.update(bytemuck::cast_slice(numbers)),
            Values::Bool(bytes) => digest.update(bytes),
            Values::Text(texts) => update_texts(&mut digest, texts),
        }
        digest.update(nulls.unwrap_or_default());
    }
    digest.finish()
}

fn update_texts(digest: &mut Digest, texts: Payloads<'_>) {
    digest.update(bytemuck::cast_slice(texts.ends()));
    digest.update(texts.bytes());
}
