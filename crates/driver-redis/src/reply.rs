//! Taking answers of Redis apart.

use bytes::Bytes;
use redis::Value;

use super::error;
use prism_call::Error;

/// The items of a list.
pub fn list(value: Value) -> Result<Vec<Value>, Error> {
    match value {
        Value::Array(items) | Value::Set(items) => Ok(items),
        Value::Nil => Ok(Vec::new()),
        _ => Err(error::unexpected()),
    }
}

/// A list of exactly so many items.
pub fn exactly<const N: usize>(value: Value) -> Result<[Value; N], Error> {
    list(value)?.try_into().map_err(|_| error::unexpected())
}

/// Bytes, which an absent thing has none of.
pub fn bytes(value: Value) -> Result<Option<Bytes>, Error> {
    match value {
        Value::BulkString(bytes) => Ok(Some(bytes.into())),
        Value::SimpleString(text) => Ok(Some(text.into())),
        Value::Nil => Ok(None),
        _ => Err(error::unexpected()),
    }
}

/// Bytes that must be there.
pub fn some_bytes(value: Value) -> Result<Bytes, Error> {
    bytes(value)?.ok_or_else(error::unexpected)
}

/// A number.
pub fn integer(value: &Value) -> Result<i64, Error> {
    match value {
        Value::Int(number) => Ok(*number),
        Value::BulkString(digits) => std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or_else(error::unexpected),
        _ => Err(error::unexpected()),
    }
}

/// A number that is never negative.
pub fn count(value: &Value) -> Result<u64, Error> {
    integer(value)?.try_into().map_err(|_| error::unexpected())
}

/// Eight bytes, the greatest first.
pub fn number(bytes: &[u8]) -> Result<u64, Error> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| error::unexpected())
}
