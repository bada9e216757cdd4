//! The golden files: one recipe each, tiny, kept for ever, read by every door.

use nearshore_core::build::tiles::TileParams;
use nearshore_core::build::{BuildParams, Codes, Input, Layers, Summary, build_with_columns};
use nearshore_core::distance::Kernels;
use nearshore_core::format::{Element, Metric};
use nearshore_core::index::Index;
use nearshore_core::par::Par;
use nearshore_core::search::Layout;
use nearshore_core::vectors::{Payloads, Vectors};
use std::ops::ControlFlow;

use crate::columns::Columns;
use crate::rows;

/// The folder of the files, under `tests`.
pub const FOLDER: &str = "golden/v1.0";

/// Whether rows have ids of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// The row's number.
    Rows,
    /// [`rows::large_ids`].
    Large,
}

/// One file's recipe.
#[derive(Clone, Copy, Debug)]
pub struct Golden {
    /// What it shows, in a sentence.
    pub about: &'static str,
    /// Metric of the file.
    pub metric: Metric,
    /// Element type of the rows.
    pub element: Element,
    /// How many rows.
    pub rows: usize,
    /// Elements of a row.
    pub dimensions: usize,
    /// Ids of the rows.
    pub ids: Ids,
    /// Whether rows have payloads.
    pub payload: bool,
    /// Every row after this one is a copy of the one so many before; 0: none is.
    pub period: usize,
    /// Whether originals are kept.
    pub originals: bool,
    /// Layers of the graph.
    pub layers: Layers,
    /// What guides walks.
    pub codes: Codes,
    /// What walks may read.
    pub layout: Layout,
    /// Whether rows have values for filters, see [`crate::columns`].
    pub columns: bool,
    /// Rows of a tile, where the file is laid out in tiles.
    pub tiles: Option<usize>,
    /// What tells it from others of its kind in its name.
    pub suffix: &'static str,
}

const PLAIN: Golden = Golden {
    about: "every metric with every element type",
    metric: Metric::L2,
    element: Element::F32,
    rows: 31,
    dimensions: 7,
    ids: Ids::Rows,
    payload: false,
    period: 0,
    originals: true,
    layers: Layers::Many,
    codes: Codes::None,
    layout: Layout::Lean,
    columns: false,
    tiles: None,
    suffix: "",
};

const METRICS: [Metric; 3] = [Metric::L2, Metric::InnerProduct, Metric::Cosine];
const ELEMENTS: [Element; 4] = [Element::F32, Element::F16, Element::U8, Element::I8];

