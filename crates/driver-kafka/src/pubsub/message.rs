//! Messages of the contract as records of Kafka.

use std::collections::BTreeMap;

use bytes::Bytes;
use rdkafka::message::OwnedHeaders;

use crate::{
    codec::{self, Stored},
    journal::OrderedMessage,
};
use prism_call::{Error, proto::models::pubsub::v1::Message};
use prism_driver::{cursor, time};

/// The sequence of a stored message in its copy on the bus.
const SEQUENCE: &str = "prism.sequence";
/// When Kafka stored the message, in its copy on the bus.
const TIME: &str = "prism.time";

/// The headers of the copy of a stored message.
pub fn copy_headers(headers: OwnedHeaders, sequence: u64, at: time::Millis) -> OwnedHeaders {
    let headers = codec::put(headers, SEQUENCE, sequence.to_string().as_bytes());
    codec::put(headers, TIME, at.to_string().as_bytes())
}

/// Decodes a message on the bus. Returns `None` if Prism did not publish it.
pub fn decode_live(stored: Stored) -> Option<Message> {
    let topic = String::from_utf8(stored.key.to_vec()).ok()?;
    let attributes = stored.attributes().ok()?;
    let sequence = stored.number(SEQUENCE).unwrap_or(0);
    let at = stored.number(TIME).and_then(|at| i64::try_from(at).ok()).unwrap_or(stored.time);
    let cursor = if sequence > 0 { encode_cursor(&topic, sequence) } else { String::new() };
    let publish_time = Some(time::timestamp(at));
    Some(Message { topic, payload: stored.payload, attributes, publish_time, cursor, ordering_key: None, sequence })
}

/// Decodes a stored message of a topic.
pub fn decode_stored(topic: &str, stored: Stored) -> Result<Message, Error> {
    let sequence = stored.offset + 1;
    Ok(Message {
        topic: topic.to_owned(),
        attributes: stored.attributes()?,
        publish_time: Some(time::timestamp(stored.time)),
        cursor: encode_cursor(topic, sequence),
        payload: stored.payload,
        ordering_key: None,
        sequence,
    })
}

/// Converts a message of a line.
pub fn decode_ordered(message: OrderedMessage) -> Message {
    Message {
        topic: message.line.topic,
        payload: message.payload,
        attributes: message.attributes,
        publish_time: Some(time::timestamp(message.time)),
        cursor: String::new(),
        ordering_key: Some(message.line.key),
        sequence: message.sequence,
    }
}

/// The cursor of a stored message. Its sequence is its offset plus one, and so the offset behind it.
pub fn encode_cursor(topic: &str, sequence: u64) -> String {
    cursor::seal(&format!("topic:{topic}"), &sequence.to_be_bytes())
}

/// The sequence of a cursor; `None` for the empty cursor.
pub fn decode_cursor(topic: &str, cursor: &str) -> Result<Option<u64>, Error> {
    let Some(bytes) = cursor::open(&format!("topic:{topic}"), cursor)? else { return Ok(None) };
    let bytes: [u8; 8] = bytes.try_into().map_err(|_| cursor::invalid())?;
    Ok(Some(u64::from_be_bytes(bytes)))
}

/// Checks what every request to publish has.
pub fn check(limits: &prism_driver::Limits, topic: &str, payload: &Bytes, attributes: &BTreeMap<String, String>) -> Result<(), Error> {
    prism_driver::check::topic("topic", topic)?;
    prism_driver::check::value(limits, "payload", payload)?;
    prism_driver::check::attributes(attributes)
}
