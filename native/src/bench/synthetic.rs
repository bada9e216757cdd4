//! A walk through an index of a billion rows that is nowhere: its blocks are made when they are asked for.
//!
//! A row is its number's nine decimal digits, each repeated over its share of the coordinates; its neighbours have one digit more or less by 1,
//! or by 3. So the nearest rows are known for any row that is looked for, and a walk goes from row 0 to wherever that lies. What that shows
//! is that counts, offsets and ids hold from one end of a file of two terabytes to the other, in the same search that serves real files:
//! nothing but the header and the mean of the rows is at hand.

use std::fmt;
use std::time::Instant;

use nearshore_core::distance::Kernels;
use nearshore_core::format::{Element, FileSpec, Header, Kind, Metric, Plan, Refine, Table, TableSpec, Writer, encoding};
use nearshore_core::index::Index;
use nearshore_core::quant::{CodeLayout, Encoding, RecordLayout, Space};
use nearshore_core::search::{Pending, SearchParams};
use nearshore_core::vectors::{Query, Vectors};

use crate::io::blocks::{Arrived, BlockError, Blocks};

/// Decimal digits of a row's number.
const DIGITS: usize = 9;
/// Rows.
pub const ROWS: u64 = 10_u64.pow(DIGITS as u32);
/// Numbers of a row.
pub const DIMENSIONS: usize = 1024;
/// A coordinate for each step of a digit.
const STEP: u8 = 25;
/// Neighbours of a node.
const DEGREE: usize = 32;
/// Rows that are looked for: both ends, what lies on both sides of digits that carry, and one from the middle.
pub const TARGETS: [u64; 5] = [0, 499_999_999, 500_000_000, 718_281_828, ROWS - 1];
const K: usize = 10;

/// What the walks did, together.
#[derive(Debug)]
pub struct Report {
    /// Bytes that the file would have.
    pub file_bytes: u64,
    /// Where the last block began that was asked for.
    pub farthest: u64,
    /// Walks: one for each of [`TARGETS`].
    pub walks: u64,
    /// Nodes expanded.
    pub hops: u64,
    /// Rounds of blocks.
    pub rounds: u64,
    /// Blocks made.
    pub blocks: u64,
    /// Seconds.
    pub seconds: f64,
}

/// What went wrong.
#[derive(Debug)]
#[non_exhaustive]
pub enum SyntheticError {
    /// A search or the opening ended in an error.
    Failed(String),
    /// The nearest rows are others.
    Wrong {
        /// The row that was looked for.
        target: u64,
        /// Ids and distances found.
        found: Vec<(u64, f32)>,
        /// Those that are right.
        right: Vec<(u64, f32)>,
    },
}

impl fmt::Display for SyntheticError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(what) => f.write_str(what),
            Self::Wrong { target, found, right } => write!(f, "near row {target} were found {found:?}, not {right:?}"),
        }
    }
}

impl std::error::Error for SyntheticError {}

/// Looks for each of [`TARGETS`], from row 0.
///
/// # Errors
/// [`SyntheticError`].
pub fn run() -> Result<Report, SyntheticError> {
    let began = Instant::now();
    let failed = |error: &dyn fmt::Display| SyntheticError::Failed(error.to_string());
    let mut file = MadeBlocks::new().map_err(|error| failed(&error))?;
    let file_bytes = file.header.superblock.file_bytes;
    let index = Index::open_prefix(file.front(), file_bytes).map_err(|error| failed(&error))?;
    let mut report = Report { file_bytes, farthest: 0, walks: 0, hops: 0, rounds: 0, blocks: 0, seconds: 0.0 };
    let (params, mut pending) = (SearchParams::ef(48).k(K), Pending::new());
    for target in TARGETS {
        let query = vector(target);
        index.start(Query::U8(&query), &params, &mut pending).map_err(|error| failed(&error))?;
        loop {
            for (at, block) in (0..).zip(pending.wanted()) {
                file.submit(at, block.offset, block.bytes);
                report.farthest = report.farthest.max(block.offset);
            }
            let mut fed = Ok(());
            file.wait(&mut |at, bytes| {
                if fed.is_ok() {
                    let bytes = bytes.map_err(|error| failed(&error));
                    fed = bytes.and_then(|bytes| index.feed(&mut pending, at as usize, bytes).map_err(|error| failed(&error)));
                }
            })
            .map_err(|error| failed(&error))?;
            fed?;
            if index.advance(&mut pending).map_err(|error| failed(&error))? {
                break;
            }
        }
        let found: Vec<(u64, f32)> = pending.hits().iter().map(|hit| (hit.id, hit.distance)).collect();
        let right = nearest(target);
        if found != right {
            return Err(SyntheticError::Wrong { target, found, right });
        }
        report.walks += 1;
        report.hops += pending.stats().hops;
        report.rounds += u64::from(pending.rounds());
        report.blocks += pending.blocks();
    }
    report.seconds = began.elapsed().as_secs_f64();
    Ok(report)
}

fn digits(mut row: u64) -> [u8; DIGITS] {
    [(); DIGITS].map(|()| {
        let digit = (row % 10) as u8;
        row /= 10;
        digit
    })
}

/// Coordinate `at` is of digit `at % DIGITS`.
fn vector(row: u64) -> Vec<u8> {
    digits(row).iter().cycle().take(DIMENSIONS).map(|digit| digit * STEP).collect()
}

/// Ids that need more than 32 bits.
fn id(row: u64) -> u64 {
    row * 1_000_003 + 7
}

