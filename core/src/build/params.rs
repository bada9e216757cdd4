//! What decides a build, beside the rows.

use super::Codes;
use crate::format::{Metric, PAGE_BYTES};
use crate::search::Layout;
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

/// Where the records of a file are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tier {
    /// In memory or a map: blocks of up to 64 KiB.
    #[default]
    Memory,
    /// From a disk, each on its own: blocks of a page, of as many records as fit. What guides walks should stay in memory: choose codes.
    Disk,
}

impl Tier {
    /// The word for it, as every door spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
        }
    }
}

impl FromStr for Tier {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        [Self::Memory, Self::Disk].into_iter().find(|tier| tier.as_str() == word).ok_or("must be memory or disk")
    }
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
    /// Two such searches for each row, and pruning that keeps longer edges (Subramanya et al. 2019, "DiskANN"), for the base layer; the
    /// layers above go by leaves.
    #[cfg(feature = "codes")]
    Vamana,
}

impl Builder {
    /// The name that options and `meta` use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leaves => "leaves",
            Self::Insertion => "insertion",
            #[cfg(feature = "codes")]
            Self::Vamana => "vamana",
        }
    }
}

/// Nodes from which on a base layer of leaves is seen to by [`lead`](crate::graph::lead). Fewer find their way, on every set that was tried; and no
/// byte of it has to be in a browser's download.
#[cfg(feature = "codes")]
const LED_FROM: usize = 1 << 17;

/// What decides a build, beside the rows.
/// ```
/// use core::ops::ControlFlow;
/// use nearshore_core::build::{BuildParams, Input, build};
/// use nearshore_core::distance::Kernels;
/// use nearshore_core::format::{Element, Metric};
/// use nearshore_core::par::Serial;
/// use nearshore_core::vectors::Vectors;
///
/// let params = BuildParams::new(Metric::Cosine).m(24).ef_construction(400).seed(7);
/// let rows: Vec<u8> = [[1.0_f32, 0.0], [0.0, 1.0], [0.6, 0.8]].iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
/// let vectors = Vectors::packed(Element::F32, 2, &rows).expect("whole rows");
/// let input = Input { vectors, ids: Some(&[10, 20, 30]), payloads: None };
/// let (file, summary) = build(&input, &params, &Serial, Kernels::best(), &mut |_, _, _| ControlFlow::Continue(()), Vec::new())?;
/// assert_eq!(summary.rows, 3);
/// assert_eq!(file.len() as u64, summary.file_bytes);
/// # Ok::<(), nearshore_core::build::BuildError<core::convert::Infallible>>(())
/// ```
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
    /// How much nearer to a candidate a neighbour must be to stand for it, as a factor on squared lengths, 1 to 4. For [`Builder::Vamana`].
    #[cfg(feature = "codes")]
    pub alpha_sq: f32,
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
    /// What walks of the file may read: the fast layout adds codes of each node's neighbours.
    pub layout: Layout,
    /// Where the records of the file are read.
    pub tier: Tier,
    /// Bytes of a page of a file for a disk: 4096 to 65,536, a multiple of 4096.
    pub page_bytes: u32,
    /// Measures recall at a ladder of efforts and stores the table.
    pub quality: bool,
    /// Nodes from which on a base layer of leaves is seen to by walks. Of tests alone, which have no time for so many.
    #[cfg(feature = "codes")]
    pub(crate) led_from: usize,
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
            #[cfg(feature = "codes")]
            alpha_sq: 1.2,
            layers: Layers::Many,
            heuristic: true,
            extend_candidates: false,
            keep_pruned: false,
            codes: Codes::None,
            layout: Layout::Lean,
            tier: Tier::Memory,
            page_bytes: PAGE_BYTES,
            quality: true,
            #[cfg(feature = "codes")]
            led_from: LED_FROM,
        }
    }
}

impl BuildParams {
    /// The defaults under a metric.
    #[must_use]
    pub fn new(metric: Metric) -> Self {
        Self { metric, ..Self::default() }
    }

    /// Sets the neighbours of a node.
    #[must_use]
    pub fn m(self, m: usize) -> Self {
        Self { m, ..self }
    }

    /// Sets how many candidates a row's neighbours are chosen from.
    #[must_use]
    pub fn ef_construction(self, ef_construction: usize) -> Self {
        Self { ef_construction, ..self }
    }

    /// Sets the seed.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Keeps the input rows, or drops them.
    #[must_use]
    pub fn originals(self, originals: bool) -> Self {
        Self { originals, ..self }
    }

    /// Sets how neighbours are found.
    #[must_use]
    pub fn builder(self, builder: Builder) -> Self {
        Self { builder, ..self }
    }

    /// Sets the factor of pruning.
    #[cfg(feature = "codes")]
    #[must_use]
    pub fn alpha_sq(self, alpha_sq: f32) -> Self {
        Self { alpha_sq, ..self }
    }

    /// Sets the layers of the graph.
    #[must_use]
    pub fn layers(self, layers: Layers) -> Self {
        Self { layers, ..self }
    }

    /// Chooses neighbours by the heuristic, or the nearest.
    #[must_use]
    pub fn heuristic(self, heuristic: bool) -> Self {
        Self { heuristic, ..self }
    }

    /// Makes candidates' neighbours candidates, or not.
    #[must_use]
    pub fn extend_candidates(self, extend_candidates: bool) -> Self {
        Self { extend_candidates, ..self }
    }

    /// Fills up with discarded candidates, or not.
    #[must_use]
    pub fn keep_pruned(self, keep_pruned: bool) -> Self {
        Self { keep_pruned, ..self }
    }

    /// Sets what guides the walks of the file.
    #[must_use]
    pub fn codes(self, codes: Codes) -> Self {
        Self { codes, ..self }
    }

    /// Sets what walks of the file may read.
    #[must_use]
    pub fn layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// Measures recall and stores the table, or not.
    #[must_use]
    pub fn quality(self, quality: bool) -> Self {
        Self { quality, ..self }
    }
}

impl FromStr for Builder {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        #[cfg(feature = "codes")]
        let (all, must) = ([Self::Leaves, Self::Insertion, Self::Vamana], "must be leaves, insertion or vamana");
        #[cfg(not(feature = "codes"))]
        let (all, must) = ([Self::Leaves, Self::Insertion], "must be leaves or insertion");
        all.into_iter().find(|builder| builder.as_str() == word).ok_or(must)
    }
}
