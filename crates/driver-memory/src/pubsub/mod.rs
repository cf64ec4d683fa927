//! PubSub: subscriptions in a trie, each with its own buffer. Messages without subscribers are not stored.

mod basic;
mod filtering;
mod ordering;
mod sequences;
mod subscriber;
mod trie;
mod wildcards;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use bytes::Bytes;
use futures::{StreamExt as _, stream};

use self::{
    sequences::Sequences,
    subscriber::{SharedMessage, Subscriber},
    trie::Trie,
};
use crate::state::{OVERHEAD, SharedState, SubscriptionPermit, attribute_bytes};
use prism_call::{
    Error, Messages,
    proto::{
        Interfaces,
        models::pubsub::v1::{Gap, Message, Subscribed},
    },
};
use prism_driver::{
    Limits, check, id,
    lock::lock,
    pubsub::{Filter, NextItem, SubscriptionEvent, subscription_in_use},
    time,
};

/// The pub/sub interfaces over a [`Hub`]. Their streams keep the hub alive.
pub struct PubSub(pub Arc<Hub>);

/// Adds the pub/sub interfaces to those of a keyspace.
pub fn add(hub: &Arc<Hub>, interfaces: &mut Interfaces) {
    let pubsub = Arc::new(PubSub(hub.clone()));
    interfaces.pubsub_basic = Some(pubsub.clone());
    interfaces.pubsub_filtering = Some(pubsub.clone());
    interfaces.pubsub_ordering = Some(pubsub.clone());
    interfaces.pubsub_wildcards = Some(pubsub);
}

/// The subscriptions of one keyspace.
pub struct Hub {
    shared: Arc<SharedState>,
    limits: Limits,
    subscribers: RwLock<Subscribers>,
    sequences: Mutex<Sequences>,
}

#[derive(Default)]
struct Subscribers {
    by_pattern: Trie<Arc<Subscriber>>,
    by_name: HashMap<String, Arc<Subscriber>>,
    last_id: u64,
}

impl Hub {
    pub fn new(shared: Arc<SharedState>, limits: Limits) -> Self {
        Self { sequences: Mutex::new(Sequences::new(shared.clone())), shared, limits, subscribers: RwLock::default() }
    }

    /// Removes sequence counters that were not used for a day.
    pub fn sweep(&self) {
        lock(&self.sequences).remove_unused(time::now());
    }

    fn check_message(&self, topic: &str, payload: &[u8], attributes: &BTreeMap<String, String>) -> Result<(), Error> {
        check::topic("topic", topic)?;
        check::value(&self.limits, "payload", payload)?;
        check::attributes(attributes)?;
        self.shared.check_open()
    }

    /// Delivers a message that was checked, and returns how many subscriptions accepted it.
    fn publish(&self, message: Message) -> Result<u64, Error> {
        let subscribers = self.subscribers.read().unwrap_or_else(PoisonError::into_inner);
        let mut receivers = Vec::new();
        subscribers.by_pattern.for_each_match(&message.topic, &mut |subscriber| {
            if subscriber.filter.matches(&message) {
                receivers.push(subscriber);
            }
        });
        if receivers.is_empty() {
            return Ok(0);
        }
        let bytes = (message.topic.len() + message.payload.len()) as u64 + attribute_bytes(&message.attributes) + OVERHEAD;
        self.shared.reserve(bytes)?;
        // A copy: the bytes of the request may be a small part of a large buffer.
        let message =
            Message { payload: Bytes::copy_from_slice(&message.payload), publish_time: Some(time::timestamp(time::now())), ..message };
        let message = Arc::new(SharedMessage::new(message, bytes, self.shared.clone()));
        Ok(receivers.into_iter().map(|subscriber| u64::from(subscriber.offer(&message))).sum())
    }

    /// Publishes a message with the next sequence number of its ordering key, and returns the number. The lock is held until
    /// the message is delivered, so messages arrive in order.
    fn publish_ordered(&self, mut message: Message, ordering_key: String) -> Result<u64, Error> {
        let mut sequences = lock(&self.sequences);
        let sequence = sequences.get(&message.topic, &ordering_key)?;
        message.sequence = sequence.last + 1;
        message.ordering_key = Some(ordering_key);
        self.publish(message)?;
        sequence.last += 1;
        sequence.published = time::now();
        Ok(sequence.last)
    }

