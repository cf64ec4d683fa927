//! Checks that every driver makes of what it is asked to store.

use crate::{
    call::{Code, Error},
    driver::Limits,
};

/// A key: 1 to `max_key_bytes` bytes.
pub fn key(limits: &Limits, key: &[u8]) -> Result<(), Error> {
    match key.len() as u64 {
        0 => Err(Error::invalid("key", "must not be empty")),
        size if size > limits.max_key_bytes => {
            Err(Error::invalid("key", format!("has {size} bytes; at most {} are allowed", limits.max_key_bytes))
                .with_reason("KEY_TOO_LARGE"))
        }
        _ => Ok(()),
    }
}

/// A value or a payload: up to `max_value_bytes` bytes.
pub fn value(limits: &Limits, field: &str, value: &[u8]) -> Result<(), Error> {
    let size = value.len() as u64;
    if size > limits.max_value_bytes {
        return Err(Error::invalid(field, format!("has {size} bytes; at most {} are allowed", limits.max_value_bytes))
            .with_reason("VALUE_TOO_LARGE"));
    }
    Ok(())
}

/// The name of a topic, a stream, a queue, a group …: 1 to 255 bytes without control characters.
pub fn name(field: &str, name: &str) -> Result<(), Error> {
    if name.is_empty() {
        return Err(Error::invalid(field, "must not be empty"));
    }
    if name.len() > 255 || name.chars().any(char::is_control) {
        return Err(Error::invalid(field, "must have at most 255 bytes and no control characters"));
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
