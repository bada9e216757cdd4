//! Building an index from rows in the buffers: the same call that the command line makes, so the same bytes.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::ops::ControlFlow;

#[cfg(not(feature = "columns"))]
use nearshore_core::build::build;
#[cfg(feature = "columns")]
use nearshore_core::build::build_with_columns;
use nearshore_core::build::{BuildError, BuildParams, Input};
use nearshore_core::distance::Kernels;
use nearshore_core::index::Index;
use nearshore_core::par::Serial;
use nearshore_core::vectors::{Payloads, Vectors};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::code::{Code, Failure};
use crate::engine::{Engine, State, element, metric};
use crate::host;

#[wasm_bindgen]
impl Engine {
    /// Builds from the buffers `Vectors`, `Ids` (empty: row numbers), `Payloads` and `Ends` (empty: none), and opens what was built. In an
    /// engine of columns also from the buffer `Columns`, the values of those that were said.
    #[allow(clippy::too_many_arguments, reason = "numbers cross to WebAssembly one by one")]
    pub fn build(
        &mut self,
        dimensions: usize,
        element: u32,
        metric: u32,
        m: usize,
        ef_construction: usize,
        seed: u64,
        originals: bool,
    ) -> u32 {
        let result = self.build_index(dimensions, element, metric, m, ef_construction, seed, originals);
        self.inputs.release();
        self.end(result)
    }
}

impl Engine {
    #[allow(clippy::too_many_arguments, reason = "as above")]
    fn build_index(
        &mut self,
        dimensions: usize,
        of_element: u32,
        of_metric: u32,
        m: usize,
        ef_construction: usize,
        seed: u64,
        originals: bool,
    ) -> Result<(), Failure> {
        let mut params = BuildParams::default();
        (params.metric, params.m, params.ef_construction, params.seed, params.originals) =
            (metric(of_metric)?, m, ef_construction, seed, originals);
        let inputs = &self.inputs;
        let wrong = |what| Failure::new(Code::InvalidArgument, what);
        let vectors = Vectors::packed(element(of_element)?, dimensions, &inputs.vectors);
        let payloads = Payloads::new(&inputs.payloads, &inputs.ends).ok_or_else(|| wrong("payloads end before they begin"))?;
        let input = Input {
            vectors: vectors.ok_or_else(|| wrong("vectors are not a whole number of rows"))?,
            ids: (!inputs.ids.is_empty()).then_some(&inputs.ids),
            payloads: (!inputs.ends.is_empty()).then_some(payloads),
        };
        let mut progress = |stage, done: u64, total: u64| {
            if host::progress(stage as u32, done as f64, total as f64) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        #[cfg(not(feature = "columns"))]
        let (bytes, _) = build(&input, &params, &Serial, Kernels::best(), &mut progress, Vec::new())?;
        #[cfg(feature = "columns")]
        let (bytes, _) = {
            let schema = core::mem::take(&mut self.schema);
            let columns = crate::columns::values(&schema, input.vectors.rows(), &inputs.columns)?;
            build_with_columns(&input, &columns, &params, &Serial, Kernels::best(), &mut progress, Vec::new())?
        };
        self.inputs.release();
        self.state = State::File(Box::new(Index::open(bytes)?));
        Ok(())
    }
}

impl From<BuildError<Infallible>> for Failure {
    fn from(error: BuildError<Infallible>) -> Self {
        let code = if matches!(error, BuildError::Interrupted) { Code::Aborted } else { Code::InvalidArgument };
        match error.words() {
            Ok(message) => Self { code, message },
            Err(never) => match *never {},
        }
    }
}
