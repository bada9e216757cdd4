//! From rows to records in insertion order: ids checked, values checked, duplicates found.

use super::{BuildError, BuildParams, Input, Layers, Progress, Stage};
use crate::distance::Kernels;
use crate::format::{Digest, Metric};
use crate::graph::hnsw;
use crate::par::Par;
use crate::quant::{Encoding, Space, exact};
use crate::seed;
use crate::sort;
use alloc::vec;
use alloc::vec::Vec;

/// Rows of one task.
const TASK_ROWS: usize = 256;

/// Rows between two reports of progress.
const STEP_ROWS: usize = 64 * TASK_ROWS;

/// Rows in insertion order, without exact duplicates, which follow their first occurrence.
#[derive(Debug)]
pub(super) struct Arranged {
    /// `nodes[node]` is the input row of a node.
    pub(super) nodes: Vec<u32>,
    /// Nodes of each layer, the base first.
    pub(super) layer_sizes: Vec<usize>,
    /// (first occurrence, duplicate), sorted: input rows.
    pub(super) duplicates: Vec<(u32, u32)>,
    /// XXH3-64 over the hashes of all rows in input order.
    pub(super) digest: u64,
}

impl Arranged {
    /// Duplicates of an input row, ascending.
    pub(super) fn duplicates_of(&self, row: u32) -> impl Iterator<Item = u32> + '_ {
        let start = self.duplicates.partition_point(|pair| pair.0 < row);
        self.duplicates[start..].iter().take_while(move |pair| pair.0 == row).map(|pair| pair.1)
    }
}

/// Refuses an id that occurs twice.
pub(super) fn check_ids<E>(input: &Input<'_>) -> Result<(), BuildError<E>> {
    let Some(ids) = input.ids else { return Ok(()) };
    let mut sorted: Vec<(u64, u32)> = ids.iter().zip(0u32..).map(|(&id, row)| (id, row)).collect();
    sort::by_key(&mut sorted, |pair| *pair);
    if let Some(twice) = sorted.windows(2).filter(|pair| pair[0].0 == pair[1].0).min_by_key(|pair| pair[1].1) {
        let (first, second) = (twice[0].1 as usize, twice[1].1 as usize);
        return Err(BuildError::DuplicateId { id: twice[0].0, first, second });
    }
    Ok(())
}

/// What is known of a row before it is coded.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    hash: u64,
    bad: bool,
}

/// What one look at every row tells.
#[derive(Debug)]
pub(super) struct Checked {
    /// See [`Arranged::duplicates`].
    pub(super) duplicates: Vec<(u32, u32)>,
    /// See [`Arranged::digest`].
    pub(super) digest: u64,
    /// Whether an input row repeats one before it.
    twin: Vec<bool>,
}

/// Where an input row that becomes a node comes in the insertion order.
pub(super) type Turn = (u8, u64, u32);

impl Checked {
    /// The rows that become nodes, ascending, each with its turn: highest level first, then by a seeded hash.
    pub(super) fn turns(&self, input: &Input<'_>, params: &BuildParams) -> impl Iterator<Item = Turn> {
        (0..input.vectors.rows() as u32).filter(|&row| !self.twin[row as usize]).map(|row| {
            let id = input.ids.map_or(u64::from(row), |ids| ids[row as usize]);
            let level = match params.layers {
                Layers::Many => hnsw::level(params.seed, id, params.m),
                Layers::One => 0,
            };
            (u8::MAX - level, seed::hash(params.seed, 0x006F_7264_6572, id), row)
        })
    }

    /// Rows that become nodes.
    #[cfg(feature = "codes")]
    pub(super) fn nodes(&self) -> usize {
        self.twin.len() - self.duplicates.len()
    }
}

/// Nodes of each layer from `lowest` up, of nodes sorted by their turns.
pub(super) fn layer_sizes(turns: &[Turn], lowest: u8) -> Vec<usize> {
    let top = turns.first().map_or(0, |turn| u8::MAX - turn.0);
    (lowest..=top).map(|level| turns.partition_point(|turn| u8::MAX - turn.0 >= level)).collect()
}

/// Checks every value, finds duplicates and decides the insertion order.
pub(super) fn arrange<P: Par, E>(
    input: &Input<'_>,
    params: &BuildParams,
    par: &P,
    kernels: &Kernels,
    progress: &mut Progress<'_>,
) -> Result<Arranged, BuildError<E>> {
    let checked = check(input, params, par, kernels, progress)?;
    let mut turns: Vec<Turn> = checked.turns(input, params).collect();
    sort::by_key(&mut turns, |turn| *turn);
    let layer_sizes = layer_sizes(&turns, 0);
    let nodes = turns.into_iter().map(|turn| turn.2).collect();
    Ok(Arranged { nodes, layer_sizes, duplicates: checked.duplicates, digest: checked.digest })
}

