//! Bytes that an answer may still have: counted while it is made, so that one that is too large is never whole in memory.

use std::io::{self, Write};

use axum::http::StatusCode;
use serde::Serialize;

use super::error::ApiError;

/// Bytes of a hit or a row without what is in it.
const ROW: usize = 16;

pub(super) struct Room {
    most: usize,
    left: usize,
}

impl Room {
    pub(super) fn new(most: usize) -> Self {
        Self { most, left: most }
    }

    /// A row with so many bytes of numbers and payload comes in.
    pub(super) fn row(&mut self, bytes: usize) -> Result<(), ApiError> {
        let most = self.most;
        // They take more in memory than as text, where numbers are short.
        let full = || too_large(format!("what the answer is made of takes more than {most} bytes of memory"));
        self.left = self.left.checked_sub(bytes.saturating_add(ROW)).ok_or_else(full)?;
        Ok(())
    }

    /// The answer as JSON.
    pub(super) fn json(&self, value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
        let mut text = Text { bytes: Vec::new(), most: self.most };
        // Our own types are always JSON: nothing else can go wrong.
        serde_json::to_writer(&mut text, value).map_err(|_| self.full())?;
        Ok(text.bytes)
    }

    /// The answer as a message of gRPC, its prefix included.
    #[cfg(feature = "grpc")]
    pub(super) fn message(&self, message: &impl prost::Message) -> Result<Vec<u8>, ApiError> {
        let length = message.encoded_len();
        let told = u32::try_from(length).ok().filter(|_| length <= self.most).ok_or_else(|| self.full())?;
        let mut bytes = Vec::with_capacity(length + 5);
        bytes.push(0);
        bytes.extend_from_slice(&told.to_be_bytes());
        message.encode_raw(&mut bytes);
        Ok(bytes)
    }

    fn full(&self) -> ApiError {
        too_large(format!("the answer has more than {} bytes", self.most))
    }
}

fn too_large(what: String) -> ApiError {
    let message = format!("{what}; ask for fewer rows at a time, or for hits without payloads");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "answer_too_large", message)
}

struct Text {
    bytes: Vec<u8>,
    most: usize,
}

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.most - self.bytes.len() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut room = Room::new(100);
        assert!(room.row(50).is_ok());
        let refused = room.row(50).unwrap_err();
        assert_eq!(refused.code, "answer_too_large");
        assert!(refused.message.starts_with("what the answer is made of takes more than 100 bytes of memory; "), "{}", refused.message);
        assert!(room.row(usize::MAX).is_err() && room.row(18).is_ok());
        assert_eq!(room.json(&"x".repeat(98)).unwrap().len(), 100);
        let refused = room.json(&"\n".repeat(50)).unwrap_err();
        assert_eq!((refused.status, refused.code), (StatusCode::PAYLOAD_TOO_LARGE, "answer_too_large"));
        assert!(refused.message.starts_with("the answer has more than 100 bytes; "), "{}", refused.message);
    }
}
