//! Parameters of a search, its hits, and what can go wrong.

use crate::error::Corrupt;
use crate::format::{Plan, Refine};
use crate::graph::Neighbor;
use crate::graph::beam::Beam;
use crate::quant::Prepared;
use crate::sort;
use crate::words::{Words, display, say};
use alloc::string::String;
use alloc::vec::Vec;

/// How hard a walk tries.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Effort {
    /// Recall 0.95 by the file's quality table; `ef` 64 where it has none.
    #[default]
    Auto,
    /// Nodes kept in the pool, at least `k`.
    Ef(usize),
    /// The cheapest setting whose measured recall@k is at least this, 0 to 1.
    Recall(f32),
}

/// What is asked of a search, beside the query.
///
/// Hits and hops depend on the file, the query and these parameters alone.
/// ```
/// use nearshore_core::search::SearchParams;
/// let params = SearchParams::recall(0.95).k(10);
/// assert_eq!(params.k, 10);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SearchParams {
    /// Hits wanted; fewer come back only when the index holds fewer.
    pub k: usize,
    /// How hard to try.
    pub effort: Effort,
    /// Stops a walk at candidates `1 + gamma` times farther than the k-th nearest (as a length,
    /// not its square); `None` as the effort says. Not used for inner products.
    pub gamma: Option<f32>,
    /// Scan, walk or tiles; `None` as the file says.
    pub plan: Option<Plan>,
    /// What the final order is computed from; `None` as the file says.
    pub refine: Option<Refine>,
    /// Candidates that are computed again from the originals, and before that from the records where coarse codes guided the walk;
    /// `None`: those that the error of what guided leaves in doubt, under codes of four bits `max(20, 2 k)` at least; codes of parts rank as many as the
    /// file says.
    pub rerank: Option<usize>,
    /// Tiles whose codes are read, nearest first; `None` as the effort says. Under [`Effort::Ef`] the effort is the number of candidates
    /// whose records are read.
    pub probes: Option<usize>,
    /// Only hits at most this far away.
    pub radius: Option<f32>,
    /// What a walk reads. Each layout has hops, and at one effort a recall, of its own. Searches among filtered rows go by
    /// [`Layout::Lean`].
    pub layout: Layout,
}

/// What a walk reads of a node's neighbours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Their own rows: the smallest memory.
    #[default]
    Lean,
    /// Codes beside the node's adjacency, all of them at once: the fastest, in several times the memory. A build writes the codes
    /// where asked, or they are made when the file is opened. Needs the crate's feature `codes`.
    #[cfg(feature = "codes")]
    Fast,
}

#[cfg(feature = "codes")]
impl Layout {
    /// The word for it, as every door spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lean => "lean",
            Self::Fast => "fast",
        }
    }
}

#[cfg(feature = "codes")]
impl core::str::FromStr for Layout {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        [Self::Lean, Self::Fast].into_iter().find(|layout| layout.as_str() == word).ok_or("must be lean or fast")
    }
}

impl Default for SearchParams {
    fn default() -> Self {
        Self {
            k: 10,
            effort: Effort::Auto,
            gamma: None,
            plan: None,
            refine: None,
            rerank: None,
            probes: None,
            radius: None,
            layout: Layout::Lean,
        }
    }
}

impl SearchParams {
    /// A pool of `ef` nodes.
    #[must_use]
    pub fn ef(ef: usize) -> Self {
        Self { effort: Effort::Ef(ef), ..Self::default() }
    }

    /// The cheapest setting that measured at least this recall.
    #[must_use]
    pub fn recall(recall: f32) -> Self {
        Self { effort: Effort::Recall(recall), ..Self::default() }
    }

    /// Hits wanted.
    #[must_use]
    pub fn k(self, k: usize) -> Self {
        Self { k, ..self }
    }

    /// Scan or walk.
    #[must_use]
    pub fn plan(self, plan: Plan) -> Self {
        Self { plan: Some(plan), ..self }
    }

    /// What the final order is computed from.
    #[must_use]
    pub fn refine(self, refine: Refine) -> Self {
        Self { refine: Some(refine), ..self }
    }

    /// Candidates that are computed again from the originals.
    #[must_use]
    pub fn rerank(self, rerank: usize) -> Self {
        Self { rerank: Some(rerank), ..self }
    }

    /// Tiles whose codes are read.
    #[must_use]
    pub fn probes(self, probes: usize) -> Self {
        Self { probes: Some(probes), ..self }
    }

    /// Only hits at most this far away.
    #[must_use]
    pub fn radius(self, radius: f32) -> Self {
        Self { radius: Some(radius), ..self }
    }

