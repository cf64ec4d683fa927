//! One open subscription.

use prism_driver::{pubsub::TopicPattern, subscriptions::Subscriber};

/// The channels of Redis that a subscription listens to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ChannelSelector {
    /// One channel (`SUBSCRIBE`).
    Channel(Vec<u8>),
    /// A glob pattern of channels (`PSUBSCRIBE`), which may match more channels than the subscription wants.
    Pattern(Vec<u8>),
}

/// An open subscription.
pub struct Subscription {
    /// Unique in the hub, unlike the name, which a later subscription may use again.
    pub id: u64,
    /// The id that the client gave, with the keyspace before it.
    pub name: Vec<u8>,
    pub channels: ChannelSelector,
    pub pattern: TopicPattern,
    pub subscriber: Subscriber,
}
