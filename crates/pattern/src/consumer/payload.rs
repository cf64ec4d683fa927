//! Payloads that are beside their messages, in the slot `payloads`.

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{Consumer, group::MAX_BYTES};
use crate::{
    empty_slot,
    messaging::{
        names,
        payloads::{PayloadReader, PayloadReference, ReadPayload},
    },
};
use prism_call::{
    Code, Context, Error, Messages,
    proto::patterns::consumer::v1::{Message, ReadPayloadRequest, ReadPayloadResponse, StoredPayload},
};

/// Payloads that are read at the same time for one response.
const CONCURRENCY: usize = 8;

/// Puts the payload of a message into it, unless it is too large or has expired. Without the slot, the message stays as it is.
pub async fn fetch(payloads: Option<&PayloadReader>, context: &Context, topic: &str, mut message: Message) -> Result<Message, Error> {
    let (Some(payloads), Some(stored)) = (payloads, &mut message.stored_payload) else { return Ok(message) };
    match payloads.read(context, topic, reference(stored)?).await? {
        ReadPayload::TooLarge => {}
        ReadPayload::Missing => stored.missing = true,
        ReadPayload::Whole(payload) => {
            message.payload = payload;
            message.stored_payload = None;
        }
    }
    Ok(message)
}

/// Puts the payloads of messages into them. Once a response has [`MAX_BYTES`], the other payloads stay beside their messages.
pub async fn fetch_all(
    payloads: Option<&PayloadReader>,
    context: &Context,
    topic: &str,
    messages: Vec<Message>,
) -> Result<Vec<Message>, Error> {
    let Some(payloads) = payloads else { return Ok(messages) };
    let mut bytes = 0;
    let fetch_if_room = |message: Message| {
        let has_room = bytes <= MAX_BYTES as u64;
        let inline = message.stored_payload.as_ref().map(|stored| stored.size).filter(|size| payloads.is_inline(*size));
        bytes += inline.unwrap_or(message.payload.len() as u64);
        fetch(has_room.then_some(payloads), context, topic, message)
    };
    let reads: Vec<_> = messages.into_iter().map(fetch_if_room).collect();
    stream::iter(reads).buffered(CONCURRENCY).try_collect().await
}

pub async fn read_payload(
    consumer: &Consumer,
    context: &Context,
    request: ReadPayloadRequest,
) -> Result<Messages<ReadPayloadResponse>, Error> {
    let ReadPayloadRequest { topic, payload, range } = request;
    names::topic(&topic)?;
    let payloads = consumer.payloads.as_ref().ok_or_else(|| empty_slot("ReadPayload", "payloads", "blob_basic"))?;
    let reference = PayloadReference::of_name(&payload).ok_or_else(|| {
        let problem = "is not the name of a payload; send it exactly as `stored_payload` of the message has it";
        Error::invalid("payload", problem).with_reason("INVALID_NAME")
    })?;
    let part = payloads.open(context, &topic, reference, &range).await?.ok_or_else(|| {
        Error::new(Code::NotFound, "PAYLOAD_NOT_FOUND", "there is no such payload in this topic; it has expired, or it was removed")
    })?;
    let first = ReadPayloadResponse {
        size: part.size,
        content_length: part.length,
        content_range: part.content_range,
        ..ReadPayloadResponse::default()
    };
    let chunks = part.chunks.map(|chunk| Ok(ReadPayloadResponse { chunk: chunk?, ..ReadPayloadResponse::default() }));
    Ok(Box::pin(stream::iter([Ok(first)]).chain(chunks)))
}

fn reference(stored: &StoredPayload) -> Result<PayloadReference, Error> {
    let reference = PayloadReference::of_name(&stored.name).ok_or_else(|| Error::internal("a reference to a payload can't be read"))?;
    Ok(reference.with_size(stored.size))
}
