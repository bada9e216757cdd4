//! What a search is about to wait for, before one was made: by the file's quality table where it has one, else by the effort.

use std::fmt;

use nearshore_core::format::{Kind, Plan, Refine};
use nearshore_core::search::quality::{Setting, TileSetting};
use nearshore_core::search::{Layout, Pending, QualityRow, SearchParams};

use super::DiskIndex;
use super::front::Held;

/// Rounds and blocks of a search. Displays as a part of a line; blocks that touch are read together, so that reads of the device may be fewer.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Expected {
    /// Rounds of reads that depend on each other.
    pub rounds: f32,
    /// Blocks in all, in the usual case.
    pub reads: f32,
    /// Blocks in all at most, where that is known before: then rounds are as many, or at most where originals rank a scan; else both are means, good to a third or so. Tombstones of a walk, and
    /// exact duplicates that lie in other blocks, come on top.
    pub at_most: Option<f32>,
}

impl DiskIndex {
    /// What a search by `params` waits for, payloads left out: of a scan, which reads all records, and of a walk whose codes and graph are in memory, which
    /// has a round of as many reads as there are candidates, so many rounds and no more reads than that; of others means by the quality table and what
    /// was measured (`docs/research/disk.md`), good to a third or so.
    #[must_use]
    pub fn expected(&self, params: &SearchParams) -> Expected {
        let index = self.index();
        let originals = params.refine.unwrap_or(index.refine()) == Refine::Originals;
        let plan = params.plan.unwrap_or(index.plan());
        if !self.waits(plan) {
            return Expected { rounds: 0.0, reads: 0.0, at_most: Some(0.0) };
        }
        match plan {
            Plan::Scan => self.expected_of_scan(params, originals),
            Plan::Tiles => self.expected_of_tiles(params, originals),
            Plan::Walk => self.expected_of_walk(params, originals),
        }
    }

    /// Whether searches by a plan read blocks at all: in a file that was built for memory walks by codes alone, for the records of their candidates.
    pub(super) fn waits(&self, plan: Plan) -> bool {
        self.front.held != Held::All || plan == Plan::Walk && self.index().reader().header().table(Kind::CodesRows, 0).is_some()
    }

    fn blocks(&self, kind: Kind) -> u64 {
        self.index().reader().header().table(kind, 0).map_or(0, |table| table.blocks())
    }

    fn expected_of_scan(&self, params: &SearchParams, originals: bool) -> Expected {
        let index = self.index();
        let rows = index.len() as u64 - index.deleted().min(index.len() as u64);
        let windows = rows.div_ceil(Pending::SCAN_ROWS as u64);
        // The last block of a window may be the first of the next.
        let all = |kind| rows.min((self.blocks(kind) + windows).saturating_sub(1)) as f32;
        let (mut rounds, mut reads) = (windows as f32, all(Kind::Records));
        let mut most = reads;
        if originals {
            // At least those of the hits; what the records leave open on top.
            rounds *= 2.0;
            most += all(Kind::Originals);
            reads += ((params.k as u64).saturating_mul(windows) as f32).min(all(Kind::Originals));
        }
        Expected { rounds, reads, at_most: Some(most) }
    }

    fn expected_of_tiles(&self, params: &SearchParams, originals: bool) -> Expected {
        let TileSetting { probes, rerank } = TileSetting::choose(params, self.index().quality().unwrap_or_default());
        let tiles = self.index().reader().header().table(Kind::Tiles, 0).map_or(1, |tiles| tiles.rows.max(1));
        let a_tile = self.blocks(Kind::CodesTiles) as f32 / tiles as f32;
        let (mut rounds, mut reads) = (2.0, probes as f32 * a_tile + rerank as f32);
        if originals {
            (rounds, reads) = (rounds + 1.0, reads + rerank.min(params.k) as f32);
        }
        Expected { rounds, reads, at_most: None }
    }

    fn expected_of_walk(&self, params: &SearchParams, originals: bool) -> Expected {
        let index = self.index();
        let refine = if originals { Refine::Originals } else { Refine::Records };
        let table = index.quality().unwrap_or_default();
        let setting = Setting::choose(params, Layout::Lean, refine, table);
        let pool = setting.limits(params.k, index.metric(), index.len()).ef;
        let ef = pool as f32;
        // No more than a walk has; with tombstones it has more.
        let bound = if index.deleted() == 0 { pool.min(index.len()) } else { index.len() };
        let candidates = index.candidates(params).unwrap_or((params.k, params.k));
        let [mut reads, mut most] = [candidates.0, candidates.1].map(|count| count.min(bound) as f32);
        let mut rounds = 1.0;
        if originals {
            // Those that records leave in doubt, unless a number was asked for.
            let usual = if params.rerank.is_some() { reads } else { reads.min(params.k as f32) };
            (rounds, reads, most) = (2.0, reads + usual, 2.0 * most);
        }
        // Walks that the stop rule ends have a pool of one size.
        let stops = setting.gamma > 0.0;
        let far = |row: &QualityRow| if stops { (row.gamma - setting.gamma).abs() } else { (row.ef as f32 - ef).abs() };
        let rows = table.iter().filter(|row| row.plan == Plan::Walk && row.layout == Layout::Lean && (row.gamma > 0.0) == stops);
        let row = rows.min_by(|a, b| far(a).total_cmp(&far(b)));
        let (hops, distances) = row.map_or((ef, 20.0 * ef), |row| (row.hops * ef / row.ef as f32, row.distances * ef / row.ef as f32));
        let ahead = if self.read_ahead == 0 { Pending::READ_AHEAD } else { self.read_ahead } as f32;
        // Of those that are asked for ahead about every second is expanded before others come between: fitted to 1 to 4 ahead, of more fewer are.
        let waits = hops / (1.0 + ahead / 2.0);
        match self.front.held {
            Held::Codes => Expected { rounds: rounds + waits, reads: hops + reads, at_most: None },
            Held::Upper => Expected { rounds: rounds + 2.0 * waits, reads: hops + distances + reads, at_most: None },
            _ => Expected { rounds, reads, at_most: Some(most) },
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, reads, at_most } = *self;
        let about = if at_most.is_none() { "about " } else { "" };
        write!(f, "{about}{rounds:.0} round{}, ", if rounds == 1.0 { "" } else { "s" })?;
        match at_most {
            Some(most) if most > reads => write!(f, "about {reads:.0} blocks, at most {most:.0}"),
            Some(most) => write!(f, "at most {most:.0} blocks"),
            None => write!(f, "about {reads:.0} blocks"),
        }
    }
}
