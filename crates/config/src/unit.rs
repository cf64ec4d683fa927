//! Durations and sizes as people write them: `30s`, `1m30s`, `100ms`; `4MiB`, `64KB`, `1024`.

use std::{fmt::Write as _, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serializer;

const DURATIONS: [(&str, u64); 6] =
    [("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("ms", 1_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("us", 1000)];

const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("B", 1),
];

/// Reads `30s`, `1.5h`, `1m30s`; `None` if it is no duration or doesn't fit in 64 bits of nanoseconds.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = 0u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = split_number(rest)?;
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        let (_, nanoseconds) = DURATIONS.into_iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(times(number, nanoseconds)?)?;
        rest = next;
    }
    Some(Duration::from_nanos(total))
}

/// Reads `4MiB`, `64 KB` or a plain number of bytes; `None` if it is no size or doesn't fit in 64 bits.
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_number(text.trim())?;
    match unit.trim_start() {
        "" => number.parse().ok(),
        unit => {
            let (_, bytes) = SIZES.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
            times(number, bytes)
        }
    }
}

fn split_number(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// A decimal number of units, without the rounding of floating point.
fn times(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    if fraction.is_empty() {
        return (!number.ends_with('.')).then_some(whole);
    }
    let digits = u32::try_from(fraction.len()).ok().filter(|digits| *digits <= 18)?;
    let part = u128::from(fraction.parse::<u64>().ok()?) * u128::from(unit) / u128::from(10u64.pow(digits));
    whole.checked_add(u64::try_from(part).ok()?)
}

/// Writes a duration so that [`parse_duration`] reads it: in one unit where that is exact, as `90s`.
pub fn format_duration(duration: Duration) -> String {
    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    for (unit, size) in [DURATIONS[1], DURATIONS[3], DURATIONS[4], DURATIONS[2]] {
        if nanoseconds != 0 && nanoseconds.is_multiple_of(size) {
            return format!("{}{unit}", nanoseconds / size);
        }
    }
    let mut text = format!("{}.{:06}", nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000 / 1000);
    text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    text.push('s');
    text
}

/// Writes a size so that [`parse_size`] reads it: in the largest binary unit that is exact.
pub fn format_size(bytes: u64) -> String {
    let mut text = String::new();
    let (unit, size) = SIZES[..4].iter().find(|(_, size)| bytes != 0 && bytes.is_multiple_of(*size)).unwrap_or(&("", 1));
    let _ = write!(text, "{}{unit}", bytes / size);
    text
}

pub(super) fn write_duration<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_duration(*duration))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
pub(super) fn write_size<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_size(*bytes))
}

#[expect(clippy::ref_option, reason = "serde gives references")]
pub(super) fn write_optional_size<S: Serializer>(bytes: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match bytes {
        Some(bytes) => write_size(bytes, serializer),
        None => serializer.serialize_none(),
    }
}

/// How the schema shows a duration.
pub(super) struct DurationText;

impl JsonSchema for DurationText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
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

/// How the schema shows a size.
pub(super) struct SizeText;

impl JsonSchema for SizeText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, milliseconds, written) in [
            ("30s", 30_000, "30s"),
            ("5m", 300_000, "5m"),
            ("100ms", 100, "100ms"),
            ("1m30s", 90_000, "90s"),
            ("1.5h", 5_400_000, "90m"),
            ("2d", 172_800_000, "48h"),
            ("0s", 0, "0s"),
        ] {
            let duration = parse_duration(text).expect(text);
            assert_eq!(duration, Duration::from_millis(milliseconds), "{text}");
            assert_eq!(format_duration(duration), written);
        }
        assert_eq!(format_duration(Duration::from_micros(1500)), "0.0015s");
        for text in ["", "30", "s", "30 s", "-1s", "1.s", "1..5s", "30x", "30s5", "99999999999999d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes, written) in [
            ("4MiB", 4 << 20, "4MiB"),
            ("4 mib", 4 << 20, "4MiB"),
            ("1.5KiB", 1536, "1536"),
            ("64KB", 64_000, "64000"),
            ("1024", 1024, "1KiB"),
            ("0", 0, "0"),
        ] {
            let size = parse_size(text).expect(text);
            assert_eq!(size, bytes, "{text}");
            assert_eq!(format_size(size), written);
        }
        for text in ["", "MiB", "4MiBs", "-1", "1.5", "99999999999TiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }
}
