//! Writes messages to the backend.

use std::sync::Arc;

use crate::{
    messaging::{
        model::{ID_ATTRIBUTE, KEY_ATTRIBUTE, Model},
        payloads::{PAYLOAD_ATTRIBUTE, PayloadReference},
        queue_writer::QueueWriter,
    },
    required_interface,
};
use prism_call::{
    Context, Error,
    proto::{
        models::{
            pubsub::v1::{PubSubBasic, PubSubOrdering, PublishOrderedRequest, PublishRequest},
            queue::v1::{EnqueueRequest, enqueue_delayed_request::Schedule},
            stream::v1::{AppendRequest, StreamBasic},
        },
        patterns::producer::v1::OutgoingMessage,
    },
};
use prism_slot::Slot;

/// The interfaces to which messages are written.
pub enum Target {
    Stream(Arc<dyn StreamBasic>),
    Queue(QueueWriter),
    PubSub { basic: Arc<dyn PubSubBasic>, ordering: Option<Arc<dyn PubSubOrdering>> },
}

/// What the backend says of a message that it has taken.
#[derive(Default)]
pub struct Written {
    /// The id that it gave the message; empty: none.
    pub id: String,
    /// The place of the message in its stream.
    pub offset: Option<u64>,
}

impl Target {
    pub fn new(model: Model, slot: &Slot) -> Result<Self, Error> {
        let interfaces = slot.interfaces.clone();
        Ok(match model {
            Model::Stream => Self::Stream(required_interface(slot, "stream_basic", interfaces.stream_basic)?),
            Model::Queue => Self::Queue(QueueWriter::new(slot)?),
            Model::PubSub => Self::PubSub {
                basic: required_interface(slot, "pubsub_basic", interfaces.pubsub_basic)?,
                ordering: interfaces.pubsub_ordering,
            },
        })
    }

    /// Whether messages can be delayed, and whether they can have priorities.
    pub fn has_delays_and_priorities(&self) -> (bool, bool) {
        match self {
            Self::Queue(writer) => writer.has_delays_and_priorities(),
            Self::Stream(_) | Self::PubSub { .. } => (false, false),
        }
    }

    /// Writes a message that was checked. `stored`: its payload is beside it.
    pub async fn write(
        &self,
        context: &Context,
        topic: String,
        message: OutgoingMessage,
        stored: Option<PayloadReference>,
    ) -> Result<Written, Error> {
        let schedule = schedule_of(&message);
        let OutgoingMessage { payload, key, headers: mut attributes, id, priority, .. } = message;
        if !id.is_empty() {
            attributes.insert(ID_ATTRIBUTE.to_owned(), id);
        }
        if let Some(stored) = stored {
            attributes.insert(PAYLOAD_ATTRIBUTE.to_owned(), stored.to_attribute());
        }
        let mut key_attribute = |key: String| {
            if !key.is_empty() {
                attributes.insert(KEY_ATTRIBUTE.to_owned(), key);
            }
        };
        match self {
            Self::Stream(basic) => {
                let request = AppendRequest { stream: topic, payload, key: key.into(), attributes, expected_next_offset: None };
                let appended = basic.append(context, request).await?;
                Ok(Written { id: String::new(), offset: Some(appended.offset) })
            }
            Self::Queue(writer) => {
                key_attribute(key);
                let id = writer.enqueue(context, EnqueueRequest { queue: topic, payload, attributes }, priority, schedule).await?;
                Ok(Written { id, offset: None })
            }
            Self::PubSub { ordering: Some(ordering), .. } if !key.is_empty() => {
                let request = PublishOrderedRequest { topic, ordering_key: key, payload, attributes };
                ordering.publish_ordered(context, request).await?;
                Ok(Written::default())
            }
            Self::PubSub { basic, .. } => {
                key_attribute(key);
                basic.publish(context, PublishRequest { topic, payload, attributes }).await?;
                Ok(Written::default())
            }
        }
    }
}

/// Returns when a message shall be delivered, if not at once.
pub fn schedule_of(message: &OutgoingMessage) -> Option<Schedule> {
    message.delay.map(Schedule::Delay).or(message.deliver_time.map(Schedule::DeliverTime))
}
