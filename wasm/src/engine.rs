//! The engine: one index, and the calls that JavaScript makes to it.

use alloc::boxed::Box;
use alloc::vec::Vec;
#[cfg(feature = "full")]
use nearshore_core::format::Metric;
use nearshore_core::format::{Element, Kind, Plan, Refine};
use nearshore_core::index::Index;
#[cfg(feature = "full")]
use nearshore_core::live::Live;
use nearshore_core::search::{Effort, SearchParams};
#[cfg(feature = "whole")]
use nearshore_core::search::{Hit, Scratch};
use nearshore_core::vectors::Query;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::answer::Answer;
use crate::code::{Code, Failure};
use crate::inputs::{Inputs, Slot};

/// `plan` or `refine` of a search that leaves it to the index.
const UNSAID: u32 = 255;

/// Flag of `describe` for the kernels that this engine was compiled with.
const KERNELS: u32 = if cfg!(target_feature = "simd128") { 4 } else { 0 };

/// What an engine holds.
pub(crate) enum State {
    /// Nothing yet.
    Empty,
    /// A file, searched where it lies.
    File(Box<Index<Vec<u8>>>),
    /// A graph that changes.
    #[cfg(feature = "full")]
    Live(Box<Live>),
}

/// One index and the buffers around it.
#[wasm_bindgen]
pub struct Engine {
    pub(crate) state: State,
    pub(crate) inputs: Inputs,
    #[cfg(feature = "whole")]
    pub(crate) scratch: Scratch,
    #[cfg(feature = "whole")]
    pub(crate) hits: Vec<Hit>,
    /// How to search.
    pub(crate) params: SearchParams,
    /// Searches that wait for blocks.
    #[cfg(feature = "tiles")]
    pub(crate) pendings: Vec<nearshore_core::search::Pending>,
    /// What conditions selected.
    #[cfg(feature = "filter")]
    pub(crate) filters: crate::filter::Filters,
    /// What is asked of files of which little is here.
    #[cfg(all(feature = "filter", feature = "tiles"))]
    pub(crate) questions: crate::question::Questions,
    /// Columns of the index that is made next.
    #[cfg(feature = "columns")]
    pub(crate) schema: Vec<nearshore_core::live::LiveColumn>,
    #[cfg(feature = "whole")]
    pub(crate) payload: Vec<u8>,
    #[cfg(feature = "whole")]
    pub(crate) saved: Vec<u8>,
    pub(crate) answer: Answer,
}

#[wasm_bindgen]
impl Engine {
    /// An engine without an index.
    #[wasm_bindgen(constructor)]
    #[allow(clippy::new_without_default, reason = "JavaScript makes it")]
    pub fn new() -> Self {
        Self {
            state: State::Empty,
            inputs: Inputs::default(),
            #[cfg(feature = "whole")]
            scratch: Scratch::new(),
            #[cfg(feature = "whole")]
            hits: Vec::new(),
            params: SearchParams::default(),
            #[cfg(feature = "tiles")]
            pendings: Vec::new(),
            #[cfg(feature = "filter")]
            filters: crate::filter::Filters::default(),
            #[cfg(all(feature = "filter", feature = "tiles"))]
            questions: crate::question::Questions::default(),
            #[cfg(feature = "columns")]
            schema: Vec::new(),
            #[cfg(feature = "whole")]
            payload: Vec::new(),
            #[cfg(feature = "whole")]
            saved: Vec::new(),
            answer: Answer::default(),
        }
    }

    /// Makes the buffer `slot` exactly `bytes` long, keeping what it holds, and returns where it is; 0 when memory is out.
    pub fn reserve(&mut self, slot: u32, bytes: usize) -> usize {
        Slot::from_number(slot).and_then(|slot| self.inputs.reserve(slot, bytes)).unwrap_or(0)
    }

    /// Where the answer of the last call is; if it failed, what it says in UTF-8.
    pub fn out_ptr(&self) -> usize {
        self.answer.bytes().as_ptr().expose_provenance()
    }

