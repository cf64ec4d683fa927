//! Leases of messages.

use prost::Message as _;

use prism_call::{Error, proto::messaging::v1::MessageLease};
use prism_slot::cursor;

/// Encodes a lease of a group as URL-safe text.
pub fn encode(topic: &str, group: &str, lease: &MessageLease) -> String {
    cursor::seal(&scope(topic, group), &lease.encode_to_vec())
}

/// Decodes a lease of this group, in this field.
///
/// Errors: `INVALID_ARGUMENT INVALID_LEASE`.
pub fn decode(field: &str, topic: &str, group: &str, lease: &str) -> Result<MessageLease, Error> {
    let decoded = cursor::open(&scope(topic, group), lease).ok().flatten().and_then(|bytes| MessageLease::decode(&bytes[..]).ok());
    decoded.ok_or_else(|| {
        Error::invalid(field, "is not a lease of this topic and group; send it exactly as it was received").with_reason("INVALID_LEASE")
    })
}

fn scope(topic: &str, group: &str) -> String {
    format!("consumer-lease:{topic}/{group}")
}

/// `FAILED_PRECONDITION LEASE_LOST`
pub fn lost() -> Error {
    let message =
        "the lease has ended: the message was acknowledged or given back, or the lease expired and the message is delivered again";
    Error::new(prism_call::Code::FailedPrecondition, "LEASE_LOST", message)
}
