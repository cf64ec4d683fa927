//! Topics that are live: a message reaches those who are there.

use std::sync::Arc;

use futures::StreamExt as _;

use super::message;
use crate::required_interface;
use prism_call::{
    Context, Error, Messages,
    proto::{
        models::pubsub::v1::{PubSubBasic, SubscribeRequest, subscribe_response::Event},
        patterns::consumer::v1::Message,
    },
};
use prism_slot::Slot;

/// The live topics of a namespace.
pub struct LiveTopics {
    basic: Arc<dyn PubSubBasic>,
    backend: String,
}

/// An event of a subscription.
pub enum LiveEvent {
    Message(Box<Message>),
    /// Messages were lost: how many, 0: unknown.
    Gap(u64),
}

impl LiveTopics {
    pub fn new(slot: &Slot) -> Result<Self, Error> {
        let basic = required_interface(slot, "pubsub_basic", slot.interfaces.pubsub_basic.clone())?;
        Ok(Self { basic, backend: slot.backend.clone() })
    }

    /// Subscribes to a topic.
    pub async fn subscribe(&self, context: &Context, topic: String) -> Result<Messages<LiveEvent>, Error> {
        let request = SubscribeRequest { topic, subscription: String::new() };
        let events = self.basic.subscribe(context, request).await?;
        Ok(Box::pin(events.filter_map(async |event| match event {
            Err(error) => Some(Err(error)),
            Ok(response) => match response.event? {
                Event::Subscribed(_) => None,
                Event::Message(message) => Some(Ok(LiveEvent::Message(Box::new(message::of_topic(message))))),
                Event::Gap(gap) => Some(Ok(LiveEvent::Gap(gap.missed))),
            },
        })))
    }

    /// Returns the error for calls that need a group.
    pub fn no_groups(&self) -> Error {
        Error::capability_unavailable("a group of consumers", "stream_basic", &self.backend)
    }
}
