//! Ids of records in Redis, and the offsets of the contract.

use std::fmt;

use redis::{RedisWrite, ToRedisArgs, Value};

use crate::{error, reply};
use prism_call::Error;
use prism_driver::time::Millis;

/// Bits of an offset for the number of the record within its millisecond.
const BITS: u32 = 20;

/// The id of a record, as the offset `ms << 20 | n`. Its text is the id in Redis, `ms-n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordId(pub u64);

impl RecordId {
    /// Parses an id from a reply; empty = none.
    pub fn parse(value: &Value) -> Result<Option<Self>, Error> {
        let text = reply::required_bytes(value.clone())?;
        if text.is_empty() {
            return Ok(None);
        }
        let parsed = std::str::from_utf8(&text).ok().and_then(|text| text.split_once('-')).and_then(|(ms, n)| {
            let (ms, n): (u64, u64) = (ms.parse().ok()?, n.parse().ok()?);
            (n >> BITS == 0 && ms >> (64 - BITS) == 0).then_some(Self(ms << BITS | n))
        });
        parsed.map(Some).ok_or_else(error::foreign_value)
    }

    /// Parses an id that must not be empty.
    pub fn required(value: &Value) -> Result<Self, Error> {
        Self::parse(value)?.ok_or_else(error::unexpected_reply)
    }

    /// The first possible id at a time or later.
    pub fn at(time: &prost_types::Timestamp) -> Self {
        // Ids have whole milliseconds, so the time is rounded up.
        let nanos = i64::from(time.nanos.clamp(0, 999_999_999));
        let millis = time.seconds.saturating_mul(1000).saturating_add((nanos + 999_999) / 1_000_000);
        Self(u64::try_from(millis).unwrap_or(0).min(u64::MAX >> BITS) << BITS)
    }

    /// When the record was appended.
    pub fn millis(self) -> Millis {
        Millis::try_from(self.0 >> BITS).unwrap_or(Millis::MAX)
    }

    /// The id before it. The first id has none and stays the same.
    pub fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The lowest offset that a later record can have.
    pub fn next(self) -> u64 {
        self.0.saturating_add(1)
    }

    /// The field `next_offset` of a stream whose last id this is; 0 for a stream without records.
    pub fn next_offset(self) -> u64 {
        if self == Self(0) { 0 } else { self.next() }
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0 >> BITS, self.0 & ((1 << BITS) - 1))
    }
}

impl ToRedisArgs for RecordId {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        out.write_arg_fmt(self);
    }
}

impl redis::ToSingleRedisArg for RecordId {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_in_the_order_of_ids() {
        let parse = |text: &str| RecordId::parse(&Value::BulkString(text.into())).unwrap();
        let ids = ["0-1", "1-0", "1-1048575", "2-0", "1763629200000-7", "17592186044415-1048575"].map(|text| parse(text).unwrap());
        assert!(ids.is_sorted());
        assert_eq!(ids[5].0, u64::MAX);
        assert_eq!(ids.map(|id| id.to_string())[4], "1763629200000-7");
        assert_eq!(RecordId(1 << BITS).before().to_string(), "0-1048575");
        assert_eq!(parse(""), None);
        assert!(RecordId::parse(&Value::BulkString("1-1048576".into())).is_err());
    }

    #[test]
    fn times_are_rounded_up_to_milliseconds() {
        let at = |seconds, nanos| RecordId::at(&prost_types::Timestamp { seconds, nanos }).to_string();
        assert_eq!(at(1, 0), "1000-0");
        assert_eq!(at(1, 1), "1001-0");
        assert_eq!(at(-1, 0), "0-0");
    }
}
