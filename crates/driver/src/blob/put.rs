//! The stream of a write: one message with the metadata, then the content in chunks.

use bytes::Bytes;
use futures::StreamExt as _;

use super::{Condition, check_new};
use crate::Limits;
use prism_call::{
    Error, Messages,
    proto::models::blob::v1::{CompareAndPutRequest, NewBlob, PutRequest, compare_and_put_request, put_request},
};

/// A message of a write.
enum Part {
    Blob(NewBlob, Option<Condition>),
    Chunk(Bytes),
}

/// A write whose first message was read and checked.
pub struct Put {
    /// The metadata.
    pub blob: NewBlob,
    /// The condition of a conditional write.
    pub condition: Option<Condition>,
    /// The content.
    pub content: Content,
}

impl Put {
    /// Begins an unconditional write.
    pub async fn begin(limits: &Limits, request: Messages<PutRequest>) -> Result<Self, Error> {
        let parts = request.map(|message| match message?.part {
            Some(put_request::Part::Blob(blob)) => Ok(Part::Blob(blob, None)),
            Some(put_request::Part::Chunk(chunk)) => Ok(Part::Chunk(chunk)),
            None => Err(empty_message()),
        });
        Self::read(limits, Box::pin(parts)).await
    }

    /// Begins a conditional write.
    pub async fn begin_conditional(limits: &Limits, request: Messages<CompareAndPutRequest>) -> Result<Self, Error> {
        let parts = request.map(|message| match message?.part {
            Some(compare_and_put_request::Part::Blob(blob)) => {
                let condition = Condition::of(blob.condition)?;
                Ok(Part::Blob(blob.blob.unwrap_or_default(), Some(condition)))
            }
            Some(compare_and_put_request::Part::Chunk(chunk)) => Ok(Part::Chunk(chunk)),
            None => Err(empty_message()),
        });
        Self::read(limits, Box::pin(parts)).await
    }

    async fn read(limits: &Limits, mut parts: Messages<Part>) -> Result<Self, Error> {
        match parts.next().await.transpose()? {
            Some(Part::Blob(blob, condition)) => {
                check_new(limits, &blob)?;
                let content = Content { parts, expected: blob.size, size: 0, ended: false };
                Ok(Self { blob, condition, content })
            }
            _ => Err(Error::invalid("blob", "must be set in the first message")),
        }
    }
}

/// The content of a write.
pub struct Content {
    parts: Messages<Part>,
    expected: Option<u64>,
    size: u64,
    ended: bool,
}

impl Content {
    /// Returns the next chunk, which is not empty, or `None` at the end. Fails if there are more or fewer bytes than were announced.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while !self.ended {
            match self.parts.next().await.transpose()? {
                Some(Part::Chunk(chunk)) if chunk.is_empty() => {}
                Some(Part::Chunk(chunk)) => {
                    self.size += chunk.len() as u64;
                    if let Some(expected) = self.expected.filter(|expected| self.size > *expected) {
                        return Err(mismatch(expected, "more"));
                    }
                    return Ok(Some(chunk));
                }
                Some(Part::Blob(..)) => return Err(Error::invalid("blob", "must be set in the first message only")),
                None => self.ended = true,
            }
        }
        match self.expected.filter(|expected| self.size < *expected) {
            Some(expected) => Err(mismatch(expected, &self.size.to_string())),
            None => Ok(None),
        }
    }

    /// Returns the number of bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the number of bytes that the writer has announced.
    pub fn expected(&self) -> Option<u64> {
        self.expected
    }
}

/// `INVALID_ARGUMENT SIZE_MISMATCH`
fn mismatch(expected: u64, followed: &str) -> Error {
    Error::invalid("size", format!("is {expected}, but {followed} bytes followed; nothing was stored")).with_reason("SIZE_MISMATCH")
}

fn empty_message() -> Error {
    Error::invalid("part", "must be set in each message")
}
