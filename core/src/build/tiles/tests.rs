//! Centroids, tiles and what is measured of them, against plain arithmetic.

use super::assign::{Tile, assign};
use super::cluster::{Centroids, Rows, Worker, centroids, compact_in};
use super::measure::measure;
use super::*;
use crate::format::{Element, Metric};
use crate::par::{Backwards, Serial};
use crate::quant::signs::coordinates;
use crate::quant::{Encoding, RecordLayout};
use crate::seed::SplitMix;
use crate::vectors::Vectors;
use alloc::collections::BTreeSet;

const METRICS: [Metric; 3] = [Metric::L2, Metric::InnerProduct, Metric::Cosine];
const ELEMENTS: [Element; 3] = [Element::F32, Element::U8, Element::I8];

/// Records as a file has them.
pub(super) struct Set {
    metric: Metric,
    bytes: Vec<u8>,
    places: Vec<usize>,
    /// How rows are compact.
    compact: Space,
    space: Space,
}

impl Set {
    /// Rows around `groups` centres; after the first `differ` they repeat.
    pub(super) fn new(metric: Metric, element: Element, rows: usize, groups: u64, differ: usize) -> Self {
        const DIMENSIONS: usize = 12;
        let kernels = Kernels::best();
        let mut random = SplitMix::new(31);
        let layout = RecordLayout::new(DIMENSIONS);
        let space = Space { metric, encoding: Encoding::of(element), layout, mean: vec![0.0; DIMENSIONS] };
        let middles: Vec<f32> = (0..groups as usize * DIMENSIONS).map(|_| random.below(161) as f32 - 80.0).collect();
        let (mut bytes, mut work) = (Vec::new(), Vec::new());
        for row in 0..rows {
            if row >= differ {
                bytes.extend_from_within((row - differ) * layout.stride..(row - differ + 1) * layout.stride);
                continue;
            }
            let middle = &middles[random.below(groups) as usize * DIMENSIONS..][..DIMENSIONS];
            let values = middle.iter().map(|x| x + random.below(41) as f32 - 20.0);
            let data: Vec<u8> = match element {
                Element::F32 => values.flat_map(|x| (x / 64.0).to_le_bytes()).collect(),
                Element::U8 => values.map(|x| (x + 110.0) as u8).collect(),
                _ => values.map(|x| (x as i8).cast_unsigned()).collect(),
            };
            let mut record = vec![0; layout.stride];
            let vectors = Vectors::packed(element, DIMENSIONS, &data).expect("a row");
            let factors = space.encode(kernels, &vectors, 0, &mut work, &mut record);
            layout.write_tail(&mut record, factors, row as u64, (0, 0));
            bytes.extend(record);
        }
        let places = (0..rows).map(|row| row * layout.stride).collect();
        Self { metric, bytes, places, compact: Space { metric: compact_in(metric), ..space.clone() }, space }
    }

