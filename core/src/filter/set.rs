//! The rows of one file that a search may return.

use super::bitmap::Bitmap;
use crate::seed;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Rows at which a walk over matching rows begins, beside the graph's entry: with none, a walk whose query lies among
/// rows that do not match finds nothing (measured).
const SEEDS: usize = 16;

/// What a condition selects among the rows of one file: those that match and live. Made once by
/// [`Index::select`](crate::index::Index::select), good for any number of searches of that file.
#[derive(Clone, Debug)]
pub struct RowSet {
    /// Shared with the searches that wait, and with what a live index goes on from.
    pub(crate) rows: Arc<Bitmap>,
    /// Nodes of the graph that stand for a matching row, where those are not `rows`: exact duplicates have one node.
    nodes: Option<Bitmap>,
    matching: usize,
    pub(crate) seeds: Vec<u32>,
    /// Of the file.
    build_id: u64,
}

impl RowSet {
    /// `rows` match; of the pairs (row that stands in the graph, exact duplicate of it), ascending, `twins` are all.
    pub(crate) fn new<E>(rows: Arc<Bitmap>, twins: impl Iterator<Item = Result<(u32, u32), E>>, build_id: u64) -> Result<Self, E> {
        let mut nodes = None;
        for pair in twins {
            let (node, twin) = pair?;
            let nodes = nodes.get_or_insert_with(|| Bitmap::clone(&rows));
            nodes.remove(twin);
            if rows.contains(twin) {
                nodes.insert(node);
            }
        }
        let matching = rows.count();
        let walked: &Bitmap = nodes.as_ref().unwrap_or(&rows);
        // Of the file and the set alone, so that every search of the set begins at the same rows.
        let ranks = seed::sample(seed::hash(build_id, 0x7365_6564, matching as u64), walked.count() as u64, SEEDS);
        let seeds = walked.at_ranks(&ranks);
        Ok(Self { matching, seeds, nodes, rows, build_id })
    }

    /// `rows` match, of a file that is searched by no graph.
    #[cfg(feature = "tiles")]
    pub(crate) fn without_graph(rows: Bitmap, build_id: u64) -> Self {
        Self { matching: rows.count(), seeds: Vec::new(), nodes: None, rows: Arc::new(rows), build_id }
    }

    /// Rows that match.
    #[must_use]
    pub fn len(&self) -> usize {
        self.matching
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.matching == 0
    }

    /// Whether a row matches.
    #[must_use]
    pub fn contains(&self, row: u32) -> bool {
        self.rows.contains(row)
    }

    /// The rows that match, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.rows.iter()
    }

    /// The set as bits, 64 rows a word, the lowest bit first.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        self.rows.words()
    }

    /// The nodes of the graph that stand for a matching row.
    pub(crate) fn nodes(&self) -> &Bitmap {
        self.nodes.as_ref().unwrap_or(&self.rows)
    }

    /// Whether it was made for the file of that many rows with this build id.
    pub(crate) fn is_of(&self, rows: usize, build_id: u64) -> bool {
        self.rows.rows() == rows && self.build_id == build_id
    }
}
