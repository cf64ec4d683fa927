//! `pubsub_persistent`: a log for each topic, and a document with the position of each durable subscription.

use super::{
    PubSub,
    durable::DurableReader,
    message::{self, decode_cursor, encode_cursor},
    position::{DurableSubscription, subscription_not_found},
};
use crate::{documents::Changed, log::Appended, names::token};
use async_trait::async_trait;
use prism_call::{
    Context, Error, Messages,
    proto::models::pubsub::v1::{
        AcknowledgeRequest, AcknowledgeResponse, DeleteDurableSubscriptionRequest, DeleteDurableSubscriptionResponse,
        GetLastMessageIdRequest, GetLastMessageIdResponse, PubSubPersistent, PublishPersistentRequest, PublishPersistentResponse,
        StartPosition, SubscribeDurableRequest, SubscribeDurableResponse,
    },
};
use prism_driver::{check, cursor, time};

/// The tokens of the document of a durable subscription.
fn tokens(topic: &str, subscription: &str) -> String {
    format!("durable.{}.{}", token(topic), token(subscription))
}

fn check_names(topic: &str, subscription: &str) -> Result<(), Error> {
    check::topic("topic", topic)?;
    check::name("subscription", subscription)
}

impl PubSub {
    /// Reads a durable subscription, or makes it.
    async fn durable(
        &self,
        context: &Context,
        request: &SubscribeDurableRequest,
        start: Option<u64>,
    ) -> Result<DurableSubscription, Error> {
        let tokens = tokens(&request.topic, &request.subscription);
        let deadline = self.client.deadline(context);
        loop {
            if let Some((durable, _)) = self.documents.load(&deadline, &tokens).await? {
                return Ok(durable);
            }
            let log = self.log(&request.topic);
            let state = log.info(&deadline).await?.map(|info| info.state).unwrap_or_default();
            let position = match (start, request.start()) {
                (Some(position), _) => position,
                (None, StartPosition::Earliest) => state.first_seq.saturating_sub(1),
                (None, StartPosition::Latest | StartPosition::Unspecified) => state.last_seq,
            };
            let durable = DurableSubscription { id: rand::random(), position };
            if self.documents.save(&deadline, &tokens, 0, &durable).await?.is_some() {
                return Ok(durable);
            }
        }
    }
}

#[async_trait]
impl PubSubPersistent for PubSub {
    async fn publish_persistent(&self, context: &Context, request: PublishPersistentRequest) -> Result<PublishPersistentResponse, Error> {
        let PublishPersistentRequest { topic, payload, attributes } = request;
        message::check(&self.limits, &topic, &payload, &attributes)?;
        let deadline = self.client.deadline(context);
        let (headers, payload) = message::encode(attributes, payload);
        match self.log(&topic).append(&deadline, headers, payload, None).await? {
            Appended::Done(sequence) => Ok(PublishPersistentResponse { cursor: encode_cursor(&topic, sequence), sequence }),
            Appended::Mismatch(_) => Err(Error::internal("a message without a condition was refused")),
        }
    }

    async fn subscribe_durable(
        &self,
        context: &Context,
        request: SubscribeDurableRequest,
    ) -> Result<Messages<SubscribeDurableResponse>, Error> {
        check_names(&request.topic, &request.subscription)?;
        let start = decode_cursor(&request.topic, &request.cursor)?;
        let permit = self.hub.limits().permit()?;
        let durable = self.durable(context, &request, start).await?;
        let position = start.unwrap_or(durable.position);
        let tokens = tokens(&request.topic, &request.subscription);
        let SubscribeDurableRequest { topic, subscription, .. } = request;
        let reader = DurableReader::open(self.clone(), context.clone(), topic, subscription, tokens, durable.id, position, permit).await?;
        Ok(reader.messages())
    }

    async fn acknowledge(&self, context: &Context, request: AcknowledgeRequest) -> Result<AcknowledgeResponse, Error> {
        let AcknowledgeRequest { topic, subscription, cursor } = request;
        check_names(&topic, &subscription)?;
        let done = decode_cursor(&topic, &cursor)?.ok_or_else(cursor::invalid)?;
        let (deadline, tokens) = (self.client.deadline(context), tokens(&topic, &subscription));
        let moved = self.documents.update(&deadline, &tokens, |durable: &mut DurableSubscription| {
            if done <= durable.position {
                return Changed::No(());
            }
            durable.position = done;
            Changed::Yes(())
        });
        moved.await?.ok_or_else(|| subscription_not_found(&topic, &subscription))?;
        Ok(AcknowledgeResponse {})
    }

    async fn delete_durable_subscription(
        &self,
        context: &Context,
        request: DeleteDurableSubscriptionRequest,
    ) -> Result<DeleteDurableSubscriptionResponse, Error> {
        check_names(&request.topic, &request.subscription)?;
        let tokens = tokens(&request.topic, &request.subscription);
        Ok(DeleteDurableSubscriptionResponse { deleted: self.documents.remove(&self.client.deadline(context), &tokens).await? })
    }

    async fn get_last_message_id(&self, context: &Context, request: GetLastMessageIdRequest) -> Result<GetLastMessageIdResponse, Error> {
        check::topic("topic", &request.topic)?;
        let (log, deadline) = (self.log(&request.topic), self.client.deadline(context));
        let last = log.info(&deadline).await?.map_or(0, |info| info.state.last_seq);
        if last == 0 {
            return Ok(GetLastMessageIdResponse::default());
        }
        let publish_time = log.read(&deadline, last).await?.map(|stored| time::timestamp(stored.time));
        Ok(GetLastMessageIdResponse { cursor: Some(encode_cursor(&request.topic, last)), sequence: Some(last), publish_time })
    }
}
