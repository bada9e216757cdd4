//! Centroids of tiles: k-means to the bit over records.
//!
//! Lloyd's rounds (Lloyd 1982) over a seeded sample, with what usually depends on chance or threads fixed: the first centroids are rows
//! drawn by a seed; a centroid is coded as a record, so that distances are exact integer products; a row belongs to the nearest and of
//! two as near to the smaller; a mean sums its rows in their order in f64; rounds are counted. Centroids without rows are left out.

use super::groups::Groups;
use crate::distance::Kernels;
use crate::format::Metric;
use crate::graph::Neighbor;
use crate::graph::pool::Pool;
use crate::par::Par;
use crate::quant::signs::{coordinates, is_turned};
use crate::quant::{Encoding, Prepared, Space, scalar};
use crate::seed;
use alloc::vec;
use alloc::vec::Vec;

/// Rounds of k-means.
const ROUNDS: usize = 8;
/// Rows of the sample for each centroid.
const SAMPLE: usize = 32;
/// Rows whose distances are computed while a piece of the centroids lies in the cache.
pub(super) const TOGETHER: usize = 32;
/// Centroids of such a piece.
const PIECE: usize = 128;
/// More centroids than this are looked for in groups: from 2.4 million rows on, in tiles of 144. Below, every centroid is compared, which finds a little more.
const GROUPED: usize = 16_384;
/// No centroid.
pub(super) const NOBODY: Neighbor = Neighbor { distance: f32::INFINITY, node: u32::MAX };
/// A tile with this many times the rows it should have is divided.
const LARGE: usize = 4;

/// The rows that are put into tiles, by number from 0.
#[derive(Clone, Copy, Debug)]
pub(in crate::build) struct Rows<'a> {
    /// Where a row's record begins in `bytes`.
    pub(in crate::build) places: &'a [usize],
    pub(in crate::build) bytes: &'a [u8],
    /// How records read; its metric is the one that tiles are compact in.
    pub(in crate::build) space: &'a Space,
    pub(in crate::build) kernels: &'static Kernels,
}

impl<'a> Rows<'a> {
    pub(in crate::build) fn count(&self) -> usize {
        self.places.len()
    }

    pub(in crate::build) fn record(&self, row: u32) -> &'a [u8] {
        &self.bytes[self.places[row as usize]..][..self.space.layout.stride]
    }

    /// The row as a query of its own codes.
    pub(in crate::build) fn prepare(&self, row: u32, query: &mut Prepared) {
        prepare(self.space, self.record(row), query);
    }
}

fn prepare(space: &Space, record: &[u8], query: &mut Prepared) {
    query.record(space, &record[..space.layout.factors], &space.layout.factors(record));
}

/// The metric in which tiles are compact: a query's nearest by inner product lie in tiles whose centroids are near by it, but rows belong
/// together by how far apart they are.
pub(in crate::build) fn compact_in(metric: Metric) -> Metric {
    if metric == Metric::Cosine { Metric::Cosine } else { Metric::L2 }
}

/// Middles of tiles, each a record.
#[derive(Clone, Debug, Default)]
pub(in crate::build) struct Centroids {
    pub(in crate::build) records: Vec<u8>,
    pub(super) stride: usize,
}

/// A centroid with each of the rows that it owns, and the record that it becomes.
type Group<'a> = (&'a [(u32, u32)], Vec<u8>);

/// Scratch of one thread.
#[derive(Debug, Default)]
pub(in crate::build) struct Worker {
    pub(super) queries: Vec<Prepared>,
    pub(super) pools: Vec<Pool>,
    pub(super) dots: Vec<i32>,
    pub(super) distances: Vec<f32>,
    pub(super) places: Vec<usize>,
}

impl Centroids {
    /// Centroids that are these records, of `stride` bytes each.
    pub(in crate::build) fn of(records: Vec<u8>, stride: usize) -> Self {
        Self { records, stride }
    }

    pub(in crate::build) fn count(&self) -> usize {
        self.records.len() / self.stride.max(1)
    }

    pub(in crate::build) fn record(&self, centroid: u32) -> &[u8] {
        &self.records[centroid as usize * self.stride..][..self.stride]
    }

    /// Puts the centroid of one number into the place of another.
    fn set(&mut self, centroid: usize, record: &[u8]) {
        self.records[centroid * self.stride..][..self.stride].copy_from_slice(record);
    }

