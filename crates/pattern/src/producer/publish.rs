//! Checks and publishes messages.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use prost::Message as _;

use super::{
    MAX_BATCH, Producer,
    target::{Written, schedule_of},
};
use crate::{
    claims::Claim,
    empty_slot,
    messaging::{attributes, delays, names, payloads::PayloadReference, queue_writer::check_schedule},
};
use prism_call::{
    Code, Context, Error, Messages,
    proto::{
        messaging::v1::PublishedMessage,
        patterns::producer::v1::{
            OutgoingMessage, PublishBatchRequest, PublishBatchResponse, PublishResponse, PublishStreamRequest, PublishStreamResponse,
        },
    },
};
use prism_slot::{check, time};

pub async fn publish(producer: &Producer, context: &Context, topic: String, message: OutgoingMessage) -> Result<PublishResponse, Error> {
    check_message(producer, &topic, &message)?;
    publish_checked(producer, context, topic, message, None).await
}

/// Publishes a message that was checked. `stored`: its payload is beside it already.
pub async fn publish_checked(
    producer: &Producer,
    context: &Context,
    topic: String,
    message: OutgoingMessage,
    stored: Option<PayloadReference>,
) -> Result<PublishResponse, Error> {
    let id = message.id.clone();
    let Some(ids) = producer.ids.as_ref().filter(|_| !id.is_empty()) else {
        let written = write(producer, context, topic, message, stored).await?;
        return Ok(PublishResponse { id: written.id, offset: written.offset, duplicate: false });
    };
    let key = Bytes::from(format!("{topic}/{id}"));
    let claim = match ids.claim(context, &key).await? {
        Claim::Granted(claim) => claim,
        Claim::Confirmed(record) => {
            let record = PublishedMessage::decode(record).map_err(|_| Error::internal("the slot `ids` has a record that can't be read"))?;
            return Ok(PublishResponse { id, offset: record.offset, duplicate: true });
        }
        Claim::Held => {
            let message = "another call publishes a message with this id at this moment; repeat the call";
            return Err(Error::new(Code::Aborted, "PUBLISH_IN_PROGRESS", message).with_retry_after(Duration::from_secs(1)));
        }
    };
    let written = match write(producer, context, topic, message, stored).await {
        Ok(written) => written,
        Err(error) => {
            ids.release(context, &key, claim).await;
            return Err(error);
        }
    };
    let record = PublishedMessage { backend_id: written.id, offset: written.offset, publish_millis: time::now() };
    ids.confirm(context, &key, claim, record.encode_to_vec().into(), producer.retention).await?;
    Ok(PublishResponse { id, offset: written.offset, duplicate: false })
}

/// Writes a message, and before that its payload if it is large.
async fn write(
    producer: &Producer,
    context: &Context,
    topic: String,
    mut message: OutgoingMessage,
    mut stored: Option<PayloadReference>,
) -> Result<Written, Error> {
    let Some(payloads) = &producer.payloads else { return producer.target.write(context, topic, message, None).await };
    if stored.is_none() {
        let delay = delays::until(schedule_of(&message).as_ref());
        stored = payloads.move_out(context, &topic, &mut message.payload, delay).await?;
    }
    let Some(reference) = stored else { return producer.target.write(context, topic, message, None).await };
    let written = producer.target.write(context, topic.clone(), message, stored).await;
    if let Err(error) = &written {
        payloads.remove_after(context, &topic, reference, error).await;
    }
    written
}

pub async fn publish_batch(producer: &Producer, context: &Context, request: PublishBatchRequest) -> Result<PublishBatchResponse, Error> {
    let PublishBatchRequest { topic, messages } = request;
    check::batch(&producer.limits, "messages", messages.len())?;
    for (index, message) in messages.iter().enumerate() {
        check_message(producer, &topic, message).map_err(|error| at_item(error, index))?;
    }
    let mut results = Vec::with_capacity(messages.len().min(MAX_BATCH as usize));
    for message in messages {
        let result = publish_checked(producer, context, topic.clone(), message, None).await;
        results.push(result.map_err(|error| error.with("published", results.len().to_string()))?);
    }
    Ok(PublishBatchResponse { results })
}

/// Names the message of a batch in an error: the field `key` becomes `messages[2].key`.
fn at_item(error: Error, index: usize) -> Error {
    let Some(violation) = error.violations().first().filter(|violation| violation.field != "topic").cloned() else { return error };
    let named = Error::invalid(format!("messages[{index}].{}", violation.field), violation.description);
    named.with_code(error.code()).with_reason(error.reason().to_owned())
}

pub async fn publish_stream(
    producer: &Producer,
    context: &Context,
    mut requests: Messages<PublishStreamRequest>,
) -> Result<PublishStreamResponse, Error> {
    let mut done = PublishStreamResponse::default();
    let mut last_topic = String::new();
    while let Some(request) = requests.next().await {
        let result = async {
            let PublishStreamRequest { topic, message } = request?;
            if !topic.is_empty() {
                last_topic = topic;
            }
            let message = message.ok_or_else(|| Error::invalid("message", "must be set"))?;
            publish(producer, context, last_topic.clone(), message).await
        };
        let published = result.await.map_err(|error: Error| error.with("published", done.published.to_string()))?;
        if published.duplicate { done.duplicates += 1 } else { done.published += 1 }
    }
    Ok(done)
}

/// Checks a message.
pub fn check_message(producer: &Producer, topic: &str, message: &OutgoingMessage) -> Result<(), Error> {
    let OutgoingMessage { payload, key, headers, id, delay, deliver_time, priority } = message;
    names::topic(topic)?;
    check::value(&producer.limits, "payload", payload)?;
    check::key_bound(&producer.limits, "key", key.as_bytes())?;
    attributes::check("headers", "INVALID_HEADERS", headers)?;
    if !id.is_empty() {
        names::id(id)?;
        if producer.ids.is_none() {
            return Err(empty_slot("the field `id`", "ids", "keyvalue_cas"));
        }
    }
    let has = producer.target.has_delays_and_priorities();
    check_schedule(("Publish", &producer.backend), has, *priority, *delay, *deliver_time).map(drop)
}
