//! All subscriptions of a backend, by their ids.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use futures::{StreamExt as _, stream};
use tokio::{sync::OwnedSemaphorePermit, task::AbortHandle};

use super::{
    PubSub,
    subscriber::{Forwarder, Subscription},
};
use crate::error;
use prism_call::{Context, Error, Messages, proto::models::pubsub::v1::Subscribed};
use prism_driver::{
    check, id,
    lock::lock,
    pubsub::{Filter, SubscriptionEvent, subscription_in_use},
    subscriptions::SubscriptionLimits,
};

/// The subscriptions of a backend.
pub struct Hub {
    limits: Arc<SubscriptionLimits>,
    /// By keyspace and id.
    open: Mutex<HashMap<String, Arc<Subscription>>>,
}

impl Hub {
    pub fn new(limits: Arc<SubscriptionLimits>) -> Self {
        Self { limits, open: Mutex::default() }
    }

    pub fn limits(&self) -> &SubscriptionLimits {
        &self.limits
    }

    fn add(self: &Arc<Self>, name: String, id: &str) -> Result<OpenSubscription, Error> {
        let permit = self.limits.permit()?;
        let mut open = lock(&self.open);
        if open.contains_key(&name) {
            return Err(subscription_in_use(id));
        }
        let subscription = Arc::new(Subscription::new(self.limits.settings()));
        open.insert(name.clone(), subscription.clone());
        Ok(OpenSubscription { hub: self.clone(), name, subscription, task: None, _permit: permit })
    }

    /// Ends a subscription gracefully. Returns false if there is none.
    pub fn unsubscribe(&self, name: &str) -> bool {
        let subscription = lock(&self.open).remove(name);
        subscription.is_some_and(|subscription| {
            subscription.end_gracefully();
            true
        })
    }

    /// Ends all subscriptions.
    pub fn close(&self) {
        for (_, subscription) in lock(&self.open).drain() {
            subscription.subscriber.end(Some(error::backend_closed()));
        }
    }
}

/// Belongs to the stream of a subscription, and removes the subscription when the stream is dropped.
struct OpenSubscription {
    hub: Arc<Hub>,
    name: String,
    subscription: Arc<Subscription>,
    task: Option<AbortHandle>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for OpenSubscription {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        let mut open = lock(&self.hub.open);
        // After Unsubscribe, another subscription may have the id.
        if open.get(&self.name).is_some_and(|subscription| Arc::ptr_eq(subscription, &self.subscription)) {
            open.remove(&self.name);
        }
    }
}

impl PubSub {
    /// The name of a subscription of this keyspace in the hub.
    pub(super) fn subscription_name(&self, id: &str) -> String {
        self.names.subject("subscription", id)
    }

    /// Subscribes to a checked topic or pattern: to the messages of a kind, or with `*` of all kinds. Returns the stream when the server
    /// knows the subscription.
    pub(super) async fn subscribe_to<T>(
        &self,
        context: &Context,
        kind: &str,
        pattern: &str,
        filter: Filter,
        id: String,
    ) -> Result<Messages<T>, Error>
    where
        T: From<SubscriptionEvent> + Send + 'static,
    {
        check::optional_name("subscription", &id)?;
        let id = if id.is_empty() { id::random_text() } else { id };
        let mut open = self.hub.add(self.subscription_name(&id), &id)?;
        let deadline = self.client.deadline(context);
        let link = self.client.connection().link();
        let messages = self.client.subscribe(&deadline, self.subject(kind, pattern)).await?;
        self.client.barrier(&deadline).await?;
        let forwarder = Forwarder {
            subscription: open.subscription.clone(),
            messages,
            link,
            root: self.names.subject("t", ""),
            filter,
            patience: *self.hub.limits().settings().patience,
        };
        open.task = Some(tokio::spawn(forwarder.run()).abort_handle());
        let first = T::from(SubscriptionEvent::Subscribed(Subscribed { subscription: id }));
        let events =
            stream::try_unfold(
                open,
                |open| async move { Ok(open.subscription.subscriber.next().await?.map(|event| (T::from(event), open))) },
            );
        Ok(stream::iter([Ok(first)]).chain(events).boxed())
    }
}
