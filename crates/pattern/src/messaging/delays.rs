//! Leases, waits and delays of retries.

use std::time::Duration;

use prism_call::{Context, Error, proto::models::queue::v1::enqueue_delayed_request::Schedule};
use prism_settings::SettingProblem;
use prism_slot::time;

/// Longest lease, and longest delay of a retry: that of the interface `queue_visibility`.
const MAX_LEASE: Duration = Duration::from_hours(12);
const MIN_LEASE: Duration = Duration::from_secs(1);
/// Longest wait for a message: that of the interfaces of queues.
pub const MAX_WAIT: Duration = Duration::from_secs(20);
/// What a wait leaves of the deadline of its call, so that the response arrives.
const MARGIN: Duration = Duration::from_millis(500);

/// Returns the delay after a delivery that failed. It doubles with each delivery.
pub fn backoff(first: Duration, longest: Duration, attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(31);
    first.saturating_mul(1 << doublings).min(longest)
}

/// Checks the settings `lease_duration`, `retry_delay` and `max_retry_delay`.
pub fn check_delays(lease_duration: Duration, retry_delay: Duration, max_retry_delay: Duration) -> Vec<SettingProblem> {
    let mut problems = Vec::new();
    for (name, duration) in [("lease_duration", lease_duration), ("max_retry_delay", max_retry_delay)] {
        if duration > MAX_LEASE {
            problems.push(SettingProblem::expected(name, "a duration of at most 12h"));
        }
    }
    if retry_delay > max_retry_delay {
        problems.push(SettingProblem::other("retry_delay", "is longer than `max_retry_delay`; make it shorter"));
    }
    problems
}

/// Returns the field `wait`, shortened to the deadline of the call.
pub fn wait(context: &Context, wait: Option<&prost_types::Duration>) -> Result<Duration, Error> {
    let wait = wait.map_or(Ok(Duration::ZERO), |wait| time::between("wait", wait, Duration::ZERO, MAX_WAIT))?;
    Ok(context.remaining().map_or(wait, |left| wait.min(left.saturating_sub(MARGIN))))
}

/// Checks the field `lease_duration`.
pub fn lease(duration: Option<&prost_types::Duration>) -> Result<Option<Duration>, Error> {
    duration.map(|duration| time::between("lease_duration", duration, MIN_LEASE, MAX_LEASE)).transpose()
}

/// Checks the field `delay` of a retry.
pub fn retry(delay: Option<&prost_types::Duration>) -> Result<Option<Duration>, Error> {
    delay.map(|delay| time::between("delay", delay, Duration::ZERO, MAX_LEASE)).transpose()
}

/// Returns the time until a message is ready; without a schedule, it is at once.
pub fn until(schedule: Option<&Schedule>) -> Duration {
    match schedule {
        None => Duration::ZERO,
        Some(Schedule::Delay(delay)) => Duration::try_from(*delay).unwrap_or_default(),
        Some(Schedule::DeliverTime(at)) => {
            let millis = time::millis_up(at).saturating_sub(time::now());
            Duration::from_millis(u64::try_from(millis).unwrap_or_default())
        }
    }
}

/// Converts a duration to the type of the contracts.
pub fn protobuf(duration: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(duration).ok()
}
