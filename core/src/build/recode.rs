//! Codes made of the records of a file that is open, a stretch of rows at a time: memory does not grow with the rows.

use super::codes::{CodeTable, Codes, TASK_ROWS};
use crate::distance::Kernels;
use crate::error::Corrupt;
use crate::format::Section;
use crate::par::Par;
use crate::quant::{Coarse, CodeLayout, Space};
use alloc::vec;
use alloc::vec::Vec;

/// Rows that are coded at once where their codes are not kept.
const PASS_ROWS: u32 = 65_536;

/// What turns records into codes.
pub(super) struct Recoder<'a> {
    pub(super) table: CodeTable,
    /// Bytes of a row of codes.
    pub(super) stride: usize,
    records: Section<'a>,
    space: &'a Space,
    kernels: &'static Kernels,
}

/// Scratch of a thread: the row's numbers, the farthest that a row lies from its codes, and what is wrong with the records.
type Worker = (Vec<f32>, f32, Option<Corrupt>);

impl<'a> Recoder<'a> {
    /// Learns what all codes share. `codes` are not [`Codes::None`], which would be taken as four bits.
    pub(super) fn new<P: Par>(
        codes: Codes,
        space: &'a Space,
        kernels: &'static Kernels,
        records: Section<'a>,
        seed: u64,
        par: &P,
    ) -> Result<Self, Corrupt> {
        let rows = u32::try_from(records.rows()).unwrap_or(u32::MAX);
        let Some(method) = codes.method() else {
            let layout = CodeLayout::new(space.layout.dimensions);
            return Ok(Self { table: CodeTable::U4(layout), stride: layout.stride, records, space, kernels });
        };
        // A damaged block stands in as zeros here, and ends the pass over all rows.
        let zeros = vec![0; space.layout.stride];
        let coarse = Coarse::learn(method, space, kernels, rows as usize, &|row| records.row(row).unwrap_or(&zeros), seed, par);
        let mut recoder = Self { stride: coarse.stride(), table: CodeTable::Coarse(coarse), records, space, kernels };
        if matches!(&recoder.table, CodeTable::Coarse(coarse) if coarse.error().is_some()) {
            // What all rows share says how far they lie from their codes, and stands before them.
            let (mut scratch, mut farthest) = (Vec::new(), 0.0f32);
            for first in (0..rows).step_by(PASS_ROWS as usize) {
                farthest = farthest.max(recoder.rows(first, PASS_ROWS, &mut scratch, par)?);
            }
            if let CodeTable::Coarse(coarse) = &mut recoder.table {
                coarse.set_error(farthest);
            }
        }
        Ok(recoder)
    }

    /// Codes `count` rows from `first` on, as far as there are so many, into `out`, which is replaced; returns the largest squared distance
    /// of one to its codes.
    pub(super) fn rows<P: Par>(&self, first: u32, count: u32, out: &mut Vec<u8>, par: &P) -> Result<f32, Corrupt> {
        let rows = u64::from(count).min(self.records.rows().saturating_sub(first.into())) as usize;
        out.clear();
        out.resize(rows * self.stride, 0);
        let mut workers: Vec<Worker> = vec![(Vec::new(), 0.0, None); par.threads()];
        par.chunks(out, TASK_ROWS * self.stride, &mut workers, |task, codes, (work, farthest, wrong)| {
            for (row, code) in (first + (task * TASK_ROWS) as u32..).zip(codes.chunks_mut(self.stride)) {
                match (self.records.row(row), &self.table) {
                    (Err(error), _) => *wrong = Some(error),
                    (Ok(record), CodeTable::U4(layout)) => layout.encode(self.space, record, code),
                    (Ok(record), CodeTable::Coarse(coarse)) => {
                        *farthest = farthest.max(coarse.encode(self.space, self.kernels, record, code, work));
                    }
                }
            }
        });
        let farthest = workers.iter().fold(0.0f32, |most, worker| most.max(worker.1));
        workers.into_iter().find_map(|worker| worker.2).map_or(Ok(farthest), Err)
    }
}
