//! All subscriptions of a backend over one connection of their own, which comes back by itself.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use prost::Message as _;
use redis::Msg;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::{
    super::{error, settings::Subscriptions},
    subscriber::{Route, Subscriber},
    topics::Pattern,
};
use prism_call::{Code, Error, proto::models::pubsub::v1::Message};

/// The subscriptions of a backend.
pub struct Hub {
    settings: Subscriptions,
    /// One for each subscription, and for each member of a consumer group, that may be open.
    open: Arc<Semaphore>,
    state: Mutex<State>,
    last_id: AtomicU64,
    /// Somebody subscribed or left: the connection's task looks what is wanted now.
    pub(super) changed: Notify,
}

#[derive(Default)]
struct State {
    routes: HashMap<Route, Vec<Arc<Subscriber>>>,
    names: HashMap<Vec<u8>, Arc<Subscriber>>,
    /// Routes that Redis has confirmed on the present connection.
    confirmed: HashSet<Route>,
    /// Why there is no connection, and when the next attempt is made.
    down: Option<(Instant, Error)>,
    closed: bool,
}

/// What has to change on the connection.
#[derive(Default)]
pub struct Changes {
    pub add: Vec<Route>,
    pub remove: Vec<Route>,
}

impl Hub {
    pub fn new(settings: Subscriptions) -> Self {
        Self {
            open: Arc::new(Semaphore::new(settings.max.min(Semaphore::MAX_PERMITS))),
            settings,
            state: Mutex::default(),
            last_id: AtomicU64::new(0),
            changed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How subscriptions are held.
    pub fn settings(&self) -> &Subscriptions {
        &self.settings
    }

    /// A place for one more subscription or member.
    pub fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        self.open.clone().try_acquire_owned().map_err(|_| {
            Error::new(
                Code::ResourceExhausted,
                "TOO_MANY_SUBSCRIPTIONS",
                format!("{} subscriptions and members are open, which is the limit (subscriptions.max); end some", self.settings.max),
            )
            .with("limit", self.settings.max.to_string())
        })
    }

    /// Adds a subscription. When its route is confirmed already, so is the subscription.
    pub fn add(&self, name: Vec<u8>, shown: &str, route: Route, pattern: Pattern) -> Result<Arc<Subscriber>, Error> {
        let mut guard = self.state();
        let state = &mut *guard;
        if state.closed {
            return Err(super::super::link::gone());
        }
        if let Some((again, cause)) = &state.down {
            return Err(away(cause, *again));
        }
        if state.names.contains_key(&name) {
            return Err(Error::new(
                Code::AlreadyExists,
                "SUBSCRIPTION_IN_USE",
                format!("a subscription {shown:?} is open; choose another id or none, or end it with Unsubscribe"),
            ));
        }
        let id = self.last_id.fetch_add(1, Ordering::Relaxed);
        let subscriber = Subscriber::new(id, name.clone(), route.clone(), pattern, self.settings.buffer, self.settings.buffer_bytes);
        let subscriber = Arc::new(subscriber);
        if state.confirmed.contains(&route) {
            subscriber.confirm();
        }
        state.names.insert(name, subscriber.clone());
        state.routes.entry(route).or_default().push(subscriber.clone());
        drop(guard);
        self.changed.notify_one();
        Ok(subscriber)
    }

    /// Ends a subscription by its name; false when there is none.
    pub fn unsubscribe(&self, name: &[u8]) -> bool {
        let found = self.state().names.get(name).cloned();
        found.is_some_and(|subscriber| self.remove(&subscriber))
    }

    /// Takes a subscription out, if it is still in. Its stream ends behind what is buffered.
    pub fn remove(&self, subscriber: &Subscriber) -> bool {
        let mut guard = self.state();
        let state = &mut *guard;
        let present = state.names.get(&subscriber.name).is_some_and(|other| other.id == subscriber.id);
        if present {
            state.names.remove(&subscriber.name);
            if let Some(listeners) = state.routes.get_mut(&subscriber.route) {
                listeners.retain(|other| other.id != subscriber.id);
                if listeners.is_empty() {
                    state.routes.remove(&subscriber.route);
                }
            }
        }
        drop(guard);
        subscriber.end(None);
        self.changed.notify_one();
        present
    }

    /// Whether anybody listens.
    pub(super) fn is_wanted(&self) -> bool {
        !self.state().routes.is_empty()
    }

    /// The difference between what is wanted and what the connection has.
    pub(super) fn changes(&self) -> Changes {
        let state = self.state();
        Changes {
            add: state.routes.keys().filter(|route| !state.confirmed.contains(*route)).cloned().collect(),
            remove: state.confirmed.iter().filter(|route| !state.routes.contains_key(*route)).cloned().collect(),
        }
    }

    /// Redis has confirmed these routes.
    pub(super) fn confirm(&self, routes: Vec<Route>) {
        let mut guard = self.state();
        let state = &mut *guard;
        for route in routes {
            for subscriber in state.routes.get(&route).into_iter().flatten() {
                subscriber.confirm();
            }
            state.confirmed.insert(route);
        }
    }

    /// Gives those of the routes that nobody listens to even now. Who subscribes to one of them from here on must ask Redis.
    pub(super) fn release(&self, routes: &[Route]) -> Vec<Route> {
        let mut guard = self.state();
        let state = &mut *guard;
        let released: Vec<Route> = routes.iter().filter(|route| !state.routes.contains_key(*route)).cloned().collect();
        for route in &released {
            state.confirmed.remove(route);
        }
        released
    }

    /// There is a new connection, which listens to nothing yet.
    pub(super) fn connected(&self) {
        self.state().down = None;
    }

    /// The connection broke; another one is tried at once.
    pub(super) fn lost(&self) {
        self.state().confirmed.clear();
    }

    /// An attempt to connect failed: `since` when there is no connection, and when the next attempt is made. Subscriptions
    /// that are being opened end with that, all others when their patience is over.
    pub(super) fn disconnected(&self, cause: Error, since: Instant, again: Instant) {
        let lost_patience = since.elapsed() >= *self.settings.patience;
        let mut guard = self.state();
        let state = &mut *guard;
        let ending: Vec<_> = state.names.extract_if(|_, subscriber| lost_patience || !subscriber.is_confirmed()).collect();
        for (_, subscriber) in ending {
            subscriber.end(Some(away(&cause, again)));
            if let Some(listeners) = state.routes.get_mut(&subscriber.route) {
                listeners.retain(|other| other.id != subscriber.id);
            }
        }
        state.routes.retain(|_, listeners| !listeners.is_empty());
        state.down = Some((again, cause));
    }

    /// Ends all subscriptions for good.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.routes.clear();
        for (_, subscriber) in state.names.drain() {
            subscriber.end(Some(super::super::link::gone()));
        }
    }

