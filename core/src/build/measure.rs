//! The quality table: searches for rows of the build itself at a ladder of efforts, against brute
//! force over the input.
//!
//! They are searched for as if they were no rows of it: none is in an answer, and none in the graph
//! ([`super::held_out`]).

use super::codes::NodeCodes;
use super::held_out::{HeldOut, Measured};
use super::ingest::Arranged;
#[cfg(feature = "codes")]
use super::neighbors::{NodeNeighbors, Surrounded};
use super::{BuildParams, Input, Progress, Stage};
use crate::format::{Plan, Refine};
use crate::graph::beam::{Beam, Limits};
use crate::graph::hnsw::Hierarchy;
use crate::graph::layer::Records;
use crate::graph::pool::Pool;
#[cfg(feature = "codes")]
use crate::graph::sweep::Sweep;
use crate::graph::without::place;
use crate::graph::{Buffers, Graph, NONE, Neighbor, Stats};
use crate::par::Par;
use crate::quant::{Encoding, Prepared, exact};
use crate::search::doubt::{keep_in_doubt, take_in_doubt};
use crate::search::quality::{FROM_ROWS, Setting};
use crate::search::{Layout, QualityRow};
use crate::seed;
use crate::vectors::Query;
use alloc::vec;
use alloc::vec::Vec;
use core::convert::Infallible;

/// Rows that are searched for at most. Standard error of a recall of 0.95 over 500 queries: 0.4 %.
const QUERIES: usize = 500;
/// Rows that are searched for at least, where there are as many; 0.7 % then.
const QUERIES_MIN: usize = 200;
/// One row in this many is searched for, so that measuring stays cheap beside building.
const QUERY_SHARE: usize = 200;
/// One row in this many is taken out of the graph at most.
const HELD_OUT_SHARE: usize = 8;
/// Hits that count.
const K: usize = 10;
/// Candidates computed again, where codes of few bits do not ask for more.
const RERANK: usize = 20;
/// Queries that a thread takes over some rows together: their vectors stay in the second-level cache.
const TOGETHER: usize = 32;
/// Rows that all queries meet before the next ones are read, so that a mapped input is read once: 16 MiB of 1024 dimensions.
const MET_TOGETHER: usize = 4096;
/// Bytes of queries that are held at once, so that the memory of a build has a bound; more of them take another pass over the rows.
const QUERY_BYTES: usize = 8 << 20;
/// The ladder: each step costs about a third more than the one before; between steps a search interpolates.
const EFS: [usize; 14] = [10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320, 450, 640, 900];
/// Stop rules, walked with a pool of [`GAMMA_EF`].
const GAMMAS: [f32; 8] = [0.02, 0.04, 0.06, 0.09, 0.12, 0.16, 0.21, 0.28];
/// Pool of a walk that the stop rule ends.
const GAMMA_EF: usize = 300;
/// A recall above which more effort has nothing to show.
const ENOUGH: f32 = 0.999;

/// One query: its node, what is near it, and what the walk under measure found.
#[derive(Debug, Default)]
struct Probe {
    node: u32,
    /// Its row, and its record as a query, while `near` is filled with what is nearest by brute force.
    row: Vec<f32>,
    prepared: Prepared,
    near: Pool,
    truth: Vec<u32>,
    found: [u32; 2],
    /// Distances computed again, by refine level.
    again: [u32; 2],
    stats: Stats,
}

/// Scratch of one thread.
#[derive(Debug, Default)]
struct Worker {
    beam: Beam,
    query: Prepared,
    row: Vec<f32>,
    found: Vec<Neighbor>,
    nodes: Vec<u32>,
    distances: Vec<f32>,
    buffers: Buffers,
    #[cfg(feature = "codes")]
    sweep: Sweep,
}

/// Everything that is measured.
pub(super) struct Bench<'a> {
    pub(super) input: &'a Input<'a>,
    pub(super) params: &'a BuildParams,
    pub(super) arranged: &'a Arranged,
    pub(super) graph: &'a Hierarchy,
    pub(super) records: Records<'a>,
    /// What guides the walks, if not the records.
    pub(super) codes: Option<&'a NodeCodes>,
    /// What walks by the fast layout read.
    #[cfg(feature = "codes")]
    pub(super) neighbors: Option<&'a NodeNeighbors>,
}

