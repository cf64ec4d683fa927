//! PubSub over the channels of Redis.
//!
//! A message is published as a protobuf `Message` without its topic, which is in the name of the channel. The number of
//! receivers is unknown: each gateway has one connection for all of its subscriptions, and Redis counts connections.

mod basic;
mod hub;
mod listener;
mod pattern;
mod subscriber;
mod wildcards;

use std::sync::Arc;

use futures::{StreamExt as _, stream};
use tokio::sync::OwnedSemaphorePermit;

pub use hub::Hub;
pub use listener::listen;

use self::{
    pattern::to_glob,
    subscriber::{ChannelSelector, Subscription},
};
use crate::{client::Client, error, keys::KeyNames};
use prism_call::{
    Context, Error, Messages,
    proto::{Interfaces, models::pubsub::v1::Subscribed},
};
use prism_driver::{
    Limits, check, id,
    pubsub::{SubscriptionEvent, TopicPattern},
};

/// The pub/sub interfaces over one keyspace.
pub struct PubSub {
    client: Arc<Client>,
    hub: Arc<Hub>,
    keys: Arc<KeyNames>,
    limits: Limits,
}

/// Adds the pub/sub interfaces to those of a keyspace.
pub fn add(pubsub: &Arc<PubSub>, interfaces: &mut Interfaces) {
    interfaces.pubsub_basic = Some(pubsub.clone());
    interfaces.pubsub_wildcards = Some(pubsub.clone());
}

impl PubSub {
    pub fn new(client: Arc<Client>, hub: Arc<Hub>, keys: Arc<KeyNames>, limits: Limits) -> Self {
        Self { client, hub, keys, limits }
    }

    /// Subscribes to a checked topic or pattern. Returns the stream when Redis has confirmed the subscription.
    async fn subscribe_to<T>(&self, context: &Context, pattern: &str, id: String) -> Result<Messages<T>, Error>
    where
        T: From<SubscriptionEvent> + Send + 'static,
    {
        check::optional_name("subscription", &id)?;
        let permit = self.hub.permit()?;
        let id = if id.is_empty() { id::random_text() } else { id };
        let parsed = TopicPattern::new(pattern);
        let channels = if parsed.is_topic() {
            ChannelSelector::Channel(self.keys.named("topic", pattern))
        } else {
            ChannelSelector::Pattern(to_glob(&parsed, &self.keys.named("topic", "")))
        };
        let subscription = self.hub.add(self.keys.named("subscription", &id), &id, channels, parsed)?;
        let open = OpenSubscription { hub: self.hub.clone(), subscription, _permit: permit };
        let confirmed = tokio::time::timeout(self.client.time_limit(context), open.subscription.subscriber.confirmed()).await;
        confirmed
            .map_err(|_| error::unavailable("Redis did not confirm the subscription in time", self.client.connector().retry_after()))??;
        let first = T::from(SubscriptionEvent::Subscribed(Subscribed { subscription: id }));
        let events =
            stream::try_unfold(
                open,
                |open| async move { Ok(open.subscription.subscriber.next().await?.map(|event| (T::from(event), open))) },
            );
        Ok(stream::iter([Ok(first)]).chain(events).boxed())
    }
}

/// Belongs to the stream of a subscription and removes the subscription when the stream is dropped.
struct OpenSubscription {
    hub: Arc<Hub>,
    subscription: Arc<Subscription>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for OpenSubscription {
    fn drop(&mut self) {
        self.hub.remove(&self.subscription);
    }
}
