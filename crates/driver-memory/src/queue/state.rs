//! What the queues of a keyspace hold, and how messages move.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{Notify, futures::OwnedNotified};

use super::super::shared::{OVERHEAD, Shared, attribute_bytes};
use prism_call::proto::models::queue::v1::QueueMessage;
use prism_driver::time::{self, Millis};

/// The attribute that a message in a dead-letter queue has: the queue that it failed in.
pub const SOURCE: &str = "prism-dead-letter-source";

pub struct State {
    shared: Arc<Shared>,
    pub queues: HashMap<Arc<str>, Queue>,
    pub leases: HashMap<u128, Lease>,
    /// The leases in the order in which they end.
    ends: BTreeSet<(Millis, u128)>,
    /// Counts the times that a message became ready or was scheduled; orders them.
    places: u64,
}

#[derive(Default)]
pub struct Queue {
    /// Highest priority first, then in the order in which they became ready.
    pub ready: BTreeMap<Place, Message>,
    /// By the time at which they become ready.
    pub scheduled: BTreeMap<(Millis, u64), Message>,
    pub leased: u64,
    pub dead_letter: Option<DeadLetter>,
    /// One permit for each message that became ready; all are woken when something may become ready sooner.
    changed: Arc<Notify>,
}

pub type Place = (Reverse<u32>, u64);

pub struct Message {
    pub id: String,
    pub payload: Bytes,
    pub attributes: BTreeMap<String, String>,
    pub enqueued: Millis,
    pub attempts: u32,
    pub priority: u32,
}

/// A delivery that has not ended.
pub struct Lease {
    queue: Arc<str>,
    message: Message,
    /// Where the message goes back to.
    place: Place,
    ends: Millis,
}

/// Where failed messages of a queue go.
pub struct DeadLetter {
    pub queue: Arc<str>,
    pub max_attempts: u32,
}

