//! The engine: one index, and the calls that JavaScript makes to it.

use nearshore_core::format::{Element, Kind, Metric, Plan, Refine};
use nearshore_core::index::Index;
use nearshore_core::search::{Effort, Hit, Scratch, SearchParams};
use nearshore_core::vectors::Query;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::answer::{Answer, NONE};
use crate::code::{Code, Failure};
use crate::host;
use crate::inputs::{Inputs, Slot};

/// `plan` or `refine` of a search that leaves it to the index.
const UNSAID: u32 = 255;

/// One index and the buffers around it.
#[wasm_bindgen]
pub struct Engine {
    pub(crate) index: Option<Index<Vec<u8>>>,
    pub(crate) inputs: Inputs,
    pub(crate) scratch: Scratch,
    pub(crate) hits: Vec<Hit>,
    payload: Vec<u8>,
    pub(crate) answer: Answer,
    message: String,
}

#[wasm_bindgen]
impl Engine {
    /// An engine without an index.
    #[wasm_bindgen(constructor)]
    #[allow(clippy::new_without_default, reason = "JavaScript makes it")]
    pub fn new() -> Self {
        host::watch_panics();
        Self {
            index: None,
            inputs: Inputs::default(),
            scratch: Scratch::new(),
            hits: Vec::new(),
            payload: Vec::new(),
            answer: Answer::default(),
            message: String::new(),
        }
    }

    /// Makes the buffer `slot` exactly `bytes` long, keeping what it holds, and returns where it is; 0 when memory is out.
    pub fn reserve(&mut self, slot: u32, bytes: usize) -> usize {
        Slot::from_number(slot).and_then(|slot| self.inputs.reserve(slot, bytes)).unwrap_or(0)
    }

    /// What the last failed call says.
    pub fn message(&mut self) -> String {
        std::mem::take(&mut self.message)
    }

    /// Where the answer of the last call is.
    pub fn out_ptr(&self) -> usize {
        self.answer.bytes().as_ptr().expose_provenance()
    }

    /// Bytes of that answer.
    pub fn out_len(&self) -> usize {
        self.answer.bytes().len()
    }

    /// The kernels in use.
    pub fn backend(&self) -> String {
        nearshore_core::distance::Kernels::best().name().to_owned()
    }

    /// Opens the file in the buffer `File`.
    pub fn open(&mut self) -> u32 {
        let result = self.open_file();
        self.end(result)
    }

    /// Finds the nearest rows of `queries` vectors of element type `form` in the buffer `Query`. `ef` and `rerank` 0, `recall` and
    /// `radius` NaN, `plan` and `refine` 255 leave it to the index.
    #[allow(clippy::too_many_arguments, reason = "numbers cross to WebAssembly one by one")]
    pub fn search(
        &mut self,
        form: u32,
        queries: usize,
        k: usize,
        ef: usize,
        recall: f32,
        plan: u32,
        refine: u32,
        rerank: usize,
        radius: f32,
        payload: bool,
    ) -> u32 {
        let mut params = SearchParams::default().k(k);
        if ef > 0 {
            params.effort = Effort::Ef(ef);
        } else if !recall.is_nan() {
            params.effort = Effort::Recall(recall);
        }
        params.plan = Plan::try_from(plan as u8).ok().filter(|_| plan != UNSAID);
        params.refine = Refine::try_from(refine as u8).ok().filter(|_| refine != UNSAID);
        params.rerank = (rerank > 0).then_some(rerank);
        params.radius = (!radius.is_nan()).then_some(radius);
        let result = self.find(form, queries, &params, payload);
        self.end(result)
    }

    /// Answers 1 when there is a row with this id, else 0.
    pub fn has(&mut self, id: u64) -> u32 {
        let result = self.find_row(id).map(|row| {
            self.answer.clear();
            self.answer.u32(u32::from(row.is_some()));
        });
        self.end(result)
    }

    /// Answers with the vector and payload of the row with this id.
    pub fn get(&mut self, id: u64) -> u32 {
        let result = self.fetch(id);
        self.end(result)
    }

    /// Answers with what the index is:
    /// u64 rows, file bytes, seed, build id; 16 bytes of identity; u32 dimensions, metric, element, plan, refine, flags (1: payloads,
    /// 2: originals), quality rows, bytes of `meta`; then the quality rows as in the file, then `meta`.
    pub fn describe(&mut self) -> u32 {
        let result = self.tell();
        self.end(result)
    }

    /// Checks every block and every bound of the file.
    pub fn verify(&mut self) -> u32 {
        let result = index(&self.index).and_then(|index| Ok(index.check(&mut |_, _| {})?));
        self.end(result)
    }

    /// Makes the index a file in memory; see `file_ptr`.
    pub fn save(&mut self) -> u32 {
        let result = index(&self.index).map(drop);
        self.end(result)
    }

