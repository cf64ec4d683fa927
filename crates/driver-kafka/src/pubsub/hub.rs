//! The open subscriptions of a keyspace, and the task that gives them their messages.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use futures::{StreamExt as _, stream};
use tokio::{
    sync::{OwnedSemaphorePermit, broadcast},
    task::AbortHandle,
};

use super::{
    PubSub, bus_config,
    message::{decode_live, decode_ordered},
    subscriber::Subscription,
};
use crate::{
    client::{Client, Place},
    error,
    journal::OrderedMessage,
    reader::{Item, Position, Reader, Removed},
};
use prism_call::{Context, Error, Messages, proto::models::pubsub::v1::Subscribed};
use prism_driver::{
    check, id,
    lock::lock,
    pubsub::{Filter, SubscriptionEvent, subscription_in_use},
    subscriptions::SubscriptionLimits,
};

/// The subscriptions of a keyspace.
pub struct Hub {
    client: Arc<Client>,
    limits: Arc<SubscriptionLimits>,
    bus: String,
    namespace: String,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// By their ids; `None` while one is being opened.
    by_id: HashMap<String, Option<Arc<Subscription>>>,
    by_topic: HashMap<String, Vec<Arc<Subscription>>>,
    /// Reads the bus while there are subscriptions.
    task: Option<AbortHandle>,
}

impl Open {
    fn remove(&mut self, id: &str) -> Option<Arc<Subscription>> {
        let subscription = self.by_id.remove(id)??;
        if let Some(others) = self.by_topic.get_mut(&subscription.topic) {
            others.retain(|other| !Arc::ptr_eq(other, &subscription));
            if others.is_empty() {
                self.by_topic.remove(&subscription.topic);
            }
        }
        Some(subscription)
    }

    fn stop_if_idle(&mut self) {
        if self.by_id.is_empty()
            && let Some(task) = self.task.take()
        {
            task.abort();
        }
    }
}

impl Hub {
    pub fn new(client: Arc<Client>, limits: Arc<SubscriptionLimits>, bus: String, namespace: String) -> Self {
        Self { client, limits, bus, namespace, open: Mutex::default() }
    }

    pub fn limits(&self) -> &SubscriptionLimits {
        &self.limits
    }

    /// Takes an id, so that no other subscription gets it.
    fn reserve(self: &Arc<Self>, id: &str) -> Result<OpenSubscription, Error> {
        let permit = self.limits.permit()?;
        let mut open = lock(&self.open);
        if open.by_id.contains_key(id) {
            return Err(subscription_in_use(id));
        }
        open.by_id.insert(id.to_owned(), None);
        Ok(OpenSubscription { hub: self.clone(), id: id.to_owned(), subscription: None, _permit: permit })
    }

    fn add(self: &Arc<Self>, id: &str, subscription: &Arc<Subscription>, ordered: broadcast::Receiver<OrderedMessage>) {
        let mut open = lock(&self.open);
        open.by_id.insert(id.to_owned(), Some(subscription.clone()));
        open.by_topic.entry(subscription.topic.clone()).or_default().push(subscription.clone());
        if open.task.as_ref().is_none_or(AbortHandle::is_finished) {
            let (hub, from) = (self.clone(), subscription.bus_from);
            open.task = Some(tokio::spawn(async move { hub.run(from, ordered).await }).abort_handle());
        }
    }

    /// Ends a subscription gracefully. Returns false if there is none.
    pub fn unsubscribe(&self, id: &str) -> bool {
        let mut open = lock(&self.open);
        let subscription = open.remove(id);
        open.stop_if_idle();
        subscription.is_some_and(|subscription| {
            subscription.subscriber.end(None);
            true
        })
    }

    /// Ends all subscriptions.
    pub fn close(&self) {
        self.end_all(&error::backend_closed());
    }

    fn end_all(&self, error: &Error) {
        let mut open = lock(&self.open);
        for (_, subscription) in open.by_id.drain() {
            if let Some(subscription) = subscription {
                subscription.subscriber.end(Some(error.for_client()));
            }
        }
        open.by_topic.clear();
        open.stop_if_idle();
    }

