//! A binary encoding of trees. The build encodes the files that are part of Prism, because parsing their YAML would take most of the time
//! that a gateway needs to start.
//!
//! A node is its position, a byte for its kind, and the content:
//!
//! - number: its text
//! - text: its length and its bytes
//! - list: the number of items, and the items
//! - mapping: the number of entries, and for each entry the key (a text and its position) and the value
//!
//! A position is the line, as the difference to the line of the previous position (zigzag), and the column. Lengths and numbers are
//! varints as in protobuf.

use super::{
    problem::Position,
    tree::{Key, Node, Value},
};

pub const NULL: u8 = 0;
pub const FALSE: u8 = 1;
pub const TRUE: u8 = 2;
pub const NUMBER: u8 = 3;
pub const TEXT: u8 = 4;
pub const LIST: u8 = 5;
pub const MAP: u8 = 6;

/// Decodes a tree. Returns `None` if the bytes are not a tree.
pub fn read(bytes: &[u8]) -> Option<Node> {
    let mut reader = Reader { rest: bytes, line: 0 };
    reader.node().filter(|_| reader.rest.is_empty())
}

struct Reader<'b> {
    rest: &'b [u8],
    /// The line of the previous position.
    line: u64,
}

impl Reader<'_> {
    fn node(&mut self) -> Option<Node> {
        let position = self.position()?;
        let value = match self.byte()? {
            NULL => Value::Null,
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            NUMBER => Value::Number(self.text()?.parse().ok()?),
            TEXT => Value::Text(self.text()?),
            LIST => {
                let count = self.count()?;
                let mut items = Vec::with_capacity(count);
                for _ in 0..count {
                    items.push(self.node()?);
                }
                Value::List(items)
            }
            MAP => {
                let count = self.count()?;
                let mut entries = Vec::with_capacity(count);
                for _ in 0..count {
                    let (name, position) = (self.text()?, self.position()?);
                    entries.push((Key { name, position }, self.node()?));
                }
                Value::Map(entries)
            }
            _ => return None,
        };
        Some(Node { value, position })
    }

    fn position(&mut self) -> Option<Position> {
        let step = self.number()?;
        let step = (step >> 1).cast_signed() ^ -(step & 1).cast_signed();
        self.line = self.line.checked_add_signed(step)?;
        Some(Position::File { line: self.line, column: self.number()? })
    }

    fn text(&mut self) -> Option<String> {
        let length = self.count()?;
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        std::str::from_utf8(text).ok().map(str::to_owned)
    }

    /// Reads a number of elements. It is at most the number of bytes that are left, because each element takes at least one byte.
    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok().filter(|count| *count <= self.rest.len())
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }
}
