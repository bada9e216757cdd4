//! From a graph to a file: codes, what the fast layout adds, the quality table, the bytes.

#[cfg(feature = "codes")]
use super::NodeNeighbors;
use super::{BuildError, BuildParams, Codes, Input, NodeCodes, Progress, Summary, ingest, measure, meta, plan_of, write};
#[cfg(feature = "filter")]
use crate::filter::{Coded, ColumnInput};
use crate::format::{Refine, Sink};
use crate::graph::hnsw::Hierarchy;
#[cfg(feature = "codes")]
use crate::graph::layer::LayerView;
use crate::graph::layer::Records;
use crate::par::Par;
use crate::quant::{Encoding, Space};
#[cfg(feature = "codes")]
use crate::search::Layout;
use alloc::vec::Vec;

/// A graph that is whole, and what it was made of.
pub(super) struct Built<'a> {
    pub(super) input: &'a Input<'a>,
    pub(super) params: &'a BuildParams,
    pub(super) arranged: &'a ingest::Arranged,
    pub(super) records: Records<'a>,
    pub(super) graph: &'a Hierarchy,
    /// `order[i]` is the i-th node of the file.
    pub(super) order: Vec<u32>,
    /// Edges added so that every node can be reached.
    pub(super) mended: usize,
    /// Parts that were linked one by one; 0 when all were linked at once.
    pub(super) parts: u32,
}

impl Built<'_> {
    /// Writes the file.
    pub(super) fn finish<P: Par, S: Sink>(
        self,
        #[cfg(feature = "filter")] columns: &[ColumnInput<'_>],
        par: &P,
        progress: &mut Progress<'_>,
        sink: S,
    ) -> Result<(S, Summary), BuildError<S::Error>> {
        let Self { input, params, arranged, records, graph, order, mended, parts } = self;
        let (vectors, nodes) = (&input.vectors, arranged.nodes.len());
        let codes =
            (cfg!(feature = "codes") && params.codes != Codes::None).then(|| NodeCodes::of(params.codes, records, params.seed, par));
        #[cfg(feature = "codes")]
        let neighbors = (params.layout == Layout::Fast)
            .then(|| NodeNeighbors::of(LayerView { layer: &graph.layers[0], records, nodes }, &order, params.seed, par));
        let quality = if params.quality {
            let bench = measure::Bench {
                input,
                params,
                arranged,
                graph,
                records,
                codes: codes.as_ref(),
                #[cfg(feature = "codes")]
                neighbors: neighbors.as_ref(),
            };
            measure::measure(&bench, par, progress).ok_or(BuildError::Interrupted)?
        } else {
            Vec::new()
        };
        let file = write::File {
            content: &Rows { input, arranged },
            order,
            records,
            graph,
            codes: codes.as_ref(),
            #[cfg(feature = "codes")]
            neighbors: neighbors.as_ref(),
            quality: &quality,
            element: vectors.element(),
            plan: plan_of(vectors.rows()),
            refine: refine_of(params, records.space),
            seed: params.seed,
            m: params.m,
            meta: meta::describe(input, params, nodes, parts),
            digest: arranged.digest,
            tier: params.tier,
            page_bytes: params.page_bytes,
            #[cfg(feature = "filter")]
            columns: &columns.iter().map(|&column| Coded::new(column)).collect::<Vec<_>>(),
        };
        let (sink, file_bytes, build_id) = file.write(sink, progress)?;
        let summary = Summary {
            rows: vectors.rows() as u64,
            duplicates: (vectors.rows() - nodes) as u64,
            layers: arranged.layer_sizes.len(),
            mean_degree: mean_degree(graph),
            mended: mended as u64,
            quality,
            file_bytes,
            build_id,
        };
        Ok((sink, summary))
    }
}

/// The input's rows as a file's content.
struct Rows<'a> {
    input: &'a Input<'a>,
    arranged: &'a ingest::Arranged,
}

impl write::Content for Rows<'_> {
    fn source(&self, node: u32) -> u32 {
        self.arranged.nodes[node as usize]
    }

    fn duplicates(&self, node: u32, out: &mut Vec<u32>) {
        out.extend(self.arranged.duplicates_of(self.source(node)));
    }

    fn id(&self, source: u32) -> u64 {
        self.input.ids.map_or(u64::from(source), |ids| ids[source as usize])
    }

    fn payload(&self, source: u32) -> &[u8] {
        self.input.payloads.map_or(&[], |payloads| payloads.row(source as usize))
    }

    fn original(&self, source: u32) -> &[u8] {
        self.input.vectors.row(source as usize)
    }

    fn announce_original(&self, source: u32) {
        self.input.vectors.announce(source as usize);
    }

    fn deleted(&self, _: u32) -> bool {
        false
    }
}

/// What the final order is computed from unless a search says otherwise.
fn refine_of(params: &BuildParams, space: &Space) -> Refine {
    if params.originals && space.encoding == Encoding::Scaled { Refine::Originals } else { Refine::Records }
}

fn mean_degree(graph: &Hierarchy) -> f64 {
    let base = &graph.layers[0];
    let edges: usize = (0..base.rows() as u32).map(|node| base.neighbors(node).len()).sum();
    edges as f64 / base.rows().max(1) as f64
}

#[cfg(test)]
mod tests {
    use crate::build::{BuildParams, Input, build};
    use crate::distance::Kernels;
    use crate::format::{Element, Metric};
    use crate::par::Serial;
    use crate::vectors::Vectors;
    use alloc::vec::Vec;
    use core::ops::ControlFlow;
    use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

    #[test]
    fn each_row_is_announced_once_before_it_is_written() {
        const ROWS: usize = 700;
        static SUM: AtomicU64 = AtomicU64::new(0);
        let value = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| f32::from_le_bytes(*bytes) as u64);
        let rows: Vec<f32> = (0..ROWS).flat_map(|row| [row as f32, 1.5]).collect();
        let vectors = Vectors::packed(Element::F32, 2, bytemuck::cast_slice(&rows)).expect("whole rows");
        let vectors = vectors.announcing(|row| {
            SUM.fetch_add(row.first_chunk().map_or(0, |bytes| f32::from_le_bytes(*bytes) as u64) + 1, Relaxed);
        });
        let input = Input { vectors, ids: None, payloads: None };
        let go_on = &mut |_, _, _| ControlFlow::Continue(());
        build(&input, &BuildParams::new(Metric::L2).quality(false), &Serial, Kernels::best(), go_on, Vec::new()).expect("sound rows");
        let all: u64 = (0..ROWS).map(|row| value(vectors.row(row)) + 1).sum();
        assert_eq!(SUM.load(Relaxed), all);
    }
}