/// Measures the ladder; `None` when `progress` breaks.
pub(super) fn measure<P: Par>(bench: &Bench<'_>, par: &P, progress: &mut Progress<'_>) -> Option<Vec<QualityRow>> {
    let params = bench.params;
    let nodes = bench.arranged.nodes.len();
    if nodes <= K {
        return Some(Vec::new());
    }
    let queries = (nodes / QUERY_SHARE).clamp(QUERIES_MIN, QUERIES).min(nodes.div_ceil(HELD_OUT_SHARE)).min(nodes - K);
    // Node 0 is where every walk begins, so it stays.
    let sample = seed::sample(seed::hash(params.seed, 0x7175_616C, 0), nodes as u64 - 1, queries);
    let mut sample: Vec<u32> = sample.iter().map(|&node| node as u32 + 1).collect();
    let mut workers: Vec<Worker> = (0..par.threads()).map(|_| Worker::default()).collect();
    let layouts = bench.layouts();
    let steps = (1 + layouts.len() * (EFS.len() + GAMMAS.len())) as u64;
    let mut step = 0;
    let mut tell = |step: &mut u64| {
        *step += 1;
        progress(Stage::Measure, *step - 1, steps).is_continue().then_some(())
    };
    tell(&mut step)?;
    let held = HeldOut::new(bench, &mut sample, par);
    if sample.is_empty() {
        return Some(Vec::new());
    }
    let mut probes: Vec<Probe> = sample.iter().map(|&node| Probe { node, ..Probe::default() }).collect();
    bench.find_truth(&sample, &mut probes, &mut workers, par);
    let mut table = Vec::new();
    let plain = EFS.iter().map(|&ef| Setting { ef, gamma: 0.0 });
    let stopped = GAMMAS.iter().map(|&gamma| Setting { ef: GAMMA_EF, gamma });
    for &layout in layouts {
        let both: [&mut dyn Iterator<Item = Setting>; 2] = [&mut plain.clone(), &mut stopped.clone()];
        for ladder in both {
            for setting in ladder {
                if setting.gamma > 0.0 && setting.limits(K, params.metric, nodes).stop == f32::INFINITY {
                    break;
                }
                tell(&mut step)?;
                par.chunks(&mut probes, 8, &mut workers, |_, probes, worker| {
                    for probe in probes {
                        bench.walk(&held, probe, setting, layout, worker);
                    }
                });
                let rows = bench.tally(&probes, setting, layout);
                // The first row is that of the file's own refine level.
                let reached = rows.first().is_some_and(|row| row.recall >= ENOUGH);
                table.extend(rows);
                if reached || (setting.gamma == 0.0 && setting.ef >= nodes) {
                    break;
                }
            }
        }
    }
    Some(table)
}

/// Has queries keep `node` if it is near.
fn take_in<'a>(probes: impl Iterator<Item = &'a mut Probe>, node: u32, distance: impl Fn(&Probe) -> f32) {
    for probe in probes {
        let distance = distance(probe);
        probe.near.insert(Neighbor { distance, node }.key());
    }
}

