//! The stream of a durable subscription.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::{PubSub, message};
use crate::{
    journal::DurableName,
    reader::{Item, Position, Reader, Removed},
};
use prism_call::{
    Code, Context, Error, Messages,
    proto::models::pubsub::v1::{Gap, SubscribeDurableResponse, Subscribed},
};
use prism_driver::pubsub::SubscriptionEvent;

/// `NOT_FOUND SUBSCRIPTION_NOT_FOUND`
pub fn subscription_not_found(name: &DurableName) -> Error {
    let DurableName { topic, subscription } = name;
    Error::new(
        Code::NotFound,
        "SUBSCRIPTION_NOT_FOUND",
        format!("the topic {topic:?} has no durable subscription {subscription:?}; SubscribeDurable makes it"),
    )
}

/// Reads the messages of a topic behind a position.
pub struct DurableReader {
    pubsub: PubSub,
    name: DurableName,
    id: u64,
    reader: Reader,
    changes: watch::Receiver<u64>,
    _permit: OwnedSemaphorePermit,
}

impl DurableReader {
    pub fn new(pubsub: PubSub, context: Context, name: DurableName, id: u64, next: u64, permit: OwnedSemaphorePermit) -> Self {
        let positions = BTreeMap::from([(0, Position::from(next))]);
        let reader = Reader::new(pubsub.client.clone(), context, pubsub.names.topic(&name.topic), positions, Removed::Report);
        let changes = pubsub.journal.changes();
        Self { pubsub, name, id, reader, changes, _permit: permit }
    }

    /// The events, until the subscription is deleted or the client leaves.
    pub fn messages(self) -> Messages<SubscribeDurableResponse> {
        let first = SubscriptionEvent::Subscribed(Subscribed { subscription: self.name.subscription.clone() });
        let events = stream::try_unfold(self, |mut reader| async move {
            let event = reader.next().await?;
            Ok::<_, Error>(Some((event.into(), reader)))
        });
        stream::iter([Ok(first.into())]).chain(events).boxed()
    }

    async fn next(&mut self) -> Result<SubscriptionEvent, Error> {
        let Self { pubsub, name, id, reader, changes, .. } = self;
        let mut next = std::pin::pin!(reader.next(true));
        loop {
            changes.borrow_and_update();
            if !pubsub.journal.view(|state| state.durables.get(name).is_some_and(|durable| durable.id == *id)) {
                return Err(subscription_not_found(name));
            }
            tokio::select! {
                item = &mut next => {
                    return match item? {
                        Some(Item::Record(stored)) => Ok(SubscriptionEvent::Message(message::decode_stored(&name.topic, stored)?)),
                        Some(Item::Gap(missed)) => Ok(SubscriptionEvent::Gap(Gap { missed })),
                        None => Err(Error::internal("the reader of a topic ended")),
                    };
                }
                // The sender lives as long as the journal.
                _ = changes.changed() => {}
            }
        }
    }
}
