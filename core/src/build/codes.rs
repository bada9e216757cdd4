//! Coarse codes of the nodes, made of their records: what will guide the walks of the file.

#[cfg(feature = "codes")]
use crate::format::Table;
#[cfg(feature = "codes")]
use crate::format::encoding::{CODES_PQ, CODES_U4};
use crate::graph::Buffers;
use crate::graph::layer::Records;
use crate::par::Par;
#[cfg(feature = "codes")]
use crate::quant::Coarse;
#[cfg(feature = "codes")]
use crate::quant::coarse::Method;
use crate::quant::{CodeLayout, Prepared, Space};
use crate::search::doubt::ranked_by_four_bits;
#[cfg(feature = "codes")]
use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;
use core::str::FromStr;

/// Rows of one task.
pub(super) const TASK_ROWS: usize = 256;

/// What guides the walks of a file. Records rank what was found by codes. Browsers refuse files with other codes than `U4`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codes {
    /// The records.
    #[default]
    None,
    /// Four bits a dimension ([`crate::quant::lvq`]).
    U4,
    /// One bit a dimension (`quant::rabitq`).
    RaBitQ1,
    /// Two bits a dimension.
    RaBitQ2,
    /// Four bits a dimension of the rotated row.
    RaBitQ4,
    /// 32 bytes a row (`quant::pq`), or as many as dimensions where those are fewer.
    Pq32,
    /// 64 bytes a row.
    Pq64,
    /// 128 bytes a row.
    Pq128,
}

impl Codes {
    /// All of them.
    pub const ALL: [Self; 8] = [Self::None, Self::U4, Self::RaBitQ1, Self::RaBitQ2, Self::RaBitQ4, Self::Pq32, Self::Pq64, Self::Pq128];

    /// The word for it, as every door spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::U4 => "u4",
            Self::RaBitQ1 => "rabitq1",
            Self::RaBitQ2 => "rabitq2",
            Self::RaBitQ4 => "rabitq4",
            Self::Pq32 => "pq32",
            Self::Pq64 => "pq64",
            Self::Pq128 => "pq128",
        }
    }

    /// Those of a file's table, of rows of `dimensions` elements; `None` where it is not of this list.
    #[cfg(feature = "codes")]
    pub(crate) fn of_table(table: &Table, dimensions: usize) -> Option<Self> {
        let parts = usize::try_from(table.parameter).unwrap_or(usize::MAX);
        Self::ALL.into_iter().find(|codes| match codes.method() {
            Some(Method::Product { parts: own }) => table.encoding == CODES_PQ && own.min(dimensions) == parts,
            Some(method) => table.encoding == method.encoding(),
            None => *codes == Self::U4 && table.encoding == CODES_U4,
        })
    }

    /// The word for what rows of so many dimensions get: codes by parts have no more parts than a row has dimensions.
    #[cfg(feature = "codes")]
    #[must_use]
    pub fn for_dimensions(self, dimensions: usize) -> Cow<'static, str> {
        match self.method() {
            Some(Method::Product { parts }) if parts > dimensions => alloc::format!("pq{dimensions}").into(),
            _ => self.as_str().into(),
        }
    }

    /// How rows are coded, where it is by few bits.
    #[cfg(feature = "codes")]
    pub(super) fn method(self) -> Option<Method> {
        match self {
            Self::None | Self::U4 => None,
            Self::RaBitQ1 => Some(Method::RaBitQ { bits: 1 }),
            Self::RaBitQ2 => Some(Method::RaBitQ { bits: 2 }),
            Self::RaBitQ4 => Some(Method::RaBitQ { bits: 4 }),
            Self::Pq32 => Some(Method::Product { parts: 32 }),
            Self::Pq64 => Some(Method::Product { parts: 64 }),
            Self::Pq128 => Some(Method::Product { parts: 128 }),
        }
    }
}

impl FromStr for Codes {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|codes| codes.as_str() == word);
        found.ok_or("must be none, u4, rabitq1, rabitq2, rabitq4, pq32, pq64 or pq128")
    }
}

/// How a row of codes reads.
#[derive(Debug)]
pub(crate) enum CodeTable {
    /// Four bits a dimension.
    U4(CodeLayout),
    /// Fewer bytes.
    #[cfg(feature = "codes")]
    Coarse(Coarse),
}

/// A row of codes a node.
#[derive(Debug)]
pub(crate) struct NodeCodes {
    pub(crate) table: CodeTable,
    pub(crate) stride: usize,
    bytes: Vec<u8>,
}

