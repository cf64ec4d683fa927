//! The stream of a durable subscription.

use std::{collections::VecDeque, time::Duration};

use futures::{StreamExt as _, stream};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    PubSub, message,
    position::{DurableSubscription, subscription_not_found},
};
use crate::{log::Log, signals::Listener};
use prism_call::{
    Context, Error, Messages,
    proto::models::pubsub::v1::{Gap, SubscribeDurableResponse, Subscribed},
};
use prism_driver::pubsub::SubscriptionEvent;

/// Most messages of a page. A page of large messages has fewer.
const PAGE: usize = 256;
/// How long a stream waits before it looks again, if nothing wakes it.
const WAIT: Duration = Duration::from_secs(2);

/// Reads the messages of a topic behind a position.
pub struct DurableReader {
    pubsub: PubSub,
    context: Context,
    topic: String,
    subscription: String,
    /// The tokens of the document of the subscription.
    tokens: String,
    id: u64,
    /// The sequence of the last message that was read.
    position: u64,
    log: Log,
    events: VecDeque<SubscriptionEvent>,
    messages: Listener,
    document: Listener,
    _permit: OwnedSemaphorePermit,
}

impl DurableReader {
    #[expect(clippy::too_many_arguments, reason = "the fields of a reader, from one caller")]
    pub async fn open(
        pubsub: PubSub,
        context: Context,
        topic: String,
        subscription: String,
        tokens: String,
        id: u64,
        position: u64,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, Error> {
        let deadline = pubsub.client.deadline(&context);
        let messages = pubsub.signals.listen(&deadline, &pubsub.subject("s", &topic)).await?;
        let document = pubsub.signals.listen(&deadline, &pubsub.documents.wake_subject(&tokens)).await?;
        let log = pubsub.log(&topic);
        let events = VecDeque::new();
        Ok(Self { pubsub, context, topic, subscription, tokens, id, position, log, events, messages, document, _permit: permit })
    }

    /// The events, until the subscription is deleted or the client leaves.
    pub fn messages(self) -> Messages<SubscribeDurableResponse> {
        let first = SubscriptionEvent::Subscribed(Subscribed { subscription: self.subscription.clone() });
        let events = stream::try_unfold(self, |mut reader| async move {
            let event = reader.next().await?;
            Ok::<_, Error>(Some((event.into(), reader)))
        });
        stream::iter([Ok(first.into())]).chain(events).boxed()
    }

    async fn next(&mut self) -> Result<SubscriptionEvent, Error> {
        let mut outage = self.pubsub.hub.limits().outage();
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            match self.fetch().await {
                Ok(()) if self.events.is_empty() => {
                    outage.ended();
                    tokio::select! {
                        () = self.messages.changed(WAIT) => {}
                        () = self.document.changed(WAIT) => {}
                    }
                }
                Ok(()) => {}
                Err(error) => outage.wait(error, self.pubsub.client.connection().is_closed()).await?,
            }
        }
    }

    /// Reads the next messages, if there are some.
    async fn fetch(&mut self) -> Result<(), Error> {
        let deadline = self.pubsub.client.deadline(&self.context);
        let document = self.pubsub.documents.load::<DurableSubscription>(&deadline, &self.tokens).await?;
        if document.is_none_or(|(durable, _)| durable.id != self.id) {
            return Err(subscription_not_found(&self.topic, &self.subscription));
        }
        // A cursor that was not given out here may have any number.
        let next = self.position.saturating_add(1);
        let page = self.log.page(&deadline, next, PAGE).await?;
        if page.first().is_none_or(|first| first.sequence > next)
            && let Some(info) = self.log.info(&deadline).await?
            && info.state.first_seq > next
        {
            self.position = info.state.first_seq - 1;
            self.events.push_back(SubscriptionEvent::Gap(Gap { missed: info.state.first_seq - next }));
        }
        for stored in page {
            if stored.sequence > self.position {
                self.position = stored.sequence;
                self.events.push_back(SubscriptionEvent::Message(message::decode_stored(&self.topic, stored)?));
            }
        }
        Ok(())
    }
}
