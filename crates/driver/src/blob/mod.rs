//! Checks of blob requests, the streams that write blobs, ranges, conditions and pages.

mod page;
mod put;

use std::collections::BTreeMap;

pub use page::{Item, ListScope, MAX_PAGE, Page};
pub use put::{Content, Put};

use crate::{Limits, check};
use prism_call::{
    Code, Error,
    proto::models::blob::v1::{BlobCondition, ByteRange, NewBlob, blob_condition::Test, byte_range::Start},
};

/// Greatest number of bytes in a chunk of a read.
pub const CHUNK_BYTES: usize = 256 << 10;

/// Greatest length of a content type.
const MAX_CONTENT_TYPE: usize = 255;
/// Greatest number of attributes.
const MAX_ATTRIBUTES: usize = 32;
/// Greatest length of the name of an attribute.
const MAX_ATTRIBUTE_NAME: usize = 64;
/// Greatest length of the value of an attribute.
const MAX_ATTRIBUTE_VALUE: usize = 1024;
/// Most bytes of all names and values of attributes, as S3 has it.
const MAX_ATTRIBUTE_BYTES: usize = 2048;

/// Checks the key of a blob: 1 to `max_key_bytes` bytes without NUL.
pub fn check_key(limits: &Limits, key: &str) -> Result<(), Error> {
    check::key(limits, key.as_bytes())?;
    check_nul("key", key)
}

/// Checks the prefix of a listing.
pub fn check_prefix(limits: &Limits, prefix: &str) -> Result<(), Error> {
    check::key_bound(limits, "prefix", prefix.as_bytes())?;
    check_nul("prefix", prefix)
}

fn check_nul(field: &str, key: &str) -> Result<(), Error> {
    if key.contains('\0') {
        return Err(Error::invalid(field, "must not have a NUL character").with_reason("INVALID_KEY"));
    }
    Ok(())
}

/// Checks the metadata of a blob to store.
pub fn check_new(limits: &Limits, blob: &NewBlob) -> Result<(), Error> {
    check_key(limits, &blob.key)?;
    let text = |value: &str| value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) && value.trim() == value;
    if blob.content_type.len() > MAX_CONTENT_TYPE || !text(&blob.content_type) {
        let problem = "must be a media type of at most 255 visible ASCII characters, as image/png";
        return Err(Error::invalid("content_type", problem).with_reason("INVALID_CONTENT_TYPE"));
    }
    check_attributes(&blob.attributes, text)
}

fn check_attributes(attributes: &BTreeMap<String, String>, is_text: impl Fn(&str) -> bool) -> Result<(), Error> {
    let invalid = |problem: String| Err(Error::invalid("attributes", problem).with_reason("INVALID_ATTRIBUTES"));
    if attributes.len() > MAX_ATTRIBUTES {
        return invalid(format!("has {} items; at most {MAX_ATTRIBUTES} are allowed", attributes.len()));
    }
    for (name, value) in attributes {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > MAX_ATTRIBUTE_NAME || !name.bytes().all(allowed) {
            return invalid(format!("the name {name:?} must have 1 to {MAX_ATTRIBUTE_NAME} characters of a-z, 0-9, - and _"));
        }
        if value.len() > MAX_ATTRIBUTE_VALUE || !is_text(value) {
            return invalid(format!(
                "the value of {name} must have at most {MAX_ATTRIBUTE_VALUE} visible ASCII characters and inner spaces"
            ));
        }
    }
    let bytes: usize = attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MAX_ATTRIBUTE_BYTES {
        return invalid(format!("has {bytes} bytes of names and values; at most {MAX_ATTRIBUTE_BYTES} are allowed"));
    }
    Ok(())
}

/// A checked condition on the blob under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// There is none.
    Absent,
    /// There is one.
    Exists,
    /// There is one with this ETag.
    Etag(String),
}

