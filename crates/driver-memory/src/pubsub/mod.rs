//! PubSub: subscriptions in a trie, each with its own buffer. Nothing is stored for those who are not there.

mod filter;
mod lines;
mod rpc;
mod subscriber;
mod trie;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use bytes::Bytes;
use futures::stream;

use self::{
    filter::Filter,
    lines::Lines,
    subscriber::{Held, Next, Subscriber},
    trie::Trie,
};
use super::shared::{OVERHEAD, Shared, Subscribed as Counted, attribute_bytes, lock};
use prism_call::{
    Code, Error, Messages,
    proto::models::pubsub::v1::{Gap, Message, Subscribed},
};
use prism_driver::{Limits, check, time};

pub use rpc::PubSub;

/// The subscriptions of one keyspace.
pub struct Hub {
    shared: Arc<Shared>,
    limits: Limits,
    subscribers: RwLock<Subscribers>,
    lines: Mutex<Lines>,
}

#[derive(Default)]
struct Subscribers {
    by_pattern: Trie<Arc<Subscriber>>,
    by_name: HashMap<String, Arc<Subscriber>>,
    last_id: u64,
}

/// What a stream shows; each RPC has its own message for it.
enum Event {
    Subscribed(Subscribed),
    Message(Message),
    Gap(Gap),
}

impl Hub {
    pub fn new(shared: Arc<Shared>, limits: Limits) -> Self {
        Self { lines: Mutex::new(Lines::new(shared.clone())), shared, limits, subscribers: RwLock::default() }
    }

    /// Forgets lines that nobody has published to for long.
    pub fn sweep(&self) {
        lock(&self.lines).forget(time::now());
    }

    fn check(&self, topic: &str, payload: &[u8], attributes: &BTreeMap<String, String>) -> Result<(), Error> {
        check::topic("topic", topic)?;
        check::value(&self.limits, "payload", payload)?;
        check::attributes(attributes)?;
        self.shared.open()
    }

    /// Gives a checked message to all who want it and tells how many took it.
    fn publish(&self, message: Message) -> Result<u64, Error> {
        let subscribers = self.subscribers.read().unwrap_or_else(PoisonError::into_inner);
        let mut wanted = Vec::new();
        subscribers.by_pattern.matching(&message.topic, &mut |subscriber| {
            if subscriber.filter.wants(&message) {
                wanted.push(subscriber);
            }
        });
        if wanted.is_empty() {
            return Ok(0);
        }
        let bytes = (message.topic.len() + message.payload.len()) as u64 + attribute_bytes(&message.attributes) + OVERHEAD;
        self.shared.reserve(bytes)?;
        // A copy, because the request's bytes may be a small part of a large buffer.
        let message =
            Message { payload: Bytes::copy_from_slice(&message.payload), publish_time: Some(time::timestamp(time::now())), ..message };
        let held = Arc::new(Held::new(message, bytes, self.shared.clone()));
        Ok(wanted.into_iter().map(|subscriber| u64::from(subscriber.offer(&held))).sum())
    }

    /// Publishes as the next of its line. Nobody else publishes to a line meanwhile, so it arrives in order.
    fn publish_ordered(&self, mut message: Message, line: String) -> Result<u64, Error> {
        let mut lines = lock(&self.lines);
        let next = lines.line(&message.topic, &line)?;
        message.sequence = next.sequence + 1;
        message.ordering_key = Some(line);
        self.publish(message)?;
        next.sequence += 1;
        next.published = time::now();
        Ok(next.sequence)
    }

