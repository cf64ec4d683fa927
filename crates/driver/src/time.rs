//! Times: milliseconds since 1970 (UTC) in drivers, `Timestamp` and `Duration` in contracts.

use std::{
    fmt::Display,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prost_types::Timestamp;

use prism_call::Error;

/// Milliseconds since 1970.
pub type Millis = i64;

/// Maximum time to live: 100 years, so that an expiration time fits into every representation.
pub const MAX_TTL: Duration = Duration::from_hours(100 * 365 * 24);

/// Returns the current time.
pub fn now() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Converts a time to the type of the contracts.
pub fn timestamp(millis: Millis) -> Timestamp {
    Timestamp { seconds: millis.div_euclid(1000), nanos: i32::try_from(millis.rem_euclid(1000)).unwrap_or(0) * 1_000_000 }
}

/// Converts a time of a request, rounded down to the millisecond.
pub fn millis(timestamp: &Timestamp) -> Millis {
    timestamp.seconds.saturating_mul(1000).saturating_add(i64::from(timestamp.nanos / 1_000_000))
}

/// Converts a time of a request, rounded up to the millisecond: for "at this time or later".
pub fn millis_up(timestamp: &Timestamp) -> Millis {
    millis(timestamp).saturating_add(i64::from(timestamp.nanos.rem_euclid(1_000_000) > 0))
}

/// Converts a duration to the type of the contracts.
pub fn duration(millis: Millis) -> prost_types::Duration {
    prost_types::Duration { seconds: millis / 1000, nanos: i32::try_from(millis % 1000).unwrap_or(0) * 1_000_000 }
}

/// Checks a duration of a request: more than zero, at most [`MAX_TTL`]. Less than one millisecond becomes one millisecond.
pub fn positive(field: &str, duration: &prost_types::Duration) -> Result<Duration, Error> {
    let parsed = Duration::try_from(*duration).ok().filter(|duration| !duration.is_zero());
    match parsed {
        Some(duration) if duration <= MAX_TTL => Ok(duration.max(Duration::from_millis(1))),
        Some(_) => Err(Error::invalid(field, "must be at most 100 years (3153600000s)")),
        None => Err(Error::invalid(field, "must be greater than zero, as 30s or 0.5s")),
    }
}

/// Checks a duration of a request with inclusive bounds, such as a lease of one second to 12 hours.
pub fn between(field: &str, duration: &prost_types::Duration, least: Duration, most: Duration) -> Result<Duration, Error> {
    let parsed = Duration::try_from(*duration).ok().filter(|duration| (least..=most).contains(duration));
    parsed.ok_or_else(|| Error::invalid(field, format!("must be at least {}s and at most {}s", least.as_secs_f64(), most.as_secs_f64())))
}

/// Adds a duration to a time, rounded up to the millisecond, so that nothing happens too early.
pub fn after(now: Millis, duration: Duration) -> Millis {
    now.saturating_add(ceil_millis(duration))
}

/// A duration in milliseconds, rounded up.
pub fn ceil_millis(duration: Duration) -> Millis {
    i64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX / 2)
}

/// Returns when a time to live in the field `ttl` ends if it begins now. The error is `INVALID_ARGUMENT INVALID_TTL`.
pub fn expiry(ttl: Option<&prost_types::Duration>) -> Result<Option<Millis>, Error> {
    expiry_at("ttl", ttl)
}

/// Returns when a time to live in another field ends. See [`expiry`].
pub fn expiry_at(field: impl Display, ttl: Option<&prost_types::Duration>) -> Result<Option<Millis>, Error> {
    let Some(ttl) = ttl else { return Ok(None) };
    let ttl = positive("ttl", ttl).map_err(|error| {
        let problem = error.violations().first().map(|violation| violation.description.clone()).unwrap_or_default();
        Error::invalid(field.to_string(), problem).with_reason("INVALID_TTL")
    })?;
    Ok(Some(after(now(), ttl)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(seconds: i64, nanos: i32) -> prost_types::Duration {
        prost_types::Duration { seconds, nanos }
    }

    #[test]
    fn a_time_to_live_is_positive_and_rounded_up() {
        for bad in [of(0, 0), of(-1, 0), of(0, -1), of(4_000_000_000, 0)] {
            let error = expiry_at("items[1].ttl", Some(&bad)).unwrap_err();
            assert_eq!((error.reason(), error.violations()[0].field.as_str()), ("INVALID_TTL", "items[1].ttl"), "{bad:?}");
        }
        assert_eq!(expiry(None).unwrap(), None);
        let before = now();
        assert!(expiry(Some(&of(0, 1_000_001))).unwrap().unwrap() >= before + 2);
    }

    #[test]
    fn bounds_are_inclusive() {
        let (second, minute) = (Duration::from_secs(1), Duration::from_mins(1));
        assert_eq!(between("wait", &of(1, 0), second, minute).unwrap(), second);
        assert_eq!(between("wait", &of(60, 0), second, minute).unwrap(), minute);
        for bad in [of(0, 999_999_999), of(60, 1), of(-1, 0)] {
            assert_eq!(between("wait", &bad, second, minute).unwrap_err().violations()[0].field, "wait");
        }
    }
}
