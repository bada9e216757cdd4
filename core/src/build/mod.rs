//! Building a file from rows: check, code, link, order, measure, write.
//!
//! The same input, parameters and seed give the same bytes, on any machine, with any number of
//! threads and any kernels: distances are exact integers, chunks have fixed sizes, every order is
//! decided by a seed or a key. Rows are read where they lie; what a build holds itself are the
//! records (about one byte an element), the graph (four bytes a slot) and, while rows are linked, a third to
//! a half of both again: their places in leaves, and what some of them at a time find there; where asked, codes.

mod codes;
#[cfg(feature = "filter")]
mod columns;
mod finish;
mod held_out;
mod ingest;
mod link;
mod measure;
mod meta;
#[cfg(feature = "codes")]
mod neighbors;
#[cfg(feature = "codes")]
mod pages;
mod params;
#[cfg(feature = "codes")]
pub mod parts;
#[cfg(feature = "codes")]
mod recode;
#[cfg(feature = "codes")]
pub mod tiles;
pub(crate) mod write;

use crate::distance::Kernels;
#[cfg(feature = "filter")]
use crate::filter::{self, ColumnError, ColumnInput};
use crate::format::{Plan, Sink, WriteError};
use crate::graph::layer::Records;
use crate::graph::{order, reach};
use crate::par::Par;
use crate::quant::{Encoding, RecordLayout, Space, mean};
use crate::search::QualityRow;
use crate::vectors::{Payloads, Vectors};
use crate::words::say;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::ControlFlow;

pub use codes::Codes;
pub(crate) use codes::{CodeTable, NodeCodes};
#[cfg(feature = "codes")]
pub(crate) use neighbors::NodeNeighbors;
#[cfg(feature = "codes")]
pub use pages::PageParams;
pub use params::{BuildParams, Builder, Layers, Tier};

/// Rows to build from.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The vectors.
    pub vectors: Vectors<'a>,
    /// An id for each row; the row's number where absent.
    pub ids: Option<&'a [u64]>,
    /// Bytes for each row.
    pub payloads: Option<Payloads<'a>>,
}

/// What a build is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Checking rows and coding them.
    Encode,
    /// Building the graph.
    Link,
    /// Measuring recall.
    Measure,
    /// Writing the file.
    Write,
}

/// Told (stage, done, total), in rows or queries; may stop the build.
pub type Progress<'a> = dyn FnMut(Stage, u64, u64) -> ControlFlow<()> + 'a;

/// What came out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// Rows written.
    pub rows: u64,
    /// Rows that are exact duplicates of another.
    pub duplicates: u64,
    /// Layers of the graph.
    pub layers: usize,
    /// Mean number of neighbours in the base layer.
    pub mean_degree: f64,
    /// Edges added so that every node can be reached.
    pub mended: u64,
    /// Recall and cost by effort.
    pub quality: Vec<QualityRow>,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// The file's build id.
    pub build_id: u64,
}

/// Why a build failed. `E` is the sink's own error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError<E> {
    /// A parameter is out of its range.
    Parameter {
        /// Which one.
        parameter: &'static str,
        /// What it may be.
        must: &'static str,
    },
    /// More rows than a file can hold.
    TooManyRows {
        /// Rows given.
        rows: usize,
    },
    /// Ids or payloads are not as many as rows.
    Counts {
        /// What there are too few or too many of.
        what: &'static str,
        /// How many were given.
        found: usize,
        /// How many rows there are.
        rows: usize,
    },
    /// A value that is NaN or infinite, or a norm that leaves f32.
    NotFinite {
        /// The row.
        row: usize,
        /// The element; `None` when only the norm is too large.
        element: Option<usize>,
    },
    /// A row without direction, under cosine.
    ZeroVector {
        /// The row.
        row: usize,
    },
    /// An id that two rows share.
    DuplicateId {
        /// The id.
        id: u64,
        /// The first row with it.
        first: usize,
        /// The second.
        second: usize,
    },
    /// The payload of a row is larger than 4 GiB.
    PayloadTooLong {
        /// The row.
        row: usize,
    },
    /// A column that cannot go into a file.
    #[cfg(feature = "filter")]
    Column(ColumnError),
    /// Progress asked to stop.
    Interrupted,
    /// Writing failed.
    Write(WriteError<E>),
}

