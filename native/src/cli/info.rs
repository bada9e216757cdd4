//! `nearshore info`: what is in an index.

use std::io::Write;
use std::path::Path;

use nearshore::format::{Kind, Table, encoding};
use nearshore::search::QualityRow;
use nearshore::search::quality::FROM_QUERIES;
use nearshore::segments::hex;
use nearshore::{ColumnInfo, Index, Segments, filter};
use serde_json::{Value, json};

use super::args::{Common, FileArgs};
use super::build::write_quality;
use super::fail::Fail;
use super::output::{self, print, print_json, rounded};
use super::verify::parts_of;

pub(crate) fn run(args: &FileArgs, common: &Common) -> Result<(), Fail> {
    if let Some(parts) = parts_of(args)? {
        let (count, file_bytes, part_bytes) = (parts.parts.len(), parts.file_bytes, parts.part_bytes);
        if common.json {
            let file = args.file.display().to_string();
            return print_json(&json!({ "file": file, "parts": count, "part_bytes": part_bytes, "file_bytes": file_bytes }));
        }
        let (file, part) = (output::bytes(file_bytes), output::bytes(part_bytes));
        return print(|out| {
            let path = args.file.display();
            writeln!(
                out,
                "{path}: the list of a file of {file} in {count} parts of {part}, for the npm package; the parts, joined in its order, are the file"
            )
        });
    }
    let segments = Segments::open(&args.file)?;
    if segments.is_set() {
        return info_set(args, common, &segments);
    }
    let index = segments.first();
    let damaged = |error| Fail::search(&args.file, "", &error);
    let meta = index.meta().map_err(damaged)?;
    let quality = index.quality().map_err(damaged)?;
    let columns = index.columns().map_err(|corrupt| damaged(corrupt.into()))?;
    if common.json {
        return print_json(&describe(args, index, &meta, quality, &columns));
    }
    print(|out| write_text(out, args, common, index, &meta, (quality, &columns)))
}

/// What a set lists, and what its files have in common.
fn info_set(args: &FileArgs, common: &Common, set: &Segments) -> Result<(), Fail> {
    let superblock = |index: &Index| index.reader().header().superblock;
    let name = |path: &Path| path.strip_prefix(args.file.parent().unwrap_or(Path::new(""))).unwrap_or(path).display().to_string();
    let (metric, element) = (set.metric(), set.element());
    if common.json {
        let segment = |(path, index): (&Path, &Index)| {
            let superblock = superblock(index);
            json!({
                "name": name(path), "file_bytes": superblock.file_bytes, "rows": superblock.rows, "deleted": index.deleted(),
                "plan": superblock.plan.as_str(), "identity": hex(&superblock.identity),
            })
        };
        return print_json(&json!({
            "file": args.file.display().to_string(), "file_bytes": set.file_bytes(), "rows": set.rows(), "deleted": set.deleted(),
            "dimensions": set.dimensions(), "metric": metric.as_str(), "element": element.as_str(),
            "segments": set.iter().map(segment).collect::<Vec<_>>(),
        }));
    }
    print(|out| {
        let (path, count) = (args.file.display(), set.iter().len());
        writeln!(out, "{path}: {} rows x {} dimensions in {count} segments", set.rows(), set.dimensions())?;
        writeln!(out, "  metric {metric}, input {element}, {}", output::bytes(set.file_bytes()))?;
        if set.deleted() > 0 {
            writeln!(out, "  {} rows are deleted", set.deleted())?;
        }
        writeln!(out, "\n  {:>12} {:>16} {:<6} {:<32} segment", "rows", "bytes", "plan", "identity")?;
        for (path, index) in set.iter() {
            let superblock = superblock(index);
            let (rows, bytes, identity) = (superblock.rows, superblock.file_bytes, hex(&superblock.identity));
            writeln!(out, "  {rows:>12} {bytes:>16} {:<6} {identity:<32} {}", superblock.plan.as_str(), name(path))?;
        }
        Ok(())
    })
}

fn describe(args: &FileArgs, index: &Index, meta: &str, quality: &[QualityRow], columns: &[ColumnInfo]) -> Value {
    let header = index.reader().header();
    let superblock = &header.superblock;
    json!({
        "file": args.file.display().to_string(), "file_bytes": superblock.file_bytes, "format_minor": superblock.minor,
        "rows": superblock.rows, "deleted": index.deleted(), "dimensions": superblock.dimensions, "metric": superblock.metric.as_str(),
        "element": superblock.element.as_str(), "plan": superblock.plan.as_str(), "refine": superblock.refine.as_str(),
        "seed": superblock.seed, "build_id": format!("{:016x}", superblock.build_id), "identity": hex(&superblock.identity),
        "hot_bytes": superblock.hot.1, "sections": header.tables.iter().map(section).collect::<Vec<_>>(),
        "options": serde_json::from_str(meta).unwrap_or(Value::Null), "quality": quality_json(quality),
        "columns": columns.iter().map(column).collect::<Vec<_>>(),
        "codes": codes(index).map(|(codes, bytes, rerank)| json!({ "encoding": codes, "row_bytes": bytes, "rerank": rerank })),
    })
}

