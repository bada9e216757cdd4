//! What a search is about to wait for, before one was made: by the file's quality table where it has one, else by the effort.

use std::fmt;

use nearshore_core::format::{Kind, Plan, Refine};
use nearshore_core::search::quality::{Setting, TileSetting};
use nearshore_core::search::{Layout, Pending, SearchParams};

use super::DiskIndex;
use super::front::Held;

/// Rounds and reads of a search. Displays as a part of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Expected {
    /// Rounds of reads that depend on each other.
    pub rounds: f32,
    /// Blocks in all.
    pub reads: f32,
    /// Whether both are bounds rather than means; means are good to a third or so. Tombstones, and exact duplicates that lie in other blocks, come on top.
    pub at_most: bool,
}

impl DiskIndex {
    /// What a search by `params` waits for, payloads left out: of a file whose codes and graph are in memory a round and as many reads as there are
    /// candidates; of others means by the quality table and what was measured (`docs/research/disk.md`), good to a third or so.
    #[must_use]
    pub fn expected(&self, params: &SearchParams) -> Expected {
        let index = self.index();
        let refine = params.refine.unwrap_or(index.refine());
        let table = index.quality().unwrap_or_default();
        let (mut rounds, mut reads, candidates, at_most) = if self.front.held == Held::All {
            return Expected { rounds: 0.0, reads: 0.0, at_most: true };
        } else if params.plan.unwrap_or(index.plan()) == Plan::Tiles {
            let TileSetting { probes, rerank } = TileSetting::choose(params, table);
            let count = |kind| index.reader().header().table(kind, 0);
            let a_tile = count(Kind::CodesTiles)
                .zip(count(Kind::Tiles))
                .map_or(1.0, |(codes, tiles)| codes.blocks() as f32 / tiles.rows.max(1) as f32);
            (2.0, probes as f32 * a_tile + rerank as f32, rerank as f32, false)
        } else {
            let candidates = index.candidates(params).unwrap_or(params.k).min(index.len()) as f32;
            let setting = Setting::choose(params, Layout::Lean, refine, table);
            let ef = setting.limits(params.k, index.metric(), index.len()).ef as f32;
            let near = |row: &f32| (row - ef).abs();
            let rows = table
                .iter()
                .filter(|row| row.plan == Plan::Walk && row.layout == Layout::Lean && (row.gamma > 0.0) == (setting.gamma > 0.0));
            let row = rows.min_by(|a, b| near(&(a.ef as f32)).total_cmp(&near(&(b.ef as f32))));
            let (hops, distances) = row.map_or((ef, 20.0 * ef), |row| (row.hops * ef / row.ef as f32, row.distances * ef / row.ef as f32));
            let ahead = if self.read_ahead == 0 { Pending::READ_AHEAD } else { self.read_ahead } as f32;
            // Of those that are asked for ahead about every second is expanded before others come between: fitted to 1 to 4 ahead, of more fewer are.
            let waits = hops / (1.0 + ahead / 2.0);
            match self.front.held {
                Held::Codes => (1.0 + waits, hops + candidates, candidates, false),
                Held::Upper => (1.0 + 2.0 * waits, hops + distances + candidates, candidates, false),
                _ => (1.0, candidates, candidates, true),
            }
        };
        if refine == Refine::Originals {
            rounds += 1.0;
            reads += candidates;
        }
        Expected { rounds, reads, at_most }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, reads, at_most } = *self;
        let (about, most) = if at_most { ("", "at most") } else { ("about ", "about") };
        write!(f, "{about}{rounds:.0} round{}, {most} {reads:.0} reads", if rounds == 1.0 { "" } else { "s" })
    }
}