impl State {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, queues: HashMap::new(), leases: HashMap::new(), ends: BTreeSet::new(), places: 0 }
    }

    /// The queue of that name, made if there was none.
    pub fn queue(&mut self, name: &str) -> &mut Queue {
        if !self.queues.contains_key(name) {
            // Forced, because every caller either has reserved a message or moves one; an empty queue is forgotten soon.
            self.shared.force(queue_size(name));
            self.queues.insert(name.into(), Queue::default());
        }
        self.queues.entry(name.into()).or_default()
    }

    /// The queue of that name with what is due by now made ready; `None` if there is none.
    pub fn settled(&mut self, name: &str, now: Millis) -> Option<&mut Queue> {
        let places = &mut self.places;
        let queue = self.queues.get_mut(name)?;
        while queue.scheduled.first_key_value().is_some_and(|((due, _), _)| *due <= now)
            && let Some((_, message)) = queue.scheduled.pop_first()
        {
            *places += 1;
            queue.insert(message, *places);
        }
        Some(queue)
    }

    /// Makes a message ready, at its old place or behind all others.
    pub fn ready(&mut self, name: &str, message: Message, place: Option<Place>, now: Millis) {
        // What was due before it stands before it.
        self.settled(name, now);
        self.places += 1;
        let place = place.map_or(self.places, |(_, place)| place);
        self.queue(name).insert(message, place);
    }

    /// Makes a message ready at a time.
    pub fn schedule(&mut self, name: &str, message: Message, due: Millis) {
        self.places += 1;
        let place = self.places;
        let queue = self.queue(name);
        queue.scheduled.insert((due, place), message);
        if queue.scheduled.first_key_value().is_some_and(|(first, _)| *first == (due, place)) {
            queue.changed.notify_waiters();
        }
    }

    /// Takes the next message out for good.
    pub fn remove_next(&mut self, name: &str, now: Millis) -> Option<QueueMessage> {
        let (_, mut message) = self.settled(name, now)?.ready.pop_first()?;
        message.attempts += 1;
        self.shared.release(message.size());
        Some(message.into_shown())
    }

    /// Takes the next message out on lease.
    pub fn lease_next(&mut self, name: &str, lasts: Duration, now: Millis) -> Option<(QueueMessage, u128, Millis)> {
        let queue = self.settled(name, now)?;
        let (place, mut message) = queue.ready.pop_first()?;
        queue.leased += 1;
        message.attempts += 1;
        let (id, ends) = (rand::random(), time::after(now, lasts));
        let shown = message.shown();
        self.leases.insert(id, Lease { queue: name.into(), message, place, ends });
        self.set_end(id, ends);
        Some((shown, id, ends))
    }

    /// Makes a lease end at another time; false when it has ended.
    pub fn extend(&mut self, id: u128, ends: Millis) -> bool {
        let Some(lease) = self.leases.get_mut(&id) else { return false };
        let before = std::mem::replace(&mut lease.ends, ends);
        self.ends.remove(&(before, id));
        self.set_end(id, ends);
        true
    }

    fn set_end(&mut self, id: u128, ends: Millis) {
        self.ends.insert((ends, id));
        if self.ends.first() == Some(&(ends, id))
            && let Some(lease) = self.leases.get(&id)
            && let Some(queue) = self.queues.get(&lease.queue)
        {
            // Who waits has to wake sooner than planned, for the message comes back here or goes to the dead letters.
            queue.changed.notify_waiters();
            if let Some(other) = queue.dead_letter.as_ref().and_then(|dead_letter| self.queues.get(&dead_letter.queue)) {
                other.changed.notify_waiters();
            }
        }
    }

    /// Ends a lease and removes its message; false when it has ended before.
    pub fn complete(&mut self, id: u128) -> bool {
        let Some(lease) = self.end(id) else { return false };
        self.shared.release(lease.message.size());
        true
    }

    /// Ends a lease and gives its message back, at once or at a time; false when it has ended before.
    pub fn give_back(&mut self, id: u128, due: Option<Millis>, now: Millis) -> bool {
        let Some(Lease { queue, mut message, place, .. }) = self.end(id) else { return false };
        let dead_letter = self.queues.get(&queue).and_then(|queue| queue.dead_letter.as_ref());
        if let Some(target) = dead_letter.filter(|dead_letter| message.attempts >= dead_letter.max_attempts).map(|it| it.queue.clone()) {
            self.shared.release(message.size());
            message.attributes.insert(SOURCE.to_owned(), queue.to_string());
            message.attempts = 0;
            self.shared.force(message.size());
            self.ready(&target, message, None, now);
        } else if let Some(due) = due.filter(|due| *due > now) {
            self.schedule(&queue, message, due);
        } else {
            self.ready(&queue, message, Some(place), now);
        }
        true
    }

    fn end(&mut self, id: u128) -> Option<Lease> {
        let lease = self.leases.remove(&id)?;
        self.ends.remove(&(lease.ends, id));
        if let Some(queue) = self.queues.get_mut(&lease.queue) {
            queue.leased -= 1;
        }
        Some(lease)
    }

    /// Gives back the messages of all leases whose time is over.
    pub fn settle_leases(&mut self, now: Millis) {
        while let Some(&(ends, id)) = self.ends.first()
            && ends <= now
        {
            self.give_back(id, None, now);
        }
    }

    /// Sets or takes away where failed messages of a queue go. The room for it has been reserved.
    pub fn set_dead_letter(&mut self, name: &str, dead_letter: Option<DeadLetter>) {
        let queue = self.queue(name);
        let before = std::mem::replace(&mut queue.dead_letter, dead_letter);
        self.shared.release(before.map_or(0, |before| before.size()));
    }

    /// Resolves when something in the queue changes from now on.
    pub fn waiter(&mut self, name: &str) -> Pin<Box<OwnedNotified>> {
        // The future owns a part of the queue's Notify, which keeps the queue from being forgotten.
        let mut waiter = Box::pin(self.queue(name).changed.clone().notified_owned());
        // Two messages that come at once wake two waiters only if both are registered by then.
        waiter.as_mut().enable();
        waiter
    }

    /// When something may become ready that is not.
    pub fn next_due(&self, name: &str) -> Option<Millis> {
        let scheduled = self.queues.get(name).and_then(|queue| queue.scheduled.first_key_value()).map(|((due, _), _)| *due);
        let lease = self.ends.first().map(|(ends, _)| *ends);
        scheduled.into_iter().chain(lease).min()
    }

    /// Forgets queues in which nothing is, for which nothing is set, and for which nobody waits.
    pub fn forget_empty(&mut self) {
        let shared = &self.shared;
        self.queues.retain(|name, queue| {
            let keep = !queue.ready.is_empty()
                || !queue.scheduled.is_empty()
                || queue.leased > 0
                || queue.dead_letter.is_some()
                || Arc::strong_count(&queue.changed) > 1;
            if !keep {
                shared.release(queue_size(name));
            }
            keep
        });
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let messages = |queue: &Queue| queue.ready.values().chain(queue.scheduled.values()).map(Message::size).sum::<u64>();
        let set = |queue: &Queue| queue.dead_letter.as_ref().map_or(0, DeadLetter::size);
        let queues: u64 = self.queues.iter().map(|(name, queue)| queue_size(name) + messages(queue) + set(queue)).sum();
        let leased: u64 = self.leases.values().map(|lease| lease.message.size()).sum();
        self.shared.release(queues + leased);
    }
}

impl Queue {
    fn insert(&mut self, message: Message, place: u64) {
        self.ready.insert((Reverse(message.priority), place), message);
        self.changed.notify_one();
    }
}

impl Message {
    /// What it counts in the budget.
    pub fn size(&self) -> u64 {
        (self.id.len() + self.payload.len()) as u64 + attribute_bytes(&self.attributes) + OVERHEAD
    }

    /// As clients see it.
    pub fn shown(&self) -> QueueMessage {
        QueueMessage {
            message_id: self.id.clone(),
            payload: self.payload.clone(),
            attributes: self.attributes.clone(),
            enqueue_time: Some(time::timestamp(self.enqueued)),
            delivery_attempt: self.attempts,
            priority: self.priority,
        }
    }

    fn into_shown(self) -> QueueMessage {
        QueueMessage {
            message_id: self.id,
            payload: self.payload,
            attributes: self.attributes,
            enqueue_time: Some(time::timestamp(self.enqueued)),
            delivery_attempt: self.attempts,
            priority: self.priority,
        }
    }
}

impl DeadLetter {
    /// What it counts in the budget.
    pub fn size(&self) -> u64 {
        self.queue.len() as u64 + OVERHEAD
    }
}

fn queue_size(name: &str) -> u64 {
    name.len() as u64 + OVERHEAD
}
