//! Delivery of messages to identities.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::{hub::Hub, identity::address, mailboxes::Mailboxes, settings::MulticastRegistrySettings};
use crate::{
    PatternEnvironment,
    messaging::model::{ID_ATTRIBUTE, Model},
    required_interface,
};
use prism_call::{
    Context, Error,
    proto::{
        models::{
            pubsub::v1::{PubSubBasic, PublishRequest},
            stream::v1::{AppendRequest, RetentionPolicy, SetRetentionRequest, StreamBasic, StreamRetention},
        },
        patterns::multicast_registry::v1::delivery_result::Status,
    },
};
use prism_slot::{Slot, time};

/// The stream with the messages of all identities.
pub const STREAM: &str = "multicast";
/// The pause after a try to set the retention of the stream.
const RETENTION_PAUSE: std::time::Duration = std::time::Duration::from_secs(5);

/// What delivers messages to identities.
pub enum Delivery {
    /// Live topics.
    Live(Arc<dyn PubSubBasic>),
    /// Queues, and live topics that notify receivers of new messages.
    Durable { notifications: Arc<dyn PubSubBasic>, mailboxes: Arc<Mailboxes> },
    /// Queues.
    Queues(Arc<Mailboxes>),
    /// One stream of all identities.
    Stream { stream: Arc<dyn StreamBasic>, hub: Arc<Hub> },
}

/// A message that was checked.
pub struct OutgoingMessage {
    pub payload: Bytes,
    /// The headers of the client, and the id.
    attributes: BTreeMap<String, String>,
}

impl OutgoingMessage {
    pub fn new(id: String, payload: Bytes, mut headers: BTreeMap<String, String>) -> Self {
        headers.insert(ID_ATTRIBUTE.to_owned(), id);
        Self { payload, attributes: headers }
    }
}

impl Delivery {
    pub fn new(
        model: Model,
        messaging: &Slot,
        durability: Option<&Slot>,
        settings: &MulticastRegistrySettings,
        environment: &PatternEnvironment,
    ) -> Result<Self, Error> {
        let topics = || required_interface(messaging, "pubsub_basic", messaging.interfaces.pubsub_basic.clone());
        Ok(match (model, durability) {
            (Model::PubSub, None) => Self::Live(topics()?),
            (Model::PubSub, Some(slot)) => Self::Durable { notifications: topics()?, mailboxes: Arc::new(Mailboxes::new(slot, settings)?) },
            (Model::Queue | Model::Stream, Some(_)) => {
                let problem = "must be empty: the slot `messaging` keeps messages by itself, since the setting `model` is not `pubsub`";
                return Err(Error::invalid("slots.durability", problem));
            }
            (Model::Queue, None) => Self::Queues(Arc::new(Mailboxes::new(messaging, settings)?)),
            (Model::Stream, None) => {
                let stream = required_interface(messaging, "stream_basic", messaging.interfaces.stream_basic.clone())?;
                if let Some(retention) = messaging.interfaces.stream_retention.clone() {
                    environment.tasks.spawn(set_retention(retention, Context::internal(environment.namespace.clone()), *settings));
                }
                let hub = Hub::new(stream.clone(), STREAM, environment.namespace.clone(), environment.tasks.clone());
                Self::Stream { stream, hub }
            }
        })
    }

    /// Returns the queues, if messages wait in queues.
    pub fn mailboxes(&self) -> Option<&Arc<Mailboxes>> {
        match self {
            Self::Durable { mailboxes, .. } | Self::Queues(mailboxes) => Some(mailboxes),
            Self::Live(_) | Self::Stream { .. } => None,
        }
    }

    /// Sends a message to an identity.
    pub async fn send(&self, context: &Context, identity: &str, message: &OutgoingMessage) -> Result<Status, Error> {
        let OutgoingMessage { payload, attributes } = message;
        let (payload, attributes) = (payload.clone(), attributes.clone());
        match self {
            Self::Live(topics) => {
                let published = topics.publish(context, PublishRequest { topic: address(identity), payload, attributes }).await?;
                Ok(match published.receivers {
                    None => Status::Sent,
                    Some(0) => Status::NotConnected,
                    Some(_) => Status::Delivered,
                })
            }
            Self::Durable { notifications, mailboxes } => {
                mailboxes.put(context, identity, payload, attributes).await?;
                // The message is stored. A receiver that is not notified finds it a little later.
                let notification = PublishRequest { topic: address(identity), ..PublishRequest::default() };
                if let Err(error) = notifications.publish(context, notification).await {
                    tracing::debug!(namespace = %context.namespace, %error, "a receiver could not be notified of a message");
                }
                Ok(Status::Stored)
            }
            Self::Queues(mailboxes) => {
                mailboxes.put(context, identity, payload, attributes).await?;
                Ok(Status::Stored)
            }
            Self::Stream { stream, .. } => {
                let key = Bytes::copy_from_slice(identity.as_bytes());
                let request = AppendRequest { stream: STREAM.to_owned(), payload, key, attributes, expected_next_offset: None };
                stream.append(context, request).await?;
                Ok(Status::Stored)
            }
        }
    }
}

/// Sets how long messages stay in the stream, as soon as the backend is there.
async fn set_retention(retention: Arc<dyn StreamRetention>, context: Context, settings: MulticastRegistrySettings) {
    let max_age = Some(time::duration(time::ceil_millis(*settings.retention)));
    let policy = RetentionPolicy { max_age, ..RetentionPolicy::default() };
    let request = SetRetentionRequest { stream: STREAM.to_owned(), policy: Some(policy) };
    while let Err(error) = retention.set_retention(&context, request.clone()).await {
        tracing::warn!(namespace = %context.namespace, %error, "the retention of the stream of messages could not be set; trying again");
        tokio::time::sleep(RETENTION_PAUSE).await;
    }
}
