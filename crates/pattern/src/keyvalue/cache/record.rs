//! What the cache keeps under a key.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use prost::Message as _;

use prism_call::proto::models::keyvalue::v1::Entry;
use prism_slot::time::Millis;

/// What the cache knows of a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Known {
    /// The key was changed a moment ago. Who reads it now does not keep a copy, because it may be older than the change.
    Changed,
    /// The key is not in the storage.
    Absent,
    /// The entry in the storage.
    Present(Entry),
}

/// The value under a key of the cache: one byte for the kind, when it was made (8 bytes, milliseconds since 1970), and the entry without its key.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub made: Millis,
    pub known: Known,
}

impl Record {
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        let kind = match &self.known {
            Known::Changed => 0,
            Known::Absent => 1,
            Known::Present(_) => 2,
        };
        out.put_u8(kind);
        out.put_i64(self.made);
        if let Known::Present(entry) = &self.known {
            out.reserve(entry.encoded_len());
            let keyless = Entry { key: Bytes::new(), ..entry.clone() };
            // A buffer that grows has room for every message.
            let _ = keyless.encode(&mut out);
        }
        out.freeze()
    }

    /// Returns `None` for bytes that are not a record: somebody else has written to the keyspace.
    pub fn decode(key: &Bytes, mut bytes: Bytes) -> Option<Self> {
        if bytes.len() < 9 {
            return None;
        }
        let (kind, made) = (bytes.get_u8(), bytes.get_i64());
        let known = match kind {
            0 => Known::Changed,
            1 => Known::Absent,
            2 => Known::Present(Entry { key: key.clone(), ..Entry::decode(bytes).ok()? }),
            _ => return None,
        };
        Some(Self { made, known })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back() {
        let key = Bytes::from_static(b"k");
        let entry = Entry { key: key.clone(), value: "v".into(), revision: 7, flags: 3, create_revision: 2, version: 4, expire_time: None };
        for known in [Known::Changed, Known::Absent, Known::Present(entry)] {
            let record = Record { made: 1_700_000_000_123, known };
            assert_eq!(Record::decode(&key, record.encode()), Some(record));
        }
    }

    #[test]
    fn other_bytes_are_no_record() {
        for bytes in [&b""[..], b"\x00\x00", b"\x07\0\0\0\0\0\0\0\0", b"\x02\0\0\0\0\0\0\0\0\xff"] {
            assert_eq!(Record::decode(&Bytes::from_static(b"k"), Bytes::from_static(bytes)), None, "{bytes:?}");
        }
    }
}