    fn subscribe<T: From<SubscriptionEvent> + Send + 'static>(
        self: Arc<Self>,
        pattern: String,
        name: String,
        filter: Filter,
    ) -> Result<Messages<T>, Error> {
        check::optional_name("subscription", &name)?;
        self.shared.check_open()?;
        let permit = self.shared.subscription_permit()?;
        let name = if name.is_empty() { id::random_text() } else { name };
        let mut subscribers = self.subscribers.write().unwrap_or_else(PoisonError::into_inner);
        if subscribers.by_name.contains_key(&name) {
            return Err(subscription_in_use(&name));
        }
        subscribers.last_id += 1;
        let subscriber = Arc::new(Subscriber::new(subscribers.last_id, name.clone(), pattern, filter, &self.shared));
        subscribers.by_pattern.insert(&subscriber.pattern, subscriber.id, subscriber.clone());
        subscribers.by_name.insert(name.clone(), subscriber.clone());
        drop(subscribers);
        let subscription = OpenSubscription { hub: self, subscriber, _permit: permit };
        let first = T::from(SubscriptionEvent::Subscribed(Subscribed { subscription: name }));
        let events = stream::try_unfold(subscription, |subscription| async move {
            Ok(subscription.next().await?.map(|event| (T::from(event), subscription)))
        });
        Ok(stream::iter([Ok(first)]).chain(events).boxed())
    }

    fn unsubscribe(&self, name: &str) -> bool {
        let subscriber = self.subscribers.read().unwrap_or_else(PoisonError::into_inner).by_name.get(name).cloned();
        subscriber.is_some_and(|subscriber| self.remove(&subscriber))
    }

    /// Removes a subscription and ends its stream. Returns false if it was removed before.
    fn remove(&self, subscriber: &Subscriber) -> bool {
        let mut subscribers = self.subscribers.write().unwrap_or_else(PoisonError::into_inner);
        let present = subscribers.by_name.get(&subscriber.name).is_some_and(|other| other.id == subscriber.id);
        if present {
            subscribers.by_name.remove(&subscriber.name);
            subscribers.by_pattern.remove(&subscriber.pattern, subscriber.id);
        }
        drop(subscribers);
        subscriber.end();
        present
    }
}

/// Belongs to the stream of a subscription and removes the subscription when the stream is dropped.
struct OpenSubscription {
    hub: Arc<Hub>,
    subscriber: Arc<Subscriber>,
    _permit: SubscriptionPermit,
}

impl OpenSubscription {
    async fn next(&self) -> Result<Option<SubscriptionEvent>, Error> {
        loop {
            match self.subscriber.next() {
                NextItem::Message(shared) => return Ok(Some(SubscriptionEvent::Message(shared.message.clone()))),
                NextItem::Gap(missed) => return Ok(Some(SubscriptionEvent::Gap(Gap { missed }))),
                NextItem::End => return Ok(None),
                NextItem::Empty => tokio::select! {
                    () = self.subscriber.changed.notified() => {}
                    closed = self.hub.shared.wait_until_closed() => return Err(closed),
                },
            }
        }
    }
}

impl Drop for OpenSubscription {
    fn drop(&mut self) {
        self.hub.remove(&self.subscriber);
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, TryStreamExt as _};

    use super::*;
    use crate::{MemorySettings, backend::LIMITS};
    use prism_call::{
        Context,
        proto::models::pubsub::v1::{
            PubSubBasic, PublishRequest, SubscribeRequest, SubscribeResponse, UnsubscribeRequest, subscribe_response::Event,
        },
    };
    use prism_driver::settings::Count;

    fn request(payload: &str) -> PublishRequest {
        PublishRequest { topic: "t".into(), payload: payload.to_owned().into(), ..Default::default() }
    }

    fn event_text(response: SubscribeResponse) -> String {
        match response.event.unwrap() {
            Event::Subscribed(_) => "subscribed".into(),
            Event::Message(message) => String::from_utf8(message.payload.to_vec()).unwrap(),
            Event::Gap(gap) => format!("gap {}", gap.missed),
        }
    }

    #[tokio::test]
    async fn a_slow_subscriber_gets_a_gap_and_its_bytes_are_released() {
        let shared = Arc::new(SharedState::new(MemorySettings { subscription_buffer: Count::new(2), ..MemorySettings::default() }));
        let pubsub = PubSub(Arc::new(Hub::new(shared.clone(), LIMITS)));
        let context = Context::internal("test");
        let subscribe = || SubscribeRequest { topic: "t".into(), subscription: "s".into() };
        let mut stream = pubsub.subscribe(&context, subscribe()).await.unwrap();
        assert_eq!(pubsub.subscribe(&context, subscribe()).await.err().unwrap().reason(), "SUBSCRIPTION_IN_USE");
        for payload in ["1", "2", "3", "4"] {
            pubsub.publish(&context, request(payload)).await.unwrap();
        }
        for expected in ["subscribed", "1"] {
            assert_eq!(event_text(stream.try_next().await.unwrap().unwrap()), expected);
        }
        pubsub.publish(&context, request("5")).await.unwrap();
        assert!(pubsub.unsubscribe(&context, UnsubscribeRequest { subscription: "s".into() }).await.unwrap().found);
        let rest: Vec<_> = stream.by_ref().map(|event| event_text(event.unwrap())).collect().await;
        assert_eq!(rest, ["2", "gap 2", "5"]);

        let mut again = pubsub.subscribe(&context, subscribe()).await.unwrap();
        assert_eq!(event_text(again.try_next().await.unwrap().unwrap()), "subscribed");
        drop(stream);
        assert!(again.next().now_or_never().is_none());
        pubsub.publish(&context, request("6")).await.unwrap();
        assert!(shared.used_bytes() > 0);
        drop(again);
        assert_eq!(shared.used_bytes(), 0);
        assert!(pubsub.0.subscribers.read().unwrap().by_pattern.is_empty());
    }
}