/// All recipes.
#[must_use]
pub fn all() -> Vec<Golden> {
    let mut all = Vec::new();
    for (at, metric) in METRICS.into_iter().enumerate() {
        for (then, element) in ELEMENTS.into_iter().enumerate() {
            // Below, at and above the widths of vector registers.
            let dimensions = [7, 16, 33, 20][(at + then) % 4];
            let payload = (at + then).is_multiple_of(2);
            let ids = if then == at { Ids::Large } else { Ids::Rows };
            all.push(Golden { metric, element, dimensions, payload, ids, ..PLAIN });
        }
    }
    for (rows, about) in [(0, "no row at all"), (1, "one row"), (2, "two rows")] {
        all.push(Golden { about, rows, payload: true, ids: Ids::Large, ..PLAIN });
        // One kind more each, to keep the folder small.
        if rows > 0 {
            all.push(Golden { about, rows, metric: Metric::Cosine, element: Element::F16, ..PLAIN });
        }
        if rows < 2 {
            all.push(Golden { about, rows, metric: Metric::InnerProduct, element: Element::I8, payload: true, ..PLAIN });
        }
    }
    all.extend([
        Golden { about: "a graph of several layers, full-precision rows kept", rows: 1000, dimensions: 9, ..PLAIN },
        Golden {
            about: "halves, unit length, ids that no f64 holds",
            metric: Metric::Cosine,
            element: Element::F16,
            rows: 1000,
            dimensions: 16,
            ids: Ids::Large,
            ..PLAIN
        },
        Golden {
            about: "bytes, of which the records are the originals",
            element: Element::U8,
            rows: 1000,
            dimensions: 16,
            payload: true,
            ..PLAIN
        },
        Golden {
            about: "signed bytes under inner product",
            metric: Metric::InnerProduct,
            element: Element::I8,
            rows: 1000,
            dimensions: 13,
            ids: Ids::Large,
            ..PLAIN
        },
        Golden {
            about: "originals dropped: only records are left to rank by",
            metric: Metric::Cosine,
            rows: 120,
            dimensions: 16,
            originals: false,
            suffix: "-dropped",
            ..PLAIN
        },
        Golden {
            about: "one layer only",
            rows: 1000,
            dimensions: 12,
            originals: false,
            layers: Layers::One,
            suffix: "-one-layer",
            ..PLAIN
        },
        Golden {
            about: "120 rows of which 40 differ: the others are exact duplicates",
            rows: 120,
            dimensions: 9,
            ids: Ids::Large,
            payload: true,
            period: 40,
            originals: false,
            suffix: "-duplicates",
            ..PLAIN
        },
        Golden {
            about: "walks guided by four bits a dimension, ranked by records",
            metric: Metric::Cosine,
            rows: 300,
            dimensions: 40,
            originals: false,
            codes: Codes::U4,
            suffix: "-u4",
            ..PLAIN
        },
        Golden {
            about: "four bits a dimension, then records, then originals",
            metric: Metric::InnerProduct,
            rows: 120,
            dimensions: 17,
            ids: Ids::Large,
            codes: Codes::U4,
            suffix: "-u4",
            ..PLAIN
        },
        Golden {
            about: "four bits a dimension of bytes, a third of the rows duplicates",
            element: Element::U8,
            rows: 120,
            dimensions: 33,
            payload: true,
            period: 80,
            codes: Codes::U4,
            suffix: "-u4",
            ..PLAIN
        },
        Golden {
            about: "codes of neighbours beside each node",
            metric: Metric::Cosine,
            rows: 100,
            dimensions: 20,
            layout: Layout::Fast,
            suffix: "-fast",
            ..PLAIN
        },
        Golden {
            about: "codes of bytes' neighbours, a third of the rows duplicates",
            element: Element::U8,
            rows: 90,
            dimensions: 70,
            payload: true,
            period: 60,
            layout: Layout::Fast,
            suffix: "-fast",
            ..PLAIN
        },
        Golden {
            about: "codes of the neighbours of signed bytes, which have lengths of their own",
            metric: Metric::Cosine,
            element: Element::I8,
            rows: 60,
            dimensions: 12,
            layout: Layout::Fast,
            suffix: "-fast",
            ..PLAIN
        },
        Golden {
            about: "codes of neighbours under inner product, records alone",
            metric: Metric::InnerProduct,
            rows: 60,
            dimensions: 9,
            originals: false,
            layout: Layout::Fast,
            suffix: "-fast",
            ..PLAIN
        },
        Golden {
            about: "walks guided by one bit a dimension, ranked by records",
            metric: Metric::Cosine,
            rows: 120,
            dimensions: 40,
            originals: false,
            codes: Codes::RaBitQ1,
            suffix: "-rabitq1",
            ..PLAIN
        },
        Golden {
            about: "two bits a dimension of bytes, a third of the rows duplicates",
            element: Element::U8,
            rows: 120,
            dimensions: 70,
            payload: true,
            period: 80,
            codes: Codes::RaBitQ2,
            suffix: "-rabitq2",
            ..PLAIN
        },
        Golden {
            about: "four bits a dimension of the rotated row, then records, then originals",
            metric: Metric::InnerProduct,
            rows: 120,
            dimensions: 17,
            ids: Ids::Large,
            codes: Codes::RaBitQ4,
            suffix: "-rabitq4",
            ..PLAIN
        },
        Golden {
            about: "a byte a part, as many parts as dimensions are",
            rows: 120,
            dimensions: 9,
            codes: Codes::Pq32,
            suffix: "-pq",
            ..PLAIN
        },
        Golden {
            about: "a byte a part of signed bytes at unit length",
            metric: Metric::Cosine,
            element: Element::I8,
            rows: 120,
            dimensions: 35,
            ids: Ids::Large,
            codes: Codes::Pq32,
            suffix: "-pq",
            ..PLAIN
        },
        Golden {
            about: "columns of every type, some rows without a value; 90 of 120 rows differ",
            metric: Metric::Cosine,
            element: Element::I8,
            rows: 120,
            dimensions: 8,
            ids: Ids::Large,
            period: 90,
            columns: true,
            suffix: "-columns",
            ..PLAIN
        },
        Golden {
            about: "tiles of vectors of unit length, with payloads, originals kept",
            metric: Metric::Cosine,
            rows: 150,
            dimensions: 24,
            ids: Ids::Large,
            payload: true,
            tiles: Some(12),
            suffix: "-tiles",
            ..PLAIN
        },
        Golden {
            about: "tiles of bytes, a third of the rows duplicates",
            element: Element::U8,
            rows: 120,
            dimensions: 70,
            payload: true,
            period: 80,
            tiles: Some(8),
            suffix: "-tiles",
            ..PLAIN
        },
        Golden {
            about: "tiles of signed bytes under inner product, with columns; 90 of 120 rows differ",
            metric: Metric::InnerProduct,
            element: Element::I8,
            rows: 120,
            dimensions: 8,
            ids: Ids::Large,
            period: 90,
            columns: true,
            tiles: Some(12),
            suffix: "-tiles",
            ..PLAIN
        },
        Golden { about: "every row equal to every other", element: Element::U8, rows: 31, period: 1, suffix: "-equal", ..PLAIN },
    ]);
    all
}

