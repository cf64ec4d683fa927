//! Messages of NATS as messages of the contract.

use std::collections::BTreeMap;

use async_nats::{HeaderMap, HeaderValue, Message as NatsMessage};
use bytes::Bytes;
use prost_types::Timestamp;

use crate::{
    codec,
    jetstream::Stored,
    names::{parse_token, parse_topic},
};
use prism_call::{Error, proto::models::pubsub::v1::Message};
use prism_driver::{cursor, time};

/// When a gateway published the message.
const TIME: &str = "Prism-Time";
/// The number of the message in its line.
pub const SEQUENCE: &str = "Prism-Sequence";

/// The headers and the payload of a message.
pub fn encode(attributes: BTreeMap<String, String>, payload: Bytes) -> (HeaderMap, Bytes) {
    let mut headers = HeaderMap::new();
    codec::put_now(&mut headers, TIME);
    let payload = codec::put_attributes(&mut headers, attributes, payload);
    (headers, payload)
}

/// Decodes a message of a subscription. `root` is what stands before the kind in its subject. Returns `None` if Prism did not publish it.
pub fn decode(root: &str, message: NatsMessage) -> Option<Message> {
    let mut tokens = message.subject.as_str().strip_prefix(root)?.split('.');
    let kind = tokens.next()?;
    let topic = parse_topic(tokens)?;
    let headers = message.headers.unwrap_or_default();
    let text = |name: &'static str| headers.get(name).map(HeaderValue::as_str);
    let stored: Option<u64> = text("Nats-Sequence").and_then(|text| text.parse().ok());
    // Only copies of stored messages have the time of the server.
    let stored_time = text("Nats-Time-Stamp").and_then(|text| text.parse().ok()).map(|at: Timestamp| time::timestamp(time::millis(&at)));
    let published = text(TIME).and_then(|text| text.parse().ok()).map(time::timestamp);
    let (attributes, payload) = codec::attributes(&headers, message.payload).ok()?;
    let mut decoded = Message { attributes, publish_time: stored_time.or(published), payload, ..Message::default() };
    match (kind, kind.strip_prefix('k')) {
        ("s", _) => {
            decoded.sequence = stored?;
            decoded.cursor = encode_cursor(&topic, decoded.sequence);
        }
        (_, Some(key)) => {
            decoded.ordering_key = Some(parse_token(key)?);
            decoded.sequence = text(SEQUENCE)?.parse().ok()?;
        }
        _ => {}
    }
    Some(Message { topic, ..decoded })
}

/// Decodes a stored message of a topic.
pub fn decode_stored(topic: &str, stored: Stored) -> Result<Message, Error> {
    let (attributes, payload) = codec::attributes(&stored.headers, stored.payload)?;
    Ok(Message {
        topic: topic.to_owned(),
        attributes,
        publish_time: Some(time::timestamp(stored.time)),
        cursor: encode_cursor(topic, stored.sequence),
        sequence: stored.sequence,
        payload,
        ordering_key: None,
    })
}

/// The cursor of a stored message.
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