/// Rows whose number differs in one digit, by `steps`: the digit, then the row.
fn beside(row: u64, steps: [i8; 2]) -> impl Iterator<Item = (usize, u64)> {
    let all = digits(row);
    (0..DIGITS).flat_map(move |place| {
        let power = 10_i64.pow(place as u32);
        let stays = move |step: &i8| (0..10).contains(&(all[place] as i8 + step));
        steps.into_iter().filter(stays).map(move |step| (place, (row as i64 + i64::from(step) * power) as u64))
    })
}

/// What a search for `row` has to find: itself, then those that differ by one step in one digit; ties by the smaller id.
fn nearest(row: u64) -> Vec<(u64, f32)> {
    let length = |place: usize| ((DIMENSIONS - place).div_ceil(DIGITS) * usize::from(STEP).pow(2)) as f32;
    let mut all: Vec<(u64, f32)> = beside(row, [-1, 1]).map(|(place, near)| (id(near), length(place))).collect();
    // There are at least as many as digits, and all that differ in more are farther.
    all.push((id(row), 0.0));
    all.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    all.truncate(K);
    all
}

/// Makes every block of the file that is asked for.
struct MadeBlocks {
    header: Header,
    space: Space,
    codes: CodeLayout,
    asked: Vec<(u64, u64, u32)>,
}

impl MadeBlocks {
    fn new() -> Result<Self, nearshore_core::format::WriteError<std::convert::Infallible>> {
        let (layout, codes) = (RecordLayout::new(DIMENSIONS), CodeLayout::new(DIMENSIONS));
        let spec = FileSpec {
            rows: ROWS,
            dimensions: DIMENSIONS as u32,
            metric: Metric::L2,
            element: Element::U8,
            plan: Plan::Walk,
            refine: Refine::Records,
            seed: 0,
            build_id: 9,
        };
        let table =
            |kind, stride: usize, parameter: usize| TableSpec::table(kind, ROWS, stride as u32).parameter(parameter as u32).paged(4096);
        let tables = [
            TableSpec::blob(Kind::Quant, (16 + 4 * DIMENSIONS) as u64).hot().required(),
            table(Kind::CodesRows, codes.stride, codes.factors).encoding(encoding::CODES_U4),
            table(Kind::Edges, DEGREE * 4, DEGREE),
            table(Kind::Records, layout.stride, layout.factors).encoding(encoding::EXACT_U8).required(),
        ];
        let header = Writer::new(Vec::new(), &spec, &tables)?.header().clone();
        let space = Space { metric: Metric::L2, encoding: Encoding::U8, layout, mean: vec![0.0; DIMENSIONS] };
        Ok(Self { header, space, codes, asked: Vec::new() })
    }

    /// The header and what is hot.
    fn front(&mut self) -> Vec<u8> {
        let mut front = self.header.encode();
        for table in self.header.tables.iter().filter(|table| table.is_hot()) {
            front.resize(table.offset as usize, 0);
            for block in 0..table.blocks() {
                let start = front.len();
                let head = [1, DIMENSIONS as u32, encoding::EXACT_U8, 0].map(u32::to_le_bytes);
                let mut rows = head.as_flattened().to_vec();
                rows.resize(16 + 4 * DIMENSIONS, 0);
                let from = (block * u64::from(table.block_rows)) as usize;
                front.extend_from_slice(&rows[from..from + table.row_bytes(block) as usize]);
                table.seal(self.header.superblock.build_id, block, &mut front, start);
            }
        }
        front
    }

    /// The block of so many bytes that begins at `offset`; `None` where none does.
    fn make(&self, offset: u64, wanted: u32) -> Option<Vec<u8>> {
        let table = self.header.tables.iter().rfind(|table| table.offset <= offset)?;
        if !(offset - table.offset).is_multiple_of(table.block_bytes.into()) || wanted != table.block_bytes {
            return None;
        }
        let block = (offset - table.offset) / u64::from(table.block_bytes);
        let first = block * u64::from(table.block_rows);
        let mut bytes = Vec::with_capacity(table.block_bytes as usize);
        for row in first..table.rows.min(first + u64::from(table.block_rows)) {
            self.row(table, row, &mut bytes);
        }
        table.seal(self.header.superblock.build_id, block, &mut bytes, 0);
        Some(bytes)
    }

    fn row(&self, table: &Table, row: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + table.stride as usize, 0);
        let out = &mut out[start..];
        if table.kind == Kind::Edges as u16 {
            let mut near = beside(row, [-1, 1]).chain(beside(row, [-3, 3])).map(|(_, near)| near as u32);
            out.chunks_mut(4).for_each(|slot| slot.copy_from_slice(&near.next().unwrap_or(u32::MAX).to_le_bytes()));
            return;
        }
        let vector = vector(row);
        let Some(vectors) = Vectors::packed(Element::U8, DIMENSIONS, &vector) else { return };
        let layout = self.space.layout;
        let mut record = vec![0; layout.stride];
        let factors = self.space.encode(Kernels::best(), &vectors, 0, &mut Vec::new(), &mut record);
        layout.write_tail(&mut record, factors, id(row), (0, 0));
        if table.kind == Kind::Records as u16 {
            out.copy_from_slice(&record);
        } else {
            self.codes.encode(&self.space, &record, out);
        }
    }
}

impl Blocks for MadeBlocks {
    fn submit(&mut self, token: u64, offset: u64, bytes: u32) {
        self.asked.push((token, offset, bytes));
    }

    fn wait(&mut self, arrived: &mut Arrived<'_>) -> Result<(), BlockError> {
        for (token, offset, wanted) in std::mem::take(&mut self.asked) {
            match self.make(offset, wanted) {
                Some(bytes) => arrived(token, Ok(&bytes)),
                None => arrived(token, Err(BlockError::Truncated { offset, wanted, found: 0 })),
            }
        }
        Ok(())
    }

    fn in_flight(&self) -> usize {
        self.asked.len()
    }
}