    /// Gives a message of Redis to those who listen. What nobody can read, because another program published it, is left out.
    pub(super) fn dispatch(&self, message: &Msg) {
        let Ok(channel) = message.get_channel::<Bytes>() else { return };
        let route = if message.from_pattern() { message.get_pattern().map(Route::Glob) } else { message.get_channel().map(Route::Channel) };
        let Ok(route) = route else { return };
        let state = self.state();
        let Some(listeners) = state.routes.get(&route) else { return };
        let Some(message) = decode(&channel, message) else { return };
        for subscriber in listeners {
            if subscriber.pattern.matches(&message.topic) {
                subscriber.offer(&message);
            }
        }
    }
}

/// Between the keyspace and the topic of a channel.
const MARK: &str = "}:topic:";

fn decode(channel: &Bytes, message: &Msg) -> Option<Arc<Message>> {
    // A keyspace's own name has no closing brace, so the first mark is the one.
    let channel = std::str::from_utf8(channel).ok()?;
    let topic = channel.split_once(MARK)?.1.to_owned();
    let payload: Bytes = message.get_payload().ok()?;
    let decoded = Message::decode(payload).ok();
    if decoded.is_none() {
        tracing::debug!(channel, "a message that Prism did not publish was left out");
    }
    decoded.map(|message| Arc::new(Message { topic, ..message }))
}

fn away(cause: &Error, again: Instant) -> Error {
    let wait = again.saturating_duration_since(Instant::now());
    if cause.code() == Code::Unavailable {
        error::lost("Redis can't be reached", wait)
    } else {
        Error::new(cause.code(), cause.reason().to_owned(), cause.message().to_owned())
    }
}
