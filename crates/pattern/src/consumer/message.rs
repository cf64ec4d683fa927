//! Messages of the backend, as messages of the pattern.

use std::collections::BTreeMap;

use crate::messaging::{
    attributes,
    model::{ID_ATTRIBUTE, KEY_ATTRIBUTE},
    payloads::{PAYLOAD_ATTRIBUTE, PayloadReader, PayloadReference, take_reference},
};
use prism_call::proto::{
    models::{pubsub::v1 as pubsub, queue::v1::QueueMessage, stream::v1::Record},
    patterns::consumer::v1::{Message, StoredPayload},
};

/// Converts a record of a stream, without a lease.
pub fn of_record(record: Record) -> Message {
    let Record { offset, key, payload, attributes: mut headers, append_time, .. } = record;
    let id = headers.remove(ID_ATTRIBUTE).unwrap_or_default();
    let stored_payload = take_stored_payload(&mut headers);
    attributes::remove_reserved(&mut headers);
    let key = String::from_utf8_lossy(&key).into_owned();
    Message { id, payload, key, headers, publish_time: append_time, offset: Some(offset), stored_payload, ..Message::default() }
}

/// Converts a message of a queue, without a lease.
pub fn of_queue(message: QueueMessage) -> Message {
    let QueueMessage { message_id, payload, attributes: mut headers, enqueue_time, delivery_attempt, .. } = message;
    let id = headers.remove(ID_ATTRIBUTE).unwrap_or(message_id);
    let key = headers.remove(KEY_ATTRIBUTE).unwrap_or_default();
    let stored_payload = take_stored_payload(&mut headers);
    attributes::remove_reserved(&mut headers);
    Message { id, payload, key, headers, publish_time: enqueue_time, attempt: delivery_attempt, stored_payload, ..Message::default() }
}

/// Converts a message of a live topic.
pub fn of_topic(message: pubsub::Message) -> Message {
    let pubsub::Message { payload, attributes: mut headers, publish_time, ordering_key, .. } = message;
    let id = headers.remove(ID_ATTRIBUTE).unwrap_or_default();
    let key = headers.remove(KEY_ATTRIBUTE).or(ordering_key).unwrap_or_default();
    let stored_payload = take_stored_payload(&mut headers);
    attributes::remove_reserved(&mut headers);
    Message { id, payload, key, headers, publish_time, stored_payload, ..Message::default() }
}

/// Returns the number of bytes of the payload in the message of a record, also if the payload is stored beside it and put into the message.
pub fn payload_bytes(record: &Record, payloads: Option<&PayloadReader>) -> usize {
    let stored = record.attributes.get(PAYLOAD_ATTRIBUTE).and_then(|text| PayloadReference::of_attribute(text));
    let inline = stored.filter(|stored| payloads.is_some_and(|payloads| payloads.is_inline(stored.size)));
    inline.map_or(record.payload.len(), |stored| usize::try_from(stored.size).unwrap_or(usize::MAX))
}

/// Takes the reference to the payload from the attributes.
fn take_stored_payload(attributes: &mut BTreeMap<String, String>) -> Option<StoredPayload> {
    let reference = take_reference(attributes)?;
    Some(StoredPayload { name: reference.name(), size: reference.size, missing: false })
}