    /// What a walk reads.
    #[must_use]
    pub fn layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// The distance-adaptive stop rule.
    #[must_use]
    pub fn gamma(self, gamma: f32) -> Self {
        Self { gamma: Some(gamma), ..self }
    }

    /// Candidates that are computed again, with the default filled in.
    #[cfg(feature = "codes")]
    pub(crate) fn rerank_count(&self) -> usize {
        self.rerank.unwrap_or(super::doubt::ranked_by_four_bits(self.k).0).max(self.k)
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// Which one is off, and what it may be.
    pub fn validate(&self) -> Result<(), SearchError> {
        let bad = |parameter, must| Err(SearchError::Parameter { parameter, must });
        if self.k == 0 {
            return bad("k", "at least 1");
        }
        match self.effort {
            Effort::Ef(0) => return bad("ef", "at least 1"),
            Effort::Recall(r) if !(r > 0.0 && r <= 1.0) => {
                return bad("recall", "above 0 and at most 1");
            }
            _ => {}
        }
        if self.probes == Some(0) {
            return bad("probes", "at least 1");
        }
        if self.gamma.is_some_and(|gamma| !(gamma >= 0.0 && gamma.is_finite())) {
            return bad("gamma", "at least 0");
        }
        if self.radius.is_some_and(f32::is_nan) {
            return bad("radius", "a number");
        }
        Ok(())
    }
}

/// A row that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// The user's id.
    pub id: u64,
    /// Distance from the query; smaller is nearer.
    pub distance: f32,
    /// Row of the file (or slot of a live index).
    pub row: u32,
}

impl Hit {
    /// Sorts hits nearest first, ties by the smaller id, and keeps `k` within `radius`.
    pub(crate) fn finish(hits: &mut Vec<Self>, k: usize, radius: Option<f32>) {
        if let Some(radius) = radius {
            hits.retain(|hit| hit.distance <= radius);
        }
        sort::by_key(hits, |hit| (Neighbor { distance: hit.distance, node: 0 }.key(), hit.id));
        hits.truncate(k);
    }
}

/// Buffers of a search, one per thread: after the first few queries nothing is allocated.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) beam: Beam,
    pub(crate) query: Prepared,
    pub(crate) found: Vec<Neighbor>,
    pub(crate) rows: Vec<u32>,
    pub(crate) vector: Vec<f32>,
    pub(crate) buffers: crate::graph::Buffers,
    pub(crate) distances: Vec<f32>,
    #[cfg(feature = "tiles")]
    pub(crate) pending: Option<alloc::boxed::Box<super::pending::Pending>>,
    #[cfg(feature = "codes")]
    pub(crate) sweep: crate::graph::sweep::Sweep,
}

impl Scratch {
    /// Empty buffers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// Why a search has no answer.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum SearchError {
    /// The query has another length than the index.
    Dimensions {
        /// Elements of a row of the index.
        wanted: usize,
        /// Elements of the query.
        found: usize,
    },
    /// An element of the query is NaN or infinite (or its square leaves f32).
    NotFinite {
        /// Which element.
        element: usize,
    },
    /// The query has no direction, which cosine needs: it is zero, or so short that its squares vanish in f32.
    ZeroVector,
    /// A parameter is out of its range.
    Parameter {
        /// Which one.
        parameter: &'static str,
        /// What it may be.
        must: &'static str,
    },
    /// The file cannot be searched this way.
    Unsupported {
        /// What it lacks.
        lacks: &'static str,
    },
    /// The file is damaged.
    Corrupt(Corrupt),
}

impl SearchError {
    /// What is wrong, in words; `vector` is what the vector is called that was given.
    pub(crate) fn describe(&self, vector: &str, out: &mut String) {
        match self {
            Self::Dimensions { wanted, found } => say!(out, "the ", vector, " has ", found, " dimensions, the index has ", wanted),
            Self::NotFinite { element } => say!(out, "element ", element, " of the ", vector, " is not a finite number, or too large"),
            Self::ZeroVector => say!(out, "the ", vector, " is a zero vector, which has no cosine"),
            Self::Parameter { parameter, must } => say!(out, parameter, " must be ", must),
            Self::Unsupported { lacks } => say!(out, "the index ", lacks),
            Self::Corrupt(corrupt) => say!(out, corrupt),
        }
    }
}

impl Words for SearchError {
    fn say(&self, out: &mut String) {
        self.describe("query", out);
    }
}

display!(SearchError);

impl core::error::Error for SearchError {}

impl From<Corrupt> for SearchError {
    fn from(corrupt: Corrupt) -> Self {
        Self::Corrupt(corrupt)
    }
}
