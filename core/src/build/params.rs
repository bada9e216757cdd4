//! What decides a build, beside the rows.

use super::Codes;
use crate::format::Metric;
use core::str::FromStr;

/// Layers of the graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layers {
    /// A hierarchy (HNSW).
    #[default]
    Many,
    /// The base layer alone (NSW), for comparison.
    One,
}

/// How neighbours are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Builder {
    /// All pairs inside overlapping leaves (PiPNN, arXiv 2602.21247): half the work of insertion or less, for a graph as good.
    /// The simple choice of neighbours and `extend_candidates` go by insertion.
    #[default]
    Leaves,
    /// A search of the graph so far for each row (Malkov & Yashunin 2016, Algorithm 1).
    Insertion,
}

impl Builder {
    /// The name that options and `meta` use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leaves => "leaves",
            Self::Insertion => "insertion",
        }
    }
}

/// What decides a build, beside the rows.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct BuildParams {
    /// How far apart two vectors are.
    pub metric: Metric,
    /// Neighbours of a node above the base layer; twice as many in it. 2 to 512.
    pub m: usize,
    /// How many candidates a row's neighbours are chosen from: higher is better and slower. The pool of an insertion's search; by
    /// leaves the number of leaves that a row joins grows with it. 1 to 100,000.
    pub ef_construction: usize,
    /// Decides levels and order.
    pub seed: u64,
    /// Keeps the input rows, for an exact final order (integer rows are their own originals).
    pub originals: bool,
    /// How neighbours are found.
    pub builder: Builder,
    /// Layers of the graph.
    pub layers: Layers,
    /// Neighbours by heuristic (Algorithm 4) rather than the nearest (Algorithm 3).
    pub heuristic: bool,
    /// Candidates' neighbours are candidates, too.
    pub extend_candidates: bool,
    /// Fill up with discarded candidates.
    pub keep_pruned: bool,
    /// What guides the walks of the file. Needs the crate's feature `codes`, but for [`Codes::None`].
    pub codes: Codes,
    /// Measures recall at a ladder of efforts and stores the table.
    pub quality: bool,
}

impl Default for BuildParams {
    fn default() -> Self {
        Self {
            metric: Metric::L2,
            m: 16,
            ef_construction: 200,
            seed: 0,
            originals: true,
            builder: Builder::default(),
            layers: Layers::Many,
            heuristic: true,
            extend_candidates: false,
            keep_pruned: false,
            codes: Codes::None,
            quality: true,
        }
    }
}

impl FromStr for Builder {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        [Self::Leaves, Self::Insertion].into_iter().find(|builder| builder.as_str() == word).ok_or("must be leaves or insertion")
    }
}
