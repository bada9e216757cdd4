//! Files in tiles: what is written, how it is searched in memory and block by block, what damage does.

mod cut;
mod damage;
mod fed;
mod layout;

use core::ops::ControlFlow;

use nearshore_core::build::tiles::{TileParams, TileSummary};
use nearshore_core::build::{BuildParams, Input, build};
use nearshore_core::distance::Kernels;
use nearshore_core::format::{Element, Metric, Plan};
use nearshore_core::index::Index;
use nearshore_core::par::{Par, Serial};
use nearshore_core::search::{Hit, Scratch, SearchParams, Stats};
use nearshore_core::seed::SplitMix;
use nearshore_core::vectors::{Payloads, Query, Vectors};

const METRICS: [Metric; 3] = [Metric::L2, Metric::InnerProduct, Metric::Cosine];
const ELEMENTS: [Element; 4] = [Element::F32, Element::F16, Element::U8, Element::I8];
const ALL: usize = usize::MAX;

/// Rows around twelve centres, small integers in every element type; after the first `differ` rows they repeat.
fn rows(element: Element, dimensions: usize, count: usize, differ: usize) -> Vec<u8> {
    let mut random = SplitMix::new(11);
    let centres: Vec<i32> = (0..12 * dimensions).map(|_| random.below(160) as i32 - 80).collect();
    let (mut data, mut repeated) = (Vec::new(), 0);
    for row in 0..count {
        if row >= differ {
            let bytes = dimensions * element.bytes();
            data.extend_from_within(repeated * bytes..(repeated + 1) * bytes);
            repeated += 1;
            continue;
        }
        let centre = random.below(12) as usize * dimensions;
        for column in 0..dimensions {
            let value = centres[centre + column] + random.below(61) as i32 - 30;
            match element {
                Element::F32 => data.extend((value as f32 / 64.0).to_le_bytes()),
                Element::F16 => data.extend(half(value).to_le_bytes()),
                Element::U8 => data.push((value + 112) as u8),
                Element::I8 => data.push((value as i8).cast_unsigned()),
            }
        }
    }
    data
}

/// An integer of at most 10 bits as half precision.
fn half(value: i32) -> u16 {
    let magnitude = value.unsigned_abs() as u16;
    if magnitude == 0 {
        return 0;
    }
    let top = magnitude.ilog2() as u16;
    u16::from(value < 0) << 15 | (15 + top) << 10 | (magnitude << (10 - top) & 0x3FF)
}

/// Ids that no f64 holds.
fn id(row: usize) -> u64 {
    u64::MAX - 1 - row as u64 * 1_000_003
}

fn text(id: u64) -> String {
    format!("<{id}>").repeat((id % 4) as usize)
}

/// What a file is made of.
#[derive(Clone, Copy)]
struct Recipe {
    metric: Metric,
    element: Element,
    dimensions: usize,
    rows: usize,
    differ: usize,
    /// Large ids and payloads.
    dressed: bool,
    tile_rows: usize,
    originals: bool,
}

const RECIPE: Recipe = Recipe {
    metric: Metric::L2,
    element: Element::F32,
    dimensions: 24,
    rows: 700,
    differ: ALL,
    dressed: false,
    tile_rows: 16,
    originals: false,
};

impl Recipe {
    /// The file as a build writes it.
    fn source(&self) -> Vec<u8> {
        let data = rows(self.element, self.dimensions, self.rows, self.differ);
        let ids: Vec<u64> = (0..self.rows).map(id).collect();
        let (mut texts, mut ends) = (Vec::new(), Vec::new());
        for &id in &ids {
            texts.extend_from_slice(text(id).as_bytes());
            ends.push(texts.len() as u64);
        }
        let input = Input {
            vectors: Vectors::packed(self.element, self.dimensions, &data).expect("whole rows"),
            ids: self.dressed.then_some(&ids),
            payloads: if self.dressed { Payloads::new(&texts, &ends) } else { None },
        };
        let params = BuildParams::new(self.metric).m(4).ef_construction(20).seed(5);
        build(&input, &params, &Serial, Kernels::best(), &mut |_, _, _| ControlFlow::Continue(()), Vec::new()).expect("a build").0
    }

    fn params(&self) -> TileParams {
        let mut params = TileParams::default();
        params.tile_rows = Some(self.tile_rows);
        params.originals = self.originals;
        params.seed = 3;
        params
    }

    /// The source and the file in tiles, which is whole.
    fn make(&self) -> (Index<Vec<u8>>, Index<Vec<u8>>) {
        let source = Index::open(self.source()).expect("a file");
        let tiles = Index::open(tiles(&source, &self.params(), &Serial).0).expect("a file in tiles");
        tiles.check(&mut |_, _| {}).expect("a whole file");
        (source, tiles)
    }

    /// Queries that are near rows, and one that is not.
    fn queries(&self) -> Vec<Vec<f32>> {
        let mut random = SplitMix::new(23);
        let size = if self.element == Element::F32 { 64.0 } else { 1.0 };
        let lift = if self.element == Element::U8 { 112.0 } else { 0.0 };
        let data = rows(Element::I8, self.dimensions, self.rows, self.differ);
        let mut queries: Vec<Vec<f32>> = (0..6)
            .map(|_| {
                let row = random.below(self.rows as u64) as usize * self.dimensions;
                let row = &data[row..row + self.dimensions];
                row.iter().map(|&x| (f32::from(x.cast_signed()) + lift + random.below(32) as f32 / 4.0 - 4.0) / size).collect()
            })
            .collect();
        queries.push((0..self.dimensions).map(|column| (column as f32 * 7.0 + 1.0) / size).collect());
        queries
    }
}

/// Writes an index anew, in tiles.
fn tiles<B: AsRef<[u8]> + Sync>(index: &Index<B>, params: &TileParams, par: &impl Par) -> (Vec<u8>, TileSummary) {
    index.write_tiles(params, par, &mut |_, _, _| ControlFlow::Continue(()), Vec::new()).expect("a file in tiles")
}

fn search<B: AsRef<[u8]>>(index: &Index<B>, query: &[f32], params: &SearchParams) -> (Vec<Hit>, Stats) {
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    let stats = index.search(Query::F32(query), params, &mut scratch, &mut hits).expect("a search");
    (hits, stats)
}

fn probing(probes: usize, rerank: usize, k: usize) -> SearchParams {
    SearchParams::default().k(k).plan(Plan::Tiles).probes(probes).rerank(rerank)
}

/// Bytes of the header and the hot region.
fn hot(file: &[u8]) -> usize {
    let index = Index::open(file).expect("a file");
    let (offset, bytes) = index.reader().header().superblock.hot;
    (offset + bytes) as usize
}
