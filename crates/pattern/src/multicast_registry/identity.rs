//! Identities: their names, keys and addresses, and what is registered about them.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use prost_types::{Struct, Value, value::Kind};

use prism_call::Error;
use prism_slot::check;

/// Greatest length of an identity in bytes. The proto states it.
pub const MAX_IDENTITY_BYTES: usize = 128;
/// Greatest number of tags. The proto states it.
const MAX_TAGS: usize = 64;
/// Greatest length of a tag in bytes. The proto states it.
const MAX_TAG_BYTES: usize = 128;
/// Deepest nesting of metadata.
const MAX_DEPTH: usize = 16;

/// The prefix of the keys of registrations.
pub const REGISTRATIONS: &str = "i/";
/// The prefix of the keys that mark identities that may have a queue.
pub const MAILBOXES: &str = "m/";

/// Checks an identity.
pub fn check_identity(identity: &str) -> Result<(), Error> {
    check::name("identity", identity)?;
    if identity.len() > MAX_IDENTITY_BYTES {
        return Err(Error::invalid("identity", format!("must have at most {MAX_IDENTITY_BYTES} bytes")).with_reason("INVALID_NAME"));
    }
    Ok(())
}

/// Returns the key of an identity below a prefix.
pub fn key(prefix: &str, identity: &str) -> Bytes {
    format!("{prefix}{identity}").into()
}

/// Returns the identity in a key. Only Prism writes these keys.
pub fn identity_of<'k>(key: &'k [u8], prefix: &str) -> Option<&'k str> {
    key.strip_prefix(prefix.as_bytes()).and_then(|identity| std::str::from_utf8(identity).ok())
}

/// Returns the name of the topic and of the queue of an identity. No two identities share one. All backends allow its characters.
pub fn address(identity: &str) -> String {
    format!("i.{}", BASE64_URL_SAFE_NO_PAD.encode(identity))
}

/// Checks tags.
pub fn check_tags(tags: &[String]) -> Result<(), Error> {
    if tags.len() > MAX_TAGS {
        return Err(Error::invalid("tags", format!("has {} items; at most {MAX_TAGS} are allowed", tags.len())));
    }
    match tags.iter().position(|tag| tag.is_empty() || tag.len() > MAX_TAG_BYTES) {
        Some(index) => Err(Error::invalid(format!("tags[{index}]"), format!("must have 1 to {MAX_TAG_BYTES} bytes"))),
        None => Ok(()),
    }
}

/// Checks metadata: they must have a JSON form, so that they can be returned over every protocol.
pub fn check_metadata(metadata: &Struct) -> Result<(), Error> {
    metadata.fields.values().try_for_each(|value| check_value(value, 1))
}

fn check_value(value: &Value, depth: usize) -> Result<(), Error> {
    let invalid = |problem: String| Err(Error::invalid("metadata", problem));
    if depth > MAX_DEPTH {
        return invalid(format!("is nested more than {MAX_DEPTH} levels deep"));
    }
    match &value.kind {
        None => invalid("has a value that is not set; null is a value, too".to_owned()),
        Some(Kind::NumberValue(number)) if !number.is_finite() => invalid(format!("has the number {number}, which JSON does not have")),
        Some(Kind::StructValue(inner)) => inner.fields.values().try_for_each(|value| check_value(value, depth + 1)),
        Some(Kind::ListValue(list)) => list.values.iter().try_for_each(|value| check_value(value, depth + 1)),
        Some(Kind::NullValue(_) | Kind::NumberValue(_) | Kind::StringValue(_) | Kind::BoolValue(_)) => Ok(()),
    }
}
