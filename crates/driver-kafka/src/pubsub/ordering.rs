//! `pubsub_ordering`: the journal numbers the messages of a line.

use async_trait::async_trait;

use super::{PubSub, message};
use crate::journal::{LineName, Operation, Outcome, PublishOrdered};
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

#[async_trait]
impl PubSubOrdering for PubSub {
    async fn publish_ordered(&self, context: &Context, request: PublishOrderedRequest) -> Result<PublishOrderedResponse, Error> {
        let PublishOrderedRequest { topic, ordering_key, payload, attributes } = request;
        message::check(&self.limits, &topic, &payload, &attributes)?;
        if ordering_key.is_empty() {
            return Err(Error::invalid("ordering_key", "must not be empty"));
        }
        check_ordering_key(&ordering_key)?;
        let publish = PublishOrdered { line: LineName { topic, key: ordering_key }, payload, attributes };
        match self.journal.execute(&self.client.deadline(context), Operation::Publish(publish)).await? {
            Outcome::Sequence(sequence) => Ok(PublishOrderedResponse { sequence }),
            _ => Err(Error::internal("a message has no number")),
        }
    }

    async fn subscribe_ordered(
        &self,
        context: &Context,
        request: SubscribeOrderedRequest,
    ) -> Result<Messages<SubscribeOrderedResponse>, Error> {
        check::topic("topic", &request.topic)?;
        check_ordering_key(&request.ordering_key)?;
        let key = Some(request.ordering_key).filter(|key| !key.is_empty());
        self.subscribe_to(context, request.topic, Filter::Ordered(key), request.subscription).await
    }
}
