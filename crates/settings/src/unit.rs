//! Durations and sizes in the form in which people write them: `30s`, `1m30s`, `100ms`; `4MiB`, `64KB`, `1024`.

use std::{fmt::Write as _, time::Duration};

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

/// Parses `30s`, `1.5h` or `1m30s`. Returns `None` if the text is not a duration, or does not fit in 64 bits of nanoseconds.
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

/// Parses `4MiB`, `64 KB` or a plain number of bytes. Returns `None` if the text is not a size, or does not fit in 64 bits.
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

/// Multiplies a decimal number with a unit, without the rounding errors of floating point.
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

/// Formats a duration for [`parse_duration`], in the largest unit that is exact, as `90s`.
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

/// Formats a size for [`parse_size`], in the largest binary unit that is exact.
pub fn format_size(bytes: u64) -> String {
    let mut text = String::new();
    let (unit, size) = SIZES[..4].iter().find(|(_, size)| bytes != 0 && bytes.is_multiple_of(*size)).unwrap_or(&("", 1));
    let _ = write!(text, "{}{unit}", bytes / size);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_formats_durations() {
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
    fn parses_and_formats_sizes() {
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
