//! Limits, defaults and checks of queue requests that are the same in every driver, and the errors that the contract names.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    Limits, check,
    time::{self, Millis},
};
use prism_call::{
    Code, Error,
    proto::models::queue::v1::{ConfigureDeadLetterRequest, enqueue_delayed_request::Schedule},
};

/// The attribute of a message in a dead-letter queue that names the queue in which it failed.
pub const DEAD_LETTER_SOURCE: &str = "prism-dead-letter-source";

/// Most messages in one response.
pub const MAX_MESSAGES: u32 = 100;
/// Longest time that a call waits for a message.
const MAX_WAIT: Duration = Duration::from_secs(20);
/// Latest delivery time of a delayed message, counted from now.
const MAX_DELAY: Duration = Duration::from_hours(365 * 24);
/// Highest priority.
const MAX_PRIORITY: u32 = 9;

const MIN_LEASE: Duration = Duration::from_secs(1);
const MAX_LEASE: Duration = Duration::from_hours(12);
const DEFAULT_LEASE: Duration = Duration::from_secs(30);

/// Deliveries after which a message goes to the dead-letter queue, by default.
const DEFAULT_DELIVERY_ATTEMPTS: u32 = 5;
const MAX_DELIVERY_ATTEMPTS: u32 = 1000;

/// Checks the fields that every request to enqueue has.
pub fn check_message(limits: &Limits, queue: &str, payload: &[u8], attributes: &BTreeMap<String, String>) -> Result<(), Error> {
    check::name("queue", queue)?;
    check::value(limits, "payload", payload)?;
    check::attributes(attributes)
}

/// The field `limit` of Dequeue and Peek: 1 by default.
pub fn message_limit(limit: u32) -> Result<usize, Error> {
    Ok(check::limit("limit", limit, 1, MAX_MESSAGES)? as usize)
}

/// The field `wait`: zero if absent.
pub fn wait_time(wait: Option<&prost_types::Duration>) -> Result<Duration, Error> {
    wait.map_or(Ok(Duration::ZERO), |wait| time::between("wait", wait, Duration::ZERO, MAX_WAIT))
}

/// The field `priority`.
pub fn check_priority(priority: u32) -> Result<(), Error> {
    if priority > MAX_PRIORITY {
        return Err(Error::invalid("priority", format!("is {priority}; it must be 0 to {MAX_PRIORITY}")));
    }
    Ok(())
}

/// When a delayed message becomes ready: now or later.
pub fn delivery_time(schedule: Option<&Schedule>) -> Result<Millis, Error> {
    let now = time::now();
    match schedule {
        Some(Schedule::Delay(delay)) => Ok(time::after(now, time::between("delay", delay, Duration::ZERO, MAX_DELAY)?)),
        Some(Schedule::DeliverTime(at)) => {
            // Rounded up to the next millisecond, so that a message is never delivered too early.
            let at = time::millis_up(at);
            if at > time::after(now, MAX_DELAY) {
                return Err(Error::invalid("deliver_time", "must be at most 365 days away"));
            }
            Ok(at.max(now))
        }
        None => Err(Error::invalid("schedule", "delay or deliver_time must be set")),
    }
}

/// The field `visibility_timeout` of DequeueWithTimeout: how long a lease lasts.
pub fn lease_time(timeout: Option<&prost_types::Duration>) -> Result<Duration, Error> {
    timeout.map_or(Ok(DEFAULT_LEASE), |timeout| time::between("visibility_timeout", timeout, MIN_LEASE, MAX_LEASE))
}

/// The field `visibility_timeout` of ExtendVisibility, which must be set.
pub fn required_lease_time(timeout: Option<&prost_types::Duration>) -> Result<Duration, Error> {
    if timeout.is_none() {
        return Err(Error::invalid("visibility_timeout", "must be set, between 1s and 43200s"));
    }
    lease_time(timeout)
}

/// The field `delay` of Release: zero if absent.
pub fn release_delay(delay: Option<&prost_types::Duration>) -> Result<Duration, Error> {
    delay.map_or(Ok(Duration::ZERO), |delay| time::between("delay", delay, Duration::ZERO, MAX_LEASE))
}

/// Checks a request to configure a dead-letter queue and returns the number of deliveries after which a message has failed.
pub fn delivery_attempts(request: &ConfigureDeadLetterRequest) -> Result<u32, Error> {
    check::name("queue", &request.queue)?;
    check::optional_name("dead_letter_queue", &request.dead_letter_queue)?;
    if request.queue == request.dead_letter_queue {
        return Err(Error::invalid("dead_letter_queue", "must be another queue than the one whose messages fail"));
    }
    check::limit("max_delivery_attempts", request.max_delivery_attempts, DEFAULT_DELIVERY_ATTEMPTS, MAX_DELIVERY_ATTEMPTS)
}

/// `INVALID_ARGUMENT INVALID_LEASE`
pub fn invalid_lease() -> Error {
    Error::invalid("lease", "is not a lease; send it exactly as DequeueWithTimeout returned it").with_reason("INVALID_LEASE")
}

/// `FAILED_PRECONDITION LEASE_LOST`
pub fn lease_lost() -> Error {
    Error::new(
        Code::FailedPrecondition,
        "LEASE_LOST",
        "the lease has ended: the message was completed or released, or the lease expired and the message is delivered again",
    )
}

/// `FAILED_PRECONDITION DEAD_LETTER_NOT_CONFIGURED`
pub fn dead_letter_not_configured(queue: &str) -> Error {
    Error::new(
        Code::FailedPrecondition,
        "DEAD_LETTER_NOT_CONFIGURED",
        format!("the queue {queue:?} has no dead-letter queue; set one with ConfigureDeadLetter"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_delivered_now_or_later_but_never_early() {
        let now = time::now();
        let past = prost_types::Timestamp { seconds: 1, nanos: 0 };
        assert!(delivery_time(Some(&Schedule::DeliverTime(past))).unwrap() >= now);
        let soon = prost_types::Timestamp { seconds: now / 1000 + 60, nanos: 1 };
        assert_eq!(delivery_time(Some(&Schedule::DeliverTime(soon))).unwrap(), (now / 1000 + 60) * 1000 + 1);
        let far = prost_types::Timestamp { seconds: now / 1000 + 366 * 86_400, nanos: 0 };
        assert_eq!(delivery_time(Some(&Schedule::DeliverTime(far))).unwrap_err().violations()[0].field, "deliver_time");
        let delay = prost_types::Duration { seconds: 0, nanos: 1 };
        assert!(delivery_time(Some(&Schedule::Delay(delay))).unwrap() > now);
        assert_eq!(delivery_time(None).unwrap_err().violations()[0].field, "schedule");
    }
}
