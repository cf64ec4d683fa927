//! Offsets of the contract and ids of Redis.

use std::fmt;

use redis::{RedisWrite, ToRedisArgs, Value};

use crate::{error, reply};
use prism_call::Error;
use prism_driver::time::Millis;

/// Bits of an offset for the number inside a millisecond.
const BITS: u32 = 20;

/// The id of a record as its offset: `ms << 20 | n`. Its text is that of Redis, `ms-n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(pub u64);

impl Id {
    /// From the text of Redis; empty = none.
    pub fn read(value: &Value) -> Result<Option<Self>, Error> {
        let text = reply::some_bytes(value.clone())?;
        if text.is_empty() {
            return Ok(None);
        }
        let parsed = std::str::from_utf8(&text).ok().and_then(|text| text.split_once('-')).and_then(|(ms, n)| {
            let (ms, n): (u64, u64) = (ms.parse().ok()?, n.parse().ok()?);
            (n >> BITS == 0 && ms >> (64 - BITS) == 0).then_some(Self(ms << BITS | n))
        });
        parsed.map(Some).ok_or_else(error::foreign)
    }

    /// From a text that must be there.
    pub fn required(value: &Value) -> Result<Self, Error> {
        Self::read(value)?.ok_or_else(error::unexpected)
    }

    /// The first id at an instant or later.
    pub fn at(time: &prost_types::Timestamp) -> Self {
        // Ids have whole milliseconds: a record of the same millisecond was appended before a later part of it.
        let nanos = i64::from(time.nanos.clamp(0, 999_999_999));
        let millis = time.seconds.saturating_mul(1000).saturating_add((nanos + 999_999) / 1_000_000);
        Self(u64::try_from(millis).unwrap_or(0).min(u64::MAX >> BITS) << BITS)
    }

    /// When the record was appended.
    pub fn millis(self) -> Millis {
        Millis::try_from(self.0 >> BITS).unwrap_or(Millis::MAX)
    }

    /// The id before it; the first has none and stays.
    pub fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The least offset that a record behind it may have.
    pub fn next(self) -> u64 {
        self.0.saturating_add(1)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0 >> BITS, self.0 & ((1 << BITS) - 1))
    }
}

impl ToRedisArgs for Id {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        out.write_arg_fmt(self);
    }
}

impl redis::ToSingleRedisArg for Id {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_have_the_order_of_ids() {
        let read = |text: &str| Id::read(&Value::BulkString(text.into())).unwrap();
        let ids = ["0-1", "1-0", "1-1048575", "2-0", "1763629200000-7", "17592186044415-1048575"].map(|text| read(text).unwrap());
        assert!(ids.is_sorted());
        assert_eq!(ids[5].0, u64::MAX);
        assert_eq!(ids.map(|id| id.to_string())[4], "1763629200000-7");
        assert_eq!(Id(1 << BITS).before().to_string(), "0-1048575");
        assert_eq!(read(""), None);
        assert!(Id::read(&Value::BulkString("1-1048576".into())).is_err());
    }

    #[test]
    fn a_part_of_a_millisecond_belongs_to_the_next_one() {
        let at = |seconds, nanos| Id::at(&prost_types::Timestamp { seconds, nanos }).to_string();
        assert_eq!(at(1, 0), "1000-0");
        assert_eq!(at(1, 1), "1001-0");
        assert_eq!(at(-1, 0), "0-0");
    }
}
