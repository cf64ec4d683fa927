//! Publishes a message whose payload is streamed.

use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, stream};

use super::{Producer, publish, target::schedule_of};
use crate::{
    empty_slot,
    messaging::{delays, payloads::PayloadWriter},
};
use prism_call::{
    Context, Error, Messages,
    proto::patterns::producer::v1::{OutgoingMessage, PublishPayloadRequest, PublishResponse},
};

pub async fn publish_payload(
    producer: &Producer,
    context: &Context,
    mut requests: Messages<PublishPayloadRequest>,
) -> Result<PublishResponse, Error> {
    let payloads = producer.payloads.as_ref().ok_or_else(|| empty_slot("PublishPayload", "payloads", "blob_basic"))?;
    let first = requests.next().await.transpose()?.unwrap_or_default();
    let PublishPayloadRequest { topic, chunk, key, headers, id, delay, deliver_time, priority, size } = first;
    let mut message = OutgoingMessage { payload: Bytes::new(), key, headers, id, delay, deliver_time, priority };
    publish::check_message(producer, &topic, &message)?;
    let limit = payloads.max_size();
    if size.is_some_and(|size| size > limit) {
        return Err(too_large(limit));
    }
    let (start, rest) = read_start(payloads, limited(chunk, requests, limit)).await?;
    let Some(rest) = rest else {
        if let Some(size) = size.filter(|size| *size != start.len() as u64) {
            return Err(Error::invalid("size", format!("is {size}, but {} bytes followed", start.len())).with_reason("SIZE_MISMATCH"));
        }
        message.payload = start;
        return publish::publish_checked(producer, context, topic, message, None).await;
    };
    let chunks = stream::iter([Ok(start)]).chain(rest);
    let delay = delays::until(schedule_of(&message).as_ref());
    let stored = payloads.store(context, &topic, size, Box::pin(chunks), delay).await?;
    let result = publish::publish_checked(producer, context, topic.clone(), message, Some(stored)).await;
    match &result {
        // The message that was published before has a payload of its own.
        Ok(published) if published.duplicate => payloads.remove(context, &topic, stored).await,
        Err(error) if error.reason() == "PUBLISH_IN_PROGRESS" => payloads.remove(context, &topic, stored).await,
        _ => {}
    }
    result
}

/// Reads chunks until they are more than a message has room for. Returns the other chunks, or `None` if there are none.
async fn read_start(payloads: &PayloadWriter, mut chunks: Messages<Bytes>) -> Result<(Bytes, Option<Messages<Bytes>>), Error> {
    let mut start = BytesMut::new();
    while let Some(chunk) = chunks.next().await.transpose()? {
        start.extend_from_slice(&chunk);
        if start.len() as u64 > payloads.threshold() {
            return Ok((start.freeze(), Some(chunks)));
        }
    }
    Ok((start.freeze(), None))
}

/// Returns the chunks of the messages. Fails if there are more than `limit` bytes.
fn limited(first: Bytes, rest: Messages<PublishPayloadRequest>, limit: u64) -> Messages<Bytes> {
    let rest = rest.map(|message| {
        let PublishPayloadRequest { topic, chunk, .. } = message?;
        if topic.is_empty() { Ok(chunk) } else { Err(Error::invalid("topic", "must be set in the first message only")) }
    });
    let mut size = 0;
    Box::pin(stream::iter([Ok(first)]).chain(rest).map(move |chunk: Result<Bytes, Error>| {
        let chunk = chunk?;
        size += chunk.len() as u64;
        if size > limit { Err(too_large(limit)) } else { Ok(chunk) }
    }))
}

/// `INVALID_ARGUMENT VALUE_TOO_LARGE`
fn too_large(limit: u64) -> Error {
    Error::invalid("chunk", format!("the payload is larger than {limit} bytes, the limit of this namespace (settings.payloads.max_size)"))
        .with_reason("VALUE_TOO_LARGE")
        .with("limit", limit.to_string())
}
