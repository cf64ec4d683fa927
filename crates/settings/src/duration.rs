//! Durations with a lower bound.

use std::{borrow::Cow, fmt, ops::Deref, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Unexpected, Visitor},
};

use super::unit::{format_duration, parse_duration};

/// A duration of at least `MIN` milliseconds, written with a unit: `100ms`, `30s`, `1m30s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration<const MIN: u64 = 1>(Duration);

impl<const MIN: u64> HumanDuration<MIN> {
    /// A default. It is at least `MIN`.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(if millis < MIN { MIN } else { millis }))
    }
}

impl<const MIN: u64> Deref for HumanDuration<MIN> {
    type Target = Duration;

    fn deref(&self) -> &Duration {
        &self.0
    }
}

impl<'de, const MIN: u64> Deserialize<'de> for HumanDuration<MIN> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DurationVisitor::<MIN>)
    }
}

struct DurationVisitor<const MIN: u64>;

impl<const MIN: u64> Visitor<'_> for DurationVisitor<MIN> {
    type Value = HumanDuration<MIN>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as 100ms, 30s or 5m")?;
        if MIN == 0 { Ok(()) } else { write!(f, ", at least {}", format_duration(Duration::from_millis(MIN))) }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<HumanDuration<MIN>, E> {
        let duration = parse_duration(text).filter(|duration| *duration >= Duration::from_millis(MIN));
        duration.map(HumanDuration).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// In seconds where that is exact, else in milliseconds.
impl<const MIN: u64> Serialize for HumanDuration<MIN> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let millis = self.0.as_millis();
        if millis.is_multiple_of(1000) {
            serializer.collect_str(&format_args!("{}s", millis / 1000))
        } else {
            serializer.collect_str(&format_args!("{millis}ms"))
        }
    }
}

impl<const MIN: u64> JsonSchema for HumanDuration<MIN> {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A number with a unit: `100ms`, `30s`, `1m30s`, `5m`, `1.5h`, `7d`",
            "pattern": r"^([0-9]+(\.[0-9]+)?(us|ms|s|m|h|d))+$|^\$\{.+\}$"
        })
    }
}
