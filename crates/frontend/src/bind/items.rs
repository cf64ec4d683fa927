//! Takes a body apart that holds many messages: a JSON list, or JSON texts one behind the other (NDJSON).

use bytes::{Buf as _, Bytes, BytesMut};

use crate::json::{Fault, Origin, Position, Text};
use prism_call::{Code, Error};

/// The items of a body that arrives in pieces. Only the item that is not complete yet is held.
#[derive(Debug)]
pub struct Items {
    held: BytesMut,
    /// Bytes of `held` that have been looked at.
    scanned: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
    state: State,
    limit: usize,
    /// Of the first byte that is held.
    position: Position,
    /// Items that have been given.
    given: usize,
}

/// An item of a body.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its JSON text.
    pub text: Bytes,
    /// Where in the body it begins.
    pub origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing but space has come.
    Start,
    /// Between texts.
    Lines,
    /// In the list, where an item or the end may come.
    ListStart,
    /// In the list behind a comma.
    ListItem,
    /// In the list behind an item.
    ListNext,
    /// Behind the list.
    End,
}

impl Items {
    /// Of a body whose items have at most `limit` bytes.
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

    /// Takes a piece of the body.
    pub fn push(&mut self, piece: &[u8]) {
        self.held.extend_from_slice(piece);
    }

    /// The next item that is complete. At the end of the body, call it with `last` until it gives none.
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
                let origin = Origin { position: self.position, index: is_list.then_some(self.given) };
                self.position.pass(&text);
                self.given += 1;
                Ok(Some(Item { text, origin }))
            }
            None if self.held.len() > self.limit => Err(self.too_large()),
            None if last => Err(self.malformed(self.held.len(), "the body ends inside of an item")),
            None => Ok(None),
        }
    }

    /// Passes over what stands between items; `false`: nothing is left.
    fn between(&mut self) -> Result<bool, Error> {
        while let Some(byte) = self.held.first().copied() {
            self.state = match (self.state, byte) {
                (state, b' ' | b'\t' | b'\r' | b'\n') => state,
                // RFC 7464 puts a record separator before each text.
                (State::Start | State::Lines, 0x1e) => State::Lines,
                (State::Start, b'[') => State::ListStart,
                (State::ListStart | State::ListNext, b']') => State::End,
                (State::ListNext, b',') => State::ListItem,
                (State::ListNext, _) => return Err(self.malformed(0, "`,` or `]` was expected behind an item of the list")),
                (State::End, _) => return Err(self.malformed(0, "something stands behind the list")),
                (State::ListItem | State::ListStart, b',' | b']') => {
                    return Err(self.malformed(0, "an item of the list was expected"));
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

    /// The length of the item that begins the held bytes, if it is there as a whole.
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
                    // In a list these end an item that has no end of its own, such as a number.
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

    /// What is held is wrong at this byte.
    fn malformed(&self, at: usize, description: &'static str) -> Error {
        let origin = Origin { position: self.position, index: None };
        Fault::syntax(at, description).into_error(Text { bytes: &self.held, origin })
    }

    fn too_large(&self) -> Error {
        Error::new(
            Code::ResourceExhausted,
            "MESSAGE_TOO_LARGE",
            format!("an item of the body is larger than the {} bytes that a message may have", self.limit),
        )
    }
}
