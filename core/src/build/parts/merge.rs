//! The last step: the lists of all parts become one graph, and that a file.

use super::super::{BuildError, BuildParams, Input, Progress, Stage, Summary, finish, link};
use super::link::{read, run_bytes};
use super::{Plan, PlanError};
use crate::distance::Kernels;
#[cfg(feature = "filter")]
use crate::filter::ColumnInput;
use crate::format::Sink;
use crate::graph::back::prune;
use crate::graph::hnsw::Hierarchy;
use crate::graph::layer::{Layer, Records};
use crate::graph::leaves::add_ways_out;
use crate::graph::ruler::Ruler;
use crate::graph::select::{Selection, Selector};
use crate::graph::{Neighbor, order, reach, sort};
use crate::par::Par;
use alloc::vec::Vec;

/// Nodes of one step, whose lists are set before the next.
const STEP_NODES: usize = 1 << 13;
/// Nodes of one task.
const TASK_NODES: usize = 32;

/// What the steps before kept.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// The records in the order of nodes.
    pub records: &'a [u8],
    /// The run of each part.
    pub runs: &'a [&'a [u8]],
}

/// Scratch of one thread.
#[derive(Debug, Default)]
struct Worker {
    ruler: Ruler,
    selector: Selector,
    candidates: Vec<Neighbor>,
}

impl Plan {
    /// Whether what is kept is as long as the plan says.
    ///
    /// # Errors
    /// [`PlanError::Damaged`].
    pub fn check_kept(&self, kept: Kept<'_>) -> Result<(), PlanError> {
        let lists = |part: &super::Part| part.members() * run_bytes(self.split.degree) as u64;
        let whole =
            kept.runs.len() == self.parts.len() && self.parts.iter().zip(kept.runs).all(|(part, run)| run.len() as u64 == lists(part));
        if kept.records.len() as u64 != self.nodes() * self.record_bytes() as u64 {
            return Err(PlanError::Damaged { what: "the records" });
        }
        if whole { Ok(()) } else { Err(PlanError::Damaged { what: "a run" }) }
    }

    /// Merges the runs and writes the file; [`Plan::check_kept`] comes first.
    ///
    /// # Errors
    /// As [`super::super::build`].
    ///
    /// # Panics
    /// If what is kept is not as long as the plan says.
    #[expect(clippy::too_many_arguments, reason = "a step of the build, called in one place")]
    pub fn merge<P: Par, S: Sink>(
        &self,
        input: &Input<'_>,
        #[cfg(feature = "filter")] columns: &[ColumnInput<'_>],
        params: &BuildParams,
        kept: Kept<'_>,
        par: &P,
        kernels: &'static Kernels,
        progress: &mut Progress<'_>,
        sink: S,
    ) -> Result<(S, Summary), BuildError<S::Error>> {
        let records = Records { space: &self.space, kernels, bytes: kept.records };
        let total = self.nodes();
        let sizes = self.arranged.layer_sizes.get(1..).unwrap_or_default();
        let mut layers =
            link::link_upper(records, sizes, params, par, &mut || progress(Stage::Link, 0, total)).ok_or(BuildError::Interrupted)?;
        let base = self.union(kept, records, layers.first(), params, par, &mut |done| progress(Stage::Link, done, total));
        layers.insert(0, base.ok_or(BuildError::Interrupted)?);
        let mut graph = Hierarchy { layers };
        let mended = graph.layers.iter_mut().map(|layer| reach::mend(layer, records)).sum::<usize>();
        let order = self.order(&graph.layers[0]);
        let parts = self.split.parts;
        let built = finish::Built { input, params, arranged: &self.arranged, records, graph: &graph, order, mended, parts };
        #[cfg(feature = "filter")]
        return built.finish(columns, par, progress, sink);
        #[cfg(not(feature = "filter"))]
        built.finish(par, progress, sink)
    }

    /// The base layer: each node's lists of both its parts together, pruned where they are more than a list may hold.
    pub(super) fn union<P: Par>(
        &self,
        kept: Kept<'_>,
        records: Records<'_>,
        above: Option<&Layer>,
        params: &BuildParams,
        par: &P,
        progress: &mut dyn FnMut(u64) -> core::ops::ControlFlow<()>,
    ) -> Option<Layer> {
        let (degree, nodes, stride) = (params.m * 2, self.arranged.nodes.len(), run_bytes(self.split.degree));
        let selection = Selection::new(params.heuristic, params.keep_pruned);
        let mut layer = Layer::new(nodes, degree);
        let mut lists: Vec<Vec<Neighbor>> = Vec::new();
        let mut workers: Vec<Worker> = (0..par.threads()).map(|_| Worker::default()).collect();
        for start in (0..nodes).step_by(STEP_NODES) {
            if progress(start as u64).is_break() {
                return None;
            }
            let end = (start + STEP_NODES).min(nodes);
            lists.resize_with(end - start, Vec::new);
            par.chunks(&mut lists, TASK_NODES, &mut workers, |task, lists, Worker { ruler, selector, candidates }| {
                for (node, list) in (start + task * TASK_NODES..).zip(lists) {
                    candidates.clear();
                    for member in &self.members[node] {
                        candidates.extend(read(&kept.runs[member.part as usize][member.slot as usize * stride..][..stride]));
                    }
                    sort(candidates);
                    candidates.dedup();
                    prune(records, candidates, degree, selection, selector, list);
                    if let Some(above) = above.filter(|above| node < above.rows()) {
                        ruler.measure(records, node as u32, above.neighbors(node as u32), candidates);
                        add_ways_out(candidates, degree, list);
                    }
                }
            });
            (start..end).zip(&lists).for_each(|(node, list)| layer.set(node as u32, list));
        }
        Some(layer)
    }

    /// The order in the file: part by part, inside a part from a node to its neighbours there.
    pub(super) fn order(&self, base: &Layer) -> Vec<u32> {
        let upper = self.upper();
        let first = |node: u32| self.members[node as usize][0].part;
        let mut above: Vec<(u32, u32)> = (0..upper).map(|node| (first(node), node)).collect();
        sort_pairs(&mut above);
        let roots = self.parts.iter().zip(0u32..).flat_map(|(part, number)| {
            let start = above.partition_point(|pair| pair.0 < number);
            let own = above[start..].iter().take_while(move |pair| pair.0 == number).map(|pair| pair.1);
            own.chain(part.nodes.clone())
        });
        order::breadth_first_within(base, roots, |node, next| first(node) == first(next))
    }
}

fn sort_pairs(pairs: &mut [(u32, u32)]) {
    crate::sort::by_key(pairs, |pair| *pair);
}
