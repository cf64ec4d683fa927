//! `Timestamp` and `Duration` as text ("ProtoJSON format", well-known types; RFC 3339).
//!
//! `prost-types` converts. The checks before it are ours: it also reads dates without a time, texts without a time zone and leap seconds,
//! cuts digits behind the ninth, and has no limits of range, all of which ProtoJSON rules out.

use std::fmt::Write as _;

use prost_types::{Duration, Timestamp};

/// 0001-01-01T00:00:00Z.
const FIRST_SECOND: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z.
const LAST_SECOND: i64 = 253_402_300_799;
/// 10,000 years.
const MAX_DURATION: u64 = 315_576_000_000;

/// Parses a timestamp such as `2026-05-01T12:00:00.5Z`, also with an offset such as `+02:00`.
pub fn parse_timestamp(text: &str) -> Option<Timestamp> {
    let zone = after_fraction(text.get(19..)?)?;
    let is_zone = matches!(zone.as_bytes(), b"Z" | b"z" | [b'+' | b'-', _, _, b':', _, _]);
    let is_date_time = text.as_bytes()[0].is_ascii_digit() && matches!(text.as_bytes()[10], b'T' | b't') && text.get(17..19)? != "60";
    if !is_zone || !is_date_time {
        return None;
    }
    text.parse().ok().filter(|timestamp: &Timestamp| (FIRST_SECOND..=LAST_SECOND).contains(&timestamp.seconds))
}

/// Appends a timestamp with 0, 3, 6 or 9 digits of a second. Returns `None` if it is outside of the years 1 to 9999.
pub fn write_timestamp(timestamp: Timestamp, out: &mut String) -> Option<()> {
    let is_valid = (FIRST_SECOND..=LAST_SECOND).contains(&timestamp.seconds) && (0..1_000_000_000).contains(&timestamp.nanos);
    if is_valid { write!(out, "{timestamp}").ok() } else { None }
}

/// Parses a duration such as `1.5s` or `-3s`. Seconds and nanoseconds have the same sign.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let seconds = digits.bytes().take_while(u8::is_ascii_digit).count();
    if after_fraction(digits.get(seconds..)?)? != "s" {
        return None;
    }
    text.parse().ok().filter(|duration: &Duration| duration.seconds.unsigned_abs() <= MAX_DURATION)
}

/// Appends a duration. Returns `None` if it is longer than 10,000 years, or if seconds and nanoseconds have different signs.
pub fn write_duration(duration: Duration, out: &mut String) -> Option<()> {
    let Duration { seconds, nanos } = duration;
    let signs_differ = (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0);
    if signs_differ || seconds.unsigned_abs() > MAX_DURATION || nanos.unsigned_abs() >= 1_000_000_000 {
        return None;
    }
    write!(out, "{duration}").ok()
}

/// Skips a fraction such as `.5`. Returns `None` if it has no digit, or more than nine.
fn after_fraction(text: &str) -> Option<&str> {
    let Some(fraction) = text.strip_prefix('.') else { return Some(text) };
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    if (1..=9).contains(&digits) { fraction.get(digits..) } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn timestamps_round_trip(seconds in FIRST_SECOND..=LAST_SECOND, nanos in 0..1_000_000_000_i32) {
            let timestamp = Timestamp { seconds, nanos };
            let mut text = String::new();
            write_timestamp(timestamp, &mut text).unwrap();
            prop_assert_eq!(parse_timestamp(&text), Some(timestamp));
        }

        #[test]
        fn durations_round_trip(seconds in 0..315_576_000_000_i64, nanos in 0..1_000_000_000_i32, negative: bool) {
            let (seconds, nanos) = if negative { (-seconds, -nanos) } else { (seconds, nanos) };
            let mut text = String::new();
            write_duration(Duration { seconds, nanos }, &mut text).unwrap();
            prop_assert_eq!(parse_duration(&text), Some(Duration { seconds, nanos }));
        }

        #[test]
        fn arbitrary_text_is_parsed_or_refused(text: String) {
            let _ = (parse_timestamp(&text), parse_duration(&text));
        }

        #[test]
        fn similar_text_is_parsed_or_refused(text in "[-+0-9Tt:.Zzsé ]{0,32}") {
            let _ = (parse_timestamp(&text), parse_duration(&text));
        }
    }

    #[test]
    fn offsets_are_applied_and_invalid_texts_are_refused() {
        assert_eq!(parse_timestamp("1970-01-01T02:00:00+02:00"), Some(Timestamp { seconds: 0, nanos: 0 }));
        assert_eq!(parse_timestamp("1969-12-31t23:30:00-00:30"), Some(Timestamp { seconds: 0, nanos: 0 }));
        assert_eq!(parse_timestamp("1972-01-01T00:00:00.5Z"), Some(Timestamp { seconds: 63_072_000, nanos: 500_000_000 }));
        for bad in [
            "",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-01-01 00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T23:59:60Z",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00+0200",
            "2026-01-01T00:00:00+02",
            "2026-01-01T00:00:00 +02:00",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "+10000-01-01T00:00:00Z",
            "-0001-01-01T00:00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.1234567890Z",
            "2026-01-01T00:00:00ZZ",
        ] {
            assert_eq!(parse_timestamp(bad), None, "{bad}");
        }
        assert_eq!(parse_duration("-0.000000001s"), Some(Duration { seconds: 0, nanos: -1 }));
        for bad in ["", "1", "s", "1.s", ".5s", "-s", "+1s", "1.1234567890s", "315576000001s", "--1s", "99999999999999999999999s"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn values_out_of_range_are_not_written() {
        let mut text = String::new();
        for (seconds, nanos) in [(FIRST_SECOND - 1, 0), (LAST_SECOND + 1, 0), (0, -1), (0, 1_000_000_000)] {
            assert_eq!(write_timestamp(Timestamp { seconds, nanos }, &mut text), None);
        }
        for (seconds, nanos) in [(315_576_000_001, 0), (1, -1), (-1, 1), (0, 1_000_000_000), (i64::MIN, 0)] {
            assert_eq!(write_duration(Duration { seconds, nanos }, &mut text), None);
        }
        assert_eq!(text, "");
    }
}
