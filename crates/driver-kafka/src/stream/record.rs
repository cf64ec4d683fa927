//! Records of the contract, and their cursors.

use std::collections::BTreeMap;

use crate::codec::Stored;
use prism_call::{Error, proto::models::stream::v1::Record};
use prism_driver::{cursor, time};

/// Bytes of one partition in a cursor.
const ENTRY: usize = 12;

/// A record with the cursor that continues behind it.
pub fn decode(stored: Stored, cursor: String) -> Result<Record, Error> {
    let attributes = stored.attributes()?;
    Ok(Record {
        offset: stored.offset,
        partition: stored.partition,
        key: stored.key,
        payload: stored.payload,
        attributes,
        append_time: Some(time::timestamp(stored.time)),
        cursor,
    })
}

/// A cursor: the next offset of each partition.
pub fn encode_cursor(stream: &str, positions: impl Iterator<Item = (u32, u64)>) -> String {
    let mut bytes = Vec::with_capacity(ENTRY);
    for (partition, next) in positions {
        bytes.extend_from_slice(&partition.to_be_bytes());
        bytes.extend_from_slice(&next.to_be_bytes());
    }
    cursor::seal(&scope(stream), &bytes)
}

/// The next offset of each partition; `None` for the empty cursor.
pub fn decode_cursor(stream: &str, cursor: &str) -> Result<Option<BTreeMap<u32, u64>>, Error> {
    let Some(bytes) = cursor::open(&scope(stream), cursor)? else { return Ok(None) };
    let mut positions = BTreeMap::new();
    let (entries, rest) = bytes.as_chunks::<ENTRY>();
    if !rest.is_empty() || entries.is_empty() {
        return Err(cursor::invalid());
    }
    for entry in entries {
        let (partition, next) = entry.split_at(4);
        let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        positions.insert(u32::try_from(number(partition)).unwrap_or(u32::MAX), number(next));
    }
    Ok(Some(positions))
}

fn scope(stream: &str) -> String {
    format!("stream:{stream}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_holds_all_partitions() {
        let positions = BTreeMap::from([(0, 7), (3, u64::MAX), (1023, 0)]);
        let cursor = encode_cursor("orders", positions.clone().into_iter());
        assert_eq!(decode_cursor("orders", &cursor).unwrap(), Some(positions));
        assert_eq!(decode_cursor("orders", "").unwrap(), None);
        for broken in [cursor::seal("stream:orders", b""), cursor::seal("stream:orders", b"123"), cursor] {
            assert_eq!(decode_cursor("others", &broken).unwrap_err().reason(), "INVALID_CURSOR");
        }
        assert_eq!(decode_cursor("orders", &cursor::seal("stream:orders", b"123")).unwrap_err().reason(), "INVALID_CURSOR");
    }
}
