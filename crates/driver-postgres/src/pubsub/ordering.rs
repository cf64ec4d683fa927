//! `pubsub_ordering`: the number of the last message of each ordering key is a row. A publisher keeps its lock until the message is sent, and
//! PostgreSQL delivers notifications in the order of commits.

use async_trait::async_trait;
use tokio_postgres::types::Type;

use super::{EncodedMessage, PubSub};
use crate::{columns::unsigned, database::Parameters, error, sql::Sql};
use prism_call::{
    Context, Error, Messages,
    proto::models::pubsub::v1::{
        PubSubOrdering, PublishOrderedRequest, PublishOrderedResponse, SubscribeOrderedRequest, SubscribeOrderedResponse,
    },
};
use prism_driver::{
    check,
    pubsub::{Filter, check_ordering_key},
};

macro_rules! next_sequence {
    ($statement:literal) => {
        concat!(
            "WITH line AS (
                INSERT INTO {schema}.ordering_keys AS line (keyspace, topic, ordering_key, sequence, used) VALUES ($1, $2, $3, 1, now())
                ON CONFLICT (keyspace, topic, ordering_key) DO UPDATE SET sequence = line.sequence + 1, used = now()
                RETURNING sequence)",
            $statement
        )
    };
}

static NOTIFY: Sql = Sql {
    text: next_sequence!(" SELECT sequence, pg_notify($4, $5 || sequence || $6) FROM line"),
    types: &[Type::INT8, Type::TEXT, Type::BYTEA, Type::TEXT, Type::TEXT, Type::TEXT],
};

static STORE_AND_NOTIFY: Sql = Sql {
    text: next_sequence!(
        ", stored AS (INSERT INTO {schema}.large_messages (id, message) VALUES ($7, $8))
        SELECT sequence, pg_notify($4, $5 || sequence || $6) FROM line"
    ),
    types: &[Type::INT8, Type::TEXT, Type::BYTEA, Type::TEXT, Type::TEXT, Type::TEXT, Type::INT8, Type::BYTEA],
};

#[async_trait]
impl PubSubOrdering for PubSub {
    async fn publish_ordered(&self, context: &Context, request: PublishOrderedRequest) -> Result<PublishOrderedResponse, Error> {
        let PublishOrderedRequest { topic, ordering_key, payload, attributes } = request;
        let mut message = self.new_message(topic, payload, attributes)?;
        check_ordering_key(&ordering_key)?;
        if ordering_key.is_empty() {
            return Err(Error::invalid("ordering_key", "must not be empty"));
        }
        message.ordering_key = Some(ordering_key.clone());
        let id = self.keyspace.id(context).await?;
        let channel = self.keyspace.notifications.channel(id);
        let EncodedMessage { kind, text, large } = EncodedMessage::new(&message);
        let (database, kind, key) = (&self.keyspace.database, kind.to_string(), ordering_key.as_bytes());
        let row = match &large {
            None => database.query_optional(context, &NOTIFY, &[&id, &message.topic, &key, &channel, &kind, &text]).await?,
            Some((number, encoded)) => {
                let parameters: Parameters<'_> = &[&id, &message.topic, &key, &channel, &kind, &text, number, encoded];
                database.query_optional(context, &STORE_AND_NOTIFY, parameters).await?
            }
        };
        let row = row.ok_or_else(error::unexpected_reply)?;
        Ok(PublishOrderedResponse { sequence: unsigned(row.get(0)) })
    }

    async fn subscribe_ordered(
        &self,
        context: &Context,
        request: SubscribeOrderedRequest,
    ) -> Result<Messages<SubscribeOrderedResponse>, Error> {
        check::topic("topic", &request.topic)?;
        check_ordering_key(&request.ordering_key)?;
        let filter = Filter::Ordered((!request.ordering_key.is_empty()).then_some(request.ordering_key));
        self.subscribe_to(context, &request.topic, filter, request.subscription).await
    }
}
