//! Indexes that rows are added to.

use wasm_bindgen::prelude::wasm_bindgen;

use crate::code::{Code, Failure};
use crate::engine::Engine;

#[wasm_bindgen]
impl Engine {
    /// Opens the file in the buffer `File` so that rows can be added.
    pub fn load(&mut self) -> u32 {
        self.open()
    }

    /// Makes an empty index.
    pub fn create(&mut self, _dimensions: usize, _element: u32, _metric: u32, _m: usize, _ef_construction: usize, _seed: u64) -> u32 {
        self.not_yet()
    }

    /// Adds the rows in the buffers `Ids`, `Vectors`, `Payloads` and `Ends`: all, or none.
    pub fn add(&mut self, _element: u32, _replace: bool) -> u32 {
        self.not_yet()
    }

    /// Deletes a row; answers 1 when it was there, else 0.
    pub fn delete(&mut self, _id: u64) -> u32 {
        self.not_yet()
    }
}

impl Engine {
    fn not_yet(&mut self) -> u32 {
        self.inputs.release();
        self.end(Err(Failure::new(Code::Unsupported, "live indexes are not there yet: build the index, or open a file")))
    }
}
