//! Checks that every driver makes of what it is asked to store.

use std::{collections::BTreeMap, fmt::Display};

use crate::{
    call::{Code, Error},
    driver::Limits,
};

/// Greatest length of the name of a stream, a queue, a group or a subscription.
pub const MAX_NAME_BYTES: usize = 200;

/// The field `key`: 1 to `max_key_bytes` bytes.
pub fn key(limits: &Limits, key: &[u8]) -> Result<(), Error> {
    key_at(limits, "key", key)
}

/// A key in another field, given as `format_args!("items[{index}].key")` so that only an error writes it out.
pub fn key_at(limits: &Limits, field: impl Display, key: &[u8]) -> Result<(), Error> {
    if key.is_empty() {
        return Err(Error::invalid(field.to_string(), "must not be empty").with_reason("INVALID_KEY"));
    }
    key_bound(limits, field, key)
}

/// Something that bounds keys, as a prefix: at most `max_key_bytes` bytes, may be empty.
pub fn key_bound(limits: &Limits, field: impl Display, key: &[u8]) -> Result<(), Error> {
    let size = key.len() as u64;
    if size > limits.max_key_bytes {
        let problem = format!("has {size} bytes; at most {} are allowed", limits.max_key_bytes);
        return Err(Error::invalid(field.to_string(), problem).with_reason("INVALID_KEY").with("limit", limits.max_key_bytes.to_string()));
    }
    Ok(())
}

/// A value or a payload: up to `max_value_bytes` bytes.
pub fn value(limits: &Limits, field: impl Display, value: &[u8]) -> Result<(), Error> {
    let size = value.len() as u64;
    if size > limits.max_value_bytes {
        let problem = format!("has {size} bytes; at most {} are allowed", limits.max_value_bytes);
        return Err(Error::invalid(field.to_string(), problem)
            .with_reason("VALUE_TOO_LARGE")
            .with("limit", limits.max_value_bytes.to_string()));
    }
    Ok(())
}

/// The name of a stream, a queue, a group …: 1 to 200 bytes without whitespace and control characters.
pub fn name(field: &str, name: &str) -> Result<(), Error> {
    let problem = if name.is_empty() {
        "must not be empty"
    } else if name.len() > MAX_NAME_BYTES {
        "must have at most 200 bytes"
    } else if name.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
        "must have no whitespace and no control characters"
    } else {
        return Ok(());
    };
    Err(Error::invalid(field, problem).with_reason("INVALID_NAME"))
}

/// Attributes: at most 64, names of 1 to 128 bytes, values of at most 1,024 bytes.
pub fn attributes(attributes: &BTreeMap<String, String>) -> Result<(), Error> {
    let invalid = |problem: String| Err(Error::invalid("attributes", problem).with_reason("INVALID_ATTRIBUTES"));
    if attributes.len() > 64 {
        return invalid(format!("has {} items; at most 64 are allowed", attributes.len()));
    }
    for (name, value) in attributes {
        if name.is_empty() || name.len() > 128 {
            return invalid(format!("the name of an attribute must have 1 to 128 bytes, not {}", name.len()));
        }
        if value.len() > 1024 {
            return invalid(format!("the value of {name:?} has {} bytes; at most 1024 are allowed", value.len()));
        }
    }
    Ok(())
}

/// The number of items in a batch: 1 to `max_batch_items`.
pub fn batch(limits: &Limits, field: &str, items: usize) -> Result<(), Error> {
    if items == 0 || items > limits.max_batch_items as usize {
        return Err(
            Error::invalid(field, format!("has {items} items; 1 to {} are allowed", limits.max_batch_items)).with_reason("BATCH_SIZE")
        );
    }
    Ok(())
}

/// `RESOURCE_EXHAUSTED BACKEND_FULL`
pub fn full(what: &str, limit: u64) -> Error {
    Error::new(
        Code::ResourceExhausted,
        "BACKEND_FULL",
        format!("the backend is full: its limit of {limit} {what} is reached; remove data or raise the limit"),
    )
    .with("limit", limit.to_string())
}
