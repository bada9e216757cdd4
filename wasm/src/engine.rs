//! The engine: one index behind the calls that JavaScript makes.
#![allow(missing_docs)]

use wasm_bindgen::prelude::wasm_bindgen;

use crate::answer::{Answer, NONE};
use crate::code::{Code, Failure};
use crate::inputs::{Inputs, Slot};
use crate::standin::{build, format::*, index::Index, search::*};
use crate::{host, answer};

/// One index and the buffers around it.
#[wasm_bindgen]
pub struct Engine {
    index: Option<Index<Vec<u8>>>,
    inputs: Inputs,
    scratch: Scratch,
    hits: Vec<Hit>,
    answer: Answer,
    message: String,
}

#[wasm_bindgen]
impl Engine {
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        host::watch_panics();
        Self { index: None, inputs: Inputs::default(), scratch: Scratch::new(), hits: Vec::new(), answer: Answer::default(), message: String::new() }
    }
    pub fn reserve(&mut self, slot: u32, bytes: usize) -> usize {
        Slot::from_number(slot).and_then(|slot| self.inputs.reserve(slot, bytes)).unwrap_or(0)
    }
    pub fn message(&mut self) -> String { std::mem::take(&mut self.message) }
    pub fn out_ptr(&self) -> usize { self.answer.bytes().as_ptr().addr() }
    pub fn out_len(&self) -> usize { self.answer.bytes().len() }
    pub fn file_ptr(&self) -> usize { self.index.as_ref().map_or(0, |i| i.bytes().as_ptr().addr()) }
    pub fn file_len(&self) -> usize { self.index.as_ref().map_or(0, |i| i.bytes().len()) }
    pub fn open(&mut self) -> u32 {
        let bytes = std::mem::take(&mut self.inputs.file);
        let r = Index::open(bytes).map_err(|e| Failure::new(Code::Corrupt, e.to_string())).map(|i| self.index = Some(i));
        self.done(r)
    }
    #[allow(clippy::too_many_arguments)]
    pub fn build(&mut self, dimensions: usize, element: u32, metric: u32, _m: u32, _efc: u32, _seed: u64, _originals: bool) -> u32 {
        let r = self.build_(dimensions, element, metric);
        self.done(r)
    }
    pub fn search(&mut self, form: u32, queries: usize, k: usize, ef: usize, recall: f32, _plan: u32, _refine: u32, _rerank: usize, _radius: f32, payload: bool) -> u32 {
        let r = self.search_(form, queries, SearchParams { k, effort: if ef > 0 { Effort::Ef(ef) } else if recall > 0.0 { Effort::Recall(recall) } else { Effort::Auto }, ..SearchParams::default() }, payload);
        self.done(r)
    }
    pub fn has(&mut self, id: u64) -> u32 { self.answer.clear(); let h = self.index.as_ref().is_some_and(|i| i.row_of(id).unwrap().is_some()); self.answer.u32(u32::from(h)); 0 }
    pub fn load(&mut self) -> u32 { self.open() }
    pub fn create(&mut self, _dimensions: usize, _element: u32, _metric: u32, _m: u32, _efc: u32, _seed: u64) -> u32 { self.done(Err(Failure::new(Code::Unsupported, "live indexes are not there yet"))) }
    pub fn add(&mut self, _element: u32, _replace: bool) -> u32 { self.done(Err(Failure::new(Code::Unsupported, "live indexes are not there yet"))) }
    pub fn delete(&mut self, _id: u64) -> u32 { self.done(Err(Failure::new(Code::Unsupported, "live indexes are not there yet"))) }
    pub fn save(&mut self) -> u32 { 0 }
    pub fn size(&self) -> usize { self.index.as_ref().map_or(0, |i| i.len()) }
    pub fn get(&mut self, id: u64) -> u32 {
        self.answer.clear();
        let Some(i) = &self.index else { return 9 };
        let Some(row) = i.row_of(id).unwrap() else { self.answer.u32(0); return 0 };
        let mut v = Vec::new(); i.vector(row, &mut v).unwrap(); let mut p = Vec::new(); let some = i.payload(row, &mut p).unwrap();
        self.answer.u32(1); self.answer.u32(if some { p.len() as u32 } else { answer::NONE });
        for x in v { self.answer.f32(x); } self.answer.slice(&p); let _ = NONE;
        0
    }
    pub fn describe(&mut self) -> u32 {
        self.answer.clear();
        let Some(i) = &self.index else { return 9 };
        self.answer.u64(i.len() as u64); self.answer.u64(i.bytes().len() as u64); self.answer.u64(0); self.answer.u64(0); self.answer.slice(&[0; 16]);
        self.answer.u32(i.dimensions() as u32); self.answer.u32(i.metric() as u32); self.answer.u32(0); self.answer.u32(0); self.answer.u32(0); self.answer.u32(3); self.answer.u32(0);
        self.answer.u32(2); self.answer.slice(b"{}");
        0
    }
    pub fn verify(&mut self) -> u32 { 0 }
    pub fn backend(&self) -> String { if cfg!(target_feature = "simd128") { "wasm128" } else { "scalar" }.into() }
}
impl Engine {
    fn done(&mut self, r: Result<(), Failure>) -> u32 { match r { Ok(()) => 0, Err(f) => { self.message = f.message; f.code as u32 } } }
    fn build_(&mut self, dimensions: usize, element: u32, metric: u32) -> Result<(), Failure> {
        let e = match element { 0 => Element::F32, 2 => Element::U8, _ => Element::I8 };
        let m = match metric { 0 => Metric::L2, 1 => Metric::InnerProduct, _ => Metric::Cosine };
        let p = (!self.inputs.ends.is_empty()).then_some((&self.inputs.payloads[..], &self.inputs.ends[..]));
        let ids = (!self.inputs.ids.is_empty()).then_some(&self.inputs.ids[..]);
        let r = build::build(dimensions, e, m, &self.inputs.vectors, ids, p, &|s, a, b| host::progress(s, a as f64, b as f64));
        self.inputs.release();
        let bytes = r.map_err(|e| Failure::new(Code::Aborted, e))?;
        self.index = Some(Index::open(bytes).map_err(|e| Failure::new(Code::Corrupt, e.to_string()))?);
        Ok(())
    }
    fn search_(&mut self, form: u32, queries: usize, p: SearchParams, payload: bool) -> Result<(), Failure> {
        let Some(i) = &self.index else { return Err(Failure::new(Code::InvalidArgument, "no index")) };
        self.answer.clear();
        let d = i.dimensions();
        for q in 0..queries {
            let query = match form {
                0 => Query::F32(&self.inputs.query[q * d..(q + 1) * d]),
                2 => Query::U8(&bytemuck::cast_slice(&self.inputs.query)[q * d..(q + 1) * d]),
                _ => Query::I8(&bytemuck::cast_slice(&self.inputs.query)[q * d..(q + 1) * d]),
            };
            let stats = i.search(query, &p, &mut self.scratch, &mut self.hits).map_err(|e| Failure::new(Code::Corrupt, e.to_string()))?;
            self.answer.hits(&self.hits, stats, |row, out| if payload { i.payload(row, out) } else { Ok(false) }).map_err(|e| Failure::new(Code::Corrupt, e.to_string()))?;
        }
        Ok(())
    }
}
