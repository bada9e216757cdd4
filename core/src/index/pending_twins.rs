//! Exact duplicates of what a walk found: they follow its row, each but the last of a run with a flag that says so.
//!
//! Where records are not at hand a run is read in blocks as anything else is: the block of the row itself was just brought; of those behind it twice
//! as many are asked for each round, so that a long run takes few; of such a run no more is kept than may be hits. A tombstone that a walk found stands
//! for its run if one of that lives, which is looked for in the same way before the records are wanted.

use super::fetched::Rows;
use super::rank::{Ranker, is_deleted};
use super::view::corrupt_row;
use super::{Index, Loaded};
use crate::error::Corrupt;
use crate::format::Kind;
use crate::graph::Neighbor;
use crate::quant::record::DUPLICATE_FOLLOWS;
use crate::search::doubt::take_in_doubt;
use crate::search::pending::{Candidate, Pending, Run, Stage};
use crate::search::{Scratch, SearchError};

/// Blocks of a run that are asked for at once, at most.
const RUN_BLOCKS_MAX: u64 = 64;

/// The place of the run of `root`, which is added behind the others unless it is among the first `known`, which are in order.
fn run_of(runs: &mut Vec<Run>, known: usize, root: u32) -> usize {
    let place = runs[..known].partition_point(|run| run.root < root);
    if runs[..known].get(place).is_some_and(|run| run.root == root) {
        return place;
    }
    runs.push(Run { root, row: root, lives: None });
    runs.len() - 1
}

impl<B: AsRef<[u8]>> Index<B> {
    /// Wants the records of what a walk found: of its best rows that live, or have a duplicate that does.
    pub(super) fn want_found(&self, loaded: &Loaded, pending: &mut Pending) -> Result<(), SearchError> {
        pending.twins.settle();
        let records = self.records(loaded)?;
        let ranker = Ranker::new(records, self.reader.section(Kind::Deleted, 0));
        let among = pending.is_among();
        let Pending { scratch, candidates, params, twins, runs, missing, held, originals: exact, .. } = &mut *pending;
        let rows = Rows { section: records.section, held: (!self.is_at_hand(Kind::Records)).then_some(&*twins) };
        let guide = self.guide(loaded, records);
        let codes = Rows { section: guide.rows.section, held: (!self.is_at_hand(Kind::CodesRows)).then_some(&*held) };
        let Scratch { beam, found: taken, query, .. } = scratch;
        let tolerance = |near: &Neighbor| Ok::<_, Corrupt>(guide.tolerance(query, codes.row(near.node)?, near.distance, *exact));
        missing.clear();
        // Those of former rounds are in order; new ones come behind them, none twice, and are put into order once.
        let known = runs.len();
        let mut lives = |row| {
            // Of a walk among rows each stands for one of them.
            if among || !ranker.is_out(row)? {
                return Ok(true);
            }
            let place = run_of(runs, known, row);
            let run = &mut runs[place];
            while run.lives.is_none() {
                let Some(record) = rows.get(run.row)? else {
                    missing.extend(rows.missing(run.row).map(|offset| (offset, false)));
                    break;
                };
                if loaded.space.layout.factors(record).flags & DUPLICATE_FOLLOWS == 0 {
                    run.lives = Some(false);
                } else {
                    run.row += 1;
                    run.lives = (!ranker.is_out(run.row)?).then_some(true);
                }
            }
            Ok(run.lives == Some(true))
        };
        take_in_doubt(beam.pool.iter(), params.k, guide.ranked(params), &tolerance, &mut lives, taken)?;
        if runs.len() > known {
            crate::sort::by_key(runs, |run| run.root);
        }
        candidates.clear();
        candidates.extend(taken.iter().map(|found| Candidate::row(found.node)));
        pending.twins.clear();
        if pending.missing.is_empty() {
            pending.run_blocks = 1;
            self.want_rows(Kind::Records, Stage::Records, pending);
        } else {
            self.want_runs(Stage::Tombstones, pending);
        }
        Ok(())
    }