impl Bench<'_> {
    fn exact(&self) -> bool {
        self.records.space.encoding != Encoding::Scaled
    }

    /// Brute force over the input, from its first row to its last, or over the records where those are the input.
    fn find_truth<P: Par>(&self, sample: &[u32], probes: &mut [Probe], workers: &mut [Worker], par: &P) {
        let met = self.met(sample);
        // A row of f32 and its codes as a query.
        let group = (QUERY_BYTES / (6 * self.input.vectors.dimensions())).max(TOGETHER);
        for probes in probes.chunks_mut(group) {
            for probe in &mut *probes {
                probe.near.reset(K);
                probe.prepared = self.prepare(probe.node);
                probe.prepared.length_sq = self.length_sq(probe.node);
                self.decode(probe.node, &mut probe.row);
            }
            for (step, met) in met.chunks(MET_TOGETHER).enumerate() {
                par.chunks(probes, TOGETHER, workers, |_, probes, worker| self.meet(step * MET_TOGETHER, met, probes, &mut worker.row));
            }
            for probe in probes {
                probe.truth.extend(probe.near.iter().map(|near| near.node));
                (probe.row, probe.prepared, probe.near) = Default::default();
            }
        }
    }

    /// Whom queries meet: of every input row the node that it became, and its squared length; or every node, where records are the input. Either
    /// is in the order in which what is compared lies. Not the sample.
    fn met(&self, sample: &[u32]) -> Vec<(u32, f32)> {
        let (nodes, exact) = (&self.arranged.nodes, self.exact());
        let mut met = vec![(NONE, 0.0); if exact { nodes.len() } else { self.input.vectors.rows() }];
        for (node, &row) in (0..).zip(nodes) {
            if place(sample, node).is_none() {
                let (at, length_sq) = if exact { (node, 0.0) } else { (row, self.length_sq(node)) };
                met[at as usize] = (node, length_sq);
            }
        }
        met
    }

    /// Distances of some of those that are met, in full precision; the first of them is number `first`.
    fn meet(&self, first: usize, met: &[(u32, f32)], probes: &mut [Probe], row: &mut Vec<f32>) {
        let Records { space, kernels, .. } = self.records;
        row.resize(self.input.vectors.dimensions(), 0.0);
        for (at, &(node, length_sq)) in (first..).zip(met).filter(|(_, met)| met.0 != NONE) {
            let probes = probes.iter_mut();
            if self.exact() {
                let record = self.records.record(node);
                let factors = space.layout.factors(record);
                take_in(probes, node, |probe| space.distance(&probe.prepared, &factors, space.dot(kernels, &probe.prepared, record)));
            } else {
                self.input.vectors.decode(kernels, at, row);
                take_in(probes, node, |probe| exact::distance(kernels, space.metric, &probe.row, probe.prepared.length_sq, row, length_sq));
            }
        }
    }

    /// Squared length of a node's input row.
    fn length_sq(&self, node: u32) -> f32 {
        self.records.space.layout.factors(self.records.record(node)).length_sq
    }

    /// A node's input row.
    fn decode(&self, node: u32, row: &mut Vec<f32>) {
        row.resize(self.input.vectors.dimensions(), 0.0);
        self.input.vectors.decode(self.records.kernels, self.arranged.nodes[node as usize] as usize, row);
    }

    fn prepare(&self, node: u32) -> Prepared {
        let mut prepared = Prepared::new();
        self.records.prepare(node, &mut prepared);
        prepared
    }

    /// Searches as an open file would, and counts true neighbours among the first `K` by records
    /// and by originals.
    fn walk(&self, held: &HeldOut, probe: &mut Probe, setting: Setting, layout: Layout, worker: &mut Worker) {
        let kernels = self.records.kernels;
        self.decode(probe.node, &mut worker.row);
        worker.query.query(self.records.space, kernels, Query::F32(&worker.row));
        if let Some(codes) = self.codes.filter(|_| cfg!(feature = "codes")) {
            codes.prepare(self.records, &mut worker.query);
        }
        probe.stats = Stats::default();
        match layout {
            Layout::Lean => self.walk_lean(held, probe, setting, worker),
            #[cfg(feature = "codes")]
            Layout::Fast => self.walk_fast(held, probe, setting, worker),
        }
        let truth = &probe.truth;
        let right = |found: &[Neighbor]| found.iter().take(K).filter(|near| truth.contains(&near.node)).count() as u32;
        probe.again[0] = self.rank(false, layout, worker);
        probe.found[0] = right(&worker.found);
        if !self.exact() && self.params.originals {
            probe.again[1] = self.rank(true, layout, worker);
            let space = self.records.space;
            let factors = |node| space.layout.factors(self.records.record(node));
            let Worker { query, found, .. } = &mut *worker;
            let Ok(()) = keep_in_doubt::<Infallible>(found, K, K, &|near| Ok(space.tolerance(query, &factors(near.node), near.distance)));
            probe.again[1] += worker.found.len() as u32;
            let own = worker.query.length_sq;
            for found in &mut worker.found {
                self.decode(found.node, &mut worker.row);
                let other = self.length_sq(found.node);
                found.distance = exact::distance(kernels, self.params.metric, &worker.query.full, own, &worker.row, other);
            }
            crate::graph::sort(&mut worker.found);
            probe.found[1] = right(&worker.found);
        }
    }

    /// Walks over nodes' own rows.
    fn walk_lean(&self, held: &HeldOut, probe: &mut Probe, setting: Setting, worker: &mut Worker) {
        let mut entry = 0;
        for layer in (1..self.graph.layers.len()).rev() {
            self.step(&held.layer(self, layer), worker, entry, Limits::ef(1), &mut probe.stats);
            entry = worker.beam.pool.iter().next().map_or(entry, |nearest| nearest.node);
        }
        let graph = held.layer(self, 0);
        self.step(&graph, worker, entry, setting.limits(K, self.params.metric, graph.view.nodes), &mut probe.stats);
    }

    /// Leaves in `found` what a walk found, as records rank it: where codes guided it those that they leave in doubt, for originals to rank
    /// if that is to be `exact`. Returns how many distances that takes.
    fn rank(&self, exact: bool, layout: Layout, worker: &mut Worker) -> u32 {
        #[cfg(feature = "codes")]
        if layout == Layout::Fast {
            worker.found.clear();
            worker.found.extend(worker.sweep.nearest.iter());
            return 0;
        }
        let Worker { beam, query, found, nodes, distances, buffers, .. } = worker;
        found.clear();
        let _ = layout;
        let Some(codes) = self.codes.filter(|_| cfg!(feature = "codes")) else {
            found.extend(beam.pool.iter());
            return 0;
        };
        let tolerance = |near: &Neighbor| Ok(codes.tolerance(self.records.space, query, near.node, near.distance, exact));
        let Ok(()) = take_in_doubt::<Infallible>(beam.pool.iter(), K, codes.ranked(K), &tolerance, &mut |_| Ok(true), found);
        nodes.clear();
        nodes.extend(found.iter().map(|found| found.node));
        distances.resize(nodes.len(), 0.0);
        let Ok(()) = self.records.distances(query, nodes, buffers, distances);
        found.iter_mut().zip(distances).for_each(|(found, distance)| found.distance = *distance);
        crate::graph::sort(found);
        found.len() as u32
    }

    /// Walks by codes of neighbours.
    #[cfg(feature = "codes")]
    fn walk_fast(&self, held: &HeldOut, probe: &mut Probe, setting: Setting, worker: &mut Worker) {
        let Some(neighbors) = self.neighbors else { return };
        let records = self.records;
        let Worker { sweep, query, .. } = worker;
        sweep.query.prepare(records.space, records.kernels, &neighbors.rotation, query);
        let limits = setting.limits(K, self.params.metric, records.rows());
        let graph = Surrounded { records, neighbors, instead: &held.rows };
        let keep = if self.params.originals { RERANK.max(limits.ef) } else { RERANK };
        let Ok(()) = sweep.search(&graph, records.kernels, query, [0], keep, limits, &mut probe.stats);
    }

    /// The layouts that the file will have.
    fn layouts(&self) -> &'static [Layout] {
        #[cfg(feature = "codes")]
        if self.neighbors.is_some() {
            return &[Layout::Lean, Layout::Fast];
        }
        &[Layout::Lean]
    }

    fn step(&self, graph: &Measured<'_>, worker: &mut Worker, entry: u32, limits: Limits, stats: &mut Stats) {
        let Ok(()) = worker.beam.search(graph, &worker.query, [entry], limits, stats);
    }

    /// Candidates computed again, as a file's table says it.
    fn rerank(&self) -> usize {
        #[cfg(feature = "codes")]
        if let Some(codes) = self.codes.filter(|codes| codes.is_coarse()) {
            return codes.ranked(K).1;
        }
        RERANK
    }

    /// One row a refine level.
    fn tally(&self, probes: &[Probe], setting: Setting, layout: Layout) -> Vec<QualityRow> {
        let count = probes.len() as f64;
        let mean = |value: &dyn Fn(&Probe) -> u64| probes.iter().map(value).sum::<u64>() as f64 / count;
        let levels: &[Refine] =
            if !self.exact() && self.params.originals { &[Refine::Originals, Refine::Records] } else { &[Refine::Records] };
        let row = |&refine: &Refine| {
            let rerank = match layout {
                Layout::Lean if self.codes.is_some() => self.rerank(),
                _ if refine == Refine::Originals => RERANK,
                _ => 0,
            };
            let again = mean(&|probe| u64::from(probe.again[refine as usize]));
            QualityRow {
                plan: Plan::Walk,
                layout,
                ef: setting.ef as u32,
                gamma: setting.gamma,
                refine,
                k: K as u32,
                rerank: rerank as u32,
                queries: probes.len() as u32,
                source: FROM_ROWS,
                recall: (mean(&|probe| u64::from(probe.found[refine as usize])) / K as f64) as f32,
                distances: (mean(&|probe| probe.stats.distances) + again) as f32,
                hops: mean(&|probe| probe.stats.hops) as f32,
            }
        };
        levels.iter().map(row).collect()
    }
}
