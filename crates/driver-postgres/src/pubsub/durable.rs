//! Statements on the table `durable_subscriptions`, and the stream of a durable subscription.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use tokio::sync::OwnedSemaphorePermit;
use tokio_postgres::types::Type;

use crate::{
    columns::unsigned,
    database::Parameters,
    error,
    keyspace::KeyspaceHandle,
    notifications::{Topic, Waiter},
    sql::Sql,
    stream::Log,
};
use prism_call::{
    Context, Error, Messages,
    proto::models::{
        pubsub::v1::{Gap, Message, StartPosition, SubscribeDurableResponse, Subscribed},
        stream::v1::Record,
    },
};
use prism_driver::pubsub::{SubscriptionEvent, durable_subscription_not_found};

/// Most messages of a page.
const PAGE_ROWS: i64 = 256;

static FIND: Sql = Sql {
    text: "SELECT durable.id, durable.position FROM {schema}.streams AS log
           JOIN {schema}.durable_subscriptions AS durable ON durable.stream = log.id
           WHERE log.keyspace = $1 AND log.kind = $2 AND log.name = $3 AND durable.name = $4",
    types: &[Type::INT8, Type::INT2, Type::TEXT, Type::TEXT],
};

static CREATE: Sql = Sql {
    text: "INSERT INTO {schema}.durable_subscriptions (stream, name, position)
           SELECT id, $4, CASE WHEN $5 IS NOT NULL THEN $5 WHEN $6 THEN expired_to ELSE next_offset END
           FROM {schema}.streams WHERE keyspace = $1 AND kind = $2 AND name = $3
           ON CONFLICT DO NOTHING",
    types: &[Type::INT8, Type::INT2, Type::TEXT, Type::TEXT, Type::INT8, Type::BOOL],
};

/// Moves a subscription forward. No row: there is no such subscription.
static ACKNOWLEDGE: Sql = Sql {
    text: "WITH found AS MATERIALIZED (
               SELECT durable.id FROM {schema}.streams AS log JOIN {schema}.durable_subscriptions AS durable ON durable.stream = log.id
               WHERE log.keyspace = $1 AND log.kind = $2 AND log.name = $3 AND durable.name = $4),
           moved AS (
               UPDATE {schema}.durable_subscriptions AS durable SET position = $5 FROM found
               WHERE durable.id = found.id AND durable.position < $5)
           SELECT 1 FROM found",
    types: &[Type::INT8, Type::INT2, Type::TEXT, Type::TEXT, Type::INT8],
};

static DELETE: Sql = Sql {
    text: "DELETE FROM {schema}.durable_subscriptions AS durable USING {schema}.streams AS log
           WHERE durable.stream = log.id AND log.keyspace = $1 AND log.kind = $2 AND log.name = $3 AND durable.name = $4 RETURNING 1",
    types: &[Type::INT8, Type::INT2, Type::TEXT, Type::TEXT],
};

static EXISTS: Sql = Sql { text: "SELECT 1 FROM {schema}.durable_subscriptions WHERE id = $1", types: &[Type::INT8] };

/// The name of a durable subscription.
pub struct DurableName {
    pub log: Log,
    pub name: String,
}

impl DurableName {
    /// What changes when the subscription is deleted.
    fn topic(&self) -> Topic {
        Topic::new("durable", &[&self.log.name, &self.name])
    }

    pub fn not_found(&self) -> Error {
        durable_subscription_not_found(&self.log.name, &self.name)
    }

    /// Finds the subscription, or creates it: after the offset, if there is one, else at the start. Returns its id and the first offset that was
    /// not acknowledged.
    async fn open(
        &self,
        handle: &KeyspaceHandle,
        context: &Context,
        after: Option<i64>,
        start: StartPosition,
    ) -> Result<(i64, i64), Error> {
        let Log { keyspace, kind, name, .. } = &self.log;
        let kind = *kind as i16;
        let find: Parameters<'_> = &[keyspace, &kind, name, &self.name];
        let mut row = handle.database.query_optional(context, &FIND, find).await?;
        if row.is_none() {
            self.log.open(handle, context).await?;
            let (position, is_earliest) = (after.map(|after| after + 1), start == StartPosition::Earliest);
            let create: Parameters<'_> = &[keyspace, &kind, name, &self.name, &position, &is_earliest];
            let [_, rows] = handle.database.query_two(context, (&CREATE, create), (&FIND, find)).await?;
            row = rows.into_iter().next();
        }
        row.map(|row| (row.get(0), row.get(1))).ok_or_else(error::unexpected_reply)
    }

