//! Searches of a file of which only the first bytes are here: JavaScript fetches the blocks that they want.
//!
//! Each search has a slot, whose number JavaScript chooses: small numbers, used again. The answer of [`Engine::start`] and
//! [`Engine::advance`] is: u32 1 when the hits are there, else 0; u32 blocks wanted; for each f64 offset and f64 bytes, ascending by offset.

use alloc::boxed::Box;

use nearshore_core::index::Index;
use nearshore_core::search::{Pending, SearchParams};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::code::Failure;
use crate::engine::{Engine, State, nothing, query};

#[wasm_bindgen]
impl Engine {
    /// Opens a file of `file_bytes` by its header and hot region, which lie in the buffer `File`.
    pub fn open_prefix(&mut self, file_bytes: f64) -> u32 {
        let bytes = core::mem::take(&mut self.inputs.file);
        let result = Index::open_prefix(bytes, file_bytes as u64).map(|index| self.state = State::File(Box::new(index)));
        self.end(result.map_err(Failure::from))
    }

    /// Begins in `slot` the search that [`Engine::ask`] described, for the vector of element type `form` in the buffer `Query`; where this engine
    /// filters, among the rows that meet the condition in the buffer `Filter`, which is empty afterwards, or the question that `form` says.
    pub fn start(&mut self, slot: usize, form: u32, payload: bool) -> u32 {
        let params = self.params;
        let result = self.begin(slot, form, &params, payload);
        self.step(slot, result)
    }

    /// Gives the search in `slot` the block number `at` of those that it wants, which lies in the buffer `Block`.
    pub fn feed(&mut self, slot: usize, at: usize) -> u32 {
        let Self { state, pendings, inputs, .. } = self;
        let result = match state {
            #[cfg(feature = "filter")]
            State::File(index) if self.questions.asks(slot) => self.questions.feed(index, slot, at, &inputs.block),
            State::File(index) => index.feed(&mut pendings[slot], at, &inputs.block).map_err(Failure::from),
            _ => Err(nothing()),
        };
        self.end(result)
    }

    /// Goes on with the search in `slot`, once every block that it wants was fed.
    pub fn advance(&mut self, slot: usize) -> u32 {
        #[cfg(feature = "filter")]
        if self.questions.asks(slot) {
            let result = self.advance_question(slot);
            return self.step(slot, result);
        }
        let result = match &self.state {
            State::File(index) => index.advance(&mut self.pendings[slot]).map_err(Failure::from),
            _ => Err(nothing()),
        };
        self.step(slot, result)
    }

    /// Answers with the hits of the search in `slot`, as a search does; if it is not done, with those that can be had by now.
    pub fn finish(&mut self, slot: usize) -> u32 {
        #[cfg(feature = "filter")]
        if self.questions.asks(slot) {
            return self.finish_question(slot);
        }
        let Self { state: State::File(index), pendings, answer, .. } = self else { return self.end(Err(nothing())) };
        let pending = &mut pendings[slot];
        index.cut(pending);
        answer.clear();
        let mut number = 0..;
        let result = answer.hits(pending.hits(), pending.stats(), |_, out| {
            out.extend_from_slice(number.next().map_or(&[], |hit| pending.payload(hit)));
            Ok(())
        });
        self.end(result)
    }

    fn begin(&mut self, slot: usize, form: u32, params: &SearchParams, payload: bool) -> Result<bool, Failure> {
        if self.pendings.len() <= slot {
            self.pendings.resize_with(slot + 1, Pending::new);
        }
        #[cfg(feature = "filter")]
        if self.begin_question(slot, form, params, payload)? {
            return Ok(false);
        }
        let Self { state: State::File(index), pendings, inputs, .. } = self else { return Err(nothing()) };
        let pending = &mut pendings[slot];
        pending.ask_payloads(payload);
        index.start(query(&inputs.query, form, 0, index.dimensions())?, params, pending)?;
        Ok(false)
    }

    /// The answer to a step: whether the search is done, and what it wants.
    fn step(&mut self, slot: usize, result: Result<bool, Failure>) -> u32 {
        let result = result.map(|done| {
            let Self { answer, pendings, .. } = self;
            let wanted = pendings[slot].wanted();
            #[cfg(feature = "filter")]
            let wanted = self.questions.wanted(slot).unwrap_or(wanted);
            answer.clear();
            answer.u32(u32::from(done));
            answer.u32(wanted.len() as u32);
            for block in wanted {
                answer.u64((block.offset as f64).to_bits());
                answer.u64(f64::from(block.bytes).to_bits());
            }
        });
        self.end(result)
    }
}