    /// Bytes of that answer.
    pub fn out_len(&self) -> usize {
        self.answer.bytes().len()
    }

    /// Says how the searches after this are to search. `ef` and `rerank` 0, `recall` and `radius` NaN, `plan` and `refine` 255 leave it to the
    /// index.
    #[allow(clippy::too_many_arguments, reason = "numbers cross to WebAssembly one by one")]
    pub fn ask(&mut self, k: usize, ef: usize, recall: f32, plan: u32, refine: u32, rerank: usize, radius: f32) {
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
        self.params = params;
    }

    /// Answers with what the index is:
    /// u64 rows, file bytes, seed, build id; 16 bytes of identity; u32 dimensions, metric, element, plan, refine, flags (1: payloads,
    /// 2: originals, 4: kernels of simd128), quality rows, bytes of `meta`; then the quality rows as in the file, then `meta`. What only
    /// a file has is zero, or empty, for a live index. An engine of columns adds their schema, as it is given.
    pub fn describe(&mut self) -> u32 {
        let result = self.tell();
        #[cfg(feature = "columns")]
        let result = result.and_then(|()| self.tell_columns());
        self.end(result)
    }
}

impl Engine {
    /// Answers with a failure's message and returns its number.
    pub(crate) fn end(&mut self, result: Result<(), Failure>) -> u32 {
        match result {
            Ok(()) => 0,
            Err(failure) => {
                self.answer.clear();
                self.answer.slice(failure.message.as_bytes());
                failure.code as u32
            }
        }
    }

    fn tell(&mut self) -> Result<(), Failure> {
        let answer = &mut self.answer;
        answer.clear();
        match &self.state {
            State::Empty => return Err(nothing()),
            State::File(index) => {
                let superblock = &index.reader().header().superblock;
                let has = |kind| index.reader().section(kind, 0).is_some_and(|section| section.rows() > 0);
                let (quality, meta) = (index.quality()?, index.meta()?);
                for value in [superblock.rows - index.deleted(), superblock.file_bytes, superblock.seed, superblock.build_id] {
                    answer.u64(value);
                }
                answer.slice(&superblock.identity);
                answer.u32(superblock.dimensions);
                answer.u32(superblock.metric as u32);
                answer.u32(superblock.element as u32);
                answer.u32(superblock.plan as u32);
                answer.u32(superblock.refine as u32);
                answer.u32(u32::from(has(Kind::Payload)) | u32::from(has(Kind::Originals)) << 1 | KERNELS);
                answer.u32(quality.len() as u32);
                answer.u32(meta.len() as u32);
                quality.iter().for_each(|row| answer.slice(&row.to_bytes()));
                answer.slice(meta.as_bytes());
            }
            #[cfg(feature = "full")]
            State::Live(live) => {
                let params = live.params();
                for value in [live.len() as u64, 0, params.seed, 0, 0, 0] {
                    answer.u64(value);
                }
                answer.u32(params.dimensions as u32);
                answer.u32(params.metric as u32);
                answer.u32(params.element as u32);
                answer.u32(live.plan() as u32);
                answer.u32(Refine::Records as u32);
                [u32::from(live.has_payloads()) | KERNELS, 0, 0].iter().for_each(|&value| answer.u32(value));
            }
        }
        Ok(())
    }
}

pub(crate) fn nothing() -> Failure {
    Failure::new(Code::InvalidArgument, "there is no index yet")
}

/// The `number`th vector in the buffer.
pub(crate) fn query(buffer: &[f32], form: u32, number: usize, dimensions: usize) -> Result<Query<'_>, Failure> {
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
#[cfg(feature = "full")]
pub(crate) fn metric(number: u32) -> Result<Metric, Failure> {
    Metric::try_from(number as u8).map_err(|_| Failure::new(Code::InvalidArgument, "unknown metric"))
}
