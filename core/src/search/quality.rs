//! The quality table: what recall each effort was measured to give, on this very file.
//!
//! A build searches for some of its own rows as if they were none of the file, at a ladder of
//! efforts, and stores what it saw; a table measured on other queries may take its place.
//! `recall: 0.95` then picks the cheapest row that reached it.
//! The table says what was measured and on what; a search never claims a recall.

use super::params::{Effort, Layout, SearchParams};
use crate::format::Metric;
use crate::format::{Plan, Refine};
use crate::graph::beam::Limits;
use alloc::vec::Vec;

/// Bytes of a row of the table.
pub const QUALITY_BYTES: usize = 48;

/// Stands for a walk by the fast layout in the place of a plan: readers that do not know it leave the row out.
#[cfg(feature = "codes")]
const FAST_WALK: u32 = 3;

/// A source of measured queries: rows of the file, left out of its answers, and of the graph of walks.
pub const FROM_ROWS: u32 = 0;
/// A source of measured queries: queries that were given.
pub const FROM_QUERIES: u32 = 1;

/// `ef` for a recall where nothing was measured: what 100,000 text embeddings of 384 dimensions
/// took at `m` 16, with a margin.
fn guess(recall: f32) -> usize {
    match recall {
        r if r <= 0.9 => 32,
        r if r <= 0.95 => 64,
        r if r <= 0.99 => 160,
        _ => 400,
    }
}

/// One effort and what it measured, means over `queries` queries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QualityRow {
    /// Walk or tiles.
    pub plan: Plan,
    /// What the walk read.
    pub layout: Layout,
    /// Nodes kept in the pool; of a search of tiles the tiles whose codes were read.
    pub ef: u32,
    /// Stop rule; 0 is off.
    pub gamma: f32,
    /// What the final order was computed from.
    pub refine: Refine,
    /// Hits asked for.
    pub k: u32,
    /// Candidates computed again from the originals; of a search of tiles those whose records were read.
    pub rerank: u32,
    /// Queries measured.
    pub queries: u32,
    /// Where they came from: [`FROM_ROWS`], [`FROM_QUERIES`].
    pub source: u32,
    /// Share of the true `k` nearest that were found.
    pub recall: f32,
    /// Distances computed.
    pub distances: f32,
    /// Nodes expanded.
    pub hops: f32,
}

impl QualityRow {
    /// The row as it lies in a file.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; QUALITY_BYTES] {
        let words = [
            match self.layout {
                Layout::Lean => self.plan as u32,
                #[cfg(feature = "codes")]
                Layout::Fast => FAST_WALK,
            },
            self.ef,
            self.gamma.to_bits(),
            self.refine as u32,
            self.k,
            self.rerank,
            self.queries,
            self.source,
            self.recall.to_bits(),
            self.distances.to_bits(),
            self.hops.to_bits(),
            0,
        ];
        let mut bytes = [0; QUALITY_BYTES];
        for (bytes, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        bytes
    }

    /// Reads a row; `None` when a value is none that a build writes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; QUALITY_BYTES] = bytes.first_chunk()?;
        let mut words = [0; QUALITY_BYTES / 4];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        let [plan, ef, gamma, refine, k, rerank, queries, source, recall, distances, hops, _] = words;
        let (plan, layout) = match plan {
            #[cfg(feature = "codes")]
            FAST_WALK => (Plan::Walk, Layout::Fast),
            plan => (Plan::try_from(u8::try_from(plan).ok()?).ok()?, Layout::Lean),
        };
        let row = Self {
            plan,
            layout,
            ef,
            gamma: f32::from_bits(gamma),
            refine: Refine::try_from(u8::try_from(refine).ok()?).ok()?,
            k,
            rerank,
            queries,
            source,
            recall: f32::from_bits(recall),
            distances: f32::from_bits(distances),
            hops: f32::from_bits(hops),
        };
        let sane = |value: f32| value.is_finite() && value >= 0.0;
        let whole = sane(row.gamma) && sane(row.recall) && sane(row.distances) && sane(row.hops);
        (whole && row.ef >= 1 && row.k >= 1).then_some(row)
    }
}

/// A walk's setting, decided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// Nodes kept in the pool.
    pub ef: usize,
    /// Stop rule as a ratio of lengths; 0 is off.
    pub gamma: f32,
}

