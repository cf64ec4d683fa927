//! An outbox: messages that a transaction stores together with its other writes, and that a relay publishes afterwards.
//!
//! # Behavior
//! - A waiting message is an entry of the keyspace of the transaction, so a driver needs to know nothing but `keyvalue_transactional`. Its key
//!   is no UTF-8 text, so no call of the pattern reaches it.
//! - One gateway publishes at a time: the one that holds the lease in the same keyspace.
//! - Every message is published at least once, and has the same id each time. The messages of a topic with the same key are published in the
//!   order of their transactions, as far as one of these saw the other or ended before it.
//! - The number of waiting messages is bounded; beyond it, transactions with messages are refused.

mod backlog;
mod lease;
mod order;
mod relay;
mod retries;
mod settings;
#[cfg(test)]
mod tests;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use prost::Message as _;

pub use self::settings::OutboxSettings;
use self::{
    backlog::{Backlog, Reservation},
    lease::Lease,
    order::{EntryKey, RESERVED, lane_of},
    relay::Relay,
};
use crate::{
    PatternEnvironment, Slots,
    messaging::{attributes, model::Model, names},
    producer::{MODELS, target::Target},
    required_interface,
};
use prism_call::{
    Context, Error, OutboxMeters,
    proto::{messaging::v1::OutboxEntry, models::keyvalue::v1::SetOperation},
};
use prism_slot::{Limits, Slot, check, id, time};

/// The slot that turns the outbox on.
pub const SLOT: &str = "messaging";
/// Longest key of a message.
const MAX_KEY_BYTES: u64 = 1024;
/// Where the keys of outboxes begin: every UTF-8 text is before it. It is the exclusive end of ranges that have no other one.
pub const FIRST_KEY: Bytes = Bytes::from_static(b"\xffoutbox/");

/// What the outbox of a pattern needs of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct OutboxRequirements {
    /// The slot that turns it on.
    pub slot: &'static str,
    /// The slot with the transactions.
    pub storage: &'static str,
    /// The interfaces that the backend in `storage` must have.
    pub interfaces: [&'static str; 4],
}

/// Returns what the outbox of a pattern needs; `None`: the pattern has none.
pub fn outbox_requirements(pattern: &str) -> Option<OutboxRequirements> {
    let interfaces = ["keyvalue_basic", "keyvalue_scan", "keyvalue_ttl", "keyvalue_transactional"];
    let storage = match pattern {
        "keyvalue" => "storage",
        "session-store" => "sessions",
        _ => return None,
    };
    Some(OutboxRequirements { slot: SLOT, storage, interfaces })
}

/// Whether a key belongs to an outbox.
pub fn is_reserved(key: &[u8]) -> bool {
    key.first() == Some(&RESERVED)
}

/// Stores the messages of transactions.
pub struct Outbox {
    backlog: Arc<Backlog>,
    /// The limits of a message: the tightest of both backends and the namespace.
    limits: Limits,
    /// Most bytes of an entry.
    max_entry_bytes: u64,
    /// An event was dropped since the last one that was not.
    has_dropped: AtomicBool,
    meters: Option<OutboxMeters>,
}

/// What the messages of one transaction have in common.
pub struct TransactionStamp {
    millis: u64,
    transaction: u64,
}

impl TransactionStamp {
    pub fn new() -> Self {
        Self { millis: u64::try_from(time::now()).unwrap_or_default(), transaction: id::random_number() }
    }
}

