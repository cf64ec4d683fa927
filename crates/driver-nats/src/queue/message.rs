//! Messages of queues as messages of NATS.

use std::collections::BTreeMap;

use async_nats::HeaderMap;
use bytes::Bytes;

use crate::{client::Deadline, codec, error, jetstream::Stored, log::Log};
use prism_call::{Error, proto::models::queue::v1::QueueMessage};
use prism_driver::{
    queue::DEAD_LETTER_SOURCE,
    time::{self, Millis},
};

/// The id of the message, which it keeps when it moves to another queue.
const ID: &str = "Prism-Id";
/// When it was put into the first queue.
const TIME: &str = "Prism-Time";
/// When a scheduled message becomes ready.
const READY: &str = "Prism-Ready";
/// JetStream stores no second message with the same id within two minutes.
const UNIQUE: &str = "Nats-Msg-Id";

/// The headers and the payload of a new message.
pub fn encode(id: &str, attributes: BTreeMap<String, String>, payload: Bytes) -> (HeaderMap, Bytes) {
    let mut headers = HeaderMap::new();
    headers.insert(ID, id);
    codec::put_now(&mut headers, TIME);
    let payload = codec::put_attributes(&mut headers, attributes, payload);
    (headers, payload)
}

/// Decodes a message. `delivery_attempt` is how often it was delivered.
pub fn decode(stored: &Stored, delivery_attempt: u32) -> Result<QueueMessage, Error> {
    let (attributes, payload) = codec::attributes(&stored.headers, stored.payload.clone())?;
    Ok(QueueMessage {
        message_id: stored.header(ID).ok_or_else(error::foreign_message)?.to_owned(),
        payload,
        attributes,
        enqueue_time: Some(time::timestamp(codec::time(stored, TIME)?)),
        delivery_attempt,
        priority: 0,
    })
}

/// Adds a message to another queue. `source` is the queue where it has failed; `None` if it returns from the dead-letter queue. Repeating
/// it soon adds nothing.
pub async fn copy(deadline: &Deadline, stored: &Stored, from: &Log, to: &Log, source: Option<&str>) -> Result<(), Error> {
    let (mut attributes, payload) = codec::attributes(&stored.headers, stored.payload.clone())?;
    match source {
        Some(source) => attributes.insert(DEAD_LETTER_SOURCE.to_owned(), source.to_owned()),
        None => attributes.remove(DEAD_LETTER_SOURCE),
    };
    let id = stored.header(ID).ok_or_else(error::foreign_message)?;
    let mut headers = HeaderMap::new();
    headers.insert(ID, id);
    headers.insert(TIME, codec::time(stored, TIME)?.to_string());
    headers.insert(UNIQUE, format!("{id}:{}:{}", from.subject(), stored.sequence));
    let payload = codec::put_attributes(&mut headers, attributes, payload);
    to.append(deadline, headers, payload, None).await?;
    Ok(())
}

/// The queue in which a message has failed.
pub fn source(stored: &Stored) -> Result<Option<String>, Error> {
    Ok(codec::attributes(&stored.headers, stored.payload.clone())?.0.remove(DEAD_LETTER_SOURCE))
}

/// When a message became ready for the first time.
pub fn ready_time(stored: &Stored) -> Millis {
    stored.number(READY).ok().flatten().and_then(|millis| Millis::try_from(millis).ok()).unwrap_or(stored.time)
}

/// The headers of a message that JetStream stores at a later time under another subject.
pub fn schedule(mut headers: HeaderMap, at: Millis, target: &str) -> HeaderMap {
    headers.insert(READY, at.to_string());
    headers.insert("Nats-Schedule", format!("@at {}", time::timestamp(at)));
    headers.insert("Nats-Schedule-Target", target);
    headers
}
