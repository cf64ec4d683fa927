//! The keys of waiting messages, and the order in which they are published.
//!
//! A lane is a topic with a key of messages. Its messages are published one after the other, in the order of the revisions of their
//! transactions; lanes are published side by side.

use bytes::{BufMut as _, Bytes, BytesMut};

use prism_slot::hash;

/// The first byte of all keys of an outbox. No UTF-8 text has it, so no call of a pattern reads or writes such a key.
pub const RESERVED: u8 = 0xff;
/// The prefix of the keys of waiting messages.
pub const ENTRIES: &[u8] = b"\xffoutbox/message/";
/// Bytes of a key behind the prefix.
const KEY_BYTES: usize = 26;

/// The key of a waiting message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryKey {
    /// A hash of the topic and the key of the message. Two lanes with the same hash are one.
    pub lane: u64,
    /// When the gateway began the transaction, in milliseconds since 1970. Only the metric of the lag uses it.
    pub millis: u64,
    /// A random number of the transaction.
    pub transaction: u64,
    /// The place of the message among those of the transaction.
    pub index: u16,
}

impl EntryKey {
    /// Returns the key as it is stored.
    pub fn encode(self) -> Bytes {
        let mut key = BytesMut::with_capacity(ENTRIES.len() + KEY_BYTES);
        key.put_slice(ENTRIES);
        key.put_u64(self.lane);
        key.put_u64(self.millis);
        key.put_u64(self.transaction);
        key.put_u16(self.index);
        key.freeze()
    }

    /// Returns a text that no other message has.
    pub fn to_id(self) -> String {
        let Self { lane: _, millis, transaction, index } = self;
        format!("{millis:012x}{transaction:016x}{index:04x}")
    }

    /// Parses a stored key.
    pub fn decode(key: &[u8]) -> Option<Self> {
        let (lane, rest) = key.strip_prefix(ENTRIES)?.split_first_chunk()?;
        let (millis, rest) = rest.split_first_chunk()?;
        let (transaction, rest) = rest.split_first_chunk()?;
        let index = u16::from_be_bytes(rest.try_into().ok()?);
        Some(Self {
            lane: u64::from_be_bytes(*lane),
            millis: u64::from_be_bytes(*millis),
            transaction: u64::from_be_bytes(*transaction),
            index,
        })
    }
}

/// Returns the lane of a topic and a key.
pub fn lane_of(topic: &str, key: &str) -> u64 {
    // Names of topics have no NUL.
    hash::fnv1a(&[topic.as_bytes(), b"\0", key.as_bytes()].concat())
}

/// A message that waits.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    pub key: EntryKey,
    /// The revision of its transaction.
    pub revision: u64,
}

/// Messages that are published one after the other.
#[derive(Debug, PartialEq, Eq)]
pub struct Lane {
    pub id: u64,
    /// In the order of publication.
    pub keys: Vec<EntryKey>,
}

/// Sorts waiting messages into lanes, those with the oldest messages first. Returns also how many were left out, because they have a
/// revision above `horizon`.
///
/// The listing of the messages is no snapshot: it may have one of two transactions and lack the one before it, if both were committed while
/// it ran. Both have then revisions above the horizon, which is the revision of a write that ended before the listing began.
pub fn lanes(mut waiting: Vec<Waiting>, horizon: u64) -> (Vec<Lane>, usize) {
    let all = waiting.len();
    waiting.retain(|one| one.revision <= horizon);
    let left_out = all - waiting.len();
    waiting.sort_unstable_by_key(|one| (one.key.lane, one.revision, one.key.transaction, one.key.index));
    let mut lanes: Vec<(u64, Lane)> = Vec::new();
    for Waiting { key, revision } in waiting {
        match lanes.last_mut() {
            Some((_, lane)) if lane.id == key.lane => lane.keys.push(key),
            _ => lanes.push((revision, Lane { id: key.lane, keys: vec![key] })),
        }
    }
    lanes.sort_by_key(|(oldest, _)| *oldest);
    (lanes.into_iter().map(|(_, lane)| lane).collect(), left_out)
}