    pub(super) fn rows(&self, kernels: &'static Kernels) -> Rows<'_> {
        Rows { places: &self.places, bytes: &self.bytes, space: &self.compact, kernels }
    }

    /// What tiles are made of for `count` centroids.
    fn tiles(&self, count: usize, par: &impl Par, kernels: &'static Kernels) -> (Centroids, Vec<Tile>) {
        let rows = self.rows(kernels);
        let mut workers: Vec<Worker> = (0..par.threads()).map(|_| Worker::default()).collect();
        let found = centroids(&rows, count, 9, par, &mut workers, &mut || true).expect("nobody stops it");
        let tiles = assign(&rows, &found, par, &mut workers);
        (found, tiles)
    }

    /// A record where rows are coded.
    fn point(&self, record: &[u8]) -> Vec<f64> {
        let mut vector = Vec::new();
        coordinates(&self.compact, record, &mut vector);
        vector.into_iter().map(f64::from).collect()
    }

    fn points(&self) -> Vec<Vec<f64>> {
        self.places.iter().map(|&place| self.point(&self.bytes[place..place + self.space.layout.stride])).collect()
    }
}

fn square(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

#[test]
fn centroids_and_tiles_do_not_depend_on_threads_or_kernels() {
    for metric in METRICS {
        for element in ELEMENTS {
            let set = Set::new(metric, element, 600, 9, usize::MAX);
            let (centroids, tiles) = set.tiles(20, &Serial, Kernels::by_name("scalar").expect("every machine has them"));
            for kernels in Kernels::available() {
                for threads in [1, 2, 7] {
                    let (again, tiles_again) = set.tiles(20, &Backwards(threads), kernels);
                    assert!(again.records == centroids.records, "{metric} {element}: {threads} threads under {}", kernels.name());
                    assert_eq!(tiles_again, tiles, "{metric} {element}: {threads} threads under {}", kernels.name());
                }
            }
        }
    }
}

/// Rounds of k-means bring rows nearer to their centroids than the rows that it began with are, and about as many tiles come out as asked.
#[test]
fn centroids_are_in_the_middle_of_rows() {
    for metric in METRICS {
        for element in ELEMENTS {
            let set = Set::new(metric, element, 800, 200, usize::MAX);
            let points = set.points();
            let (found, _) = set.tiles(25, &Serial, Kernels::best());
            assert!((20..=40).contains(&found.count()), "{}", found.count());
            let mean = |centres: &[Vec<f64>]| {
                let nearest = |point: &Vec<f64>| centres.iter().map(|centre| square(point, centre)).fold(f64::INFINITY, f64::min);
                points.iter().map(nearest).sum::<f64>() / points.len() as f64
            };
            let centres: Vec<Vec<f64>> = (0..found.count() as u32).map(|centroid| set.point(found.record(centroid))).collect();
            let (with, without) = (mean(&centres), mean(&points[..found.count()]));
            assert!(with < 0.8 * without, "{metric} {element}: {with} beside {without}");
        }
    }
}

/// By the definition, in double precision: the own tile is that of the nearest centroid, the second the one with the least loss among the
/// eight nearest.
#[test]
fn every_row_has_one_tile_of_its_own_and_is_spilled_where_the_loss_is_least() {
    for metric in METRICS {
        for element in ELEMENTS {
            let set = Set::new(metric, element, 500, 40, usize::MAX);
            let (found, tiles) = set.tiles(30, &Serial, Kernels::best());
            let centres: Vec<Vec<f64>> = (0..found.count() as u32).map(|centroid| set.point(found.record(centroid))).collect();
            let (mut owned, mut copies, mut second) = (BTreeSet::new(), vec![0; 500], 0);
            for tile in &tiles {
                assert!(tile.rows.is_sorted_by(|a, b| a < b));
                assert!(tile.rows.iter().all(|&row| owned.insert(row)), "{metric} {element}: a row of two tiles");
                let held: BTreeSet<&u32> = tile.rows.iter().chain(&tile.spilled).collect();
                assert_eq!(held.len(), tile.rows.len() + tile.spilled.len(), "a row twice in a tile");
                held.iter().for_each(|&&row| copies[row as usize] += 1);
            }
            assert_eq!(owned.len(), 500);
            assert!(copies.iter().all(|copies| (2..=3).contains(copies)), "{metric} {element}: {copies:?}");
            for (row, point) in set.points().iter().enumerate() {
                let mut near: Vec<(f64, usize)> = centres.iter().map(|centre| square(point, centre)).zip(0..).collect();
                near.sort_by(|a, b| a.0.total_cmp(&b.0));
                let (own, first) = near[0];
                let loss = |&(far, centre): &(f64, usize)| {
                    let along: f64 = (0..point.len()).map(|i| (point[i] - centres[first][i]) * (point[i] - centres[centre][i])).sum();
                    (far + along * along / own, centre)
                };
                let least = near[1..8].iter().map(loss).min_by(|a, b| a.0.total_cmp(&b.0)).expect("seven others");
                let holds = |tile: &&Tile, centre: usize| tile.centroid as usize == centre;
                assert!(tiles.iter().find(|tile| holds(tile, first)).is_some_and(|tile| tile.rows.contains(&(row as u32))), "row {row}");
                second +=
                    u32::from(tiles.iter().find(|tile| holds(tile, least.1)).is_some_and(|tile| tile.spilled.contains(&(row as u32))));
            }
            // But for losses that are as good as equal.
            assert!(second >= 495, "{metric} {element}: {second}");
        }
    }
}

#[test]
fn blocks_are_filled_as_far_as_there_are_rows_for_it() {
    let set = Set::new(Metric::L2, Element::F32, 3000, 100, usize::MAX);
    let (_, tiles) = set.tiles(60, &Serial, Kernels::best());
    let slots: Vec<usize> = tiles.iter().map(|tile| tile.rows.len() + tile.spilled.len()).collect();
    let free: usize = slots.iter().map(|slots| slots.next_multiple_of(BLOCK_SLOTS) - slots).sum();
    let full = slots.iter().filter(|slots| slots.is_multiple_of(BLOCK_SLOTS)).count();
    assert!(full * 10 > tiles.len() * 8 && free < 300, "{full} of {} full, {free} free", tiles.len());
}

#[test]
fn radii_are_those_of_the_farthest_own_rows() {
    for metric in METRICS {
        let set = Set::new(metric, Element::F32, 300, 9, usize::MAX);
        let (found, tiles) = set.tiles(12, &Serial, Kernels::best());
        let (points, half) = (set.points(), if metric == Metric::Cosine { 0.5 } else { 1.0 });
        for tile in tiles {
            let centre = set.point(found.record(tile.centroid));
            let farthest = tile.rows.iter().map(|&row| half * square(&points[row as usize], &centre)).fold(0.0, f64::max);
            assert!((f64::from(tile.radius) - farthest).abs() <= 1e-3 * farthest + 1e-6, "{metric}: {} and {farthest}", tile.radius);
        }
    }
}

#[test]
fn equal_rows_make_one_centroid_and_tiles_of_bounded_size() {
    for (metric, element) in METRICS.into_iter().zip(ELEMENTS) {
        let set = Set::new(metric, element, 5000, 1, 1);
        let (found, tiles) = set.tiles(100, &Serial, Kernels::best());
        assert!(found.records.chunks_exact(found.record(0).len()).all(|record| record == found.record(0)));
        assert_eq!(tiles.iter().map(|tile| tile.rows.len()).collect::<Vec<_>>(), [4096, 904], "{metric} {element}");
        assert!(tiles.iter().all(|tile| tile.centroid == tiles[0].centroid && tile.radius < 1e-3));
    }
}

/// Equal rows are in one tile, one behind the other.
#[test]
fn twins_are_own_rows_of_one_tile() {
    let set = Set::new(Metric::Cosine, Element::U8, 400, 30, 200);
    let (_, tiles) = set.tiles(15, &Serial, Kernels::best());
    for tile in tiles {
        assert!(tile.rows.iter().all(|&row| row < 200 || tile.rows.contains(&(row - 200))));
    }
}

#[test]
fn a_large_tile_is_divided_by_its_own_rows() {
    // Nine tenths of the rows in one group, of which few were drawn at first.
    let mut set = Set::new(Metric::L2, Element::F32, 2000, 1, usize::MAX);
    let far = Set::new(Metric::L2, Element::F32, 40, 40, usize::MAX);
    set.places.extend(far.places.iter().map(|place| place + set.bytes.len()));
    set.bytes.extend(&far.bytes);
    let (_, tiles) = set.tiles(80, &Serial, Kernels::best());
    let largest = tiles.iter().map(|tile| tile.rows.len()).max().unwrap_or(0);
    assert!(largest <= 4 * 2040_usize.div_ceil(80) + 30, "{largest}");
}

#[test]
fn whoever_is_told_may_stop() {
    let set = Set::new(Metric::L2, Element::U8, 100, 5, usize::MAX);
    for stop in 0..cluster::PASSES {
        let mut left = stop;
        let mut tell = || {
            let go_on = left > 0;
            left = left.saturating_sub(1);
            go_on
        };
        let mut workers = [Worker::default()];
        assert!(centroids(&set.rows(Kernels::best()), 10, 9, &Serial, &mut workers, &mut tell).is_none());
    }
}

/// Recalls of the table are those that searches of its settings have: rows are found for what is said to be fetched.
#[test]
fn the_table_of_recalls_ascends_in_recall_and_is_what_its_rows_cost() {
    for metric in METRICS {
        let set = Set::new(metric, Element::F32, 1500, 300, usize::MAX);
        let kernels = Kernels::best();
        let (found, tiles) = set.tiles(60, &Serial, kernels);
        let rotation = Rotation::new(12, 4);
        let tiled = Tiled::new(set.rows(kernels), &set.space, &rotation, &found, tiles, &Serial);
        assert_eq!(tiled.space.metric, set.metric);
        let table = measure(&tiled, 72, 1, &Serial);
        assert_eq!(measure(&tiled, 72, 1, &Backwards(5)), table, "whatever the threads");
        assert!(table.len() >= 4, "{metric}: {table:?}");
        assert!(table.is_sorted_by(|a, b| a.recall < b.recall), "{metric}: {table:?}");
        assert!(table.last().is_some_and(|row| row.recall >= 0.98), "{metric}: {table:?}");
        assert!(table.iter().all(|row| row.ef as usize <= tiled.tiles.len() && row.rerank >= 10 && row.queries == 500));
    }
}