impl Setting {
    /// Turns the parameters' effort into a setting, by what the file's table says of walks by `layout`.
    ///
    /// For another `k` than the table's, `ef` grows with `k`: that keeps the share of candidates
    /// to hits, and is an estimate. For a smaller `k` rows with a stop rule do not count: it would
    /// look at a nearer hit than it was measured by. A recall that no row reached gets the row that
    /// came nearest.
    #[must_use]
    pub fn choose(params: &SearchParams, layout: Layout, refine: Refine, table: &[QualityRow]) -> Self {
        let wanted = match params.effort {
            Effort::Ef(ef) => return Self { ef, gamma: params.gamma.unwrap_or(0.0) },
            Effort::Recall(recall) => recall,
            Effort::Auto => 0.95,
        };
        let Some(row) = cheapest(Self::rows(params, layout, refine, table), wanted) else {
            return Self { ef: guess(wanted).max(params.k.saturating_mul(2)), gamma: params.gamma.unwrap_or(0.0) };
        };
        let (k, measured) = (params.k, row.k as usize);
        let ef = if k > measured { (row.ef as usize).saturating_mul(k).div_ceil(measured) } else { row.ef as usize };
        Self { ef, gamma: params.gamma.unwrap_or(row.gamma) }
    }

    /// The highest recall that the table has measured of such walks; `None` where it has none of them.
    #[must_use]
    pub fn most(params: &SearchParams, layout: Layout, refine: Refine, table: &[QualityRow]) -> Option<f32> {
        Self::rows(params, layout, refine, table).map(|row| row.recall).max_by(f32::total_cmp)
    }

    /// Rows of the table that say something of such walks.
    fn rows<'a>(
        params: &SearchParams,
        layout: Layout,
        refine: Refine,
        table: &'a [QualityRow],
    ) -> impl Iterator<Item = &'a QualityRow> + Clone + use<'a> {
        let k = params.k;
        let as_measured = move |row: &QualityRow| row.gamma == 0.0 || k >= row.k as usize;
        table.iter().filter(move |row| row.plan == Plan::Walk && row.layout == layout && row.refine == refine && as_measured(row))
    }

    /// The limits of a walk for `k` hits over `rows` rows: a table's `ef` is a hint, so it is
    /// clamped by what there is.
    #[must_use]
    pub fn limits(&self, k: usize, metric: Metric, rows: usize) -> Limits {
        let k = k.min(rows).max(1);
        let ef = self.ef.min(rows).max(k);
        let ratio = 1.0 + self.gamma;
        let stop = if self.gamma > 0.0 && metric != Metric::InnerProduct {
            // L2 is a squared length; cosine distance is half of one.
            ratio * ratio
        } else {
            f32::INFINITY
        };
        Limits { ef, k, stop, hidden: crate::graph::NONE }
    }
}

/// A search of tiles, decided.
#[cfg(feature = "tiles")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TileSetting {
    /// Tiles whose codes are read.
    pub probes: usize,
    /// Candidates whose records are read.
    pub rerank: usize,
}

#[cfg(feature = "tiles")]
impl TileSetting {
    /// The highest recall that the table has measured of searches of tiles; `None` where it has none of them.
    #[must_use]
    pub fn most(table: &[QualityRow]) -> Option<f32> {
        table.iter().filter(|row| row.plan == Plan::Tiles).map(|row| row.recall).max_by(f32::total_cmp)
    }

    /// Turns the parameters' effort into a setting, by what the file's table says of searches of tiles. For a larger `k` than the table's
    /// both numbers grow with `k`.
    #[must_use]
    pub fn choose(params: &SearchParams, table: &[QualityRow]) -> Self {
        let (wanted, rerank) = match params.effort {
            Effort::Ef(ef) => (0.95, Some(ef)),
            Effort::Recall(recall) => (recall, None),
            Effort::Auto => (0.95, None),
        };
        let rows = table.iter().filter(|row| row.plan == Plan::Tiles);
        let (ef, again, measured) = cheapest(rows, wanted).map_or((16, 60, 10), |row| (row.ef, row.rerank, row.k));
        let grown = |count: u32| (count as usize).saturating_mul(params.k.max(measured as usize)).div_ceil(measured as usize);
        Self { probes: params.probes.unwrap_or(grown(ef)), rerank: params.rerank.or(rerank).unwrap_or(grown(again)) }
    }
}