    fn subscribe<T: From<Event> + Send + 'static>(
        self: Arc<Self>,
        pattern: String,
        name: String,
        filter: Filter,
    ) -> Result<Messages<T>, Error> {
        check::optional_name("subscription", &name)?;
        self.shared.open()?;
        let counted = self.shared.subscribe()?;
        let name = if name.is_empty() { format!("{:032x}", rand::random::<u128>()) } else { name };
        let mut subscribers = self.subscribers.write().unwrap_or_else(PoisonError::into_inner);
        if subscribers.by_name.contains_key(&name) {
            return Err(Error::new(
                Code::AlreadyExists,
                "SUBSCRIPTION_IN_USE",
                format!("a subscription {name:?} is open; choose another id or none, or end it with Unsubscribe"),
            ));
        }
        subscribers.last_id += 1;
        let subscriber = Arc::new(Subscriber::new(subscribers.last_id, name.clone(), pattern, filter, &self.shared));
        subscribers.by_pattern.insert(&subscriber.pattern, subscriber.id, subscriber.clone());
        subscribers.by_name.insert(name.clone(), subscriber.clone());
        drop(subscribers);
        let open = Open { hub: self, subscriber, _counted: counted };
        let first = Some(T::from(Event::Subscribed(Subscribed { subscription: name })));
        Ok(Box::pin(stream::try_unfold((open, first), |(open, mut first)| async move {
            let event = match first.take() {
                Some(first) => Some(first),
                None => open.next().await?.map(T::from),
            };
            Ok(event.map(|event| (event, (open, first))))
        })))
    }

    fn unsubscribe(&self, name: &str) -> bool {
        let subscriber = self.subscribers.read().unwrap_or_else(PoisonError::into_inner).by_name.get(name).cloned();
        subscriber.is_some_and(|subscriber| self.remove(&subscriber))
    }

    /// Takes a subscription out, if it is still in.
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

/// A subscription while its stream is there.
struct Open {
    hub: Arc<Hub>,
    subscriber: Arc<Subscriber>,
    _counted: Counted,
}

impl Open {
    async fn next(&self) -> Result<Option<Event>, Error> {
        loop {
            match self.subscriber.next() {
                Next::Message(held) => return Ok(Some(Event::Message(held.message.clone()))),
                Next::Gap(missed) => return Ok(Some(Event::Gap(Gap { missed }))),
                Next::End => return Ok(None),
                Next::Wait => tokio::select! {
                    () = self.subscriber.changed.notified() => {}
                    closed = self.hub.shared.closed() => return Err(closed),
                },
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.hub.remove(&self.subscriber);
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};

    use super::*;
    use crate::{LIMITS, Settings};
    use prism_call::{
        Context,
        proto::models::pubsub::v1::{
            PubSubBasic, PublishRequest, SubscribeRequest, SubscribeResponse, UnsubscribeRequest, subscribe_response::Event as Told,
        },
    };

    fn request(payload: &str) -> PublishRequest {
        PublishRequest { topic: "t".into(), payload: payload.to_owned().into(), ..Default::default() }
    }

    fn told(response: SubscribeResponse) -> String {
        match response.event.unwrap() {
            Told::Subscribed(_) => "subscribed".into(),
            Told::Message(message) => String::from_utf8(message.payload.to_vec()).unwrap(),
            Told::Gap(gap) => format!("gap {}", gap.missed),
        }
    }

    #[tokio::test]
    async fn a_slow_subscriber_is_told_of_its_gap_and_leaves_nothing_behind() {
        let shared = Arc::new(Shared::new(Settings { subscription_buffer: 2, ..Settings::default() }));
        let pubsub = PubSub(Arc::new(Hub::new(shared.clone(), LIMITS)));
        let context = Context::internal("test");
        let subscribe = || SubscribeRequest { topic: "t".into(), subscription: "s".into() };
        let mut stream = pubsub.subscribe(&context, subscribe()).await.unwrap();
        assert_eq!(pubsub.subscribe(&context, subscribe()).await.err().unwrap().reason(), "SUBSCRIPTION_IN_USE");
        for payload in ["1", "2", "3", "4"] {
            pubsub.publish(&context, request(payload)).await.unwrap();
        }
        for expected in ["subscribed", "1"] {
            assert_eq!(told(stream.try_next().await.unwrap().unwrap()), expected);
        }
        pubsub.publish(&context, request("5")).await.unwrap();
        assert!(pubsub.unsubscribe(&context, UnsubscribeRequest { subscription: "s".into() }).await.unwrap().found);
        let rest: Vec<_> = stream.by_ref().map(|event| told(event.unwrap())).collect().await;
        assert_eq!(rest, ["2", "gap 2", "5"]);

        let mut again = pubsub.subscribe(&context, subscribe()).await.unwrap();
        assert_eq!(told(again.try_next().await.unwrap().unwrap()), "subscribed");
        drop(stream);
        assert!(again.next().now_or_never().is_none());
        pubsub.publish(&context, request("6")).await.unwrap();
        assert!(shared.used() > 0);
        drop(again);
        assert_eq!(shared.used(), 0);
        assert!(pubsub.0.subscribers.read().unwrap().by_pattern.is_empty());
    }
}
