//! `Timestamp` and `Duration` as text ("ProtoJSON format", well-known types; RFC 3339).

use std::fmt::Write as _;

const DAY: i64 = 86_400;
/// 0001-01-01T00:00:00Z.
const FIRST_SECOND: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z.
const LAST_SECOND: i64 = 253_402_300_799;
/// 10,000 years.
const MAX_DURATION: u64 = 315_576_000_000;

/// Reads `2026-05-01T12:00:00.5Z` or with an offset like `+02:00`: seconds since 1970 and nanoseconds.
pub fn parse_timestamp(text: &str) -> Option<(i64, i32)> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| digits(bytes.get(from..to)?);
    let is = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|byte| wanted.contains(byte));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (nanos, zone) = fraction(bytes.get(19..)?)?;
    let offset = match zone {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 3600 + minutes * 60) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let seconds = days_from_civil(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset;
    (FIRST_SECOND..=LAST_SECOND).contains(&seconds).then_some((seconds, nanos))
}

/// Writes a timestamp with 0, 3, 6 or 9 digits behind the second; `None` if it is outside the years 1 to 9999.
pub fn format_timestamp(seconds: i64, nanos: i32, out: &mut String) -> Option<()> {
    if !(FIRST_SECOND..=LAST_SECOND).contains(&seconds) || !(0..1_000_000_000).contains(&nanos) {
        return None;
    }
    let (year, month, day) = civil_from_days(seconds.div_euclid(DAY));
    let rest = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}").ok()?;
    write_fraction(nanos.unsigned_abs(), out);
    out.push('Z');
    Some(())
}

/// Reads `1.5s`, `-3s`: seconds and nanoseconds, both with the sign.
pub fn parse_duration(text: &str) -> Option<(i64, i32)> {
    let number = text.strip_suffix('s')?;
    let (negative, number) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let whole = number.find('.').unwrap_or(number.len());
    let (whole, behind) = number.split_at(whole);
    if whole.len() > 12 {
        return None;
    }
    let seconds = digits(whole.as_bytes())?;
    let (nanos, rest) = fraction(behind.as_bytes())?;
    if !rest.is_empty() || seconds.unsigned_abs() > MAX_DURATION {
        return None;
    }
    Some(if negative { (-seconds, -nanos) } else { (seconds, nanos) })
}

/// Writes a duration; `None` if it is beyond 10,000 years or its signs differ.
pub fn format_duration(seconds: i64, nanos: i32, out: &mut String) -> Option<()> {
    let differ = (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0);
    if differ || seconds.unsigned_abs() > MAX_DURATION || nanos.unsigned_abs() >= 1_000_000_000 {
        return None;
    }
    if seconds < 0 || nanos < 0 {
        out.push('-');
    }
    write!(out, "{}", seconds.unsigned_abs()).ok()?;
    write_fraction(nanos.unsigned_abs(), out);
    out.push('s');
    Some(())
}

fn digits(bytes: &[u8]) -> Option<i64> {
    if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(bytes.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
}

/// `.5` and what follows it; one to nine digits.
fn fraction(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let Some(behind) = bytes.strip_prefix(b".") else { return Some((0, bytes)) };
    let length = behind.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&length) {
        return None;
    }
    let (found, rest) = behind.split_at(length);
    let missing = u32::try_from(9 - length).ok()?;
    Some((i32::try_from(digits(found)? * 10_i64.pow(missing)).ok()?, rest))
}

fn write_fraction(nanos: u32, out: &mut String) {
    // Writing to a string can't fail.
    let _ = match nanos {
        0 => Ok(()),
        _ if nanos.is_multiple_of(1_000_000) => write!(out, ".{:03}", nanos / 1_000_000),
        _ if nanos.is_multiple_of(1_000) => write!(out, ".{:06}", nanos / 1_000),
        _ => write!(out, ".{nanos:09}"),
    };
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970 of a date of the Gregorian calendar. Years begin in March here, so that the leap day is the last one.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    // 400 years have 146,097 days.
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn timestamps_come_back(seconds in FIRST_SECOND..=LAST_SECOND, nanos in 0..1_000_000_000_i32) {
            let mut text = String::new();
            format_timestamp(seconds, nanos, &mut text).unwrap();
            prop_assert_eq!(parse_timestamp(&text), Some((seconds, nanos)));
            prop_assert_eq!(text, prost_types::Timestamp { seconds, nanos }.to_string());
        }

        #[test]
        fn durations_come_back(seconds in 0..315_576_000_000_i64, nanos in 0..1_000_000_000_i32, negative: bool) {
            let (seconds, nanos) = if negative { (-seconds, -nanos) } else { (seconds, nanos) };
            let mut text = String::new();
            format_duration(seconds, nanos, &mut text).unwrap();
            prop_assert_eq!(parse_duration(&text), Some((seconds, nanos)));
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = (parse_timestamp(&text), parse_duration(&text));
        }
    }

    #[test]
    fn reads_offsets_and_refuses_what_is_no_time() {
        assert_eq!(parse_timestamp("1970-01-01T02:00:00+02:00"), Some((0, 0)));
        assert_eq!(parse_timestamp("1972-01-01T00:00:00.5Z"), Some((63_072_000, 500_000_000)));
        for bad in [
            "",
            "2026-02-29T00:00:00Z",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-01-01T24:00:00Z",
            "0000-01-01T00:00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.1234567890Z",
            "2026-01-01T00:00:00ZZ",
        ] {
            assert_eq!(parse_timestamp(bad), None, "{bad}");
        }
        assert_eq!(parse_duration("-0.000000001s"), Some((0, -1)));
        for bad in ["", "1", "s", "1.s", ".5s", "+1s", "1.1234567890s", "315576000001s", "--1s", "99999999999999999999999s"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }
}
