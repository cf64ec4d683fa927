//! Queues in which messages wait for their identities: one for each identity, and one for the dead messages of all.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use prost::Message as _;

use super::{identity::address, settings::MulticastRegistrySettings};
use crate::{
    messaging::{attributes, dead_letters, delays, model::ID_ATTRIBUTE},
    required_interface,
};
use prism_call::{
    Context, Error,
    proto::{
        models::queue::v1::{
            CompleteRequest, ConfigureDeadLetterRequest, DequeueWithTimeoutRequest, EnqueueRequest, ExtendVisibilityRequest,
            GetQueueDepthRequest, LeasedMessage, PeekRequest, QueueBasic, QueueDeadLetter, QueueMessage, QueueVisibility,
        },
        multicast::v1::MessageLease,
        patterns::multicast_registry::v1::{DeadMessage, Message},
    },
};
use prism_slot::{Slot, check, cursor, time};

/// The queue of dead messages. No queue of an identity has this name.
const DEAD: &str = "dead";
/// The attribute with the identity of a message.
const IDENTITY_ATTRIBUTE: &str = "prism-identity";
/// Calls of one request that are in flight.
const CONCURRENCY: usize = 16;
/// Most leases of one Ack.
const MAX_LEASES: u32 = 100;
/// Messages that are set aside at once.
const PAGE: u32 = 100;
/// How long messages are leased that are being set aside.
const SET_ASIDE: Duration = Duration::from_secs(30);

/// The queues of a namespace.
pub struct Mailboxes {
    basic: Arc<dyn QueueBasic>,
    visibility: Arc<dyn QueueVisibility>,
    dead_letter: Arc<dyn QueueDeadLetter>,
    max_attempts: u32,
    retention: Duration,
}

/// What to take from the queue of an identity.
#[derive(Clone, Copy)]
pub struct TakeOptions {
    pub limit: u32,
    pub lease: Duration,
    pub wait: Duration,
}

/// A message on lease.
pub struct Taken {
    pub message: Message,
    /// The lease of the driver.
    pub lease: String,
}

impl Mailboxes {
    pub fn new(slot: &Slot, settings: &MulticastRegistrySettings) -> Result<Self, Error> {
        Ok(Self {
            basic: required_interface(slot, "queue_basic", slot.interfaces.queue_basic.clone())?,
            visibility: required_interface(slot, "queue_visibility", slot.interfaces.queue_visibility.clone())?,
            dead_letter: required_interface(slot, "queue_dead_letter", slot.interfaces.queue_dead_letter.clone())?,
            max_attempts: *settings.max_attempts,
            retention: *settings.retention,
        })
    }

    /// Puts a message into the queue of an identity.
    pub async fn put(
        &self,
        context: &Context,
        identity: &str,
        payload: Bytes,
        mut attributes: BTreeMap<String, String>,
    ) -> Result<(), Error> {
        attributes.insert(IDENTITY_ATTRIBUTE.to_owned(), identity.to_owned());
        self.basic.enqueue(context, EnqueueRequest { queue: address(identity), payload, attributes }).await?;
        Ok(())
    }

    /// Sets where messages of an identity go that were delivered too often.
    pub async fn configure(&self, context: &Context, identity: &str) -> Result<(), Error> {
        let request = ConfigureDeadLetterRequest {
            queue: address(identity),
            dead_letter_queue: DEAD.to_owned(),
            max_delivery_attempts: self.max_attempts,
        };
        self.dead_letter.configure_dead_letter(context, request).await?;
        Ok(())
    }

    /// Takes messages of an identity on lease, the oldest first. Those that have waited too long are set aside. Returns no messages if there is
    /// none after the wait.
    pub async fn take(&self, context: &Context, identity: &str, options: TakeOptions) -> Result<Vec<Taken>, Error> {
        loop {
            let leased = self.dequeue(context, identity, options).await?;
            if leased.is_empty() {
                return Ok(Vec::new());
            }
            let oldest = time::now().saturating_sub(time::ceil_millis(self.retention));
            let (old, new): (Vec<_>, Vec<_>) = leased.into_iter().partition(|leased| enqueued(leased) < oldest);
            self.set_aside(context, old).await?;
            if !new.is_empty() {
                return Ok(new.into_iter().map(|leased| to_taken(identity, leased)).collect());
            }
        }
    }

    async fn dequeue(&self, context: &Context, identity: &str, options: TakeOptions) -> Result<Vec<LeasedMessage>, Error> {
        let TakeOptions { limit, lease, wait } = options;
        let request = DequeueWithTimeoutRequest {
            queue: address(identity),
            visibility_timeout: delays::protobuf(lease),
            limit,
            wait: delays::protobuf(wait).filter(|_| !wait.is_zero()),
        };
        Ok(self.visibility.dequeue_with_timeout(context, request).await?.messages)
    }

    /// Removes messages by the leases of the driver. Returns the number of leases that had not ended.
    pub async fn complete(&self, context: &Context, leases: Vec<String>) -> Result<u32, Error> {
        let complete = |lease: String| self.visibility.complete(context, CompleteRequest { lease });
        let calls: Vec<_> = leases.into_iter().map(complete).collect();
        let mut results = stream::iter(calls).buffer_unordered(CONCURRENCY);
        let mut completed = 0;
        while let Some(result) = results.next().await {
            match result {
                Ok(_) => completed += 1,
                Err(error) if error.reason() == "LEASE_LOST" => {}
                Err(error) => return Err(error),
            }
        }
        Ok(completed)
    }

