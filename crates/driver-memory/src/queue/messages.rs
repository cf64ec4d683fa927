//! The messages and leases of all queues of a keyspace, and how messages move between states and queues.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{Notify, futures::OwnedNotified};

use crate::state::{OVERHEAD, SharedState, attribute_bytes};
use prism_call::proto::models::queue::v1::QueueMessage;
use prism_driver::{
    id,
    queue::DEAD_LETTER_SOURCE,
    time::{self, Millis},
};

/// The queues and leases of one keyspace. One lock is held around it.
pub struct QueueState {
    shared: Arc<SharedState>,
    pub queues: HashMap<Arc<str>, Queue>,
    pub leases: HashMap<u128, Lease>,
    /// The leases by the time at which they expire.
    expirations: BTreeSet<(Millis, u128)>,
    /// The last sequence number. A message gets a new one whenever it becomes ready or is scheduled.
    last_sequence: u64,
}

#[derive(Default)]
pub struct Queue {
    /// Highest priority first, then in the order in which the messages became ready.
    pub ready: BTreeMap<ReadyPosition, Message>,
    /// By delivery time and sequence number.
    pub scheduled: BTreeMap<(Millis, u64), Message>,
    /// Number of leased messages.
    pub leased: u64,
    pub dead_letter: Option<DeadLetterTarget>,
    /// Wakes one waiting call for each message that becomes ready, and all of them when a message may become ready sooner.
    changed: Arc<Notify>,
}

/// The position of a ready message: priority and sequence number.
pub type ReadyPosition = (Reverse<u32>, u64);

/// A message in a queue.
pub struct Message {
    pub id: String,
    pub payload: Bytes,
    pub attributes: BTreeMap<String, String>,
    pub enqueued: Millis,
    /// Number of deliveries so far.
    pub attempts: u32,
    pub priority: u32,
}

/// A delivery that was neither completed nor released and has not expired.
pub struct Lease {
    queue: Arc<str>,
    message: Message,
    /// The position to which the message returns.
    position: ReadyPosition,
    expires: Millis,
}

/// The dead-letter queue of a queue.
pub struct DeadLetterTarget {
    pub queue: Arc<str>,
    /// Number of deliveries after which a message has failed.
    pub max_attempts: u32,
}

impl QueueState {
    pub fn new(shared: Arc<SharedState>) -> Self {
        Self { shared, queues: HashMap::new(), leases: HashMap::new(), expirations: BTreeSet::new(), last_sequence: 0 }
    }

    /// The queue with a name; creates it if it does not exist.
    pub fn queue(&mut self, name: &str) -> &mut Queue {
        if !self.queues.contains_key(name) {
            // Without the limit: every caller has reserved a message or moves one, and an empty queue is removed soon.
            self.shared.reserve_unchecked(queue_size(name));
            self.queues.insert(name.into(), Queue::default());
        }
        self.queues.entry(name.into()).or_default()
    }

    /// The queue with a name, after scheduled messages that are due have become ready; `None` if it does not exist.
    pub fn queue_at(&mut self, name: &str, now: Millis) -> Option<&mut Queue> {
        let last_sequence = &mut self.last_sequence;
        let queue = self.queues.get_mut(name)?;
        while queue.scheduled.first_key_value().is_some_and(|((due, _), _)| *due <= now)
            && let Some((_, message)) = queue.scheduled.pop_first()
        {
            *last_sequence += 1;
            queue.insert(message, *last_sequence);
        }
        Some(queue)
    }

    /// Makes a message ready, at its former position or after all others of its priority.
    pub fn make_ready(&mut self, name: &str, message: Message, former: Option<ReadyPosition>, now: Millis) {
        // Messages that were due earlier come before it.
        self.queue_at(name, now);
        self.last_sequence += 1;
        let sequence = former.map_or(self.last_sequence, |(_, sequence)| sequence);
        self.queue(name).insert(message, sequence);
    }

    /// Schedules a message, which becomes ready when it is due.
    pub fn schedule(&mut self, name: &str, message: Message, due: Millis) {
        self.last_sequence += 1;
        let sequence = self.last_sequence;
        let queue = self.queue(name);
        queue.scheduled.insert((due, sequence), message);
        if queue.scheduled.first_key_value().is_some_and(|(first, _)| *first == (due, sequence)) {
            queue.changed.notify_waiters();
        }
    }

    /// Removes and returns the next message.
    pub fn remove_next(&mut self, name: &str, now: Millis) -> Option<QueueMessage> {
        let (_, mut message) = self.queue_at(name, now)?.ready.pop_first()?;
        message.attempts += 1;
        self.shared.release(message.size());
        Some(message.into_proto())
    }

    /// Leases the next message. Returns it with the id of the lease and the time at which the lease expires.
    pub fn lease_next(&mut self, name: &str, duration: Duration, now: Millis) -> Option<(QueueMessage, u128, Millis)> {
        let queue = self.queue_at(name, now)?;
        let (position, mut message) = queue.ready.pop_first()?;
        queue.leased += 1;
        message.attempts += 1;
        let (id, expires) = (id::random(), time::after(now, duration));
        let delivered = message.to_proto();
        self.leases.insert(id, Lease { queue: name.into(), message, position, expires });
        self.add_expiration(id, expires);
        Some((delivered, id, expires))
    }

    /// Changes the time at which a lease expires. Returns false if the lease has ended.
    pub fn extend_lease(&mut self, id: u128, expires: Millis) -> bool {
        let Some(lease) = self.leases.get_mut(&id) else { return false };
        let before = std::mem::replace(&mut lease.expires, expires);
        self.expirations.remove(&(before, id));
        self.add_expiration(id, expires);
        true
    }

