//! Many centroids in groups, so that a row need not be compared with all of them.
//!
//! Centroids are clustered as rows are, into as many groups as each then has members, about. A row is compared with the middles of the
//! groups, then with the members of the nearest few: of 70,000 centroids with some 8,700 (an inverted file, Sivic & Zisserman 2003, whose
//! lists are the groups). Now and then the nearest centroid lies in none of them, and one nearly as near takes its place.

use super::cluster::{Centroids, Rows, TOGETHER, Worker, answer, divide, owners};
use crate::graph::Neighbor;
use crate::graph::pool::Pool;
use crate::par::Par;
use crate::quant::Prepared;
use alloc::vec::Vec;
use core::ops::Range;

/// Groups whose members a row is compared with.
const PROBED: usize = 32;
/// Decides which centroids lead groups at first.
const SEED: u64 = 0x6772_6F75_7073;

/// Centroids by group.
#[derive(Debug)]
pub(super) struct Groups {
    middles: Centroids,
    /// The members of each group, in `numbers` and `records`.
    members: Vec<Range<usize>>,
    numbers: Vec<u32>,
    records: Vec<u8>,
    stride: usize,
}

impl Groups {
    /// Groups `centroids`, `sqrt(count)` of them. `O(count sqrt(count) dimensions)`.
    pub(super) fn of<P: Par>(centroids: &Centroids, rows: &Rows<'_>, par: &P, workers: &mut [Worker]) -> Self {
        let (count, stride) = (centroids.count(), centroids.stride);
        let places: Vec<usize> = (0..count).map(|centroid| centroid * stride).collect();
        let own = Rows { places: &places, bytes: &centroids.records, ..*rows };
        let everyone: Vec<u32> = (0..count as u32).collect();
        let middles = divide(&own, &everyone, count.isqrt().max(1), SEED, par, workers);
        let owned = owners(&middles, &own, &everyone, par, workers);
        let mut members = alloc::vec![0..0; middles.count()];
        let mut start = 0;
        for group in owned.chunk_by(|a, b| a.0 == b.0) {
            if let Some(members) = group.first().and_then(|first| members.get_mut(first.0 as usize)) {
                *members = start..start + group.len();
            }
            start += group.len();
        }
        let numbers: Vec<u32> = owned.iter().map(|&(_, centroid)| centroid).collect();
        let records = numbers.iter().flat_map(|&centroid| centroids.record(centroid)).copied().collect();
        Self { middles, members, numbers, records, stride }
    }

    /// As [`Centroids::nearest`], among the members of the groups that are nearest to a row.
    pub(super) fn nearest<P: Par, const N: usize>(
        &self,
        rows: &Rows<'_>,
        asked: &mut [(u32, [Neighbor; N])],
        par: &P,
        workers: &mut [Worker],
    ) {
        par.chunks(asked, TOGETHER, workers, |_, asked, worker| {
            let Worker { queries, pools, dots, distances, places } = worker;
            queries.resize_with(queries.len().max(1), Prepared::new);
            pools.resize_with(pools.len().max(2), Pool::default);
            let ([query, ..], [groups, found, ..]) = (&mut queries[..], &mut pools[..]) else { return };
            for (row, nearest) in asked {
                rows.prepare(*row, query);
                let mut compare = |records: &[u8], range: Range<usize>, pool: &mut Pool, number: &dyn Fn(usize) -> u32| {
                    places.clear();
                    places.extend(range.clone().map(|at| at * self.stride));
                    distances.resize(range.len(), 0.0);
                    rows.space.distances(None, rows.kernels, query, records, places, dots, distances);
                    for (at, &distance) in range.zip(&*distances) {
                        pool.insert(Neighbor { distance, node: number(at) }.key());
                    }
                };
                groups.reset(PROBED);
                compare(&self.middles.records, 0..self.middles.count(), groups, &|at| at as u32);
                found.reset(N);
                for group in groups.iter() {
                    compare(&self.records, self.members[group.node as usize].clone(), found, &|at| self.numbers[at]);
                }
                answer(found, nearest);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::cluster::NOBODY;
    use super::super::tests::Set;
    use super::*;
    use crate::distance::Kernels;
    use crate::format::{Element, Metric};
    use crate::par::{Backwards, Serial};
    use alloc::vec;

    /// The nearest three of `count` rows, as centroids, to each row: among all, and among groups.
    fn both<P: Par>(set: &Set, count: usize, kernels: &'static Kernels, par: &P) -> [Vec<(u32, [Neighbor; 3])>; 2] {
        let rows = set.rows(kernels);
        let stride = rows.space.layout.stride;
        let centroids = Centroids::of(rows.bytes[..count * stride].to_vec(), stride);
        let mut workers: Vec<Worker> = (0..par.threads()).map(|_| Worker::default()).collect();
        let mut all = vec![(0, [NOBODY; 3]); rows.count()];
        (0..).zip(&mut all).for_each(|(row, asked)| asked.0 = row);
        let mut grouped = all.clone();
        centroids.nearest(&rows, &mut all, par, &mut workers);
        Groups::of(&centroids, &rows, par, &mut workers).nearest(&rows, &mut grouped, par, &mut workers);
        [all, grouped]
    }

    #[test]
    fn where_every_group_is_near_none_is_missed() {
        for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
            let set = Set::new(metric, Element::F32, 700, 40, usize::MAX);
            let [all, grouped] = both(&set, 250, Kernels::best(), &Serial);
            assert_eq!(all, grouped, "{metric}");
        }
    }

    #[test]
    fn few_are_missed_and_what_takes_their_place_is_nearly_as_near() {
        let set = Set::new(Metric::L2, Element::F32, 3000, 300, usize::MAX);
        let [all, grouped] = both(&set, 2000, Kernels::best(), &Serial);
        let missed = all.iter().zip(&grouped).filter(|(all, grouped)| all.1[0] != grouped.1[0]).count();
        assert!(missed < 60, "{missed} of 3,000");
        let [best, found] = [&all, &grouped].map(|found| found.iter().map(|(_, near)| f64::from(near[0].distance)).sum::<f64>());
        assert!(found <= 1.02 * best, "{found} for {best}");
        assert!(grouped.iter().all(|(_, near)| near[2].node != u32::MAX && near.is_sorted_by(|a, b| a.key() < b.key())));
    }

    #[test]
    fn groups_do_not_depend_on_threads_or_kernels() {
        let set = Set::new(Metric::L2, Element::U8, 900, 60, usize::MAX);
        let [_, once] = both(&set, 600, Kernels::best(), &Serial);
        for kernels in Kernels::available() {
            let [_, again] = both(&set, 600, kernels, &Backwards(3));
            assert!(again == once, "{}", kernels.name());
        }
    }

    #[test]
    fn centroids_that_are_all_alike_are_one_group() {
        let set = Set::new(Metric::L2, Element::F32, 400, 1, 1);
        let [all, grouped] = both(&set, 400, Kernels::best(), &Serial);
        assert_eq!(all, grouped);
    }
}
