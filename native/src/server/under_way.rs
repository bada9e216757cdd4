//! What a connection has under way, and whose turn it is: requests until the last byte of their answers is handed to the system.
//!
//! The layers below take an answer whole where they can, long before it is sent, and say nothing of it afterwards: so they are given it in pieces
//! that know when they are let go of, which is when the system has them.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tokio::sync::watch;

use super::received::received;

/// Bytes of an answer that are given away at a time: how finely it is seen that a client takes some.
const PIECE_BYTES: usize = 16 << 10;

/// What is under way on a connection. It is said anew whenever something goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UnderWay {
    /// Requests without an answer, and answers that are still being made.
    pub(super) ours: usize,
    /// What waits for the client to take it: answers and their pieces.
    pub(super) theirs: usize,
    /// Whether there ever was a request.
    pub(super) served: bool,
}

/// Who has to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Ours,
    Theirs,
}

impl UnderWay {
    fn of(&mut self, turn: Turn) -> &mut usize {
        match turn {
            Turn::Ours => &mut self.ours,
            Turn::Theirs => &mut self.theirs,
        }
    }
}

/// What is under way on a connection, as all of its parts know it.
pub(super) type Shared = Arc<watch::Sender<UnderWay>>;

/// One thing that is under way, until the value goes.
struct One {
    shared: Shared,
    turn: Turn,
}

impl One {
    fn new(shared: &Shared, turn: Turn) -> Self {
        shared.send_modify(|under_way| {
            *under_way.of(turn) += 1;
            under_way.served = true;
        });
        Self { shared: Arc::clone(shared), turn }
    }

    fn pass_to(&mut self, turn: Turn) {
        // What is said anew wakes the connection, which asks the answer again: one that waits must not say that it waits.
        if self.turn == turn {
            return;
        }
        self.shared.send_modify(|under_way| {
            *under_way.of(self.turn) -= 1;
            *under_way.of(turn) += 1;
        });
        self.turn = turn;
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.shared.send_modify(|under_way| *under_way.of(self.turn) -= 1);
    }
}

/// The routes, with what is under way on a connection counted.
pub(super) struct Counted {
    pub(super) service: TowerToHyperService<Router>,
    pub(super) shared: Shared,
}

impl Service<Request<Incoming>> for Counted {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let one = One::new(&self.shared, Turn::Ours);
        let answer = self.service.call(received(request));
        Box::pin(async move { Ok(answer.await?.map(|body| Body::new(Sent { body, left: Bytes::new(), one }))) })
    }
}

/// The body of an answer, in pieces.
struct Sent {
    body: Body,
    /// What came of it and was not given away.
    left: Bytes,
    one: One,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.left.is_empty() {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
                self.one.pass_to(Turn::Ours);
                return Poll::Pending;
            };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(bytes))) => self.left = bytes,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        self.one.pass_to(Turn::Theirs);
        let bytes = self.left.len().min(PIECE_BYTES);
        let piece = Piece { bytes: self.left.split_to(bytes), _one: One::new(&self.one.shared, Turn::Theirs) };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (left, body) = (self.left.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(left.saturating_add(body.lower()));
        if let Some(upper) = body.upper() {
            hint.set_upper(left.saturating_add(upper));
        }
        hint
    }
}

/// Bytes that wait to be sent until they are let go of.
struct Piece {
    bytes: Bytes,
    _one: One,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test]
    async fn an_answer_is_under_way_until_its_last_piece_is_let_go_of() {
        let shared = Shared::new(watch::Sender::default());
        let now = || (shared.borrow().ours, shared.borrow().theirs);
        let bytes: Vec<u8> = (0..PIECE_BYTES * 2 + 7).map(|place| place as u8).collect();
        let mut sent = Sent { body: Body::from(bytes.clone()), left: Bytes::new(), one: One::new(&shared, Turn::Ours) };
        assert_eq!((now(), sent.size_hint().exact()), ((1, 0), Some(bytes.len() as u64)));
        let mut pieces = Vec::new();
        while !sent.is_end_stream() {
            let frame = poll_fn(|context| Pin::new(&mut sent).poll_frame(context)).await.unwrap().unwrap();
            pieces.push(frame.into_data().unwrap());
            let gone: usize = pieces.iter().map(Bytes::len).sum();
            assert_eq!((now(), sent.size_hint().exact()), ((0, 1 + pieces.len()), Some((bytes.len() - gone) as u64)));
        }
        assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [PIECE_BYTES, PIECE_BYTES, 7]);
        assert_eq!(pieces.concat(), bytes);
        drop(sent);
        assert_eq!(now(), (0, 3));
        // A part of one is one still.
        let end = pieces.pop().unwrap().slice(5..);
        pieces.clear();
        assert_eq!(now(), (0, 1));
        drop(end);
        assert_eq!(now(), (0, 0));
    }

    #[test]
    fn who_goes_on_waiting_does_not_say_so() {
        let shared = Shared::new(watch::Sender::default());
        let mut one = One::new(&shared, Turn::Ours);
        let mut heard = shared.subscribe();
        one.pass_to(Turn::Theirs);
        assert!(heard.has_changed().unwrap());
        heard.mark_unchanged();
        one.pass_to(Turn::Theirs);
        assert!(!heard.has_changed().unwrap());
    }
}
