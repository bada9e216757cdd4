//! Columns as tables of a file: see FORMAT.md, "columns".

use super::write::Places;
use crate::filter::{Coded, ColumnType};
use crate::format::{COLUMN_BYTES, Digest, Kind, Sink, TableSpec, WriteError, Writer};
use crate::graph::NONE;
use alloc::vec;
use alloc::vec::Vec;

/// Appends the tables that `columns` take, none where there is none.
pub(super) fn plan(columns: &[Coded<'_>], places: &Places, tables: &mut Vec<TableSpec>) {
    if columns.is_empty() {
        return;
    }
    let rows = places.sources.len() as u64;
    let twins = twins(places).count() as u64;
    if twins > 0 {
        // Whether a node of the graph stands for a row that matches is asked of all nodes.
        tables.push(TableSpec::table(Kind::DupOf, twins, 8));
    }
    tables.push(TableSpec::table(Kind::Columns, columns.len() as u64, COLUMN_BYTES));
    for (column, instance) in columns.iter().zip(0..) {
        let values = TableSpec::table(Kind::Column, rows, column.width().0 as u32);
        tables.push(values.instance(instance).encoding(column.kind() as u32));
        if column.has_nulls() {
            tables.push(TableSpec::blob(Kind::ColumnNulls, rows.div_ceil(8)).instance(instance));
        }
        if column.kind() == ColumnType::Text {
            tables.push(TableSpec::table(Kind::ColumnEnds, column.words().len() as u64, 8).instance(instance));
            let bytes = column.words().map(|word| word.len() as u64).sum();
            tables.push(TableSpec::blob(Kind::ColumnText, bytes).instance(instance));
        }
    }
}

/// A digest of names, types and values.
pub(super) fn digest(columns: &[Coded<'_>], places: &Places) -> u64 {
    let mut digest = Digest::new();
    for column in columns {
        digest.update(&describe(column, places));
        digest.update(&(column.kind() as u32).to_le_bytes());
        for &source in &places.sources {
            digest.update(&[u8::from(column.is_null(source))]);
            digest.update(&column.bits(source).to_le_bytes());
        }
        for word in column.words() {
            digest.update(&(word.len() as u64).to_le_bytes());
            digest.update(word);
        }
    }
    digest.finish()
}

/// Writes one of the tables.
pub(super) fn write<S: Sink>(
    columns: &[Coded<'_>],
    places: &Places,
    table: &TableSpec,
    writer: &mut Writer<S>,
) -> Result<(), WriteError<S::Error>> {
    let column = columns.get(table.instance as usize);
    match (table.kind, column) {
        (Kind::DupOf, _) => twins(places).try_for_each(|(node, twin)| {
            let mut pair = [0; 8];
            pair[..4].copy_from_slice(&node.to_le_bytes());
            pair[4..].copy_from_slice(&twin.to_le_bytes());
            writer.rows(&pair)
        }),
        (Kind::Columns, _) => columns.iter().try_for_each(|column| writer.rows(&describe(column, places))),
        (Kind::Column, Some(column)) => {
            let (width, base) = column.width();
            places.sources.iter().try_for_each(|&source| {
                let above = if column.is_null(source) { 0 } else { column.bits(source).wrapping_sub(base) };
                writer.rows(&above.to_le_bytes()[..width])
            })
        }
        (Kind::ColumnNulls, Some(column)) => {
            let mut nulls = vec![0u8; places.sources.len().div_ceil(8)];
            for (row, &source) in places.sources.iter().enumerate() {
                nulls[row / 8] |= u8::from(column.is_null(source)) << (row % 8);
            }
            writer.rows(&nulls)
        }
        (Kind::ColumnEnds, Some(column)) => {
            let mut end = 0u64;
            column.words().try_for_each(|word| {
                end += word.len() as u64;
                writer.rows(&end.to_le_bytes())
            })
        }
        (Kind::ColumnText, Some(column)) => column.words().try_for_each(|word| writer.rows(word)),
        _ => Ok(()),
    }
}

/// A row of `columns`.
fn describe(column: &Coded<'_>, places: &Places) -> [u8; COLUMN_BYTES as usize] {
    let nulls = places.sources.iter().filter(|&&source| column.is_null(source)).count();
    let (low, high) = column.range().filter(|_| column.kind() != ColumnType::Text).unwrap_or_default();
    let name = column.name().as_bytes();
    let mut row = [0; COLUMN_BYTES as usize];
    row[..4].copy_from_slice(&(name.len() as u32).to_le_bytes());
    row[8..16].copy_from_slice(&(nulls as u64).to_le_bytes());
    row[16..24].copy_from_slice(&low.to_le_bytes());
    row[24..32].copy_from_slice(&high.to_le_bytes());
    row[32..32 + name.len()].copy_from_slice(name);
    row
}

/// Pairs (row that stands in the graph, exact duplicate of it), ascending.
fn twins(places: &Places) -> impl Iterator<Item = (u32, u32)> + '_ {
    let mut node = 0;
    places.node_of_row.iter().zip(0u32..).filter_map(move |(&of, row)| {
        if of != NONE {
            node = row;
            return None;
        }
        Some((node, row))
    })
}
