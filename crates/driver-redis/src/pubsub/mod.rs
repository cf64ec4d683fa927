//! `pubsub_basic` and `pubsub_wildcards`.
//!
//! A message is published as a protobuf `Message` without its topic, which the channel has. Redis does not tell how many
//! subscriptions a message went to: each gateway has only one connection for all of its own.

mod hub;
mod listen;
mod subscriber;
mod topics;

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream;
use prost::Message as _;
use tokio::sync::OwnedSemaphorePermit;

pub use hub::Hub;
pub use listen::listen;

use self::{
    subscriber::{Next, Route, Subscriber},
    topics::Pattern,
};
use super::{client::Client, error, keys::Keys};
use prism_call::{
    Context, Error, Messages,
    proto::{
        Interfaces,
        models::pubsub::v1::{
            Gap, Message, PubSubBasic, PubSubWildcards, PublishRequest, PublishResponse, SubscribePatternRequest, SubscribePatternResponse,
            SubscribeRequest, SubscribeResponse, Subscribed, UnsubscribeRequest, UnsubscribeResponse, subscribe_pattern_response,
            subscribe_response,
        },
    },
};
use prism_driver::{Limits, check, time};

/// The topics of one keyspace.
pub struct Topics {
    client: Arc<Client>,
    hub: Arc<Hub>,
    keys: Arc<Keys>,
    limits: Limits,
}

/// Adds the pub/sub interfaces to those of a keyspace.
pub fn add(topics: &Arc<Topics>, interfaces: &mut Interfaces) {
    interfaces.pubsub_basic = Some(topics.clone());
    interfaces.pubsub_wildcards = Some(topics.clone());
}

/// What a stream shows; each RPC has its own message for it.
enum Event {
    Subscribed(Subscribed),
    Message(Message),
    Gap(Gap),
}

impl From<Event> for SubscribeResponse {
    fn from(event: Event) -> Self {
        Self {
            event: Some(match event {
                Event::Subscribed(subscribed) => subscribe_response::Event::Subscribed(subscribed),
                Event::Message(message) => subscribe_response::Event::Message(message),
                Event::Gap(gap) => subscribe_response::Event::Gap(gap),
            }),
        }
    }
}

impl From<Event> for SubscribePatternResponse {
    fn from(event: Event) -> Self {
        Self {
            event: Some(match event {
                Event::Subscribed(subscribed) => subscribe_pattern_response::Event::Subscribed(subscribed),
                Event::Message(message) => subscribe_pattern_response::Event::Message(message),
                Event::Gap(gap) => subscribe_pattern_response::Event::Gap(gap),
            }),
        }
    }
}

impl Topics {
    pub fn new(client: Arc<Client>, hub: Arc<Hub>, keys: Arc<Keys>, limits: Limits) -> Self {
        Self { client, hub, keys, limits }
    }

    async fn open<T: From<Event> + Send + 'static>(&self, context: &Context, pattern: &str, id: String) -> Result<Messages<T>, Error> {
        check::optional_name("subscription", &id)?;
        let permit = self.hub.permit()?;
        let id = if id.is_empty() { format!("{:032x}", rand::random::<u128>()) } else { id };
        let parsed = Pattern::new(pattern);
        let route = if parsed.is_topic() {
            Route::Channel(self.keys.named("topic", pattern))
        } else {
            Route::Glob(parsed.glob(&self.keys.named("topic", "")))
        };
        let subscriber = self.hub.add(self.keys.named("subscription", &id), &id, route, parsed)?;
        let open = Open { hub: self.hub.clone(), subscriber, _permit: permit };
        let confirmed = tokio::time::timeout(self.client.budget(context), open.confirmed()).await;
        confirmed.map_err(|_| error::lost("Redis did not confirm the subscription in time", self.client.connector().retry_after()))??;
        let first = T::from(Event::Subscribed(Subscribed { subscription: id }));
        Ok(Box::pin(stream::try_unfold((open, Some(first)), |(open, mut first)| async move {
            let event = match first.take() {
                Some(first) => Some(first),
                None => open.next().await?.map(T::from),
            };
            Ok(event.map(|event| (event, (open, first))))
        })))
    }
}

/// A subscription while its stream is there.
struct Open {
    hub: Arc<Hub>,
    subscriber: Arc<Subscriber>,
    _permit: OwnedSemaphorePermit,
}

impl Open {
    /// Waits until Redis has confirmed it, which is the first thing that comes.
    async fn confirmed(&self) -> Result<(), Error> {
        loop {
            match self.subscriber.next() {
                Next::Wait => self.subscriber.changed.notified().await,
                Next::End(Some(error)) => return Err(error),
                _ => return Ok(()),
            }
        }
    }

    async fn next(&self) -> Result<Option<Event>, Error> {
        loop {
            match self.subscriber.next() {
                Next::Message(message) => return Ok(Some(Event::Message(Arc::unwrap_or_clone(message)))),
                Next::Gap(gap) => return Ok(Some(Event::Gap(gap))),
                Next::End(None) => return Ok(None),
                Next::End(Some(error)) => return Err(error),
                Next::Confirmed => {}
                Next::Wait => self.subscriber.changed.notified().await,
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.hub.remove(&self.subscriber);
    }
}

#[async_trait]
impl PubSubBasic for Topics {
    async fn publish(&self, context: &Context, request: PublishRequest) -> Result<PublishResponse, Error> {
        let PublishRequest { topic, payload, attributes } = request;
        check::topic("topic", &topic)?;
        check::value(&self.limits, "payload", &payload)?;
        check::attributes(&attributes)?;
        let publish_time = Some(time::timestamp(time::now()));
        let message = Message { payload, attributes, publish_time, ..Message::default() };
        let command = redis::cmd("PUBLISH").arg(self.keys.named("topic", &topic)).arg(message.encode_to_vec()).take();
        self.client.run::<u64>(context, &command).await?;
        Ok(PublishResponse { receivers: None })
    }

    async fn subscribe(&self, context: &Context, request: SubscribeRequest) -> Result<Messages<SubscribeResponse>, Error> {
        check::topic("topic", &request.topic)?;
        self.open(context, &request.topic, request.subscription).await
    }

    async fn unsubscribe(&self, _: &Context, request: UnsubscribeRequest) -> Result<UnsubscribeResponse, Error> {
        check::name("subscription", &request.subscription)?;
        Ok(UnsubscribeResponse { found: self.hub.unsubscribe(&self.keys.named("subscription", &request.subscription)) })
    }
}

#[async_trait]
impl PubSubWildcards for Topics {
    async fn subscribe_pattern(
        &self,
        context: &Context,
        request: SubscribePatternRequest,
    ) -> Result<Messages<SubscribePatternResponse>, Error> {
        check::pattern("pattern", &request.pattern)?;
        self.open(context, &request.pattern, request.subscription).await
    }
}
