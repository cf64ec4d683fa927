//! Names of topics, queues and groups, and ids of messages and jobs.

use prism_call::Error;
use prism_slot::check;

/// Longest name of a topic.
const MAX_TOPIC_BYTES: u64 = 128;
/// Longest id of a message or a job.
const MAX_ID_BYTES: usize = 128;
/// Longest name of a group.
const MAX_GROUP_BYTES: u64 = 64;
/// The group of an empty name, and the only one of a queue.
pub const DEFAULT_GROUP: &str = "default";

/// Checks a name of letters, digits, `.`, `_` and `-`. Names that patterns make of it have a `:` or a `/`, so they are always free.
pub fn plain(field: &str, name: &str, most: u64) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() as u64 > most || !name.bytes().all(allowed) {
        return Err(Error::invalid(field, format!("must have 1 to {most} letters, digits, `.`, `_` and `-`")).with_reason("INVALID_NAME"));
    }
    Ok(())
}

/// Checks the name of a topic: a plain name whose parts between the dots are not empty, as live topics need it.
pub fn topic(topic: &str) -> Result<(), Error> {
    plain("topic", topic, MAX_TOPIC_BYTES)?;
    if topic.split('.').any(str::is_empty) {
        return Err(Error::invalid("topic", "must have no empty part before, between or after dots").with_reason("INVALID_NAME"));
    }
    Ok(())
}

/// Checks the field `id` of a message or a job: 1 to 128 bytes without whitespace and control characters.
pub fn id(id: &str) -> Result<(), Error> {
    check::name("id", id)?;
    if id.len() > MAX_ID_BYTES {
        return Err(Error::invalid("id", format!("must have at most {MAX_ID_BYTES} bytes")).with_reason("INVALID_NAME"));
    }
    Ok(())
}

/// Checks the name of a group, and replaces an empty one.
pub fn group(group: String) -> Result<String, Error> {
    if group.is_empty() {
        return Ok(DEFAULT_GROUP.to_owned());
    }
    plain("group", &group, MAX_GROUP_BYTES)?;
    Ok(group)
}
