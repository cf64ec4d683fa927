//! PubSub over notifications. A message travels in the text of its notification, as base64; one that is too large for that is in the table
//! `large_messages` for a minute, and its notification has its id.

mod basic;
mod durable;
mod filtering;
mod ordering;
mod persistent;
mod wildcards;

use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt as _, stream};
use prost::Message as _;
use tokio_postgres::types::Type;

use crate::{
    database::Database,
    error,
    keyspace::KeyspaceHandle,
    notifications::{MAX_TEXT_BYTES, large_message_text, message_text, sequence_text},
    sql::Sql,
};
use prism_call::{
    Context, Error, Messages,
    proto::{
        Interfaces,
        models::pubsub::v1::{Message, Subscribed},
    },
};
use prism_driver::{
    check, id,
    pubsub::{Filter, SubscriptionEvent},
    time,
};

/// Bytes that a sequence may add to the text of a message.
const SEQUENCE_BYTES: usize = 21;

static NOTIFY: Sql = Sql { text: "SELECT pg_notify($1, $2)", types: &[Type::TEXT, Type::TEXT] };

/// Stores a message and notifies in one transaction, which need not wait for the disk.
static STORE_AND_NOTIFY: Sql = Sql {
    text: "WITH stored AS (INSERT INTO {schema}.large_messages (id, message) VALUES ($3, $4) RETURNING id)
           SELECT pg_notify($1, $2), set_config('synchronous_commit', 'off', true) FROM stored",
    types: &[Type::TEXT, Type::TEXT, Type::INT8, Type::BYTEA],
};

/// Removes at most 64 MiB of messages, or one larger message, because a large message is thousands of rows for the server. Returns the number
/// of rows that were removed from one of the tables.
static SWEEP: Sql = Sql {
    text: "WITH old AS MATERIALIZED (
               SELECT id, octet_length(message) AS size FROM {schema}.large_messages
               WHERE published < statement_timestamp() - interval '1 minute' LIMIT 100 FOR UPDATE SKIP LOCKED),
           removable AS MATERIALIZED (
               SELECT id FROM (SELECT id, sum(size) OVER (ORDER BY id) - size AS before FROM old) AS sized WHERE before < 67108864),
           unused AS MATERIALIZED (
               SELECT keyspace, topic, ordering_key FROM {schema}.ordering_keys WHERE used < statement_timestamp() - interval '25 hours'
               LIMIT 1000 FOR UPDATE SKIP LOCKED),
           removed AS (DELETE FROM {schema}.large_messages AS message USING removable WHERE message.id = removable.id),
           forgotten AS (
               DELETE FROM {schema}.ordering_keys AS line USING unused
               WHERE line.keyspace = unused.keyspace AND line.topic = unused.topic AND line.ordering_key = unused.ordering_key)
           SELECT greatest((SELECT count(*) FROM removable), (SELECT count(*) FROM unused))",
    types: &[],
};

/// The pub/sub interfaces over one keyspace.
pub struct PubSub {
    keyspace: Arc<KeyspaceHandle>,
}

/// Adds the pub/sub interfaces to those of a keyspace.
pub fn add(keyspace: &Arc<KeyspaceHandle>, interfaces: &mut Interfaces) {
    let pubsub = Arc::new(PubSub { keyspace: keyspace.clone() });
    interfaces.pubsub_basic = Some(pubsub.clone());
    interfaces.pubsub_wildcards = Some(pubsub.clone());
    interfaces.pubsub_filtering = Some(pubsub.clone());
    interfaces.pubsub_persistent = Some(pubsub.clone());
    interfaces.pubsub_ordering = Some(pubsub);
}

/// Removes large messages that all gateways had time to read, and numbers of ordering keys that were not used for a day.
pub async fn sweep(database: &Database, context: &Context) -> Result<(), Error> {
    while database.query_optional(context, &SWEEP, &[]).await?.is_some_and(|row| row.get::<_, i64>(0) > 0) {}
    Ok(())
}

/// A message as a notification.
struct EncodedMessage {
    /// `m` for a message, `l` for the id of one in the table.
    kind: char,
    text: String,
    /// The id and the message for the table.
    large: Option<(i64, Vec<u8>)>,
}

impl EncodedMessage {
    fn new(message: &Message) -> Self {
        let encoded = message.encode_to_vec();
        let text = message_text(&encoded);
        if text.len() + 1 + SEQUENCE_BYTES <= MAX_TEXT_BYTES {
            return Self { kind: 'm', text, large: None };
        }
        let id = id::random_number().cast_signed();
        Self { kind: 'l', text: large_message_text(id, &message.topic), large: Some((id, encoded)) }
    }

    /// The whole text, for a message without a sequence or with its own one.
    fn complete_text(&self) -> String {
        format!("{}{}", sequence_text(self.kind, 0), self.text)
    }
}

impl PubSub {
    /// Checks the fields that every request to publish has, and makes a message.
    fn new_message(&self, topic: String, payload: bytes::Bytes, attributes: BTreeMap<String, String>) -> Result<Message, Error> {
        check::topic("topic", &topic)?;
        check::value(&self.keyspace.limits, "payload", &payload)?;
        check::attributes(&attributes)?;
        Ok(Message { topic, payload, attributes, publish_time: Some(time::timestamp(time::now())), ..Message::default() })
    }

    /// Sends a message to the subscribers on all gateways.
    async fn send(&self, context: &Context, message: &Message) -> Result<(), Error> {
        let channel = self.keyspace.notifications.channel(self.keyspace.id(context).await?);
        let encoded = EncodedMessage::new(message);
        let (database, text) = (&self.keyspace.database, encoded.complete_text());
        match &encoded.large {
            None => database.query(context, &NOTIFY, &[&channel, &text]).await?,
            Some((id, message)) => database.query(context, &STORE_AND_NOTIFY, &[&channel, &text, id, message]).await?,
        };
        Ok(())
    }

    /// Subscribes to a checked topic or pattern. Returns the stream when the gateway listens.
    async fn subscribe_to<T>(&self, context: &Context, pattern: &str, filter: Filter, id: String) -> Result<Messages<T>, Error>
    where
        T: From<SubscriptionEvent> + Send + 'static,
    {
        check::optional_name("subscription", &id)?;
        let keyspace = self.keyspace.id(context).await?;
        let id = if id.is_empty() { id::random_text() } else { id };
        let subscription = self.keyspace.notifications.subscribe(keyspace, &id, pattern, filter)?;
        let database = &self.keyspace.database;
        let confirmed = tokio::time::timeout(database.time_limit(context), subscription.subscriber().confirmed()).await;
        confirmed.map_err(|_| error::unavailable("PostgreSQL did not confirm the subscription in time", database.retry_after()))??;
        let first = T::from(SubscriptionEvent::Subscribed(Subscribed { subscription: id }));
        let events = stream::try_unfold(subscription, |subscription| async move {
            Ok(subscription.subscriber().next().await?.map(|event| (T::from(event), subscription)))
        });
        Ok(stream::iter([Ok(first)]).chain(events).boxed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_message_goes_to_the_table() {
        for (bytes, kind) in [(0, 'm'), (5000, 'm'), (6000, 'l'), (1 << 20, 'l')] {
            let message = Message { topic: "t".repeat(200), payload: vec![0; bytes].into(), ..Message::default() };
            let encoded = EncodedMessage::new(&message);
            assert_eq!((encoded.kind, encoded.large.is_some()), (kind, kind == 'l'), "{bytes}");
            assert!(encoded.complete_text().len() + 20 <= MAX_TEXT_BYTES);
        }
    }
}
