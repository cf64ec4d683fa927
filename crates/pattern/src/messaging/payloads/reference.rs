//! References to payloads.

use std::{collections::BTreeMap, time::Duration};

use prism_slot::{id, time};

/// The attribute with the reference of a message: its name, a space, and the number of bytes.
pub const PAYLOAD_ATTRIBUTE: &str = "prism-payload";
/// The latest expiry with 12 hexadecimal digits. With more digits, keys would not be in the order of their expiry.
const MAX_EXPIRY: u64 = 0xffff_ffff_ffff;

/// A reference to a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadReference {
    /// When it expires, in milliseconds since 1970.
    expire_millis: u64,
    id: u128,
    /// Number of its bytes; 0 if only the name is known.
    pub size: u64,
}

impl PayloadReference {
    /// Creates a reference that no other payload has.
    pub fn new(lifetime: Duration) -> Self {
        let expires = u64::try_from(time::after(time::now(), lifetime)).unwrap_or_default();
        Self { expire_millis: expires.min(MAX_EXPIRY), id: id::random(), size: 0 }
    }

    /// Sets the number of bytes.
    #[must_use]
    pub fn with_size(self, size: u64) -> Self {
        Self { size, ..self }
    }

    /// Returns its name in messages: the time at which it expires, and a random id.
    pub fn name(&self) -> String {
        format!("{:012x}-{}", self.expire_millis, id::to_text(self.id))
    }

    /// Returns the key of its blob. So a name is valid only for its topic.
    pub fn key(&self, topic: &str) -> String {
        format!("{:012x}/{topic}/{}", self.expire_millis, id::to_text(self.id))
    }

    /// Returns the value of the attribute.
    pub fn to_attribute(self) -> String {
        format!("{} {}", self.name(), self.size)
    }

    /// Parses the value of the attribute.
    pub fn of_attribute(text: &str) -> Option<Self> {
        let (name, size) = text.split_once(' ')?;
        Some(Self { size: size.parse().ok()?, ..Self::of_name(name)? })
    }

    /// Parses a name.
    pub fn of_name(name: &str) -> Option<Self> {
        let (expires, id) = name.split_once('-')?;
        Some(Self { expire_millis: parse_expiry(expires)?, id: id::parse(id)?, size: 0 })
    }
}

/// Returns when the blob under a key expires, in milliseconds since 1970; `None`: the key is not one of payloads.
pub fn expiry_of_key(key: &str) -> Option<u64> {
    parse_expiry(key.split_once('/')?.0)
}

fn parse_expiry(text: &str) -> Option<u64> {
    let is_valid = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_valid { u64::from_str_radix(text, 16).ok() } else { None }
}

/// Removes the reference from the attributes of a message, and returns it.
pub fn take_reference(attributes: &mut BTreeMap<String, String>) -> Option<PayloadReference> {
    PayloadReference::of_attribute(&attributes.remove(PAYLOAD_ATTRIBUTE)?)
}
