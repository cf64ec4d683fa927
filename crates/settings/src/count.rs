//! Counts with a range.

use std::{borrow::Cow, fmt, ops::Deref};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Unexpected, Visitor},
};

/// A number of something, from 1 to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count<const MAX: u32 = { u32::MAX }>(u32);

impl<const MAX: u32> Count<MAX> {
    /// A default. It is moved into the range.
    pub const fn new(count: u32) -> Self {
        Self(if count == 0 {
            1
        } else if count > MAX {
            MAX
        } else {
            count
        })
    }

    /// Returns the count as an index type.
    pub const fn to_usize(self) -> usize {
        self.0 as usize
    }
}

impl<const MAX: u32> Deref for Count<MAX> {
    type Target = u32;

    fn deref(&self) -> &u32 {
        &self.0
    }
}

impl<const MAX: u32> fmt::Display for Count<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de, const MAX: u32> Deserialize<'de> for Count<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(CountVisitor::<MAX>)
    }
}

struct CountVisitor<const MAX: u32>;

impl<const MAX: u32> Visitor<'_> for CountVisitor<MAX> {
    type Value = Count<MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if MAX == u32::MAX { f.write_str("a whole number of at least 1") } else { write!(f, "a whole number from 1 to {MAX}") }
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Count<MAX>, E> {
        match u32::try_from(number) {
            Ok(count @ 1..) if count <= MAX => Ok(Count(count)),
            _ => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }
}

impl<const MAX: u32> Serialize for Count<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl<const MAX: u32> JsonSchema for Count<MAX> {
    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": 1, "maximum": MAX})
    }
}