    /// Squared distance of two centroids, or half of it under cosine.
    pub(in crate::build) fn distance(&self, rows: &Rows<'_>, query: &mut Prepared, a: u32, b: u32) -> f32 {
        prepare(rows.space, self.record(a), query);
        let record = self.record(b);
        rows.space.distance(query, &rows.space.layout.factors(record), rows.space.dot(rows.kernels, query, record))
    }

    /// For each of `asked`, rows and room for their answers, the nearest centroids, nearest first, of two as near the smaller. Where there
    /// are many centroids, the nearest of those in groups near the row: [`super::groups`].
    pub(in crate::build) fn nearest<P: Par, const N: usize>(
        &self,
        rows: &Rows<'_>,
        asked: &mut [(u32, [Neighbor; N])],
        par: &P,
        workers: &mut [Worker],
    ) {
        if self.count() > GROUPED {
            return Groups::of(self, rows, par, workers).nearest(rows, asked, par, workers);
        }
        par.chunks(asked, TOGETHER, workers, |_, asked, worker| {
            let Worker { queries, pools, dots, distances, places } = worker;
            queries.resize_with(TOGETHER, Prepared::new);
            pools.resize_with(TOGETHER, Pool::default);
            for ((row, _), (query, pool)) in asked.iter().zip(queries.iter_mut().zip(pools.iter_mut())) {
                rows.prepare(*row, query);
                pool.reset(N);
            }
            for start in (0..self.count()).step_by(PIECE) {
                let end = (start + PIECE).min(self.count());
                places.clear();
                places.extend((start..end).map(|centroid| centroid * self.stride));
                distances.resize(end - start, 0.0);
                for (query, pool) in queries.iter().zip(pools.iter_mut()).take(asked.len()) {
                    rows.space.distances(None, rows.kernels, query, &self.records, places, dots, distances);
                    for (node, &distance) in (start as u32..).zip(&*distances) {
                        pool.insert(Neighbor { distance, node }.key());
                    }
                }
            }
            for ((_, nearest), pool) in asked.iter_mut().zip(pools.iter()) {
                answer(pool, nearest);
            }
        });
    }

    /// Moves each centroid to the mean of the rows that it owns; one without rows stays. `owned` is sorted by (centroid, row).
    pub(in crate::build) fn update<P: Par>(&mut self, rows: &Rows<'_>, owned: &[(u32, u32)], par: &P) {
        let mut moved: Vec<(usize, Vec<u8>)> = Vec::new();
        let mut jobs: Vec<Group<'_>> = owned.chunk_by(|a, b| a.0 == b.0).map(|group| (group, Vec::new())).collect();
        let mut workers = vec![(Vec::new(), Vec::new()); par.threads()];
        par.chunks(&mut jobs, 16, &mut workers, |_, jobs, (sums, vector)| {
            for (group, record) in jobs {
                sums.clear();
                sums.resize(rows.space.layout.dimensions, 0.0f64);
                for &(_, row) in *group {
                    coordinates(rows.space, rows.record(row), vector);
                    sums.iter_mut().zip(&*vector).for_each(|(sum, &x)| *sum += f64::from(x));
                }
                vector.clear();
                vector.extend(sums.iter().map(|&sum| (sum / group.len() as f64) as f32));
                *record = coded(rows, vector);
            }
        });
        moved.extend(jobs.into_iter().filter_map(|(group, record)| group.first().map(|owner| (owner.0 as usize, record))));
        moved.iter().for_each(|(centroid, record)| self.set(*centroid, record));
    }
}

/// Gives out what a pool holds; [`NOBODY`] where it holds less.
pub(super) fn answer(pool: &Pool, nearest: &mut [Neighbor]) {
    nearest.fill(NOBODY);
    nearest.iter_mut().zip(pool.iter()).for_each(|(place, near)| *place = near);
}

/// A record for coordinates as [`coordinates`] gives them.
fn coded(rows: &Rows<'_>, vector: &mut [f32]) -> Vec<u8> {
    let (space, kernels) = (rows.space, rows.kernels);
    let mut record = vec![0; space.layout.stride];
    let codes = &mut record[..space.layout.dimensions];
    let factors = if space.encoding == Encoding::Scaled {
        scalar::encode(kernels, vector, 0.0, bytemuck::cast_slice_mut(codes))
    } else {
        let (least, most) = if space.encoding == Encoding::U8 { (0.0, 255.0) } else { (-127.0, 127.0) };
        // Directions alone count where rows were brought to unit length: they take the whole range.
        let largest = vector.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
        let grow = if is_turned(space) && largest > 0.0 { most / largest } else { 1.0 };
        let mut norm = 0u32;
        for (code, x) in codes.iter_mut().zip(vector) {
            let value = scalar::round_ties_even(*x * grow).clamp(least, most);
            norm += (value * value) as u32;
            *code = if space.encoding == Encoding::U8 { value as u8 } else { (value as i8).cast_unsigned() };
        }
        crate::quant::Factors { scale: 1.0, norm, length_sq: norm as f32, flags: 0 }
    };
    space.layout.write_tail(&mut record, factors, 0, (0, 0));
    record
}