impl Outbox {
    /// Opens the outbox of a namespace, if its slot `messaging` is filled, and begins to publish.
    pub fn open(
        slots: &mut Slots<'_>,
        storage: &Slot,
        settings: OutboxSettings,
        environment: &PatternEnvironment,
    ) -> Result<Option<Self>, Error> {
        let Some(messaging) = slots.optional(SLOT) else { return Ok(None) };
        let model = Model::choose(settings.model, &messaging, &MODELS)?;
        slots.restrict(SLOT, |interface| model.uses(interface));
        let interfaces = &storage.interfaces;
        let basic = required_interface(storage, "keyvalue_basic", interfaces.keyvalue_basic.clone())?;
        let scan = required_interface(storage, "keyvalue_scan", interfaces.keyvalue_scan.clone())?;
        required_interface(storage, "keyvalue_ttl", interfaces.keyvalue_ttl.clone())?;
        let transactional = required_interface(storage, "keyvalue_transactional", interfaces.keyvalue_transactional.clone())?;
        let context = Context::internal(environment.namespace.clone());
        let backlog = Arc::new(Backlog::new(scan.clone(), *settings.max_backlog));
        let relay = Relay {
            lease: Lease::new(transactional, context.clone(), *settings.lease),
            basic,
            scan,
            target: Target::new(model, &messaging)?,
            backlog: backlog.clone(),
            context,
            lifetime: *settings.lease,
            poll_interval: *settings.poll_interval,
            meters: environment.outbox_meters.clone(),
        };
        // It ends by itself, because it gives its lease back.
        environment.tasks.tracker().spawn(relay.run(environment.tasks.clone()));
        let max_value_bytes = messaging.limits.max_value_bytes.min(environment.limits.max_message_bytes as u64);
        let limits = Limits { max_key_bytes: MAX_KEY_BYTES, max_value_bytes, ..messaging.limits };
        Ok(Some(Self {
            backlog,
            limits,
            max_entry_bytes: storage.limits.max_value_bytes,
            has_dropped: AtomicBool::new(false),
            meters: environment.outbox_meters.clone(),
        }))
    }

    /// Checks a message, and returns the operation that stores it, and its id. `path` is the path of the message in the request, with a dot at
    /// its end, and `index` its place among the messages of the transaction.
    pub fn store(
        &self,
        path: &str,
        stamp: &TransactionStamp,
        index: usize,
        mut message: OutboxEntry,
    ) -> Result<(SetOperation, String), Error> {
        self.check(&message).map_err(|error| at_path(error, path))?;
        let &TransactionStamp { millis, transaction } = stamp;
        let index = u16::try_from(index).map_err(|_| Error::internal("a transaction has too many messages"))?;
        let key = EntryKey { lane: lane_of(&message.topic, &message.key), millis, transaction, index };
        if message.id.is_empty() {
            message.id = key.to_id();
        }
        let value = message.encode_to_vec();
        if value.len() as u64 > self.max_entry_bytes {
            let problem =
                format!("the message would have {} bytes with its headers; the storage allows {}", value.len(), self.max_entry_bytes);
            return Err(Error::invalid(format!("{path}payload"), problem)
                .with_reason("VALUE_TOO_LARGE")
                .with("limit", self.max_entry_bytes.to_string()));
        }
        Ok((SetOperation { key: key.encode(), value: value.into(), ttl: None, flags: 0 }, message.id))
    }

    fn check(&self, message: &OutboxEntry) -> Result<(), Error> {
        let OutboxEntry { topic, key, payload, headers, id } = message;
        names::topic(topic)?;
        check::key_bound(&self.limits, "key", key.as_bytes())?;
        check::value(&self.limits, "payload", payload)?;
        attributes::check("headers", "INVALID_HEADERS", headers)?;
        if id.is_empty() { Ok(()) } else { names::id(id) }
    }

    /// Makes room for the messages of a transaction. The end of the reservation, which is that of the transaction, wakes the relay.
    ///
    /// Errors: `RESOURCE_EXHAUSTED OUTBOX_FULL`.
    pub async fn reserve(&self, context: &Context, messages: usize) -> Result<Reservation<'_>, Error> {
        self.backlog.reserve(context, messages).await
    }

    /// Makes room for the message of a transaction that must be done even if there is none. `None`: the reserved part of the backlog is full too,
    /// so the transaction has to go without its message. This is counted, and the first time is logged.
    pub async fn reserve_or_drop(&self, context: &Context) -> Result<Option<Reservation<'_>>, Error> {
        match self.backlog.reserve_urgent(context).await {
            Ok(reservation) => {
                self.has_dropped.store(false, Ordering::Relaxed);
                Ok(Some(reservation))
            }
            Err(error) if error.reason() == "OUTBOX_FULL" => {
                if let Some(meters) = &self.meters {
                    meters.count_dropped();
                }
                if !self.has_dropped.swap(true, Ordering::Relaxed) {
                    tracing::error!(namespace = %context.namespace, "events of the outbox are missing from now on, because it is full; `prism_outbox_dropped_total` counts them");
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Names the message in an error: the field `topic` becomes `then_operations[2].publish.topic`.
fn at_path(error: Error, path: &str) -> Error {
    let Some(violation) = error.violations().first() else { return error };
    let named = Error::invalid(format!("{path}{}", violation.field), violation.description.clone());
    let named = named.with_code(error.code()).with_reason(error.reason().to_owned());
    error.metadata().fold(named, |named, (key, value)| named.with(key.to_owned(), value))
}
