//! What both doors do with a request that works on the collection: a body in, an answer out, each within its bounds.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::{StatusCode, header};

use super::Context;
use super::error::ApiError;
use super::lanes::{Gone, Lane};
use super::load::Load;
use super::room::Room;
use crate::collection::{Collection, Found, Search, Stored};
use crate::filter::Value;

/// How long a client may take to send a body.
pub(super) const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of a column's value in a row without its name and text.
const COLUMN: usize = size_of::<(String, Option<Value>)>();

/// A request under way.
pub(super) struct Work<'a> {
    pub(super) collection: &'a Collection,
    answer_bytes: usize,
    gone: &'a Gone,
}

/// What a route or a call does: the bytes of an answer for those of a request.
pub(super) type Answer = fn(&Work<'_>, Bytes) -> Result<Vec<u8>, ApiError>;

impl Work<'_> {
    /// For an answer.
    pub(super) fn room(&self) -> Room {
        Room::new(self.answer_bytes)
    }

    /// The hits of a search, as far as there is room for them.
    pub(super) fn search(&self, search: &Search, room: &mut Room) -> Result<Vec<Found>, ApiError> {
        self.gone.check()?;
        let mut hits = Vec::new();
        self.collection.search_each(search, |id, distance, payload| {
            room.row(payload.map_or(0, <[u8]>::len))?;
            hits.push(Found { id, distance, payload: payload.map(<[u8]>::to_vec) });
            Ok::<_, ApiError>(())
        })?;
        Ok(hits)
    }

    /// Rows by id, as far as there is room for them.
    pub(super) fn rows(&self, ids: &[u64], room: &mut Room) -> Result<Vec<Stored>, ApiError> {
        let mut rows = Vec::new();
        self.collection.get_each(ids, |row| {
            self.gone.check()?;
            let columns = row.columns.iter().map(|(name, value)| {
                let text = if let Some(Value::Text(text)) = value { text.len() } else { 0 };
                name.len() + text + COLUMN
            });
            room.row(row.payload.len() + size_of_val(&row.vector[..]) + columns.sum::<usize>())?;
            rows.push(row);
            Ok::<_, ApiError>(())
        })?;
        Ok(rows)
    }
}

impl Context {
    /// Reads the body, `extra` bytes of which do not count, and has it answered on a thread of the lane, or at once where there
    /// is none. The answer's bytes keep the request's place until they are sent.
    pub(super) async fn work(
        self: &Arc<Self>,
        lane: Option<Lane>,
        extra: usize,
        request: Request,
        answer: Answer,
    ) -> Result<Bytes, ApiError> {
        let place = self.places.enter(lane)?;
        let mut load = self.bodies.load();
        let bytes = receive(request, self.options.body_bytes, extra, &mut load).await?;
        let worker = Arc::clone(self);
        // What was changed is not refused afterwards, or clients would do it again: such an answer is ids of a bounded number of rows.
        let change = lane == Some(Lane::Change);
        let work = move |gone: &Gone| {
            let answer_bytes = if change { usize::MAX } else { worker.options.answer_bytes };
            let work = Work { collection: &worker.collection, answer_bytes, gone };
            let answered = answer(&work, bytes);
            drop(load);
            answered
        };
        let answered = match lane {
            Some(lane) => self.lanes.run(lane, work).await?,
            None => work(&Gone::default())?,
        };
        let mut load = self.answers.load();
        if !load.add(answered.len()) && !change {
            return Err(ApiError::overloaded("too many bytes of answers wait to be sent; try again in a second"));
        }
        Ok(load.hold(answered, place))
    }
}

async fn receive(request: Request, most: usize, extra: usize, load: &mut Load) -> Result<Bytes, ApiError> {
    let too_large = || {
        let message = format!("the body has more than {most} bytes; send it in parts");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    };
    let whole = most.saturating_add(extra);
    // Said before a byte of it is read, to a client that says how much it will send.
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > whole as u64) {
        return Err(too_large());
    }
    let mut body = request.into_body();
    let arriving = async {
        let mut bytes = Vec::new();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            let frame = frame.map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, "incomplete", error.to_string()))?;
            let Ok(part) = frame.into_data() else { continue };
            if part.len() > whole - bytes.len() {
                return Err(too_large());
            }
            if !load.add(part.len()) {
                return Err(ApiError::overloaded("too many bytes of requests wait for their turn; try again in a second"));
            }
            bytes.extend_from_slice(&part);
        }
        Ok(bytes.into())
    };
    let late = |_| ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body did not arrive in time");
    tokio::time::timeout(BODY_PATIENCE, arriving).await.map_err(late)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collection::{CollectionOptions, LiveColumn, Point};
    use crate::filter::ColumnType;

    #[test]
    fn rows_with_long_texts_have_a_bound_while_they_are_gathered() {
        let folder = tempfile::tempdir().unwrap();
        let columns = ["text", "none"].map(|name| LiveColumn { name: name.to_owned(), kind: ColumnType::Text }).to_vec();
        let options = CollectionOptions { columns, ..CollectionOptions::default() };
        let collection = Collection::open(folder.path(), &options).unwrap();
        let columns = vec![("text".to_owned(), Some(Value::Text("x".repeat(1000)))), ("none".to_owned(), None)];
        collection.insert(&[Point { id: Some(7), vector: vec![1.0], payload: Vec::new(), columns }]).unwrap();
        let work = Work { collection: &collection, answer_bytes: 2500, gone: &Gone::default() };
        assert_eq!(work.rows(&[7; 2], &mut work.room()).unwrap().len(), 2);
        assert_eq!(work.rows(&[7; 3], &mut work.room()).unwrap_err().code, "answer_too_large");
    }
}