/// Told of each finished pass; false stops.
pub(in crate::build) type Tell<'a> = dyn FnMut() -> bool + 'a;

/// Passes that [`centroids`] tells of.
pub(in crate::build) const PASSES: u64 = ROUNDS as u64 + 1;

/// Centroids of about `count` tiles. `None` when `tell` says so. `O(rows * count * dimensions)`, of more than [`GROUPED`] tiles
/// `O(rows * sqrt(count) * dimensions)`.
pub(in crate::build) fn centroids<P: Par>(
    rows: &Rows<'_>,
    count: usize,
    seed: u64,
    par: &P,
    workers: &mut [Worker],
    tell: &mut Tell<'_>,
) -> Option<Centroids> {
    let all = rows.count();
    let stride = rows.space.layout.stride;
    let mut sample: Vec<u32> =
        seed::sample(seed::hash(seed, 1, 0), all as u64, count.saturating_mul(SAMPLE)).into_iter().map(|row| row as u32).collect();
    sample.sort_unstable();
    let mut centroids = Centroids { records: Vec::new(), stride };
    for row in seed::sample(seed::hash(seed, 2, 0), sample.len() as u64, count) {
        centroids.records.extend_from_slice(rows.record(sample[row as usize]));
    }
    for _ in 0..ROUNDS {
        let owned = owners(&centroids, rows, &sample, par, workers);
        centroids.update(rows, &owned, par);
        tell().then_some(())?;
    }
    // Tiles that came out large are divided by the same means, each for itself.
    let everyone: Vec<u32> = (0..all as u32).collect();
    let owned = owners(&centroids, rows, &everyone, par, workers);
    let wanted = all.div_ceil(count.max(1));
    let mut divided = Centroids { records: Vec::new(), stride };
    for group in owned.chunk_by(|a, b| a.0 == b.0) {
        let centroid = group.first().map_or(0, |owner| owner.0);
        if group.len() <= LARGE * wanted {
            divided.records.extend_from_slice(centroids.record(centroid));
            continue;
        }
        let members: Vec<u32> = group.iter().map(|owner| owner.1).collect();
        divided
            .records
            .extend(divide(rows, &members, group.len().div_ceil(wanted), seed::hash(seed, 3, centroid.into()), par, workers).records);
    }
    tell().then_some(divided)
}

/// Centroids of some rows alone, those without rows left out.
pub(super) fn divide<P: Par>(rows: &Rows<'_>, members: &[u32], count: usize, seed: u64, par: &P, workers: &mut [Worker]) -> Centroids {
    let mut parts = Centroids { records: Vec::new(), stride: rows.space.layout.stride };
    for row in seed::sample(seed, members.len() as u64, count) {
        parts.records.extend_from_slice(rows.record(members[row as usize]));
    }
    let mut owned = owners(&parts, rows, members, par, workers);
    for _ in 0..ROUNDS / 2 {
        parts.update(rows, &owned, par);
        owned = owners(&parts, rows, members, par, workers);
    }
    let kept = owned.chunk_by(|a, b| a.0 == b.0).filter_map(<[_]>::first);
    let records = kept.flat_map(|owner| parts.record(owner.0)).copied().collect();
    Centroids { records, ..parts }
}

/// (nearest centroid, row) of each row of `asked`, sorted.
pub(super) fn owners<P: Par>(centroids: &Centroids, rows: &Rows<'_>, asked: &[u32], par: &P, workers: &mut [Worker]) -> Vec<(u32, u32)> {
    let mut nearest: Vec<(u32, [Neighbor; 1])> = asked.iter().map(|&row| (row, [NOBODY])).collect();
    centroids.nearest(rows, &mut nearest, par, workers);
    let mut owned: Vec<(u32, u32)> = nearest.iter().map(|(row, [near])| (near.node, *row)).collect();
    owned.sort_unstable();
    owned
}
