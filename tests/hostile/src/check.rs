//! What must hold for any bytes. Each function takes them as they are and, once more, with all checks repaired; it panics
//! when the bar is missed and returns otherwise. Answers of sound files are compared by the tests through [`answers`].

use nearshore_core::filter::{Filter, RowSet, SelectError};
use nearshore_core::format::{Kind, Plan, Reader, Refine};
use nearshore_core::index::{Asked, Excerpt, Index, Inquiry};
use nearshore_core::search::{Layout, Scratch, SearchError, SearchParams};
use nearshore_core::vectors::Query;

use crate::repair;

/// Header, directory and the rows that they lead to.
///
/// # Panics
/// When a row leaves the file or has another length than its table says.
pub fn directory(bytes: &[u8]) {
    as_is_and_repaired(bytes, |bytes| {
        let Ok(reader) = Reader::open(bytes) else { return };
        let mut blob = Vec::new();
        for section in reader.sections() {
            let table = section.table();
            assert!(table.end() <= bytes.len() as u64, "a section beyond the file");
            let last = u32::try_from(section.rows()).unwrap_or(u32::MAX);
            for row in (0..40).chain([last.wrapping_sub(1), last, u32::MAX]) {
                match section.row(row) {
                    Ok(bytes) => assert_eq!(bytes.len(), table.stride as usize),
                    Err(corrupt) => assert_eq!(corrupt.section, table.kind),
                }
            }
            for (offset, length) in [(0, section.rows()), (1, u64::MAX), (section.rows(), 1), (u64::MAX, u64::MAX)] {
                if section.read_blob(offset, length, &mut blob).is_ok() {
                    assert_eq!(blob.len() as u64, length);
                }
            }
        }
        let _ = reader.verify(&mut |done, total| assert!(done <= total));
    });
}

/// All that an index can be asked.
///
/// # Panics
/// When an answer is out of order, out of bounds or not finite.
pub fn open_search(bytes: &[u8]) {
    as_is_and_repaired(bytes, |bytes| {
        let Ok(index) = Index::open(bytes) else { return };
        let _ = answers(&index);
        let checked = index.check(&mut |done, total| assert!(done <= total));
        let (mut payload, mut vector) = (Vec::new(), Vec::new());
        for row in [0, 1, 6, 23, u32::MAX] {
            let _ = (index.payload(row, &mut payload), index.vector(row, &mut vector), index.is_deleted(row));
        }
        for id in [0, 1, 1 << 60, u64::MAX] {
            if let Ok(Some(row)) = index.row_of(id) {
                assert!((row as usize) < index.len());
            }
        }
        let _ = (index.quality().map(|rows| rows.len()), index.meta().map(|meta| meta.len()));
        let _ = index.columns().map(|columns| columns.len());
        if checked.is_ok() && index.meta().is_ok() {
            // What `check` accepts reads through: rows, ids and payloads at least.
            assert!((0..index.len().min(100) as u32).all(|row| index.payload(row, &mut payload).is_ok()));
        }
    });
}

/// One search's hits as bits, or why there are none.
pub type Answer = Result<Vec<(u64, u32, u32)>, SearchError>;

/// The answers to a few queries under every plan and refine level, so that files can be compared.
///
/// # Panics
/// When a single answer is wrong in itself: more hits than asked for, out of order, rows that do not exist.
pub fn answers<B: AsRef<[u8]>>(index: &Index<B>) -> Vec<Answer> {
    let mut all = Vec::new();
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    let dimensions = index.dimensions();
    for salt in [3usize, 50] {
        let query: Vec<f32> = (0..dimensions).map(|column| ((column * 29 + salt) % 97) as f32).collect();
        let plans =
            [(None, Layout::Lean), (Some(Plan::Walk), Layout::Lean), (Some(Plan::Walk), Layout::Fast), (Some(Plan::Scan), Layout::Lean)];
        let known = plans.into_iter().filter(|&(_, layout)| layout == Layout::Lean || index.has_neighbor_codes());
        for (plan, layout) in known {
            for refine in [None, Some(Refine::Records), Some(Refine::Originals)] {
                let mut params = if salt == 3 { SearchParams::default() } else { SearchParams::ef(12) }.k(5).layout(layout);
                (params.plan, params.refine) = (plan, refine);
                let answer = index.search(Query::F32(&query), &params, &mut scratch, &mut hits).map(|stats| {
                    let rows = index.len() as u64;
                    assert!(hits.len() <= params.k, "more hits than asked for");
                    assert!(hits.iter().all(|hit| u64::from(hit.row) < rows), "a row that does not exist");
                    assert!(hits.iter().all(|hit| hit.distance.is_finite()), "a distance that is not a number");
                    assert!(hits.is_sorted_by(|a, b| (a.distance, a.id) <= (b.distance, b.id)), "hits out of order");
                    // Upper layers may hold a row once each, so the bound is generous; it is there to catch loops.
                    let nodes = rows + index.reader().section(Kind::Upper, 0).map_or(0, |upper| upper.rows() * 64);
                    assert!(stats.hops <= nodes + 64 && stats.distances <= 1 << 24, "a walk in circles: {stats:?}");
                    hits.iter().map(|hit| (hit.id, hit.distance.to_bits(), hit.row)).collect()
                });
                all.push(answer);
            }
        }
    }
    all.extend(crate::tiles::answers(index));
    all.extend(FILTERS.iter().flat_map(|text| filtered(index, text)));
    all
}

