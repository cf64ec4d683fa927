//! Receives the messages for an identity.

use std::{
    collections::VecDeque,
    future::ready,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};

use super::{
    MulticastRegistry,
    delivery::{Delivery, STREAM},
    hub::{self, HubEvent},
    identity::address,
    mailboxes::{Mailboxes, TakeOptions, Taken},
    registrations::{Registrations, not_found},
};
use crate::messaging::{
    attributes,
    delays::{self, MAX_WAIT},
    model::ID_ATTRIBUTE,
};
use prism_call::{
    Context, Error, Messages,
    proto::{
        models::{
            pubsub::v1::{self as pubsub, PubSubBasic, SubscribeRequest, SubscribeResponse},
            stream::v1::{Record, read_request::Start},
        },
        patterns::multicast_registry::v1::{Connected, Gap, Message, ReceiveRequest, ReceiveResponse, receive_response::Event},
    },
};

/// Messages that a receiver takes from its queue at once.
const PAGE: u32 = 16;
/// How often a receiver looks whether its identity is still registered, if it does not renew the registration.
const PRESENCE_CHECK: Duration = Duration::from_secs(30);
/// Shortest time between two renewals of a registration.
const MIN_RENEWAL: Duration = Duration::from_millis(300);

pub async fn receive(registry: &MulticastRegistry, context: &Context, request: ReceiveRequest) -> Result<Messages<ReceiveResponse>, Error> {
    let ReceiveRequest { identity, heartbeat, auto_ack, lease_duration, cursor } = request;
    let lease = delays::lease(lease_duration.as_ref())?.unwrap_or(*registry.settings.lease_duration);
    if !cursor.is_empty() && !matches!(*registry.delivery, Delivery::Stream { .. }) {
        let problem = "must be empty: only a stream of messages can be continued, and this namespace has none";
        return Err(Error::invalid("cursor", problem).with_reason("INVALID_CURSOR"));
    }
    let registrations = registry.registrations.clone();
    let found = registrations.get(context, identity.clone()).await?;
    let ttl = found.ttl.as_ref().and_then(|ttl| Duration::try_from(*ttl).ok());
    if heartbeat {
        registrations.renew(context, &identity).await?;
    }
    let context = context.without_metadata();
    let events: Messages<ReceiveResponse> = match &*registry.delivery {
        Delivery::Live(topics) => of_topic(&**topics, &context, &identity).await?,
        Delivery::Durable { notifications, mailboxes } => {
            // Fused, because it may be polled again after its end.
            let notifications = subscribe(&**notifications, &context, &identity).await?.fuse().boxed();
            of_queue(mailboxes.clone(), context.clone(), identity.clone(), lease, auto_ack, Some(notifications)).await?
        }
        Delivery::Queues(mailboxes) => of_queue(mailboxes.clone(), context.clone(), identity.clone(), lease, auto_ack, None).await?,
        Delivery::Stream { hub, .. } if cursor.is_empty() => {
            let receiver = hub.subscribe(&identity).await?;
            let events = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
            events.map(|event| Ok(of_hub(event))).boxed()
        }
        Delivery::Stream { stream, .. } => {
            let records = hub::open(&**stream, &context, STREAM, Start::Cursor(cursor)).await?;
            let key = identity.clone();
            let own = records.try_filter(move |record| ready(record.key == key.as_bytes()));
            own.map_ok(|record| of_record(&record)).boxed()
        }
    };
    let connected = event(Event::Connected(Connected { identity: identity.clone() }));
    let presence = stream::once(watch_presence(registrations, context, identity, ttl.filter(|_| heartbeat)));
    // The stream ends when the events end, or with the error of the presence.
    let events = stream::iter([Ok(connected)]).chain(events).map(Some).chain(stream::iter([None]));
    let all = stream::select(events, presence.map(|error| Some(Err(error))));
    Ok(Box::pin(all.take_while(|item| ready(item.is_some())).filter_map(ready)))
}

/// Waits until an identity is no longer registered, and returns the error for it. With `renewal`, the registration is renewed meanwhile.
async fn watch_presence(registrations: Arc<Registrations>, context: Context, identity: String, renewal: Option<Duration>) -> Error {
    let pause = renewal.map_or(PRESENCE_CHECK, |ttl| (ttl / 3).max(MIN_RENEWAL).min(PRESENCE_CHECK));
    loop {
        tokio::time::sleep(pause).await;
        let registered = match renewal {
            Some(_) => registrations.renew(&context, &identity).await.map(drop),
            None => registrations.contains(&context, &identity).await.and_then(|found| if found { Ok(()) } else { Err(not_found()) }),
        };
        match registered {
            Ok(()) => {}
            Err(error) if error.reason() == "IDENTITY_NOT_FOUND" => return error,
            Err(error) => tracing::debug!(namespace = %context.namespace, %error, "the registration of a receiver can't be read"),
        }
    }
}

async fn subscribe(topics: &dyn PubSubBasic, context: &Context, identity: &str) -> Result<Messages<SubscribeResponse>, Error> {
    topics.subscribe(context, SubscribeRequest { topic: address(identity), subscription: String::new() }).await
}

