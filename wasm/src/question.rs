//! Questions to a file of which only the first bytes are here: which rows meet a condition, and which row has an id.
//!
//! A search with a condition begins with a question ([`Inquiry`]): its blocks are fetched as those of the search are, by the same calls in the
//! same slot, and when it is answered the search goes on. Questions for a row by its id end with their answer: of [`HAS`] u32 1 when there is
//! such a row, else 0; of [`GET`] what `get` of a whole file answers.

use alloc::string::String;
use alloc::vec::Vec;

use nearshore_core::index::{Asked, Excerpt, FoundRow, Index, Inquiry};
use nearshore_core::search::{Block, SearchParams};

use crate::answer::NONE;
use crate::code::Failure;
use crate::engine::{Engine, State, nothing, query};
use crate::filter::parse;

/// `form` of a question whether there is a row with the id in the buffer `Query`.
const HAS: u32 = 250;
/// `form` of the question for that row.
const GET: u32 = 251;

/// Questions that wait for blocks.
#[derive(Default)]
pub(crate) struct Questions {
    excerpt: Option<Excerpt>,
    /// By slot.
    slots: Vec<Option<Question>>,
}

/// A question that waits for blocks.
struct Question {
    inquiry: Inquiry,
    form: u32,
    /// Whether it is a search's, and if so all that it goes on with: condition, vector, parameters, whether payloads are wanted.
    search: Option<(String, Vec<f32>, SearchParams, bool)>,
}

impl Questions {
    /// Whether a question is in the slot.
    pub(crate) fn asks(&self, slot: usize) -> bool {
        self.slots.get(slot).is_some_and(Option::is_some)
    }

    /// The blocks that the question in the slot wants, if there is one.
    pub(crate) fn wanted(&self, slot: usize) -> Option<&[Block]> {
        Some(self.slots.get(slot)?.as_ref()?.inquiry.wanted())
    }

    pub(crate) fn feed(&mut self, index: &Index<Vec<u8>>, slot: usize, at: usize, block: &[u8]) -> Result<(), Failure> {
        match &mut self.slots[slot] {
            Some(question) => Ok(Excerpt::feed(index, &mut question.inquiry, at, block)?),
            None => Ok(()),
        }
    }
}

impl Engine {
    /// Begins in `slot` what is no plain search; false where it is one.
    pub(crate) fn begin_question(&mut self, slot: usize, form: u32, params: &SearchParams, payload: bool) -> Result<bool, Failure> {
        let questions = &mut self.questions;
        if questions.slots.len() <= slot {
            questions.slots.resize_with(slot + 1, || None);
        }
        questions.slots[slot] = None;
        let mut inquiry = Inquiry::new();
        if let HAS | GET = form {
            let State::File(index) = &self.state else { return Err(nothing()) };
            let id: &[u8] = bytemuck::cast_slice(&self.inputs.query);
            let id = id.first_chunk().map_or(0, |id| u64::from_le_bytes(*id));
            Excerpt::find(index, id, form == GET, &mut inquiry)?;
            questions.slots[slot] = Some(Question { inquiry, form, search: None });
            return Ok(true);
        }
        let Some(text) = self.condition()? else { return Ok(false) };
        let Self { state: State::File(index), filters, questions, inputs, pendings, .. } = self else { return Err(nothing()) };
        if let Some(rows) = filters.kept(&text) {
            pendings[slot].ask_payloads(payload);
            index.start_where(query(&inputs.query, form, 0, index.dimensions())?, params, rows, &mut pendings[slot])?;
            return Ok(true);
        }
        let excerpt = match &mut questions.excerpt {
            Some(excerpt) => excerpt,
            empty => empty.insert(Excerpt::new(index)?),
        };
        excerpt.select(index, parse(&text)?, &mut inquiry)?;
        let search = Some((text, inputs.query.clone(), *params, payload));
        questions.slots[slot] = Some(Question { inquiry, form, search });
        Ok(true)
    }

    /// Goes on with the question in `slot`; when it is answered, with the search that it was for.
    pub(crate) fn advance_question(&mut self, slot: usize) -> Result<bool, Failure> {
        let Self { state: State::File(index), filters, questions, pendings, .. } = self else { return Err(nothing()) };
        let Some(question) = &mut questions.slots[slot] else { return Ok(true) };
        if question.search.is_none() && questions.excerpt.is_none() {
            questions.excerpt = Some(Excerpt::new(index)?);
        }
        let Some(excerpt) = &mut questions.excerpt else { return Err(nothing()) };
        if !excerpt.advance(index, &mut question.inquiry)? {
            return Ok(false);
        }
        let Some((text, vector, params, payload)) = question.search.take() else { return Ok(true) };
        let Asked::Rows(words) = question.inquiry.answer() else { return Err(nothing()) };
        let form = question.form;
        questions.slots[slot] = None;
        let rows = filters.keep(text, index.set_of_words(words)?);
        pendings[slot].ask_payloads(payload);
        index.start_where(query(&vector, form, 0, index.dimensions())?, &params, &rows, &mut pendings[slot])?;
        Ok(false)
    }

    /// Answers the question in `slot`: that for a row, else with no hits, for its search did not begin.
    pub(crate) fn finish_question(&mut self, slot: usize) -> u32 {
        let answer = &mut self.answer;
        answer.clear();
        match self.questions.slots[slot].take() {
            Some(Question { mut inquiry, form, search: None }) => {
                let found = if let Asked::Row(found) = inquiry.answer() { found } else { None };
                answer.u32(u32::from(found.is_some()));
                if let Some(FoundRow { vector, payload, .. }) = found.filter(|_| form == GET) {
                    answer.u32(if payload.is_empty() { NONE } else { payload.len() as u32 });
                    vector.iter().for_each(|&value| answer.f32(value));
                    answer.slice(&payload);
                }
            }
            _ => answer.slice(&[0; 24]),
        }
        0
    }
}
