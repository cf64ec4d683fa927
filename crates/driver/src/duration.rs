//! Durations as people write them in settings: `250ms`, `5s`, `1m`, `2h`.

use std::{borrow::Cow, fmt, ops::Deref, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error as _};

/// A duration of a setting: a whole number and a unit (`ms`, `s`, `m`, `h`), or a plain number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration(Duration);

impl HumanDuration {
    /// For defaults.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }
}

impl Deref for HumanDuration {
    type Target = Duration;

    fn deref(&self) -> &Duration {
        &self.0
    }
}

impl FromStr for HumanDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a duration; write a whole number and a unit, as 250ms, 5s, 1m or 2h");
        let digits = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
        let unit = match &text[digits..] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        number.checked_mul(unit).map(Self::from_millis).ok_or_else(wrong)
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis.is_multiple_of(1000) { write!(f, "{}s", millis / 1000) } else { write!(f, "{millis}ms") }
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Seconds(u32),
            Text(String),
        }
        match Either::deserialize(deserializer).map_err(|_| D::Error::custom("expected a duration, as 250ms, 5s, 1m or 2h"))? {
            Either::Seconds(seconds) => Ok(Self(Duration::from_secs(seconds.into()))),
            Either::Text(text) => text.parse().map_err(D::Error::custom),
        }
    }
}

impl serde::Serialize for HumanDuration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for HumanDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "format": "human-duration",
            "pattern": "^[0-9]+(ms|s|m|h)$",
            "minimum": 0,
            "description": "A whole number and a unit (ms, s, m, h), as 250ms or 5s; a plain number is seconds.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, millis) in [("250ms", 250), ("5s", 5000), ("2m", 120_000), ("1h", 3_600_000), ("0s", 0)] {
            assert_eq!(text.parse::<HumanDuration>().unwrap().as_millis(), millis, "{text}");
        }
        for text in ["", "5", "s", "5 s", "-1s", "1d", "99999999999999999999s", "18446744073709551615h"] {
            assert!(text.parse::<HumanDuration>().is_err(), "{text}");
        }
        assert_eq!(serde_json::from_str::<HumanDuration>("7").unwrap().as_secs(), 7);
        assert_eq!(HumanDuration::from_millis(1500).to_string(), "1500ms");
    }
}
