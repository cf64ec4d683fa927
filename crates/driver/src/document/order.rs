//! The order of documents, and places in it.

use prost_types::Struct;

use super::{
    path::Path,
    value::{self, Key},
};
use crate::cursor;
use prism_call::{Error, proto::models::document::v1::SortKey};

/// Most sort keys of a request.
const MAX_SORT_KEYS: usize = 8;

/// The order of a request.
#[derive(Clone, Debug, Default)]
pub struct Order {
    keys: Vec<OrderKey>,
}

/// One key to sort by.
#[derive(Clone, Debug)]
pub struct OrderKey {
    /// The field.
    pub path: Path,
    /// From the greatest value to the least.
    pub descending: bool,
}

/// The place of a document in an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The keys of the sort keys' fields.
    pub keys: Vec<Key>,
    /// The id, which decides between documents with the same keys.
    pub id: String,
}

impl Order {
    /// Checks the sort keys of a request.
    pub fn new(order: &[SortKey]) -> Result<Self, Error> {
        if order.len() > MAX_SORT_KEYS {
            return Err(Error::invalid("order", format!("has {} sort keys; at most {MAX_SORT_KEYS} are allowed", order.len())));
        }
        let mut keys: Vec<OrderKey> = Vec::with_capacity(order.len());
        for (index, key) in order.iter().enumerate() {
            let path = Path::new(&format!("order[{index}].path"), &key.path)?;
            // A field that came before decides nothing any more.
            if keys.iter().all(|former| former.path != path) {
                keys.push(OrderKey { path, descending: key.descending });
            }
        }
        Ok(Self { keys })
    }

    /// The sort keys; none if documents come in the order of their ids.
    pub fn keys(&self) -> &[OrderKey] {
        &self.keys
    }

    /// Returns whether documents come in the order of their ids.
    pub fn is_by_id(&self) -> bool {
        self.keys.is_empty()
    }

    /// The place of a document.
    pub fn place(&self, id: &str, body: &Struct) -> Place {
        Place { keys: self.keys.iter().map(|key| value::key(key.path.get_in(body))).collect(), id: id.to_owned() }
    }

    /// A place as bytes, whose order is that of the places.
    pub fn encode(&self, place: &Place) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (key, order) in place.keys.iter().zip(&self.keys) {
            let at = bytes.len();
            put_delimited(&mut bytes, key);
            if order.descending {
                bytes[at..].iter_mut().for_each(|byte| *byte = !*byte);
            }
        }
        bytes.extend(place.id.as_bytes());
        bytes
    }

    /// The place that [`encode`](Self::encode) has encoded.
    pub fn decode(&self, bytes: &[u8]) -> Option<Place> {
        let mut rest = bytes;
        let mut keys = Vec::with_capacity(self.keys.len());
        for order in &self.keys {
            let mask = if order.descending { 0xff } else { 0 };
            let mut key = Key::new();
            loop {
                let (byte, after) = rest.split_first()?;
                rest = after;
                if byte ^ mask != 0 {
                    key.push(byte ^ mask);
                    continue;
                }
                let (next, after) = rest.split_first()?;
                rest = after;
                match next ^ mask {
                    ESCAPED_ZERO => key.push(0),
                    END => break,
                    _ => return None,
                }
            }
            keys.push(key);
        }
        let id = std::str::from_utf8(rest).ok().filter(|id| !id.is_empty())?;
        Some(Place { keys, id: id.to_owned() })
    }

    /// The cursor that continues after a place, which is [encoded](Self::encode).
    pub fn cursor(&self, place: &[u8]) -> String {
        cursor::seal(&self.scope(), place)
    }

    /// The place after which a cursor continues; `None` = from the start.
    pub fn open(&self, cursor: &str) -> Result<Option<Place>, Error> {
        match cursor::open(&self.scope(), cursor)? {
            None => Ok(None),
            Some(position) => self.decode(&position).map(Some).ok_or_else(cursor::invalid),
        }
    }

    fn scope(&self) -> String {
        let keys: Vec<String> =
            self.keys.iter().map(|key| format!("{}{}", if key.descending { '-' } else { '+' }, key.path.text())).collect();
        format!("document:{}", keys.join("\0"))
    }
}

/// A zero byte of a key is followed by this one; the end of a key is a zero byte that is followed by [`END`].
const ESCAPED_ZERO: u8 = 0xff;
const END: u8 = 0;

/// Appends a key so that it ends where the next one begins, and keeps the order of keys.
pub fn put_delimited(bytes: &mut Vec<u8>, key: &[u8]) {
    put_escaped(bytes, key);
    bytes.extend([0, END]);
}

/// Appends a key without its end: the first bytes of all keys that begin with it.
pub fn put_escaped(bytes: &mut Vec<u8>, key: &[u8]) {
    for byte in key {
        bytes.push(*byte);
        if *byte == 0 {
            bytes.push(ESCAPED_ZERO);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::json;
    use serde_json::json;

    fn order(keys: &[(&str, bool)]) -> Order {
        let keys: Vec<SortKey> =
            keys.iter().map(|(path, descending)| SortKey { path: (*path).to_owned(), descending: *descending }).collect();
        Order::new(&keys).unwrap()
    }

    #[test]
    fn places_are_in_the_order_of_their_bytes() {
        let order = order(&[("a", false), ("b", true), ("a", true)]);
        assert_eq!(order.keys().len(), 2);
        let ordered = [
            ("x", json!({"b": 2})),
            ("x", json!({})),
            ("y", json!({})),
            ("x", json!({"a": 1, "b": "text"})),
            ("x", json!({"a": 1, "b": 3})),
            ("x", json!({"a": 1, "b": -3})),
            ("x", json!({"a": "", "b": 1})),
            ("x", json!({"a": "\0", "b": "b"})),
            ("x", json!({"a": "\0", "b": "a\0"})),
            ("x", json!({"a": "\0", "b": "a"})),
            ("x", json!({"a": "\0\0"})),
            ("x", json!({"a": "\u{1}"})),
            ("x", json!({"a": [1]})),
        ];
        let places: Vec<Place> = ordered.iter().map(|(id, body)| order.place(id, &json::from_object(body))).collect();
        let encoded: Vec<Vec<u8>> = places.iter().map(|place| order.encode(place)).collect();
        assert!(encoded.is_sorted_by(|one, other| one < other), "{encoded:?}");
        for (place, encoded) in places.iter().zip(&encoded) {
            assert_eq!(order.decode(encoded).as_ref(), Some(place));
            assert_eq!(order.open(&order.cursor(encoded)).unwrap().as_ref(), Some(place));
        }
    }

    #[test]
    fn a_cursor_is_valid_for_one_order() {
        let one = order(&[("a", false)]);
        let cursor = one.cursor(&one.encode(&Place { keys: vec![vec![0]], id: "x".to_owned() }));
        for other in [order(&[]), order(&[("a", true)]), order(&[("b", false)]), order(&[("a", false), ("b", false)])] {
            assert_eq!(other.open(&cursor).unwrap_err().reason(), "INVALID_CURSOR");
        }
        for broken in [&b""[..], b"\0", b"\x04\0\0", b"\x05a\0\x01x", b"\x05\0\0\xff"] {
            assert_eq!(one.decode(broken), None, "{broken:?}");
        }
        let many: Vec<SortKey> = (0..9).map(|number| SortKey { path: number.to_string(), descending: false }).collect();
        assert_eq!(Order::new(&many).unwrap_err().violations()[0].field, "order");
    }
}
