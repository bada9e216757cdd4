//! A live index as a file.

use super::parts::Parts;
use super::sync::Ordering;
use super::{Live, Shared, meta};
use crate::build::write::{Content, File};
use crate::build::{BuildError, plan_of};
#[cfg(feature = "codes")]
use crate::build::{Codes, NodeCodes, NodeNeighbors};
use crate::format::{Digest, Refine, Sink};
#[cfg(feature = "codes")]
use crate::graph::layer::LayerView;
use crate::graph::order;
use crate::par::{Par, Serial};
#[cfg(feature = "codes")]
use crate::search::Layout;
use alloc::vec::Vec;
use core::ops::ControlFlow;

impl Live {
    /// Writes the index as a `.shore` file, tombstones included, and returns the sink.
    ///
    /// Every row can be reached from the entry of the file, as in one that was built, whatever
    /// inserts and deletes did to the graph. The same rows, inserted and deleted in the same order, give the same bytes.
    ///
    /// # Errors
    /// What the sink reports.
    pub fn save<S: Sink>(&self, sink: S) -> Result<S, BuildError<S::Error>> {
        self.save_by(sink, &Serial)
    }

    /// As [`Live::save`], the same bytes, by any number of threads: codes, where the file is to have any, take most of the time.
    ///
    /// # Errors
    /// What the sink reports.
    pub fn save_by<S: Sink, P: Par>(&self, sink: S, par: &P) -> Result<S, BuildError<S::Error>> {
        let shared = &*self.shared;
        let mut parts = shared.parts();
        for layer in 0..parts.graph.layers.len() {
            parts.measure(shared, layer);
        }
        parts.mend(shared);
        let rows = shared.store.len() as usize;
        let mut digest = Digest::new();
        for slot in 0..rows as u32 {
            if let Some(record) = shared.store.record(slot) {
                digest.update(&record[..shared.space.layout.factors + 16]);
            }
        }
        let params = &self.params;
        #[cfg(feature = "filter")]
        let slots = super::columns::Slots::of(shared, 0..rows as u32, |_| true);
        #[cfg(feature = "filter")]
        let columns: Vec<_> = slots.inputs(self.columns()).into_iter().map(crate::filter::Coded::new).collect();
        let (order, records) = (order::breadth_first(&parts.graph.layers[0]), parts.records(shared));
        #[cfg(feature = "codes")]
        let codes = (params.codes != Codes::None).then(|| NodeCodes::of(params.codes, records, params.seed, par));
        #[cfg(not(feature = "codes"))]
        let (codes, _) = (None, par);
        #[cfg(feature = "codes")]
        let neighbors = (params.layout == Layout::Fast).then(|| {
            let view = LayerView { layer: &parts.graph.layers[0], records, nodes: parts.nodes.len() };
            NodeNeighbors::of(view, &order, params.seed, par)
        });
        let file = File {
            order,
            content: &Rows { shared, parts: &parts },
            records,
            graph: &parts.graph,
            codes: codes.as_ref(),
            #[cfg(feature = "codes")]
            neighbors: neighbors.as_ref(),
            quality: shared.quality(),
            element: params.element,
            plan: plan_of(rows),
            refine: Refine::Records,
            seed: params.seed,
            m: params.m,
            meta: meta::describe(params, rows, shared.changed.load(Ordering::Relaxed)),
            digest: digest.finish(),
            tier: crate::build::Tier::Memory,
            page_bytes: crate::format::PAGE_BYTES,
            #[cfg(feature = "filter")]
            columns: &columns,
        };
        let (sink, _, _) = file.write(sink, &mut |_, _, _| ControlFlow::Continue(()))?;
        Ok(sink)
    }
}

/// The slots of a state as a file's content.
struct Rows<'a> {
    shared: &'a Shared,
    parts: &'a Parts,
}

impl Content for Rows<'_> {
    fn source(&self, node: u32) -> u32 {
        self.parts.nodes[node as usize]
    }

    fn duplicates(&self, node: u32, out: &mut Vec<u32>) {
        out.extend_from_slice(&self.parts.twins[node as usize]);
    }

    fn id(&self, source: u32) -> u64 {
        self.shared.id(source)
    }

    fn payload(&self, source: u32) -> &[u8] {
        self.shared.store.payload(source)
    }

    fn original(&self, _: u32) -> &[u8] {
        &[]
    }

    fn deleted(&self, source: u32) -> bool {
        self.shared.store.is_deleted(source)
    }
}
