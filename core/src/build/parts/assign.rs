//! Which parts a row belongs to.
//!
//! The middles of parts are found by rounds of k-means on a seeded sample (to the bit, as those of tiles are) in which a part takes no
//! more than its share: a row goes to the nearest part with room. Rows of the input are assigned alike, first all to their first part,
//! then to a second one, so that parts are balanced whatever the rows look like and in whatever order they come.

use super::super::tiles::assign::chain;
use super::super::tiles::cluster::{Centroids, Rows, Worker, compact_in};
use super::super::{BuildError, Input, Progress, ingest};
use super::{OVERLAP, Split};
use crate::distance::Kernels;
use crate::graph::Neighbor;
use crate::par::Par;
use crate::quant::Space;
use crate::seed;
use alloc::vec;
use alloc::vec::Vec;

/// Parts that a row may choose from, before any that has room will do.
const CHOICES: usize = 8;
/// Rows of the sample for each part, and in all at least.
const SAMPLE: (usize, usize) = (256, 1 << 14);
/// Rounds of k-means.
const ROUNDS: usize = 10;
/// Bytes of records that are made at once.
const STEP_BYTES: usize = 3 << 18;
/// No part.
const NONE: u16 = u16::MAX;

/// The nearest parts of a row, nearest first; [`NONE`] behind the last.
type Choices = [u16; CHOICES];

/// The parts of each row of `rows`, which ascend.
#[expect(clippy::too_many_arguments, reason = "a step of the plan, called in one place")]
pub(super) fn assign<P: Par, E>(
    input: &Input<'_>,
    space: &Space,
    rows: &[u32],
    split: &Split,
    seed: u64,
    par: &P,
    kernels: &'static Kernels,
    progress: &mut Progress<'_>,
) -> Result<Vec<[u16; OVERLAP]>, BuildError<E>> {
    let compact = Space { metric: compact_in(space.metric), ..space.clone() };
    let coder = Coder { input, space: &compact, kernels };
    let centroids = coder.centroids(rows, split, seed, par)?;
    let mut choices: Vec<Choices> = vec![[NONE; CHOICES]; rows.len()];
    let mut workers: Vec<Worker> = (0..par.threads()).map(|_| Worker::default()).collect();
    let step = coder.step_rows();
    for (number, (rows, choices)) in rows.chunks(step).zip(choices.chunks_mut(step)).enumerate() {
        let total = input.vectors.rows();
        ingest::report(progress, total / 2 + number * step / 2, total)?;
        let bytes = coder.encode(rows, par)?;
        coder.choose(&centroids, &bytes, choices, par, &mut workers);
    }
    Ok(owners_of(&choices, split, input.vectors.rows()).0)
}

/// The parts of nodes with these `choices`, of `rows` in all, and how many members each part has.
fn owners_of(choices: &[Choices], split: &Split, rows: usize) -> (Vec<[u16; OVERLAP]>, Vec<u64>) {
    let mut owners = vec![[NONE; OVERLAP]; choices.len()];
    let mut room = Room { counts: vec![0; split.parts as usize], most: split.first(choices.len()) };
    owners.iter_mut().zip(choices).for_each(|(owners, choices)| owners[0] = room.take(choices, NONE));
    room.most = split.room(rows);
    owners.iter_mut().zip(choices).for_each(|(owners, choices)| owners[1] = room.take(choices, owners[0]));
    debug_assert!(room.counts.iter().all(|&count| count <= split.members), "{split:?}: {:?}", room.counts);
    (owners, room.counts)
}

/// Places that parts have left.
struct Room {
    counts: Vec<u64>,
    most: u64,
}

impl Room {
    /// Takes a place in the first of `choices` that has one, but for part `not`; else in the emptiest part.
    fn take(&mut self, choices: &Choices, not: u16) -> u16 {
        let has_room = |part: u16| part != NONE && part != not && self.counts[usize::from(part)] < self.most;
        let emptiest = || {
            let others = self.counts.iter().zip(0u16..).filter(|&(_, part)| part != not);
            others.min().map_or(0, |(_, part)| part)
        };
        let part = choices.iter().copied().find(|&part| has_room(part)).unwrap_or_else(emptiest);
        self.counts[usize::from(part)] += 1;
        part
    }
}

/// Makes records of input rows.
struct Coder<'a> {
    input: &'a Input<'a>,
    space: &'a Space,
    kernels: &'static Kernels,
}

