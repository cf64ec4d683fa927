//! Cursors of watches.

use bytes::Bytes;

use crate::cursor;
use prism_call::Error;

/// The scope of the checksum in each cursor.
const SCOPE: &str = "watch";
const CHANGES: u8 = 1;
const ENTRIES: u8 = 2;

/// Where a watch continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchCursor {
    /// The history.
    pub epoch: u64,
    /// The position after which changes follow.
    pub position: u64,
    /// The entries that come before the changes.
    pub entries: Option<RemainingEntries>,
}

/// Entries that a watcher has not received yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemainingEntries {
    /// Entries with a greater revision come as changes.
    pub revision: u64,
    /// The last key that the watcher received; empty: none.
    pub after: Bytes,
}

impl WatchCursor {
    /// Encodes the cursor.
    pub fn encode(&self) -> String {
        let mut bytes = vec![if self.entries.is_some() { ENTRIES } else { CHANGES }];
        bytes.extend_from_slice(&self.epoch.to_be_bytes());
        bytes.extend_from_slice(&self.position.to_be_bytes());
        if let Some(RemainingEntries { revision, after }) = &self.entries {
            bytes.extend_from_slice(&revision.to_be_bytes());
            bytes.extend_from_slice(after);
        }
        cursor::seal(SCOPE, &bytes)
    }

    /// Decodes a cursor; `None` for the empty one.
    pub fn decode(text: &str) -> Result<Option<Self>, Error> {
        let Some(bytes) = cursor::open(SCOPE, text)? else { return Ok(None) };
        Self::parse(&bytes).map(Some).ok_or_else(cursor::invalid)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (epoch, rest) = rest.split_first_chunk::<8>()?;
        let (position, rest) = rest.split_first_chunk::<8>()?;
        let entries = match *kind {
            CHANGES if rest.is_empty() => None,
            ENTRIES => {
                let (revision, after) = rest.split_first_chunk::<8>()?;
                Some(RemainingEntries { revision: u64::from_be_bytes(*revision), after: Bytes::copy_from_slice(after) })
            }
            _ => return None,
        };
        Some(Self { epoch: u64::from_be_bytes(*epoch), position: u64::from_be_bytes(*position), entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_it_encoded() {
        for entries in [
            None,
            Some(RemainingEntries { revision: 0, after: Bytes::new() }),
            Some(RemainingEntries { revision: u64::MAX, after: "\u{1f980}\0".into() }),
        ] {
            let cursor = WatchCursor { epoch: 7, position: u64::MAX, entries };
            assert_eq!(WatchCursor::decode(&cursor.encode()).unwrap(), Some(cursor));
        }
        assert_eq!(WatchCursor::decode("").unwrap(), None);
        for bytes in [&[][..], &[3; 17], &[CHANGES; 18], &[CHANGES; 16], &[ENTRIES; 24]] {
            assert_eq!(WatchCursor::decode(&cursor::seal(SCOPE, bytes)).unwrap_err().reason(), "INVALID_CURSOR", "{bytes:?}");
        }
        assert_eq!(WatchCursor::decode("AAAAAAAAAAE").unwrap_err().reason(), "INVALID_CURSOR");
    }
}