    /// Brings back the exact duplicates of the candidates that may be hits, and leaves tombstones out; false where it wants records for that.
    pub(super) fn add_duplicates(&self, loaded: &Loaded, pending: &mut Pending) -> Result<bool, SearchError> {
        pending.twins.settle();
        let records = self.records(loaded)?;
        let layout = loaded.space.layout;
        let mut candidates = core::mem::take(&mut pending.candidates);
        let last = self.sort_hits(&mut candidates, pending)?.1;
        let rows = Rows { section: records.section, held: (!self.is_at_hand(Kind::Records)).then_some(&pending.twins) };
        let mut missing = core::mem::take(&mut pending.missing);
        missing.clear();
        let mut at = 0;
        // Those that are added are looked at as well.
        while let Some(&found) = candidates.get(at) {
            let follows = found.factors.flags & DUPLICATE_FOLLOWS != 0 && found.near.distance <= last;
            let next = found.near.node.wrapping_add(1);
            if follows && next as usize >= self.len() {
                return Err(corrupt_row(&records.section, found.near.node, "a duplicate beyond the last row").into());
            }
            if follows && let Some(record) = rows.get(next)? {
                // What follows it is there.
                candidates[at].factors.flags &= !DUPLICATE_FOLLOWS;
                let near = Neighbor { node: next, ..found.near };
                candidates.push(Candidate {
                    near,
                    id: layout.id(record),
                    payload: layout.payload(record),
                    factors: layout.factors(record),
                });
            } else if follows {
                missing.extend(rows.missing(next).map(|offset| (offset, false)));
            }
            at += 1;
        }
        let more = !missing.is_empty();
        pending.missing = missing;
        pending.twins.clear();
        let live = self.sort_hits(&mut candidates, pending)?.0;
        let mut at = 0;
        candidates.retain(|candidate| {
            at += 1;
            // The end of a run leads to the rest of it.
            at <= live.min(pending.params.k) || more && candidate.factors.flags & DUPLICATE_FOLLOWS != 0
        });
        crate::sort::by_key(&mut candidates, |candidate| candidate.near.node);
        pending.candidates = candidates;
        if more {
            self.want_runs(Stage::Duplicates, pending);
        }
        Ok(!more)
    }

    /// Sorts the candidates that may be hits, as hits are, before the others. Returns how many they are, and the distance beyond which there is no hit.
    fn sort_hits(&self, candidates: &mut [Candidate], pending: &Pending) -> Result<(usize, f32), Corrupt> {
        let deleted = self.reader.section(Kind::Deleted, 0);
        let mut live = 0;
        for at in 0..candidates.len() {
            let row = candidates[at].near.node;
            if pending.takes(row) && !deleted.as_ref().map_or(Ok(false), |deleted| is_deleted(deleted, row))? {
                candidates.swap(live, at);
                live += 1;
            }
        }
        crate::sort::by_key(&mut candidates[..live], Candidate::order);
        let last = candidates[..live].get(pending.params.k.wrapping_sub(1));
        Ok((live, last.map_or(f32::INFINITY, |last| last.near.distance)))
    }

    /// Wants the missing blocks of records, and of each as many behind it as it is the turn of.
    fn want_runs(&self, stage: Stage, pending: &mut Pending) {
        pending.clear_round();
        if let Some(table) = self.table(Kind::Records) {
            crate::sort::by_key(&mut pending.missing, |missing| *missing);
            let mut next = 0;
            for at in 0..pending.missing.len() {
                let first = (pending.missing[at].0 - table.1.offset) / u64::from(table.1.block_bytes);
                let end = (first + pending.run_blocks.max(1)).min(table.1.blocks());
                (first.max(next)..end).for_each(|block| Self::want(pending, table, block));
                next = next.max(end);
            }
        }
        pending.run_blocks = (pending.run_blocks * 2).clamp(1, RUN_BLOCKS_MAX);
        pending.await_round(stage);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_runs_move_no_others() {
        let (mut runs, count) = (Vec::new(), 100_000u32);
        let roots = || (0..count).map(|at| (at.wrapping_mul(7919) % count) * 2);
        // Each goes to the end, wherever its root belongs: nothing makes room for it.
        assert!(roots().enumerate().all(|(at, root)| run_of(&mut runs, 0, root) == at));
        crate::sort::by_key(&mut runs, |run| run.root);
        let known = runs.len();
        assert!(roots().all(|root| run_of(&mut runs, known, root) == root as usize / 2));
        assert_eq!((runs.len(), run_of(&mut runs, known, 7), run_of(&mut runs, known, u32::MAX)), (known, known, known + 1));
    }
}