    /// Where the saved file is.
    pub fn file_ptr(&self) -> usize {
        self.index.as_ref().map_or(0, |index| index.reader().bytes().as_ptr().expose_provenance())
    }

    /// Bytes of the saved file.
    pub fn file_len(&self) -> usize {
        self.index.as_ref().map_or(0, |index| index.reader().bytes().len())
    }

    /// Rows that can be found.
    pub fn size(&self) -> usize {
        self.index.as_ref().map_or(0, |index| index.len() - index.deleted() as usize)
    }
}

impl Engine {
    /// Keeps a failure's message and returns its number.
    pub(crate) fn end(&mut self, result: Result<(), Failure>) -> u32 {
        match result {
            Ok(()) => 0,
            Err(failure) => {
                self.message = failure.message;
                failure.code as u32
            }
        }
    }

    fn open_file(&mut self) -> Result<(), Failure> {
        let bytes = std::mem::take(&mut self.inputs.file);
        self.index = Some(Index::open(bytes)?);
        Ok(())
    }

    fn find(&mut self, form: u32, queries: usize, params: &SearchParams, payload: bool) -> Result<(), Failure> {
        let index = index(&self.index)?;
        self.answer.clear();
        for number in 0..queries {
            let query = query(&self.inputs.query, form, number, index.dimensions())?;
            let stats = index.search(query, params, &mut self.scratch, &mut self.hits)?;
            self.answer.hits(&self.hits, stats, |row, out| if payload { index.payload(row, out) } else { Ok(()) })?;
        }
        Ok(())
    }

    fn find_row(&self, id: u64) -> Result<Option<u32>, Failure> {
        Ok(index(&self.index)?.row_of(id)?)
    }

    fn fetch(&mut self, id: u64) -> Result<(), Failure> {
        let index = index(&self.index)?;
        self.answer.clear();
        let Some(row) = index.row_of(id)? else {
            self.answer.u32(0);
            return Ok(());
        };
        let mut vector = Vec::new();
        index.vector(row, &mut vector)?;
        index.payload(row, &mut self.payload)?;
        self.answer.u32(1);
        self.answer.u32(if self.payload.is_empty() { NONE } else { self.payload.len() as u32 });
        for value in vector {
            self.answer.f32(value);
        }
        self.answer.slice(&self.payload);
        Ok(())
    }

    fn tell(&mut self) -> Result<(), Failure> {
        let index = index(&self.index)?;
        let superblock = &index.reader().header().superblock;
        let has = |kind| index.reader().section(kind, 0).is_some_and(|section| section.rows() > 0);
        let quality = index.quality()?;
        let meta = index.meta()?;
        let answer = &mut self.answer;
        answer.clear();
        answer.u64(superblock.rows - index.deleted());
        answer.u64(superblock.file_bytes);
        answer.u64(superblock.seed);
        answer.u64(superblock.build_id);
        answer.slice(&superblock.identity);
        answer.u32(superblock.dimensions);
        answer.u32(superblock.metric as u32);
        answer.u32(superblock.element as u32);
        answer.u32(superblock.plan as u32);
        answer.u32(superblock.refine as u32);
        answer.u32(u32::from(has(Kind::Payload)) | u32::from(has(Kind::Originals)) << 1);
        answer.u32(quality.len() as u32);
        answer.u32(meta.len() as u32);
        for row in quality {
            answer.slice(&row.to_bytes());
        }
        answer.slice(meta.as_bytes());
        Ok(())
    }
}

/// The index, which there is from `open`, `build` or `create` on.
fn index(index: &Option<Index<Vec<u8>>>) -> Result<&Index<Vec<u8>>, Failure> {
    index.as_ref().ok_or_else(|| Failure::new(Code::InvalidArgument, "there is no index yet"))
}

/// The `number`th vector in the buffer.
fn query(buffer: &[f32], form: u32, number: usize, dimensions: usize) -> Result<Query<'_>, Failure> {
    let range = number * dimensions..(number + 1) * dimensions;
    let found = match element(form)? {
        Element::U8 => bytemuck::cast_slice(buffer).get(range).map(Query::U8),
        Element::I8 => bytemuck::cast_slice(buffer).get(range).map(Query::I8),
        _ => buffer.get(range).map(Query::F32),
    };
    found.ok_or_else(|| Failure::new(Code::InvalidArgument, "fewer query vectors than were announced"))
}

/// The element type of this number.
pub(crate) fn element(number: u32) -> Result<Element, Failure> {
    Element::try_from(number as u8).map_err(|_| Failure::new(Code::InvalidArgument, "unknown element type"))
}

/// The metric of this number.
pub(crate) fn metric(number: u32) -> Result<Metric, Failure> {
    Metric::try_from(number as u8).map_err(|_| Failure::new(Code::InvalidArgument, "unknown metric"))
}
