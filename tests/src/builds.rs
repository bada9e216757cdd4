//! Larger builds, of which only the SHA-256 is kept: the same rows must become the same bytes with any number of threads, under any
//! kernels, natively and as WebAssembly.
//!
//! `conformance/builds.json` holds recipe and digest of each; a script in another language makes the rows by the formulas of
//! [`crate::rows`].

use std::ops::ControlFlow;

use nearshore_core::build::{BuildParams, Input, build_with_columns};
use nearshore_core::distance::Kernels;
use nearshore_core::format::{Element, Metric};
use nearshore_core::par::Par;
use nearshore_core::vectors::{Payloads, Vectors};

use crate::columns::Columns;
use crate::rows;

/// Where recipes and digests are kept, under `tests`.
pub const PATH: &str = "conformance/builds.json";

/// One build's recipe.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// What it is called.
    pub name: &'static str,
    /// Metric of the file.
    pub metric: Metric,
    /// Element type of the rows.
    pub element: Element,
    /// How many rows.
    pub rows: usize,
    /// Elements of a row.
    pub dimensions: usize,
    /// Neighbours of a node above the base layer.
    pub m: usize,
    /// Candidates of a row's neighbours.
    pub ef_construction: usize,
    /// Of the rows and of the build.
    pub seed: u64,
    /// Whether originals are kept.
    pub originals: bool,
    /// Whether rows have large ids and payloads.
    pub dressed: bool,
    /// Whether rows have values to filter by: those of [`Columns`].
    pub columns: bool,
}

/// All recipes.
pub const ALL: [Recipe; 4] = [
    Recipe {
        name: "cosine-f32-dressed",
        metric: Metric::Cosine,
        element: Element::F32,
        rows: 3000,
        dimensions: 48,
        m: 16,
        ef_construction: 80,
        seed: 0x1234_5678_9ABC_DEF0,
        originals: true,
        dressed: true,
        columns: false,
    },
    Recipe {
        name: "l2-u8",
        metric: Metric::L2,
        element: Element::U8,
        rows: 3000,
        dimensions: 48,
        m: 12,
        ef_construction: 80,
        seed: 7,
        originals: true,
        dressed: false,
        columns: false,
    },
    // Large enough to be built by leaves, several of them.
    Recipe {
        name: "ip-f32-leaves",
        metric: Metric::InnerProduct,
        element: Element::F32,
        rows: 4500,
        dimensions: 20,
        m: 12,
        ef_construction: 100,
        seed: 99,
        originals: false,
        dressed: false,
        columns: false,
    },
    Recipe {
        name: "l2-f32-columns",
        metric: Metric::L2,
        element: Element::F32,
        rows: 1500,
        dimensions: 12,
        m: 8,
        ef_construction: 60,
        seed: 41,
        originals: true,
        dressed: false,
        columns: true,
    },
];

impl Recipe {
    fn rows(&self) -> Vec<u8> {
        rows::rows(self.element, self.dimensions, self.rows, self.seed)
    }

    /// Builds the file.
    ///
    /// # Panics
    /// When the build refuses the recipe.
    #[must_use]
    pub fn build(&self, par: &impl Par, kernels: &'static Kernels) -> Vec<u8> {
        let data = self.rows();
        let ids = rows::large_ids(self.rows);
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for &id in &ids {
            bytes.extend_from_slice(rows::payload(id).as_bytes());
            ends.push(bytes.len() as u64);
        }
        let mut params = BuildParams::default();
        params.metric = self.metric;
        params.m = self.m;
        params.ef_construction = self.ef_construction;
        params.seed = self.seed;
        params.originals = self.originals;
        let input = Input {
            vectors: Vectors::packed(self.element, self.dimensions, &data).expect("whole rows"),
            ids: self.dressed.then_some(&ids),
            payloads: if self.dressed { Payloads::new(&bytes, &ends) } else { None },
        };
        let columns = Columns::new(self.rows);
        let columns = if self.columns { columns.inputs() } else { Vec::new() };
        let go_on = &mut |_, _, _| ControlFlow::Continue(());
        build_with_columns(&input, &columns, &params, par, kernels, go_on, Vec::new()).expect("a sound recipe").0
    }

    /// The line of `builds.json`.
    #[must_use]
    pub fn describe(&self, sha256: &str) -> String {
        let rows_sha256 = crate::sha256(&self.rows());
        let Self { name, rows, dimensions, m, ef_construction, seed, originals, dressed, columns, .. } = self;
        let (metric, element) = (self.metric.as_str(), self.element.as_str());
        format!(
            "{{\"name\":\"{name}\",\"metric\":\"{metric}\",\"element\":\"{element}\",\"rows\":{rows},\"dimensions\":{dimensions},\
             \"m\":{m},\"ef_construction\":{ef_construction},\"seed\":\"{seed}\",\"originals\":{originals},\"dressed\":{dressed},\"columns\":{columns},\
             \"rows_sha256\":\"{rows_sha256}\",\"sha256\":\"{sha256}\"}}"
        )
    }
}