impl NodeCodes {
    /// Codes every record.
    pub(crate) fn of<P: Par>(codes: Codes, records: Records<'_>, seed: u64, par: &P) -> Self {
        #[cfg(feature = "codes")]
        if let Some(method) = codes.method() {
            return Self::coarse(method, records, seed, par);
        }
        let _ = (codes, seed);
        let layout = CodeLayout::new(records.space.layout.dimensions);
        let mut bytes = vec![0; records.rows() * layout.stride];
        par.chunks(&mut bytes, TASK_ROWS * layout.stride, &mut vec![(); par.threads()], |task, rows, ()| {
            for (node, row) in (task * TASK_ROWS..).zip(rows.chunks_mut(layout.stride)) {
                layout.encode(records.space, records.record(node as u32), row);
            }
        });
        Self { table: CodeTable::U4(layout), stride: layout.stride, bytes }
    }

    #[cfg(feature = "codes")]
    fn coarse<P: Par>(method: Method, records: Records<'_>, seed: u64, par: &P) -> Self {
        let Records { space, kernels, .. } = records;
        let mut coarse = Coarse::learn(method, space, kernels, records.rows(), &|node| records.record(node), seed, par);
        let stride = coarse.stride();
        let mut bytes = vec![0; records.rows() * stride];
        let mut workers = vec![(Vec::new(), 0.0f32); par.threads()];
        par.chunks(&mut bytes, TASK_ROWS * stride, &mut workers, |task, rows, (work, farthest)| {
            for (node, row) in (task * TASK_ROWS..).zip(rows.chunks_mut(stride)) {
                let error = coarse.encode(space, kernels, records.record(node as u32), row, work);
                *farthest = farthest.max(error);
            }
        });
        // The largest of all, whichever thread saw it.
        coarse.set_error(workers.iter().fold(0.0, |most, worker| most.max(worker.1)));
        Self { table: CodeTable::Coarse(coarse), stride, bytes }
    }

    /// The codes of `node`.
    pub(crate) fn row(&self, node: u32) -> &[u8] {
        &self.bytes[node as usize * self.stride..][..self.stride]
    }

    /// Whether they are of fewer bits than four a dimension, or rotated.
    #[cfg(feature = "codes")]
    pub(super) fn is_coarse(&self) -> bool {
        matches!(self.table, CodeTable::Coarse(_))
    }

    /// Candidates of a walk for `k` hits that records rank: at least, and at most. As an open file's.
    pub(super) fn ranked(&self, k: usize) -> (usize, usize) {
        match &self.table {
            CodeTable::U4(_) => ranked_by_four_bits(k),
            #[cfg(feature = "codes")]
            CodeTable::Coarse(coarse) => coarse.ranked(k),
        }
    }

    /// How far an estimated distance of `node` may be off, from its original's where that is `exact`.
    pub(super) fn tolerance(&self, space: &Space, query: &Prepared, node: u32, distance: f32, exact: bool) -> f32 {
        match &self.table {
            CodeTable::U4(layout) => layout.factors(self.row(node)).tolerance(space, query, distance, exact),
            #[cfg(feature = "codes")]
            CodeTable::Coarse(coarse) => {
                let _ = (distance, exact);
                coarse.tolerance(space, query, self.row(node))
            }
        }
    }

    /// Estimated distances of `nodes`, written to `out`, which is as long.
    pub(super) fn distances(&self, records: Records<'_>, query: &Prepared, nodes: &[u32], buffers: &mut Buffers, out: &mut [f32]) {
        let (Records { space, kernels, .. }, Buffers { places, dots }) = (records, buffers);
        places.clear();
        places.extend(nodes.iter().map(|&node| node as usize * self.stride));
        match &self.table {
            CodeTable::U4(layout) => space.distances(Some(layout), kernels, query, &self.bytes, places, dots, out),
            #[cfg(feature = "codes")]
            CodeTable::Coarse(coarse) => coarse.distances(space, kernels, query, &self.bytes, places, dots, out),
        }
    }

    /// Turns a query into what the codes are compared with.
    pub(super) fn prepare(&self, records: Records<'_>, query: &mut Prepared) {
        let _ = (records, &query);
        match &self.table {
            CodeTable::U4(_) => {}
            #[cfg(feature = "codes")]
            CodeTable::Coarse(coarse) => coarse.prepare(records.space, records.kernels, query),
        }
    }
}
