//! `pubsub_persistent`: a Kafka topic for each topic. The positions of durable subscriptions are part of the state of the journal.

use async_trait::async_trait;

use super::{
    PubSub, bus_config,
    durable::{DurableReader, subscription_not_found},
    message::{self, copy_headers, decode_cursor, encode_cursor},
    topic_config,
};
use crate::{
    client::Place,
    codec::encode_attributes,
    journal::{Durable, DurableName, MoveDurable, OpenDurable, Operation, Outcome},
    pages::Page,
};
use prism_call::{
    Context, Error, Messages,
    proto::models::pubsub::v1::{
        AcknowledgeRequest, AcknowledgeResponse, DeleteDurableSubscriptionRequest, DeleteDurableSubscriptionResponse,
        GetLastMessageIdRequest, GetLastMessageIdResponse, PubSubPersistent, PublishPersistentRequest, PublishPersistentResponse,
        StartPosition, SubscribeDurableRequest, SubscribeDurableResponse,
    },
};
use prism_driver::{check, cursor, time};

fn check_names(topic: &str, subscription: &str) -> Result<(), Error> {
    check::topic("topic", topic)?;
    check::name("subscription", subscription)
}

#[async_trait]
impl PubSubPersistent for PubSub {
    async fn publish_persistent(&self, context: &Context, request: PublishPersistentRequest) -> Result<PublishPersistentResponse, Error> {
        let PublishPersistentRequest { topic, payload, attributes } = request;
        message::check(&self.limits, &topic, &payload, &attributes)?;
        let (stored, bus, deadline) = (self.names.topic(&topic), self.names.bus(), self.client.deadline(context));
        self.client.ensure(&deadline, &stored, topic_config).await?;
        let headers = encode_attributes(attributes);
        let appended = self.client.append(&deadline, &stored, 0, &[], &payload, headers.clone()).await?;
        let sequence = appended.offset + 1;
        // The message is stored, so that the call succeeds. Delivery to plain subscriptions is at most once.
        let copied = async {
            self.client.ensure(&deadline, &bus, bus_config).await?;
            let headers = copy_headers(headers, sequence, appended.time);
            self.client.append(&deadline, &bus, 0, topic.as_bytes(), &payload, headers).await
        };
        if let Err(error) = copied.await {
            tracing::debug!(%error, topic, "a stored message did not reach plain subscriptions");
        }
        Ok(PublishPersistentResponse { cursor: encode_cursor(&topic, sequence), sequence })
    }

    async fn subscribe_durable(
        &self,
        context: &Context,
        request: SubscribeDurableRequest,
    ) -> Result<Messages<SubscribeDurableResponse>, Error> {
        check_names(&request.topic, &request.subscription)?;
        let start = decode_cursor(&request.topic, &request.cursor)?;
        let permit = self.hub.limits().permit()?;
        let (deadline, stored) = (self.client.deadline(context), self.names.topic(&request.topic));
        let place = match request.start() {
            StartPosition::Earliest => Place::First,
            StartPosition::Latest | StartPosition::Unspecified => Place::End,
        };
        let next = match (start, self.client.partitions(&deadline, &stored).await?) {
            (Some(sequence), _) => sequence,
            (None, Some(_)) => self.client.offsets(&deadline, &stored, &[0], place).await?.first().copied().unwrap_or(0),
            (None, None) => 0,
        };
        let name = DurableName { topic: request.topic, subscription: request.subscription };
        let open = OpenDurable { name: name.clone(), new: Durable { id: rand::random(), next } };
        let Outcome::Durable(durable) = self.journal.execute(&deadline, Operation::OpenDurable(open)).await? else {
            return Err(Error::internal("a durable subscription has no position"));
        };
        let next = start.unwrap_or(durable.next);
        Ok(DurableReader::new(self.clone(), context.clone(), name, durable.id, next, permit).messages())
    }

    async fn acknowledge(&self, context: &Context, request: AcknowledgeRequest) -> Result<AcknowledgeResponse, Error> {
        let AcknowledgeRequest { topic, subscription, cursor } = request;
        check_names(&topic, &subscription)?;
        let next = decode_cursor(&topic, &cursor)?.ok_or_else(cursor::invalid)?;
        let (deadline, name) = (self.client.deadline(context), DurableName { topic, subscription });
        if !self.journal.view(|state| state.durables.contains_key(&name)) {
            self.journal.catch_up(&deadline).await?;
            if !self.journal.view(|state| state.durables.contains_key(&name)) {
                return Err(subscription_not_found(&name));
            }
        }
        let moved = Operation::MoveDurable(MoveDurable { name: name.clone(), next });
        match self.journal.execute(&deadline, moved).await? {
            Outcome::NotFound => Err(subscription_not_found(&name)),
            _ => Ok(AcknowledgeResponse {}),
        }
    }

    async fn delete_durable_subscription(
        &self,
        context: &Context,
        request: DeleteDurableSubscriptionRequest,
    ) -> Result<DeleteDurableSubscriptionResponse, Error> {
        let DeleteDurableSubscriptionRequest { topic, subscription } = request;
        check_names(&topic, &subscription)?;
        let (deadline, name) = (self.client.deadline(context), DurableName { topic, subscription });
        self.journal.catch_up(&deadline).await?;
        if !self.journal.view(|state| state.durables.contains_key(&name)) {
            return Ok(DeleteDurableSubscriptionResponse { deleted: false });
        }
        let outcome = self.journal.execute(&deadline, Operation::DeleteDurable(name)).await?;
        Ok(DeleteDurableSubscriptionResponse { deleted: outcome == Outcome::Changed(true) })
    }

    async fn get_last_message_id(&self, context: &Context, request: GetLastMessageIdRequest) -> Result<GetLastMessageIdResponse, Error> {
        check::topic("topic", &request.topic)?;
        let (stored, deadline) = (self.names.topic(&request.topic), self.client.deadline(context));
        if self.client.partitions(&deadline, &stored).await?.is_none() {
            return Ok(GetLastMessageIdResponse::default());
        }
        let end = self.client.offsets(&deadline, &stored, &[0], Place::End).await?.first().copied().unwrap_or(0);
        if end == 0 {
            return Ok(GetLastMessageIdResponse::default());
        }
        let publish_time = match self.client.page(&deadline, &stored, &[(0, end - 1)], 1).await? {
            Page::Records(records) => records.first().filter(|last| last.offset == end - 1).map(|last| time::timestamp(last.time)),
            Page::OutOfRange => None,
        };
        Ok(GetLastMessageIdResponse { cursor: Some(encode_cursor(&request.topic, end)), sequence: Some(end), publish_time })
    }
}
