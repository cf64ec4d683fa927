//! The document of a durable subscription: how far it came.

use prism_call::{Code, Error};

/// A durable subscription.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DurableSubscription {
    /// Random, so that a subscription that was deleted and made again is another one.
    #[prost(fixed64, tag = "1")]
    pub id: u64,
    /// The sequence of the last message that is done.
    #[prost(uint64, tag = "2")]
    pub position: u64,
}

/// `NOT_FOUND SUBSCRIPTION_NOT_FOUND`
pub fn subscription_not_found(topic: &str, subscription: &str) -> Error {
    Error::new(
        Code::NotFound,
        "SUBSCRIPTION_NOT_FOUND",
        format!("the topic {topic:?} has no durable subscription {subscription:?}; SubscribeDurable makes it"),
    )
}