    /// Gives the messages of the bus and of the journal to subscribers.
    async fn run(self: Arc<Self>, from: u64, mut ordered: broadcast::Receiver<OrderedMessage>) {
        let context = Context::internal(self.namespace.as_str());
        let positions = BTreeMap::from([(0, Position::from(from))]);
        let mut reader = Reader::new(self.client.clone(), context, self.bus.clone(), positions, Removed::Report);
        loop {
            let mut next = std::pin::pin!(reader.next(true));
            let item = loop {
                tokio::select! {
                    item = &mut next => break item,
                    message = ordered.recv() => match message {
                        Ok(message) => self.deliver_ordered(message),
                        Err(broadcast::error::RecvError::Lagged(_)) => self.add_gaps(),
                        Err(broadcast::error::RecvError::Closed) => return self.end_all(&error::backend_closed()),
                    },
                }
            };
            match item {
                Ok(Some(Item::Record(stored))) => self.deliver_live(stored),
                Ok(Some(Item::Gap(_))) => self.add_gaps(),
                Ok(None) => return,
                Err(error) => return self.end_all(&error),
            }
        }
    }

    fn deliver_live(&self, stored: crate::codec::Stored) {
        let offset = stored.offset;
        let Some(message) = decode_live(stored).map(Arc::new) else {
            tracing::debug!(topic = self.bus, offset, "a message that Prism did not publish was ignored");
            return;
        };
        if let Some(subscriptions) = lock(&self.open).by_topic.get(&message.topic) {
            for subscription in subscriptions.iter().filter(|subscription| offset >= subscription.bus_from) {
                subscription.offer(&message);
            }
        }
    }

    fn deliver_ordered(&self, message: OrderedMessage) {
        let offset = message.offset;
        if let Some(subscriptions) = lock(&self.open).by_topic.get(&message.line.topic) {
            let message = Arc::new(decode_ordered(message));
            for subscription in subscriptions.iter().filter(|subscription| offset >= subscription.journal_from) {
                subscription.offer(&message);
            }
        }
    }

    fn add_gaps(&self) {
        for subscription in lock(&self.open).by_topic.values().flatten() {
            subscription.subscriber.add_gap();
        }
    }
}

/// Belongs to the stream of a subscription, and removes the subscription when the stream is dropped.
struct OpenSubscription {
    hub: Arc<Hub>,
    id: String,
    subscription: Option<Arc<Subscription>>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for OpenSubscription {
    fn drop(&mut self) {
        let mut open = lock(&self.hub.open);
        // After Unsubscribe, another subscription may have the id.
        let mine = match (open.by_id.get(&self.id), &self.subscription) {
            (Some(Some(open)), Some(subscription)) => Arc::ptr_eq(open, subscription),
            (Some(None), None) => true,
            _ => false,
        };
        if mine && open.remove(&self.id).is_none() {
            open.by_id.remove(&self.id);
        }
        open.stop_if_idle();
    }
}

impl PubSub {
    /// Subscribes to a checked topic. Returns the stream when messages that are published from now on arrive.
    pub(super) async fn subscribe_to<T>(&self, context: &Context, topic: String, filter: Filter, id: String) -> Result<Messages<T>, Error>
    where
        T: From<SubscriptionEvent> + Send + 'static,
    {
        check::optional_name("subscription", &id)?;
        let id = if id.is_empty() { id::random_text() } else { id };
        let mut open = self.hub.reserve(&id)?;
        let (deadline, bus) = (self.client.deadline(context), self.names.bus());
        self.client.ensure(&deadline, &bus, bus_config).await?;
        let ordered = self.journal.subscribe(&deadline).await?;
        let journal_from = self.journal.catch_up(&deadline).await?;
        let bus_from = self.client.offsets(&deadline, &bus, &[0], Place::End).await?.first().copied().unwrap_or(0);
        let subscription = Arc::new(Subscription::new(topic, filter, bus_from, journal_from, self.hub.limits().settings()));
        open.subscription = Some(subscription.clone());
        self.hub.add(&id, &subscription, ordered);
        let first = T::from(SubscriptionEvent::Subscribed(Subscribed { subscription: id }));
        // The journal sends ordered messages as long as somebody has it.
        let state = (open, subscription, self.journal.clone());
        let events = stream::try_unfold(state, |(open, subscription, journal)| async move {
            Ok(subscription.subscriber.next().await?.map(|event| (T::from(event), (open, subscription, journal))))
        });
        Ok(stream::iter([Ok(first)]).chain(events).boxed())
    }
}