/// The messages of a live topic.
async fn of_topic(topics: &dyn PubSubBasic, context: &Context, identity: &str) -> Result<Messages<ReceiveResponse>, Error> {
    let events = subscribe(topics, context, identity).await?;
    Ok(Box::pin(events.try_filter_map(async |response| {
        Ok(response.event.and_then(|found| match found {
            pubsub::subscribe_response::Event::Subscribed(_) => None,
            pubsub::subscribe_response::Event::Gap(gap) => Some(event(Event::Gap(Gap { missed: gap.missed }))),
            pubsub::subscribe_response::Event::Message(message) => {
                let pubsub::Message { payload, attributes, publish_time, .. } = message;
                Some(event(Event::Message(to_message(payload, attributes, publish_time))))
            }
        }))
    })))
}

fn of_hub(found: HubEvent) -> ReceiveResponse {
    match found {
        HubEvent::Gap(missed) => event(Event::Gap(Gap { missed })),
        HubEvent::Record(record) => of_record(&record),
    }
}

fn of_record(record: &Record) -> ReceiveResponse {
    let Record { payload, attributes, append_time, cursor, .. } = record.clone();
    ReceiveResponse { cursor, ..event(Event::Message(to_message(payload, attributes, append_time))) }
}

fn to_message(
    payload: bytes::Bytes,
    mut headers: std::collections::BTreeMap<String, String>,
    publish_time: Option<prost_types::Timestamp>,
) -> Message {
    let id = headers.remove(ID_ATTRIBUTE).unwrap_or_default();
    attributes::remove_reserved(&mut headers);
    Message { id, payload, headers, publish_time, ..Message::default() }
}

fn event(event: Event) -> ReceiveResponse {
    ReceiveResponse { event: Some(event), cursor: String::new() }
}

/// A receiver of a queue.
struct QueueReceiver {
    mailboxes: Arc<Mailboxes>,
    context: Context,
    identity: String,
    lease: Duration,
    auto_ack: bool,
    /// Tells of new messages. Without it, the backend waits for them.
    notifications: Option<Messages<SubscribeResponse>>,
    ready: VecDeque<Taken>,
    /// Leases of messages that the client has taken, if they are acknowledged automatically.
    taken: Vec<String>,
    /// When the leases of these messages began.
    leased_at: Instant,
}

/// The messages of a queue.
async fn of_queue(
    mailboxes: Arc<Mailboxes>,
    context: Context,
    identity: String,
    lease: Duration,
    auto_ack: bool,
    notifications: Option<Messages<SubscribeResponse>>,
) -> Result<Messages<ReceiveResponse>, Error> {
    mailboxes.configure(&context, &identity).await?;
    let (ready, taken, leased_at) = (VecDeque::new(), Vec::new(), Instant::now());
    let receiver = QueueReceiver { mailboxes, context, identity, lease, auto_ack, notifications, ready, taken, leased_at };
    Ok(Box::pin(stream::try_unfold(receiver, |mut receiver| async move {
        let message = receiver.next().await?;
        Ok(Some((event(Event::Message(message)), receiver)))
    })))
}

impl QueueReceiver {
    async fn next(&mut self) -> Result<Message, Error> {
        loop {
            // A client that takes its messages slowly must not lose the leases of those that wait behind each other.
            if self.ready.is_empty() || self.leased_at.elapsed() > self.lease / 2 {
                self.mailboxes.complete(&self.context, std::mem::take(&mut self.taken)).await?;
                self.ready = self.mailboxes.extend(&self.context, std::mem::take(&mut self.ready), self.lease).await?;
                self.leased_at = Instant::now();
            }
            if let Some(Taken { message, lease }) = self.ready.pop_front() {
                if self.auto_ack {
                    self.taken.push(lease);
                }
                return Ok(message);
            }
            let wait = if self.notifications.is_some() { Duration::ZERO } else { MAX_WAIT };
            let options = TakeOptions { limit: PAGE, lease: self.lease, wait };
            self.ready = self.mailboxes.take(&self.context, &self.identity, options).await?.into();
            self.leased_at = Instant::now();
            if self.ready.is_empty() {
                self.wait_for_notification().await?;
            }
        }
    }

    /// Waits until there may be new messages: at most as long as a lease could have ended meanwhile.
    async fn wait_for_notification(&mut self) -> Result<(), Error> {
        let Some(notifications) = &mut self.notifications else { return Ok(()) };
        let longest = self.lease.min(MAX_WAIT).max(Duration::from_secs(1));
        match tokio::time::timeout(longest, notifications.next()).await {
            Err(_) => {}
            Ok(None) => self.notifications = None,
            Ok(Some(Err(error))) => return Err(error),
            // One look at the queue serves all notifications that have arrived.
            Ok(Some(Ok(_))) => while let Some(Some(Ok(_))) = notifications.next().now_or_never() {},
        }
        Ok(())
    }
}
