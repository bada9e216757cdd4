//! From vectors in memory to a file.

use std::ops::ControlFlow;
use std::path::Path;

use nearshore::build::{BuildParams, Codes, Input, build};
use nearshore::dataset::Vectors;
use nearshore::format::Metric;
use nearshore::io::FileSink;
use nearshore::{Kernels, Pool};

use crate::abi::BuildOptions;
use crate::failure::Failure;

/// Builds an index and writes it to `path`.
pub(crate) fn to_file(path: &Path, vectors: Vectors<'_>, ids: Option<&[u64]>, options: &BuildOptions) -> Result<(), Failure> {
    crate::reserved(&options.reserved)?;
    let params = params(options)?;
    let replace = match options.replace {
        0 => false,
        1 => true,
        other => return Err(Failure::argument(format!("options: replace is {other}; 0 or 1 would be right"))),
    };
    let shown = path.display().to_string();
    let output = |error| Failure::io(&shown, &error);
    let pool = Pool::new(crate::threads(options.threads)?).map_err(output)?;
    let sink = FileSink::create(path, replace).map_err(output)?;
    let input = Input { vectors, ids, payloads: None };
    let mut go_on = |_, _, _| ControlFlow::Continue(());
    let (sink, _) = build(&input, &params, &pool, Kernels::best(), &mut go_on, sink)?;
    sink.finish().map_err(output)
}

/// Zero stands for the default.
fn params(options: &BuildOptions) -> Result<BuildParams, Failure> {
    let mut params = BuildParams::default();
    let metric = u8::try_from(options.metric).ok().and_then(|number| Metric::try_from(number).ok());
    params.metric = metric.ok_or_else(|| Failure::argument(format!("options: {} is no metric", options.metric)))?;
    if options.m > 0 {
        params.m = options.m as usize;
    }
    if options.ef_construction > 0 {
        params.ef_construction = options.ef_construction as usize;
    }
    let codes = usize::try_from(options.codes).ok().and_then(|number| Codes::ALL.get(number));
    params.codes = *codes.ok_or_else(|| Failure::argument(format!("options: {} is no kind of codes", options.codes)))?;
    params.layout = crate::layout(options.layout)?;
    Ok(params)
}