    fn add_expiration(&mut self, id: u128, expires: Millis) {
        self.expirations.insert((expires, id));
        if self.expirations.first() == Some(&(expires, id))
            && let Some(lease) = self.leases.get(&id)
            && let Some(queue) = self.queues.get(&lease.queue)
        {
            // Waiting calls must wake earlier than planned: the message returns to this queue or goes to the dead-letter queue.
            queue.changed.notify_waiters();
            if let Some(other) = queue.dead_letter.as_ref().and_then(|dead_letter| self.queues.get(&dead_letter.queue)) {
                other.changed.notify_waiters();
            }
        }
    }

    /// Ends a lease and removes its message. Returns false if the lease has ended before.
    pub fn complete(&mut self, id: u128) -> bool {
        let Some(lease) = self.end_lease(id) else { return false };
        self.shared.release(lease.message.size());
        true
    }

    /// Ends a lease and returns its message to the queue, where it becomes ready when it is due. A message that has failed
    /// goes to the dead-letter queue instead. Returns false if the lease has ended before.
    pub fn release(&mut self, id: u128, due: Millis, now: Millis) -> bool {
        let Some(Lease { queue, mut message, position, .. }) = self.end_lease(id) else { return false };
        let dead_letter = self.queues.get(&queue).and_then(|queue| queue.dead_letter.as_ref());
        if let Some(target) = dead_letter.filter(|target| message.attempts >= target.max_attempts).map(|target| target.queue.clone()) {
            self.shared.release(message.size());
            message.attributes.insert(DEAD_LETTER_SOURCE.to_owned(), queue.to_string());
            message.attempts = 0;
            self.shared.reserve_unchecked(message.size());
            self.make_ready(&target, message, None, now);
        } else if due > now {
            self.schedule(&queue, message, due);
        } else {
            self.make_ready(&queue, message, Some(position), now);
        }
        true
    }

    fn end_lease(&mut self, id: u128) -> Option<Lease> {
        let lease = self.leases.remove(&id)?;
        self.expirations.remove(&(lease.expires, id));
        if let Some(queue) = self.queues.get_mut(&lease.queue) {
            queue.leased -= 1;
        }
        Some(lease)
    }

    /// Releases the messages of all leases that have expired.
    pub fn expire_leases(&mut self, now: Millis) {
        while let Some(&(expires, id)) = self.expirations.first()
            && expires <= now
        {
            self.release(id, now, now);
        }
    }

    /// Sets or removes the dead-letter queue of a queue. The caller has reserved its bytes.
    pub fn set_dead_letter(&mut self, name: &str, dead_letter: Option<DeadLetterTarget>) {
        let queue = self.queue(name);
        let before = std::mem::replace(&mut queue.dead_letter, dead_letter);
        self.shared.release(before.map_or(0, |before| before.size()));
    }

    /// A future that resolves when something in the queue changes after this call.
    pub fn wait_for_change(&mut self, name: &str) -> Pin<Box<OwnedNotified>> {
        // The future shares ownership of the Notify, so remove_unused keeps the queue.
        let mut waiter = Box::pin(self.queue(name).changed.clone().notified_owned());
        // Registers it now: two messages that arrive at the same time wake two waiters only if both are registered.
        waiter.as_mut().enable();
        waiter
    }

    /// The next time at which a message of the queue may become ready.
    pub fn next_due(&self, name: &str) -> Option<Millis> {
        let scheduled = self.queues.get(name).and_then(|queue| queue.scheduled.first_key_value()).map(|((due, _), _)| *due);
        let lease = self.expirations.first().map(|(expires, _)| *expires);
        scheduled.into_iter().chain(lease).min()
    }

    /// Removes queues that have no messages, no dead-letter queue and no waiting calls.
    pub fn remove_unused(&mut self) {
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

impl Drop for QueueState {
    fn drop(&mut self) {
        let messages = |queue: &Queue| queue.ready.values().chain(queue.scheduled.values()).map(Message::size).sum::<u64>();
        let target = |queue: &Queue| queue.dead_letter.as_ref().map_or(0, DeadLetterTarget::size);
        let queues: u64 = self.queues.iter().map(|(name, queue)| queue_size(name) + messages(queue) + target(queue)).sum();
        let leased: u64 = self.leases.values().map(|lease| lease.message.size()).sum();
        self.shared.release(queues + leased);
    }
}

impl Queue {
    fn insert(&mut self, message: Message, sequence: u64) {
        self.ready.insert((Reverse(message.priority), sequence), message);
        self.changed.notify_one();
    }
}

impl Message {
    /// Bytes that it counts towards `max_bytes`.
    pub fn size(&self) -> u64 {
        (self.id.len() + self.payload.len()) as u64 + attribute_bytes(&self.attributes) + OVERHEAD
    }

    pub fn to_proto(&self) -> QueueMessage {
        QueueMessage {
            message_id: self.id.clone(),
            payload: self.payload.clone(),
            attributes: self.attributes.clone(),
            enqueue_time: Some(time::timestamp(self.enqueued)),
            delivery_attempt: self.attempts,
            priority: self.priority,
        }
    }

    fn into_proto(self) -> QueueMessage {
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

impl DeadLetterTarget {
    /// Bytes that it counts towards `max_bytes`.
    pub fn size(&self) -> u64 {
        self.queue.len() as u64 + OVERHEAD
    }
}

fn queue_size(name: &str) -> u64 {
    name.len() as u64 + OVERHEAD
}
