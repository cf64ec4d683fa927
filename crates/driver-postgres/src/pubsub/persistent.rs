//! `pubsub_persistent`: the messages of a topic are stored like the records of a stream.

use async_trait::async_trait;
use tokio_postgres::types::Type;

use super::{
    PubSub,
    durable::{DurableName, DurableReader},
};
use crate::{
    columns::{read_time, unsigned},
    sql::Sql,
    stream::{Log, LogKind, NewRecord},
};
use prism_call::{
    Context, Error, Messages,
    proto::models::pubsub::v1::{
        AcknowledgeRequest, AcknowledgeResponse, DeleteDurableSubscriptionRequest, DeleteDurableSubscriptionResponse,
        GetLastMessageIdRequest, GetLastMessageIdResponse, PubSubPersistent, PublishPersistentRequest, PublishPersistentResponse,
        SubscribeDurableRequest, SubscribeDurableResponse,
    },
};
use prism_driver::{attributes, check, cursor, time};

static LAST: Sql = Sql {
    text: "SELECT next_offset, (SELECT time FROM {schema}.records WHERE stream = id AND position = next_offset - 1)
           FROM {schema}.streams WHERE keyspace = $1 AND kind = $2 AND name = $3",
    types: &[Type::INT8, Type::INT2, Type::TEXT],
};

impl PubSub {
    /// The stored messages of a topic.
    async fn log(&self, context: &Context, topic: String) -> Result<Log, Error> {
        check::topic("topic", &topic)?;
        Ok(Log { keyspace: self.keyspace.id(context).await?, kind: LogKind::Topic, name: topic, retention: self.keyspace.topic_retention })
    }

    async fn durable(&self, context: &Context, topic: String, subscription: String) -> Result<DurableName, Error> {
        check::topic("topic", &topic)?;
        check::name("subscription", &subscription)?;
        Ok(DurableName { log: self.log(context, topic).await?, name: subscription })
    }
}

#[async_trait]
impl PubSubPersistent for PubSub {
    async fn publish_persistent(&self, context: &Context, request: PublishPersistentRequest) -> Result<PublishPersistentResponse, Error> {
        let mut message = self.new_message(request.topic, request.payload, request.attributes)?;
        let log = self.log(context, message.topic.clone()).await?;
        let record = NewRecord {
            key: bytes::Bytes::new(),
            attributes: attributes::encode(message.attributes.clone()),
            payload: message.payload.clone(),
            expected: None,
        };
        let (offset, time) = log.append(&self.keyspace, context, &record).await?;
        message.publish_time = Some(time::timestamp(time));
        message.cursor = log.encode_cursor(offset);
        message.sequence = unsigned(offset) + 1;
        // The message is stored. That it may be lost on the way to subscriptions that are not durable is no error.
        if let Err(error) = self.send(context, &message).await {
            tracing::debug!(%error, "a stored message did not reach subscriptions");
        }
        Ok(PublishPersistentResponse { cursor: message.cursor, sequence: message.sequence })
    }

    async fn subscribe_durable(
        &self,
        context: &Context,
        request: SubscribeDurableRequest,
    ) -> Result<Messages<SubscribeDurableResponse>, Error> {
        let start = request.start();
        let name = self.durable(context, request.topic, request.subscription).await?;
        let after = name.log.decode_cursor(&request.cursor)?;
        Ok(DurableReader::open(&self.keyspace, context, name, after, start).await?.messages())
    }

    async fn acknowledge(&self, context: &Context, request: AcknowledgeRequest) -> Result<AcknowledgeResponse, Error> {
        let name = self.durable(context, request.topic, request.subscription).await?;
        let offset = name.log.decode_cursor(&request.cursor)?.ok_or_else(cursor::invalid)?;
        if !name.acknowledge(&self.keyspace, context, offset).await? {
            return Err(name.not_found());
        }
        Ok(AcknowledgeResponse {})
    }

    async fn delete_durable_subscription(
        &self,
        context: &Context,
        request: DeleteDurableSubscriptionRequest,
    ) -> Result<DeleteDurableSubscriptionResponse, Error> {
        let name = self.durable(context, request.topic, request.subscription).await?;
        Ok(DeleteDurableSubscriptionResponse { deleted: name.delete(&self.keyspace, context).await? })
    }

    async fn get_last_message_id(&self, context: &Context, request: GetLastMessageIdRequest) -> Result<GetLastMessageIdResponse, Error> {
        let log = self.log(context, request.topic).await?;
        let row = self.keyspace.database.query_optional(context, &LAST, &[&log.keyspace, &(log.kind as i16), &log.name]).await?;
        let Some(row) = row.filter(|row| row.get::<_, i64>(0) > 0) else { return Ok(GetLastMessageIdResponse::default()) };
        let next_offset: i64 = row.get(0);
        Ok(GetLastMessageIdResponse {
            cursor: Some(log.encode_cursor(next_offset - 1)),
            sequence: Some(unsigned(next_offset)),
            publish_time: read_time(&row, 1).map(time::timestamp),
        })
    }
}