impl<E> BuildError<E> {
    /// What went wrong, in words.
    ///
    /// # Errors
    /// The sink's own error, which has words of its own.
    pub fn words(&self) -> Result<String, &E> {
        let mut text = String::new();
        let out = &mut text;
        match self {
            Self::Parameter { parameter, must } => say!(out, parameter, " must be ", must),
            Self::TooManyRows { rows } => say!(out, rows, " rows: a file holds at most ", crate::id::ROWS_MAX),
            Self::Counts { what, found, rows } => say!(out, found, " ", what, " for ", rows, " rows"),
            Self::NotFinite { row, element: Some(element) } => say!(out, "row ", row, ", element ", element, ": not a finite number"),
            Self::NotFinite { row, element: None } => say!(out, "row ", row, ": the norm is too large; its square must be below 1e37"),
            Self::ZeroVector { row } => say!(out, "row ", row, ": a zero vector, which has no cosine"),
            Self::DuplicateId { id, first, second } => {
                say!(out, "row ", second, ": id ", id, " is taken by row ", first, "; ids must be unique");
            }
            Self::PayloadTooLong { row } => say!(out, "row ", row, ": a payload of 4 GiB or more"),
            #[cfg(feature = "filter")]
            Self::Column(error) => text = alloc::format!("{error}"),
            Self::Interrupted => say!(out, "interrupted"),
            Self::Write(error) => return error.words(),
        }
        Ok(text)
    }
}

impl<E: fmt::Display> fmt::Display for BuildError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.words() {
            Ok(words) => f.write_str(&words),
            Err(error) => error.fmt(f),
        }
    }
}

impl<E: core::error::Error> core::error::Error for BuildError<E> {}

impl<E> From<WriteError<E>> for BuildError<E> {
    fn from(error: WriteError<E>) -> Self {
        Self::Write(error)
    }
}

/// Up to this many rows are scanned rather than walked unless a search says otherwise: there a
/// scan is exact and about as fast.
const SCAN_ROWS_MAX: usize = 2_000;

/// Builds a file and returns the sink with a summary.
///
/// # Errors
/// Rows that cannot be indexed (which row, and why), a parameter out of range, the sink's errors,
/// or [`BuildError::Interrupted`] when `progress` breaks.
pub fn build<P: Par, S: Sink>(
    input: &Input<'_>,
    params: &BuildParams,
    par: &P,
    kernels: &'static Kernels,
    progress: &mut Progress<'_>,
    sink: S,
) -> Result<(S, Summary), BuildError<S::Error>> {
    #[cfg(feature = "filter")]
    return build_with_columns(input, &[], params, par, kernels, progress, sink);
    #[cfg(not(feature = "filter"))]
    build_file(input, params, par, kernels, progress, sink)
}