    /// Extends the leases of messages: they end after this time from now. Leaves out messages whose leases have ended; they are delivered again.
    pub async fn extend(&self, context: &Context, taken: VecDeque<Taken>, lease: Duration) -> Result<VecDeque<Taken>, Error> {
        let extend_one = async |mut taken: Taken| {
            let request = ExtendVisibilityRequest { lease: taken.lease.clone(), visibility_timeout: delays::protobuf(lease) };
            match self.visibility.extend_visibility(context, request).await {
                Ok(extended) => {
                    taken.message.lease_expire_time = extended.lease_expire_time;
                    Ok(Some(taken))
                }
                Err(error) if error.reason() == "LEASE_LOST" => Ok(None),
                Err(error) => Err(error),
            }
        };
        let calls: Vec<_> = taken.into_iter().map(extend_one).collect();
        let extended: Vec<Option<Taken>> = stream::iter(calls).buffered(CONCURRENCY).try_collect().await?;
        Ok(extended.into_iter().flatten().collect())
    }

    /// Acknowledges messages by the leases of the pattern.
    ///
    /// Errors: `INVALID_ARGUMENT INVALID_LEASE`, `INVALID_ARGUMENT BATCH_SIZE`.
    pub async fn ack(&self, context: &Context, identity: &str, leases: &[String]) -> Result<u32, Error> {
        check::count("leases", leases.len(), MAX_LEASES)?;
        let leases = leases.iter().map(|lease| decode(identity, lease)).collect::<Result<Vec<_>, _>>()?;
        self.complete(context, leases).await
    }

    /// Sets a page of the messages aside that wait for an identity. Returns how many there were.
    pub async fn set_aside_page(&self, context: &Context, identity: &str) -> Result<u64, Error> {
        let options = TakeOptions { limit: PAGE, lease: SET_ASIDE, wait: Duration::ZERO };
        let leased = self.dequeue(context, identity, options).await?;
        let count = leased.len() as u64;
        self.set_aside(context, leased).await?;
        Ok(count)
    }

    /// Whether the queue of an identity has no messages. It has some as long as a receiver has leases.
    pub async fn is_empty(&self, context: &Context, identity: &str) -> Result<bool, Error> {
        let depth = self.basic.get_queue_depth(context, GetQueueDepthRequest { queue: address(identity) }).await?;
        Ok(depth.ready == 0 && depth.leased == 0 && depth.scheduled == 0)
    }

    /// Moves leased messages to the queue of dead messages. One that can't be moved is delivered again after its lease.
    async fn set_aside(&self, context: &Context, leased: Vec<LeasedMessage>) -> Result<(), Error> {
        let move_one = async |leased: LeasedMessage| {
            let QueueMessage { payload, attributes, .. } = leased.message.unwrap_or_default();
            self.basic.enqueue(context, EnqueueRequest { queue: DEAD.to_owned(), payload, attributes }).await?;
            match self.visibility.complete(context, CompleteRequest { lease: leased.lease }).await {
                Err(error) if error.reason() != "LEASE_LOST" => Err(error),
                _ => Ok(()),
            }
        };
        let calls: Vec<_> = leased.into_iter().map(move_one).collect();
        stream::iter(calls).buffer_unordered(CONCURRENCY).try_collect().await
    }

    /// Shows dead messages.
    pub async fn list_dead(&self, context: &Context, limit: u32) -> Result<Vec<DeadMessage>, Error> {
        let messages = self.basic.peek(context, PeekRequest { queue: DEAD.to_owned(), limit }).await?.messages;
        let to_dead = |mut message: QueueMessage| {
            let identity = message.attributes.remove(IDENTITY_ATTRIBUTE).unwrap_or_default();
            DeadMessage { identity, message: Some(Message { attempt: 0, ..to_message(message) }) }
        };
        Ok(messages.into_iter().map(to_dead).collect())
    }

    /// Removes dead messages. Returns how many.
    pub async fn discard_dead(&self, context: &Context, limit: u32) -> Result<u64, Error> {
        dead_letters::discard_from(&*self.basic, context, DEAD, limit).await
    }
}

fn enqueued(leased: &LeasedMessage) -> time::Millis {
    leased.message.as_ref().and_then(|message| message.enqueue_time.as_ref()).map_or(time::Millis::MAX, time::millis)
}

fn to_taken(identity: &str, leased: LeasedMessage) -> Taken {
    let LeasedMessage { message, lease, lease_expire_time } = leased;
    let token = MessageLease { lease: lease.clone() };
    let message = to_message(message.unwrap_or_default());
    Taken { message: Message { lease: cursor::seal(&scope(identity), &token.encode_to_vec()), lease_expire_time, ..message }, lease }
}

fn to_message(message: QueueMessage) -> Message {
    let QueueMessage { message_id, payload, attributes: mut headers, enqueue_time, delivery_attempt, .. } = message;
    let id = headers.remove(ID_ATTRIBUTE).unwrap_or(message_id);
    attributes::remove_reserved(&mut headers);
    Message { id, payload, headers, publish_time: enqueue_time, attempt: delivery_attempt, ..Message::default() }
}

fn decode(identity: &str, lease: &str) -> Result<String, Error> {
    let decoded = cursor::open(&scope(identity), lease).ok().flatten().and_then(|bytes| MessageLease::decode(&bytes[..]).ok());
    let lease = decoded.map(|lease| lease.lease).filter(|lease| !lease.is_empty());
    lease.ok_or_else(|| {
        Error::invalid("leases", "has an item that is not a lease of this identity; send leases exactly as they were received")
            .with_reason("INVALID_LEASE")
    })
}

fn scope(identity: &str) -> String {
    format!("multicast-lease:{identity}")
}