/// What guides walks if not the records: its name, bytes of a row, and how many candidates for 10 hits the records rank.
fn codes(index: &Index) -> Option<(String, u32, usize)> {
    let section = index.reader().section(Kind::CodesRows, 0)?;
    let table = section.table();
    let name = match table.encoding {
        encoding::CODES_U4 => "u4".to_owned(),
        encoding::CODES_RABITQ_1 => "rabitq1".to_owned(),
        encoding::CODES_RABITQ_2 => "rabitq2".to_owned(),
        encoding::CODES_RABITQ_4 => "rabitq4".to_owned(),
        encoding::CODES_PQ => format!("pq{}", table.parameter),
        _ => return None,
    };
    Some((name, table.stride, index.rerank_count(10).ok()?))
}

fn column(column: &ColumnInfo) -> Value {
    let value = |value: &filter::Value| match value {
        filter::Value::I64(value) => json!(value),
        filter::Value::F64(value) => json!(value),
        filter::Value::Bool(value) => json!(value),
        filter::Value::Text(value) => json!(value),
    };
    let (least, most) = column.range.as_ref().map_or((Value::Null, Value::Null), |(least, most)| (value(least), value(most)));
    let ColumnInfo { name, kind, nulls, words, .. } = column;
    json!({ "name": name, "type": kind.as_str(), "nulls": nulls, "min": least, "max": most, "distinct": (*words > 0).then_some(words) })
}

fn section(table: &Table) -> Value {
    json!({
        "kind": name(table), "instance": table.instance, "rows": table.rows, "stride_bytes": table.stride, "offset_bytes": table.offset,
        "bytes": bytes_of(table), "blocks": table.blocks(), "block_bytes": table.block_bytes, "encoding": table.encoding, "parameter": table.parameter,
    })
}

fn name(table: &Table) -> &'static str {
    Kind::known(table.kind).map_or("unknown", Kind::as_str)
}

fn bytes_of(table: &Table) -> u64 {
    table.blocks() * u64::from(table.block_bytes)
}

/// The quality table as JSON.
pub(super) fn quality_json(table: &[QualityRow]) -> Value {
    let row = |row: &QualityRow| {
        json!({
            "plan": row.plan.as_str(), "layout": row.layout.as_str(), "ef": row.ef, "gamma": rounded(f64::from(row.gamma)), "refine": row.refine.as_str(), "k": row.k,
            "rerank": row.rerank, "queries": row.queries, "source": if row.source == FROM_QUERIES { "queries" } else { "rows" },
            "recall": rounded(f64::from(row.recall)),
            "distances": rounded(f64::from(row.distances)), "hops": rounded(f64::from(row.hops)),
        })
    };
    Value::Array(table.iter().map(row).collect())
}

fn write_text(
    out: &mut impl Write,
    args: &FileArgs,
    common: &Common,
    index: &Index,
    meta: &str,
    (quality, columns): (&[QualityRow], &[ColumnInfo]),
) -> std::io::Result<()> {
    let header = index.reader().header();
    let superblock = &header.superblock;
    writeln!(out, "{}: {} rows x {} dimensions", args.file.display(), superblock.rows, superblock.dimensions)?;
    writeln!(out, "  metric {}, input {}, plan {}, refine {}", superblock.metric, superblock.element, superblock.plan, superblock.refine)?;
    if index.deleted() > 0 {
        writeln!(out, "  {} rows are deleted", index.deleted())?;
    }
    writeln!(out, "  {}, of which every search needs {}", output::bytes(superblock.file_bytes), output::bytes(superblock.hot.1))?;
    writeln!(out, "  build {:016x}, identity {}", superblock.build_id, hex(&superblock.identity))?;
    if let Some((codes, bytes, rerank)) = codes(index) {
        let which = if codes.starts_with("rabitq") { "up to" } else { "the best" };
        writeln!(out, "  walks are guided by {codes}, {bytes} bytes a row; records rank {which} {rerank} for 10 hits")?;
    }
    if !meta.is_empty() {
        writeln!(out, "  {}", meta.escape_debug().to_string().replace("\\\"", "\""))?;
    }
    for column in columns {
        let ColumnInfo { name, kind, nulls, range, words } = column;
        write!(out, "  column {name:?}: {kind}")?;
        match range {
            Some((least, most)) => write!(out, " from {least} to {most}")?,
            None if *words > 0 => write!(out, ", {words} different")?,
            None => {}
        }
        writeln!(out, "{}", if *nulls > 0 { format!(", none in {nulls} rows") } else { String::new() })?;
    }
    writeln!(out, "\n  {:<16} {:>12} {:>8} {:>12} {:>10}", "section", "rows", "stride", "bytes", "blocks")?;
    for table in &header.tables {
        let label = if table.instance > 0 { format!("{} #{}", name(table), table.instance) } else { name(table).to_owned() };
        writeln!(out, "  {label:<16} {:>12} {:>8} {:>12} {:>10}", table.rows, table.stride, bytes_of(table), table.blocks())?;
    }
    if let Some(first) = quality.first() {
        let QualityRow { k, queries, source, .. } = first;
        match *source {
            FROM_QUERIES => writeln!(out, "\n  recall@{k}, measured on {queries} queries that were given:")?,
            _ => writeln!(out, "\n  recall@{k}, measured on {queries} of the rows, as if they were not in the file:")?,
        }
        write_quality(out, quality, common.verbose > 0)?;
    }
    Ok(())
}
