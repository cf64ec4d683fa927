//! Sizes in bytes with a range.

use std::{borrow::Cow, fmt, ops::Deref};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Unexpected, Visitor},
};

use super::unit::{format_size, parse_size};

/// A number of bytes from `MIN` to `MAX`, written with a unit (`64KiB`, `4MiB`, `1GB`) or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize<const MIN: u64 = 1, const MAX: u64 = { u64::MAX }>(u64);

impl<const MIN: u64, const MAX: u64> ByteSize<MIN, MAX> {
    /// A default. It is moved into the range.
    pub const fn new(bytes: u64) -> Self {
        Self(if bytes < MIN {
            MIN
        } else if bytes > MAX {
            MAX
        } else {
            bytes
        })
    }

    /// Returns the size as an index type; the greatest one if it does not fit.
    pub fn to_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<const MIN: u64, const MAX: u64> Deref for ByteSize<MIN, MAX> {
    type Target = u64;

    fn deref(&self) -> &u64 {
        &self.0
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for ByteSize<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor::<MIN, MAX>)
    }
}

struct SizeVisitor<const MIN: u64, const MAX: u64>;

impl<const MIN: u64, const MAX: u64> Visitor<'_> for SizeVisitor<MIN, MAX> {
    type Value = ByteSize<MIN, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as 64KiB or 4MiB")?;
        match (MIN, MAX) {
            (0, u64::MAX) => Ok(()),
            (min, u64::MAX) => write!(f, ", at least {}", format_size(min)),
            (min, max) => write!(f, ", from {} to {}", format_size(min), format_size(max)),
        }
    }

    fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize<MIN, MAX>, E> {
        if (MIN..=MAX).contains(&bytes) { Ok(ByteSize(bytes)) } else { Err(E::invalid_value(Unexpected::Unsigned(bytes), &self)) }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize<MIN, MAX>, E> {
        match parse_size(text) {
            Some(bytes) => self.visit_u64(bytes),
            None => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

impl<const MIN: u64, const MAX: u64> Serialize for ByteSize<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<const MIN: u64, const MAX: u64> JsonSchema for ByteSize<MIN, MAX> {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "description": "A number of bytes, or one with a unit: `64KiB`, `4MiB`, `1GB`",
            "pattern": r"^[0-9]+(\.[0-9]+)? ?([KMGTkmgt]?[Ii]?[Bb])?$|^\$\{.+\}$",
            "minimum": 0
        })
    }
}