/// Checks every value and finds duplicates.
pub(super) fn check<P: Par, E>(
    input: &Input<'_>,
    params: &BuildParams,
    par: &P,
    kernels: &Kernels,
    progress: &mut Progress<'_>,
) -> Result<Checked, BuildError<E>> {
    let vectors = &input.vectors;
    let rows = vectors.rows();
    let mut seen = vec![Seen::default(); rows];
    let mut work = vec![vec![0.0f32; vectors.dimensions()]; par.threads()];
    for (step, seen) in seen.chunks_mut(STEP_ROWS).enumerate() {
        report(progress, step * STEP_ROWS / 2, rows)?;
        par.chunks(seen, TASK_ROWS, &mut work, |task, seen, work| {
            let first = step * STEP_ROWS + task * TASK_ROWS;
            for (row, seen) in (first..).zip(seen) {
                let mut digest = Digest::new();
                digest.update(vectors.row(row));
                vectors.decode(kernels, row, work);
                let length_sq = exact::length_sq(kernels, work);
                let zero = params.metric == Metric::Cosine && !exact::has_direction(length_sq);
                *seen = Seen { hash: digest.finish(), bad: zero || !exact::is_in_range(length_sq) };
            }
        });
        if let Some(bad) = seen.iter().position(|seen| seen.bad) {
            return Err(explain(input, kernels, step * STEP_ROWS + bad));
        }
    }
    let mut digest = Digest::new();
    seen.iter().for_each(|seen| digest.update(&seen.hash.to_le_bytes()));
    let duplicates = find_duplicates(input, &seen);
    let mut twin = vec![false; rows];
    duplicates.iter().for_each(|&(_, row)| twin[row as usize] = true);
    Ok(Checked { duplicates, digest: digest.finish(), twin })
}

/// Why a row was refused: found again by looking closely.
fn explain<E>(input: &Input<'_>, kernels: &Kernels, row: usize) -> BuildError<E> {
    let mut values = vec![0.0; input.vectors.dimensions()];
    input.vectors.decode(kernels, row, &mut values);
    if values.iter().all(|&value| value == 0.0) {
        return BuildError::ZeroVector { row };
    }
    match values.iter().position(|value| !value.is_finite()) {
        // Squares that vanish in f32 leave no direction either.
        None if !exact::has_direction(exact::length_sq(kernels, &values)) => BuildError::ZeroVector { row },
        element => BuildError::NotFinite { row, element },
    }
}

/// Pairs (first occurrence, later one) of rows with equal bytes, sorted.
fn find_duplicates(input: &Input<'_>, seen: &[Seen]) -> Vec<(u32, u32)> {
    let mut by_hash: Vec<(u64, u32)> = seen.iter().zip(0..).map(|(seen, row)| (seen.hash, row)).collect();
    sort::by_key(&mut by_hash, |pair| *pair);
    let mut pairs = Vec::new();
    for group in by_hash.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1) {
        // Different rows with one hash are as good as impossible, and still told apart here.
        let mut firsts: Vec<u32> = Vec::new();
        for &(_, row) in group {
            let bytes = input.vectors.row(row as usize);
            match firsts.iter().find(|&&first| input.vectors.row(first as usize) == bytes) {
                Some(&first) => pairs.push((first, row)),
                None => firsts.push(row),
            }
        }
    }
    sort::by_key(&mut pairs, |pair| *pair);
    pairs
}

/// Codes the nodes, in insertion order, into records without payload references. Rows are read from the first to the last: an input that is
/// mapped, and larger than the memory there is for its pages, comes from its disk once, not a page for each row.
pub(super) fn encode<P: Par, E>(
    input: &Input<'_>,
    space: &Space,
    arranged: &Arranged,
    par: &P,
    kernels: &'static Kernels,
    progress: &mut Progress<'_>,
) -> Result<Vec<u8>, BuildError<E>> {
    let (layout, rows) = (space.layout, input.vectors.rows());
    let mut bytes = vec![0; arranged.nodes.len() * layout.stride];
    let mut work = vec![Vec::new(); par.threads()];
    // Where the record of each input row goes; nowhere for one that repeats another.
    let mut places: Vec<Option<&mut [u8]>> = Vec::new();
    places.resize_with(rows, || None);
    for (&row, record) in arranged.nodes.iter().zip(bytes.chunks_mut(layout.stride)) {
        places[row as usize] = Some(record);
    }
    for (step, places) in places.chunks_mut(STEP_ROWS).enumerate() {
        report(progress, (rows + step * STEP_ROWS) / 2, rows)?;
        par.chunks(places, TASK_ROWS, &mut work, |task, places, work| {
            let first = step * STEP_ROWS + task * TASK_ROWS;
            for (row, place) in (first as u32..).zip(places) {
                if let Some(record) = place {
                    encode_row(input, space, kernels, row, work, record);
                }
            }
        });
    }
    drop(places);
    check_norms(space, &bytes, &arranged.nodes)?;
    Ok(bytes)
}

/// Writes the record of an input row, without a payload reference. The record is zeros before.
pub(super) fn encode_row(input: &Input<'_>, space: &Space, kernels: &Kernels, row: u32, work: &mut Vec<f32>, record: &mut [u8]) {
    let factors = space.encode(kernels, &input.vectors, row as usize, work, record);
    let id = input.ids.map_or(u64::from(row), |ids| ids[row as usize]);
    space.layout.write_tail(record, factors, id, (0, 0));
}

/// A norm that overflows only after coding (a mean far from the row) is as bad as one before.
pub(super) fn check_norms<E>(space: &Space, records: &[u8], rows: &[u32]) -> Result<(), BuildError<E>> {
    if space.encoding == Encoding::Scaled {
        for (record, &row) in records.chunks(space.layout.stride).zip(rows) {
            if !f32::from_bits(space.layout.factors(record).norm).is_finite() {
                return Err(BuildError::NotFinite { row: row as usize, element: None });
            }
        }
    }
    Ok(())
}

pub(super) fn report<E>(progress: &mut Progress<'_>, done: usize, total: usize) -> Result<(), BuildError<E>> {
    if progress(Stage::Encode, done as u64, total as u64).is_break() {
        return Err(BuildError::Interrupted);
    }
    Ok(())
}
