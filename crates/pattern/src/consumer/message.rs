//! Messages of the backend, as messages of the pattern.

use crate::messaging::{
    attributes,
    model::{ID_ATTRIBUTE, KEY_ATTRIBUTE},
};
use prism_call::proto::{
    models::{pubsub::v1 as pubsub, queue::v1::QueueMessage, stream::v1::Record},
    patterns::consumer::v1::Message,
};

/// Converts a record of a stream, without a lease.
pub fn of_record(record: Record) -> Message {
    let Record { offset, key, payload, attributes: mut headers, append_time, .. } = record;
    let id = headers.remove(ID_ATTRIBUTE).unwrap_or_default();
    attributes::remove_reserved(&mut headers);
    let key = String::from_utf8_lossy(&key).into_owned();
    Message { id, payload, key, headers, publish_time: append_time, offset: Some(offset), ..Message::default() }
}

/// Converts a message of a queue, without a lease.
pub fn of_queue(message: QueueMessage) -> Message {
    let QueueMessage { message_id, payload, attributes: mut headers, enqueue_time, delivery_attempt, .. } = message;
    let id = headers.remove(ID_ATTRIBUTE).unwrap_or(message_id);
    let key = headers.remove(KEY_ATTRIBUTE).unwrap_or_default();
    attributes::remove_reserved(&mut headers);
    Message { id, payload, key, headers, publish_time: enqueue_time, attempt: delivery_attempt, ..Message::default() }
}

/// Converts a message of a live topic.
pub fn of_topic(message: pubsub::Message) -> Message {
    let pubsub::Message { payload, attributes: mut headers, publish_time, ordering_key, .. } = message;
    let id = headers.remove(ID_ATTRIBUTE).unwrap_or_default();
    let key = headers.remove(KEY_ATTRIBUTE).or(ordering_key).unwrap_or_default();
    attributes::remove_reserved(&mut headers);
    Message { id, payload, key, headers, publish_time, ..Message::default() }
}