/// What a recipe is made of.
#[derive(Debug)]
pub struct Made {
    /// The rows' elements.
    pub data: Vec<u8>,
    /// One a row.
    pub ids: Vec<u64>,
    payloads: Vec<u8>,
    ends: Vec<u64>,
}

impl Golden {
    /// The file's name without its ending.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}-{}-{}{}", self.metric.as_str(), self.element.as_str(), self.rows, self.suffix)
    }

    /// Decides rows, levels and order: every recipe has its own.
    #[must_use]
    pub fn seed(&self) -> u64 {
        let kind = self.metric as u64 * 4 + self.element as u64;
        kind * 1_000_000 + self.rows as u64 * 100 + self.period as u64 + self.dimensions as u64
    }

    /// Rows, ids and payloads.
    #[must_use]
    pub fn make(&self) -> Made {
        let row_bytes = self.dimensions * self.element.bytes();
        let mut data = rows::rows(self.element, self.dimensions, self.rows, self.seed());
        if self.period > 0 {
            let first = data[..(self.period * row_bytes).min(data.len())].to_vec();
            data = first.iter().copied().cycle().take(data.len()).collect();
        }
        let ids = match self.ids {
            Ids::Rows => (0..self.rows as u64).collect(),
            Ids::Large => rows::large_ids(self.rows),
        };
        let (mut payloads, mut ends) = (Vec::new(), Vec::new());
        for &id in &ids {
            payloads.extend_from_slice(rows::payload(id).as_bytes());
            ends.push(payloads.len() as u64);
        }
        Made { data, ids, payloads, ends }
    }

    /// Builds the file.
    ///
    /// # Panics
    /// When the build refuses the recipe.
    #[must_use]
    pub fn build(&self, made: &Made, par: &impl Par, kernels: &'static Kernels) -> (Vec<u8>, Summary) {
        let mut params = BuildParams::default();
        params.metric = self.metric;
        params.seed = self.seed();
        params.m = 4;
        params.ef_construction = 40;
        params.originals = self.originals;
        params.layers = self.layers;
        params.codes = self.codes;
        params.layout = self.layout;
        let input = Input {
            vectors: made.vectors(self.element, self.dimensions),
            ids: (self.ids == Ids::Large).then_some(&made.ids),
            payloads: if self.payload { Payloads::new(&made.payloads, &made.ends) } else { None },
        };
        let columns = Columns::new(if self.columns { self.rows } else { 0 });
        let columns = if self.columns { columns.inputs() } else { Vec::new() };
        let go_on = &mut |_, _, _| ControlFlow::Continue(());
        let (file, summary) = build_with_columns(&input, &columns, &params, par, kernels, go_on, Vec::new()).expect("a sound recipe");
        if self.tiles.is_none() {
            return (file, summary);
        }
        let mut params = TileParams::default();
        (params.tile_rows, params.originals, params.seed) = (self.tiles, self.originals, self.seed());
        let index = Index::open(file).expect("a file").with_kernels(kernels);
        let go_on = &mut |_, _, _| ControlFlow::Continue(());
        (index.write_tiles(&params, par, go_on, Vec::new()).expect("rows").0, summary)
    }
}

impl Made {
    /// The rows as a build takes them.
    ///
    /// # Panics
    /// When they are not whole rows.
    #[must_use]
    pub fn vectors(&self, element: Element, dimensions: usize) -> Vectors<'_> {
        Vectors::packed(element, dimensions, &self.data).expect("whole rows")
    }
}
