//! Limits, defaults and checks of list requests that are the same in every driver.

use std::time::Duration;

use bytes::Bytes;

use crate::{Limits, check, time};
use prism_call::{Code, Context, Error};

/// Most elements that one pop takes.
const MAX_POP: u32 = 1000;
/// A pop stops after the element with which its reply has this many bytes, so that a reply is never much larger.
pub const POP_BYTES: usize = 16 << 20;
/// Most elements of a range that are read at one instant.
pub const PAGE_ELEMENTS: usize = 1000;
/// A page of a range ends after the element with which it has this many bytes.
pub const PAGE_BYTES: usize = 4 << 20;

/// Most keys of a pop that waits.
const MAX_KEYS: u32 = 100;
/// How long a pop waits by default.
const DEFAULT_WAIT: Duration = Duration::from_secs(30);
/// Longest time that a pop waits.
const MAX_WAIT: Duration = Duration::from_hours(1);

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The first element.
    Left,
    /// The last element.
    Right,
}

/// Checks a push: the key, and 1 to 1,000 values.
pub fn check_push(limits: &Limits, key: &[u8], values: &[Bytes]) -> Result<(), Error> {
    check::key(limits, key)?;
    check::batch(limits, "values", values.len())?;
    values.iter().enumerate().try_for_each(|(index, value)| check::value(limits, format_args!("values[{index}]"), value))
}

/// The field `limit` of a pop: 1 by default.
pub fn pop_limit(limit: u32) -> Result<usize, Error> {
    Ok(check::limit("limit", limit, 1, MAX_POP)? as usize)
}

/// Checks the keys of a pop that waits, and returns each of them once.
pub fn waiting_keys(limits: &Limits, keys: Vec<Bytes>) -> Result<Vec<Bytes>, Error> {
    check::count("keys", keys.len(), MAX_KEYS)?;
    let mut unique = Vec::with_capacity(keys.len());
    for (index, key) in keys.into_iter().enumerate() {
        check::key_at(limits, format_args!("keys[{index}]"), &key)?;
        if !unique.contains(&key) {
            unique.push(key);
        }
    }
    Ok(unique)
}

/// The field `wait`: 30 seconds if absent. It ends `margin` before the deadline of the call, so that the caller gets a reply.
pub fn wait_time(context: &Context, wait: Option<&prost_types::Duration>, margin: Duration) -> Result<Duration, Error> {
    let wait = wait.map_or(Ok(DEFAULT_WAIT), |wait| time::between("wait", wait, Duration::ZERO, MAX_WAIT))?;
    Ok(context.remaining().map_or(wait, |left| wait.min(left.saturating_sub(margin))))
}

/// `INVALID_ARGUMENT INVALID_FIELD`: the oneof `target` of Insert or Remove is not set.
pub fn no_target(fields: &str) -> Error {
    Error::invalid("target", format!("{fields} must be set"))
}

/// Checks the fields of Remove that don't go with an index.
pub fn check_index_alone(limit: u32, from_right: bool) -> Result<(), Error> {
    if limit > 0 {
        return Err(Error::invalid("limit", "is not allowed with index, which removes one element"));
    }
    if from_right {
        return Err(Error::invalid("from_right", "is not allowed with index; a negative index counts from the right"));
    }
    Ok(())
}

/// `RESOURCE_EXHAUSTED TOO_MANY_WAITERS`
pub fn too_many_waiters(limit: usize, setting: &str) -> Error {
    Error::new(
        Code::ResourceExhausted,
        "TOO_MANY_WAITERS",
        format!("{limit} calls are waiting, which is the limit ({setting}); repeat the call later, do not wait, or raise the limit"),
    )
    .with("limit", limit.to_string())
    .with_retry_after(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_before_the_deadline() {
        let margin = Duration::from_millis(100);
        let free = Context::internal("n");
        assert_eq!(wait_time(&free, None, margin).unwrap(), DEFAULT_WAIT);
        let hour = prost_types::Duration { seconds: 3600, nanos: 0 };
        assert_eq!(wait_time(&free, Some(&hour), margin).unwrap(), MAX_WAIT);
        let limited = Context::internal("n").with_timeout(Duration::from_secs(2));
        assert!(wait_time(&limited, Some(&hour), margin).unwrap() <= Duration::from_millis(1900));
        let over = Context::internal("n").with_timeout(Duration::from_millis(1));
        assert_eq!(wait_time(&over, None, margin).unwrap(), Duration::ZERO);
        for bad in [prost_types::Duration { seconds: -1, nanos: 0 }, prost_types::Duration { seconds: 3600, nanos: 1 }] {
            assert_eq!(wait_time(&free, Some(&bad), margin).unwrap_err().violations()[0].field, "wait");
        }
    }

    #[test]
    fn a_key_counts_once() {
        let limits = Limits::default();
        let keys = |keys: &[&'static str]| keys.iter().map(|key| Bytes::from(*key)).collect::<Vec<_>>();
        assert_eq!(waiting_keys(&limits, keys(&["b", "a", "b"])).unwrap(), keys(&["b", "a"]));
        assert_eq!(waiting_keys(&limits, Vec::new()).unwrap_err().reason(), "BATCH_SIZE");
        assert_eq!(waiting_keys(&limits, vec![Bytes::from("a"); 101]).unwrap_err().reason(), "BATCH_SIZE");
        assert_eq!(waiting_keys(&limits, keys(&["a", ""])).unwrap_err().violations()[0].field, "keys[1]");
    }
}
