//! k-means to the bit: the same rows, seed and rounds give the same centroids on every machine.
//!
//! Lloyd's rounds (Lloyd 1982) with what usually depends on chance or on threads fixed: the first centroids are rows drawn by a seed, a
//! row belongs to the nearest centroid and of two as near to the smaller, sums are f64 in row order, rounds are counted and not
//! stopped by a threshold, and a cluster without rows is given the row that lies farthest from its own centroid (of two as far the
//! smaller, each row once).

use crate::distance::Kernels;
use crate::seed;
use crate::sort;
use alloc::vec;
use alloc::vec::Vec;

/// Rows of equal length, one behind the other, and where their parts lie.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// All elements.
    pub values: &'a [f32],
    /// Elements of a row.
    pub stride: usize,
    /// First element of the part that is clustered.
    pub start: usize,
    /// Elements of the part.
    pub length: usize,
}

impl<'a> Rows<'a> {
    fn count(&self) -> usize {
        self.values.len() / self.stride
    }

    fn row(&self, row: usize) -> &'a [f32] {
        &self.values[row * self.stride + self.start..][..self.length]
    }
}

/// Centroids of `count` clusters of `rows`, column by column: the first coordinates of all, then the second ones, and so on. With fewer
/// rows than clusters some centroids repeat. `O(rows * count * length)` a round.
///
/// # Panics
/// If there is no row, no cluster, or a part without elements or beyond its row.
#[must_use]
pub fn centroids(kernels: &Kernels, rows: Rows<'_>, count: usize, rounds: usize, seed: u64) -> Vec<f32> {
    assert!(count > 0 && rows.count() > 0 && rows.length > 0 && rows.start + rows.length <= rows.stride);
    let first = seed::sample(seed, rows.count() as u64, count);
    let mut columns = vec![0.0; count * rows.length];
    for (cluster, &row) in first.iter().cycle().take(count).enumerate() {
        set(&mut columns, count, cluster, rows.row(row as usize).iter().copied());
    }
    let (mut owners, mut distances) = (vec![(0, 0.0f32); rows.count()], vec![0.0; count]);
    for _ in 0..rounds {
        for (row, owner) in owners.iter_mut().enumerate() {
            *owner = nearest(kernels, &columns, rows.row(row), &mut distances);
        }
        update(&rows, &owners, &mut columns);
    }
    columns
}

/// Writes the coordinates of one centroid.
fn set(columns: &mut [f32], count: usize, cluster: usize, values: impl Iterator<Item = f32>) {
    columns[cluster..].iter_mut().step_by(count).zip(values).for_each(|(x, value)| *x = value);
}

/// The centroid nearest to `vector`, of two as near the smaller, and its squared distance; `distances` is scratch, one a centroid.
pub(crate) fn nearest(kernels: &Kernels, columns: &[f32], vector: &[f32], distances: &mut [f32]) -> (usize, f32) {
    const LANES: usize = 16;
    kernels.l2_columns_f32(vector, columns, distances);
    // The least value first, its place then: lanes of their own, so that the compiler takes many at once.
    let mut lanes = [f32::INFINITY; LANES];
    let (chunks, rest) = distances.as_chunks::<LANES>();
    for chunk in chunks {
        for (least, &x) in lanes.iter_mut().zip(chunk) {
            *least = if x < *least { x } else { *least };
        }
    }
    let least = lanes.iter().chain(rest).fold(f32::INFINITY, |least, &x| if x < least { x } else { least });
    (distances.iter().position(|&x| x == least).unwrap_or(0), least)
}

/// Moves every centroid to the mean of its rows.
fn update(rows: &Rows<'_>, owners: &[(usize, f32)], columns: &mut [f32]) {
    let count = columns.len() / rows.length;
    let mut sums = vec![0.0f64; columns.len()];
    let mut counts = vec![0u32; count];
    for (row, &(owner, _)) in owners.iter().enumerate() {
        counts[owner] += 1;
        for (sum, &x) in sums[owner * rows.length..].iter_mut().zip(rows.row(row)) {
            *sum += f64::from(x);
        }
    }
    for (cluster, (sums, &owned)) in sums.chunks_exact(rows.length).zip(&counts).enumerate() {
        if owned > 0 {
            set(columns, count, cluster, sums.iter().map(|&sum| (sum / f64::from(owned)) as f32));
        }
    }
    if !counts.contains(&0) {
        return;
    }
    // Distances are not negative, so their bits sort as they do.
    let mut far: Vec<(u32, u32)> = owners.iter().zip(0..).map(|(owner, row)| (u32::MAX - owner.1.to_bits(), row)).collect();
    sort::by_key(&mut far, |pair| *pair);
    let empty = counts.iter().enumerate().filter(|(_, count)| **count == 0);
    for ((cluster, _), &(_, row)) in empty.zip(&far) {
        set(columns, count, cluster, rows.row(row as usize).iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::SplitMix;

    /// Mean squared distance of rows to their centroids.
    fn error(rows: &Rows<'_>, centroids: &[f32]) -> f64 {
        let all = (0..rows.count())
            .map(|row| f64::from(nearest(Kernels::best(), centroids, rows.row(row), &mut vec![0.0; centroids.len() / rows.length]).1));
        all.sum::<f64>() / rows.count() as f64
    }

    fn random(count: usize) -> Vec<f32> {
        let mut random = SplitMix::new(4);
        (0..count).map(|_| random.below(1000) as f32 / 100.0).collect()
    }

    #[test]
    fn rounds_only_improve_and_every_backend_finds_the_same() {
        let values = random(600 * 12);
        let rows = Rows { values: &values, stride: 12, start: 2, length: 7 };
        let mut last = f64::INFINITY;
        for rounds in 0..8 {
            let found = centroids(Kernels::best(), rows, 16, rounds, 5);
            for kernels in Kernels::available() {
                let same = centroids(kernels, rows, 16, rounds, 5);
                assert!(found.iter().zip(&same).all(|(a, b)| a.to_bits() == b.to_bits()), "{}", kernels.name());
            }
            let error = error(&rows, &found);
            assert!(error <= last * 1.000_001, "round {rounds}: {error} after {last}");
            last = error;
        }
    }

    #[test]
    fn clusters_without_rows_take_the_farthest_ones() {
        // Two values, one of them once: whichever rows are drawn first, four clusters end with both.
        let mut values = vec![1.0; 50];
        values[33] = 9.0;
        let rows = Rows { values: &values, stride: 1, start: 0, length: 1 };
        for seed in 0..20 {
            let found = centroids(Kernels::best(), rows, 4, 2, seed);
            assert!(found.contains(&1.0) && found.contains(&9.0), "{found:?}");
        }
    }

    #[test]
    fn of_two_centroids_as_near_the_smaller_owns() {
        assert_eq!(nearest(Kernels::best(), &[5.0, 1.0, 3.0, 1.0], &[2.0], &mut [0.0; 4]), (1, 1.0));
        let mut many = vec![7.0; 40];
        (many[17], many[38]) = (2.5, 1.5);
        assert_eq!(nearest(Kernels::best(), &many, &[2.0], &mut [0.0; 40]), (17, 0.25));
    }
}
