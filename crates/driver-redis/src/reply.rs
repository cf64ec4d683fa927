//! Decodes replies of Redis.

use bytes::Bytes;
use redis::Value;

use crate::error;
use prism_call::Error;

/// The items of a list. No reply (nil) is an empty list.
pub fn list(value: Value) -> Result<Vec<Value>, Error> {
    match value {
        Value::Array(items) | Value::Set(items) => Ok(items),
        Value::Nil => Ok(Vec::new()),
        _ => Err(error::unexpected_reply()),
    }
}

/// The items of a list of exactly `N` items.
pub fn fixed_list<const N: usize>(value: Value) -> Result<[Value; N], Error> {
    list(value)?.try_into().map_err(|_| error::unexpected_reply())
}

/// Bytes, or `None` for nil.
pub fn bytes(value: Value) -> Result<Option<Bytes>, Error> {
    match value {
        Value::BulkString(bytes) => Ok(Some(bytes.into())),
        Value::SimpleString(text) => Ok(Some(text.into())),
        Value::Nil => Ok(None),
        _ => Err(error::unexpected_reply()),
    }
}

/// Bytes that must not be nil.
pub fn required_bytes(value: Value) -> Result<Bytes, Error> {
    bytes(value)?.ok_or_else(error::unexpected_reply)
}

/// An integer, or text with its digits.
pub fn integer(value: &Value) -> Result<i64, Error> {
    match value {
        Value::Int(number) => Ok(*number),
        Value::BulkString(digits) => {
            std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or_else(error::unexpected_reply)
        }
        _ => Err(error::unexpected_reply()),
    }
}

/// An integer that is never negative.
pub fn count(value: &Value) -> Result<u64, Error> {
    integer(value)?.try_into().map_err(|_| error::unexpected_reply())
}

/// A number of eight bytes in big-endian order.
pub fn big_endian(bytes: &[u8]) -> Result<u64, Error> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| error::unexpected_reply())
}
