//! Edges back: whom a node chose as a neighbour gets that node for a candidate.

use super::Neighbor;
use super::layer::{Measured, Records};
use super::select::{Selection, Selector};
use crate::sort;
use alloc::vec::Vec;
use core::ops::Range;

/// An edge back: its target, then distance and source as a [`Neighbor::key`].
pub(super) type Back = (u32, u64);

/// Edges back to one target: a range of the sorted list, then the merged neighbours.
#[derive(Debug, Default)]
pub(super) struct Merge {
    pub(super) target: u32,
    pub(super) range: Range<usize>,
    pub(super) merged: Vec<Neighbor>,
}

/// The edges back from those that `source` chose.
pub(super) fn edges(source: u32, chosen: &[Neighbor]) -> impl Iterator<Item = Back> + '_ {
    chosen.iter().map(move |edge| (edge.node, Neighbor { distance: edge.distance, node: source }.key()))
}

/// Sorts the edges back, and gives each target the range of its own; `merges` is used again for that.
pub(super) fn by_target<'a>(back: &mut [Back], merges: &'a mut Vec<Merge>) -> &'a mut [Merge] {
    sort::by_key(back, |edge| *edge);
    let (mut groups, mut start) = (0, 0);
    while let Some(&(target, _)) = back.get(start) {
        let end = start + back[start..].partition_point(|edge| edge.0 == target);
        if merges.len() == groups {
            merges.push(Merge::default());
        }
        (merges[groups].target, merges[groups].range) = (target, start..end);
        groups += 1;
        start = end;
    }
    &mut merges[..groups]
}

/// The neighbours of `node` and the edges back to it, pruned if they are too many.
#[expect(clippy::too_many_arguments, reason = "a step of builds, with their scratch")]
pub(super) fn join(
    layer: &Measured,
    records: Records<'_>,
    node: u32,
    back: &[Back],
    selection: Selection,
    selector: &mut Selector,
    candidates: &mut Vec<Neighbor>,
    joined: &mut Vec<Neighbor>,
) {
    candidates.clear();
    candidates.extend(layer.edges(node));
    candidates.extend(back.iter().map(|edge| Neighbor::from_key(edge.1)));
    super::sort(candidates);
    candidates.dedup();
    prune(records, candidates, layer.layer.degree(), selection, selector, joined);
}

/// What a list of `degree` slots takes of `candidates`, which ascend: all, if they fit.
pub(crate) fn prune(
    records: Records<'_>,
    candidates: &[Neighbor],
    degree: usize,
    selection: Selection,
    selector: &mut Selector,
    pruned: &mut Vec<Neighbor>,
) {
    if candidates.len() <= degree {
        pruned.clear();
        pruned.extend_from_slice(candidates);
    } else {
        let Ok(()) = selector.select(&records, candidates, degree, selection, pruned);
    }
}
