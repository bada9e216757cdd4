//! A prototype to compare with: each node's page carries its record, its neighbours and their codes (AiSAQ; with several nodes a page, PageANN),
//! so that a walk needs nothing in memory but a sample of rows to begin from. Over the drivers of the product.
//!
//! ```text
//! nearshore export base.shore -o coded.shore --for disk --codes rabitq1        (or pq64)
//! cargo run --release -p nearshore --example inline_codes -- coded.shore QUERIES TRUTH PAGES [DEGREE]
//! ```
//! PAGES is written unless it is there; of each node the first DEGREE neighbours (default: all) are taken. Prints a JSON object for each number
//! of nodes that are expanded at a time, with recall@10, reads (`blocks`), rounds and bytes a query, and queries a second of the processor.

#![expect(clippy::print_stdout, reason = "its output")]

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use nearshore::bench::cpu_time;
use nearshore::dataset::truth::Truth;
use nearshore::dataset::{Dataset, Options};
use nearshore::format::Kind;
use nearshore::io::blocks::run::{RunError, Waits, Work, run};
use nearshore::io::blocks::{BlockFile, BlockOptions};
use nearshore::{Index, Kernels, Queries};
use nearshore_core::graph::{Buffers, NONE, Neighbor, layer::Records};
use nearshore_core::quant::{Coarse, Encoding, Prepared, RecordLayout, Space};
use nearshore_core::seed::SplitMix;
use serde_json::json;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const PAGE: usize = 4096;
const K: usize = 10;
/// Rows with codes in memory, to begin from.
const SAMPLE: usize = 4_000;

/// What a file of pages is made of, and what is in memory beside it.
struct Pages {
    space: Space,
    coarse: Coarse,
    /// Bytes of a neighbour's code in a page: without the rest of its row in the table.
    code_bytes: usize,
    degree: usize,
    /// Sampled rows and their codes.
    sample: Vec<u32>,
    codes: Vec<u8>,
}

impl Pages {
    fn of(index: &Index, degree: Option<usize>) -> Result<Self> {
        let section =
            |kind, instance| index.reader().section(kind, instance).ok_or("a file of --tier disk with codes of few bits would be right");
        let (records, edges, codes) = (section(Kind::Records, 0)?, section(Kind::Edges, 0)?, section(Kind::CodesRows, 0)?);
        let (table, dimensions) = (records.table(), index.dimensions());
        let layout = RecordLayout::from_file(dimensions, table.parameter as usize, table.stride as usize).ok_or("records that overlap")?;
        let space = Space { metric: index.metric(), encoding: Encoding::of(index.element()), layout, mean: index.mean()?.to_vec() };
        let (quant, table, mut bytes) = (section(Kind::Quant, 1)?, codes.table(), Vec::new());
        quant.read_blob(0, quant.rows(), &mut bytes)?;
        let coarse = Coarse::read(&space, table.encoding, table.parameter as usize, table.stride as usize, &bytes)?;
        // Bits have 16 bytes of factors behind them, parts have none.
        let code_bytes = coarse.parameter() + if coarse.error().is_some() { 0 } else { 16 };
        let mut random = SplitMix::new(7);
        let sample: Vec<u32> = (0..SAMPLE.min(index.len())).map(|_| random.below(index.len() as u64) as u32).collect();
        let mut sampled = Vec::new();
        sample.iter().try_for_each(|&row| codes.row(row).map(|code| sampled.extend_from_slice(code)))?;
        let most = edges.table().parameter as usize;
        Ok(Self { space, coarse, code_bytes, degree: degree.unwrap_or(most).min(most), sample, codes: sampled })
    }

    fn node_bytes(&self) -> usize {
        self.space.layout.stride + self.degree * (4 + self.code_bytes)
    }

    /// Nodes of a page, and its bytes.
    fn packing(&self) -> (usize, usize) {
        let node = self.node_bytes();
        if node <= PAGE { (PAGE / node, PAGE) } else { (1, node.next_multiple_of(PAGE)) }
    }

    fn write(&self, index: &Index, path: &Path) -> Result<()> {
        let section = |kind| index.reader().section(kind, 0).ok_or("a table is missing");
        let (records, edges, codes) = (section(Kind::Records)?, section(Kind::Edges)?, section(Kind::CodesRows)?);
        let (per_page, page_bytes) = self.packing();
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        let mut page = Vec::with_capacity(page_bytes);
        for row in 0..index.len() as u32 {
            page.extend_from_slice(records.row(row)?);
            let neighbors = &edges.row(row)?[..4 * self.degree];
            page.extend_from_slice(neighbors);
            for neighbor in neighbors.as_chunks::<4>().0 {
                match u32::from_le_bytes(*neighbor) {
                    NONE => page.resize(page.len() + self.code_bytes, 0),
                    neighbor => page.extend_from_slice(&codes.row(neighbor)?[..self.code_bytes]),
                }
            }
            if (row as usize + 1).is_multiple_of(per_page) || row as usize + 1 == index.len() {
                page.resize(page_bytes, 0);
                out.write_all(&page)?;
                page.clear();
            }
        }
        Ok(out.flush()?)
    }
}