impl Condition {
    /// Checks the field `condition` of a request.
    pub fn of(condition: Option<BlobCondition>) -> Result<Self, Error> {
        match condition.and_then(|condition| condition.test) {
            Some(Test::Absent(true)) => Ok(Self::Absent),
            Some(Test::Exists(true)) => Ok(Self::Exists),
            Some(Test::Etag(etag)) => Ok(Self::Etag(etag)),
            Some(Test::Absent(false) | Test::Exists(false)) | None => {
                Err(invalid_condition("must have one of `absent: true`, `exists: true` and `etag`"))
            }
        }
    }

    /// Checks the condition of a deletion, which can't be that the blob is absent.
    pub fn of_delete(condition: Option<BlobCondition>) -> Result<Self, Error> {
        match Self::of(condition)? {
            Self::Absent => Err(invalid_condition("can't be `absent`, which would delete nothing")),
            other => Ok(other),
        }
    }

    /// Whether it holds for the current ETag; `None`: there is no blob.
    pub fn holds(&self, current: Option<&str>) -> bool {
        match (self, current) {
            (Self::Absent, None) | (Self::Exists, Some(_)) => true,
            (Self::Etag(wanted), Some(current)) => wanted == current,
            _ => false,
        }
    }
}

fn invalid_condition(problem: &str) -> Error {
    Error::invalid("condition", problem).with_reason("INVALID_CONDITION")
}

/// Returns the offset and the length of a range in a blob of this size.
pub fn resolve_range(range: Option<&ByteRange>, size: u64) -> Result<(u64, u64), Error> {
    let Some(range) = range else { return Ok((0, size)) };
    check_range(range)?;
    match range.start {
        Some(Start::Offset(offset)) if offset < size => {
            let rest = size - offset;
            Ok((offset, range.length.map_or(rest, |length| length.min(rest))))
        }
        Some(Start::Suffix(suffix)) if size > 0 => {
            let length = suffix.min(size);
            Ok((size - length, length))
        }
        _ => Err(range_not_satisfiable(Some(size))),
    }
}

/// Checks the field `range` of a request, without the size of the blob.
pub fn check_range(range: &ByteRange) -> Result<(), Error> {
    let problem = match (&range.start, range.length) {
        (None, _) => "must have `offset` or `suffix`",
        (Some(Start::Suffix(0)), _) => "must have a `suffix` greater than zero",
        (Some(Start::Suffix(_)), Some(_)) => "can't have both `suffix` and `length`",
        (Some(_), Some(0)) => "must have a `length` greater than zero",
        _ => return Ok(()),
    };
    Err(Error::invalid("range", problem))
}

/// `OUT_OF_RANGE RANGE_NOT_SATISFIABLE`. `size`: the size of the blob, if it is known.
pub fn range_not_satisfiable(size: Option<u64>) -> Error {
    let has = size.map(|size| format!(", which has {size} bytes")).unwrap_or_default();
    let error = Error::new(Code::OutOfRange, "RANGE_NOT_SATISFIABLE", format!("the range begins after the end of the blob{has}"));
    let error = error.with_violation("range", "begins after the end of the blob");
    if let Some(size) = size { error.with("size", size.to_string()) } else { error }
}

/// Checks the field `etag` of a read.
pub fn check_etag(wanted: &str, current: &str) -> Result<(), Error> {
    if wanted.is_empty() || wanted == current { Ok(()) } else { Err(etag_mismatch(current)) }
}

/// `ABORTED ETAG_MISMATCH`. `current`: empty if there is no blob, or if the backend does not say it.
pub fn etag_mismatch(current: &str) -> Error {
    let message = if current.is_empty() {
        "the blob does not have the expected ETag; read its metadata and try again".to_owned()
    } else {
        format!("the blob has the ETag {current}, not the expected one; read it and try again")
    };
    let error = Error::new(Code::Aborted, "ETAG_MISMATCH", message);
    if current.is_empty() { error } else { error.with("current_etag", current) }
}

#[cfg(test)]
mod tests;