/// Conditions on the columns of the samples.
const FILTERS: [&str; 4] = ["n >= 3 and n < 20 or n is null", "w > \"a\" and w <= \"ccc\"", "w in (\"a\", \"bb\") and not n = 9", "n = 7"];

/// A condition, and rows by their ids, asked of a file of which blocks come as they are wanted: what the whole file says, or an error.
fn in_parts<B: AsRef<[u8]>>(index: &Index<B>, filter: Filter, words: Option<&[u64]>) {
    let Ok(mut excerpt) = Excerpt::new(index) else { return };
    let mut inquiry = Inquiry::new();
    if excerpt.select(index, filter, &mut inquiry).is_err() {
        return;
    }
    let done = bring(index, &mut excerpt, &mut inquiry);
    match (inquiry.answer(), words) {
        (Asked::Rows(found), Some(words)) => assert_eq!(found, words),
        // The whole file's set knows of exact duplicates as well, of which a table may be damaged.
        (Asked::Rows(_), None) => {}
        (Asked::Row(_), _) => panic!("an answer to another question"),
        (Asked::Nothing, _) => assert!(done.is_err()),
    }
    for id in [0, 3, 20, u64::MAX] {
        if Excerpt::find(index, id, true, &mut inquiry).is_err() {
            continue;
        }
        let _ = bring(index, &mut excerpt, &mut inquiry);
        if let Asked::Row(Some(found)) = inquiry.answer() {
            assert!((found.row as usize) < index.len() && found.vector.len() == index.dimensions());
        }
    }
}

/// Feeds a question to its end.
fn bring<B: AsRef<[u8]>>(index: &Index<B>, excerpt: &mut Excerpt, inquiry: &mut Inquiry) -> Result<(), SelectError> {
    let file = index.reader().bytes();
    for _ in 0..100 {
        assert!(inquiry.wanted().len() <= file.len() / 16, "more blocks than a file of this size can have");
        for at in 0..inquiry.wanted().len() {
            let block = inquiry.wanted()[at];
            Excerpt::feed(index, inquiry, at, &file[block.offset as usize..][..block.bytes as usize]).map_err(SelectError::Corrupt)?;
        }
        if excerpt.advance(index, inquiry)? {
            return Ok(());
        }
    }
    panic!("a question without end");
}

/// The rows that a condition selects, and the answers among them; none where the file has no such columns.
fn filtered<B: AsRef<[u8]>>(index: &Index<B>, text: &str) -> Vec<Answer> {
    let filter = Filter::parse(text).expect("a condition");
    let selected = index.select(&filter);
    if text == FILTERS[2] {
        // It names all columns; of the others no other path is taken.
        in_parts(index, filter, selected.as_ref().ok().map(RowSet::words));
    }
    let rows = match selected {
        Ok(rows) => rows,
        Err(SelectError::Corrupt(corrupt)) => return vec![Err(corrupt.into()); 4],
        Err(_) => return Vec::new(),
    };
    assert!(rows.iter().all(|row| (row as usize) < index.len()), "a row that does not exist");
    let mut all = vec![Ok(rows.iter().map(|row| (0, 0, row)).collect())];
    let query: Vec<f32> = (0..index.dimensions()).map(|column| ((column * 31 + 9) % 97) as f32).collect();
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    for plan in [None, Some(Plan::Walk), Some(Plan::Scan)] {
        let mut params = SearchParams::ef(8).k(4);
        params.plan = plan;
        all.push(index.search_where(Query::F32(&query), &params, &rows, &mut scratch, &mut hits).map(|stats| {
            assert!(hits.len() <= params.k && hits.iter().all(|hit| rows.contains(hit.row)), "a hit that does not match");
            assert!(stats.hops <= 64 * (index.len() as u64 + 64) && stats.distances <= 1 << 24, "a walk in circles: {stats:?}");
            hits.iter().map(|hit| (hit.id, hit.distance.to_bits(), hit.row)).collect()
        }));
    }
    all
}

pub(crate) fn as_is_and_repaired(bytes: &[u8], check: impl Fn(&[u8])) {
    check(bytes);
    let mut repaired = bytes.to_vec();
    repair(&mut repaired);
    check(&repaired);
}
