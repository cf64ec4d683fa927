//! What subscriptions deliver. The subscriptions of one topic share what is made of its messages: their encodings, and their payloads parsed for filters.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use prost::Message as _;

use super::message;
use prism_call::{
    FanOutMeters, SharedEncoding, StreamMessage,
    proto::{
        models::stream::v1::Record,
        patterns::consumer::v1::{Message, SubscribeResponse},
    },
};
use prism_frontend::expression::{Value, value::from_json};

/// Largest payload that filters read as JSON. As values of expressions, JSON takes up to 50 times as much memory. The proto states it.
pub const MAX_JSON_BYTES: usize = 256 << 10;

/// A record that all subscriptions of its topic deliver.
pub struct SharedRecord {
    /// The offset.
    pub offset: u64,
    /// Bytes of the record in the backend's form.
    pub size: usize,
    response: SubscribeResponse,
    /// Made by the first subscription that delivers the record.
    encoded: OnceLock<StreamMessage>,
    payload: Mutex<PayloadState>,
    meters: Option<FanOutMeters>,
}

/// The payload of a record, as a value of filters.
enum PayloadState {
    /// No filter has read it yet.
    Unread,
    /// Parsed; `None`: it is no JSON.
    Parsed(Option<Value>),
    /// The record is no longer among the newest ones. A filter that still needs it parses it for itself.
    Forgotten,
}

impl SharedRecord {
    /// Wraps a record.
    pub fn new(record: Record, meters: Option<FanOutMeters>) -> Self {
        let (offset, size) = (record.offset, record.encoded_len());
        let (encoded, payload) = (OnceLock::new(), Mutex::new(PayloadState::Unread));
        Self { offset, size, response: response(record), encoded, payload, meters }
    }

    /// Returns the position behind the record.
    pub fn cursor(&self) -> &str {
        &self.response.cursor
    }

    /// Returns the size of the payload.
    pub fn payload_bytes(&self) -> usize {
        self.response.message.as_ref().map_or(0, |message| message.payload.len())
    }

    /// Returns the payload as a value of filters. It is parsed once while the record is among the newest ones of its topic.
    pub fn parsed_payload(&self) -> Option<Value> {
        let payload = &self.response.message.as_ref()?.payload;
        let mut state = self.payload.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            PayloadState::Parsed(value) => value.clone(),
            PayloadState::Forgotten => {
                drop(state);
                parse_payload(payload)
            }
            PayloadState::Unread => {
                if let Some(meters) = &self.meters {
                    meters.count(SharedEncoding::Payload);
                }
                let value = parse_payload(payload);
                *state = PayloadState::Parsed(value.clone());
                value
            }
        }
    }

    /// Frees the value of the payload.
    pub fn forget_parsed_payload(&self) {
        *self.payload.lock().unwrap_or_else(PoisonError::into_inner) = PayloadState::Forgotten;
    }

    fn encode(&self) -> StreamMessage {
        self.encoded.get_or_init(|| StreamMessage::shared(self.response.encode_to_vec().into(), self.meters.clone())).clone()
    }
}

fn response(mut record: Record) -> SubscribeResponse {
    let cursor = std::mem::take(&mut record.cursor);
    SubscribeResponse { message: Some(message::of_record(record)), cursor, ..SubscribeResponse::default() }
}

/// What a subscription delivers next.
pub enum SubscriptionItem {
    /// A response that no other subscription has.
    Own(Box<SubscribeResponse>),
    /// A record of the topic.
    Shared(Arc<SharedRecord>),
    /// A record of one of several topics. The cursor has the positions of all of them, so each subscription encodes it for itself.
    OfTopic { record: Arc<SharedRecord>, topic: String, cursor: String },
}

impl From<SubscribeResponse> for SubscriptionItem {
    fn from(response: SubscribeResponse) -> Self {
        Self::Own(Box::new(response))
    }
}

impl SubscriptionItem {
    /// Returns the item of a record that one subscription has read for itself.
    pub fn own(record: Record) -> Self {
        response(record).into()
    }

    /// Returns the item with the name of its topic and another cursor.
    pub fn with_topic(self, topic: String, cursor: String) -> Self {
        match self {
            Self::Own(response) => SubscribeResponse { topic: Some(topic), cursor, ..*response }.into(),
            Self::Shared(record) | Self::OfTopic { record, .. } => Self::OfTopic { record, topic, cursor },
        }
    }

    /// Returns the record that subscriptions share.
    pub fn shared(&self) -> Option<&SharedRecord> {
        match self {
            Self::Own(_) => None,
            Self::Shared(record) | Self::OfTopic { record, .. } => Some(record),
        }
    }

    /// Returns the message, if the item has one.
    pub fn message(&self) -> Option<&Message> {
        match self {
            Self::Own(response) => response.message.as_ref(),
            Self::Shared(record) | Self::OfTopic { record, .. } => record.response.message.as_ref(),
        }
    }

    /// Returns the name of the topic, if the item has it.
    pub fn topic(&self) -> Option<&str> {
        match self {
            Self::Own(response) => response.topic.as_deref(),
            Self::Shared(_) => None,
            Self::OfTopic { topic, .. } => Some(topic),
        }
    }

    /// Returns the position behind the item; empty: the subscription can't be continued.
    pub fn cursor(&self) -> &str {
        match self {
            Self::Own(response) => &response.cursor,
            Self::Shared(record) => record.cursor(),
            Self::OfTopic { cursor, .. } => cursor,
        }
    }

    /// Returns the response.
    pub fn into_response(self) -> SubscribeResponse {
        match self {
            Self::Own(response) => *response,
            Self::Shared(record) => record.response.clone(),
            Self::OfTopic { record, topic, cursor } => SubscribeResponse { topic: Some(topic), cursor, ..record.response.clone() },
        }
    }

    /// Returns the response as protobuf.
    pub fn encode(self) -> StreamMessage {
        match self {
            Self::Shared(record) => record.encode(),
            item => StreamMessage::from(bytes::Bytes::from(item.into_response().encode_to_vec())),
        }
    }
}

/// Parses a payload for filters. Returns `None` if it is no JSON, or too large.
pub fn parse_payload(payload: &[u8]) -> Option<Value> {
    if payload.len() > MAX_JSON_BYTES {
        return None;
    }
    serde_json::from_slice(payload).ok().map(|json| from_json(&json))
}
