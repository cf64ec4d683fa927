//! Cursors of streams: a tag of the stream, and for each partition the offset at which a read continues.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use prost::encoding::{decode_varint, encode_varint};

use prism_call::Error;
use prism_driver::cursor;

/// Encodes a cursor of a stream from the partitions and their offsets.
pub fn encode(stream: &str, positions: impl IntoIterator<Item = (u32, u64)>) -> String {
    let mut bytes = tag(stream).to_vec();
    for (partition, offset) in positions {
        encode_varint(u64::from(partition), &mut bytes);
        encode_varint(offset, &mut bytes);
    }
    cursor::encode(&bytes)
}

/// Decodes a cursor; `None` if it is empty. A cursor of another stream is an error.
pub fn decode(stream: &str, text: &str) -> Result<Option<Vec<(u32, u64)>>, Error> {
    let Some(bytes) = cursor::decode(text)? else { return Ok(None) };
    let Some(mut rest) = bytes.strip_prefix(&tag(stream)[..]) else { return Err(cursor::invalid()) };
    let mut positions = Vec::new();
    while !rest.is_empty() {
        let partition = decode_varint(&mut rest).ok().and_then(|number| u32::try_from(number).ok());
        let (Some(partition), Ok(offset)) = (partition, decode_varint(&mut rest)) else { return Err(cursor::invalid()) };
        positions.push((partition, offset));
    }
    if positions.is_empty() { Err(cursor::invalid()) } else { Ok(Some(positions)) }
}

/// A hash of the stream's name, so that a cursor of another stream is noticed.
fn tag(stream: &str) -> [u8; 4] {
    let mut hasher = DefaultHasher::new();
    stream.hash(&mut hasher);
    let [a, b, c, d, ..] = hasher.finish().to_be_bytes();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn belongs_to_its_stream() {
        let text = encode("s", [(0, 7), (1, u64::MAX)]);
        assert_eq!(decode("s", &text).unwrap(), Some(vec![(0, 7), (1, u64::MAX)]));
        assert_eq!(decode("s", "").unwrap(), None);
        for (stream, text) in [("t", &*text), ("s", &encode("s", [])), ("s", "####"), ("s", &text[..text.len() - 2])] {
            assert_eq!(decode(stream, text).unwrap_err().reason(), "INVALID_CURSOR", "{stream} {text}");
        }
    }
}