/// A candidate: its estimate, and whether it was expanded.
type Candidate = (Neighbor, bool);

/// One walk that waits for pages.
struct Walk<'a> {
    pages: &'a Pages,
    kernels: &'static Kernels,
    width: usize,
    effort: usize,
    number: usize,
    query: Prepared,
    pool: Vec<Candidate>,
    seen: HashSet<u32>,
    /// Pages that this walk has read.
    held: HashMap<u32, Vec<u8>>,
    wanted: Vec<u32>,
    expanding: Vec<u32>,
    /// Distances by records, and ids.
    exact: Vec<(f32, u64)>,
    rounds: usize,
    reads: usize,
    buffers: Buffers,
    codes: Vec<u8>,
    neighbors: Vec<u32>,
    estimates: Vec<f32>,
}

impl<'a> Walk<'a> {
    fn new(pages: &'a Pages, width: usize, effort: usize) -> Self {
        Self {
            pages,
            kernels: Kernels::best(),
            width,
            effort,
            number: 0,
            query: Prepared::new(),
            pool: Vec::new(),
            seen: HashSet::new(),
            held: HashMap::new(),
            wanted: Vec::new(),
            expanding: Vec::new(),
            exact: Vec::new(),
            rounds: 0,
            reads: 0,
            buffers: Buffers::default(),
            codes: Vec::new(),
            neighbors: Vec::new(),
            estimates: Vec::new(),
        }
    }

    fn begin(&mut self, queries: &Queries) {
        let Pages { space, coarse, sample, codes, .. } = self.pages;
        self.query.query(space, self.kernels, queries.get(self.number));
        coarse.prepare(space, self.kernels, &mut self.query);
        (self.rounds, self.reads) = (0, 0);
        self.pool.clear();
        self.seen.clear();
        self.held.clear();
        self.exact.clear();
        self.neighbors.clone_from(sample);
        self.offer(codes);
        self.choose();
    }

    /// Puts `neighbors` with their codes into the pool, as far as they are new.
    fn offer(&mut self, codes: &[u8]) {
        let Pages { space, coarse, .. } = self.pages;
        let Buffers { places, dots } = &mut self.buffers;
        places.clear();
        places.extend((0..self.neighbors.len()).map(|at| at * coarse.stride()));
        self.estimates.resize(places.len(), 0.0);
        coarse.distances(space, self.kernels, &self.query, codes, places, dots, &mut self.estimates);
        let new = self.neighbors.iter().zip(&self.estimates).filter(|(node, _)| self.seen.insert(**node));
        self.pool.extend(new.map(|(&node, &distance)| (Neighbor { distance, node }, false)));
        self.pool.sort_unstable_by_key(|(near, _)| near.key());
        self.pool.truncate(self.effort);
    }

    /// Chooses what is expanded next, and wants the pages of it that are not at hand.
    fn choose(&mut self) {
        self.expanding.clear();
        self.wanted.clear();
        let per_page = self.pages.packing().0 as u32;
        for (near, expanded) in self.pool.iter_mut().filter(|(_, expanded)| !expanded).take(self.width) {
            *expanded = true;
            self.expanding.push(near.node);
            let page = near.node / per_page;
            if !self.held.contains_key(&page) && !self.wanted.contains(&page) {
                self.wanted.push(page);
            }
        }
        self.reads += self.wanted.len();
        self.rounds += usize::from(!self.wanted.is_empty());
    }

    /// Reads a node of a page at hand: its distance, and its neighbours into the pool.
    fn expand(&mut self, node: u32) {
        let Pages { space, coarse, code_bytes, degree, .. } = self.pages;
        let ((per_page, _), stride) = (self.pages.packing(), space.layout.stride);
        let start = node as usize % per_page * self.pages.node_bytes();
        let Some(page) = self.held.get(&(node / per_page as u32)) else { return };
        let (record, rest) = page[start..start + self.pages.node_bytes()].split_at(stride);
        let (ids, tight) = rest.split_at(4 * degree);
        let mut distance = [0.0];
        self.buffers.places.clear();
        self.buffers.places.push(0);
        Records { space, kernels: self.kernels, bytes: record }.distances_at(&self.query, &mut self.buffers, &mut distance);
        self.exact.push((distance[0], space.layout.id(record)));
        let ids = ids.as_chunks::<4>().0.iter().map(|id| u32::from_le_bytes(*id));
        self.neighbors.clear();
        self.neighbors.extend(ids.take_while(|&id| id != NONE));
        let mut codes = std::mem::take(&mut self.codes);
        codes.clear();
        codes.resize(self.neighbors.len() * coarse.stride(), 0);
        for (row, code) in codes.chunks_exact_mut(coarse.stride()).zip(tight.chunks_exact(*code_bytes)) {
            row[..*code_bytes].copy_from_slice(code);
        }
        self.offer(&codes);
        self.codes = codes;
    }
}

