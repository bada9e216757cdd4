//! Files that lie here as a whole, and live indexes: searched, looked into, saved.

use alloc::boxed::Box;
use alloc::vec::Vec;

use nearshore_core::index::Index;
use nearshore_core::search::SearchParams;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::answer::NONE;
use crate::code::Failure;
use crate::engine::{Engine, State, nothing, query};
#[cfg(feature = "filter")]
use crate::filter::Among;

#[wasm_bindgen]
impl Engine {
    /// Opens the file in the buffer `File`.
    pub fn open(&mut self) -> u32 {
        let result = self.open_file();
        self.end(result)
    }

    /// Finds the nearest rows of `queries` vectors of element type `form` in the buffer `Query`, as [`Engine::ask`] said; where this
    /// engine filters, among the rows that meet the condition in the buffer `Filter`, which is empty afterwards.
    pub fn search(&mut self, form: u32, queries: usize, payload: bool) -> u32 {
        let params = self.params;
        let result = self.find(form, queries, &params, payload);
        self.end(result)
    }

    /// Answers 1 when there is a row with this id, else 0.
    pub fn has(&mut self, id: u64) -> u32 {
        let result = self.contains(id).map(|there| {
            self.answer.clear();
            self.answer.u32(u32::from(there));
        });
        self.end(result)
    }

    /// Answers with the vector and payload of the row with this id.
    pub fn get(&mut self, id: u64) -> u32 {
        let result = self.fetch(id);
        self.end(result)
    }

    /// Checks every block and every bound of the file; a live index has none.
    pub fn verify(&mut self) -> u32 {
        let result = match &self.state {
            State::File(index) => index.check(&mut |_, _| {}).map_err(Failure::from),
            _ => Ok(()),
        };
        self.end(result)
    }

    /// Makes the index a file in memory; answers with u32 where it is, and its bytes.
    pub fn save(&mut self) -> u32 {
        let result = self.write();
        self.end(result)
    }

    /// The saved file was copied out, and is not needed any more.
    pub fn saved(&mut self) {
        self.saved = Vec::new();
    }
}

impl Engine {
    fn open_file(&mut self) -> Result<(), Failure> {
        let bytes = core::mem::take(&mut self.inputs.file);
        self.state = State::File(Box::new(Index::open(bytes)?));
        Ok(())
    }

    fn write(&mut self) -> Result<(), Failure> {
        let file: &[u8] = match &self.state {
            State::Empty => return Err(nothing()),
            State::File(index) => index.reader().bytes(),
            #[cfg(feature = "full")]
            State::Live(live) => {
                self.saved = live.save(Vec::new())?;
                &self.saved
            }
        };
        self.answer.clear();
        self.answer.u32(file.as_ptr().expose_provenance() as u32);
        self.answer.u32(file.len() as u32);
        Ok(())
    }

    fn find(&mut self, form: u32, queries: usize, params: &SearchParams, payload: bool) -> Result<(), Failure> {
        #[cfg(feature = "filter")]
        let among = self.among()?;
        let Self { state, inputs, scratch, hits, answer, .. } = self;
        answer.clear();
        for number in 0..queries {
            match state {
                State::Empty => return Err(nothing()),
                State::File(index) => {
                    let query = query(&inputs.query, form, number, index.dimensions())?;
                    #[cfg(feature = "filter")]
                    let stats = match &among {
                        Among::File(rows) => index.search_where(query, params, rows, scratch, hits)?,
                        _ => index.search(query, params, scratch, hits)?,
                    };
                    #[cfg(not(feature = "filter"))]
                    let stats = index.search(query, params, scratch, hits)?;
                    answer.hits(hits, stats, |hit, out| if payload { index.payload(hit.row, out) } else { Ok(()) })?;
                }
                #[cfg(feature = "full")]
                State::Live(live) => {
                    let query = query(&inputs.query, form, number, live.params().dimensions)?;
                    #[cfg(feature = "columns")]
                    let stats = match &among {
                        Among::Live(rows) => live.search_where(query, params, rows, scratch, hits)?,
                        _ => live.search(query, params, scratch, hits)?,
                    };
                    #[cfg(not(feature = "columns"))]
                    let stats = live.search(query, params, scratch, hits)?;
                    answer.hits(hits, stats, |hit, out| {
                        out.extend_from_slice(if payload { live.payload_of(hit) } else { &[] });
                        Ok::<_, Failure>(())
                    })?;
                }
            }
        }
        Ok(())
    }

    fn contains(&self, id: u64) -> Result<bool, Failure> {
        match &self.state {
            State::Empty => Err(nothing()),
            State::File(index) => Ok(index.row_of(id)?.is_some()),
            #[cfg(feature = "full")]
            State::Live(live) => Ok(live.contains(id)),
        }
    }

    fn fetch(&mut self, id: u64) -> Result<(), Failure> {
        let mut vector = Vec::new();
        self.payload.clear();
        let found = match &self.state {
            State::Empty => return Err(nothing()),
            State::File(index) => match index.row_of(id)? {
                Some(row) => {
                    index.vector(row, &mut vector)?;
                    index.payload(row, &mut self.payload)?;
                    true
                }
                None => false,
            },
            #[cfg(feature = "full")]
            State::Live(live) => {
                self.payload.extend_from_slice(live.payload(id).unwrap_or(&[]));
                live.vector(id).map(|found| vector = found).is_some()
            }
        };
        let answer = &mut self.answer;
        answer.clear();
        answer.u32(u32::from(found));
        answer.u32(if self.payload.is_empty() { NONE } else { self.payload.len() as u32 });
        vector.iter().for_each(|&value| answer.f32(value));
        answer.slice(&self.payload);
        Ok(())
    }
}