impl Coder<'_> {
    fn step_rows(&self) -> usize {
        (STEP_BYTES / self.space.layout.stride).max(1)
    }

    fn encode<P: Par, E>(&self, rows: &[u32], par: &P) -> Result<Vec<u8>, BuildError<E>> {
        let stride = self.space.layout.stride;
        let mut bytes = vec![0; rows.len() * stride];
        let mut work = vec![Vec::new(); par.threads()];
        par.chunks(&mut bytes, 64 * stride, &mut work, |task, bytes, work| {
            for (record, &row) in bytes.chunks_mut(stride).zip(&rows[task * 64..]) {
                ingest::encode_row(self.input, self.space, self.kernels, row, work, record);
            }
        });
        ingest::check_norms(self.space, &bytes, rows)?;
        Ok(bytes)
    }

    /// The nearest parts of the rows whose records are `bytes`.
    fn choose<P: Par>(&self, centroids: &Centroids, bytes: &[u8], choices: &mut [Choices], par: &P, workers: &mut [Worker]) {
        let stride = self.space.layout.stride;
        let places: Vec<usize> = (0..choices.len()).map(|row| row * stride).collect();
        let rows = Rows { places: &places, bytes, space: self.space, kernels: self.kernels };
        let none = Neighbor { distance: f32::INFINITY, node: u32::MAX };
        let mut asked: Vec<(u32, [Neighbor; CHOICES])> = (0..choices.len() as u32).map(|row| (row, [none; CHOICES])).collect();
        centroids.nearest(&rows, &mut asked, par, workers);
        for (choices, (_, nearest)) in choices.iter_mut().zip(&asked) {
            for (choice, near) in choices.iter_mut().zip(nearest) {
                *choice = u16::try_from(near.node).unwrap_or(NONE);
            }
        }
    }

    /// Middles of the parts, in a chain in which neighbours lie together.
    fn centroids<P: Par, E>(&self, rows: &[u32], split: &Split, seed: u64, par: &P) -> Result<Centroids, BuildError<E>> {
        let (parts, stride) = (split.parts as usize, self.space.layout.stride);
        let count = (parts * SAMPLE.0).max(SAMPLE.1);
        let drawn = seed::sample(seed::hash(seed, 0x7061_7274, 0), rows.len() as u64, count);
        let sample: Vec<u32> = drawn.iter().map(|&at| rows[at as usize]).collect();
        let bytes = self.encode(&sample, par)?;
        let places: Vec<usize> = (0..sample.len()).map(|row| row * stride).collect();
        let own = Rows { places: &places, bytes: &bytes, space: self.space, kernels: self.kernels };
        let first = seed::sample(seed::hash(seed, 0x7061_7274, 1), sample.len() as u64, parts);
        // With fewer rows than parts some middles repeat.
        let records = first.iter().cycle().take(parts).flat_map(|&row| own.record(row as u32)).copied().collect();
        let mut centroids = Centroids::of(records, stride);
        let mut workers: Vec<Worker> = (0..par.threads()).map(|_| Worker::default()).collect();
        let mut choices = vec![[NONE; CHOICES]; sample.len()];
        for _ in 0..ROUNDS {
            self.choose(&centroids, &bytes, &mut choices, par, &mut workers);
            let mut room = Room { counts: vec![0; parts], most: split.first(sample.len()) };
            let mut owned: Vec<(u32, u32)> = choices.iter().zip(0..).map(|(choices, row)| (room.take(choices, NONE).into(), row)).collect();
            owned.sort_unstable();
            centroids.update(&own, &owned, par);
        }
        let records = chain(&own, &centroids).into_iter().flat_map(|centroid| centroids.record(centroid)).copied().collect();
        Ok(Centroids::of(records, stride))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::BuildParams;

    /// All parts but the last are each other's nearest, and full of their own; the last one's nodes find room nowhere.
    #[test]
    fn no_part_has_more_members_than_memory_was_counted_for() {
        for (rows, parts) in [(1000u64, 3u16), (999, 4), (5001, 5), (4000, 6), (30_000, 7), (4000, 8), (4000, 30)] {
            let params = BuildParams::default().m(4);
            let split = Split::new(rows, 8, &params, 1 << 30, Some(parts.into())).unwrap();
            let first = split.first(rows as usize) as usize;
            let choices: Vec<Choices> = (0..rows as usize)
                .map(|row| {
                    let own = (row / first).min(usize::from(parts) - 1) as u16;
                    let others = (1..parts - 1).map(|step| (own + step) % (parts - 1)).chain([parts - 1]);
                    let mut choices = [NONE; CHOICES];
                    choices.iter_mut().zip([own].into_iter().chain(others.filter(|&other| other != own))).for_each(|(to, part)| *to = part);
                    choices
                })
                .collect();
            let (owners, counts) = owners_of(&choices, &split, rows as usize);
            assert!(owners.iter().all(|[first, second]| first != second));
            let (fullest, share) = (*counts.iter().max().unwrap(), split.room(rows as usize));
            assert!(fullest <= split.members, "{parts} parts: {counts:?} of {split:?}");
            // The bound is the least there is: here it is reached, to the rounding.
            assert!(parts > 6 || fullest > share && fullest + 2 >= split.members, "{parts} parts: {counts:?} of {split:?}");
            assert!(parts < 8 || split.members == share);
        }
    }
}