/// As [`build`], with columns beside the rows, by which searches can be filtered.
///
/// # Errors
/// As [`build`], and [`BuildError::Column`].
#[cfg(feature = "filter")]
pub fn build_with_columns<P: Par, S: Sink>(
    input: &Input<'_>,
    columns: &[ColumnInput<'_>],
    params: &BuildParams,
    par: &P,
    kernels: &'static Kernels,
    progress: &mut Progress<'_>,
    sink: S,
) -> Result<(S, Summary), BuildError<S::Error>> {
    // First of all: hours of linking should not end at a name.
    filter::check(columns, input.vectors.rows()).map_err(BuildError::Column)?;
    build_file(input, columns, params, par, kernels, progress, sink)
}

fn build_file<P: Par, S: Sink>(
    input: &Input<'_>,
    #[cfg(feature = "filter")] columns: &[ColumnInput<'_>],
    params: &BuildParams,
    par: &P,
    kernels: &'static Kernels,
    progress: &mut Progress<'_>,
    sink: S,
) -> Result<(S, Summary), BuildError<S::Error>> {
    validate(input, params)?;
    let vectors = &input.vectors;
    ingest::check_ids(input)?;
    let space = Space {
        metric: params.metric,
        encoding: Encoding::of(vectors.element()),
        layout: RecordLayout::new(vectors.dimensions()),
        mean: match Encoding::of(vectors.element()) {
            Encoding::Scaled => mean::mean(vectors, params.metric, params.seed, kernels),
            _ => alloc::vec![0.0; vectors.dimensions()],
        },
    };
    let arranged = ingest::arrange(input, params, par, kernels, progress)?;
    let bytes = ingest::encode(input, &space, &arranged, par, kernels, progress)?;
    let records = Records { space: &space, kernels, bytes: &bytes };
    let nodes = arranged.nodes.len() as u64;
    let mut graph = link::link(records, &arranged.layer_sizes, params, par, &mut |done| progress(Stage::Link, done as u64, nodes))
        .ok_or(BuildError::Interrupted)?;
    let mended = graph.layers.iter_mut().map(|layer| reach::mend(layer, records)).sum::<usize>();
    let order = order::breadth_first(&graph.layers[0]);
    let built = finish::Built { input, params, arranged: &arranged, records, graph: &graph, order, mended, parts: 0 };
    #[cfg(feature = "filter")]
    return built.finish(columns, par, progress, sink);
    #[cfg(not(feature = "filter"))]
    built.finish(par, progress, sink)
}

/// Scan or walk, unless a search says otherwise.
pub(crate) fn plan_of(rows: usize) -> Plan {
    if rows <= SCAN_ROWS_MAX { Plan::Scan } else { Plan::Walk }
}

fn validate<E>(input: &Input<'_>, params: &BuildParams) -> Result<(), BuildError<E>> {
    let bad = |parameter, must| Err(BuildError::Parameter { parameter, must });
    if !(2..=512).contains(&params.m) {
        return bad("m", "2 to 512");
    }
    if !(1..=100_000).contains(&params.ef_construction) {
        return bad("ef_construction", "1 to 100000");
    }
    #[cfg(feature = "codes")]
    if !(1.0..=4.0).contains(&params.alpha_sq) {
        return bad("alpha_sq", "1 to 4");
    }
    #[cfg(feature = "codes")]
    if params.builder == Builder::Vamana && (!params.heuristic || params.extend_candidates || params.keep_pruned) {
        return bad("builder", "leaves or insertion, with other neighbours than the heuristic's: Vamana prunes in its own way");
    }
    #[cfg(feature = "codes")]
    if !pages::is_page(params.page_bytes) {
        return bad("page_bytes", pages::PAGE_MUST);
    }
    if params.codes != Codes::None && !cfg!(feature = "codes") {
        return bad("codes", "none, in this build of the library");
    }
    if params.tier != Tier::Memory && !cfg!(feature = "codes") {
        return bad("tier", "memory, in this build of the library");
    }
    let (rows, dimensions) = (input.vectors.rows(), input.vectors.dimensions());
    if dimensions == 0 || dimensions > crate::id::DIMENSIONS_MAX as usize {
        return bad("dimensions", "1 to 32768");
    }
    if rows as u64 > crate::id::ROWS_MAX {
        return Err(BuildError::TooManyRows { rows });
    }
    let counts = |what, found| if found == rows { Ok(()) } else { Err(BuildError::Counts { what, found, rows }) };
    counts("ids", input.ids.map_or(rows, <[u64]>::len))?;
    counts("payloads", input.payloads.map_or(rows, |payloads| payloads.rows()))
}