/// The cheapest setting that reaches `wanted`: on each ladder (plain `ef`, stop rule) the first row that does, moved
/// towards the row below it as far as the recall in between allows. Where no row reaches it, the best there is.
fn cheapest<'a>(rows: impl Iterator<Item = &'a QualityRow> + Clone, wanted: f32) -> Option<QualityRow> {
    let on_ladder = |stopped: bool| {
        let mut below: Option<QualityRow> = None;
        for &row in rows.clone().filter(|row| (row.gamma > 0.0) == stopped) {
            if row.recall >= wanted {
                return Some(below.map_or(row, |below| between(below, row, wanted)));
            }
            below = Some(row);
        }
        None
    };
    let reached = [on_ladder(false), on_ladder(true)].into_iter().flatten();
    let cheapest = reached.min_by(|a, b| a.distances.total_cmp(&b.distances));
    cheapest.or_else(|| rows.max_by(|a, b| a.recall.total_cmp(&b.recall)).copied())
}

/// The row that linear interpolation puts at `wanted`, rounded up.
fn between(low: QualityRow, high: QualityRow, wanted: f32) -> QualityRow {
    let part = (wanted - low.recall) / (high.recall - low.recall);
    if !(part > 0.0 && part < 1.0) {
        return high;
    }
    let mix = |low: f32, high: f32| low + part * (high - low);
    let ef = mix(low.ef as f32, high.ef as f32) as u32;
    QualityRow {
        ef: (ef + 1).min(high.ef.max(low.ef)),
        rerank: if low.plan == Plan::Tiles {
            (mix(low.rerank as f32, high.rerank as f32) as u32 + 1).min(high.rerank.max(low.rerank))
        } else {
            high.rerank
        },
        gamma: mix(low.gamma, high.gamma),
        recall: wanted,
        distances: mix(low.distances, high.distances),
        hops: mix(low.hops, high.hops),
        ..high
    }
}

/// Reads the rows that make sense; a hint that does not is no reason to fail.
#[must_use]
pub fn read<'a>(rows: impl Iterator<Item = &'a [u8]>) -> Vec<QualityRow> {
    rows.filter_map(QualityRow::from_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn row(ef: u32, gamma: f32, recall: f32, distances: f32) -> QualityRow {
        QualityRow {
            plan: Plan::Walk,
            layout: Layout::Lean,
            ef,
            gamma,
            refine: Refine::Records,
            k: 10,
            rerank: 20,
            queries: 100,
            source: 0,
            recall,
            distances,
            hops: 9.0,
        }
    }

    #[test]
    fn the_cheapest_row_that_reached_the_recall_is_chosen() {
        let table = vec![row(16, 0.0, 0.9, 300.0), row(40, 0.0, 0.97, 700.0), row(400, 0.1, 0.96, 500.0)];
        let choose = |params: SearchParams| Setting::choose(&params, Layout::Lean, Refine::Records, &table);
        assert_eq!(choose(SearchParams::recall(0.96)), Setting { ef: 400, gamma: 0.1 });
        // A stop rule measured by the tenth hit says nothing of one that looks at the third.
        assert_eq!(choose(SearchParams::recall(0.96).k(3)), Setting { ef: 37, gamma: 0.0 });
        assert_eq!(choose(SearchParams::recall(0.9)), Setting { ef: 16, gamma: 0.0 });
        // Halfway in recall between ef 16 and ef 40, rounded up.
        assert_eq!(choose(SearchParams::recall(0.935)).ef, 29);
        assert_eq!(choose(SearchParams::recall(0.999)), Setting { ef: 40, gamma: 0.0 });
        assert_eq!(choose(SearchParams::recall(0.9).k(25)), Setting { ef: 40, gamma: 0.0 });
        assert_eq!(choose(SearchParams::ef(7)), Setting { ef: 7, gamma: 0.0 });
        assert_eq!(Setting::most(&SearchParams::default(), Layout::Lean, Refine::Records, &table), Some(0.97));
        assert_eq!(Setting::most(&SearchParams::default(), Layout::Lean, Refine::Originals, &table), None);
    }

    #[test]
    fn rows_come_back_from_their_bytes_and_nonsense_does_not() {
        let row = row(16, 0.25, 0.5, 300.0);
        assert_eq!(QualityRow::from_bytes(&row.to_bytes()), Some(row));
        let nan = QualityRow { recall: f32::NAN, ..row };
        assert_eq!(QualityRow::from_bytes(&nan.to_bytes()), None);
        let empty = QualityRow { ef: 0, ..row };
        assert_eq!(QualityRow::from_bytes(&empty.to_bytes()), None);
    }
}
