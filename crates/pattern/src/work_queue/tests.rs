//! Settings, names and leases.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{PATTERN, check_queue, lease, settings::WorkQueueSettings};
use prism_call::proto::jobs::v1::JobLease;

#[test]
fn the_delay_doubles_with_each_delivery_up_to_the_longest_one() {
    let settings = WorkQueueSettings::default();
    let delays: Vec<_> = [0, 1, 2, 3, 10, 11, 1000, u32::MAX].map(|attempt| settings.backoff(attempt).as_secs()).into();
    assert_eq!(delays, [1, 1, 2, 4, 512, 600, 600, 600]);
    assert_eq!(settings.backoff(1), Duration::from_secs(1));
}

#[test]
fn settings_are_checked_together() {
    let problems = |values: Value| {
        let Value::Object(values) = values else { return Vec::new() };
        let problems = (PATTERN.check)(&values).err().unwrap_or_default();
        problems.into_iter().map(|problem| problem.setting).collect::<Vec<_>>()
    };
    assert_eq!((PATTERN.check)(&Map::new()).err().map(|problems| problems.len()), None);
    assert_eq!(problems(json!({"retry_delay": "2m", "max_retry_delay": "1m"})), ["retry_delay"]);
    assert_eq!(problems(json!({"lease_duration": "13h", "max_retry_delay": "13h"})), ["lease_duration", "max_retry_delay"]);
    assert_eq!(problems(json!({"max_attempts": 0, "retention": "0s"})), ["max_attempts", "retention"]);
}

#[test]
fn names_of_queues_have_no_separators() {
    for name in ["a", "A.b_c-9", &"x".repeat(128)] {
        assert!(check_queue(name).is_ok(), "{name}");
    }
    for name in ["", "a:dead", "a/b", "a b", "ä", &"x".repeat(129)] {
        assert_eq!(check_queue(name).unwrap_err().reason(), "INVALID_NAME", "{name}");
    }
}

#[test]
fn a_lease_is_valid_for_its_queue_only() {
    let token = JobLease { lease: "7".to_owned(), queue: "a".to_owned(), id: "x".to_owned(), attempt: 2 };
    let text = lease::encode(&token);
    assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')), "{text}");
    assert_eq!(lease::decode("a", &text).unwrap(), token);
    for (queue, text) in [("b", &*text), ("a", ""), ("a", "7"), ("a", &text[1..])] {
        assert_eq!(lease::decode(queue, text).unwrap_err().reason(), "INVALID_LEASE");
    }
}
