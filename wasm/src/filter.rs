//! Searches among the rows that meet a condition, and rows by id of a file of which only the first bytes are here.
//!
//! Of a file that is here as a whole the rows are selected at once. Else a search begins with a question ([`Inquiry`]): its blocks are fetched as
//! those of the search are, by the same calls in the same slot, and when it is answered the search goes on. Questions for a row by its id
//! end with their answer: of [`HAS`] u32 1 when there is such a row, else 0; of [`GET`] what `get` of a whole file answers.

use alloc::string::String;
use alloc::vec::Vec;

use nearshore_core::filter::{Filter, RowSet, SelectError};
use nearshore_core::index::{Asked, Excerpt, FoundRow, Index, Inquiry};
use nearshore_core::search::{Block, SearchParams};

use crate::answer::NONE;
use crate::code::{Code, Failure};
use crate::engine::{Engine, State, nothing, query};

/// `form` of a question whether there is a row with the id in the buffer `Query`.
const HAS: u32 = 250;
/// `form` of the question for that row.
const GET: u32 = 251;

/// Conditions whose rows are kept.
const KEPT: usize = 16;

/// What conditions selected, and questions that wait for blocks.
#[derive(Default)]
pub(crate) struct Filters {
    selected: Vec<(String, RowSet)>,
    excerpt: Option<Excerpt>,
    /// By slot.
    questions: Vec<Option<Question>>,
}

/// A question that waits for blocks.
struct Question {
    inquiry: Inquiry,
    form: u32,
    /// Whether it is a search's, and if so all that it goes on with: condition, vector, parameters, whether payloads are wanted.
    search: Option<(String, Vec<f32>, SearchParams, bool)>,
}

impl Filters {
    fn kept(&self, text: &str) -> Option<&RowSet> {
        self.selected.iter().find(|(kept, _)| kept == text).map(|(_, rows)| rows)
    }

    /// A copy shares the rows.
    fn keep(&mut self, text: String, rows: RowSet) -> RowSet {
        if self.selected.len() >= KEPT {
            self.selected.remove(0);
        }
        self.selected.push((text, rows.clone()));
        rows
    }

    /// Whether a question is in the slot.
    pub(crate) fn asks(&self, slot: usize) -> bool {
        self.questions.get(slot).is_some_and(Option::is_some)
    }

    /// The blocks that the question in the slot wants, if there is one.
    pub(crate) fn wanted(&self, slot: usize) -> Option<&[Block]> {
        Some(self.questions.get(slot)?.as_ref()?.inquiry.wanted())
    }

    pub(crate) fn feed(&mut self, index: &Index<Vec<u8>>, slot: usize, at: usize, block: &[u8]) -> Result<(), Failure> {
        match &mut self.questions[slot] {
            Some(question) => Ok(Excerpt::feed(index, &mut question.inquiry, at, block)?),
            None => Ok(()),
        }
    }
}

impl Engine {
    /// The condition in its buffer, which is empty then; `None` where it was.
    fn condition(&mut self) -> Result<Option<String>, Failure> {
        let text = core::mem::take(&mut self.inputs.filter);
        let text = String::from_utf8(text).map_err(|_| Failure::new(Code::InvalidArgument, "the filter is not UTF-8"))?;
        Ok((!text.is_empty()).then_some(text))
    }

    /// The rows that meet the condition in its buffer; `None` without one.
    pub(crate) fn selected(&mut self) -> Result<Option<RowSet>, Failure> {
        let Some(text) = self.condition()? else { return Ok(None) };
        if let Some(rows) = self.filters.kept(&text) {
            return Ok(Some(rows.clone()));
        }
        let State::File(index) = &self.state else { return Err(nothing()) };
        let rows = index.select(&parse(&text)?)?;
        Ok(Some(self.filters.keep(text, rows)))
    }

    /// Begins in `slot` what is no plain search; false where it is one.
    pub(crate) fn begin_question(&mut self, slot: usize, form: u32, params: &SearchParams, payload: bool) -> Result<bool, Failure> {
        let filters = &mut self.filters;
        if filters.questions.len() <= slot {
            filters.questions.resize_with(slot + 1, || None);
        }
        filters.questions[slot] = None;
        let mut inquiry = Inquiry::new();
        if let HAS | GET = form {
            let State::File(index) = &self.state else { return Err(nothing()) };
            let id: &[u8] = bytemuck::cast_slice(&self.inputs.query);
            let id = id.first_chunk().map_or(0, |id| u64::from_le_bytes(*id));
            Excerpt::find(index, id, form == GET, &mut inquiry)?;
            filters.questions[slot] = Some(Question { inquiry, form, search: None });
            return Ok(true);
        }
        let Some(text) = self.condition()? else { return Ok(false) };
        let Self { state: State::File(index), filters, inputs, pendings, .. } = self else { return Err(nothing()) };
        if let Some(rows) = filters.kept(&text) {
            pendings[slot].ask_payloads(payload);
            index.start_where(query(&inputs.query, form, 0, index.dimensions())?, params, rows, &mut pendings[slot])?;
            return Ok(true);
        }
        let excerpt = match &mut filters.excerpt {
            Some(excerpt) => excerpt,
            empty => empty.insert(Excerpt::new(index)?),
        };
        excerpt.select(index, parse(&text)?, &mut inquiry)?;
        let search = Some((text, inputs.query.clone(), *params, payload));
        filters.questions[slot] = Some(Question { inquiry, form, search });
        Ok(true)
    }

    /// Goes on with the question in `slot`; when it is answered, with the search that it was for.
    pub(crate) fn advance_question(&mut self, slot: usize) -> Result<bool, Failure> {
        let Self { state: State::File(index), filters, pendings, .. } = self else { return Err(nothing()) };
        let Some(question) = &mut filters.questions[slot] else { return Ok(true) };
        if question.search.is_none() && filters.excerpt.is_none() {
            filters.excerpt = Some(Excerpt::new(index)?);
        }
        let Some(excerpt) = &mut filters.excerpt else { return Err(nothing()) };
        if !excerpt.advance(index, &mut question.inquiry)? {
            return Ok(false);
        }
        let Some((text, vector, params, payload)) = question.search.take() else { return Ok(true) };
        let Asked::Rows(words) = question.inquiry.answer() else { return Err(nothing()) };
        let form = question.form;
        filters.questions[slot] = None;
        let rows = filters.keep(text, index.set_of_words(words)?);
        pendings[slot].ask_payloads(payload);
        index.start_where(query(&vector, form, 0, index.dimensions())?, &params, &rows, &mut pendings[slot])?;
        Ok(false)
    }

    /// Answers the question in `slot`: that for a row, else with no hits, for its search did not begin.
    pub(crate) fn finish_question(&mut self, slot: usize) -> u32 {
        let answer = &mut self.answer;
        answer.clear();
        match self.filters.questions[slot].take() {
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

fn parse(text: &str) -> Result<Filter, Failure> {
    Filter::parse(text).map_err(|error| SelectError::Filter(error).into())
}

impl From<SelectError> for Failure {
    fn from(error: SelectError) -> Self {
        match error {
            SelectError::Corrupt(corrupt) => corrupt.into(),
            other => Self::new(Code::InvalidArgument, alloc::format!("filter: {other}")),
        }
    }
}
