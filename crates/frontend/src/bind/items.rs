//! Splits a body with several messages: a JSON list, or a sequence of JSON texts (NDJSON).

use bytes::{Buf as _, Bytes, BytesMut};

use crate::json::{JsonError, JsonText, Position, TextOrigin};
use prism_call::{Code, Error};

/// The items of a body that arrives in pieces. Buffers only the incomplete item.
#[derive(Debug)]
pub struct Items {
    held: BytesMut,
    /// Number of bytes of `held` that have been scanned.
    scanned: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
    state: State,
    limit: usize,
    /// Position of the first byte in `held`.
    position: Position,
    /// Number of items that have been returned.
    given: usize,
}

/// An item of a body.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its JSON text.
    pub text: Bytes,
    /// Its position in the body.
    pub origin: TextOrigin,
    /// Number of the items before it.
    pub index: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Only white space so far.
    Start,
    /// Between JSON texts.
    Lines,
    /// After `[`.
    ListStart,
    /// In the list, after a comma.
    ListItem,
    /// In the list, after an item.
    ListNext,
    /// After the list.
    End,
}

impl Items {
    /// Splits a body whose items have at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            held: BytesMut::new(),
            scanned: 0,
            depth: 0,
            in_string: false,
            escaped: false,
            state: State::Start,
            limit,
            position: Position::default(),
            given: 0,
        }
    }

    /// Appends a piece of the body.
    pub fn push(&mut self, piece: &[u8]) {
        self.held.extend_from_slice(piece);
    }

    /// Returns the next complete item. At the end of the body, call it with `last` until it returns `None`.
    pub fn item(&mut self, last: bool) -> Result<Option<Item>, Error> {
        if self.scanned == 0 && !self.between()? {
            return if last { self.finish() } else { Ok(None) };
        }
        match self.complete(last) {
            Some(length) if length > self.limit => Err(self.too_large()),
            Some(length) => {
                let text = self.held.split_to(length).freeze();
                self.scanned = 0;
                let is_list = self.state != State::Lines;
                if is_list {
                    self.state = State::ListNext;
                }
                let index = self.given;
                let origin = TextOrigin { position: self.position, index: is_list.then_some(index) };
                self.position.pass(&text);
                self.given += 1;
                Ok(Some(Item { text, origin, index }))
            }
            None if self.held.len() > self.limit => Err(self.too_large()),
            None if last => Err(self.malformed(self.held.len(), "the body ends within an item")),
            None => Ok(None),
        }
    }

    /// Skips text between items. Returns `false` if nothing is left.
    fn between(&mut self) -> Result<bool, Error> {
        while let Some(byte) = self.held.first().copied() {
            self.state = match (self.state, byte) {
                (state, b' ' | b'\t' | b'\r' | b'\n') => state,
                // RFC 7464 puts a record separator before each text.
                (State::Start | State::Lines, 0x1e) => State::Lines,
                (State::Start, b'[') => State::ListStart,
                (State::ListStart | State::ListNext, b']') => State::End,
                (State::ListNext, b',') => State::ListItem,
                (State::ListNext, _) => return Err(self.malformed(0, "expected `,` or `]` after an item of the list")),
                (State::End, _) => return Err(self.malformed(0, "unexpected text after the list")),
                (State::ListItem | State::ListStart, b',' | b']') => {
                    return Err(self.malformed(0, "expected an item of the list"));
                }
                (State::Start | State::Lines, _) => {
                    self.state = State::Lines;
                    return Ok(true);
                }
                (State::ListStart | State::ListItem, _) => return Ok(true),
            };
            self.position.pass(&[byte]);
            self.held.advance(1);
        }
        Ok(false)
    }

    fn finish(&self) -> Result<Option<Item>, Error> {
        match self.state {
            State::Start | State::Lines | State::End => Ok(None),
            _ => Err(self.malformed(0, "the list does not end")),
        }
    }

    /// Returns the length of the first buffered item, if it is complete.
    fn complete(&mut self, last: bool) -> Option<usize> {
        while let Some(byte) = self.held.get(self.scanned).copied() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
            } else {
                match byte {
                    b'"' => self.in_string = true,
                    b'{' | b'[' => self.depth += 1,
                    // In a list, these end an item such as a number.
                    b',' | b']' if self.depth == 0 && self.state != State::Lines => return Some(self.scanned),
                    b'\n' | 0x1e if self.depth == 0 && self.state == State::Lines => return Some(self.scanned),
                    b'}' | b']' => {
                        self.depth = self.depth.saturating_sub(1);
                        if self.depth == 0 {
                            return Some(self.scanned + 1);
                        }
                    }
                    _ => {}
                }
            }
            self.scanned += 1;
        }
        let whole = last && self.depth == 0 && !self.in_string && self.state == State::Lines;
        whole.then_some(self.scanned)
    }

    /// Returns the error for a byte in the buffer.
    fn malformed(&self, at: usize, description: &'static str) -> Error {
        let origin = TextOrigin { position: self.position, index: None };
        JsonError::syntax(at, description).into_error(JsonText { bytes: &self.held, origin })
    }

    fn too_large(&self) -> Error {
        Error::new(
            Code::ResourceExhausted,
            "MESSAGE_TOO_LARGE",
            format!("an item of the body is larger than the maximum message size of {} bytes", self.limit),
        )
    }
}