    /// Says that all messages up to an offset are done. Returns false if there is no such subscription.
    pub async fn acknowledge(&self, handle: &KeyspaceHandle, context: &Context, offset: i64) -> Result<bool, Error> {
        let Log { keyspace, kind, name, .. } = &self.log;
        let parameters: Parameters<'_> = &[keyspace, &(*kind as i16), name, &self.name, &(offset + 1)];
        Ok(handle.database.query_optional(context, &ACKNOWLEDGE, parameters).await?.is_some())
    }

    /// Deletes the subscription. Returns false if there is none.
    pub async fn delete(&self, handle: &KeyspaceHandle, context: &Context) -> Result<bool, Error> {
        let Log { keyspace, kind, name, .. } = &self.log;
        let parameters: Parameters<'_> = &[keyspace, &(*kind as i16), name, &self.name];
        let is_deleted = handle.database.query_optional(context, &DELETE, parameters).await?.is_some();
        if is_deleted {
            handle.notifications.announce(*keyspace, self.topic());
        }
        Ok(is_deleted)
    }
}

/// Reads the messages of a topic from a position.
pub struct DurableReader {
    handle: Arc<KeyspaceHandle>,
    context: Context,
    name: DurableName,
    id: i64,
    /// The next offset.
    next: i64,
    events: VecDeque<SubscriptionEvent>,
    waiter: Waiter,
    _permit: OwnedSemaphorePermit,
}

impl DurableReader {
    /// Opens the subscription, and begins after an offset or at its position.
    pub async fn open(
        handle: &Arc<KeyspaceHandle>,
        context: &Context,
        name: DurableName,
        after: Option<i64>,
        start: StartPosition,
    ) -> Result<Self, Error> {
        let permit = handle.notifications.limits.permit()?;
        let waiter = handle.notifications.wait(name.log.keyspace, &[name.log.topic(), name.topic()]);
        let (id, position) = name.open(handle, context, after, start).await?;
        let next = after.map_or(position, |after| after + 1);
        Ok(Self { handle: handle.clone(), context: context.clone(), name, id, next, events: VecDeque::new(), waiter, _permit: permit })
    }

    /// The events, until the subscription is deleted or the client leaves.
    pub fn messages(self) -> Messages<SubscribeDurableResponse> {
        let first = SubscriptionEvent::Subscribed(Subscribed { subscription: self.name.name.clone() });
        let events = stream::try_unfold(self, |mut reader| async move {
            let event = reader.next().await?;
            Ok::<_, Error>(Some((event.into(), reader)))
        });
        stream::iter([Ok(first.into())]).chain(events).boxed()
    }

    async fn next(&mut self) -> Result<SubscriptionEvent, Error> {
        let mut outage = self.handle.notifications.limits.outage();
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            match self.fetch().await {
                Ok(()) if self.events.is_empty() => {
                    outage.ended();
                    self.waiter.changed(Duration::MAX).await;
                }
                Ok(()) => {}
                Err(error) => outage.wait(error, self.handle.database.is_closed()).await?,
            }
        }
    }

    /// Reads the next messages, if there are some.
    async fn fetch(&mut self) -> Result<(), Error> {
        let exists: Parameters<'_> = &[&self.id];
        let (page, rows) = self.name.log.page(&self.handle, &self.context, self.next, i64::MAX, PAGE_ROWS, (&EXISTS, exists)).await?;
        if rows.is_empty() {
            return Err(self.name.not_found());
        }
        if page.expired_to > self.next {
            self.events.push_back(SubscriptionEvent::Gap(Gap { missed: unsigned(page.expired_to - self.next) }));
            self.next = page.expired_to;
        }
        for record in page.records {
            self.next = i64::try_from(record.offset).unwrap_or(i64::MAX - 1) + 1;
            self.events.push_back(SubscriptionEvent::Message(stored_message(&self.name.log.name, record)));
        }
        Ok(())
    }
}

/// A stored message. Its sequence is one more than its offset, because the first one is 1.
fn stored_message(topic: &str, record: Record) -> Message {
    Message {
        topic: topic.to_owned(),
        payload: record.payload,
        attributes: record.attributes,
        publish_time: record.append_time,
        cursor: record.cursor,
        ordering_key: None,
        sequence: record.offset + 1,
    }
}