impl Waits for Walk<'_> {
    type Error = std::convert::Infallible;

    fn wanted(&self) -> usize {
        self.wanted.len()
    }

    fn block(&self, at: usize) -> (u64, u32) {
        let bytes = self.pages.packing().1;
        (u64::from(self.wanted[at]) * bytes as u64, bytes as u32)
    }

    fn feed(&mut self, at: usize, bytes: &[u8]) -> std::result::Result<(), Self::Error> {
        self.held.insert(self.wanted[at], bytes.to_vec());
        Ok(())
    }

    fn advance(&mut self) -> std::result::Result<bool, Self::Error> {
        for node in std::mem::take(&mut self.expanding) {
            self.expand(node);
        }
        self.choose();
        Ok(self.expanding.is_empty())
    }
}

/// All queries, and what they came to.
struct All<'a> {
    queries: &'a Queries,
    truth: &'a Truth,
    next: usize,
    found: usize,
    rounds: usize,
    reads: usize,
}

impl<'a> Work<Walk<'a>> for All<'_> {
    fn next(&mut self, walk: &mut Walk<'a>) -> Option<std::result::Result<(), std::convert::Infallible>> {
        walk.number = self.next;
        self.next += 1;
        (walk.number < self.queries.len()).then(|| {
            walk.begin(self.queries);
            Ok(())
        })
    }

    fn done(&mut self, walk: &mut Walk<'a>, _: std::result::Result<(), RunError<std::convert::Infallible>>) {
        walk.exact.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let ids: Vec<u64> = walk.exact.iter().take(K).map(|(_, id)| *id).collect();
        self.found += self.truth.found(walk.number, K, &ids);
        self.rounds += walk.rounds;
        self.reads += walk.reads;
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (file, queries, truth, path, degree) = match arguments.as_slice() {
        [file, queries, truth, path] => (file, queries, truth, Path::new(path), None),
        [file, queries, truth, path, degree] => (file, queries, truth, Path::new(path), Some(degree.parse()?)),
        _ => return Err("FILE QUERIES TRUTH PAGES [DEGREE] would be right".into()),
    };
    let index = Index::open(file)?;
    let pages = Pages::of(&index, degree)?;
    if !path.exists() {
        pages.write(&index, path)?;
    }
    let queries = Queries::of(&Dataset::open(Path::new(queries), &Options::default())?)?;
    let truth = Truth::open(Path::new(truth))?;
    let (per_page, page_bytes) = pages.packing();
    let (bytes, held) = (path.metadata()?.len(), pages.codes.len() + 4 * pages.sample.len());
    let file = BlockFile::open(path, BlockOptions::default())?;
    for width in [4, 1, 8, 16] {
        let mut runs = Vec::new();
        for effort in [16, 32, 48, 64, 96, 128, 192, 256] {
            let mut walks: Vec<Walk<'_>> = (0..16).map(|_| Walk::new(&pages, width, effort)).collect();
            let mut all = All { queries: &queries, truth: &truth, next: 0, found: 0, rounds: 0, reads: 0 };
            let mut blocks = file.blocks()?;
            let cpu = cpu_time();
            run(&mut *blocks, &mut walks, &mut all)?;
            let (cpu, count) = ((cpu_time() - cpu).as_secs_f64(), queries.len() as f64);
            let (recall, reads, rounds) = (all.found as f64 / count / K as f64, all.reads as f64 / count, all.rounds as f64 / count);
            runs.push(json!({
                "ef": effort, "recall": recall, "blocks": reads, "rounds": rounds, "bytes": reads * page_bytes as f64, "qps_cpu": count / cpu,
            }));
        }
        println!(
            "{}",
            json!({
                "rows": index.len(), "degree": pages.degree, "page_nodes": per_page, "page_bytes": page_bytes, "at_a_time": width,
                "front_bytes": held, "file_bytes": bytes, "runs": runs,
            })
        );
    }
    Ok(())
}
